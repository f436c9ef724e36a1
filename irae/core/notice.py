"""Expected gaps: what a reader must know, said instead of guessed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the reader must know about a result: a stable code and one sentence for a clinician."""

    code: str
    text: str
