from __future__ import annotations

import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.core.context import ContextKind
from irae.core.exam import Exam, Role
from irae.core.finding import Decision, EpisodeState, LearnedScore, Measured, Quantities
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, Quantity, Volume
from irae.findings import assess_findings
from irae.findings.fusion import logit
from irae.findings.tables import RULE_SET
from tests.findings.exams import ALL_CT, DAY, PITUITARY, context, exam, finding, numbers, organs, result

CT_PET = (Role.CT, Role.PET)


def answer(irae, quantities, *, on=None, labels=ALL_CT, pituitary=None, earlier=(), learned=None):
    found = assess_findings(
        on or exam(*CT_PET), organs=labels, pituitary=pituitary, quantities=quantities, learned=learned or {},
        earlier=earlier,
    )
    assert [f.irae for f in found] == list(Irae), "always all five, in order"
    return next(f for f in found if f.irae is irae)


def evidence(found, name):
    return next(e for e in found.evidence if e.name == name)


def test_always_all_five_even_with_nothing():
    found = assess_findings(exam(Role.CT), organs=None, pituitary=None, quantities=Quantities(), learned={}, earlier=())
    assert [f.irae for f in found] == list(Irae)
    assert all(f.decision is Decision.NOT_ASSESSABLE and f.reasons for f in found)


@pytest.mark.parametrize(
    ("irae", "values", "severity"),
    [
        (Irae.COLITIS, {"colon__wall_p90_mm": 4.9, "colon__thickened_cm": 30.0}, 1),
        (Irae.COLITIS, {"colon__wall_p90_mm": 7.0, "colon__thickened_cm": 60.0}, 2),
        (Irae.COLITIS, {"colon__wall_p90_mm": 10.0, "colon__thickened_cm": 90.0}, 3),
        (Irae.COLITIS, {"colon__wall_p90_mm": 4.9, "colon__suv95": 5.6, "colon__assessable_percent": 60.0}, 1),
        (Irae.COLITIS, {"colon__wall_p90_mm": 4.9, "colon__suv95": 5.6, "colon__assessable_percent": 31.0}, 3),
        (Irae.PNEUMONITIS, {"lung__opacity_percent": 8.0, "lung__zones": 3}, 1),
        (Irae.PNEUMONITIS, {"lung__opacity_percent": 25.0, "lung__zones": 4}, 2),
        (Irae.PNEUMONITIS, {"lung__opacity_percent": 50.0, "lung__zones": 6}, 2),
        (Irae.PNEUMONITIS, {"lung__opacity_percent": 50.1, "lung__zones": 6}, 3),
        (Irae.THYROIDITIS, {"thyroid_gland__suv75": 3.0}, 1),
        (Irae.THYROIDITIS, {"thyroid_gland__suv75": 5.0}, 2),
    ],
)
def test_plain_disease_is_suspected(irae, values, severity):
    found = answer(irae, numbers(**values))
    assert found.decision is Decision.SUSPECTED
    assert found.severity == severity
    assert found.state is EpisodeState.NEW
    assert found.probability == found.rule_probability


@pytest.mark.parametrize(
    ("irae", "values"),
    [
        (Irae.COLITIS, {"colon__wall_p90_mm": 2.0, "colon__thickened_cm": 0.0, "colon__suv95": 2.0}),
        (Irae.COLITIS, {"colon__suv95": 4.5}),  # static uptake alone does not work for bowel
        (Irae.PNEUMONITIS, {"lung__opacity_percent": 0.3, "lung__zones": 0, "lung__suv95": 1.0}),
        (Irae.THYROIDITIS, {"thyroid_gland__suv75": 1.5}),
        (Irae.HEPATITIS, {"liver__volume_ml": 1500.0}),
    ],
)
def test_normal_organs_are_not_suspected(irae, values):
    found = answer(irae, numbers(**values))
    assert found.decision is Decision.NOT_SUSPECTED
    assert found.severity == 0
    assert found.state is EpisodeState.NONE
    assert RULE_SET.iraes[irae].visible in found.reasons


def test_a_wall_that_was_read_along_a_third_speaks_for_a_third():
    """Not thick, along all of the colon or along some of it: the less was read, the less it says; thick says it all."""
    def rule(wall: float, read: float) -> float:
        values = numbers(colon__wall_p90_mm=wall, colon__suv95=6.4, colon__assessable_percent=read)
        return answer(Irae.COLITIS, values).rule_probability

    assert rule(1.5, 100.0) < rule(1.5, 60.0) < rule(1.5, 30.0)
    assert logit(rule(1.5, 30.0)) - logit(rule(1.5, 100.0)) == pytest.approx(0.7, abs=1e-6)
    assert rule(7.0, 100.0) == rule(7.0, 30.0)


def test_change_against_own_baseline():
    before = result(numbers(liver__volume_ml=1400.0, liver__suv_median=2.0))
    now = numbers(liver__volume_ml=1400.0 * 1.25, liver__suv_median=3.8)
    found = answer(Irae.HEPATITIS, now, earlier=[before])
    assert found.decision is Decision.SUSPECTED
    assert evidence(found, "volume_rise").value == pytest.approx(1.25)
    assert evidence(found, "suv_rise").value == pytest.approx(1.8)
    assert found.severity == 3


@pytest.mark.parametrize(("was_suspected", "decision"), [(0, Decision.NOT_SUSPECTED), (1, Decision.SUSPECTED)])
def test_what_a_healthy_baseline_showed_already_is_not_new(was_suspected, decision):
    before = result(numbers(thyroid_gland__suv75=3.4), findings=[finding(Irae.THYROIDITIS, severity=was_suspected)])
    found = answer(Irae.THYROIDITIS, numbers(thyroid_gland__suv75=3.5), earlier=[before])
    assert evidence(found, "suv75").met is True
    assert found.decision is decision
    assert any("Present at baseline" in r for r in found.reasons) is (was_suspected == 0)


@pytest.mark.parametrize(("left", "judged"), [(8.4, True), (3.2, False)])
def test_a_mask_that_missed_the_gland_is_no_atrophy(left, judged):
    before = result(numbers(thyroid_gland__volume_ml=14.0, thyroid_gland__suv75=1.3))
    found = answer(Irae.THYROIDITIS, numbers(thyroid_gland__volume_ml=left, thyroid_gland__suv75=1.1), earlier=[before])
    assert evidence(found, "volume_fall").met is (True if judged else None)
    assert any("too little for a disease" in reason for reason in found.reasons) is not judged
    if not judged:
        assert found.decision is Decision.NOT_SUSPECTED


def test_without_a_baseline_change_is_not_judged_and_said():
    found = answer(Irae.HEPATITIS, numbers(liver__volume_ml=1400.0))
    assert evidence(found, "volume_rise").met is None
    assert any("no baseline" in r for r in found.reasons)


def test_baseline_is_the_last_exam_before_the_first_dose():
    therapy = context((ContextKind.THERAPY, "nivolumab", 100, None))
    earlier = [
        result(numbers(colon__suv95=9.0), days_before=200), result(numbers(colon__suv95=2.0), days_before=105),
        result(numbers(colon__suv95=4.0), days_before=30),
    ]
    found = answer(Irae.COLITIS, numbers(colon__suv95=3.0), on=exam(*CT_PET, context=therapy), earlier=earlier)
    assert evidence(found, "suv95_rise").value == pytest.approx(50.0)


@pytest.mark.parametrize(("aorta_now", "judged"), [(45.0, True), (76.0, False)])
def test_density_change_needs_the_same_phase(aorta_now, judged):
    before = result(numbers(thyroid_gland__hu=95.0, aorta__hu=45.0))
    found = answer(Irae.THYROIDITIS, numbers(thyroid_gland__hu=70.0, aorta__hu=aorta_now), earlier=[before])
    if judged:
        assert evidence(found, "hu_fall").met is True
    else:
        # Nothing else was measured: no sign could be judged, so there is no quiet no.
        assert found.decision is Decision.NOT_ASSESSABLE
        assert any("phase" in r for r in found.reasons)


@pytest.mark.parametrize(
    ("sex", "height", "met"),
    [("F", 8.99, False), ("F", 9.0, True), ("M", 7.99, False), ("M", 8.0, True), (None, 8.5, False), (None, 9.0, True)],
)
def test_pituitary_height_by_sex(sex, height, met):
    rows = [] if sex is None else [(ContextKind.SEX, sex, None, None)]
    found = answer(
        Irae.HYPOPHYSITIS, numbers(pituitary__height_mm=height), on=exam(Role.MR, context=context(*rows)), labels=None,
        pituitary=PITUITARY,
    )
    assert evidence(found, "height").met is met


def test_metformin_gates_bowel_uptake():
    hot = numbers(colon__suv95=9.0, colon__wall_p90_mm=2.0)
    before = [result(numbers(colon__suv95=2.0))]
    free = answer(Irae.COLITIS, hot, earlier=before)
    gated = answer(
        Irae.COLITIS, hot, earlier=before, on=exam(*CT_PET, context=context((ContextKind.METFORMIN, "yes", 400, None)))
    )
    assert evidence(free, "suv95").met is True
    assert evidence(gated, "suv95").met is None
    assert evidence(gated, "suv95").value == 9.0, "the number is still shown"
    assert gated.probability < free.probability
    assert any("metformin" in r for r in gated.reasons)


@pytest.mark.parametrize(("ended", "gated"), [(3, True), (4, False)])
def test_metformin_stopped_72_hours_ago(ended, gated):
    on = exam(*CT_PET, context=context((ContextKind.METFORMIN, "yes", 400, ended)))
    found = answer(Irae.COLITIS, numbers(colon__suv95=9.0, colon__wall_p90_mm=2.0), on=on)
    assert (evidence(found, "suv95").met is None) is gated


def test_metformin_and_nothing_on_ct_is_not_a_quiet_no():
    on = exam(*CT_PET, context=context((ContextKind.METFORMIN, "yes", 400, None)))
    assert answer(Irae.COLITIS, numbers(colon__suv95=9.0), on=on).decision is Decision.NOT_ASSESSABLE


@pytest.mark.parametrize(
    ("row", "irae", "word"),
    [
        ((ContextKind.INFECTION, "pneumonia", 10, 3), Irae.PNEUMONITIS, "infection"),
        ((ContextKind.RADIOTHERAPY, "left lung", 90, 60), Irae.PNEUMONITIS, "Radiotherapy"),
        ((ContextKind.STEROID, "prednisolone", 10, None), Irae.PNEUMONITIS, "Steroids"),
    ],
)
def test_mimics_are_said(row, irae, word):
    values = numbers(lung__opacity_percent=5.0, lung__zones=2)
    plain, mimicked = answer(irae, values), answer(irae, values, on=exam(*CT_PET, context=context(row)))
    assert any(word in r for r in mimicked.reasons)
    assert mimicked.probability <= plain.probability


@pytest.mark.parametrize(("weeks", "inside"), [(1, False), (2, True), (40, True), (41, False)])
def test_onset_window_is_soft(weeks, inside):
    values = numbers(colon__wall_p90_mm=5.0, colon__thickened_cm=20.0)
    on = exam(*CT_PET, context=context((ContextKind.THERAPY, "ipilimumab", 7 * weeks, None)))
    found, plain = answer(Irae.COLITIS, values, on=on), answer(Irae.COLITIS, values)
    assert (found.probability == plain.probability) is inside
    assert found.probability > 0.2, "never a hard gate"


def test_before_the_first_dose():
    on = exam(*CT_PET, context=context((ContextKind.THERAPY, "nivolumab", -10, None)))
    found = answer(Irae.THYROIDITIS, numbers(thyroid_gland__suv75=2.4), on=on)
    assert found.decision is Decision.NOT_SUSPECTED
    assert any("first dose" in r for r in found.reasons)


def test_no_pet_is_said():
    found = answer(Irae.COLITIS, numbers(colon__wall_p90_mm=2.0), on=exam(Role.CT))
    assert found.decision is Decision.NOT_SUSPECTED
    assert any("No PET" in r for r in found.reasons)


def test_partial_coverage_is_assessable_and_said():
    labels = organs("lung_right", coverage=Coverage.PARTIAL)
    found = answer(Irae.PNEUMONITIS, numbers(lung__opacity_percent=9.0), labels=labels)
    assert found.decision is Decision.SUSPECTED
    assert any("Only part of the right lung" in r for r in found.reasons)
    assert any("left lung was not seen" in r for r in found.reasons)


def test_a_rejected_mask_is_not_absent_disease():
    labels = organs("liver", rejected={"colon": "volume 12 mL is below 120 mL"})
    found = answer(Irae.COLITIS, numbers(), labels=labels)
    assert found.decision is Decision.NOT_ASSESSABLE
    assert "volume 12 mL" in found.reasons[0]


def test_measured_nothing_is_not_assessable_with_the_reason():
    values = Quantities({"colon.wall_p90_mm": Measured(value=None, unit="mm", why="lumen narrower than 20 mm")})
    found = answer(Irae.COLITIS, values, on=exam(Role.CT))
    assert found.decision is Decision.NOT_ASSESSABLE
    assert any("narrower than 20 mm" in r for r in found.reasons)


def test_two_arms_are_both_kept():
    score = LearnedScore(irae=Irae.COLITIS, probability=0.95, threshold=0.3, calibrated=True, model="sha256:1")
    found = answer(Irae.COLITIS, numbers(colon__wall_p90_mm=4.2), learned={Irae.COLITIS: score})
    assert found.learned_probability == 0.95
    assert found.rule_probability < found.probability < 0.95
    assert any("learned score" in r for r in found.reasons)


def test_learned_arm_alone():
    score = LearnedScore(irae=Irae.COLITIS, probability=0.2, threshold=0.3, calibrated=True, model="sha256:1")
    found = answer(Irae.COLITIS, numbers(), learned={Irae.COLITIS: score})
    assert (found.decision, found.probability, found.threshold) == (Decision.NOT_SUSPECTED, 0.2, 0.3)
    assert found.rule_probability is None


def test_learned_score_does_not_answer_for_an_unseen_organ():
    score = LearnedScore(irae=Irae.COLITIS, probability=0.99, threshold=0.3, calibrated=True, model="sha256:1")
    found = answer(Irae.COLITIS, numbers(), labels=organs("liver"), learned={Irae.COLITIS: score})
    assert found.decision is Decision.NOT_ASSESSABLE


def test_worse_episode_is_marked():
    earlier = [result(findings=[finding(Irae.PNEUMONITIS, severity=1, state=EpisodeState.NEW)])]
    found = answer(Irae.PNEUMONITIS, numbers(lung__opacity_percent=60.0), earlier=earlier)
    assert found.state is EpisodeState.ONGOING
    assert evidence(found, "severity_rise").met is True


def test_open_episode_is_held_open_when_the_organ_is_not_seen():
    earlier = [result(findings=[finding(Irae.COLITIS, severity=2, state=EpisodeState.NEW)])]
    found = answer(Irae.COLITIS, numbers(), labels=organs("liver"), earlier=earlier)
    assert found.decision is Decision.NOT_ASSESSABLE
    assert found.state is EpisodeState.ONGOING


def test_receding_extent_is_improving():
    before = numbers(lung__opacity_percent=20.0)
    earlier = [result(before, findings=[finding(Irae.PNEUMONITIS, severity=1, state=EpisodeState.NEW)])]
    found = answer(Irae.PNEUMONITIS, numbers(lung__opacity_percent=9.0, lung__suv95=2.5), earlier=earlier)
    assert found.state is EpisodeState.IMPROVING


def test_not_back_at_the_own_baseline_is_not_resolved():
    healthy = result(numbers(colon__suv95=1.2, colon__wall_p90_mm=2.0), days_before=120)
    inflamed = result(numbers(colon__suv95=4.0, colon__wall_p90_mm=7.0), days_before=40,
                      findings=[finding(Irae.COLITIS, severity=2, state=EpisodeState.NEW)])
    for suv95, state in ((1.9, EpisodeState.IMPROVING), (1.3, EpisodeState.RESOLVED)):
        found = answer(Irae.COLITIS, numbers(colon__suv95=suv95, colon__wall_p90_mm=2.0), earlier=[healthy, inflamed])
        assert (found.decision, found.state) == (Decision.NOT_SUSPECTED, state)
        assert found.reasons[0].startswith("It was suspected before") is (state is EpisodeState.IMPROVING)


def test_more_of_a_sign_never_lowers_the_probability():
    values = np.linspace(0, 12, 49)
    probabilities = [answer(Irae.COLITIS, numbers(colon__wall_p90_mm=v)).probability for v in values]
    assert probabilities == sorted(probabilities)


def test_grids_must_agree():
    from irae.findings import measure

    other = Geometry.axis_aligned((5, 4, 4), (10.0, 10.0, 10.0))
    wrong = Exam(
        patient="P", acquired_on=DAY,
        volumes={Role.CT: Volume(array=np.zeros(other.shape, np.float32), geometry=other, quantity=Quantity.HU)},
    )
    with pytest.raises(ValueError, match="grid"):
        measure(wrong, ALL_CT, None, None)
