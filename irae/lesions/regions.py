"""Hot regions of a PET: maxima, their basins, and which basins are one focus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from irae.core.anatomy import BY_NAME, Uptake
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.lesions.basins import borders, elongation, hottest, stands_out
from irae.lesions.pictures import join_pictures
from irae.lesions.rules import BOWEL, FWHM_PER_SIGMA, LUNGS, URINE, FociRules
from irae.lesions.threshold import HotThreshold
from irae.quant.distance import distance_mm

EVEN = ("liver", "spleen", "vertebrae", "lung_left", "lung_right")  # organs of one uptake throughout


@dataclass(frozen=True, eq=False, slots=True)
class HotRegions:
    """Hot regions on the PET's grid.

    Attributes:
        labels: (i, j, k) int32, 0 = not hot, else the region.
        peaks: Region to (voxel index of its hottest smoothed voxel, that value).
        pictures: Region to the organ whose whole uptake it is (brain, bladder, diffuse colon ...).
        smooth: The smoothed SUV it was found on.
        faint: Regions under every threshold that stand out of quiet surroundings: foci only if the CT shows a node.
    """

    labels: NDArray[np.int32]
    peaks: Mapping[int, tuple[tuple[int, int, int], float]]
    pictures: Mapping[int, str]
    smooth: NDArray[np.float32]
    faint: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False, slots=True)
class Noise:
    """How much 1 cm3 means vary in even tissue.

    Attributes:
        organs: Organ to (median, SD) of 1 cm3 means in its inside, g/mL; robust, so that lesions do not count.
        cv: Coefficient of variation in the liver; a usual 0.07 where it is not known.
        fwhm_mm: The smoothing with which maxima are looked for.
    """

    organs: Mapping[str, tuple[float, float]]
    cv: float
    fwhm_mm: float


def scan_noise(
    suv: NDArray[np.float32], geometry: Geometry, organs: LabelMap | None, rules: FociRules
) -> Noise:
    """Noise of a PET in the organs whose uptake is even (design: robust SD of 1 cm3 means, 6 mm inside)."""
    spacing = np.array(geometry.spacing_mm)
    found: dict[str, tuple[float, float]] = {}
    cv_search = 0.0
    for organ in EVEN if organs is not None else ():
        assert organs is not None
        box = ndimage.find_objects((organs.array == organs.labels.get(organ, 256)).astype(np.uint8), max_label=1)
        if not organs.seen(organ) or not box or box[0] is None:
            continue
        inside = organs.array[box[0]] == organs.labels[organ]
        depth = 6.0 if organ == "liver" else 3.0
        inside = distance_mm(np.pad(inside, 1), spacing)[1:-1, 1:-1, 1:-1] > depth
        if np.count_nonzero(inside) < 50:
            continue
        for fwhm in (rules.smoothing_fwhm_mm, rules.peak_fwhm_mm):
            values = ndimage.gaussian_filter(suv[box[0]], fwhm / FWHM_PER_SIGMA / spacing, truncate=3.0)[inside]
            median = float(np.median(values))
            sd = 1.4826 * float(np.median(np.abs(values - median)))
            if organ == "liver" and fwhm == rules.smoothing_fwhm_mm:
                cv_search = sd / max(median, 0.1)
        # What varies more than this in a lung is disease, in which a focus must not drown.
        found[organ] = (median, min(sd, rules.lung_noise * median) if organ in LUNGS else sd)
    cv = found["liver"][1] / max(found["liver"][0], 0.1) if "liver" in found else 0.07
    noisy = cv_search > rules.noisy_cv
    return Noise(found, cv, rules.peak_fwhm_mm if noisy else rules.smoothing_fwhm_mm)


def hot_regions(
    suv: NDArray[np.float32],
    geometry: Geometry,
    organs: LabelMap | None,
    threshold: HotThreshold,
    liver: tuple[float, float] | None,
    blood_pool: float | None,
    noise: Noise,
    rules: FociRules,
) -> HotRegions:
    """Every hot region of a PET, touching ones separated, hot organs kept as one region each.

    Args:
        suv: (i, j, k) g/mL.
        geometry: Its grid.
        organs: Organs on the same grid, or None.
        threshold: The scan's general threshold.
        liver: SUV mean and SD of normal liver, where known.
        blood_pool: SUV mean of the blood, where known.
        noise: Its noise, which says how much to smooth.
        rules: The limits.
    """
    spacing = np.array(geometry.spacing_mm)
    sigma = noise.fwhm_mm / FWHM_PER_SIGMA / spacing
    smooth = ndimage.gaussian_filter(suv, sigma, mode="nearest", truncate=3.0)
    hot = smooth >= _thresholds(smooth, spacing, organs, threshold, liver, blood_pool, rules)
    neighbourhood = tuple(int(2 * max(1, round(4.0 / s)) + 1) for s in spacing)
    maxima = hot & (smooth >= ndimage.maximum_filter(smooth, size=neighbourhood, mode="nearest"))
    markers = cc3d.connected_components(maxima, connectivity=26, out_dtype=np.uint32).astype(np.int32)
    if not markers.any():
        return HotRegions(np.zeros(suv.shape, np.int32), {}, {}, smooth)
    box = ndimage.find_objects(hot.astype(np.uint8), max_label=1)[0]
    basins = np.zeros(suv.shape, np.int32)
    basins[box] = watershed(-smooth[box], markers[box], mask=hot[box])
    home = _homes(basins, smooth, organs)
    if organs is not None:
        _disown_masses(home, basins, suv, smooth, organs, geometry, rules)
    joined = _join_over_saddles(basins, smooth, home, geometry, rules)
    basins = joined[basins]
    pictures = join_pictures(basins, suv, smooth, hot, organs, geometry, rules)
    return _with_faint(_compact(basins, smooth, pictures), geometry, organs, blood_pool, rules)


def _with_faint(
    regions: HotRegions, geometry: Geometry, organs: LabelMap | None, blood_pool: float | None, rules: FociRules
) -> HotRegions:
    """The regions and what is faint outside of all organs: a little hotter than blood, much hotter than around it.

    In a patient of high blood pool and liver a node of 20 mm stays under every threshold that noise allows.
    """
    if organs is None or blood_pool is None:
        return regions
    smooth, labels = regions.smooth, regions.labels.copy()
    least = max(rules.contrasted_suv, rules.faint_blood_pool * blood_pool)
    limit = np.maximum(least, rules.faint_ratio * _surroundings(smooth, np.array(geometry.spacing_mm)))
    shown = (smooth >= limit) & ((organs.array == 0) | (labels > 0))
    parts = cc3d.connected_components(shown, connectivity=26)
    sizes = np.bincount(parts.ravel())
    apart = sizes * geometry.voxel_volume_ml >= rules.faint_ml
    apart[np.unique(parts[labels > 0])] = False  # the rim of what is hot
    apart[0] = False
    peaks, faint = dict(regions.peaks), set()
    for part in np.flatnonzero(apart):
        own, region = parts == part, len(peaks) + 1
        at = np.unravel_index(int(np.argmax(np.where(own, smooth, -1.0))), smooth.shape)
        labels[own] = region
        peaks[region] = (int(at[0]), int(at[1]), int(at[2])), float(smooth[at])
        faint.add(region)
    return replace(regions, labels=labels, peaks=peaks, faint=frozenset(faint))


def _surroundings(smooth: NDArray[np.float32], spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean uptake of the 40 mm around every voxel."""
    size = [int(2 * (20.0 // s) + 1) for s in spacing]
    return np.asarray(ndimage.uniform_filter(smooth, size=size, mode="nearest"))


def _thresholds(
    smooth: NDArray[np.float32],
    spacing: NDArray[np.float64],
    organs: LabelMap | None,
    threshold: HotThreshold,
    liver: tuple[float, float] | None,
    blood_pool: float | None,
    rules: FociRules,
) -> NDArray[np.float32]:
    """The threshold of every voxel, by what tissue it is and how quiet its surroundings are."""
    lowest = rules.fixed_contrasted_suv
    if blood_pool is not None:
        noise = 0.1 if liver is None else liver[1] / liver[0]
        factor = rules.contrasted_blood_pool + rules.contrasted_noise * noise
        lowest = max(rules.contrasted_suv, factor * blood_pool)
    quiet = np.maximum(lowest, rules.contrasted_ratio * _surroundings(smooth, spacing))
    limit: NDArray[np.float32] = np.minimum(threshold.suv, quiet).astype(np.float32)
    if organs is None:
        # What is quiet and what is an organ is not known: only the general threshold is safe.
        return np.full(smooth.shape, threshold.suv, np.float32)
    searched_lower = {"colon": rules.bowel_suv, "small_bowel": rules.bowel_suv, "thyroid_gland": rules.thyroid_suv}
    for organ, suv in searched_lower.items():
        limit[organs.mask(organ)] = min(suv, threshold.suv)
    noise = 0.1 if liver is None else liver[1] / liver[0]
    for organ in ("spleen", "heart", "aorta", "stomach", "pancreas", "vertebrae", *URINE, "brain"):
        mask = organs.mask(organ)
        if mask.any():
            # A uniformly active organ near the threshold must not break up into its noise.
            usual = float(np.median(smooth[mask])) if BY_NAME[organ].uptake is Uptake.LOW else 0.0
            own = usual * max(rules.organ_ratio, 1.0 + rules.liver_lesion_sd * noise)
            limit[mask] = np.maximum(limit[mask] if organ in EVEN else threshold.suv, own)
    limit[organs.mask("liver")] = threshold.suv
    if liver is not None:
        mean, sd = liver
        lesion = max(mean + rules.liver_lesion_sd * sd, rules.liver_lesion_ratio * mean)
        limit[organs.mask("liver")] = min(threshold.suv, lesion)
    # Inside the lungs, away from ribs, heart and liver, whose uptake spills in; lung vessels have the blood's uptake.
    depth = [max(1, round(rules.lung_edge_mm / s)) for s in spacing]
    lungs = ndimage.binary_closing(organs.mask(*LUNGS), iterations=depth[0]) & _lung_or_nothing(organs)
    inner = ndimage.minimum_filter(lungs, size=[2 * d + 1 for d in depth])
    limit[inner] = max(rules.lung_nodule_suv, 1.1 * blood_pool) if blood_pool is not None else rules.lung_suv
    return limit


def _lung_or_nothing(organs: LabelMap) -> NDArray[np.bool_]:
    """Where no organ but the lungs lies: a nodule that a segmenter left out belongs to the lung around it."""
    free: NDArray[np.bool_] = organs.array == 0
    return free | organs.mask(*LUNGS)


def _homes(basins: NDArray[np.int32], smooth: NDArray[np.float32], organs: LabelMap | None) -> NDArray[np.int32]:
    """Label of the hot-by-nature organ that holds each basin's maximum; 0 for none. (basins + 1,)."""
    count = int(basins.max())
    home = np.zeros(count + 1, np.int32)
    if organs is None:
        return home
    by_nature = [
        organs.labels[o] for o in organs.labels if organs.seen(o) and BY_NAME[o].uptake is not Uptake.LOW
    ]
    _, places = hottest(basins, smooth)
    for basin, place in places.items():
        label = int(organs.array[place])
        home[basin] = label if label in by_nature else 0
    return home


def _disown_masses(
    home: NDArray[np.int32], basins: NDArray[np.int32], suv: NDArray[np.float32], smooth: NDArray[np.float32],
    organs: LabelMap, geometry: Geometry, rules: FociRules,
) -> None:
    """Takes from bowel and stomach (in place) the maxima of round masses far hotter than they are.

    A mask of the bowel runs over part of a mass among its loops. Were that part's maxima the bowel's, the mass would
    fall into two foci, one of them the bowel's uptake.
    """
    peak, places = hottest(basins, smooth)
    reach = [int(np.ceil(rules.mass_reach_mm / s)) for s in geometry.spacing_mm]
    for organ in (*sorted(BOWEL), "stomach"):
        label = organs.labels.get(organ, 256)
        own = [int(basin) for basin in np.flatnonzero(home == label) if basin in places]
        mask = organs.array == label
        usual = float(np.median(suv[mask])) if own and organs.seen(organ) else np.inf
        for basin in sorted(own, key=lambda b: -peak[b]):
            if peak[basin] < rules.standout_ratio * usual or home[basin] != label:
                continue
            box = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(places[basin], reach, strict=True))
            at = tuple(p - part.start for p, part in zip(places[basin], box, strict=True))
            parts, _ = ndimage.label(smooth[box] >= 0.5 * peak[basin])
            mass = parts == parts[at]
            if elongation(mass, geometry) > rules.mass_elongation:
                continue
            if np.count_nonzero(mass) * geometry.voxel_volume_ml < rules.renal_mass_ml:
                continue
            rest = mask.copy()
            rest[box] &= ~ndimage.binary_dilation(mass, iterations=2)
            if not stands_out(peak[basin], suv[rest], rules.standout_ratio):
                continue
            within = np.unique(basins[box][mass])
            for other in own:
                place = tuple(p - part.start for p, part in zip(places[other], box, strict=True))
                inside = all(0 <= p < n for p, n in zip(place, mass.shape, strict=True))
                if other in within and inside and mass[place]:
                    home[other] = 0


def _join_over_saddles(
    basins: NDArray[np.int32], smooth: NDArray[np.float32], home: NDArray[np.int32], geometry: Geometry,
    rules: FociRules,
) -> NDArray[np.int32]:
    """Joins basins over high saddles, highest first. Returns the representative of every basin.

    Basins of one uptake come first: a compact spot far hotter than a large region that it touches (a metastasis in a
    pneumonitis) is not that region's maximum, and gives it back (in place) what it does not outshine; a small region on
    the slope of a spot is a part of the spot.
    """
    count = int(basins.max())
    peak, _ = hottest(basins, smooth)
    first, second, saddle, _ = borders(basins, smooth)
    root = np.arange(count + 1)

    def find(basin: int) -> int:
        while root[basin] != basin:
            root[basin] = root[root[basin]]
            basin = int(root[basin])
        return basin

    unlike: list[int] = []
    for at in np.argsort(-saddle, kind="stable"):
        a, b = find(int(first[at])), find(int(second[at]))
        ratio = rules.saddle_ratio if home[a] == home[b] else rules.saddle_ratio_at_organ
        lower, higher = (a, b) if peak[a] < peak[b] else (b, a)
        # A spot far hotter than the hot organ around or beside it is not that organ's.
        organs_own = home[lower] != 0 and home[higher] in (0, home[lower])
        least = rules.standout_ratio if home[higher] else rules.standout_beside
        stands_out = organs_own and peak[higher] >= least * peak[lower]
        if a == b or stands_out or saddle[at] < ratio * peak[lower]:
            continue
        if not home[lower] and not home[higher] and peak[higher] >= rules.standout_ratio * peak[lower]:
            unlike.append(int(at))
            continue
        root[lower] = higher
    voxels = np.flatnonzero(basins) if unlike else np.empty(0, np.intp)
    of, values = basins.ravel()[voxels], smooth.ravel()[voxels]
    most = rules.standout_volume_ml / geometry.voxel_volume_ml
    for at in unlike:
        a, b = find(int(first[at])), find(int(second[at]))
        lower, higher = (a, b) if peak[a] < peak[b] else (b, a)
        if a == b or saddle[at] < rules.saddle_ratio * peak[lower]:
            continue
        groups = np.array([find(basin) for basin in range(count + 1)])[of]
        spot, outshone = groups == higher, values <= peak[lower]
        if np.count_nonzero(groups == lower) < most or np.count_nonzero(spot & ~outshone) > most:
            root[lower] = higher
            continue
        of[spot & outshone] = lower
        basins.ravel()[voxels] = of
    return np.array([find(basin) for basin in range(count + 1)], dtype=np.int32)


def _compact(
    basins: NDArray[np.int32], smooth: NDArray[np.float32], pictures: Mapping[int, str]
) -> HotRegions:
    """Regions renumbered from 1, hottest first."""
    peak, where = hottest(basins, smooth)
    found = np.array(sorted(where))
    maxima = peak[found]
    order = np.argsort(-maxima, kind="stable")
    renumber = np.zeros(int(basins.max()) + 1, np.int32)
    peaks, kept = {}, {}
    for new, at in enumerate(order, start=1):
        renumber[found[at]] = new
        peaks[new] = (where[int(found[at])], float(maxima[at]))
        if int(found[at]) in pictures:
            kept[new] = pictures[int(found[at])]
    return HotRegions(renumber[basins], peaks, kept, smooth)
