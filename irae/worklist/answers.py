"""What readers answered: read, or dismissed for a reason. Every answer is kept; the last one counts."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

FILE_NAME = "worklist_answers.jsonl"
LONGEST_READER = 40


class Answer(Enum):
    """What a reader did with an exam."""

    READ = "read"
    DISMISSED = "dismissed"
    REOPENED = "reopened"


# Why a flag was false; the reasons feed retraining.
REASONS: dict[str, str] = {
    "bowel_preparation": "bowel prep", "metformin": "metformin", "brown_fat": "brown fat",
    "radiotherapy": "radiotherapy", "infection": "infection", "other": "other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One answer: the exam, what was done, by whom, when (UTC, ISO 8601), and what the software had said.

    Raises:
        ValueError: If a dismissal has no known reason, or another answer has one.
    """

    exam: str
    answer: Answer
    reason: str
    reader: str
    at: str
    suspected: tuple[str, ...] = ()
    version: str = ""

    def __post_init__(self) -> None:
        if self.answer is Answer.DISMISSED and self.reason not in REASONS:
            raise ValueError(f"a dismissal needs a reason of {', '.join(REASONS)}, got {self.reason!r}")
        if self.answer is not Answer.DISMISSED and self.reason:
            raise ValueError(f"{self.answer.value} takes no reason, got {self.reason!r}")


class Answers:
    """The answers of one output folder, appended to ``worklist_answers.jsonl``."""

    def __init__(self, out: Path) -> None:
        self._path = out / FILE_NAME
        self._lock = threading.Lock()

    def record(
        self, exam: str, answer: Answer, *, reason: str = "", reader: str = "", suspected: tuple[str, ...] = (),
        version: str = "",
    ) -> Recorded:
        """Appends one answer; it is on disk when this returns."""
        recorded = Recorded(
            exam=exam, answer=answer, reason=reason, reader=reader.strip()[:LONGEST_READER],
            at=datetime.now(UTC).isoformat(timespec="seconds"), suspected=suspected, version=version,
        )
        line = json.dumps(asdict(recorded) | {"answer": answer.value}, ensure_ascii=False) + "\n"
        with self._lock, open(self._path, "ab+") as file:
            # A line that a crash cut short must not swallow this one.
            if file.tell() and not self._ends_with_newline():
                line = "\n" + line
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        return recorded

    def _ends_with_newline(self) -> bool:
        with open(self._path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def standing(self) -> dict[str, Recorded]:
        """Exam to its last answer; reopened exams are not listed. Lines that cannot be read are passed over."""
        last: dict[str, Recorded] = {}
        if not self._path.is_file():
            return last
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                recorded = Recorded(
                    **{**entry, "answer": Answer(entry["answer"]), "suspected": tuple(entry.get("suspected", ()))}
                )
            except (ValueError, TypeError, KeyError):
                continue
            last[recorded.exam] = recorded
        return {exam: r for exam, r in last.items() if r.answer is not Answer.REOPENED}
