"""What is known about a patient besides the images: therapy and confounders. Unknown is never guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import Enum


class ContextKind(Enum):
    """The kinds of row in context.csv."""

    SEX = "sex"
    BIRTH_YEAR = "birth_year"
    HEIGHT_CM = "height_cm"
    TUMOUR = "tumour"
    THERAPY = "therapy"
    STEROID = "steroid"
    METFORMIN = "metformin"
    GCSF = "gcsf"
    RADIOTHERAPY = "radiotherapy"
    VACCINATION = "vaccination"
    INFECTION = "infection"
    SURGERY = "surgery"
    CLINICAL_STATUS = "clinical_status"


class TherapyClass(Enum):
    """Immune checkpoint inhibitor classes, as incidence and onset tables use them."""

    CTLA4 = "anti-CTLA-4"
    PD1 = "anti-PD-1/PD-L1"
    LAG3 = "anti-LAG-3"
    OTHER = "other"


# Generic names of checkpoint inhibitors (WHO INN) and their target.
DRUG_CLASS: dict[str, TherapyClass] = {
    **dict.fromkeys(("ipilimumab", "tremelimumab"), TherapyClass.CTLA4),
    **dict.fromkeys(
        ("nivolumab", "pembrolizumab", "cemiplimab", "dostarlimab", "toripalimab", "tislelizumab", "sintilimab",
         "camrelizumab", "retifanlimab", "atezolizumab", "durvalumab", "avelumab"),
        TherapyClass.PD1,
    ),
    "relatlimab": TherapyClass.LAG3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEntry:
    """One row: something true of the patient from ``start`` to ``end`` (None: open or a single event)."""

    kind: ContextKind
    value: str
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class PatientContext:
    """All rows of one patient, in the order of their dates."""

    entries: tuple[ContextEntry, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[ContextEntry]) -> PatientContext:
        """Entries sorted by date, undated first."""
        return cls(tuple(sorted(entries, key=lambda e: (e.start or date.min, e.kind.value, e.value))))

    def active(self, kind: ContextKind, on: date, *, within_days: int = 0) -> tuple[ContextEntry, ...]:
        """Entries of a kind that hold on a date, or ended (or, without an end, began) up to within_days before."""
        held = []
        for entry in self.entries:
            if entry.kind is not kind:
                continue
            if entry.start is None:
                held.append(entry)
            elif entry.start <= on:
                last = entry.end if entry.end is not None else (entry.start if within_days else on)
                if (on - last).days <= within_days:
                    held.append(entry)
        return tuple(held)

    def latest(self, kind: ContextKind, on: date) -> str | None:
        """The value of the newest entry of a kind that began on or before a date; None where unknown."""
        values = [e.value for e in self.entries if e.kind is kind and (e.start is None or e.start <= on)]
        return values[-1] if values else None

    def immunotherapy_start(self) -> date | None:
        """The date of the first checkpoint-inhibitor dose; None where unknown."""
        starts = [
            e.start
            for e in self.entries
            if e.kind is ContextKind.THERAPY and e.start is not None and therapy_classes(e.value)
        ]
        return min(starts, default=None)

    def weeks_since_immunotherapy(self, on: date) -> float | None:
        """Weeks from the first checkpoint-inhibitor dose to a date; None where unknown or not yet begun."""
        first = self.immunotherapy_start()
        return None if first is None or first > on else (on - first).days / 7.0

    def therapy_classes(self, on: date) -> frozenset[TherapyClass]:
        """Classes of all checkpoint inhibitors begun on or before a date."""
        return frozenset(
            c
            for e in self.entries
            if e.kind is ContextKind.THERAPY and (e.start is None or e.start <= on)
            for c in therapy_classes(e.value)
        )


def therapy_classes(drugs: str) -> frozenset[TherapyClass]:
    """Classes of the checkpoint inhibitors named in a text.

    >>> sorted(c.value for c in therapy_classes("Ipilimumab + nivolumab"))
    ['anti-CTLA-4', 'anti-PD-1/PD-L1']
    """
    text = drugs.lower()
    return frozenset(c for name, c in DRUG_CLASS.items() if name in text)
