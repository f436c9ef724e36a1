"""NIfTI label maps and single masks onto an image's grid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.annotations.organs import organ_named
from irae.io.annotations.value import (
    Annotation,
    AnnotationRules,
    AnnotationsRead,
    Region,
    misfit_voxels,
    region_resampled,
)
from irae.io.nifti import read_array


def read_label_nifti(
    path: Path, onto: Geometry, *, names: Mapping[str, int] | None, rules: AnnotationRules
) -> AnnotationsRead:
    """Labels of a NIfTI file on the image's grid.

    Names come from ``names``, or from a JSON file of the same stem beside it (``{"colon": 3}`` or ``{"3": "colon"}``,
    also under ``"names"`` or ``"labels"``); a single mask without either is named after the file.

    Raises:
        StudyError: See ``read_annotations``.
    """
    array, source = read_array(path)
    if not np.array_equal(array, np.rint(array)) or array.min(initial=0) < 0:
        raise StudyError("annotation_names", f"{path.name} holds values that are not labels (whole numbers from 0)")
    labels = array.astype(np.int64)
    values = [int(v) for v in np.unique(labels) if v != 0]
    if not values:
        raise StudyError("annotation_empty", f"{path.name} marks nothing")
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    known = dict(names) if names is not None else _names_beside(path.with_name(f"{stem}.json"))
    if known is None:
        if len(values) > 1:
            raise StudyError("annotation_names", f"{path.name} has {len(values)} labels and no names for them")
        known = {stem: values[0]}

    step = np.linalg.inv(onto.affine) @ source.affine
    misfit = misfit_voxels(step[:3, 3], step[:3, :3], labels.shape)
    fits = misfit <= rules.tolerance_voxels
    if not fits and not rules.resample:
        how = "is turned or of another voxel size" if np.isinf(misfit) else f"is up to {misfit:.2f} voxels off"
        raise StudyError(
            "annotation_grid", f"{path.name} {how} against the image's grid; at most {rules.tolerance_voxels} voxels "
            "are accepted without resampling",
        )
    dense = np.searchsorted([0, *values], labels).astype(np.int32)  # label values may be large, with gaps
    boxes = ndimage.find_objects(dense)
    annotations, left_out = [], []
    for name, value in known.items():
        if value not in values:
            left_out.append((name, "annotation_empty", f"label {value} ({name}) has no voxel"))
            continue
        where = boxes[values.index(value)]
        box = dense[where] == values.index(value) + 1
        start, stop = (where[0].start, where[1].start, where[2].start), (where[0].stop, where[1].stop, where[2].stop)
        region = _turned(box, start, step, onto) if fits else region_resampled(box, source.cropped(start, stop), onto)
        if region is None:
            left_out.append((name, "annotation_outside", f"label {value} ({name}) lies outside the image"))
            continue
        annotations.append(
            Annotation(name=name, organ=organ_named(name), start=region.start, box=region.box, geometry=onto)
        )
    unnamed = sorted(set(values) - set(known.values()))
    left_out += [(str(v), "annotation_names", f"label {v} has no name") for v in unnamed]
    if not annotations:
        reasons = "; ".join(text for _, _, text in left_out)
        raise StudyError("annotation_empty", f"{path.name} marks nothing on the image: {reasons}")
    return AnnotationsRead(annotations=tuple(annotations), left_out=tuple(left_out))


def _turned(
    box: NDArray[np.bool_], start: tuple[int, int, int], step: NDArray[np.float64], onto: Geometry
) -> Region | None:
    """A box of the file's grid, its axes put into the order and direction of the image's, cut at the image's border."""
    turn, shift = np.rint(step[:3, :3]).astype(int), np.rint(step[:3, 3]).astype(int)
    ends = [shift + turn @ start, shift + turn @ (np.array(start) + box.shape - 1)]
    low, high = np.minimum(*ends), np.maximum(*ends) + 1
    source_axis = np.abs(turn).argmax(axis=1)
    block = np.transpose(box, source_axis)[tuple(slice(None, None, turn[a, source_axis[a]]) for a in range(3))]
    kept_low, kept_high = np.maximum(low, 0), np.minimum(high, onto.shape)
    if (kept_low >= kept_high).any():
        return None
    kept = block[tuple(slice(a, b) for a, b in zip(kept_low - low, kept_high - low, strict=True))]
    return Region((int(kept_low[0]), int(kept_low[1]), int(kept_low[2])), kept) if kept.any() else None


def _names_beside(path: Path) -> dict[str, int] | None:
    if not path.is_file():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        table = table.get("names", table.get("labels", table))
        if all(str(key).isdigit() for key in table):
            return {str(name): int(value) for value, name in table.items()}
        return {str(name): int(value) for name, value in table.items()}
    except (ValueError, AttributeError, TypeError, OverflowError) as error:
        raise StudyError("annotation_names", f"{path.name} is not a table of names and labels") from error
