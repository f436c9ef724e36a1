"""Foci, findings and results of known answer for the tests of this room."""

from datetime import date, timedelta

from irae.attribution import attribute
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.finding import Decision, OrganFinding, Quantities
from irae.core.focus import Focus, FocusStatus
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage

START = date(2026, 1, 5)
WEEK_10 = START + timedelta(weeks=10)


def therapy(*more, drug="pembrolizumab"):
    return PatientContext.of([ContextEntry(kind=ContextKind.THERAPY, value=drug, start=START), *more])


def spot(
    id=1,
    organ=None,
    *,
    longest=15.0,
    short=None,
    suv=8.0,
    status=FocusStatus.NEW,
    track="",
    share=0.0,
    centre=(50.0, 0.0, 0.0),
    **features,
):
    base = {"picture": 0.0, "sphericity": 0.95, "elongation": 1.1, "length_mm": longest, "size_from_ct": 0.0}
    return Focus(
        id=id,
        centroid_ras_mm=centre,
        volume_ml=longest**3 * 0.52 / 1000,
        longest_mm=longest,
        short_mm=short or longest,
        suv_max=suv,
        suv_peak=0.8 * suv,
        suv_mean=0.6 * suv,
        tlg=1.0,
        organ=organ,
        organ_fraction=1.0 if organ else 0.0,
        is_node=organ == "lymph_node",
        track=track or f"L{id:02d}",
        status=status,
        features=base | ({"organ_share": share} if share else {}) | features,
    )


def picture(organ, *, share=0.7, length=300.0, **features):
    return spot(
        organ=organ,
        longest=90.0,
        short=60.0,
        suv=5.0,
        share=share,
        **({"picture": 1.0, "sphericity": 0.3, "length_mm": length} | features),
    )


def finding(irae, decision=Decision.SUSPECTED):
    assessed = decision is not Decision.NOT_ASSESSABLE
    return OrganFinding(
        irae=irae,
        organ="x",
        decision=decision,
        probability=0.8 if assessed else None,
        threshold=0.5 if assessed else None,
        severity=2 if decision is Decision.SUSPECTED else 0,
        reasons=("test",),
    )


def decide(*foci, context=None, findings=(), quantities=None, on=WEEK_10, earlier=()):
    return attribute(
        foci,
        findings=findings,
        quantities=quantities or Quantities(),
        context=context or therapy(),
        on=on,
        reference=None,
        earlier=earlier,
    )


def told(attributed, on):
    return ExamResult(
        patient="P",
        acquired_on=on,
        modalities=("CT", "PT"),
        organs={},
        quantities=Quantities(),
        findings=(),
        foci=tuple(attributed),
        assessments=(),
        hinges_on=(),
        notices=(),
        triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()),
        versions=Versions(irae="0", models={}, settings=""),
    )
