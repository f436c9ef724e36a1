"""What a trained model is worth, with 95 % bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irae.models.package import Calibration, Metric, OperatingPoint

RESAMPLES = 500


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    """Dice overlap of two masks; None where both are empty (nothing to agree on)."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * float((found & truth).sum()) / total if total else None


def mean_with_interval(values: Sequence[float], *, seed: int = 0) -> Metric:
    """The mean of one value per patient and its interval."""
    if not values:
        return Metric(None, None, None, 0)
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, array.size, (RESAMPLES, array.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Metric(round(float(array.mean()), 4), round(float(low), 4), round(float(high), 4), int(array.size))


def auroc(scores: ArrayLike, truth: ArrayLike) -> float | None:
    """Area under the ROC curve (Mann-Whitney, ties count half); None where one class is absent."""
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    ones, zeros = score[positive], score[~positive]
    if not ones.size or not zeros.size:
        return None
    return float(((ones[:, None] > zeros).sum() + 0.5 * (ones[:, None] == zeros).sum()) / (ones.size * zeros.size))


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, *, bins: int = 10) -> float:
    """Mean gap between predicted probability and observed rate over equally wide bins, weighted by their counts."""
    probability, positive = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=bool)
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(probability[bin_of == b].mean() - positive[bin_of == b].mean()) * (bin_of == b).sum()
        for b in range(bins) if (bin_of == b).any()
    ]
    return float(sum(gaps) / probability.size)


def calibration_error_by_chance(probabilities: ArrayLike, *, bins: int = 10, seed: int = 0) -> Metric:
    """The ECE that these probabilities would be found to have if each were exactly true: its mean and 95 % range.

    The bins of few patients differ from their probabilities by chance alone, so that an ECE says something only beside
    this (Roelofs, AISTATS 2022, "Mitigating bias in calibration error estimation").
    """
    probability = np.asarray(probabilities, dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = [
        expected_calibration_error(probability, rng.random(probability.size) < probability, bins=bins)
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Metric(round(float(np.mean(drawn)), 4), round(float(low), 4), round(float(high), 4), int(probability.size))


def statistic_with_interval(
    statistic: Callable[[NDArray[np.float64], NDArray[np.bool_]], float | None],
    scores: ArrayLike, truth: ArrayLike, *, seed: int = 0,
) -> Metric:
    """A statistic of (scores, truth) and its interval over patients, resampled within each class."""
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    value = statistic(score, positive)
    if value is None:
        return Metric(None, None, None, int(score.size))
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([rng.choice(group, group.size) for group in groups if group.size])
        again = statistic(score[chosen], positive[chosen])
        if again is not None:
            drawn.append(again)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Metric(round(value, 4), round(float(low), 4), round(float(high), 4), int(score.size))


def platt(logits: ArrayLike, truth: ArrayLike) -> Calibration:
    """Platt scaling of logits by penalised maximum likelihood, with Platt's smoothed targets.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; targets (N+ + 1)/(N+ + 2), 1/(N- + 2).

    Raises:
        ValueError: If one class is absent.
    """
    from scipy.optimize import minimize

    x, positive = np.asarray(logits, dtype=np.float64), np.asarray(truth, dtype=bool)
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        raise ValueError(f"calibration needs both classes, got {ones} positive and {zeros} negative cases")
    target = np.where(positive, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))

    def loss(parameters: NDArray[np.float64]) -> float:
        z = np.exp(parameters[0]) * x + parameters[1]
        return float(np.mean(np.logaddexp(0.0, z) - target * z) + 1e-3 * parameters[0] ** 2)

    scale, offset = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"maxiter": 2000}).x
    return Calibration(round(float(np.exp(scale)), 6), round(float(offset), 6))


def scaling_near_one(
    log_odds: ArrayLike, truth: ArrayLike, *, weights: ArrayLike | None = None, scale_spread: float = 0.5,
    offset_spread: float = 1.0,
) -> Calibration:
    """Scale and offset of log-odds that are nearly right already: the most probable ones under a prior at 1 and 0.

    Platt's smoothed targets (``platt``) pull every probability towards the middle: fitted on 60 cases of AUROC 0.98
    they leave an error of 0.05 on endless others, this one of 0.03 (on 150 cases 0.028 and 0.021). Simulated, also with
    log-odds too large by 1.6 or too small by 0.7.

    Args:
        log_odds, truth: Of cases that the log-odds were not fitted to.
        weights: Of the cases; 1 each where absent.
        scale_spread: Standard deviation of the prior of the scale's logarithm. offset_spread: Of the offset's.

    Raises:
        ValueError: If one class is absent.
    """
    from scipy.optimize import minimize

    x, y = np.asarray(log_odds, dtype=np.float64), np.asarray(truth, dtype=bool)
    if not y.any() or y.all():
        raise ValueError(f"calibration needs both classes, got {int(y.sum())} of {y.size} positive")
    counts = np.ones(x.size) if weights is None else np.asarray(weights, dtype=np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        z = np.exp(parameters[0]) * x + parameters[1]
        prior = (parameters[0] / scale_spread) ** 2 + (parameters[1] / offset_spread) ** 2
        return float(counts @ (np.logaddexp(0.0, z) - y * z) + prior / 2.0)

    scale, offset = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"maxiter": 2000}).x
    return Calibration(round(float(np.exp(scale)), 6), round(float(offset), 6))


def operating_point(probabilities: ArrayLike, truth: ArrayLike, *, specificity: float = 0.95) -> OperatingPoint:
    """The lowest threshold whose specificity on these cases is at least as asked.

    It lies half-way between the highest negative that must stay below it and the next case above, so that it does not
    hang on one case's last digit.

    Raises:
        ValueError: If there are no negative cases.
    """
    probability, positive = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=bool)
    negatives = np.sort(probability[~positive])
    if not negatives.size:
        raise ValueError("an operating point needs negative cases")
    below = negatives[min(negatives.size, int(np.ceil(specificity * negatives.size - 1e-9))) - 1]
    above = probability[probability > below]
    threshold = float(np.clip((below + (above.min() if above.size else 1.0)) / 2.0, 1e-4, 1.0 - 1e-4))
    hit = probability >= threshold
    return OperatingPoint(
        round(threshold, 6),
        round(float(hit[positive].mean()), 4) if positive.any() else 0.0,
        round(float((~hit[~positive]).mean()), 4),
    )
