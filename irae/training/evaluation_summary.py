"""From what was measured exam by exam to averages with 95 % bootstrap intervals over patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from irae.training.evaluation import Evaluation, ExamRow, FociRow, OrganRow, ScoreRow
from irae.training.metrics import auroc, expected_calibration_error

RESAMPLES = 500
SPECIFICITY = 0.95
BINS = 10
# False foci an exam at which the FROC curve is read.
FROC_AT = (0.5, 1.0, 2.0, 4.0, 8.0)
# A subgroup of fewer patients than this is listed without numbers.
LEAST_PATIENTS = 5
RowT = TypeVar("RowT", bound=ExamRow)
Number = dict[str, Any]
SCHEMA = "irae.evaluation/1"


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """All averages: ``organs``, ``iraes`` and ``foci``, each number with low, high and the number of patients."""
    return {
        "schema": SCHEMA, "patients": evaluation.patients,
        "organs": {
            organ: _organ([row for row in evaluation.organs if row.organ == organ])
            for organ in sorted({row.organ for row in evaluation.organs})
        },
        "iraes": {
            irae: irae_summary([row for row in evaluation.scores if row.irae == irae])
            for irae in sorted({row.irae for row in evaluation.scores})
        },
        "foci": {
            method: foci_summary([row for row in evaluation.foci if row.method == method])
            for method in sorted({row.method for row in evaluation.foci}, reverse=True)
        },
    }


def over_patients(rows: Sequence[RowT], statistic: Callable[[Sequence[RowT]], float | None]) -> Number:
    """A statistic of rows and its interval, patients (with all their rows) drawn with replacement."""
    by_patient: defaultdict[str, list[RowT]] = defaultdict(list)
    for row in rows:
        by_patient[row.patient].append(row)
    value = statistic(rows) if rows else None
    number: Number = {"value": _rounded(value), "low": None, "high": None, "n": len(by_patient)}
    if value is None or len(by_patient) < 2:
        return number
    rng, keys, again = np.random.default_rng(0), list(by_patient), []
    for _ in range(RESAMPLES):
        drawn = [row for place in rng.integers(0, len(keys), len(keys)) for row in by_patient[keys[place]]]
        result = statistic(drawn)
        if result is not None:
            again.append(result)
    if again:
        number["low"], number["high"] = (_rounded(float(end)) for end in np.percentile(again, [2.5, 97.5]))
    return number


def _organ(rows: Sequence[OrganRow]) -> dict[str, Any]:
    return {
        "dice": over_patients(rows, lambda these: float(np.mean([row.dice for row in these]))),
        "surface_dice": over_patients(
            rows, lambda these: float(np.mean([row.surface_dice or 0.0 for row in these]))
        ),
        "hd95_mm": over_patients([row for row in rows if row.hd95_mm is not None], _median_distance),
        "believed": over_patients(rows, lambda these: float(np.mean([row.believed for row in these]))),
        "subgroups": _subgroups(rows, lambda these: float(np.mean([row.dice for row in these])), "dice"),
    }


def _median_distance(rows: Sequence[OrganRow]) -> float | None:
    values = [row.hd95_mm for row in rows if row.hd95_mm is not None]
    return float(np.median(values)) if values else None


def irae_summary(rows: Sequence[ScoreRow]) -> dict[str, Any]:
    """Discrimination, operating point and calibration of one irAE, and its curves.

    irAEs that leave no sign are not counted, exams that could not be scored only as such.
    """
    shown = [row for row in rows if not row.hidden]
    scored = [row for row in shown if row.probability is not None]
    found: dict[str, Any] = {
        "positive": sum(row.positive for row in scored), "negative": sum(not row.positive for row in scored),
        "hidden": len(rows) - len(shown), "not_assessable": len(shown) - len(scored),
        "auroc": over_patients(scored, _auroc), "auprc": over_patients(scored, _auprc),
        "sensitivity_at_specificity_95": over_patients(scored, _sensitivity_at),
        "sensitivity": over_patients(scored, lambda these: _hit_share(these, positive=True)),
        "specificity": over_patients(scored, lambda these: _hit_share(these, positive=False)),
        "ece": over_patients(scored, lambda these: expected_calibration_error(*_arrays(these)) if these else None),
        "subgroups": _subgroups(scored, _auroc, "auroc"),
        "reliability": reliability(scored), "roc": roc(scored),
    }
    return found


def reliability(rows: Sequence[ScoreRow]) -> list[dict[str, float]]:
    """Mean probability and observed rate of each bin that is not empty."""
    probability, positive = _arrays(rows)
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        {"probability": round(float(probability[place == b].mean()), 4), "n": int((place == b).sum()),
         "observed": round(float(positive[place == b].mean()), 4)}
        for b in range(BINS) if (place == b).any()
    ]


def roc(rows: Sequence[ScoreRow]) -> list[list[float]]:
    """(1 - specificity, sensitivity) points, by scikit-learn; empty where one class is absent."""
    from sklearn.metrics import roc_curve

    probability, positive = _arrays(rows)
    if not positive.any() or positive.all():
        return []
    false_rate, true_rate, _ = roc_curve(positive, probability)
    return np.round(np.stack([false_rate, true_rate], axis=1), 4).tolist()  # type: ignore[no-any-return]


def foci_summary(rows: Sequence[FociRow]) -> dict[str, Any]:
    """FROC: the share of true foci that were found against false ones an exam, over the method's score."""
    curve = froc(rows)
    at = {f"sensitivity_at_{rate:g}_false": over_patients(rows, _froc_reader(rate)) for rate in FROC_AT}
    return {
        "true": sum(row.true for row in rows), "exams": len(rows), "curve": curve,
        "false_an_exam": over_patients(rows, lambda these: float(np.mean([len(row.false) for row in these]))),
        "sensitivity": over_patients(rows, lambda these: _share(these)), **at,
    }


def froc(rows: Sequence[FociRow]) -> list[list[float]]:
    """(false foci an exam, sensitivity) points from the strictest threshold on; empty where there is no true focus.

    MONAI's ``compute_froc_curve_data`` leaves out the lowest threshold, at which all that was found counts.
    """
    true = sum(row.true for row in rows)
    if not true:
        return []
    false = np.array([score for row in rows for score in row.false])
    hits = np.array([score for row in rows for score in row.found])
    points = [[0.0, 0.0]]
    for threshold in np.unique(np.concatenate([false, hits]))[::-1]:
        points.append([
            round(float((false >= threshold).sum()) / len(rows), 4), round(float((hits >= threshold).sum()) / true, 4)
        ])
    return points


def _froc_reader(rate: float) -> Callable[[Sequence[FociRow]], float | None]:
    def read(rows: Sequence[FociRow]) -> float | None:
        within = [sensitivity for false, sensitivity in froc(rows) if false <= rate]
        return max(within, default=0.0) if sum(row.true for row in rows) else None

    return read


def _share(rows: Sequence[FociRow]) -> float | None:
    true = sum(row.true for row in rows)
    return sum(len(row.found) for row in rows) / true if true else None


def _arrays(rows: Sequence[ScoreRow]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return (
        np.array([row.probability for row in rows], dtype=np.float64),
        np.array([row.positive for row in rows], dtype=bool),
    )


def _auroc(rows: Sequence[ScoreRow]) -> float | None:
    return auroc(*_arrays(rows))


def _auprc(rows: Sequence[ScoreRow]) -> float | None:
    from sklearn.metrics import average_precision_score

    probability, positive = _arrays(rows)
    return float(average_precision_score(positive, probability)) if positive.any() and not positive.all() else None


def _sensitivity_at(rows: Sequence[ScoreRow]) -> float | None:
    """The greatest sensitivity at a specificity of at least ``SPECIFICITY`` on these very rows."""
    probability, positive = _arrays(rows)
    if not positive.any() or positive.all():
        return None
    negatives = np.sort(probability[~positive])
    least = negatives[max(0, int(np.ceil(SPECIFICITY * len(negatives) - 1e-9)) - 1)]
    return float((probability[positive] > least).mean())


def _hit_share(rows: Sequence[ScoreRow], *, positive: bool) -> float | None:
    """Sensitivity, or specificity, at the threshold of the model."""
    those = [row for row in rows if row.positive is positive]
    if not those:
        return None
    hit = [(row.probability or 0.0) >= (row.threshold or 0.0) for row in those]
    return float(np.mean(hit)) if positive else 1.0 - float(np.mean(hit))


def _subgroups(
    rows: Sequence[RowT], statistic: Callable[[Sequence[RowT]], float | None], name: str
) -> dict[str, dict[str, Any]]:
    """The statistic in each subgroup: ``{"sex": {"F": {"dice": ...}, ...}, ...}``."""
    kinds = sorted({kind for row in rows for kind in row.groups})
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        found[kind] = {}
        for value in sorted({row.groups.get(kind, "unknown") for row in rows}):
            those = [row for row in rows if row.groups.get(kind, "unknown") == value]
            patients = len({row.patient for row in those})
            found[kind][value] = {
                name: over_patients(those, statistic) if patients >= LEAST_PATIENTS else
                {"value": None, "low": None, "high": None, "n": patients}
            }
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)
