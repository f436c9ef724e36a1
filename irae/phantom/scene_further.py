"""Further irAEs and mimics beyond the five: pancreas, bile ducts, pericardium, stranded fat, muscles at work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.phantom.canvas import Canvas, Field, Material, Slices
from irae.phantom.scene import Stage
from irae.phantom.shapes import Ellipsoid, Tube

# By grade 0..3 (design values of the clinical reference, section 4.3; where it has none, by analogy).
PANCREAS_DIAMETER = (1.0, 1.1, 1.3, 1.5)
PANCREAS_HU = (0.0, -5.0, -20.0, -30.0)
PANCREAS_SUV = (1.0, 1.5, 2.1, 2.8)
PANCREAS_STRANDING_MM = (0.0, 0.0, 9.0, 15.0)
ADRENAL_DIAMETER = (1.0, 1.5, 1.9, 2.4)
ADRENAL_SUV = (1.0, 1.8, 2.4, 3.2)
STOMACH_WALL_MM = (4.0, 6.0, 9.0, 12.0)
STOMACH_SUV = (1.0, 1.6, 2.2, 3.0)
BOWEL_EXTRA_MM = (0.0, 1.2, 2.2, 3.5)
BOWEL_SUV = (1.0, 1.7, 2.3, 3.2)
DUCT_MM = (0.0, 2.2, 3.2, 4.5)


def strand(
    canvas: Canvas, block: Slices, outside_mm: Field, width_mm: Field | float, *, gain_hu: float = 75.0
) -> None:
    """Stranded fat outside an inflamed surface: streaks that fade over a width; organs and air are left alone."""
    if "hu" not in canvas.channels:
        near_fat = canvas.labels[block] == 0
    else:
        hu = canvas.channels["hu"][block]
        near_fat = (hu > -140) & (hu < -50) & (canvas.labels[block] == 0)
    near = np.clip(1 - outside_mm / np.maximum(width_mm, 1e-3), 0, 1) * (np.asarray(width_mm) > 0.1)
    streaks = np.clip(0.45 + 0.5 * canvas.noise(block, scale_mm=5.0, seed=7), 0, 1)
    for name, gain in (("hu", gain_hu * streaks), ("suv", 0.5)):
        if name in canvas.channels:
            canvas.channels[name][block] += np.where(near_fat, near * gain, 0.0).astype(np.float32)


def paint_pancreas(stage: Stage) -> None:
    """The pancreas, healthy or inflamed: thicker, paler, hotter, with stranded fat around it."""
    grade = stage.grade("pancreatitis")
    size = stage.anatomy.size["pancreas"] * PANCREAS_DIAMETER[grade]
    knots = ((38, 18, 650), (26, 20, 632), (4, 28, 622), (-32, 16, 612), (-70, -10, 602))
    shape = Tube(
        np.array([stage.place("pancreas", *p) for p in knots]), np.array([17, 16, 11.5, 12, 10]) * size
    )
    healthy = stage.material["pancreas"]
    share = 1.0 if stage.enhanced else 0.3
    tissue = replace(
        healthy,
        hu=healthy.hu + share * PANCREAS_HU[grade],
        suv=healthy.suv * PANCREAS_SUV[grade],
        texture=healthy.texture * (1 + 0.6 * grade),
    )
    width = PANCREAS_STRANDING_MM[grade]
    found = shape.field(stage.canvas, margin_mm=width + 3.0) if width else None
    if found is not None:
        strand(stage.canvas, found[0], found[1], width)
    stage.paint(shape, tissue, label="pancreas")


def paint_bile_ducts(stage: Stage) -> None:
    """Dilated ducts beside the portal branches, without an obstruction (cholangitis)."""
    grade = stage.grade("cholangitis")
    if not grade:
        return
    radius = DUCT_MM[grade]
    wall = Material(hu=stage.material["stomach_wall"].hu, suv=2.0 + 0.8 * grade)
    courses = (
        [(46, 18, 604), (92, 6, 594), (112, -8, 612)],
        [(46, 18, 604), (88, 20, 556), (100, 26, 536)],
        [(46, 18, 604), (16, 38, 574), (-14, 44, 566)],
        [(46, 18, 604), (36, 22, 632), (32, 20, 652)],
    )
    for grow, tissue in ((1.5, wall), (0.0, stage.material["bile"])):
        for n, knots in enumerate(courses):
            inside = "liver" if n < 3 else ""
            stage.tube(knots, np.array([1.0, 0.8, 0.5 if n < 3 else 1.0]) * radius + grow, tissue, inside=inside)


def paint_pericardial_effusion(stage: Stage, heart: Ellipsoid) -> None:
    """Fluid around the heart, painted before it."""
    found = stage.patient.confounder("pericardial_effusion", stage.visit)
    if found is None:
        return
    thick = 5.0 + 5.0 * found.drawn["size"]
    semi = tuple(v + thick for v in heart.semi)
    stage.paint(replace(heart, semi=semi), "fluid")  # type: ignore[arg-type]
