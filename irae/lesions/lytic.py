"""A lesion in bone: the hole that a lytic one leaves on CT, and the uptake of the marrow beside a faint one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.lesions.rules import FociRules
from irae.quant.distance import ball, distance_mm
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_mm, shape_of


def lytic_on_ct(
    hu: NDArray[np.float32], geometry: Geometry, places: Iterable[NDArray[np.float64]], radii_mm: Sequence[float],
    rules: FociRules,
) -> NDArray[np.bool_] | None:
    """The hole in bone at a place, if it is a ball; else None.

    Its border lies half-way between it and the bone around it. What the bone does not enclose (muscle beside a lesion
    that has destroyed the cortex) is cut off where a ball of its size, rolled over the bone, cannot enter. Such a cut,
    and the patchy marrow of the old, leave no ball: nothing is said of these.

    Args:
        hu: (i, j, k) HU on a crop.
        geometry: The crop.
        places: Where its centre may lie, RAS+ mm.
        radii_mm: How large it may be.
        rules: HU and shape.

    Returns:
        Of all that were tried, the roundest.
    """
    spacing = np.array(geometry.spacing_mm)
    smooth = ndimage.gaussian_filter(hu, 1.0 / spacing, truncate=2.5)
    bone = smooth >= rules.bone_around_hu
    if not bone.any():
        return None
    at = geometry.to_world(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1))
    to_bone = distance_mm(~bone, spacing)
    places = list(places)
    best: NDArray[np.bool_] | None = None
    roundest = rules.lytic_sphericity
    for radius in radii_mm:
        grown = to_bone <= min(radius + 2.0, rules.lytic_roll_mm)
        grown[0], grown[-1], grown[:, 0], grown[:, -1], grown[:, :, 0], grown[:, :, -1] = (False,) * 6
        enclosed = distance_mm(grown, spacing) > min(radius + 2.0, rules.lytic_roll_mm)
        for place in places:
            away = np.linalg.norm(at - place, axis=-1)
            hole = _hole(smooth, bone, enclosed, away, radius, geometry, rules)
            if hole is not None:  # once more from its own middle: HU at its border are not those of its inside
                away = np.linalg.norm(at - geometry.to_world(np.argwhere(hole)).mean(axis=0), axis=-1)
                own = max(ball_mm(np.count_nonzero(hole) * geometry.voxel_volume_ml) / 2.0, 3.0)
                hole = _hole(smooth, bone, enclosed, away, own, geometry, rules)
            if hole is None:
                continue
            sphericity = shape_of(hole, geometry).sphericity
            if sphericity >= roundest:
                best, roundest = hole, sphericity
    return best


def marrow_beside(
    lesion: NDArray[np.bool_], others: NDArray[np.bool_], suv: NDArray[np.float32], pet_grid: Geometry,
    hu: NDArray[np.float32], geometry: Geometry, rules: FociRules,
) -> float:
    """Uptake of the marrow beside a lesion, g/mL; 0 where too little bone lies there.

    Args:
        lesion: (i, j, k) on ``geometry``.
        others, suv: All other regions and the uptake, on ``pet_grid``.
        pet_grid: A crop of the PET's grid.
        hu: The CT on ``geometry``.
        geometry: A crop of the label grid.
        rules: What is bone, and how far beside the lesion.
    """
    smooth = ndimage.gaussian_filter(hu, 1.0 / np.array(geometry.spacing_mm))
    bone = ndimage.binary_closing(smooth >= rules.beside_hu)
    away = distance_mm(~lesion, geometry.spacing_mm)
    nearest, farthest = rules.beside_mm
    beside = (away > nearest) & (away <= farthest) & (distance_mm(bone, geometry.spacing_mm) >= rules.beside_deep_mm)
    beside &= onto_grid(others.astype(np.float32), pet_grid, geometry, order=1) < 0.5
    if np.count_nonzero(beside) * geometry.voxel_volume_ml < rules.beside_ml:
        return 0.0
    return float(np.percentile(onto_grid(suv, pet_grid, geometry, order=1)[beside], rules.beside_percentile))


def _hole(
    smooth: NDArray[np.float32], bone: NDArray[np.bool_], enclosed: NDArray[np.bool_], away: NDArray[np.float64],
    radius_mm: float, geometry: Geometry, rules: FociRules,
) -> NDArray[np.bool_] | None:
    """What is darker than the bone around a ball and joins its inner half; None where little is, or it goes far."""
    core = away <= max(0.5 * radius_mm, 2.5)
    around = bone & (away > radius_mm) & (away <= radius_mm + 8.0)
    if np.count_nonzero(around) < 60 or not core.any():
        return None
    inside, marrow = float(np.median(smooth[core])), min(float(np.median(smooth[around])), rules.lytic_marrow_hu)
    if marrow - inside < rules.lytic_contrast_hu:
        return None
    soft = (smooth < 0.5 * (inside + marrow)) & (smooth > -30.0) & enclosed & (away <= radius_mm + 6.0)
    inner = ndimage.binary_erosion(soft, ball(geometry.spacing_mm, 1.8))
    parts, count = ndimage.label(inner)
    hits = np.bincount(parts[core & inner], minlength=count + 1)
    hits[0] = 0
    if not hits.any():
        return None
    hole = soft & ndimage.binary_dilation(parts == int(hits.argmax()), ball(geometry.spacing_mm, 1.9))
    hole = ndimage.gaussian_filter(hole.astype(np.float32), 1.2 / np.array(geometry.spacing_mm)) >= 0.5
    size = np.count_nonzero(hole)
    far = np.count_nonzero(hole & (away > radius_mm + 5.0))
    return hole if size and far <= 0.02 * size else None
