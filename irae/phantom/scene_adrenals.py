"""The adrenals, and what is as thin as they are and lies beside them: the diaphragm behind the kidneys' upper poles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.core.anatomy import MUSCLE
from irae.phantom.anatomy import spine_at
from irae.phantom.patient import Anatomy
from irae.phantom.scene import LABEL, Stage
from irae.phantom.scene_further import ADRENAL_DIAMETER, ADRENAL_SUV
from irae.phantom.shapes import Slab

# Fat between an adrenal and the organ beside it, and how much of the kidney's fat there is: design values.
BESIDE_MM, FAT_SHARE = (0.3, 3.0), (0.6, 1.0)


def paint_crura(stage: Stage) -> None:
    """The diaphragm's crura: bands along T11 to L3, as thick as an adrenal's limb and beside it."""
    for side, end in ((1, 668), (-1, 640)):
        factor = _thickness(stage, side)
        # Behind the vena cava on the right; on the left beside the aorta, which covers what lies before the spine.
        front = (23, 17) if side > 0 else (20, 24)
        behind = [(28, 2, 535), (28, 7, 560), (26, 12, 590), (23, 16, 615), (16, 19, end)]
        before = [(front[0] + 3, front[1] - 2, 545), (*front, 570), (*front, 595), (19, front[1], 625)]
        for course, radii in ((behind, (3, 4, 4, 4, 3)), (before, (3, 4, 4, 3))):
            knots = [(side * x, spine_at(down) + y, down) for x, y, down in course]
            stage.tube(knots, np.array(radii) * factor, "muscle", label="skeletal_muscle")


def adrenal_apex(anatomy: Anatomy, side: int) -> tuple[float, float, float]:
    """Where an adrenal's limbs meet (right, anterior, down); it varies by a centimetre and a half between people."""
    rng = np.random.default_rng((anatomy.noise_seed, 32, side + 1))
    out, forward, down = (float(v) for v in rng.uniform((-1.0, -3.0, -9.0), (15.0, 13.0, 9.0)))
    return side * (28.0 + out), -7.0 + forward, 592.0 + down


def paint_adrenal(stage: Stage, side: int) -> None:
    """Two thin limbs that meet in front, above the kidney, in the kidney's fat: beside other organs, not in them."""
    label = "adrenal_gland_right" if side > 0 else "adrenal_gland_left"
    grade = stage.grade("adrenalitis")
    gland = stage.material["adrenal"]
    gland = replace(gland, suv=gland.suv * ADRENAL_SUV[grade])
    rng = np.random.default_rng((stage.anatomy.noise_seed, 33, side + 1))
    width, length, height = rng.uniform((0.8, 0.85, 0.85), (1.25, 1.15, 1.15))
    lean, twist = rng.uniform(-12.0, 12.0, 2)
    gap, fatty = float(rng.uniform(*BESIDE_MM)), float(rng.uniform(*FAT_SHARE))
    apex = adrenal_apex(stage.anatomy, side)
    limbs = []
    for long, deg in ((11.0, 30.0), (9.0, -4.0)) if side > 0 else ((11.0, 36.0), (10.0, -6.0)):
        turn = side * (deg + twist)
        back = np.array([np.sin(np.deg2rad(turn)), -np.cos(np.deg2rad(turn))]) * (long * length - 1.5)
        limbs.append((
            stage.anatomy.point(apex[0] + back[0], apex[1] + back[1], apex[2]),
            (2.3 * width * ADRENAL_DIAMETER[grade], long * length, 12.5 * height), (lean, 0.0, turn),
        ))
    fat = stage.ellipsoid("perirenal_fat", (apex[0] + side * 5, apex[1] - 21, apex[2] + 2), (16, 30, 19), size=fatty)
    for beside in ("liver", "stomach", "spleen", "pancreas"):
        stage.paint(fat, "visceral_fat", inside=beside, clears=True)
        for centre, half, turn_deg in limbs:
            grown = Slab(
                centre=centre, half=(half[0] + gap, half[1] + gap, half[2]), turn_deg=turn_deg, round_mm=2.0,
            )
            stage.paint(grown, "visceral_fat", inside=beside, clears=True)
    _paint_sheet(stage, side)
    for centre, half, turn_deg in limbs:
        stage.paint(Slab(centre=centre, half=half, turn_deg=turn_deg, round_mm=2.0), gland, label=label)


def _paint_sheet(stage: Stage, side: int) -> None:
    """The diaphragm from its crus outwards and backwards, where no organ is."""
    middle = spine_at(570)
    for (x, y), (end_x, end_y) in (((28, 7), (41, -14)), ((41, -14), (57, -38))):
        turn = float(np.degrees(np.arctan2(end_x - x, y - end_y)))
        found = Slab(
            centre=stage.anatomy.point(side * (x + end_x) / 2, middle + (y + end_y) / 2, 572),
            half=(1.6 * _thickness(stage, side), float(np.hypot(end_x - x, end_y - y)) / 2 + 1.5, 40.0),
            turn_deg=(0.0, 0.0, side * turn), round_mm=1.2,
        ).field(stage.canvas)
        if found is not None:
            share = stage.canvas.share(found[1])
            stage.canvas.paint(found[0], share, stage.material["muscle"], label=LABEL[MUSCLE], inside=0)


def _thickness(stage: Stage, side: int) -> float:
    """Of one side of the diaphragm, against the usual."""
    return float(np.random.default_rng((stage.anatomy.noise_seed, 31, side + 1)).uniform(0.7, 1.4))
