"""Stage B of the fusion: from the table to fitted, calibrated and measured values, in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold

from irae.core.anatomy import Irae
from irae.findings.fusion import GROUP, INDICATORS, INPUTS, FittedFusion, FittedIrae, logit
from irae.io.fusion_card import save_fusion
from irae.models.classifiers import PackagedClassifier
from irae.models.closer import read_by_the_five
from irae.models.package import Metric
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.training.fusion_settings import FusionSettings
from irae.training.fusion_table import FusionRow, TableSettings, fusion_table, table_key
from irae.training.jobs import LIMITATIONS, Workplace, plain, seeds
from irae.training.metrics import (
    RESAMPLES,
    auroc,
    calibration_error_by_chance,
    expected_calibration_error,
    operating_point,
    scaling_near_one,
    statistic_with_interval,
)
from irae.training.phantom_source import generator_digest

FULL_VIEW = "all"
# An indicator that was set in fewer cases than this is not fitted: the fusion then leaves such exams alone.
LEAST_SEEN = 20
# Parts that the patients are cross-fitted in.
FOLDS = 10
# The rules keep at least this share of the learned arm's coefficient. Where synthetic patients say that a network knows
# all, the cited signs still speak: a site's images are not the phantom's. Design value.
LEAST_RULES = 0.25


def fusion_job(settings: FusionSettings, place: Workplace, *, workers: int = 1) -> Path:
    """Makes the table, fits, calibrates, measures, packages and registers the fusion. Returns the package's folder.

    Raises:
        ValueError: If the settings cannot work, or one class of an irAE is absent.
    """
    settings.check()
    weights = Path(settings.weights)
    table = TableSettings(
        weights=weights, masks=settings.masks, ct_mm=_three(settings.ct_mm), pet_mm=_three(settings.pet_mm),
        mr_mm=settings.mr_mm,
    )
    models = dict(PackagedClassifier.from_folder(weights).digests)
    if settings.masks == "found":
        models |= read_by_the_five(PackagedSegmenter.from_folder(weights).digests)
    generator = generator_digest()
    key = table_key(table, generator, models)
    spans = {
        "train": seeds(settings.train_seed, settings.train_cases),
        "calibration": seeds(settings.calibration_seed, settings.calibration_cases),
        "held_out": seeds(settings.held_out_seed, settings.held_out_cases),
    }
    total, done = sum(map(len, spans.values())), 0
    rows: dict[str, list[FusionRow]] = {}
    with place.record("fusion", settings) as run:
        if run is not None:
            run.dataset("phantom", generator, seeds=f"{spans['train'].start}..{spans['train'].stop - 1}")
        for use, span in spans.items():
            place.say(f"fusion: {len(span)} {use} patients (table {settings.cache}/{key})")
            rows[use] = []
            for patient in fusion_table(span, table, cache_folder=Path(settings.cache), key=key, workers=workers):
                rows[use].extend(patient)
                done += 1
                place.advance(done / total, float("nan"))
        fitted: dict[Irae, FittedIrae] = {}
        metrics: dict[str, Metric] = {}
        for irae in Irae:
            own = {use: of_irae(found, irae) for use, found in rows.items()}
            fitted[irae] = fit_irae(own["train"], own["calibration"], settings)
            metrics |= {f"{irae.value}/{k}": m for k, m in measure_irae(own["held_out"], fitted[irae]).items()}
        folder = save_fusion(place.out / "fusion", FittedFusion(iraes=fitted), {
            "models": models,
            "data": {
                "source": "phantom", "generator": generator, "masks": settings.masks, "table": key,
                "views": _views(rows), **{f"{use}_seeds": [r.start, r.stop - 1] for use, r in spans.items()},
            },
            "training": plain(settings) | {"weights": weights.name, "cache": Path(settings.cache).name},
            "metrics": {k: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for k, m in metrics.items()},
            "licence": "Apache-2.0",
            "intended_use": (
                "Fuses the cited rules, the learned score and what is known of the therapy into one probability per "
                "irAE. It holds for the models it was fitted with, and is left alone with others."
            ),
            "limitations": LIMITATIONS + " Half of the synthetic patients have each irAE: real shares are far lower, "
            "and a probability means less there.",
            "created_on": date.today().isoformat(),
        })
        place.publish(run, folder, "fusion", metrics, 0)
    for name, metric in metrics.items():
        place.say(f"fusion: {name} {metric.value} ({metric.low} to {metric.high}, n {metric.n})")
    return folder


def of_irae(rows: Sequence[FusionRow], irae: Irae) -> list[FusionRow]:
    """The rows of one irAE that a fusion of two arms can answer; an irAE without any sign is neither case."""
    return [
        row for row in rows
        if row.irae == irae.value and row.assessable and row.learned_known and (row.visible or not row.present)
    ]


def fit_irae(train: Sequence[FusionRow], calibration: Sequence[FusionRow], settings: FusionSettings) -> FittedIrae:
    """Coefficients from all these patients; scaling, threshold and conformal limits from cross-fitted answers.

    Each patient is answered by a model that has seen none of its rows (``cross_fitted``), so that nobody need be kept
    back. On made-up patients (90 and 60) that leaves a smaller calibration error than keeping 60 back for calibration,
    and conformal sets that cover the same share on average and vary less.

    Raises:
        ValueError: If one class is absent from either, or has too few patients to cross-fit.
    """
    name = train[0].irae if train else "an irAE"
    for use, found in (("training", _truth(train)), ("calibration", _truth(calibration))):
        if not found.any() or found.all():
            raise ValueError(f"fusion of {name}: {use} needs both classes, got {int(found.sum())} of {found.size}")
    rows = [*train, *calibration]
    truth = _truth(rows)
    names = (*INPUTS, *sorted({name for row in rows for name in row.inputs if name.startswith(GROUP)}))
    coefficients, intercept = _logistic(names, _matrix(rows, names), truth, settings)
    raw = cross_fitted(names, rows, settings)
    scaling = scaling_near_one(raw, truth, weights=_patient_weights(rows))
    point = operating_point(
        _sigmoid(scaling.scale * raw + scaling.offset), truth, specificity=settings.specificity
    )
    never = tuple(n for n in INDICATORS if sum(row.inputs[n] > 0 for row in rows) < LEAST_SEEN)
    suspected_from, not_suspected_to = conformal_limits(raw, truth, coverage=settings.coverage)
    return FittedIrae(
        coefficients={n: round(float(c), 6) for n, c in zip(names, coefficients, strict=True)},
        intercept=round(intercept, 6), scale=scaling.scale, offset=scaling.offset, threshold=point.threshold,
        coverage=settings.coverage, suspected_from=round(suspected_from, 6),
        not_suspected_to=round(not_suspected_to, 6), classifier=rows[0].classifier, never_seen=never,
    )


def cross_fitted(
    names: Sequence[str], rows: Sequence[FusionRow], settings: FusionSettings
) -> NDArray[np.float64]:
    """Log-odds of every row by a fit to the other folds' patients; a patient's views lie in one fold.

    Raises:
        ValueError: If a class has fewer than two patients.
    """
    truth, patients = _truth(rows), np.array([row.seed for row in rows])
    least = min(np.unique(patients[truth]).size, np.unique(patients[~truth]).size)
    if least < 2:
        raise ValueError(f"fusion of {rows[0].irae}: cross-fitting needs two patients of each class, got {least}")
    inputs, raw = _matrix(rows, names), np.zeros(len(rows))
    folds = StratifiedGroupKFold(min(FOLDS, least), shuffle=True, random_state=0)
    for others, its in folds.split(inputs, truth, patients):
        coefficients, intercept = _logistic(names, inputs[others], truth[others], settings)
        raw[its] = inputs[its] @ coefficients + intercept
    return raw


def _patient_weights(rows: Sequence[FusionRow]) -> NDArray[np.float64]:
    """Weights by which every patient counts once, however many views it has."""
    counts = Counter(row.seed for row in rows)
    return np.array([1.0 / counts[row.seed] for row in rows])


def _logistic(
    names: Sequence[str], inputs: NDArray[np.float64], truth: NDArray[np.bool_], settings: FusionSettings
) -> tuple[NDArray[np.float64], float]:
    """Logistic regression; an arm or a group that would speak against itself is left out and the rest fitted again.

    A group's own coefficient comes beside the rule arm's and costs more: where little was seen, cited weights stand.
    """
    share = np.array([settings.group_share if name.startswith(GROUP) else 1.0 for name in names])
    used = np.flatnonzero(share > 0)
    rule = names.index("rule_log_odds")
    while True:
        model = LogisticRegression(C=settings.regularisation, max_iter=2000).fit((inputs * share)[:, used], truth)
        coefficients = np.zeros(len(names))
        coefficients[used] = model.coef_[0] * share[used]
        whole = coefficients + np.where([name.startswith(GROUP) for name in names], coefficients[rule], 0.0)
        wrong = [n for n in used.tolist() if names[n] not in INDICATORS and whole[n] < 0]
        groups = [n for n in used.tolist() if names[n].startswith(GROUP)]
        if rule in wrong and groups:
            wrong = groups  # they took the arm's place: the arm as it is cited comes before their freedom
        if not wrong:
            # What intercept this leaves is set right by the scaling, on other patients.
            coefficients[rule] = max(coefficients[rule], LEAST_RULES * coefficients[names.index("learned_log_odds")])
            return coefficients, float(model.intercept_[0])
        used = np.setdiff1d(used, wrong)


def conformal_limits(
    raw: NDArray[np.float64], truth: NDArray[np.bool_], *, coverage: float
) -> tuple[float, float]:
    """From where "suspected", and up to where "not suspected", cannot be ruled out: split-conformal, class by class.

    Of n calibration cases of a class, at most floor((1 - coverage)(n + 1)) may lie beyond the limit (Vovk's Mondrian
    conformal prediction); with fewer cases than that needs, nothing is ruled out.
    """
    positive, negative = np.sort(raw[truth]), np.sort(raw[~truth])[::-1]
    beyond = [int(np.floor((1.0 - coverage) * (values.size + 1) + 1e-9)) for values in (positive, negative)]
    low = float(positive[beyond[0] - 1]) if beyond[0] else -1e6
    high = float(negative[beyond[1] - 1]) if beyond[1] else 1e6
    return low, high


@dataclass(frozen=True, eq=False, slots=True)
class _Scores:
    """Probabilities of the fusion, the rules and the learned arm, and the SUV rule's number (nan), of one view."""

    truth: NDArray[np.bool_]
    raw: NDArray[np.float64]
    fused: NDArray[np.float64]
    rule: NDArray[np.float64]
    learned: NDArray[np.float64]
    suv: NDArray[np.float64]


def measure_irae(rows: Sequence[FusionRow], fitted: FittedIrae) -> dict[str, Metric]:
    """What the fusion is worth on patients never fitted on, beside its arms and the published SUV rule.

    Keys without a suffix are of exams with everything; ``/no_pet`` and so on of the same exams with less.
    """
    metrics: dict[str, Metric] = {}
    for view in dict.fromkeys(row.view for row in rows):
        scores = _scores([row for row in rows if row.view == view], fitted)
        suffix = "" if view == FULL_VIEW else f"/{view}"
        metrics |= {f"{key}{suffix}": metric for key, metric in _measured(scores, fitted).items()}
    return metrics


def _measured(scores: _Scores, fitted: FittedIrae) -> dict[str, Metric]:
    truth, threshold = scores.truth, fitted.threshold
    single = (scores.raw >= fitted.suspected_from) != (scores.raw <= fitted.not_suspected_to)
    covered = np.where(truth, scores.raw >= fitted.suspected_from, scores.raw <= fitted.not_suspected_to)
    found = {
        "auroc": statistic_with_interval(auroc, scores.fused, truth),
        "auprc": statistic_with_interval(_auprc, scores.fused, truth),
        "sensitivity": statistic_with_interval(
            lambda p, y: float((p[y] >= threshold).mean()) if y.any() else None, scores.fused, truth),
        "specificity": statistic_with_interval(
            lambda p, y: float((p[~y] < threshold).mean()) if (~y).any() else None, scores.fused, truth),
        "ece": statistic_with_interval(expected_calibration_error, scores.fused, truth),
        "ece_by_chance": calibration_error_by_chance(scores.fused),
        "coverage": statistic_with_interval(lambda c, y: float(c.mean()), covered.astype(float), truth),
        "abstained": statistic_with_interval(lambda c, y: float(c.mean()), (~single).astype(float), truth),
        "auroc_rules": statistic_with_interval(auroc, scores.rule, truth),
        "auroc_learned": statistic_with_interval(auroc, scores.learned, truth),
    }
    known = np.isfinite(scores.suv)
    if known.any():
        found["auroc_suv"] = statistic_with_interval(auroc, scores.suv[known], truth[known])
        found["auroc_gain_over_suv"] = paired_difference(scores.fused[known], scores.suv[known], truth[known])
    return found


def paired_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], truth: NDArray[np.bool_], *, seed: int = 0
) -> Metric:
    """AUROC of one score less that of another on the same patients, with its bootstrap interval over patients."""
    def difference(rows: NDArray[np.intp]) -> float | None:
        a, b = auroc(ours[rows], truth[rows]), auroc(theirs[rows], truth[rows])
        return None if a is None or b is None else a - b

    value = difference(np.arange(truth.size))
    if value is None:
        return Metric(None, None, None, int(truth.size))
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    drawn = [
        again for _ in range(RESAMPLES)
        if (again := difference(np.concatenate([rng.choice(g, g.size) for g in groups]))) is not None
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Metric(round(value, 4), round(float(low), 4), round(float(high), 4), int(truth.size))


def _scores(rows: Sequence[FusionRow], fitted: FittedIrae) -> _Scores:
    raw = np.array([fitted.log_odds(row.inputs) for row in rows])
    return _Scores(
        truth=_truth(rows), raw=raw, fused=_sigmoid(fitted.scale * raw + fitted.offset),
        rule=np.array([row.inputs["rule_log_odds"] if row.rule_known else logit(0.5) for row in rows]),
        learned=np.array([row.inputs["learned_log_odds"] for row in rows]),
        suv=np.array([np.nan if row.suv_rule is None else row.suv_rule for row in rows]),
    )


def _auprc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    return float(average_precision_score(truth, scores)) if truth.any() else None


def _matrix(rows: Sequence[FusionRow], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[row.inputs.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)


def _truth(rows: Sequence[FusionRow]) -> NDArray[np.bool_]:
    return np.array([row.visible for row in rows], dtype=bool)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(values, -12.0, 12.0)))
    return found


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _views(rows: Mapping[str, Sequence[FusionRow]]) -> list[str]:
    return list(dict.fromkeys(row.view for found in rows.values() for row in found))

