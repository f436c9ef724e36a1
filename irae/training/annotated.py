"""An exam with everything that is known of it: what retraining learns from, and what an evaluation measures on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cc3d
import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.exam import Exam
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.models.crops import CropSpec, organ_crops
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.training.data import LabelledCrops


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueFocus:
    """A focus that is known to be there: its middle (RAS mm) and its radius, that of a ball of its volume, in mm."""

    centre_ras_mm: tuple[float, float, float]
    radius_mm: float


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AnnotatedExam:
    """An exam and what is true of it. What is absent was not looked for.

    Attributes:
        exam: As a reader gets it.
        organs: On the CT's grid. pituitary: On the MR's grid.
        present: Whether an irAE is there. visible: Whether it is there and leaves a sign on the images.
        foci: Lesions and other foci; None where nobody drew them.
        groups: Subgroup by its name: sex, scanner ...
        before: The patient's baseline.
    """

    exam: Exam
    organs: LabelMap | None = None
    pituitary: LabelMap | None = None
    present: Mapping[Irae, bool] = field(default_factory=dict)
    visible: Mapping[Irae, bool] = field(default_factory=dict)
    foci: tuple[TrueFocus, ...] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    before: AnnotatedExam | None = None


def crops_of(
    annotated: AnnotatedExam, specs: Mapping[Irae, CropSpec], *, segmenter: PackagedSegmenter | None = None,
    with_baseline: bool = True,
) -> dict[Irae, LabelledCrops]:
    """Crops around the organ of each irAE that was looked for and is in the picture.

    Args:
        annotated: The exam.
        specs: What each irAE's network takes.
        segmenter: Finds the organs; where absent, those that were drawn are taken.
        with_baseline: Whether the patient's baseline is shown.
    """
    organs, pituitary = masks_of(annotated, segmenter)
    baseline = None
    if with_baseline and annotated.before is not None:
        before = annotated.before
        its_organs, its_pituitary = masks_of(before, segmenter)
        baseline = BaselineImages(
            ct=before.exam.ct, pet=before.exam.pet if before.exam.ct is not None else None, organs=its_organs,
            mr=before.exam.mr, pituitary=its_pituitary,
            suspected=frozenset(irae for irae, there in before.present.items() if there),
        )
    found: dict[Irae, LabelledCrops] = {}
    for irae, spec in specs.items():
        if irae not in annotated.present:
            continue
        seen = organ_crops(
            annotated.exam, organs, pituitary, irae=irae, patch=spec.patch, spacing_mm=spec.spacing_mm,
            baseline=baseline,
        )
        if seen is not None:
            # Half precision, four times as many patients in memory: 0.5 HU at 1000 HU.
            crops = {source: array.astype(np.float16) for source, array in seen.crops.items()}
            visible = annotated.visible[irae]
            found[irae] = LabelledCrops(crops, positive=visible, hidden=annotated.present[irae] and not visible)
    return found


def masks_of(
    annotated: AnnotatedExam, segmenter: PackagedSegmenter | None
) -> tuple[LabelMap | None, LabelMap | None]:
    """Organs and pituitary: those that were drawn, or with a segmenter those that it finds.

    A pituitary that was drawn is taken in either case if the segmenter has no network for it.
    """
    exam = annotated.exam
    if segmenter is None:
        return annotated.organs, annotated.pituitary
    organs = segmenter.segment_ct(exam.ct) if exam.ct is not None else None
    pituitary = segmenter.segment_mr(exam.mr) if exam.mr is not None else None
    if pituitary is None or not pituitary.seen("pituitary"):
        pituitary = annotated.pituitary
    return organs, pituitary


def foci_in(marked: NDArray[np.bool_], geometry: Geometry) -> tuple[TrueFocus, ...]:
    """The separate parts of a mask as foci, largest first."""
    parts, count = cc3d.connected_components(marked, connectivity=26, return_N=True)
    found = []
    for number in range(1, count + 1):
        voxels = np.argwhere(parts == number)
        x, y, z = geometry.to_world(voxels.mean(axis=0)).tolist()
        volume_mm3 = len(voxels) * geometry.voxel_volume_ml * 1000.0
        found.append(TrueFocus(centre_ras_mm=(x, y, z), radius_mm=(3.0 * volume_mm3 / (4.0 * np.pi)) ** (1 / 3)))
    return tuple(sorted(found, key=lambda focus: -focus.radius_mm))
