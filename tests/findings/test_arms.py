"""Fusion of the two arms, episodes, and how signs add up."""

from __future__ import annotations

import pytest

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.core.finding import Decision, EpisodeState, LearnedScore
from irae.core.numbers import reaches
from irae.findings.episodes import episode_state, past_findings
from irae.findings.fusion import fuse, logit, sigmoid
from irae.findings.rules import FUSION
from irae.findings.signs import judge_signs, rule_log_odds
from irae.findings.tables import COLITIS, RULE_SET
from tests.findings.exams import exam, finding, numbers, result

YES, NO, UNSEEN = Decision.SUSPECTED, Decision.NOT_SUSPECTED, Decision.NOT_ASSESSABLE


def learned(probability, *, threshold=0.5, calibrated=True):
    return LearnedScore(
        irae=Irae.COLITIS, probability=probability, threshold=threshold, calibrated=calibrated, model="sha256:1"
    )


def test_equal_weights_are_the_mean_of_log_odds():
    fused = fuse(0.9, 0.5, learned(0.1), FUSION)
    assert fused.probability == pytest.approx(0.5)
    assert fused.threshold == pytest.approx(0.5)


def test_both_arms_at_their_threshold_are_at_the_fused_threshold():
    fused = fuse(0.5, 0.5, learned(0.2, threshold=0.2), FUSION)
    assert reaches(fused.probability, fused.threshold)
    under = fuse(0.499, 0.5, learned(0.2, threshold=0.2), FUSION)
    assert not reaches(under.probability, under.threshold)


def test_an_uncalibrated_score_counts_less():
    assert fuse(0.2, 0.5, learned(0.99, calibrated=False), FUSION).probability < fuse(
        0.2, 0.5, learned(0.99), FUSION
    ).probability


def test_one_arm_alone_and_none():
    assert fuse(0.7, 0.5, None, FUSION).probability == 0.7
    assert fuse(None, 0.5, learned(0.3), FUSION).probability == 0.3
    assert fuse(None, 0.5, None, FUSION) is None


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certainty_stays_finite(probability):
    assert 0.0 < fuse(probability, 0.5, learned(0.5), FUSION).probability < 1.0


def test_logit_and_sigmoid():
    assert sigmoid(logit(0.37)) == pytest.approx(0.37)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        logit(1.2)


@pytest.mark.parametrize(
    ("past", "decision", "severity", "expected"),
    [
        ([], YES, 1, EpisodeState.NEW),
        ([], NO, 0, EpisodeState.NONE),
        ([], UNSEEN, 0, EpisodeState.NONE),
        ([0], YES, 2, EpisodeState.NEW),
        ([2], YES, 2, EpisodeState.ONGOING),
        ([1], YES, 3, EpisodeState.ONGOING),
        ([2], YES, 1, EpisodeState.IMPROVING),
        ([2], NO, 0, EpisodeState.RESOLVED),
        ([2, 0], NO, 0, EpisodeState.RESOLVED),
        ([2, 0], YES, 1, EpisodeState.RECURRENT),
        ([2, 0, 1], YES, 1, EpisodeState.ONGOING),
        ([2], UNSEEN, 0, EpisodeState.ONGOING),
        ([2, 0], UNSEEN, 0, EpisodeState.RESOLVED),
    ],
)
def test_episode_states(past, decision, severity, expected):
    before = [finding(Irae.COLITIS, severity=s) for s in past]
    assert episode_state(decision, severity, before) is expected


def test_an_episode_above_the_own_baseline_is_improving_not_resolved():
    before = [finding(Irae.COLITIS, severity=2)]
    assert episode_state(NO, 0, before, lingering=True) is EpisodeState.IMPROVING
    assert episode_state(NO, 0, [], lingering=True) is EpisodeState.NONE
    held = [*before, finding(Irae.COLITIS, severity=0, state=EpisodeState.IMPROVING)]
    assert episode_state(NO, 0, held) is EpisodeState.RESOLVED
    assert episode_state(YES, 1, held) is EpisodeState.ONGOING, "it never was over"


def test_exams_that_could_not_be_judged_do_not_enter_the_past():
    earlier = [
        result(findings=[finding(Irae.COLITIS, severity=2)], days_before=200),
        result(findings=[finding(Irae.COLITIS, assessable=False)], days_before=100),
    ]
    assert len(past_findings(Irae.COLITIS, earlier)) == 1


def test_only_the_strongest_sign_of_a_group_counts():
    def total(**values):
        judged = judge_signs(COLITIS, exam(Role.CT), numbers(**values), (), {}, RULE_SET)
        return rule_log_odds(COLITIS, judged, ())

    wall = total(colon__wall_p90_mm=12.0)
    assert total(colon__wall_p90_mm=12.0, colon__thickened_cm=1.0) == wall
    assert total(colon__wall_p90_mm=12.0, colon__suv95=9.0) == pytest.approx(wall + 0.8)
    assert total() is None
