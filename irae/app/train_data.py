"""From the settings data= to a source of cases, and the task fitted to it."""

from __future__ import annotations

from pathlib import Path

from irae.app.train_config import CacheName, ManifestData, TrainConfig
from irae.io.manifest import read_manifest
from irae.training.data import Source
from irae.training.manifest_checks import check_manifest
from irae.training.manifest_source import ManifestSource
from irae.training.memory import GIB
from irae.training.phantom_source import PhantomSource
from irae.training.settings import ClassificationSettings, TaskSettings, VoxelSettings


def source_and_task(config: TrainConfig) -> tuple[Source, TaskSettings]:
    """What the settings name.

    Raises:
        ManifestError: With everything that is wrong with a manifest or its files.
        ValueError: If a task cannot be trained from a manifest.
    """
    data, task = config.data, config.task
    if not isinstance(data, ManifestData):
        return PhantomSource(workers=config.cases.workers), task
    if not isinstance(task, (VoxelSettings, ClassificationSettings)):
        raise ValueError("data=manifest: this task is trained on synthetic courses only")
    manifest = read_manifest(Path(data.manifest), root=None if data.root is None else Path(data.root))
    on_disk = data.cache is CacheName.disk
    check_manifest(
        manifest, task, on_disk=on_disk, workers=config.cases.workers,
        memory_bytes=None if data.memory_gib is None else data.memory_gib * GIB,
    )
    source = ManifestSource(manifest)
    return source, source.fitted(task)


def cases_folder(config: TrainConfig) -> Path | None:
    """Where prepared cases are kept on disk; None where they are kept in memory."""
    on_disk = isinstance(config.data, ManifestData) and config.data.cache is CacheName.disk
    return Path(config.out) / ".cases" if on_disk else None
