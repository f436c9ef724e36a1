"""The patient's own earlier numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from irae.core.anatomy import AnyIrae
from irae.core.exam import Exam
from irae.core.finding import Decision
from irae.core.result import ExamResult
from irae.findings.rules import CommonRules


@dataclass(frozen=True, slots=True)
class BaselineValue:
    """An earlier measurement and the exam it was taken at."""

    value: float
    exam: ExamResult

    def healthy(self, irae: AnyIrae) -> bool:
        """Whether the irAE was not suspected then, so that the number is the patient's normal."""
        return not any(f.irae is irae and f.decision is Decision.SUSPECTED for f in self.exam.findings)


def baseline_value(
    quantity: str, exam: Exam, earlier: Sequence[ExamResult], rules: CommonRules
) -> BaselineValue | None:
    """The number to compare with: the last before the first dose where that is known, else the oldest there is.

    Args:
        quantity: ``<organ>.<measure>``.
        exam: The exam now; its context may say when immunotherapy began.
        earlier: Results of earlier exams, oldest first.
        rules: How long after the first dose a scan still counts as baseline.
    """
    measured = [
        BaselineValue(value, past)
        for past in earlier
        if (value := past.quantities.get(quantity)) is not None
    ]
    if not measured:
        return None
    weeks = exam.context.weeks_since_immunotherapy(exam.acquired_on)
    if weeks is None:
        return measured[0]
    start = exam.acquired_on - timedelta(days=round(7 * weeks))
    before = [m for m in measured if m.exam.acquired_on <= start + timedelta(days=rules.baseline_grace_days)]
    return before[-1] if before else measured[0]
