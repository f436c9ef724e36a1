"""Solid lesions that a CT shows by itself: nodules in the lungs, and dark lesions in the liver.

What this cannot find: nodules that touch the chest wall or the mediastinum outside the lung mask, nodules on a vessel
of their own calibre that no PET shows, ground-glass nodules (they are measured as lung opacity in ``findings``), nodes,
bone lesions, and liver lesions of the liver's own attenuation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.lesions.crops import crop_around, fine_grid
from irae.lesions.rules import LUNGS, DarkLesion, FociRules
from irae.quant.distance import ball, depth_mm, distance_mm
from irae.quant.region import geometry_of, grown, organ_boxes
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_ml, ball_mm, shape_of


@dataclass(frozen=True, eq=False, slots=True)
class CtLesion:
    """A lesion on a crop of a CT-derived grid.

    Attributes:
        mask: (i, j, k) on ``geometry``.
        organ: Where it lies.
        doubtful: Not to be believed without a PET: too small on this CT, or perhaps a piece of a vessel.
    """

    mask: NDArray[np.bool_]
    geometry: Geometry
    organ: str
    doubtful: bool = False


def lung_nodules(ct: Volume, organs: LabelMap, rules: FociRules) -> list[CtLesion]:
    """Solid, compact nodules inside the lungs, largest first.

    Args:
        ct: HU.
        organs: On any grid; the lungs are taken from it.
        rules: Limits: smallest diameter, vessel calibre, elongation.
    """
    found = []
    voxel_mm = max(ct.geometry.spacing_mm)
    sure_ml, least_ml = (ball_ml(max(rules.ct_nodule_least_mm, n * voxel_mm))
                         for n in (rules.ct_nodule_voxels, rules.ct_nodule_voxels_hot))
    for lung in LUNGS:
        if not organs.seen(lung):
            continue
        grid = _working_grid(ct.geometry, organs, lung, margin_mm=6.0, spacing_mm=1.5)
        if grid is None:
            continue
        hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
        labels = onto_grid(organs.array, organs.geometry, grid, order=0)
        field = labels == organs.labels[lung]
        spacing = np.array(grid.spacing_mm)
        to_midline = 1.0 if lung == "lung_left" else -1.0
        # A nodule that a segmenter left out belongs to the lung, the top of a kidney in a bay of the lung does not.
        field = _closed(field, spacing, 8.0) & (field | (labels == 0))
        solid = (ndimage.gaussian_filter(hu, 0.7 / spacing) >= rules.nodule_in_lung_hu) & field
        core = ndimage.binary_erosion(solid, ball(grid.spacing_mm, rules.ct_nodule_vessel_mm / 2.0), border_value=1)
        reach = ball(grid.spacing_mm, rules.ct_nodule_vessel_mm / 2.0 + 0.1)
        inside = ndimage.binary_erosion(field)
        parts = cc3d.connected_components(core, connectivity=18)
        for part, box in enumerate(ndimage.find_objects(parts), start=1):
            if box is None:
                continue
            pad = [int(np.ceil(6.0 / s)) for s in spacing]
            crop = tuple(slice(max(0, s.start - p), s.stop + p) for s, p in zip(box, pad, strict=True))
            own = parts[crop] == part
            nodule = solid[crop] & ndimage.binary_dilation(own, reach)
            voxels = np.count_nonzero(nodule)
            volume_ml, edge = voxels * grid.voxel_volume_ml, np.count_nonzero(nodule & ~inside[crop])
            if volume_ml < least_ml or edge > 0.25 * voxels:
                continue
            start = (crop[0].start, crop[1].start, crop[2].start)
            stop = (start[0] + nodule.shape[0], start[1] + nodule.shape[1], start[2] + nodule.shape[2])
            sub = grid.cropped(start, stop)
            shape = shape_of(nodule, sub)
            if shape.elongation > rules.ct_nodule_elongation or shape.sphericity < rules.ct_nodule_sphericity:
                continue
            drawn, fine, dense_hu = _drawn_finely(ct, nodule, sub, rules)
            piece = _goes_on(ct, drawn, fine, field[crop], sub, to_midline, rules) > rules.ct_nodule_goes_on
            if piece and dense_hu >= rules.bone_hu:
                continue  # a rib, or a vessel full of contrast
            found.append(CtLesion(drawn, fine, lung, doubtful=bool(volume_ml < sure_ml) or piece))
    return sorted(found, key=lambda lesion: -np.count_nonzero(lesion.mask) * lesion.geometry.voxel_volume_ml)


def _drawn_finely(
    ct: Volume, nodule: NDArray[np.bool_], coarse: Geometry, rules: FociRules
) -> tuple[NDArray[np.bool_], Geometry, float]:
    """A nodule on a fine grid and its median HU: what is solid there within half a voxel of its mask.

    On a CT's own grid it is a staircase.
    """
    grid = fine_grid(coarse)
    hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
    mask = onto_grid(nodule.astype(np.float32), coarse, grid, order=1, antialias=False) >= 0.5
    reach = 0.5 * max(coarse.spacing_mm)
    solid = (hu >= rules.nodule_in_lung_hu) & (distance_mm(~mask, grid.spacing_mm) <= reach)
    parts, count = ndimage.label(solid)
    inside = np.bincount(parts[mask], minlength=count + 1)
    inside[0] = 0
    drawn = parts == int(inside.argmax()) if inside.any() else mask
    return drawn, grid, float(np.median(hu[drawn]))


def _goes_on(
    ct: Volume, nodule: NDArray[np.bool_], geometry: Geometry, lung: NDArray[np.bool_], lung_grid: Geometry,
    to_midline: float, rules: FociRules,
) -> float:
    """Cross-section of what leaves a nodule, within the lung or towards the mediastinum, over the nodule's own.

    Vessels that end in a nodule are thinner than it; a piece of a vessel has one as wide as itself on either side. A
    thick vessel falls apart into such pieces where its calibre comes near to the grid's.

    Args:
        ct: HU.
        nodule: On ``geometry``.
        lung: On ``lung_grid``.
        to_midline: +1 if the mediastinum lies to the right of this lung, else -1.
    """
    near_mm, far_mm = 2.0, 5.0  # two voxels at least
    pad = int(np.ceil((far_mm + 1.0) / min(geometry.spacing_mm)))
    i, j, k = (n + pad for n in geometry.shape)
    grid = geometry.cropped((-pad, -pad, -pad), (i, j, k))
    own = np.pad(nodule, pad)
    hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
    smooth = ndimage.gaussian_filter(hu, 0.7 / np.array(grid.spacing_mm))
    away = distance_mm(~own, grid.spacing_mm)
    parts, _ = ndimage.label(own | ((smooth >= rules.nodule_in_lung_hu) & (away <= far_mm)))
    index = np.argwhere((parts == parts[own][0]) & (away > near_mm))
    way = grid.to_world(index) - grid.to_world(np.argwhere(own).mean(axis=0))
    medial = way[:, 0] * to_midline > 0.7 * np.linalg.norm(way, axis=1)
    inside = onto_grid(lung.astype(np.float32), lung_grid, grid, order=1, antialias=False) >= 0.5
    leaving = np.count_nonzero(medial | inside[tuple(index.T)])
    cross_mm2 = leaving * grid.voxel_volume_ml * 1000.0 / (far_mm - near_mm)
    own_mm2 = np.pi / 4.0 * ball_mm(float(np.count_nonzero(own)) * grid.voxel_volume_ml) ** 2
    return float(cross_mm2 / own_mm2)


def dark_liver_lesions(ct: Volume, organs: LabelMap, limits: DarkLesion, rules: FociRules) -> list[CtLesion]:
    """Compact regions darker than the liver around them, largest first."""
    if not organs.seen("liver"):
        return []
    grid = _working_grid(ct.geometry, organs, "liver", margin_mm=2.0, spacing_mm=2.0)
    if grid is None:
        return []
    hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0)
    spacing = np.array(grid.spacing_mm)
    liver = _closed(onto_grid(organs.array, organs.geometry, grid, order=0) == organs.labels["liver"], spacing, 6.0)
    smooth = ndimage.gaussian_filter(hu, 2.0 / spacing)
    # Away from the mask's surface, and from lung and gas where a mask lies a slice or two too high.
    inner = distance_mm(liver & (smooth > rules.nodule_in_fat_hu), spacing) > 5.0
    if np.count_nonzero(inner) < 500:
        return []
    typical = float(np.median(smooth[inner]))
    spread = 1.4826 * float(np.median(np.abs(smooth[inner] - typical)))
    contrast = max(limits.contrast_hu, limits.sd * spread)
    dark = inner & (smooth <= typical - contrast) & (smooth > 15.0)
    parts = cc3d.connected_components(dark, connectivity=18)
    found = []
    for part, box in enumerate(ndimage.find_objects(parts), start=1):
        if box is None:
            continue
        volume_ml = np.count_nonzero(parts[box] == part) * grid.voxel_volume_ml
        if volume_ml < ball_ml(limits.least_mm):
            continue
        around = grown(box, grid, 9.0)
        own, sub = ndimage.binary_fill_holes(parts[around] == part), geometry_of(around, grid)
        widest_mm = 2.0 * float(depth_mm(own, sub).max())
        away = distance_mm(~own, spacing)
        rim = smooth[around][(away > 3.0) & (away <= 8.0)]
        if (
            widest_mm >= rules.dark_compact * ball_mm(volume_ml)
            and np.mean(rim >= typical - 0.5 * contrast) >= rules.dark_enclosed
        ):
            found.append(CtLesion(own, sub, "liver"))
    return sorted(found, key=lambda lesion: -np.count_nonzero(lesion.mask))


def _closed(mask: NDArray[np.bool_], spacing: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Morphological closing by a ball: takes in nodules and vessels that a segmenter left out."""
    step = [max(1, int(radius_mm / 2.5 / s)) for s in spacing]  # a ball needs no finer grid than that
    coarse = mask[:: step[0], :: step[1], :: step[2]]
    steps_mm = spacing * step
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in steps_mm]
    padded = np.pad(coarse, [(p, p) for p in pad])
    grown = distance_mm(~padded, steps_mm) <= radius_mm
    closed = distance_mm(grown, steps_mm) > radius_mm
    inner = tuple(slice(p, -p) for p in pad)
    whole = closed[inner]
    for axis, times in enumerate(step):
        whole = np.repeat(whole, times, axis=axis)
    result: NDArray[np.bool_] = whole[: mask.shape[0], : mask.shape[1], : mask.shape[2]] | mask
    return result


def _working_grid(
    ct_grid: Geometry, organs: LabelMap, organ: str, *, margin_mm: float, spacing_mm: float
) -> Geometry | None:
    """The CT's box around an organ with voxels no finer than needed; never finer than the CT's own."""
    box = organ_boxes(organs).get(organ)
    if box is None:
        return None
    corners = organs.geometry.to_world(
        np.stack(np.meshgrid(*[(s.start - 0.5, s.stop - 0.5) for s in box], indexing="ij"), axis=-1).reshape(-1, 3)
    )
    crop = crop_around(ct_grid, corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm)
    if crop is None:
        return None
    grid = ct_grid.cropped(*crop)
    i, j, k = (max(s, spacing_mm) for s in grid.spacing_mm)
    return grid.with_spacing((i, j, k))
