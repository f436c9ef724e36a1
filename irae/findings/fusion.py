"""The rule arm and the learned arm as one probability."""

from __future__ import annotations

import math
from dataclasses import dataclass

from irae.core.finding import LearnedScore
from irae.findings.rules import FusionRules

_CERTAIN = 12.0  # log-odds beyond this are not told apart


@dataclass(frozen=True, slots=True)
class Fused:
    """Probability and the threshold that goes with it."""

    probability: float
    threshold: float


def logit(probability: float) -> float:
    """Log-odds, limited so that 0 and 1 stay finite.

    >>> logit(0.5)
    0.0
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability must be in 0..1, got {probability}")
    if probability in (0.0, 1.0):
        return _CERTAIN if probability else -_CERTAIN
    return max(-_CERTAIN, min(_CERTAIN, math.log(probability / (1.0 - probability))))


def sigmoid(log_odds: float) -> float:
    """Probability of log-odds."""
    limited = max(-_CERTAIN, min(_CERTAIN, log_odds))
    return 1.0 / (1.0 + math.exp(-limited))


def fuse(
    rule: float | None, rule_threshold: float, learned: LearnedScore | None, rules: FusionRules
) -> Fused | None:
    """Weighted mean of the arms' log-odds; of their thresholds likewise; one arm alone stands for itself.

    Args:
        rule: Probability of the rule arm; None where it had nothing to judge.
        rule_threshold: Its threshold.
        learned: The learned arm's score; None where there is none.
        rules: Weights.
    """
    if learned is None:
        return None if rule is None else Fused(rule, rule_threshold)
    if rule is None:
        return Fused(learned.probability, learned.threshold)
    weight = rules.learned_weight if learned.calibrated else rules.uncalibrated_weight
    both = (1.0 - weight) * logit(rule) + weight * logit(learned.probability)
    limit = (1.0 - weight) * logit(rule_threshold) + weight * logit(learned.threshold)
    return Fused(sigmoid(both), sigmoid(limit))
