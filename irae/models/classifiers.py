"""The learned arm: one small MONAI classifier per irAE, from packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from irae.core.anatomy import Irae
from irae.core.exam import Exam
from irae.core.finding import LearnedScore
from irae.core.volume import LabelMap
from irae.models.crops import organ_crops, stacked
from irae.models.package import Package, PackageError, find_packages, load_package
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

    def score(self, exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None) -> dict[Irae, LearnedScore]:
        """Calibrated probabilities of the irAEs whose organ was seen on its image."""
        scores: dict[Irae, LearnedScore] = {}
        for irae, package in self._packages.items():
            logit = self.logit(irae, exam, organs, pituitary)
            card = package.card
            without_pet = exam.pet is None and card.scoring_without_pet is not None
            scoring = card.scoring_without_pet if without_pet else card.scoring
            if logit is None or scoring is None:
                continue
            scores[irae] = LearnedScore(
                irae=irae, probability=scoring.calibration.probability(logit),
                threshold=scoring.operating_point.threshold, calibrated=True, model=package.digest,
            )
        return scores

    def logit(self, irae: Irae, exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None) -> float | None:
        """The network's uncalibrated answer; None where the irAE cannot be scored."""
        card = self._packages[irae].card
        crops = organ_crops(exam, organs, pituitary, irae=irae, patch=card.patch, spacing_mm=card.spacing_mm)
        if crops is None:
            return None
        tensors = {source: torch.from_numpy(array) for source, array in crops.items()}
        image = stacked(tensors, card.channels)[None].to(self._device)
        with torch.inference_mode():
            answer: float = float(self._networks[irae](image).flatten()[0])
        return answer
