"""``irae score``: response criteria alone, from case files and measurement tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from irae.io.response_tables import Rejected
    from irae.response import Scored

DONE, SOME_REJECTED, WRONG_CALL, FAILED = 0, 3, 2, 1


def score(
    file: Annotated[Path, typer.Argument(help="Case file (.yaml, .json) or measurement table (.csv).")],
    criterion: Annotated[
        list[str] | None,
        typer.Option("--criterion", "-c", help="Criterion to score by; may be repeated. Default: each case's own, "
                                               "recist_1_1 for a table."),
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write all answers with their reasons here.")] = None,
    sdtm: Annotated[
        Path | None, typer.Option("--sdtm", help="Write CDISC TU, TR and RS (CSV) into this folder.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="NAME=VALUE, by option name or decision number, e.g. DEC-01=strict."),
    ] = None,
) -> None:
    """Scores measured lesions by published response criteria, with a reason for every answer."""
    from rich.console import Console

    try:
        options = parse_options(option or ())
    except ValueError as error:
        typer.echo(f"irae score: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    code = score_file(file, criterion or (), json_out, sdtm, Console(), options=options)
    if code:
        raise typer.Exit(code)


def parse_options(pairs: Sequence[str]) -> dict[str, object]:
    """``NAME=VALUE`` pairs; whole numbers, true and false are read as such.

    Raises:
        ValueError: If there is no ``=``.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise ValueError(f"option {pair!r} needs the form NAME=VALUE")
        word = text.strip()
        if word.lower() in ("true", "false"):
            values[name.strip()] = word.lower() == "true"
        else:
            values[name.strip()] = int(word) if word.isdecimal() else word
    return values


def score_file(
    path: Path,
    criteria: Sequence[str],
    json_out: Path | None,
    sdtm_dir: Path | None,
    console: Console,
    *,
    options: Mapping[str, object] | None = None,
) -> int:
    """Scores a file, prints a table, and writes what is asked for.

    Args:
        path: Case file or measurement table.
        criteria: Names of criteria; empty: each case's own, ``recist_1_1`` where it names none.
        json_out: File for all answers, or None.
        sdtm_dir: Folder for tu.csv, tr.csv and rs.csv, or None.
        console: Where the table goes.
        options: Values that override every case's options.

    Returns:
        0: all scored; 3: some patients were rejected, the others are scored; 2: a wrong call (unknown criterion or
        option, file not readable as a table).
    """
    from irae.io.response_tables import Rejected, read_tables, scored_json, write_json
    from irae.io.sdtm import ScoredPatient, write_sdtm
    from irae.response import CRITERIA, CaseError, Options, score_case

    unknown = [name for name in criteria if name not in CRITERIA]
    if unknown:
        console.print(f"irae score: unknown criterion {unknown[0]!r}; known are {', '.join(CRITERIA)}", markup=False)
        return WRONG_CALL
    try:
        Options().with_values(options or {})
        tables = read_tables(path, options=options)
    except (ValueError, OSError) as error:
        console.print(f"irae score: {error}", markup=False)
        return WRONG_CALL
    rejected = list(tables.rejected)
    answers: dict[str, object] = {}
    patients: list[ScoredPatient] = []
    for read in tables.cases:
        names = tuple(criteria) or (read.criterion or "recist_1_1",)
        scored: dict[str, Scored] = {}
        for name in names:
            try:
                scored[name] = score_case(read.case, name)
            except (CaseError, ValueError) as error:
                rejected.append(Rejected(id=read.case.id, text=f"{name}: {error}"))
        if not scored:
            continue
        patients.append(ScoredPatient(case=read.case, scored=scored))
        if len(names) == 1:
            answers[read.case.id] = {"criterion": names[0], **scored_json(scored[names[0]])}
        else:
            answers[read.case.id] = {name: scored_json(found) for name, found in scored.items()}
    if tables.ignored_columns:
        console.print(f"Columns not understood and not used: {', '.join(tables.ignored_columns)}", markup=False)
    _print(console, [(p.case.id, p.scored) for p in patients], rejected)
    if json_out is not None:
        for failed in rejected:
            answers.setdefault(failed.id, {"error": failed.text})
        write_json(json_out, answers)
    if sdtm_dir is not None:
        write_sdtm(sdtm_dir, patients)
    return SOME_REJECTED if rejected else DONE


# With more patients than this the terminal gets one line a patient; the JSON holds every visit.
DETAILED_PATIENTS = 40


def _print(
    console: Console, patients: Sequence[tuple[str, Mapping[str, Scored]]], rejected: Sequence[Rejected]
) -> None:
    if len(patients) <= DETAILED_PATIENTS:
        for patient, scored in patients:
            for name, found in scored.items():
                _print_visits(console, patient, name, found)
    elif patients:
        _print_overview(console, patients)
    for failed in rejected:
        console.print(f"not scored: {failed.id}: {failed.text}", markup=False, style="red")
    console.print(f"{len(patients)} scored, {len(rejected)} rejected. Research use only.", markup=False)


def _print_visits(console: Console, patient: str, name: str, found: Scored) -> None:
    """Every visit of one patient by one criterion, with the reasons, then what they come to."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from irae.response import CRITERIA

    console.print(f"[bold]{escape(patient)}[/bold]  {CRITERIA[name].title}", highlight=False)
    if found.answers:
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for column in ("visit", "date", "overall"):
            table.add_column(column, no_wrap=True)
        for column in ("measure", "nadir"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("why")
        for answer in found.answers:
            nadir = answer.values.get("nadir_mm", answer.values.get("nadir_mm2"))
            why = " ".join(f"{rule}: {text}" for rule, text in answer.reasons)
            table.add_row(escape(answer.tp), answer.on.isoformat(), f"[bold]{answer.overall or 'not scored'}[/bold]",
                          _measure(answer.values), _figure(nadir), escape(why))
        console.print(table)
    for key, value in found.summary.items():
        if value is not None and value != ():
            console.print(f"  {key}: {_said(value)}", markup=False, highlight=False)
    for rule, text in found.reasons:
        console.print(f"  {rule}: {text}", markup=False, highlight=False, style="dim")
    console.print()


def _print_overview(console: Console, patients: Sequence[tuple[str, Mapping[str, Scored]]]) -> None:
    """One line a patient and criterion: the answer at each visit, and what they come to."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from irae.response import CRITERIA

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("patient", "criterion", "visits", "comes to"):
        table.add_column(column)
    for patient, scored in patients:
        for name, found in scored.items():
            words = " ".join(answer.overall or "-" for answer in found.answers)
            summary = found.summary
            known = [k for k in ("best_response", "progression_date") if summary.get(k) is not None]
            keys = known or [k for k, v in summary.items() if v is not None and v != ()]
            said = ", ".join(f"{k} {_said(summary[k])}" for k in keys)
            table.add_row(escape(patient), CRITERIA[name].title, words, escape(said))
    console.print(table)


_MEASURES = (("sum_mm", "mm"), ("tumour_burden_mm", "mm"), ("tumour_burden_mm2", "mm2"), ("sum_sulpeak", "SUL"),
             ("sul_peak", "SUL"), ("spd_mm2", "mm2"))


def _measure(values: Mapping[str, object]) -> str:
    """What the criterion sums or compares, with its unit."""
    return next((f"{_figure(values[key])} {unit}" for key, unit in _MEASURES if values.get(key) is not None), "")


def _figure(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(str(v) for v in value) if isinstance(value, tuple) else str(value)
