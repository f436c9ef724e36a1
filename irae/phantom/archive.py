"""Writes a synthetic study archive: DICOM as scanners send it, context.csv, and the truth beside it.

out/dicom/<patient>/<date>/{CT,PT,MR}/*.dcm     what `infer.py archive=` reads
out/context.csv                                 what `infer.py context=` reads
out/truth/<patient>/<date>/truth.json organs.nii.gz
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from datetime import date, timedelta
from enum import Enum
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from irae.core.anatomy import Irae
from irae.core.context import ContextKind, PatientContext
from irae.core.exam import Role
from irae.core.volume import LabelMap
from irae.io.dicom_write import Injection, SeriesHeader, scan_moment, write_ct_series, write_mr_series, write_pet_series
from irae.io.nifti import write_labels
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, render_exam
from irae.phantom.tissue import Phase
from irae.phantom.truth import PhantomExam
from irae.quant.resample import labels_onto

CT_SPACING_MM = (2.0, 2.0, 4.0)
PET_SPACING_MM = (4.0, 4.0, 4.0)
TRUTH_SPACING_MM = (4.0, 4.0, 4.0)
QUIET = dict.fromkeys(CONFOUNDER_SHARE, 0.0)


def _course(visits: int, *severity: int) -> tuple[int, ...]:
    """Severities stretched to a number of visits: baseline first, the last value kept."""
    if visits == 1:
        return (max(severity),)
    return tuple(severity[min(n, len(severity) - 1)] for n in range(visits))


def demo_plan(number: int, visits: int) -> tuple[DiseasePlan, VisitPlan]:
    """What the n-th patient of an archive must show; patients after the fourth are drawn freely.

    The first four cover, whatever the seed: a visible colitis with a response; a pneumonitis with a new metastasis;
    a hypophysitis (with head MR) and thyroiditis with a pseudoprogression; no irAE at all, but metformin.
    """
    none = dict.fromkeys(Irae, 0.0)
    if number == 0:
        return (
            DiseasePlan(
                irae=none,
                force={Irae.COLITIS: _course(visits, 0, 3, 1)},
                lesion_course="response",
                confounder={**QUIET, "physiologic_bowel": 0.0, "fatty_liver": 0.3},
                min_lesions=3,
                max_lesions=5,
            ),
            VisitPlan(phase=Phase.PORTAL, has_pet=True, mr=False, weeks=(9, 8)),
        )
    if number == 1:
        return (
            DiseasePlan(
                irae=none,
                force={Irae.PNEUMONITIS: _course(visits, 0, 1, 2)},
                lesion_course="stable",
                force_new=True,
                confounder={**QUIET, "physiologic_bowel": 0.5},
                min_lesions=3,
                max_lesions=4,
            ),
            VisitPlan(phase=Phase.NATIVE, has_pet=True, mr=False, weeks=(8, 9)),
        )
    if number == 2:
        return (
            DiseasePlan(
                irae=none,
                force={Irae.HYPOPHYSITIS: _course(visits, 0, 3, 2), Irae.THYROIDITIS: _course(visits, 0, 2, 3)},
                lesion_course="pseudoprogression",
                confounder=QUIET,
                min_lesions=3,
                max_lesions=4,
            ),
            VisitPlan(phase=Phase.PORTAL, has_pet=True, mr=True, weeks=(8, 6)),
        )
    if number == 3:
        return (
            DiseasePlan(irae=none, lesion_course="progression", confounder={**QUIET, "metformin": 1.0}, min_lesions=3,
                max_lesions=4),
            VisitPlan(phase=Phase.PORTAL, has_pet=True, mr=False, weeks=(9, 9)),
        )
    return DiseasePlan(), VisitPlan(traps=0.15)


def archive_patient(number: int, *, seed: int, visits: int) -> Patient:
    """The n-th patient (from 0) of the archive of a seed."""
    disease, plan = demo_plan(number, visits)
    rng = np.random.default_rng((seed, number))
    return draw_patient(rng, visits=visits, key=f"PHANTOM-{number + 1:04d}", seed=seed, disease=disease, plan=plan)


def has_baseline(number: int, *, seed: int, visits: int) -> bool:
    """Whether the n-th patient's exam before therapy is in the archive: a tenth of the later patients lack it."""
    return number < 4 or visits == 1 or bool(np.random.default_rng((seed, number, 0xBA5E)).random() >= 0.1)


def write_archive(out: Path, *, patients: int, seed: int, visits: int = 3, workers: int = 2) -> Path:
    """A synthetic study archive, the same bytes for the same arguments.

    Args:
        out: Folder, made if absent; ``out/dicom`` must not hold files yet.
        patients: How many; at least 1. Four or more cover the instructive cases of ``demo_plan``.
        seed: Everything follows from it.
        visits: Exams per patient.
        workers: Processes; 1 renders in this one.

    Returns:
        ``out``.

    Raises:
        ValueError: If a number is out of range or ``out/dicom`` is not empty.
    """
    if patients < 1 or visits < 1 or workers < 1:
        raise ValueError(f"patients, visits and workers must be at least 1, got {patients}, {visits}, {workers}")
    dicom = out / "dicom"
    if dicom.exists() and any(dicom.iterdir()):
        raise ValueError(f"{dicom} is not empty; an archive is written into a fresh folder")
    dicom.mkdir(parents=True, exist_ok=True)
    jobs = [
        (out, number, seed, visits, visit)
        for number in range(patients)
        for visit in range(visits)
        if visit > 0 or has_baseline(number, seed=seed, visits=visits)
    ]
    contexts = {p.key: p.context for p in (archive_patient(n, seed=seed, visits=visits) for n in range(patients))}
    write_context(out / "context.csv", contexts)
    if workers == 1 or len(jobs) == 1:
        for job in jobs:
            _write_visit(job)
    else:
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
            list(pool.map(_write_visit, jobs))
    return out


def write_context(path: Path, contexts: Mapping[str, PatientContext]) -> None:
    """context.csv: patient_id, date, end_date, kind, value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["patient_id", "date", "end_date", "kind", "value"])
        for key in sorted(contexts):
            for e in contexts[key].entries:
                table.writerow([key, e.start or "", e.end or "", e.kind.value, e.value])


def _write_visit(job: tuple[Path, int, int, int, int]) -> None:
    out, number, seed, visits, visit = job
    patient = archive_patient(number, seed=seed, visits=visits)
    today = patient.visits[visit]
    exam = render_exam(
        patient,
        visit,
        ct_geometry=body_geometry(patient, visit, CT_SPACING_MM),
        pet_geometry=body_geometry(patient, visit, PET_SPACING_MM),
    )
    base = out / "dicom" / patient.key
    folder = base / today.acquired_on.isoformat()
    start = scan_moment(today.acquired_on, hour=9, minute=10)
    about = SeriesHeader(
        patient_id=patient.key,
        sex=patient.anatomy.sex,
        birth_year=_birth_year(patient),
        weight_kg=patient.anatomy.weight_kg,
        height_cm=patient.anatomy.height_cm,
        study_key=f"{seed}/{patient.key}/{visit}",
        series_key="CT",
        acquired_at=start,
        description="CT",
        study_description="PET/CT" if exam.exam.pet is not None else "CT",
        contrast_agent="" if today.phase is Phase.NATIVE else "iodinated contrast",
    )
    volumes = exam.exam.volumes
    write_ct_series(
        folder / "CT", volumes[Role.CT], replace(about, series_number=2, description=f"CT body {today.phase.value}")
    )
    if exam.exam.pet is not None:
        injected = start - timedelta(seconds=round(60 * today.scanner.uptake_minutes))
        write_pet_series(
            folder / "PT",
            exam.exam.pet,
            replace(about, series_key="PT", series_number=3, description="PET FDG AC", contrast_agent=""),
            injection=Injection(dose_mbq=today.scanner.injected_mbq, injected_at=injected),
        )
    if exam.exam.mr is not None and today.mr_on is not None:
        write_mr_series(
            base / today.mr_on.isoformat() / "MR",
            exam.exam.mr,
            replace(
                about,
                study_key=f"{seed}/{patient.key}/{visit}/MR",
                series_key="MR",
                series_number=5,
                study_description="MR head",
                acquired_at=scan_moment(today.mr_on, hour=14),
                description="T1 post contrast",
                contrast_agent="gadolinium",
            ),
        )
    _write_truth(
        out / "truth" / patient.key / today.acquired_on.isoformat(),
        exam,
        mr_on=today.mr_on,
        baseline=has_baseline(number, seed=seed, visits=visits),
    )


def _birth_year(patient: Patient) -> int | None:
    value = patient.context.latest(ContextKind.BIRTH_YEAR, date.max)
    return int(value) if value else None


def plain(value: Any) -> Any:
    """Dataclasses, enums and dates as JSON can hold them."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    return value


def _write_truth(folder: Path, exam: PhantomExam, *, mr_on: date | None, baseline: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    truth = {
        "schema": "irae.phantom_truth/1",
        "mr_on": plain(mr_on),
        "baseline_in_archive": baseline,
        **plain(asdict(exam.truth)),
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    if exam.organs is not None:
        coarse = labels_onto(exam.organs, exam.organs.geometry.with_spacing(TRUTH_SPACING_MM))
        _write_labels(folder / "organs.nii.gz", coarse)
    if exam.pituitary is not None:
        _write_labels(folder / "pituitary.nii.gz", exam.pituitary)


def _write_labels(path: Path, labels: LabelMap) -> None:
    write_labels(path, labels.array, labels.geometry, {value: name for name, value in labels.labels.items()})
