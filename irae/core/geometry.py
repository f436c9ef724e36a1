"""Where voxels lie: shape and affine in RAS+ millimetres, as in nibabel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Geometry:
    """A voxel grid in the world.

    Attributes:
        shape: Number of voxels along (i, j, k).
        affine: 4 x 4, voxel index (i, j, k, 1) to world (x, y, z, 1) in RAS+ mm; voxel centres.
        frame_of_reference_uid: DICOM frame of reference; None where unknown (NIfTI).

    Raises:
        ValueError: If the shape is not three positive sizes or the affine is not a finite, invertible 4 x 4.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    frame_of_reference_uid: str | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"geometry needs three positive sizes, got {self.shape}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError("affine must be a finite 4 x 4 matrix")
        if not np.allclose(affine[3], (0, 0, 0, 1)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("affine must be invertible with last row (0, 0, 0, 1)")
        affine.flags.writeable = False
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def axis_aligned(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
        frame_of_reference_uid: str | None = None,
    ) -> Self:
        """A grid whose axes are the world's R, A and S axes; origin_mm is the centre of voxel (0, 0, 0)."""
        affine = np.diag([*spacing_mm, 1.0])
        affine[:3, 3] = origin_mm
        return cls(shape=shape, affine=affine, frame_of_reference_uid=frame_of_reference_uid)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along i, j, k, in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def to_world(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (..., 3), fractional allowed, to RAS+ mm (..., 3)."""
        world: NDArray[np.float64] = np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def to_index(self, ras_mm: ArrayLike) -> NDArray[np.float64]:
        """RAS+ mm (..., 3) to fractional voxel indices (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        index: NDArray[np.float64] = np.asarray(ras_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return index

    def corners_mm(self) -> NDArray[np.float64]:
        """The eight outer corners (8, 3) of the grid in RAS+ mm, half a voxel outside the centres."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def axis_of(self, world_axis: int) -> int:
        """The voxel axis that runs most along a world axis (0 = left-right, 1 = posterior-anterior, 2 = foot-head)."""
        directions = np.abs(self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0))
        return int(np.argmax(directions[world_axis]))

    def same_grid(self, other: Geometry) -> bool:
        """Whether both grids have the same shape and the same affine within 0.001 mm at every corner."""
        return self.shape == other.shape and bool(
            np.allclose(self.corners_mm(), other.corners_mm(), atol=GRID_TOLERANCE_MM, rtol=0.0)
        )

    def with_spacing(self, spacing_mm: tuple[float, float, float]) -> Geometry:
        """The grid that covers the same box, same axes, with voxels of about the asked size (whole voxels fit)."""
        shape = tuple(
            max(1, round(n * old / new)) for n, old, new in zip(self.shape, self.spacing_mm, spacing_mm, strict=True)
        )
        scale = np.array(self.shape) / np.array(shape)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * scale
        affine[:3, 3] = self.to_world((scale - 1.0) / 2.0)
        return Geometry(
            shape=(shape[0], shape[1], shape[2]), affine=affine, frame_of_reference_uid=self.frame_of_reference_uid
        )

    def cropped(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Geometry:
        """The sub-grid of voxels start <= index < stop."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
        return Geometry(shape=shape, affine=affine, frame_of_reference_uid=self.frame_of_reference_uid)
