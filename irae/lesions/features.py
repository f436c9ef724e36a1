"""What is measured on a focus besides its size, for attribution (docs/reference/attribution.md lists the names)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from irae.core.anatomy import site_of
from irae.core.focus import Focus
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.lesions.rules import LUNGS, NODE, URINE, FociRules
from irae.quant.distance import distance_mm
from irae.quant.region import Box, box_around, joined, organ_boxes
from irae.quant.uptake import UptakeReference

# Mirror partners are looked for within this distance of the mirrored place.
PARTNER_REACH_MM = 35.0
# Foci whose centre is this near the midline, or that reach across it, are compared with themselves.
MIDLINE_MM = 12.0
# Lateral of this share of the lungs' half width the inside of the chest is lung.
LATERAL = 0.4
# Half-spaces of a convex hull: (n, 4) normals and offsets, RAS+ mm; inside where normals @ place + offset <= 0.
Hull = NDArray[np.float64]


def ct_features(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], geometry: Geometry, rules: FociRules
) -> dict[str, float]:
    """Tissue fractions of a region and its rim on a CT crop (1), and its mean HU.

    Args:
        hu: (i, j, k) HU.
        mask: The region.
        geometry: Their grid.
        rules: HU ranges.
    """
    box = box_around(mask, geometry, 11.0)
    hu, mask = hu[box], mask[box]
    inside = hu[mask]
    spacing = geometry.spacing_mm
    distance = distance_mm(~mask, spacing)
    rim = hu[(distance > 3.0) & (distance <= 10.0)]  # beyond the blur of the border
    if inside.size == 0 or rim.size == 0:
        return {}

    def share(values: NDArray[np.float32], low: float, high: float) -> float:
        return float(np.mean((values >= low) & (values <= high)))

    smooth = ndimage.gaussian_filter(hu, 1.0 / np.array(spacing))[mask]
    return {
        "ct_hu_mean": float(inside.mean()),
        "ct_hu_core": float(np.percentile(smooth, 90)),
        "ct_hu_sd": float(inside.std()),
        "fat_fraction": share(inside, *rules.fat_hu),
        "bone_fraction": share(inside, rules.bone_hu, 3000.0),
        "rim_bone_fraction": share(rim, rules.bone_hu, 3000.0),
        "lytic_fraction": share(inside, -20.0, 110.0),
        "core_lytic_fraction": share(hu[_core(mask, spacing)], -20.0, rules.marrow_hu),
        "ground_glass_fraction": share(inside, *rules.ground_glass_hu),
        "consolidation_fraction": share(inside, *rules.consolidation_hu),
        "air_fraction": share(inside, -1100.0, -700.0),
        "rim_lung_fraction": share(rim, -1100.0, -700.0),
        "rim_ground_glass_fraction": share(rim, *rules.ground_glass_hu),
        "rim_fat_fraction": share(rim, *rules.fat_hu),
        "rim_soft_fraction": share(rim, 0.0, 150.0),
        "bone_around": _bone_around(hu, mask, distance, spacing, rules),
    }


def _core(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The inner half of a region by depth: what the blur of a border with bone does not reach."""
    depth = distance_mm(mask, spacing)
    core: NDArray[np.bool_] = depth >= 0.5 * depth.max()
    return core


def _bone_around(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], distance: NDArray[np.float32],
    spacing: tuple[float, float, float], rules: FociRules,
) -> float:
    """Share of the directions from a region's centre in which bone lies just beyond its border, 0..1.

    A node or a deposit beside bone sees it on one side; a bone's own lesion, however much it destroyed, on most.
    """
    step = np.array(spacing)
    bone = (hu >= rules.bone_around_hu) & ~mask & (distance <= rules.bone_around_mm)
    if not bone.any():
        return 0.0
    centre = np.argwhere(mask).mean(axis=0)
    furthest = float(np.linalg.norm(np.array(mask.shape) * step))
    ways = np.arange(0.0, furthest, step.min() / 2)
    places = np.round(centre + _DIRECTIONS[:, None, :] * ways[:, None] / step).astype(int)
    within = ((places >= 0) & (places < mask.shape)).all(axis=-1)
    i, j, k = np.moveaxis(np.where(within[..., None], places, 0), -1, 0)
    return float((bone[i, j, k] & within).any(axis=1).mean())


def _sphere(count: int) -> NDArray[np.float64]:
    """Unit vectors spread evenly over a sphere (Fibonacci lattice), (count, 3)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = np.pi * (1.0 + np.sqrt(5.0)) * np.arange(count)
    across = np.sqrt(1.0 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=-1)


_DIRECTIONS = _sphere(200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Heights and widths that say where in the body a focus lies, RAS+ mm; None where the organ was not seen whole."""

    lung_bottom: float | None = None
    lung_top: float | None = None
    lung_half_width: float | None = None
    neck_top: float | None = None
    kidneys: tuple[tuple[float, float, float], ...] = ()
    kidney_tops: tuple[tuple[float, float, float], ...] = ()
    bladder: tuple[float, float, float] | None = None
    renal_hila: tuple[tuple[float, float, float], ...] = ()
    lungs: Mapping[str, Hull] = field(default_factory=dict)
    spine: tuple[tuple[float, float], ...] = ()  # (z, y) of the vertebrae's middle, from below

    def lung_at(self, place: NDArray[np.float64], midline: float | None) -> str | None:
        """The lung in whose convex hull, or in the mirror image of the other's, a place lies lateral of the hilum.

        Consolidated lung is missing in masks that follow air.
        """
        if midline is None or self.lung_half_width is None or set(self.lungs) != set(LUNGS):
            return None
        off = float(place[0]) - midline
        if abs(off) < LATERAL * self.lung_half_width:
            return None
        mirrored = place * (-1.0, 1.0, 1.0) + (2.0 * midline, 0.0, 0.0)
        left, right = LUNGS
        own, other = (right, left) if off > 0 else (left, right)
        inside = (self.lungs[own] @ (*place, 1.0) <= 0.0).all() or (self.lungs[other] @ (*mirrored, 1.0) <= 0.0).all()
        return own if inside else None

    def of(self, place: NDArray[np.float64], midline: float | None) -> dict[str, float]:
        """``height_in_lungs`` (0 bases, 1 apices), ``below_lungs_mm`` (of the bases),
        ``above_lungs_mm`` (of the apices), ``beyond_lung_mm`` (lateral of the lungs), ``head_neck`` (0, 1);
        ``off_midline_share`` of the lungs' half width; ``off_ureter_mm``, the distance from the straight ways between
        kidneys and bladder; ``off_renal_hilum_mm``, from the middle of a kidney's medial surface, and
        ``off_kidney_mm``, from its centre; ``off_adrenal_mm``, from its upper pole, on which the adrenal sits;
        ``behind_spine_mm``, dorsal of the middle of the vertebrae at its height, or of the nearest that were seen.
        """
        found: dict[str, float] = {}
        if self.lung_bottom is not None and self.lung_top is not None:
            found["below_lungs_mm"] = self.lung_bottom - float(place[2])
            found["above_lungs_mm"] = float(place[2]) - self.lung_top
            found["height_in_lungs"] = (float(place[2]) - self.lung_bottom) / (self.lung_top - self.lung_bottom)
        if self.lung_half_width is not None and midline is not None:
            found["beyond_lung_mm"] = abs(float(place[0]) - midline) - self.lung_half_width
            found["off_midline_share"] = abs(float(place[0]) - midline) / self.lung_half_width
        if self.neck_top is not None:
            found["head_neck"] = float(place[2] > self.neck_top)
        if self.renal_hila:
            found["off_kidney_mm"] = min(float(np.linalg.norm(place - np.array(k))) for k in self.kidneys)
            found["off_renal_hilum_mm"] = min(float(np.linalg.norm(place - np.array(h))) for h in self.renal_hila)
        if self.spine:
            heights, middles = zip(*self.spine, strict=True)
            found["behind_spine_mm"] = float(np.interp(place[2], heights, middles)) - float(place[1])
        if self.kidney_tops:
            found["off_adrenal_mm"] = min(float(np.linalg.norm(place - np.array(k))) for k in self.kidney_tops)
        if self.bladder is not None and self.kidneys:
            end = np.array(self.bladder)
            off = []
            for kidney in self.kidneys:
                way = end - np.array(kidney)
                along = float(np.clip((place - kidney) @ way / (way @ way), 0.0, 1.0))
                off.append(float(np.linalg.norm(place - (np.array(kidney) + along * way))))
            found["off_ureter_mm"] = min(off)
        return found


def near_hot_organs(
    mask: NDArray[np.bool_], organ_labels: NDArray[np.uint8], names: Mapping[int, str], geometry: Geometry,
    rules: FociRules,
) -> dict[str, float]:
    """Share of a focus in or just beside organs hot by nature (``near_urine``, ``near_heart``, ``near_brain``), 0..1.

    Coarse masks end millimetres inside or outside of the organ, and its uptake spills over its border. An organ that
    was not seen is left out.
    """
    shares = {}
    box = box_around(mask, geometry, max(rules.spill_mm, rules.myocardium_mm) + 1.0)
    mask, organ_labels = mask[box], organ_labels[box]
    for name, organs, within_mm in (
        ("near_urine", URINE, rules.spill_mm), ("near_heart", {"heart"}, rules.myocardium_mm),
        ("near_brain", {"brain"}, rules.spill_mm),
    ):
        labels = [label for label, organ in names.items() if organ in organs]
        if labels:
            there = np.isin(organ_labels, np.array(labels, np.uint8))
            shares[name] = 0.0
            if there.any():
                away = distance_mm(~there, geometry.spacing_mm)
                shares[name] = float(np.mean(away[mask] <= within_mm))
    return shares


def uptake_ratios(
    suv_peak: float, host_suv: float | None, reference: UptakeReference | None
) -> dict[str, float]:
    """SUVpeak over the uptake of what a focus lies in (``contrast``), of liver and of blood pool, where known."""
    ratios = {}
    if host_suv is not None and np.isfinite(host_suv):
        ratios["contrast"] = suv_peak / max(host_suv, 0.1)
    if reference is not None and reference.liver_mean:
        ratios["liver_ratio"] = suv_peak / reference.liver_mean
    if reference is not None and reference.blood_pool_mean:
        ratios["blood_pool_ratio"] = suv_peak / reference.blood_pool_mean
    return ratios


def landmarks(organs: LabelMap | None, midline: float | None) -> Landmarks:
    """Landmarks of a body from its organs."""
    if organs is None:
        return Landmarks()
    boxes = organ_boxes(organs)
    extents = {}
    for name, members in (("lung", LUNGS), ("thyroid", ("thyroid_gland",)), ("brain", ("brain",))):
        if any(organ in boxes for organ in members):
            box = joined([boxes[organ] for organ in members if organ in boxes])
            ends = np.stack(np.meshgrid(*[(s.start - 0.5, s.stop - 0.5) for s in box], indexing="ij"), axis=-1)
            extents[name] = organs.geometry.to_world(ends.reshape(-1, 3))
    seen = {organ: _places(organs, organ, boxes) for organ in ("kidney_left", "kidney_right") if organ in boxes}
    kidneys = tuple(_centre(places) for places in seen.values())
    tops = tuple(_upper_pole(places) for places in seen.values())
    hila = () if midline is None else tuple(_renal_hilum(places, midline) for places in seen.values())
    bladder = _centre(_places(organs, "urinary_bladder", boxes)) if "urinary_bladder" in boxes else None
    spine = _spine(_places(organs, "vertebrae", boxes)) if "vertebrae" in boxes else ()
    lung, thyroid, brain = (extents.get(name) for name in ("lung", "thyroid", "brain"))
    if lung is None:
        top = None if brain is None else float(brain[:, 2].min()) - 90.0
        top = float(thyroid[:, 2].max()) if thyroid is not None else top
        return Landmarks(neck_top=top, kidneys=kidneys, kidney_tops=tops, bladder=bladder, renal_hila=hila,
                         spine=spine)
    # The larynx begins about 60 mm above the apices where no thyroid was seen.
    neck = float(thyroid[:, 2].max()) + 10.0 if thyroid is not None else float(lung[:, 2].max()) + 60.0
    width = None if midline is None else float(np.abs(lung[:, 0] - midline).max())
    return Landmarks(lung_bottom=float(lung[:, 2].min()), lung_top=float(lung[:, 2].max()), lung_half_width=width,
                     neck_top=neck, kidneys=kidneys, kidney_tops=tops, bladder=bladder, renal_hila=hila,
                     spine=spine,
                     lungs={lung: hull for lung in LUNGS if (hull := _hull(organs, lung, boxes)) is not None})


def _hull(organs: LabelMap, organ: str, boxes: Mapping[str, Box]) -> Hull | None:
    """The convex hull of an organ; None where it has no volume."""
    if organ not in boxes:
        return None
    mask = organs.array[boxes[organ]] == organs.labels[organ]
    step = max(1, round(4.0 / min(organs.geometry.spacing_mm)))
    start = np.array([part.start for part in boxes[organ]])
    places = organs.geometry.to_world(np.argwhere(mask[::step, ::step, ::step]) * step + start)
    try:
        equations: Hull = ConvexHull(places).equations
    except (QhullError, ValueError):
        return None
    return equations


def _places(organs: LabelMap, organ: str, boxes: Mapping[str, Box]) -> NDArray[np.float64]:
    """Voxel centres of an organ, RAS+ mm (n, 3)."""
    box = boxes[organ]
    start = np.array([part.start for part in box])
    return organs.geometry.to_world(np.argwhere(organs.array[box] == organs.labels[organ]) + start)


def _centre(places: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = places.mean(axis=0)
    return float(x), float(y), float(z)


def _spine(places: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """(z, y) of the vertebrae's middle for each 2 cm of height that hold any, from below."""
    if not len(places):
        return ()
    level = np.floor(places[:, 2] / 20.0)
    found = (places[level == one] for one in np.unique(level))
    return tuple((float(part[:, 2].mean()), float(part[:, 1].mean())) for part in found)


def _upper_pole(places: NDArray[np.float64]) -> tuple[float, float, float]:
    """The middle of the uppermost centimetre of a kidney."""
    return _centre(places[places[:, 2] >= places[:, 2].max() - 10.0])


def _renal_hilum(places: NDArray[np.float64], midline: float) -> tuple[float, float, float]:
    """The middle of the kidney's medial surface, where the renal pelvis leaves it."""
    x, y, z = places.mean(axis=0)
    level = places[np.abs(places[:, 2] - z) <= 10.0]
    medial = np.percentile(np.abs(level[:, 0] - midline), 5) if len(level) else abs(x - midline)
    return float(midline + np.sign(x - midline) * medial), float(y), float(z)


def with_symmetry(foci: Sequence[Focus], midline_ras_mm: float | None) -> tuple[Focus, ...]:
    """Adds left-right symmetry: 1 - |L - R| / (L + R) of SUVpeak x volume (F4), and the distance off the midline.

    A focus beside the midline is compared with the most equal focus of the same site near its mirror place: 0 where
    there is none. A focus across the midline keeps the symmetry of its own halves (``own_symmetry``, measured on its
    voxels). Without a midline nothing is added.
    """
    if midline_ras_mm is None:
        return tuple(foci)
    weighed = []
    for focus in foci:
        off = focus.centroid_ras_mm[0] - midline_ras_mm
        features = dict(focus.features) | {"off_midline_mm": off}
        own = features.get("own_symmetry")
        if own is not None and (abs(off) < MIDLINE_MM or own > 0.3):
            features["symmetry"] = own
        elif abs(off) >= MIDLINE_MM:
            mirrored = np.array(focus.centroid_ras_mm)
            mirrored[0] = 2.0 * midline_ras_mm - mirrored[0]
            burden = _burden(focus)
            best = 0.0
            for other in foci:
                near = np.linalg.norm(np.array(other.centroid_ras_mm) - mirrored) <= PARTNER_REACH_MM
                opposite = (other.centroid_ras_mm[0] - midline_ras_mm) * off < 0
                if other.id != focus.id and near and opposite and _alike(focus, other):
                    theirs = _burden(other)
                    best = max(best, 1.0 - abs(burden - theirs) / max(burden + theirs, 1e-9))
            features["symmetry"] = best
        weighed.append(replace(focus, features=features))
    return tuple(weighed)


def _alike(focus: Focus, other: Focus) -> bool:
    """Whether two foci lie in one kind of tissue; soft tissue outside organs is one, whether called a node or not."""
    outside = {site_of(None), NODE}
    sites = {site_of(focus.organ), site_of(other.organ)}
    return len(sites) == 1 or sites == outside


def _burden(focus: Focus) -> float:
    return (focus.suv_peak if focus.suv_peak is not None else 1.0) * focus.volume_ml


def own_symmetry(weights: NDArray[np.float64], x_mm: NDArray[np.float64], midline_ras_mm: float) -> float | None:
    """Symmetry of one region's own halves; None where it does not reach both sides."""
    left, right = float(weights[x_mm < midline_ras_mm].sum()), float(weights[x_mm >= midline_ras_mm].sum())
    if min(left, right) <= 0.0:
        return None
    return 1.0 - abs(left - right) / (left + right)


def with_neighbours(foci: Sequence[Focus]) -> tuple[Focus, ...]:
    """Adds the distance from centre to the nearest other focus of the same site, and how many lie within 60 mm."""
    if len(foci) < 2:
        return tuple(foci)
    places = np.array([f.centroid_ras_mm for f in foci])
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    sites = np.array([site_of(f.organ) for f in foci])
    linked = []
    for at, focus in enumerate(foci):
        same = (sites == sites[at]) & (np.arange(len(foci)) != at)
        features = dict(focus.features) | {"foci_within_60_mm": float(np.count_nonzero(distance[at][same] <= 60.0))}
        if same.any():
            features["nearest_focus_mm"] = float(distance[at][same].min())
        linked.append(replace(focus, features=features))
    return tuple(linked)
