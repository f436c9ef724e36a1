"""From slice positions to a grid: sorted by geometry, never by name or number.

Contract, after dicom-numpy's ``combine_slices``: the result says where every voxel lies, exactly, or the stack is
refused with a reason. DICOM's patient space is LPS; here it becomes RAS+ (x and y change sign) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.io.archive.headers import Header

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ENDS = "ends_mm"  # among a series' facts: where its first and last slice lie, and the step between slices


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryRules:
    """What counts as the same. Design values; 0.08 mm of uneven spacing happens in real data (vs_seg, rounding)."""

    cosine_tolerance: float = 1e-3  # direction cosines with 3 decimals
    mixed_cosine_tolerance: float = 1e-2
    same_position_mm: float = 0.01
    uneven_mm: float = 0.1  # a position may be this far from a regular grid ...
    uneven_fraction: float = 0.05  # ... or this fraction of the slice distance, whichever is more
    sideways_mm: float = 0.5  # beside the line through the positions
    tilt_sideways_mm: float = 0.02  # drift per slice against the normal that is rounding, not tilt
    gap_tolerance: float = 0.15  # how near a gap must be to a multiple of the slice distance to be missing slices
    spacing_mm: tuple[float, float] = (0.01, 50.0)


GEOMETRY_RULES = GeometryRules()


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Stack:
    """A regular stack of slices.

    Attributes:
        order: Indices of the headers in slice order, along the slice normal; one for each slice.
        duplicates: (kept, also) index pairs that lie at the same place; pixels must agree.
        affine: 4 x 4 RAS+ mm of (column, row, slice) indices; sheared if tilted.
        shape: (columns, rows, slices).
        tilt_mm: In-plane drift per slice along (column, row) axes in mm; (0, 0) without gantry tilt.
        decisions: How it was decided, in words.
        thickness_from_header: A single slice whose depth is the header's word.
    """

    order: tuple[int, ...]
    duplicates: tuple[tuple[int, int], ...]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    tilt_mm: tuple[float, float]
    decisions: tuple[str, ...]
    thickness_from_header: bool = False


def ends(arranged: Stack) -> tuple[tuple[float, ...], ...]:
    """RAS+ mm of the first pixel of the first and the last slice, and the step from slice to slice."""
    first, step = arranged.affine[:3, 3], arranged.affine[:3, 2]
    return tuple(tuple(map(float, v.round(4))) for v in (first, first + step * (arranged.shape[2] - 1), step))


def plane(header: Header, rules: GeometryRules = GEOMETRY_RULES) -> tuple[NDArray[np.float64], ...]:
    """(row direction, column direction, position, spacing) of one slice, in LPS mm.

    Row direction is along increasing column index, column direction along increasing row index; spacing is
    (between columns, between rows).

    Raises:
        StudyError: ``geometry_missing``, ``orientation_invalid`` or ``spacing_invalid``.
    """
    name = header.file.name
    cosines, position = header.get("ImageOrientationPatient"), header.get("ImagePositionPatient")
    if cosines is None or position is None or len(cosines) != 6 or len(position) != 3:
        broken = {"ImageOrientationPatient", "ImagePositionPatient"} & header.bad
        said = "is not a number" if broken else "is missing or incomplete"
        raise StudyError("geometry_missing", f"{name}: image position or orientation {said}", where=name)
    if not all(abs(value) < 1e5 for value in position):
        raise StudyError("geometry_missing", f"{name}: image position {position} is absurd", where=name)
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column))) > rules.cosine_tolerance:
        raise StudyError(
            "orientation_invalid", f"{name}: direction cosines {list(cosines)} are not orthonormal", where=name
        )
    row = row / lengths[0]
    column = column - row * float(row @ column)
    column = column / np.linalg.norm(column)
    spacing = header.get("PixelSpacing")
    low, high = rules.spacing_mm
    if spacing is None or len(spacing) != 2 or not all(low <= value <= high for value in spacing):
        raise StudyError("spacing_invalid", f"{name}: pixel spacing is {spacing}", where=name)
    return row, column, np.array(position), np.array([spacing[1], spacing[0]])


def places(headers: Sequence[Header], rules: GeometryRules = GEOMETRY_RULES) -> NDArray[np.float64]:
    """Positions (n, 3) in LPS mm of slices that share orientation and pixel spacing.

    Raises:
        StudyError: As ``plane``, or ``mixed_series``.
    """
    first = headers[0]
    row, column, _, spacing = plane(first, rules)
    cosines, size = first.get("ImageOrientationPatient"), first.get("PixelSpacing")
    positions = []
    for header in headers:
        position = header.get("ImagePositionPatient")
        same = header.get("ImageOrientationPatient") == cosines and header.get("PixelSpacing") == size
        if not same or position is None or len(position) != 3 or max(position) > 1e5 or min(position) < -1e5:
            r, c, _, s = plane(header, rules)
            if max(np.abs(r - row).max(), np.abs(c - column).max()) > rules.cosine_tolerance:
                raise StudyError("mixed_series", f"{header.file.name}: orientation differs from the first slice")
            if np.abs(s - spacing).max() > 1e-3 * spacing.max():
                raise StudyError("mixed_series", f"{header.file.name}: pixel spacing {s} differs from {spacing}")
        positions.append(position)
    return np.array(positions, dtype=np.float64)


def stack(headers: Sequence[Header], rules: GeometryRules = GEOMETRY_RULES) -> Stack:
    """The regular stack that slices of one size and orientation form.

    Raises:
        StudyError: With a reason code where no regular stack can be proven.
    """
    row, column, _, spacing = plane(headers[0], rules)
    normal = np.cross(row, column)
    positions = places(headers, rules)
    depth = positions @ normal
    order, duplicates = _unique_places(depth, positions, rules)
    columns, rows = headers[0].get("Columns"), headers[0].get("Rows")
    if len(order) == 1:
        return _single(headers[0], order, duplicates, (row, column, normal), positions[order[0]], spacing)
    step, tilt, decisions = _regular(headers, order, depth, positions, (row, column, normal), rules)
    origin = positions[order[0]]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[0], column * spacing[1]
    affine[:3, 2] = normal * step + row * tilt[0] + column * tilt[1]
    affine[:3, 3] = origin
    decisions = (_orientation_words(row, column, headers[0]), *decisions)
    return Stack(
        order=tuple(order), duplicates=tuple(duplicates), affine=LPS_TO_RAS @ affine,
        shape=(columns, rows, len(order)), tilt_mm=tilt, decisions=decisions,
    )


def _unique_places(
    depth: NDArray[np.float64], positions: NDArray[np.float64], rules: GeometryRules
) -> tuple[list[int], list[tuple[int, int]]]:
    order: list[int] = []
    duplicates: list[tuple[int, int]] = []
    for index in np.argsort(depth, kind="stable"):
        if order and depth[index] - depth[order[-1]] <= rules.same_position_mm:
            if np.abs(positions[index] - positions[order[-1]]).max() > 10 * rules.same_position_mm:
                raise StudyError("positions_not_on_a_line", "two slices share a plane but lie beside each other")
            duplicates.append((order[-1], int(index)))
        else:
            order.append(int(index))
    return order, duplicates


def _single(
    header: Header, order: list[int], duplicates: list[tuple[int, int]], axes: tuple[NDArray[np.float64], ...],
    position: NDArray[np.float64], spacing: NDArray[np.float64],
) -> Stack:
    row, column, normal = axes
    claims = [header.get(word) for word in ("SpacingBetweenSlices", "SliceThickness")]
    depth = next((value for value in claims if value is not None and 0 < value <= 50), None)
    if depth is None:
        raise StudyError("slice_thickness_missing", f"{header.file.name}: one slice without thickness")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * spacing[0], column * spacing[1], normal * depth
    affine[:3, 3] = position
    said = f"a single slice, taken as {depth:g} mm thick as its header says"
    return Stack(
        order=tuple(order), duplicates=tuple(duplicates), affine=LPS_TO_RAS @ affine,
        shape=(header.get("Columns"), header.get("Rows"), 1), tilt_mm=(0.0, 0.0),
        decisions=(_orientation_words(row, column, header), said), thickness_from_header=True,
    )


def _regular(
    headers: Sequence[Header], order: list[int], depth: NDArray[np.float64], positions: NDArray[np.float64],
    axes: tuple[NDArray[np.float64], ...], rules: GeometryRules,
) -> tuple[float, tuple[float, float], tuple[str, ...]]:
    """(slice distance, in-plane drift per slice, decisions) of sorted slices."""
    row, column, _ = axes
    sorted_depth = depth[order]
    gaps = np.diff(sorted_depth)
    step = float((sorted_depth[-1] - sorted_depth[0]) / (len(order) - 1))
    middle = float(np.median(gaps))
    tolerance = max(rules.uneven_mm, rules.uneven_fraction * middle)
    regular = sorted_depth[0] + step * np.arange(len(order))
    worst = float(np.abs(sorted_depth - regular).max())
    if worst > tolerance or gaps.min() < 0.5 * middle or gaps.max() > 1.5 * middle:
        _explain_gaps(headers, order, gaps, middle, rules)
    sideways = np.stack([(positions[order] - positions[order[0]]) @ axis for axis in (row, column)], axis=1)
    drift = sideways[-1] / (len(order) - 1)
    beside = float(np.abs(sideways - drift * np.arange(len(order))[:, None]).max())
    if beside > rules.sideways_mm:
        raise StudyError(
            "positions_not_on_a_line",
            f"slice positions lie up to {beside:.2f} mm beside their line; {rules.sideways_mm:g} mm is believed",
        )
    decisions = [f"{len(order)} slices sorted by position, {step:.4g} mm apart"]
    if worst > 0.005:
        decisions.append(f"slice distances differ by up to {worst:.3f} mm from regular, within {tolerance:.3g} mm")
    tagged = headers[order[0]].get("SpacingBetweenSlices")
    if tagged and abs(abs(tagged) - step) > 0.01 * step:
        decisions.append(f"Spacing Between Slices says {tagged:g} mm; the positions win")
    tilt = (0.0, 0.0)
    if float(np.abs(drift).max()) > rules.tilt_sideways_mm:
        tilt = (float(drift[0]), float(drift[1]))
        angle = np.degrees(np.arctan2(np.linalg.norm(drift), step))
        decisions.append(f"gantry tilt of {angle:.1f} degrees: each slice is shifted in its plane to stand upright")
    return step, tilt, tuple(decisions)


def _explain_gaps(
    headers: Sequence[Header], order: list[int], gaps: NDArray[np.float64], middle: float, rules: GeometryRules
) -> None:
    base = float(np.min(gaps)) if len(gaps) < 3 else middle
    multiples = gaps / base
    wide = np.flatnonzero(multiples > 1.5)
    near = np.abs(multiples - np.round(multiples)) <= rules.gap_tolerance * np.maximum(multiples, 1) / 2
    if len(wide) and near.all():
        first = int(wide[0])
        missing = int(np.sum(np.round(multiples[wide]) - 1))
        below, above = headers[order[first]].file.name, headers[order[first + 1]].file.name
        raise StudyError(
            "missing_slice",
            f"{missing} of {len(order) + missing} slices are missing, the first between {below} and {above} "
            f"({gaps[first]:.2f} mm instead of {base:.2f} mm)",
        )
    raise StudyError(
        "uneven_spacing", f"slice distances run from {gaps.min():.3f} to {gaps.max():.3f} mm; they must be equal"
    )


def _orientation_words(row: NDArray[np.float64], column: NDArray[np.float64], header: Header) -> str:
    normal = np.cross(row, column)
    axis = int(np.argmax(np.abs(normal)))
    name = ("sagittal", "coronal", "axial")[axis]
    oblique = float(np.abs(normal).max()) < 0.999
    position = header.text("PatientPosition")
    said = f", patient position {position} (already in the coordinates)" if position else ""
    return f"{'oblique ' if oblique else ''}{name} slices{said}"
