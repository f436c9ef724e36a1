"""Settings of the attribution task; values in configs/task/attribution.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from irae.training.settings import TaskSettings, refuse_overlap


@dataclass(kw_only=True)
class AttributionSettings(TaskSettings):
    """Fit of the learned attribution model.

    Attributes:
        calibration_cases, calibration_seed: Patients for temperature and abstention; a range of its own.
        spacing_mm: Voxels of the synthetic CTs.
        weights: Folder of model packages: the organs of half of the patients, and the findings of all.
        cases: Folder that keeps what was found on each patient; null: ``attribution_cases`` in out=. A second run
            makes only what is missing or what changed code would make differently.
    """

    calibration_cases: int = 30
    calibration_seed: int = 3_500_000
    spacing_mm: float = 4.0
    weights: str = "weights"
    cases: str | None = None

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if self.calibration_cases < 4:
            raise ValueError(f"task.calibration_cases must be at least 4, got {self.calibration_cases}")
        if not 1 <= self.spacing_mm <= 6:
            raise ValueError(f"task.spacing_mm must be 1 to 6 mm, got {self.spacing_mm}")
        if not Path(self.weights).is_dir():
            raise ValueError(f"task.weights={self.weights}: no such folder")
        calibration = ("calibration", self.calibration_seed, self.calibration_cases)
        refuse_overlap(calibration, ("train", self.train_seed, self.train_cases))
        refuse_overlap(calibration, ("held_out", self.held_out_seed, self.held_out_cases))
