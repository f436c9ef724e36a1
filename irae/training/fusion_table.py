"""Stage A of the fusion: what both arms say about synthetic patients, one table row per patient, view and irAE.

A patient costs minutes of rendering and networks, a fit costs seconds. So the table is kept, a file per patient, and a
run goes on where the last one stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.context import PatientContext
from irae.core.exam import Exam, Role
from irae.core.finding import LearnedScore, Quantities
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import LabelMap
from irae.findings import assess_findings, measure
from irae.findings.assess import inputs_for_fusion
from irae.io.atomic import write_text
from irae.models.classifiers import PackagedClassifier
from irae.models.runtime import Device, use_threads
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, head_geometry, render_exam
from irae.phantom.truth import PhantomExam
from irae.pipeline import acquisition_quantities
from irae.quant.uptake import uptake_reference

# Grids of a PET/CT and of an MR of the sella, mm; a little coarser than usual ones, for their cost.
CT_MM, PET_MM, MR_MM = (2.5, 2.5, 4.0), (4.0, 4.0, 4.0), 1.0
MR_BOX_MM = (120.0, 150.0, 120.0)
IRAE_CHANCE = 0.5
# The published rule each irAE is compared with: an SUV percentile, as Hribernik 2022 (colon, lung, thyroid) and Clin
# Nucl Med 10.1097/RLU.0000000000005440 (pituitary) give it. None is published for the liver: its median stands in.
SUV_RULE: Mapping[Irae, str] = {
    Irae.COLITIS: "colon.suv95", Irae.PNEUMONITIS: "lung.suv95", Irae.THYROIDITIS: "thyroid_gland.suv75",
    Irae.HEPATITIS: "liver.suv_median", Irae.HYPOPHYSITIS: "pituitary.tbr",
}
TRUE_MASKS = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of an exam is shown: its PET, the patient's baseline, what is known of the therapy."""

    name: str
    pet: bool = True
    baseline: bool = True
    context: bool = True


VIEWS = (
    View(name="all"),
    View(name="no_pet", pet=False),
    View(name="no_baseline", baseline=False),
    View(name="no_context", context=False),
    View(name="bare", pet=False, baseline=False, context=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRow:
    """One irAE of one patient in one view.

    Attributes:
        seed, view, irae: Which.
        present, visible, severity: The truth; present and not visible leaves no sign on any image.
        assessable: Whether any arm had an answer.
        inputs: Those of ``findings.fusion``, by name.
        rule_known, learned_known: Whether the arm had an answer.
        classifier: Digest of the learned arm's package; empty where it had no answer.
        suv_rule: The number of the published SUV rule; None where it could not be measured.
    """

    seed: int
    view: str
    irae: str
    present: bool
    visible: bool
    severity: int
    assessable: bool
    inputs: Mapping[str, float]
    rule_known: bool
    learned_known: bool
    classifier: str
    suv_rule: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """What a row depends on besides its seed.

    Attributes:
        weights: Folder of packages: segmenters and classifiers.
        masks: ``found`` by the packaged segmenter, as in use, or ``true``.
        ct_mm, pet_mm, mr_mm: Grids of the images.
    """

    weights: Path
    masks: str = "found"
    ct_mm: tuple[float, float, float] = CT_MM
    pet_mm: tuple[float, float, float] = PET_MM
    mr_mm: float = MR_MM


def fusion_table(
    seeds: Sequence[int], settings: TableSettings, *, cache_folder: Path, key: str, workers: int = 1
) -> Iterator[list[FusionRow]]:
    """The rows of every seed, in order; what the cache holds is not made again.

    Args:
        seeds: One synthetic patient each.
        settings: What they are looked at with.
        cache_folder: Holds ``<key>/<seed>.json``; made if absent.
        key: Digest of everything a row depends on (``table_key``).
        workers: Processes.
    """
    folder = cache_folder / key
    folder.mkdir(parents=True, exist_ok=True)
    todo = [seed for seed in seeds if not (folder / f"{seed}.json").is_file()]
    make = partial(_kept_rows, settings=settings, folder=folder)
    if workers == 1:
        made: Iterator[int] = map(make, todo)
        yield from _in_order(seeds, set(todo), made, folder)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from _in_order(seeds, set(todo), pool.map(make, todo), folder)


def table_key(settings: TableSettings, generator: str, models: Mapping[str, str]) -> str:
    """A short digest of what rows depend on: the phantom's code, every model, the rules and measures, the grids."""
    parts = {
        "generator": generator, "models": dict(models), "masks": settings.masks, "rules": _code_digest(),
        "grids": [*settings.ct_mm, *settings.pet_mm, settings.mr_mm],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _code_digest() -> str:
    """Over the source of what measures and judges."""
    from irae import findings, quant

    digest = hashlib.sha256()
    for package in (findings, quant):
        for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _in_order(
    seeds: Sequence[int], todo: set[int], made: Iterator[int], folder: Path
) -> Iterator[list[FusionRow]]:
    for seed in seeds:
        if seed in todo:
            next(made)
        yield read_rows(folder / f"{seed}.json")


def read_rows(path: Path) -> list[FusionRow]:
    """The rows of one patient from the cache."""
    return [FusionRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _kept_rows(seed: int, *, settings: TableSettings, folder: Path) -> int:
    rows = patient_rows(seed, settings)
    write_text(folder / f"{seed}.json", json.dumps([asdict(row) for row in rows]) + "\n")
    return seed


def fusion_patient(seed: int) -> Patient:
    """A synthetic patient with a baseline and one exam on treatment, half of all irAEs, and the usual confounders."""
    return draw_patient(
        np.random.default_rng((seed, 0xF05E)), visits=2, key=f"FUSION-{seed}", seed=seed,
        disease=DiseasePlan(
            irae=dict.fromkeys(Irae, IRAE_CHANCE),
            confounder={kind: min(1.3 * share, 0.4) for kind, share in CONFOUNDER_SHARE.items()},
        ),
        plan=VisitPlan(has_pet=True, mr=True, traps=0.15),
    )


def patient_rows(seed: int, settings: TableSettings) -> list[FusionRow]:
    """All rows of one patient: five views of the exam on treatment, five irAEs each."""
    patient = fusion_patient(seed)
    before, now = (_seen(patient, visit, settings) for visit in (0, 1))
    classifier = _classifier(settings.weights)
    baseline = BaselineImages(
        ct=before.exam.ct, pet=before.exam.pet, organs=before.organs, mr=before.exam.mr, pituitary=before.pituitary
    )
    scores: dict[tuple[bool, bool], dict[Irae, LearnedScore]] = {}  # networks see no context: views share their answers
    rows: list[FusionRow] = []
    for view in VIEWS:
        exam = _shown(now.exam, view)
        quantities = now.quantities if view.pet else _without_pet(now.quantities)
        earlier = (_earlier_result(before, exam),) if view.baseline else ()
        seen = view.pet, view.baseline
        if seen not in scores:
            scores[seen] = classifier.score(exam, now.organs, now.pituitary, baseline if view.baseline else None)
        learned = scores[seen]
        findings = assess_findings(
            exam, organs=now.organs, pituitary=now.pituitary, quantities=quantities, learned=learned, earlier=earlier
        )
        for finding in findings:
            irae = Irae(finding.irae.value)
            truth, score = now.made.truth.irae(irae), learned.get(irae)
            labels = now.pituitary if irae is Irae.HYPOPHYSITIS else now.organs
            inputs = inputs_for_fusion(
                irae, exam, labels=labels, quantities=quantities, learned=score, earlier=earlier
            )
            rows.append(
                FusionRow(
                    seed=seed, view=view.name, irae=irae.value, present=truth.present, visible=truth.visible,
                    severity=truth.severity, assessable=finding.probability is not None,
                    inputs={k: round(v, 6) for k, v in inputs.items()}, rule_known=finding.rule_probability is not None,
                    learned_known=score is not None, classifier="" if score is None else score.model,
                    suv_rule=quantities.get(SUV_RULE[irae]),
                )
            )
    return rows


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Seen:
    """One visit, rendered, segmented and measured."""

    made: PhantomExam
    exam: Exam
    organs: LabelMap | None
    pituitary: LabelMap | None
    quantities: Quantities


def _seen(patient: Patient, visit: int, settings: TableSettings) -> _Seen:
    head = head_geometry(patient, visit, settings.mr_mm, box_mm=MR_BOX_MM)
    made = render_exam(
        patient, visit, ct_geometry=body_geometry(patient, visit, settings.ct_mm),
        pet_geometry=body_geometry(patient, visit, settings.pet_mm), mr_geometry=head,
    )
    exam = made.exam
    organs, pituitary = made.organs, made.pituitary
    if settings.masks != TRUE_MASKS:
        segmenter = _segmenter(settings.weights)
        assert exam.ct is not None
        organs = segmenter.segment_ct(exam.ct)
        pituitary = segmenter.segment_mr(exam.mr) if exam.mr is not None else None
    reference = uptake_reference(exam.pet, organs) if exam.pet is not None else None
    measured = measure(exam, organs, pituitary, reference)
    quantities = Quantities({**measured.values, **acquisition_quantities(exam, reference)})
    return _Seen(made=made, exam=exam, organs=organs, pituitary=pituitary, quantities=quantities)


def _shown(exam: Exam, view: View) -> Exam:
    volumes = {role: volume for role, volume in exam.volumes.items() if view.pet or role is not Role.PET}
    context = exam.context if view.context else PatientContext()
    return replace(exam, volumes=volumes, context=context)


def _without_pet(quantities: Quantities) -> Quantities:
    def from_pet(name: str) -> bool:
        measure_name = name.rsplit(".", 1)[-1]
        return name.startswith("pet.") or "suv" in measure_name or measure_name in ("tbr", "median_to_liver")

    return Quantities({name: value for name, value in quantities.values.items() if not from_pet(name)})


def _earlier_result(before: _Seen, now: Exam) -> ExamResult:
    """The baseline as the history of the exam: its measurements and its own answers, by rules alone."""
    exam = replace(before.exam, context=now.context)
    findings = assess_findings(
        exam, organs=before.organs, pituitary=before.pituitary, quantities=before.quantities, learned={}, earlier=()
    )
    return ExamResult(
        patient=exam.patient, acquired_on=exam.acquired_on, modalities=("CT", "MR", "PT"), organs={},
        quantities=before.quantities, findings=findings, foci=(), assessments=(), hinges_on=(),
        triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()), notices=(),
        versions=Versions(irae="", models={}, settings=""),
    )


@cache
def _segmenter(weights: Path) -> PackagedSegmenter:
    use_threads(1)
    return PackagedSegmenter.from_folder(weights, device=Device.AUTO)


@cache
def _classifier(weights: Path) -> PackagedClassifier:
    use_threads(1)
    return PackagedClassifier.from_folder(weights, device=Device.AUTO)
