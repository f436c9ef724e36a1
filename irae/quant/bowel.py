"""Colon on CT: wall thickness, lumen calibre, length of the thickened part, stranding of the fat around it.

The mask holds lumen and wall, and may come from a coarse network: its surface is only a place to start from. From
points on it, profiles of the CT are read along the surface's normal. The wall's outer edge is where tissue gives way
to fat near the mask's surface; where there is no fat, the wall is not measured. Its inner edge is gas, on the side of
the colon that gas rises to (below a fluid level, what lies between gas and fat is content, not wall); elsewhere it is
fluid that the wall stands out from, in profiles that are lined up at their outer edge and averaged over neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.quant.distance import depth_mm
from irae.quant.region import Box, geometry_of, grown, organ_boxes
from irae.quant.resample import onto_grid


@dataclass(frozen=True, slots=True, kw_only=True)
class BowelRules:
    """How the wall is read.

    The calibre below which the wall is not assessable is the answer to readers' disagreement about distension and
    spurious thickening (JITC 2020 Suppl A232.1); its value, 20 mm, and all others here are design values. Edges lie
    half-way between the two sides: gas -1000 / wall +40 gives -480 HU, wall 40-90 / fat -100..-60 gives -30..+15 HU.
    """

    least_calibre_mm: float = 20.0
    # Upper end of the normal wall from a lumen calibre on, (mm, mm): 2-3 cm 4, 3-4 cm 2.5, above 2 mm. A secondary
    # summary whose primary source is not known.
    normal_wall: tuple[tuple[float, float], ...] = ((0.0, 4.0), (30.0, 2.5), (40.0, 2.0))
    thickened_mm: float = 4.0  # mild colitis 4-6 mm; normal is at most 4 mm at a calibre of 2 cm or more
    points: int = 4000
    grid_mm: float = 3.0
    step_mm: float = 0.5
    inward_mm: float = 30.0
    outward_mm: float = 14.0
    gas_hu: float = -480.0
    fat_edge_hu: float = -15.0
    fat_hu: tuple[float, float] = (-160.0, -15.0)
    lasting_mm: float = 1.5  # fat must go on for this long to be the outside
    mask_error_mm: float = 5.0  # how far the mask's surface may lie from the true one
    thickest_mm: float = 20.0
    thinnest_mm: float = 1.0  # given where lumen gas meets fat with no wall resolved between them
    upward: float = 0.0  # gas profiles count where they point at most sideways from where gas rises to
    fluid_hu: tuple[float, float] = (-20.0, 60.0)
    fluid_sd_hu: float = 22.0  # stool is rougher than fluid
    positive_hu: float = 150.0  # content above this is oral contrast; a wall beside it is taken as 90 HU
    wall_hu: float = 90.0
    enhancing_hu: float = 18.0  # a wall this much above fluid, in averaged profiles, shows its inner edge
    averaged_mm: float = 9.0  # profiles within this distance are averaged against fluid
    least_averaged: int = 8
    local_mm: float = 12.0  # thickness is the median over profiles at least this near, at most ``across_mm``
    across_mm: float = 45.0
    least_local: int = 4
    slice_limit_mm: float = 2.0  # on thicker slices only profiles that run in the slice are read
    in_plane_cosine: float = 0.5
    least_share: float = 0.15  # of the colon's length that must be assessable
    stranding_band_mm: tuple[float, float] = (2.0, 10.0)
    stranded_hu: float = -70.0


BOWEL_RULES = BowelRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class BowelMeasures:
    """What was measured on the colon.

    Attributes:
        volume_ml: Of the mask.
        length_cm: Of the part seen: surface over local circumference.
        calibre_p50_mm, calibre_max_mm: Lumen calibre, median and 99th percentile over the length.
        assessable_percent: Share of the length with both wall edges visible and a calibre of at least 20 mm.
        wall_p50_mm, wall_p90_mm: Wall thickness over the assessable length; None where too little is assessable.
        excess_p90_mm: Wall above the upper end of normal at its own calibre, 90th percentile over the same length.
        thickened_cm: Length with a local wall of at least ``thickened_mm``; None like the wall.
        thickened_percent: The same as a share of the assessable length.
        thickened_calibre_mm: Lumen calibre, 90th percentile along the thickened part; None where none is thickened.
        stranding_percent: Share of the fat within 2-10 mm of the wall that is denser than -70 HU, along the
            thickened part (along all of the assessable colon where none is thickened); None without fat to judge.
        why: Why the wall could not be judged; empty where it could.
    """

    volume_ml: float
    length_cm: float
    calibre_p50_mm: float
    calibre_max_mm: float
    assessable_percent: float
    wall_p50_mm: float | None = None
    wall_p90_mm: float | None = None
    excess_p90_mm: float | None = None
    thickened_cm: float | None = None
    thickened_percent: float | None = None
    thickened_calibre_mm: float | None = None
    stranding_percent: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Surface:
    points: NDArray[np.float64]  # (n, 3) RAS+ mm
    normals: NDArray[np.float64]  # (n, 3) unit, outward
    radius_mm: NDArray[np.float64]  # (n,) half of the tube's outer width
    area_mm2: float  # that each point stands for


@dataclass(frozen=True, slots=True)
class _Walls:
    inner_mm: NDArray[np.float64]  # (n,) along the normal from the mask's surface; nan where not seen
    outer_mm: NDArray[np.float64]


def measure_bowel(
    ct: Volume, organs: LabelMap, organ: str = "colon", rules: BowelRules = BOWEL_RULES, *,
    boxes: Mapping[str, Box] | None = None,
) -> BowelMeasures | None:
    """Wall, calibre, thickened length and stranding of a hollow organ.

    Args:
        ct: HU.
        organs: Organs on the CT's grid; the organ's mask holds lumen and wall.
        organ: ``colon`` or ``stomach``. Small-bowel loops lie against each other: their mask's surface is no wall.
        rules: How the wall is read.
        boxes: Where the organs lie, if that is known already (``organ_boxes``).

    Returns:
        The measures; None where the organ was not seen.
    """
    box = (organ_boxes(organs) if boxes is None else boxes).get(organ)
    if box is None:
        return None
    volume_ml = float(np.count_nonzero(organs.array[box] == organs.labels[organ])) * ct.geometry.voxel_volume_ml
    box = grown(box, ct.geometry, rules.outward_mm + 2 * rules.grid_mm)
    native = geometry_of(box, ct.geometry)
    mask = organs.array[box] == organs.labels[organ]
    surface = _surface(mask, native, rules)
    if surface is None:
        return None
    profiles = _profiles(ct.array[box], native, surface, rules)
    readable = np.ones(len(surface.points), dtype=bool)
    if max(native.spacing_mm) > rules.slice_limit_mm:
        across = native.affine[:3, int(np.argmax(native.spacing_mm))]
        readable = np.abs(surface.normals @ (across / np.linalg.norm(across))) <= rules.in_plane_cosine
    gas_side = surface.normals @ _where_gas_rises(ct.array[box], mask, native, rules) >= rules.upward
    walls = _walls(profiles, surface, readable, gas_side, rules)
    others = (organs.array[box] != 0) & ~mask
    return _summary(volume_ml, surface, profiles, _without_neighbours(walls, surface, others, native, rules), rules)


def _summary(
    volume_ml: float, surface: _Surface, profiles: NDArray[np.float32], walls: _Walls, rules: BowelRules
) -> BowelMeasures:
    length = surface.area_mm2 / (2.0 * np.pi * surface.radius_mm)  # mm of colon that each point stands for
    measured = np.isfinite(walls.inner_mm)
    # The lumen's half width: the tube's, corrected for where the wall's inner edge really is.
    lumen_radius = np.maximum(surface.radius_mm + np.where(measured, walls.inner_mm, -2.0), 0.5)
    thickness, lumen_radius = _local_medians(surface.points, walls, lumen_radius, measured, rules)
    calibre = 2.0 * lumen_radius
    assessable = np.isfinite(thickness) & (calibre >= rules.least_calibre_mm - 1e-6)
    share = float(length[assessable].sum() / length.sum())
    unjudged = BowelMeasures(
        volume_ml=volume_ml,
        length_cm=float(length.sum()) / 10.0,
        calibre_p50_mm=_weighted_percentile(calibre, length, 50),
        calibre_max_mm=_weighted_percentile(calibre, length, 99),
        assessable_percent=100.0 * share,
    )
    if share < rules.least_share:
        seen = float(length[np.isfinite(thickness)].sum() / length.sum())
        why = (
            f"lumen narrower than {rules.least_calibre_mm:g} mm: thickness would be spurious"
            if seen >= rules.least_share
            else f"both edges of the wall are visible along {100 * seen:.0f} % of its length only"
        )
        return replace(unjudged, why=why)
    thick = assessable & (thickness >= rules.thickened_mm - 1e-6)
    thick_mm = float(length[thick].sum())
    return replace(
        unjudged,
        wall_p50_mm=_weighted_percentile(thickness[assessable], length[assessable], 50),
        wall_p90_mm=_weighted_percentile(thickness[assessable], length[assessable], 90),
        excess_p90_mm=_weighted_percentile(
            (thickness - normal_wall_mm(calibre, rules))[assessable], length[assessable], 90
        ),
        thickened_cm=thick_mm / 10.0,
        thickened_percent=100.0 * thick_mm / float(length[assessable].sum()),
        thickened_calibre_mm=_weighted_percentile(calibre[thick], length[thick], 90) if thick.any() else None,
        stranding_percent=_stranding_percent(profiles, walls, measured & (thick if thick.any() else assessable), rules),
    )


def normal_wall_mm(calibre_mm: NDArray[np.float64], rules: BowelRules = BOWEL_RULES) -> NDArray[np.float64]:
    """Upper end of the normal wall at a lumen calibre, mm.

    >>> normal_wall_mm(np.array([25.0, 30.0, 55.0])).tolist()
    [4.0, 2.5, 2.0]
    """
    starts, walls = (np.array(column) for column in zip(*rules.normal_wall, strict=True))
    step = np.searchsorted(starts, calibre_mm + 1e-6, side="right") - 1
    found: NDArray[np.float64] = walls[np.clip(step, 0, len(walls) - 1)]
    return found


def _surface(mask: NDArray[np.bool_], native: Geometry, rules: BowelRules) -> _Surface | None:
    """Points spread evenly over the smoothed mask's surface, with normals and the tube's half width."""
    grid = native.with_spacing((rules.grid_mm,) * 3)
    soft = onto_grid(mask.astype(np.float32), native, grid)
    smooth = ndimage.gaussian_filter(soft, 1.0)
    inside = smooth >= 0.5
    if not inside.any():
        return None
    spacing = np.array(grid.spacing_mm)
    gradient = np.stack(np.gradient(smooth, *spacing), axis=-1)
    steepness = np.linalg.norm(gradient, axis=-1)
    # The integral of the gradient over the volume is the surface's area; voxels at the level stand for it.
    area = float(steepness.sum()) * float(np.prod(spacing))
    shell = inside & (np.abs(smooth - 0.5) < 0.35) & (steepness > 0.02)
    index = np.argwhere(shell)
    if len(index) < 50:
        return None
    weight = np.cumsum(steepness[shell])
    count = min(rules.points, len(index))
    chosen = np.unique(np.searchsorted(weight, (np.arange(count) + 0.5) / count * weight[-1]))
    index = index[chosen]
    direction = grid.affine[:3, :3] / spacing
    normals = -(gradient[shell][chosen] @ direction.T)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    # From the voxel to where the smoothed mask is one half, along the normal.
    shift = (smooth[shell][chosen] - 0.5) / steepness[shell][chosen]
    points = grid.to_world(index) + np.clip(shift, -rules.grid_mm, rules.grid_mm)[:, None] * normals
    return _Surface(points, normals, _half_width(points, normals, smooth, grid, rules), area / len(index))


def _half_width(
    points: NDArray[np.float64], normals: NDArray[np.float64], smooth: NDArray[np.float32], grid: Geometry,
    rules: BowelRules,
) -> NDArray[np.float64]:
    """Half of the way inward to the opposite side; in a bend, where that way is long, at most the inscribed radius."""
    steps = np.arange(rules.grid_mm, 120.0, rules.grid_mm / 2)
    index = _along(points, -normals, steps, grid)
    met = ndimage.map_coordinates(smooth, index, order=1, mode="constant")
    outside = met < 0.5
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), len(steps) - 1)
    across = steps[first] - rules.grid_mm / 4
    # The inscribed radius on this grid falls short by up to a voxel, whence the allowance.
    depth = ndimage.map_coordinates(depth_mm(smooth >= 0.5, grid), index, order=1, mode="constant")
    inscribed = np.where(np.arange(len(steps)) <= first[:, None], depth, 0.0).max(axis=1) + rules.grid_mm
    half: NDArray[np.float64] = np.maximum(np.minimum(across / 2.0, inscribed), rules.grid_mm)
    return half


def _along(
    points: NDArray[np.float64], directions: NDArray[np.float64], steps_mm: NDArray[np.float64], grid: Geometry
) -> NDArray[np.float64]:
    """Voxel indices (3, n, steps) on the way from points (n, 3) RAS+ mm along unit directions."""
    start, step = grid.to_index(points), directions @ np.linalg.inv(grid.affine[:3, :3]).T
    return start.T[:, :, None] + step.T[:, :, None] * steps_mm


def _offsets(rules: BowelRules) -> NDArray[np.float64]:
    return np.arange(-rules.inward_mm, rules.outward_mm + rules.step_mm / 2, rules.step_mm)


def _profiles(
    hu: NDArray[np.float32], native: Geometry, surface: _Surface, rules: BowelRules
) -> NDArray[np.float32]:
    """HU (n, steps) along the normals, each the mean of five parallel lines 1.5 mm apart, to quiet the noise."""
    side = np.cross(surface.normals, np.eye(3)[np.argmin(np.abs(surface.normals), axis=1)])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(surface.normals, side)
    offsets = _offsets(rules)
    total = np.zeros((len(surface.points), len(offsets)), np.float32)
    shifts = (np.zeros_like(side), 1.5 * side, -1.5 * side, 1.5 * other, -1.5 * other)
    for shift in shifts:
        index = _along(surface.points + shift, surface.normals, offsets, native)
        total += ndimage.map_coordinates(hu, index, order=1, mode="nearest")
    return total / np.float32(len(shifts))


def _where_gas_rises(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], native: Geometry, rules: BowelRules
) -> NDArray[np.float64]:
    """Front or back, whichever the gas of the colon lies nearer to than its content: supine or prone."""
    gas = mask & (hu < rules.gas_hu)
    content = mask & (hu > -100.0)
    if not gas.any() or not content.any():
        return np.array([0.0, 1.0, 0.0])
    height = [float(np.mean(native.to_world(np.argwhere(part)[::7])[:, 1])) for part in (gas, content)]
    return np.array([0.0, 1.0 if height[0] >= height[1] else -1.0, 0.0])


def _walls(
    profiles: NDArray[np.float32], surface: _Surface, readable: NDArray[np.bool_], gas_side: NDArray[np.bool_],
    rules: BowelRules,
) -> _Walls:
    """Inner and outer edge along every profile, mm from the mask's surface; nan where either is not seen."""
    outer = np.where(readable, _outer_edges(profiles, rules), np.nan)
    last_gas = _last_gas(profiles, rules)
    inner = np.full(len(profiles), np.nan)

    gas = readable & gas_side & np.isfinite(last_gas)
    bare = gas & ~np.isfinite(outer) & _fat_beyond(profiles, last_gas, rules)
    outer = np.where(bare, last_gas + rules.thinnest_mm, outer)
    gas &= np.isfinite(outer)
    thickness = np.maximum(outer - last_gas, rules.thinnest_mm)
    gas &= thickness <= rules.thickest_mm
    inner[gas] = (outer - thickness)[gas]

    other = readable & np.isfinite(outer) & ~np.isfinite(last_gas)
    against_fluid = _against_fluid(profiles, outer, other, surface, rules)
    inner = np.where(other, against_fluid, inner)
    return _Walls(inner, np.where(np.isfinite(inner), outer, np.nan))


def _without_neighbours(
    walls: _Walls, surface: _Surface, others: NDArray[np.bool_], native: Geometry, rules: BowelRules
) -> _Walls:
    """Not measured where another organ lies before the outer edge: two walls are not one thick one."""
    steps = np.arange(0.0, rules.mask_error_mm + 1.0, 1.0)
    index = _along(surface.points, surface.normals, steps, native)
    met = ndimage.map_coordinates(others.astype(np.uint8), index, order=0, mode="nearest") > 0
    blocked = (met & (steps[None, :] < walls.outer_mm[:, None])).any(axis=1)
    return _Walls(np.where(blocked, np.nan, walls.inner_mm), np.where(blocked, np.nan, walls.outer_mm))


def _crossings(
    profiles: NDArray[np.float32], at: NDArray[np.int64], level: float, rules: BowelRules
) -> NDArray[np.float64]:
    """Where each profile passes a level between samples ``at`` - 1 and ``at``, by linear interpolation."""
    rows = np.arange(len(profiles))
    before, after = profiles[rows, at - 1].astype(np.float64), profiles[rows, at].astype(np.float64)
    span = np.where(before == after, 1.0, after - before)
    share = np.clip((level - before) / span, 0.0, 1.0)
    crossing: NDArray[np.float64] = _offsets(rules)[at - 1] + share * rules.step_mm
    return crossing


def _outer_edges(profiles: NDArray[np.float32], rules: BowelRules) -> NDArray[np.float64]:
    """The crossing from tissue into lasting fat that lies nearest to the mask's surface; nan where there is none."""
    offsets = _offsets(rules)
    lasting = round(rules.lasting_mm / rules.step_mm)
    windows = np.lib.stride_tricks.sliding_window_view(profiles, lasting, axis=1)
    fat = (windows.max(axis=2) < rules.fat_edge_hu) & (windows.min(axis=2) > 2.0 * rules.fat_hu[0])
    begins = np.zeros(profiles.shape, dtype=bool)
    begins[:, 1 : fat.shape[1]] = fat[:, 1:] & (profiles[:, : fat.shape[1] - 1] >= rules.fat_edge_hu)
    begins &= np.abs(offsets) <= rules.mask_error_mm
    nearest = np.where(begins, np.abs(offsets), np.inf).argmin(axis=1)
    nearest = np.maximum(nearest, 1)
    return np.where(begins.any(axis=1), _crossings(profiles, nearest, rules.fat_edge_hu, rules), np.nan)


def _last_gas(profiles: NDArray[np.float32], rules: BowelRules) -> NDArray[np.float64]:
    """Where the last gas of at least 3 mm ends on the way out; nan where the profile meets none."""
    offsets = _offsets(rules)
    run = round(3.0 / rules.step_mm)
    gas = (profiles < rules.gas_hu) & (offsets <= rules.mask_error_mm)
    windows: NDArray[np.bool_] = np.asarray(np.lib.stride_tricks.sliding_window_view(gas, run, axis=1).min(axis=2))
    found = windows.any(axis=1)
    last = windows.shape[1] - 1 - windows[:, ::-1].argmax(axis=1) + run - 1
    after = np.minimum(last + 1, profiles.shape[1] - 1)
    return np.where(found, _crossings(profiles, after, rules.gas_hu, rules), np.nan)


def _fat_beyond(
    profiles: NDArray[np.float32], last_gas: NDArray[np.float64], rules: BowelRules
) -> NDArray[np.bool_]:
    """Whether fat follows within 1-4 mm of the gas, with no wall resolved between."""
    beyond = _offsets(rules)[None, :] - np.nan_to_num(last_gas, nan=np.inf)[:, None]
    values = np.where((beyond >= 1.0) & (beyond <= 4.0), profiles, np.nan)
    seen = np.isfinite(values).any(axis=1)
    middle = np.full(len(profiles), np.nan)
    middle[seen] = np.nanmedian(values[seen], axis=1)
    return np.asarray((middle >= rules.fat_hu[0]) & (middle <= rules.fat_edge_hu))


def _against_fluid(
    profiles: NDArray[np.float32], outer: NDArray[np.float64], chosen: NDArray[np.bool_], surface: _Surface,
    rules: BowelRules,
) -> NDArray[np.float64]:
    """Inner edge half-way down from the wall's brightest to the fluid, in profiles averaged with their neighbours."""
    inner = np.full(len(profiles), np.nan)
    index = np.flatnonzero(chosen)
    if index.size < rules.least_averaged:
        return inner
    depth = np.arange(0.0, rules.inward_mm - rules.mask_error_mm, rules.step_mm)
    place = (outer[index, None] - depth[None, :] + rules.inward_mm) / rules.step_mm
    rows = np.broadcast_to(np.arange(index.size)[:, None], place.shape)
    lined_up = ndimage.map_coordinates(profiles[index], [rows, place], order=1, mode="nearest")
    pairs = cKDTree(surface.points[index]).sparse_distance_matrix(
        cKDTree(surface.points[index]), rules.averaged_mm, output_type="coo_matrix"
    )
    near = sparse.csr_matrix((np.ones(pairs.nnz), (pairs.row, pairs.col)), shape=(index.size, index.size))
    near = near + sparse.identity(index.size, format="csr")
    count = np.asarray(near.sum(axis=1)).reshape(-1)
    mean = (near @ lined_up) / count[:, None]
    spread = np.sqrt(np.maximum((near @ lined_up**2) / count[:, None] - mean**2, 0.0))
    for n in np.flatnonzero(count >= rules.least_averaged):
        thickness = _half_way_down(mean[n], spread[n], depth, float(surface.radius_mm[index[n]]), rules)
        if thickness is not None:
            inner[index[n]] = outer[index[n]] - max(thickness, rules.thinnest_mm)
    return inner


def _half_way_down(
    profile: NDArray[np.float64], spread: NDArray[np.float64], depth: NDArray[np.float64], radius: float,
    rules: BowelRules,
) -> float | None:
    """Depth at which a wall gives way to fluid or oral contrast; None where the content hides it."""
    middle = min(radius, float(depth[-1]))
    core = (depth >= middle - 5.0) & (depth <= middle)
    wall = profile[(depth >= 0.5) & (depth <= min(10.0, middle - 4.0))]
    if np.count_nonzero(core) < 3 or wall.size < 2:
        return None
    level = float(np.median(profile[core]))
    if level >= rules.positive_hu:
        above = np.flatnonzero(profile >= (level + rules.wall_hu) / 2.0)
        return float(depth[above[0]])
    smooth = float(np.median(spread[core])) <= rules.fluid_sd_hu
    top = float(wall.max())
    if not smooth or not rules.fluid_hu[0] <= level <= rules.fluid_hu[1] or top - level < rules.enhancing_hu:
        return None
    peak = int(np.argmax(wall)) + int(np.searchsorted(depth, 0.5))
    below = np.flatnonzero(profile[peak:] < (top + level) / 2.0)
    if not below.size:
        return None
    edge = peak + int(below[0])
    # A wall ends within a few mm; a slow fade is content.
    settled = profile[min(edge + round(3.0 / rules.step_mm), len(profile) - 1)]
    return float(depth[edge]) if settled <= level + 0.3 * (top - level) else None


def _local_medians(
    points: NDArray[np.float64], walls: _Walls, lumen_radius: NDArray[np.float64], measured: NDArray[np.bool_],
    rules: BowelRules,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median thickness and lumen half width over the measured profiles around every point; nan where too few.

    Around is as far as the other side of the tube: a wall read on the side of the gas speaks for the whole ring.
    """
    thickness = np.full(len(points), np.nan)
    radius = lumen_radius.copy()
    if not measured.any():
        return thickness, radius
    known = np.stack([walls.outer_mm - walls.inner_mm, lumen_radius])[:, measured]
    around = np.maximum(rules.local_mm, np.minimum(2.0 * lumen_radius + rules.local_mm / 2, rules.across_mm))
    near = cKDTree(points[measured]).query_ball_point(points, around)
    counts = np.array([len(found) for found in near])
    enough = np.flatnonzero(counts >= rules.least_local)
    for some in np.array_split(enough, len(enough) // 256 + 1):  # a row a point, sorted, what is not there last
        if some.size:
            filled = np.arange(counts[some].max()) < counts[some][:, None]
            values = np.full((2, *filled.shape), np.inf)
            values[:, filled] = known[:, np.concatenate([near[n] for n in some])]
            values.sort(axis=2)
            middle = [values[:, np.arange(some.size), (counts[some] + odd) // 2] for odd in (-1, 0)]
            thickness[some], radius[some] = (middle[0] + middle[1]) / 2.0
    return thickness, radius


def _weighted_percentile(values: NDArray[np.float64], weights: NDArray[np.float64], q: float) -> float:
    """The smallest value that q percent of the weight does not exceed."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(cumulative, q / 100.0 * cumulative[-1] - 1e-9))])


def _stranding_percent(
    profiles: NDArray[np.float32], walls: _Walls, chosen: NDArray[np.bool_], rules: BowelRules
) -> float | None:
    if not chosen.any():
        return None
    offsets = _offsets(rules)
    beyond = offsets[None, :] - walls.outer_mm[chosen][:, None]
    near, far = rules.stranding_band_mm
    values = profiles[chosen][(beyond >= near) & (beyond <= far)]
    fat = values[(values >= rules.fat_hu[0]) & (values <= rules.fat_hu[1])]
    return 100.0 * float(np.mean(fat > rules.stranded_hu)) if fat.size >= 100 else None
