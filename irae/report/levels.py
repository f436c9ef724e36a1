"""The same anatomical level on another exam, found by the organs that both exams show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.volume import Coverage, LabelMap

COARSE_MM = 4.0  # centres of organs are found on every n-th voxel of about this distance
NEAR_MM = 30.0  # organs nearer than this weigh about the same


def organ_centres(organs: LabelMap | None) -> dict[str, NDArray[np.float64]]:
    """Centres in RAS+ mm of the organs that lie wholly in the field of view."""
    if organs is None:
        return {}
    whole = {name: value for name, value in organs.labels.items() if organs.coverage[name] is Coverage.WHOLE}
    if not whole:
        return {}
    steps = [max(1, int(COARSE_MM / size)) for size in organs.geometry.spacing_mm]
    coarse = organs.array[:: steps[0], :: steps[1], :: steps[2]]
    present = {name: value for name, value in whole.items() if (coarse == value).any()}
    centres = ndimage.center_of_mass(np.ones(coarse.shape, np.uint8), coarse, list(present.values()))
    return {
        name: organs.geometry.to_world(np.array(centre) * steps) for name, centre in zip(present, centres, strict=True)
    }


def corresponding_point(
    point_mm: Sequence[float],
    here: dict[str, NDArray[np.float64]],
    there: dict[str, NDArray[np.float64]],
) -> NDArray[np.float64] | None:
    """Where a point of one exam lies on another: moved as the organs around it moved.

    Args:
        point_mm: (3,) RAS+ mm on the exam that ``here`` describes.
        here, there: Organ centres (``organ_centres``) of both exams.

    Returns:
        (3,) RAS+ mm on the other exam; None where the exams share no organ.
    """
    shared = sorted(set(here) & set(there))
    if not shared:
        return None
    point = np.asarray(point_mm, dtype=np.float64)
    moves = np.array([there[name] - here[name] for name in shared])
    away = np.linalg.norm(np.array([here[name] for name in shared]) - point, axis=1)
    weights = 1.0 / (away**2 + NEAR_MM**2)
    moved: NDArray[np.float64] = point + weights @ moves / weights.sum()
    return moved
