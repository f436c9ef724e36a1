import json
from dataclasses import replace

import numpy as np
import pytest

from irae.attribution.learned import CLASSES, Linear, Trees, softmax
from irae.core.focus import Nature
from irae.training.attribution_cases import CasePlan, case_from_json, case_to_json, planned
from irae.training.attribution_fit import (
    FEATURES,
    Table,
    calibrated,
    conformal_limits,
    cross_fitted,
    fit_linear,
    fit_trees,
    fitted,
    margins_of,
    seen,
)
from irae.training.attribution_measure import Answered, Call, called, indeterminate, macro_auroc, pseudoprogression
from irae.training.attribution_settings import AttributionSettings


def rows(n=240, seed=0):
    """Natures told apart by SUVmax and size, with unknown values, and one feature that is never known."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, len(FEATURES)))
    x[:, 0] = 3.0 * y + rng.normal(size=n)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 5] = np.nan
    return Table(x=x, y=y, patient=np.arange(n) // 8, weight=np.ones(n))


@pytest.mark.parametrize(("fit", "kind"), [
    (lambda t: fit_trees(t, 0, leaves=4, rounds=20), Trees),  # compares itself with scikit-learn
    (lambda t: fit_linear(t, 0, inverse_penalty=0.1), Linear),
])
def test_the_plain_arrays_give_what_was_fitted(fit, kind):
    table = rows()
    margins = fit(table)
    assert isinstance(margins, kind)
    p = softmax(margins_of(margins, table.x))
    assert (p.argmax(axis=1) == table.y).mean() > 0.6
    assert np.isfinite(p).all()


def test_limits_leave_out_the_promised_share_of_each_class():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], 500)
    p = softmax(rng.normal(size=(1500, 3)) + 2.0 * np.eye(3)[y])
    least = conformal_limits(p, y, (0.05, 0.01, 0.05))
    below = [float((p[y == k, k] < least[k]).mean()) for k in range(3)]
    assert below == pytest.approx([0.05, 0.01, 0.05], abs=0.003)


def test_calibration_cools_an_overconfident_model():
    honest = fit_linear(rows(), 0, inverse_penalty=0.1)
    boasting = replace(honest, start=2 * honest.start, weight=2 * honest.weight, missing=2 * honest.missing)
    unseen = rows(seed=7)
    cool, hot = (calibrated(margins, FEATURES, margins_of(margins, unseen.x), unseen).temperature
                 for margins in (honest, boasting))
    assert hot == pytest.approx(2 * cool, rel=0.05)


def test_everybody_is_answered_by_a_fit_to_the_others():
    noise = replace(rows(n=160), y=np.random.default_rng(5).integers(0, 3, 160))  # nothing tells of the truth
    def loose(some, seed):
        return fit_linear(some, seed, inverse_penalty=10.0)

    learnt = margins_of(loose(noise, 0), noise.x).argmax(axis=1) == noise.y
    answered = cross_fitted(loose, noise, 0).argmax(axis=1) == noise.y
    assert learnt.mean() > 0.6
    assert answered.mean() < 0.45


def test_a_fit_needs_patients_and_all_natures():
    with pytest.raises(ValueError, match="need 10 patients, several of each nature; got 5"):
        fitted(rows(n=40), 0)


def test_what_was_seen_holds_all_but_one_in_a_hundred_and_refuses_what_was_not():
    found = seen(rows(n=1200), 0)

    def apart(table):
        return np.array([np.sqrt(found.apart(row).sum()) for row in table.x])

    unseen = rows(n=1000, seed=8)
    assert (apart(unseen) > found.limit).mean() == pytest.approx(0.01, abs=0.01)
    hotter = replace(unseen, x=np.where(np.arange(len(FEATURES)) == 0, 60.0, unseen.x))
    assert (apart(hotter) > found.limit).all()
    known = replace(unseen, x=np.where(np.arange(len(FEATURES)) < 20, np.nan, unseen.x))
    assert (apart(known) > found.limit).mean() > 0.5, "twenty features unknown that mostly were known"


def test_plans_are_the_same_for_a_seed_and_vary_between_seeds(tmp_path):
    plans = planned(range(40), spacing_mm=4.0, weights=tmp_path)
    assert plans[7] == planned([7], spacing_mm=4.0, weights=tmp_path)[7]
    assert {p.packaged for p in plans.values()} == {True, False}
    assert {p.first for p in plans.values()} == {0, 1}
    assert all(p.visits - p.first >= 1 for p in plans.values())


def test_a_kept_case_reads_back():
    from irae.core.context import ContextEntry, ContextKind, PatientContext
    from irae.training.attribution_cases import Case

    context = PatientContext.of([ContextEntry(kind=ContextKind.THERAPY, value="nivolumab")])
    case = Case(seed=3, plan=CasePlan(spacing_mm=4.0, packaged=False, weights="w", visits=2), context=context, exams=())
    again = case_from_json(json.loads(json.dumps(case_to_json(case))))
    assert (again.seed, again.plan, again.context) == (case.seed, case.plan, case.context)


INF, MET, PHY, OPEN = Nature.INFLAMMATION, Nature.METASTASIS, Nature.PHYSIOLOGIC, Nature.INDETERMINATE


def test_counts_of_calls():
    found = [Call(MET, MET, (0.1, 0.8, 0.1), True), Call(MET, INF, (0.7, 0.2, 0.1), True),
             Call(INF, OPEN, (0.5, 0.4, 0.1), True), Call(PHY, PHY, (0.0, 0.1, 0.9), False)]
    assert called(found, MET, INF) == (1, 2)
    assert indeterminate(found) == (1, 3)
    assert 0.0 < macro_auroc(found) < 1.0
    assert macro_auroc(found[:2]) is None
    assert CLASSES == (INF, MET, PHY)


def test_pseudoprogression_is_what_the_truth_did_not_confirm():
    def answer(visit, truth, attributed, as_seen):
        return Answered(seed=1, visit=visit, criterion="irecist", truth=truth, attributed=attributed, as_seen=as_seen)

    from irae.core.assessment import View

    course = [answer(1, "iUPD", "iUPD", "iUPD"), answer(2, "iPR", "iPR", "iCPD"), answer(3, "iPR", "iPR", "iCPD")]
    counts = pseudoprogression(course)
    assert (counts[View.ATTRIBUTED], counts[View.AS_SEEN]) == ((1, 1), (0, 1))
    untargeted = [course[0], answer(2, "iSD", "NON-iCR/NON-iUPD", "NE")]  # nothing measurable found: not confirmed, too
    counts = pseudoprogression(untargeted)
    assert (counts[View.ATTRIBUTED], counts[View.AS_SEEN]) == ((1, 1), (0, 1))


def test_settings_refuse_shared_patients(tmp_path):
    settings = AttributionSettings(weights=str(tmp_path), train_seed=0, train_cases=50, held_out_seed=49)
    with pytest.raises(ValueError, match="overlap"):
        settings.check()
