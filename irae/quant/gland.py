"""Pituitary on contrast-enhanced T1 MR: height, width, depth, stalk and evenness of enhancement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.quant.region import geometry_of, grown, organ_boxes
from irae.quant.resample import onto_grid


@dataclass(frozen=True, slots=True, kw_only=True)
class PituitaryRules:
    """How the gland is measured. Design values."""

    grid_mm: float = 0.5
    margin_mm: float = 15.0
    midline_mm: float = 3.0  # half width of the sagittal slab around the midline in which height is read
    edge_mm: float = 2.0  # how far from the mask's end the signal's edge is looked for
    edge_fall: float = 0.4  # the signal must fall by this share of the gland's to be an edge
    stalk_above_mm: tuple[float, float] = (1.5, 4.5)  # the stretch over the gland in which the stalk is read
    stalk_reach_mm: float = 5.0
    stalk_voxel_mm: float = 1.3  # axial voxels larger than this cannot show a 2-3 mm stalk
    chiasm_reach_mm: float = 20.0  # how far above the gland the chiasm is looked for
    chiasm_off_stalk_mm: float = 3.5  # columns nearer to the stalk are left out
    chiasm_signal: float = 0.4  # tissue above the cistern is brighter than this share of gland over cistern
    stalk_contrast: float = 0.35  # gland over surroundings, as a share of the gland's signal


PITUITARY_RULES = PituitaryRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class PituitaryMeasures:
    """What was measured on the pituitary.

    Attributes:
        volume_ml: Of the mask.
        height_mm: Largest cranio-caudal extent within 3 mm of the midline (the sagittal measure of a reader).
        depth_mm: Largest antero-posterior extent in that slab.
        width_mm: Largest left-right extent.
        stalk_mm: Diameter of a round stalk with the cross-section measured above the gland; None where it cannot
            be measured, then ``stalk_why`` says why.
        signal_cov: SD over mean of the signal inside the gland; None where the gland is too small.
        chiasm_gap_mm: Dark cistern between the gland's top and the next tissue above it, off the stalk, the least over
            columns: 0 where the gland touches the chiasm. None where nothing lies above within 20 mm.
    """

    volume_ml: float
    height_mm: float
    depth_mm: float
    width_mm: float
    stalk_mm: float | None
    stalk_why: str
    signal_cov: float | None
    chiasm_gap_mm: float | None = None


def measure_pituitary(
    mr: Volume, pituitary: LabelMap, rules: PituitaryRules = PITUITARY_RULES
) -> PituitaryMeasures | None:
    """Sizes of the pituitary.

    Extents are read in columns along the world's axes. The mask says where a column's ends lie to about a voxel; where
    the signal falls off within 2 mm of such an end, the end is put half-way down the fall.

    Args:
        mr: T1 after contrast.
        pituitary: The gland on the MR's grid.
        rules: How it is measured.

    Returns:
        The measures; None where the gland was not seen.
    """
    box = organ_boxes(pituitary).get("pituitary")
    if box is None:
        return None
    mask = pituitary.array[box] == pituitary.labels["pituitary"]
    volume_ml = float(np.count_nonzero(mask)) * pituitary.geometry.voxel_volume_ml
    box = grown(box, mr.geometry, rules.margin_mm)
    native = geometry_of(box, mr.geometry)
    mask = pituitary.array[box] == pituitary.labels["pituitary"]
    grid = _upright(native, rules.grid_mm)
    share = onto_grid(mask.astype(np.float32), native, grid, antialias=False)
    gland = share >= 0.5
    if not gland.any():
        return PituitaryMeasures(
            volume_ml=volume_ml, height_mm=0.0, depth_mm=0.0, width_mm=0.0, stalk_mm=None,
            stalk_why="the gland is smaller than a voxel", signal_cov=None,
        )
    signal = onto_grid(mr.array[box], native, grid, antialias=False)
    middle = round(float(np.mean(np.nonzero(gland)[0])))
    reach = max(1, round(rules.midline_mm / rules.grid_mm))
    slab = slice(max(0, middle - reach), middle + reach + 1)
    stalk_mm, why = _stalk_mm(signal, gland, mr.geometry, rules)
    core = ndimage.binary_erosion(gland, iterations=max(1, round(1.0 / rules.grid_mm)))
    values = signal[core]
    return PituitaryMeasures(
        volume_ml=volume_ml,
        height_mm=_extent_mm(share[slab], signal[slab], 2, rules),
        depth_mm=_extent_mm(share[slab], signal[slab], 1, rules),
        width_mm=_extent_mm(share, signal, 0, rules),
        stalk_mm=stalk_mm,
        stalk_why=why,
        signal_cov=float(values.std() / values.mean()) if values.size >= 50 and values.mean() > 0 else None,
        chiasm_gap_mm=_chiasm_gap_mm(signal, gland, rules),
    )


def _chiasm_gap_mm(signal: NDArray[np.float32], gland: NDArray[np.bool_], rules: PituitaryRules) -> float | None:
    """The least height of dark cistern over the gland, in columns over its middle and in front, off the stalk."""
    step = rules.grid_mm
    smooth = ndimage.gaussian_filter(signal, 1.0 / step)
    columns = np.argwhere(gland.any(axis=2))
    middle = columns.mean(axis=0)
    reach = round(rules.chiasm_reach_mm / step)
    inside = float(np.median(smooth[gland]))
    gaps = []
    for x, y in columns:
        off = np.hypot(x - middle[0], y - middle[1]) * step
        if abs(x - middle[0]) * step > rules.midline_mm + 2.0 or off < rules.chiasm_off_stalk_mm or y < middle[1]:
            continue
        top = int(np.flatnonzero(gland[x, y])[-1]) + 1
        above = smooth[x, y, top : top + reach]
        if above.size < reach // 2:
            continue
        dark = float(above.min())
        bright = dark + rules.chiasm_signal * (inside - dark)
        lowest = int(np.argmax(above < bright))
        if above[lowest] >= bright:  # never dark: the gland goes over into what lies above
            gaps.append(0.0)
            continue
        again = np.flatnonzero(above[lowest:] >= bright)
        if again.size:
            gaps.append(float(again[0]) * step)
    return float(np.percentile(gaps, 10)) if len(gaps) >= 5 else None


def _extent_mm(
    share: NDArray[np.float32], signal: NDArray[np.float32], axis: int, rules: PituitaryRules
) -> float:
    """The largest extent along an axis, of the columns' 3 x 3 medians: no single column decides."""
    columns = np.moveaxis(share, axis, -1)
    lines = np.moveaxis(signal, axis, -1)
    rough = columns.sum(axis=-1) * rules.grid_mm
    level = float(np.median(signal[share >= 0.5]))
    extents = rough.copy()
    for place in zip(*np.nonzero(rough >= 0.6 * rough.max()), strict=True):
        inside = np.flatnonzero(columns[place] >= 0.5)
        if inside.size:
            outward = lines[place]
            moved = _edge_shift(outward, int(inside[-1]), level, rules)
            moved += _edge_shift(outward[::-1], len(outward) - 1 - int(inside[0]), level, rules)
            extents[place] = (inside[-1] - inside[0] + 1) * rules.grid_mm + moved
    return float(ndimage.median_filter(extents, size=(3, 3)).max())


def _edge_shift(line: NDArray[np.float32], last: int, level: float, rules: PituitaryRules) -> float:
    """From the end of the mask's last sample to where the signal is half-way down, mm; 0 where it does not fall."""
    steps = round(rules.edge_mm / rules.grid_mm)
    start = max(0, last - steps)
    near = line[start : last + steps + 2].astype(np.float64)
    outside = float(near[steps:].min()) if near.size > steps else level
    if outside > (1.0 - rules.edge_fall) * level:
        return 0.0
    below = np.flatnonzero(near < (level + outside) / 2.0)
    if not below.size or below[0] == 0:
        return 0.0
    at = int(below[0])
    fraction = (near[at - 1] - (level + outside) / 2.0) / (near[at - 1] - near[at])
    return float((start + at - 1 + fraction - (last + 0.5)) * rules.grid_mm)


def _upright(native: Geometry, spacing_mm: float) -> Geometry:
    """A grid along the world's axes that covers another."""
    corners = native.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    i, j, k = (max(1, int(np.ceil((b - a) / spacing_mm))) for a, b in zip(low, high, strict=True))
    x, y, z = (float(v) for v in low + spacing_mm / 2)
    return Geometry.axis_aligned((i, j, k), (spacing_mm,) * 3, (x, y, z), native.frame_of_reference_uid)


def _stalk_mm(
    signal: NDArray[np.float32], gland: NDArray[np.bool_], native: Geometry, rules: PituitaryRules
) -> tuple[float | None, str]:
    """Stalk diameter from the signal it adds to the dark cistern, which blur spreads but does not change."""
    in_plane = sorted(native.spacing_mm[native.axis_of(axis)] for axis in (0, 1))
    if in_plane[1] > rules.stalk_voxel_mm:
        return None, f"axial voxels of {in_plane[1]:.1f} mm are too coarse for the stalk"
    step = rules.grid_mm
    inside = float(np.median(signal[gland]))
    x, y = (round(float(v)) for v in np.mean(np.argwhere(gland)[:, :2], axis=0))
    low, high = (round(mm / step) for mm in rules.stalk_above_mm)
    search = round(rules.stalk_reach_mm / step)
    areas = []
    for dz in range(low, high + 1):
        # The gland's own top under the place where the stalk is: the top may be concave or convex.
        window = gland[x - search : x + search + 1, y - search : y + search + 1]
        level = int(np.nonzero(window.any(axis=(0, 1)))[0].max()) + dz
        if level >= signal.shape[2]:
            break
        plane = ndimage.gaussian_filter(signal[..., level], 0.5 / step)
        patch = plane[max(0, x - search) : x + search + 1, max(0, y - search) : y + search + 1]
        peak = np.unravel_index(int(np.argmax(patch)), patch.shape)
        px, py = int(peak[0]) + max(0, x - search), int(peak[1]) + max(0, y - search)
        gx, gy = np.ogrid[: plane.shape[0], : plane.shape[1]]
        radius = np.hypot(gx - px, gy - py) * step
        ring = (radius > rules.stalk_reach_mm) & (radius <= rules.stalk_reach_mm + 2.0)
        if not ring.any():
            continue
        # The ring passes vessels and chiasm: its darker half is the cistern.
        background = float(np.percentile(plane[ring], 35))
        contrast = inside - background
        if contrast < rules.stalk_contrast * inside or patch.max() - background < 0.25 * contrast:
            continue
        # Unclipped below, so that noise cancels.
        excess = np.minimum((plane - background) / contrast, 1.0)[radius <= rules.stalk_reach_mm]
        areas.append(float(excess.sum()) * step**2)
    if len(areas) < 3:
        return None, "no stalk stands out from its surroundings above the gland"
    return float(2.0 * np.sqrt(np.median(areas) / np.pi)), ""
