"""Settings of the attribution task; values in configs/task/attribution.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from irae.training.settings import TaskSettings


@dataclass(kw_only=True)
class AttributionSettings(TaskSettings):
    """Fit of the learned attribution model, on all training patients; it is calibrated by cross-fitting them.

    Attributes:
        spacing_mm: Voxels of the synthetic CTs.
        weights: Folder of model packages: the organs of half of the patients, and the findings of all.
        cases: Folder that keeps what was found on each patient; null: ``attribution_cases`` in out=. A second run
            makes only what is missing or what changed code would make differently.
    """

    spacing_mm: float = 4.0
    weights: str = "weights"
    cases: str | None = None

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if not 1 <= self.spacing_mm <= 6:
            raise ValueError(f"task.spacing_mm must be 1 to 6 mm, got {self.spacing_mm}")
        if not Path(self.weights).is_dir():
            raise ValueError(f"task.weights={self.weights}: no such folder")
