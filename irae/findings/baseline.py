"""The patient's own earlier numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from irae.core.exam import Exam
from irae.core.finding import Quantities
from irae.core.result import ExamResult
from irae.findings.rules import CommonRules


@dataclass(frozen=True, slots=True)
class BaselineValue:
    """An earlier measurement, when it was taken, and what else that exam measured."""

    value: float
    on: date
    exam: Quantities


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
        BaselineValue(value, past.acquired_on, past.quantities)
        for past in earlier
        if (value := past.quantities.get(quantity)) is not None
    ]
    if not measured:
        return None
    weeks = exam.context.weeks_since_immunotherapy(exam.acquired_on)
    if weeks is None:
        return measured[0]
    start = exam.acquired_on - timedelta(days=round(7 * weeks))
    before = [m for m in measured if m.on <= start + timedelta(days=rules.baseline_grace_days)]
    return before[-1] if before else measured[0]
