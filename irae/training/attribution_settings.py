"""Settings of the attribution task; values in configs/task/attribution.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from irae.training.settings import TaskSettings


@dataclass(kw_only=True)
class AttributionSettings(TaskSettings):
    """Fit of the learned attribution model, on all training patients; it is calibrated by cross-fitting them.

    Attributes:
        spacings_mm: Voxels of the synthetic CTs; each patient has one of them.
        weights: Folder of model packages: the organs of half of the patients, and the findings of all.
        cases: Folder that keeps what was found on each patient; null: ``attribution_cases`` in out=. A second run
            makes only what is missing or what changed code would make differently.
    """

    spacings_mm: list[float] = field(default_factory=lambda: [3.0, 4.0])
    weights: str = "weights"
    cases: str | None = None

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if not self.spacings_mm or not all(1 <= mm <= 6 for mm in self.spacings_mm):
            raise ValueError(f"task.spacings_mm must be one or more of 1 to 6 mm, got {list(self.spacings_mm)}")
        if not Path(self.weights).is_dir():
            raise ValueError(f"task.weights={self.weights}: no such folder")
