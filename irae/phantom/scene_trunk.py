"""Outline, fat, muscle, limbs, skeleton and the scanner's table."""

from __future__ import annotations

import numpy as np

from irae.phantom.anatomy import SPINE, abdominal_cavity, fat_at, outline, skin_surface
from irae.phantom.canvas import Material
from irae.phantom.scene import Stage
from irae.phantom.shapes import Ellipsoid, Loft, Slab, Tube, smooth_curve


def paint_table(stage: Stage) -> None:
    """A flat foam table with a thin shell under the back; it stands in the world, not in the patient's bent space."""
    canvas = stage.canvas
    skin = skin_surface(stage.anatomy)
    shift = stage.today.pose.shift_mm
    back = min(c - b for c, b in zip(skin.centre_y, skin.half_y, strict=True)) + shift[1] - 1.0
    wide, deep = (
        np.abs(canvas.world(0) - shift[0]) - np.float32(205),
        np.abs(canvas.world(1) - (back - 16)) - np.float32(12),
    )
    distance = np.hypot(np.maximum(wide, 0), np.maximum(deep, 0)) + np.minimum(np.maximum(wide, deep), 0)
    outer, inner = canvas.share(distance - np.float32(3.0)), canvas.share(distance)
    shell, foam = stage.material["table_shell"], stage.material["table"]
    for name, channel in canvas.channels.items():
        added = (outer - inner) * np.float32(getattr(shell, name)) + inner * np.float32(getattr(foam, name))
        channel *= 1 - outer
        channel += added


def paint_limbs(stage: Stage) -> None:
    """Arms beside the head or along the body, and thighs, each of fat, muscle and bone."""
    anatomy = stage.anatomy
    fat = anatomy.fat_mm
    for side in (1, -1):
        arm = (
            [
                (side * 120, -8, 372),
                (side * 160, -6, 345),
                (side * 174, 8, 295),
                (side * 168, 18, 210),
                (side * 140, 40, 60),
                (side * 105, 60, -120),
            ]
            if anatomy.arms_up
            else [
                (side * 120, -8, 360),
                (side * 168, -8, 345),
                (side * (196 + fat * 0.6), -12, 420),
                (side * (212 + fat * 0.8), -10, 600),
                (side * (222 + fat), 10, 850),
                (side * (215 + fat), 30, 990),
            ]
        )
        leg = [(side * 88, -10, 900), (side * 92, 0, 980), (side * 84, 2, 1150), (side * 78, 0, 1300)]
        for knots, lean, layer in ((arm, (50, 54, 46, 40, 33, 28), 0.45), (leg, (78, 78, 70, 58), 0.9)):
            points = smooth_curve(np.array(knots) * (anatomy.frame, anatomy.frame, -anatomy.length), step_mm=40.0)
            radius = np.interp(np.linspace(0, 1, len(points)), np.linspace(0, 1, len(lean)), lean) * anatomy.frame
            stage.paint(Tube(points, radius + fat * layer + 2), "fat")
            stage.paint(Tube(points, radius), "muscle", label="skeletal_muscle")
            stage.paint(Tube(points, 13.0 if lean[0] < 60 else 15.0), "cortical_bone")
            stage.paint(Tube(points, 7.5 if lean[0] < 60 else 8.5), "marrow")


def paint_trunk(stage: Stage) -> None:
    """Skin, subcutaneous fat, muscle wall and the fat inside the abdomen; breasts."""
    anatomy = stage.anatomy
    skin = skin_surface(anatomy)
    found = skin.field(stage.canvas)
    if found is not None:
        block, distance = found
        canvas = stage.canvas
        canvas.paint(block, canvas.share(distance), stage.material["skin"])
        canvas.paint(block, canvas.share(distance + np.float32(1.8)), stage.material["fat"])
    if anatomy.sex == "F":
        size = 0.75 + 0.018 * anatomy.fat_mm
        for side in (1, -1):
            stage.blob("breast", (side * 78, 92 + 0.5 * fat_at(anatomy, 450), 455), (58, 42, 55), "fat", size=size)
            stage.blob("breast", (side * 78, 100 + 0.5 * fat_at(anatomy, 450), 458), (34, 22, 32), "breast", size=size)
    lean = outline(anatomy)
    stage.paint(lean, "muscle", label="skeletal_muscle")
    found = lean.field(stage.canvas)
    if found is not None:  # fat between the muscles, more of it in the heavy
        block, distance = found
        streaks = np.clip(
            (stage.canvas.noise(block, scale_mm=9.0, seed=5) - 1.3 + 0.4 * anatomy.visceral) * 2.0, 0, 0.6
        )
        share = stage.canvas.share(distance + np.float32(4.0)) * streaks
        stage.canvas.paint(block, share, stage.material["fat"], clears=True)
    cavity = abdominal_cavity(anatomy)
    stage.paint(cavity, "visceral_fat")
    for side in (1, -1):  # the armpits, where nodes lie
        stage.blob("axilla", (side * 125, -11, 381), (19, 19, 25), "fat")
    for side in (1, -1):  # psoas
        stage.tube(
            [
                (side * 30, -36, 600),
                (side * 42, -34, 680),
                (side * 58, -18, 770),
                (side * 80, 12, 850),
                (side * 88, 8, 900),
            ],
            (9, 19, 23, 19, 14),
            "muscle",
            label="skeletal_muscle",
        )


def paint_skeleton(stage: Stage) -> None:
    """Spine, ribs, sternum, clavicles, scapulae, pelvis; the spine carries its label."""
    anatomy, material = stage.anatomy, stage.material
    f, s = anatomy.frame, anatomy.length
    shell = Material(hu=material["cortical_bone"].hu * 0.55, suv=material["marrow"].suv, t1c=1.2)
    _paint_ribs(stage, shell)
    for half, rounding, tissue in (((17 * f, 6, 85 * s), 5, shell), ((14 * f, 3.5, 82 * s), 3, "marrow")):
        stage.paint(Slab(centre=anatomy.point(0, 80, 430), half=half, turn_deg=(10, 0, 0), round_mm=rounding), tissue)
    for side in (1, -1):
        stage.tube(
            [(side * 20, 60, 338), (side * 70, 48, 326), (side * 120, 18, 322), (side * 150, 2, 330)], 6.5, shell
        )
        stage.paint(
            Slab(centre=anatomy.point(side * 106, -62, 412), half=(38, 3.5, 52), turn_deg=(6, 0, side * 30)), shell
        )
        stage.tube([(side * 150, -10, 345), (side * 160, -8, 348)], 23, shell)
        stage.tube([(side * 150, -10, 345), (side * 160, -8, 348)], 20, "marrow")
    _paint_pelvis(stage, shell)
    size = anatomy.size["vertebrae"]
    for n, (down, y, half_x, half_y, half_z) in enumerate(SPINE):
        centre = anatomy.point(0, y, down)
        arch_y = y - half_y * size - (16 if n < 19 else 19)
        tip = 8.0 if n < 9 else 12.0
        stage.paint(
            Slab(
                centre=anatomy.point(0, arch_y + 1 - tip, down + (10 if 7 <= n < 19 else 4)),
                half=(3.6, tip, 6.5 if n < 19 else 11),
                round_mm=3,
            ),
            shell,
            label="vertebrae",
        )
        for side in (1, -1):
            stage.paint(
                Slab(
                    centre=anatomy.point(side * (half_x + (14 if n > 6 else 6)), arch_y + 5, down),
                    half=((16 if n > 6 else 8) * f, 4.5, 5),
                    turn_deg=(0, 0, -side * 15),
                    round_mm=4,
                ),
                shell,
                label="vertebrae",
            )
        stage.paint(
            Ellipsoid(centre=anatomy.point(0, arch_y, down), semi=(16.5 * f, 13 * f, 10 * s)), shell, label="vertebrae"
        )
        column = Loft(
            z=tuple(centre[2] + dz * s for dz in (half_z, half_z * 0.5, -half_z * 0.5, -half_z)),
            half_x=tuple(half_x * f * size * k for k in (1.06, 0.96, 0.96, 1.06)),
            half_y=tuple(half_y * f * size * k for k in (1.04, 0.96, 0.96, 1.04)),
            centre_x=(centre[0],) * 4,
            centre_y=(centre[1],) * 4,
            square=0.3,
        )
        found = column.field(stage.canvas)
        if found is not None:
            block, distance = found
            inner = {"hu": material["marrow"].hu, "suv": material["marrow"].suv, "t1c": material["marrow"].t1c}
            outer = {"hu": shell.hu, "suv": shell.suv, "t1c": shell.t1c}
            stage.canvas.paint_layers(block, [distance, distance + 1.6], [outer, inner], label=16)
        if n + 1 < len(SPINE):
            below = SPINE[n + 1]
            gap = below[0] - down - half_z - below[4]
            stage.paint(
                Ellipsoid(
                    centre=anatomy.point(0, (y + below[1]) / 2, down + half_z + gap / 2),
                    semi=(half_x * f * 0.98, half_y * f * 0.95, max(gap * s * 0.75, 2.0)),
                ),
                "disc",
            )
    canal = [anatomy.point(0, v[1] - v[3] * size - 11, v[0]) for v in SPINE]
    stage.paint(Tube([anatomy.point(0, -12, 130), *canal], 8.0), "csf")
    stage.paint(Tube([anatomy.point(0, -12, 130), *canal[:20]], 5.0), "cord")


def _paint_ribs(stage: Stage, shell: Material) -> None:
    anatomy = stage.anatomy
    lean = outline(anatomy)
    s = anatomy.length
    for n in range(12):
        down = SPINE[7 + n][0]
        drop = (28, 45, 58, 66, 72, 78, 84, 88, 88, 80, 55, 35)[n]
        reach = (0.80, 0.85, 0.88, 0.9, 0.9, 0.9, 0.88, 0.82, 0.76, 0.68, 0.48, 0.36)[n]
        angle = np.linspace(0.10, reach, 16) * np.pi  # 0 back, pi front
        z = -(down + drop * np.clip(angle / np.pi, 0, 1) ** 0.8) * s
        half = [lean.at(float(v)) for v in z]
        tight = {0: 0.42, 1: 0.62, 2: 0.78}.get(n, 1.0)
        for side in (1, -1):
            points = [
                (
                    side * ((h[0] - 9) * tight) * np.sin(a),
                    h[3] - (h[1] - 12) * np.cos(a) * (0.9 if n > 0 else 0.7),
                    float(v),
                )
                for h, a, v in zip(half, angle, z, strict=True)
            ]
            stage.paint(Tube(points, 5.2), shell)


def _paint_pelvis(stage: Stage, shell: Material) -> None:
    anatomy = stage.anatomy
    for grow, tissue in ((0.0, shell), (-2.0, stage.material["marrow"])):
        for side in (1, -1):
            stage.paint(
                Ellipsoid(
                    centre=anatomy.point(side * 108, -24, 775),
                    semi=(9 + grow, 58 + grow, 56 + grow),
                    turn_deg=(0, side * 20, side * 30),
                ),
                tissue,
            )
            stage.tube([(side * 52, -62, 790), (side * 90, -28, 810), (side * 100, 0, 862)], 15 + grow, tissue)
            stage.tube([(side * 88, 12, 866), (side * 50, 42, 884), (side * 10, 52, 900)], 9 + grow, tissue)
            stage.tube(
                [(side * 90, -6, 885), (side * 62, -28, 930), (side * 42, 10, 935), (side * 14, 48, 908)],
                8 + grow,
                tissue,
            )
            stage.tube([(side * 100, 0, 868), (side * 101, 0, 872)], 23 + grow, tissue)
            stage.tube(
                [(side * 104, 0, 872), (side * 145, -6, 900), (side * 140, 2, 960), (side * 120, 6, 1100)],
                np.array([15, 18, 15, 14.0]) + grow,
                tissue,
            )
        stage.tube(
            [(0, -50, 752), (0, -66, 790), (0, -80, 830), (0, -70, 872)], np.array([27, 25, 16, 8.0]) + grow, tissue
        )
