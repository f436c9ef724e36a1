"""The learned arm: one small MONAI classifier per irAE, from packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.exam import Exam
from irae.core.finding import LearnedScore
from irae.core.geometry import Geometry
from irae.core.numbers import reaches
from irae.core.volume import LabelMap, Quantity, Volume
from irae.models.crops import has_baseline, organ_crops, stacked
from irae.models.evidence import STAGES, evidence_map
from irae.models.package import Card, Package, PackageError, find_packages, load_package
from irae.models.runtime import Device, torch_device


class PackagedClassifier:
    """Scores irAEs from organ crops. Computes in float32: the networks are small, and a score is a promise.

    Raises:
        PackageError: If two packages score the same irAE, a package is no classifier, or weights do not fit.
    """

    def __init__(self, packages: Sequence[Package], *, device: Device = Device.AUTO) -> None:
        self._device = torch_device(device)
        self._packages: dict[Irae, Package] = {}
        for package in packages:
            if not package.card.is_classifier:
                raise PackageError(f"package {package.card.name} is a {package.card.task} segmenter, no classifier")
            irae = Irae(package.card.task)
            if irae in self._packages:
                raise PackageError(f"two packages score {irae.value}: {self._packages[irae].card.name} and "
                                   f"{package.card.name}")
            self._packages[irae] = package
        self._networks = {irae: package.network(self._device) for irae, package in self._packages.items()}

    @classmethod
    def from_folder(cls, folder: Path, *, device: Device = Device.AUTO) -> PackagedClassifier:
        """The classifiers in a folder of packages (segmenters are left alone)."""
        packages = [load_package(path) for path in find_packages(folder)]
        return cls([package for package in packages if package.card.is_classifier], device=device)

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to package digest."""
        return {package.card.name: package.digest for package in self._packages.values()}

    def score(
        self, exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None, baseline: BaselineImages | None = None
    ) -> dict[Irae, LearnedScore]:
        """Calibrated probabilities of the irAEs whose organ was seen on its image."""
        found = {irae: self._one(irae, exam, organs, pituitary, baseline) for irae in self._packages}
        return {irae: score for irae, score in found.items() if score is not None}

    def _one(
        self, irae: Irae, exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None,
        baseline: BaselineImages | None,
    ) -> LearnedScore | None:
        package, network = self._packages[irae], self._networks[irae]
        card = package.card
        seen = organ_crops(
            exam, organs, pituitary, irae=irae, patch=card.patch, spacing_mm=card.spacing_mm,
            baseline=baseline if card.reads("baseline_present") else None,
        )
        if seen is None:
            return None
        compared = has_baseline(seen.crops)
        scoring = card.scoring_for(pet=exam.pet is not None, baseline=compared)
        if scoring is None:
            return None
        tensors = {source: torch.from_numpy(array) for source, array in seen.crops.items()}
        image = stacked(tensors, card.channels)[None].to(self._device)
        with torch.inference_mode():
            answers = network(image)[0]
        probability = scoring.calibration.probability(float(answers[0]))
        suspected = reaches(probability, scoring.operating_point.threshold)
        return LearnedScore(
            irae=irae, probability=probability, threshold=scoring.operating_point.threshold, calibrated=True,
            model=package.digest, severity=self._severity(card, answers, suspected), compared=compared,
            evidence_map=self._map(irae, image, seen.grid) if suspected else None,
        )

    @staticmethod
    def _severity(card: Card, answers: torch.Tensor, suspected: bool) -> int | None:
        """How severe it is, if it is there; 0 where it is not suspected."""
        if not card.gives_severity:
            return None
        return severity_of(answers[1:].tolist()) if suspected else 0

    def _map(self, irae: Irae, image: torch.Tensor, grid: Geometry) -> Volume | None:
        stage = STAGES.get(self._packages[irae].card.network)
        array = None if stage is None else evidence_map(self._networks[irae], image, stage=stage)
        return None if array is None else Volume(array=array, geometry=grid, quantity=Quantity.RELEVANCE)


def severity_of(logits: Sequence[float]) -> int:
    """Severity 0-3 of the logits of "at least 1", "at least 2" and "3": how many in a row are more likely than not.

    >>> severity_of([2.0, 0.3, -1.0])
    2
    """
    severity = 0
    while severity < len(logits) and logits[severity] >= 0.0:
        severity += 1
    return severity
