"""The index of an archive: every file looked at once, headers only, nothing changed.

Memory does not grow with the number of files: what is read lies in a catalogue on disk, and one series at a time is
taken into memory to be planned. A kept catalogue makes the next index open only what is new or changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from irae.core.errors import StudyError
from irae.core.notice import Notice
from irae.io.archive.assembly import exam_of, only_marks
from irae.io.archive.catalogue import (
    Catalogue,
    CatalogueError,
    Shelf,
    StoredFiles,
    StoredHeaders,
    StoredRows,
    said,
)
from irae.io.archive.codes import Outcome
from irae.io.archive.discover import LIMITS, Fingerprint, Limits, folders, root_of
from irae.io.archive.grouping import ROLE_MODALITIES, groups_of, is_enhanced, modality_of
from irae.io.archive.headers import Header
from irae.io.archive.pet import radiopharmaceutical
from irae.io.archive.pixels import check_format, read_slice
from irae.io.archive.plan_json import exam_as_json, exam_from_json, plan_as_json, plan_from_json
from irae.io.archive.planning import Losses, planned
from irae.io.archive.refresh import refresh
from irae.io.archive.values import ArchiveIndex, ExamPlan, FileOutcome, FoundFile, SeriesPlan
from irae.io.archive.zips import present

_MAYBE_SLICES = frozenset({
    "empty_file", "not_dicom", "header_broken", "unreadable", "too_large", "zip_broken", "truncated", "no_pixels",
    "pixels_broken", "unsafe_member", "zip_encrypted",
})


def index_archive(
    source: Path, *, scratch: Path, limits: Limits = LIMITS, kept: Path | None = None
) -> ArchiveIndex:
    """What an archive holds, what each exam would use, and one row for every file found.

    Args:
        source: A folder of any depth, a .zip, a DICOMDIR or one file: DICOM in any order, NIfTI.
        scratch: A folder of ours for what zips hold and for the catalogue; the index needs it as long as it is used.
        limits: What is refused.
        kept: A file outside the archive that remembers the catalogue. An unchanged archive is then indexed without
            opening any of its files; of a changed one only what is new or changed is opened.

    Returns:
        Exams (patient and date) with the series chosen for each role; nothing is read but headers and NIfTI files.

    Raises:
        ValueError: If the source does not exist.
    """
    source, scratch = Path(source), Path(scratch)
    root = root_of(source)
    catalogue, notices = _opened(source, root, scratch, kept)
    try:
        about = catalogue.about()
        judged_for = f"{source.resolve()} {limits}"
        if about.get("judged_for") == judged_for and _still_holds(about):
            fingerprint = Fingerprint().of(folders(source))
            if about.get("fingerprint") == fingerprint:
                return _loaded(source, catalogue.shelf, notices)
        catalogue = catalogue.owned()
        catalogue.note(judged_for="")
        seen = Fingerprint()
        refresh(catalogue, seen.over(folders(source)), limits)
        with catalogue.at_once():
            _plan_all(catalogue)
        exams = _exams(catalogue)
        catalogue.note(
            judged_for=judged_for, fingerprint=seen.value, judged_on=date.today().isoformat(), exams=json.dumps(exams),
            last_date=max((exam["acquired_on"] for exam in (*exams["usable"], *exams["unusable"])), default=""),
            passing="yes" if _has_passing(catalogue) else "",
        )
        if kept is not None:
            notices += _saved(catalogue, kept)
        return _loaded(source, catalogue.shelf, notices)
    finally:
        catalogue.close()


def _opened(source: Path, root: Path, scratch: Path, kept: Path | None) -> tuple[Catalogue, tuple[Notice, ...]]:
    if not source.exists():
        raise ValueError(f"archive {source} does not exist")
    if kept is None or not kept.exists():
        return Catalogue.new(root, scratch), ()
    try:
        return Catalogue.kept(kept, root, scratch), ()
    except CatalogueError as error:
        notice = Notice("index_rebuilt", f"The kept index {kept.name} was not used: {error}. It was made anew.")
        return Catalogue.new(root, scratch), (notice,)


def _saved(catalogue: Catalogue, kept: Path) -> tuple[Notice, ...]:
    """Keeps the catalogue; a full disk costs the next index its speed, not this one its result."""
    try:
        catalogue.save(kept)
    except OSError as error:
        text = f"The index could not be kept in {kept.name} ({error.strerror}); the next one starts from nothing."
        return (Notice("index_not_kept", text),)
    return ()


def _still_holds(about: dict[str, str]) -> bool:
    """Whether nothing but a change of the archive could change the judgement: no refusal that may pass by itself."""
    future = about.get("last_date", "") > about.get("judged_on", "")
    return not about.get("passing") and (not future or about.get("judged_on") == date.today().isoformat())


def _has_passing(catalogue: Catalogue) -> bool:
    query = "SELECT 1 FROM files WHERE own LIKE '%\"unreadable\"%' OR own LIKE '%\"too_large\"%' LIMIT 1"
    return catalogue.db.execute(query).fetchone() is not None


def _plan_all(catalogue: Catalogue) -> None:
    """Plans every series of a refreshed catalogue; enters each plan and what became of copies."""
    db = catalogue.db
    db.execute("UPDATE files SET verdict = NULL, plan = NULL, position = NULL")
    db.execute("DELETE FROM plans")
    # Made here and not with the table: entering the files is faster without it.
    db.execute("CREATE INDEX IF NOT EXISTS files_of_a_series ON files (uid) WHERE uid IS NOT NULL")
    conflicts = _judge_copies(catalogue)
    bad: Counter[str] = Counter(conflicts)
    spoiled = (  # but for the damaged copies of files that are here in full
        "SELECT uid, COUNT(*) FROM files WHERE kind = 'spoiled' AND verdict IS NULL AND sop NOT IN"
        " (SELECT sop FROM files WHERE kind = 'dicom' AND verdict IS NULL AND sop != '') GROUP BY uid"
    )
    bad.update(dict(db.execute(spoiled)))
    members = (
        "SELECT uid, patient, study, COUNT(*), MIN(name) FROM files WHERE kind = 'dicom' AND verdict IS NULL"
        " GROUP BY uid, patient, study"
    )
    parts: dict[str, list[int]] = defaultdict(list)
    series = sorted(db.execute(members), key=lambda row: row[4])
    sharing: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for uid, patient, study, count, _ in series:
        parts[uid].append(count)
        sharing[uid].append((uid, patient, study))
    beside = _unknown_beside(catalogue, set(parts))
    known: Counter[str] = Counter()
    where = "uid = ? AND patient = ? AND study = ? AND kind = 'dicom' AND verdict IS NULL ORDER BY name"
    for uid, patient, study, _, _ in series:
        headers = tuple(catalogue.headers(where, (uid, patient, study)))
        elsewhere = [
            tuple(catalogue.headers(where, other)) for other in sharing[uid] if other != (uid, patient, study)
        ] if len(parts[uid]) > 1 else ()
        groups = groups_of(patient, uid, headers, parts=parts[uid], known=known[uid], elsewhere=elsewhere)
        known[uid] += len(groups)
        for group in groups:
            folders_of = {str(PurePosixPath(header.file.name).parent) for header in group.headers} if beside else set()
            losses = Losses(bad[uid], group.left_aside, sum(beside[folder] for folder in folders_of))
            _enter(catalogue, planned(group, losses))
    for name, content in db.execute("SELECT name, header FROM files WHERE kind = 'nifti'").fetchall():
        db.execute("INSERT INTO plans VALUES (?, ?)", (name, content))
        db.execute("UPDATE files SET plan = ?, position = 0 WHERE name = ?", (name, name))


def _enter(catalogue: Catalogue, plan: SeriesPlan) -> None:
    while catalogue.db.execute("SELECT 1 FROM plans WHERE key = ?", (plan.key,)).fetchone():
        # A series UID may look like the key of another series.
        plan = plan.decided(plan.outcome, plan.code, plan.text, key=f"{plan.key}#")
    content = json.dumps(plan_as_json(plan))
    catalogue.db.execute("INSERT INTO plans VALUES (?, ?)", (plan.key, content))
    catalogue.db.executemany(
        "UPDATE files SET plan = ?, position = ? WHERE name = ?",
        ((plan.key, position, file.name) for position, file in enumerate(plan.files)),
    )


def _judge_copies(catalogue: Catalogue) -> list[str]:
    """Verdicts for files that share a SOP Instance UID: of equal copies the first by name is kept, of others none.

    A damaged copy of a good file says nothing against it, and keeps its own verdict.

    Returns:
        The series UID of each conflicting file.
    """
    db = catalogue.db
    twice = [row[0] for row in db.execute(
        "SELECT sop FROM files WHERE kind IN ('dicom', 'spoiled') AND sop != '' GROUP BY sop HAVING COUNT(*) > 1"
    )]
    conflicts: list[str] = []
    for sop in twice:
        headers = list(catalogue.headers("sop = ? AND kind = 'dicom' ORDER BY name", (sop,)))
        if not headers:
            headers = list(catalogue.headers("sop = ? AND kind = 'spoiled' ORDER BY name", (sop,)))
        files = [header.file for header in headers]
        first, rest = files[0], files[1:]
        different = [header.file for header in headers[1:] if not _same_content(catalogue, headers[0], header)]
        for file in files if different else rest:
            if different:
                other = different[0] if file is first else first
                text = f"{file.name} and {other.name} carry the same SOP Instance UID but differ"
                verdict = said(Outcome.QUARANTINED, "conflicting_instance", text)
                conflicts.extend(row[0] for row in db.execute("SELECT uid FROM files WHERE name = ?", (file.name,)))
            else:
                verdict = said(Outcome.IGNORED, "duplicate_file", f"{file.name} is a copy of {first.name}")
            db.execute("UPDATE files SET verdict = ? WHERE name = ?", (verdict, file.name))
    return conflicts


def _same_content(catalogue: Catalogue, one: Header, other: Header) -> bool:
    same = one.file.size == other.file.size and _sha256(catalogue, one.file) == _sha256(catalogue, other.file)
    return same or _same_image(one, other)


def _same_image(one: Header, other: Header) -> bool:
    """Whether two slices differ in nothing that is read of them: exports add to a file and encode it anew."""
    if modality_of(one) not in ROLE_MODALITIES or is_enhanced(one) or is_enhanced(other) or one.bad or other.bad:
        return False
    try:
        if _read_of(one) != _read_of(other):
            return False
        for header in (one, other):
            present(header.file)
            check_format(header)
        return np.array_equal(read_slice(one), read_slice(other))
    except (StudyError, OSError):
        return False


def _read_of(header: Header) -> dict[str, Any]:
    """Header values; sequences, which transfer syntaxes encode differently, by what is read of them."""
    values = dict(header.values)
    values["RadiopharmaceuticalInformationSequence"] = radiopharmaceutical(header)
    values["ContrastBolusAgentSequence"] = "ContrastBolusAgentSequence" in values
    return values


def _sha256(catalogue: Catalogue, file: FoundFile) -> str:
    """The hash of a file's content; remembered, so that it is read once."""
    remembered = catalogue.db.execute("SELECT sha256 FROM files WHERE name = ?", (file.name,)).fetchone()[0]
    if remembered is not None:
        return str(remembered)
    with open(present(file).path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    catalogue.db.execute("UPDATE files SET sha256 = ? WHERE name = ?", (digest, file.name))
    return digest


def _unknown_beside(catalogue: Catalogue, known: set[str]) -> Counter[str]:
    """Damaged files of no known series, by folder."""
    beside: Counter[str] = Counter()
    for name, uid, verdict, own in catalogue.db.execute(
        "SELECT name, uid, verdict, own FROM files WHERE verdict IS NOT NULL OR own IS NOT NULL"
    ):
        outcome, code, _ = json.loads(verdict or own)
        if outcome == Outcome.QUARANTINED.value and code in _MAYBE_SLICES and uid not in known and not _is_record(name):
            beside[str(PurePosixPath(name).parent)] += 1
    return beside


def _is_record(name: str) -> bool:
    return PurePosixPath(name).name.upper() == "DICOMDIR"


def _exams(catalogue: Catalogue) -> dict[str, Any]:
    """Exams of the planned series; enters how each series was decided, and returns the exams as keys."""
    plans = _plans(catalogue.shelf)
    by_exam: dict[tuple[str, date], list[SeriesPlan]] = defaultdict(list)
    homeless: list[str] = []
    for plan in plans.values():
        if plan.acquired_on is None:
            homeless.append(plan.key)
        else:
            by_exam[plan.patient, plan.acquired_on].append(plan)
    exams = [_exam(patient, day, members) for (patient, day), members in sorted(by_exam.items())]
    rest = [exam for exam in exams if not exam.chosen]
    # Marks and tables without an image of their own date are no exam; they stay rows.
    homeless.extend(plan.key for exam in rest if only_marks(exam) for plan in exam.series)
    with catalogue.at_once():
        catalogue.db.executemany(
            "UPDATE plans SET content = ? WHERE key = ?",
            ((json.dumps(plan_as_json(plan)), plan.key) for exam in exams for plan in exam.series),
        )
    return {
        "usable": [exam_as_json(exam) for exam in exams if exam.chosen],
        "unusable": [exam_as_json(exam) for exam in rest if not only_marks(exam)],
        "homeless": homeless,
    }


def _exam(patient: str, day: date, members: list[SeriesPlan]) -> ExamPlan:
    try:
        return exam_of(patient, day, members)
    except Exception as error:  # one bad exam must never stop the others
        text = f"exam {patient}/{day}: {type(error).__name__} while its series were compared"
        return ExamPlan(patient=patient, acquired_on=day, chosen={}, unchosen=tuple(
            plan.decided(Outcome.QUARANTINED, "internal_error", text) if plan.usable else plan for plan in members
        ))


def _plans(shelf: Shelf) -> dict[str, SeriesPlan]:
    plans: dict[str, SeriesPlan] = {}
    for key, text in shelf.rows("SELECT key, content FROM plans ORDER BY rowid"):
        content = json.loads(text)
        files = StoredFiles(shelf, key, content["files"])
        headers = StoredHeaders(shelf, key, content["headers"], enhanced=content["kind"] == "enhanced")
        plans[key] = plan_from_json(content, files=files, headers=headers)
    return plans


def _loaded(source: Path, shelf: Shelf, notices: tuple[Notice, ...]) -> ArchiveIndex:
    """The index that a finished catalogue holds."""
    plans = _plans(shelf)
    exams = json.loads(next(shelf.rows("SELECT value FROM about WHERE key = 'exams'"))[0])

    def of(kind: str) -> tuple[ExamPlan, ...]:
        return tuple(exam_from_json(content, plans) for content in exams[kind])

    fates = {key: (plan.outcome, plan.code, _text(plan), plan.series_uid) for key, plan in plans.items()}
    return ArchiveIndex(
        source=source, exams=of("usable"), unusable=of("unusable"),
        homeless=tuple(plans[key] for key in exams["homeless"]), files=StoredRows(shelf, fates), notices=notices,
    )


def rows_of(series: SeriesPlan) -> list[FileOutcome]:
    """One row for each file of a series."""
    text = _text(series)
    return [
        FileOutcome(path=file.name, series_uid=series.series_uid, outcome=series.outcome, code=series.code, text=text)
        for file in series.files
    ]


def _text(series: SeriesPlan) -> str:
    return series.text or f"used as {series.role.value if series.role else 'part of the exam'}"
