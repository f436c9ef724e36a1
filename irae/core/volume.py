"""Images with their meaning: scalar volumes and organ label maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.core.mapping import FrozenMapping


class Quantity(Enum):
    """What a voxel value measures."""

    HU = "HU"
    SUV_BW = "SUVbw"  # g/mL, body weight
    MR_SIGNAL = "MR signal"  # arbitrary units
    RELEVANCE = "relevance"  # 0..1: how much a place moved a network's answer
    PROBABILITY = "probability"  # 0..1, of what a network looks for


class Coverage(Enum):
    """How much of an organ lies in the field of view and was found."""

    WHOLE = "whole"
    PARTIAL = "partial"
    NONE = "none"


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Volume:
    """A scalar image with its meaning.

    Attributes:
        array: (i, j, k) float32, finite, read-only.
        geometry: The grid in RAS+ mm.
        quantity: What the values measure (HU, SUVbw in g/mL, MR signal).

    Raises:
        ValueError: If the array does not fit the geometry or has non-finite voxels.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    quantity: Quantity

    def __post_init__(self) -> None:
        array = np.asarray(self.array, dtype=np.float32)
        if array.shape != self.geometry.shape:
            raise ValueError(f"array {array.shape} does not fit geometry {self.geometry.shape}")
        if not (np.isfinite(array.min()) and np.isfinite(array.max())):  # NaN and Inf survive min and max
            raise ValueError(f"{self.quantity.value} volume has non-finite voxels")
        object.__setattr__(self, "array", _frozen(array))


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True, kw_only=True)
class LabelMap:
    """Organs on a grid.

    Attributes:
        array: (i, j, k) uint8, 0 = none of the organs, read-only.
        geometry: The grid in RAS+ mm.
        labels: Organ name (a row of ``core.anatomy.ORGANS``) to its label value in this map.
        coverage: Organ name to how much of it was found in the field of view. Every labelled organ has an entry.
        rejected: Organ name to a sentence saying why a found mask was not believed (implausible volume, HU ...).
            Such an organ has coverage NONE: not seen is not absent.

    Raises:
        ValueError: If shapes disagree, a label is 0 or used twice, an organ is unknown, or coverage is missing.
    """

    array: NDArray[np.uint8]
    geometry: Geometry
    labels: Mapping[str, int]
    coverage: Mapping[str, Coverage]
    rejected: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = np.asarray(self.array, dtype=np.uint8)
        if array.shape != self.geometry.shape:
            raise ValueError(f"labels {array.shape} do not fit geometry {self.geometry.shape}")
        unknown = sorted((set(self.labels) | set(self.coverage)) - set(BY_NAME))
        if unknown:
            raise ValueError(f"unknown organs {unknown}; known are {sorted(BY_NAME)}")
        values = list(self.labels.values())
        if len(set(values)) != len(values) or any(not 0 < v < 256 for v in values):
            raise ValueError(f"labels must be different numbers from 1 to 255, got {dict(self.labels)}")
        without = sorted(set(self.labels) - set(self.coverage))
        if without:
            raise ValueError(f"coverage missing for {without}")
        object.__setattr__(self, "array", _frozen(array))
        object.__setattr__(self, "labels", FrozenMapping(self.labels))
        object.__setattr__(self, "coverage", FrozenMapping(self.coverage))
        object.__setattr__(self, "rejected", FrozenMapping(self.rejected))

    def seen(self, organ: str) -> bool:
        """Whether some of the organ was found and believed."""
        return organ in self.labels and self.coverage[organ] is not Coverage.NONE

    def mask(self, *organs: str) -> NDArray[np.bool_]:
        """(i, j, k) bool: voxels of any of the organs; all False for organs that were not seen."""
        wanted = [self.labels[o] for o in organs if self.seen(o)]
        return np.isin(self.array, np.array(wanted, dtype=np.uint8)) if wanted else np.zeros(self.array.shape, bool)

    def without(self, organ: str) -> LabelMap:
        """The map as if nobody had looked for an organ; this one where nobody had."""
        if organ not in self.coverage:
            return self

        def others(table: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in table.items() if name != organ}

        array = self.array.copy()
        np.putmask(array, array == self.labels.get(organ, 0), 0)
        return LabelMap(
            array=array, geometry=self.geometry, labels=others(self.labels), coverage=others(self.coverage),
            rejected=others(self.rejected),
        )

    def volume_ml(self, organ: str) -> float:
        """Volume of an organ's mask in mL."""
        return float(np.count_nonzero(self.mask(organ))) * self.geometry.voxel_volume_ml

    def name_of(self, label: int) -> str | None:
        """The organ with this label value; None for 0 and unused values."""
        return next((name for name, value in self.labels.items() if value == label), None)
