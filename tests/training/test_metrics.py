"""Numbers that a card reports, on inputs of known answer."""

import numpy as np
import pytest

from irae.models.package import Calibration
from irae.training.metrics import (
    auroc,
    calibration_error_by_chance,
    dice,
    expected_calibration_error,
    mean_with_interval,
    operating_point,
    platt,
    scaling_near_one,
    statistic_with_interval,
)


def test_dice():
    one = np.array([True, True, False, False])
    assert dice(one, np.array([True, False, True, False])) == pytest.approx(0.5)
    assert dice(one, one) == 1.0
    assert dice(one, ~one) == 0.0
    assert dice(np.zeros(4, bool), np.zeros(4, bool)) is None


def test_auroc_against_scikit_learn_with_ties():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.4
    scores = np.round(rng.normal(0, 1, 200) + truth, 1)
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    assert auroc([1.0, 2.0], [True, True]) is None


def test_intervals_hold_the_value_and_shrink_with_patients():
    rng = np.random.default_rng(1)
    small, large = (mean_with_interval(rng.normal(0.8, 0.1, n).tolist()) for n in (10, 400))
    assert small.low < small.value < small.high
    assert large.high - large.low < small.high - small.low
    assert mean_with_interval([]).value is None
    truth = np.arange(60) % 2 == 0
    metric = statistic_with_interval(auroc, truth + rng.normal(0, 0.7, 60), truth)
    assert metric.low < metric.value < metric.high <= 1.0


def test_platt_recovers_a_known_calibration():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 20_000)
    known = Calibration(1.7, -0.6)
    truth = rng.random(logits.size) < [known.probability(x) for x in logits]
    fitted = platt(logits, truth)
    assert fitted.scale == pytest.approx(known.scale, rel=0.05)
    assert fitted.offset == pytest.approx(known.offset, abs=0.06)
    probabilities = [fitted.probability(x) for x in logits]
    assert expected_calibration_error(probabilities, truth) < 0.02
    with pytest.raises(ValueError, match="both classes"):
        platt([0.0, 1.0], [True, True])


def test_platt_of_perfectly_separated_cases_stays_finite():
    fitted = platt([-3.0, -2.0, 2.0, 3.0], [False, False, True, True])
    assert 0.5 < fitted.probability(3.0) < 1.0


def test_calibration_error_of_an_overconfident_score():
    assert expected_calibration_error([1.0] * 10, [True] * 6 + [False] * 4) == pytest.approx(0.4)


def test_a_perfect_forecaster_is_off_by_chance_and_less_with_more_patients():
    rng = np.random.default_rng(0)
    few, many = (calibration_error_by_chance(rng.random(n)) for n in (50, 5000))
    assert few.low < few.value < few.high
    assert few.value > 0.08  # what an ECE of 0.1 on 50 patients has to be read beside
    assert many.value < 0.02
    sure = calibration_error_by_chance(np.repeat([0.0, 1.0], 20))
    assert (sure.value, sure.n) == (0.0, 40)


def test_a_scaling_near_one_puts_right_what_many_cases_show_and_believes_few_cases_little():
    rng = np.random.default_rng(1)
    log_odds = rng.normal(0.0, 2.0, 20_000)
    truth = rng.random(20_000) < 1.0 / (1.0 + np.exp(-(0.6 * log_odds - 0.4)))
    found = scaling_near_one(log_odds, truth)
    assert found.scale == pytest.approx(0.6, abs=0.03)
    assert found.offset == pytest.approx(-0.4, abs=0.06)
    separated = scaling_near_one([-3.0, -2.0, 2.0, 3.0], [False, False, True, True])
    assert 1.0 <= separated.scale < 1.5
    assert platt([-3.0, -2.0, 2.0, 3.0], [False, False, True, True]).scale < 0.6  # pulled to the middle
    with pytest.raises(ValueError, match="both classes"):
        scaling_near_one([0.0, 1.0], [True, True])


def test_cases_of_weight_nought_say_nothing_to_a_scaling():
    rng = np.random.default_rng(2)
    log_odds = rng.normal(0.0, 2.0, 400)
    truth = rng.random(400) < 1.0 / (1.0 + np.exp(-log_odds))
    weights = np.repeat([1.0, 0.0], 200)
    half = scaling_near_one(log_odds[:200], truth[:200])
    assert scaling_near_one(log_odds, np.where(weights > 0, truth, ~truth), weights=weights) == half



@pytest.mark.parametrize(("specificity", "allowed"), [(0.95, 1), (0.90, 2), (0.5, 10)])
def test_operating_point_keeps_the_specificity_and_no_more(specificity, allowed):
    negatives = np.arange(1, 21) / 100.0
    positives = np.array([0.05, 0.155, 0.185, 0.5, 0.9])
    scores = np.concatenate([negatives, positives])
    truth = np.arange(25) >= 20
    point = operating_point(scores, truth, specificity=specificity)
    false_alarms = int((negatives >= point.threshold).sum())
    assert false_alarms <= allowed
    assert point.specificity == pytest.approx(1 - false_alarms / 20)
    assert point.specificity >= specificity - 1e-9
    lower = np.nextafter(negatives[negatives < point.threshold].max(), 0)
    assert (negatives >= lower).sum() > allowed, "a lower threshold would break the promise"
    assert point.sensitivity == pytest.approx((positives >= point.threshold).mean())


def test_an_operating_point_needs_negatives():
    with pytest.raises(ValueError, match="negative"):
        operating_point([0.4], [True])
