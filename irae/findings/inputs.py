"""What a fitted fusion is told about one irAE at one exam. Missing is an input of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from irae.core.anatomy import AnyIrae, organs_of
from irae.core.context import ContextKind
from irae.core.exam import Exam
from irae.core.finding import LearnedScore
from irae.core.result import ExamResult
from irae.core.volume import Coverage, LabelMap
from irae.findings.confounders import Confounded, held
from irae.findings.fusion import GROUP, logit

CONFOUNDERS = ("infection", "radiotherapy")


def fusion_inputs(
    irae: AnyIrae, exam: Exam, labels: LabelMap | None, *, rule: float | None, groups: Mapping[str, float],
    learned: LearnedScore | None, context: Confounded, earlier: Sequence[ExamResult],
) -> Mapping[str, float]:
    """The inputs of ``fusion.FittedIrae``, by name.

    Args:
        irae: Which.
        exam: The exam, with its context.
        labels: The organs it is judged on.
        rule: Probability of the rule arm; None where it had nothing to judge.
        groups: Log-odds of each of its groups of signs.
        learned: The learned arm's score; None where there is none.
        context: What the context does to this irAE.
        earlier: Results of earlier exams.
    """
    day = exam.acquired_on
    confounded = bool(context.gates) or any(name in CONFOUNDERS for name, _ in context.log_odds)
    partly = labels is not None and any(
        labels.coverage.get(organ) is Coverage.PARTIAL for organ in organs_of(irae)
    )
    return {
        "rule_log_odds": 0.0 if rule is None else logit(rule),
        "learned_log_odds": 0.0 if learned is None else logit(learned.probability),
        "rule_missing": float(rule is None),
        "pet_missing": float(exam.pet is None),
        "baseline_missing": float(not earlier),
        "therapy_unknown": float(exam.context.immunotherapy_start() is None),
        "confounded": float(confounded),
        "steroid": float(bool(held(exam.context, ContextKind.STEROID, day, 0))),
        "partly_seen": float(partly),
        **{GROUP + name: value for name, value in groups.items()},
    }
