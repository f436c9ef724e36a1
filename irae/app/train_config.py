"""What may be set for train.py. Values live in configs/train.yaml and configs/task/; class paths live nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from omegaconf import MISSING

from irae.app.config import DeviceName
from irae.training.attribution_settings import AttributionSettings
from irae.training.fusion_settings import FusionSettings
from irae.training.settings import ClassificationSettings, FociSettings, SegmentationSettings, TaskSettings


class CacheName(Enum):
    """Where prepared cases are kept while a network learns from them."""

    memory = "memory"
    disk = "disk"


@dataclass
class DataSettings:
    """Where cases come from; the choices are the files of configs/data/."""


@dataclass
class PhantomData(DataSettings):
    """Synthetic patients."""


@dataclass
class ManifestData(DataSettings):
    """A site's own annotated exams.

    manifest: the table. root: the data set's folder; null: the table's own. memory_gib: what a training may take;
    null: what is free.
    """

    manifest: str = MISSING
    root: str | None = None
    cache: CacheName = CacheName.memory
    memory_gib: float | None = None


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
    """Making of cases. workers: processes that make synthetic ones, or threads that check files."""

    workers: int = 2


@dataclass
class TrainConfig:
    """Settings of train.py."""

    task: TaskSettings = field(default_factory=TaskSettings)
    data: DataSettings = field(default_factory=DataSettings)
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
    "foci": FociSettings,
    "classification": ClassificationSettings,
    "attribution": AttributionSettings,
    "fusion": FusionSettings,
}

# Schemas of the config group data, likewise: /data_schema/NAME.
DATA_SCHEMAS: dict[str, type[DataSettings]] = {"phantom": PhantomData, "manifest": ManifestData}


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
    if isinstance(config.data, ManifestData) and not Path(config.data.manifest).is_file():
        raise ValueError(f"data.manifest={config.data.manifest}: there is no such file")
    out = Path(config.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={config.out}: is not a folder")
