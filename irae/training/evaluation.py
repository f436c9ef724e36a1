"""What models are worth on exams whose truth is known: organs, irAEs and foci, patient by patient.

Exams are seen as in use: organs are found, never given, and the classifiers look where they were found.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cc3d
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from irae.core.anatomy import BY_NAME
from irae.core.baseline import BaselineImages
from irae.core.ports import Classifier, LesionNetwork, Segmenter
from irae.core.volume import LabelMap, Volume
from irae.lesions import find_foci
from irae.models.plausibility import PLAUSIBILITY
from irae.quant.uptake import uptake_reference
from irae.training.annotated import AnnotatedExam, TrueFocus
from irae.training.metrics import dice

# Surfaces this far apart agree (between the 3 mm that is usual for organs at risk and the grid that organs are found
# on); a found focus this near to a true one's surface is it. Design values.
SURFACE_MM, FOCUS_MM = 4.0, 8.0
# Methods of finding foci, scored by SUVmax and by the network's probability. What the network is surer of than the
# least is a candidate.
THRESHOLDS, NETWORK = "thresholds", "network"
LEAST_PROBABILITY, EVEN = 0.1, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamRow:
    """Something measured on one exam, and the subgroups that the exam belongs to."""

    patient: str
    exam: str
    groups: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganRow(ExamRow):
    """One organ of one exam. believed: whether the mask passed the plausibility gates; if not, Dice is 0."""

    organ: str
    dice: float
    surface_dice: float | None
    hd95_mm: float | None
    believed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow(ExamRow):
    """The learned score of one irAE on one exam; probability None where it was not assessable."""

    irae: str
    positive: bool
    hidden: bool
    probability: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FociRow(ExamRow):
    """The foci of an exam by one method: how many are true, the score of each that was found, and of each false one."""

    method: str
    true: int
    found: tuple[float, ...]
    false: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that was measured, exam by exam, before any average."""

    organs: tuple[OrganRow, ...] = ()
    scores: tuple[ScoreRow, ...] = ()
    foci: tuple[FociRow, ...] = ()

    @property
    def patients(self) -> int:
        """How many patients were seen."""
        rows: tuple[ExamRow, ...] = (*self.organs, *self.scores, *self.foci)
        return len({row.patient for row in rows})


def evaluate(
    exams: Iterable[AnnotatedExam], *, segmenter: Segmenter, classifier: Classifier | None,
    lesions: LesionNetwork | None = None,
) -> Evaluation:
    """Runs the models on every exam and compares with its truth.

    Args:
        exams: With their truth; what nobody looked for is not compared.
        segmenter: Finds organs. classifier: Scores irAEs; None: only organs and foci are measured.
        lesions: Finds lesions on PET/CT beside the thresholds, where it is there.
    """
    organs: list[OrganRow] = []
    scores: list[ScoreRow] = []
    foci: list[FociRow] = []
    for known in exams:
        exam, groups = known.exam, groups_of(known)
        its = segmenter.for_exam(exam.patient, exam.acquired_on)
        found = its.segment_ct(exam.ct) if exam.ct is not None else None
        gland = its.segment_mr(exam.mr) if exam.mr is not None else None
        for truth, mask in ((known.organs, found), (known.pituitary, gland)):
            if truth is not None and mask is not None:
                organs += organ_rows(exam.patient, exam.key, truth, mask, groups)
        if classifier is not None:
            # A pituitary that the segmenter has no network for is taken as it was drawn.
            seen = gland if gland is not None and gland.seen("pituitary") else known.pituitary
            learned = classifier.score(exam, found, seen, _baseline(known, its))
            for irae, present in known.present.items():
                score = learned.get(irae)
                scores.append(ScoreRow(
                    patient=exam.patient, exam=exam.key, irae=irae.value, positive=known.visible[irae],
                    hidden=present and not known.visible[irae], groups=groups,
                    probability=None if score is None else score.probability,
                    threshold=None if score is None else score.threshold,
                ))
        if known.foci is not None and (exam.ct is not None or exam.pet is not None):
            foci.append(_foci_row(known, known.foci, found))
            if lesions is not None and exam.ct is not None and exam.pet is not None:
                likely = candidates(lesions.probability(exam.ct, exam.pet))
                foci.append(_row(known, NETWORK, hits_and_false(likely, known.foci), known.foci))
    return Evaluation(organs=tuple(organs), scores=tuple(scores), foci=tuple(foci))


def groups_of(known: AnnotatedExam) -> dict[str, str]:
    """The subgroups of an exam: those of its table, and whether it has a PET and a baseline."""
    return dict(known.groups) | {
        "PET": "with" if known.exam.pet is not None else "without",
        "baseline": "with" if known.before is not None else "without",
    }


def organ_rows(
    patient: str, exam: str, truth: LabelMap, found: LabelMap, groups: dict[str, str]
) -> list[OrganRow]:
    """How well each organ that is in the picture was found; slivers at the border of the field of view do not count."""
    rows = []
    for organ in truth.labels:
        true = truth.mask(organ)
        if np.count_nonzero(true) * truth.geometry.voxel_volume_ml < (
            PLAUSIBILITY.partial_share * BY_NAME[organ].volume_ml[0]
        ) or organ not in found.labels:
            continue
        mask = found.mask(organ)
        surface, distance = surface_agreement(mask, true, truth.geometry.spacing_mm)
        rows.append(OrganRow(
            patient=patient, exam=exam, organ=organ, dice=round(dice(mask, true) or 0.0, 4), surface_dice=surface,
            hd95_mm=distance, believed=found.seen(organ), groups=groups,
        ))
    return rows


def surface_agreement(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> tuple[float | None, float | None]:
    """Surface Dice at ``SURFACE_MM`` and the 95th percentile of surface distances in mm, by MONAI; None for no mask."""
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    if not found.any() or not truth.any():
        return None, None
    occupied = np.argwhere(found | truth)
    box = tuple(slice(max(low - 1, 0), high + 2) for low, high in zip(occupied.min(0), occupied.max(0), strict=True))
    pair = [torch.from_numpy(np.stack([~mask[box], mask[box]]))[None].float() for mask in (found, truth)]
    spacing = [float(step) for step in spacing_mm]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own use of its deprecated arguments
        surface = float(compute_surface_dice(*pair, class_thresholds=[SURFACE_MM], spacing=spacing))
        distance = float(compute_hausdorff_distance(*pair, percentile=95, spacing=spacing))
    return round(surface, 4), round(distance, 2)


def _baseline(known: AnnotatedExam, segmenter: Segmenter) -> BaselineImages | None:
    before = known.before
    if before is None:
        return None
    exam = before.exam
    return BaselineImages(
        ct=exam.ct, pet=exam.pet if exam.ct is not None else None, mr=exam.mr,
        organs=segmenter.segment_ct(exam.ct) if exam.ct is not None else None,
        pituitary=segmenter.segment_mr(exam.mr) if exam.mr is not None else None,
        suspected=frozenset(irae for irae, there in before.present.items() if there),
    )


def _foci_row(known: AnnotatedExam, true: Sequence[TrueFocus], organs: LabelMap | None) -> FociRow:
    """Found foci against true ones. Each true focus is found once, by the hottest (else largest) that is near it."""
    exam = known.exam
    reference = uptake_reference(exam.pet, organs) if exam.pet is not None else None
    hottest = sorted(
        find_foci(exam, organs=organs, reference=reference).foci,
        key=lambda focus: (focus.suv_max or 0.0, focus.volume_ml), reverse=True,
    )
    return _row(known, THRESHOLDS, hits_and_false([(f.suv_max or 0.0, f.centroid_ras_mm) for f in hottest], true), true)


def _row(
    known: AnnotatedExam, method: str, scores: tuple[tuple[float, ...], tuple[float, ...]], true: Sequence[TrueFocus]
) -> FociRow:
    return FociRow(
        patient=known.exam.patient, exam=known.exam.key, groups=groups_of(known), method=method, true=len(true),
        found=scores[0], false=scores[1],
    )


def candidates(probability: Volume) -> list[tuple[float, NDArray[np.float64]]]:
    """Separate places of a likely lesion: the highest probability, and where (RAS mm); the surest first.

    What is connected at even odds is one; so is what is connected below, where nothing in it reaches even odds.
    """
    found = []
    for least, most in ((EVEN, 1.0), (LEAST_PROBABILITY, EVEN)):
        parts = cc3d.connected_components(probability.array >= least, connectivity=26)
        for label, box in enumerate(ndimage.find_objects(parts), start=1):
            sure = np.where(parts[box] == label, probability.array[box], 0.0)
            place = np.array(np.unravel_index(int(sure.argmax()), sure.shape)) + [part.start for part in box]
            if sure.max() <= most:
                found.append((float(sure.max()), probability.geometry.to_world(place)))
    return sorted(found, key=lambda candidate: -candidate[0])


def hits_and_false(
    candidates: Iterable[tuple[float, ArrayLike]], true: Sequence[TrueFocus], ignored: Sequence[TrueFocus] = (),
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The score of each true focus that was found, by the first candidate within ``FOCUS_MM`` of it, and of each false.

    Args:
        candidates: (score, place in RAS mm), the best first.
        true: What should be found.
        ignored: What need not be found; a candidate there is not false.
    """
    hits: dict[int, float] = {}
    false = []
    for score, place in candidates:
        near = [number for number, one in enumerate(true) if _near(place, one)]
        for number in near:
            hits.setdefault(number, score)
        if not near and not any(_near(place, one) for one in ignored):
            false.append(score)
    return tuple(hits.values()), tuple(false)


def _near(place: ArrayLike, focus: TrueFocus) -> bool:
    distance = float(np.linalg.norm(np.asarray(place) - focus.centre_ras_mm))
    return distance <= focus.radius_mm + FOCUS_MM


