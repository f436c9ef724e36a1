"""Courses of synthetic patients through the product's own pipeline, with the truth of every focus, kept on disk.

What is kept is each exam's result without its decisions' images: attribution and response can be made again from it in
no time, while rendering, finding, measuring and matching take seconds an exam.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import irae
from irae.attribution import attribute
from irae.attribution.learned import LearnedModel
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.focus import Nature
from irae.core.ports import Segmenter
from irae.core.result import ExamResult, Versions
from irae.core.volume import LabelMap, Volume
from irae.io.atomic import write_text
from irae.io.result_json import result_from_json, result_to_json
from irae.lesions import EarlierExam
from irae.models.classifiers import PackagedClassifier
from irae.models.package import find_packages
from irae.models.runtime import Device, use_threads
from irae.models.segmenters import PackagedSegmenter
from irae.phantom.disease import DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, render_exam
from irae.phantom.truth import PhantomExam
from irae.pipeline import Stages, assess_exam, result_unseen, scorable_course
from irae.response.views import assess_course
from irae.training.attribution_truth import DrawnLesion, Labels, label_foci

# What a cached case depends on. Attribution, response and triage are made again from it.
SOURCES = ("core", "quant", "findings", "lesions", "phantom", "models")
RECISTS = ("recist_1_1", "irecist")
NO_DIGEST = "sha256:" + 64 * "0"
VERSIONS = Versions(irae="case", models={}, settings=NO_DIGEST, input=NO_DIGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePlan:
    """How a course is made.

    Attributes:
        spacing_mm: Voxels of the CT; the PET's are 4 mm.
        packaged: Organs as the packaged network finds them; else the true ones.
        weights: Folder of model packages; their classifiers score the findings.
        visits: Exams of the patient. first: The first that is shown; 1: a patient without baseline.
        course: How the metastases go (``phantom.disease.COURSES``); None: drawn.
    """

    spacing_mm: float
    packaged: bool
    weights: str
    visits: int
    first: int = 0
    course: str | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CaseExam:
    """One exam of a case: its result as written, what is true of it, CPU seconds by step."""

    result: ExamResult
    truth: Labels
    seconds: Mapping[str, float]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Case:
    """A course of one synthetic patient."""

    seed: int
    plan: CasePlan
    context: PatientContext
    exams: tuple[CaseExam, ...]


class TrueOrgans:
    """A segmenter that gives the drawn organs of the exam it was told of."""

    name = "truth"
    digests: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.shown: PhantomExam | None = None

    def for_exam(self, patient: str, acquired_on: date) -> TrueOrgans:
        """The same for every exam."""
        return self

    def segment_ct(self, ct: Volume) -> LabelMap:
        """The drawn organs."""
        assert self.shown is not None
        assert self.shown.organs is not None
        return self.shown.organs

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The drawn pituitary."""
        assert self.shown is not None
        assert self.shown.pituitary is not None
        return self.shown.pituitary


def draw(seed: int, visits: int, course: str | None = None) -> Patient:
    """The patient of a seed: PET/CT at every visit, no MR."""
    return draw_patient(
        np.random.default_rng(seed), visits=visits, key=f"P{seed}", seed=seed,
        disease=DiseasePlan(lesion_course=course), plan=VisitPlan(has_pet=True, mr=False),
    )


def render(patient: Patient, visit: int, spacing_mm: float) -> PhantomExam:
    """One exam: CT at the asked spacing, PET at 4 mm, no MR."""
    grid = body_geometry(patient, visit, (spacing_mm, spacing_mm, spacing_mm))
    return render_exam(patient, visit, ct_geometry=grid, with_pet=True, with_mr=False)


def make_case(seed: int, plan: CasePlan) -> Case:
    """Renders a patient's exams and runs each through the pipeline, with the earlier ones as it would have them."""
    use_threads(1)
    patient = draw(seed, plan.visits, plan.course)
    truth = TrueOrgans()
    segmenter: Segmenter = _packaged(plan.weights) if plan.packaged else truth
    stages = Stages(segmenter=segmenter, classifier=_classifier(plan.weights))
    exams: list[CaseExam] = []
    images: list[EarlierExam] = []
    for visit in range(plan.first, plan.visits):
        started = time.process_time()
        shown = truth.shown = render(patient, visit, plan.spacing_mm)
        rendered = time.process_time()
        at_hand = images if len(images) < 2 else [images[0], images[-1]]
        assessed = assess_exam(
            shown.exam, history=[e.result for e in exams], images=at_hand, stages=stages,
            versions=VERSIONS,
        )
        seconds = {"render": rendered - started, "assess": time.process_time() - rendered}
        assert assessed.foci_labels is not None
        assert assessed.foci_geometry is not None
        labels = label_foci(patient, visit, shown, assessed.result.foci, assessed.foci_labels, assessed.foci_geometry)
        written = result_from_json(result_to_json(assessed.result))
        images.append(EarlierExam(written, shown.exam, assessed.organs))
        exams.append(CaseExam(result=written, truth=labels, seconds=seconds))
    return Case(seed=seed, plan=plan, context=patient.context, exams=tuple(exams))


def decided_again(
    case: Case, learned: LearnedModel | None, *, what_if: bool = False
) -> tuple[ExamResult, ...]:
    """The case's results with attribution and response made anew, each exam with the earlier ones as now decided.

    RECIST 1.1 and iRECIST in both views, with readings where ``what_if``; hinges and triage are left out.
    """
    done: list[ExamResult] = []
    for exam in case.exams:
        result = exam.result
        foci = attribute(
            [a.focus for a in result.foci], findings=result.findings, quantities=result.quantities,
            context=case.context, on=result.acquired_on, reference=None, earlier=done, unseen=result_unseen(result),
            learned=learned,
        )
        again = replace(result, foci=foci, assessments=(), hinges_on=())
        course, baseline = scorable_course([*done, again], case.context)
        assessments, _ = assess_course(course, criteria=RECISTS, baseline_index=baseline, what_if=what_if)
        done.append(replace(again, assessments=assessments))
    return tuple(done)


def cases(
    plans: Mapping[int, CasePlan], folder: Path, *, workers: int = 1
) -> Iterator[Case]:
    """One case per seed, in order: from the folder where it was made by the same code before, else made and kept.

    Args:
        plans: Seed to plan.
        folder: Keeps ``<digest>/<seed>.json``; an interrupted run goes on where it stopped.
        workers: Processes.
    """
    make = partial(_kept, folder=str(folder / cases_digest()))
    if workers == 1:
        yield from map(make, plans.items())
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, plans.items())


def _kept(item: tuple[int, CasePlan], folder: str) -> Case:
    seed, plan = item
    key = hashlib.sha256(json.dumps(asdict(plan) | {"weights": weights_digest(plan.weights)}, sort_keys=True).encode())
    path = Path(folder) / f"{seed}-{key.hexdigest()[:8]}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(case_to_json(make_case(seed, plan))))
    return case_from_json(json.loads(path.read_text()))


@cache
def cases_digest() -> str:
    """Twelve hex digits over the code that makes a case."""
    package = Path(irae.__file__).parent
    digest = hashlib.sha256()
    own = [package / "pipeline.py", Path(__file__), Path(__file__).with_name("attribution_truth.py")]
    for path in sorted([*own, *(p for room in SOURCES for p in (package / room).rglob("*.py"))]):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def weights_digest(weights: str) -> str:
    """Over the cards of a folder of packages, the attribution model's left out: a case does not depend on it."""
    digest = hashlib.sha256()
    for folder in find_packages(Path(weights)):
        digest.update((folder / "card.json").read_bytes())
    return digest.hexdigest()


@cache
def _packaged(weights: str) -> PackagedSegmenter:
    return PackagedSegmenter.from_folder(Path(weights), device=Device.CPU)


@cache
def _classifier(weights: str) -> PackagedClassifier:
    return PackagedClassifier.from_folder(Path(weights), device=Device.CPU)


def case_to_json(case: Case) -> dict[str, Any]:
    """A case as plain JSON values."""
    return {
        "seed": case.seed, "plan": asdict(case.plan),
        "context": [
            {"kind": e.kind.value, "value": e.value, "start": e.start and e.start.isoformat(),
             "end": e.end and e.end.isoformat()} for e in case.context.entries
        ],
        "exams": [
            {
                "result": result_to_json(exam.result), "seconds": dict(exam.seconds),
                "lesions": [asdict(x) | {"nature": x.nature.value} for x in exam.truth.lesions],
                "nature": {str(i): n and n.value for i, n in exam.truth.nature.items()},
                "drawn": sorted(exam.truth.drawn),
            } for exam in case.exams
        ],
    }


def case_from_json(data: Mapping[str, Any]) -> Case:
    """Reads a case back."""
    return Case(
        seed=data["seed"], plan=CasePlan(**data["plan"]),
        context=PatientContext.of(
            ContextEntry(kind=ContextKind(e["kind"]), value=e["value"],
                         start=e["start"] and date.fromisoformat(e["start"]),
                         end=e["end"] and date.fromisoformat(e["end"])) for e in data["context"]
        ),
        exams=tuple(
            CaseExam(
                result=result_from_json(exam["result"]), seconds=exam["seconds"],
                truth=Labels(
                    lesions=tuple(DrawnLesion(**x | {"nature": Nature(x["nature"])}) for x in exam["lesions"]),
                    nature={int(i): n and Nature(n) for i, n in exam["nature"].items()},
                    drawn=frozenset(exam["drawn"]),
                ),
            ) for exam in data["exams"]
        ),
    )


def planned(seeds: Sequence[int], *, spacing_mm: float, weights: Path, seed: int = 0) -> dict[int, CasePlan]:
    """Training plans: half with packaged masks, a quarter without baseline, two to four exams."""
    plans = {}
    for one in seeds:
        rng = np.random.default_rng((one, seed, 0xA77))
        visits = int(rng.integers(2, 5))
        plans[one] = CasePlan(
            spacing_mm=spacing_mm, packaged=bool(rng.random() < 0.5), weights=str(weights), visits=visits,
            first=int(rng.random() < 0.25),
        )
    return plans
