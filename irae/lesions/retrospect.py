"""Looking back: whether an earlier exam shows, at its place, a focus that is listed for the first time.

A new lesion is progression, and RECIST 1.1 asks that it be unequivocal. A node that an earlier exam did not tell from
the hot bowel beside it, or a nodule that it did not list, was there all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.focus import Focus, FocusStatus
from irae.core.notice import Notice
from irae.core.result import ExamResult
from irae.core.volume import Volume
from irae.lesions.crops import crop_around
from irae.lesions.register import Mapping
from irae.lesions.rules import FOCI_RULES, FociRules
from irae.lesions.threshold import HotThreshold, hot_threshold
from irae.lesions.values import EarlierExam, listed
from irae.quant.uptake import UptakeReference

NODULE_MM = 3.0  # a nodule was there if the tissue within this distance of its centre was solid on average


def looked_back(
    foci: Sequence[Focus], past: Sequence[EarlierExam], mapping: Callable[[int], Mapping], now: date,
    rules: FociRules = FOCI_RULES,
) -> tuple[list[Focus], tuple[Notice, ...]]:
    """Marks new foci that an earlier exam shows: ``seen_days_before`` of the oldest one that does.

    Args:
        foci: Of this exam, tracks and status set.
        past: The earlier exams, oldest first.
        mapping: Number of an earlier exam to its registration with this one.
        now: Date of this exam.
        rules: What counts as shown.

    Returns:
        The foci in their order, and a notice that names those marked.
    """
    marked, said = list(foci), []
    for n, focus in enumerate(foci):
        if focus.status is not FocusStatus.NEW or focus.features.get("picture"):
            continue
        for at, earlier in enumerate(past):
            place = mapping(at).to_then(np.array([focus.centroid_ras_mm]))[0]
            threshold = hot_threshold(_reference_of(earlier.result), rules)
            if seen_in_retrospect(focus, earlier.exam, place, threshold, rules):
                days = float((now - earlier.exam.acquired_on).days)
                marked[n] = replace(focus, features=dict(focus.features) | {"seen_days_before": days})
                said.append(f"{listed([focus])} on {earlier.exam.acquired_on.isoformat()}")
                break
    if not said:
        return marked, ()
    return marked, (Notice("seen_in_retrospect", "Listed for the first time, but an earlier exam shows as much at the "
                           f"same place, so that these are no new lesions: {', '.join(said)}."),)


def _reference_of(result: ExamResult) -> UptakeReference:
    """Liver and blood pool of an earlier exam, as its result keeps them."""
    get = result.quantities.get
    return UptakeReference(
        liver_mean=get("pet.liver_mean"), liver_sd=get("pet.liver_sd"),
        blood_pool_mean=get("pet.blood_pool_mean"), blood_pool_sd=get("pet.blood_pool_sd"),
    )


def seen_in_retrospect(
    focus: Focus, then: Exam, place: NDArray[np.float64], threshold: HotThreshold, rules: FociRules
) -> bool:
    """Whether an earlier exam is as hot where a focus lies now, or its CT as solid where a lung nodule lies now.

    Args:
        focus: As found now.
        then: The earlier exam.
        place: Where the focus would have lain in it, RAS+ mm.
        threshold: What is hot on its PET: fainter uptake proves nothing.
        rules: Distance and share.
    """
    if focus.suv_max is not None and then.pet is not None:
        suv = _values(then.pet, place, rules.look_back_mm)
        if suv.size and float(suv.max()) >= max(threshold.suv, rules.look_back_share * focus.suv_max):
            return True
    nodule = focus.features.get("size_from_ct", 0.0) > 0 and focus.features.get("rim_lung_fraction", 0.0) >= 0.5
    if nodule and then.ct is not None:
        hu = _values(then.ct, place, NODULE_MM)
        return bool(hu.size and float(hu.mean()) >= rules.nodule_in_lung_hu)
    return False


def _values(volume: Volume, place: NDArray[np.float64], radius_mm: float) -> NDArray[np.float32]:
    """The voxels of an image within a distance of a place; empty outside of it."""
    bounds = crop_around(volume.geometry, place - radius_mm, place + radius_mm)
    if bounds is None:
        return np.empty(0, np.float32)
    crop = volume.geometry.cropped(*bounds)
    at = crop.to_world(np.stack(np.meshgrid(*map(np.arange, crop.shape), indexing="ij"), axis=-1))
    near = np.linalg.norm(at - place, axis=-1) <= radius_mm
    values: NDArray[np.float32] = volume.array[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))][near]
    return values
