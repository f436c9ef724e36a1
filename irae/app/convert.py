"""``irae convert``: every usable series as NIfTI, and one row for every file and series found."""

from __future__ import annotations

import fcntl
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irae.app.source import ARCHIVE_HELP, QUERY_HELP, open_archive, settings_of_query
from irae.io.pacs import SourceError, is_remote

if TYPE_CHECKING:
    from irae.app.config import PacsSettings
    from irae.io.archive import FileOutcome, SeriesPlan

SCHEMA = "irae.convert/1"
INDEX = "index.sqlite"  # what was read of each file, for the next conversion into the same folder


def convert_archive(archive: Path | str, out: Path, settings: PacsSettings | None = None) -> dict[str, Any]:
    """Writes ``<patient>/<date>/{ct,pet_suv,mr_t1c}.nii.gz`` (HU, SUVbw, RAS+) and ``convert.json`` under ``out``.

    Args:
        archive: Folder, .zip, DICOMDIR or file, or a DICOMweb or DIMSE source.
        out: Output folder; made if missing, must not lie in the archive nor be in use by another conversion.
        settings: What is asked of a source; None: everything, as ``PacsSettings`` says.

    Returns:
        What ``convert.json`` holds.

    Raises:
        ValueError: If the archive does not exist, or the output folder cannot be used.
        SourceError: If the source cannot be used.
        OSError: If writing fails (disk full); no half-written file is left.
    """
    from irae.io.archive import ExamUnusableError, read_exam
    from irae.io.atomic import write_text
    from irae.io.nifti import write_volume

    _check_output(archive, out)
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out), tempfile.TemporaryDirectory(prefix="irae-convert-") as scratch:
        index = open_archive(archive, scratch=Path(scratch), kept=out / INDEX, settings=settings)
        files: dict[str, FileOutcome] = {row.path: row for row in index.files}
        series: list[dict[str, Any]] = []
        for plan in index.exams:
            outputs: dict[str, str] = {}
            try:
                read = read_exam(plan)
            except ExamUnusableError as error:
                ended, changed = error.series, error.outcomes
            else:
                ended, changed = read.series, read.outcomes
                for role, volume in read.exam.volumes.items():
                    name = f"{plan.key}/{role.value}.nii.gz"
                    write_volume(out / name, volume)
                    outputs[read.chosen[role].key] = name
            files.update({row.path: row for row in changed})
            series.extend(_series(one, outputs.get(one.key)) for one in ended)
        for plan in index.unusable:
            series.extend(_series(one, None) for one in plan.series)
        series.extend(_series(one, None) for one in index.homeless)
        result = {
            "schema": SCHEMA,
            "files": [
                {"path": row.path, "series_uid": row.series_uid, "outcome": row.outcome.value, "code": row.code,
                 "text": row.text}
                for row in files.values()
            ],
            "series": series,
        }
        write_text(out / "convert.json", json.dumps(result, indent=1) + "\n")
    if len(result["files"]) != len(index.files):
        raise AssertionError(f"accounting broken: {len(index.files)} files found, {len(result['files'])} rows")
    return result


def _series(series: SeriesPlan, output: str | None) -> dict[str, Any]:
    return {
        "patient": series.patient, "date": series.acquired_on.isoformat() if series.acquired_on else None,
        "series_uid": series.series_uid, "modality": series.modality, "outcome": series.outcome.value,
        "code": series.code, "text": series.text or f"written as {output}", "output": output,
        "suv_factor": series.suv_factor, "decisions": list(series.decisions),
    }


def _check_output(archive: Path | str, out: Path) -> None:
    source, target = Path(archive).resolve(), out.resolve()
    if not is_remote(str(archive)) and (target == source or source in target.parents):
        raise ValueError(f"output {out} lies in the archive {archive}; choose a folder outside it")
    if out.exists() and not out.is_dir():
        raise ValueError(f"output {out} is not a folder")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Refuses a second conversion into the same folder while one runs."""
    with open(out / ".convert.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"another conversion is writing to {out}") from error
        try:
            yield
        finally:
            (out / ".convert.lock").unlink(missing_ok=True)


def convert(
    archive: Annotated[str, typer.Argument(metavar="DIR", help=ARCHIVE_HELP, show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.", show_default=False)],
    query: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=QUERY_HELP, show_default=False)] = None,
) -> None:
    """Every usable series as NIfTI (HU, SUVbw, RAS+) and convert.json; exits 3 where something was quarantined."""
    try:
        result = convert_archive(archive, out, settings_of_query(query or []))
    except ValueError as error:
        typer.echo(f"irae convert: {error}", err=True)
        raise typer.Exit(2) from error
    except SourceError as error:
        typer.echo(f"irae convert: {error}", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        typer.echo(f"irae convert: {error.strerror or error}: {error.filename or out}", err=True)
        raise typer.Exit(1) from error
    written = [row["output"] for row in result["series"] if row["output"]]
    quarantined = sum(row["outcome"] == "quarantined" for row in result["files"])
    for name in written:
        typer.echo(str(out / name))
    typer.echo(f"{len(written)} volumes written; {len(result['files'])} files found, {quarantined} quarantined")
    if quarantined:
        raise typer.Exit(3)
