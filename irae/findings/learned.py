"""What the learned arm adds to an answer beside its probability: a severity of its own."""

from __future__ import annotations

from irae.core.finding import Evidence, LearnedScore

NAME = "learned_severity"
SOURCE = "learned arm, trained on drawn severities; the answer's severity where no cited sign could be judged"


def severity_evidence(learned: LearnedScore | None) -> tuple[Evidence, ...]:
    """The learned severity as a line of evidence; none where there is none."""
    if learned is None or learned.severity is None:
        return ()
    return (Evidence(
        name=NAME, value=float(learned.severity), unit="1", reference=">= 1", source=SOURCE, met=learned.severity >= 1
    ),)


def learned_severity(learned: LearnedScore | None) -> int:
    """Severity 1-3 of an irAE that is suspected by the learned arm alone; 1 where it gives none."""
    return 1 if learned is None else max(1, learned.severity or 1)
