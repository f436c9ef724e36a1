"""Where training cases come from. A source makes samples by seed; the same seed is the same patient, always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Quantity, Volume
from irae.models.closer import CLOSER_LOOKS
from irae.models.crops import Crops, CropSpec
from irae.models.foci import on_network_grid
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.models.tensors import Canonical, mr_normalised, network_grid, resample
from irae.quant.resample import onto_grid
from irae.training.provenance import Provenance
from irae.training.segmentation import SegmentationCase
from irae.training.settings import Target


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """An image with the true organs on its grid."""

    image: Volume
    truth: LabelMap

    def __post_init__(self) -> None:
        if not self.image.geometry.same_grid(self.truth.geometry):
            raise ValueError("sample: image and truth lie on different grids")


@dataclass(frozen=True, eq=False, slots=True)
class LabelledCrops:
    """Raw crops around one organ, with the truth.

    Attributes:
        crops: As ``models.crops.organ_crops`` gives them.
        positive: Whether the irAE is there and leaves a sign on the images.
        hidden: Whether the irAE is there without any sign; such a case is neither learnt from nor counted.
        severity: Radiological severity 0-3 as the images show it; None where it is not known.
    """

    crops: Crops
    positive: bool
    hidden: bool = False
    severity: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class FociSample:
    """A PET/CT with its focal lesions: ``marked`` is (i, j, k) bool on the CT's grid."""

    ct: Volume
    pet: Volume
    marked: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.marked.shape != self.ct.geometry.shape:
            raise ValueError(f"marked {self.marked.shape} does not fit the CT {self.ct.geometry.shape}")


class Source(Protocol):
    """Synthetic patients, or a site's own annotated ones. A number names a case: a seed, or its place in a table."""

    @property
    def name(self) -> str:
        """For the card, e.g. ``phantom``."""
        ...

    @property
    def digest(self) -> str:
        """``sha256:...`` of what makes the samples."""
        ...

    @property
    def provenance(self) -> Provenance:
        """What a card says about these cases."""
        ...

    def segmentation(self, target: Target, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[Sample]:
        """One sample per seed, in order; a seed without the organ's image is left out."""
        ...

    def foci(self, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[FociSample]:
        """One PET/CT per seed, in order; an exam without PET, CT or marked foci is left out."""
        ...

    def classification(
        self, specs: Mapping[Irae, CropSpec], seeds: Sequence[int], *, organs_package: Path | None = None,
        found_share: float = 1.0, baseline_share: float = 1.0,
    ) -> Iterator[Mapping[Irae, LabelledCrops]]:
        """Crops around the organ of each irAE that is in the picture, one mapping per seed, in order.

        Args:
            specs: What each irAE's network takes.
            seeds: Of the patients.
            organs_package: Package of the task organs. Crops then lie around what it finds, as they will in use;
                without one, around the truth.
            found_share: Share of the patients whose organs are found; the others' are true.
            baseline_share: Share of the patients whose baseline is shown too.
        """
        ...


def as_shown(sample: Sample, target: Target) -> Sample | None:
    """The part of a sample that a network of this target is shown in use; None where it is not in the picture."""
    look = CLOSER_LOOKS.get(target.value)
    if look is None:
        return sample
    canonical = Canonical.of(sample.image.geometry)
    box = look.box(canonical.apply(sample.truth.array), canonical.geometry)
    if box is None:
        return None
    start, stop = tuple(part.start for part in box), tuple(part.stop for part in box)
    grid = canonical.geometry.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    image, truth = sample.image, sample.truth
    return Sample(
        Volume(array=canonical.apply(image.array)[box].copy(), geometry=grid, quantity=image.quantity),
        LabelMap(array=canonical.apply(truth.array)[box].copy(), geometry=grid, labels=truth.labels,
                 coverage=truth.coverage),
    )


def segmentation_case(
    sample: Sample, labels: Sequence[str], *, spacing_mm: float, coarse: PackagedSegmenter | None = None
) -> SegmentationCase:
    """A sample on the network's grid, prepared exactly as the segmenter prepares an image.

    coarse: Finds the organs that a finer network starts from.
    """
    image = mr_normalised(sample.image) if sample.image.quantity is Quantity.MR_SIGNAL else sample.image
    canonical = Canonical.of(image.geometry)
    grid = network_grid(canonical.geometry, spacing_mm)
    return SegmentationCase(
        image=resample(canonical.apply(image.array), grid.shape).numpy(),
        labels=class_numbers(sample.truth, labels, canonical, grid),
        quantity=image.quantity,
        found=None if coarse is None else np.round(coarse.coarse_organs(image) * 255.0).astype(np.uint8),
    )


def foci_case(sample: FociSample, *, spacing_mm: float) -> SegmentationCase:
    """A PET/CT on the network's grid, prepared exactly as ``models.foci`` prepares an exam; 1 is a lesion."""
    grid, images = on_network_grid(sample.ct, sample.pet, spacing_mm)
    marked = onto_grid(sample.marked.astype(np.uint8), sample.ct.geometry, grid, order=0)
    return SegmentationCase(image=images["ct"], labels=marked, quantity=Quantity.HU, pet=images["pet"])


def class_numbers(
    truth: LabelMap, labels: Sequence[str], canonical: Canonical, grid: Geometry
) -> NDArray[np.uint8]:
    """Truth on a network's grid as class numbers: n is the n-th label, 0 everything else."""
    number = np.zeros(256, dtype=np.uint8)
    for position, organ in enumerate(labels, start=1):
        if organ in truth.labels:
            number[truth.labels[organ]] = position
    ours = number[canonical.apply(truth.array)]
    placed: NDArray[np.uint8] = onto_grid(ours, canonical.geometry, grid, order=0)
    return placed
