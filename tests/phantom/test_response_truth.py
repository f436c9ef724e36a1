"""The true response: arithmetic on drawn diameters, in agreement with the product's own rules on the same ones."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.core.focus import Nature
from irae.phantom import draw_patient
from irae.phantom.archive import QUIET
from irae.phantom.disease import DiseasePlan
from irae.phantom.draw import VisitPlan
from irae.phantom.patient import LesionCourse
from irae.phantom.response_truth import lesion_truths, response_truths
from irae.response import Case, Visit, score_case
from irae.response.values import NewLesion, NonTarget, State, Target, VisitKind

BASE = draw_patient(
    np.random.default_rng(0), visits=4,
    disease=DiseasePlan(irae=dict.fromkeys(Irae, 0.0), confounder=QUIET), plan=VisitPlan(has_pet=False, mr=False),
)  # fmt: skip


def _lesion(track, *diameters, organ="liver", ratio=0.9):
    return LesionCourse(
        track=track, nature=Nature.METASTASIS, organ=organ, course="", centre_mm=(0, 0, 0), ratio=(1.0, ratio, 1.0),
        turn_deg=(0, 0, 0), diameter_mm=tuple(float(d) for d in diameters), suv=(5.0,) * len(diameters), hu=40.0,
        hu_gain=20.0,
    )  # fmt: skip


def _words(*lesions):
    found = response_truths(replace(BASE, lesions=lesions))
    return [t.recist11 for t in found[1:]], [t.irecist for t in found[1:]]


@pytest.mark.parametrize(("courses", "recist", "irecist", "why"), [
    ([(100, 70, 70, 84)], ["PR", "PR", "PD"], ["iPR", "iPR", "iUPD"], "30 % down, then 20 % above the nadir"),
    ([(50, 71, 30, 24)], ["PD", "PR", "PR"], ["iUPD", "iPR", "iPR"], "pseudoprogression: the bar is reset"),
    ([(20, 25, 30, 30)], ["PD", "PD", "PD"], ["iUPD", "iCPD", "iCPD"], "+5 mm twice confirms"),
    ([(20, 25, 29.9, 30)], ["PD", "PD", "PD"], ["iUPD", "iUPD", "iUPD"], "+4.9 mm above the last unconfirmed does not"),
    ([(30, 20, 0, 0)], ["PR", "CR", "CR"], ["iPR", "iCR", "iCR"], "gone"),
    ([(30, 20, 20, 20), (0, 12, 12, 18)], ["PD", "PD", "PD"], ["iUPD", "iUPD", "iCPD"], "a new lesion, then it grows"),
    ([(30, 20, 20, 20), (0, 12, 0, 0)], ["PD", "PR", "PR"], ["iUPD", "iPR", "iPR"], "a new lesion that goes away"),
    ([(30, 30, 30, 30), (8, 8, 8, 30)], ["SD", "SD", "PD"], ["iSD", "iSD", "iUPD"], "a non-target that explodes"),
])  # fmt: skip
def test_words_by_hand(courses, recist, irecist, why):
    lesions = [_lesion(f"M{n}", *c) for n, c in enumerate(courses)]
    assert _words(*lesions) == (recist, irecist), why


def test_targets_are_the_largest_measurable_two_an_organ_five_in_all_and_never_bone():
    lesions = (
        *(_lesion(f"A{n}", 40 - n, 1, 1, 1) for n in range(3)),
        *(_lesion(f"B{n}", 30 - n, 1, 1, 1, organ="lung_left" if n else "lung_right") for n in range(3)),
        _lesion("N1", 16, 1, 1, 1, organ="lymph_node", ratio=0.95),
        _lesion("N2", 20, 1, 1, 1, organ="lymph_node", ratio=0.7),
        _lesion("O1", 50, 1, 1, 1, organ="bone"),
        _lesion("W1", 0, 12, 12, 12),
    )
    roles = {x.track: x.role for x in lesion_truths(replace(BASE, lesions=lesions), 0)}
    assert {t for t, r in roles.items() if r == "target"} == {"A0", "A1", "B0", "B1", "N1"}
    assert roles["O1"] == roles["N2"] == "non_target"
    assert roles["W1"] == "new"


def _case(patient):
    """The same true diameters as the product's own response room reads them."""
    visits = []
    for number in range(len(patient.visits)):
        seen = lesion_truths(patient, number)

        def size(x):
            gone = x.longest_mm == 0
            return {
                "state": State.ABSENT if gone else State.MEASURED,
                "longest": None if gone else round(10 * x.longest_mm),
                "short": None if gone else round(10 * x.short_mm),
            }

        visits.append(Visit(
            id=f"V{number}", on=patient.visits[0].acquired_on + timedelta(days=60 * number),
            kind=VisitKind.FOLLOWUP if number else VisitKind.BASELINE,
            targets=tuple(
                Target(id=x.track, site=x.site, is_node=x.is_node, **size(x)) for x in seen if x.role == "target"
            ),
            non_targets=tuple(
                NonTarget(id=x.track, site=x.site, is_node=x.is_node,
                          state=State.ABSENT if x.longest_mm == 0 else State.PRESENT)
                for x in seen if x.role == "non_target"
            ),
            new_lesions=tuple(
                NewLesion(id=x.track, site=x.site, is_node=x.is_node, **size(x))
                for x in seen if x.role == "new" and x.longest_mm > 0
            ) if number else (),
        ))  # fmt: skip
    return Case(id="phantom", visits=tuple(visits))


@pytest.mark.parametrize(("criterion", "field"), [("recist_1_1", "recist11"), ("irecist", "irecist")])
def test_truth_agrees_with_the_product_on_the_same_diameters(criterion, field):
    """Patients whose non-targets stay as they are: what else a reader would call is arithmetic."""
    compared = 0
    for seed in range(40):
        patient = draw_patient(
            np.random.default_rng(seed), visits=4,
            disease=DiseasePlan(irae=dict.fromkeys(Irae, 0.0), confounder=QUIET, min_lesions=2),
            plan=VisitPlan(has_pet=False, mr=False),
        )  # fmt: skip
        truth = response_truths(patient)
        roles = {x.role for x in lesion_truths(patient, 0)}
        if "target" not in roles or any(t.non_target == "PD" for t in truth):
            continue
        scored = score_case(_case(patient), criterion)
        words = [a.overall for a in scored.answers][-3:]
        expected = [getattr(t, field) for t in truth[1:]]
        if "iCPD" in expected:  # after confirmation the product gives no further answer
            expected = expected[: expected.index("iCPD") + 1]
        assert words[: len(expected)] == expected, (seed, truth)
        compared += 1
    assert compared > 15


@pytest.mark.parametrize(("course", "expected"), [
    ("response", {"PR", "CR"}), ("stable", {"SD"}), ("progression", {"PD"}), ("hyperprogression", {"PD"}),
])  # fmt: skip
def test_courses_end_as_they_are_called(course, expected):
    hits = []
    for seed in range(12):
        patient = draw_patient(
            np.random.default_rng(seed), visits=3,
            disease=DiseasePlan(irae=dict.fromkeys(Irae, 0.0), confounder=QUIET, lesion_course=course, min_lesions=3),
            plan=VisitPlan(has_pet=False, mr=False),
        )  # fmt: skip
        if any(x.role == "target" for x in lesion_truths(patient, 0)):
            hits.append(response_truths(patient)[-1].recist11 in expected)
    assert np.mean(hits) > 0.8
