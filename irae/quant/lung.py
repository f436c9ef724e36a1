"""Lung on CT: aeration compartments, opacity (ground glass and consolidation) and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.volume import LabelMap, Volume
from irae.quant.distance import depth_mm, opened
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LungRules:
    """Densities and sizes of the lung measures.

    Compartments: over < -900, normal -900..-500, poorly -500..-100, non-aerated > -100 HU (as in Crit Care 2013,
    10.1186/cc12738). Ground glass: -700..-300 HU is a common choice; in free breathing (PET/CT) normal lung is
    -700..-780 HU, so its lower end follows the lung's own normal density: the histogram's peak + ``above_mode_hu``,
    kept in ``ggo_floor_hu``. Consolidation: above -300 HU (solid -100..+60 and its partially filled margin).
    All other values are design values.
    """

    grid_mm: float = 3.0
    over_hu: float = -900.0
    normal_hu: float = -500.0
    poorly_hu: float = -100.0
    ggo_floor_hu: tuple[float, float] = (-700.0, -600.0)
    above_mode_hu: float = 100.0
    consolidation_hu: float = -300.0
    edge_mm: float = 4.0  # skin of the mask left out: breathing, partial volume, a mask that overshoots
    vessel_mm: float = 9.0  # opacities thinner than this are vessels, airways or fissures
    bone_hu: float = 150.0
    bone_margin_mm: float = 3.0
    fat_hu: tuple[float, float] = (-130.0, -75.0)
    zone_percent: float = 5.0  # a zone with at least this share of opacity is involved
    least_ml: float = 100.0  # less lung than this is not judged


LUNG_RULES = LungRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class LungMeasures:
    """What was measured on the lungs.

    Attributes:
        volume_ml: Of the masks.
        mean_hu: Over the masks without their skin.
        over_percent, normal_percent, poorly_percent, non_percent: Aeration compartments; they sum to 100.
        ggo_percent, consolidation_percent: Of the lungs without their skin; vessels left out.
        opacity_percent: Both together.
        side_percent: Opacity of each lung that was seen, by organ name, %.
        zones: Thirds of a lung (by height) with at least ``zone_percent`` opacity, of up to six.
        basal_percent: Share of all opacity in the lowest third, %; None without opacity.
        peripheral_percent: Share of all opacity in the outer 20 mm, %; None without opacity.
        largest_percent: Share of all opacity in its largest connected piece, %; None without opacity.
        ggo_from_hu: The lower end of ground glass that was used.
    """

    volume_ml: float
    mean_hu: float
    over_percent: float
    normal_percent: float
    poorly_percent: float
    non_percent: float
    ggo_percent: float
    consolidation_percent: float
    opacity_percent: float
    side_percent: dict[str, float]
    zones: int
    basal_percent: float | None
    peripheral_percent: float | None
    largest_percent: float | None
    ggo_from_hu: float


def measure_lungs(
    ct: Volume, organs: LabelMap, rules: LungRules = LUNG_RULES, *, boxes: Mapping[str, Box] | None = None
) -> LungMeasures | None:
    """Aeration and opacity of the lungs.

    Args:
        ct: HU.
        organs: Organs on the CT's grid; the lung masks include diseased lung.
        rules: Densities and sizes.
        boxes: Where the organs lie, if that is known already (``organ_boxes``).

    Returns:
        The measures; None where less than ``least_ml`` of lung was seen.
    """
    boxes = organ_boxes(organs) if boxes is None else boxes
    sides = [lung for lung in LUNGS if lung in boxes]
    if not sides:
        return None
    box = grown(joined([boxes[lung] for lung in sides]), ct.geometry, 2 * rules.grid_mm)
    fine = geometry_of(box, ct.geometry)
    factors = block_factors(fine, rules.grid_mm)
    grid = block_geometry(fine, factors)
    hu = block_mean(ct.array[box], factors)
    labels = block_pick(organs.array[box], factors)
    mask = np.isin(labels, [organs.labels[lung] for lung in sides])
    volume_ml = float(np.count_nonzero(mask)) * grid.voxel_volume_ml
    if volume_ml < rules.least_ml:
        return None
    depth = depth_mm(mask, grid)
    # A mask that bites into ribs holds bone, one that reaches under the diaphragm or beside the heart holds fat:
    # neither is diseased lung. Enhanced vessels go with the bone.
    margin = max(1, round(rules.bone_margin_mm / rules.grid_mm))
    bone = ndimage.binary_dilation(hu > rules.bone_hu, iterations=margin)
    fat = opened(_mostly(hu >= rules.fat_hu[0]) & _mostly(hu <= rules.fat_hu[1]), grid, rules.vessel_mm)
    fat = ndimage.binary_dilation(fat, iterations=margin)
    lung = (depth >= rules.edge_mm) & ~bone & ~fat
    if not lung.any():
        return None

    values = hu[lung]
    ggo_from = _ggo_from(values, rules)
    dense = lung & _mostly(hu >= ggo_from)
    opacity = lung & opened(dense, grid, rules.vessel_mm)
    consolidation = opacity & (hu >= rules.consolidation_hu)
    total = float(np.count_nonzero(lung))
    amount = float(np.count_nonzero(opacity))

    height = grid.to_world(np.argwhere(lung))[:, 2]
    where = opacity[lung]
    side_of = labels[lung]
    shares: list[float] = []
    lowest = 0.0
    side_percent = {}
    for name in sides:
        own = side_of == organs.labels[name]
        if not own.any():
            continue
        side_percent[name] = 100.0 * float(where[own].mean())
        ends = np.linspace(height[own].min(), height[own].max() + 1e-6, 4)
        third = np.digitize(height, ends[1:3])
        for n in range(3):
            zone = own & (third == n)
            if zone.any():
                shares.append(100.0 * float(where[zone].mean()))
        lowest += float(np.count_nonzero(where[own & (third == 0)]))
    return LungMeasures(
        volume_ml=volume_ml,
        mean_hu=float(values.mean(dtype=np.float64)),
        over_percent=100.0 * float(np.mean(values < rules.over_hu)),
        normal_percent=100.0 * float(np.mean((values >= rules.over_hu) & (values < rules.normal_hu))),
        poorly_percent=100.0 * float(np.mean((values >= rules.normal_hu) & (values < rules.poorly_hu))),
        non_percent=100.0 * float(np.mean(values >= rules.poorly_hu)),
        ggo_percent=100.0 * (amount - float(np.count_nonzero(consolidation))) / total,
        consolidation_percent=100.0 * float(np.count_nonzero(consolidation)) / total,
        opacity_percent=100.0 * amount / total,
        side_percent=side_percent,
        zones=sum(share >= rules.zone_percent for share in shares),
        basal_percent=100.0 * lowest / amount if amount else None,
        peripheral_percent=100.0 * float(np.mean(depth[opacity] <= 20.0)) if amount else None,
        largest_percent=_largest_percent(opacity) if amount else None,
        ggo_from_hu=ggo_from,
    )


def _mostly(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of whose 27 neighbours most are in a mask: what a median of 3 x 3 x 3 against the same limit gives."""
    return np.asarray(ndimage.uniform_filter(mask.astype(np.float32), 3) > 0.5)


def _ggo_from(values: NDArray[np.float32], rules: LungRules) -> float:
    """Lower end of ground glass: above the patient's own aerated lung, within the band of published choices."""
    counts, edges = np.histogram(values, bins=np.arange(-1000.0, -500.0 + 1, 10.0))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 2.0)
    mode = float(edges[int(np.argmax(smooth))]) + 5.0
    least, most = rules.ggo_floor_hu
    return float(np.clip(mode + rules.above_mode_hu, least, most))


def _largest_percent(opacity: NDArray[np.bool_]) -> float:
    pieces, count = ndimage.label(opacity)
    sizes = np.bincount(pieces.reshape(-1), minlength=count + 1)[1:]
    return 100.0 * float(sizes.max()) / float(sizes.sum())
