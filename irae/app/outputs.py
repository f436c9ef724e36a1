"""The output folder: exam folders, course pages, worklist and quarantine. Everything appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from irae.batch.ledger import Ledger
from irae.core.anatomy import Irae
from irae.core.context import PatientContext
from irae.core.course import Course
from irae.core.errors import StudyError
from irae.core.exam import Exam, Role
from irae.core.finding import Decision, EpisodeState
from irae.core.focus import FocusStatus, Nature
from irae.core.notice import Notice
from irae.core.result import ExamResult
from irae.core.volume import LabelMap
from irae.io.archive import ExamPlan
from irae.io.atomic import write_text
from irae.io.nifti import read_array, write_labels
from irae.io.result_json import read_result, write_course, write_result
from irae.pipeline import AssessedExam
from irae.report import ExamImages, write_course_page, write_exam_page

ASIDE = ".aside-"
PRIORITY_ORDER = {"stat": 0, "urgent": 1, "routine": 2}


def clear_half_written(out: Path) -> None:
    """Removes what a killed run left aside; finished folders are untouched."""
    for folder in out.glob(f"*/{ASIDE}*"):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def finished_results(folder: Path) -> list[Path]:
    """The result.json of every finished exam of a patient's folder, oldest first."""
    return sorted(path for path in folder.glob("*/result.json") if not path.parent.name.startswith("."))


def write_exam_folder(
    out: Path,
    assessed: AssessedExam,
    images: ExamImages,
    *,
    plan: ExamPlan,
    baseline: tuple[ExamResult, ExamImages] | None,
    history: Sequence[ExamResult] = (),
    seg_sr: bool = True,
) -> Path:
    """Writes one exam's folder aside; ``put_in_place`` then gives it its name.

    Returns:
        The folder aside, complete.
    """
    result = assessed.result
    final = out / result.patient / result.acquired_on.isoformat()
    aside = out / result.patient / f"{ASIDE}{final.name}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    if assessed.organs is not None:
        organs = assessed.organs
        write_labels(aside / "organs.nii.gz", organs.array, organs.geometry, _names(organs))
    if assessed.pituitary is not None:
        mr = assessed.pituitary
        name = "organs_mr.nii.gz" if assessed.organs is not None else "organs.nii.gz"
        write_labels(aside / name, mr.array, mr.geometry, _names(mr))
    if assessed.foci_labels is not None and assessed.foci_geometry is not None:
        natures = {a.focus.id: a.nature.value for a in result.foci if a.focus.status is not FocusStatus.GONE}
        write_labels(aside / "foci.nii.gz", assessed.foci_labels, assessed.foci_geometry, natures)
    missing = write_dicom_results(aside, plan, assessed) if seg_sr else None
    if missing is not None:
        result = replace(result, notices=(*result.notices, missing))
    targets = {track for a in result.assessments for track in a.targets}
    write_exam_page(
        aside / "report.html", result, images, baseline=baseline, earlier=history, targets=sorted(targets)
    )
    write_result(aside / "result.json", result)
    return aside


def _names(labels: LabelMap) -> dict[int, str]:
    return {label: organ for organ, label in labels.labels.items()}


def read_assessed(folder: Path, exam: Exam) -> AssessedExam:
    """An exam's folder read back as it was assessed."""
    result = read_result(folder / "result.json")
    both = exam.ct is not None and exam.mr is not None
    foci = read_array(folder / "foci.nii.gz") if (folder / "foci.nii.gz").is_file() else None
    return AssessedExam(
        result=result,
        organs=_read_labels(folder / "organs.nii.gz", result, body=True) if exam.ct is not None else None,
        pituitary=None if exam.mr is None
        else _read_labels(folder / ("organs_mr.nii.gz" if both else "organs.nii.gz"), result, body=False),
        foci_labels=None if foci is None else foci[0].astype(np.uint16),
        foci_geometry=None if foci is None else foci[1],
    )


def _read_labels(path: Path, result: ExamResult, *, body: bool) -> LabelMap:
    array, geometry = read_array(path)
    organs = {name: seen for name, seen in result.organs.items() if (name != "pituitary") is body}
    return LabelMap(
        array=array.astype(np.uint8), geometry=geometry,
        labels={name: seen.label for name, seen in organs.items() if seen.label},
        coverage={name: seen.coverage for name, seen in organs.items()},
        rejected={name: seen.rejected for name, seen in organs.items() if seen.rejected},
    )


def put_in_place(aside: Path, final: Path) -> None:
    """Renames a finished folder onto its name; an older one steps aside first and is then removed."""
    if final.exists():
        old = final.with_name(f"{ASIDE}old-{final.name}-{os.getpid()}")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
        os.rename(aside, final)
        shutil.rmtree(old)
    else:
        os.rename(aside, final)


def write_course_files(out: Path, course: Course, context: PatientContext) -> None:
    """Writes course.json and course.html of one patient."""
    folder = out / course.patient
    write_course(folder / "course.json", course)
    write_course_page(folder / "course.html", course, context=context)


def worklist_row(result: ExamResult) -> dict[str, Any]:
    """One exam's row of the worklist."""
    responses: dict[str, dict[str, str]] = {}
    for a in result.assessments:
        responses.setdefault(a.criterion, {})[a.view.value] = a.category
    return {
        "exam": result.key,
        "patient": result.patient,
        "date": result.acquired_on.isoformat(),
        "state": "done",
        "modalities": list(result.modalities),
        "priority": result.triage.priority.value,
        "score": round(result.triage.score, 4),
        "acr_category": result.triage.acr_category,
        "reasons": list(result.triage.reasons),
        "suspected": [
            {"irae": f.irae.value, "probability": f.probability, "threshold": f.threshold, "severity": f.severity,
             "state": f.state.value}
            for f in result.findings if f.decision is Decision.SUSPECTED
        ],
        "not_assessable": [
            f.irae.value
            for f in result.findings if f.decision is Decision.NOT_ASSESSABLE and isinstance(f.irae, Irae)
        ],
        "new_episode": any(f.state in (EpisodeState.NEW, EpisodeState.RECURRENT) for f in result.findings),
        # On a first exam every focus is new to us, not to the patient.
        "new_metastasis": not any(n.code == "no_baseline" for n in result.notices) and any(
            a.nature is Nature.METASTASIS and a.focus.status is FocusStatus.NEW for a in result.foci
        ),
        "views_differ": any(len(set(views.values())) > 1 for views in responses.values()),
        "responses": responses,
        "qc": "limited" if any(n.limits for n in result.notices) else "ok",
        "notices": sorted({n.code for n in result.notices}),
        "limits": sorted({n.code for n in result.notices if n.limits}),
        "report": f"{result.key}/report.html",
        "course": f"{result.patient}/course.html",
        "versions": {"irae": result.versions.irae, "models": dict(result.versions.models)},
    }


def quarantine_row(exam: str, *, code: str, reason: str) -> dict[str, Any]:
    """The worklist row of an exam that could not be assessed: shown as not analysed, never as a quiet no."""
    patient, _, date = exam.rpartition("/")
    return {
        "exam": exam, "patient": patient, "date": date, "state": "quarantined", "modalities": [],
        "priority": "routine", "score": 0.0, "acr_category": None, "reasons": [f"Not analysed ({code}): {reason}"],
        "suspected": [], "not_assessable": ["colitis", "pneumonitis", "thyroiditis", "hepatitis", "hypophysitis"],
        "new_episode": False, "new_metastasis": False, "views_differ": False, "responses": {}, "qc": "rejected",
        "notices": [code], "report": None, "course": None, "versions": {},
    }


def write_worklist(out: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes worklist.json and worklist.csv, most urgent first.

    Order: priority, ACR category, score, then exams that were not analysed before quiet ones, then the newest first.
    """
    ordered = sorted(rows, key=lambda r: r["exam"])
    ordered.sort(key=lambda r: r["date"], reverse=True)
    ordered.sort(
        key=lambda r: (
            PRIORITY_ORDER[r["priority"]], r["acr_category"] or 9, -r["score"], r["state"] != "quarantined"
        )
    )
    write_text(
        out / "worklist.json",
        json.dumps({"schema": "irae.worklist/1", "research_use_only": True, "exams": ordered}, indent=1) + "\n",
    )
    table = io.StringIO()
    columns = ["priority", "acr_category", "score", "exam", "patient", "date", "state", "modalities", "suspected",
               "not_assessable", "new_metastasis", "views_differ", "qc", "report"]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        suspected = "; ".join(f"{s['irae']} p={s['probability']:.2f} ({s['state']})" for s in row["suspected"])
        writer.writerow(
            {**row, "modalities": "+".join(row["modalities"]), "suspected": suspected,
             "not_assessable": "; ".join(row["not_assessable"])}
        )
    write_text(out / "worklist.csv", table.getvalue())


def write_quarantine(out: Path, ledger: Ledger) -> None:
    """Writes quarantine.csv: what was not used and why, in words."""
    table = io.StringIO()
    writer = csv.DictWriter(table, ["path", "series_uid", "exam", "code", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _cell(v) for k, v in row.items()} for row in ledger.quarantined())
    write_text(out / "quarantine.csv", table.getvalue())


def _cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula (names of files come from outside)."""
    return "'" + text if text and text[0] in "=+-@\t\r" else text


def write_dicom_results(folder: Path, plan: ExamPlan, assessed: AssessedExam) -> Notice | None:
    """Writes seg.dcm and sr.dcm on the CT (else PET, else MR) of an exam that came as DICOM; else nothing.

    Returns:
        Why they could not be written, for the reader; None where they were, or where the input was no DICOM. Headers
        from outside lack all kinds of things; that costs these two files, never the exam.
    """
    from irae.io.dicom_seg import write_seg
    from irae.io.dicom_sr import write_sr

    files = {
        role: [file.path for file in series.files] for role, series in plan.chosen.items() if series.kind != "nifti"
    }
    role = next((role for role in (Role.CT, Role.PET, Role.MR) if role in files), None)
    if role is None:
        return None
    result = assessed.result
    try:
        seg = write_seg(
            folder / "seg.dcm", source=files[role], versions=result.versions, patient=result.patient,
            organs=assessed.pituitary if role is Role.MR else assessed.organs,
            foci=result.foci, foci_labels=assessed.foci_labels, foci_geometry=assessed.foci_geometry,
        )
        sources = [path for paths in files.values() for path in paths]
        write_sr(folder / "sr.dcm", result=result, source=sources, seg=seg)
    except (StudyError, KeyError, AttributeError, ValueError, TypeError) as error:
        for name in ("seg.dcm", "sr.dcm"):
            (folder / name).unlink(missing_ok=True)
        return Notice(
            "dicom_results_missing",
            f"seg.dcm and sr.dcm were not written: the {plan.chosen[role].modality} headers do not allow it "
            f"({type(error).__name__}).",
        )
    return None
