"""``irae deidentify``: studies for leaving the house, and a list of what became of every file, for staying in it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from irae.io.deidentify import DeidentifiedFile

SCHEMA = "irae.deidentify/1"
NOTES = (
    "Faces are not removed: a head CT or MR can be recognised by its surface.",
    "Numbers are not judged: a date hidden in a series number stays.",
)


def deidentify_folder(
    source: Path, out: Path, *, key_file: Path, new_key: bool = False, context: Path | None = None,
    report: Path | None = None,
) -> dict[str, Any]:
    """Writes ``<pseudonym>/<series>/<instance>.dcm``, ``context.csv`` and ``deidentified.json`` under ``out``.

    Args:
        source: Folder of DICOM files, as deep as you like.
        out: What may leave; nothing in it names anyone.
        key_file: The secret that pseudonyms, date shifts and UIDs are made with; must lie outside ``out``.
        new_key: Make the key first; there must be no such file.
        context: A context table to go with the images.
        report: Where the list of every source file goes (it names them); None: beside the key.

    Returns:
        What ``deidentified.json`` holds: counts by reason, no source name.

    Raises:
        ValueError: If a path cannot be what it is meant for, or the key or the table cannot be used.
        OSError: If writing fails.
    """
    from irae.io.atomic import write_text
    from irae.io.deidentify import Deidentifier, make_key_file
    from irae.io.deidentify_context import deidentified_context

    report = report if report is not None else key_file.with_name(f"{key_file.name}.report.csv")
    _check_paths(source, out, key_file, report)
    if new_key:
        key_file.parent.mkdir(parents=True, exist_ok=True)
        make_key_file(key_file)
    if not key_file.is_file():
        raise ValueError(f"there is no key file {key_file}; --new-key makes one")
    key = Deidentifier.from_file(key_file)
    table = deidentified_context(context, key, this_year=date.today().year) if context is not None else None
    rows = key.folder(source, out)
    result: dict[str, Any] = {
        "schema": SCHEMA, "files_found": len(rows), "files_written": sum(bool(row.written) for row in rows),
        "left_out": dict(sorted(Counter(row.code for row in rows if row.code).items())), "notes": list(NOTES),
    }
    if table is not None:
        write_text(out / "context.csv", table[0])
        result["context_left_out"] = dict(table[1])
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "deidentified.json", json.dumps(result, indent=1) + "\n")
    write_text(report, _as_csv(rows))
    report.chmod(0o600)
    if result["files_written"] + sum(result["left_out"].values()) != len(rows):
        raise AssertionError(f"accounting broken: {len(rows)} files found")
    return result


def _check_paths(source: Path, out: Path, key_file: Path, report: Path) -> None:
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder; unpack a zip first")
    here, there = source.resolve(), out.resolve()
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise ValueError(f"output {out} and {source} must not lie in each other")
    if out.exists() and not out.is_dir():
        raise ValueError(f"output {out} is not a folder")
    for what, path in (("key", key_file), ("report", report)):
        if path.resolve().is_relative_to(there):
            raise ValueError(f"the {what} must stay: {path} lies in what leaves")


def _as_csv(rows: tuple[DeidentifiedFile, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "written", "code", "text"])
    writer.writerows([row.source, row.written, row.code, row.text] for row in rows)
    return text.getvalue()


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of DICOM files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="What may leave.", show_default=False)],
    key_file: Annotated[Path, typer.Option("--key-file", metavar="FILE", help="The secret.", show_default=False)],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key first.")] = False,
    context: Annotated[Path | None, typer.Option("--context", metavar="FILE", help="context.csv to go along.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="List of every source file; else beside the key.")
    ] = None,
) -> None:
    """Pseudonyms, shifted dates, new UIDs and only harmless attributes; exits 3 where files were left out."""
    try:
        result = deidentify_folder(source, out, key_file=key_file, new_key=new_key, context=context, report=report)
    except (ValueError, FileExistsError) as error:
        typer.echo(f"irae deidentify: {error}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"irae deidentify: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    left_out = sum(result["left_out"].values())
    typer.echo(f"{result['files_found']} files found = {result['files_written']} written + {left_out} left out")
    for code, count in result["left_out"].items():
        typer.echo(f"  {count:>6}  {code}")
    for note in result["notes"]:
        typer.echo(note)
    if left_out:
        raise typer.Exit(3)
