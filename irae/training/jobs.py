"""From settings to a registered package: samples, training, measuring on patients never trained on, package, record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from irae.core.anatomy import BY_NAME
from irae.models.card import FOUND
from irae.models.nets import dynunet_arguments, parameter_count
from irae.models.package import Card, Channel, Metric, Package, load_package, save_package
from irae.models.plausibility import PLAUSIBILITY
from irae.models.runtime import Device, Precision, autocast_dtype, torch_device
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.training.cases_on_disk import CasesOnDisk
from irae.training.data import Source, as_shown, segmentation_case
from irae.training.distributed import leads
from irae.training.loop import Budget, Optimiser
from irae.training.metrics import dice, mean_with_interval
from irae.training.offsets import add_offsets, fitted_offsets
from irae.training.pictures import case_picture
from irae.training.provenance import SYNTHETIC_LIMITS
from irae.training.segmentation import SegmentationCase, SegmentationPlan, train_segmenter
from irae.training.settings import FOLDERS, SegmentationSettings, Target, TaskSettings, VoxelSettings
from irae.training.tracking import Run, Tracking, recorded_run
from irae.training.validation import segmentation_validation, upkeep_of

LIMITATIONS = SYNTHETIC_LIMITS



@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where and how jobs run and are recorded.

    Attributes:
        out: Packages are written to ``out/<name>``.
        tracking: MLflow, or None to record nothing (tests of the training alone).
        prefix, alias: Registered as ``<prefix>-<name>`` with this alias.
        seed: Of initial weights, crops and augmentation.
        device, precision: Of the computation.
        say: Gets a sentence at each step of a job.
        advance: Gets the share of the training that is done, 0..1, and the loss.
        cases: Folder that keeps the prepared cases of a segmentation; None: memory does.
    """

    out: Path
    tracking: Tracking | None
    prefix: str = "irae"
    alias: str = "champion"
    seed: int = 0
    device: Device = Device.AUTO
    precision: Precision = Precision.AUTO
    say: Callable[[str], None] = print
    advance: Callable[[float, float], None] = lambda share, loss: None
    cases: Path | None = None

    def checkpoint(self, name: str) -> Path:
        """The file from which an interrupted training of a package goes on."""
        return self.out / f".{name}.checkpoint.pt"

    def record(self, name: str, settings: TaskSettings) -> Any:
        """A recorded run as a context manager; gives None where nothing is recorded."""
        if self.tracking is None or not leads():
            return nullcontext(None)
        return recorded_run(self.tracking, name=name, parameters=plain(settings) | {"seed": self.seed})

    def reporter(self, run: Run | None) -> Callable[[int, dict[str, float]], None]:
        """A listener of a training loop: to the tracker and to the progress bar."""

        def report(step: int, numbers: dict[str, float]) -> None:
            self.advance(numbers["share"], numbers["loss"])
            if run is not None:
                run.metrics(step, numbers)

        return report

    def publish(self, run: Run | None, folder: Path, name: str, metrics: Mapping[str, Metric], step: int) -> None:
        """Final metrics and the package into the tracker and its registry."""
        if run is None:
            return
        run.metrics(step, {key: m.value for key, m in metrics.items() if m.value is not None})
        version = run.package(folder, registered_name=f"{self.prefix}-{name}", alias=self.alias)
        self.say(f"{name}: registered as {self.prefix}-{name} version {version}, alias {self.alias}")


def plain(settings: Any) -> dict[str, Any]:
    """Settings as plain data; enums and packages by name, for a card does not tell where a package lay."""

    def value(item: Any) -> Any:
        if isinstance(item, Enum):
            return item.name
        if isinstance(item, list):
            return [value(part) for part in item]
        return item

    named = {key: value(item) for key, item in asdict(settings).items()}
    return named | {key: Path(named[key]).name for key in FOLDERS if named.get(key)}


def seeds(first: int, count: int) -> range:
    """The seeds of a number of patients."""
    return range(first, first + count)


def data_record(source: Source, **ranges: range) -> dict[str, Any]:
    """The card's record of where the cases came from."""
    spans = {f"{name}_seeds": [r.start, r.stop - 1] for name, r in ranges.items() if r}
    return {"source": source.name, "generator": source.digest, **spans, **source.provenance.record}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What distinguishes one task of voxels from another.

    Attributes:
        name: Of the package and its task. intended_use: Of the card.
        channels: What the network takes.
        cases: Makes the cases of some numbers.
        measured: What a package is worth on the patients of some numbers, never trained on.
    """

    name: str
    intended_use: str
    channels: tuple[Channel, ...]
    cases: Callable[[Sequence[int]], Sequence[SegmentationCase]]
    measured: Callable[[Path, Sequence[int]], dict[str, Metric]]


def segmentation_job(settings: SegmentationSettings, source: Source, place: Workplace) -> Path:
    """Trains, measures, packages and registers a network that finds organs. Returns the package's folder.

    Raises:
        ValueError: If the settings cannot work, or a label occurs in none of the training cases.
    """
    on_mr = settings.target is Target.pituitary
    images = "contrast-enhanced T1 head MR" if on_mr else "CT of adults"
    return voxel_job(settings, source, place, Recipe(
        name=settings.target.value,
        intended_use=f"Finds {', '.join(BY_NAME[label].display for label in settings.labels)} on {images}.",
        channels=(
            *(Channel("mr" if on_mr else "ct", low, high) for low, high in settings.windows), *coarse_channels(settings)
        ),
        cases=lambda numbers: segmentation_cases(source, numbers, settings, folder=place.cases),
        measured=lambda folder, numbers: measure_segmenter(folder, settings, source, numbers, place),
    ))


def coarse_channels(settings: SegmentationSettings) -> tuple[Channel, ...]:
    """The channels of a finer network for what the coarser one found; none for every other target."""
    if settings.target is not Target.organs_fine or settings.organs_package is None:
        return ()
    return tuple(Channel(FOUND + organ, 0.0, 1.0) for organ in load_package(Path(settings.organs_package)).card.labels)


def voxel_job(settings: VoxelSettings, source: Source, place: Workplace, recipe: Recipe) -> Path:
    """Trains, measures, packages and registers a network that gives a class for each voxel.

    Raises:
        ValueError: If the settings cannot work, or a label occurs in none of the training cases.
    """
    settings.check()
    name = recipe.name
    arguments = dynunet_arguments(
        in_channels=len(recipe.channels), out_channels=len(settings.labels) + 1, filters=settings.filters
    )
    train, held_out = (
        seeds(settings.train_seed, settings.train_cases), seeds(settings.held_out_seed, settings.held_out_cases)
    )
    train = train if settings.steps else range(0)
    offset = seeds(settings.offset_seed, settings.offset_cases)
    device = torch_device(place.device)
    dtype = autocast_dtype(device, place.precision)
    with place.record(name, settings) as run:
        if run is not None:
            learnt = train or offset
            run.dataset(
                source.name, source.digest, seeds=source.provenance.place or f"{learnt.start}..{learnt.stop - 1}"
            )
        place.say(f"{name}: making {len(train)} training cases")
        cases = recipe.cases(train)
        watched = recipe.cases(seeds(settings.validation_seed, settings.validation_cases))
        start = None if settings.start_from is None else _start(Path(settings.start_from), settings, arguments)
        plan = SegmentationPlan(
            network="dynunet", arguments=arguments, patch=(settings.patch[0], settings.patch[1], settings.patch[2]),
            channels=recipe.channels, classes=len(settings.labels) + 1, seed=place.seed, batch=settings.batch,
            budget=Budget(steps=max(settings.steps, 1), cpu_minutes=settings.cpu_minutes),
            optimiser=Optimiser(learning_rate=settings.learning_rate),
            upkeep=upkeep_of(settings, place.checkpoint(name)),
        )
        if start is not None and settings.untrained():
            network = start.network(device)
        else:
            place.say(f"{name}: training")
            network = train_segmenter(
                cases, plan, device=device, dtype=dtype, start=None if start is None else start.network(device),
                report=place.reporter(run), validate=segmentation_validation(watched, plan, dtype=dtype),
            )
        if start is not None and settings.start_share:
            first = start.network(device).state_dict()
            network.load_state_dict(blended(first, network.state_dict(), settings.start_share))
        if not leads():
            return place.out / name
        offsets: dict[str, float] = {}
        if settings.offset_cases:
            place.say(f"{name}: fitting offsets on {settings.offset_cases} other patients")
            fitted = fitted_offsets(network, recipe.cases(offset), plan, dtype=dtype)
            add_offsets(network, fitted)
            offsets = dict(zip(settings.labels, fitted[1:].round(decimals=3).tolist(), strict=True))
        if run is not None and (watched or cases):
            run.picture(name, case_picture(network, (watched or cases)[0], plan, dtype=dtype))
        card = Card(
            name=name, task=name, network="dynunet", arguments=arguments, parameters=parameter_count(network),
            spacing_mm=settings.spacing_mm, patch=plan.patch, channels=plan.channels, labels=tuple(settings.labels),
            created_on=date.today().isoformat(), intended_use=recipe.intended_use,
            limitations=source.provenance.limitations, licence=source.provenance.licence,
            training=plain(settings) | {
                "seed": place.seed, "cases": len(cases), "offsets": offsets,
                "started_from": None if start is None else {"digest": start.digest, **start.card.training},
            },
            data=data_record(source, train=train, offset=offset, held_out=held_out),
        )
        folder = place.out / name
        # Measured as it will be used: through the package just written, on images of another grid.
        save_package(folder, card, network.state_dict())
        place.say(f"{name}: measuring on {len(held_out)} patients never trained on")
        metrics = recipe.measured(folder, held_out)
        save_package(folder, replace(card, metrics=metrics), network.state_dict())
        place.publish(run, folder, name, metrics, settings.steps)
        place.checkpoint(name).unlink(missing_ok=True)
    for key, metric in metrics.items():
        place.say(f"{name}: {key} {metric.value} ({metric.low} to {metric.high}, n {metric.n})")
    return folder


def blended(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """The mean of two states of one network, ``share`` being the first one's; what is no fraction is the second's."""
    return {
        name: share * first[name] + (1.0 - share) * value if value.is_floating_point() else value
        for name, value in second.items()
    }


def segmentation_cases(
    source: Source, numbers: Sequence[int], settings: SegmentationSettings, *, folder: Path | None = None
) -> Sequence[SegmentationCase]:
    """Cases as a network of these settings is shown them; those without its organ's place are left out."""
    coarse, beside = None, ""
    if settings.target is Target.organs_fine and settings.organs_package is not None:
        package = load_package(Path(settings.organs_package))
        coarse, beside = PackagedSegmenter({package.card.task: package}), package.digest

    def made(wanted: Sequence[int]) -> Iterator[SegmentationCase]:
        for sample in source.segmentation(settings.target, wanted, spacing_mm=settings.image_spacing_mm):
            shown = as_shown(sample, settings.target)
            if shown is not None:
                yield segmentation_case(shown, settings.labels, spacing_mm=settings.spacing_mm, coarse=coarse)

    if folder is None:
        return list(made(numbers)) if numbers else []
    key = " ".join(map(str, (
        source.digest, settings.target, settings.labels, settings.spacing_mm, settings.image_spacing_mm, beside
    )))
    return CasesOnDisk(numbers, lambda number: next(made([number]), None), folder, key=key)


def _start(folder: Path, settings: VoxelSettings, arguments: Mapping[str, Any]) -> Package:
    package = load_package(folder)
    same = (package.card.labels, dict(package.card.arguments)) == (tuple(settings.labels), dict(arguments))
    if not same:
        raise ValueError(f"task.start_from={folder}: its labels or network are not those of this task")
    return package


def measure_segmenter(
    folder: Path, settings: SegmentationSettings, source: Source, held_out: Sequence[int], place: Workplace
) -> dict[str, Metric]:
    """Dice per organ over patients, gates included: a mask that is wrongly rejected counts as 0.

    A sliver of an organ at the border of the field of view, too small to be measured, is not counted.
    """
    packages = [load_package(folder)]
    if settings.organs_package is not None:
        packages.append(load_package(Path(settings.organs_package)))
    segmenter = PackagedSegmenter({p.card.task: p for p in packages}, device=place.device, precision=place.precision)
    on_mr = settings.target is Target.pituitary
    scores: dict[str, list[float]] = {label: [] for label in settings.labels}
    believed: dict[str, list[float]] = {label: [] for label in settings.labels}
    for sample in source.segmentation(settings.target, held_out, spacing_mm=settings.image_spacing_mm):
        found = segmenter.segment_mr(sample.image) if on_mr else segmenter.segment_ct(sample.image)
        for label in settings.labels:
            truth = sample.truth.mask(label)
            least = PLAUSIBILITY.partial_share * BY_NAME[label].volume_ml[0]
            if np.count_nonzero(truth) * sample.truth.geometry.voxel_volume_ml < least:
                continue
            score = dice(found.mask(label), truth)
            if score is not None:
                scores[label].append(score)
                believed[label].append(float(found.seen(label)))
    metrics = {f"dice/{label}": mean_with_interval(values) for label, values in scores.items()}
    means = [metric.value for metric in metrics.values() if metric.value is not None]
    metrics["dice/mean"] = Metric(round(float(np.mean(means)), 4) if means else None, None, None, len(held_out))
    return metrics | {f"believed/{label}": mean_with_interval(values) for label, values in believed.items()}

