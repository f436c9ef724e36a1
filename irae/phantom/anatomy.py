"""The standard body: its surfaces and cavities for one person's build."""

from __future__ import annotations

import numpy as np

from irae.phantom.patient import Anatomy
from irae.phantom.shapes import Loft

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
    (370, 172, 88, -4),
    (420, 165, 102, 0),
    (480, 161, 108, 0),
    (550, 155, 108, 0),
    (620, 144, 102, 0),
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
# Vertebral bodies: mm below the vertex, centre (anterior positive), half width, half depth, half height.
SPINE = (
    *((146 + 19.0 * n, -14 - 1.2 * n, 12.0 + 0.4 * n, 9.0, 7.0) for n in range(7)),  # C1-C7
    *(
        (285 + 24.2 * n, -30 - 26 * np.sin(np.pi * (n + 0.8) / 13.5), 14.0 + 0.55 * n, 12.0 + 0.4 * n, 9.2 + 0.2 * n)
        for n in range(12)
    ),  # T1-T12
    *((588 + 35.5 * n, -36 + 9 * np.sin(np.pi * n / 5), 21.5 + 0.8 * n, 16.5, 13.2) for n in range(5)),  # L1-L5
)


# Where the kidneys lie (right, anterior, down) and their semi-axes, mm.
KIDNEYS = {
    "kidney_right": ((62.0, -46.0, 655.0), (28.0, 29.0, 57.0)),
    "kidney_left": ((-62.0, -46.0, 640.0), (28.0, 29.0, 57.0)),
}
WALL_MM = 15.5  # ribs and the muscles over them; lungs, liver and spleen end inside of it


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


def abdominal_cavity(anatomy: Anatomy) -> Loft:
    """Inside of the abdominal wall and of the pelvis."""
    lean = outline(anatomy)
    rows = []
    for down, wall, back in (
        (505, 44, 20),
        (540, 28, 22),
        (600, 21, 24),
        (680, 17, 26),
        (715, 22, 26),
        (745, 44, 25),
        (780, 62, 24),
        (820, 74, 22),
        (870, 80, 26),
        (912, 92, 30),
    ):
        half_x, half_y, _, centre_y = lean.at(-down * anatomy.length)
        front, rear = centre_y + half_y - 12.0, centre_y - half_y + back
        rows.append((-down * anatomy.length, max(half_x - wall, 8.0), (front - rear) / 2, 0.0, (front + rear) / 2))
    columns = [tuple(float(v) for v in column) for column in zip(*rows, strict=True)]
    return Loft(
        z=columns[0],
        half_x=columns[1],
        half_y=columns[2],
        centre_x=columns[3],
        centre_y=columns[4],
        square=0.3,
        cap_mm=30.0,
    )


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
    size = anatomy.size["lung"] * (1.04 if side > 0 else 0.98)
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
