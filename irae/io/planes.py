"""Where the frames of a DICOM series lie, and how they meet a voxel grid. LPS becomes RAS here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from irae.core.geometry import Geometry

# LPS to RAS: left and posterior turn their signs.
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])

# An index may drift this far (voxels) over a whole frame and still count as constant: header positions are decimal
# strings of at most 16 characters.
DRIFT_VOXELS = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class Plane:
    """One frame in the world.

    Attributes:
        corner_mm: (3,) RAS+ mm, centre of the first pixel.
        column_step_mm: (3,) RAS+ mm from one column to the next (along a row).
        row_step_mm: (3,) RAS+ mm from one row to the next.
        rows, columns: Size in pixels.
    """

    corner_mm: NDArray[np.float64]
    column_step_mm: NDArray[np.float64]
    row_step_mm: NDArray[np.float64]
    rows: int
    columns: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane."""
        normal: NDArray[np.float64] = np.cross(self.column_step_mm, self.row_step_mm)
        return normal / np.linalg.norm(normal)

    @property
    def depth_mm(self) -> float:
        """Distance of the plane from the world's origin along its normal, in mm."""
        return float(self.corner_mm @ self.normal)


def plane(
    position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float], rows: int, columns: int
) -> Plane:
    """A plane from Image Position, Image Orientation (Patient) and Pixel Spacing (row distance first).

    Raises:
        ValueError: If the values are not finite, the spacing not positive, or the directions not at right angles.
    """
    corner = np.array([float(v) for v in position]) * LPS_TO_RAS
    along_row = np.array([float(v) for v in orientation[:3]]) * LPS_TO_RAS
    down_column = np.array([float(v) for v in orientation[3:6]]) * LPS_TO_RAS
    between_rows, between_columns = (float(v) for v in spacing)
    values = np.concatenate([corner, along_row, down_column, [between_rows, between_columns]])
    if corner.size != 3 or not np.isfinite(values).all() or min(between_rows, between_columns) <= 0:
        raise ValueError(f"frame at {list(position)}: position, orientation or spacing {list(spacing)} is unusable")
    lengths = np.linalg.norm(along_row), np.linalg.norm(down_column)
    if abs(lengths[0] - 1) > 1e-2 or abs(lengths[1] - 1) > 1e-2 or abs(along_row @ down_column) > 1e-2:
        raise ValueError(f"frame at {list(position)}: orientation {list(orientation)} is not two unit vectors")
    along_row, down_column = along_row / lengths[0] * between_columns, down_column / lengths[1] * between_rows
    return Plane(corner, along_row, down_column, rows, columns)


def _group(frame: Dataset, shared: Dataset, sequence: str, keyword: str) -> Any:
    for where in (frame, shared):
        if sequence in where and keyword in where[sequence].value[0]:
            return where[sequence].value[0][keyword].value
    raise ValueError(f"frame has no {keyword}")


def planes_of(header: Dataset) -> list[Plane]:
    """The planes of one DICOM object: one of a single-frame image, one per frame of an enhanced image or SEG.

    Raises:
        ValueError: If position, orientation or spacing are missing or unusable.
    """
    rows, columns = int(header.Rows), int(header.Columns)
    if "PerFrameFunctionalGroupsSequence" not in header:
        missing = [
            word for word in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
            if not header.get(word)
        ]
        if missing:
            raise ValueError(f"image {header.get('SOPInstanceUID', '?')} has no {', '.join(missing)}")
        return [
            plane(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing, rows, columns)
        ]
    shared = header.SharedFunctionalGroupsSequence[0] if header.get("SharedFunctionalGroupsSequence") else Dataset()
    return [
        plane(
            _group(frame, shared, "PlanePositionSequence", "ImagePositionPatient"),
            _group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient"),
            _group(frame, shared, "PixelMeasuresSequence", "PixelSpacing"),
            rows, columns,
        )
        for frame in header.PerFrameFunctionalGroupsSequence
    ]


def read_headers(source: Iterable[Path | str | bytes | Dataset]) -> list[Dataset]:
    """Headers without pixels, of files, of bytes, or of datasets already read (returned as they are)."""
    headers: list[Dataset] = []
    for item in source:
        if isinstance(item, Dataset):
            headers.append(item)
        else:
            headers.append(dcmread(BytesIO(item) if isinstance(item, bytes) else item, stop_before_pixels=True))
    return headers


def sample_plane(labels: NDArray[Any], geometry: Geometry, at: Plane) -> NDArray[Any]:
    """Labels at the pixel centres of a plane, nearest voxel; 0 outside the grid.

    Exact where the plane is one of the grid's own (whatever the order and sign of the axes).

    Args:
        labels: (i, j, k) on ``geometry``.
        geometry: The grid.
        at: The plane; any place, any orientation.

    Returns:
        (rows, columns), the labels' dtype.
    """
    to_index = np.linalg.inv(geometry.affine)[:3, :3]
    first = geometry.to_index(at.corner_mm)
    per_row, per_column = to_index @ at.row_step_mm, to_index @ at.column_step_mm
    rows, columns = np.arange(at.rows)[:, None], np.arange(at.columns)[None, :]
    index, inside = [], np.ones((1, 1), dtype=bool)
    for axis, size in enumerate(labels.shape):
        # An axis that a row or a column does not move along stays one row or column of indices: the gather is cheap.
        place: NDArray[np.float64] = np.full((1, 1), first[axis])
        if abs(per_row[axis]) * at.rows > DRIFT_VOXELS:
            place = place + per_row[axis] * rows
        if abs(per_column[axis]) * at.columns > DRIFT_VOXELS:
            place = place + per_column[axis] * columns
        nearest = np.floor(np.round(place, 6) + 0.5).astype(np.intp)
        inside = inside & (nearest >= 0) & (nearest < size)
        index.append(np.clip(nearest, 0, size - 1))
    if not inside.any():
        return np.zeros((at.rows, at.columns), dtype=labels.dtype)
    sampled = np.broadcast_to(labels[index[0], index[1], index[2]], (at.rows, at.columns))
    return np.where(inside, sampled, labels.dtype.type(0))


def even_spacing_mm(planes: Sequence[Plane], *, tolerance_mm: float = 0.1) -> float | None:
    """Distance between neighbouring planes where all are parallel and evenly spaced within tolerance; else None."""
    depths = np.unique(np.round([p.depth_mm for p in planes], 4))
    if len(depths) < 2:
        return None
    steps = np.diff(depths)
    return float(steps.mean()) if float(np.ptp(steps)) <= tolerance_mm else None
