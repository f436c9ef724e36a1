"""Small exams, label maps and earlier results for the rules."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from irae.core.anatomy import BY_NAME, IRAE_ORGANS, Irae
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.exam import Exam, Role
from irae.core.finding import Decision, EpisodeState, Measured, OrganFinding, Quantities
from irae.core.geometry import Geometry
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Coverage, LabelMap, Quantity, Volume

DAY = date(2026, 6, 1)
GRID = Geometry.axis_aligned((4, 4, 4), (10.0, 10.0, 10.0))


def exam(*roles: Role, context: PatientContext | None = None, on: date = DAY) -> Exam:
    quantity = {Role.CT: Quantity.HU, Role.PET: Quantity.SUV_BW, Role.MR: Quantity.MR_SIGNAL}
    volumes = {
        role: Volume(array=np.zeros(GRID.shape, np.float32), geometry=GRID, quantity=quantity[role]) for role in roles
    }
    return Exam(patient="P", acquired_on=on, volumes=volumes, context=context or PatientContext())


def organs(*names: str, coverage: Coverage = Coverage.WHOLE, rejected: dict[str, str] | None = None) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    for n, name in enumerate(names):
        array.reshape(-1)[n] = BY_NAME[name].label
    return LabelMap(
        array=array, geometry=GRID, labels={n: BY_NAME[n].label for n in names},
        coverage={**dict.fromkeys(names, coverage), **dict.fromkeys(rejected or {}, Coverage.NONE)},
        rejected=rejected or {},
    )


ALL_CT = organs("colon", "lung_left", "lung_right", "liver", "spleen", "thyroid_gland", "aorta")
PITUITARY = organs("pituitary")


def numbers(**values: float | None) -> Quantities:
    """``colon__suv95=3.0`` is ``colon.suv95``."""
    return Quantities({k.replace("__", "."): Measured(value=v, unit="1") for k, v in values.items()})


def finding(irae: Irae, *, severity: int = 0, state: EpisodeState = EpisodeState.NONE, assessable: bool = True,
            probability: float | None = None, evidence=()) -> OrganFinding:
    decision = Decision.SUSPECTED if severity else Decision.NOT_SUSPECTED
    if not assessable:
        decision = Decision.NOT_ASSESSABLE
    if probability is None:
        probability = 0.9 if severity else 0.1
    return OrganFinding(
        irae=irae, organ=IRAE_ORGANS[irae][0], decision=decision, probability=probability if assessable else None,
        threshold=0.5 if assessable else None, severity=severity, state=state, evidence=tuple(evidence), reasons=("x",),
    )


def result(quantities: Quantities | None = None, *, findings=(), days_before: int = 84) -> ExamResult:
    return ExamResult(
        patient="P", acquired_on=DAY - timedelta(days=days_before), modalities=("CT",), organs={},
        quantities=quantities or Quantities(), findings=tuple(findings), foci=(), assessments=(), hinges_on=(),
        triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()), notices=(),
        versions=Versions(irae="0", models={}, settings=""),
    )


def context(*rows: tuple[ContextKind, str, int | None, int | None]) -> PatientContext:
    """Rows of kind, value, start and end in days before DAY (None: undated or open)."""
    return PatientContext.of(
        ContextEntry(
            kind=kind, value=value, start=None if start is None else DAY - timedelta(days=start),
            end=None if end is None else DAY - timedelta(days=end),
        )
        for kind, value, start, end in rows
    )
