"""How firmly a category stands: other readings of the same diameters."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import norm

from irae.core.assessment import Assessment, View
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.io.result_json import _assessment_from_json, _assessment_to_json
from irae.response.course import ExamLesions
from irae.response.readings import READING_RULES, readings
from irae.response.views import assess_course

START = date(2025, 1, 6)


def lesion(number: int, mm: float, *, nature: Nature = Nature.METASTASIS, node: bool = False, gone: bool = False):
    shares = dict.fromkeys(("inflammation", "metastasis", "physiologic"), 0.0) | {nature.value: 1.0}
    return AttributedFocus(
        focus=Focus(
            id=number, centroid_ras_mm=(0, 0, 0), volume_ml=0.0 if gone else (mm / 10) ** 3 / 2,
            longest_mm=0.0 if gone else mm * (1.3 if node else 1.0),
            short_mm=0.0 if gone else mm * (1.0 if node else 0.8),
            organ="lymph_node" if node else "liver", track=f"L{number:02d}", is_node=node,
            status=FocusStatus.GONE if gone else FocusStatus.KNOWN,
        ),
        nature=nature, probabilities=shares, score=0.0, outcome="drawn", reasons=("drawn",),
    )


def exam(day: int, *foci: AttributedFocus) -> ExamLesions:
    return ExamLesions(acquired_on=START + timedelta(days=day), foci=foci, slice_thickness_mm=3.0)


def assessed(*exams: ExamLesions, view: View = View.ATTRIBUTED, **more) -> Assessment:
    found, _ = assess_course(exams, criteria=("recist_1_1",), **more)
    return next(a for a in found if a.view is view)


@pytest.mark.parametrize(("now_mm", "category", "least", "most"), [
    (20.0, "PR", 1.0, 1.0),  # half the size
    (38.0, "SD", 1.0, 1.0),
    (28.5, "SD", 0.5, 0.8),  # a partial response begins at 28.0
    (27.5, "PR", 0.5, 0.8),
    (60.0, "PD", 1.0, 1.0),
])
def test_a_category_is_firm_far_from_a_limit_and_not_beside_one(now_mm, category, least, most):
    found = assessed(exam(0, lesion(1, 40.0)), exam(60, lesion(1, now_mm)))
    assert found.category == category
    assert found.holds is not None
    assert least <= found.holds <= most
    assert sum(count for _, count in found.readings) == READING_RULES.count
    if least < 1.0:
        assert {name for name, _ in found.readings} == {"PR", "SD"}


def test_the_share_is_what_the_error_says():
    # The sum must fall to 70 % of the baseline's: it is 2 mm too long, the difference's error sd * sqrt(1 + 0.7^2).
    found = assessed(exam(0, lesion(1, 40.0)), exam(60, lesion(1, 30.0)),
                     reading_rules=replace(READING_RULES, count=2000))
    expected = norm.cdf(2.0 / (READING_RULES.sd_mm * np.hypot(1.0, 0.7)))
    assert found.holds == pytest.approx(expected, abs=0.03)


def test_whether_a_node_is_a_target_at_all_is_read_again_too():
    found = assessed(
        exam(0, lesion(1, 15.2, node=True), lesion(2, 30.0)), exam(60, lesion(1, 9.0, node=True), lesion(2, 23.0))
    )
    assert found.holds is not None
    assert found.holds < READING_RULES.firm_from, "15 mm make a node a target"


def test_what_is_gone_stays_gone_and_normal_uptake_is_not_read():
    normal = lesion(2, 60.0, nature=Nature.PHYSIOLOGIC)
    course = (exam(0, lesion(1, 30.0), normal), exam(60, lesion(1, 30.0, gone=True)))
    for drawn in readings(course, replace(READING_RULES, count=20)):
        assert drawn[0].foci[0].focus.longest_mm != 30.0
        assert drawn[0].foci[1].focus == course[0].foci[1].focus
        assert drawn[1].foci[0].focus == course[1].foci[0].focus


def test_no_diameter_is_turned_over_and_the_same_course_is_read_the_same():
    course = (exam(0, *(lesion(n, 2.0) for n in range(1, 40))),)
    first, second = readings(course), readings(course)
    assert first == second
    sizes = [f.focus for drawn in first for f in drawn[0].foci]
    assert all(READING_RULES.least_mm <= f.short_mm <= f.longest_mm for f in sizes)


def test_readings_are_drawn_for_diameters_after_the_baseline_only():
    assert assessed(exam(0, lesion(1, 40.0))).readings == ()
    assert assessed(exam(0, lesion(1, 40.0)), exam(60, lesion(1, 40.0)), what_if=False).readings == ()


def test_they_travel_in_the_result():
    found = assessed(exam(0, lesion(1, 40.0)), exam(60, lesion(1, 28.5)))
    written = json.loads(json.dumps(_assessment_to_json(found)))
    assert sum(written["readings"].values()) == READING_RULES.count
    assert _assessment_from_json(written).readings == found.readings
    del written["readings"]
    assert _assessment_from_json(written).readings == (), "an earlier version's result"
