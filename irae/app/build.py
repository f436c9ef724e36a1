"""Names to objects. Each choice is a row of a table; nothing is built from a class path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from irae.app.config import InferConfig, ModelSource, SegmenterName
from irae.attribution.learned import LearnedModel
from irae.core.ports import Segmenter
from irae.findings.fusion import FittedFusion
from irae.io.fusion_card import find_fusion, load_fusion
from irae.models.attribution_package import ATTRIBUTION_CARD, ATTRIBUTION_FOLDER, load_attribution
from irae.models.classifiers import PackagedClassifier
from irae.models.closer import read_by_the_five
from irae.models.runtime import Device, torch_device, use_threads
from irae.models.segmenters import (
    MaskSegmenter,
    MonaiBundleSegmenter,
    PackagedSegmenter,
    TotalSegmentatorSegmenter,
)
from irae.pipeline import Stages
from irae.response.views import EXAM_CRITERIA

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The stages of a run, the digests of every model in them, and the device they run on, in words."""

    stages: Stages
    models: Mapping[str, str]
    device: str


def build(config: InferConfig) -> Built:
    """Builds what the settings name.

    Raises:
        ValueError: If a package is missing or refused, a device is not there, or a criterion is unknown.
    """
    cores = os.cpu_count() or 1
    use_threads(config.run.threads or max(1, cores - config.run.readers))
    device = Device(config.device.value)
    folder = weights_folder(config)
    segmenter = SEGMENTERS[config.segmenter](config, folder, device)
    classifier = None if config.models is ModelSource.rules else PackagedClassifier.from_folder(folder, device=device)
    models = {**segmenter.digests, **(classifier.digests if classifier is not None else {})}
    fusion = None if classifier is None else fitted_fusion(folder, segmenter.digests)
    attribution = None if config.models is ModelSource.rules else learned_attribution(folder)
    if attribution is not None:
        models[ATTRIBUTION_FOLDER] = attribution.digest
    stages = Stages(
        segmenter=segmenter, classifier=classifier, fusion=fusion, attribution=attribution, criteria=criteria(config)
    )
    return Built(
        stages=stages,
        models=models if fusion is None else {**models, "fusion": fusion.digest},
        device=str(torch_device(device)),
    )


def learned_attribution(folder: Path) -> LearnedModel | None:
    """The learned attribution model of a folder of packages; None where there is none: the evidence score decides.

    Raises:
        ValueError: If there is one and it was changed or is not what its card says.
    """
    package = next((p for p in (folder / ATTRIBUTION_FOLDER, folder / f"irae-{ATTRIBUTION_FOLDER}")
                    if (p / ATTRIBUTION_CARD).is_file()), None)
    return None if package is None else load_attribution(package)[0]


def fitted_fusion(folder: Path, segmenters: Mapping[str, str]) -> FittedFusion | None:
    """The fitted fusion of a folder of packages; None where there is none, or where it was fitted with other masks.

    Organs that are found beside those it reads are no other masks (``read_by_the_five``).

    Args:
        folder: Of model packages.
        segmenters: Digests of the segmenters in use.

    Raises:
        ValueError: If the package is refused.
    """
    place = find_fusion(folder)
    if place is None:
        return None
    fusion, document = load_fusion(place)
    fitted_with, in_use = set(document["models"].values()), set(read_by_the_five(segmenters).values())
    return fusion if in_use and in_use <= fitted_with else None


def weights_folder(config: InferConfig) -> Path:
    """The folder of model packages: weights=, the folder beside infer.py, or what the registry holds.

    Raises:
        ValueError: If the folder is not there or the registry has no package under the alias.
    """
    if config.models is ModelSource.registry:
        from irae.training.tracking import fetch_all

        registry = config.registry
        return fetch_all(registry.prefix, registry.alias, registry.tracking_uri, Path(mkdtemp(prefix="irae-models-")))
    folder = Path(config.weights) if config.weights is not None else WEIGHTS
    if not folder.is_dir():
        raise ValueError(f"weights={folder}: no such folder; name one with weights=FOLDER")
    return folder


def criteria(config: InferConfig) -> tuple[str, ...] | None:
    """The response criteria asked for; None for those that fit each exam.

    Raises:
        ValueError: If one is unknown; the message lists the choices.
    """
    unknown = sorted(set(config.criteria) - set(EXAM_CRITERIA))
    if unknown:
        raise ValueError(f"criteria: unknown {unknown}; the choices are {', '.join(sorted(EXAM_CRITERIA))}")
    return tuple(config.criteria) or None


def _packaged(config: InferConfig, folder: Path, device: Device) -> Segmenter:
    return PackagedSegmenter.from_folder(folder, device=device)


def _bundle(config: InferConfig, folder: Path, device: Device) -> Segmenter:
    return MonaiBundleSegmenter(Path(str(config.segmenters.bundle)), device=device)


def _totalsegmentator(config: InferConfig, folder: Path, device: Device) -> Segmenter:
    return TotalSegmentatorSegmenter(config.segmenters.totalsegmentator, device=device)


def _masks(config: InferConfig, folder: Path, device: Device) -> Segmenter:
    return MaskSegmenter(Path(str(config.segmenters.masks)))


SEGMENTERS: dict[SegmenterName, Callable[[InferConfig, Path, Device], Segmenter]] = {
    SegmenterName.packaged: _packaged,
    SegmenterName.monai_bundle: _bundle,
    SegmenterName.totalsegmentator: _totalsegmentator,
    SegmenterName.masks: _masks,
}
