"""Low attenuation along the liver's portal veins on CT with contrast: on both sides of them, or in dilated ducts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.quant.distance import depth_mm, distance_mm, opened
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
from irae.quant.shape import shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalRules:
    """How halo and ducts are read. Design values, but for the two that name a source.

    Attributes:
        grid_mm: Voxels are averaged up to this size. smoothing_mm: SD of the blur after that.
        vessel_above_hu, least_vessel_ml: What is a vessel: this much brighter than the liver; how much there must be.
        edge_mm: Of the liver, left out where its level and its vessels are read.
        band_mm, halo_below_hu: The halo: this far from a vessel, this much darker than the liver. More than 3 mm on
            both sides of a vein is what counts (PMID 10399776).
        bile_hu: Bile, -9..20 HU (ACR incidental findings, J Am Coll Radiol 2017), as in cysts.
        dark_share: A voxel is dark where it is this far from the liver's level to bile's.
        duct_share: A duct's darkest tenth must be this far.
        least_sd: Dark is this many times the spread of the liver's HU, at least: else nothing is said of ducts.
        duct_edge_mm, fat_hu, fat_mm: Ducts are looked for this deep in the liver, and this far from fissures' fat.
        widest_mm: What a ball of this size fits into is no duct (gallbladder, cyst, metastasis); nor is its rim, this
            wide: rim_mm.
        least_ml, least_mm: Smallest piece, and its least length.
        beside_mm, across_mm, both_sides: Of the voxels of ducts this near to a vessel, the share across which, within
            this reach, the tissue is dark too. From this share on it is a halo, in which ducts cannot be told.
    """

    grid_mm: float = 2.0
    smoothing_mm: float = 1.5
    vessel_above_hu: float = 30.0
    least_vessel_ml: float = 3.0
    edge_mm: float = 10.0
    band_mm: tuple[float, float] = (1.0, 5.0)
    halo_below_hu: float = 22.0
    bile_hu: float = 8.0
    dark_share: float = 0.35
    duct_share: float = 0.66
    least_sd: float = 1.8
    duct_edge_mm: float = 6.0
    fat_hu: float = -20.0
    fat_mm: float = 5.0
    widest_mm: float = 12.0
    rim_mm: float = 4.0
    least_ml: float = 0.5
    least_mm: float = 25.0
    beside_mm: float = 8.0
    across_mm: float = 18.0
    both_sides: float = 0.5


PORTAL_RULES = PortalRules()


@dataclass(frozen=True, eq=False, slots=True)
class PortalTracts:
    """What is measured along the liver's vessels.

    Attributes:
        halo_percent: Share of the tissue within 5 mm of the vessels that is clearly darker than the liver.
        duct_mm: Length of all dilated bile ducts inside the liver; None where a halo or noise hides them.
        duct_why: Why not.
    """

    halo_percent: float
    duct_mm: float | None
    duct_why: str = ""


def measure_portal_tracts(
    ct: Volume, organs: LabelMap, rules: PortalRules = PORTAL_RULES, *, boxes: Mapping[str, Box] | None = None
) -> tuple[PortalTracts | None, str]:
    """The halo along the liver's bright vessels, and dark tubes in the liver: dilated bile ducts.

    Ducts wider than 2 mm, or than 40 % of the portal vein beside them, are dilated (Radiopaedia, bile duct dilatation);
    what stands out on CT slices of a few mm is wider than that. Only those inside the liver are seen.

    Args:
        ct: HU, with contrast.
        organs: Organs on the CT's grid.
        rules: How they are read.
        boxes: Where the organs lie, if that is known already.

    Returns:
        The measures and "", or None and why: no liver, or no vessels that stand out (native CT, arterial phase).
    """
    box = (organ_boxes(organs) if boxes is None else boxes).get("liver")
    if box is None:
        return None, "the liver was not seen"
    box = grown(box, ct.geometry, rules.grid_mm)
    fine = geometry_of(box, ct.geometry)
    factors = block_factors(fine, rules.grid_mm)
    grid = block_geometry(fine, factors)
    hu = ndimage.gaussian_filter(block_mean(ct.array[box], factors), rules.smoothing_mm / np.array(grid.spacing_mm))
    depth = depth_mm(block_pick(organs.array[box] == organs.labels["liver"], factors), grid)
    core = depth >= rules.edge_mm
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
    halo_percent = 100.0 * float(np.mean(hu[band] <= level - rules.halo_below_hu))

    spread = 1.4826 * float(np.median(np.abs(hu[core] - level)))
    if rules.dark_share * (level - rules.bile_hu) < rules.least_sd * spread:
        why = f"the liver ({level:.0f} HU, SD {spread:.0f}) is too dark or too noisy for ducts to stand out"
        return PortalTracts(halo_percent, None, why), ""
    ducts, length_mm = _dark_tubes(hu, depth, level, grid, rules)
    if _on_both_sides(ducts, hu, level, grid, rules) >= rules.both_sides:
        return PortalTracts(halo_percent, None, "low attenuation on both sides of the portal veins hides ducts"), ""
    return PortalTracts(halo_percent, length_mm), ""


def _dark_tubes(
    hu: NDArray[np.float32], depth: NDArray[np.float32], level: float, grid: Geometry, rules: PortalRules
) -> tuple[NDArray[np.bool_], float]:
    """Long dark structures inside the liver that no large ball fits into, and their length together, mm."""
    dark = hu <= level - rules.dark_share * (level - rules.bile_hu)
    wide = opened(dark, grid, rules.widest_mm)  # beside the liver, too: its mask may leave a gallbladder out
    by_fat = distance_mm(hu >= rules.fat_hu, grid.spacing_mm) <= rules.fat_mm
    thin = dark & (depth >= rules.duct_edge_mm) & (distance_mm(~wide, grid.spacing_mm) > rules.rim_mm) & ~by_fat
    pieces = cc3d.connected_components(thin, connectivity=26)
    ducts, length_mm = np.zeros_like(thin), 0.0
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        own = pieces[box] == piece
        if np.count_nonzero(own) * grid.voxel_volume_ml < rules.least_ml:
            continue
        if np.percentile(hu[box][own], 10) > level - rules.duct_share * (level - rules.bile_hu):
            continue
        shape = shape_of(np.pad(own, 1), geometry_of(box, grid).cropped((-1, -1, -1), tuple(n + 1 for n in own.shape)))
        if shape.length_mm >= rules.least_mm:
            ducts[box] |= own
            length_mm += shape.length_mm
    return ducts, length_mm


def _on_both_sides(
    ducts: NDArray[np.bool_], hu: NDArray[np.float32], level: float, grid: Geometry, rules: PortalRules
) -> float:
    """Share of the voxels of ducts beside a vessel across which the tissue is as dark; 0 where none lies beside one."""
    if not ducts.any():
        return 0.0
    spacing = np.array(grid.spacing_mm)
    bright = hu >= level + 0.8 * rules.vessel_above_hu
    away, nearest = ndimage.distance_transform_edt(~bright, sampling=spacing, return_indices=True)
    beside = ducts & (away <= rules.beside_mm)
    if not beside.any():
        return 0.0
    here, vessel = np.argwhere(beside), nearest[:, beside].T
    way = (vessel - here) * spacing
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    steps = np.arange(0.0, rules.across_mm, 1.0)
    walk = vessel[:, None, :] + steps[None, :, None] * (way / spacing)[:, None, :]
    values = ndimage.map_coordinates(hu, walk.reshape(-1, 3).T, order=1, mode="nearest").reshape(len(here), -1)
    left = values < level + 0.5 * rules.vessel_above_hu
    crossed = left.any(axis=1)
    if not crossed.any():
        return 0.0
    after = steps[None, :] - steps[np.argmax(left, axis=1)][:, None]
    beyond = np.where((after >= 0.0) & (after <= 4.0), values, np.inf).min(axis=1)
    dark = beyond <= level - rules.dark_share * (level - rules.bile_hu)
    return float(np.mean(dark[crossed]))
