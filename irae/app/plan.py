"""``irae plan``: what would run on an archive, what would not, and why. Nothing is changed."""

from __future__ import annotations

import json
import shutil
import tempfile
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irae.app.source import ARCHIVE_HELP, QUERY_HELP, open_archive, settings_of_query
from irae.io.pacs import SourceError, is_remote

if TYPE_CHECKING:
    from irae.app.config import PacsSettings
    from irae.io.archive import ArchiveIndex, ExamPlan, SeriesPlan

SCHEMA = "irae.plan/1"
_OUTCOMES = ("used", "repaired", "ignored", "quarantined")
_NOTHING_TO_DO = "Nothing."


def plan_of(
    archive: Path | str, *, kept: Path | None = None, settings: PacsSettings | None = None
) -> dict[str, Any]:
    """The plan of an archive as plain values.

    Args:
        archive: Folder, .zip, DICOMDIR or file, or a DICOMweb or DIMSE source.
        kept: A file outside the archive that remembers the index for the next plan; nothing is written without it.
        settings: What is asked of a source; None: everything, as ``PacsSettings`` says.

    Returns:
        ``{"schema", "exams": [...], "not_in_an_exam": [...], "files": {...}}``; exams with no usable series are
        there too, with ``runs`` false.

    Raises:
        ValueError: If the archive does not exist.
        SourceError: If the source cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="irae-plan-") as scratch:
        return as_plan(open_archive(archive, scratch=Path(scratch), kept=kept, settings=settings))


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
               for outcome in _OUTCOMES},
            "codes": [
                {"outcome": outcome, "code": code, "files": n, "meaning": REASONS[code].clinician,
                 "for_an_engineer": REASONS[code].engineer, "what_to_do": REASONS[code].action}
                for (outcome, code), n in sorted(codes.items(), key=lambda item: (_OUTCOMES.index(item[0][0]), item[0]))
            ],
        },
        "notices": [{"code": notice.code, "text": notice.text} for notice in index.notices],
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


def as_text(planned: dict[str, Any], *, width: int = 100) -> str:
    """The plan for people: one block an exam, the reasons below each series, what was not used, then the sums.

    Args:
        planned: From ``as_plan``.
        width: Columns of the terminal.
    """
    lines: list[str] = []

    def say(text: str, *, indent: int = 0, hang: int = 0) -> None:
        lines.extend(textwrap.wrap(
            text, max(width, 60), initial_indent=" " * indent, subsequent_indent=" " * (indent + hang),
            break_long_words=False, break_on_hyphens=False,
        ))

    for exam in planned["exams"]:
        say(f"{exam['exam']}   {_verdict(exam)}")
        for series in exam["chosen"]:
            size = " x ".join(map(str, series["shape"]))
            spacing = " x ".join(f"{mm:.3g}" for mm in series["spacing_mm"])
            say(f"  + {series['role']:<8}{_name(series)}: {size} voxels of {spacing} mm", hang=12)
            for sentence in _why(series):
                say(sentence, indent=12, hang=2)
        for line in _alike(exam["not_chosen"]):
            say(f"  - {line}", hang=12)
        for text in dict.fromkeys(notice["text"] for notice in exam["notices"]):
            say(f"  ! {text}", hang=4)
        lines.append("")
    if planned["not_in_an_exam"]:
        say("Not part of an exam")
        for line in _alike(planned["not_in_an_exam"]):
            say(f"  - {line}", hang=12)
        lines.append("")
    files = planned["files"]
    runs = sum(exam["runs"] for exam in planned["exams"])
    say(f"{runs} of {len(planned['exams'])} exams run.")
    say(f"{files['found']} files found = {files['used']} used + {files['repaired']} repaired + "
        f"{files['ignored']} ignored + {files['quarantined']} quarantined")
    widest = max((len(row["code"]) for row in files["codes"]), default=0)
    for row in files["codes"]:
        action = "" if row["what_to_do"] == _NOTHING_TO_DO else f" -> {row['what_to_do']}"
        start = f"{row['files']:>7}  {row['outcome']:<13}{row['code']:<{widest + 2}}"
        say(f"{start}{row['meaning']}{action}", hang=min(len(start), 24))
    for notice in planned["notices"]:
        say(f"! {notice['text']}", hang=2)
    return "\n".join(lines)


def _verdict(exam: dict[str, Any]) -> str:
    if exam["runs"]:
        return f"runs on {', '.join(series['role'] for series in exam['chosen'])}"
    return "does not run: nothing usable"


def _why(series: dict[str, Any]) -> list[str]:
    """How a chosen series was decided, each sentence once: a repair is usually one of the decisions too."""
    sentences = list(dict.fromkeys(series["decisions"]))
    if series["code"] == "used":
        return sentences
    known = [sentence for sentence in sentences if sentence in series["text"]]
    text = known[0] if known else series["text"]
    return [f"{series['outcome']} ({series['code']}): {text}", *(s for s in sentences if s != text)]


def _alike(several: list[dict[str, Any]]) -> list[str]:
    """One line for each series that is not used; series that differ in nothing but their number share one."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for series in several:
        key = (series["modality"], series["description"], series["outcome"], series["code"], series["text"])
        groups.setdefault(key, []).append(series)
    lines = []
    for group in groups.values():
        first = group[0]
        together = {**first, "files": sum(series["files"] for series in group)}
        lines.append(f"{_name(together, len(group))}: {first['outcome']} ({first['code']}), {first['text']}")
    return lines


def _name(series: dict[str, Any], several: int = 1) -> str:
    described = f'"{series["description"]}"' if series["description"] else "without description"
    count = f"{series['files']} file{'s' if series['files'] != 1 else ''}"
    many = f"{several} series, " if several > 1 else ""
    return f"{series['modality'] or 'NIfTI'} {described} ({many}{count})"


def plan(
    archive: Annotated[str, typer.Argument(metavar="DIR", help=ARCHIVE_HELP, show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    index: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Remember what was read, so that the next plan opens only what is new.", show_default=False
    )] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=QUERY_HELP, show_default=False)] = None,
) -> None:
    """Dry run: per study what would run, what would not, and why; changes nothing."""
    try:
        _check_index(archive, index)
        planned = plan_of(archive, kept=index, settings=settings_of_query(query or []))
    except ValueError as error:
        typer.echo(f"irae plan: {error}", err=True)
        raise typer.Exit(2) from error
    except SourceError as error:
        typer.echo(f"irae plan: {error}", err=True)
        raise typer.Exit(1) from error
    width = shutil.get_terminal_size((100, 24)).columns
    typer.echo(json.dumps(planned, indent=2) if as_json else as_text(planned, width=min(width, 160)))


def _check_index(archive: str, index: Path | None) -> None:
    """Refuses a place for the index that is the archive's, or a file that is something else."""
    if index is None:
        return
    if not is_remote(archive):
        source, target = Path(archive).resolve(), index.resolve()
        if target == source or source in target.parents:
            raise ValueError(f"--index {index} lies in the archive {archive}; nothing is written there")
    if index.exists():
        if not index.is_file():
            raise ValueError(f"--index {index} is not a file")
        with open(index, "rb") as stream:
            if stream.read(16) not in (b"", b"SQLite format 3\0"):
                raise ValueError(f"--index {index} is a file of another kind; it is not overwritten")
