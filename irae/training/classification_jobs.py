"""From settings to five registered classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import IRAE_ORGANS, Irae
from irae.models.card import SEVERITIES, Calibration, Card, Metric, Scoring, scoring_name
from irae.models.classifiers import severity_of
from irae.models.crops import has_baseline
from irae.models.nets import parameter_count, resnet_arguments
from irae.models.package import Package, load_package, save_package
from irae.models.runtime import autocast_dtype, torch_device
from irae.report.curves import reliability_picture, roc_picture
from irae.training.classification import CROPS, ClassificationPlan, Shown, logits_of, train_classifier
from irae.training.data import LabelledCrops, Source
from irae.training.distributed import leads
from irae.training.evaluation import ScoreRow
from irae.training.evaluation_summary import reliability, roc
from irae.training.jobs import Workplace, data_record, plain, seeds
from irae.training.loop import Budget, Optimiser
from irae.training.metrics import (
    auroc,
    expected_calibration_error,
    mean_with_interval,
    operating_point,
    platt,
    statistic_with_interval,
)
from irae.training.settings import ClassificationSettings
from irae.training.validation import classification_validation, upkeep_of


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
    if settings.validation_cases:
        spans["validation"] = seeds(settings.validation_seed, settings.validation_cases)
    cases: dict[str, dict[Irae, list[LabelledCrops]]] = {}
    for use, span in spans.items():
        place.say(f"classifiers: making {len(span)} {use} patients")
        cases[use] = {irae: [] for irae in iraes}
        learning = use == "train"
        made = source.classification(
            specs, span, organs_package=package, found_share=settings.found_share if learning else 1.0,
            baseline_share=settings.baseline_share if learning else 1.0,
        )
        for patient in made:
            for irae, crops in patient.items():
                cases[use][irae].append(crops)
    folders = tuple(
        _one(irae, {use: found[irae] for use, found in cases.items()}, spans, masks, settings, source, place)
        for irae in iraes
    )
    if leads():
        for irae in iraes:
            place.checkpoint(irae.value).unlink(missing_ok=True)
    return folders


def _start(folder: str | None, name: str, arguments: Mapping[str, Any]) -> Package | None:
    """The package to go on from: the folder itself, or the one of this irAE in it."""
    if folder is None:
        return None
    path = Path(folder)
    package = load_package(path / name if (path / name).is_dir() else path)
    if package.card.task != name or dict(package.card.arguments) != dict(arguments):
        raise ValueError(f"task.start_from={folder}: holds no {name} classifier with the network of this task")
    return package


def _one(
    irae: Irae, cases: Mapping[str, list[LabelledCrops]], spans: Mapping[str, range], masks: str,
    settings: ClassificationSettings, source: Source, place: Workplace,
) -> Path:
    name, spec = irae.value, CROPS[irae]
    train = spans["train"]
    device = torch_device(place.device)
    arguments = resnet_arguments(
        in_channels=len(spec.channels), filters=settings.filters, outputs=1 + len(SEVERITIES)
    )
    with place.record(name, settings) as run:
        if run is not None:
            run.dataset(source.name, source.digest, seeds=source.provenance.place or f"{train.start}..{train.stop - 1}")
        plan = ClassificationPlan(
            network="resnet", arguments=arguments, channels=spec.channels, seed=place.seed, batch=settings.batch,
            budget=Budget(steps=settings.steps, cpu_minutes=settings.cpu_minutes), pet_dropped=settings.pet_dropped,
            baseline_dropped=settings.baseline_dropped, label_smoothing=settings.label_smoothing,
            severity_weight=settings.severity_weight, optimiser=Optimiser(learning_rate=settings.learning_rate),
            upkeep=upkeep_of(settings, place.checkpoint(name)),
        )
        start = _start(settings.start_from, name, arguments)
        place.say(f"{name}: training on {len(cases['train'])} cases")
        dtype = autocast_dtype(device, place.precision)
        watched = _shown(cases.get("validation", []))
        network = train_classifier(
            cases["train"], plan, device=device, dtype=dtype, report=place.reporter(run),
            start=None if start is None else start.network(device),
            validate=classification_validation(watched, spec.channels),
        )
        if not leads():
            return place.out / name
        place.say(f"{name}: calibrating and measuring on patients never trained on")
        # Half precision is what is kept, so it is what is calibrated and measured.
        network.load_state_dict({
            key: value.half().float() if value.is_floating_point() else value
            for key, value in network.state_dict().items()
        })
        calibration_cases, held_out_cases = _shown(cases["calibration"]), _shown(cases["held_out"])
        scorings: dict[str, Scoring] = {}
        metrics: dict[str, Metric] = {}
        for shown, suffix in views(irae).items():
            fit_on, measure_on = having(calibration_cases, shown), having(held_out_cases, shown)
            logits = logits_of(network, fit_on, spec.channels, shown=shown)
            scoring = fitted(logits[:, 0], _truth(fit_on), specificity=settings.specificity)
            scorings[scoring_name(pet=shown.pet, baseline=shown.baseline)] = scoring
            logits = logits_of(network, measure_on, spec.channels, shown=shown)
            metrics |= measure_scores(
                _probabilities(scoring.calibration, logits[:, 0]), _truth(measure_on),
                threshold=scoring.operating_point.threshold, suffix=suffix,
            )
            if run is not None:
                curves = _curves(_probabilities(scoring.calibration, logits[:, 0]), measure_on, name)
                for kind, png in curves.items():
                    run.picture(f"{kind}{suffix.replace('/', '_')}", png)
            metrics |= measure_severity(logits[:, 1:], measure_on, cases["train"], suffix=suffix)
        card = Card(
            name=name, task=name, network="resnet", arguments=arguments, parameters=parameter_count(network),
            spacing_mm=spec.spacing_mm, patch=spec.patch, channels=spec.channels, labels=(name, *SEVERITIES),
            created_on=date.today().isoformat(),
            intended_use=(
                f"Scores {name} on crops of {', '.join(IRAE_ORGANS[irae])}; one of two arms, the other being cited "
                "rules. It suggests what to look at, and decides nothing."
            ),
            limitations=source.provenance.limitations, licence=source.provenance.licence, metrics=metrics,
            training=plain(settings) | {
                "seed": place.seed,
                "started_from": None if start is None else {"digest": start.digest, **start.card.training},
            },
            data=data_record(source, **spans)
            | {"measured_on_masks": "true" if irae is Irae.HYPOPHYSITIS else masks}
            | {
                use: {
                    "cases": len(found), "positive": sum(c.positive for c in found),
                    "without_sign": sum(c.hidden for c in found),
                    "with_baseline": sum(has_baseline(c.crops) for c in found),
                }
                for use, found in cases.items()
            },
            scoring=scorings["scoring"], scoring_without_pet=scorings.get("scoring_without_pet"),
            scoring_with_baseline=scorings["scoring_with_baseline"],
            scoring_with_baseline_without_pet=scorings.get("scoring_with_baseline_without_pet"),
        )
        folder = save_package(place.out / name, card, network.state_dict())
        place.publish(run, folder, name, metrics, settings.steps)
    for key, metric in metrics.items():
        place.say(f"{name}: {key} {metric.value} ({metric.low} to {metric.high}, n {metric.n})")
    return folder


def _curves(probabilities: NDArray[np.float64], cases: Sequence[LabelledCrops], irae: str) -> dict[str, bytes]:
    """ROC and reliability as pictures."""
    rows = [
        ScoreRow(patient=str(n), exam=str(n), irae=irae, positive=case.positive, hidden=False,
                 probability=float(probability), threshold=None)
        for n, (case, probability) in enumerate(zip(cases, probabilities, strict=True))
    ]
    return {"roc": roc_picture(roc(rows)), "reliability": reliability_picture(reliability(rows))}


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


def measure_severity(
    logits: NDArray[np.float64], cases: Sequence[LabelledCrops], learnt_from: Sequence[LabelledCrops], *, suffix: str
) -> dict[str, Metric]:
    """Mean distance of the severity from the truth, in steps, over cases that have the irAE; and, to hold it against,
    that of always saying the median severity of the training cases.

    Args:
        logits: (cases, 3) of "at least 1", "at least 2" and "3".
        cases: What they were given for.
        learnt_from: The training cases.
        suffix: Of the metrics' names.
    """
    usual = [case.severity for case in learnt_from if case.positive and case.severity is not None]
    told = [
        (severity_of(row.tolist()), case.severity)
        for row, case in zip(logits, cases, strict=True) if case.positive and case.severity is not None
    ]
    if not usual or not told:
        return {}
    middle = float(np.median(usual))
    return {
        f"severity_error{suffix}": mean_with_interval([float(abs(said - true)) for said, true in told]),
        f"severity_error_of_median{suffix}": mean_with_interval([abs(middle - true) for _, true in told]),
    }


def views(irae: Irae) -> dict[Shown, str]:
    """What an exam may have, PET and baseline, and the suffix of what is measured on it."""
    pets = (True, False) if any(channel.source == "pet" for channel in CROPS[irae].channels) else (True,)
    return {
        Shown(pet, baseline): ("" if pet else "/ct_alone") + ("/with_baseline" if baseline else "")
        for pet in pets for baseline in (False, True)
    }


def having(cases: Sequence[LabelledCrops], shown: Shown) -> list[LabelledCrops]:
    """The cases that have what is shown of them; all, where those are not of both classes."""
    able = [
        case for case in cases
        if (not shown.baseline or has_baseline(case.crops))
        and (not shown.pet or not {"mr", "pet"}.isdisjoint(case.crops))
    ]
    return able if len({case.positive for case in able}) == 2 else list(cases)


def _shown(cases: Sequence[LabelledCrops]) -> list[LabelledCrops]:
    return [case for case in cases if not case.hidden]


def _truth(cases: Sequence[LabelledCrops]) -> NDArray[np.bool_]:
    return np.array([case.positive for case in cases], dtype=bool)


def _probabilities(calibration: Calibration, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([calibration.probability(float(logit)) for logit in logits])
