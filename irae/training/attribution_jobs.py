"""From settings to a packaged attribution model: cases, fit, measuring on other patients, package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from irae.attribution.learned import CLASSES, LearnedModel
from irae.core.focus import Nature
from irae.models.attribution_package import ATTRIBUTION_FOLDER, AttributionCard, load_attribution, save_attribution
from irae.models.package import Metric
from irae.training.attribution_cases import Case, cases, cases_digest, decided_again, planned
from irae.training.attribution_fit import ALPHA, fitted, fitted_on_suv_max, table
from irae.training.attribution_measure import Call, called, calls, calls_by_suv_max, indeterminate, macro_auroc
from irae.training.attribution_settings import AttributionSettings
from irae.training.jobs import LIMITATIONS, Workplace, plain, seeds
from irae.training.metrics import RESAMPLES
from irae.training.phantom_source import generator_digest

INTENDED_USE = (
    "Suggests whether a focus on PET/CT looks like inflammation, metastasis or normal uptake, or that it cannot tell; "
    "beside a transparent evidence score, under safety rules that stand above both. It decides nothing."
)


def attribution_job(settings: AttributionSettings, place: Workplace, *, workers: int) -> Path:
    """Makes or reads the cases, fits, calibrates, measures, packages and registers. Returns the package's folder.

    Raises:
        ValueError: If the settings cannot work, or the cases hold too few patients or not all three natures.
    """
    settings.check()
    name = ATTRIBUTION_FOLDER
    folder = Path(settings.cases) if settings.cases else place.out / "attribution_cases"
    spans = {
        "train": seeds(settings.train_seed, settings.train_cases),
        "held_out": seeds(settings.held_out_seed, settings.held_out_cases),
    }
    made: dict[str, list[Case]] = {}
    with place.record(name, settings) as run:
        if run is not None:
            run.dataset("phantom", generator_digest(), seeds=f"{spans['train'].start}..{spans['train'].stop - 1}")
        for use, span in spans.items():
            place.say(f"{name}: {len(span)} {use} patients, kept in {folder.name}/{cases_digest()}")
            plans = planned(span, spacing_mm=settings.spacing_mm, weights=Path(settings.weights))
            made[use] = []
            for done, case in enumerate(cases(plans, folder, workers=workers), start=1):
                made[use].append(case)
                place.advance(done / len(span), float("nan"))
        rows = table(made["train"])
        place.say(f"{name}: fitting on {len(rows.y)} rows of {len(made['train'])} patients")
        model, losses = fitted(rows, place.seed)
        alone = fitted_on_suv_max(rows, place.seed)
        card = AttributionCard(
            created_on=date.today().isoformat(), intended_use=INTENDED_USE, limitations=LIMITATIONS,
            training={key: value for key, value in plain(settings).items() if key not in ("cases", "weights")} | {
                "seed": place.seed, "cross_validated_log_loss": losses,
                "alpha": dict(zip([c.value for c in CLASSES], ALPHA, strict=True)),
                "rows": len(rows.y),
            },
            data={"source": "phantom", "generator": generator_digest(), "cases": cases_digest(),
                  **_spans(spans), "exams": {use: sum(len(c.exams) for c in found) for use, found in made.items()}},
            metrics=measured(made["held_out"], model, alone), suv_max_alone=alone,
        )
        package = save_attribution(place.out / name, model, card)
        load_attribution(package)  # what was written is what will be read
        place.publish(run, package, name, card.metrics, len(rows.y))
    for choice, loss in losses.items():
        place.say(f"{name}: log loss {loss:.3f} on patients left out: {choice}")
    for key, metric in card.metrics.items():
        place.say(f"{name}: {key} {metric.value} ({metric.low} to {metric.high}, n {metric.n})")
    return package


def _spans(spans: dict[str, range]) -> dict[str, list[int]]:
    return {f"{use}_seeds": [span.start, span.stop - 1] for use, span in spans.items()}


def measured(held_out: Sequence[Case], model: LearnedModel, alone: LearnedModel) -> dict[str, Metric]:
    """The numbers of the three arms on patients never seen, intervals by resampling patients."""
    arms = {
        "learned": [calls([case], [decided_again(case, model)]) for case in held_out],
        "evidence": [calls([case], [decided_again(case, None)]) for case in held_out],
        "suv_max": [calls_by_suv_max([case], alone) for case in held_out],
    }
    metrics = {}
    for arm, by_patient in arms.items():
        metrics[f"{arm}/macro_auroc"] = _metric(by_patient, macro_auroc)
        metrics[f"{arm}/metastasis_called_inflammation"] = _metric(
            by_patient, lambda found: _share(*called(found, Nature.METASTASIS, Nature.INFLAMMATION)))
        metrics[f"{arm}/metastasis_called_physiologic"] = _metric(
            by_patient, lambda found: _share(*called(found, Nature.METASTASIS, Nature.PHYSIOLOGIC)))
        metrics[f"{arm}/inflammation_called_metastasis"] = _metric(
            by_patient, lambda found: _share(*called(found, Nature.INFLAMMATION, Nature.METASTASIS)))
        metrics[f"{arm}/indeterminate"] = _metric(by_patient, lambda found: _share(*indeterminate(found)))
    return metrics


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _metric(by_patient: Sequence[Sequence[Call]], ask: Callable[[Sequence[Call]], float | None]) -> Metric:
    """A number of all foci and its 95 % interval over patients."""
    value = ask([c for found in by_patient for c in found])
    if value is None:
        return Metric(None, None, None, len(by_patient))
    rng = np.random.default_rng(0)
    draws = [
        again for _ in range(RESAMPLES // 2)
        if (again := ask([c for i in rng.integers(0, len(by_patient), len(by_patient)) for c in by_patient[i]]))
        is not None
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Metric(round(value, 4), round(float(low), 4), round(float(high), 4), len(by_patient))
