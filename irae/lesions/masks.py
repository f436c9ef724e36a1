"""Organ masks made ready for the search: what cannot lie there is left out, the brain is completed by the skull.

A coarse segmenter puts pieces of colon into a shoulder and leaves half of a brain out. Foci are searched with masks
that respect the order of the body; the masks that are measured and written stay as they were found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import block_reduce

from irae.core.anatomy import BY_NAME, MUSCLE
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Volume
from irae.lesions.rules import LUNGS, FociRules
from irae.quant.holes import filled_slices
from irae.quant.region import Box, box_around, geometry_of, joined, organ_boxes, without
from irae.quant.resample import onto_grid

ABDOMINAL = ("colon", "small_bowel", "stomach", "spleen", "liver", "kidney_left", "kidney_right", "pancreas",
             "urinary_bladder")


def searched_organs(organs: LabelMap | None, ct: Volume | None, rules: FociRules) -> LabelMap | None:
    """The organs as foci are searched in them, on the same grid.

    Args:
        organs: As found; None where no segmentation was possible (then the answer is None).
        ct: HU, for the skull.
        rules: Heights and sizes.
    """
    if organs is None:
        return None
    boxes = organ_boxes(organs)
    lungs = _extent(organs, LUNGS)
    organs = without(organs, MUSCLE)
    array = organs.array.copy()
    if lungs is not None:
        bottom, top = lungs
        ceiling = bottom + rules.abdomen_height * (top - bottom)
        for organ in boxes.keys() & set(ABDOMINAL):
            _drop(array, organs.geometry, boxes[organ], organs.labels[organ], above=ceiling)
        if "brain" in boxes:
            _drop(array, organs.geometry, boxes["brain"], organs.labels["brain"], below=top)
    labels, coverage = dict(organs.labels), dict(organs.coverage)
    skull = None if ct is None else inside_skull(ct, None if lungs is None else lungs[1], rules)
    if skull is not None:
        label = labels.setdefault("brain", _free_label(organs))
        inside, grid = skull
        box = _box_on(organs.geometry, grid)
        if box is not None:
            view = array[box]
            sub = geometry_of(box, organs.geometry)
            brain = onto_grid(inside.astype(np.uint8), grid, sub, order=0) > 0
            view[brain & (view == 0)] = label
            vertex = float(grid.to_world(np.argwhere(inside))[:, 2].max())
            coverage["brain"] = Coverage.PARTIAL if not organs.seen("brain") else coverage["brain"]
            whole = joined([box, *(boxes[o] for o in ("brain",) if o in boxes)])
            _drop(array, organs.geometry, whole, label, below=vertex - rules.brain_height_mm)  # face and neck
    return LabelMap(array=array, geometry=organs.geometry, labels=labels, coverage=coverage, rejected=organs.rejected)


def inside_skull(
    ct: Volume, above_mm: float | None, rules: FociRules
) -> tuple[NDArray[np.bool_], Geometry] | None:
    """Soft tissue that bone encloses on axial slices: the inside of the skull; None where no head is in the picture.

    No other place of the body holds so much soft tissue in a closed ring of bone. Slices of the skull's base are not
    closed: what lies there is the segmenter's to find.

    Args:
        ct: HU.
        above_mm: Height (RAS+ z) above which the head lies, where it is known.
        rules: Bone's HU, the least area of a slice and the least volume.

    Returns:
        Mask and its grid: a box of the CT's, coarsened.
    """
    axis = ct.geometry.axis_of(2)
    up = float(np.sign(ct.geometry.affine[2, axis]))
    first, last = 0, ct.geometry.shape[axis]
    if above_mm is not None:
        ends = [ct.geometry.affine[2, 3] + ct.geometry.affine[2, axis] * k for k in (0, last - 1)]
        if max(ends) <= above_mm:
            return None
        cut = int(np.clip(round((above_mm - ends[0]) / ct.geometry.affine[2, axis]), 0, last - 1))
        first, last = (cut, last) if up > 0 else (0, cut + 1)
    start, stop = [0, 0, 0], list(ct.geometry.shape)
    start[axis], stop[axis] = first, last
    part = ct.geometry.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    hu = ct.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    step = tuple(max(1, round(rules.skull_grid_mm / s)) for s in part.spacing_mm)
    bone = block_reduce(hu >= rules.skull_hu, step, np.max)  # a thin wall must stay closed
    soft = hu[tuple(slice(s // 2, None, s) for s in step)]
    shape = tuple(min(a, b) for a, b in zip(bone.shape, soft.shape, strict=True))
    inner = tuple(slice(0, n) for n in shape)
    bone, soft = bone[inner], soft[inner]
    affine = part.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array(step)
    affine[:3, 3] = part.affine[:3, 3] + part.affine[:3, :3] @ (np.array(step) // 2)
    grid = Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)
    enclosed = filled_slices(bone, axis) & ~bone
    cm2 = grid.voxel_volume_ml * 1000.0 / grid.spacing_mm[axis] / 100.0
    slices = np.moveaxis(enclosed, axis, 0)
    slices[np.count_nonzero(slices, axis=(1, 2)) * cm2 < rules.skull_least_cm2] = False
    enclosed &= (soft > -100.0) & (soft < rules.skull_hu)
    parts, count = ndimage.label(enclosed)
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if sizes.max() * grid.voxel_volume_ml < rules.skull_least_ml:
        return None
    brain: NDArray[np.bool_] = ndimage.binary_dilation(parts == int(sizes.argmax()))  # what the coarse bone took
    box = box_around(brain, grid, max(grid.spacing_mm))
    return brain[box], geometry_of(box, grid)


def _extent(organs: LabelMap, members: tuple[str, ...]) -> tuple[float, float] | None:
    """Lowest and highest RAS+ z of organs, mm; None where one of them was not seen."""
    boxes = organ_boxes(organs)
    if not all(organ in boxes for organ in members):
        return None
    axis = organs.geometry.axis_of(2)
    rows = joined([boxes[organ] for organ in members])[axis]
    z = organs.geometry.affine[2, 3] + organs.geometry.affine[2, axis] * np.array([rows.start, rows.stop - 1])
    return float(z.min()), float(z.max())


def _drop(
    array: NDArray[np.uint8], grid: Geometry, box: Box, label: int, *, above: float = np.inf, below: float = -np.inf
) -> None:
    """Takes an organ (in place) out of the slices of a box above or below a height, RAS+ z mm."""
    axis = grid.axis_of(2)
    z = grid.affine[2, 3] + grid.affine[2, axis] * np.arange(box[axis].start, box[axis].stop)
    rows = np.flatnonzero((z > above) | (z < below))
    if rows.size:
        part = np.moveaxis(array[box], axis, 0)[rows[0] : rows[-1] + 1]
        part[part == label] = 0


def _free_label(organs: LabelMap) -> int:
    usual = BY_NAME["brain"].label
    return usual if usual not in organs.labels.values() else max(organs.labels.values()) + 1


def _box_on(grid: Geometry, other: Geometry) -> Box | None:
    index = grid.to_index(other.corners_mm())
    start = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    if (stop <= start).any():
        return None
    return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])
