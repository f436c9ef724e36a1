"""The further irAEs: rules alone, suspected only with what they require, and never where they cannot be judged."""

from __future__ import annotations

import pytest

from irae.core.anatomy import FurtherIrae
from irae.core.context import ContextKind
from irae.core.exam import Role
from irae.core.finding import ConformalSet, Decision, EpisodeState
from irae.core.focus import Focus, FocusStatus
from irae.core.numbers import reaches
from irae.findings import activation_notices, assess_further, measure_foci, uncertain_notices
from irae.findings.rules import COMMON
from irae.findings.tables import RULE_SET
from tests.findings.exams import DAY, context, exam, numbers, organs, result

BODY = organs("lung_left", "lung_right", "pancreas", "small_bowel", "stomach", "urinary_bladder", "liver")
CT_PET = (Role.CT, Role.PET)


def answer(irae, quantities, *, labels=BODY, on=None, earlier=()):
    found = assess_further(on or exam(*CT_PET), organs=labels, quantities=quantities, earlier=earlier)
    assert [f.irae for f in found] == list(FurtherIrae), "always all, in order"
    return next(f for f in found if f.irae is irae)


def test_what_is_said_not_to_be_flagged_is_not_there():
    names = {irae.value for irae in RULE_SET.further}
    assert not names & {"nephritis", "myocarditis", "encephalitis"}


@pytest.mark.parametrize("irae", [FurtherIrae.MYOSITIS, FurtherIrae.ADRENALITIS])
def test_without_a_mask_it_is_not_assessable_and_says_why(irae):
    found = answer(irae, numbers())
    assert found.decision is Decision.NOT_ASSESSABLE
    assert any(word in found.reasons[0] for word in ("outlined", "no mask"))


def test_cholangitis_is_suspected_by_wide_ducts_and_never_denied():
    wide, none = numbers(liver__duct_mm=170.0, aorta__hu=150.0), numbers(liver__duct_mm=0.0, aorta__hu=150.0)
    found = answer(FurtherIrae.CHOLANGITIS, wide)
    assert (found.decision, found.organ) == (Decision.SUSPECTED, "bile_duct")
    found = answer(FurtherIrae.CHOLANGITIS, none)
    assert found.decision is Decision.NOT_ASSESSABLE
    assert "not seen is not absent" in found.reasons[0]
    known = answer(FurtherIrae.CHOLANGITIS, wide, earlier=[result(none)])
    assert known.probability > answer(FurtherIrae.CHOLANGITIS, wide).probability, "new since the baseline"
    old = answer(FurtherIrae.CHOLANGITIS, wide, earlier=[result(wide)])
    assert old.decision is not Decision.SUSPECTED, "as wide before therapy"
    hidden = answer(FurtherIrae.CHOLANGITIS, numbers(liver__periportal_percent=40.0))
    assert hidden.decision is Decision.NOT_ASSESSABLE


def test_pancreatitis_needs_its_fat():
    before = [result(numbers(pancreas__volume_ml=70.0, pancreas__suv95=2.0, pancreas__stranding_percent=5.0))]
    swollen = numbers(pancreas__volume_ml=120.0, pancreas__suv95=4.0, pancreas__stranding_percent=8.0)
    inflamed = numbers(pancreas__volume_ml=120.0, pancreas__suv95=4.0, pancreas__stranding_percent=40.0)
    found = answer(FurtherIrae.PANCREATITIS, swollen, earlier=before)
    assert found.decision is Decision.NOT_SUSPECTED
    assert any("only together with a sign of: fat" in r for r in found.reasons)
    found = answer(FurtherIrae.PANCREATITIS, inflamed, earlier=before)
    assert (found.decision, found.severity, found.state) == (Decision.SUSPECTED, 2, EpisodeState.NEW)


def node(number, x, *, height=0.6, symmetry=0.9, short=12.0, long=18.0, status=FocusStatus.NEW, **more):
    return Focus(
        id=number, centroid_ras_mm=(x, 0.0, 0.0), volume_ml=2.0, longest_mm=long, short_mm=short, suv_max=7.0,
        organ="lymph_node", is_node=True, status=status,
        features={"height_in_lungs": height, "off_midline_mm": x, "symmetry": symmetry, **more},
    )


def counted(foci, *, roles=CT_PET, normal=()):
    from irae.core.finding import Quantities

    return Quantities(measure_foci(foci, exam(*roles), BODY, normal=normal))


def test_symmetric_hilar_nodes_are_sarcoid_like():
    foci = [node(1, 40.0), node(2, -40.0), node(3, 5.0, symmetry=0.0)]
    values = counted(foci)
    assert values.get("nodes.hilar_pairs") == 1.0
    assert values.get("nodes.thoracic") == 3.0
    assert answer(FurtherIrae.SARCOID_LIKE, values).decision is Decision.SUSPECTED


def test_normal_uptake_outside_all_masks_is_no_node():
    hila = [node(1, 40.0), node(2, -40.0), node(3, 5.0, symmetry=0.0)]
    ureters_and_tonsils = [node(n, x, height=-1.0 if n < 6 else 1.9) for n, x in ((4, 30.0), (5, -30.0), (6, 15.0))]
    values = counted([*hila, *ureters_and_tonsils], normal={4, 5, 6})
    assert (values.get("nodes.thoracic"), values.get("nodes.elsewhere")) == (3.0, 0.0)
    found = answer(FurtherIrae.SARCOID_LIKE, values)
    assert found.decision is Decision.SUSPECTED
    assert counted([*hila, *ureters_and_tonsils]).get("nodes.elsewhere") == 3.0, "real nodes there speak against it"
    paravertebral_fat = counted([node(1, 40.0), node(2, -40.0)], normal={1, 2})
    assert paravertebral_fat.get("nodes.hilar_pairs") == 0.0


def test_counts_are_told_as_counts():
    found = answer(FurtherIrae.SARCOID_LIKE, counted([node(1, 40.0), node(2, -40.0), node(3, 5.0, symmetry=0.0)]))
    assert any(r.startswith("thoracic nodes 3: met") for r in found.reasons), found.reasons
    assert any(r.startswith("few elsewhere 0: met") for r in found.reasons), found.reasons


@pytest.mark.parametrize("foci", [
    [node(1, 40.0, symmetry=0.1), node(2, 45.0, symmetry=0.1), node(3, 5.0, symmetry=0.0)],
    [node(1, 40.0, status=FocusStatus.GONE), node(2, -40.0, status=FocusStatus.GONE)],
    [],
], ids=["one side", "gone", "none"])
def test_other_nodes_are_not(foci):
    found = answer(FurtherIrae.SARCOID_LIKE, counted(foci))
    assert found.decision is Decision.NOT_SUSPECTED


def test_pairs_of_a_healthy_baseline_are_known():
    before = [result(numbers(nodes__hilar_pairs=1.0))]
    found = answer(FurtherIrae.SARCOID_LIKE, counted([node(1, 40.0), node(2, -40.0)]), earlier=before)
    assert found.decision is Decision.NOT_SUSPECTED


def test_nodes_without_pet_were_not_searched_for():
    found = answer(FurtherIrae.SARCOID_LIKE, counted([], roles=(Role.CT,)), on=exam(Role.CT))
    assert found.decision is Decision.NOT_ASSESSABLE
    assert any("no PET" in r for r in found.reasons)


def joint(number, x, z, **features):
    return Focus(
        id=number, centroid_ras_mm=(x, 0.0, z), volume_ml=4.0, longest_mm=25.0, short_mm=20.0, suv_max=5.0,
        features={"off_midline_mm": x, "symmetry": 0.9, "rim_bone_fraction": 0.3, "bone_fraction": 0.05, **features},
    )


def test_arthritis_needs_both_girdles_beside_bone_not_in_it():
    bladder = BODY.geometry.to_world([1, 1, 0])[2]
    shoulders = [joint(n, x, 0.0, height_in_lungs=1.0, beyond_lung_mm=40.0) for n, x in ((1, 160.0), (2, -160.0))]
    hips = [joint(n, x, float(bladder)) for n, x in ((3, 100.0), (4, -100.0))]
    both = counted([*shoulders, *hips])
    assert (both.get("joints.shoulder_pairs"), both.get("joints.hip_pairs")) == (1.0, 1.0)
    assert answer(FurtherIrae.ARTHRITIS, both).decision is Decision.SUSPECTED
    assert answer(FurtherIrae.ARTHRITIS, counted(hips)).decision is Decision.NOT_SUSPECTED
    in_bone = [joint(n, x, float(bladder), bone_fraction=0.6) for n, x in ((3, 100.0), (4, -100.0))]
    place = {"height_in_lungs": 1.0, "beyond_lung_mm": 40.0}
    brown_fat = [joint(n, x, 0.0, fat_fraction=0.8, **place) for n, x in ((1, 160.0), (2, -160.0))]
    none = counted([*in_bone, *brown_fat])
    assert (none.get("joints.shoulder_pairs"), none.get("joints.hip_pairs")) == (0.0, 0.0)


def test_uptake_alone_is_never_enteritis_or_gastritis():
    before = [result(numbers(small_bowel__suv95=2.0, stomach__suv95=3.0))]
    hot = numbers(small_bowel__suv95=6.0, stomach__suv95=8.0, stomach__wall_p90_mm=5.0,
                  small_bowel__stranding_percent=10.0)
    for irae in (FurtherIrae.ENTERITIS, FurtherIrae.GASTRITIS):
        assert answer(irae, hot, earlier=before).decision is not Decision.SUSPECTED


def test_adrenalitis_takes_both_sides():
    labels = organs("adrenal_gland_left", "adrenal_gland_right", "liver")
    both = numbers(adrenals__lesser_thickness_mm=14.0, adrenals__lesser_suv_max_to_liver=1.6)
    one = numbers(adrenals__lesser_thickness_mm=5.0, adrenals__lesser_suv_max_to_liver=0.8)
    assert answer(FurtherIrae.ADRENALITIS, both, labels=labels).decision is Decision.SUSPECTED
    assert answer(FurtherIrae.ADRENALITIS, one, labels=labels).decision is Decision.NOT_SUSPECTED


@pytest.mark.parametrize(("ratio", "suspected"), [(0.7, False), (1.2, True)])
def test_muscle_as_hot_as_the_liver_is_suspected_and_muscle_at_work_is_not(ratio, suspected):
    hot = numbers(skeletal_muscle__median_to_liver=ratio)
    found = answer(FurtherIrae.MYOSITIS, hot, labels=organs("skeletal_muscle", "liver"))
    assert found.decision is (Decision.SUSPECTED if suspected else Decision.NOT_SUSPECTED)
    if suspected:
        assert any("insulin and exercise" in reason for reason in found.reasons)


def test_myositis_needs_a_pet():
    found = answer(FurtherIrae.MYOSITIS, numbers(), labels=organs("skeletal_muscle"), on=exam(Role.CT))
    assert found.decision is Decision.NOT_ASSESSABLE


@pytest.mark.parametrize(("ratio", "said"), [(1.1, False), (1.11, True)])
def test_a_hot_spleen_is_context(ratio, said):
    values = numbers(spleen__median_to_liver=ratio, vertebrae__median_to_liver=0.8)
    notices = activation_notices(values, exam(Role.CT).context, DAY, COMMON)
    assert bool(notices) is said
    given = context((ContextKind.GCSF, "filgrastim", 5, 4))
    for notice in activation_notices(values, given, DAY, COMMON):
        assert "G-CSF" in notice.text


def test_conformal_set_and_its_notice():
    assert ConformalSet(coverage=0.9, suspected=True, not_suspected=True).uncertain
    assert ConformalSet(coverage=0.9, suspected=False, not_suspected=False).uncertain
    assert not ConformalSet(coverage=0.9, suspected=True, not_suspected=False).uncertain
    assert uncertain_notices([]) == ()


def test_counts_above_nothing_speak():
    for rules in RULE_SET.further.values():
        for sign in rules.signs:
            assert reaches(abs(sign.if_met), 0.0)
            assert sign.cutoff.source
