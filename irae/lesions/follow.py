"""Known lesions that no focus of an exam is: looked for at their registered places, on its CT and on its PET.

A search for hot regions finds what is new. What was found before is looked for where it was: under therapy a
metastasis cools long before it is gone, and RECIST measures it all the same. Where lung or fat shows its border the CT
measures it, in the lung also a spot of a few voxels (``partial_volume``) and a ball of which an opacity leaves a part
free (``free_border``), in bone the hole that it leaves (``lytic``); else what is left of its uptake does
(``residual``), and where the PET shows nothing, a dark spot in the liver (``dark_remnant``) or a ball that the CT shows
in fat though it touches a vessel or bowel: of 15 such nodes of synthetic patients the diameter was +1.0 mm, SD 1.6, and
of 408 places without a lesion none had such a ball within 6 mm. Where neither shows it (bone, muscle, liver of its own
attenuation) a PET says that it is gone; a CT alone does not. What lies under an opacity or under brown fat that shows
nothing of it is neither there nor gone: it is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.focus import Focus, FocusSource, Nature
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.volume import Volume
from irae.lesions.crops import crop_around, fine_grid
from irae.lesions.dark_remnant import remnant_in_liver
from irae.lesions.features import ct_features, uptake_ratios
from irae.lesions.free_border import ball_at_border
from irae.lesions.hiding import covers, drowns, lies_in, may_hold
from irae.lesions.lytic import lytic_on_ct
from irae.lesions.partial_volume import Size, Sized, remnant_in_lung, solid_size
from irae.lesions.residual import residual_on_pet
from irae.lesions.rules import BONE, FOCI_RULES, LUNGS, FociRules
from irae.lesions.sizing import extent_on_ct
from irae.lesions.values import FociFound, Known, listed
from irae.quant.diameter import axial_diameters
from irae.quant.peak import suv_peak
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_mm, shape_of
from irae.quant.uptake import UptakeReference

# Registration leaves about this much; a lesion is looked for at its place and this far from it along each axis.
OFF_MM = 6.0
OFFSETS_MM = (np.zeros(3), *(sign * OFF_MM * np.eye(3)[axis] for axis in range(3) for sign in (-1.0, 1.0)))
SIZES = (1.0, 0.6)  # of its earlier radius: it may have shrunk
ROUND = 0.9  # sphericity of what is cut off a consolidation to be called a nodule
# Where it has no border of fat or lung that a ball in a bay could have.
FIRM = (*LUNGS, BONE, "vertebrae", "liver", "spleen")
MARGIN_MM = 22.0  # what ``extent_on_ct`` looks at around its seed, and more than OFF_MM
# Bone's share of what was soft tissue, and of what is bone: of 3490 pairs of foci of one track on 99 synthetic patients
# two outside bones went from one to the other, neither of them a lesion.
SOFT_SHARE = 0.3
BONE_SHARE = 0.6


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Followed:
    """What came of the known lesions that no focus of an exam is.

    Attributes:
        found: The exam's foci with those added at their end (``features["followed"]``); its notices besides, which
            known lesions were measured so, and which could not be.
        tracks: The tracks that were added, in the same order.
        hidden: The tracks that lie under a focus that covers them.
    """

    found: FociFound
    tracks: tuple[Known, ...]
    hidden: tuple[Known, ...]


def follow(
    found: FociFound, exam: Exam, lost: Sequence[Known], reference: UptakeReference | None = None,
    rules: FociRules = FOCI_RULES,
) -> Followed:
    """Adds the known lesions that an exam shows at their places though its search did not find them.

    Args:
        found: The exam's foci.
        exam: The exam. Its CT is used where the foci lie on it (a CT that does not lie under the PET is not).
        lost: Known tracks that none of the foci is.
        reference: Liver and blood pool of its PET.
        rules: HU limits, and what is believed of a residual on PET.
    """
    ct = exam.ct if exam.ct is not None and found.geometry.same_grid(exam.ct.geometry) else None
    labels = np.array(found.labels)
    foci = list(found.foci)
    followed: list[Known] = []
    unseen: list[Known] = []
    hidden: list[Known] = []
    for track in lost:
        if track.focus.features.get("picture") or track.nature is Nature.PHYSIOLOGIC or track.gone:
            continue
        if not in_field(track.place, found.geometry):
            continue
        number = 1 + max((f.id for f in foci), default=0)
        within = label_at(track.place, labels, found.geometry)
        over = [f.id for f in found.foci if covers(f, track)]
        hollow = [f for f in found.foci if f.id == within and may_hold(f, track)]
        aside = [*over, *(f.id for f in hollow)]
        free = np.where(np.isin(labels, aside), 0, labels) if aside else labels
        in_marrow = track.focus.organ in (BONE, "vertebrae")
        covered = lies_in(over, track, labels, found.geometry) or any(drowns(track, exam.pet) for _ in hollow)
        seen = _seen(ct, exam.pet, track, number, free if hollow else labels, free, found.geometry, reference, rules,
                     covered=covered, tissue_suv=found.marrow_suv if in_marrow else 0.0)
        if seen is None:
            (hidden if covered else unseen).append(track)
            continue
        focus, mask, grid = seen
        _paint(labels, free, found.geometry, mask, grid, focus.id)
        foci.append(focus)
        followed.append(track)
    notices = []
    if followed:
        notices.append(Notice("known_lesions_followed", "The search did not find these known lesions; they were looked "
                              "for at their registered places and measured there: "
                              f"{listed([k.focus for k in followed])}."))
    if unseen and exam.pet is None:
        notices.append(Notice("known_lesions_not_seen", "Without a PET these known lesions cannot be told from what "
                              f"is around them: {listed([k.focus for k in unseen])}. They are not measured; only lungs "
                              "and liver are searched well enough to call one gone."))
    if hidden:
        notices.append(Notice("known_lesions_hidden", "These known lesions lie under a region too large to "
                              "be them that shows nothing of them, or in the uptake of an organ that is as hot as they "
                              "were: "
                              f"{listed([k.focus for k in hidden])}. They are neither measured nor called gone."))
    found = replace(found, foci=tuple(foci), labels=labels, notices=(*found.notices, *notices))
    return Followed(found=found, tracks=tuple(followed), hidden=tuple(hidden))


def _seen(
    ct: Volume | None, pet: Volume | None, track: Known, number: int, labels: NDArray[np.uint16],
    free: NDArray[np.uint16], grid: Geometry, reference: UptakeReference | None, rules: FociRules, *,
    covered: bool, tissue_suv: float,
) -> tuple[Focus, NDArray[np.bool_], Geometry] | None:
    """A known lesion as the CT, else the PET shows it at its place: focus, mask and the mask's grid.

    ``covered``: whether something covers its place; ``free``: ``labels`` without what does. A CT can show a nodule
    within that; its uptake shows nothing.
    """
    def untaken(lesion: Sized | None) -> Sized | None:
        return None if lesion is None or _taken(free, grid, lesion) else lesion

    seen = None if ct is None else untaken(_plain_on_ct(ct, track, rules, covered=covered))
    background = None
    if seen is None and pet is not None:
        left = residual_on_pet(pet, track.place, track.focus, labels, grid, rules, tissue_suv=tissue_suv)
        if left is not None:
            seen, background = left.lesion, left.background_suv
    if seen is None and ct is not None:
        seen = untaken(_faint_on_ct(ct, track, rules))
    if seen is None:
        return None
    focus = _measured(ct, pet, seen, track, number, background, reference, rules)
    return None if _marrow_instead(focus, track.focus) else (focus, seen.mask, seen.geometry)


def _plain_on_ct(ct: Volume, track: Known, rules: FociRules, *, covered: bool) -> Sized | None:
    """What the CT shows better than a PET does: a nodule with a border, a spot in aerated lung, a hole in bone."""
    seen = _nodule_at(ct, track, rules)
    if seen is None and covered:
        seen = _nodule_at(ct, track, rules, apart=True)
    if track.focus.organ in LUNGS:
        if seen is None and covered:
            seen = _ball_at(ct, track, rules)
        return seen or remnant_in_lung(ct, track.place, ball_mm(track.focus.volume_ml), rules)
    if seen is None and track.focus.organ in (BONE, "vertebrae"):
        seen = _hole_at(ct, track, rules)
    return seen


def _faint_on_ct(ct: Volume, track: Known, rules: FociRules) -> Sized | None:
    """What is asked of the CT only where the PET shows nothing: a dark spot in the liver, a ball in fat."""
    if track.focus.organ == "liver":
        return remnant_in_liver(ct, track.place, track.focus.longest_mm, rules)
    return None if track.focus.organ in FIRM else _nodule_at(ct, track, rules, apart=True, within_mm=OFF_MM)


def _marrow_instead(focus: Focus, before: Focus) -> bool:
    """Whether what is found at the place of a lesion of soft tissue is bone: its marrow takes up tracer by nature."""
    then, now = (f.features.get("bone_fraction") for f in (before, focus))
    if then is None or now is None or before.organ in (BONE, "vertebrae"):
        return False
    return then <= SOFT_SHARE and now >= BONE_SHARE


def in_field(place: NDArray[np.float64], grid: Geometry, margin_voxels: float = 1.0) -> bool:
    """Whether a place (RAS+ mm) lies inside an image, not at its border."""
    index = grid.to_index(place)
    return bool((index >= margin_voxels).all() and (index <= np.array(grid.shape) - 1 - margin_voxels).all())


def _taken(labels: NDArray[np.uint16], geometry: Geometry, lesion: Sized) -> bool:
    """Whether another focus holds the place."""
    return bool(np.mean(onto_grid(labels, geometry, lesion.geometry, order=0)[lesion.mask] > 0) > 0.3)


def _nodule_at(
    ct: Volume, track: Known, rules: FociRules, *, apart: bool = False, within_mm: float = np.inf
) -> Sized | None:
    """The nodule that lies where the track is expected, the one nearest to it in size; None where the CT shows none.

    ``apart``: It may touch what lies beside it (a consolidation, a vessel, bowel): it is cut off at the neck, and must
    be a ball. ``within_mm``: how far from its place its middle may lie.
    """
    radius = max(4.0, ball_mm(track.focus.volume_ml) / 2.0)
    crop = _hu_around(ct, track.place, radius + MARGIN_MM)
    if crop is None:
        return None
    hu, grid = crop
    at = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    best: NDArray[np.bool_] | None = None
    least = np.inf
    for offset, size in product(OFFSETS_MM, SIZES):
        seed = ((at - track.place - offset) ** 2).sum(axis=-1) <= (size * radius) ** 2
        nodule = extent_on_ct(hu, seed, grid, rules, apart=apart) if seed.any() else None
        if nodule is None or (apart and shape_of(nodule, grid).sphericity < ROUND):
            continue
        other = abs(np.log(np.count_nonzero(nodule) * grid.voxel_volume_ml / max(track.focus.volume_ml, 0.05)))
        if other < least:
            best, least = nodule, other
    if best is None or np.linalg.norm(grid.to_world(np.argwhere(best)).mean(axis=0) - track.place) > within_mm:
        return None
    return Sized(mask=best, geometry=grid, size=solid_size(hu, best, grid, ct.geometry, rules))


def _ball_at(ct: Volume, track: Known, rules: FociRules) -> Sized | None:
    """The ball whose border lung shows on one side of a known nodule that an opacity touches."""
    radius = max(4.0, ball_mm(track.focus.volume_ml) / 2.0)
    crop = _hu_around(ct, track.place, radius * rules.free_size[1] + rules.residual_off_mm + 4.0)
    return None if crop is None else ball_at_border(*crop, track.place, radius, rules)


def _hole_at(ct: Volume, track: Known, rules: FociRules) -> Sized | None:
    """The hole in bone where a track in bone is expected, no larger than the track was; None where there is no ball."""
    before = track.focus
    crop = _hu_around(ct, track.place, before.longest_mm / 2.0 + MARGIN_MM)
    if crop is None:
        return None
    hu, grid = crop
    places = [track.place + offset for offset in OFFSETS_MM]
    hole = lytic_on_ct(hu, grid, places, [max(4.0, part * before.longest_mm / 2.0) for part in (*SIZES, 0.4)], rules)
    if hole is None:
        return None
    read = axial_diameters(hole, grid)
    if read.longest_mm > rules.residual_growth * before.longest_mm:
        return None
    volume_ml = float(np.count_nonzero(hole)) * grid.voxel_volume_ml
    size = Size(longest_mm=read.longest_mm, short_mm=read.short_mm, volume_ml=volume_ml)
    return Sized(mask=hole, geometry=grid, size=size)


def _hu_around(ct: Volume, place: NDArray[np.float64], reach_mm: float) -> tuple[NDArray[np.float32], Geometry] | None:
    """The CT around a place on a fine grid; None outside of it."""
    bounds = crop_around(ct.geometry, place - reach_mm, place + reach_mm)
    if bounds is None:
        return None
    crop = ct.geometry.cropped(*bounds)
    grid = fine_grid(crop)
    inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
    return onto_grid(ct.array[inner], crop, grid, order=1, outside=-1024.0), grid


def _measured(
    ct: Volume | None, pet: Volume | None, seen: Sized, track: Known, number: int, background_suv: float | None,
    reference: UptakeReference | None, rules: FociRules,
) -> Focus:
    """A followed lesion as a focus; sized on the CT where there is no background of a PET contour."""
    mask, grid = seen.mask, seen.geometry
    longest, short, volume_ml = seen.size.longest_mm, seen.size.short_mm, seen.size.volume_ml
    before, from_ct, shape = track.focus, background_suv is None, shape_of(mask, grid)
    features = {
        "picture": 0.0, "followed": 1.0, "sphericity": shape.sphericity, "elongation": shape.elongation,
        "length_mm": shape.length_mm, "short_long_ratio": short / longest, "size_from_ct": float(from_ct),
    }
    if from_ct:
        features["ct_nodule_mm"] = longest
    if ct is not None:
        hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
        features |= ct_features(hu, mask, grid, rules)
    uptake = None
    if pet is not None:
        suv = onto_grid(pet.array, pet.geometry, grid, order=1, antialias=False)
        uptake = (float(suv[mask].max()), suv_peak(suv, grid, mask), float(suv[mask].mean()))
        features |= uptake_ratios(uptake[1], background_suv, reference)
        if background_suv is not None:
            features["background_suv"] = background_suv
    x, y, z = (float(c) for c in grid.to_world(np.argwhere(mask)).mean(axis=0))
    return Focus(
        id=number, centroid_ras_mm=(x, y, z), volume_ml=volume_ml, longest_mm=longest, short_mm=min(short, longest),
        suv_max=uptake and uptake[0], suv_peak=uptake and uptake[1], suv_mean=uptake and uptake[2],
        tlg=uptake and uptake[2] * volume_ml, organ=before.organ, organ_fraction=before.organ_fraction,
        source=FocusSource.CT if from_ct else FocusSource.PET, is_node=before.is_node, features=features,
    )


def label_at(place: NDArray[np.float64], labels: NDArray[np.uint16], geometry: Geometry) -> int:
    """The focus that holds a place (RAS+ mm); 0 where none does."""
    index = np.round(geometry.to_index(place)).astype(int)
    if (index < 0).any() or (index >= np.array(geometry.shape)).any():
        return 0
    return int(labels[tuple(index)])


def _paint(
    labels: NDArray[np.uint16], free: NDArray[np.uint16], geometry: Geometry, mask: NDArray[np.bool_], grid: Geometry,
    number: int,
) -> None:
    """Paints a lesion where no other is, but over what covers it."""
    corners = grid.corners_mm()
    bounds = crop_around(geometry, corners.min(axis=0), corners.max(axis=0))
    assert bounds is not None
    target = geometry.cropped(*bounds)
    painted = onto_grid(mask.astype(np.float32), grid, target, order=1, antialias=False) >= 0.5
    inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
    labels[inner][painted & (free[inner] == 0)] = number
