"""Looking back: whether an earlier exam shows, at its place, a focus that is listed for the first time.

A new lesion is progression, and RECIST 1.1 asks that it be unequivocal. A node that an earlier exam did not tell from
the hot bowel beside it, or a nodule that it did not list, was there all the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.focus import Focus
from irae.core.volume import Volume
from irae.lesions.rules import FociRules
from irae.lesions.sizing import crop_around
from irae.lesions.threshold import HotThreshold

NODULE_MM = 3.0  # a nodule was there if the tissue within this distance of its centre was solid on average


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
