"""Lungs with airways and vessels, heart and great vessels, mediastinum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.phantom.anatomy import WALL_MM, lung, outline, spine_at
from irae.phantom.scene import Stage
from irae.phantom.scene_further import paint_pericardial_effusion
from irae.phantom.shapes import Ellipsoid, Loft, Tube, smooth_curve


def paint_chest(stage: Stage) -> None:
    """Mediastinal fat, lungs with a dependent density gradient, and their vessels."""
    anatomy, canvas = stage.anatomy, stage.canvas
    f, s = anatomy.frame, anatomy.length
    centre = Loft(
        z=tuple(-d * s for d in (318, 350, 420, 500, 560, 600)),
        half_x=tuple(v * f for v in (24, 34, 44, 58, 62, 40)),
        half_y=tuple(v * f for v in (30, 50, 70, 82, 80, 40)),
        centre_x=(0.0,) * 6,
        centre_y=tuple(v * f for v in (-8, 0, 8, 10, 10, 20)),
        square=0.3,
        cap_mm=20.0,
    )
    stage.paint(centre, "mediastinal_fat")
    wall = outline(anatomy)
    for side, name in ((1, "lung_right"), (-1, "lung_left")):
        body = lung(anatomy, side)
        found = body.field(canvas)
        if found is None:
            continue
        block, distance = found
        distance = np.maximum(distance, wall.distance(canvas, block) + np.float32(WALL_MM))  # inside of the ribs
        tissue = stage.material["lung"]
        canvas.paint(block, canvas.share(distance), tissue, label={"lung_right": 2, "lung_left": 1}[name])
        if "hu" in canvas.channels:  # supine: denser and a little more perfused towards the back
            gradient = np.clip(-canvas.y[block] * np.float32(0.45 / f), -30, 45) + np.float32(8.0)
            canvas.channels["hu"][block] += np.where(canvas.labels[block] > 0, gradient, 0) * canvas.share(distance)
    vessel = replace(stage.material["blood"], suv=stage.material["blood"].suv * 0.9)
    for points, radii in anatomy.lung_vessels:
        if radii.max() < 0.35 * canvas.edge_mm:
            continue  # a few HU in a voxel
        branch = Tube(points, radii).field(canvas)
        if branch is None:
            continue
        block, distance = branch[0], branch[1]
        in_lung = (canvas.labels[block] == 1) | (canvas.labels[block] == 2)
        canvas.paint(block, np.where(in_lung, canvas.share(distance), 0).astype(np.float32), vessel)


def aorta_course(stage: Stage) -> np.ndarray:
    """(n, 3) canonical centreline from the root over the arch down to the bifurcation."""
    anatomy = stage.anatomy
    knots: list[tuple[float, float, float]] = [(4, 18, 470), (16, 26, 440), (14, 22, 408), (0, 4, 388)]
    knots += [(-14, -20, 396), (-22, -34, 425)]
    knots += [(-22, spine_at(d) + 17, d) for d in (470, 530)]
    knots += [(-12, spine_at(590) + 26, 590), (-6, spine_at(650) + 28, 650), (-2, spine_at(730) + 29, 730)]
    return smooth_curve(np.array(knots) * (anatomy.frame, anatomy.frame, -anatomy.length), step_mm=12.0)


def paint_mediastinum(stage: Stage) -> None:
    """Airways, oesophagus, heart with chambers, aorta, great veins, hilar vessels, healthy nodes."""
    anatomy, material = stage.anatomy, stage.material
    size = anatomy.size["heart"]
    stage.tube([(-4, spine_at(d) + 25, d) for d in (300, 360, 420, 480, 540, 575)], 8.5, "soft_tissue")
    wall, air = "airway_wall", "air"
    for grow, tissue in ((1.8, wall), (0.0, air)):
        stage.tube([(0, 14, 245), (0, 6, 300), (2, -2, 360), (2, -8, 415)], 8.5 + grow, tissue)
        stage.tube([(2, -8, 412), (22, -8, 435), (40, -8, 450)], np.array([8, 7, 5.5]) + grow, tissue)
        stage.tube([(2, -8, 412), (-25, -10, 440), (-42, -12, 458)], np.array([8, 6.5, 5.0]) + grow, tissue)
    veins = [(26, 10, 350), (26, 14, 400), (28, 14, 440), (26, 10, 470)]
    stage.tube(veins, 10.0, "blood")
    stage.tube([(26, 8, 352), (50, 12, 325), (60, 8, 312)], 7.0, "blood")
    stage.tube([(-8, 22, 440), (-10, 18, 432), (-30, -2, 440), (-44, -6, 452)], (14, 13, 11, 8), "blood")
    stage.tube([(-8, 22, 440), (4, 8, 438), (28, -2, 444), (44, -4, 456)], (14, 12, 11, 8), "blood")
    stage.tube([(20, -8, 478), (46, -14, 488)], (9, 6), "blood")
    stage.tube([(-16, -14, 478), (-46, -18, 486)], (9, 6), "blood")
    heart = (-18.0, 26.0, 492.0)
    turn = (0.0, 38.0, -34.0)
    paint_pericardial_effusion(stage, stage.ellipsoid("heart", heart, (70, 56, 60), turn=turn))
    shape = stage.blob("heart", heart, (70, 56, 60), "mediastinal_fat", turn=turn)
    inner = Ellipsoid(centre=shape.centre, semi=tuple(v - 3.0 for v in shape.semi), turn_deg=shape.turn_deg)  # type: ignore[arg-type]
    stage.paint(inner, "blood", label="heart")
    muscle = replace(material["myocardium"], suv=stage.today.myocardium_suv)
    apex = stage.place("heart", -36, 26, 504)
    for grow, part in ((10.0, muscle), (0.0, material["blood"])):
        stage.paint(
            Ellipsoid(
                centre=apex,
                semi=tuple((v * size + grow) * anatomy.frame for v in (42, 24, 24)),  # type: ignore[arg-type]
                turn_deg=(0.0, 38.0, -34.0),
            ),
            part,
            label="heart",
            inside="heart",
        )
    course = aorta_course(stage)
    radius = np.interp(np.linspace(0, 1, len(course)), [0, 0.15, 0.3, 0.5, 1.0], [15.5, 15, 13, 11.5, 9])
    radius = radius * anatomy.size["aorta"] * anatomy.frame
    stage.paint(Tube(course, radius + 1.2), "soft_tissue")
    stage.paint(Tube(course, radius), "blood", label="aorta")
