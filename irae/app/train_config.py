"""What may be set for train.py. Values live in configs/train.yaml and configs/task/; class paths live nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from irae.app.config import DeviceName
from irae.training.attribution_settings import AttributionSettings
from irae.training.settings import ClassificationSettings, SegmentationSettings, TaskSettings


class DataName(Enum):
    """Where cases come from."""

    phantom = "phantom"


class PrecisionName(Enum):
    """Arithmetic of convolutions; auto is bfloat16 where the processor has it."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


@dataclass
class TrackingSettings:
    """MLflow: an SQLite file or a server (http://...). Models are registered as ``<prefix>-<package>``.

    record: false trains and packages without any record.
    """

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "irae"
    prefix: str = "irae"
    alias: str = "champion"
    record: bool = True


@dataclass
class CaseSettings:
    """Making of synthetic cases. workers: processes that make them."""

    workers: int = 2


@dataclass
class TrainConfig:
    """Settings of train.py."""

    task: TaskSettings = field(default_factory=TaskSettings)
    data: DataName = DataName.phantom
    out: str = "runs"  # packages are written to out/<name>
    seed: int = 0
    threads: int = 1
    device: DeviceName = DeviceName.auto
    precision: PrecisionName = PrecisionName.auto
    cases: CaseSettings = field(default_factory=CaseSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)


# Schemas of the config group task, by the name that configs/task/*.yaml lists first: /task_schema/NAME.
TASK_SCHEMAS: dict[str, type[TaskSettings]] = {
    "segmentation": SegmentationSettings,
    "classification": ClassificationSettings,
    "attribution": AttributionSettings,
}


def check_train(config: TrainConfig) -> None:
    """Refuses settings that cannot work, before anything is made.

    Raises:
        ValueError: Naming the setting, its value and what is needed.
    """
    if config.threads < 1:
        raise ValueError(f"threads must be at least 1, got {config.threads}")
    if config.cases.workers < 1:
        raise ValueError(f"cases.workers must be at least 1, got {config.cases.workers}")
    config.task.check()
    out = Path(config.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={config.out}: is not a folder")
