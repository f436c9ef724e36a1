"""Liver, spleen, kidneys, stomach, pancreas, bowel, bladder and vessels of the abdomen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.core.anatomy import Irae
from irae.phantom.anatomy import KIDNEYS, WALL_MM, outline, spine_at
from irae.phantom.bowel import colon_profile
from irae.phantom.scene import LABEL, Stage
from irae.phantom.scene_adrenals import paint_adrenal, paint_crura
from irae.phantom.scene_further import (
    BOWEL_EXTRA_MM,
    BOWEL_SUV,
    STOMACH_SUV,
    STOMACH_WALL_MM,
    paint_bile_ducts,
    paint_pancreas,
    strand,
)
from irae.phantom.shapes import Tube, smooth_curve

LIVER_VOLUME = (1.0, 1.0, 1.2, 1.34)  # by severity of hepatitis 0..3: from 2 on mostly past the 15 % of the rule
PERIPORTAL_MM = (0.0, 0.0, 2.5, 4.5)
GALLBLADDER_WALL_MM = (1.5, 1.5, 4.0, 6.0)


def paint_abdomen(stage: Stage) -> None:
    """All abdominal and pelvic organs, in the order in which they cover each other."""
    _vessels(stage)
    paint_upper(stage)
    _retroperitoneum(stage)
    _pelvis(stage)
    paint_bowel(stage)


def paint_bowel(stage: Stage) -> None:
    """Small bowel and colon along the body's centrelines."""
    _small_bowel(stage)
    _colon(stage)


def _vessels(stage: Stage) -> None:
    f = stage.anatomy.frame
    cava = [(14, spine_at(d) + 24, d) for d in (735, 650, 600)] + [(18, 4, 560), (24, 8, 520), (26, 10, 480)]
    stage.tube(cava, 11.0 * f, "blood")
    for side in (1, -1):
        stage.tube(
            [
                (side * 4, -2, 732),
                (side * 30, -12, 780),
                (side * 50, 20, 850),
                (side * 60, 38, 900),
                (side * 62, 30, 990),
            ],
            6.0,
            "blood",
        )
        stage.tube(
            [
                (side * 8, -8, 738),
                (side * 34, -20, 785),
                (side * 46, 12, 850),
                (side * 52, 34, 900),
                (side * 54, 26, 990),
            ],
            7.0,
            "blood",
        )
    stage.tube([(-6, -4, 612), (-4, 26, 620), (0, 34, 680), (8, 30, 740)], 4.5, "portal_blood")


def _retroperitoneum(stage: Stage) -> None:
    paint_crura(stage)
    for side, name in ((1, "kidney_right"), (-1, "kidney_left")):
        at, semi = KIDNEYS[name]
        turn = (-10.0, side * 14.0, side * 20.0)
        stage.blob(name, at, semi, "kidney_cortex", label=name, turn=turn)
        stage.blob(name, (at[0] - side * 2, at[1] + 1, at[2]), (18, 18, 45), "kidney_medulla", label=name, turn=turn)
        stage.blob(name, (at[0] - side * 10, at[1] + 5, at[2]), (9, 8, 17), "urine", turn=turn)
        _ureter(stage, side)
        paint_adrenal(stage, side)


def _ureter(stage: Stage, side: int) -> None:
    """Urine passes in boluses: some stretches are full, the others collapsed."""
    knots = [(46, -34, 655), (34, -16, 700), (36, -14, 770), (40, -32, 830), (16, -8, 872)]
    course = smooth_curve(np.array([(side * x, y, d) for x, y, d in knots], dtype=float), step_mm=20.0)
    rng = np.random.default_rng((stage.anatomy.noise_seed, stage.visit, 6, side + 1))
    full = rng.random(len(course) - 1) < 0.35
    for n in np.flatnonzero(full):
        stage.tube(course[n : n + 2].tolist(), 1.8, "urine")


def paint_upper(stage: Stage) -> None:
    """What lies below the diaphragm: spleen, stomach, liver with its vessels, gallbladder, pancreas."""
    anatomy, material, canvas = stage.anatomy, stage.material, stage.canvas
    # Left diaphragm: fat under the dome, so that the lung's base is concave there too.
    stage.blob("dome", (-72, 0, 592), (62, 74, 66), "visceral_fat")
    wall_clip = (outline(anatomy), WALL_MM + 1.0)
    stage.blob("spleen", (-106, -36, 580), (29, 43, 51), "spleen", label="spleen", turn=(-18, 12, 28), rough_mm=1.0,
        clip=wall_clip)  # fmt: skip
    _stomach(stage)
    grade = stage.severity(Irae.HEPATITIS)
    episode = stage.patient.episode(Irae.HEPATITIS)
    growth = 1.0
    if episode is not None and grade:
        growth = float(1 + (LIVER_VOLUME[grade] - 1) * episode.drawn["size"]) ** (1 / 3)
    size = anatomy.size["liver"] * growth * (0.925 if anatomy.sex == "M" else 1.0)  # about 1.5 L and 1.25 L on average
    for at, semi, turn, rough in (
        ((76, 2, 584), (70, 80, 84), (0, -14, 0), 1.2),  # right lobe, flat against the ribs
        ((-6, 38, 566), (62, 34, 32), (0, 12, 0), 1.2),  # left lobe
        ((100, -4, 636), (34, 50, 62), (0, -8, 0), 1.0),  # right lower tip, beside the kidney
    ):
        stage.blob("liver", at, semi, "liver", label="liver", turn=turn, rough_mm=rough, size=size, clip=wall_clip)
    trunk = [(0, 18, 640), (22, 16, 618), (40, 12, 600), (62, 10, 586)]
    branches = [
        (trunk, (6.5, 6.5, 6, 5)),
        ([(62, 10, 586), (92, 0, 600), (110, -14, 620)], (4.5, 3.5, 2)),
        ([(62, 10, 586), (86, 14, 560), (100, 20, 540)], (4.5, 3.2, 1.8)),
        ([(40, 12, 600), (18, 34, 580), (-10, 40, 570)], (4.5, 3.5, 2)),
    ]
    halo = replace(material["liver"], hu=min(material["liver"].hu - 30, 30.0))
    if PERIPORTAL_MM[grade]:
        for knots, radii in branches:
            stage.tube(knots, np.array(radii) + PERIPORTAL_MM[grade], halo, inside="liver")
    # Vessels in the liver are liver, as readers and the public label sets draw it.
    for knots, radii in branches:
        stage.tube(knots, radii, "portal_blood", keeps="liver")
    for end in ((112, 10, 560), (70, 40, 555), (84, -40, 570)):
        stage.tube([(24, 2, 522), tuple((np.array([24, 2, 522]) + end) / 2 + (6, 4, 0)), end], (5, 4, 2), "blood",
                   keeps="liver")
    wall = GALLBLADDER_WALL_MM[grade]
    bile = stage.blob("gallbladder", (58, 46, 632), (15, 14, 33), "bile", turn=(20, 0, 0))
    found = bile.field(canvas, margin_mm=8)
    if found is not None:
        block, distance = found
        coat = {"hu": 30.0 if grade >= 2 else material["stomach_wall"].hu, "suv": 1.8 if grade >= 2 else 1.2}
        canvas.paint_layers(
            block, [distance - wall, distance], [coat, {"hu": material["bile"].hu, "suv": material["bile"].suv}]
        )
    paint_pancreas(stage)
    paint_bile_ducts(stage)


def _stomach(stage: Stage) -> None:
    canvas, material = stage.canvas, stage.material
    size = stage.anatomy.size["stomach"]
    knots = ((-8, 2, 566), (-52, -4, 560), (-66, 6, 590), (-56, 30, 625), (-22, 50, 648), (14, 42, 645), (30, 34, 640))
    points = np.array([stage.place("stomach", *k) for k in knots])
    radii = np.array([8, 24, 30, 27, 21, 15, 9.0]) * size
    found = Tube(points, radii).field(canvas, margin_mm=STOMACH_WALL_MM[-1] + 4.0)
    if found is None:
        return
    block, distance, _ = found
    wall, content = material["stomach_wall"], material["stomach_content"]
    top = points[2][1] + radii[2] * 0.35
    gas = np.clip((canvas.y[block] - np.float32(top)) / canvas.edge_mm + 0.5, 0, 1)
    hu = (1 - gas) * max(content.hu, stage.today.oral_contrast_hu) + gas * -900.0
    grade = stage.grade("gastritis")
    outer = {"hu": wall.hu + (12.0 * grade if stage.enhanced else 0.0), "suv": wall.suv * STOMACH_SUV[grade],
        "t1c": wall.t1c}  # fmt: skip
    canvas.paint_layers(
        block,
        [distance - np.float32(STOMACH_WALL_MM[grade]), distance],
        [outer, {"hu": hu, "suv": (1 - gas) * content.suv, "t1c": content.t1c}],
        label=LABEL["stomach"],
    )


def _pelvis(stage: Stage) -> None:
    size = stage.today.bladder
    if stage.anatomy.sex == "M":
        stage.blob("prostate", (0, 8, 906), (23, 17, 16), "prostate")
    else:
        stage.blob("uterus", (4, -16, 848), (24, 24, 34), "uterus", turn=(25, 0, 0))
    stage.blob("urinary_bladder", (0, 24, 872), (40, 33, 30), "soft_tissue", label="urinary_bladder", size=size)
    stage.blob("urinary_bladder", (0, 24, 872), (36.5, 29.5, 26.5), "urine", label="urinary_bladder", size=size)


def _small_bowel(stage: Stage) -> None:
    canvas, anatomy, material = stage.canvas, stage.anatomy, stage.material
    points = anatomy.small_bowel
    size = anatomy.size["small_bowel"]
    n = len(points)
    along = np.arange(n)
    radius = (8.6 + 1.6 * np.sin(along * 0.9) + 2.0 * np.sin(along * 0.23)) * size
    found = Tube(points, radius).field(canvas, margin_mm=8.0, along=True)
    if found is None:
        return
    block, distance, position = found
    assert position is not None
    row = np.clip(position, 0, n - 1).astype(np.int32)
    hot = stage.today.small_bowel_uptake * (1.5 if stage.patient.confounder("metformin", stage.visit) else 1.0)
    wall, content = material["small_bowel_wall"], material["small_bowel_content"]
    thick, extra = 1.7, np.zeros(n)
    enteritis = stage.severity(Irae.COLITIS)
    episode = stage.patient.episode(Irae.COLITIS)
    if (
        enteritis and episode is not None and episode.drawn["seed"] % 4 == 0
    ):  # small bowel too in a quarter (Cancer 2021)
        extra = np.where(along > 0.6 * n, 0.7 * enteritis, 0.0)
        hot = hot * np.where(along > 0.6 * n, 1.0 + 0.5 * enteritis, 1.0)
    if grade := stage.grade("enteritis"):
        extra, hot = extra + BOWEL_EXTRA_MM[grade], hot * BOWEL_SUV[grade]
    thickness = (thick + extra).astype(np.float32)[row]
    hotness = (wall.suv * hot).astype(np.float32)[row]
    # Some loops hold gas, most are collapsed around a little fluid.
    rng = np.random.default_rng((anatomy.noise_seed, stage.visit, 5))
    knots = np.linspace(0, n - 1, max(2, n // 6))
    gassy = np.interp(along, knots, rng.standard_normal(len(knots))) > 1.1
    hu = np.where(gassy, -850.0, max(content.hu, stage.today.oral_contrast_hu)).astype(np.float32)[row]
    inside = {"hu": hu, "suv": content.suv, "t1c": content.t1c}
    canvas.paint_layers(
        block,
        [distance - thickness, distance],
        [{"hu": wall.hu, "suv": hotness, "t1c": wall.t1c}, inside],
        label=LABEL["small_bowel"],
    )


def _colon(stage: Stage) -> None:
    canvas, anatomy, material = stage.canvas, stage.anatomy, stage.material
    profile = colon_profile(stage.patient, stage.visit, wall_suv=material["bowel_wall"].suv)
    points = anatomy.colon
    n = len(points)
    reach = float((profile.wall_mm + profile.stranding_mm).max()) + 4.0
    found = Tube(points, profile.lumen_mm).field(canvas, margin_mm=reach, along=True)
    if found is None:
        return
    block, distance, position = found
    assert position is not None
    row = np.clip(np.rint(position), 0, n - 1).astype(np.int32)

    def along(values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype=np.float32)[row]

    wall = along(profile.wall_mm)
    # Stranded fat around an inflamed wall, below the labels: it is not bowel.
    if profile.stranding_mm.any():
        strand(canvas, block, distance - wall, along(profile.stranding_mm))
    native = material["bowel_wall"]
    mucosa_mm = np.minimum(wall * 0.35, 2.0)
    enhanced = stage.today.phase.value != "native"
    inner_hu = native.hu + (along(profile.mucosa_hu) if enhanced else 0.0)
    outer_hu = native.hu - along(profile.inflamed) * np.clip(wall - 5.0, 0, 4) * (12.0 if enhanced else 3.0)  # oedema
    suv = along(profile.wall_suv)
    gas, fluid = along(profile.gas), along(profile.fluid)
    lumen = along(profile.lumen_mm)
    height = (canvas.y[block] - along(points[:, 1])) / np.maximum(lumen, 1.0)
    level = 1.0 - 2.0 * gas
    air = np.clip((height - level) * lumen / canvas.edge_mm + 0.5, 0, 1) * (gas > 0.02)
    stool = material["stool"].hu + 18.0 * canvas.noise(block, scale_mm=9.0, seed=11)
    stool = np.where(canvas.noise(block, scale_mm=5.0, seed=12) > 1.5, stool - 250.0, stool)  # gas bubbles in stool
    content = (1 - fluid) * stool + fluid * 14.0
    if stage.today.oral_contrast_hu:
        content = np.maximum(content, stage.today.oral_contrast_hu * 0.8)
    lumen_suv = (1 - air) * along(profile.lumen_suv)
    canvas.paint_layers(
        block,
        [distance - wall, distance - mucosa_mm, distance],
        [
            {"hu": outer_hu, "suv": suv, "t1c": native.t1c},
            {"hu": inner_hu, "suv": suv, "t1c": native.t1c},
            {"hu": (1 - air) * content + air * -950.0, "suv": lumen_suv, "t1c": 0.8},
        ],
        label=LABEL["colon"],
    )
