"""The envelope of one exam's answers; ``io.result_json`` writes it as result.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from irae.core.assessment import Assessment, Hinge
from irae.core.exam import Role
from irae.core.finding import OrganFinding, Quantities
from irae.core.focus import AttributedFocus
from irae.core.notice import Notice
from irae.core.triage import Triage
from irae.core.volume import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganSeen:
    """What was found of one organ: its label in organs.nii.gz, volume, coverage, and why a mask was rejected."""

    label: int
    volume_ml: float
    coverage: Coverage
    rejected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What produced the result: package version, model digests by name, settings digest, input digest."""

    irae: str
    models: Mapping[str, str]
    settings: str
    input: str = ""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExamResult:
    """Everything said about one exam.

    ``foci`` holds every hot or new focus of this exam, then the lesions known from earlier exams that are gone.
    """

    patient: str
    acquired_on: date
    modalities: tuple[str, ...]
    organs: Mapping[str, OrganSeen]
    quantities: Quantities
    findings: tuple[OrganFinding, ...]
    foci: tuple[AttributedFocus, ...]
    assessments: tuple[Assessment, ...]
    hinges_on: tuple[Hinge, ...]
    triage: Triage
    notices: tuple[Notice, ...]
    versions: Versions
    series: Mapping[Role, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """``patient/YYYY-MM-DD``."""
        return f"{self.patient}/{self.acquired_on.isoformat()}"
