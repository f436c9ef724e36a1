"""The extent of one focus on a fine grid: from the CT where its border shows there, else from the PET's contour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from irae.core.geometry import Geometry
from irae.lesions.partial_volume import solid_size
from irae.lesions.rules import FWHM_PER_SIGMA, FociRules
from irae.quant.diameter import axial_diameters
from irae.quant.distance import ball, distance_mm
from irae.quant.resample import onto_grid


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Extent:
    """The extent of a focus.

    Attributes:
        mask: (i, j, k) on ``geometry``.
        geometry: A crop of the label grid.
        longest_mm, short_mm: As a reader measures; PET contours of small foci are corrected for the blur. In fat the
            mean of CT and PET where they agree.
        volume_ml: Of the mask; of a nodule in the lung by its border's shares (``partial_volume``).
        from_ct: Whether mask and diameters are the CT's.
        background_suv: Median uptake around it; nan without PET.
    """

    mask: NDArray[np.bool_]
    geometry: Geometry
    longest_mm: float
    short_mm: float
    volume_ml: float
    from_ct: bool
    background_suv: float


def contour_on_pet(
    suv: NDArray[np.float32],
    others: NDArray[np.bool_],
    basin: NDArray[np.bool_],
    geometry: Geometry,
    rules: FociRules,
    *,
    least_background: float = 0.0,
) -> tuple[NDArray[np.bool_], float]:
    """Contrast-oriented contour of one basin on a crop, and the background it was held against.

    The contour lies half-way between the surroundings and the region's peak. Where it would run far out of the basin
    (into an organ next door) the level is raised; where no level holds, the basin itself is the region.

    Args:
        suv: (i, j, k) g/mL on the crop.
        others: Voxels of other regions.
        basin: Voxels of this region.
        geometry: The crop.
        rules: Levels and reach.
        least_background: Of the tissue it lies in, where that is hotter than what surrounds it at 6 mm and more, g/mL.
    """
    spacing = geometry.spacing_mm
    outside_mm = distance_mm(~basin, spacing)
    shell = (outside_mm > 6.0) & (outside_mm <= rules.contour_reach_mm) & ~others
    background = max(float(np.median(suv[shell])) if np.count_nonzero(shell) > 10 else 0.0, least_background)
    inside = suv[basin]
    # The mean of the hottest 5 % is steadier than one voxel and, in a large noisy focus, nearer its true uptake.
    peak = float(np.sort(inside)[-max(1, round(0.05 * inside.size)):].mean())
    for level in (rules.contour, *rules.contour_leaks):
        region = (suv >= background + level * (peak - background)) & ~others & (outside_mm <= rules.contour_reach_mm)
        parts, _ = ndimage.label(region)
        kept = np.unique(parts[basin & region])
        region = np.isin(parts, kept[kept > 0])
        leaked = np.count_nonzero(region & (outside_mm > 0.7 * rules.contour_reach_mm))
        if region.any() and leaked <= 0.02 * np.count_nonzero(region):
            return region, background
    return basin, background


@lru_cache(maxsize=1)
def _blurred_sphere_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half-maximum diameter of a Gaussian-blurred sphere, both in units of the FWHM: (apparent, true), rising.

    Blurring a sphere of radius R with a Gaussian of SD s gives at distance r the closed form used here; the contour is
    at half of the value at its centre.
    """
    from scipy.special import erf

    sigma = 1.0 / FWHM_PER_SIGMA
    true = np.linspace(0.05, 12.0, 240)
    r = np.linspace(1e-6, 7.0, 20000)
    apparent = []
    for diameter in true:
        radius = diameter / 2.0
        plus, minus = (r + radius) / (np.sqrt(2) * sigma), (r - radius) / (np.sqrt(2) * sigma)
        profile = 0.5 * (erf(plus) - erf(minus)) + sigma / (r * np.sqrt(2 * np.pi)) * (
            np.exp(-(plus**2)) - np.exp(-(minus**2))
        )
        below = int(np.argmax(profile < 0.5 * profile[0]))
        apparent.append(2.0 * r[below])
    return np.maximum.accumulate(np.array(apparent)), true


def deblurred_mm(apparent_mm: float, fwhm_mm: float) -> float:
    """True diameter of a sphere whose half-maximum contour measures ``apparent_mm`` after a Gaussian blur.

    Large spheres keep their size, small ones approach the blur itself; below that the answer is uncertain and is held
    at half of what was measured.

    >>> round(deblurred_mm(30.0, 6.5), 1), deblurred_mm(7.0, 6.5) < 5.0
    (30.0, True)
    """
    apparent, true = _blurred_sphere_table()
    ratio = apparent_mm / fwhm_mm
    if ratio >= apparent[-1]:
        return apparent_mm
    # The blur also draws a large sphere's contour inwards by a millimetre; the staircase of voxels makes up for it.
    return min(apparent_mm, max(0.5 * apparent_mm, float(np.interp(ratio, apparent, true)) * fwhm_mm))


def pet_diameter_mm(apparent_mm: float, rules: FociRules, *, short: bool = False) -> float:
    """True axial diameter of a lesion whose half-maximum contour on PET measures ``apparent_mm``.

    Args:
        apparent_mm: Of the contour.
        rules: Blur, and what such contours read wrong.
        short: Whether it is the short axis.

    >>> [round(pet_diameter_mm(mm, FociRules()), 1) for mm in (10.0, 20.0, 50.0)]
    [8.9, 20.9, 50.0]
    """
    reading = deblurred_mm(apparent_mm, rules.psf_fwhm_mm)
    error = float(np.interp(reading, rules.pet_reading_mm, rules.pet_short_error_mm if short else rules.pet_error_mm))
    return max(0.5 * reading, reading - error)


def extent_on_ct(
    ct: NDArray[np.float32], seed: NDArray[np.bool_], geometry: Geometry, rules: FociRules, *, apart: bool = False
) -> NDArray[np.bool_] | None:
    """The soft-tissue nodule that a PET contour lies on, where lung or fat shows its border; else None.

    Args:
        ct: (i, j, k) HU on the crop.
        seed: The PET contour.
        geometry: The crop.
        rules: HU limits.
        apart: Whether what it touches broadly is cut off at the neck between the two: a consolidation.
    """
    spacing = np.array(geometry.spacing_mm)
    smooth, distance = _smoothed(ct, geometry), distance_mm(~seed, spacing)
    limit = _border_hu(smooth, distance, rules)
    if limit is None:
        return None
    solid = (smooth >= limit) & (distance <= 12.0)
    if apart:
        solid &= _up_to_the_neck(smooth >= limit, seed, geometry)
    core = ndimage.binary_erosion(solid, ball(geometry.spacing_mm, 1.8))  # cuts vessels and septa
    parts, count = ndimage.label(core)
    if count == 0:
        return None
    hits = np.bincount(parts[seed & core], minlength=count + 1)
    hits[0] = 0
    if not hits.any():
        return None
    core = parts == int(hits.argmax())
    nodule: NDArray[np.bool_] = solid & ndimage.binary_dilation(core, ball(geometry.spacing_mm, 1.9))
    # Single noisy voxels on the surface would lengthen the diameter; a reader does not see them.
    nodule = ndimage.gaussian_filter(nodule.astype(np.float32), 1.2 / spacing) >= 0.5
    volume, expected = np.count_nonzero(nodule), np.count_nonzero(seed)
    leaked = np.count_nonzero(nodule & (distance > 10.0)) > 0.02 * volume
    overlap = np.count_nonzero(nodule & seed)
    if leaked or not 0.15 * expected <= volume <= 4.0 * expected or overlap < 0.5 * min(volume, expected):
        return None
    return nodule


def _smoothed(ct: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(ct, 0.8 / np.array(geometry.spacing_mm), truncate=2.5))


def _border_hu(
    smooth: NDArray[np.float32], distance: NDArray[np.float32], rules: FociRules
) -> float | None:
    """HU of the border against what surrounds a focus at 2 to 10 mm: lung or fat; None where it is neither."""
    shell = smooth[(distance > 2.0) & (distance <= 10.0)]
    if shell.size < 20:
        return None
    if np.mean(shell < -450.0) >= 0.4:
        return rules.nodule_in_lung_hu
    if np.mean((shell < -30.0) & (shell > -250.0)) >= 0.4:
        return rules.nodule_in_fat_hu
    return None


def _up_to_the_neck(solid: NDArray[np.bool_], seed: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """The part of a solid structure around its deepest place in the seed, up to where it is thinnest."""
    if not (solid & seed).any():
        return np.zeros_like(solid)
    spacing = np.array(geometry.spacing_mm)
    depth = ndimage.gaussian_filter(distance_mm(solid, spacing), 1.0 / spacing)
    peaks = peak_local_max(depth, min_distance=2, labels=solid.astype(np.uint8), exclude_border=False)
    markers = np.zeros(solid.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = watershed(-depth, markers, mask=solid)
    deepest = np.argmax(np.where(seed & solid, depth, -1.0))
    part: NDArray[np.bool_] = (parts == parts.flat[deepest]) & solid
    return part


def focus_extent(
    basin: NDArray[np.bool_],
    others: NDArray[np.bool_],
    suv: NDArray[np.float32],
    pet_grid: Geometry,
    hu: NDArray[np.float32] | None,
    fine_grid: Geometry,
    ct_grid: Geometry,
    rules: FociRules,
    *,
    least_background: float = 0.0,
) -> Extent:
    """The extent of one focal region.

    Args:
        basin, others, suv: This region, all other regions and the uptake on a crop of the PET's grid.
        pet_grid: That crop.
        hu: The CT on ``fine_grid``, if there is one.
        fine_grid: The grid to measure on; it covers the region and its surroundings.
        ct_grid: The CT's own.
        rules: The limits.
        least_background: See ``contour_on_pet``.
    """
    fine_suv = onto_grid(suv, pet_grid, fine_grid, order=1)
    fine_basin = onto_grid(basin.astype(np.float32), pet_grid, fine_grid, order=1) >= 0.5
    fine_others = (onto_grid(others.astype(np.float32), pet_grid, fine_grid, order=1) >= 0.5) & ~fine_basin
    if not fine_basin.any():
        centre = fine_grid.to_index(pet_grid.to_world(np.argwhere(basin).mean(axis=0)))
        i, j, k = np.clip(np.round(centre).astype(int), 0, np.array(fine_grid.shape) - 1)
        fine_basin[i, j, k] = True
    region, background = contour_on_pet(
        fine_suv, fine_others, fine_basin, fine_grid, rules, least_background=least_background
    )
    read = axial_diameters(region, fine_grid)
    longest, short = pet_diameter_mm(read.longest_mm, rules), pet_diameter_mm(read.short_mm, rules, short=True)
    nodule = None if hu is None else extent_on_ct(hu, region, fine_grid, rules)
    if hu is not None and nodule is not None:
        size = solid_size(hu, nodule, fine_grid, ct_grid, rules)
        ct_mm = size.longest_mm, size.short_mm
        in_fat = _border_hu(_smoothed(hu, fine_grid), distance_mm(~region, fine_grid.spacing_mm), rules) == (
            rules.nodule_in_fat_hu
        )
        if in_fat and np.abs(np.log(np.divide(ct_mm, (longest, short)))).max() < rules.both_agree:
            ct_mm = 0.5 * (ct_mm[0] + longest), 0.5 * (ct_mm[1] + short)
        return Extent(mask=nodule, geometry=fine_grid, longest_mm=ct_mm[0], short_mm=min(ct_mm[1], ct_mm[0]),
                      volume_ml=size.volume_ml, from_ct=True, background_suv=background)
    if not least_background:
        contrast = fine_suv[region].max() / max(background, 0.1)
        faint = float(np.interp(contrast, rules.pet_contrast, (1.0, 0.0)))
        longest, short = longest + faint * rules.pet_faint_mm[0], short + faint * rules.pet_faint_mm[1]
    return Extent(
        mask=region, geometry=fine_grid, longest_mm=longest, short_mm=min(short, longest),
        volume_ml=float(np.count_nonzero(region)) * fine_grid.voxel_volume_ml, from_ct=False, background_suv=background,
    )
