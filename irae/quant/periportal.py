"""Low attenuation along the liver's vessels on CT with contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irae.core.volume import LabelMap, Volume
from irae.quant.distance import distance_mm, inner
from irae.quant.region import (
    Box,
    block_factors,
    block_geometry,
    block_mean,
    block_pick,
    geometry_of,
    grown,
    organ_boxes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriportalRules:
    """How the halo is read. Design values; more than 3 mm on both sides of a vein is what counts (PMID 10399776)."""

    grid_mm: float = 2.0
    vessel_above_hu: float = 30.0  # above the liver
    least_vessel_ml: float = 3.0
    edge_mm: float = 10.0  # of the liver left out
    band_mm: tuple[float, float] = (1.0, 5.0)  # from the vessel
    halo_below_hu: float = 22.0  # below the liver


PERIPORTAL_RULES = PeriportalRules()


def periportal_percent(
    ct: Volume, organs: LabelMap, rules: PeriportalRules = PERIPORTAL_RULES, *, boxes: Mapping[str, Box] | None = None
) -> tuple[float | None, str]:
    """Share of the tissue within 5 mm of the liver's bright vessels that is clearly darker than the liver, %.

    Args:
        ct: HU, with contrast.
        organs: Organs on the CT's grid.
        rules: How the halo is read.
        boxes: Where the organs lie, if that is known already.

    Returns:
        % and "", or None and why: no liver, or no vessels that stand out (native CT, arterial phase).
    """
    box = (organ_boxes(organs) if boxes is None else boxes).get("liver")
    if box is None:
        return None, "the liver was not seen"
    box = grown(box, ct.geometry, rules.grid_mm)
    fine = geometry_of(box, ct.geometry)
    factors = block_factors(fine, rules.grid_mm)
    grid = block_geometry(fine, factors)
    hu = ndimage.gaussian_filter(block_mean(ct.array[box], factors), 1.5 / np.array(grid.spacing_mm))
    core = inner(block_pick(organs.array[box] == organs.labels["liver"], factors), grid, rules.edge_mm)
    if not core.any():
        return None, "the liver's mask is too thin"
    level = float(np.median(hu[core]))
    vessels = core & (hu >= level + rules.vessel_above_hu)
    if np.count_nonzero(vessels) * grid.voxel_volume_ml < rules.least_vessel_ml:
        return None, "no vessels stand out in the liver: native or arterial phase"
    away = distance_mm(~vessels, grid.spacing_mm)
    band = core & (away > rules.band_mm[0]) & (away <= rules.band_mm[1])
    if not band.any():
        return None, "nothing of the liver lies beside its vessels"
    return 100.0 * float(np.mean(hu[band] <= level - rules.halo_below_hu)), ""
