"""A body as another maker's phantom may draw it: ellipsoids and cylinders of even tissue, on purpose.

For training alone: a network that learns organs from this as well reads place, shape and neighbours instead of the
finer scene's habits. Bowel, lung disease and lesions are painted by the same code as in the fine scene.
"""

from __future__ import annotations

import numpy as np

from irae.phantom.anatomy import spine_at
from irae.phantom.patient import Anatomy
from irae.phantom.scene import LABEL, Stage
from irae.phantom.scene_abdomen import LIVER_VOLUME, paint_bowel
from irae.phantom.scene_head import thyroid_tissue
from irae.phantom.shapes import Ellipsoid, Loft, Tube, smooth_curve

# Place (right, anterior, down), semi-axes and tissue of every ellipsoid organ of the standard body.
_ORGANS: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float], str], ...] = (
    ("lung_right", (76, -2, 468), (60, 82, 130), "lung"),
    ("lung_left", (-76, -2, 468), (56, 80, 128), "lung"),
    ("heart", (-16, 26, 490), (54, 46, 56), "blood"),
    ("liver", (68, 6, 592), (78, 72, 66), "liver"),
    ("spleen", (-98, -36, 588), (26, 38, 48), "spleen"),
    ("stomach", (-50, 36, 606), (40, 32, 50), "stomach_content"),
    ("pancreas", (-4, 14, 628), (62, 13, 13), "pancreas"),
    ("kidney_right", (60, -42, 650), (27, 27, 52), "kidney_cortex"),
    ("kidney_left", (-60, -42, 640), (27, 27, 52), "kidney_cortex"),
    ("urinary_bladder", (0, 22, 872), (36, 32, 30), "urine"),
    ("adrenal_gland_right", (32, -30, 588), (8, 8, 15), "adrenal"),
    ("adrenal_gland_left", (-32, -30, 588), (8, 8, 15), "adrenal"),
)


def crude_lines(rng: np.random.Generator, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Centrelines of a frame of colon and a coil of small bowel, with as many points as the body's own."""
    frame = (84, 6, 780), (84, 0, 668), (62, 44, 652), (-62, 44, 652), (-90, -10, 648), (-90, -10, 775)
    pelvis = (-46, 10, 815), (0, -34, 848), (0, -56, 905)
    knots = np.array([*frame, *pelvis], dtype=float)
    knots[:-1] += rng.normal(0, 6, (len(knots) - 1, 3))
    colon = smooth_curve(knots * (anatomy.frame, anatomy.frame, -anatomy.length), step_mm=8.0)
    turns = np.linspace(0, 2 * np.pi * float(rng.uniform(4, 7)), 200)
    radius = float(rng.uniform(28, 52)) * anatomy.frame
    down = np.linspace(690, 815, len(turns)) * anatomy.length
    coil = np.stack([radius * np.cos(turns), 32 * anatomy.frame + 0.6 * radius * np.sin(turns), -down], axis=1)

    def resampled(line: np.ndarray, count: int) -> np.ndarray:
        arc = Tube(line, 1.0).arc_mm
        at = np.linspace(0, arc[-1], count)
        return np.stack([np.interp(at, arc, column) for column in line.T], axis=1)

    return resampled(colon, len(anatomy.colon)), resampled(coil, len(anatomy.small_bowel))


def paint_crude(stage: Stage, *, chest_only: bool = False) -> None:
    """The whole crude body; ``chest_only`` leaves the bowel out."""
    anatomy = stage.anatomy
    rng = np.random.default_rng((anatomy.noise_seed, 77))  # the same body at every visit
    _outside(stage, rng)
    shifts, stretches = rng.normal(0, 6, (len(_ORGANS), 3)), rng.normal(1, 0.1, (len(_ORGANS), 3))
    for (organ, at, semi, tissue), shift, stretch in zip(_ORGANS, shifts, stretches, strict=True):
        growth = LIVER_VOLUME[stage.hepatitis_grade] ** (1 / 3) if organ == "liver" else 1.0
        shape = Ellipsoid(
            centre=stage.place(organ, *(float(a + d) for a, d in zip(at, shift, strict=True))),
            semi=tuple(float(v * k * anatomy.frame * growth) for v, k in zip(semi, stretch, strict=True)),  # type: ignore[arg-type]
        )
        stage.paint(shape, tissue, label=organ if organ in LABEL else "")
    _tubes(stage, rng)
    _head_and_neck(stage, rng)
    if not chest_only:
        paint_bowel(stage)


def _outside(stage: Stage, rng: np.random.Generator) -> None:
    anatomy = stage.anatomy
    s = anatomy.length
    wide, deep = (float(rng.uniform(*r)) * anatomy.frame for r in ((150, 185), (98, 130)))
    z = (-325 * s, -380 * s, -700 * s, -1000 * s)
    shoulder = float(rng.uniform(0.8, 1.05))
    fat = float(rng.uniform(0, 28)) if rng.random() < 0.7 else 0.0
    inner = "muscle" if rng.random() < 0.5 else "soft_tissue"

    def trunk(inset: float) -> Loft:
        return Loft(
            z=z, half_x=(wide * shoulder - inset, wide - inset, wide * 0.94 - inset, wide - inset),
            half_y=(deep * 0.75 - inset, deep - inset, deep - inset, deep * 0.95 - inset),
            centre_x=(0.0,) * 4, centre_y=(0.0,) * 4,
        )  # fmt: skip

    neck, head = Tube([anatomy.point(0, 0, 170), anatomy.point(0, -8, 345)], 56.0 * anatomy.frame), (74, 92, 112)
    stage.paint(neck, inner)
    stage.paint(Ellipsoid(centre=anatomy.point(0, 8, 108), semi=head), inner)
    if fat:
        stage.paint(trunk(0.0), "fat")
    stage.paint(trunk(fat), inner)
    if rng.random() < 0.5:  # fat between the organs of the abdomen
        belly = Ellipsoid(centre=anatomy.point(0, 8, 700), semi=(wide * 0.75, deep * 0.68, 215 * s))
        stage.paint(belly, "visceral_fat")
    if anatomy.limbs:
        for side in (1, -1):
            ends = ((side * 150, 0, 350), (side * (wide + 45), 10, 60 if anatomy.arms_up else 800))
            stage.tube(ends, 42.0, inner)
            stage.tube(ends, 12.0, "cortical_bone")


def _tubes(stage: Stage, rng: np.random.Generator) -> None:
    anatomy = stage.anatomy
    straight = rng.random() < 0.5
    heights = np.arange(150.0, 775.0, 25.0)
    spine = [(0.0, -38.0 if straight else spine_at(d), d) for d in heights]
    radius = float(rng.uniform(15, 22)) * anatomy.frame
    stage.tube(spine, np.interp(heights, (150, 350, 775), (0.6 * radius, 0.85 * radius, radius)), "marrow",
        label="vertebrae")  # fmt: skip
    course = [(-14.0, spine_at(d) + 10 + radius, d) for d in (395.0, 500.0, 600.0, 735.0)]
    stage.tube(course, float(rng.uniform(9, 14)) * anatomy.frame, "blood", label="aorta")
    for side in (1, -1):
        pelvis = Ellipsoid(centre=anatomy.point(side * 98, -20, 800), semi=(14, 48, 62), turn_deg=(0, side * 15, 0))
        stage.paint(pelvis, "marrow")
        stage.tube([(side * 96, 0, 880), (side * 110, 0, 1000)], 17.0, "cortical_bone")


def _head_and_neck(stage: Stage, rng: np.random.Generator) -> None:
    anatomy = stage.anatomy
    size = anatomy.size["brain"]
    for semi, tissue, label in (((73, 88, 76), "skull", ""), ((66, 81, 69), "grey_matter", "brain")):
        stage.paint(
            Ellipsoid(centre=anatomy.point(0, 8, 88), semi=(semi[0] * size, semi[1] * size, semi[2] * size)),
            tissue, label=label,
        )  # fmt: skip
    stage.paint(Ellipsoid(centre=anatomy.point(0, 20, 113), semi=(6.5, 5, 3.5)), "pituitary", label="pituitary")
    gland, factor = thyroid_tissue(stage)
    apart, long = float(rng.uniform(15, 20)), float(rng.uniform(19, 27))
    for side in (1, -1):
        stage.blob("thyroid_gland", (side * apart, 8, 300), (9, 9, long), gland, label="thyroid_gland", size=factor)
    stage.tube([(0, 10, 210), (0, 6, 300), (0, -6, 425)], 8.5, "air")
