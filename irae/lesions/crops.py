"""Small parts of a scan's grid, and the fine grids on which lesions are measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.geometry import Geometry

FINE_MM = (1.2, 1.6)  # voxels no smaller (slow) and no larger (a small lesion would be a staircase)


def crop_around(grid: Geometry, low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> tuple[
    tuple[int, int, int], tuple[int, int, int]
] | None:
    """Start and stop voxels of the part of a grid that covers a world box; None if they do not meet."""
    corners = np.stack(np.meshgrid(*zip(low_mm, high_mm, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    index = grid.to_index(corners)
    start = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    if (stop <= start).any():
        return None
    return (int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2]))


def in_plane_mm(geometry: Geometry) -> float:
    """The larger side of a voxel in the axial plane."""
    axial = geometry.axis_of(2)
    return max(s for axis, s in enumerate(geometry.spacing_mm) if axis != axial)


def fine_grid(crop: Geometry, coarser: float = 1.0) -> Geometry:
    """The same box with voxels of ``FINE_MM``, times ``coarser``."""
    low, high = (mm * coarser for mm in FINE_MM)
    i, j, k = (min(max(s, low), high) for s in crop.spacing_mm)
    return crop.with_spacing((i, j, k))
