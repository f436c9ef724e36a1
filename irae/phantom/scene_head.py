"""Head and neck: skull, brain, sella with the pituitary, thyroid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from irae.core.anatomy import Irae
from irae.phantom.canvas import Material
from irae.phantom.scene import LABEL, Stage
from irae.phantom.shapes import Ellipsoid, Slab, Tube, smooth_curve
from irae.phantom.tissue import TISSUES

# Hypophysitis by severity 1..3 (design values): growth of the height, stalk diameter, target to blood pool ratio.
HEIGHT_GAIN_MM = (1.5, 3.2, 5.0)
STALK_MM = (2.5, 3.5, 4.5)
TBR = (2.0, 2.8, 4.0)
HEALTHY_TBR = 1.6
# Thyroiditis by phase and severity: volume factor, native HU change, SUV.
THYROID_INFLAMED = {1: (1.2, -10.0, 3.8), 2: (1.12, -20.0, 5.8)}
THYROID_ATROPHIC = {0: (0.7, -30.0, 1.3), 1: (0.7, -30.0, 1.5), 2: (0.65, -32.0, 1.4), 3: (0.6, -38.0, 1.3)}


def thyroid_state(stage: Stage) -> tuple[float, float, float]:
    """Volume factor, change of the native HU, true SUV of the thyroid at this visit."""
    suv = stage.material["thyroid"].suv
    if stage.patient.confounder("diffuse_thyroid_baseline", stage.visit) is not None:
        suv *= 2.4
    episode = stage.patient.episode(Irae.THYROIDITIS)
    if episode is None or not episode.visible:
        return 1.0, 0.0, suv
    phase, grade = episode.phase[stage.visit], episode.severity[stage.visit]
    if phase == "inflamed" and grade:
        volume, hu, hot = THYROID_INFLAMED[min(grade, 2)]
        return 1 + (volume - 1) * episode.drawn["size"], hu * episode.drawn["hu"], max(hot * episode.drawn["suv"], suv)
    if phase == "atrophic":
        volume, hu, hot = THYROID_ATROPHIC[grade]
        return volume * float(np.clip(episode.drawn["size"], 0.8, 1.15)), hu * episode.drawn["hu"], hot
    return 1.0, 0.0, suv


def thyroid_tissue(stage: Stage) -> tuple[Material, float]:
    """The gland's tissue and its linear size at this visit."""
    volume, hu, suv = thyroid_state(stage)
    tissue = stage.material["thyroid"]
    native = TISSUES["thyroid"].native
    gain = 0.75 if hu else 1.0  # an ill gland holds less iodine and enhances less
    tissue = replace(
        tissue, hu=native + (tissue.hu - native) * gain + hu, suv=suv, texture=tissue.texture * (2 if hu else 1)
    )
    return tissue, stage.anatomy.size["thyroid_gland"] * volume ** (1 / 3)


def paint_neck(stage: Stage) -> None:
    """Thyroid, larynx, carotids and jugular veins, salivary glands, muscles."""
    anatomy = stage.anatomy
    stage.paint(Slab(centre=anatomy.point(0, 22, 268), half=(16, 5, 18), turn_deg=(-12, 0, 0)), "cartilage")
    stage.tube([(0, 16, 262), (0, 14, 285)], 12, "cartilage")
    stage.tube([(0, 18, 200), (0, 17, 240), (0, 14, 262), (0, 10, 300)], (8, 9, 7, 8), "air")
    for side in (1, -1):
        # Fat between the muscles: around the vessels and behind them, as every neck has.
        stage.tube([(side * 34, 2, 215), (side * 36, 0, 270), (side * 40, 2, 322)], (9, 12, 15), "fat")
        for course, radii in (
            ([(side * 52, -8, 180), (side * 40, 14, 245), (side * 20, 32, 318)], (9, 9.5, 8)),
            ([(side * 11, 24, 262), (side * 14, 24, 318)], (4, 4)),
        ):
            stage.tube(course, radii, "muscle", label="skeletal_muscle")
        stage.tube([(side * 26, 8, 210), (side * 25, 8, 270), (side * 24, 4, 330)], 4.0, "blood")
        stage.tube([(side * 33, 4, 210), (side * 34, 6, 270), (side * 30, 10, 330)], 6.0, "blood")
        stage.paint(Ellipsoid(centre=anatomy.point(side * 50, 8, 188), semi=(13, 20, 22)), "gland")
        stage.paint(Ellipsoid(centre=anatomy.point(side * 28, 42, 222), semi=(10, 15, 11)), "gland")
    tissue, size = thyroid_tissue(stage)
    rough = 1.2 if tissue.texture > 1.0 else 0.5
    for side in (1, -1):
        stage.blob(
            "thyroid_gland",
            (side * 20, 8, 300),
            (9, 9, 25),
            tissue,
            label="thyroid_gland",
            turn=(0, side * 10, 0),
            rough_mm=rough,
            size=size,
        )
    stage.blob("thyroid_gland", (0, 19, 308), (17, 3.2, 8), tissue, label="thyroid_gland", size=size)
    # The airway lies between the lobes.
    stage.tube([(0, 12, 278), (0, 7, 305), (1, 2, 340)], 10.0, "airway_wall")
    stage.tube([(0, 12, 278), (0, 7, 305), (1, 2, 340)], 8.4, "air")


def paint_head(stage: Stage) -> None:
    """Skull, brain, face, sella."""
    anatomy, material, canvas = stage.anatomy, stage.material, stage.canvas
    size = anatomy.size["brain"] * (0.985 if anatomy.sex == "M" else 0.955)
    f, s = size, size
    middle = anatomy.point(0, 8, 88)

    def at(x: float, y: float, down: float) -> tuple[float, float, float]:
        return middle[0] + x * f, middle[1] + y * f, middle[2] - down * s

    def head(
        x: float,
        y: float,
        down: float,
        semi: tuple[float, float, float],
        tissue: str,
        *,
        label: str = "",
        turn: tuple[float, float, float] = (0, 0, 0),
        rough: float = 0.0,
    ) -> None:
        stage.paint(
            Ellipsoid(
                centre=at(x, y, down), semi=(semi[0] * f, semi[1] * f, semi[2] * s), turn_deg=turn, rough_mm=rough
            ),
            tissue,
            label=label,
        )

    head(0, 0, 0, (73.5, 89, 78), "skull")
    head(0, 0, 0, (70.5, 86, 75), "clivus")
    head(0, 0, 0, (68.5, 84, 72.5), "skull")
    head(0, 0, 0, (67, 82, 70.5), "csf")
    # Base of the skull: bone below the temporal lobes, air in the sinuses.
    stage.paint(Slab(centre=at(0, 34, 62), half=(52 * f, 48 * f, 30 * s), round_mm=12), "soft_tissue")
    stage.paint(Slab(centre=at(0, 24, 38), half=(46 * f, 42 * f, 3.5), round_mm=3), "skull")
    for side in (1, -1):
        head(side * 30, 40, 66, (15, 17, 17), "air")  # maxillary
        head(side * 46, -18, 50, (11, 13, 12), "skull")  # petrous
        head(side * 31, 68, 30, (13, 12, 12), "eye")
        head(side * 26, 14, 112, (9, 10, 14), "tonsil")
    head(0, 58, 56, (11, 26, 22), "air")
    head(0, 78, 22, (20, 8, 9), "air")
    head(0, 48, 100, (28, 34, 18), "muscle")
    stage.paint(
        Tube([at(-42, 20, 96), at(-34, 62, 116), at(0, 78, 120), at(34, 62, 116), at(42, 20, 96)], 7.5), "skull"
    )
    stage.tube([(0, 20, 160), (0, 18, 200)], (9, 8), "air")
    # Brain: cortex, white matter, ventricles, deep grey matter, brain stem, cerebellum.
    head(0, -2, -4, (64.5, 79.5, 66), "grey_matter", label="brain", rough=1.8)
    cortex = Ellipsoid(centre=at(0, -2, -4), semi=(64.5 * f, 79.5 * f, 66 * s)).field(canvas)
    if cortex is not None:  # sulci
        block, distance = cortex
        depth = np.clip(1 + distance / np.float32(9.0), 0, 1) * (distance < 0)
        furrow = np.clip((canvas.noise(block, scale_mm=9.0, seed=9) - 0.5) * 1.5, 0, 0.85) * depth
        canvas.paint(block, furrow.astype(np.float32), material["csf"], inside=LABEL["brain"])
    head(0, -2, -5, (44, 59, 44), "white_matter", label="brain", rough=6.0)
    for side in (1, -1):
        head(side * 40, 24, 26, (20, 30, 16), "grey_matter", label="brain", rough=1.5)
        head(side * 39, 22, 25, (13, 22, 9), "white_matter", label="brain", rough=1.5)
        head(side * 16, 6, -2, (9, 18, 10), "grey_matter", label="brain")
        head(side * 12, 4, -12, (6, 27, 7), "csf", label="brain", turn=(0, 0, side * 8))
        head(side * 23, -46, 38, (26, 24, 19), "cerebellum", label="brain", rough=1.0)
    stage.paint(Tube([at(0, -10, 20), at(0, -13, 40), at(0, -22, 62)], (14, 14, 9)), "white_matter", label="brain")
    head(0, 0, -2, (2.5, 12, 9), "csf", label="brain")
    stage.paint(Slab(centre=at(0, -2, -44), half=(1.0, 76 * f, 24 * s), round_mm=0.5), "csf", inside="brain")
    sinus = smooth_curve(
        [at(0, 62, -40), at(0, 20, -72), at(0, -40, -66), at(0, -78, -20), at(0, -80, 14)], step_mm=10.0
    )
    stage.paint(Tube(sinus, 3.5), "venous_sinus")
    if "t1c" in canvas.channels or canvas.edge_mm < 3.0 or "suv" in canvas.channels:
        paint_sella(stage, at)


def pituitary_state(stage: Stage) -> tuple[float, float, float, float]:
    """Height and stalk diameter (mm), true SUV, T1c signal of the gland at this visit."""
    anatomy = stage.anatomy
    blood = stage.material["blood"].suv
    height, stalk = anatomy.pituitary_height_mm, anatomy.stalk_mm
    if stage.patient.confounder("empty_sella", stage.visit) is not None:
        height *= 0.5
    recovery = float(np.interp(height, [5, 6, 8, 10, 12], [0.47, 0.54, 0.66, 0.73, 0.78]))
    suv, signal = stage.material["pituitary"].suv, stage.material["pituitary"].t1c
    episode = stage.patient.episode(Irae.HYPOPHYSITIS)
    grade = stage.severity(Irae.HYPOPHYSITIS)
    if episode is not None and grade:
        gain, thick = (0.4, 1.3) if episode.pattern == "stalk" else (1.0, 1.0)
        height = min(height + gain * HEIGHT_GAIN_MM[grade - 1] * episode.drawn["size"], 13.5)
        stalk = max(stalk, thick * STALK_MM[grade - 1] * float(np.clip(episode.drawn["wall"], 0.85, 1.25)))
        recovery = float(np.interp(height, [5, 6, 8, 10, 12], [0.47, 0.54, 0.66, 0.73, 0.78]))
        suv = max(suv, TBR[grade - 1] * episode.drawn["suv"] * blood / recovery)
        signal *= 1.08
    return height, stalk, suv, signal


def paint_sella(stage: Stage, at: object) -> None:
    """Sphenoid sinus, clivus, cavernous sinuses with the carotids, stalk, chiasm, pituitary."""
    material = stage.material
    place = at
    assert callable(place)
    height, stalk, suv, signal = pituitary_state(stage)
    floor = place(0, 12, 27.5)
    x, y, z = floor

    def spot(dx: float, dy: float, up: float) -> tuple[float, float, float]:
        return x + dx, y + dy, z + up

    drawn = stage.anatomy.sella
    width, depth, cistern, cavernous = (drawn[k] for k in ("width", "depth", "cistern", "cavernous"))
    stage.paint(Slab(centre=spot(0, -15, -14), half=(13, 6, 19), turn_deg=(-32, 0, 0), round_mm=4), "clivus")
    stage.paint(Ellipsoid(centre=spot(0, 5, 11), semi=(15 * cistern, 12 * cistern, 10 * cistern)), "csf")
    stage.paint(Slab(centre=spot(0, 4, -10), half=(19, 15, 10.5), round_mm=5), "skull")
    sinus = drawn["sinus"]
    stage.paint(Slab(centre=spot(0, 5, -11), half=(16, 13, 8.5), round_mm=5), "clivus")
    if sinus > 0:  # the sphenoid sinus; where it holds no air the bone is full of marrow
        stage.paint(Slab(centre=spot(0, 5, -10.8), half=(16 * sinus, 13 * sinus, 8.3), round_mm=4), "air")
    for side in (1, -1):
        out = side * (6.6 * width + 6.5 * cavernous)
        stage.paint(Ellipsoid(centre=spot(out, 0, 3), semi=(5.5 * cavernous, 11, 7 * cavernous)), "venous_sinus")
        siphon = ((0.0, -11, -6), (0.0, -6, 1), (-0.5, 6, 2), (-2.5, 5, 10), (-0.5, -1, 15))
        stage.paint(Tube([spot(out + side * dx, dy, up) for dx, dy, up in siphon], 2.5), "blood")
        stage.paint(Tube([spot(side * 6, 12, 13 + max(height - 5, 0) * 0.4), spot(side * 14, 24, 8)], 2.2), "chiasm")
    lift = max(0.0, height - 9.0)
    stage.paint(Ellipsoid(centre=spot(0, 8, 15 + lift), semi=(8, 3, 2)), "chiasm")
    lean = 12.0 * np.tan(np.deg2rad(drawn["tilt_deg"]))  # a stalk that leans a little is common
    stage.paint(Tube([spot(lean, 3, height + 10), spot(0, 0.5, height - 1.0)], [stalk * 0.62, stalk * 0.5]), "stalk")
    gland = replace(material["pituitary"], suv=suv, t1c=signal)
    _paint_gland(stage, spot(0, 0, height / 2), (6.6 * width, 4.9 * depth), height, gland)
    _paint_tumours(stage, spot, height, gland)


def _paint_tumours(
    stage: Stage, spot: Callable[[float, float, float], tuple[float, float, float]], height: float, gland: Material
) -> None:
    """Micro- and macroadenoma, Rathke cyst: one-sided or round, unlike a hypophysitis; all belong to the gland."""
    if (cyst := stage.patient.confounder("rathke_cyst", stage.visit)) is not None:
        radius = min(1.8 * cyst.drawn["size"], 0.42 * height)
        stage.paint(
            Ellipsoid(centre=spot(0, -1.5, height * 0.5), semi=(radius * 1.3, radius, radius)),
            replace(gland, suv=0.5, t1c=0.7), inside="pituitary",
        )  # fmt: skip
    if (large := stage.patient.confounder("pituitary_macroadenoma", stage.visit)) is not None:
        radius = 7.5 * float(np.clip(large.drawn["size"], 0.8, 1.5))
        tumour = Ellipsoid(
            centre=spot(large.drawn["side"] * 3.0, 0, 0.75 * radius + 1.0), semi=(radius * 1.1, radius, radius * 1.15)
        )
        stage.paint(tumour, replace(gland, suv=12.0 * large.drawn["suv"], t1c=0.95 * gland.t1c, texture=1.5),
            label="pituitary")  # fmt: skip
    adenoma = stage.patient.confounder("pituitary_microadenoma", stage.visit)
    if adenoma is not None:
        radius = 2.2 * adenoma.drawn["size"]
        stage.paint(
            Ellipsoid(centre=spot(adenoma.drawn["side"] * 3.2, 0, height * 0.45), semi=(radius,) * 3),
            replace(gland, suv=gland.suv * 2.0, t1c=0.83 * gland.t1c),
            inside="pituitary",
        )


def _paint_gland(
    stage: Stage, centre: tuple[float, float, float], semi: tuple[float, float], height: float, gland: Material
) -> None:
    """The gland: an ellipsoid cut flat above and below to its height; convex where it is inflamed."""
    canvas = stage.canvas
    flat = 0.0 if stage.severity(Irae.HYPOPHYSITIS) else stage.anatomy.sella["flat"]
    body = Ellipsoid(
        centre=centre,
        semi=(semi[0], semi[1], height / 2 * (1 + 0.45 * flat)),
        turn_deg=(0.0, stage.anatomy.sella["tilt_deg"], 0.0),
    )
    found = body.field(canvas)
    if found is None:
        return
    block, distance = found
    distance = np.maximum(distance, np.abs(canvas.z[block] - np.float32(centre[2])) - np.float32(height / 2))
    canvas.paint(block, canvas.share(distance), gland, label=LABEL["pituitary"])
