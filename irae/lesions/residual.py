"""What is left of a known lesion on PET: a spot too faint to be searched for, looked for at its registered place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from irae.core.focus import Focus
from irae.core.geometry import Geometry
from irae.core.volume import Volume
from irae.lesions.crops import crop_around
from irae.lesions.partial_volume import Size, Sized
from irae.lesions.rules import FWHM_PER_SIGMA, FociRules
from irae.lesions.sizing import contour_on_pet, deblurred_mm
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_mm

SPACING_MM = 2.0  # of the grid on which a residual is contoured


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Residual:
    """A faint spot at the place of a known lesion, on a crop of the PET, its diameters corrected for the blur."""

    lesion: Sized
    background_suv: float


def residual_on_pet(
    pet: Volume, place: NDArray[np.float64], before: Focus, labels: NDArray[np.uint16], labelled: Geometry,
    rules: FociRules, *, tissue_suv: float = 0.0,
) -> Residual | None:
    """The spot that still stands out of its surroundings where a lesion was; a faint one is no larger than it was.

    Its place being known, far less contrast is believed than from a spot that nobody expects: a quarter above the
    surroundings, beyond three SD of them. Maxima beside it that are hotter, or too far off to be its own, keep their
    slopes. Its contour is ragged by noise, which lengthens diameters more than it adds
    volume: the lesion is taken to have kept its shape, and its volume says its size, less what such contours read too
    much.

    Args:
        pet: SUV.
        place: Where the lesion would lie, RAS+ mm.
        before: The lesion as it was last seen.
        labels: Foci of this exam: none of them is the residual.
        labelled: The grid of ``labels``.
        rules: Limits of a residual and of contours.
        tissue_suv: Uptake of the tissue it lies in, where that is known, g/mL: of the marrow around a lesion in bone.
    """
    radius_mm = max(4.0, ball_mm(before.volume_ml) / 2.0)
    reach = radius_mm + rules.residual_off_mm + rules.contour_reach_mm + 4.0
    bounds = crop_around(pet.geometry, place - reach, place + reach)
    if bounds is None:
        return None
    crop = pet.geometry.cropped(*bounds)
    i, j, k = (min(s, SPACING_MM) for s in crop.spacing_mm)
    grid = crop.with_spacing((i, j, k))
    suv = onto_grid(pet.array[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))], crop, grid, order=1)
    others = onto_grid(labels, labelled, grid, order=0) > 0
    at = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    spacing = np.array(grid.spacing_mm)
    smooth = ndimage.gaussian_filter(suv, rules.smoothing_fwhm_mm / FWHM_PER_SIGMA / spacing, truncate=3.0)
    near = np.linalg.norm(at - place, axis=-1) <= rules.residual_off_mm
    # Its own maximum: not the slope of something hotter beside it.
    size = [2 * int(np.ceil(4.0 / s)) + 1 for s in spacing]
    maxima = smooth >= ndimage.maximum_filter(smooth, size=size, mode="nearest")
    peaks = near & ~others & maxima
    if not peaks.any():
        return None
    hottest = tuple(int(v) for v in np.argwhere(peaks)[np.argmax(smooth[peaks])])
    top = float(smooth[hottest])
    away = np.linalg.norm(at - at[hottest], axis=-1)
    around = smooth[(away > radius_mm + 5.0) & (away <= radius_mm + rules.contour_reach_mm) & ~others]
    if around.size < 50:
        return None
    level = float(np.median(around))
    sd = 1.4826 * float(np.median(np.abs(around - level)))
    if top < max(rules.residual_ratio * level, level + rules.residual_sd * sd):
        return None
    # What lies on the slope of something clearly hotter, or of what is too far off to be the lesion, is that one's.
    markers = np.zeros(smooth.shape, np.int32)
    far = away > radius_mm + rules.residual_off_mm
    markers[maxima & (far | (smooth >= rules.residual_hotter * top))] = 2
    markers[hottest] = 1
    others |= watershed(-smooth, markers) == 2
    parts, _ = ndimage.label((smooth >= 0.5 * (level + top)) & (away <= radius_mm + rules.contour_reach_mm) & ~others)
    least = tissue_suv if tissue_suv < 0.8 * top else 0.0
    region, background = contour_on_pet(suv, others, parts == parts[hottest], grid, rules, least_background=least)
    if not region.any():
        return None
    now_mm = deblurred_mm(ball_mm(np.count_nonzero(region) * grid.voxel_volume_ml), rules.psf_fwhm_mm)
    # So faint that the search missed it, it has not grown; what is clear and was missed (beside a hot organ) may have.
    clear = float(np.interp(suv[region].max() / max(background, 0.1), rules.residual_contrast, (0.0, 1.0)))
    growth = 1.0 + clear * (rules.residual_growth_clear - 1.0)
    if now_mm > 2.0 * radius_mm * max(rules.residual_growth, growth):
        return None
    then_mm = max(deblurred_mm(2.0 * radius_mm, rules.psf_fwhm_mm), 1.0)
    read_mm = now_mm * float(np.clip(before.longest_mm / then_mm, *rules.residual_shape))
    short_mm = now_mm * float(np.clip(before.short_mm / then_mm, *rules.residual_shape))
    # On little contrast a contour is wide.
    faint_mm, clear_mm = (np.interp(read_mm, rules.residual_reading_mm, error) for error in
                          (rules.residual_faint_mm, rules.residual_clear_mm))
    share = 1.0 - float((1.0 - clear) * faint_mm + clear * clear_mm) / read_mm
    longest, short = min(growth * before.longest_mm, share * read_mm), min(growth * before.short_mm, share * short_mm)
    volume_ml = float(np.count_nonzero(region)) * grid.voxel_volume_ml
    now = Size(longest_mm=longest, short_mm=min(short, longest), volume_ml=volume_ml)
    return Residual(lesion=Sized(mask=region, geometry=grid, size=now), background_suv=background)
