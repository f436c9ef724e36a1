"""Every hot region of an exam, and what its CT shows without uptake."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.exam import Exam
from irae.core.focus import Focus, FocusSource
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.volume import LabelMap, Volume
from irae.lesions.alignment import aligned
from irae.lesions.crops import crop_around, fine_grid
from irae.lesions.ct_nodules import CtLesion, dark_liver_lesions, lung_nodules
from irae.lesions.features import (
    ct_features,
    landmarks,
    near_hot_organs,
    own_symmetry,
    uptake_ratios,
    with_neighbours,
    with_symmetry,
)
from irae.lesions.hosts import host_organ, midline_ras_mm
from irae.lesions.listing import is_large_node, is_marrow, stands_out
from irae.lesions.lytic import lytic_on_ct, marrow_beside
from irae.lesions.masks import searched_organs
from irae.lesions.partial_volume import Size, remnant_in_lung, solid_size
from irae.lesions.regions import HotRegions, Noise, hot_regions, scan_noise
from irae.lesions.rules import BONE, FOCI_RULES, LUNGS, FociRules
from irae.lesions.sizing import Extent, focus_extent
from irae.lesions.threshold import HotThreshold, hot_threshold
from irae.lesions.values import FociFound
from irae.quant.diameter import AxialDiameters, axial_diameters
from irae.quant.peak import suv_peak
from irae.quant.resample import labels_onto, onto_grid
from irae.quant.shape import shape_of
from irae.quant.uptake import UptakeReference

MOST_FOCI = np.iinfo(np.uint16).max
# PET finer than this is searched on a grid of this spacing; sizes and SUV still come from the full resolution.
_SEARCH_SPACING_MM = 2.5
_MEASURE_REACH_MM = 100.0  # a region whose surroundings reach further is measured with proportionally larger voxels


def find_foci(
    exam: Exam,
    *,
    organs: LabelMap | None,
    reference: UptakeReference | None,
    rules: FociRules = FOCI_RULES,
) -> FociFound:
    """Finds and measures every hot region of the PET and every solid lesion that the CT shows by itself.

    Physiologic uptake is found too (one focus for a brain, a bladder, a diffusely hot colon): what it is, is decided
    later, by ``attribution``. A focus that stands out of such an organ, or lies beside it, is its own focus.

    Args:
        exam: One exam.
        organs: Its organs, on any grid; None where no segmentation was possible.
        reference: Liver and blood pool of its PET; None without PET.
        rules: Thresholds and limits.

    Returns:
        Foci with ids from 1, and their labels on the CT's grid (the PET's where there is no CT).
    """
    pet, ct = exam.pet, exam.ct
    base = ct or pet
    if base is None:
        text = "No CT and no usable PET: foci were not searched for."
        shape = next(iter(exam.volumes.values())).geometry
        return FociFound(foci=(), labels=np.zeros(shape.shape, np.uint16), geometry=shape,
                         notices=(Notice("foci_not_searched", text),))
    notices: list[Notice] = []
    if ct is not None and pet is not None:
        usable, said = aligned(ct, pet, rules)
        notices += said
        if not usable:
            ct, organs, base = None, None, pet
    organs = searched_organs(organs, ct, rules)
    with ThreadPoolExecutor(max_workers=1) as beside:  # the CT is searched while the PET is
        on_ct = beside.submit(_solid_lesions, ct, organs, rules, with_pet=pet is not None)
        finder = _Finder(pet=pet, ct=ct, organs=organs, reference=reference, grid=base.geometry, rules=rules)
        if pet is not None:
            notices.append(finder.add_hot_regions().notice)
            if finder.within_noise:
                notices.append(Notice("foci_within_noise", f"{finder.within_noise} hot spots (SUVmax up to "
                                      f"{finder.hottest_noise:.1f}) are not listed as foci: smaller than the PET "
                                      f"resolves, or within its noise ({100 * finder.noise.cv:.0f} % in 1 cm3 of "
                                      "liver)."))
        else:
            notices.append(Notice("foci_ct_only", "No usable PET: only lung nodules and dark liver lesions that the CT "
                                  "shows were searched for; nodes, bone and soft tissue were not."))
        if organs is None:
            notices.append(Notice("foci_without_organs", "No organ segmentation: foci have no organ, normal organs "
                                  "above the threshold are foci too, and lesions on CT alone were not searched for."))
        finder.add_ct_lesions(on_ct.result())
    foci = with_neighbours(with_symmetry(finder.foci, finder.midline))
    return FociFound(foci=foci, labels=finder.labels, geometry=base.geometry, notices=tuple(notices),
                     marrow_suv=finder.marrow_suv)


def _solid_lesions(
    ct: Volume | None, organs: LabelMap | None, rules: FociRules, *, with_pet: bool
) -> list[CtLesion]:
    """What the CT shows by itself, lungs first; nothing without organs to look in."""
    if ct is None or organs is None:
        return []
    liver = rules.ct_liver_beside_pet if with_pet else rules.ct_liver
    return lung_nodules(ct, organs, rules) + dark_liver_lesions(ct, organs, liver, rules)


class _Finder:
    """Collects foci and paints their labels; one per call of ``find_foci``."""

    def __init__(
        self, *, pet: Volume | None, ct: Volume | None, organs: LabelMap | None, reference: UptakeReference | None,
        grid: Geometry, rules: FociRules,
    ) -> None:
        self.pet, self.ct, self.organs, self.reference = pet, ct, organs, reference
        self.grid, self.rules = grid, rules
        self.names = {label: name for name, label in organs.labels.items() if organs.seen(name)} if organs else {}
        self.midline = midline_ras_mm(organs, ct, pet)
        self.landmarks = landmarks(organs, self.midline)
        self.labels = np.zeros(grid.shape, np.uint16)
        self.foci: list[Focus] = []
        self.organ_background: dict[str, float] = {}
        self.organ_voxels: dict[str, int] = {}
        self.marrow_suv = 0.0
        self.noise = Noise({}, 0.07, rules.smoothing_fwhm_mm)
        self.within_noise, self.hottest_noise = 0, 0.0

    def add_hot_regions(self) -> HotThreshold:
        """Finds, measures and paints the hot regions of the PET; organ pictures first, so that foci lie on top."""
        assert self.pet is not None
        threshold = hot_threshold(self.reference, self.rules)
        fine = self.pet.geometry
        search = fine.with_spacing(_at_least(fine.spacing_mm, _SEARCH_SPACING_MM))
        search = fine if search.same_grid(fine) else search
        suv = onto_grid(self.pet.array, fine, search, order=1)
        organs = None if self.organs is None else labels_onto(self.organs, search)
        liver = None
        if self.reference is not None and self.reference.liver_mean is not None:
            liver = (self.reference.liver_mean, self.reference.liver_sd or 0.1 * self.reference.liver_mean)
        blood_pool = None if self.reference is None else self.reference.blood_pool_mean
        self.noise = scan_noise(suv, search, organs, self.rules)
        regions = hot_regions(suv, search, organs, threshold, liver, blood_pool, self.noise, self.rules)
        if organs is not None:
            self._know_organs(suv, organs, regions)
        boxes = ndimage.find_objects(regions.labels)
        for region in sorted(regions.peaks, key=lambda r: (r not in regions.pictures, r)):
            box = boxes[region - 1]
            if region in regions.pictures:
                self._add_picture(region, box, regions, suv, search, organs)
            elif len(self.foci) < MOST_FOCI:
                self._add_focal(region, box, regions, suv, search, threshold)
        return threshold

    def _know_organs(self, suv: NDArray[np.float32], organs: LabelMap, regions: HotRegions) -> None:
        """Uptake of every organ outside hot regions, and its size in voxels of the search grid."""
        for organ in self.names.values():
            mask = organs.mask(organ)
            if organ == "vertebrae" and mask.any():
                self.marrow_suv = float(np.median(suv[mask]))
            self.organ_voxels[organ] = int(np.count_nonzero(mask))
            quiet = suv[mask & (regions.labels == 0)]
            if quiet.size >= 10:
                self.organ_background[organ] = float(np.median(quiet))
            elif self.organ_voxels[organ]:
                self.organ_background[organ] = float(np.percentile(suv[mask], 25))

    def _add_picture(
        self, region: int, box: tuple[slice, ...], regions: HotRegions, suv: NDArray[np.float32],
        search: Geometry, organs: LabelMap | None,
    ) -> None:
        """The whole uptake of one organ as one focus, measured on the PET's grid."""
        assert organs is not None
        organ = regions.pictures[region]
        mask, grid = regions.labels[box] == region, search.cropped(*_bounds(box))
        values = suv[box]
        inside = mask & (organs.array[box] == organs.labels[organ])
        read, shape = axial_diameters(mask, grid), shape_of(mask, grid)
        volume_ml = float(np.count_nonzero(mask)) * grid.voxel_volume_ml
        features = {
            "picture": 1.0, "sphericity": shape.sphericity, "elongation": shape.elongation,
            "length_mm": shape.length_mm, "short_long_ratio": read.short_mm / read.longest_mm, "size_from_ct": 0.0,
            "organ_share": np.count_nonzero(inside) / max(1, self.organ_voxels.get(organ, 0)),
        }
        places = grid.to_world(np.argwhere(mask))
        if self.midline is not None:
            halves = own_symmetry(values[mask].astype(float), places[:, 0], self.midline)
            if halves is not None:
                features["own_symmetry"] = halves
        peak = suv_peak(values, grid, mask)
        features |= self._uptake_ratios(peak, organ, None)
        if self.ct is not None:
            hu = onto_grid(self.ct.array, self.ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
            features |= ct_features(hu, mask, grid, self.rules)
        self._keep(
            mask, grid, places.mean(axis=0), volume_ml, read.longest_mm, read.short_mm, features, over=False,
            suv=(float(values[mask].max()), peak, float(values[mask].mean())), organ=organ,
            organ_fraction=np.count_nonzero(inside) / np.count_nonzero(mask), source=FocusSource.PET,
        )

    def _add_focal(
        self, region: int, box: tuple[slice, ...], regions: HotRegions, suv: NDArray[np.float32],
        search: Geometry, threshold: HotThreshold,
    ) -> None:
        """One focal region: its extent from CT or PET contour, on a fine crop."""
        assert self.pet is not None
        pad = [int(np.ceil((self.rules.contour_reach_mm + 3.0) / s)) for s in search.spacing_mm]
        crop = tuple(slice(max(0, s.start - p), min(n, s.stop + p))
                     for s, p, n in zip(box, pad, regions.labels.shape, strict=True))
        coarse = search.cropped(*_bounds(crop))
        corners = coarse.corners_mm()
        bounds = crop_around(self.grid, corners.min(axis=0), corners.max(axis=0))
        if bounds is None:
            return
        coarser = max(1.0, float(np.ptp(corners, axis=0).max()) / _MEASURE_REACH_MM)
        fine = fine_grid(self.grid.cropped(*bounds), coarser)
        hu = None
        if self.ct is not None:
            inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
            hu = onto_grid(self.ct.array[inner], self.grid.cropped(*bounds), fine, order=1, outside=-1024.0)
        basin, others = regions.labels[crop] == region, regions.labels[crop] > 0
        pictured = np.isin(regions.labels[crop], list(regions.pictures))
        extent = focus_extent(basin, (others & ~basin), suv[crop], coarse, hu, fine,
                              self.grid, self.rules)
        volume_ml = extent.volume_ml
        native = self._native_uptake(extent.mask, fine, regions.peaks[region][0], search, pictured, coarse)
        background = extent.background_suv
        centre = fine.to_world(np.argwhere(extent.mask)).mean(axis=0)
        spot = self._spot_in_lung(extent, centre, hu, fine)
        shown = spot is not None and native[0] >= threshold.suv  # by the CT, as small as it is
        if not stands_out(
            native, volume_ml, background, self._organ_at(centre), from_ct=extent.from_ct or shown,
            threshold_suv=threshold.suv, liver_suv=None if self.reference is None else self.reference.liver_mean,
            voxel_ml=self.pet.geometry.voxel_volume_ml, noise=self.noise, rules=self.rules,
        ):
            if region not in regions.faint:
                self.within_noise += 1
                self.hottest_noise = max(self.hottest_noise, native[0])
            return
        read_mask = extent.mask
        shape = shape_of(read_mask, fine)
        vertical = np.ptp(fine.to_world(np.argwhere(read_mask))[:, 2]) + fine.spacing_mm[fine.axis_of(2)]
        features = {
            "picture": 0.0, "sphericity": shape.sphericity, "elongation": shape.elongation,
            "length_mm": shape.length_mm, "size_from_ct": float(extent.from_ct), "background_suv": background,
            "vertical_mm": float(vertical), "field_end_mm": self._to_field_end(centre),
        }
        tissue = {} if hu is None else ct_features(hu, read_mask, fine, self.rules)
        features |= tissue
        if extent.from_ct:
            features["ct_nodule_mm"] = extent.longest_mm
        organ_crop = self._organs_on(fine)
        organ, fraction = host_organ(read_mask, organ_crop, self.names, fine, tissue, extent.longest_mm, self.rules,
                                     sphericity=shape.sphericity, place=self.landmarks.of(centre, self.midline),
                                     lung=self.landmarks.lung_at(centre, self.midline))
        if is_marrow(organ, fraction, tissue, native, self.marrow_suv, from_ct=extent.from_ct, rules=self.rules):
            return
        if region in regions.faint and not is_large_node(organ, extent, shape.sphericity, tissue, self.rules):
            return
        longest, short = extent.longest_mm, extent.short_mm
        if organ in (BONE, "vertebrae") and not extent.from_ct:
            marrow = self.marrow_suv
            if hu is not None and native[0] < self.rules.faint_in_marrow * marrow:
                near = marrow_beside(extent.mask, others & ~basin, suv[crop], coarse, hu, fine, self.rules)
                marrow = max(marrow, near)
            if background < marrow < 0.6 * native[1]:
                # A lesion in marrow is measured against it, not against the muscle around the bone.
                in_marrow = focus_extent(basin, (others & ~basin), suv[crop], coarse, None, fine, self.grid, self.rules,
                                         least_background=marrow)
                longest, short = in_marrow.longest_mm, in_marrow.short_mm
            hole = None if hu is None else self._hole_beside(longest, centre, hu, fine)
            if hole is not None:
                longest, short = hole.longest_mm, hole.short_mm
                features["lytic_mm"] = longest
        elif spot is not None and organ in LUNGS:
            longest, short = spot.longest_mm, spot.short_mm
            features["spot_mm"] = longest
        features["short_long_ratio"] = short / longest
        features |= near_hot_organs(read_mask, organ_crop, self.names, fine, self.rules)
        features |= self._uptake_ratios(native[1], organ, background)
        if organ in self.organ_voxels:
            voxels = volume_ml / search.voxel_volume_ml * fraction
            features["organ_share"] = min(1.0, voxels / max(1, self.organ_voxels[organ]))
        self._keep(
            read_mask, fine, centre, volume_ml, longest, short, features, over=True, suv=native,
            organ=organ, organ_fraction=fraction, source=FocusSource.PET,
        )

    def _hole_beside(
        self, longest_mm: float, centre: NDArray[np.float64], hu: NDArray[np.float32], fine: Geometry
    ) -> AxialDiameters | None:
        """Diameters of the hole in bone that a focus of about that size leaves on the CT."""
        hole = lytic_on_ct(hu, fine, [centre], [max(longest_mm / 2.0, 4.0)], self.rules)
        if hole is None:
            return None
        read = axial_diameters(hole, fine)
        beside = abs(np.log(read.longest_mm / longest_mm)) <= self.rules.lytic_beside_pet
        return read if beside else None  # else it is another hole

    def _spot_in_lung(
        self, extent: Extent, centre: NDArray[np.float64], hu: NDArray[np.float32] | None, fine: Geometry
    ) -> Size | None:
        """What the CT shows of a small focus in the lung, too small for a border there and blurred on the PET."""
        rules = self.rules
        if self.ct is None or hu is None or extent.from_ct or extent.longest_mm > rules.spot_most_mm:
            return None
        if self._organ_at(centre) not in LUNGS:
            return None
        if ct_features(hu, extent.mask, fine, rules)["rim_lung_fraction"] < rules.spot_lung:
            return None
        spot = remnant_in_lung(self.ct, centre, extent.longest_mm, rules)
        return None if spot is None else spot.size

    def _organ_at(self, place: NDArray[np.float64]) -> str | None:
        if self.organs is None:
            return None
        i, j, k = np.round(self.organs.geometry.to_index(place)).astype(int)
        inside = all(0 <= v < n for v, n in zip((i, j, k), self.organs.geometry.shape, strict=True))
        return self.names.get(int(self.organs.array[i, j, k])) if inside else None

    def _to_field_end(self, place: NDArray[np.float64]) -> float:
        """Distance along the body from a place to the nearer end of the PET's field of view, mm."""
        assert self.pet is not None
        axis = self.pet.geometry.axis_of(2)
        at = float(self.pet.geometry.to_index(place)[axis])
        return min(at, self.pet.geometry.shape[axis] - 1 - at) * self.pet.geometry.spacing_mm[axis]

    def _native_uptake(
        self, mask: NDArray[np.bool_], grid: Geometry, hottest: tuple[int, int, int], search: Geometry,
        pictured: NDArray[np.bool_], coarse: Geometry,
    ) -> tuple[float, float, float]:
        """SUVmax, SUVpeak and SUVmean of a region at the PET's own resolution."""
        assert self.pet is not None
        corners = grid.corners_mm()
        bounds = crop_around(self.pet.geometry, corners.min(axis=0), corners.max(axis=0))
        assert bounds is not None
        inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
        native = self.pet.geometry.cropped(*bounds)
        region = onto_grid(mask.astype(np.float32), grid, native, order=1, antialias=False) >= 0.5
        place = np.round(native.to_index(search.to_world(hottest))).astype(int)
        i, j, k = np.clip(place, 0, np.array(native.shape) - 1)
        region[i, j, k] = True
        # A focus beside a hot organ must not take its numbers from that organ.
        region &= ~(onto_grid(pictured.astype(np.float32), coarse, native, order=1, antialias=False) >= 0.5)
        region[i, j, k] = True
        values = self.pet.array[inner]
        return float(values[region].max()), suv_peak(values, native, region), float(values[region].mean())

    def _uptake_ratios(self, peak: float, organ: str | None, background: float | None) -> dict[str, float]:
        return uptake_ratios(peak, self.organ_background.get(organ or "", background), self.reference)

    def _organs_on(self, grid: Geometry) -> NDArray[np.uint8]:
        if self.organs is None:
            return np.zeros(grid.shape, np.uint8)
        sampled: NDArray[np.uint8] = onto_grid(self.organs.array, self.organs.geometry, grid, order=0)
        return sampled

    def add_ct_lesions(self, lesions: Iterable[CtLesion]) -> None:
        """Solid lesions that the CT shows and no hot region covers."""
        for lesion in lesions:
            doubtful = lesion.doubtful and self._cold(lesion)
            if len(self.foci) < MOST_FOCI and not doubtful and not self._taken(lesion) and not self._breathed(lesion):
                self._add_ct_lesion(lesion)

    def _taken(self, lesion: CtLesion) -> bool:
        """Whether a focus covers a lesion, or is smaller and lies in it: a contour at another level of the same."""
        labels = onto_grid(self.labels, self.grid, lesion.geometry, order=0)
        inside = np.bincount(labels[lesion.mask], minlength=2)
        inside[0] = 0
        if inside.sum() >= 0.3 * np.count_nonzero(lesion.mask):
            return True
        most = int(inside.argmax())
        return bool(2 * inside[most] > np.count_nonzero(labels == most))

    def _breathed(self, lesion: CtLesion) -> bool:
        """Whether a dark spot of the liver is a focus straight above or below it: breathing parts CT and PET."""
        own = None if lesion.organ != "liver" or self.pet is None else self._uptake_of(lesion)
        if own is None:
            return False
        rules = self.rules
        centre = lesion.geometry.to_world(np.argwhere(lesion.mask)).mean(axis=0)
        longest = axial_diameters(lesion.mask, lesion.geometry).longest_mm
        for focus in self.foci:
            if focus.source is not FocusSource.PET or focus.features["picture"]:
                continue
            off = np.abs(np.array(focus.centroid_ras_mm) - centre)
            alike = abs(np.log(focus.longest_mm / longest)) <= rules.breathed_size
            cold = own[0] <= rules.breathed_cold * (focus.suv_max or 0.0)
            if alike and cold and off[2] <= rules.breathing_mm and np.hypot(*off[:2]) <= rules.breathed_aside_mm:
                return True
        return False

    def _cold(self, lesion: CtLesion) -> bool:
        """Whether the PET does not show a lung nodule; True without PET."""
        if self.pet is None or lesion.organ not in self.noise.organs:
            return True
        uptake = self._uptake_of(lesion)
        usual, _ = self.noise.organs[lesion.organ]
        blood = 0.0 if self.reference is None else self.reference.blood_pool_mean or 0.0
        least = max(self.rules.lung_nodule_suv, self.rules.ct_nodule_lung_ratio * usual, 1.1 * blood)  # no vessel
        return uptake is None or uptake[0] < least

    def _uptake_of(self, lesion: CtLesion) -> tuple[float, float, float] | None:
        """SUVmax, SUVpeak and SUVmean of what the CT shows, at the PET's own resolution; None beyond its field.

        On the slope of something hotter beside it no voxel is its own maximum: its median stands for all three.
        """
        assert self.pet is not None
        mask, grid, pet = lesion.mask, lesion.geometry, self.pet.geometry
        voxels = np.unique(np.round(pet.to_index(grid.to_world(np.argwhere(mask)))).astype(int), axis=0)
        voxels = voxels[((voxels >= 0) & (voxels < pet.shape)).all(axis=1)]
        if not len(voxels):
            return None
        values = self.pet.array[tuple(voxels.T)]
        i, j, k = (int(v) for v in voxels[np.argmax(values)])
        beside = self.pet.array[tuple(slice(max(0, v - 1), v + 2) for v in (i, j, k))]
        if beside.max() > values.max():
            usual = float(np.median(values))
            return usual, usual, usual
        return self._native_uptake(mask, grid, (i, j, k), pet, np.zeros_like(mask), grid)

    def _add_ct_lesion(self, lesion: CtLesion) -> None:
        assert self.ct is not None
        mask, grid = lesion.mask, lesion.geometry
        hu = onto_grid(self.ct.array, self.ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
        size, shape = solid_size(hu, mask, grid, self.grid, self.rules), shape_of(mask, grid)
        features = {
            "picture": 0.0, "sphericity": shape.sphericity, "elongation": shape.elongation,
            "length_mm": shape.length_mm, "short_long_ratio": size.short_mm / size.longest_mm, "size_from_ct": 1.0,
            "ct_nodule_mm": size.longest_mm,
        } | ct_features(hu, mask, grid, self.rules)
        uptake = None if self.pet is None else self._uptake_of(lesion)
        if uptake is not None:
            features |= self._uptake_ratios(uptake[1], lesion.organ, None)
        self._keep(
            mask, grid, grid.to_world(np.argwhere(mask)).mean(axis=0), size.volume_ml, size.longest_mm, size.short_mm,
            features, over=False, suv=uptake, organ=lesion.organ, organ_fraction=1.0, source=FocusSource.CT,
        )

    def _keep(
        self, mask: NDArray[np.bool_], grid: Geometry, centre: NDArray[np.float64], volume_ml: float,
        longest_mm: float, short_mm: float, features: dict[str, float], *, over: bool,
        suv: tuple[float, float, float] | None, organ: str | None, organ_fraction: float, source: FocusSource,
    ) -> None:
        """Gives the focus its id, paints it, and keeps it."""
        focus_id = len(self.foci) + 1
        features = features | self.landmarks.of(centre, self.midline)
        self._paint(focus_id, mask, grid, centre, over=over)
        x, y, z = (float(c) for c in centre)
        self.foci.append(Focus(
            id=focus_id, centroid_ras_mm=(x, y, z), volume_ml=volume_ml, longest_mm=longest_mm,
            short_mm=min(short_mm, longest_mm), suv_max=suv and suv[0], suv_peak=suv and suv[1],
            suv_mean=suv and suv[2], tlg=suv and suv[2] * volume_ml, organ=organ, organ_fraction=organ_fraction,
            source=source, is_node=organ == "lymph_node",
            features={name: float(value) for name, value in features.items() if np.isfinite(value)},
        ))

    def _paint(
        self, focus_id: int, mask: NDArray[np.bool_], grid: Geometry, centre: NDArray[np.float64], *, over: bool
    ) -> None:
        corners = grid.corners_mm()
        bounds = crop_around(self.grid, corners.min(axis=0), corners.max(axis=0))
        if bounds is None:
            return
        target = self.grid.cropped(*bounds)
        painted = onto_grid(mask.astype(np.float32), grid, target, order=1, antialias=False) >= 0.5
        if not painted.any():
            i, j, k = np.clip(np.round(target.to_index(centre)).astype(int), 0, np.array(target.shape) - 1)
            painted[i, j, k] = True
        view = self.labels[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))]
        free = view == 0
        if over:
            free |= np.isin(view, [f.id for f in self.foci if f.features["picture"]])
        view[painted & free] = focus_id


def _bounds(box: tuple[slice, ...]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return (box[0].start, box[1].start, box[2].start), (box[0].stop, box[1].stop, box[2].stop)


def _at_least(spacing_mm: tuple[float, float, float], least: float) -> tuple[float, float, float]:
    i, j, k = (max(s, least) for s in spacing_mm)
    return i, j, k


