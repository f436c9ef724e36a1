"""What is true of one exam, because it was drawn and not found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.exam import Exam
from irae.core.focus import Nature
from irae.core.volume import LabelMap
from irae.phantom.bowel import colon_profile
from irae.phantom.disease import FURTHER_IRAES
from irae.phantom.patient import Patient
from irae.phantom.response_truth import LesionTruth, ResponseTruth, lesion_truths, response_truths
from irae.phantom.scene import Stage, visit_materials
from irae.phantom.scene_adrenals import adrenal_apex
from irae.phantom.scene_disease import opacity_places
from irae.phantom.scene_further import ADRENAL_SUV, BOWEL_SUV, PANCREAS_SUV, STOMACH_SUV
from irae.phantom.scene_head import pituitary_state, thyroid_state
from irae.phantom.shapes import Tube
from irae.phantom.spots import spots


@dataclass(frozen=True, slots=True, kw_only=True)
class IraeTruth:
    """One irAE at one visit: whether it is there, how severe (0..3), its pattern, and whether any image shows it."""

    irae: Irae
    present: bool
    severity: int
    pattern: str
    phase: str
    visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusTruth:
    """One focal thing or inflamed stretch at one visit.

    Attributes:
        track: Identity over visits (``M01`` metastasis, ``S01`` sarcoid-like node, ``C01`` inflamed colon ...).
        kind: In words.
        nature: metastasis, inflammation or physiologic.
        organ: Where it lies.
        centre_ras_mm: Centre in the exam's world.
        diameters_mm: Its three diameters, longest first; of a stretch, its length and its thickness.
        suv: True concentration as SUVbw, before the scanner's blur.
    """

    track: str
    kind: str
    nature: Nature
    organ: str
    centre_ras_mm: tuple[float, float, float]
    diameters_mm: tuple[float, float, float]
    suv: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitTruth:
    """Everything true of one exam.

    Attributes:
        patient, visit, acquired_on: Which.
        iraes: All five, in the table's order.
        lesions: Metastases and other round things.
        foci: Inflamed stretches of organs and diffuse physiologic uptake.
        confounders: Kinds that show at this visit.
        organ_suv: True mean SUV of some tissues today.
        colon_wall_mm: Greatest thickness of the colon's wall.
        pituitary_height_mm, stalk_mm: Of the gland today.
        phase: Contrast phase of the CT.
        pet_fwhm_mm: Resolution of the PET.
        metastases: Every metastasis with its role and true diameters, for scoring the response.
        response: The true response of the metastases at this visit.
        further: Further irAEs that show, with their grade 1..3 (pancreatitis, adrenalitis, arthritis ...).
        traps: What spoils a comparison with other visits (``draw.TRAPS``).
        uptake_minutes: Injection to PET.
        pet_offset_mm: Diaphragm on the PET against the CT, towards the feet.
        metal: Metal in the body.
    """

    patient: str
    visit: int
    acquired_on: date
    iraes: tuple[IraeTruth, ...]
    lesions: tuple[FocusTruth, ...]
    foci: tuple[FocusTruth, ...]
    confounders: tuple[str, ...]
    organ_suv: dict[str, float]
    colon_wall_mm: float
    pituitary_height_mm: float
    stalk_mm: float
    phase: str
    pet_fwhm_mm: float
    metastases: tuple[LesionTruth, ...]
    response: ResponseTruth
    further: dict[str, int]
    traps: tuple[str, ...]
    uptake_minutes: float
    pet_offset_mm: float
    metal: tuple[str, ...]

    def irae(self, irae: Irae) -> IraeTruth:
        """The truth about one irAE."""
        return next(t for t in self.iraes if t.irae is irae)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PhantomExam:
    """A rendered exam with its truth.

    Attributes:
        exam: As a reader gets it.
        organs: True organs on the CT's grid (on the PET's where there is no CT); diseased parts keep their organ.
        pituitary: The gland on the MR's grid; None without MR.
        truth: What was drawn.
        foci: (i, j, k), on the PET's grid: focal lesions (``foci_map.marked_foci``); None where not asked for.
    """

    exam: Exam
    organs: LabelMap | None
    pituitary: LabelMap | None
    truth: VisitTruth
    foci: NDArray[np.bool_] | None = None


def _world(patient: Patient, visit: int, canonical: object) -> tuple[float, float, float]:
    x, y, z = patient.visits[visit].pose.to_world(np.asarray(canonical, dtype=float))
    return round(float(x), 2), round(float(y), 2), round(float(z), 2)


def _stretches(patient: Patient, visit: int, wall_suv: float) -> tuple[FocusTruth, ...]:
    """Inflamed or physiologically hot stretches of the colon, inflamed lungs, thyroid, liver, pituitary."""
    out: list[FocusTruth] = []
    anatomy = patient.anatomy
    profile = colon_profile(patient, visit, wall_suv=wall_suv)
    arc = Tube(anatomy.colon, 1.0).arc_mm
    for weight, nature, track, kind in (
        (profile.inflamed, Nature.INFLAMMATION, "C", "inflamed colon"),
        (profile.hot, Nature.PHYSIOLOGIC, "H", "physiologic colon"),
        (profile.focal, Nature.INFLAMMATION, "D", "diverticulitis"),
    ):
        inside = weight > 0.5
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
        for n, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            middle = (a + b - 1) // 2
            thick = float(2 * (profile.lumen_mm[a:b] + profile.wall_mm[a:b]).mean())
            out.append(
                FocusTruth(
                    track=f"{track}{n + 1:02d}",
                    kind=kind,
                    nature=nature,
                    organ="colon",
                    centre_ras_mm=_world(patient, visit, anatomy.colon[middle]),
                    diameters_mm=(
                        round(float(arc[b - 1] - arc[a]), 1),
                        round(thick, 1),
                        round(float(profile.wall_mm[a:b].mean()), 2),
                    ),
                    suv=round(float(profile.wall_suv[a:b].mean()), 2),
                )
            )
    for n, place in enumerate(opacity_places(patient, visit)):
        a, b, c = sorted((round(v, 1) for v in place.box_mm), reverse=True)
        out.append(
            FocusTruth(
                track=f"P{n + 1:02d}",
                kind=f"lung opacity ({place.opacity.pattern}), {100 * place.lung_share:.0f} % of this lung",
                nature=Nature.INFLAMMATION,
                organ=place.organ,
                centre_ras_mm=_world(patient, visit, place.centre_mm),
                diameters_mm=(a, b, c),
                suv=round(place.opacity.suv, 2),
            )
        )
    out += _inflamed_glands(patient, visit)
    thyroid = patient.episode(Irae.THYROIDITIS)
    if thyroid is not None and thyroid.visible and thyroid.phase[visit] == "inflamed" and thyroid.severity[visit]:
        stage = Stage(None, patient, visit, visit_materials(patient, visit))  # type: ignore[arg-type]
        out.append(
            FocusTruth(
                track="T01",
                kind="inflamed thyroid",
                nature=Nature.INFLAMMATION,
                organ="thyroid_gland",
                centre_ras_mm=_world(patient, visit, stage.place("thyroid_gland", 0, 10, 302)),
                diameters_mm=(60.0, 50.0, 18.0),
                suv=round(thyroid_state(stage)[2], 2),
            )
        )
    return tuple(out)


def _inflamed_glands(patient: Patient, visit: int) -> list[FocusTruth]:
    """Whole organs that a further irAE heats: pancreas, adrenals, stomach, small bowel."""
    stage = Stage(None, patient, visit, visit_materials(patient, visit))  # type: ignore[arg-type]
    right, left = (adrenal_apex(patient.anatomy, side) for side in (1, -1))
    rows = (
        ("pancreatitis", "G01", "pancreas", (-10, 16, 622), (110.0, 30.0, 25.0), "pancreas", PANCREAS_SUV),
        ("adrenalitis", "L01", "adrenal_gland_right", (right[0] + 4, right[1] - 9, right[2]), (25.0, 20.0, 10.0),
         "adrenal", ADRENAL_SUV),
        ("adrenalitis", "L02", "adrenal_gland_left", (left[0] - 4, left[1] - 9, left[2]), (25.0, 20.0, 10.0),
         "adrenal", ADRENAL_SUV),
        ("gastritis", "W01", "stomach", (-50, 20, 605), (120.0, 60.0, 50.0), "stomach_wall", STOMACH_SUV),
        ("enteritis", "B01", "small_bowel", (0, 30, 750), (150.0, 130.0, 70.0), "small_bowel_wall", BOWEL_SUV),
    )
    return [
        FocusTruth(
            track=track,
            kind=kind,
            nature=Nature.INFLAMMATION,
            organ=organ,
            centre_ras_mm=_world(patient, visit, stage.place(organ, *at)),
            diameters_mm=extent,
            suv=round(stage.material[tissue].suv * gains[stage.grade(kind)], 2),
        )
        for kind, track, organ, at, extent, tissue, gains in rows
        if stage.grade(kind)
    ]


def visit_truth(patient: Patient, visit: int) -> VisitTruth:
    """The truth of one visit, from the drawn parameters alone."""
    material = visit_materials(patient, visit)
    stage = Stage(None, patient, visit, material)  # type: ignore[arg-type]
    height, stalk, _, _ = pituitary_state(stage)
    iraes = []
    for irae in Irae:
        episode = patient.episode(irae)
        severity = episode.severity[visit] if episode is not None else 0
        present = severity > 0
        shows = bool(
            present and episode is not None and episode.visible and not (irae is Irae.HEPATITIS and severity < 2)
        )
        iraes.append(
            IraeTruth(
                irae=irae,
                present=present,
                severity=severity,
                pattern=episode.pattern if episode and present else "",
                phase=episode.phase[visit] if episode else "",
                visible=shows,
            )
        )
    lesions = tuple(
        FocusTruth(
            track=s.track,
            kind=s.kind,
            nature=s.nature,
            organ=s.organ,
            centre_ras_mm=_world(patient, visit, s.shape.centre),
            diameters_mm=tuple(round(2 * v, 2) for v in sorted(s.shape.semi, reverse=True)),  # type: ignore[arg-type]
            suv=round(s.suv, 2),
        )
        for s in spots(patient, visit)
    )
    profile = colon_profile(patient, visit, wall_suv=material["bowel_wall"].suv)
    today = patient.visits[visit]
    return VisitTruth(
        patient=patient.key,
        visit=visit,
        acquired_on=today.acquired_on,
        iraes=tuple(iraes),
        lesions=lesions,
        foci=_stretches(patient, visit, material["bowel_wall"].suv),
        confounders=tuple(c.kind for c in patient.confounders if c.active[visit]),
        organ_suv={
            k: round(material[k].suv, 3)
            for k in ("liver", "blood", "spleen", "marrow", "thyroid", "lung", "bowel_wall")
        },
        colon_wall_mm=round(float(profile.wall_mm.max()), 2),
        pituitary_height_mm=round(height, 2),
        stalk_mm=round(stalk, 2),
        phase=today.phase.value,
        pet_fwhm_mm=round(today.scanner.pet_fwhm_mm, 2),
        metastases=lesion_truths(patient, visit),
        response=response_truths(patient)[visit],
        further={
            c.kind: int(c.drawn["grade"]) for c in patient.confounders if c.active[visit] and c.kind in FURTHER_IRAES
        },
        traps=today.traps,
        uptake_minutes=round(today.scanner.uptake_minutes, 1),
        pet_offset_mm=round(today.breath.pet_offset_mm, 1),
        metal=patient.anatomy.metal,
    )
