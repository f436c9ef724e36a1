"""RTSTRUCT: closed planar contours onto an image's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.annotations.organs import organ_named
from irae.io.annotations.polygons import fill_contours
from irae.io.annotations.value import (
    Annotation,
    AnnotationRules,
    AnnotationsRead,
    Region,
    check_frame_of_reference,
    region_of_voxels,
    region_resampled,
)
from irae.io.planes import LPS_TO_RAS

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def read_rtstruct(dataset: Dataset, onto: Geometry, *, rules: AnnotationRules) -> AnnotationsRead:
    """ROIs of a structure set on the image's grid: voxels whose centre lies inside an odd number of contours.

    Raises:
        StudyError: See ``read_annotations``.
    """
    what = f"structure set {dataset.get('SOPInstanceUID', '?')}"
    contours = {int(r.ReferencedROINumber): r for r in dataset.get("ROIContourSequence") or []}
    observed = {
        int(o.ReferencedROINumber): o
        for o in dataset.get("RTROIObservationsSequence") or [] if "ReferencedROINumber" in o
    }
    annotations, left_out = [], []
    for roi in dataset.get("StructureSetROISequence") or []:
        number = int(roi.ROINumber)
        name = str(roi.get("ROIName") or f"ROI {number}").strip()
        named = f"{what}, ROI {number} ({name})"
        check_frame_of_reference(str(roi.get("ReferencedFrameOfReferenceUID") or "") or None, onto, named)
        loops, faults = _loops(contours.get(number), named)
        left_out += [(name, "annotation_contour", fault) for fault in faults]
        if not loops:
            left_out.append((name, "annotation_empty", f"{named} has no closed contour"))
            continue
        region = _region(loops, onto, rules, named)
        if region is None:
            left_out.append((name, "annotation_outside", f"{named} encloses no voxel of the image"))
            continue
        code = _code(observed.get(number))
        annotations.append(
            Annotation(
                name=name, organ=organ_named(name, code=code), start=region.start, box=region.box, geometry=onto,
                code=code,
            )
        )
    if not annotations:
        reasons = "; ".join(text for _, _, text in left_out) or "it has no ROI"
        raise StudyError("annotation_empty", f"{what} marks nothing on the image: {reasons}")
    return AnnotationsRead(annotations=tuple(annotations), left_out=tuple(left_out))


def _code(observation: Dataset | None) -> tuple[str, str, str] | None:
    sequence: Any = observation.get("RTROIIdentificationCodeSequence") if observation is not None else None
    if not sequence or not sequence[0].get("CodeValue"):
        return None
    item = sequence[0]
    return str(item.CodeValue), str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))


def _loops(roi: Dataset | None, named: str) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Closed contours as (n, 3) RAS+ mm, and a sentence for each contour that is not one."""
    loops, faults = [], []
    for n, contour in enumerate((roi.get("ContourSequence") if roi is not None else None) or [], start=1):
        kind = str(contour.get("ContourGeometricType", "")).upper()
        if kind not in CLOSED:
            faults.append(f"{named}: contour {n} is {kind or 'of no type'}, not a closed planar one")
            continue
        try:
            values = np.array([float(v) for v in contour.get("ContourData") or []])
        except ValueError:
            values = np.zeros(0)
        if values.size < 9 or values.size % 3 or not np.isfinite(values).all():
            faults.append(f"{named}: contour {n} has {values.size} coordinates, not three or more whole points")
            continue
        points = values.reshape(-1, 3) * LPS_TO_RAS
        if np.array_equal(points[0], points[-1]):
            points = points[:-1]
        loops.append(points)
    return loops, faults


def _region(
    loops: Sequence[NDArray[np.float64]], onto: Geometry, rules: AnnotationRules, named: str
) -> Region | None:
    index = [onto.to_index(points) for points in loops]
    spread = np.max([np.ptp(points, axis=0) for points in index if len(points) > 2], axis=0)
    axis = int(np.argmin(spread))
    planes = [float(points[:, axis].mean()) for points in index]
    off = max(abs(p - round(p)) for p in planes)
    if spread[axis] <= rules.tolerance_voxels and off <= rules.tolerance_voxels:
        return _on_slices(index, axis, [round(p) for p in planes], onto.shape)
    if not rules.resample:
        how = f"up to {off:.2f} slices off" if spread[axis] <= rules.tolerance_voxels else "turned against them"
        raise StudyError(
            "annotation_grid", f"{named}: its contour planes are not the image's slices ({how}); at most "
            f"{rules.tolerance_voxels} voxels are accepted without resampling",
        )
    return _resampled(loops, onto, named)


def _on_slices(
    index: Sequence[NDArray[np.float64]], axis: int, slices: Sequence[int], shape: tuple[int, int, int]
) -> Region | None:
    """Contours filled in the slices they lie in; points in grid index."""
    others = [a for a in range(3) if a != axis]
    voxels = []
    for number in sorted(set(slices)):
        if not 0 <= number < shape[axis]:
            continue
        loops = [points[:, others] for points, k in zip(index, slices, strict=True) if k == number]
        filled = np.argwhere(fill_contours(loops, (shape[others[0]], shape[others[1]])))
        voxels.append(np.insert(filled, axis, number, axis=1))
    return region_of_voxels(np.concatenate(voxels), shape) if voxels else None


def _resampled(loops: Sequence[NDArray[np.float64]], onto: Geometry, named: str) -> Region | None:
    """Contours filled on planes of their own, as fine as the image's voxels, then sampled at its voxel centres."""
    largest = max(loops, key=lambda p: float(np.ptp(p, axis=0).max()))
    _, _, axes = np.linalg.svd(largest - largest.mean(axis=0))
    along, across, normal = axes
    turned = [points @ np.stack([along, across, normal]).T for points in loops]
    depths = np.array([points[:, 2].mean() for points in turned])
    first = float(depths.min())
    gaps = np.diff(np.unique(np.round(depths, 2)))
    step = float(gaps.min()) if len(gaps) else float(np.abs(onto.affine[:3, :3].T @ normal).max())
    slices = np.rint((depths - first) / step).astype(int)
    flat = max(float(np.ptp(points[:, 2])) for points in turned)
    if flat > 0.1 * step or np.abs(depths - first - slices * step).max() > 0.1 * step:
        raise StudyError("annotation_geometry", f"{named}: its contours are not on parallel, even planes")
    pixel = min(onto.spacing_mm)
    low = np.min([points[:, :2].min(axis=0) for points in turned], axis=0) - pixel
    high = np.max([points[:, :2].max(axis=0) for points in turned], axis=0) + pixel
    size = np.ceil((high - low) / pixel).astype(int) + 1
    shape = (int(size[0]), int(size[1]), int(slices.max()) + 1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along * pixel, across * pixel, normal * step], axis=1)
    affine[:3, 3] = along * low[0] + across * low[1] + normal * first
    flat_index = [np.column_stack([(points[:, :2] - low) / pixel, np.zeros(len(points))]) for points in turned]
    region = _on_slices(flat_index, 2, [int(s) for s in slices], shape)
    if region is None:
        return None
    own = Geometry(shape=shape, affine=affine)
    stop = tuple(a + n for a, n in zip(region.start, region.box.shape, strict=True))
    return region_resampled(region.box, own.cropped(region.start, (stop[0], stop[1], stop[2])), onto)
