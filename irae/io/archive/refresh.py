"""Brings a catalogue up to date with its archive: only files that are new or changed are opened."""

from __future__ import annotations

import json
import os
import re
import resource
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from irae.core.errors import StudyError
from irae.io.archive.catalogue import FILE, Catalogue, file_of, said
from irae.io.archive.codes import Outcome
from irae.io.archive.discover import Folder, Limits, printable
from irae.io.archive.grouping import ROLE_MODALITIES, modality_of, series_of
from irae.io.archive.headers import Header, Walked, read_dataset, read_header
from irae.io.archive.loose import is_nifti, nifti_plan
from irae.io.archive.pixels import check_format
from irae.io.archive.plan_json import plan_as_json
from irae.io.archive.values import FileOutcome, FoundFile
from irae.io.archive.zips import Budget, is_zip, unpacked

_THREADS = 8  # they wait for the disk; where nothing waits, they only get into each other's way and are not used
_CHUNK = 64
_BATCH = 2 * _THREADS * _CHUNK
_CLOCK_NS = 20_000_000  # within one tick of a file system's clock a file can change without changing its time
_FOREIGN = (
    ".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".html", ".htm", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".bmp",
    ".tif", ".tiff", ".nrrd", ".mha", ".mhd", ".mat", ".py", ".exe", ".inf", ".ini", ".log", ".db", ".sqlite", ".yaml",
    ".yml", ".bval", ".bvec", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".apk", ".epub",
    ".safetensors", ".npy", ".npz", ".ds_store",
)
_DICOM_NAMES = (".dcm", ".dicom", ".ima")
_ZIP = b"PK\3\4"
_APPLE_DOUBLE = b"\0\5\x16\7"
# What lies on a disc beside the images: programs, pictures, documents, fonts, films.
_OTHER_KINDS = (
    b"MZ", b"\x7fELF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"%PDF", b"\xd0\xcf\x11\xe0", b"\xca\xfe\xba\xbe",
    b"RIFF", b"MSCF", b"CWS", b"FWS", b"\0\0\1\0", b"\0\1\0\0\0", b"OTTO", b"SQLite format 3", b"ITSF", b"Bud1",
)
_BELONGS = ("SeriesInstanceUID", "StudyInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TEXT_BYTES = frozenset(range(32, 127)) | {9, 10, 13}
# What may be different next time though the file is the same: rights, free space.
_PASSING = frozenset({"unreadable", "too_large"})
_INSERT = (
    "INSERT OR REPLACE INTO files (name, raw_path, size, modified_ns, changed_ns, container, number, kind, template,"
    " header, patient, uid, study, sop, own, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def refresh(catalogue: Catalogue, found: Iterable[Folder], limits: Limits) -> None:
    """Takes in what is new or changed, forgets what is gone.

    Args:
        catalogue: Empty, or of an earlier state of the same archive.
        found: Every folder of the archive.
        limits: For zips.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as readers, catalogue.at_once():
        # Around all threads: filters are the process's, and pydicom's warnings quote values.
        warnings.simplefilter("ignore")
        _Refresh(catalogue, Budget(limits), readers).run(found)


@dataclass(slots=True)
class _Refresh:
    catalogue: Catalogue
    budget: Budget
    readers: ThreadPoolExecutor
    run_number: int = 0
    disk_waits: bool = False
    _waiting: list[FoundFile] = field(default_factory=list)
    _unnamed: list[FoundFile] = field(default_factory=list)  # zips that only their content betrays

    def run(self, found: Iterable[Folder]) -> None:
        """One pass over the archive."""
        db = self.catalogue.db
        self.run_number = 1 + (db.execute("SELECT MAX(run) FROM files").fetchone()[0] or 0)
        zips: list[FoundFile] = []
        for folder in found:
            self._rows(folder.rows)
            for file in _files(folder):
                kind = "zip" if is_zip(file.name, file.size) else self._known(file)
                if kind == "zip":
                    zips.append(file)
                elif not kind:
                    self._read_later(file)
        self._read_waiting()
        while zips or self._unnamed:
            self._open_zips([(file, _depth(file)) for file in (*zips, *self._unnamed)])
            zips, self._unnamed = [], []
            self._read_waiting()
        db.execute("DELETE FROM files WHERE run < ?", (self.run_number,))
        _check_directory_records(self.catalogue, self.run_number)

    def _known(self, file: FoundFile) -> str:
        """The kind of a file that the catalogue knows as it is now, which keeps it; empty where it does not."""
        if self.run_number == 1:
            return ""
        db = self.catalogue.db
        row = db.execute(
            "SELECT id, own, kind FROM files WHERE name = ? AND size = ? AND modified_ns = ? AND changed_ns = ?"
            " AND kind != 'record' AND container IS NULL", (file.name, file.size, file.modified_ns, file.changed_ns),
        ).fetchone()
        if row is None or (row[1] is not None and json.loads(row[1])[1] in _PASSING):
            return ""
        db.execute("UPDATE files SET run = ? WHERE id = ?", (self.run_number, row[0]))
        return str(row[2])

    def _read_later(self, file: FoundFile) -> None:
        self._waiting.append(file)
        if len(self._waiting) >= _BATCH:
            self._read_waiting()

    def _read_waiting(self) -> None:
        files, self._waiting = self._waiting, []
        if not files:
            return
        newest = max(file.modified_ns for file in files)
        age_ns = time.time_ns() - newest
        if 0 <= age_ns < _CLOCK_NS:
            time.sleep((_CLOCK_NS - age_ns) / 1e9)
        while files and not self.disk_waits:
            chunk, files = files[:_CHUNK], files[_CHUNK:]
            before = _waits()
            looks = _looked_at_all(chunk)
            self.disk_waits = _waits() - before >= _CHUNK
            self._enter(chunk, looks)
        chunks = [files[n : n + _CHUNK] for n in range(0, len(files), _CHUNK)]
        for chunk, looks in zip(chunks, self.readers.map(_looked_at_all, chunks), strict=True):
            self._enter(chunk, looks)

    def _enter(self, files: Sequence[FoundFile], looks: Sequence[Header | FileOutcome | None]) -> None:
        self.catalogue.db.executemany(_INSERT, map(self._entry, files, looks))
        self._unnamed += [
            file for file, look in zip(files, looks, strict=True)
            if isinstance(look, FileOutcome) and look.code == "container"
        ]

    def _entry(self, file: FoundFile, look: Header | FileOutcome | None) -> tuple[object, ...]:
        """The row of one file that was looked at."""
        container = file.container.name if file.container is not None else None
        where = (
            file.name, _raw_path(file), file.size, file.modified_ns, file.changed_ns, container,
            file.number if container is not None else None,
        )
        if look is None:  # NIfTI: read one at a time, here, because each is read whole
            root = self.catalogue.shelf.root.name
            plan = json.dumps(plan_as_json(nifti_plan(file, root=root)))
            return (*where, "nifti", None, plan, None, None, None, None, None, self.run_number)
        if isinstance(look, FileOutcome):
            own = said(look.outcome, look.code, look.text)
            return (*where, "other", None, None, None, None, None, None, own, self.run_number)
        template, content = self.catalogue.packed(look)
        patient, uid, study = series_of(look)
        problem = _unusable(look)
        verdict = None if problem is None else said(Outcome.QUARANTINED, problem.code, problem.text)
        kind = "dicom" if problem is None else "spoiled"
        sop = look.text("SOPInstanceUID")
        return (*where, kind, template, content, patient, uid, study, sop, verdict, self.run_number)

    def _rows(self, rows: Iterable[FileOutcome]) -> None:
        self.catalogue.db.executemany(_INSERT, (
            (row.path, None, 0, 0, 0, None, None, "record", None, None, None, None, None, None,
             said(row.outcome, row.code, row.text), self.run_number)
            for row in rows
        ))

    def _open_zips(self, pending: list[tuple[FoundFile, int]]) -> None:
        while pending:
            container, depth = pending.pop()
            if self._known_zip(container):
                continue
            self._forget_members(container.name)
            try:
                members, refused = unpacked(
                    container, depth=depth, scratch=self.catalogue.shelf.scratch, budget=self.budget
                )
            except StudyError as error:
                self._zip(container, said(Outcome.QUARANTINED, error.code, error.text))
                continue
            count = len(members) + len(refused)
            text = f"{container.name} was opened; it holds {count} files"
            self._zip(container, said(Outcome.USED, "container", text))
            self.catalogue.db.executemany(_INSERT, (
                (row.path, None, 0, 0, 0, container.name, -1, "other", None, None, None, None, None, None,
                 said(row.outcome, row.code, row.text), self.run_number)
                for row in refused
            ))
            for member in members:
                if is_zip(member.name, member.size):
                    pending.append((member, depth + 1))
                else:
                    self._read_later(member)

    def _zip(self, file: FoundFile, own: str) -> None:
        container = (file.container.name, file.number) if file.container is not None else (None, None)
        self.catalogue.db.execute(_INSERT, (
            file.name, _raw_path(file), file.size, file.modified_ns, file.changed_ns, *container, "zip",
            None, None, None, None, None, None, own, self.run_number,
        ))

    def _known_zip(self, file: FoundFile) -> bool:
        """Whether a zip is as it was; it is kept then with all it holds, and nothing of it is unpacked."""
        if file.container is not None or not self._known(file):
            return False
        db = self.catalogue.db
        nested = [file.name]
        for name in nested:
            query = "SELECT name FROM files WHERE container = ? AND kind = 'zip'"
            nested.extend(row[0] for row in db.execute(query, (name,)))
        verdicts = "SELECT own FROM files WHERE container = ? AND own IS NOT NULL"
        if any(json.loads(own)[1] in _PASSING for name in nested for (own,) in db.execute(verdicts, (name,))):
            return False
        for name in nested:
            db.execute("UPDATE files SET run = ? WHERE container = ?", (self.run_number, name))
            self.budget.spend(*db.execute(
                "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM files WHERE container = ?", (name,)
            ).fetchone())
        return True

    def _forget_members(self, name: str) -> None:
        self.catalogue.db.execute("DELETE FROM files WHERE container = ? AND run < ?", (name, self.run_number))


def _depth(file: FoundFile) -> int:
    """How many zips deep a zip lies: 1 in no other."""
    depth = 1
    while file.container is not None:
        file, depth = file.container, depth + 1
    return depth


def _raw_path(file: FoundFile) -> bytes | None:
    """Where a file lies, if its name in the archive does not tell."""
    return None if file.container is not None or file.where.endswith(f"/{file.name}") else os.fsencode(file.where)


def _files(folder: Folder) -> Iterator[FoundFile]:
    for name, size, modified_ns, changed_ns in folder.entries:
        yield FoundFile(folder.name + printable(name), f"{folder.path}/{name}", size, modified_ns, changed_ns)


def _waits() -> int:
    """How often this thread has waited for something, as for a disk; never where the system does not count it."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nvcsw


def _looked_at_all(files: Sequence[FoundFile]) -> list[Header | FileOutcome | None]:
    like = Walked()
    return [_looked_at(file, like) for file in files]


def _looked_at(file: FoundFile, like: Walked) -> Header | FileOutcome | None:
    """The header of a file, or its row where it goes no further; None for NIfTI."""
    if is_nifti(file):
        return None
    try:
        header = read_header(file, like)
        if header is not None:
            return header
        outcome, code, text = _foreign(file)
    except StudyError as error:
        outcome, code, text = Outcome.QUARANTINED, error.code, error.text
    except OSError as error:  # it went away while we looked
        outcome, code = Outcome.QUARANTINED, "unreadable"
        text = f"{file.name} cannot be read: {error.strerror or type(error).__name__}"
    return FileOutcome(path=file.name, series_uid="", outcome=outcome, code=code, text=text)


def _foreign(file: FoundFile) -> tuple[Outcome, str, str]:
    """What a file that is not DICOM is: of no concern, or an image that cannot be read."""
    lower = file.name.lower()
    if lower.endswith(_FOREIGN):
        return Outcome.IGNORED, "not_an_image", f"{file.name} is not a medical image"
    with open(file.path, "rb") as stream:
        start = stream.read(1024)
    if start.startswith(_APPLE_DOUBLE):
        return Outcome.IGNORED, "not_an_image", f"{file.name} holds what macOS notes of another file"
    if start.startswith(_OTHER_KINDS) and not lower.endswith(_DICOM_NAMES):
        return Outcome.IGNORED, "not_an_image", f"{file.name} is not a medical image"
    if start.startswith(_ZIP) and not lower.endswith(_DICOM_NAMES):
        return Outcome.USED, "container", f"{file.name} is a zip by its content"
    if not lower.endswith(_DICOM_NAMES) and all(byte in _TEXT_BYTES or byte > 127 for byte in start):
        return Outcome.IGNORED, "not_an_image", f"{file.name} is a text"
    return Outcome.QUARANTINED, "not_dicom", f"{file.name} is neither DICOM nor NIfTI, or is damaged"


def _unusable(header: Header) -> StudyError | None:
    """What makes one file useless by itself, whatever series it may belong to."""
    name, modality = header.file.name, modality_of(header)
    if not re.fullmatch(r"[A-Z0-9_]{2,16}", modality):
        said = "is missing" if not modality else "is not a code"  # not quoted: it may be anything, a name too
        return StudyError("header_broken", f"{name}: the header does not say what it is (its modality {said})")
    if modality not in ROLE_MODALITIES:
        return None
    lost = [word for word in ("Rows", "Columns", "BitsAllocated") if header.get(word) is None]
    if lost or not any(header.text(word) for word in _BELONGS):
        what = ", ".join(lost) or "all of series, study and date"
        return StudyError("header_broken", f"{name}: {what} missing in the header")
    try:
        check_format(header)
    except StudyError as error:
        return error if error.code in ("truncated", "no_pixels", "pixels_broken") else None
    return None


def _check_directory_records(catalogue: Catalogue, run: int) -> None:
    """Rows for each DICOMDIR, and for images it names that are not there or lie outside."""
    db = catalogue.db
    query = f"SELECT {FILE}, id FROM files WHERE name LIKE '%DICOMDIR' AND kind != 'record'"  # noqa: S608 - ours
    records = [row for row in catalogue.rows(query) if PurePosixPath(row[0]).name.upper() == "DICOMDIR"]
    if not records:
        return
    db.execute("CREATE INDEX IF NOT EXISTS files_by_upper_name ON files (upper(name))")
    for *columns, number in records:
        file = file_of(catalogue.shelf, catalogue.rows, columns, {})
        references = _references(file)
        if references is None:
            continue  # not a DICOMDIR at all; it is looked into like any other file
        folder, missing = PurePosixPath(file.name).parent, 0
        rows: list[tuple[str, str]] = []
        for parts in references:
            name = f"{file.name}->{printable('/'.join(parts))}"
            if any(part in ("..", "") or "/" in part or "\\" in part or ":" in part for part in parts):
                rows.append((name, said(Outcome.QUARANTINED, "unsafe_reference", f"{name} points outside the disc")))
                continue
            target = str(folder.joinpath(*parts)).upper()
            if db.execute("SELECT 1 FROM files WHERE upper(name) = ?", (target,)).fetchone() is None:
                missing += 1
                rows.append((name, said(Outcome.QUARANTINED, "missing_referenced_file", f"{name} is not there")))
        db.executemany(_INSERT, (
            (name, None, 0, 0, 0, None, None, "record", None, None, None, None, None, None, own, run)
            for name, own in rows
        ))
        text = f"{file.name} names {len(references)} files, {missing} of them missing"
        db.execute(
            "UPDATE files SET kind = 'other', own = ? WHERE id = ?",
            (said(Outcome.USED, "directory_record", text), number),
        )


def _references(file: FoundFile) -> list[tuple[str, ...]] | None:
    from pydicom.multival import MultiValue

    try:
        dataset = read_dataset(file, pixels=False)
        rows = dataset.DirectoryRecordSequence
        named = [row.ReferencedFileID for row in rows if "ReferencedFileID" in row]
    except Exception:  # any parser error means that it is no DICOMDIR
        return None
    return [tuple(map(str, n)) if isinstance(n, MultiValue | list) else (str(n),) for n in named]
