"""A gland that burns out, masks that are too poor, PETs and volumes that cannot be compared: never a wrong number."""

from __future__ import annotations

import pytest

from irae.core.anatomy import Irae
from irae.core.context import ContextKind
from irae.core.exam import Exam, Role
from irae.core.finding import Decision, EpisodeState
from irae.core.volume import Coverage, Quantity, Volume
from irae.findings import assess_findings, measure
from irae.findings.confounders import confounders
from irae.findings.rules import COMMON
from irae.findings.tables import PNEUMONITIS
from tests.findings.exams import ALL_CT, DAY, GRID, context, exam, finding, numbers, organs, result

CT_PET = (Role.CT, Role.PET)
HEALTHY = {
    "thyroid_gland__volume_ml": 20.0, "thyroid_gland__hu": 160.0, "thyroid_gland__suv75": 1.4, "aorta__hu": 150.0,
    "thyroid_gland__tissue_percent": 99.0,
}
INFLAMED = {**HEALTHY, "thyroid_gland__volume_ml": 23.0, "thyroid_gland__hu": 146.0, "thyroid_gland__suv75": 6.0}
BURNT_OUT = {**HEALTHY, "thyroid_gland__volume_ml": 12.6, "thyroid_gland__hu": 108.0, "thyroid_gland__suv75": 1.3}


def thyroid(now, *, episode=True):
    sick = (finding(Irae.THYROIDITIS, severity=2, state=EpisodeState.NEW),) if episode else ()
    earlier = [result(numbers(**HEALTHY), days_before=120), result(numbers(**INFLAMED), findings=sick, days_before=60)]
    found = assess_findings(
        exam(*CT_PET), organs=ALL_CT, pituitary=None, quantities=numbers(**now), learned={}, earlier=earlier
    )
    return next(f for f in found if f.irae is Irae.THYROIDITIS)


def test_a_burnt_out_gland_is_not_resolved():
    found = thyroid(BURNT_OUT)
    assert (found.decision, found.state, found.severity) == (Decision.SUSPECTED, EpisodeState.ONGOING, 3)
    assert found.reasons[0].startswith("Atrophic phase")
    assert any("volume fall -37" in r for r in found.reasons)


@pytest.mark.parametrize(("now", "severity", "why"), [
    ({"thyroid_gland__volume_ml": 14.9, "thyroid_gland__hu": 113.0}, 3, "47 HU darker, whatever its poor outline says"),
    ({"thyroid_gland__volume_ml": 14.0, "thyroid_gland__hu": 150.0}, 3, "30 % smaller"),
    ({"thyroid_gland__volume_ml": 14.9, "thyroid_gland__hu": 135.0}, 3, "25 HU darker"),
    ({"thyroid_gland__volume_ml": 14.9, "thyroid_gland__hu": 136.0}, 1, "just short of both"),
    ({"thyroid_gland__volume_ml": 14.1, "thyroid_gland__hu": 113.0, "aorta__hu": 40.0}, 1, "another contrast phase"),
    ({"thyroid_gland__volume_ml": 14.0, "thyroid_gland__hu": 113.0, "thyroid_gland__suv75": 4.6}, 2, "still inflamed"),
])
def test_severity_of_what_is_left_of_a_burnt_out_gland(now, severity, why):
    assert thyroid({**HEALTHY, **now}).severity == severity, why


def test_uptake_through_two_outlines_that_are_no_gland_is_no_rise():
    poor = {"thyroid_gland__tissue_percent": 73.0, "thyroid_gland__suv75": 1.6, "thyroid_gland__suv_max": 4.7}
    earlier = [result(numbers(**HEALTHY | poor | {"thyroid_gland__suv75": 1.1, "thyroid_gland__suv_max": 4.1}))]
    found = assess_findings(exam(*CT_PET), organs=ALL_CT, pituitary=None, quantities=numbers(**HEALTHY | poor),
                            learned={}, earlier=earlier)[2]
    assert found.decision is Decision.NOT_SUSPECTED
    assert {e.name: e.met for e in found.evidence}["suv75_rise"] is None
    assert any("tissue percent is under 80" in reason for reason in found.reasons)


def test_shrinking_alone_is_told_after_a_known_episode_only():
    shrunk = {**HEALTHY, "thyroid_gland__volume_ml": 13.5}
    assert thyroid(shrunk).decision is Decision.SUSPECTED
    assert thyroid(shrunk, episode=False).probability < thyroid(shrunk).probability


def test_a_gland_that_recovered_is_resolved():
    found = thyroid(HEALTHY)
    assert (found.decision, found.state) == (Decision.NOT_SUSPECTED, EpisodeState.RESOLVED)


@pytest.mark.parametrize("missing", [
    {"thyroid_gland__volume_ml": None, "thyroid_gland__hu": None}, {"thyroid_gland__tissue_percent": 79.0},
], ids=["not measured", "poor mask"])
def test_silence_without_size_or_density_is_not_the_end(missing):
    found = thyroid({**HEALTHY, **missing})
    assert (found.decision, found.state) == (Decision.NOT_ASSESSABLE, EpisodeState.ONGOING)
    assert "burnt out" in found.reasons[0]


def test_a_first_exam_with_a_calm_gland_is_answered():
    found = assess_findings(
        exam(*CT_PET), organs=ALL_CT, pituitary=None, quantities=numbers(thyroid_gland__suv75=1.3), learned={},
        earlier=(),
    )
    assert found[2].decision is Decision.NOT_SUSPECTED


@pytest.mark.parametrize(("moved", "judged"), [(0.85, True), (0.86, False), (-0.86, False)])
def test_pets_whose_blood_pool_moved_are_not_compared(moved, judged):
    before = [result(numbers(colon__suv95=2.0, pet__blood_pool_mean=1.6))]
    now = numbers(colon__suv95=4.0, colon__wall_p90_mm=2.0, pet__blood_pool_mean=1.6 + moved)
    found = assess_findings(exam(*CT_PET), organs=ALL_CT, pituitary=None, quantities=now, learned={}, earlier=before)
    rise = next(e for e in found[0].evidence if e.name == "suv95_rise")
    assert (rise.met is not None) is judged
    assert judged or any("not comparable" in r for r in found[0].reasons)


def test_a_cut_organ_has_no_volume():
    volumes = {Role.CT: Volume(array=ALL_CT.array.astype("float32"), geometry=GRID, quantity=Quantity.HU)}
    cut = organs("liver", coverage=Coverage.PARTIAL)
    seen = measure(Exam(patient="P", acquired_on=DAY, volumes=volumes), cut, None, None)
    assert seen.values["liver.volume_ml"].value is None
    assert "field of view" in seen.values["liver.volume_ml"].why
    whole = measure(Exam(patient="P", acquired_on=DAY, volumes=volumes), organs("liver"), None, None)
    assert whole.values["liver.volume_ml"].value == pytest.approx(1.0)


@pytest.mark.parametrize(("site", "left", "right", "penalty"), [
    ("left lung", 1.0, 9.0, False), ("left lung", 5.0, 5.0, True), ("right lung", 1.0, 9.0, True),
    ("lung", 1.0, 9.0, True),
])
def test_opacity_on_the_other_side_is_not_radiation(site, left, right, penalty):
    rows = context((ContextKind.RADIOTHERAPY, site, 60, 30))
    values = numbers(lung_left__opacity_percent=left, lung_right__opacity_percent=right)
    found = confounders(rows, DAY, PNEUMONITIS, values, COMMON)
    assert bool(found.log_odds) is penalty
    assert found.reasons


@pytest.mark.parametrize(("aorta", "judged"), [(75.0, True), (76.0, False)])
def test_absolute_density_needs_a_native_ct(aorta, judged):
    values = numbers(thyroid_gland__hu=50.0, aorta__hu=aorta)
    found = assess_findings(exam(Role.CT), organs=ALL_CT, pituitary=None, quantities=values, learned={}, earlier=())
    density = next(e for e in found[2].evidence if e.name == "native_density")
    assert density.met is (True if judged else None)
