"""Where organs lie on a grid, so that measures work on small boxes instead of whole scans."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap

Box = tuple[slice, slice, slice]


_KNOWN_BOXES: WeakKeyDictionary[LabelMap, Mapping[str, Box]] = WeakKeyDictionary()  # every measure asks for them


def organ_boxes(labels: LabelMap) -> Mapping[str, Box]:
    """The smallest box around every organ that was seen and has voxels."""
    boxes = _KNOWN_BOXES.get(labels)
    if boxes is None:
        found = ndimage.find_objects(labels.array)
        boxes = _KNOWN_BOXES[labels] = MappingProxyType({
            organ: found[label - 1]
            for organ, label in labels.labels.items()
            if labels.seen(organ) and label <= len(found) and found[label - 1] is not None
        })
    return boxes


def without(labels: LabelMap, organ: str) -> LabelMap:
    """``labels.without(organ)``; where the other organs lie is known already."""
    rest = labels.without(organ)
    if rest is not labels:
        boxes = {other: box for other, box in organ_boxes(labels).items() if other != organ}
        _KNOWN_BOXES[rest] = MappingProxyType(boxes)
    return rest


def joined(boxes: list[Box]) -> Box:
    """The smallest box around all boxes.

    >>> joined([(slice(0, 2), slice(3, 4), slice(0, 1)), (slice(1, 5), slice(0, 1), slice(0, 1))])
    (slice(0, 5, None), slice(0, 4, None), slice(0, 1, None))
    """
    i, j, k = (
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3)
    )
    return i, j, k


def grown(box: Box, geometry: Geometry, margin_mm: float) -> Box:
    """The box with a margin on every side, cut at the grid's ends."""
    i, j, k = (
        slice(max(0, part.start - steps), min(size, part.stop + steps))
        for part, size, steps in zip(
            box, geometry.shape, (int(np.ceil(margin_mm / s)) for s in geometry.spacing_mm), strict=True
        )
    )
    return i, j, k


def box_around(mask: NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> Box:
    """The smallest box around a mask with a margin on every side, cut at the grid's ends; whole if it is empty."""
    found: Box | None = ndimage.find_objects(mask.view(np.uint8), max_label=1)[0]
    i, j, k = (slice(0, n) for n in mask.shape)
    return (i, j, k) if found is None else grown(found, geometry, margin_mm)


def geometry_of(box: Box, geometry: Geometry) -> Geometry:
    """The grid of a box."""
    return geometry.cropped(
        (box[0].start, box[1].start, box[2].start), (box[0].stop, box[1].stop, box[2].stop)
    )


def block_factors(geometry: Geometry, spacing_mm: float) -> tuple[int, int, int]:
    """How many voxels along each axis make a block no larger than ``spacing_mm`` (at least one)."""
    i, j, k = (
        max(1, min(int(spacing_mm / s + 1e-6), n)) for s, n in zip(geometry.spacing_mm, geometry.shape, strict=True)
    )
    return i, j, k


def block_geometry(geometry: Geometry, factors: tuple[int, int, int]) -> Geometry:
    """The grid of whole blocks; what does not fill a block at the far ends is left out."""
    scale = np.diag([*factors, 1.0])
    scale[:3, 3] = (np.array(factors) - 1.0) / 2.0
    i, j, k = (n // f for n, f in zip(geometry.shape, factors, strict=True))
    return Geometry(
        shape=(i, j, k), affine=geometry.affine @ scale, frame_of_reference_uid=geometry.frame_of_reference_uid
    )


def block_mean(array: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means over blocks of voxels: coarser and less noisy, without interpolation."""
    i, j, k = (n // f for n, f in zip(array.shape, factors, strict=True))
    whole = array[: i * factors[0], : j * factors[1], : k * factors[2]]
    blocks = whole.reshape(i, factors[0], j, factors[1], k, factors[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def block_pick(labels: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[Any]:
    """The label at the middle of every block."""
    i, j, k = (n // f for n, f in zip(labels.shape, factors, strict=True))
    picked: NDArray[Any] = labels[tuple(slice(f // 2, None, f) for f in factors)][:i, :j, :k]
    return picked
