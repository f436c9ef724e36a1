"""Colon on CT: wall thickness, lumen calibre, length of the thickened part, stranding of the fat around it.

The mask holds lumen and wall, and may come from a coarse network: its surface is only a place to start from. From
points on it, profiles of the CT are read along the surface's normal, and the wall is what lies between the lumen (gas,
or fluid that an enhancing wall stands out from) and the fat outside. Where a profile does not show both edges, the
wall is not measured there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.quant.region import depth_mm, geometry_of, grown, organ_boxes
from irae.quant.resample import onto_grid


@dataclass(frozen=True, slots=True, kw_only=True)
class BowelRules:
    """How the wall is read.

    The calibre below which the wall is not assessable is the answer to readers' disagreement about distension and
    spurious thickening (JITC 2020 Suppl A232.1); its value, 20 mm, and all others here are design values. Edges lie
    half-way between the two sides: gas -1000 / wall +40 gives -480 HU, wall / fat -100 gives about -30 HU.
    """

    least_calibre_mm: float = 20.0
    thickened_mm: float = 4.0  # mild colitis 4-6 mm; normal is at most 4 mm at a calibre of 2 cm or more
    points: int = 4000
    grid_mm: float = 3.0
    step_mm: float = 0.5
    inward_mm: float = 30.0
    outward_mm: float = 14.0
    gas_hu: float = -480.0
    fat_edge_hu: float = -30.0
    fat_hu: tuple[float, float] = (-160.0, -20.0)
    mask_error_mm: float = 6.0  # how far the mask's surface may lie from the true one
    thickest_mm: float = 22.0
    thinnest_mm: float = 1.0  # given where lumen gas meets fat with no wall resolved between them
    enhancing_hu: float = 40.0  # a wall this much above fluid shows its inner edge
    local_mm: float = 12.0  # thickness is the median over profiles within this distance
    least_local: int = 4
    slice_limit_mm: float = 2.0  # on thicker slices only profiles that run in the slice are read
    in_plane_cosine: float = 0.5
    least_share: float = 0.05  # of the colon's length that must be assessable
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
        thickened_cm: Length with a local wall of at least ``thickened_mm``; None like the wall.
        thickened_percent: The same as a share of the assessable length.
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
    thickened_cm: float | None = None
    thickened_percent: float | None = None
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


def measure_colon(ct: Volume, organs: LabelMap, rules: BowelRules = BOWEL_RULES) -> BowelMeasures | None:
    """Wall, calibre, thickened length and stranding of the colon.

    Args:
        ct: HU.
        organs: Organs on the CT's grid; the colon's mask holds lumen and wall.
        rules: How the wall is read.

    Returns:
        The measures; None where the colon was not seen.
    """
    box = organ_boxes(organs).get("colon")
    if box is None:
        return None
    volume_ml = float(np.count_nonzero(organs.array[box] == organs.labels["colon"])) * ct.geometry.voxel_volume_ml
    box = grown(box, ct.geometry, rules.outward_mm + 2 * rules.grid_mm)
    native = geometry_of(box, ct.geometry)
    mask = organs.array[box] == organs.labels["colon"]
    surface = _surface(mask, native, rules)
    if surface is None:
        return None
    profiles = _profiles(ct.array[box], native, surface, rules)
    walls = _walls(profiles, surface, rules)
    if max(native.spacing_mm) > rules.slice_limit_mm:
        across = native.affine[:3, int(np.argmax(native.spacing_mm))]
        steep = np.abs(surface.normals @ (across / np.linalg.norm(across))) > rules.in_plane_cosine
        walls = _Walls(np.where(steep, np.nan, walls.inner_mm), np.where(steep, np.nan, walls.outer_mm))
    return _summary(volume_ml, surface, profiles, walls, rules)


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
            else f"both edges of the wall are visible along {100 * seen:.0f} % of the colon only"
        )
        return replace(unjudged, why=why)
    thick = assessable & (thickness >= rules.thickened_mm - 1e-6)
    thick_mm = float(length[thick].sum())
    return replace(
        unjudged,
        wall_p50_mm=_weighted_percentile(thickness[assessable], length[assessable], 50),
        wall_p90_mm=_weighted_percentile(thickness[assessable], length[assessable], 90),
        thickened_cm=thick_mm / 10.0,
        thickened_percent=100.0 * thick_mm / float(length[assessable].sum()),
        stranding_percent=_stranding_percent(profiles, walls, measured & (thick if thick.any() else assessable), rules),
    )


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
    walk = points[:, None, :] - steps[None, :, None] * normals[:, None, :]
    index = grid.to_index(walk).reshape(-1, 3).T
    met = ndimage.map_coordinates(smooth, index, order=1, mode="constant").reshape(len(points), len(steps))
    outside = met < 0.5
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), len(steps) - 1)
    across = steps[first] - rules.grid_mm / 4
    # The inscribed radius on this grid falls short by up to a voxel, whence the allowance.
    depth = ndimage.map_coordinates(depth_mm(smooth >= 0.5, grid), index, order=1, mode="constant").reshape(met.shape)
    inscribed = np.where(np.arange(len(steps)) <= first[:, None], depth, 0.0).max(axis=1) + rules.grid_mm
    half: NDArray[np.float64] = np.maximum(np.minimum(across / 2.0, inscribed), rules.grid_mm)
    return half


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
        world = (surface.points + shift)[:, None, :] + offsets[None, :, None] * surface.normals[:, None, :]
        index = native.to_index(world).reshape(-1, 3).T
        total += ndimage.map_coordinates(hu, index, order=1, mode="nearest").reshape(total.shape)
    return total / np.float32(len(shifts))


def _walls(profiles: NDArray[np.float32], surface: _Surface, rules: BowelRules) -> _Walls:
    offsets = _offsets(rules)
    inner = np.full(len(profiles), np.nan)
    outer = np.full(len(profiles), np.nan)
    for n, (profile, radius) in enumerate(zip(profiles, surface.radius_mm, strict=True)):
        found = _gas_wall(profile, offsets, rules) or _fluid_wall(profile, offsets, float(radius), rules)
        if found is not None:
            inner[n], outer[n] = found
    return _Walls(inner, outer)


def _crossing(profile: NDArray[np.float32], offsets: NDArray[np.float64], at: int, level: float) -> float:
    """Where the profile passes a level between samples ``at`` - 1 and ``at``, by linear interpolation."""
    before, after = float(profile[at - 1]), float(profile[at])
    share = 0.5 if before == after else (level - before) / (after - before)
    return float(offsets[at - 1] + np.clip(share, 0.0, 1.0) * (offsets[at] - offsets[at - 1]))


def _gas_wall(
    profile: NDArray[np.float32], offsets: NDArray[np.float64], rules: BowelRules
) -> tuple[float, float] | None:
    """Wall between gas and fat."""
    gas = (profile < rules.gas_hu) & (offsets <= rules.mask_error_mm)
    if not gas.any():
        return None
    last = int(np.flatnonzero(gas)[-1])
    run = max(0, last - round(3.0 / rules.step_mm))
    if last + 1 >= len(profile) or not gas[run : last + 1].all():
        return None
    inner = _crossing(profile, offsets, last + 1, rules.gas_hu)
    return _outer_edge(profile, offsets, last + 1, inner, rules)


def _outer_edge(
    profile: NDArray[np.float32], offsets: NDArray[np.float64], start: int, inner: float, rules: BowelRules
) -> tuple[float, float] | None:
    """From the inner edge outward to fat that lasts 1.5 mm; None where there is no fat or more gas."""
    lasting = round(1.5 / rules.step_mm)
    beyond = profile[start:]
    wall = np.flatnonzero(beyond >= rules.fat_edge_hu)
    if not wall.size or offsets[start + wall[0]] - inner > 3.0:
        settled = beyond[round(1.0 / rules.step_mm) : round(4.0 / rules.step_mm)]
        if settled.size and rules.fat_hu[0] <= float(np.median(settled)) <= rules.fat_hu[1]:
            return inner, inner + rules.thinnest_mm
        return None
    first = start + int(wall[0])
    for at in range(first + 1, len(profile) - lasting):
        after = profile[at : at + lasting]
        if profile[at] < rules.fat_edge_hu and after.max() < rules.fat_edge_hu:
            if after.min() < 2 * rules.fat_hu[0]:
                return None
            outer = _crossing(profile, offsets, at, rules.fat_edge_hu)
            thickness = max(outer - inner, rules.thinnest_mm)
            return (inner, inner + thickness) if thickness <= rules.thickest_mm else None
    return None


def _fluid_wall(
    profile: NDArray[np.float32], offsets: NDArray[np.float64], radius: float, rules: BowelRules
) -> tuple[float, float] | None:
    """Enhancing wall between fluid or stool and fat: half-way up on both sides of its peak."""
    lumen = profile[(offsets >= -radius) & (offsets <= -radius + 5.0)]
    if lumen.size < 3:
        return None
    level = float(np.median(lumen))
    if not -20.0 <= level <= 80.0:
        return None
    lasting = round(1.5 / rules.step_mm)
    for at in range(int(np.searchsorted(offsets, -rules.mask_error_mm)), len(profile) - lasting):
        if offsets[at] > rules.mask_error_mm:
            return None
        after = profile[at : at + lasting]
        if after.max() < rules.fat_edge_hu and profile[at - 1] >= rules.fat_edge_hu:
            break
    else:
        return None
    reach = round(min(rules.thickest_mm, radius) / rules.step_mm)
    inside = profile[max(0, at - reach) : at]
    peak = int(np.argmax(inside[-round(6.0 / rules.step_mm) :])) + max(0, len(inside) - round(6.0 / rules.step_mm))
    top = float(inside[peak])
    if top - level < rules.enhancing_hu or after.min() < 2 * rules.fat_hu[0]:
        return None
    below = np.flatnonzero(inside[:peak] < (top + level) / 2.0)
    if not below.size:
        return None
    first = max(0, at - reach) + int(below[-1]) + 1
    inner = _crossing(profile, offsets, first, (top + level) / 2.0)
    outer = _crossing(profile, offsets, at, rules.fat_edge_hu)
    return inner, max(outer, inner + rules.thinnest_mm)


def _local_medians(
    points: NDArray[np.float64], walls: _Walls, lumen_radius: NDArray[np.float64], measured: NDArray[np.bool_],
    rules: BowelRules,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median thickness and lumen half width over the measured profiles around every point; nan where too few."""
    thickness = np.full(len(points), np.nan)
    radius = lumen_radius.copy()
    if not measured.any():
        return thickness, radius
    known = (walls.outer_mm - walls.inner_mm)[measured]
    known_radius = lumen_radius[measured]
    for n, near in enumerate(cKDTree(points[measured]).query_ball_point(points, rules.local_mm)):
        if len(near) >= rules.least_local:
            thickness[n] = np.median(known[near])
            radius[n] = np.median(known_radius[near])
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
