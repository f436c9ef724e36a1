"""Lung opacities and focal lesions, painted last and without touching the organ labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.phantom.anatomy import lung
from irae.phantom.canvas import Canvas, Field, Material, Slices
from irae.phantom.patient import Confounder, Patient
from irae.phantom.scene import Stage, visit_materials
from irae.phantom.spots import Spot, spots

# Pneumonitis by severity 1..3 (design values): share of the lungs, ground glass HU, consolidated share, true SUV.
EXTENT = (0.11, 0.36, 0.65)
GROUND_GLASS_HU = (-560.0, -560.0, -440.0)
SOLID_SHARE = (0.05, 0.20, 0.40)
TARGET_SUV = (2.6, 2.9, 3.4)
# How much of an opacity is consolidated, against the table, by pattern.
_SOLID_BY_PATTERN = {
    "op": 2.2,
    "nsip": 0.15,
    "hp": 0.0,
    "aip": 1.0,
    "pneumonia": 3.5,
    "radiation": 1.6,
    "lung_oedema": 0.2,
}
NECROSIS_FROM_MM = 32.0  # larger metastases have a core without blood supply
LUNGS = ((1, 2, "lung_right"), (-1, 1, "lung_left"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opacity:
    """A lung disease as it is painted.

    Attributes:
        pattern: op, nsip, hp, aip, pneumonia, radiation or lung_oedema.
        extent: Share of both lungs that it covers.
        ground_glass_hu: CT number of its ground glass.
        solid_share: Share of it that is consolidated.
        suv: True SUV of its solid part.
        seed, side, start: Where its foci lie.
    """

    pattern: str
    extent: float
    ground_glass_hu: float
    solid_share: float
    suv: float
    seed: int
    side: float
    start: float


def opacities(patient: Patient, visit: int) -> tuple[Opacity, ...]:
    """The lung diseases that show at a visit: pneumonitis first, then what only looks like it."""
    out = []
    calm = 0.6 if patient.confounder("steroid", visit) is not None else 1.0
    episode = patient.episode(Irae.PNEUMONITIS)
    if episode is not None and episode.visible and episode.severity[visit]:
        n, drawn = episode.severity[visit] - 1, episode.drawn
        low, high = ((0.035, 0.2), (0.26, 0.5), (0.52, 0.82))[n]
        out.append(
            Opacity(
                pattern=episode.pattern,
                extent=float(np.clip(EXTENT[n] * drawn["extent"], low, high)),
                ground_glass_hu=GROUND_GLASS_HU[n] + 60 * (drawn["hu"] - 1),
                solid_share=min(SOLID_SHARE[n] * _SOLID_BY_PATTERN[episode.pattern], 0.8),
                suv=TARGET_SUV[n] * drawn["suv"] * calm,
                seed=int(drawn["seed"]),
                side=0.0,
                start=drawn["start"],
            )
        )
    for kind, extent, suv in (("pneumonia", 0.07, 4.6), ("radiation", 0.08, 3.6), ("lung_oedema", 0.3, 1.0)):
        if (c := patient.confounder(kind, visit)) is not None:
            out.append(
                Opacity(
                    pattern=kind,
                    extent=extent * c.drawn["size"],
                    ground_glass_hu=-600.0 if kind == "lung_oedema" else -480.0,
                    solid_share=0.2 * _SOLID_BY_PATTERN[kind],
                    suv=suv * c.drawn["suv"],
                    seed=int(c.drawn["seed"]),
                    side=c.drawn["side"],
                    start=c.drawn["lobe"],
                )
            )
    return tuple(out)


def _score(stage: Stage, opacity: Opacity, side: int, block: Slices, depth: Field) -> tuple[Field, Field]:
    """Which lung tissue falls ill first (larger first), and a second field that says where it is solid."""
    canvas, anatomy = stage.canvas, stage.anatomy
    f, s = anatomy.frame, anatomy.length
    noise = canvas.noise(block, scale_mm=22.0, seed=opacity.seed % 997 + 20)
    fine = canvas.noise(block, scale_mm=5.0, seed=opacity.seed % 97 + 20)
    x, y, z = canvas.x[block], canvas.y[block], canvas.z[block]
    low = np.clip((-z / s - 340) / 260, 0, 1)  # 0 apex, 1 base
    rim = np.exp(-np.maximum(depth, 0) / np.float32(22.0))
    if opacity.pattern == "op":
        rng = np.random.default_rng(opacity.seed + (7 if side > 0 else 0))
        best = np.full(x.shape, -3.0, dtype=np.float32)
        solid = np.zeros(x.shape, dtype=np.float32)
        for _ in range(int(rng.integers(3, 7))):
            angle, down = rng.uniform(0, 2 * np.pi), 340 + 250 * rng.uniform(0.15, 1) ** 0.7
            half_x, half_y, cx, cy = lung(anatomy, side).at(-down * s)
            reach = rng.uniform(0.6, 0.95)
            radius = rng.uniform(18, 48)
            ring = rng.random() < 0.2
            px, py = cx + half_x * reach * np.cos(angle), cy + half_y * reach * np.sin(angle)
            away = np.sqrt((x - px) ** 2 + (y - py) ** 2 + (z + down * s) ** 2) / radius
            closer = -away > best
            best = np.where(closer, -away, best)
            solid = np.where(closer, np.where(ring, away - 0.5, 1 - away), solid)
        return (best + 0.3 * noise + 0.12 * fine + 0.35 * rim + 0.2 * low).astype(np.float32), (
            solid + 0.2 * fine
        ).astype(np.float32)
    if opacity.pattern == "nsip":
        score = 1.6 * low + 0.7 * rim + 0.28 * noise + 0.1 * fine
        if opacity.start < 0.4:
            score = score - 1.2 * np.clip(1 - depth / 7.0, 0, 1)
    elif opacity.pattern == "hp":
        score = -0.6 * low + 0.8 * fine + 0.15 * noise
    elif opacity.pattern == "aip":
        score = -y / np.float32(80 * f) + 0.35 * low + 0.4 * noise + 0.1 * fine
    elif opacity.pattern == "lung_oedema":  # both sides, around the hila and towards the back
        away = np.sqrt((np.abs(x) - 45 * f) ** 2 + (0.6 * y) ** 2 + (0.5 * (z + 450 * s)) ** 2)
        score = -away / np.float32(60.0) - y / np.float32(200 * f) + 0.15 * noise + 0.05 * fine
    elif opacity.pattern == "pneumonia":
        if side != (1 if opacity.side > 0 else -1):
            return np.full(x.shape, -9.0, dtype=np.float32), noise
        half_x, half_y, cx, cy = lung(anatomy, side).at(-(400 + 150 * round(opacity.start)) * s)
        away = np.sqrt(
            (x - cx - side * 0.3 * half_x) ** 2
            + (y - cy + 0.3 * half_y) ** 2
            + (z + (400 + 150 * round(opacity.start)) * s) ** 2
        )
        score = -away / np.float32(50.0) + 0.3 * noise + 0.1 * fine
    else:  # radiation: a box with straight edges beside the mediastinum, whatever the lobes
        if side != (1 if opacity.side > 0 else -1):
            return np.full(x.shape, -9.0, dtype=np.float32), noise
        centre = -(390 + 90 * opacity.start) * s
        edge = np.maximum(np.abs(z - centre) / np.float32(48.0), np.abs(x - side * 45 * f) / np.float32(36.0))
        score = -np.maximum(edge, np.abs(y - 5) / np.float32(110.0)) + 0.02 * fine
    return score.astype(np.float32), (score + 0.5 * noise).astype(np.float32)


def _coarse_lungs(patient: Patient, visit: int) -> Stage:
    """The true lungs of a visit on a coarse grid of their own: what heart and diaphragm leave of them."""
    from irae.phantom import scene_abdomen, scene_crude, scene_thorax

    pose = patient.visits[visit].pose
    centre = pose.to_world((0.0, 0.0, -480.0 * patient.anatomy.length))
    x, y, z = centre - np.array([18.5, 12.5, 19.5]) * 9.0
    grid = Geometry.axis_aligned((38, 26, 40), (9.0, 9.0, 9.0), (float(x), float(y), float(z)))
    canvas = Canvas(grid, pose, {}, noise_seed=patient.anatomy.noise_seed)
    stage = Stage(canvas, patient, visit, visit_materials(patient, visit))
    if patient.anatomy.crude:
        scene_crude.paint_crude(stage, chest_only=True)
        return stage
    scene_thorax.paint_chest(stage)
    scene_abdomen.paint_upper(stage)
    scene_thorax.paint_mediastinum(stage)
    return stage


def _thresholds(coarse: Stage, opacity: Opacity) -> tuple[float, float]:
    """Score above which lung is ill, and second score above which it is solid, for the wanted shares."""
    scores, solids = [], []
    for side, label, _ in LUNGS:
        found = lung(coarse.anatomy, side).field(coarse.canvas)
        if found is None:
            continue
        block, distance = found
        inside = coarse.canvas.labels[block] == label
        score, solid = _score(coarse, opacity, side, block, -distance)
        scores.append(score[inside])
        solids.append(solid[inside])
    score, solid = np.concatenate(scores), np.concatenate(solids)
    ill = float(np.quantile(score, 1 - min(opacity.extent, 0.95)))
    within = solid[score > ill]
    hard = float(np.quantile(within, 1 - opacity.solid_share)) if len(within) and opacity.solid_share > 0 else 99.0
    return ill, hard


@dataclass(frozen=True, slots=True, kw_only=True)
class OpacityPlace:
    """Where an opacity lies in one lung: canonical centre, box (right-left, front-back, up-down), share of the lung."""

    opacity: Opacity
    organ: str
    centre_mm: tuple[float, float, float]
    box_mm: tuple[float, float, float]
    lung_share: float


def opacity_places(patient: Patient, visit: int) -> tuple[OpacityPlace, ...]:
    """Every lung disease of a visit, lung by lung, found on the coarse grid that also sets its extent (9 mm)."""
    drawn = opacities(patient, visit)
    if not drawn:
        return ()
    coarse = _coarse_lungs(patient, visit)
    out = []
    for opacity in drawn:
        ill, _ = _thresholds(coarse, opacity)
        for side, label, organ in LUNGS:
            found = lung(patient.anatomy, side).field(coarse.canvas)
            if found is None:
                continue
            block, distance = found
            mine = coarse.canvas.labels[block] == label
            mask = mine & (_score(coarse, opacity, side, block, -distance)[0] > ill)
            if not mask.any():
                continue
            points = np.stack([axis[block][mask] for axis in (coarse.canvas.x, coarse.canvas.y, coarse.canvas.z)])
            x, y, z = (float(v) for v in points.mean(axis=1))
            wide, deep, high = (float(v) + 9.0 for v in np.ptp(points, axis=1))
            out.append(
                OpacityPlace(
                    opacity=opacity,
                    organ=organ,
                    centre_mm=(x, y, z),
                    box_mm=(wide, deep, high),
                    lung_share=float(mask.sum() / mine.sum()),
                )
            )
    return tuple(out)


def paint_lung_disease(stage: Stage) -> None:
    """Pneumonitis, pneumonia, radiation change, atelectasis; consolidated lung keeps its label."""
    canvas = stage.canvas
    drawn = opacities(stage.patient, stage.visit)
    coarse = _coarse_lungs(stage.patient, stage.visit) if drawn else stage
    for opacity in drawn:
        ill, hard = _thresholds(coarse, opacity)
        for side, label, _ in LUNGS:
            found = lung(stage.anatomy, side).field(canvas)
            if found is None:
                continue
            block, distance = found
            mine = canvas.labels[block] == label
            score, solid = _score(stage, opacity, side, block, -distance)
            soft = np.float32(0.04 if opacity.pattern == "radiation" else 0.16)
            weight = np.clip((score - ill) / soft + 0.5, 0, 1) * mine
            dense = np.clip((solid - hard) / np.float32(0.2) + 0.5, 0, 1)
            fine = canvas.noise(block, scale_mm=5.0, seed=31)
            solid_hu = 25.0 + (25.0 if stage.today.phase.value != "native" else 0.0)
            target = {
                "hu": (1 - dense) * (opacity.ground_glass_hu + 45 * fine) + dense * (solid_hu + 30 * fine),
                "suv": opacity.suv * (0.62 + 0.38 * dense) * (1 + 0.1 * fine),
            }
            _blend(canvas, block, weight, target)
    if (c := stage.patient.confounder("atelectasis", stage.visit)) is not None:
        for side, label, _ in LUNGS:
            found = lung(stage.anatomy, side).field(canvas)
            if found is None:
                continue
            block, distance = found
            low = -580.0 * stage.anatomy.length
            band = np.clip(1 - np.abs(canvas.z[block] - low + 0.3 * canvas.y[block]) / (4.0 * c.drawn["size"]), 0, 1)
            weight = np.minimum(band * 2, 1) * (canvas.y[block] < -10) * (canvas.labels[block] == label)
            _blend(canvas, block, weight, {"hu": 35.0, "suv": 1.8})
    for side, c in _effusions(stage):
        found = lung(stage.anatomy, side).field(canvas)
        if found is not None:
            block, _ = found
            level = -62.0 + 14 * c.drawn["size"] - 0.12 * (canvas.z[block] / stage.anatomy.length + 560)
            label = 2 if side > 0 else 1
            weight = np.clip((level - canvas.y[block]) / canvas.edge_mm + 0.5, 0, 1) * (canvas.labels[block] == label)
            fluid = stage.material["fluid"]
            _blend(canvas, block, weight, {"hu": fluid.hu, "suv": fluid.suv})
            canvas.labels[block][weight > 0.5] = 0


def _effusions(stage: Stage) -> list[tuple[int, Confounder]]:
    """Side (1 right, -1 left) and origin of each effusion: on its own, with a pneumonia (30 %), with oedema (both)."""
    out = []
    for kind in ("pleural_effusion", "pneumonia", "lung_oedema"):
        c = stage.patient.confounder(kind, stage.visit)
        if c is None or (kind == "pneumonia" and c.drawn["start"] >= 0.3):
            continue
        side = 1 if c.drawn["side"] > 0 else -1
        out += [(side, c), (-side, c)] if kind == "lung_oedema" else [(side, c)]
    return out


def _blend(canvas: Canvas, block: Slices, weight: NDArray[np.floating], target: dict[str, object]) -> None:
    for name, channel in canvas.channels.items():
        if name in target:
            part = channel[block]
            part += weight.astype(np.float32) * (np.asarray(target[name], dtype=np.float32) - part)


def paint_confounders(stage: Stage) -> None:
    """Focal confounders (reactive and sarcoid-like nodes, adenoma, brown fat)."""
    for spot in spots(stage.patient, stage.visit):
        if spot.nature is not Nature.METASTASIS:
            _paint_spot(stage, spot)


def _paint_spot(stage: Stage, spot: Spot) -> None:
    """A focus; where CT shows nothing of it, the tissue there keeps its CT number."""
    found = spot.shape.field(stage.canvas)
    if found is None:
        return
    block, distance = found
    values: dict[str, object] = {"suv": spot.suv, "t1c": 1.5}
    if spot.hu is not None:
        values["hu"] = spot.hu
    _blend(stage.canvas, block, stage.canvas.share(distance), values)


def paint_lesions(stage: Stage) -> None:
    """Metastases."""
    for spot in spots(stage.patient, stage.visit):
        if spot.nature is Nature.METASTASIS:
            tissue = Material(hu=spot.hu if spot.hu is not None else 40.0, suv=spot.suv, t1c=2.0, texture=0.6)
            stage.paint(spot.shape, tissue, within=True)
            if 2 * max(spot.shape.semi) > NECROSIS_FROM_MM:
                a, b, c = spot.shape.semi
                core = replace(spot.shape, semi=(0.45 * a, 0.45 * b, 0.45 * c))
                stage.paint(core, replace(tissue, hu=min(tissue.hu, 22.0), suv=0.35 * spot.suv), within=True)
