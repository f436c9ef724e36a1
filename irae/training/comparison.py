"""Champion against challenger on the same exams, patient by patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from irae.evaluate.promotion import Better, Measure
from irae.training.evaluation import Evaluation, ExamRow, OrganRow, ScoreRow
from irae.training.evaluation_summary import RESAMPLES
from irae.training.metrics import auroc, expected_calibration_error

RowT = TypeVar("RowT", bound=ExamRow)
Statistic = Callable[[Sequence[RowT]], float | None]


def compared(
    champion: Evaluation, challenger: Evaluation, *, organs: Sequence[str] = (), iraes: Sequence[str] = ()
) -> tuple[Measure, ...]:
    """Every measure of both, with the interval of the difference over patients (both drawn together).

    Args:
        champion, challenger: On the same exams.
        organs: Whose Dice is compared. iraes: Whose scores are compared. What was left alone needs no comparison.
    """
    measures: list[Measure | None] = []
    for organ in organs:
        one, other = ([row for row in its.organs if row.organ == organ] for its in (champion, challenger))
        measures.append(paired(f"dice/{organ}", one, other, _mean_dice))
    for irae in iraes:
        # Sensitivity at each model's own threshold, which was set for specificity: what a reader would notice.
        mine, its = (_scored(evaluation, irae) for evaluation in (champion, challenger))
        measures.append(paired(f"auroc/{irae}", mine, its, _auroc))
        measures.append(paired(f"sensitivity/{irae}", mine, its, _sensitivity))
        measures.append(paired(f"ece/{irae}", mine, its, _ece, better=Better.LOWER))
    return tuple(measure for measure in measures if measure is not None)


def paired(
    name: str, champion: Sequence[RowT], challenger: Sequence[RowT], statistic: Statistic[RowT], *,
    better: Better = Better.HIGHER,
) -> Measure | None:
    """One measure; None where either model has no value."""
    mine, its = statistic(champion) if champion else None, statistic(challenger) if challenger else None
    if mine is None or its is None:
        return None
    by_patient: defaultdict[str, tuple[list[RowT], list[RowT]]] = defaultdict(lambda: ([], []))
    for place, rows in enumerate((champion, challenger)):
        for row in rows:
            by_patient[row.patient][place].append(row)
    rng, keys, differences = np.random.default_rng(0), list(by_patient), []
    for _ in range(RESAMPLES if len(keys) > 1 else 0):
        drawn = [by_patient[keys[place]] for place in rng.integers(0, len(keys), len(keys))]
        one, other = (statistic([row for pair in drawn for row in pair[place]]) for place in (0, 1))
        if one is not None and other is not None:
            differences.append(other - one)
    low, high = np.percentile(differences, [2.5, 97.5]).round(4).tolist() if differences else (None, None)
    return Measure(
        name=name, champion=round(mine, 4), challenger=round(its, 4), low=low, high=high, n=len(keys), better=better
    )


def _scored(evaluation: Evaluation, irae: str) -> list[ScoreRow]:
    """Exams that a model could not score count as not suspected: a model must not win by silence."""
    return [row for row in evaluation.scores if row.irae == irae and not row.hidden]


def _mean_dice(rows: Sequence[OrganRow]) -> float | None:
    return float(np.mean([row.dice for row in rows])) if rows else None


def _auroc(rows: Sequence[ScoreRow]) -> float | None:
    return auroc([row.probability or 0.0 for row in rows], [row.positive for row in rows])


def _sensitivity(rows: Sequence[ScoreRow]) -> float | None:
    hit = [
        row.probability is not None and row.threshold is not None and row.probability >= row.threshold
        for row in rows if row.positive
    ]
    return float(np.mean(hit)) if hit else None


def _ece(rows: Sequence[ScoreRow]) -> float | None:
    scored = [row for row in rows if row.probability is not None]
    if not scored:
        return None
    return expected_calibration_error([row.probability or 0.0 for row in scored], [row.positive for row in scored])
