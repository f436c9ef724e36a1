"""The size of a small solid nodule by how much soft tissue its voxels hold, not by which of them pass a threshold.

A nodule of two or three voxels is mostly border: each border voxel is partly nodule, partly lung, and its HU says in
which proportion. The sum of the shares is the volume to a fraction of a voxel, where counting voxels is off by whole
layers (Kuhnigk, IEEE Trans Med Imaging 2006;25:417). It holds for solid nodules; ground glass is measured in
``findings``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import Volume
from irae.lesions.crops import crop_around, fine_grid, in_plane_mm
from irae.lesions.rules import FWHM_PER_SIGMA, FociRules
from irae.quant.diameter import axial_diameters
from irae.quant.distance import distance_mm
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_mm, shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Axial diameters (mm) and volume (mL) of a lesion."""

    longest_mm: float
    short_mm: float
    volume_ml: float


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Sized:
    """A lesion on a crop of a scan's grid, with its size; that need not be the mask's."""

    mask: NDArray[np.bool_]
    geometry: Geometry
    size: Size


def solid_size(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], geometry: Geometry, ct: Geometry, rules: FociRules
) -> Size:
    """Size of a solid lesion on CT; in the lung by the shares of its border voxels, elsewhere by its mask.

    The outline gives the shape as far as there are voxels to draw one: of a lesion of two or three voxels it is noise,
    and a usual shape stands in for it.

    Args:
        hu: (i, j, k) on the crop.
        mask: The lesion by a threshold, at least one voxel.
        geometry: The crop, finer than the CT as a rule.
        ct: The CT's own grid.
        rules: HU limits, how far a border's blur reaches, usual shape.
    """
    body = _without_tails(mask, geometry, rules)
    volume_ml = _soft_tissue_ml(hu, body, geometry, max(ct.spacing_mm), rules)
    if volume_ml is None:
        read = axial_diameters(mask, geometry)
        mask_ml = float(np.count_nonzero(mask)) * geometry.voxel_volume_ml
        return Size(longest_mm=read.longest_mm, short_mm=read.short_mm, volume_ml=mask_ml)
    outline, grid = _smooth_outline(body, geometry, rules)
    read = axial_diameters(outline, grid)
    ball, drawn = ball_mm(volume_ml), ball_mm(float(np.count_nonzero(outline)) * grid.voxel_volume_ml)
    told = min(1.0, ball / (rules.outline_voxels * in_plane_mm(ct)))
    longest, short = (
        ball * (usual + told * (read_mm / drawn - usual))
        for usual, read_mm in zip(rules.usual_shape, (read.longest_mm, read.short_mm), strict=True)
    )
    return Size(longest_mm=longest, short_mm=min(short, longest), volume_ml=volume_ml)


def _without_tails(mask: NDArray[np.bool_], geometry: Geometry, rules: FociRules) -> NDArray[np.bool_]:
    """A nodule without the vessels that enter it: what a ball of a share of its own depth fills."""
    depth = distance_mm(np.pad(mask, 1), geometry.spacing_mm)[1:-1, 1:-1, 1:-1]
    is_ball = shape_of(mask, geometry).sphericity >= rules.tail_sphericity
    radius = (rules.tail_share if is_ball else rules.wide_tail_share) * float(depth.max())
    core = depth > radius
    filled: NDArray[np.bool_] = (distance_mm(~core, geometry.spacing_mm) <= radius) & mask
    parts, _ = ndimage.label(filled)
    return np.asarray(parts == int(np.bincount(parts[filled]).argmax()))


def _smooth_outline(
    mask: NDArray[np.bool_], geometry: Geometry, rules: FociRules
) -> tuple[NDArray[np.bool_], Geometry]:
    """A nodule's shape without the staircase of its voxels, on a finer grid in the axial plane.

    The longest of all diameters of a staircase runs from corner to corner and is too long, by as many voxels as noise
    adds. What smoothing takes from the volume does not matter here: only the shape is read from it.
    """
    box = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in ndimage.find_objects(mask.astype(np.uint8))[0])
    i, j, k = ((s.start, min(s.stop, n)) for s, n in zip(box, mask.shape, strict=True))
    crop = geometry.cropped((i[0], j[0], k[0]), (i[1], j[1], k[1]))
    smooth = ndimage.gaussian_filter(mask[box].astype(np.float32), rules.outline_smoothing_voxels)
    axial = crop.axis_of(2)
    x, y, z = (s if axis == axial else rules.outline_mm for axis, s in enumerate(crop.spacing_mm))
    fine = crop.with_spacing((x, y, z))
    outline = onto_grid(smooth, crop, fine, order=1) >= 0.5
    return (outline, fine) if outline.any() else (mask, geometry)


def _soft_tissue_ml(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], geometry: Geometry, voxel_mm: float, rules: FociRules
) -> float | None:
    """How much soft tissue a nodule holds, border voxels by their share; None where it is not surrounded by lung.

    What is solid beyond the mask is a vessel or the chest wall and is not counted.
    """
    away = distance_mm(~mask, geometry.spacing_mm)
    border_mm = _border_mm(voxel_mm, rules)
    lung = _lung_around(hu, away - border_mm, rules)
    if lung is None:
        return None
    counted = mask | ((away <= border_mm) & (hu < rules.nodule_in_lung_hu))
    return _share(hu[counted], float(np.median(lung)), rules) * geometry.voxel_volume_ml


def _border_mm(voxel_mm: float, rules: FociRules) -> float:
    """How far the blur of a border reaches on a CT of these voxels."""
    return rules.border_mm + rules.border_voxels * voxel_mm


def _lung_around(
    hu: NDArray[np.float32], beyond_mm: NDArray[np.float32], rules: FociRules
) -> NDArray[np.float32] | None:
    """HU of the aerated lung around something, from its border (0 mm) on; None where too little of it is aerated."""
    shell = hu[(beyond_mm > 0.0) & (beyond_mm <= rules.around_mm)]
    lung = shell[shell < rules.nodule_in_lung_hu]
    return lung if lung.size >= max(20.0, rules.aerated_share * shell.size) else None


def _share(hu: NDArray[np.float32], lung_hu: float, rules: FociRules) -> float:
    """How many voxels of soft tissue lie in voxels of lung and soft tissue; calcium counts little more than tissue."""
    share = (hu - lung_hu) / (rules.soft_tissue_hu - lung_hu)
    return max(float(np.minimum(share, rules.densest_share).sum()), 1e-3)


def remnant_in_lung(
    ct: Volume, place: NDArray[np.float64], before_mm: float, rules: FociRules
) -> Sized | None:
    """The spot in aerated lung where a known nodule was, however small, measured by its partial volumes.

    Args:
        ct: HU.
        place: Where it would lie, RAS+ mm.
        before_mm: The diameter of its ball when it was last seen: it is not searched for beyond that.
        rules: HU limits; how far from its place it may lie; how far a spot must stand out of the lung around it.

    Returns:
        None where the lung shows nothing there, or something that goes on beyond the place (a vessel, the chest wall).
    """
    radius = max(4.0, before_mm / 2.0)
    border_mm = _border_mm(max(ct.geometry.spacing_mm), rules)
    reach = radius + rules.residual_off_mm + border_mm + rules.around_mm + 2.0
    bounds = crop_around(ct.geometry, place - reach, place + reach)
    if bounds is None:
        return None
    crop = ct.geometry.cropped(*bounds)
    grid = fine_grid(crop)
    hu = onto_grid(ct.array[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))], crop, grid, outside=-1024.0)
    at = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    spacing = np.array(grid.spacing_mm)
    smooth = ndimage.gaussian_filter(hu, rules.smoothing_fwhm_mm / FWHM_PER_SIGMA / spacing, truncate=3.0)
    spot = _spot_near(smooth, np.linalg.norm(at - place, axis=-1), spacing, rules)
    if spot is None:
        return None
    away = np.linalg.norm(at - at[spot], axis=-1)
    lung = _lung_around(hu, away - radius - border_mm, rules)
    if lung is None:
        return None
    outside, top = float(np.median(lung)), float(smooth[spot])
    spread = 1.4826 * float(np.median(np.abs(lung - outside)))
    if top < outside + max(rules.remnant_hu, rules.residual_sd * spread):
        return None
    for level in rules.remnant_levels:  # higher where it runs on along a vessel
        parts, _ = ndimage.label(smooth >= outside + level * (top - outside))
        core = parts == parts[spot]
        if (away[core] <= radius + border_mm).all():
            break
    else:
        return None
    mask = distance_mm(~core, spacing) <= rules.remnant_border_mm
    volume_ml = _share(hu[mask], outside, rules) * grid.voxel_volume_ml
    ball = ball_mm(volume_ml)
    if ball > before_mm * rules.residual_growth:
        return None
    longest, short = (usual * ball for usual in rules.usual_shape)
    return Sized(mask=mask, geometry=grid, size=Size(longest_mm=longest, short_mm=short, volume_ml=volume_ml))


def _spot_near(
    smooth: NDArray[np.float32], off_mm: NDArray[np.float64], spacing: NDArray[np.float64], rules: FociRules
) -> tuple[int, int, int] | None:
    """The densest spot with a maximum of its own near a place; vessels lie about: distance counts against it."""
    size = [2 * int(np.ceil(3.0 / s)) + 1 for s in spacing]
    peaks = (off_mm <= rules.residual_off_mm) & (smooth >= ndimage.maximum_filter(smooth, size=size, mode="nearest"))
    if not peaks.any():
        return None
    i, j, k = np.argwhere(peaks)[np.argmax(smooth[peaks] - rules.remnant_hu_per_mm * off_mm[peaks])]
    return int(i), int(j), int(k)
