"""What an annotation is, and how voxels found on another grid are put onto the image's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.quant.resample import onto_grid


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRules:
    """What is accepted without being asked.

    Attributes:
        tolerance_voxels: A frame, slice or contour plane may lie this far off the image's grid, in voxels (design
            value: positions are decimal strings, IBSI's own contours are 0.02 mm off a 3.27 mm grid).
        fraction: A FRACTIONAL segment's voxel belongs to it from this probability or occupancy on (design value).
        resample: Whether an annotation on another grid is sampled (nearest voxel) instead of refused.
    """

    tolerance_voxels: float = 0.1
    fraction: float = 0.5
    resample: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.tolerance_voxels < 0.5 or not 0 < self.fraction <= 1:
            raise ValueError(f"tolerance must be in (0, 0.5) voxels and fraction in (0, 1], got {self}")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Annotation:
    """One named region on an image's grid, kept as the box that holds it.

    Attributes:
        name: As the file calls it.
        organ: The row of ``core.anatomy`` that it is; None where it is none of them.
        start: Index (i, j, k) of the box's first voxel.
        box: (i, j, k) bool, read-only; at least one voxel is set.
        geometry: The image's grid.
        code: (value, scheme, meaning) of the type the file gives; None where it gives none.
        tracking_id: The file's Tracking ID; empty where it has none.
    """

    name: str
    organ: str | None
    start: tuple[int, int, int]
    box: NDArray[np.bool_]
    geometry: Geometry
    code: tuple[str, str, str] | None = None
    tracking_id: str = ""

    @property
    def where(self) -> tuple[slice, slice, slice]:
        """The box as slices of the image's grid."""
        i, j, k = (slice(a, a + n) for a, n in zip(self.start, self.box.shape, strict=True))
        return i, j, k

    def mask(self) -> NDArray[np.bool_]:
        """(i, j, k) bool on the whole grid."""
        full = np.zeros(self.geometry.shape, dtype=bool)
        full[self.where] = self.box
        return full

    @property
    def volume_ml(self) -> float:
        """Volume in mL."""
        return float(np.count_nonzero(self.box)) * self.geometry.voxel_volume_ml


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AnnotationsRead:
    """Everything a file annotates: what became a region, and what did not, with a code and a sentence each."""

    annotations: tuple[Annotation, ...]
    left_out: tuple[tuple[str, str, str], ...] = ()

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """Masks by name; regions of one name are joined."""
        found: dict[str, NDArray[np.bool_]] = {}
        for item in self.annotations:
            if item.name in found:
                found[item.name][item.where] |= item.box
            else:
                found[item.name] = item.mask()
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """Voxels of the image's grid, as a box."""

    start: tuple[int, int, int]
    box: NDArray[np.bool_]


def region_of_voxels(index: NDArray[np.intp], shape: tuple[int, int, int]) -> Region | None:
    """The region of voxel indices (n, 3); those outside the grid are dropped; None where none is left."""
    inside = ((index >= 0) & (index < shape)).all(axis=1)
    index = index[inside]
    if not len(index):
        return None
    start, stop = index.min(axis=0), index.max(axis=0) + 1
    box = np.zeros(tuple(stop - start), dtype=bool)
    box[tuple((index - start).T)] = True
    return Region((int(start[0]), int(start[1]), int(start[2])), box)


def region_resampled(mask: NDArray[np.bool_], source: Geometry, target: Geometry) -> Region | None:
    """The region of a mask on its own grid, sampled at the target's voxel centres (nearest voxel)."""
    corners = target.to_index(source.corners_mm())
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, target.shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, target.shape)
    if (high <= low).any():
        return None
    part = target.cropped((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    # A rim of one voxel: the outer halves of border voxels count, and sampling ends at their centres.
    rim = np.pad(mask.astype(np.uint8), 1)
    wider = source.cropped((-1, -1, -1), (source.shape[0] + 1, source.shape[1] + 1, source.shape[2] + 1))
    sampled = onto_grid(rim, wider, part, order=0) > 0
    return region_of_voxels(np.argwhere(sampled) + low, target.shape)


def misfit_voxels(origin: NDArray[np.float64], steps: NDArray[np.float64], size: tuple[int, ...]) -> float:
    """How far (in voxels) a block of samples strays from the grid's own voxel centres at its worst corner.

    Args:
        origin: (3,) grid index of the block's first sample.
        steps: (3, m) grid index steps along the block's m axes.
        size: Samples along each axis.
    """
    nearest = np.rint(steps)
    axes = np.abs(nearest)
    if not (axes.sum(axis=0) == 1).all() or (axes.sum(axis=1) > 1).any():
        return float("inf")  # not one voxel per sample, along different axes
    drift = np.abs(steps - nearest) * (np.array(size) - 1)
    return float((np.abs(origin - np.rint(origin)) + drift.sum(axis=1)).max())


def check_frame_of_reference(theirs: str | None, onto: Geometry, what: str) -> None:
    """Refuses an annotation of another frame of reference; where either is unknown nothing can be said.

    Raises:
        StudyError: ``annotation_frame_of_reference``.
    """
    ours = onto.frame_of_reference_uid
    if ours and theirs and ours != theirs:
        raise StudyError(
            "annotation_frame_of_reference",
            f"{what} is drawn in frame of reference {theirs}, the image lies in {ours}: they cannot be overlaid",
        )
