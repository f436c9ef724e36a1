"""Crops for the classifiers from synthetic patients: a healthy first exam, and a second one with or without irAEs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.volume import LabelMap
from irae.models.crops import CropSpec, organ_crops
from irae.models.runtime import Device, use_threads
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, head_geometry, render_exam
from irae.phantom.truth import PhantomExam
from irae.training.data import LabelledCrops

BASELINE_VISIT, VISIT = 0, 1
# Chance of each irAE in the patients that classifiers learn from; about 15 % of them leave no sign.
IRAE_CHANCE = 0.5
# Chance that the second exam is of another scanner or contrast phase, as in practice.
TRAP_CHANCE = 0.25
# Voxels of the CT and PET that classifiers learn from; their crops are of 5 and 6 mm, but for the thyroid's.
BODY_MM = 5.0
FIELD_SHARE = {"whole": 0.4, "chest_abdomen": 0.35, "chest": 0.08, "abdomen": 0.07, "neck_chest": 0.10}
# The sella of a standard body (right, anterior, mm below the vertex) and the sizes of the boxes around it, mm.
SELLA_MM, BOX_MM = (0.0, 20.0, 112.0), (64.0, 120.0)


def irae_samples(
    seed: int, *, specs: Mapping[Irae, CropSpec], organs_package: Path | None = None, found_share: float = 1.0,
    baseline_share: float = 1.0,
) -> dict[Irae, LabelledCrops]:
    """Crops of one patient around the organ of each irAE asked for that is in the picture; see ``data.Source``."""
    rng = np.random.default_rng((seed, 0xBA5E))
    compares, finds = rng.random() < baseline_share, rng.random() < found_share
    package = organs_package if finds else None
    patient = random_patient(seed, dict.fromkeys(Irae, IRAE_CHANCE), visits=2, with_mr=True)
    found: dict[Irae, LabelledCrops] = {}
    if Irae.HYPOPHYSITIS in specs:
        spec = specs[Irae.HYPOPHYSITIS]
        head, baseline = head_exam(patient, VISIT, rng, spacing_mm=spec.spacing_mm), None
        if compares:
            before = head_exam(patient, BASELINE_VISIT, rng, spacing_mm=spec.spacing_mm)
            baseline = BaselineImages(mr=before.exam.mr, pituitary=before.pituitary)
        found |= _labelled(head, None, baseline, Irae.HYPOPHYSITIS, spec)
    on_ct = [irae for irae in specs if irae is not Irae.HYPOPHYSITIS]
    if not on_ct:
        return found
    field = str(rng.choice(list(FIELD_SHARE), p=list(FIELD_SHARE.values())))
    body, baseline = body_exam(patient, VISIT, rng, field), None
    if compares:
        before = body_exam(patient, BASELINE_VISIT, rng, field)
        baseline = BaselineImages(ct=before.exam.ct, pet=before.exam.pet, organs=_organs(before, package))
    organs = _organs(body, package)
    for irae in on_ct:
        found |= _labelled(body, organs, baseline, irae, specs[irae])
    return found


def random_patient(seed: int, chances: Mapping[Irae, float], *, visits: int, with_mr: bool) -> Patient:
    """A random patient, drawn as widely as ``phantom.training_sample`` draws."""
    return draw_patient(
        np.random.default_rng((seed, 0x1AE)), visits=visits, key=f"SAMPLE-{seed}", seed=seed,
        disease=DiseasePlan(
            irae=dict(chances), confounder={k: min(1.6 * v, 0.4) for k, v in CONFOUNDER_SHARE.items()}
        ),
        plan=VisitPlan(has_pet=True, mr=with_mr, wide=1.6, traps=TRAP_CHANCE if visits > 1 else 0.0),
    )


def body_exam(patient: Patient, visit: int, rng: np.random.Generator, field: str) -> PhantomExam:
    """CT and PET of a field of view that is cut anywhere near its landmarks."""
    grid = body_geometry(
        patient, visit, (BODY_MM,) * 3, field=field, width_mm=float(rng.uniform(380, 480)),
        depth_mm=float(rng.uniform(300, 400)),
    )
    low, high = (int(cut / BODY_MM) for cut in rng.uniform(0, 60, 2))
    if grid.shape[2] - low - high > 24:
        grid = grid.cropped((0, 0, low), (grid.shape[0], grid.shape[1], grid.shape[2] - high))
    return render_exam(patient, visit, ct_geometry=grid, pet_geometry=grid, with_pet=True, with_mr=False)


def head_exam(
    patient: Patient, visit: int, rng: np.random.Generator, *, spacing_mm: float, whole_share: float = 0.0
) -> PhantomExam:
    """A T1c MR of a box that holds the sella, or in a share of the cases of the whole head."""
    head = head_geometry(patient, visit, spacing_mm)
    if rng.random() >= whole_share:
        sella = patient.visits[visit].pose.to_world(patient.anatomy.point(*SELLA_MM))
        middle = head.to_index(np.asarray(sella) + rng.uniform(-15.0, 15.0, 3))
        half = rng.uniform(*BOX_MM) / 2.0 / np.array(head.spacing_mm)
        start = np.clip(np.floor(middle - half), 0, np.array(head.shape) - 8).astype(int)
        stop = np.clip(np.ceil(middle + half), start + 8, head.shape).astype(int)
        head = head.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return render_exam(patient, visit, with_ct=False, with_pet=False, with_mr=True, mr_geometry=head)


def _labelled(
    made: PhantomExam, organs: LabelMap | None, baseline: BaselineImages | None, irae: Irae, spec: CropSpec
) -> dict[Irae, LabelledCrops]:
    seen = organ_crops(
        made.exam, organs, made.pituitary, irae=irae, patch=spec.patch, spacing_mm=spec.spacing_mm, baseline=baseline
    )
    if seen is None:
        return {}
    truth = made.truth.irae(irae)
    # Half precision, four times as many patients in memory: 0.5 HU at 1000 HU.
    kept = {source: array.astype(np.float16) for source, array in seen.crops.items()}
    return {irae: LabelledCrops(
        kept, positive=truth.visible, hidden=truth.present and not truth.visible,
        severity=truth.severity if truth.visible else 0,
    )}


def _organs(made: PhantomExam, package: Path | None) -> LabelMap | None:
    """The true organs, or those that a package finds."""
    if package is None or made.exam.ct is None:
        return made.organs
    return _segmenter(package).segment_ct(made.exam.ct)


@cache
def _segmenter(package: Path) -> PackagedSegmenter:
    use_threads(1)
    return PackagedSegmenter.from_folder(package, device=Device.CPU)
