"""Normal uptake by place, with missing and coarse masks: indeterminate with a reason, or physiologic; never tumour."""

from dataclasses import replace

import pytest

from irae.attribution.gates import marrow_under_gcsf
from irae.attribution.physiology import may_be_normal_uptake, muscle
from irae.attribution.rules import EVIDENCE_RULES
from irae.attribution.situation import situation
from irae.core.context import PatientContext
from irae.core.finding import Measured, Quantities
from irae.core.focus import FocusSource, Nature
from tests.attribution.made import WEEK_10, decide, spot


def situation_of(foci, unseen=()):
    return situation(foci, findings=(), quantities=Quantities({}), context=PatientContext.of([]), on=WEEK_10,
                     earlier=(), unseen=unseen, rules=EVIDENCE_RULES)


def gate_of(focus, *others, unseen=()):
    from irae.attribution.gates import GATES

    now = situation_of([focus, *others], unseen)
    return next((gate for rule in GATES if (gate := rule(focus, now, EVIDENCE_RULES)) is not None), None)


def pool(longest=70.0, organ=None, **features):
    """A hot pool of fluid in the middle of the pelvis."""
    place = {"ct_hu_mean": 5.0, "below_lungs_mm": 300.0, "off_midline_mm": 10.0}
    return spot(organ=organ, longest=longest, **(place | features))


def test_beside_a_bladder_that_was_found_a_hot_pool_is_not_taken_for_it():
    bladder = spot(organ="urinary_bladder", id=2)
    assert gate_of(pool(longest=30.0, liver_ratio=9.0)) is not None
    assert gate_of(pool(longest=30.0, liver_ratio=9.0), bladder) is None


def cold(**features):
    """A structure of the lung that the CT shows and the PET does not."""
    return replace(spot(organ="lung_left", suv=1.0, **features), source=FocusSource.CT)


@pytest.mark.parametrize(("focus", "nature", "why"), [
    (spot(organ="heart"), Nature.PHYSIOLOGIC, "a patch of myocardium"),
    (spot(organ="heart", sphericity=0.98, contrast=3.4), Nature.INDETERMINATE, "a ball far hotter than the heart"),
    (spot(organ="heart", sphericity=0.98, contrast=2.5), Nature.PHYSIOLOGIC, "a ball hardly hotter than it"),
    (spot(organ="heart", sphericity=0.8, contrast=3.4), Nature.PHYSIOLOGIC, "a band"),
    (spot(near_heart=0.9), Nature.INDETERMINATE, "beside the heart"),
    (spot(organ="brain"), Nature.INDETERMINATE, "a piece of a coarse brain"),
    (spot(organ="lymph_node", near_brain=0.9, height=1.0), Nature.INDETERMINATE, "against the brain"),
    (spot(near_urine=0.9), Nature.INDETERMINATE, "across the border of kidney or bladder"),
    (spot(near_urine=0.9, off_renal_hilum_mm=30.0, vertical_mm=20.0), Nature.PHYSIOLOGIC, "renal pelvis"),
    (spot(organ="kidney_left", longest=30.0), None, "a mass of a kidney"),
    (spot(organ="liver", near_urine=0.6, liver_ratio=1.7), Nature.INDETERMINATE, "a kidney's pole in the liver's mask"),
    (spot(organ="liver", near_urine=0.6, liver_ratio=2.2), None, "hotter than a kidney's cortex"),
    (spot(organ="liver", near_urine=0.4, liver_ratio=1.7), None, "mostly away from the kidney"),
    (spot(organ="kidney_left", longest=12.0), Nature.PHYSIOLOGIC, "a calix"),
    (spot(near_urine=0.9, size_from_ct=1.0), None, "a node that the CT shows beside the bladder"),
    (spot(organ="lymph_node", off_renal_hilum_mm=38.0, liver_ratio=9.0, symmetry=0.8), Nature.PHYSIOLOGIC, "a pair"),
    (spot(organ="lymph_node", off_renal_hilum_mm=38.0, liver_ratio=9.0, symmetry=0.1), Nature.INDETERMINATE, "one"),
    (spot(organ="lymph_node", field_end_mm=6.0), Nature.INDETERMINATE, "the last slices"),
    (spot(organ="lymph_node", field_end_mm=14.0), None, "beyond them"),
    (spot(organ="colon"), Nature.INDETERMINATE, "focal colon"),
    (spot(organ="stomach", picture=1.0, elongation=1.1, contrast=5.0, liver_ratio=2.1), Nature.INDETERMINATE, "a ball"),
    (spot(organ="stomach", picture=1.0, elongation=1.1, contrast=5.0, liver_ratio=1.9), Nature.PHYSIOLOGIC, "not hot"),
    (spot(organ="stomach", picture=1.0, elongation=1.9, contrast=5.0, liver_ratio=2.1), Nature.PHYSIOLOGIC, "long"),
    (spot(organ="stomach", picture=1.0, elongation=1.1, contrast=2.9, liver_ratio=2.1), Nature.PHYSIOLOGIC, "its wall"),
    (cold(off_midline_share=0.3), Nature.PHYSIOLOGIC, "a vessel"),
    (cold(off_midline_share=0.3, ground_glass_fraction=0.6), Nature.INDETERMINATE, "ground glass is no vessel"),
    (pool(), Nature.PHYSIOLOGIC, "a bladder without its mask"),
    (pool(ct_hu_mean=-86.0, liver_ratio=9.0), Nature.PHYSIOLOGIC, "a bladder that metal has darkened"),
    (pool(ct_hu_mean=-86.0, liver_ratio=3.0), None, "fat, and not as hot as urine"),
    (pool(organ="liver"), None, "a cystic mass of an organ"),
    (pool(ct_hu_mean=45.0), None, "a mass of soft tissue there"),
    (pool(longest=30.0), None, "too small for a bladder"),
    (pool(longest=30.0, liver_ratio=9.0), Nature.INDETERMINATE, "small, as hot as urine, and no bladder elsewhere"),
    (pool(longest=15.0, liver_ratio=9.0), None, "a spot as hot as urine"),
    (pool(below_lungs_mm=60.0), None, "not in the pelvis"),
    (spot(elongation=3.0, symmetry=0.9), Nature.PHYSIOLOGIC, "muscle"),
    (spot(head_neck=1.0, suv=14.0, symmetry=0.95), Nature.PHYSIOLOGIC, "a pair of hot glands"),
    (spot(head_neck=1.0, suv=14.0, symmetry=0.7), None, "as hot, but not as alike"),
    (spot(head_neck=1.0, suv=15.5, symmetry=0.95), None, "hotter than glands are"),
    (spot(longest=12.0, short=8.0, off_ureter_mm=41.0, elongation=1.6, ct_hu_mean=-40.0, fat_fraction=0.5),
     Nature.PHYSIOLOGIC, "a ureter's bow in fat"),
    (spot(longest=9.0, short=8.0, off_ureter_mm=41.0, elongation=1.1, ct_hu_mean=-40.0, fat_fraction=0.5), None,
     "a ball in fat"),
    (spot(organ="bone", short=4.0, off_ureter_mm=14.0, elongation=2.5), Nature.PHYSIOLOGIC, "a ureter on its bone"),
    (spot(organ="bone", short=4.0, off_ureter_mm=14.0, elongation=1.5), None, "a small deposit in bone"),
    (spot(organ="bone", short=9.0, off_ureter_mm=14.0, elongation=2.5), None, "too thick for a ureter"),
    (spot(elongation=3.0, symmetry=0.9, size_from_ct=1.0), None, "a long node"),
    (spot(ct_hu_core=-14.0, fat_fraction=0.7, ct_hu_mean=-19.0), None, "a small node in fat"),
    (spot(ct_hu_core=-14.0, fat_fraction=0.7, ct_hu_mean=-60.0, sphericity=0.8), Nature.PHYSIOLOGIC, "brown fat"),
    (spot(ct_hu_core=-80.0, fat_fraction=0.95, ct_hu_mean=-110.0), Nature.INDETERMINATE, "a single ball in fat"),
    (spot(ct_hu_core=-80.0, fat_fraction=0.95, ct_hu_mean=-110.0, symmetry=0.9), Nature.PHYSIOLOGIC, "a pair of balls"),
    (spot(ct_hu_core=-14.0, fat_fraction=0.7, ct_hu_mean=-40.0, symmetry=0.9), Nature.PHYSIOLOGIC,
     "brown fat on both sides"),
])
def test_by_place(focus, nature, why):
    gate = gate_of(focus)
    assert (None if gate is None else gate.nature) is nature, why


@pytest.mark.parametrize(("mean", "core", "organ", "blocked"), [
    (-274.0, -120.0, None, True), (-100.0, -60.0, None, False), (-200.0, 20.0, None, False),
    (-600.0, -500.0, "lung_left", False),
])
def test_where_the_ct_shows_gas_and_nothing_solid_uptake_is_no_metastasis(mean, core, organ, blocked):
    """A small node in fat is dark by partial volume; in the lung a nodule and its uptake part by breathing."""
    focus = spot(organ=organ, ct_hu_mean=mean, ct_hu_core=core, height_in_lungs=0.1, below_lungs_mm=-20.0)
    assert bool(may_be_normal_uptake(focus, situation_of([focus]))) is blocked


@pytest.mark.parametrize(("longest", "short", "sphericity", "blocked"), [
    (30.0, 27.0, 0.95, False), (45.0, 27.0, 0.6, True), (26.0, 20.0, 0.95, True),
], ids=["thicker than a lobe", "no ball", "as thick as a lobe"])
def test_a_ball_thicker_than_a_thyroid_is_not_the_missing_thyroid(longest, short, sphericity, blocked):
    place = {"above_lungs_mm": 20.0, "below_lungs_mm": -320.0, "off_midline_mm": 25.0}
    focus = replace(spot(organ="lymph_node", sphericity=sphericity, ct_hu_mean=65.0, **place),
                    longest_mm=longest, short_mm=short)
    assert bool(may_be_normal_uptake(focus, situation_of([focus], ["thyroid_gland"]))) is blocked


@pytest.mark.parametrize(("unseen", "place", "blocked", "why"), [
    ("brain", {"above_lungs_mm": 150.0, "below_lungs_mm": -450.0}, True, "in the head"),
    ("brain", {"above_lungs_mm": -80.0, "below_lungs_mm": -220.0}, False, "in the chest"),
    ("thyroid_gland", {"above_lungs_mm": 20.0, "below_lungs_mm": -320.0, "off_midline_mm": 15.0}, True, "its lobe"),
    ("thyroid_gland", {"above_lungs_mm": 20.0, "below_lungs_mm": -320.0, "off_midline_mm": 90.0}, False, "axilla"),
    ("kidney_left", {"below_lungs_mm": 30.0, "off_midline_mm": -55.0}, True, "left flank"),
    ("kidney_left", {"below_lungs_mm": 30.0, "off_midline_mm": 55.0}, False, "right flank"),
    ("urinary_bladder", {"below_lungs_mm": 220.0, "off_midline_mm": 5.0}, True, "pelvis"),
    ("urinary_bladder", {"below_lungs_mm": 40.0, "off_midline_mm": 5.0}, False, "upper abdomen"),
    ("pancreas", {"below_lungs_mm": 40.0, "off_midline_mm": 5.0}, False, "not hot by nature"),
])
def test_a_missing_organ_explains_uptake_where_it_lies_only(unseen, place, blocked, why):
    focus = spot(organ="lymph_node", **place)
    assert bool(may_be_normal_uptake(focus, situation_of([focus], [unseen]))) is blocked, why


@pytest.mark.parametrize(("median", "hottest", "focus", "nature"), [
    (0.7, 2.0, spot(organ="lymph_node", suv=2.8), Nature.PHYSIOLOGIC),
    (0.6, 2.0, spot(organ="lymph_node", suv=2.8), None),
    (0.7, 2.0, spot(organ="lymph_node", suv=2.9), None),
    (0.7, 2.0, spot(organ="lymph_node", suv=2.8, size_from_ct=1.0), None),
    (0.7, 2.0, spot(organ="bone", suv=2.8), None),
])
def test_a_spot_no_hotter_than_hot_muscles_is_muscle(median, hottest, focus, nature):
    values = {"skeletal_muscle.median_to_liver": Measured(value=median, unit="1"),
              "skeletal_muscle.suv95": Measured(value=hottest, unit="g/mL")}
    now = replace(situation_of([focus]), quantities=Quantities(values))
    gate = muscle(focus, now, EVIDENCE_RULES)
    assert (None if gate is None else gate.nature) is nature


@pytest.mark.parametrize(("look", "marrow", "open_"), [
    ({}, 2.7, True), ({"contrast": 4.9}, 2.7, True), ({"suv": 11.0}, 2.7, False), ({"ct_hu_mean": 60.0}, 2.7, False),
    ({"ct_hu_mean": 60.0, "bone_fraction": 0.2}, 2.7, True), ({"contrast": 4.9}, None, False),
], ids=["marrow", "beside cold muscle", "hotter than marrow", "destroyed bone", "sclerotic", "spine not seen"])
def test_intact_bone_that_is_little_hotter_than_the_spine_is_left_open_under_gcsf(look, marrow, open_):
    focus = spot(**{"organ": "bone", "suv": 4.4, "ct_hu_mean": 127.0, "bone_fraction": 0.0, "contrast": 1.6} | look)
    known = {} if marrow is None else {"vertebrae.suv_median": Measured(value=marrow, unit="g/mL")}
    now = replace(situation_of([focus]), gcsf=True, quantities=Quantities(known))
    assert (marrow_under_gcsf(focus, now, EVIDENCE_RULES) is not None) is open_
    assert marrow_under_gcsf(focus, replace(now, gcsf=False), EVIDENCE_RULES) is None


@pytest.mark.parametrize(("look", "blocked"), [
    ({}, False), ({"sphericity": 0.7}, True), ({"short": 6.0}, True), ({"ct_hu_mean": -90.0}, True),
    ({"rim_lung_fraction": 0.02, "sphericity": 0.7}, False),
], ids=["a mass", "ragged", "flat", "gas in it", "no gas beside it"])
def test_gas_beside_it_speaks_for_bowel_unless_it_is_a_solid_ball(look, blocked):
    mass = {"longest": 23.0, "short": 20.0, "sphericity": 0.98, "ct_hu_mean": 57.0, "rim_lung_fraction": 0.08}
    focus = spot(**{"organ": "lymph_node", "below_lungs_mm": 100.0} | mass | look)
    assert ("gas" in may_be_normal_uptake(focus, situation_of([focus]))) is blocked


@pytest.mark.parametrize(("place", "blocked"), [
    ({}, True), ({"off_midline_mm": 40.0}, False), ({"behind_spine_mm": -20.0}, False),
    ({"below_lungs_mm": 120.0}, False),
    ({"size_from_ct": 1.0}, False),
], ids=["rectum", "beside the sacrum", "before the promontory", "lumbar", "a node that the CT shows"])
def test_in_front_of_the_sacrum_it_may_be_the_rectum(place, blocked):
    focus = spot(**{"below_lungs_mm": 230.0, "off_midline_mm": -4.0, "behind_spine_mm": 30.0} | place)
    assert ("rectum" in may_be_normal_uptake(focus, situation_of([focus]))) is blocked


def test_many_spots_of_one_bowel_are_a_pattern():
    spots = [spot(id=i, organ="small_bowel") for i in (1, 2, 3)]
    assert "pattern" in gate_of(*spots).outcome


@pytest.mark.parametrize(("longest_mm", "suv_max", "opened"), [
    (14.0, 1.9, True), (14.0, 2.1, False), (11.0, 0.5, True), (11.0, 1.4, True), (11.0, 1.6, False), (9.5, 0.5, False),
])
def test_how_cold_a_nodule_must_be_depends_on_its_size(longest_mm, suv_max, opened):
    look = replace(cold(off_midline_share=0.7), longest_mm=longest_mm, short_mm=0.9 * longest_mm, suv_max=suv_max)
    gate = gate_of(look)
    assert (gate is not None and gate.outcome.endswith("cold nodule")) is opened


def test_cold_liver_lesions_and_nodules_stay_open():
    from dataclasses import replace

    dark = replace(spot(organ="liver", suv=2.4, liver_ratio=0.9, ct_hu_mean=60.0), source=FocusSource.CT)
    fluid = replace(spot(organ="liver", suv=2.0, liver_ratio=0.8, ct_hu_mean=8.0), source=FocusSource.CT)
    nodule = replace(spot(organ="lung_left", suv=1.5), source=FocusSource.CT)
    assert gate_of(dark).nature is Nature.INDETERMINATE
    assert gate_of(fluid).nature is Nature.PHYSIOLOGIC
    assert gate_of(nodule).nature is Nature.INDETERMINATE
    vessel = replace(nodule, features=dict(nodule.features) | {"off_midline_share": 0.3})
    assert gate_of(vessel).nature is Nature.PHYSIOLOGIC


def test_a_single_spot_among_small_bowel_loops_may_be_a_mesenteric_node():
    assert gate_of(spot(organ="small_bowel")) is None


@pytest.mark.parametrize(("hu", "above", "normal"), [(-142.0, 20.0, True), (20.0, 20.0, False), (-142.0, -60.0, False)])
def test_fat_alike_on_both_sides_above_the_collarbones_is_brown_fat(hu, above, normal):
    pad = spot(longest=30.0, short=12.0, suv=3.8, fat_fraction=0.5, ct_hu_mean=hu, ct_hu_core=15.0, symmetry=0.89,
               above_lungs_mm=above, off_midline_mm=45.0, liver_ratio=1.6)
    (answer,) = decide(pad)
    assert ("brown fat" in answer.outcome) is normal


def paravertebral(*, organ="lung_right", **look):
    place = {"off_midline_mm": 26.0, "behind_spine_mm": -3.0, "above_lungs_mm": -120.0}
    tissue = {"ct_hu_core": -130.0, "ct_hu_mean": -220.0, "fat_fraction": 0.4, "rim_lung_fraction": 0.3}
    return spot(organ=organ, longest=11.0, suv=4.5, **(place | tissue | look))


@pytest.mark.parametrize(("focus", "others", "normal"), [
    (paravertebral(), 2, True),
    (paravertebral(size_from_ct=1.0), 2, True),
    (paravertebral(), 1, False),
    (paravertebral(ct_hu_core=-60.0), 2, False),
    (paravertebral(off_midline_mm=69.0), 2, False),
    (paravertebral(above_lungs_mm=-260.0), 2, False),
    (paravertebral(organ="lymph_node", fat_fraction=0.7, ct_hu_mean=-20.0, ct_hu_core=90.0, symmetry=0.95), 2, True),
    (paravertebral(organ="lymph_node", fat_fraction=0.7, ct_hu_mean=-20.0, ct_hu_core=90.0, symmetry=0.6), 2, False),
    (paravertebral(organ="lymph_node", fat_fraction=0.3, ct_hu_mean=15.0, ct_hu_core=60.0, symmetry=0.95), 2, False),
], ids=["against the lung", "with a border there", "no other brown fat", "something solid", "a nodule in the lung",
        "below the chest", "a pair beside bone", "no pair", "a node"])
def test_brown_fat_beside_the_spine_is_known_by_its_place_and_by_the_rest_of_it(focus, others, normal):
    rest = [spot(n, ct_hu_core=-80.0, fat_fraction=0.95, ct_hu_mean=-110.0, symmetry=0.9, organ=None, suv=7.0)
            for n in range(5, 5 + others)]
    gate = gate_of(focus, *rest)
    assert (gate is not None and gate.outcome == "physiologic: brown fat") is normal
