"""What is asked of a source and how patiently; and the two ways it can fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum

from irae.io.pacs.address import check_ae_title

# What the archive's door can use: images, organ masks, contours, SUV mapping objects.
MODALITIES = ("CT", "PT", "MR", "SEG", "RTSTRUCT", "RWV")


class SourceError(Exception):
    """A source that cannot be used at all: not reachable, wrong credentials, too much asked."""


class TransientError(Exception):
    """Something that may go well when asked again."""


class Retrieve(Enum):
    """How images come from a DIMSE source: on the same connection (C-GET), or on one it opens to us (C-MOVE)."""

    GET = "get"
    MOVE = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which series are wanted. Empty means all.

    Attributes:
        patients: Patient IDs, exact; no wildcards.
        studied_from, studied_until: Study dates, both included.
        modalities: Modalities of series.
    """

    patients: tuple[str, ...] = ()
    studied_from: date | None = None
    studied_until: date | None = None
    modalities: tuple[str, ...] = MODALITIES

    def __post_init__(self) -> None:
        for patient in self.patients:
            if not patient.strip() or re.search(r"[*?\\\x00-\x1f]", patient) or len(patient) > 64:
                raise ValueError(
                    "a patient ID of the query is empty, longer than 64 characters, or holds * ? \\ or control marks"
                )
        for modality in self.modalities:
            if not re.fullmatch(r"[A-Z0-9_ ]{1,16}", modality):
                raise ValueError(f"modality {modality!r} of the query is not a DICOM code such as CT or PT")
        if self.studied_from and self.studied_until and self.studied_from > self.studied_until:
            raise ValueError(f"the query's dates run backwards: {self.studied_from} to {self.studied_until}")

    @property
    def date_range(self) -> str:
        """The dates as DICOM range matching writes them; empty for any.

        >>> Query(studied_from=date(2026, 3, 14)).date_range
        '20260314-'
        """
        if self.studied_from is None and self.studied_until is None:
            return ""
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.studied_from, self.studied_until))
        return f"{first}-{last}"

    def wants_study(self, patient: str, studied: date | None) -> bool:
        """Whether an answer fits: some servers ignore keys they do not know. What they do not say is taken to fit."""
        if patient and self.patients and patient.strip() not in {wanted.strip() for wanted in self.patients}:
            return False
        if studied is None:
            return True
        return (self.studied_from or date.min) <= studied <= (self.studied_until or date.max)

    def wants_series(self, modality: str) -> bool:
        """Whether a series of this modality is wanted; one that does not say its modality is."""
        return not modality or not self.modalities or modality in self.modalities


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How to speak to a source.

    Attributes:
        aet: Our AE title.
        retrieve: C-GET or C-MOVE.
        bind, port: Where we listen for what a C-MOVE sends.
        timeout_s: Longest silence of the other side.
        attempts: How often a request without any progress is made before it is given up.
        pause_s: Pause before the second attempt; doubled for each after.
        max_studies: More than that is a query too wide.
        plain_http: Credentials may go over plain http to another machine.
        disk_reserve_bytes: What must stay free on disk.
    """

    aet: str = "IRAE"
    retrieve: Retrieve = Retrieve.GET
    bind: str = "127.0.0.1"
    port: int = 11112
    timeout_s: float = 30.0
    attempts: int = 4
    pause_s: float = 0.5
    max_studies: int = 1000
    plain_http: bool = False
    disk_reserve_bytes: int = 1 * 2**30

    def __post_init__(self) -> None:
        check_ae_title(self.aet, "our AE title")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} must be from 0 to 65535")
        for name in ("timeout_s", "attempts", "max_studies"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)} must be more than 0")
        for name in ("pause_s", "disk_reserve_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} must be 0 or more")


def need(module: str) -> SourceError:
    """What is said where an optional library is missing."""
    return SourceError(f"{module} is not installed; network sources need it: pip install 'irae[pacs]'")
