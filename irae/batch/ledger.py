"""The ledger: every series and exam ever seen, in one SQLite file. It decides what is to do; engines only run it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from irae.io.archive import FileOutcome

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, series_uid TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS exams (
    exam TEXT PRIMARY KEY, patient TEXT NOT NULL, date TEXT NOT NULL, state TEXT NOT NULL,
    code TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', input_hash TEXT NOT NULL,
    model_hash TEXT NOT NULL, settings_hash TEXT NOT NULL,
    started_at TEXT, finished_at TEXT, seconds REAL, attempts INTEGER NOT NULL DEFAULT 0, worklist_row TEXT);
CREATE TABLE IF NOT EXISTS courses (patient TEXT PRIMARY KEY, key TEXT NOT NULL, written_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS exams_by_patient ON exams (patient, date);
"""
_VERSION = "1"


class ExamState(Enum):
    """Where an exam stands. FAILED is this program's or machine's fault (a full disk): it is tried again."""

    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkKey:
    """What a result depends on. The same three hashes: the same result, not redone."""

    input_hash: str
    model_hash: str
    settings_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One file of the archive and what became of it."""

    path: str
    series_uid: str
    outcome: str
    code: str
    text: str

    @classmethod
    def of(cls, outcome: FileOutcome) -> FileRow:
        """The row of an archive's file outcome."""
        return cls(
            path=outcome.path, series_uid=outcome.series_uid, outcome=outcome.outcome.value, code=outcome.code,
            text=outcome.text,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """One output folder's memory. Safe to kill at any time: every change is one transaction.

    Args:
        path: The SQLite file; created if absent.

    Raises:
        ValueError: If the file is a ledger of another version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (_VERSION,))
        found = self._db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0]
        if found != _VERSION:
            raise ValueError(f"{path} is a ledger of version {found}, this program writes version {_VERSION}")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def record_files(self, rows: Iterable[FileRow]) -> None:
        """Remembers what became of files; a later word on the same path replaces an earlier one."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                ((r.path, r.series_uid, r.outcome, r.code, r.text) for r in rows),
            )

    def is_settled(self, exam: str, key: WorkKey) -> bool:
        """Whether this exam was done, or quarantined, with exactly this input, these models and these settings."""
        row = self._db.execute(
            "SELECT 1 FROM exams WHERE exam = ? AND state IN ('done', 'quarantined') AND input_hash = ?"
            " AND model_hash = ? AND settings_hash = ?",
            (exam, key.input_hash, key.model_hash, key.settings_hash),
        ).fetchone()
        return row is not None

    def start(self, exam: str, patient: str, date: str, key: WorkKey) -> None:
        """Notes that work on an exam begins."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO exams (exam, patient, date, state, input_hash, model_hash, settings_hash, started_at,"
                " attempts) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, 1)"
                " ON CONFLICT (exam) DO UPDATE SET state = 'running', code = '', reason = '',"
                " input_hash = excluded.input_hash, model_hash = excluded.model_hash,"
                " settings_hash = excluded.settings_hash, started_at = excluded.started_at, finished_at = NULL,"
                " seconds = NULL, attempts = attempts + 1",
                (exam, patient, date, key.input_hash, key.model_hash, key.settings_hash, _now()),
            )

    def finish(self, exam: str, *, seconds: float | None, worklist_row: Mapping[str, Any]) -> None:
        """Notes that an exam's files are all in place."""
        self._end(exam, ExamState.DONE, "", "", seconds, worklist_row)

    def quarantine(self, exam: str, *, code: str, reason: str, worklist_row: Mapping[str, Any]) -> None:
        """Notes that an exam cannot be assessed, and why; it is not tried again until it changes."""
        self._end(exam, ExamState.QUARANTINED, code, reason, None, worklist_row)

    def fail(self, exam: str, *, code: str, reason: str, worklist_row: Mapping[str, Any]) -> None:
        """Notes that assessing an exam broke through no fault of its own; the next run tries again."""
        self._end(exam, ExamState.FAILED, code, reason, None, worklist_row)

    def _end(
        self, exam: str, state: ExamState, code: str, reason: str, seconds: float | None, row: Mapping[str, Any]
    ) -> None:
        with self._transaction():
            changed = self._db.execute(
                "UPDATE exams SET state = ?, code = ?, reason = ?, finished_at = ?, seconds = ?, worklist_row = ?"
                " WHERE exam = ?",
                (state.value, code, reason, _now(), seconds, json.dumps(row), exam),
            ).rowcount
            if changed != 1:
                raise ValueError(f"exam {exam} was never started")

    def worklist_rows(self) -> list[dict[str, Any]]:
        """The rows of every exam that ended, done or quarantined."""
        found = self._db.execute("SELECT worklist_row FROM exams WHERE worklist_row IS NOT NULL ORDER BY exam")
        return [json.loads(row[0]) for row in found]

    def quarantined(self) -> list[dict[str, str]]:
        """What was not used and why: quarantined files, then quarantined exams."""
        rows = [
            {"path": r["path"], "series_uid": r["series_uid"], "exam": "", "code": r["code"], "reason": r["text"]}
            for r in self._db.execute("SELECT * FROM files WHERE outcome = 'quarantined' ORDER BY path")
        ]
        rows += [
            {"path": "", "series_uid": "", "exam": r["exam"], "code": r["code"], "reason": r["reason"]}
            for r in self._db.execute("SELECT * FROM exams WHERE state IN ('quarantined', 'failed') ORDER BY exam")
        ]
        return rows

    def file_counts(self) -> dict[str, int]:
        """Number of files by outcome; the sum is every file ever seen."""
        return {r[0]: r[1] for r in self._db.execute("SELECT outcome, COUNT(*) FROM files GROUP BY outcome")}

    def exam_counts(self) -> dict[str, int]:
        """Number of exams by state."""
        return {r[0]: r[1] for r in self._db.execute("SELECT state, COUNT(*) FROM exams GROUP BY state")}

    def course_is_written(self, patient: str, key: str) -> bool:
        """Whether the patient's course was written from exactly these exams."""
        row = self._db.execute("SELECT 1 FROM courses WHERE patient = ? AND key = ?", (patient, key)).fetchone()
        return row is not None

    def course_written(self, patient: str, key: str) -> None:
        """Notes that the patient's course was written."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO courses VALUES (?, ?, ?)", (patient, key, _now()))
