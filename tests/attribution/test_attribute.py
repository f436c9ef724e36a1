from dataclasses import replace
from datetime import timedelta

import pytest

from irae.attribution import EVIDENCE_RULES, attribute, outcome
from irae.attribution.evidence import percimt_met
from irae.core.anatomy import Irae
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.finding import Decision, Measured, Quantities
from irae.core.focus import Focus, FocusStatus, Nature
from tests.attribution.made import START, WEEK_10, decide, finding, picture, spot, therapy, told


@pytest.mark.parametrize(
    ("score", "nature", "words"),
    [
        (3.0, Nature.INFLAMMATION, "probable irAE"),
        (2.99, Nature.INFLAMMATION, "favour inflammatory"),
        (1.0, Nature.INFLAMMATION, "favour inflammatory"),
        (0.99, Nature.INDETERMINATE, "indeterminate"),
        (-0.99, Nature.INDETERMINATE, "indeterminate"),
        (-1.0, Nature.METASTASIS, "favour metastasis"),
        (-2.99, Nature.METASTASIS, "favour metastasis"),
        (-3.0, Nature.METASTASIS, "suspected metastasis"),
    ],
)
def test_five_outcomes_and_their_natures(score, nature, words):
    assert outcome(score) == (nature, words)


COLITIS = picture("colon", contrast=1.8)
METASTASIS_IN_LIVER = spot(2, "liver", share=0.004, contrast=4.0, centre=(80, 0, 0))


@pytest.mark.parametrize(
    ("focus", "context", "findings", "quantities", "nature", "why"),
    [
        (
            COLITIS,
            therapy(),
            (finding(Irae.COLITIS),),
            None,
            Nature.INFLAMMATION,
            "most of the colon, colitis suspected",
        ),
        (COLITIS, therapy(), (finding(Irae.COLITIS, Decision.NOT_SUSPECTED),), None, Nature.PHYSIOLOGIC, "no colitis"),
        (
            COLITIS,
            therapy(ContextEntry(kind=ContextKind.METFORMIN, value="yes")),
            (finding(Irae.COLITIS),),
            None,
            Nature.PHYSIOLOGIC,
            "metformin",
        ),
        (
            COLITIS,
            therapy(ContextEntry(kind=ContextKind.METFORMIN, value="yes")),
            (finding(Irae.COLITIS),),
            Quantities({"colon.wall_mm": Measured(value=8.0, unit="mm")}),
            Nature.INFLAMMATION,
            "metformin, but a thick wall",
        ),
        (
            spot(organ="colon", share=0.76, contrast=4.0, longest=150.0),
            therapy(ContextEntry(kind=ContextKind.METFORMIN, value="yes")),
            (finding(Irae.COLITIS),),
            None,
            Nature.PHYSIOLOGIC,
            "metformin, wall and lumen hot in one region",
        ),
        (
            spot(organ="colon", share=0.1, contrast=4.0),
            therapy(ContextEntry(kind=ContextKind.METFORMIN, value="yes")),
            (),
            None,
            Nature.INDETERMINATE,
            "metformin does not explain a spot",
        ),
        (spot(organ="colon", share=0.002, contrast=4.0), therapy(), (), None, Nature.INDETERMINATE, "a polyp?"),
        (METASTASIS_IN_LIVER, therapy(), (), None, Nature.METASTASIS, "liver"),
        (
            METASTASIS_IN_LIVER,
            therapy(),
            (finding(Irae.COLITIS), finding(Irae.PNEUMONITIS)),
            None,
            Nature.METASTASIS,
            "irAEs elsewhere do not make a liver metastasis inflammation",
        ),
        (
            spot(organ="lung_left", share=0.001, contrast=8.0, ct_nodule_mm=15.0, size_from_ct=1.0, ct_hu_mean=30.0),
            therapy(),
            (),
            None,
            Nature.METASTASIS,
            "lung nodule",
        ),
        (
            spot(
                organ="lung_left",
                longest=45.0,
                share=0.12,
                contrast=4.0,
                sphericity=0.5,
                ground_glass_fraction=0.5,
                ct_hu_mean=-500.0,
            ),
            therapy(),
            (finding(Irae.PNEUMONITIS),),
            None,
            Nature.INFLAMMATION,
            "ground glass",
        ),
        (picture("brain"), therapy(), (), None, Nature.PHYSIOLOGIC, "brain"),
        (picture("urinary_bladder"), therapy(), (), None, Nature.PHYSIOLOGIC, "bladder"),
        (picture("heart"), therapy(), (), None, Nature.PHYSIOLOGIC, "heart"),
        (spot(organ="brain", contrast=3.5), therapy(), (), None, Nature.METASTASIS, "stands out of the brain"),
        (
            picture("thyroid_gland", symmetry=0.9),
            therapy(),
            (finding(Irae.THYROIDITIS),),
            None,
            Nature.INFLAMMATION,
            "diffuse thyroid",
        ),
        (
            spot(organ="thyroid_gland", share=0.2, contrast=4.0),
            therapy(),
            (),
            None,
            Nature.INDETERMINATE,
            "thyroid nodule",
        ),
        (
            picture("vertebrae"),
            therapy(ContextEntry(kind=ContextKind.GCSF, value="yes", start=WEEK_10 - timedelta(days=9))),
            (),
            None,
            Nature.PHYSIOLOGIC,
            "G-CSF",
        ),
        (spot(organ="bone", ct_hu_mean=600.0), therapy(), (), None, Nature.METASTASIS, "sclerotic bone"),
        (spot(ct_hu_core=-60.0, fat_fraction=0.9, symmetry=0.9), therapy(), (), None, Nature.PHYSIOLOGIC, "brown fat"),
        (spot(suv=40.0, ct_hu_core=-60.0, fat_fraction=0.9), therapy(), (), None, Nature.METASTASIS, "too hot for fat"),
        (spot(suv=6.0, head_neck=1.0, symmetry=0.8), therapy(), (), None, Nature.PHYSIOLOGIC, "tonsils"),
        (
            spot(suv=25.0, head_neck=1.0, symmetry=0.8),
            therapy(),
            (),
            None,
            Nature.METASTASIS,
            "too hot to be taken for tonsils",
        ),
        (
            spot(organ="lymph_node", longest=12.0, short=8.0, beyond_lung_mm=0.0, height_in_lungs=0.9),
            therapy(ContextEntry(kind=ContextKind.VACCINATION, value="x", start=WEEK_10 - timedelta(days=14))),
            (),
            None,
            Nature.INFLAMMATION,
            "axillary node after vaccination",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_nature(focus, context, findings, quantities, nature, why):
    decided = decide(focus, context=context, findings=findings, quantities=quantities)[0]
    assert decided.nature is nature, (why, decided.score, decided.reasons)
    assert sum(decided.probabilities.values()) == pytest.approx(1.0)
    assert decided.reasons


def test_sarcoid_like_nodes_are_inflammation_and_a_single_round_one_is_not():
    hilar = {"height_in_lungs": 0.6, "size_from_ct": 1.0}
    pair = [
        spot(n, "lymph_node", longest=16.0, short=9.0, off_midline_mm=off, symmetry=0.9, **hilar)
        for n, off in ((1, -40.0), (2, 40.0))
    ]
    middle = spot(3, "lymph_node", longest=16.0, short=9.0, off_midline_mm=2.0, **hilar)
    assert [d.nature for d in decide(*pair, context=PatientContext())] == [Nature.INFLAMMATION] * 2
    assert decide(*pair, middle)[2].nature is not Nature.METASTASIS
    alone = spot(4, "lymph_node", longest=16.0, short=15.0, off_midline_mm=40.0, symmetry=0.0, **hilar)
    assert decide(alone)[0].nature is Nature.METASTASIS


def test_time_and_circumstances_alone_never_make_inflammation():
    # A bland large node in the window of a combination with another irAE: the sum is positive, the sign is missing.
    bland = spot(organ="lymph_node", longest=30.0, short=18.0)
    decided = decide(bland, context=therapy(drug="ipilimumab + nivolumab"), findings=(finding(Irae.COLITIS),))[0]
    assert decided.score >= 1.0
    assert decided.nature is Nature.INDETERMINATE
    assert (
        decided.probabilities["inflammation"]
        < decide(COLITIS, findings=(finding(Irae.COLITIS),))[0].probabilities["inflammation"]
    )


def test_a_nodule_vetoes_inflammation():
    nodule = spot(organ="lung_left", longest=25.0, share=0.5, ct_nodule_mm=25.0, size_from_ct=1.0, ct_hu_mean=30.0)
    decided = decide(nodule, findings=(finding(Irae.COLITIS),), context=therapy(drug="ipilimumab + nivolumab"))[0]
    assert decided.score >= 1.0
    assert decided.nature is Nature.INDETERMINATE
    assert "nodule" in decided.reasons[0]


def test_strongest_reason_first_and_parts_sum_to_the_score():
    decided = decide(METASTASIS_IN_LIVER)[0]
    points = {p.reason: abs(p.points) for p in decided.parts}
    order = [points[r] for r in decided.reasons]
    assert order == sorted(order, reverse=True)
    assert decided.score == pytest.approx(sum(p.points for p in decided.parts))


@pytest.mark.parametrize(
    ("sizes", "met"),
    [
        ((8, 8, 8), False),
        ((8, 8, 8, 8), True),
        ((11, 11), False),
        ((11, 11, 11), True),
        ((16,), False),
        ((16, 16), True),
        ((15, 15), False),
        ((10, 10, 10), False),
    ],
)
def test_percimt_counts(sizes, met):
    assert bool(percimt_met([spot(n, longest=float(s)) for n, s in enumerate(sizes, 1)], EVIDENCE_RULES)) is met


def test_percimt_shifts_new_focal_foci_only_after_a_baseline():
    foci = [spot(n, "liver", longest=18.0, share=0.01, contrast=4.0) for n in (1, 2)]
    assert not any(p.feature == "F12" for d in decide(*foci) for p in d.parts)
    later = decide(*foci, earlier=(told((), START),))
    assert all(any(p.feature == "F12" for p in d.parts) for d in later)


def test_what_was_metastasis_and_falls_under_therapy_stays_metastasis():
    before = told(decide(METASTASIS_IN_LIVER, on=START - timedelta(days=5)), START - timedelta(days=5))
    fallen = spot(
        2, "liver", share=0.002, contrast=2.5, status=FocusStatus.KNOWN, suv_peak_ratio=0.5, longest_change_mm=-6.0
    )
    assert decide(fallen, earlier=(before,))[0].nature is Nature.METASTASIS


def test_an_undecided_new_focus_that_vanished_is_told_to_have_been_inflammation():
    bland = spot(7, "lymph_node", longest=30.0, short=18.0)
    earlier = told(decide(bland, findings=(finding(Irae.COLITIS),)), WEEK_10)
    assert earlier.foci[0].nature is Nature.INDETERMINATE
    gone = Focus(
        id=1,
        centroid_ras_mm=(0, 0, 0),
        volume_ml=0,
        longest_mm=0,
        short_mm=0,
        organ="lymph_node",
        track="L07",
        status=FocusStatus.GONE,
        is_node=True,
    )
    decided = decide(gone, on=WEEK_10 + timedelta(weeks=8), earlier=(earlier,))[0]
    assert decided.nature is Nature.INFLAMMATION
    assert any(p.feature == "F10" and p.points > 0 for p in decided.parts)


def test_a_gone_metastasis_keeps_its_name():
    earlier = told(decide(METASTASIS_IN_LIVER), WEEK_10)
    gone = Focus(
        id=1,
        centroid_ras_mm=(0, 0, 0),
        volume_ml=0,
        longest_mm=0,
        short_mm=0,
        organ="liver",
        track="L02",
        status=FocusStatus.GONE,
    )
    decided = decide(gone, on=WEEK_10 + timedelta(weeks=8), earlier=(earlier,))[0]
    assert decided.nature is Nature.METASTASIS
    assert decided.probabilities == earlier.foci[0].probabilities


def test_nothing_is_dropped_and_order_is_kept():
    foci = [spot(n, organ) for n, organ in enumerate(("liver", "lung_left", None, "lymph_node", "bone"), 1)]
    assert [d.focus.id for d in decide(*foci)] == [1, 2, 3, 4, 5]


def test_before_therapy_an_irae_is_not_possible():
    decided = decide(COLITIS, on=START - timedelta(days=3), findings=(finding(Irae.COLITIS),))[0]
    onset = next(p for p in decided.parts if p.feature == "F7")
    assert onset.points < 0


@pytest.mark.parametrize(
    ("focus", "unseen", "nature"),
    [
        (spot(organ=None, suv=12.0, sphericity=0.8), (), Nature.METASTASIS),
        (spot(organ=None, suv=12.0, sphericity=0.8), ("urinary_bladder",), Nature.INDETERMINATE),
        (spot(organ=None, suv=12.0, sphericity=0.8), ("brain",), Nature.METASTASIS),
        (spot(organ=None, suv=12.0, sphericity=0.8, head_neck=1.0), ("brain",), Nature.INDETERMINATE),
        (spot(organ=None, suv=12.0, sphericity=0.8, size_from_ct=1.0), ("urinary_bladder",), Nature.METASTASIS),
    ],
)
def test_uptake_outside_all_masks_is_no_metastasis_while_hot_organs_were_not_found(focus, unseen, nature):
    (told,) = attribute(
        (focus,),
        findings=(),
        quantities=Quantities({}),
        context=PatientContext(),
        on=WEEK_10,
        reference=None,
        earlier=(),
        unseen=unseen,
    )
    assert told.nature is nature
    if nature is Nature.INDETERMINATE:
        assert "may be normal uptake" in told.reasons[0]


def test_a_small_focus_called_metastasis_does_not_speak_against_a_later_picture_of_the_organ():
    small = decide(spot(organ="liver", track="L01"))[0]
    assert small.nature is Nature.METASTASIS
    whole = picture("thyroid_gland", status=FocusStatus.KNOWN, track="L01", symmetry=0.9)
    for before in (spot(organ="thyroid_gland", share=0.04), picture("thyroid_gland", share=0.04)):
        called = replace(small, focus=replace(before, track="L01"))
        now = decide(replace(whole, track="L01"), earlier=[told([called], START)])[0]
        assert now.nature is Nature.INFLAMMATION, now.reasons
        assert not [p for p in now.parts if p.feature == "F10"]
    same = replace(small, focus=replace(picture("liver"), track="L01"))
    assert [p.points for p in decide(replace(whole, organ="liver"), earlier=[told([same], START)])[0].parts
            if p.feature == "F10"] == [EVIDENCE_RULES.called_metastasis_points]


def test_the_picture_of_an_organ_is_never_called_metastasis():
    patch = decide(picture("liver", share=0.03), on=START - timedelta(weeks=3))[0]
    assert patch.score <= -EVIDENCE_RULES.favour
    assert patch.nature is Nature.INDETERMINATE


@pytest.mark.parametrize(("ratio", "nature"), [(1.2, Nature.PHYSIOLOGIC), (2.5, Nature.INDETERMINATE)])
def test_a_patch_of_the_thyroid(ratio, nature):
    assert decide(picture("thyroid_gland", share=0.08, liver_ratio=ratio))[0].nature is nature


@pytest.mark.parametrize(("ratio", "nature"), [(1.4, Nature.PHYSIOLOGIC), (3.2, Nature.INFLAMMATION)])
def test_hot_small_bowel_is_not_physiologic_while_colitis_is_suspected(ratio, nature):
    loop = picture("small_bowel", liver_ratio=ratio)
    assert decide(loop, findings=[finding(Irae.COLITIS)])[0].nature is nature


@pytest.mark.parametrize(("heat", "suspected", "nodule"), [(5.5, True, False), (5.5, False, True), (2.0, True, True)])
def test_both_lobes_alike_are_no_nodule_while_thyroiditis_is_suspected(heat, suspected, nodule):
    lobes = [spot(number, "thyroid_gland", share=0.2, contrast=3.0, suv=suv, off_midline_mm=side)
             for number, suv, side in ((1, 6.0, 20.0), (2, heat, -20.0))]
    first = decide(*lobes, findings=[finding(Irae.THYROIDITIS)] if suspected else [])[0]
    assert ("thyroid nodule" in first.outcome) is nodule


def test_percimt_counts_only_what_is_a_metastasis_by_itself_and_hot_or_seen_on_ct():
    hot = [spot(id=i, organ="liver", longest=16.0, liver_ratio=3.0) for i in (1, 2)]
    faint = [spot(id=i, organ="liver", longest=16.0, liver_ratio=1.2) for i in (1, 2)]
    unclear = [spot(id=i, organ="spleen", longest=40.0, liver_ratio=3.0, sphericity=0.4) for i in (1, 2, 3, 4)]
    past = [told((), START)]

    def met(foci):
        return any(p.feature == "F12" for a in decide(*foci, earlier=past) for p in a.parts)

    assert met(hot)
    assert not met(faint)
    assert not met(unclear)
    assert met([replace(f, features={**f.features, "size_from_ct": 1.0}) for f in faint])


@pytest.mark.parametrize(
    ("vertical", "hu", "off", "nature"),
    [
        (28.0, 25.0, 10.0, Nature.PHYSIOLOGIC),  # an upright funnel of urine at the hilum
        (28.0, 300.0, 10.0, Nature.PHYSIOLOGIC),  # with excreted contrast
        (16.0, 25.0, 10.0, Nature.METASTASIS),  # a ball
        (28.0, 85.0, 10.0, Nature.METASTASIS),  # enhancing tissue
        (28.0, 25.0, 45.0, Nature.METASTASIS),  # elsewhere
    ],
)
def test_the_renal_pelvis_is_urine_and_a_lesion_beside_the_kidney_is_not(vertical, hu, off, nature):
    focus = spot(organ="kidney_left", longest=18.0, short=16.0, vertical_mm=vertical, ct_hu_mean=hu, off_ureter_mm=off,
                 off_renal_hilum_mm=off)
    assert decide(replace(focus, organ_fraction=0.1))[0].nature is nature


def test_a_metastasis_beside_the_kidney_is_not_urine_because_masks_overlap():
    focus = spot(organ="kidney_right", longest=21.0, short=18.0, off_renal_hilum_mm=45.0, ct_hu_mean=85.0, contrast=4.0)
    assert decide(replace(focus, organ_fraction=0.34))[0].nature is Nature.METASTASIS
    assert decide(replace(focus, organ_fraction=0.8))[0].nature is Nature.PHYSIOLOGIC


def test_a_part_of_a_larger_opacity_is_no_nodule():
    part = spot(organ="lung_left", longest=16.0, ct_hu_mean=-60.0, consolidation_fraction=0.9,
                rim_ground_glass_fraction=0.5, rim_lung_fraction=0.02)
    assert decide(part)[0].nature is not Nature.METASTASIS
    aerated = replace(part, features={**part.features, "rim_ground_glass_fraction": 0.1, "rim_lung_fraction": 0.9})
    assert decide(aerated)[0].nature is Nature.METASTASIS


def test_what_ground_glass_surrounds_and_is_no_ball_is_an_opacity():
    part = spot(organ="lung_left", longest=66.0, ct_hu_mean=-130.0, consolidation_fraction=0.72, sphericity=0.71,
                ground_glass_fraction=0.24, rim_ground_glass_fraction=0.41, rim_lung_fraction=0.52, contrast=6.5)
    assert decide(part)[0].nature is not Nature.METASTASIS
    ball = replace(part, features={**part.features, "sphericity": 0.97})
    bare = replace(part, features={**part.features, "rim_ground_glass_fraction": 0.3})
    assert [decide(focus)[0].nature for focus in (ball, bare)] == [Nature.METASTASIS] * 2


def test_a_long_hot_stretch_of_bowel_that_grew_is_no_single_spot_and_a_round_mass_is():
    stretch = spot(organ="colon", longest=85.0, short=78.0, length_mm=900.0, sphericity=0.3, elongation=1.4,
                   contrast=4.7, longest_change_mm=7.0, suv_peak_ratio=0.8, status=FocusStatus.KNOWN, ct_hu_mean=0.0)
    before = told(decide(stretch), START)
    open_ = replace(before, foci=tuple(replace(a, nature=Nature.INDETERMINATE) for a in before.foci))
    assert decide(stretch, earlier=[open_])[0].nature is not Nature.METASTASIS
    mass = replace(stretch, features={**stretch.features, "sphericity": 0.85, "length_mm": 85.0})
    assert decide(mass, earlier=[open_])[0].nature is Nature.METASTASIS


@pytest.mark.parametrize(("how", "nature"), [
    ({}, Nature.METASTASIS), ({"followed": 1.0}, Nature.INDETERMINATE),
    ({"followed": 1.0, "size_from_ct": 1.0}, Nature.METASTASIS),
    ({"followed": 1.0, "suv_peak_ratio": 1.4}, Nature.METASTASIS),
], ids=["found", "looked for on the PET", "on the CT", "hotter"])
def test_the_length_of_what_only_looking_for_it_showed_on_a_pet_is_no_growth(how, nature):
    look = {"sphericity": 0.7, "contrast": 2.0, "ct_hu_mean": 40.0, "longest_change_mm": 8.0, "suv_peak_ratio": 0.9}
    spot_ = spot(organ="lymph_node", longest=22.0, short=12.0, status=FocusStatus.KNOWN, **(look | how))
    before = told(decide(spot_), START)
    open_ = replace(before, foci=tuple(replace(a, nature=Nature.INDETERMINATE) for a in before.foci))
    assert decide(spot_, earlier=[open_])[0].nature is nature


@pytest.mark.parametrize(("alike", "off_mm", "nature"), [
    (0.95, 125.0, Nature.INDETERMINATE), (0.80, 125.0, Nature.METASTASIS), (0.95, 60.0, Nature.METASTASIS),
])
def test_bone_that_is_alike_on_both_sides_where_joints_are_is_not_called_metastasis(alike, off_mm, nature):
    joints = [spot(n, "bone", longest=25.0, short=13.0, sphericity=0.9, elongation=1.4, contrast=3.9, liver_ratio=1.6,
                   off_midline_mm=side * off_mm, symmetry=alike, ct_hu_mean=250.0, bone_fraction=0.6)
              for n, side in ((1, 1.0), (2, -1.0))]
    assert [a.nature for a in decide(*joints)] == [nature, nature]


def test_an_infection_does_not_turn_a_known_metastasis_into_inflammation():
    infected = therapy(ContextEntry(kind=ContextKind.INFECTION, value="pneumonia", start=WEEK_10))
    before = decide(spot(organ="lung_left", longest=18.0, size_from_ct=1.0, ct_hu_mean=0.0, ct_nodule_mm=18.0,
                         rim_lung_fraction=0.9))
    assert before[0].nature is Nature.METASTASIS
    swallowed = spot(organ="lung_left", longest=25.0, status=FocusStatus.KNOWN, ct_hu_mean=0.0,
                     rim_ground_glass_fraction=0.5, rim_lung_fraction=0.1)
    assert decide(swallowed, context=infected)[0].nature is Nature.INFLAMMATION
    assert decide(swallowed, context=infected, earlier=[told(before, START)])[0].nature is not Nature.INFLAMMATION


def test_radiation_explains_an_opacity_but_does_not_overrule_the_score():
    irradiated = therapy(ContextEntry(kind=ContextKind.RADIOTHERAPY, value="left lung", start=START))
    opacity = spot(organ="lung_left", longest=40.0, ct_hu_mean=-400.0, ground_glass_fraction=0.6,
                   rim_lung_fraction=0.9, sphericity=0.4)
    ball = replace(opacity, longest_mm=18.0, short_mm=17.0, features={**opacity.features, "sphericity": 0.9})
    assert decide(opacity, context=irradiated)[0].nature is Nature.INFLAMMATION
    assert decide(ball, context=irradiated)[0].nature is Nature.INDETERMINATE
    assert decide(ball, context=irradiated)[0].outcome != "radiation change", "a small ball is no opacity"
