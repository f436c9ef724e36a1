"""DICOM Segmentation (BINARY, FRACTIONAL, LABELMAP) onto an image's grid, frame by frame."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.annotations.organs import organ_named
from irae.io.annotations.value import (
    Annotation,
    AnnotationRules,
    AnnotationsRead,
    Region,
    check_frame_of_reference,
    misfit_voxels,
    region_resampled,
)
from irae.io.planes import Plane, planes_of

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"  # Deflated Image Frame Compression, unknown to pydicom 3.0
BACKGROUND = "125040"  # DCM
# Planes of one grid lie on multiples of the step within this share of it.
UNEVEN = 0.1
# Frames further apart than this many slices of the image leave slices out.
SPARSE = 1.5


@dataclass(frozen=True, eq=False, slots=True)
class Cut:
    """What one frame marks of one segment: a box of the frame, (rows, columns) bool, and where it begins."""

    frame: int
    row: int
    column: int
    marked: NDArray[np.bool_]


def read_seg(dataset: Dataset, onto: Geometry, *, rules: AnnotationRules) -> AnnotationsRead:
    """Segments of a Segmentation on the image's grid.

    Raises:
        StudyError: See ``read_annotations``.
    """
    what = f"segmentation {dataset.get('SOPInstanceUID', '?')}"
    check_frame_of_reference(str(dataset.get("FrameOfReferenceUID") or "") or None, onto, what)
    try:
        planes = planes_of(dataset)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError) as error:
        raise StudyError("annotation_geometry", f"{what}: {error}") from error
    try:
        found = _cuts_by_segment(dataset, rules)
        segments = {int(s.SegmentNumber): s for s in dataset.SegmentSequence}
    except (NotImplementedError, RuntimeError, ValueError, AttributeError, TypeError, IndexError, zlib.error) as error:
        why = " ".join(str(error).split())
        raise StudyError("annotation_unreadable", f"{what}: its frames cannot be decoded ({why})") from error

    worst = max((_misfit(at, onto) for at in planes), default=0.0)
    if planes and _slice_step(dataset, planes) > SPARSE * _across(planes[0], onto):
        worst = float("inf")  # every frame on a slice of the image, but slices of the image between the frames
    fits = worst <= rules.tolerance_voxels
    if not fits and not rules.resample:
        how = "is turned or of another voxel size" if np.isinf(worst) else f"is up to {worst:.2f} voxels off"
        raise StudyError(
            "annotation_grid", f"{what} {how} against the image's grid; at most {rules.tolerance_voxels} voxels are "
            "accepted without resampling",
        )
    annotations, left_out = [], []
    for number, segment in segments.items():
        code = _code(segment.get("SegmentedPropertyTypeCodeSequence"))
        if code is not None and code[0] == BACKGROUND:
            continue
        name = str(segment.get("SegmentLabel") or f"segment {number}")
        cuts = found.get(number, [])
        if not cuts:
            left_out.append((name, "annotation_empty", f"segment {number} ({name}) has no voxel"))
            continue
        region = _place(cuts, planes, onto) if fits else _resampled(cuts, planes, onto, dataset, what)
        if region is None:
            left_out.append((name, "annotation_outside", f"segment {number} ({name}) lies outside the image"))
            continue
        kind = segment.get("SegmentedPropertyTypeCodeSequence") or []
        sides = [
            c for item in (kind[0].get("SegmentedPropertyTypeModifierCodeSequence") or [] if kind else [])
            if (c := _code([item])) is not None
        ]
        annotations.append(
            Annotation(
                name=name, organ=organ_named(name, code=code, modifiers=sides), start=region.start, box=region.box,
                geometry=onto, code=code, tracking_id=str(segment.get("TrackingID") or ""),
            )
        )
    if not annotations:
        reasons = "; ".join(text for _, _, text in left_out) or "it has no segments"
        raise StudyError("annotation_empty", f"{what} marks nothing on the image: {reasons}")
    return AnnotationsRead(annotations=tuple(annotations), left_out=tuple(left_out))


def _code(sequence: Sequence[Dataset] | None) -> tuple[str, str, str] | None:
    if not sequence:
        return None
    item = sequence[0]
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    if not value:
        return None
    return str(value), str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))


def _frames(dataset: Dataset) -> Iterator[NDArray[Any]]:
    if str(dataset.file_meta.TransferSyntaxUID) != DEFLATED_FRAMES:
        yield from iter_pixels(dataset, raw=True)
        return
    shape, bits = (int(dataset.Rows), int(dataset.Columns)), int(dataset.BitsAllocated)
    size = shape[0] * shape[1]
    for data in generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames)):
        inflate = zlib.decompressobj(-15)
        raw = inflate.decompress(data, size * max(bits // 8, 1))  # never more than the frame can hold
        if bits == 1:
            yield np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little", count=size).reshape(shape)
        else:
            yield np.frombuffer(raw, np.uint8 if bits == 8 else "<u2")[:size].reshape(shape)


def _cuts_by_segment(dataset: Dataset, rules: AnnotationRules) -> dict[int, list[Cut]]:
    kind = str(dataset.SegmentationType)
    least = 1.0
    if kind == "FRACTIONAL":
        least = rules.fraction * float(dataset.MaximumFractionalValue) - 1e-6
    shared = dataset.SharedFunctionalGroupsSequence[0]
    found: dict[int, list[Cut]] = {}
    for index, frame in enumerate(_frames(dataset)):
        if kind == "LABELMAP":
            for number in np.unique(frame):
                found.setdefault(int(number), []).append(_cut(index, frame == number))
            continue
        group = dataset.PerFrameFunctionalGroupsSequence[index]
        where = group if "SegmentIdentificationSequence" in group else shared
        number = int(where.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        marked = frame >= least
        if marked.any():
            found.setdefault(number, []).append(_cut(index, marked))
    return found


def _cut(index: int, marked: NDArray[np.bool_]) -> Cut:
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    box = marked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cut(index, int(rows[0]), int(columns[0]), box.copy())


def _steps(at: Plane, onto: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grid index of the plane's first pixel, and (3, 2) the steps per row and per column."""
    turn = np.linalg.inv(onto.affine)[:3, :3]
    return onto.to_index(at.corner_mm), np.stack([turn @ at.row_step_mm, turn @ at.column_step_mm], axis=1)


def _misfit(at: Plane, onto: Geometry) -> float:
    origin, steps = _steps(at, onto)
    return misfit_voxels(origin, steps, (at.rows, at.columns))


def _place(cuts: Sequence[Cut], planes: Sequence[Plane], onto: Geometry) -> Region | None:
    """Each marked pixel is one voxel of the grid; what lies outside it is dropped."""
    pieces = []
    for cut in cuts:
        origin, steps = _steps(planes[cut.frame], onto)
        step = np.rint(steps).astype(int)
        first = np.rint(origin).astype(int) + step @ (cut.row, cut.column)
        last = first + step @ (np.array(cut.marked.shape) - 1)
        low, high = np.minimum(first, last), np.maximum(first, last) + 1
        # Rows and columns along the grid's axes, in the grid's direction, with one voxel across.
        marked = cut.marked[:: int(step[:, 0].sum()), :: int(step[:, 1].sum())]
        row_axis, column_axis = int(np.abs(step[:, 0]).argmax()), int(np.abs(step[:, 1]).argmax())
        block = np.expand_dims(marked if row_axis < column_axis else marked.T, 3 - row_axis - column_axis)
        inside_low, inside_high = np.maximum(low, 0), np.minimum(high, onto.shape)
        if (inside_low < inside_high).all():
            kept = block[tuple(slice(a, b) for a, b in zip(inside_low - low, inside_high - low, strict=True))]
            pieces.append((inside_low, inside_high, kept))
    if not pieces:
        return None
    start = np.min([low for low, _, _ in pieces], axis=0)
    box = np.zeros(tuple(np.max([high for _, high, _ in pieces], axis=0) - start), dtype=bool)
    for low, high, block in pieces:
        box[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))] |= block
    return Region((int(start[0]), int(start[1]), int(start[2])), box) if box.any() else None


def _resampled(
    cuts: Sequence[Cut], planes: Sequence[Plane], onto: Geometry, dataset: Dataset, what: str
) -> Region | None:
    """The segment on the Segmentation's own grid, then sampled at the image's voxel centres."""
    own = _own_grid(planes, dataset, what)
    region = _place(cuts, planes, own)
    if region is None:
        return None
    stop = tuple(a + n for a, n in zip(region.start, region.box.shape, strict=True))
    return region_resampled(region.box, own.cropped(region.start, (stop[0], stop[1], stop[2])), onto)


def _own_grid(planes: Sequence[Plane], dataset: Dataset, what: str) -> Geometry:
    """The grid (column, row, slice) that all frames lie on."""
    first = min(planes, key=lambda p: p.depth_mm)
    depths = np.array([p.depth_mm for p in planes]) - first.depth_mm
    step = _slice_step(dataset, planes)
    slices = np.rint(depths / step)
    drift = np.array([p.corner_mm - first.corner_mm for p in planes]) - np.outer(slices * step, first.normal)
    if np.abs(drift).max() > UNEVEN * step:
        raise StudyError("annotation_geometry", f"{what}: its frames are not on one even grid; cannot resample")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = first.column_step_mm, first.row_step_mm, first.normal * step
    affine[:3, 3] = first.corner_mm
    shape = (first.columns, first.rows, int(slices.max()) + 1)
    return Geometry(shape=shape, affine=affine)


def _slice_step(dataset: Dataset, planes: Sequence[Plane]) -> float:
    """Distance between slices in mm: as the header says, if the frames agree with it, else as the frames lie."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    measures = shared.get("PixelMeasuresSequence") or dataset.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence
    said = float(measures[0].get("SpacingBetweenSlices") or 0)
    depths = np.unique(np.round([at.depth_mm for at in planes], 3))
    gaps = np.diff(depths)
    if not len(gaps):
        return said or float(measures[0].get("SliceThickness") or 1.0)
    steps = gaps / said if said > 0 else np.zeros(1)
    return said if steps.min() > 0.5 and np.abs(steps - np.rint(steps)).max() <= UNEVEN else float(gaps.min())


def _across(at: Plane, onto: Geometry) -> float:
    """Distance in mm of the grid's voxel centres across a plane."""
    return float(np.abs(onto.affine[:3, :3].T @ at.normal).max())
