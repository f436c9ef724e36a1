"""A site's own annotated exams as a source of cases: a checked manifest, split by split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.exam import Exam, Role
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.io.manifest import ExamRows, FileRole, Manifest, Split
from irae.models.crops import CropSpec
from irae.models.runtime import Device
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.training.annotated import AnnotatedExam, TrueFocus, crops_of, foci_in
from irae.training.data import FociSample, LabelledCrops, Sample
from irae.training.manifest_checks import annotations_of, image_of, organs_in
from irae.training.provenance import Provenance
from irae.training.settings import ClassificationSettings, NetworkSettings, Target, VoxelSettings

AnySettings = TypeVar("AnySettings", bound=NetworkSettings)
# An exam's number: its place in its split, from here on. Jobs count from these, as they count seeds.
FIRST = {Split.TRAIN: 0, Split.TEST: 1_000_000, Split.CALIBRATION: 2_000_000, Split.VALIDATION: 3_000_000}
LIMITATIONS = (
    "Trained on the annotated exams of one manifest; how it does at other sites, on other scanners and in other "
    "patients is not known. Not approved for any clinical use. Research use only."
)


class ManifestSource:
    """The exams of a manifest, named by numbers: see ``FIRST``.

    Args:
        manifest: Checked by ``manifest_checks.check_manifest`` for the task; files are taken to be as they were then.
    """

    name = "manifest"

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def digest(self) -> str:
        """``sha256:...`` of the table, which holds the sha256 of every file."""
        return self._manifest.digest

    @property
    def provenance(self) -> Provenance:
        """Licences, and patients and exams of each split."""
        manifest = self._manifest
        licences = manifest.licences(Split.TRAIN)
        counts = {
            split.value: {"exams": len(exams), "patients": len({exam.patient for exam in exams})}
            for split in Split if (exams := manifest.of(split))
        }
        return Provenance(
            limitations=LIMITATIONS, licence=f"as its training data: {'; '.join(licences)}", place=manifest.name,
            record={"manifest": manifest.name, "licences": list(licences), "splits": counts},
        )

    def fitted(self, settings: AnySettings) -> AnySettings:
        """Settings whose cases are the exams of this manifest."""
        count = {split: len(self._manifest.of(split)) for split in Split}
        changes: dict[str, Any] = {
            "train_seed": FIRST[Split.TRAIN], "train_cases": count[Split.TRAIN],
            "held_out_seed": FIRST[Split.TEST], "held_out_cases": count[Split.TEST],
            "validation_seed": FIRST[Split.VALIDATION], "validation_cases": count[Split.VALIDATION],
        }
        if isinstance(settings, VoxelSettings) and settings.offset_cases:
            # A site's calibration patients are for this, too; without any, no offsets are fitted.
            changes |= {"offset_seed": FIRST[Split.CALIBRATION], "offset_cases": count[Split.CALIBRATION]}
        if isinstance(settings, ClassificationSettings):
            changes |= {"calibration_seed": FIRST[Split.CALIBRATION], "calibration_cases": count[Split.CALIBRATION]}
        return replace(settings, **changes)

    def numbers(self, split: Split) -> range:
        """The numbers of a split's exams."""
        return range(FIRST[split], FIRST[split] + len(self._manifest.of(split)))

    def segmentation(self, target: Target, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[Sample]:
        """Images as they are, with what was drawn on them; exams without the image are left out.

        spacing_mm is for synthetic images only.
        """
        image_role, role = (
            (FileRole.MR, FileRole.PITUITARY) if target is Target.pituitary else (FileRole.CT, FileRole.ORGANS)
        )
        for exam in map(self.exam, seeds):
            image = image_of(exam, self._manifest.root, image_role)
            if image is not None:
                yield Sample(image, organs_in(exam, self._manifest.root, image.geometry, role))

    def foci(self, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[FociSample]:
        """PET/CTs on which foci were drawn; others are left out. spacing_mm is for synthetic images only."""
        root = self._manifest.root
        for exam in map(self.exam, seeds):
            ct, pet = image_of(exam, root, FileRole.CT), image_of(exam, root, FileRole.PET)
            if ct is not None and pet is not None and exam.of(FileRole.FOCI):
                yield FociSample(ct, pet, self._marked(exam, ct.geometry))

    def classification(
        self, specs: Mapping[Irae, CropSpec], seeds: Sequence[int], *, organs_package: Path | None = None,
        found_share: float = 1.0, baseline_share: float = 1.0,
    ) -> Iterator[Mapping[Irae, LabelledCrops]]:
        """Crops of the irAEs that were looked for; organs are found where none are drawn, or where asked for."""
        rng = np.random.default_rng(0)
        for annotated in self.exams(seeds):
            finds, compares = rng.random() < found_share, rng.random() < baseline_share
            package = organs_package if finds or annotated.organs is None else None
            yield crops_of(annotated, specs, segmenter=_segmenter(package), with_baseline=compares)

    def exams(self, seeds: Sequence[int]) -> Iterator[AnnotatedExam]:
        """Whole exams with everything that is known of them."""
        for number in seeds:
            rows = self.exam(number)
            before = self._before(rows)
            yield replace(self._annotated(rows), before=None if before is None else self._annotated(before))

    def exam(self, number: int) -> ExamRows:
        """The files of an exam by its number."""
        split = max((split for split in Split if FIRST[split] <= number), key=FIRST.__getitem__)
        return self._manifest.of(split)[number - FIRST[split]]

    def _before(self, exam: ExamRows) -> ExamRows | None:
        """The patient's first exam, if it is an earlier one: the baseline."""
        mine = [one for one in self._manifest.exams if one.patient == exam.patient]
        return mine[0] if mine[0].acquired_on < exam.acquired_on else None

    def _annotated(self, rows: ExamRows) -> AnnotatedExam:
        root = self._manifest.root
        images = {
            role: image_of(rows, root, FileRole(role.value)) for role in Role if rows.of(FileRole(role.value))
        }
        exam = Exam(
            patient=rows.patient, acquired_on=rows.acquired_on,
            volumes={role: volume for role, volume in images.items() if volume is not None},
        )
        sex, scanner = ({getattr(row, name) for row in rows.rows} - {""} for name in ("sex", "scanner"))
        return AnnotatedExam(
            exam=exam,
            organs=self._labels(rows, exam.ct, FileRole.ORGANS),
            pituitary=self._labels(rows, exam.mr, FileRole.PITUITARY),
            present={irae: value != "0" for irae, value in rows.iraes.items()},
            visible={irae: value == "1" for irae, value in rows.iraes.items()},
            foci=self._foci(rows, exam),
            groups={"sex": min(sex, default="unknown"), "scanner": min(scanner, default="unknown")},
        )

    def _labels(self, rows: ExamRows, image: object, role: FileRole) -> LabelMap | None:
        geometry = getattr(image, "geometry", None)
        return None if geometry is None or not rows.of(role) else organs_in(rows, self._manifest.root, geometry, role)

    def _foci(self, rows: ExamRows, exam: Exam) -> tuple[TrueFocus, ...] | None:
        image = exam.ct or exam.pet
        if image is None or not rows.of(FileRole.FOCI):
            return None
        return foci_in(self._marked(rows, image.geometry), image.geometry)

    def _marked(self, rows: ExamRows, grid: Geometry) -> NDArray[np.bool_]:
        """Everything that was drawn as a focus, on a grid."""
        marked = np.zeros(grid.shape, dtype=bool)
        for row in rows.of(FileRole.FOCI):
            for item in annotations_of(row, self._manifest.root, grid):
                marked[item.where] |= item.box
        return marked


@cache
def _segmenter(package: Path | None) -> PackagedSegmenter | None:
    return None if package is None else PackagedSegmenter.from_folder(package, device=Device.CPU)
