"""What may be set, with types and checks. Values live in configs/; class paths live nowhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from omegaconf import MISSING

from irae import __version__


class EngineName(Enum):
    """Who runs the work."""

    local = "local"


class DeviceName(Enum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class SegmenterName(Enum):
    """Who finds organs."""

    packaged = "packaged"
    monai_bundle = "monai_bundle"
    totalsegmentator = "totalsegmentator"
    masks = "masks"


class ModelSource(Enum):
    """Where networks come from: the folder weights/, MLflow's registry, or none (the cited rules alone)."""

    packaged = "packaged"
    registry = "registry"
    rules = "rules"


class RetrieveName(Enum):
    """How images come from a DIMSE source: C-GET, or C-MOVE to our own port."""

    get = "get"
    move = "move"


@dataclass
class PacsSettings:
    """What is asked of an archive= that is a DICOMweb or DIMSE source. Passwords are no settings: see credentials.

    cache: Folder for fetched images; null: ~/.cache/irae/pacs. It holds patients' images.
    patients, studied_from, studied_until, modalities: What is fetched; empty or null: all. Dates as 2026-03-14.
    credentials: JSON file {"user", "password"} or {"token"}, mode 600; null: IRAE_PACS_USER, IRAE_PACS_PASSWORD or
        IRAE_PACS_TOKEN of the environment.
    aet, bind, port: Our AE title, and where we listen for what a C-MOVE sends.
    """

    cache: str | None = None
    patients: list[str] = field(default_factory=list)
    studied_from: str | None = None
    studied_until: str | None = None
    modalities: list[str] = field(default_factory=lambda: ["CT", "PT", "MR", "SEG", "RTSTRUCT", "RWV"])
    credentials: str | None = None
    retrieve: RetrieveName = RetrieveName.get
    aet: str = "IRAE"
    bind: str = "127.0.0.1"
    port: int = 11112
    timeout_s: float = 30.0
    attempts: int = 4
    max_studies: int = 1000
    plain_http: bool = False  # credentials may go over plain http to another machine


@dataclass
class RegistrySettings:
    """MLflow's registry, for models=registry. Registered names are ``<prefix>-<package>``."""

    tracking_uri: str = "sqlite:///mlflow.db"
    prefix: str = "irae"
    alias: str = "champion"


@dataclass
class SegmenterSettings:
    """What each choice of segmenter needs.

    bundle: Folder of a MONAI bundle (segmenter=monai_bundle).
    masks: Folder of precomputed masks, <patient>/<date>/organs.nii.gz or .dcm (segmenter=masks).
    totalsegmentator: The program to call (segmenter=totalsegmentator).
    """

    bundle: str | None = None
    masks: str | None = None
    totalsegmentator: str = "TotalSegmentator"


@dataclass
class EngineSettings:
    """How much runs at once. threads: of the networks, 0 = all cores but the readers'."""

    readers: int = 1
    writers: int = 1
    ahead: int = 2
    threads: int = 0
    read_timeout_s: float = 900.0


@dataclass
class InferConfig:
    """Settings of infer.py."""

    archive: str = MISSING
    out: str = MISSING
    context: str | None = None
    engine: EngineName = EngineName.local
    device: DeviceName = DeviceName.auto
    segmenter: SegmenterName = SegmenterName.packaged
    models: ModelSource = ModelSource.packaged
    weights: str | None = None  # None: the folder weights/ beside infer.py
    criteria: list[str] = field(default_factory=list)  # empty: the defaults of the response room
    seg_sr: bool = True  # write seg.dcm and sr.dcm where the input was DICOM
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    segmenters: SegmenterSettings = field(default_factory=SegmenterSettings)
    run: EngineSettings = field(default_factory=EngineSettings)
    pacs: PacsSettings = field(default_factory=PacsSettings)


def check_infer(config: InferConfig) -> None:
    """Refuses settings that cannot work, before anything is read.

    Raises:
        ValueError: Naming the setting, its value and what is needed.
    """
    source = Path(config.archive)
    if "://" not in config.archive and not source.exists():
        raise ValueError(f"archive={config.archive}: no such folder or file")
    out = Path(config.out).resolve()
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={config.out}: is not a folder")
    if source.exists() and source.is_dir() and (out == source.resolve() or out.is_relative_to(source.resolve())):
        raise ValueError(f"out={config.out}: must not lie inside the archive {config.archive}")
    if config.context is not None and not Path(config.context).is_file():
        raise ValueError(f"context={config.context}: no such file")
    if config.segmenter is SegmenterName.monai_bundle and not config.segmenters.bundle:
        raise ValueError("segmenter=monai_bundle needs segmenters.bundle=FOLDER")
    if config.segmenter is SegmenterName.masks and not config.segmenters.masks:
        raise ValueError("segmenter=masks needs segmenters.masks=FOLDER")
    for name in ("readers", "threads"):
        if getattr(config.run, name) < 0:
            raise ValueError(f"run.{name}={getattr(config.run, name)}: must be 0 or more")
    for name in ("writers", "ahead", "read_timeout_s"):
        if getattr(config.run, name) <= 0:
            raise ValueError(f"run.{name}={getattr(config.run, name)}: must be more than 0")


def settings_digest(config: InferConfig) -> str:
    """``sha256:...`` over the settings that can change an answer; where things lie or how fast they run cannot."""
    deciding = {
        "irae": __version__,
        "segmenter": config.segmenter.value,
        "segmenters": {"bundle": config.segmenters.bundle, "masks": config.segmenters.masks},
        "models": config.models.value,
        "criteria": list(config.criteria),
        "seg_sr": config.seg_sr,
    }
    return "sha256:" + hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
