"""What hides a known lesion: an opacity that it lies in, or an organ's uptake that is as hot as it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from irae.core.focus import Focus, Nature
from irae.core.geometry import Geometry
from irae.core.volume import Volume
from irae.lesions.crops import crop_around
from irae.lesions.rules import BOWEL, LUNGS
from irae.lesions.values import Known
from irae.quant.shape import ball_mm

# What has this many times the volume of a lesion and is this much longer is not the lesion grown. Design values: of the
# metastases of 98 synthetic patients none grew more than 8 times from one exam to the next.
COVER_RATIO = 20.0
COVER_MM = 25.0
COVERED_SHARE = 0.3  # of the lesion's ball, from which it lies in what covers it
RAGGED = 0.75  # sphericity; in the lung such a focus hides a nodule of less than a quarter of its volume, too
RAGGED_RATIO = 4.0
RAGGED_MM = 10.0
DROWNED = 0.8  # of its earlier SUVmax: what is hotter may be the lesion itself. Design value.
HOLLOW = (*sorted(BOWEL), "stomach", "heart")  # their masks run over what lies among their loops, or against them
LEAST_MM = 6.0  # radius about a lesion's place that is looked at, at least: registration leaves as much


def covers(focus: Focus, track: Known) -> bool:
    """Whether a focus is too large to be what a known lesion has become; over its place, it hides it.

    Inflammation and normal uptake may spread as far. An organ's whole uptake hides a lesion in the lungs, where it is
    an opacity; elsewhere the lesion stands out of it or is gone.
    """
    before = track.focus
    harmless = track.nature in (Nature.INFLAMMATION, Nature.PHYSIOLOGIC)
    if harmless or (focus.features.get("picture") and focus.organ not in LUNGS):
        return False
    ratio, longer = focus.volume_ml / max(before.volume_ml, 0.05), focus.longest_mm - before.longest_mm
    ragged = focus.features.get("sphericity", 1.0) < RAGGED and not focus.features.get("size_from_ct")
    if focus.organ in LUNGS and ragged and ratio >= RAGGED_RATIO and longer >= RAGGED_MM:
        return True  # an opacity; of 11 synthetic nodules that grew as much the least round had 0.81
    return ratio >= COVER_RATIO and longer >= COVER_MM


def lies_in(over: Sequence[int], track: Known, labels: NDArray[np.uint16], grid: Geometry) -> bool:
    """Whether foci hold a good part of a known lesion's ball: its middle may be cold, a hole in what covers it."""
    if not over:
        return False
    radius = max(ball_mm(track.focus.volume_ml) / 2.0, LEAST_MM)
    bounds = crop_around(grid, track.place - radius, track.place + radius)
    if bounds is None:
        return False
    crop = grid.cropped(*bounds)
    at = crop.to_world(np.stack(np.meshgrid(*map(np.arange, crop.shape), indexing="ij"), axis=-1))
    ball = np.linalg.norm(at - track.place, axis=-1) <= radius
    inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
    return bool(np.mean(np.isin(labels[inner][ball], over)) >= COVERED_SHARE)


def may_hold(picture: Focus, track: Known) -> bool:
    """Whether a focus is the uptake of a hollow organ that a lesion of another organ may lie in, by their masks."""
    return bool(picture.features.get("picture")) and picture.organ in HOLLOW and picture.organ != track.focus.organ


def drowns(track: Known, pet: Volume | None) -> bool:
    """Whether what a lesion lies in is about as hot there as the lesion was: it cannot be told.

    An inflamed bowel beside a mass is one region with it where a mask of the bowel runs over the mass.
    """
    before = track.focus
    if pet is None or before.suv_max is None:
        return False
    radius = max(before.longest_mm / 2.0, LEAST_MM)
    bounds = crop_around(pet.geometry, track.place - radius, track.place + radius)
    if bounds is None:
        return False
    inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
    return bool(pet.array[inner].max() >= DROWNED * before.suv_max)
