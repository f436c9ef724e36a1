"""What worklist.json says, one value an exam, and the order in which exams are offered for reading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

NO_CATEGORY = 4  # sorts after the three ACR categories


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One suspected irAE of an exam: probability, the operating point it was held against, severity, episode state."""

    irae: str
    probability: float
    threshold: float
    severity: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One exam of the worklist.

    Attributes:
        exam: ``patient/date``.
        analysed: False where the exam was quarantined: it needs a reader all the more.
        acr_category: 1, 2, 3, or None where nothing is actionable.
        qc: ok, limited or rejected.
        notices, limits: Codes of all notices of the exam, and of those that name a gap.
        responses: Criterion to category by view (``attributed``, ``as_seen``).
        report, course: Paths inside the output folder; None where there is no page.
    """

    exam: str
    patient: str
    day: date | None
    analysed: bool
    modalities: tuple[str, ...]
    priority: str
    acr_category: int | None
    reasons: tuple[str, ...]
    suspected: tuple[Suspicion, ...]
    not_assessable: tuple[str, ...]
    new_metastasis: bool
    responses: Mapping[str, Mapping[str, str]]
    qc: str
    notices: tuple[str, ...]
    limits: tuple[str, ...]
    report: str | None
    course: str | None
    version: str
    models: Mapping[str, str]

    @property
    def first_exam(self) -> bool:
        """Whether nothing is known to be new, for want of an earlier exam."""
        return "no_baseline" in self.notices

    @property
    def probability(self) -> float:
        """The largest probability of a suspected irAE; 0 where none is."""
        return max((s.probability for s in self.suspected), default=0.0)

    def age_days(self, today: date) -> int | None:
        """Days since the scan; None where its date is not known."""
        return None if self.day is None else (today - self.day).days


def row_of(entry: Mapping[str, Any]) -> Row:
    """A row of worklist.json as a value.

    Raises:
        ValueError: If the exam has no name, or a field has no meaning.
    """
    try:
        exam = str(entry["exam"])
        versions = entry.get("versions") or {}
        category = entry.get("acr_category")
        return Row(
            exam=exam, patient=str(entry["patient"]), day=_day(entry.get("date")),
            analysed=entry.get("state", "done") == "done", modalities=tuple(entry.get("modalities", ())),
            priority=str(entry["priority"]), acr_category=None if category is None else int(category),
            reasons=tuple(entry.get("reasons", ())),
            suspected=tuple(
                Suspicion(irae=s["irae"], probability=float(s["probability"]), threshold=float(s["threshold"]),
                          severity=int(s["severity"]), state=s["state"])
                for s in entry.get("suspected", ())
            ),
            not_assessable=tuple(entry.get("not_assessable", ())),
            new_metastasis=bool(entry.get("new_metastasis", False)), responses=entry.get("responses") or {},
            qc=str(entry.get("qc", "ok")), notices=tuple(entry.get("notices", ())),
            limits=tuple(entry.get("limits", entry.get("notices", ()))), report=entry.get("report"),
            course=entry.get("course"), version=str(versions.get("irae", "")), models=versions.get("models") or {},
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"worklist row {entry.get('exam', '?')}: {error!r}") from error


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None  # a quarantined exam may have no date that can be read


def read_rows(out: Path) -> list[Row]:
    """All exams of an output folder; none while infer.py has not written worklist.json.

    Raises:
        ValueError: If worklist.json is not what infer.py writes.
    """
    path = out / "worklist.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    entries = content.get("exams") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ValueError(f"{path.name}: needs a list of exams, got {type(entries).__name__}")
    return [row_of(entry) for entry in entries]


def in_reading_order(rows: Iterable[Row]) -> list[Row]:
    """ACR category, then probability, then the longest wait.

    A flag moves an exam forward and nothing moves one back: exams without an actionable finding keep the order of
    their waiting time whatever their probabilities, and those that could not be analysed go before them.
    """
    def place(row: Row) -> tuple[int, bool, float, date, str]:
        waiting = row.day or date.min
        if row.acr_category is not None:
            return row.acr_category, False, -row.probability, waiting, row.exam
        return NO_CATEGORY, row.analysed, 0.0, waiting, row.exam

    return sorted(rows, key=place)
