"""Small patients made by hand: numpy bodies and results with known answers, for looking at pages."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np

from irae.core.anatomy import Irae
from irae.core.assessment import Assessment, Hinge, View
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.course import Course, Due, DueState, Pattern
from irae.core.exam import DICOM_MODALITY, Exam, Role, SeriesOrigin
from irae.core.finding import Decision, EpisodeState, Evidence, Measured, OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusSource, FocusStatus, Nature, ScorePart
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.result import ExamResult, OrganSeen, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.report import ExamImages

FIRST = date(2025, 11, 3)
# Ellipsoids of the body: organ, label, centre (x right, y anterior, z head) and semi-axes in mm, HU, SUV.
SHAPES = (
    ("lung_right", 2, (75, 0, 150), (55, 75, 110), -820, 0.5),
    ("lung_left", 1, (-75, 0, 150), (50, 75, 110), -820, 0.5),
    ("liver", 5, (70, 10, 0), (75, 75, 55), 60, 2.2),
    ("spleen", 6, (-95, -30, 0), (28, 35, 45), 50, 1.8),
    ("colon", 3, (0, 45, -150), (110, 18, 25), 20, 1.4),
    ("thyroid_gland", 7, (0, 25, 290), (25, 10, 15), 90, 1.3),
    ("urinary_bladder", 13, (0, 20, -260), (40, 35, 30), 5, 9.0),
)


def ellipsoid(grid: Geometry, centre, radii) -> np.ndarray:
    """Voxels inside an ellipsoid given in RAS+ mm."""
    i, j, k = np.ogrid[tuple(slice(n) for n in grid.shape)]
    away = np.zeros(grid.shape, np.float32)
    for axis, (middle, radius) in enumerate(zip(centre, radii, strict=True)):
        a, b, c, offset = grid.affine[axis]
        away += ((a * i + b * j + c * k + offset - middle).astype(np.float32) / radius) ** 2
    return away <= 1.0


def oriented(shape, spacing, low, axes=(0, 1, 2), flips=(1, 1, 1)) -> Geometry:
    """A grid over the box from ``low`` with its voxel axes permuted and flipped against the world's."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    extent = np.array(shape) * np.array(spacing)
    for voxel_axis, world_axis in enumerate(axes):
        sign = flips[world_axis]
        affine[world_axis, voxel_axis] = sign * spacing[world_axis]
        start = spacing[world_axis] / 2
        affine[world_axis, 3] = low[world_axis] + (start if sign > 0 else extent[world_axis] - start)
    return Geometry(shape=tuple(shape[a] for a in axes), affine=affine)


LOW = (-200.0, -140.0, -320.0)


def body(day: int, *, axes=(0, 1, 2), flips=(1, 1, 1), spots=(), move=(0.0, 0.0, 0.0), colitis=False, spacing=4.0):
    """CT, PET and organs; ``spots`` are (id, centre, radius, suv, hu)."""
    shape = tuple(int(n / spacing) for n in (400, 280, 660))
    ct_grid = oriented(shape, (spacing,) * 3, LOW, axes, flips)
    pet_grid = oriented(tuple(int(n / 5) for n in (400, 280, 660)), (5.0,) * 3, LOW, axes, flips)
    rng = np.random.default_rng(day)
    shift = np.array(move)
    images = {}
    for grid, column, outside, noise in ((ct_grid, 4, -1000.0, 12.0), (pet_grid, 5, 0.0, 0.08)):
        array = np.full(grid.shape, outside, np.float32)
        array[ellipsoid(grid, shift, (170, 115, 600))] = 20.0 if column == 4 else 0.9
        labels = np.zeros(grid.shape, np.uint8)
        for shape_row in SHAPES:
            inside = ellipsoid(grid, np.array(shape_row[2]) + shift, shape_row[3])
            value = shape_row[column]
            if shape_row[0] == "colon" and colitis and column == 5:
                value = 4.6
            array[inside] = value
            labels[inside] = shape_row[1]
        if column == 4:
            array[ellipsoid(grid, np.array((0, -85, 0)) + shift, (16, 16, 600))] = 380.0
            organs = labels
        foci = np.zeros(grid.shape, np.uint16)
        for number, centre, radius, suv, hu in spots:
            inside = ellipsoid(grid, np.array(centre) + shift, (radius,) * 3)
            array[inside] = hu if column == 4 else suv
            foci[inside] = number
        straight = rng.normal(0, noise, [grid.shape[axes.index(world)] for world in range(3)])
        turned = np.flip(straight.transpose(axes), [n for n, world in enumerate(axes) if flips[world] < 0])
        images[column] = (array + turned).astype(np.float32)
    ct = Volume(array=images[4], geometry=ct_grid, quantity=Quantity.HU)
    pet = Volume(array=np.maximum(images[5], 0), geometry=pet_grid, quantity=Quantity.SUV_BW)
    names = {row[0]: row[1] for row in SHAPES}
    label_map = LabelMap(array=organs, geometry=ct_grid, labels=names, coverage=dict.fromkeys(names, Coverage.WHOLE))
    return ct, pet, label_map, foci, pet_grid


def head(height_mm: float = 11.0):
    """A head MR with a pituitary of known height (mm)."""
    grid = oriented((90, 110, 100), (2.0, 1.6, 1.6), (-90.0, -90.0, -80.0), (1, 2, 0), (-1, -1, 1))
    array = np.zeros(grid.shape, np.float32)
    array[ellipsoid(grid, (0, 0, 0), (70, 82, 72))] = 420.0
    array[ellipsoid(grid, (0, 0, 8), (58, 70, 55))] = 300.0
    gland = ellipsoid(grid, (0, 20, -25), (8, 7, height_mm / 2))
    array[gland] = 640.0
    array += np.random.default_rng(5).normal(0, 8, grid.shape).astype(np.float32)
    mr = Volume(array=array, geometry=grid, quantity=Quantity.MR_SIGNAL)
    labels = LabelMap(array=gland.astype(np.uint8) * 20, geometry=grid, labels={"pituitary": 20},
                      coverage={"pituitary": Coverage.WHOLE})
    return mr, labels


def attributed(number, centre, radius, suv, nature, status, track, *, organ=None, is_node=False) -> AttributedFocus:
    """A spherical focus with made-up evidence."""
    likely = {"inflammation": 0.1, "metastasis": 0.1, "physiologic": 0.1}
    key = nature.value if nature is not Nature.INDETERMINATE else "metastasis"
    likely[key] = 0.8 if nature is not Nature.INDETERMINATE else 0.45
    likely = {k: v / sum(likely.values()) for k, v in likely.items()}
    gone = status is FocusStatus.GONE
    return AttributedFocus(
        focus=Focus(
            id=number, centroid_ras_mm=centre, volume_ml=0.0 if gone else 4.19e-3 * radius**3,
            longest_mm=0.0 if gone else 2 * radius, short_mm=0.0 if gone else 1.8 * radius,
            suv_max=None if gone else suv, suv_peak=None if gone else suv * 0.85, organ=organ,
            organ_fraction=0.9 if organ else 0.0, source=FocusSource.PET, track=track, status=status, is_node=is_node,
        ),
        nature=nature, probabilities=likely, score=3.5 if nature is Nature.INFLAMMATION else -3.0,
        outcome="probable irAE organ" if nature is Nature.INFLAMMATION else "suspected new metastasis",
        parts=(
            ScorePart(feature="F1", value="92 % inside the colon", points=3.0, reason="most of it is in an irAE organ"),
            ScorePart(feature="F3", value="contrast 3.3", points=-1.5, reason="SUVpeak over organ mean at least 3"),
        ),
        reasons=("It lies in the colon, which is diffusely hot.",),
    )


def finding(
    irae, organ, decision, *, probability=0.12, severity=0, state=EpisodeState.NONE, evidence=(), reason=""
) -> OrganFinding:
    """One irAE's answer."""
    assessable = decision is not Decision.NOT_ASSESSABLE
    return OrganFinding(
        irae=irae, organ=organ, decision=decision, probability=probability if assessable else None,
        threshold=0.42 if assessable else None, severity=severity, state=state, evidence=tuple(evidence),
        reasons=(reason or "No sign reaches its cut-off.",), rule_probability=probability if assessable else None,
        learned_probability=None,
    )


def colon_evidence(suv95: float):
    """Two signs of the colon, one of them not judged."""
    return (
        Evidence(name="suv95", value=suv95, unit="g/mL", reference="> 2.7 g/mL", source="Hribernik 2022",
                 met=suv95 > 2.7),
        Evidence(name="wall_mm", value=None, unit="mm", reference="≥ 5 mm", source="Barina 2016", met=None),
    )


def result_of(exam: Exam, organs, findings, foci, assessments=(), hinges=(), *, notices=(), quantities=None,
              priority=Priority.ROUTINE, acr=None) -> ExamResult:
    """An envelope around the answers."""
    seen = {
        name: OrganSeen(label=value, volume_ml=organs.volume_ml(name), coverage=organs.coverage[name])
        for name, value in organs.labels.items()
    } if organs is not None else {}
    return ExamResult(
        patient=exam.patient, acquired_on=exam.acquired_on,
        modalities=tuple(DICOM_MODALITY[role] for role in exam.volumes), organs=seen,
        quantities=Quantities({k: Measured(value=v, unit=u) for k, (v, u) in (quantities or {}).items()}),
        findings=tuple(findings), foci=tuple(foci), assessments=tuple(assessments), hinges_on=tuple(hinges),
        triage=Triage(priority=priority, score=0.91 if acr else 0.1, acr_category=acr,
                      reasons=("Colitis with radiological severity 2.",) if acr else ("Nothing is actionable.",)),
        notices=tuple(notices),
        versions=Versions(irae="0.1.0", models={"colitis": "sha256:" + "ab" * 32}, settings="sha256:" + "cd" * 32,
                          input="sha256:" + "ef" * 32),
        series={role: f"1.2.826.0.1.{n}" for n, role in enumerate(exam.volumes)},
    )


SUMS = {"sum_mm": 36.2, "baseline_mm": 49.8, "nadir_mm": 49.8, "targets": ("L01", "L02")}
LESION = (-80.0, 10.0, 170.0)  # in the patient's left lung
NODE = (60.0, -30.0, 210.0)
COLON = (40.0, 45.0, -150.0)
LIVER = (90.0, 20.0, 10.0)
CONTEXT = PatientContext.of((
    ContextEntry(kind=ContextKind.THERAPY, value="ipilimumab + nivolumab", start=FIRST + timedelta(days=7),
                 end=FIRST + timedelta(days=91)),
    ContextEntry(kind=ContextKind.STEROID, value="prednisolone", start=FIRST + timedelta(days=100)),
    ContextEntry(kind=ContextKind.RADIOTHERAPY, value="lung_left", start=FIRST - timedelta(days=60),
                 end=FIRST - timedelta(days=30)),
    ContextEntry(kind=ContextKind.VACCINATION, value="influenza", start=FIRST + timedelta(days=20)),
))


@cache
def baseline_exam(**grid) -> tuple[ExamResult, ExamImages]:
    """The first PET/CT: two lesions, no irAE; the thyroid is fine."""
    ct, pet, organs, foci, pet_grid = body(0, spots=((1, LESION, 15, 7.0, 30), (2, NODE, 11, 5.5, 40),
                                                    (3, (0, 20, -260), 30, 9.0, 5)), **grid)
    exam = Exam(patient="P01", acquired_on=FIRST, volumes={Role.CT: ct, Role.PET: pet}, context=CONTEXT)
    result = result_of(
        exam, organs,
        [finding(Irae.COLITIS, "colon", Decision.NOT_SUSPECTED, evidence=colon_evidence(1.6)),
         finding(Irae.PNEUMONITIS, "lung_left", Decision.NOT_SUSPECTED),
         finding(Irae.THYROIDITIS, "thyroid_gland", Decision.NOT_SUSPECTED),
         finding(Irae.HEPATITIS, "liver", Decision.NOT_SUSPECTED),
         finding(Irae.HYPOPHYSITIS, "pituitary", Decision.NOT_ASSESSABLE, reason="No MR of the head was done.")],
        [attributed(1, LESION, 15, 7.0, Nature.METASTASIS, FocusStatus.NEW, "L01", organ="lung_left"),
         attributed(2, NODE, 11, 5.5, Nature.METASTASIS, FocusStatus.NEW, "L02", organ="lymph_node", is_node=True),
         attributed(3, (0.0, 20.0, -260.0), 30, 9.0, Nature.PHYSIOLOGIC, FocusStatus.NEW, "L03",
                    organ="urinary_bladder")],
        notices=(Notice("first_exam", "This is the patient's first exam; there is nothing to compare with."),),
        quantities={"pet.liver_mean": (2.2, "g/mL"), "colon.suv95": (1.6, "g/mL"),
                    "thyroid_gland.suv75": (1.5, "g/mL")},
    )
    return result, ExamImages(exam=exam, organs=organs, pituitary=None, foci_labels=foci, foci_geometry=pet_grid)


@cache
def follow_up_exam(**grid) -> tuple[ExamResult, ExamImages]:
    """Twelve weeks later: targets shrink, the colon is inflamed, a new liver focus cannot be told; views differ."""
    ct, pet, organs, foci, pet_grid = body(
        1, spots=((1, LESION, 10, 4.0, 30), (2, NODE, 9, 3.0, 40), (4, COLON, 14, 6.8, 35), (5, LIVER, 12, 6.0, 70),
                  (3, (0, 20, -260), 30, 9.0, 5)), colitis=True, move=(6.0, -4.0, 24.0), **grid)
    on = FIRST + timedelta(weeks=12)
    exam = Exam(
        patient="P01", acquired_on=on, volumes={Role.CT: ct, Role.PET: pet}, context=CONTEXT,
        origins={Role.PET: SeriesOrigin(role=Role.PET, series_uid="1.2.826.0.1.1",
                                        decisions=("SUV factor from weight, dose and half-life at acquisition.",))},
    )
    shift = np.array((6.0, -4.0, 24.0))

    def at(point):
        return tuple(float(v) for v in np.array(point) + shift)

    window = (on + timedelta(weeks=4), on + timedelta(weeks=8))
    thyroid = finding(Irae.THYROIDITIS, "thyroid_gland", Decision.NOT_ASSESSABLE,
                      reason="The thyroid is outside the field of view.")
    result = result_of(
        exam, organs,
        [finding(Irae.COLITIS, "colon", Decision.SUSPECTED, probability=0.91, severity=2, state=EpisodeState.NEW,
                 evidence=colon_evidence(4.6), reason="SUV95 of the colon is 4.6 g/mL, above 2.7."),
         finding(Irae.PNEUMONITIS, "lung_left", Decision.NOT_SUSPECTED), thyroid,
         finding(Irae.HEPATITIS, "liver", Decision.NOT_SUSPECTED),
         finding(Irae.HYPOPHYSITIS, "pituitary", Decision.NOT_ASSESSABLE, reason="No MR of the head was done.")],
        [attributed(1, at(LESION), 10, 4.0, Nature.METASTASIS, FocusStatus.KNOWN, "L01", organ="lung_left"),
         attributed(2, at(NODE), 9, 3.0, Nature.METASTASIS, FocusStatus.KNOWN, "L02", organ="lymph_node", is_node=True),
         attributed(4, at(COLON), 14, 6.8, Nature.INFLAMMATION, FocusStatus.NEW, "L04", organ="colon"),
         attributed(5, at(LIVER), 12, 6.0, Nature.INDETERMINATE, FocusStatus.NEW, "L05", organ="liver"),
         attributed(3, at((0, 20, -260)), 30, 9.0, Nature.PHYSIOLOGIC, FocusStatus.KNOWN, "L03",
                    organ="urinary_bladder"),
         attributed(6, (0.0, 0.0, 50.0), 1, 1.0, Nature.METASTASIS, FocusStatus.GONE, "L07", organ="aorta")],
        [Assessment(criterion="recist_1_1", view=View.ATTRIBUTED, category="PR", **SUMS,
                    reasons=(("R11-T3", "The sum fell by 27 % from baseline."),)),
         Assessment(criterion="recist_1_1", view=View.AS_SEEN, category="PD", **SUMS,
                    reasons=(("R11-N1", "New lesions: L04, L05."),)),
         Assessment(criterion="irecist", view=View.ATTRIBUTED, category="iPR", **SUMS,
                    reasons=(("IR-T", "As RECIST 1.1."),)),
         Assessment(criterion="irecist", view=View.AS_SEEN, category="iUPD", **SUMS,
                    confirm_between=window, reasons=(("IR-N1", "New lesions, not confirmed."),)),
         Assessment(criterion="percist_1_0", view=View.ATTRIBUTED, category="PMR", sum_sul=2.4, baseline_sul=4.1,
                    reasons=(("P-1", "SULpeak fell by 41 %."),)),
         Assessment(criterion="percist_1_0", view=View.AS_SEEN, category="PMD", sum_sul=2.4, baseline_sul=4.1,
                    reasons=(("P-4", "New hot lesions."),))],
        [Hinge(focus=5, if_nature="metastasis", categories=(("irecist", "iUPD"), ("recist_1_1", "PD")))],
        notices=(Notice("truncated_fov", "The CT ends below the thyroid."),
                 Notice("uptake_time", "Uptake time 83 min; 50 to 70 min are asked for."),),
        quantities={"pet.liver_mean": (2.6, "g/mL"), "colon.suv95": (4.6, "g/mL")},
        priority=Priority.URGENT, acr=2,
    )
    return result, ExamImages(exam=exam, organs=organs, pituitary=None, foci_labels=foci, foci_geometry=pet_grid)


@cache
def head_exam(height_mm: float = 11.0, *, weeks: int = 13, segmented: bool = True) -> tuple[ExamResult, ExamImages]:
    """A head MR; the pituitary has the asked height."""
    mr, pituitary = head(height_mm)
    exam = Exam(patient="P01", acquired_on=FIRST + timedelta(weeks=weeks), volumes={Role.MR: mr}, context=CONTEXT)
    found = segmented and height_mm > 9
    findings = [
        finding(irae, organ, Decision.NOT_ASSESSABLE, reason="No CT or PET was done.")
        for irae, organ in ((Irae.COLITIS, "colon"), (Irae.PNEUMONITIS, "lung_left"),
                            (Irae.THYROIDITIS, "thyroid_gland"), (Irae.HEPATITIS, "liver"))
    ] + [finding(Irae.HYPOPHYSITIS, "pituitary", Decision.SUSPECTED if found else Decision.NOT_SUSPECTED,
                 probability=0.8 if found else 0.2, severity=2 if found else 0,
                 state=EpisodeState.NEW if found else EpisodeState.NONE,
                 reason=f"The pituitary is {height_mm} mm high.")]
    result = result_of(exam, pituitary if segmented else None, findings, [], priority=Priority.URGENT, acr=2)
    return result, ExamImages(exam=exam, organs=None, pituitary=pituitary if segmented else None, foci_labels=None,
                              foci_geometry=None)


@cache
def course() -> Course:
    """Baseline, follow-up and head MR of one patient."""
    exams = (baseline_exam()[0], follow_up_exam()[0], head_exam()[0])
    on = FIRST + timedelta(weeks=12)
    return Course(
        patient="P01", exams=exams,
        patterns=(Pattern(name="pseudoprogression", definition="iUPD followed by iPR, iCR or iSD", answer=None,
                          source="Seymour 2017", reasons=("Progression is not confirmed or refuted yet.",)),
                  Pattern(name="hyperprogression", definition="Growth rate at least doubled", answer=False,
                          source="Champiat 2017", reasons=("The sum of diameters fell.",))),
        due=(Due(what="confirm iUPD", earliest=on + timedelta(weeks=4), latest=on + timedelta(weeks=8),
                 state=DueState.DUE, reason="iRECIST asks for a confirming scan 4 to 8 weeks after iUPD."),),
    )
