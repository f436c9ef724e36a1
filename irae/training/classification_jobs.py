"""From settings to five registered classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import IRAE_ORGANS, Irae
from irae.models.nets import parameter_count, resnet_arguments
from irae.models.package import Calibration, Card, Metric, Scoring, load_package, save_package
from irae.models.runtime import autocast_dtype, torch_device
from irae.training.classification import CROPS, ClassificationPlan, logits_of, train_classifier
from irae.training.data import LabelledCrops, Source
from irae.training.jobs import LIMITATIONS, Workplace, data_record, plain, seeds
from irae.training.loop import Budget, Optimiser
from irae.training.metrics import (
    auroc,
    expected_calibration_error,
    operating_point,
    platt,
    statistic_with_interval,
)
from irae.training.settings import ClassificationSettings


def classification_job(settings: ClassificationSettings, source: Source, place: Workplace) -> tuple[Path, ...]:
    """Trains, calibrates, measures, packages and registers one classifier per irAE. Returns the packages' folders.

    Raises:
        ValueError: If the settings cannot work, or one class is absent from the cases of an irAE.
    """
    settings.check()
    iraes = [Irae(name.value) for name in settings.iraes]
    specs = {irae: CROPS[irae] for irae in iraes}
    package = None if settings.organs_package is None else Path(settings.organs_package)
    masks = "true" if package is None else load_package(package).digest
    spans = {
        "train": seeds(settings.train_seed, settings.train_cases),
        "calibration": seeds(settings.calibration_seed, settings.calibration_cases),
        "held_out": seeds(settings.held_out_seed, settings.held_out_cases),
    }
    cases: dict[str, dict[Irae, list[LabelledCrops]]] = {}
    for use, span in spans.items():
        place.say(f"classifiers: making {len(span)} {use} patients")
        cases[use] = {irae: [] for irae in iraes}
        made = source.classification(specs, span, organs_package=None if use == "train" else package)
        for patient in made:
            for irae, crops in patient.items():
                cases[use][irae].append(crops)
    return tuple(
        _one(irae, {use: found[irae] for use, found in cases.items()}, spans, masks, settings, source, place)
        for irae in iraes
    )


def _one(
    irae: Irae, cases: Mapping[str, list[LabelledCrops]], spans: Mapping[str, range], masks: str,
    settings: ClassificationSettings, source: Source, place: Workplace,
) -> Path:
    name, spec = irae.value, CROPS[irae]
    train = spans["train"]
    device = torch_device(place.device)
    arguments = resnet_arguments(in_channels=len(spec.channels), filters=settings.filters)
    with place.record(name, settings) as run:
        if run is not None:
            run.dataset(source.name, source.digest, seeds=f"{train.start}..{train.stop - 1}")
        plan = ClassificationPlan(
            network="resnet", arguments=arguments, channels=spec.channels, seed=place.seed, batch=settings.batch,
            budget=Budget(steps=settings.steps, cpu_minutes=settings.cpu_minutes), pet_dropped=settings.pet_dropped,
            optimiser=Optimiser(learning_rate=settings.learning_rate),
        )
        place.say(f"{name}: training on {len(cases['train'])} cases")
        dtype = autocast_dtype(device, place.precision)
        network = train_classifier(cases["train"], plan, device=device, dtype=dtype, report=place.reporter(run))
        place.say(f"{name}: calibrating and measuring on patients never trained on")
        # Half precision is what is kept, so it is what is calibrated and measured.
        network.load_state_dict({
            key: value.half().float() if value.is_floating_point() else value
            for key, value in network.state_dict().items()
        })
        calibration_cases, held_out_cases = _shown(cases["calibration"]), _shown(cases["held_out"])
        scorings: dict[bool, Scoring] = {}
        metrics: dict[str, Metric] = {}
        for with_pet in _views(irae):
            logits = partial(logits_of, network, channels=spec.channels, with_pet=with_pet)
            scoring = fitted(logits(calibration_cases), _truth(calibration_cases), specificity=settings.specificity)
            scorings[with_pet] = scoring
            metrics |= measure_scores(
                _probabilities(scoring.calibration, logits(held_out_cases)), _truth(held_out_cases),
                threshold=scoring.operating_point.threshold, suffix="" if with_pet else "/ct_alone",
            )
        card = Card(
            name=name, task=name, network="resnet", arguments=arguments, parameters=parameter_count(network),
            spacing_mm=spec.spacing_mm, patch=spec.patch, channels=spec.channels, labels=(name,),
            created_on=date.today().isoformat(),
            intended_use=(
                f"Scores {name} on crops of {', '.join(IRAE_ORGANS[irae])}; one of two arms, the other being cited "
                "rules. It suggests what to look at, and decides nothing."
            ),
            limitations=LIMITATIONS, training=plain(settings) | {"seed": place.seed}, metrics=metrics,
            data=data_record(source, **spans)
            | {"measured_on_masks": "true" if irae is Irae.HYPOPHYSITIS else masks}
            | {
                use: {
                    "cases": len(found), "positive": sum(c.positive for c in found),
                    "without_sign": sum(c.hidden for c in found),
                }
                for use, found in cases.items()
            },
            scoring=scorings[True], scoring_without_pet=scorings.get(False),
        )
        folder = save_package(place.out / name, card, network.state_dict())
        place.publish(run, folder, name, metrics, settings.steps)
    for key, metric in metrics.items():
        place.say(f"{name}: {key} {metric.value} ({metric.low} to {metric.high}, n {metric.n})")
    return folder


def fitted(logits: NDArray[np.float64], truth: NDArray[np.bool_], *, specificity: float) -> Scoring:
    """Calibration and operating point of a network's answers on patients that it was not trained on."""
    calibration = platt(logits, truth)
    return Scoring(calibration, operating_point(_probabilities(calibration, logits), truth, specificity=specificity))


def measure_scores(
    probabilities: NDArray[np.float64], truth: NDArray[np.bool_], *, threshold: float, suffix: str = ""
) -> dict[str, Metric]:
    """AUROC, sensitivity and specificity at the threshold, and calibration error, each with its interval."""
    named = {
        "auroc": auroc,
        "sensitivity": lambda p, y: float((p[y] >= threshold).mean()) if y.any() else None,
        "specificity": lambda p, y: float((p[~y] < threshold).mean()) if (~y).any() else None,
        "ece": expected_calibration_error,
    }
    return {
        f"{key}{suffix}": statistic_with_interval(statistic, probabilities, truth) for key, statistic in named.items()
    }


def _views(irae: Irae) -> tuple[bool, ...]:
    """With PET and with CT alone, where PET is a channel."""
    return (True, False) if any(channel.source == "pet" for channel in CROPS[irae].channels) else (True,)


def _shown(cases: Sequence[LabelledCrops]) -> list[LabelledCrops]:
    return [case for case in cases if not case.hidden]


def _truth(cases: Sequence[LabelledCrops]) -> NDArray[np.bool_]:
    return np.array([case.positive for case in cases], dtype=bool)


def _probabilities(calibration: Calibration, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([calibration.probability(float(logit)) for logit in logits])
