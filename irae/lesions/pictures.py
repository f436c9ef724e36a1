"""Which hot regions are one organ's picture: brain, bladder, a kidney, a colon that is hot throughout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import BY_NAME, Uptake
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.lesions.basins import borders, elongation, hottest, stands_out
from irae.lesions.rules import ADRENAL_GLANDS, KIDNEYS, ONE_PICTURE, URINE, FociRules
from irae.quant.distance import distance_mm
from irae.quant.region import organ_boxes
from irae.quant.shape import shape_of

SOLID = frozenset({"brain", "heart"})


def join_pictures(
    basins: NDArray[np.int32],
    suv: NDArray[np.float32],
    smooth: NDArray[np.float32],
    hot: NDArray[np.bool_],
    organs: LabelMap | None,
    geometry: Geometry,
    rules: FociRules,
) -> dict[int, str]:
    """Joins (in place) what is one organ's picture, less what that took of its neighbourhood, which is a region again.

    Args:
        basins: (i, j, k) regions of the PET so far, 0 = not hot.
        suv: g/mL.
        smooth: The smoothed SUV that the regions were found on.
        hot: Voxels that reach their threshold.
        organs: On the same grid; without them nothing is any organ's picture.
        geometry: The grid.
        rules: The limits.

    Returns:
        Region to organ.
    """
    pictures: dict[int, str] = {}
    if organs is None:
        return pictures
    count = int(basins.max())
    peak, places = hottest(basins, smooth)
    # Hot voxels without a maximum of their own have no basin: region 0 is the background, never part of a picture.
    core = hot & (basins > 0) & (smooth >= 0.6 * peak[basins])
    core_size = np.bincount(basins[core], minlength=count + 1)
    for organ, found in organ_boxes(organs).items():
        if organ in ADRENAL_GLANDS:
            continue  # a metastasis fills the gland and its mask: that is no uptake of the organ as a whole
        label = organs.labels[organ]
        box = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in found)
        mask, inside = organs.array[box] == label, basins[box]
        share = float(np.count_nonzero(hot[box] & mask)) / float(np.count_nonzero(mask))
        if organ not in ONE_PICTURE and share < rules.diffuse_organ_fraction:
            continue
        # Urine, brain and thin walls spill over their masks; a node beside the heart must not be taken for it.
        near = mask
        if BY_NAME[organ].uptake is Uptake.HIGH:
            near = ndimage.binary_dilation(mask, iterations=max(1, round(rules.spill_mm / max(geometry.spacing_mm))))
        elif organ in ONE_PICTURE and organ != "heart":
            near = ndimage.binary_dilation(mask)
        core_near = np.bincount(inside[core[box] & near], minlength=count + 1)
        members = []
        least = rules.heart_share if organ == "heart" else 0.5
        core_inside = np.bincount(inside[core[box] & mask], minlength=count + 1)
        for region in np.flatnonzero((core_near >= np.maximum(least * core_size, 1)) & (5 * core_inside >= core_size)):
            core_ml = core_size[region] * geometry.voxel_volume_ml
            own = core[box] & (inside == region)
            if organ in KIDNEYS:
                compact = _is_renal_mass(own, mask, geometry, rules)
            elif organ in URINE:
                # A node beside a bladder of little activity; half of it in the mask or of the mask in it, it is urine.
                outside = organs.array[places[int(region)]] != label
                of_mask = np.count_nonzero((inside == region) & mask) / np.count_nonzero(mask)
                compact = bool(outside and 2 * core_inside[region] < core_size[region] and of_mask < 0.5)
            else:
                compact = core_ml <= (rules.standout_mass_ml if organ in SOLID else rules.standout_volume_ml)
                compact = compact or (organ not in SOLID and elongation(own, geometry) <= rules.mass_elongation)
            if compact:
                rest = mask & ~ndimage.binary_dilation(inside == region, iterations=2)
                if stands_out(peak[region], suv[box][rest], rules.standout_ratio):
                    continue
                at = [p - s.start for p, s in zip(places[int(region)], box, strict=True)]
                reach = [int(rules.standout_nearby_mm / s) for s in geometry.spacing_mm]
                nearby = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(at, reach, strict=True))
                if stands_out(peak[region], suv[box][nearby][rest[nearby]], rules.standout_nearby_ratio):
                    continue
            members.append(int(region))
        if members:
            joined = np.arange(count + 1, dtype=np.int32)
            joined[members] = members[0]
            basins[...] = joined[basins]
            core_size[members[0]] = core_size[members].sum()
            core_size[members[1:]] = 0
            peak[members[0]] = peak[members].max()
            for absorbed in members[1:]:  # what another organ's picture was before is this one's now
                pictures.pop(absorbed, None)
            pictures[members[0]] = organ
    _complete_brain(basins, pictures, smooth, organs, rules)
    _release_strays(basins, pictures, smooth, organs, geometry, rules)
    return pictures


def _complete_brain(
    basins: NDArray[np.int32], pictures: Mapping[int, str], smooth: NDArray[np.float32], organs: LabelMap,
    rules: FociRules,
) -> None:
    """Joins (in place) to the brain's picture what borders it broadly, without a valley, and is no hotter.

    At the skull's base, where bone encloses no slice, a segmenter leaves parts of the brain out.
    """
    brain = next((region for region, organ in pictures.items() if organ == "brain"), None)
    if brain is None:
        return
    peak, _ = hottest(basins, smooth)
    most = rules.standout_beside * float(np.percentile(smooth[organs.mask("brain")], 90))
    for first, second, saddle, faces in zip(*borders(basins, smooth), strict=True):
        other = int(second if first == brain else first)
        if brain not in (first, second) or other in pictures:
            continue
        if saddle < rules.brain_saddle * peak[other] or peak[other] > most:
            continue
        own = np.pad(basins == other, 1).view(np.int8)
        surface = sum(np.count_nonzero(np.diff(own, axis=axis)) for axis in range(3))
        if faces >= rules.brain_border * surface:
            basins[basins == other] = brain


def _is_renal_mass(
    core: NDArray[np.bool_], kidney: NDArray[np.bool_], geometry: Geometry, rules: FociRules
) -> bool:
    """Large, round and off the kidney's middle: urine is in the pelvis, longish, or in calices, which are small."""
    if np.count_nonzero(core) * geometry.voxel_volume_ml < rules.renal_mass_ml:
        return False
    off = (np.argwhere(core).mean(axis=0) - np.argwhere(kidney).mean(axis=0)) * geometry.spacing_mm
    if np.linalg.norm(off) < rules.renal_mass_off_mm:
        return False
    return elongation(core, geometry) <= rules.mass_elongation


def _release_strays(
    basins: NDArray[np.int32], pictures: Mapping[int, str], smooth: NDArray[np.float32], organs: LabelMap,
    geometry: Geometry, rules: FociRules,
) -> None:
    """Makes (in place) regions of their own of what a picture took of its neighbourhood.

    A metastasis in the liver that touches a hotter colon has no saddle against it, but it is not colon; nor is a mass
    behind a kidney kidney, or a node beside the bladder urine. Breathing puts an organ's uptake above or below its
    mask, so that this is no neighbourhood; nor is a long rim of a kidney that its mask left out.
    """
    others = [organs.labels[o] for o in organs.labels if organs.seen(o) and o not in ONE_PICTURE]
    body_axis = geometry.axis_of(2)
    reach = int(np.ceil(rules.breathing_mm / geometry.spacing_mm[body_axis]))
    following = int(basins.max()) + 1
    for region, organ in pictures.items():
        box = list(ndimage.find_objects((basins == region).astype(np.uint8), max_label=1)[0])
        along = box[body_axis]
        box[body_axis] = slice(max(0, along.start - reach), along.stop + reach)
        labels = organs.array[tuple(box)]
        stray = np.isin(labels, others)
        if organ in URINE:
            stray |= labels == 0
        whole = basins[tuple(box)] == region
        stray &= whole
        if organ == "urinary_bladder" and _is_one_ball(whole, labels == organs.labels[organ], geometry, rules):
            continue
        if np.count_nonzero(stray) * geometry.voxel_volume_ml < rules.stray_ml:
            continue
        home = ndimage.maximum_filter1d(labels == organs.labels[organ], 2 * reach + 1, axis=body_axis, mode="constant")
        away = distance_mm(~home, geometry.spacing_mm)
        parts, count = ndimage.label(stray & (away > rules.stray_mm))
        sizes = np.bincount(parts.ravel(), minlength=count + 1) * geometry.voxel_volume_ml
        for part in range(1, count + 1):
            if sizes[part] >= rules.stray_ml:
                tip = parts == part  # too far off to be the organ's; so is what joins it and is no hotter
                off = distance_mm(~tip, geometry.spacing_mm)
                joins = stray & (off <= rules.stray_mm) & (away > rules.stray_blur_mm) & (parts == 0)
                joins &= smooth[tuple(box)] <= smooth[tuple(box)][tip].max()
                stray_whole = tip | joins
                if organ in KIDNEYS and elongation(stray_whole, geometry) > rules.stray_elongation:
                    continue
                basins[tuple(box)][stray_whole] = following
                following += 1


def _is_one_ball(
    region: NDArray[np.bool_], bladder: NDArray[np.bool_], geometry: Geometry, rules: FociRules
) -> bool:
    """Whether a region is one ball of urine of which the bladder's mask left a good part out."""
    if np.count_nonzero(region & bladder) >= rules.bladder_share * np.count_nonzero(region):
        return False
    i, j, k = region.shape
    return shape_of(region, geometry.cropped((0, 0, 0), (i, j, k))).sphericity >= rules.bladder_sphericity
