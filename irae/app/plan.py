"""``irae plan``: what would run on an archive, what would not, and why. Nothing is changed."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irae.app.source import ARCHIVE_HELP, open_archive
from irae.io.pacs import SourceError

if TYPE_CHECKING:
    from irae.io.archive import ArchiveIndex, ExamPlan, SeriesPlan

SCHEMA = "irae.plan/1"


def plan_of(archive: Path | str) -> dict[str, Any]:
    """The plan of an archive as plain values.

    Args:
        archive: Folder, .zip, DICOMDIR or file, or a DICOMweb or DIMSE source.

    Returns:
        ``{"schema", "exams": [...], "not_in_an_exam": [...], "files": {...}}``; exams with no usable series are
        there too, with ``runs`` false.

    Raises:
        ValueError: If the archive does not exist.
        SourceError: If the source cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="irae-plan-") as scratch:
        index = open_archive(archive, scratch=Path(scratch))
    return as_plan(index)


def as_plan(index: ArchiveIndex) -> dict[str, Any]:
    """An index as plain values, for JSON and for people."""
    from irae.io.archive import REASONS

    codes = Counter((row.outcome.value, row.code) for row in index.files)
    return {
        "schema": SCHEMA,
        "exams": [_exam(exam) for exam in (*index.exams, *index.unusable)],
        "not_in_an_exam": [_series(series, None) for series in index.homeless],
        "files": {
            "found": len(index.files),
            **{outcome: sum(n for (o, _), n in codes.items() if o == outcome)
               for outcome in ("used", "repaired", "ignored", "quarantined")},
            "codes": [
                {"outcome": outcome, "code": code, "files": n, "meaning": REASONS[code].clinician,
                 "what_to_do": REASONS[code].action}
                for (outcome, code), n in sorted(codes.items())
            ],
        },
    }


def _exam(exam: ExamPlan) -> dict[str, Any]:
    return {
        "exam": exam.key, "patient": exam.patient, "date": exam.acquired_on.isoformat(), "runs": bool(exam.chosen),
        "chosen": [_series(series, role.value) for role, series in exam.chosen.items()],
        "not_chosen": [_series(series, None) for series in exam.unchosen],
        "notices": [{"code": notice.code, "text": notice.text} for notice in exam.notices],
    }


def _series(series: SeriesPlan, role: str | None) -> dict[str, Any]:
    return {
        "role": role, "series_uid": series.series_uid, "modality": series.modality,
        "description": series.description, "files": len(series.files), "outcome": series.outcome.value,
        "code": series.code, "text": series.text, "shape": list(series.facts.get("shape", ())),
        "spacing_mm": list(series.facts.get("spacing_mm", ())), "suv_factor": series.suv_factor,
        "decisions": list(series.decisions),
    }


def as_text(planned: dict[str, Any]) -> str:
    """The plan for people: one block an exam, the reasons beside each series."""
    lines: list[str] = []
    for exam in planned["exams"]:
        lines.append(f"{exam['exam']}   {'runs' if exam['runs'] else 'does not run: nothing usable'}")
        for series in exam["chosen"]:
            size = " x ".join(map(str, series["shape"]))
            spacing = " x ".join(f"{mm:.3g}" for mm in series["spacing_mm"])
            lines.append(f"  + {series['role']:<8}{_name(series)}: {size} voxels of {spacing} mm")
            if series["code"] != "used":
                lines.append(f"      {series['outcome']} ({series['code']}): {series['text']}")
            lines.extend(f"      {decision}" for decision in series["decisions"])
        for series in exam["not_chosen"]:
            lines.append(f"  - {_name(series)}: {series['outcome']} ({series['code']}), {series['text']}")
        lines.extend(f"  ! {notice['text']}" for notice in exam["notices"])
        lines.append("")
    if planned["not_in_an_exam"]:
        lines.append("Not part of an exam")
        for series in planned["not_in_an_exam"]:
            lines.append(f"  - {_name(series)}: {series['outcome']} ({series['code']}), {series['text']}")
        lines.append("")
    files = planned["files"]
    runs = sum(exam["runs"] for exam in planned["exams"])
    lines.append(f"{runs} of {len(planned['exams'])} exams run.")
    lines.append(
        f"{files['found']} files found = {files['used']} used + {files['repaired']} repaired + "
        f"{files['ignored']} ignored + {files['quarantined']} quarantined"
    )
    for row in files["codes"]:
        action = "" if row["what_to_do"] == "Nothing." else f" {row['what_to_do']}"
        lines.append(f"  {row['files']:>6}  {row['outcome']:<12}{row['code']:<31}{row['meaning']}{action}")
    return "\n".join(lines)


def _name(series: dict[str, Any]) -> str:
    described = series["description"] or series["series_uid"]
    return f"{series['modality'] or '?'} \"{described}\" ({series['files']} files)"


def plan(
    archive: Annotated[str, typer.Argument(metavar="DIR", help=ARCHIVE_HELP, show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Dry run: per study what would run, what would not, and why; changes nothing."""
    try:
        planned = plan_of(archive)
    except ValueError as error:
        typer.echo(f"irae plan: {error}", err=True)
        raise typer.Exit(2) from error
    except SourceError as error:
        typer.echo(f"irae plan: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(planned, indent=2) if as_json else as_text(planned))
