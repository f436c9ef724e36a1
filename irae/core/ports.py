"""What a replaceable part must satisfy. Implementations are chosen by name in ``app/build.py``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Protocol

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.exam import Exam
from irae.core.finding import LearnedScore
from irae.core.volume import LabelMap, Volume


class Segmenter(Protocol):
    """Finds organs. The same contract test runs on every implementation."""

    @property
    def name(self) -> str:
        """The choice's name, e.g. ``packaged``."""
        ...

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to ``sha256:...`` of what it runs, for the result's versions."""
        ...

    def for_exam(self, patient: str, acquired_on: date) -> Segmenter:
        """The segmenter for one exam: itself, or its masks of that exam where they are kept exam by exam."""
        ...

    def segment_ct(self, ct: Volume) -> LabelMap:
        """Organs of a CT in HU, on the CT's own grid. Unseen organs have coverage NONE and no voxels."""
        ...

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The pituitary of a T1c head MR, on the MR's own grid."""
        ...


class Classifier(Protocol):
    """The learned arm: scores irAEs from images and organ masks."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to ``sha256:...``."""
        ...

    def score(
        self, exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None, baseline: BaselineImages | None = None
    ) -> dict[Irae, LearnedScore]:
        """Scores for the irAEs whose organ was seen; an irAE that cannot be scored is absent from the answer.

        Args:
            exam: The images.
            organs: Organs on the CT; None without a CT.
            pituitary: The pituitary on the MR; None without an MR.
            baseline: The patient's earlier images, where they are at hand.
        """
        ...


class LesionNetwork(Protocol):
    """Sees lesions on PET/CT, whatever the threshold."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to ``sha256:...``."""
        ...

    def probability(self, ct: Volume, pet: Volume) -> Volume:
        """The probability of a lesion, on a grid of the network's own over the PET's box."""
        ...
