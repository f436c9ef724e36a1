"""What the archive's parts hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from irae.core.exam import Exam, Role
from irae.core.notice import Notice
from irae.io.archive.codes import REASONS, Outcome


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the archive.

    Attributes:
        name: Inside the archive, also inside a zip.
        where: Where its bytes lie; for a zip's member, where they will once ``zips.present`` was asked.
        size: In bytes.
        modified_ns, changed_ns: When its content and its entry changed last (of a member: when its zip did); 0 unknown.
        container, number: The zip it is a member of, and which.
    """

    name: str
    where: str
    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    container: FoundFile | None = None
    number: int = 0

    @property
    def path(self) -> Path:
        """``where`` as a path; made when asked for, because an index makes many files."""
        return Path(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """What became of one file."""

    path: str
    series_uid: str
    outcome: Outcome
    code: str
    text: str

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise ValueError(f"reason code {self.code!r} is not in the table")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SeriesPlan:
    """One series (or one NIfTI file): what it is, what it was planned for and why.

    Attributes:
        key: Unique in the index: the series UID, with ``#n`` where one UID held several stacks.
        kind: ``dicom``, ``enhanced`` (multi-frame) or ``nifti``.
        files: In slice order where the geometry was understood.
        role: What it can be used as; None where it cannot.
        outcome, code, text: The decision, as in the reason table.
        decisions: How it came about, in words.
        facts: Numbers the choice was made with, for people.
        headers: What was read of each file; not for others than the archive. Files and headers of an index lie in its
            catalogue and are loaded when looked at.
    """

    key: str
    series_uid: str
    patient: str
    acquired_on: date | None
    modality: str
    description: str = ""
    kind: str = "dicom"
    role: Role | None = None
    outcome: Outcome = Outcome.USED
    code: str = "used"
    text: str = ""
    decisions: tuple[str, ...] = ()
    score: float = 0.0
    suv_factor: float | None = None
    notices: tuple[Notice, ...] = ()
    files: Sequence[FoundFile] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    headers: Sequence[Any] = field(default=(), repr=False)

    def decided(self, outcome: Outcome, code: str, text: str, *decisions: str, **changes: Any) -> Self:
        """The same series with another decision."""
        if code not in REASONS:
            raise ValueError(f"reason code {code!r} is not in the table")
        return replace(
            self, outcome=outcome, code=code, text=text, decisions=(*self.decisions, *decisions), **changes
        )

    @property
    def usable(self) -> bool:
        """Whether it was or may still be used."""
        return self.outcome in (Outcome.USED, Outcome.REPAIRED)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExamPlan:
    """What one patient had on one date: the series chosen for each role, and those not chosen with the reason."""

    patient: str
    acquired_on: date
    chosen: Mapping[Role, SeriesPlan]
    unchosen: tuple[SeriesPlan, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def key(self) -> str:
        """``patient/YYYY-MM-DD``."""
        return f"{self.patient}/{self.acquired_on.isoformat()}"

    @property
    def series(self) -> tuple[SeriesPlan, ...]:
        """All series of the exam, chosen first."""
        return (*self.chosen.values(), *self.unchosen)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ArchiveIndex:
    """All that was found: exams with a usable series, series that belong to none, and one row for every file.

    ``files`` are read from the index's catalogue, by name; ``notices`` are about the index itself.
    """

    source: Path
    exams: tuple[ExamPlan, ...]
    unusable: tuple[ExamPlan, ...]
    homeless: tuple[SeriesPlan, ...]
    files: Sequence[FileOutcome]
    notices: tuple[Notice, ...] = ()

    @property
    def series(self) -> tuple[SeriesPlan, ...]:
        """Every series found."""
        exams = (*self.exams, *self.unusable)
        return (*(series for exam in exams for series in exam.series), *self.homeless)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ReadExam:
    """An exam with its volumes, and what changed against the plan while its pixels were read.

    ``chosen`` holds the series that were read, ``series`` all of the exam as they ended, ``outcomes`` the rows of files
    whose outcome is no longer the index's.
    """

    exam: Exam
    chosen: Mapping[Role, SeriesPlan]
    series: tuple[SeriesPlan, ...]
    outcomes: tuple[FileOutcome, ...]
