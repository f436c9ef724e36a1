"""How soon a study should be read, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Priority(Enum):
    """The suggested reading priority; the worklist's manager decides (IHE Reporting Worklist Prioritization)."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """A suggested priority with its reasons.

    Attributes:
        priority: stat, urgent or routine.
        score: 0..1 within and across priorities, larger sooner.
        acr_category: ACR actionable finding category: 1 minutes, 2 hours, 3 days; None where nothing is actionable.
        reasons: Sentences, the strongest first.
    """

    priority: Priority
    score: float
    acr_category: int | None
    reasons: tuple[str, ...]
