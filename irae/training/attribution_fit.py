"""Fits the learned attribution model: boosted trees or logistic regression, whichever errs less on unseen patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from irae.attribution.candidates import candidates
from irae.attribution.features import FEATURE_TABLE
from irae.attribution.learned import CLASSES, Array, LearnedModel, Linear, Margins, Seen, Trees, softmax
from irae.core.context import PatientContext
from irae.core.focus import FocusStatus
from irae.pipeline import result_unseen
from irae.training.attribution_cases import Case

# Rows are learnt twice, with and without the patient's context; most exams come with one.
WITH_CONTEXT, WITHOUT_CONTEXT = 0.7, 0.3
# Share of each class that may be ruled out wrongly: the worst error is a metastasis called something else, and the
# commonest focus is normal uptake.
ALPHA = (0.05, 0.01, 0.01)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Table:
    """Foci as rows.

    Attributes:
        x: (n, features) float64, NaN where unknown. y: (n,) index into CLASSES. patient: (n,) seed. weight: (n,).
    """

    x: Array
    y: NDArray[np.int64]
    patient: NDArray[np.int64]
    weight: Array

    def of(self, rows: NDArray[np.generic]) -> Table:
        """Some of the rows."""
        return Table(x=self.x[rows], y=self.y[rows], patient=self.patient[rows], weight=self.weight[rows])


FEATURES = tuple(feature.name for feature in FEATURE_TABLE)


def table(cases: Iterable[Case], *, without_context: bool = True) -> Table:
    """Every labelled focus of the cases; with ``without_context`` each a second time as if no context were given."""
    x: list[list[float]] = []
    y, patient, weight = [], [], []
    for case in cases:
        views = [(case.context, WITH_CONTEXT if without_context else 1.0)]
        views += [(PatientContext(), WITHOUT_CONTEXT)] if without_context else []
        for context, one in views:
            for at, exam in enumerate(case.exams):
                result = exam.result
                _, described = candidates(
                    [a.focus for a in result.foci], findings=result.findings, quantities=result.quantities,
                    context=context, on=result.acquired_on, earlier=[e.result for e in case.exams[:at]],
                    unseen=result_unseen(result),
                )
                for candidate in described:
                    nature = exam.truth.nature.get(candidate.focus.id)
                    # What is followed keeps what it was called: the model is not asked.
                    followed = candidate.focus.features.get("followed", 0.0) > 0
                    if followed or candidate.focus.status is FocusStatus.GONE or nature not in CLASSES:
                        continue
                    x.append([candidate.features.get(name, np.nan) for name in FEATURES])
                    y.append(CLASSES.index(nature))
                    patient.append(case.seed)
                    weight.append(one)
    return Table(x=np.array(x, dtype=np.float64).reshape(-1, len(FEATURES)), y=np.array(y, dtype=np.int64),
                 patient=np.array(patient, dtype=np.int64), weight=np.array(weight, dtype=np.float64))


Fit = Callable[[Table, int], Margins]


def fit_trees(rows: Table, seed: int, *, leaves: int, rounds: int) -> Margins:
    """Gradient boosting (scikit-learn's histogram trees), exported to plain arrays and checked against it."""
    # scikit-learn cannot bin a feature that was never known; as a constant it is never asked for.
    x = np.where(np.isnan(rows.x).all(axis=0), 0.0, rows.x)
    model = HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=rounds, max_leaf_nodes=leaves, min_samples_leaf=20, l2_regularization=5.0,
        max_features=0.5, early_stopping=False, random_state=seed,
    ).fit(x, rows.y, sample_weight=rows.weight)
    trees = exported(model)
    ours = margins_of(trees, rows.x[:200])
    if not np.allclose(ours, model.decision_function(x[:200]), atol=1e-6):
        raise RuntimeError("the exported trees do not give what scikit-learn gives")
    return trees


def exported(model: Any) -> Trees:
    """Arrays of a fitted HistGradientBoostingClassifier of all three classes."""
    parts: dict[str, list[NDArray[np.generic]]] = {
        name: [] for name in ("feature", "threshold", "missing_left", "left", "right", "value")
    }
    roots, outputs, offset = [], [], 0
    for round_ in model._predictors:
        for output, predictor in enumerate(round_):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            parts["feature"].append(np.where(leaf, -1, nodes["feature_idx"]).astype(np.int32))
            parts["threshold"].append(np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64))
            parts["missing_left"].append(nodes["missing_go_to_left"].astype(np.uint8))
            for side in ("left", "right"):
                parts[side].append(np.where(leaf, 0, nodes[side].astype(np.int64) + offset).astype(np.int32))
            parts["value"].append(_means(nodes, leaf))
            roots.append(offset)
            outputs.append(output)
            offset += len(nodes)
    arrays: dict[str, Any] = {name: np.concatenate(found) for name, found in parts.items()}
    start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1)
    # A split at infinity separates known from unknown values.
    arrays["threshold"] = np.nan_to_num(arrays["threshold"], posinf=np.finfo(np.float64).max)
    return Trees(start=start, roots=np.array(roots, np.int32), outputs=np.array(outputs, np.int32), **arrays)


def _means(nodes: Any, leaf: NDArray[np.bool_]) -> Array:
    """Leaf values, and inside the mean over the training cases below; children follow their parents."""
    value: Array = np.where(leaf, nodes["value"], 0.0).astype(np.float64)
    for at in range(len(nodes) - 1, -1, -1):
        if not leaf[at]:
            left, right = int(nodes["left"][at]), int(nodes["right"][at])
            n, m = float(nodes["count"][left]), float(nodes["count"][right])
            value[at] = (n * value[left] + m * value[right]) / (n + m)
    return value


def fit_linear(rows: Table, seed: int, *, inverse_penalty: float) -> Margins:
    """Multinomial logistic regression on standardised features with flags for unknown ones."""
    unknown = np.isnan(rows.x)
    centre, scale = standard(rows.x)
    z = np.where(unknown, 0.0, (rows.x - centre) / scale)
    model = LogisticRegression(C=inverse_penalty, tol=1e-3, max_iter=2000, random_state=seed)
    model.fit(np.hstack([z, unknown]), rows.y, sample_weight=rows.weight)
    n = rows.x.shape[1]
    return Linear(start=np.asarray(model.intercept_, np.float64), centre=centre, scale=scale,
                  weight=np.ascontiguousarray(model.coef_[:, :n].T, np.float64),
                  missing=np.ascontiguousarray(model.coef_[:, n:].T, np.float64))


def standard(x: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column's known values; 1 where they do not vary."""
    unknown = np.isnan(x)
    counted = np.maximum((~unknown).sum(axis=0), 1)
    centre = np.where(unknown, 0.0, x).sum(axis=0) / counted
    spread = np.where(unknown, 0.0, (x - centre) ** 2).sum(axis=0) / counted
    return centre, np.sqrt(np.where(spread > 1e-12, spread, 1.0))


# Rows that stand for the training cases; share of foci of unseen patients that may count as unlike them; an unknown
# that is rare in training counts as if this standard deviation (4 % of the rows) had been seen.
TYPICAL, UNLIKE_SHARE, LEAST_UNKNOWN_SD = 300, 0.01, 0.2
FOLDS = 10  # parts that the patients are cross-fitted in


def seen(rows: Table, seed: int) -> Seen:
    """Where the training cases lie, and the distance that 99 % of a patient's foci keep from the other patients'."""
    apart = np.concatenate([
        _apart(_lie(rows.of(others), seed), rows.x[its]) for others, its in folds_of(rows)
    ])
    return replace(_lie(rows, seed), limit=float(np.quantile(apart, 1.0 - UNLIKE_SHARE, method="higher")))


def _lie(rows: Table, seed: int) -> Seen:
    unknown = np.isnan(rows.x)
    centre, scale = standard(rows.x)
    centre = np.concatenate([centre, unknown.mean(axis=0)])
    scale = np.concatenate([scale, np.maximum(unknown.std(axis=0), LEAST_UNKNOWN_SD)])
    known = np.hstack([np.where(unknown, centre[: rows.x.shape[1]], rows.x), unknown])
    known = np.unique((known - centre) / scale, axis=0)
    typical = KMeans(min(TYPICAL, len(known)), n_init=1, random_state=seed).fit(known).cluster_centers_
    return Seen(centre=centre, scale=scale, typical=typical.astype(np.float32), limit=np.inf)


def _apart(where: Seen, x: Array) -> Array:
    return np.array([np.sqrt(where.apart(row).sum()) for row in x])


CHOICES: dict[str, Fit] = {
    "trees, 4 leaves, 150 rounds": lambda rows, seed: fit_trees(rows, seed, leaves=4, rounds=150),
    "trees, 8 leaves, 120 rounds": lambda rows, seed: fit_trees(rows, seed, leaves=8, rounds=120),
    "logistic, C 0.05": lambda rows, seed: fit_linear(rows, seed, inverse_penalty=0.05),
}


def margins_of(margins: Margins, x: Array) -> Array:
    """(n, 3) margins of rows."""
    rows = [start + given.sum(axis=0) for start, given in (margins.explained(row) for row in x)]
    return np.array(rows).reshape(-1, len(CLASSES))


def log_loss(p: Array, y: NDArray[np.int64], weight: Array) -> float:
    """Weighted mean negative log-likelihood."""
    return float(np.average(-np.log(np.clip(p[np.arange(len(y)), y], 1e-9, 1.0)), weights=weight))


def folds_of(rows: Table) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of all others and of some patients, until everyone was left out once.

    Raises:
        ValueError: If there are too few patients for the folds, or too few with one of the natures.
    """
    patients = len(np.unique(rows.patient))
    by_class = [len(np.unique(rows.patient[rows.y == k])) for k in range(len(CLASSES))]
    folds = list(GroupKFold(FOLDS).split(rows.x, rows.y, rows.patient)) if patients >= FOLDS else []
    if not folds or any(len(np.unique(rows.y[others])) < len(CLASSES) for others, _ in folds):
        held = ", ".join(f"{n} with {nature.value}" for nature, n in zip(CLASSES, by_class, strict=True))
        raise ValueError(f"attribution: need {FOLDS} patients, several of each nature; got {patients} ({held})")
    return folds


def cross_fitted(fit: Fit, rows: Table, seed: int) -> Array:
    """(n, 3) margins of every row by a fit to the other folds' patients."""
    raw = np.zeros((len(rows.y), len(CLASSES)))
    for others, its in folds_of(rows):
        raw[its] = margins_of(fit(rows.of(others), seed), rows.x[its])
    return raw


def calibrated(margins: Margins, features: Sequence[str], raw: Array, rows: Table) -> LearnedModel:
    """Temperature by least log loss, and per class the least probability that keeps it possible (split-conformal).

    Args:
        margins: Fitted. features: Their names.
        raw: (n, 3) margins of rows by fits that never saw their patients.
        rows: The same rows.
    """
    grid = np.geomspace(0.3, 5.0, 141)
    temperature = float(grid[np.argmin([log_loss(softmax(raw / t), rows.y, rows.weight) for t in grid])])
    return LearnedModel(features=tuple(features), margins=margins, temperature=temperature,
                        least=conformal_limits(softmax(raw / temperature), rows.y))


def conformal_limits(p: Array, y: NDArray[np.int64], alpha: Sequence[float] = ALPHA) -> tuple[float, float, float]:
    """Class by class the k-th least probability of its own cases, k = alpha (n + 1), at least 1 (Vovk 2012).

    A new case of the class lies below it with probability at most k / (n + 1), if it is like these.

    >>> p = np.array([[0.9, 0.05, 0.05], [0.6, 0.2, 0.2], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    >>> conformal_limits(p, np.array([0, 0, 1, 2]))
    (0.6, 0.7, 0.8)
    """
    limits = []
    for index, rate in enumerate(alpha):
        own = np.sort(p[y == index, index])
        k = max(1, int(rate * (len(own) + 1)))
        limits.append(float(own[k - 1]) if len(own) else 0.0)
    return limits[0], limits[1], limits[2]


def fitted(rows: Table, seed: int) -> tuple[LearnedModel, dict[str, float]]:
    """The best choice fitted on all patients, and every choice's log loss on patients left out.

    Temperature, limits of abstention and of likeness come from cross-fitting: every patient is answered by a fit to the
    others, so that nobody need be kept back. On one thread: the tables are small, and threads that wait for each other
    cost minutes on a busy machine.
    """
    with threadpool_limits(1):
        left_out = {name: cross_fitted(fit, rows, seed) for name, fit in CHOICES.items()}
        losses = {name: round(log_loss(softmax(raw), rows.y, rows.weight), 4) for name, raw in left_out.items()}
        name = min(losses, key=lambda name: losses[name])
        model = calibrated(CHOICES[name](rows, seed), FEATURES, left_out[name], rows)
        return replace(model, seen=seen(rows, seed)), losses


def fitted_on_suv_max(rows: Table, seed: int) -> LearnedModel:
    """The same on SUVmax alone: what a threshold of uptake can do."""
    alone = replace(rows, x=rows.x[:, [FEATURES.index("suv_max")]])

    def fit(some: Table, seed: int) -> Margins:
        return fit_linear(some, seed, inverse_penalty=1.0)

    margins = fit(alone, seed)
    model = calibrated(margins, ("suv_max",), cross_fitted(fit, alone, seed), alone)
    assert isinstance(margins, Linear)
    t = model.temperature
    scaled = Linear(start=margins.start / t, centre=margins.centre, scale=margins.scale, weight=margins.weight / t,
                    missing=margins.missing / t)
    return replace(model, margins=scaled, temperature=1.0)
