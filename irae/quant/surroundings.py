"""What lies around and between organs on CT: stranded fat, gas outside the bowel, fluid around the lungs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.quant.distance import distance_mm, opened
from irae.quant.holes import filled_slices
from irae.quant.region import (
    Box,
    block_factors,
    block_geometry,
    block_mean,
    block_pick,
    geometry_of,
    grown,
    joined,
    organ_boxes,
)

LUNGS = ("lung_left", "lung_right")
HOLLOW = ("colon", "small_bowel", "stomach")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundingRules:
    """How fat, gas and fluid are read. Design values, but for the HU of fluid (0-30 in every textbook)."""

    grid_mm: float = 2.0
    band_mm: tuple[float, float] = (3.0, 10.0)  # around an organ; nearer lies what blurs into it
    fat_hu: tuple[float, float] = (-160.0, -15.0)
    stranded_hu: float = -70.0
    neighbour_mm: float = 3.0  # from any other organ
    least_fat_ml: float = 2.0

    gas_grid_mm: float = 4.0
    gas_hu: float = -600.0
    gas_from_bowel_mm: float = 15.0  # a pocket that comes nearer to bowel, stomach or lung may be theirs
    gas_from_skin_mm: float = 12.0
    least_pocket_ml: float = 0.5

    fluid_grid_mm: float = 4.0
    fluid_hu: tuple[float, float] = (-15.0, 35.0)
    fluid_reach_mm: float = 60.0  # from the lungs
    fluid_width_mm: float = 12.0  # thinner than this is a border between fat and muscle
    least_fluid_ml: float = 30.0


SURROUNDING_RULES = SurroundingRules()


def stranding_percent(
    ct: Volume, organs: LabelMap, organ: str, rules: SurroundingRules = SURROUNDING_RULES, *,
    boxes: Mapping[str, Box] | None = None,
) -> float | None:
    """Share of the fat around an organ that is denser than -70 HU, %.

    Args:
        ct: HU.
        organs: Organs on the CT's grid.
        organ: Around which.
        rules: How wide and how dense.
        boxes: Where the organs lie, if that is known already.

    Returns:
        %; None where the organ was not seen or too little fat lies around it.
    """
    box = (organ_boxes(organs) if boxes is None else boxes).get(organ)
    if box is None:
        return None
    box = grown(box, ct.geometry, rules.band_mm[1] + rules.grid_mm)
    hu, labels, grid = _blocks(ct, organs, box, rules.grid_mm)
    mask = labels == organs.labels[organ]
    if not mask.any():
        return None
    away = distance_mm(~mask, grid.spacing_mm)
    others = distance_mm((labels == 0) | mask, grid.spacing_mm)
    band = (away >= rules.band_mm[0]) & (away <= rules.band_mm[1]) & (others > rules.neighbour_mm)
    fat = hu[band & (hu >= rules.fat_hu[0]) & (hu <= rules.fat_hu[1])]
    if fat.size * grid.voxel_volume_ml < rules.least_fat_ml:
        return None
    return 100.0 * float(np.mean(fat > rules.stranded_hu))


def free_gas_ml(
    ct: Volume, organs: LabelMap, rules: SurroundingRules = SURROUNDING_RULES
) -> tuple[float | None, str]:
    """Gas in the belly that belongs to no bowel, stomach or lung, mL.

    A pocket counts only where all of it lies away from every mask that may hold gas, and from the skin. Loops that a
    mask has missed look the same, whence the distance; small pockets beside the bowel are therefore not seen.

    Returns:
        mL and "", or None and why it was not looked for.
    """
    missing = [organ for organ in (*HOLLOW, "liver", *LUNGS) if not organs.seen(organ)]
    if missing:
        return None, f"needs masks that were not found: {', '.join(missing)}"
    boxes = organ_boxes(organs)
    levels = grown(joined([boxes[o] for o in (*HOLLOW, "liver")]), ct.geometry, 40.0)[ct.geometry.axis_of(2)]
    box = _all_of(ct.geometry, levels)  # out to the skin, which tells gas inside from air outside
    hu, labels, grid = _blocks(ct, organs, box, rules.gas_grid_mm)
    body = _body(hu, ct.geometry.axis_of(2))
    inside = distance_mm(body, grid.spacing_mm) >= rules.gas_from_skin_mm
    holders = np.isin(labels, [organs.labels[o] for o in (*HOLLOW, *LUNGS)])
    near = distance_mm(~holders, grid.spacing_mm) < rules.gas_from_bowel_mm
    pockets, count = ndimage.label((hu <= rules.gas_hu) & body)
    if not count:
        return 0.0, ""
    size = np.bincount(pockets.reshape(-1), minlength=count + 1)
    excluded = np.zeros(count + 1, dtype=bool)
    excluded[np.unique(pockets[near | ~inside])] = True
    excluded[0] = True
    excluded |= size * grid.voxel_volume_ml < rules.least_pocket_ml
    return float(size[~excluded].sum()) * grid.voxel_volume_ml, ""


def pleural_fluid_ml(
    ct: Volume, organs: LabelMap, rules: SurroundingRules = SURROUNDING_RULES
) -> tuple[float | None, str]:
    """Fluid around the lungs, behind or below them, mL; both sides together.

    Returns:
        mL and "", or None and why it was not looked for.
    """
    missing = [organ for organ in (*LUNGS, "heart", "liver") if not organs.seen(organ)]
    if missing:
        return None, f"needs masks that were not found: {', '.join(missing)}"
    boxes = organ_boxes(organs)
    box = grown(joined([boxes[lung] for lung in LUNGS]), ct.geometry, 30.0)
    hu, labels, grid = _blocks(ct, organs, box, rules.fluid_grid_mm)
    lungs = np.isin(labels, [organs.labels[lung] for lung in LUNGS])
    near = distance_mm(~lungs, grid.spacing_mm) <= rules.fluid_reach_mm
    calm = ndimage.uniform_filter(hu, 3)
    fluid = (calm >= rules.fluid_hu[0]) & (calm <= rules.fluid_hu[1]) & near
    # Lung masks may run over an effusion; every other organ is not one.
    fluid &= (labels == 0) | lungs
    fluid = opened(fluid & _within_chest(lungs), grid, rules.fluid_width_mm)
    pieces, count = ndimage.label(fluid)
    sizes = np.bincount(pieces.reshape(-1), minlength=count + 1)[1:] * grid.voxel_volume_ml
    return float(sizes[sizes >= rules.least_fluid_ml].sum()), ""


def _blocks(
    ct: Volume, organs: LabelMap, box: Box, spacing_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8], Geometry]:
    fine = geometry_of(box, ct.geometry)
    factors = block_factors(fine, spacing_mm)
    return block_mean(ct.array[box], factors), block_pick(organs.array[box], factors), block_geometry(fine, factors)


def _all_of(geometry: Geometry, levels: slice) -> Box:
    """Whole axial slices between two levels."""
    ends = [slice(0, n) for n in geometry.shape]
    ends[geometry.axis_of(2)] = levels
    return ends[0], ends[1], ends[2]


def _body(hu: NDArray[np.float32], axis: int) -> NDArray[np.bool_]:
    """The body with the gas inside it, slice by slice across an axis: what the air outside does not reach."""
    solid = ndimage.binary_opening(hu > -300.0, iterations=1)
    pieces, count = ndimage.label(solid)
    if not count:
        return np.zeros_like(solid)
    trunk = pieces == 1 + int(np.argmax(np.bincount(pieces.reshape(-1))[1:]))
    return filled_slices(trunk, axis)


def _within_chest(lungs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest box around the lungs: an effusion takes the place of the lung that it has pushed away."""
    chest = np.zeros_like(lungs)
    chest[ndimage.find_objects(lungs.astype(np.uint8), max_label=1)[0]] = True
    return chest
