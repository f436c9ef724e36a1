"""The rule arm and the learned arm as one probability: by a fitted fusion if there is one, else by design weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from irae.core.anatomy import Irae
from irae.core.finding import ConformalSet, LearnedScore
from irae.core.mapping import FrozenMapping
from irae.core.numbers import reaches
from irae.findings.rules import FusionRules

_CERTAIN = 12.0  # log-odds beyond this are not told apart

# What a fitted fusion takes in: log-odds of the arms (0 where an arm had no answer), and 0 or 1 for each of the rest.
# What is missing is an input of its own; nothing is imputed.
ARMS = ("rule_log_odds", "learned_log_odds")
INDICATORS = (
    "rule_missing", "pet_missing", "baseline_missing", "therapy_unknown", "confounded", "steroid", "partly_seen",
)
INPUTS = ARMS + INDICATORS
# Beside them, what each group of signs adds to the rule arm (``rule.uptake``; 0 where nothing of it was judged): a fit
# may find that one of them is worth more, or less, than the rules say.
GROUP = "rule."


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedIrae:
    """The fitted fusion of one irAE.

    Attributes:
        coefficients: Of every input, and of groups of signs where they were fitted. An arm's is not negative, nor is
            a group's together with the rule arm's, so that more of a sign never lowers the answer.
        intercept: Log-odds where every input is 0.
        scale, offset: Platt scaling of the fused log-odds, from other patients than those fitted on.
        threshold: At or above this probability the irAE is suspected.
        coverage: Of the conformal set.
        suspected_from: Fused log-odds (before scaling) from which "suspected" cannot be ruled out.
        not_suspected_to: Fused log-odds up to which "not suspected" cannot be ruled out.
        never_seen: Indicators that were set in too few cases to be fitted; where one is set, the fit is not used.
        classifier: Digest of the learned arm's package it was fitted with.
    """

    coefficients: Mapping[str, float]
    intercept: float
    scale: float
    offset: float
    threshold: float
    coverage: float
    suspected_from: float
    not_suspected_to: float
    classifier: str
    never_seen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        groups = {name for name in self.coefficients if name.startswith(GROUP)}
        if set(self.coefficients) - groups != set(INPUTS):
            raise ValueError(f"fusion: coefficients must be those of {INPUTS}, got {sorted(self.coefficients)}")
        least = -self.coefficients["rule_log_odds"] - 1e-5  # rounding
        if any(self.coefficients[arm] < 0 for arm in ARMS) or self.scale <= 0:
            raise ValueError("fusion: the arms' coefficients must not be negative, and scale must be positive")
        if any(self.coefficients[name] < least for name in groups):
            raise ValueError("fusion: a group of signs must not speak against what it shows")
        if not 0.0 < self.threshold < 1.0 or not 0.0 < self.coverage < 1.0:
            raise ValueError(f"fusion: threshold {self.threshold} and coverage {self.coverage} must lie in 0..1")
        object.__setattr__(self, "coefficients", FrozenMapping(self.coefficients))

    def log_odds(self, inputs: Mapping[str, float]) -> float:
        """Fused log-odds before scaling."""
        return self.intercept + sum(value * inputs.get(name, 0.0) for name, value in self.coefficients.items())


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FittedFusion:
    """Fitted fusions by irAE, and the digest of the package they come from."""

    iraes: Mapping[Irae, FittedIrae] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "iraes", FrozenMapping(self.iraes))


@dataclass(frozen=True, slots=True)
class Fused:
    """Probability, the threshold that goes with it, and what cannot be ruled out (fitted fusion only)."""

    probability: float
    threshold: float
    conformal: ConformalSet | None = None


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


def fitted_fuse(
    inputs: Mapping[str, float], learned: LearnedScore | None, fitted: FittedIrae | None
) -> tuple[Fused | None, str]:
    """The fitted fusion's answer; None where it does not apply, and then why (empty where there is no fit at all).

    A fit holds for the classifier it was made with, and for situations it has seen.
    """
    if fitted is None or learned is None:
        return None, ""
    if learned.model != fitted.classifier:
        return None, "The fitted fusion belongs to another classifier: design weights are used."
    strange = [name for name in fitted.never_seen if inputs[name]]
    if strange:
        return None, f"The fitted fusion has not seen this situation ({', '.join(strange)}): design weights are used."
    raw = fitted.log_odds(inputs)
    conformal = ConformalSet(
        coverage=fitted.coverage, suspected=reaches(raw, fitted.suspected_from),
        not_suspected=reaches(fitted.not_suspected_to, raw),
    )
    return Fused(sigmoid(fitted.scale * raw + fitted.offset), fitted.threshold, conformal), ""
