"""Retraining: a challenger that starts from the champion, learns from a manifest, and is measured against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from irae.core.anatomy import Irae
from irae.evaluate.promotion import Better, Limits, Measure, verdict
from irae.io.atomic import write_text
from irae.io.manifest import Manifest, Split
from irae.models.classifiers import PackagedClassifier
from irae.models.package import Package, find_packages, load_package
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.training.classification_jobs import classification_job
from irae.training.comparison import compared
from irae.training.evaluation import Evaluation, evaluate
from irae.training.jobs import Workplace, segmentation_job
from irae.training.manifest_checks import check_manifest
from irae.training.manifest_source import ManifestSource
from irae.training.settings import ClassificationSettings, IraeName, SegmentationSettings, Target

SCHEMA = "irae.retrain/1"
RECORD = "retrain.json"
CHALLENGER = "challenger"
CLASSIFIERS = "classifiers"
# Tasks whose networks need no organs that another one found.
ALONE = (Target.organs.value, Target.pituitary.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The outcome: where the models with the challenger lie, and how it compares.

    Attributes:
        folder: All model packages, the retrained ones among them. names: Those that were retrained.
        measures: Champion against challenger on the manifest's test patients.
        record: What ``retrain.json`` holds.
    """

    folder: Path
    names: tuple[str, ...]
    measures: tuple[Measure, ...]
    record: Mapping[str, Any]


def retrain(
    task: str, manifest: Manifest, champion: Path, place: Workplace, *, steps: int, learning_rate: float,
    iraes: Sequence[str] = (), limits: Limits | None = None, memory_bytes: float | None = None,
) -> Retrained:
    """Trains a challenger and measures it.

    Args:
        task: ``organs``, ``organs_fine``, ``thyroid``, ``adrenals``, ``muscle``, ``pituitary`` or ``classifiers``.
        manifest: New annotated exams; its test split decides.
        champion: Folder of the packages in use.
        place: Where the challenger is written (``out/trained``, ``out/models``, ``out/retrain.json``).
        steps, learning_rate: Of the retraining; smaller than those of a first training.
        iraes: Which classifiers; all that the champion has where empty.
        limits: See ``evaluate.promotion``.
        memory_bytes: What a training may take.

    Raises:
        ValueError: If the manifest does not serve, or the champion has no such package.
    """
    packages = {package.card.name: package for package in map(load_package, find_packages(champion))}
    settings = settings_from(task, packages, champion, iraes)
    settings = replace(settings, steps=steps, learning_rate=learning_rate)
    check_manifest(manifest, settings, memory_bytes=memory_bytes)
    source = ManifestSource(manifest)
    working = replace(place, out=place.out / "trained", alias=CHALLENGER)
    if isinstance(settings, SegmentationSettings):
        trained: tuple[Path, ...] = (segmentation_job(source.fitted(settings), source, working),)
    else:
        trained = classification_job(source.fitted(settings), source, working)
    models = _with_challenger(place.out / "models", champion, trained)
    names = tuple(folder.name for folder in trained)
    place.say(f"{', '.join(names)}: champion and challenger on the same patients")
    before, after = (_evaluated(folder, source, settings, place) for folder in (champion, models))
    organs = settings.labels if isinstance(settings, SegmentationSettings) else ()
    measures = compared(before, after, organs=organs, iraes=[n for n in names if n in {i.value for i in Irae}])
    decided = verdict(measures, limits or Limits())
    record = {
        "schema": SCHEMA, "task": task, "manifest": manifest.name, "manifest_digest": manifest.digest,
        "champion": {name: packages[name].digest for name in names if name in packages},
        "challenger": {folder.name: load_package(folder).digest for folder in trained},
        "limits": asdict(limits or Limits()),
        "measures": [asdict(measure) | {"better": measure.better.value} for measure in measures],
        "accepted": decided.accepted, "reasons": list(decided.reasons),
    }
    write_text(place.out / RECORD, json.dumps(record, indent=1) + "\n")
    return Retrained(folder=models, names=names, measures=measures, record=record)


def settings_from(
    task: str, packages: Mapping[str, Package], champion: Path, iraes: Sequence[str]
) -> SegmentationSettings | ClassificationSettings:
    """The settings that the champion was trained with, to go on from it.

    Raises:
        ValueError: If the task is unknown or the champion has no package for it.
    """
    if task == CLASSIFIERS:
        names = [name for name in IraeName if name.value in packages and (not iraes or name.value in iraes)]
        if not names:
            raise ValueError(f"{champion}: holds no classifier {', '.join(iraes)}")
        kept = _kept(ClassificationSettings, packages[names[0].value].card.training)
        organs = champion / "organs"
        return ClassificationSettings(**kept | {
            "iraes": names, "start_from": str(champion),
            "organs_package": str(organs) if (organs / "card.json").is_file() else None,
        })
    if task not in {target.value for target in Target}:
        raise ValueError(f"task {task!r}: the choices are {', '.join(t.value for t in Target)} and {CLASSIFIERS}")
    if task not in packages:
        raise ValueError(f"{champion}: holds no package {task}")
    kept = _kept(SegmentationSettings, packages[task].card.training)
    return SegmentationSettings(**kept | {
        "target": Target(task), "start_from": str(champion / task),
        "organs_package": None if task in ALONE else str(champion / "organs"),
    })


def read_record(folder: Path) -> dict[str, Any]:
    """What a retraining wrote.

    Raises:
        ValueError: If there is none, or it does not read.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema is {record.get('schema')!r}, not {SCHEMA!r}")
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / RECORD} does not read: {error}") from error
    return record


def measures_of(record: Mapping[str, Any]) -> tuple[Measure, ...]:
    """The measures of a record."""
    return tuple(Measure(**measure | {"better": Better(measure["better"])}) for measure in record["measures"])


def _kept(kind: type, training: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a card that a retraining keeps: what the network takes, gives and is."""
    wanted = {"labels", "spacing_mm", "patch", "windows", "filters", "batch", "pet_dropped", "specificity"}
    return {
        part.name: training[part.name] for part in fields(kind) if part.name in wanted and part.name in training
    }


def _with_challenger(folder: Path, champion: Path, trained: Sequence[Path]) -> Path:
    """All packages of the champion, those that were trained again in the place of the old ones."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in (*find_packages(champion), *trained):
        shutil.copytree(package, folder / package.name, dirs_exist_ok=True)
    return folder


def _evaluated(
    folder: Path, source: ManifestSource, settings: SegmentationSettings | ClassificationSettings, place: Workplace
) -> Evaluation:
    segmenter = PackagedSegmenter.from_folder(folder, device=place.device, precision=place.precision)
    scores = isinstance(settings, ClassificationSettings)
    classifier = PackagedClassifier.from_folder(folder, device=place.device) if scores else None
    return evaluate(source.exams(source.numbers(Split.TEST)), segmenter=segmenter, classifier=classifier)
