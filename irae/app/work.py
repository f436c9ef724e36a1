"""The work of one run: which exams, in which order, and what happens to each. Exams of a patient follow by date."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path

from irae import __version__
from irae.app.outputs import (
    finished_results,
    put_in_place,
    quarantine_row,
    read_assessed,
    worklist_row,
    write_course_files,
    write_exam_folder,
)
from irae.batch.ledger import FileRow, Ledger, WorkKey
from irae.batch.local import Ended
from irae.core.context import PatientContext
from irae.core.errors import StudyError
from irae.core.exam import Exam, Role
from irae.core.notice import Notice
from irae.core.result import ExamResult, Versions
from irae.io.archive import CONTRADICTED, ArchiveIndex, ExamPlan, ExamUnusableError, ReadExam, people, read_exam
from irae.io.result_json import read_result, result_from_json, result_to_json
from irae.lesions import EarlierExam
from irae.pipeline import AssessedExam, Stages, assess_exam, assess_whole_course
from irae.report import ExamImages


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExamWork:
    """One exam on the list: to assess, or (done before) only to look back at.

    Attributes:
        plan, context: The exam, and what is known of the patient.
        key: What its result depends on.
        assess: Whether it is to be assessed.
        person: Which of the people under one patient id, from 0; mostly there is one.
        strangers: Dates of exams under the same id that may be of another person: it is not compared with them.
        off_course: Dates of exams that are not of the person of the newest exam: the course page leaves them out.
        notices: What is to be said of that.
    """

    plan: ExamPlan
    context: PatientContext
    key: WorkKey
    assess: bool
    person: int = 0
    strangers: frozenset[date] = frozenset()
    off_course: frozenset[date] = frozenset()
    notices: tuple[Notice, ...] = ()

    @property
    def exam(self) -> str:
        """patient/date."""
        return self.plan.key


def read_work(item: ExamWork) -> ReadExam:
    """Reads one exam's images. Runs in a reader process."""
    read = read_exam(item.plan, item.context)
    return replace(read, exam=replace(read.exam, notices=(*read.exam.notices, *item.notices)))


def input_digest(plan: ExamPlan, context: PatientContext, earlier: str, *, source: Path) -> str:
    """``sha256:...`` over what an exam's result depends on: its files, the patient's context, the exams before it.

    Files count by name, size and time of change, not by content: reading every pixel to find that nothing changed
    would cost as much as the work itself.
    """
    digest = hashlib.sha256(earlier.encode())
    for series in plan.series:
        digest.update(f"{series.key}|{series.role}|{series.code}".encode())
        for file in series.files:
            digest.update(f"{file.name}|{file.size}|{_modified_ns(source, file.name)}".encode())
    for entry in context.entries:
        digest.update(f"{entry.kind.value}|{entry.value}|{entry.start}|{entry.end}".encode())
    return f"sha256:{digest.hexdigest()}"


def _modified_ns(source: Path, name: str) -> int:
    """When a file of the archive changed last; of a file inside a zip, when the zip did."""
    path = source
    if not path.is_file():
        for part in name.split("/"):
            path = path / part
            if path.is_file():
                break
    return path.stat().st_mtime_ns if path.is_file() else 0


def models_digest(models: Mapping[str, str]) -> str:
    """``sha256:...`` over the digests of all models in use."""
    return "sha256:" + hashlib.sha256(json.dumps(dict(models), sort_keys=True).encode()).hexdigest()


def list_work(
    index: ArchiveIndex,
    contexts: Mapping[str, PatientContext],
    *,
    key_of: Callable[[str], WorkKey],
    is_done: Callable[[ExamPlan, WorkKey], bool],
) -> list[ExamWork]:
    """What is to do, patient by patient, oldest exam first.

    A changed exam makes the patient's later exams change too. Done exams are read again only where a later exam of
    the patient needs their images: the first and the last of the body, and the first of the head alone. Where exams
    under one id may be of two people, the exams of one follow those of the other and are not compared with them.
    """
    work: list[ExamWork] = []
    by_patient = sorted(index.exams, key=lambda plan: (plan.patient, plan.acquired_on))
    for patient, plans in groupby(by_patient, key=lambda plan: plan.patient):
        context = contexts.get(patient, PatientContext())
        everyone = people(list(plans))
        days = [frozenset(plan.acquired_on for plan, _ in exams) for exams in everyone]
        everyday = frozenset[date]().union(*days)
        newest = next(own for own in days if max(everyday) in own)
        for person, exams in enumerate(everyone):
            chain = ""
            listed: list[ExamWork] = []
            for plan, notices in exams:
                said = chain + "".join(notice.text for notice in notices)
                chain = input_digest(plan, context, said, source=index.source)
                key = key_of(chain)
                listed.append(ExamWork(plan=plan, context=context, key=key, assess=not is_done(plan, key),
                                       person=person, strangers=everyday - days[person],
                                       off_course=everyday - newest, notices=notices))
            work += _needed(listed)
    return work


def _needed(listed: Sequence[ExamWork]) -> list[ExamWork]:
    """The exams of one person to assess, and the done ones whose images they need."""
    first = next((i for i, item in enumerate(listed) if item.assess), len(listed))
    done = listed[:first] if first < len(listed) else []
    body = [item for item in done if {Role.CT, Role.PET} & set(item.plan.chosen)]
    head = [item for item in done if item not in body]
    needed = [*body[:1], *body[-1:], *head[:1]]
    return [item for item in listed if item.assess or item in needed]


def record_unusable(index: ArchiveIndex, ledger: Ledger) -> None:
    """Exams without a usable series: quarantined by name, so that they are on the worklist as not analysed."""
    for plan in index.unusable:
        reasons = sorted({series.text for series in plan.series if series.text})
        code = plan.series[0].code if plan.series else "nothing_usable"
        reason = " ".join(reasons) or "No series of this exam can be used."
        digest = input_digest(plan, PatientContext(), "", source=index.source)
        key = WorkKey(input_hash=digest, model_hash="", settings_hash="")
        ledger.start(plan.key, plan.patient, plan.acquired_on.isoformat(), key)
        ledger.quarantine(plan.key, code=code, reason=reason,
                          worklist_row=quarantine_row(plan.key, code=code, reason=reason))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Looked:
    """An assessed exam with its images, for the exams after it."""

    assessed: AssessedExam
    exam: Exam

    @property
    def images(self) -> ExamImages:
        """What a report draws."""
        a = self.assessed
        return ExamImages(
            exam=self.exam, organs=a.organs, pituitary=a.pituitary, foci_labels=a.foci_labels,
            foci_geometry=a.foci_geometry, evidence_maps=a.evidence_maps,
        )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Made:
    """What was made of one item: an assessed exam and what its report compares with; None for a look back."""

    now: Looked | None
    baseline: Looked | None
    history: tuple[ExamResult, ...]
    started: float
    read: ReadExam


class CourseDesk:
    """Assesses the exams of a run, keeping per patient what later exams need."""

    def __init__(
        self, *, out: Path, ledger: Ledger, stages: Stages, models: Mapping[str, str], settings: str, seg_sr: bool
    ) -> None:
        self.out = out
        self.ledger = ledger
        self.stages = stages
        self.models = dict(models)
        self.settings = settings
        self.seg_sr = seg_sr
        self._patient = ("", 0)
        self._history: dict[date, ExamResult] = {}
        self._baseline: Looked | None = None
        self._previous: Looked | None = None
        self._first_head_mr: Looked | None = None
        self._any_item: dict[str, ExamWork] = {}

    def key_of(self, input_hash: str) -> WorkKey:
        """What a result made by this desk from this input depends on."""
        return WorkKey(input_hash=input_hash, model_hash=models_digest(self.models), settings_hash=self.settings)

    def is_done(self, plan: ExamPlan, key: WorkKey) -> bool:
        """Whether the exam needs no work: settled in the ledger, or its whole folder was put in place before a kill."""
        if self.ledger.is_settled(plan.key, key):
            return True
        path = self.out / plan.key / "result.json"
        if not path.is_file():
            return False
        result = read_result(path)
        made_with = WorkKey(
            input_hash=result.versions.input, model_hash=models_digest(result.versions.models),
            settings_hash=result.versions.settings,
        )
        if made_with != key:
            return False
        self.ledger.start(plan.key, plan.patient, plan.acquired_on.isoformat(), key)
        self.ledger.finish(plan.key, seconds=None, worklist_row=worklist_row(result))
        return True

    def compute(self, item: ExamWork, read: ReadExam) -> Made:
        """Assesses one exam after those before it; runs in order, in one thread."""
        self._turn_to(item)
        if not item.assess:
            self._remember(self._look_back(item, read))
            return Made(now=None, baseline=None, history=(), started=time.monotonic(), read=read)
        started = time.monotonic()
        self.ledger.start(item.exam, item.plan.patient, item.plan.acquired_on.isoformat(), item.key)
        versions = Versions(
            irae=__version__, models=self.models, settings=self.settings, input=item.key.input_hash
        )
        images = [
            EarlierExam(
                result=looked.assessed.result, exam=looked.exam, organs=looked.assessed.organs,
                pituitary=looked.assessed.pituitary,
            )
            for looked in dict.fromkeys((self._baseline, self._previous, self._first_head_mr)) if looked is not None
        ]
        history = [self._history[day] for day in sorted(self._history) if day < item.plan.acquired_on]
        assessed = assess_exam(read.exam, history=history, images=images, stages=self.stages, versions=versions)
        now = Looked(assessed=assessed, exam=read.exam)
        baseline = self._baseline if images_body(read.exam) else self._first_head_mr
        made = Made(now=now, baseline=baseline, history=tuple(history), started=started, read=read)
        # Later exams see what was written, rounded as it was written: a run that is resumed must not differ.
        written = result_from_json(result_to_json(assessed.result))
        self._history[item.plan.acquired_on] = written
        self._remember(Looked(assessed=replace(assessed, result=written), exam=read.exam))
        return made

    def write(self, item: ExamWork, made: Made) -> None:
        """Writes one exam's folder; runs in a writer thread."""
        if made.now is None:
            return
        baseline = (made.baseline.assessed.result, made.baseline.images) if made.baseline is not None else None
        aside = write_exam_folder(
            self.out, made.now.assessed, made.now.images, plan=item.plan, baseline=baseline, history=made.history,
            seg_sr=self.seg_sr,
        )
        put_in_place(aside, self.out / item.exam)

    def ended(self, ended: Ended[ExamWork, Made]) -> None:
        """Enters what became of an exam in the ledger."""
        item = ended.item
        if ended.made is not None:
            self.ledger.record_files(FileRow.of(outcome) for outcome in ended.made.read.outcomes)
            if ended.made.now is not None:
                result = ended.made.now.assessed.result
                self.ledger.finish(
                    item.exam, seconds=time.monotonic() - ended.made.started, worklist_row=worklist_row(result)
                )
            return
        self.ledger.start(item.exam, item.plan.patient, item.plan.acquired_on.isoformat(), item.key)
        self._history.pop(item.plan.acquired_on, None)
        if isinstance(ended.error, ExamUnusableError):
            self.ledger.record_files(FileRow.of(outcome) for outcome in ended.error.outcomes)
        if isinstance(ended.error, StudyError):
            row = quarantine_row(item.exam, code=ended.error.code, reason=ended.error.text)
            self.ledger.quarantine(item.exam, code=ended.error.code, reason=ended.error.text, worklist_row=row)
        else:
            # The text of an unexpected error may hold anything from a header; its type and place do not.
            reason = _where(ended.error)
            row = quarantine_row(item.exam, code="internal_error", reason=reason)
            self.ledger.fail(item.exam, code="internal_error", reason=reason, worklist_row=row)

    def write_courses(self) -> None:
        """Writes the course of every patient whose exams changed since it was last written."""
        for folder in sorted(p for p in self.out.iterdir() if p.is_dir()):
            exams = [read_result(path) for path in finished_results(folder)]
            if not exams:
                continue
            key = models_digest({e.key: e.versions.input + e.versions.settings for e in exams})
            if self.ledger.course_is_written(folder.name, key) and (folder / "course.html").exists():
                continue
            item = self._any_item.get(folder.name)
            context = item.context if item is not None else PatientContext()
            own = [e for e in exams if item is None or e.acquired_on not in item.off_course]
            course = assess_whole_course(own, context=context)
            notices = dict.fromkeys(n for e in own for n in e.notices if n.code == CONTRADICTED)
            write_course_files(self.out, replace(course, notices=tuple(notices)), context)
            self.ledger.course_written(folder.name, key)

    def _turn_to(self, item: ExamWork) -> None:
        patient = item.plan.patient
        self._any_item[patient] = item
        if (patient, item.person) == self._patient:
            return
        self._patient = (patient, item.person)
        self._baseline, self._previous, self._first_head_mr = None, None, None
        results = map(read_result, finished_results(self.out / patient))
        self._history = {r.acquired_on: r for r in results if r.acquired_on not in item.strangers}

    def _remember(self, looked: Looked) -> None:
        if images_body(looked.exam):
            self._baseline = self._baseline or looked
            self._previous = looked
        elif self._first_head_mr is None:
            self._first_head_mr = looked

    def _look_back(self, item: ExamWork, read: ReadExam) -> Looked:
        folder = self.out / item.exam
        return Looked(assessed=read_assessed(folder, read.exam), exam=read.exam)


def images_body(exam: Exam) -> bool:
    """Whether an exam shows the body (CT or PET), and not the head alone."""
    return exam.ct is not None or exam.pet is not None


def _where(error: Exception | None) -> str:
    if error is None:
        return "unknown"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame is not None else "?"
    return f"{type(error).__name__} at {place}"
