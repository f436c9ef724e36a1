"""Draws one body: sex, build, organ sizes and places, bowel and vessel courses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.phantom.patient import Anatomy
from irae.phantom.shapes import Loft, smooth_curve
from irae.phantom.tissue import TissueDraw

# Lean body outline of a person of 176 cm: mm below the vertex, half width, half depth, centre (anterior positive).
_OUTLINE = (
    (0, 6, 8, 12),
    (8, 38, 48, 12),
    (30, 62, 78, 12),
    (70, 75, 93, 12),
    (110, 76, 95, 12),
    (150, 72, 92, 12),
    (190, 64, 86, 14),
    (218, 57, 76, 14),
    (236, 50, 58, 0),
    (265, 49, 52, -10),
    (292, 55, 55, -14),
    (318, 105, 64, -14),
    (340, 158, 74, -10),
    (370, 168, 86, -4),
    (420, 158, 98, 0),
    (480, 152, 104, 0),
    (550, 147, 104, 0),
    (620, 138, 100, 0),
    (680, 132, 95, 0),
    (740, 142, 96, -2),
    (800, 158, 100, -6),
    (860, 168, 102, -10),
    (910, 172, 98, -12),
    (960, 172, 92, -12),
    (1000, 168, 88, -12),
)
# Right lung in the same space; the left one is the mirror, narrower.
_LUNG = (
    (318, 48, 20, 22, -22),
    (335, 52, 28, 34, -20),
    (360, 62, 36, 46, -16),
    (400, 74, 52, 68, -8),
    (450, 79, 60, 80, -4),
    (500, 80, 63, 86, -4),
    (550, 81, 64, 86, -6),
    (590, 84, 60, 72, -20),
    (620, 88, 48, 42, -48),
    (640, 92, 26, 18, -62),
)
_COLON = (
    (72, 28, 812),
    (82, 24, 790),
    (92, 4, 745),
    (96, -10, 700),
    (92, -6, 660),
    (80, 18, 640),
    (58, 50, 660),
    (25, 68, 690),
    (-15, 70, 700),
    (-52, 58, 680),
    (-80, 25, 632),
    (-97, -12, 612),
    (-104, -26, 660),
    (-106, -26, 715),
    (-102, -10, 765),
    (-84, 12, 795),
    (-56, 30, 812),
    (-30, 18, 792),
    (-5, 8, 806),
    (14, -8, 832),
    (6, -34, 842),
    (0, -54, 856),
    (0, -58, 885),
    (0, -52, 915),
)
_COLON_CALIBRE = (27, 27, 24, 23, 22, 21, 19, 19, 19, 19, 18, 17, 14, 13, 13, 13, 13, 13, 13, 14, 15, 17, 17, 10)


# Vertebral bodies: mm below the vertex, centre (anterior positive), half width, half depth, half height.
SPINE = (
    *((146 + 19.0 * n, -14 - 1.2 * n, 12.0 + 0.4 * n, 9.0, 7.0) for n in range(7)),  # C1-C7
    *(
        (285 + 24.2 * n, -30 - 26 * np.sin(np.pi * (n + 0.8) / 13.5), 14.0 + 0.55 * n, 12.0 + 0.4 * n, 9.2 + 0.2 * n)
        for n in range(12)
    ),  # T1-T12
    *((588 + 35.5 * n, -36 + 9 * np.sin(np.pi * n / 5), 21.5 + 0.8 * n, 16.5, 13.2) for n in range(5)),  # L1-L5
)


def spine_at(down: float) -> float:
    """Anterior position of the vertebral bodies' centres at a height of the standard body."""
    return float(np.interp(down, [v[0] for v in SPINE], [v[1] for v in SPINE]))


def outline(anatomy: Anatomy) -> Loft:
    """The lean body's surface: muscle and bone, without the subcutaneous fat."""
    f, s = anatomy.frame, anatomy.length
    waist = 1.0 if anatomy.sex == "M" else 0.95
    depth = 1.0 + 0.20 * anatomy.visceral

    def wide(down: float) -> float:
        trunk = float(np.clip((down - 320) / 60, 0, 1))
        return f * (1 + trunk * (waist - 1) * float(np.clip(1 - abs(down - 680) / 150, 0, 1)))

    def deep(down: float) -> float:
        return f * (1 + (depth - 1) * float(np.clip(1 - abs(down - 720) / 170, 0, 1)))

    return Loft(
        z=tuple(-r[0] * s for r in _OUTLINE),
        half_x=tuple(r[1] * wide(r[0]) for r in _OUTLINE),
        half_y=tuple(r[2] * deep(r[0]) for r in _OUTLINE),
        centre_x=(0.0,) * len(_OUTLINE),
        centre_y=tuple(r[3] * f + r[2] * (deep(r[0]) - f) * 0.7 for r in _OUTLINE),
        square=0.35,
    )


def fat_at(anatomy: Anatomy, down: float) -> float:
    """Thickness of the subcutaneous fat, mm."""
    levels = (0, 230, 300, 420, 700, 850, 1000)
    share = (0.12, 0.2, 0.3, 0.55, 1.0, 1.15, 0.9)
    return anatomy.fat_mm * float(np.interp(down, levels, share)) + 2.0


def skin_surface(anatomy: Anatomy) -> Loft:
    """The body's surface."""
    lean = outline(anatomy)
    fat = [fat_at(anatomy, r[0]) for r in _OUTLINE]
    return Loft(
        z=lean.z,
        half_x=tuple(a + t for a, t in zip(lean.half_x, fat, strict=True)),
        half_y=tuple(b + t for b, t in zip(lean.half_y, fat, strict=True)),
        centre_x=lean.centre_x,
        centre_y=lean.centre_y,
        square=0.35,
    )


def lung(anatomy: Anatomy, side: int) -> Loft:
    """A lung before the heart and the diaphragm cut into it; side +1 right, -1 left."""
    f, s = anatomy.frame, anatomy.length
    size = anatomy.size["lung"] * (1.0 if side > 0 else 0.93)
    base = _LUNG[0][0]
    return Loft(
        z=tuple(-(base + (r[0] - base) * (0.9 + 0.1 * anatomy.size["lung"])) * s for r in _LUNG),
        half_x=tuple(r[2] * f * size for r in _LUNG),
        half_y=tuple(r[3] * f * (0.5 + 0.5 * size) for r in _LUNG),
        centre_x=tuple(side * (r[1] + r[2] * (1 - size)) * f for r in _LUNG),
        centre_y=tuple(r[4] * f for r in _LUNG),
        square=0.25,
        rough_mm=1.0,
        cap_mm=22.0,
    )


def _bowel(rng: np.random.Generator, frame: float, length: float) -> NDArray[np.float64]:
    """Small bowel: loops that fill the middle of the abdomen, stack upon stack, smooth."""
    knots = [(28.0, 20.0, 655.0), (48.0, 5.0, 690.0)]
    side = 1.0
    for layer, down in enumerate(np.arange(705.0, 822.0, 25.0)):
        wide = 66.0 if down < 790 else 48.0
        for row, y in enumerate(np.linspace(66.0, 6.0, 3) if layer % 2 == 0 else np.linspace(6.0, 66.0, 3)):
            ends = [side * wide, side * wide / 3, -side * wide / 3, -side * wide]
            knots += [
                (x + rng.normal(0, 6), y + rng.normal(0, 7), down + rng.normal(0, 6) + 5 * (row - 1)) for x in ends
            ]
            side = -side
    scaled = np.array(knots) * (frame, frame, -length)
    return smooth_curve(scaled, step_mm=14.0)


def _vessels(
    rng: np.random.Generator, frame: float, length: float
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Branches from each hilum towards the pleura."""
    out = []
    for side in (1, -1):
        for _ in range(16):
            end = np.array([side * rng.uniform(55, 130), rng.uniform(-75, 65), rng.uniform(355, 600)])
            start = np.array([side * 34.0, -4.0, 442.0])
            middle = (start + end) / 2 + rng.normal(0, 10, 3)
            path = smooth_curve(np.array([start, middle, end]) * (frame, frame, -length), step_mm=18.0)
            out.append((path, np.linspace(rng.uniform(3.0, 5.5), 0.9, len(path))))
            for at in (0.45, 0.7):
                root = path[int(at * len(path))]
                tip = root + rng.normal(0, 1, 3) * (24, 24, 28) + (side * 10, 0, 0)
                branch = smooth_curve(np.array([root, (root + tip) / 2 + rng.normal(0, 4, 3), tip]), step_mm=18.0)
                out.append((branch, np.linspace(1.9, 0.7, len(branch))))
    return tuple(out)


def draw_anatomy(rng: np.random.Generator, *, wide: float = 1.0) -> Anatomy:
    """A body at random; ``wide`` > 1 spreads sizes, places and tissues beyond the usual (domain randomisation)."""
    sex = "M" if rng.random() < 0.55 else "F"
    height = float(np.clip(rng.normal(177 if sex == "M" else 164, 7), 150, 198))
    bmi = float(np.clip(rng.normal(26.0, 4.2), 18.0, 40.0))
    weight = bmi * (height / 100) ** 2
    length = height / 176.0
    frame = float(np.clip((0.99 if sex == "M" else 0.91) * (1 + 0.035 * rng.standard_normal()), 0.82, 1.1))
    fat = float(np.clip((bmi - 17) * (1.5 if sex == "M" else 2.1) * rng.uniform(0.8, 1.2), 4, 48))
    visceral = float(np.clip((bmi - 20) / 16 * (1.1 if sex == "M" else 0.8), 0.02, 1.0))

    def size(cov: float) -> float:
        return float(np.clip(1 + wide * cov * rng.standard_normal(), 1 - 2.2 * cov * wide, 1 + 2.2 * cov * wide))

    names = {
        "lung": 0.05,
        "heart": 0.045,
        "liver": 0.055,
        "spleen": 0.09,
        "thyroid_gland": 0.10,
        "kidney_left": 0.06,
        "kidney_right": 0.06,
        "stomach": 0.12,
        "pancreas": 0.10,
        "aorta": 0.10,
        "brain": 0.03,
        "vertebrae": 0.05,
        "gallbladder": 0.15,
        "small_bowel": 0.10,
    }
    moved = {
        "heart": 5,
        "liver": 5,
        "spleen": 6,
        "thyroid_gland": 3,
        "kidney_left": 7,
        "kidney_right": 7,
        "stomach": 8,
        "pancreas": 6,
        "brain": 2,
        "urinary_bladder": 4,
    }
    sizes = {name: size(cov) for name, cov in names.items()}
    shifts = {
        name: tuple(float(v) for v in np.clip(rng.standard_normal(3), -2, 2) * sd * wide) for name, sd in moved.items()
    }
    turns = {
        name: tuple(float(v) for v in np.clip(rng.standard_normal(3), -2, 2) * 5.0 * wide)
        for name in ("heart", "liver", "spleen", "kidney_left", "kidney_right", "stomach")
    }
    knots = np.array(_COLON, dtype=float)
    jitter = np.clip(rng.standard_normal(knots.shape), -1.8, 1.8) * (5, 5, 9) * min(wide, 1.6)
    jitter[-4:] *= 0.2
    knots = (knots + jitter) * (frame, frame * (1 + 0.15 * visceral), -length)
    colon = smooth_curve(knots, step_mm=11.0)
    calibre = np.interp(np.linspace(0, 1, len(colon)), np.linspace(0, 1, len(_COLON_CALIBRE)), _COLON_CALIBRE)
    calibre = calibre * size(0.10) * frame
    return Anatomy(
        sex=sex,
        height_cm=round(height, 1),
        weight_kg=round(weight, 1),
        length=length,
        frame=frame,
        fat_mm=fat,
        visceral=visceral,
        arms_up=bool(rng.random() < 0.8),
        size=sizes,
        shift_mm={k: (v[0], v[1], v[2]) for k, v in shifts.items()},
        turn_deg={k: (v[0], v[1], v[2]) for k, v in turns.items()},
        colon=colon,
        small_bowel=_bowel(rng, frame, length),
        colon_calibre_mm=calibre,
        colon_wall_mm=float(np.clip(rng.normal(1.5, 0.3), 1.0, 2.4)),
        lung_vessels=_vessels(rng, frame, length),
        tissue=TissueDraw.draw(rng, spread=wide),
        noise_seed=int(rng.integers(2**31)),
        pituitary_height_mm=float(np.clip(rng.normal(5.5 if sex == "M" else 6.0, 1.0), 3.5, 7.8)),
        stalk_mm=float(np.clip(rng.normal(2.0, 0.3), 1.3, 2.9)),
        sella={
            "width": size(0.08),
            "depth": size(0.08),
            "cistern": size(0.13),
            "cavernous": size(0.10),
            "sinus": 0.0 if rng.random() < 0.1 else size(0.15),
            "tilt_deg": float(rng.normal(0, 4 * wide)),
            "flat": float(rng.uniform(0, 1)),
        },
    )
