"""What a fit of the fusion may be told. Values live in configs/task/fusion.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from irae.training.settings import TaskSettings


@dataclass(kw_only=True)
class FusionSettings(TaskSettings):
    """Fit of the two arms and context to one probability per irAE.

    ``train_cases`` and ``held_out_cases`` are synthetic patients of two exams each; of what every task has, steps,
    batch, learning_rate and filters mean nothing here. Training and calibration patients are fitted on together, and
    calibrated on by cross-fitting.

    Attributes:
        weights: Folder of packages: the segmenters and classifiers as they will be used.
        masks: ``found`` by the packaged segmenter, as in use, or ``true`` (what the arms would say with perfect masks).
        calibration_cases, calibration_seed: Further patients for both, of a range of their own.
        specificity: The operating point's least specificity on them.
        coverage: Of the conformal set.
        regularisation: Inverse strength of the L2 penalty (scikit-learn's C).
        group_share: How freely a group of signs may count more or less than the cited rules say: 0 not at all, 1 as
            freely as the arms.
        cache: Folder of the table; one file per patient, so that a stopped run goes on.
        ct_mm, pet_mm, mr_mm: Voxels of the images; coarser is faster and sees less.
    """

    weights: str = "weights"
    masks: str = "found"
    calibration_cases: int = 150
    calibration_seed: int = 5_200_000
    specificity: float = 0.95
    coverage: float = 0.9
    regularisation: float = 1.0
    group_share: float = 0.5
    cache: str = "outputs/fusion"
    ct_mm: list[float] = field(default_factory=lambda: [2.5, 2.5, 4.0])
    pet_mm: list[float] = field(default_factory=lambda: [4.0, 4.0, 4.0])
    mr_mm: float = 1.0

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if self.masks not in ("found", "true"):
            raise ValueError(f"task.masks must be found or true, got {self.masks}")
        if not any(Path(self.weights).glob("*/card.json")):
            raise ValueError(f"task.weights={self.weights}: holds no model packages")
        if self.calibration_cases < 20:
            raise ValueError(f"task.calibration_cases must be at least 20, got {self.calibration_cases}")
        for name, least in (("specificity", 0.5), ("coverage", 0.5)):
            if not least <= getattr(self, name) < 1.0:
                raise ValueError(f"task.{name} must be {least:g} to under 1, got {getattr(self, name)}")
        for name in ("ct_mm", "pet_mm"):
            if len(getattr(self, name)) != 3 or min(getattr(self, name)) <= 0:
                raise ValueError(f"task.{name} must be three positive numbers, got {getattr(self, name)}")
        if not 0.0 <= self.group_share <= 1.0:
            raise ValueError(f"task.group_share must be 0 to 1, got {self.group_share}")
        if self.regularisation <= 0:
            raise ValueError(f"task.regularisation must be positive, got {self.regularisation}")
        ranges = [
            ("train", self.train_seed, self.train_cases), ("held_out", self.held_out_seed, self.held_out_cases),
            ("calibration", self.calibration_seed, self.calibration_cases),
        ]
        for n, (name, start, count) in enumerate(ranges):
            for other, its_start, its_count in ranges[n + 1 :]:
                if start < its_start + its_count and its_start < start + count:
                    raise ValueError(f"task: {name} seeds {start}.. overlap {other} seeds {its_start}..")
