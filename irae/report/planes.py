"""Display planes: images cut along the patient's axes, whatever the orientation of the voxels.

A plane is a one-voxel-thick grid along the world's R, A and S axes. Its picture follows radiological convention: the
patient's right is on the viewer's left (axial, coronal), anterior is up (axial) or on the left (sagittal), head is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.geometry import Geometry
from irae.quant.resample import onto_grid

AXIAL, CORONAL, SAGITTAL = "axial", "coronal", "sagittal"
# Plane to the world axes that run along its width, its height and through it.
WORLD_AXES: dict[str, tuple[int, int, int]] = {AXIAL: (0, 1, 2), CORONAL: (0, 2, 1), SAGITTAL: (1, 2, 0)}
# Letters at the viewer's left, right, top and bottom.
LETTERS: dict[str, tuple[str, str, str, str]] = {
    AXIAL: ("R", "L", "A", "P"), CORONAL: ("R", "L", "H", "F"), SAGITTAL: ("A", "P", "H", "F"),
}
OBLIQUE_TOLERANCE = 0.01  # direction cosines off an axis by less count as along it (0.6 degrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A rectangle in the patient to look at.

    Attributes:
        kind: axial, coronal or sagittal.
        centre_mm: Its centre in RAS+ mm.
        width_mm, height_mm: Its size.
        pixel_mm: Distance between display samples.
    """

    kind: str
    centre_mm: tuple[float, float, float]
    width_mm: float
    height_mm: float
    pixel_mm: float

    def __post_init__(self) -> None:
        if self.kind not in WORLD_AXES:
            raise ValueError(f"plane must be one of {sorted(WORLD_AXES)}, got {self.kind!r}")
        if min(self.width_mm, self.height_mm, self.pixel_mm) <= 0:
            raise ValueError(f"{self.kind} plane needs positive sizes, got {self.width_mm} x {self.height_mm} mm")

    @property
    def geometry(self) -> Geometry:
        """The grid of the plane in RAS+ mm, one voxel thick."""
        across, up, _ = WORLD_AXES[self.kind]
        size = [1, 1, 1]
        size[across] = max(2, round(self.width_mm / self.pixel_mm))
        size[up] = max(2, round(self.height_mm / self.pixel_mm))
        origin = list(self.centre_mm)
        for axis in (across, up):
            origin[axis] -= (size[axis] - 1) / 2 * self.pixel_mm
        return Geometry.axis_aligned(
            (size[0], size[1], size[2]), (self.pixel_mm, self.pixel_mm, self.pixel_mm),
            (origin[0], origin[1], origin[2]),
        )

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """World coordinates of the viewer's left, right, bottom and top edge (left > right: radiological)."""
        across, up, _ = WORLD_AXES[self.kind]
        grid = self.geometry
        half = self.pixel_mm / 2
        low = grid.to_world((0, 0, 0)) - half
        high = grid.to_world(np.array(grid.shape) - 1) + half
        return float(high[across]), float(low[across]), float(low[up]), float(high[up])

    def moved(self, shift_mm: NDArray[np.float64]) -> Plane:
        """The same rectangle elsewhere."""
        x, y, z = (float(c + s) for c, s in zip(self.centre_mm, shift_mm, strict=True))
        return Plane(kind=self.kind, centre_mm=(x, y, z), width_mm=self.width_mm, height_mm=self.height_mm,
                     pixel_mm=self.pixel_mm)


def as_seen_by_viewer(flat: NDArray[Any]) -> NDArray[Any]:
    """(width, height) along growing world axes to picture rows (top first) and columns (viewer's left first)."""
    return flat[::-1, ::-1].T


def cut(
    array: NDArray[Any], geometry: Geometry, plane: Plane, *, order: int = 1, outside: float = 0.0
) -> NDArray[Any] | None:
    """A picture of an image in a plane.

    Args:
        array: (i, j, k) values on ``geometry``.
        geometry: The image's grid, any orientation.
        plane: Where to look.
        order: 0 for labels, 1 for images.
        outside: Value beyond the image.

    Returns:
        (rows, columns) as the viewer sees it; None where the plane lies wholly outside the image.
    """
    grid = plane.geometry
    ends = [(0, n - 1) for n in grid.shape]
    corners = grid.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))
    index = geometry.to_index(corners)
    # Only the voxels around the plane are touched: a whole-body CT has more than 100 million.
    start = np.maximum(np.floor(index.min(axis=0)).astype(int) - 2, 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 3, geometry.shape)
    inside = (index.max(axis=0) >= -0.5) & (index.min(axis=0) <= np.array(geometry.shape) - 0.5)
    if not inside.all() or (stop <= start).any():
        return None
    (i0, j0, k0), (i1, j1, k1) = (tuple(int(v) for v in corner) for corner in (start, stop))
    block = geometry.cropped((i0, j0, k0), (i1, j1, k1))
    sampled = onto_grid(array[i0:i1, j0:j1, k0:k1], block, grid, order=order, outside=outside)
    through = WORLD_AXES[plane.kind][2]
    return as_seen_by_viewer(np.take(sampled, 0, axis=through))


def along_world_axes(array: NDArray[Any], geometry: Geometry, *, order: int = 1) -> tuple[NDArray[Any], Geometry]:
    """The same image with voxel axes along R, A and S: a flipped view where that is enough, else resampled at 4 mm.

    Used for projections, which need the whole image.
    """
    directions = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    axes = [int(a) for a in np.argmax(np.abs(directions), axis=1)]  # world axis -> voxel axis
    straight = sorted(axes) == [0, 1, 2] and np.allclose(
        np.abs(directions).max(axis=1), 1.0, atol=OBLIQUE_TOLERANCE**2
    )
    if not straight:
        corners = geometry.corners_mm()
        low, high = corners.min(axis=0), corners.max(axis=0)
        x, y, z = (max(1, int(np.ceil(n / 4.0))) for n in high - low)
        target = Geometry.axis_aligned((x, y, z), (4.0, 4.0, 4.0), tuple(float(v) for v in low + 2.0))  # type: ignore[arg-type]
        return onto_grid(array, geometry, target, order=order), target
    turned = array.transpose(axes)
    affine = geometry.affine[:, [*axes, 3]].copy()
    for axis in range(3):
        if affine[axis, axis] < 0:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    shape = (int(turned.shape[0]), int(turned.shape[1]), int(turned.shape[2]))
    return turned, Geometry(shape=shape, affine=affine, frame_of_reference_uid=geometry.frame_of_reference_uid)


def coronal_projection(array: NDArray[Any], geometry: Geometry) -> tuple[NDArray[Any], Plane]:
    """The largest value along the anterior-posterior lines, and the plane that the picture fills.

    Returns:
        (rows, columns) as the viewer sees it, square pixels, and its plane (depth at the middle of the image).
    """
    turned, grid = along_world_axes(array, geometry)
    flat = turned.max(axis=1)
    step = grid.spacing_mm
    pixel = min(step[0], step[2])
    corners = grid.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = (low + high) / 2
    plane = Plane(
        kind=CORONAL, centre_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        width_mm=float(high[0] - low[0]), height_mm=float(high[2] - low[2]), pixel_mm=pixel,
    )
    sheet = Geometry.axis_aligned(
        (flat.shape[0], 1, flat.shape[1]), (step[0], step[1], step[2]),
        (float(low[0] + step[0] / 2), plane.centre_mm[1], float(low[2] + step[2] / 2)),
    )
    sampled = onto_grid(flat[:, None, :], sheet, plane.geometry, order=1, antialias=False)
    return as_seen_by_viewer(sampled[:, 0, :]), plane
