"""The page of one patient: how scans, irAEs, lesions and responses follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from irae.core.anatomy import FurtherIrae, Irae
from irae.core.assessment import Assessment, View
from irae.core.context import PatientContext
from irae.core.course import Course
from irae.core.finding import Decision, OrganFinding
from irae.core.focus import AttributedFocus, Nature
from irae.report import words
from irae.report.pages import write_page
from irae.report.timeline import course_timeline


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One lesion over the exams; None where it was not listed."""

    name: str
    site: str
    seen: tuple[AttributedFocus | None, ...]


def write_course_page(path: Path, course: Course, *, context: PatientContext | None = None) -> None:
    """Writes one patient's course as a self-contained page.

    Args:
        path: Where, e.g. ``out/P01/course.html``; it links to ``<date>/report.html`` beside it.
        course: All exams of the patient.
        context: Therapy, steroids and the like, for the timeline; None where unknown.

    Raises:
        ValueError: If the course has no exam.
    """
    if not course.exams:
        raise ValueError(f"course of {course.patient}: needs at least one exam")
    write_page(path, "course.html.j2", {
        "course": course, "timeline": course_timeline(course, context),
        "no_context": context is None or not context.entries, "responses": response_grid(course),
        "tracks": track_rows(course), "standings": standings(course),
        "iraes": [i for i in (*Irae, *FurtherIrae) if isinstance(i, Irae) or i in {s.finding.irae for s in
                  standings(course)}],
    })


@dataclass(frozen=True, slots=True)
class Standing:
    """The last answer that could be given for one irAE, and why the newest exam could not give one."""

    finding: OrganFinding
    on: date
    later_gap: str


def standings(course: Course) -> list[Standing]:
    """Per irAE the newest assessable answer: a later exam that does not show the organ does not end a suspicion.

    The five always; a further irAE where an exam suspected it.
    """
    rows: list[Standing] = []
    judged = {f.irae for e in course.exams for f in e.findings if f.decision is Decision.SUSPECTED}
    for irae in (*Irae, *(further for further in FurtherIrae if further in judged)):
        answers = [(e.acquired_on, f) for e in course.exams for f in e.findings if f.irae is irae]
        if not answers:
            continue
        last_day, last = answers[-1]
        day, finding = next(
            ((d, f) for d, f in reversed(answers) if f.decision is not Decision.NOT_ASSESSABLE), (last_day, last)
        )
        gap = f"not assessable on {last_day}: {last.reasons[0]}" if day != last_day else ""
        rows.append(Standing(finding, day, gap))
    return rows


def response_grid(course: Course) -> list[tuple[str, list[tuple[View, list[Assessment | None]]], list[bool]]]:
    """Criterion, for each view the assessment at every exam, and at which exams the views differ."""
    grid = []
    for criterion in dict.fromkeys(a.criterion for e in course.exams for a in e.assessments):
        rows = [
            (view, [next((a for a in e.assessments if a.criterion == criterion and a.view is view), None)
                    for e in course.exams])
            for view in View
        ]
        differs = [
            a is not None and b is not None and a.category != b.category
            for a, b in zip(rows[0][1], rows[1][1], strict=True)
        ]
        grid.append((criterion, rows, differs))
    return grid


def track_rows(course: Course) -> list[TrackRow]:
    """Every track: lesions first, then what was only ever normal uptake, each in the order of their appearance.

    Foci without a track are on the exam pages only.
    """
    tracks = dict.fromkeys(f.focus.track for e in course.exams for f in e.foci if f.focus.track)
    rows = []
    for track in tracks:
        seen = tuple(next((f for f in e.foci if f.focus.track == track), None) for e in course.exams)
        last = next(f for f in reversed(seen) if f is not None)
        rows.append(TrackRow(track, words.organ(last.focus.organ), seen))
    return sorted(rows, key=lambda row: all(f is None or f.nature is Nature.PHYSIOLOGIC for f in row.seen))
