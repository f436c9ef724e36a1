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
from irae.core.anatomy import FurtherIrae, Irae
from irae.models.crops import CropSpec
from irae.phantom.sample import training_sample
from irae.phantom.truth import PhantomExam
from irae.training.data import FociSample, LabelledCrops, Sample
from irae.training.phantom_crops import head_exam, irae_samples, random_patient
from irae.training.provenance import SYNTHETIC
from irae.training.settings import Target

Made = TypeVar("Made")
# Seeds from here on are for measuring. Of the cases that segmenters learn from, this share is not randomised.
HELD_OUT_SEED, REALISTIC_SHARE = 1_000_000, 0.4
# A mask must survive the disease it looks for: segmenters meet opaque lungs and thick bowel more often than not.
SEGMENTER_IRAES = dict.fromkeys(Irae, 0.35) | {Irae.PNEUMONITIS: 0.65, Irae.COLITIS: 0.5}
# The same of inflamed adrenals, thick to twice their width.
ADRENALITIS_SHARE = 0.35
# Of the MR cases, this share is a whole head and the rest a box that holds the sella; both occur in practice.
WHOLE_HEAD_SHARE = 0.35


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
        """CT with organs, CT of the part of the body where a network looks closer, or T1c MR with the pituitary."""
        return self._made(partial(SAMPLES.get(target, organs_sample), spacing_mm=spacing_mm), seeds)

    def foci(self, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[FociSample]:
        """PET/CT of any part of the body with metastases, inflammation and everything that looks like them."""
        return self._made(partial(foci_sample, spacing_mm=spacing_mm), seeds)

    def classification(
        self, specs: Mapping[Irae, CropSpec], seeds: Sequence[int], *, organs_package: Path | None = None,
        found_share: float = 1.0, baseline_share: float = 1.0,
    ) -> Iterator[Mapping[Irae, LabelledCrops]]:
        """Crops around the organ of each irAE that is in the picture, of patients with a healthy first exam."""
        make = partial(
            irae_samples, specs=dict(specs), organs_package=organs_package, found_share=found_share,
            baseline_share=baseline_share,
        )
        return self._made(make, seeds)

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
    """A CT of any part of the body with its organs, as a scanner gives it or wildly randomised."""
    made = training_sample(
        seed, spacing_mm=spacing_mm, irae=SEGMENTER_IRAES, with_pet=False, realistic=_realistic(seed)
    )
    return _ct_with_organs(made)


def foci_sample(seed: int, *, spacing_mm: float) -> FociSample:
    """A PET/CT with its focal lesions, on one grid."""
    made = training_sample(seed, spacing_mm=spacing_mm, realistic=_realistic(seed), with_foci=True)
    assert made.exam.ct is not None
    assert made.exam.pet is not None
    assert made.foci is not None
    return FociSample(made.exam.ct, made.exam.pet, made.foci)


def neck_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A CT of neck and chest with its organs: what a finer network for the thyroid sees, and how it is placed."""
    made = training_sample(
        seed, spacing_mm=spacing_mm, field="neck_chest", with_pet=False, realistic=_realistic(seed)
    )
    return _ct_with_organs(made)


def abdomen_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A CT of the abdomen with its organs: what a finer network for the adrenals sees, and how it is placed."""
    made = training_sample(
        seed, spacing_mm=spacing_mm, field="abdomen", with_pet=False, realistic=_realistic(seed),
        confounder={FurtherIrae.ADRENALITIS.value: ADRENALITIS_SHARE},
    )
    return _ct_with_organs(made)


def muscle_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A CT of any part of a body that has muscles."""
    made = training_sample(seed, spacing_mm=spacing_mm, with_pet=False, realistic=_realistic(seed), crude_share=0.0)
    return _ct_with_organs(made)


def _ct_with_organs(made: PhantomExam) -> Sample:
    assert made.exam.ct is not None
    assert made.organs is not None
    return Sample(made.exam.ct, made.organs)


def _realistic(seed: int) -> bool:
    """Whether the patient of a seed is spared domain randomisation: every held-out one, and a share of the others.

    What is measured must be what a scanner could give; what is learnt from must be more than that.
    """
    return seed >= HELD_OUT_SEED or bool(np.random.default_rng((seed, 0x4EA1)).random() < REALISTIC_SHARE)


def pituitary_sample(seed: int, *, spacing_mm: float) -> Sample:
    """A T1c MR of the whole head or of a box that holds the sella, with the gland; healthy and inflamed."""
    patient = random_patient(seed, {Irae.HYPOPHYSITIS: 0.5}, visits=1, with_mr=True)
    rng = np.random.default_rng((seed, 0x5E11A))
    made = head_exam(patient, 0, rng, spacing_mm=spacing_mm, whole_share=WHOLE_HEAD_SHARE)
    assert made.exam.mr is not None
    assert made.pituitary is not None
    return Sample(made.exam.mr, made.pituitary)


# What is not made whole; everything else is ``organs_sample``.
SAMPLES = {
    Target.thyroid: neck_sample, Target.adrenals: abdomen_sample, Target.muscle: muscle_sample,
    Target.pituitary: pituitary_sample,
}
