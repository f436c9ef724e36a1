"""The phantom as a source of training cases, made in processes of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from irae import phantom
from irae.core.anatomy import Irae
from irae.core.volume import LabelMap
from irae.models.crops import CropSpec, organ_crops
from irae.models.runtime import Device, use_threads
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import head_geometry, render_exam
from irae.phantom.sample import training_sample
from irae.phantom.truth import PhantomExam
from irae.training.data import LabelledCrops, Sample
from irae.training.provenance import SYNTHETIC
from irae.training.settings import Target

Made = TypeVar("Made")
# Of the MR cases, this share is a whole head and the rest a box that holds the sella; both occur in practice.
WHOLE_HEAD_SHARE = 0.35
# The sella of a standard body (right, anterior, mm below the vertex) and the sizes of the boxes, mm.
SELLA_MM, BOX_MM = (0.0, 20.0, 112.0), (64.0, 120.0)
# Chance of each irAE in the patients that classifiers learn from; about 15 % of them leave no sign.
IRAE_CHANCE = 0.5
# Voxels of the CT and PET that classifiers learn from; their crops are of 5 and 6 mm, but for the thyroid's.
BODY_MM = 5.0


class PhantomSource:
    """Synthetic patients. workers: processes that make cases; they come back in the order of the seeds."""

    name = "phantom"
    provenance = SYNTHETIC

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self._workers = workers

    @property
    def digest(self) -> str:
        """``sha256:...`` over the generator's own code."""
        return generator_digest()

    def segmentation(self, target: Target, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[Sample]:
        """CT with organs, CT of the neck with the thyroid, or T1c MR with the pituitary."""
        make = {Target.organs: organs_sample, Target.thyroid: neck_sample, Target.pituitary: pituitary_sample}[target]
        return self._made(partial(make, spacing_mm=spacing_mm), seeds)

    def classification(
        self, specs: Mapping[Irae, CropSpec], seeds: Sequence[int], *, organs_package: Path | None = None
    ) -> Iterator[Mapping[Irae, LabelledCrops]]:
        """Crops around the organ of each irAE that is in the picture."""
        return self._made(partial(irae_samples, specs=dict(specs), organs_package=organs_package), seeds)

    def _made(self, make: Callable[[int], Made], seeds: Sequence[int]) -> Iterator[Made]:
        if self._workers == 1:
            yield from map(make, seeds)
            return
        # Spawned, not forked: a fork of a process with torch's threads can hang.
        with ProcessPoolExecutor(self._workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(make, seeds, chunksize=4)


@cache
def generator_digest() -> str:
    """``sha256:...`` over every source file of the phantom."""
    folder = Path(phantom.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def organs_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A CT of any part of the body with its organs."""
    made = training_sample(seed, spacing_mm=spacing_mm, with_pet=False)
    assert made.exam.ct is not None
    assert made.organs is not None
    return Sample(made.exam.ct, made.organs)


def neck_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A CT of neck and chest with its organs: what a finer network for the thyroid sees, and how it is placed."""
    made = training_sample(seed, spacing_mm=spacing_mm, field="neck_chest", with_pet=False)
    assert made.exam.ct is not None
    assert made.organs is not None
    return Sample(made.exam.ct, made.organs)


def pituitary_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A T1c MR of the whole head or of a box that holds the sella, with the gland; healthy and inflamed."""
    made = _head(seed, {Irae.HYPOPHYSITIS: 0.5}, spacing_mm=spacing_mm)
    assert made.exam.mr is not None
    assert made.pituitary is not None
    return Sample(made.exam.mr, made.pituitary)


def _head(
    seed: int, chances: dict[Irae, float], *, spacing_mm: float, whole_share: float = WHOLE_HEAD_SHARE
) -> PhantomExam:
    patient = _patient(seed, chances, with_mr=True)
    head = head_geometry(patient, 0, spacing_mm)
    rng = np.random.default_rng((seed, 0x5E11A))
    if rng.random() >= whole_share:
        sella = patient.visits[0].pose.to_world(patient.anatomy.point(*SELLA_MM))
        middle = head.to_index(np.asarray(sella) + rng.uniform(-15.0, 15.0, 3))
        half = rng.uniform(*BOX_MM) / 2.0 / np.array(head.spacing_mm)
        start = np.clip(np.floor(middle - half), 0, np.array(head.shape) - 8).astype(int)
        stop = np.clip(np.ceil(middle + half), start + 8, head.shape).astype(int)
        head = head.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return render_exam(patient, 0, with_ct=False, with_pet=False, with_mr=True, mr_geometry=head)


def irae_samples(
    seed: int, *, specs: Mapping[Irae, CropSpec], organs_package: Path | None = None
) -> dict[Irae, LabelledCrops]:
    """Crops of one patient around the organ of each irAE asked for that is in the picture."""
    chances = dict.fromkeys(Irae, IRAE_CHANCE)
    found: dict[Irae, LabelledCrops] = {}
    if Irae.HYPOPHYSITIS in specs:
        spec = specs[Irae.HYPOPHYSITIS]
        head = _head(seed, chances, spacing_mm=spec.spacing_mm, whole_share=0.0)
        found |= _labelled(head, head.organs, Irae.HYPOPHYSITIS, spec)
    on_ct = [irae for irae in specs if irae is not Irae.HYPOPHYSITIS]
    if not on_ct:
        return found
    body = training_sample(seed, spacing_mm=BODY_MM, irae=chances)
    organs = body.organs
    if organs_package is not None:
        assert body.exam.ct is not None
        organs = _segmenter(organs_package).segment_ct(body.exam.ct)
    for irae in on_ct:
        found |= _labelled(body, organs, irae, specs[irae])
    return found


def _labelled(made: PhantomExam, organs: LabelMap | None, irae: Irae, spec: CropSpec) -> dict[Irae, LabelledCrops]:
    crops = organ_crops(made.exam, organs, made.pituitary, irae=irae, patch=spec.patch, spacing_mm=spec.spacing_mm)
    if crops is None:
        return {}
    truth = made.truth.irae(irae)
    # Half precision, four times as many patients in memory: 0.5 HU at 1000 HU.
    kept = {source: array.astype(np.float16) for source, array in crops.items()}
    return {irae: LabelledCrops(kept, positive=truth.visible, hidden=truth.present and not truth.visible)}


@cache
def _segmenter(package: Path) -> PackagedSegmenter:
    use_threads(1)
    return PackagedSegmenter.from_folder(package, device=Device.CPU)


def _patient(seed: int, chances: dict[Irae, float], *, with_mr: bool) -> Patient:
    """One visit of a random patient, drawn as widely as ``phantom.training_sample`` draws."""
    return draw_patient(
        np.random.default_rng((seed, 0x1AE)), visits=1, key=f"SAMPLE-{seed}", seed=seed,
        disease=DiseasePlan(irae=chances, confounder={k: min(1.6 * v, 0.4) for k, v in CONFOUNDER_SHARE.items()}),
        plan=VisitPlan(has_pet=True, mr=with_mr, wide=1.6),
    )
