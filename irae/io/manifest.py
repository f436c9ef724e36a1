"""Manifests: one table a data set, one row a file. What is wrong with a table is told all at once, never one by one.

``data_manifests/README.md`` explains the columns. Nothing of the images is read here, see ``training.manifest_checks``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.io.annotations import organ_named
from irae.io.atomic import write_text

SCHEMA = "irae.manifest/1"
COLUMNS = ("patient", "exam", "role", "file", "sha256", "label", "licence", "split", "sex", "scanner")
# A label whose name begins so is known and not used: an organ of a public set that this project has no use for.
UNUSED = "_"


class Split(Enum):
    """What an exam is for. Calibration is optional; validation stands in for it."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


class FileRole(Enum):
    """What a file is: an image of the exam, or what somebody drew on it."""

    CT = "ct"
    PET = "pet_suv"
    MR = "mr_t1c"
    ORGANS = "organs"  # on the CT
    PITUITARY = "pituitary"  # on the MR
    FOCI = "foci"  # on the CT, or on the PET where there is no CT

    @property
    def image(self) -> Role | None:
        """The exam's role; None for annotations."""
        return Role(self.value) if self.value in {role.value for role in Role} else None


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: where in the table, a code, and a sentence with the value and what is needed."""

    where: str
    code: str
    text: str


class ManifestError(ValueError):
    """A manifest that cannot be trained on. ``problems`` holds every reason."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {p.where}: {p.text} [{p.code}]" for p in self.problems)
        super().__init__(f"manifest {name}: {len(self.problems)} problem(s)\n{lines}")


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Row(BaseModel):
    """One file.

    Attributes:
        patient: The patient's key, no name.
        exam: Date of the exam.
        role: What the file is.
        file: Its path below the data set's folder, with forward slashes.
        sha256: Of the file.
        label: On an image: irAEs that were looked for, ``colitis=1;hepatitis=0``, and ``hidden`` ones (there, but with
            no sign on the images). On an annotation: names of its label values, ``liver=5;_gallbladder=4``.
        licence: Of the file, e.g. ``CC BY 4.0``.
        split: What the exam is for.
        sex: M, F or nothing. scanner: Any word; both are subgroups of an evaluation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patient: Word
    exam: date
    role: FileRole
    file: Word
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    label: str = ""
    licence: Word
    split: Split
    sex: Annotated[str, Field(pattern=r"^[MF]?$")] = ""
    scanner: str = ""

    @field_validator("file")
    @classmethod
    def _below_the_folder(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value:
            raise ValueError(f"{value!r} must be a path below the data set's folder, with forward slashes")
        return value

    @property
    def exam_key(self) -> str:
        """``patient/YYYY-MM-DD``."""
        return f"{self.patient}/{self.exam.isoformat()}"

    @property
    def labels(self) -> dict[str, str]:
        """Names and values of ``label``; a name alone has the value ''."""
        parts = [part.strip() for part in self.label.split(";") if part.strip()]
        return {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in parts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamRows:
    """The files of one exam."""

    patient: str
    acquired_on: date
    split: Split
    rows: tuple[Row, ...]

    @property
    def key(self) -> str:
        """``patient/YYYY-MM-DD``."""
        return f"{self.patient}/{self.acquired_on.isoformat()}"

    def of(self, *roles: FileRole) -> tuple[Row, ...]:
        """The files of these roles."""
        return tuple(row for row in self.rows if row.role in roles)

    @property
    def iraes(self) -> dict[Irae, str]:
        """Irae to ``1``, ``0`` or ``hidden``, where it was looked for."""
        images = [row for row in self.rows if row.role.image is not None]
        return {Irae(name): value for row in images for name, value in row.labels.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A table that is consistent in itself.

    Attributes:
        name: Of the data set: the file's stem.
        root: The data set's folder. digest: ``sha256:...`` of the table's text.
        exams: By patient and date.
    """

    name: str
    root: Path
    digest: str
    exams: tuple[ExamRows, ...]

    def of(self, split: Split) -> tuple[ExamRows, ...]:
        """The exams of a split; those of validation where there is none for calibration."""
        found = tuple(exam for exam in self.exams if exam.split is split)
        return self.of(Split.VALIDATION) if not found and split is Split.CALIBRATION else found

    def licences(self, *splits: Split) -> tuple[str, ...]:
        """The licences of the files of these splits (all where none is named)."""
        return tuple(sorted({
            row.licence for exam in self.exams if not splits or exam.split in splits for row in exam.rows
        }))


def read_manifest(path: Path, *, root: Path | None = None) -> Manifest:
    """Reads a table (.csv, or .json with ``{"schema": "irae.manifest/1", "rows": [...]}``).

    Args:
        path: The table. root: The data set's folder; the table's own where absent.

    Raises:
        ManifestError: With every row that is wrong, and every contradiction between rows.
    """
    try:
        text = path.read_bytes()
        table = _table(path, text.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        unreadable = Problem("table", "unreadable", f"does not read as a table: {error}")
        raise ManifestError(path.name, [unreadable]) from error
    rows, problems = _rows(table)
    problems += [problem for number, row in rows for problem in _label_problems(number, row)]
    problems += _contradictions([row for _, row in rows])
    if not rows and not problems:
        problems = [Problem("table", "empty", "holds no rows")]
    if problems:
        raise ManifestError(path.name, sorted(set(problems)))
    return Manifest(
        name=path.stem, root=path.parent if root is None else root,
        digest=f"sha256:{hashlib.sha256(text).hexdigest()}", exams=_exams([row for _, row in rows]),
    )


def write_manifest(path: Path, rows: Sequence[Row]) -> Path:
    """Writes rows as CSV, in the order of patient, date and file.

    Raises:
        ManifestError: If the rows contradict each other.
    """
    problems = [problem for number, row in enumerate(rows, start=2) for problem in _label_problems(number, row)]
    problems += _contradictions(rows)
    if problems:
        raise ManifestError(path.name, sorted(set(problems)))
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in sorted(rows, key=lambda row: (row.patient, row.exam, row.role.value, row.file)):
        table.writerow(row.model_dump(mode="json"))
    write_text(path, buffer.getvalue())
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(path: Path, text: str) -> list[dict[str, Any]]:
    if path.suffix.lower() == ".json":
        document = json.loads(text)
        if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA!r}")
        rows = document.get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("rows must be a list of mappings")
        return rows
    reader = csv.DictReader(io.StringIO(text), restkey="too many cells", restval="")
    found = set(reader.fieldnames or ())
    missing = sorted({"patient", "exam", "role", "file", "sha256", "licence", "split"} - found)
    if missing:
        raise ValueError(f"columns {', '.join(missing)} are missing")
    return [dict(row) for row in reader]


def _rows(table: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[int, Row]], list[Problem]]:
    rows, problems = [], []
    # Line 1 of a CSV is its header.
    for number, cells in enumerate(table, start=2):
        try:
            rows.append((number, Row.model_validate(cells)))
        except ValidationError as error:
            for fault in error.errors():
                column = ".".join(str(part) for part in fault["loc"])
                given = "" if fault["type"] in {"missing", "value_error"} else f", got {fault['input']!r}"
                problems.append(Problem(f"row {number}", column, f"{column}: {fault['msg']}{given}"))
    return rows, problems


def _label_problems(number: int, row: Row) -> list[Problem]:
    found = []
    known = {irae.value for irae in Irae}
    for name, value in row.labels.items():
        if row.role.image is not None:
            if name not in known or value not in {"0", "1", "hidden"}:
                found.append(f"label {name}={value}: on an image, one of {', '.join(sorted(known))} = 0, 1 or hidden")
        elif value and (not value.isdecimal() or int(value) < 1):
            found.append(f"label {name}={value}: the value in a label map is a whole number from 1")
        elif row.role is FileRole.ORGANS and not name.startswith(UNUSED) and organ_named(name) is None:
            found.append(f"label {name}: is no organ of the table; write {UNUSED}{name} for one that is not used")
    values = [value for value in row.labels.values() if value]
    if row.role.image is None and len(values) != len(set(values)):
        found.append(f"label {row.label!r}: two names have the same value")
    return [Problem(f"row {number}", "label", text) for text in found]


def _contradictions(rows: Sequence[Row]) -> list[Problem]:
    problems = []
    splits, contents = defaultdict(set), defaultdict(set)
    exams: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        splits[row.patient].add(row.split.value)
        contents[row.sha256].add((row.patient, row.split.value))
        exams[row.exam_key].append(row)
    for patient, found in splits.items():
        if len(found) > 1:
            problems.append(Problem(
                f"patient {patient}", "leak", f"is in the splits {', '.join(sorted(found))}; a patient belongs to one"
            ))
    images = {row.sha256 for row in rows if row.role.image is not None}
    for digest, owners in contents.items():
        if digest in images and len({split for _, split in owners}) > 1 and len({patient for patient, _ in owners}) > 1:
            who = ", ".join(f"{patient} ({split})" for patient, split in sorted(owners))
            problems.append(Problem(f"file {digest[:12]}", "leak", f"the same file is in two splits: {who}"))
    for key, its in exams.items():
        for role in FileRole:
            count = sum(row.role is role for row in its)
            if role.image is not None and count > 1:
                problems.append(Problem(f"exam {key}", "twice", f"has {count} files of the role {role.value}"))
        if not any(row.role.image is not None for row in its):
            problems.append(Problem(f"exam {key}", "no_image", "has annotations and no image"))
        for needed, for_roles in (
            ({FileRole.CT}, {FileRole.ORGANS}), ({FileRole.MR}, {FileRole.PITUITARY}),
            ({FileRole.CT, FileRole.PET}, {FileRole.FOCI}),
        ):
            roles = {row.role for row in its}
            if roles & for_roles and not roles & needed:
                names = ", ".join(sorted(role.value for role in for_roles))
                problems.append(Problem(f"exam {key}", "no_image", f"has {names} and not the image it is drawn on"))
        if len({row.sex for row in its if row.sex}) > 1:
            problems.append(Problem(f"exam {key}", "sex", "is of two sexes"))
    files: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        files[row.file].add(row.sha256)
    problems += [
        Problem(f"file {file}", "sha256", "has two different sha256 in the table")
        for file, digests in files.items() if len(digests) > 1
    ]
    return problems


def _exams(rows: Sequence[Row]) -> tuple[ExamRows, ...]:
    grouped: defaultdict[tuple[str, date], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.patient, row.exam].append(row)
    return tuple(
        ExamRows(patient=patient, acquired_on=day, split=its[0].split, rows=tuple(its))
        for (patient, day), its in sorted(grouped.items())
    )
