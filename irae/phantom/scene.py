"""Paints a patient at one visit onto a canvas, from the outside in; organs keep their labels when they are ill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irae.core.anatomy import BY_NAME, Irae
from irae.phantom.canvas import Canvas, Material
from irae.phantom.patient import Anatomy, Patient, Visit
from irae.phantom.shapes import Ellipsoid, Loft, Slab, Tube
from irae.phantom.tissue import TISSUES, Phase, materials

LABEL = {name: organ.label for name, organ in BY_NAME.items()}


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """What every painting function needs."""

    canvas: Canvas
    patient: Patient
    visit: int
    material: dict[str, Material]

    @property
    def anatomy(self) -> Anatomy:
        """The body."""
        return self.patient.anatomy

    @property
    def today(self) -> Visit:
        """The visit."""
        return self.patient.visits[self.visit]

    def severity(self, irae: Irae) -> int:
        """Severity of an irAE that shows on images at this visit; 0 if it does not."""
        episode = self.patient.episode(irae)
        return episode.severity[self.visit] if episode is not None and episode.visible else 0

    @property
    def enhanced(self) -> bool:
        """Whether the CT has intravenous contrast."""
        return self.today.phase is not Phase.NATIVE

    def grade(self, kind: str) -> int:
        """Grade 1..3 of a further irAE at this visit, 0 without it."""
        found = self.patient.confounder(kind, self.visit)
        return 0 if found is None else int(found.drawn["grade"])

    @property
    def hepatitis_grade(self) -> int:
        """Severity of a hepatitis that shows."""
        return self.severity(Irae.HEPATITIS)

    def place(self, organ: str, x: float, y: float, down: float) -> tuple[float, float, float]:
        """A standard place in this body, moved by the organ's own offset."""
        px, py, pz = self.anatomy.point(x, y, down)
        dx, dy, dz = self.anatomy.shift_mm.get(organ, (0.0, 0.0, 0.0))
        return px + dx, py + dy, pz + dz

    def paint(
        self, shape: Ellipsoid | Loft | Slab | Tube, material: Material | str, *, label: str = "", inside: str = "",
        within: bool = False, clears: bool = False, keeps: str = "", clip: tuple[Loft, float] | None = None,
    ) -> None:
        """One shape of one material. Normal anatomy replaces what it covers; ``within``: a lesion does not.

        ``keeps``: the organ that stays that organ where the shape runs through it (the liver around its vessels).
        ``clears``: what it covers ``inside`` an organ is no longer that organ.
        ``clip``: the shape ends this many mm inside of a surface, and lies flat against it.
        """
        found = shape.field(self.canvas)
        if found is None:
            return
        block, distance = found[0], found[1]
        if clip is not None:
            distance = np.maximum(distance, clip[0].distance(self.canvas, block) + np.float32(clip[1]))
        tissue = self.material[material] if isinstance(material, str) else material
        self.canvas.paint(
            block,
            self.canvas.share(distance),
            tissue,
            label=LABEL[label] if label else 0,
            inside=LABEL[inside] if inside else None,
            clears=clears or not (label or inside or within),
            keeps=LABEL[keeps] if keeps else 0,
        )

    def blob(
        self,
        organ: str,
        at: tuple[float, float, float],
        semi: tuple[float, float, float],
        material: Material | str,
        *,
        label: str = "",
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        rough_mm: float = 0.0,
        size: float = 0.0,
        clip: tuple[Loft, float] | None = None,
    ) -> Ellipsoid:
        """Paints an ellipsoid at a standard place, scaled with the body and the organ's size; returns it."""
        shape = self.ellipsoid(organ, at, semi, turn=turn, rough_mm=rough_mm, size=size)
        self.paint(shape, material, label=label, clip=clip)
        return shape

    def ellipsoid(
        self,
        organ: str,
        at: tuple[float, float, float],
        semi: tuple[float, float, float],
        *,
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        rough_mm: float = 0.0,
        size: float = 0.0,
    ) -> Ellipsoid:
        """An ellipsoid at a standard place, scaled with the body and the organ's size."""
        factor = size or self.anatomy.size.get(organ, 1.0)
        f, s = self.anatomy.frame, self.anatomy.length
        own = self.anatomy.turn_deg.get(organ, (0.0, 0.0, 0.0))
        return Ellipsoid(
            centre=self.place(organ, *at),
            semi=(semi[0] * f * factor, semi[1] * f * factor, semi[2] * s * factor),
            turn_deg=(turn[0] + own[0], turn[1] + own[1], turn[2] + own[2]),
            rough_mm=rough_mm,
        )

    def tube(
        self,
        knots: Sequence[Sequence[float]],
        radii: ArrayLike,
        material: Material | str,
        *,
        label: str = "",
        inside: str = "",
        clears: bool = False,
        keeps: str = "",
    ) -> None:
        """A tube through standard places (right, anterior, down)."""
        points = np.asarray(knots, dtype=float) * (self.anatomy.frame, self.anatomy.frame, -self.anatomy.length)
        self.paint(Tube(points, radii), material, label=label, inside=inside, clears=clears, keeps=keeps)


# SUV at other times than 60 minutes goes with a power of the time: blood clears, tumour and brain still take up.
_TIME_POWER = {"blood": -0.55, "portal_blood": -0.55, "liver": -0.25, "spleen": -0.2, "muscle": -0.1, "urine": 0.3,
    "grey_matter": 0.2, "bowel_wall": 0.15, "tumour": 0.45}  # fmt: skip
# At 180 mg/dL glucose competes for uptake; the liver is left unchanged.
_GLUCOSE = {"tumour": 0.8, "grey_matter": 0.65, "white_matter": 0.7, "cerebellum": 0.65, "muscle": 1.4}


def uptake_factor(today: Visit, tissue: str) -> float:
    """SUV of a tissue (or of ``tumour``) at this visit's uptake time and blood glucose, against 60 minutes fasting."""
    factor = (today.scanner.uptake_minutes / 60.0) ** _TIME_POWER.get(tissue, 0.0)
    return float(factor * (_GLUCOSE.get(tissue, 1.0) if "high_glucose" in today.traps else 1.0))


def visit_materials(patient: Patient, visit: int) -> dict[str, Material]:
    """Tissue values of a patient at a visit, with what diffuse diseases do to whole organs."""
    today = patient.visits[visit]
    change: dict[str, tuple[float, float]] = {}
    hepatitis = patient.episode(Irae.HEPATITIS)
    hu, factor = 0.0, 1.0
    if (fatty := patient.confounder("fatty_liver", visit)) is not None:
        hu, factor = -24.0 * fatty.drawn["size"], 0.95
    if hepatitis is not None and hepatitis.visible:
        grade = hepatitis.severity[visit]
        hu += (0.0, 0.0, -5.0, -12.0)[grade] * hepatitis.drawn["hu"]
        factor *= 1 + (0.0, 0.0, 0.2, 0.4)[grade] * hepatitis.drawn["suv"]
    change["liver"] = (hu, factor)
    if (stimulated := patient.confounder("gcsf", visit)) is not None:
        change["marrow"] = (0.0, 1 + 0.6 * stimulated.drawn["suv"])
        change["spleen"] = (0.0, 1 + 0.55 * stimulated.drawn["suv"])
    if (worked := patient.confounder("muscle_uptake", visit)) is not None:
        change["muscle"] = (0.0, 1 + 1.2 * worked.drawn["suv"])
    if (sore := patient.confounder("myositis", visit)) is not None:
        change["muscle"] = (-4.0, 1.5 + 0.8 * sore.drawn["grade"])
    suv = {name: today.suv_factor.get(name, 1.0) * uptake_factor(today, name) for name in TISSUES}
    return materials(
        patient.anatomy.tissue,
        phase=today.phase,
        enhancement=today.enhancement,
        suv_visit=suv,
        overrides=change,
    )


def paint_patient(canvas: Canvas, patient: Patient, visit: int, *, with_table: bool = True) -> None:
    """The whole body onto a canvas."""
    from irae.phantom import metal, scene_abdomen, scene_crude, scene_disease, scene_head, scene_thorax, scene_trunk

    stage = Stage(canvas, patient, visit, visit_materials(patient, visit))
    if with_table:
        scene_trunk.paint_table(stage)
    if patient.anatomy.crude:
        scene_crude.paint_crude(stage)
    else:
        if patient.anatomy.limbs:
            scene_trunk.paint_limbs(stage)
        scene_trunk.paint_trunk(stage)
        scene_thorax.paint_chest(stage)
        scene_trunk.paint_skeleton(stage)
        scene_abdomen.paint_abdomen(stage)
        scene_thorax.paint_mediastinum(stage)
        scene_head.paint_head(stage)
        scene_head.paint_neck(stage)
    metal.paint_metal(stage)
    scene_disease.paint_lung_disease(stage)
    scene_disease.paint_confounders(stage)
    scene_disease.paint_lesions(stage)
