"""Diameters as a reader takes them: in one axial slice, the longest, and the longest at right angles to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from irae.core.geometry import Geometry


@dataclass(frozen=True, slots=True)
class AxialDiameters:
    """A reader's two diameters.

    Attributes:
        longest_mm: Longest distance between two border points of the region in one axial slice.
        short_mm: Longest chord at right angles to it, same slice.
        slice_index: Index of that slice along the grid's head-foot axis.
        longest_ends_ras_mm, short_ends_ras_mm: The end points, for drawing.
    """

    longest_mm: float
    short_mm: float
    slice_index: int
    longest_ends_ras_mm: tuple[tuple[float, float, float], tuple[float, float, float]]
    short_ends_ras_mm: tuple[tuple[float, float, float], tuple[float, float, float]]


def axial_diameters(mask: NDArray[np.bool_], geometry: Geometry) -> AxialDiameters:
    """Longest axial diameter of a region and the longest one perpendicular to it (RECIST 1.1, WHO).

    An axial slice is a plane of voxels across the grid's head-foot axis, whatever the grid's orientation. Every
    connected part of the region in a slice is measured by its convex outline through the outer voxel faces; the slice
    and part with the longest diameter are the reader's choice.

    Args:
        mask: (i, j, k) the region.
        geometry: Its grid.

    Raises:
        ValueError: If the shapes disagree or the region is empty.

    >>> grid = Geometry.axis_aligned((9, 9, 3), (2.0, 2.0, 5.0))
    >>> region = np.zeros(grid.shape, bool)
    >>> region[1:8, 3:6, 1] = True
    >>> found = axial_diameters(region, grid)
    >>> round(found.short_mm, 1), found.slice_index
    (6.2, 1)
    """
    if mask.shape != geometry.shape:
        raise ValueError(f"mask {mask.shape} does not fit geometry {geometry.shape}")
    found = ndimage.find_objects(mask.astype(np.uint8), max_label=1)[0]
    if found is None:
        raise ValueError("axial_diameters needs a region with at least one voxel")
    axial = geometry.axis_of(2)
    in_plane = [axis for axis in range(3) if axis != axial]
    steps = geometry.affine[:3, in_plane]  # world displacement of one voxel along each in-plane axis
    corner = np.array([s.start for s in found], dtype=float)
    slices = np.moveaxis(mask[found], axial, 0)
    best: tuple[float, float, int, NDArray[np.float64]] | None = None
    for index, plane in enumerate(slices):
        parts, _ = ndimage.label(plane, structure=np.ones((3, 3)))
        for part, box in enumerate(ndimage.find_objects(parts), start=1):
            if best is not None and np.linalg.norm(np.abs(steps) @ [s.stop - s.start for s in box]) <= best[0]:
                continue
            outline = _outline(parts[box] == part) + [s.start for s in box]
            longest, short, ends = _callipers(outline, steps)
            if best is None or longest > best[0] + 1e-9:
                best = (longest, short, index, ends)
    assert best is not None
    longest, short, index, ends = best
    points = np.zeros((4, 3))
    points[:, in_plane] = ends + corner[in_plane]
    points[:, axial] = index + corner[axial]
    world = [(float(x), float(y), float(z)) for x, y, z in geometry.to_world(points)]
    return AxialDiameters(longest, short, index + int(corner[axial]), (world[0], world[1]), (world[2], world[3]))


def _outline(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corner points of the convex outline through the middles of the outer voxel faces, (n, 2) voxel units."""
    rows = np.flatnonzero(part.any(axis=1))
    first, last = part.argmax(axis=1)[rows], part.shape[1] - 1 - part[:, ::-1].argmax(axis=1)[rows]
    # What lies between a row's ends cannot be a corner.
    centres = np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=-1).astype(float)
    half = np.array([(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)])
    points = (centres[:, None, :] + half).reshape(-1, 2)
    try:
        outline: NDArray[np.float64] = points[ConvexHull(points).vertices]
    except QhullError:  # cannot happen with the four face points of one voxel, kept for degenerate numerics
        outline = points
    return outline


def _callipers(
    outline: NDArray[np.float64], steps: NDArray[np.float64]
) -> tuple[float, float, NDArray[np.float64]]:
    """Longest diameter, longest perpendicular chord, and their four end points in voxel units."""
    world = outline @ steps.T  # (n, 3) mm
    distance = np.linalg.norm(world[:, None] - world[None], axis=-1)
    a, b = np.unravel_index(int(distance.argmax()), distance.shape)
    direction = (world[b] - world[a]) / distance[a, b]
    along = world @ direction
    normal = np.cross(np.cross(steps[:, 0], steps[:, 1]), direction)
    across = world @ (normal / np.linalg.norm(normal))
    # The longest chord of a convex polygon in a given direction starts at a corner: from each corner to each edge.
    following = np.roll(np.arange(len(outline)), -1)
    span = along[following] - along
    span[np.abs(span) <= 1e-9] = np.nan  # an edge in the chord's direction: both its ends are corners
    share = (along[:, None] - along) / span
    chord = np.abs(across + share * (across[following] - across) - across[:, None])
    chord[~((share >= 0.0) & (share <= 1.0))] = 0.0
    corner, edge = np.unravel_index(int(chord.argmax()), chord.shape)
    short = float(chord[corner, edge])
    end = outline[edge] + share[corner, edge] * (outline[following[edge]] - outline[edge]) if short else outline[corner]
    longest = float(distance[a, b])
    return longest, min(short, longest), np.array([outline[a], outline[b], outline[corner], end])
