from __future__ import annotations

from dataclasses import replace

import pytest

from irae.core.anatomy import Irae
from irae.core.assessment import Assessment, View
from irae.core.context import ContextKind
from irae.core.finding import ConformalSet, EpisodeState, Evidence
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.notice import Notice
from irae.core.triage import Priority
from irae.report.exam_page import headline
from irae.response import CRITERIA
from irae.triage import triage_exam
from irae.triage.priority import PROGRESSION
from irae.triage.rules import TRIAGE_RULES
from tests.findings.exams import DAY, context, finding, result

CLEAN = [finding(irae) for irae in Irae]


def triage(*changed, foci=(), assessments=(), notices=(), rows=()):
    by_irae = {f.irae: f for f in CLEAN} | {f.irae: f for f in changed}
    return triage_exam(
        findings=tuple(by_irae.values()), foci=foci, assessments=assessments, notices=notices, context=context(*rows),
        on=DAY,
    )


def new(irae, severity, **more):
    return finding(irae, severity=severity, state=EpisodeState.NEW, **more)


def evidence(name, met=True):
    return Evidence(name=name, value=1.0, unit="1", reference="> 0", source="x", met=met)


def focus(nature, *, status=FocusStatus.NEW, n=1, metastasis=None):
    p = {Nature.METASTASIS: 0.8, Nature.INDETERMINATE: 0.5}.get(nature, 0.1) if metastasis is None else metastasis
    return AttributedFocus(
        focus=Focus(
            id=n, centroid_ras_mm=(0, 0, 0), volume_ml=1, longest_mm=10, short_mm=8, status=status, organ="liver"
        ),
        nature=nature, probabilities={"metastasis": p, "inflammation": 1 - p, "physiologic": 0.0}, score=0.0,
        outcome="x", reasons=("x",),
    )


@pytest.mark.parametrize(
    ("irae", "severity", "category"),
    [
        (Irae.COLITIS, 1, 3), (Irae.COLITIS, 2, 2), (Irae.COLITIS, 3, 2),
        (Irae.PNEUMONITIS, 1, 3), (Irae.PNEUMONITIS, 2, 2), (Irae.PNEUMONITIS, 3, 1),
        (Irae.THYROIDITIS, 1, 3), (Irae.THYROIDITIS, 3, 3),
        (Irae.HEPATITIS, 1, 3), (Irae.HEPATITIS, 2, 3),
        (Irae.HYPOPHYSITIS, 1, 3), (Irae.HYPOPHYSITIS, 2, 2), (Irae.HYPOPHYSITIS, 3, 2),
    ],
)
def test_acr_category(irae, severity, category):
    found = triage(new(irae, severity))
    assert found.acr_category == category
    assert found.priority is {1: Priority.STAT, 2: Priority.URGENT, 3: Priority.ROUTINE}[category]
    low, high = TRIAGE_RULES.bands[category]
    assert low <= found.score <= high
    assert irae.value in found.reasons[0]


@pytest.mark.parametrize(("suspected", "category"), [(True, 3), (False, None)])
def test_an_uncertain_irae_is_read_within_days_and_said_in_the_headline(suspected, category):
    conformal = ConformalSet(coverage=0.9, suspected=suspected, not_suspected=True)
    unsure = replace(CLEAN[0], conformal=conformal)
    answer = triage(unsure)
    assert answer.acr_category == category
    assert ("a reader must decide" in answer.reasons[0]) is suspected
    lines = headline(result(findings=[unsure, *CLEAN[1:]]), first_exam=False)
    assert any("neither suspected nor excluded: colitis" in line for line in lines) is suspected


def test_clean_exam():
    found = triage()
    assert (found.priority, found.acr_category, found.score) == (Priority.ROUTINE, None, 0.0)
    assert found.reasons


@pytest.mark.parametrize("code", ["toxic_dilatation", "free_gas"])
def test_emergency_signs_are_category_one(code):
    assert triage(new(Irae.COLITIS, 2, evidence=[evidence(code)])).acr_category == 1
    assert triage(new(Irae.COLITIS, 2, evidence=[evidence(code, met=False)])).acr_category == 2
    assert triage(new(Irae.COLITIS, 2, evidence=[evidence(code, met=None)])).acr_category == 2


def test_a_wide_colon_without_colitis_is_no_alarm():
    assert triage(finding(Irae.COLITIS, evidence=[evidence("toxic_dilatation")])).acr_category is None


def test_radiotherapy_lifts_mild_pneumonitis():
    mild = new(Irae.PNEUMONITIS, 1)
    assert triage(mild, rows=[(ContextKind.RADIOTHERAPY, "chest", 60, 40)]).acr_category == 2
    assert triage(mild, rows=[(ContextKind.RADIOTHERAPY, "hip", 60, 40)]).acr_category == 3
    assert triage(mild, rows=[(ContextKind.RADIOTHERAPY, "chest", 400, 360)]).acr_category == 3
    assert triage(mild, rows=[(ContextKind.RADIOTHERAPY, "chest", 400, None)]).acr_category == 3, "one event, long ago"


@pytest.mark.parametrize("state", [EpisodeState.ONGOING, EpisodeState.IMPROVING])
def test_a_known_episode_does_not_alarm_again(state):
    found = triage(finding(Irae.COLITIS, severity=2, state=state))
    assert found.acr_category is None
    assert "no new alarm" in found.reasons[0]


def test_a_known_episode_that_got_worse_does():
    worse = finding(Irae.PNEUMONITIS, severity=3, state=EpisodeState.ONGOING, evidence=[evidence("severity_rise")])
    assert triage(worse).acr_category == 1


@pytest.mark.parametrize("state", [EpisodeState.NEW, EpisodeState.RECURRENT])
def test_new_and_recurrent_episodes_alarm(state):
    assert triage(finding(Irae.COLITIS, severity=2, state=state)).acr_category == 2


def test_new_suspected_metastasis():
    assert triage(foci=[focus(Nature.METASTASIS)]).acr_category == 3
    assert triage(foci=[focus(Nature.METASTASIS, status=FocusStatus.KNOWN)]).acr_category is None
    assert triage(foci=[focus(Nature.METASTASIS, status=FocusStatus.GONE)]).acr_category is None
    assert triage(foci=[focus(Nature.INFLAMMATION)]).acr_category is None


def test_on_the_first_exam_metastases_are_not_new():
    found = triage(foci=[focus(Nature.METASTASIS)], notices=[Notice("no_baseline", "x")])
    assert found.acr_category is None
    assert any("first exam" in r for r in found.reasons)


def test_an_indeterminate_focus_raises_the_score_only():
    found = triage(foci=[focus(Nature.INDETERMINATE)])
    assert found.acr_category is None
    assert found.score > triage().score


def test_progression_counts_in_the_attributed_view():
    progression = Assessment(criterion="recist_1_1", view=View.ATTRIBUTED, category="PD")
    assert triage(assessments=[progression]).acr_category == 3
    assert triage(assessments=[replace(progression, view=View.AS_SEEN)]).acr_category is None
    assert triage(assessments=[replace(progression, category="SD")]).acr_category is None


def test_progression_by_any_criterion_counts():
    words = {word for row in CRITERIA.values() for word in row.progression}
    assert words >= {"PD", "iUPD", "irPD", "imPD", "PMD", "UPMD", "CPMD"}
    assert words <= PROGRESSION


def test_not_assessable_never_lowers():
    unseen = [finding(irae, assessable=False) for irae in Irae if irae is not Irae.COLITIS]
    for base in ([], [new(Irae.COLITIS, 1)], [new(Irae.COLITIS, 3)]):
        assert triage(*base, *unseen).score >= triage(*base).score
    assert any("not excluded" in r for r in triage(*unseen).reasons)


def test_a_more_urgent_category_always_scores_higher():
    weak_one = triage(new(Irae.PNEUMONITIS, 3, probability=0.5))
    many_two = triage(
        new(Irae.COLITIS, 3, probability=0.99), new(Irae.HYPOPHYSITIS, 3, probability=0.99),
        foci=[focus(Nature.METASTASIS, metastasis=1.0)],
    )
    assert weak_one.score > many_two.score


def test_adding_a_finding_never_lowers_the_score():
    one = triage(new(Irae.COLITIS, 2))
    two = triage(new(Irae.COLITIS, 2), new(Irae.THYROIDITIS, 1))
    assert two.score >= one.score
    assert len(two.reasons) > len(one.reasons)
