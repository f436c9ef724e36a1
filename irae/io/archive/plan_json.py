"""Plans as JSON and back, for the catalogue; files and headers are not in it, they are loaded when looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from irae.core.exam import Role
from irae.core.notice import Notice
from irae.io.archive.codes import Outcome
from irae.io.archive.values import ExamPlan, SeriesPlan

_PLAIN = ("key", "series_uid", "patient", "modality", "description", "kind", "code", "text", "score", "suv_factor")


def plan_as_json(plan: SeriesPlan) -> dict[str, Any]:
    """A series plan as plain values."""
    facts = dict(plan.facts)
    if "before" in facts:
        outcome, code, text = facts["before"]
        facts["before"] = [outcome.value, code, text]
    return {
        **{word: getattr(plan, word) for word in _PLAIN},
        "acquired_on": plan.acquired_on.isoformat() if plan.acquired_on else None,
        "role": plan.role.value if plan.role else None, "outcome": plan.outcome.value,
        "decisions": plan.decisions, "notices": [[notice.code, notice.text] for notice in plan.notices],
        "facts": facts, "files": len(plan.files), "headers": len(plan.headers),
    }


def plan_from_json(content: Mapping[str, Any], **stored: Any) -> SeriesPlan:
    """A series plan from plain values; ``stored`` gives its files and headers."""
    facts = {word: tuple(value) if isinstance(value, list) else value for word, value in content["facts"].items()}
    if "before" in facts:
        outcome, code, text = facts["before"]
        facts["before"] = (Outcome(outcome), code, text)
    return SeriesPlan(
        **{word: content[word] for word in _PLAIN},
        acquired_on=date.fromisoformat(content["acquired_on"]) if content["acquired_on"] else None,
        role=Role(content["role"]) if content["role"] else None, outcome=Outcome(content["outcome"]),
        decisions=tuple(content["decisions"]), notices=_notices(content["notices"]), facts=facts, **stored,
    )


def exam_as_json(exam: ExamPlan) -> dict[str, Any]:
    """An exam as the keys of its series."""
    return {
        "patient": exam.patient, "acquired_on": exam.acquired_on.isoformat(),
        "chosen": {role.value: plan.key for role, plan in exam.chosen.items()},
        "unchosen": [plan.key for plan in exam.unchosen],
        "notices": [[notice.code, notice.text] for notice in exam.notices],
    }


def exam_from_json(content: Mapping[str, Any], plans: Mapping[str, SeriesPlan]) -> ExamPlan:
    """An exam from the keys of its series."""
    return ExamPlan(
        patient=content["patient"], acquired_on=date.fromisoformat(content["acquired_on"]),
        chosen={Role(role): plans[key] for role, key in content["chosen"].items()},
        unchosen=tuple(plans[key] for key in content["unchosen"]), notices=_notices(content["notices"]),
    )


def _notices(content: Any) -> tuple[Notice, ...]:
    return tuple(Notice(code, text) for code, text in content)
