"""One patient over time: what the exams say together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from irae.core.focus import Nature
from irae.core.notice import Notice
from irae.core.result import ExamResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A named response pattern by one published definition; ``answer`` None where the data cannot say."""

    name: str
    definition: str
    answer: bool | None
    source: str
    reasons: tuple[str, ...]


class DueState(Enum):
    """Where a planned scan stands on the day the course was written."""

    DUE = "due"
    OVERDUE = "overdue"
    DONE = "done"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Something that has to happen between two dates, e.g. a confirmation scan."""

    what: str
    earliest: date
    latest: date
    state: DueState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a lesion was called, and what a later exam shows it was. The earlier result stays as it was written."""

    track: str
    said: Nature
    said_on: date
    shown: Nature
    shown_on: date
    reason: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Course:
    """All exams of one patient, oldest first, the patterns they show, what is due, what later exams revised.

    Where exams under one id may be of two people, those of the person of the newest exam; ``notices`` names the others.
    """

    patient: str
    exams: tuple[ExamResult, ...]
    patterns: tuple[Pattern, ...]
    due: tuple[Due, ...]
    revisions: tuple[Revision, ...] = ()
    notices: tuple[Notice, ...] = ()
