"""The context table: what is known of patients besides their images."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.io.archive.identity import patient_key

COLUMNS = ("patient_id", "date", "end_date", "kind", "value")
CLINICAL_STATUS = ("stable", "improving", "deteriorating")


def read_context(path: Path) -> Mapping[str, PatientContext]:
    """Patient key to what is known of the patient.

    Args:
        path: A CSV file (UTF-8, comma or semicolon) with the columns patient_id, date, end_date, kind, value;
            dates ISO 8601, empty where unknown.

    Returns:
        Keys are those exams are filed under: the patient id, made safe as a folder's name.

    Raises:
        ValueError: With the row number and the choices, for the first row that cannot be understood.
    """
    entries: dict[str, list[ContextEntry]] = defaultdict(list)
    with open(path, encoding="utf-8-sig", newline="") as stream:
        try:
            head = stream.readline()
            reader = csv.DictReader(stream, [c.strip() for c in _cells(head)], delimiter=_delimiter(head), strict=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path.name}: columns {', '.join(missing)} are missing; needed: {', '.join(COLUMNS)}")
            for number, row in enumerate(reader, start=2):
                if any(value and str(value).strip() for value in row.values()):
                    patient, entry = _entry(row, f"{path.name} row {number}")
                    entries[patient].append(entry)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} is not a readable CSV table: {error}") from error
    return {patient: PatientContext.of(rows) for patient, rows in entries.items()}


def _delimiter(head: str) -> str:
    return ";" if head.count(";") > head.count(",") else ","


def _cells(head: str) -> list[str]:
    return next(csv.reader([head], delimiter=_delimiter(head)), [])


def _entry(row: Mapping[str, object], where: str) -> tuple[str, ContextEntry]:
    if None in row:
        raise ValueError(f"{where}: more cells than columns")
    cells = {name: str(value or "").strip() for name, value in row.items()}
    if not cells["patient_id"]:
        raise ValueError(f"{where}: patient_id is empty")
    kinds = {kind.value: kind for kind in ContextKind}
    if cells["kind"] not in kinds:
        raise ValueError(f"{where}: kind {cells['kind']!r} is unknown; choose from {', '.join(kinds)}")
    kind = kinds[cells["kind"]]
    start, end = _date(cells["date"], f"{where}: date"), _date(cells["end_date"], f"{where}: end_date")
    if start is not None and end is not None and end < start:
        raise ValueError(f"{where}: end_date {end} is before date {start}")
    return patient_key(cells["patient_id"]), ContextEntry(
        kind=kind, value=_value(kind, cells["value"], where), start=start, end=end
    )


def _date(text: str, where: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{where} {text!r} is not a date; write it as 2026-03-14") from None


def _value(kind: ContextKind, text: str, where: str) -> str:
    """The value, checked where the kind says what it may be."""
    if kind is ContextKind.SEX:
        if text.upper() not in ("M", "F"):
            raise ValueError(f"{where}: sex must be M or F, got {text!r}")
        return text.upper()
    if kind is ContextKind.CLINICAL_STATUS:
        if text.lower() not in CLINICAL_STATUS:
            raise ValueError(f"{where}: clinical_status must be one of {', '.join(CLINICAL_STATUS)}, got {text!r}")
        return text.lower()
    limits = {ContextKind.HEIGHT_CM: (30.0, 260.0), ContextKind.BIRTH_YEAR: (1880.0, 2100.0)}.get(kind)
    if limits is not None:
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{where}: {kind.value} {text!r} is not a number") from None
        if not limits[0] <= number <= limits[1]:
            raise ValueError(f"{where}: {kind.value} {text} is outside {limits[0]:g} to {limits[1]:g}")
    elif not text and kind in (ContextKind.THERAPY, ContextKind.TUMOUR):
        raise ValueError(f"{where}: {kind.value} needs a value")
    return text
