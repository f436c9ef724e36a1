from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from irae.attribution import attribute, attribution_notices
from irae.attribution.candidates import candidates
from irae.attribution.features import FEATURE_TABLE, SUBJECT, Subject, in_words
from irae.attribution.learned import CLASSES, LearnedModel, Linear, Seen, Trees, softmax
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.finding import Quantities
from irae.core.focus import FocusStatus, Nature
from tests.attribution.made import START, WEEK_10, finding, picture, spot, therapy, told

BEFORE = START - timedelta(weeks=1)
INFLAMMATION, METASTASIS, PHYSIOLOGIC = Nature.INFLAMMATION, Nature.METASTASIS, Nature.PHYSIOLOGIC


def seen(*suv_max, limit=1.0):
    """What a model of SUVmax was trained on: these values, an unknown one counting as 5 from a known one."""
    typical = np.array([[value, 0.0] for value in suv_max], np.float32)
    return Seen(centre=np.zeros(2), scale=np.array([1.0, 0.2]), typical=typical, limit=limit)


TRAINED_ON = seen(5.0, 8.0)


def always(inflammation, metastasis, physiologic, least=(0.2, 0.2, 0.2), trained_on=TRAINED_ON):
    """A model that says the same of every focus."""
    margins = Linear(
        start=np.log([inflammation, metastasis, physiologic]), centre=np.zeros(1), scale=np.ones(1),
        weight=np.zeros((1, 3)), missing=np.zeros((1, 3)),
    )
    return LearnedModel(features=("suv_max",), margins=margins, temperature=1.0, least=least, seen=trained_on)


def decide(*foci, learned, context=None, findings=(), earlier=(), on=WEEK_10):
    return attribute(
        foci, findings=findings, quantities=Quantities(), context=context or therapy(), on=on, reference=None,
        earlier=earlier, learned=learned,
    )


@pytest.mark.parametrize(("organ", "features", "nature"), [
    ("liver", {"contrast": 1.6}, METASTASIS),
    ("liver", {"contrast": 1.4}, Nature.INDETERMINATE),
    ("bone", {"contrast": 1.9}, Nature.INDETERMINATE),
    ("bone", {"contrast": 1.9, "size_from_ct": 1.0}, METASTASIS),
    ("bone", {"contrast": 2.2}, METASTASIS),
    ("bone", {}, METASTASIS),
    ("kidney_right", {"contrast": 1.9}, METASTASIS),
])
def test_what_hardly_stands_out_is_not_called_metastasis_at_first_sight(organ, features, nature):
    sure = always(0.01, 0.98, 0.01)
    (found,) = decide(spot(organ=organ, longest=30.0, **features), learned=sure)
    assert found.nature is nature
    assert any("times that of what surrounds it" in text for text in found.reasons) is (nature is Nature.INDETERMINATE)
    before = told(decide(spot(organ=organ, longest=30.0, contrast=4.0), learned=sure, on=START), START)
    (again,) = decide(spot(organ=organ, longest=30.0, **features), learned=sure, earlier=[before])
    assert again.nature is METASTASIS, "what was a tumour before is one"


def stump(threshold=5.0, feature=0, missing_left=1):
    """One tree for metastasis: left -1, right +2."""
    return Trees(
        start=np.zeros(3), roots=np.array([0], np.int32), outputs=np.array([1], np.int32),
        feature=np.array([feature, -1, -1], np.int32), threshold=np.array([threshold, 0.0, 0.0]),
        missing_left=np.array([missing_left, 0, 0], np.uint8), left=np.array([1, 0, 0], np.int32),
        right=np.array([2, 0, 0], np.int32), value=np.array([0.5, -1.0, 2.0]),
    )


@pytest.mark.parametrize(("value", "expected"), [(4.9, -1.0), (5.0, -1.0), (5.1, 2.0), (np.nan, -1.0)])
def test_a_tree_goes_left_up_to_its_threshold_and_where_it_learnt_to_send_the_unknown(value, expected):
    start, given = stump().explained(np.array([value]))
    assert (start + given.sum(axis=0))[1] == expected
    assert start[1] == 0.5, "the start is the mean over the training cases"
    assert given[0, 1] == expected - 0.5, "the one feature asked gets all of the rest"


def test_linear_terms_add_up_and_the_unknown_has_a_term_of_its_own():
    model = Linear(start=np.array([0.0, 1.0, 0.0]), centre=np.array([2.0]), scale=np.array([2.0]),
                   weight=np.array([[0.0, 3.0, 0.0]]), missing=np.array([[0.0, -5.0, 0.0]]))
    for value, margin in ((4.0, 4.0), (2.0, 1.0), (np.nan, -4.0)):
        start, given = model.explained(np.array([value]))
        assert (start + given.sum(axis=0))[1] == margin


@pytest.mark.parametrize("broken", [
    {"left": np.array([0, 0, 0], np.int32)},  # a loop
    {"right": np.array([9, 0, 0], np.int32)},  # out of the arrays
    {"outputs": np.array([3], np.int32)},
    {"roots": np.array([-1], np.int32)},
    {"value": np.array([0.5, np.nan, 2.0])},
    {"threshold": np.array([1.0])},
])
def test_trees_that_would_not_end_or_point_outside_are_refused(broken):
    with pytest.raises(ValueError, match="trees"):
        replace(stump(), **broken)


def test_a_model_refuses_features_that_nobody_measures():
    with pytest.raises(ValueError, match="unknown or repeated"):
        LearnedModel(features=("shoe_size",), margins=stump(), temperature=1.0, least=(0, 0, 0))


def test_contributions_by_subject_and_start_give_the_probabilities():
    model = LearnedModel(features=("suv_max",), margins=stump(), temperature=2.0, least=(0.1, 0.1, 0.1))
    answer = model.told({"suv_max": 9.0})
    assert answer.probabilities[METASTASIS] == pytest.approx(softmax(np.array([0.0, 1.0, 0.0]))[1])
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert max(answer.subjects[Subject.UPTAKE], key=answer.subjects[Subject.UPTAKE].get) is METASTASIS


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_subject_with_words():
    assert len(SUBJECT) == len(FEATURE_TABLE)
    assert all(feature.unit for feature in FEATURE_TABLE)
    focus = spot(organ="liver", liver_ratio=3.0, ct_hu_mean=40.0)
    _, (candidate,) = candidates(
        [focus], findings=(), quantities=Quantities(), context=therapy(), on=WEEK_10, earlier=()
    )
    words = {s: in_words(s, focus, candidate.features, candidate.parts) for s in Subject}
    assert words[Subject.UPTAKE] == "SUVmax 8.0 g/mL, 3.0 times the liver"
    assert words[Subject.PLACE] == "liver"


def test_without_context_therapy_is_unknown_and_not_absent():
    for context, known in ((therapy(), True), (PatientContext(), False)):
        _, (candidate,) = candidates(
            [spot()], findings=(), quantities=Quantities(), context=context, on=WEEK_10, earlier=()
        )
        assert ("gcsf" in candidate.features) is known


@pytest.mark.parametrize(("p", "least", "nature"), [
    ((0.90, 0.05, 0.05), (0.2, 0.2, 0.2), INFLAMMATION),
    ((0.05, 0.90, 0.05), (0.2, 0.2, 0.2), METASTASIS),
    ((0.60, 0.30, 0.10), (0.2, 0.2, 0.2), Nature.INDETERMINATE),  # metastasis cannot be ruled out
    ((0.40, 0.30, 0.30), (0.9, 0.9, 0.9), Nature.INDETERMINATE),  # like nothing learnt
])
def test_a_nature_is_named_only_where_the_others_are_ruled_out(p, least, nature):
    focus = spot(organ="lymph_node", symmetry=0.9, height_in_lungs=0.5, off_midline_mm=30.0, size_from_ct=1.0,
                 longest=20.0, short=8.0)
    (answer,) = decide(focus, learned=always(*p, least=least))
    assert answer.nature is nature
    assert answer.probabilities == pytest.approx({c.value: x for c, x in zip(CLASSES, p, strict=True)})


def test_a_discrete_nodule_is_not_called_inflammation_by_any_model():
    focus = spot(organ="lung_left", size_from_ct=1.0, ct_nodule_mm=15.0)
    (answer,) = decide(focus, learned=always(0.98, 0.01, 0.01))
    assert answer.nature is Nature.INDETERMINATE
    assert answer.reasons[0].startswith("Not called inflammation")


@pytest.mark.parametrize(("focus", "nature", "why"), [
    (spot(head_neck=1.0, liver_ratio=1.1), PHYSIOLOGIC, "the glands of the head take up tracer"),
    (spot(organ="pancreas", picture=1.0, liver_ratio=3.0), PHYSIOLOGIC, "the uptake of an organ"),
    (spot(head_neck=1.0, suv=10.1, liver_ratio=2.0), Nature.INDETERMINATE, "focal and as hot as PERCIST measures"),
    (spot(organ="lymph_node", liver_ratio=1.1), PHYSIOLOGIC, "less than PERCIST measures, and no metastasis"),
    (spot(organ="lymph_node", liver_ratio=1.6), Nature.INDETERMINATE, "no normal uptake at its place"),
    (spot(liver_ratio=1.6), Nature.INDETERMINATE, "no organ at its place, and measurable"),
    (spot(organ="lymph_node", liver_ratio=0.99), PHYSIOLOGIC, "under the liver, and like nothing else"),
    (spot(organ="lymph_node", liver_ratio=0.99, size_from_ct=1.0), PHYSIOLOGIC, "the CT shows it, the model is sure"),
    (spot(organ="lymph_node", liver_ratio=1.0, size_from_ct=1.0), Nature.INDETERMINATE, "not under the liver"),
    (spot(organ="lymph_node"), Nature.INDETERMINATE, "nobody knows how hot the liver is"),
])
def test_nothing_is_called_physiologic_by_statistics_alone(focus, nature, why):
    (answer,) = decide(focus, learned=always(0.01, 0.01, 0.98, trained_on=seen(8.0, 10.1)))
    assert answer.nature is nature, why


NODE_PAIR = spot(organ="lymph_node", symmetry=0.9, height_in_lungs=0.5, off_midline_mm=30.0, liver_ratio=1.2)


@pytest.mark.parametrize(("p", "focus", "nature", "why"), [
    ((0.15, 0.05, 0.80), spot(organ="lymph_node", liver_ratio=1.4), PHYSIOLOGIC, "not measurable by PERCIST"),
    ((0.30, 0.05, 0.65), spot(organ="lymph_node", liver_ratio=1.4), PHYSIOLOGIC, "nothing speaks for inflammation"),
    ((0.05, 0.25, 0.70), spot(organ="lymph_node", liver_ratio=1.4), METASTASIS, "a metastasis is possible"),
    ((0.55, 0.05, 0.40), spot(organ="lymph_node", liver_ratio=1.4), Nature.INDETERMINATE, "inflammation is likelier"),
    ((0.30, 0.05, 0.65), NODE_PAIR, INFLAMMATION, "nodes alike on both sides speak for it"),
    ((0.15, 0.05, 0.80), spot(organ="lymph_node", liver_ratio=1.5), Nature.INDETERMINATE, "measurable"),
    ((0.06, 0.00, 0.94), spot(organ="lymph_node", liver_ratio=0.9, size_from_ct=1.0), Nature.INDETERMINATE, "on CT"),
])
def test_what_percist_cannot_measure_is_physiologic_where_a_metastasis_is_ruled_out(p, focus, nature, why):
    (answer,) = decide(focus, learned=always(*(max(x, 1e-6) for x in p), trained_on=seen(8.0, 10.1)))
    assert answer.nature is nature, why


@pytest.mark.parametrize(("p", "focus", "on", "nature", "why"), [
    (0.7, spot(organ="liver", liver_ratio=4.0), BEFORE, METASTASIS, "no irAE before the first dose"),
    (0.7, spot(organ="liver", liver_ratio=4.0), WEEK_10, Nature.INDETERMINATE, "under therapy inflammation competes"),
    (0.4, spot(organ="liver", liver_ratio=4.0), BEFORE, Nature.INDETERMINATE, "the model holds inflammation likelier"),
    (0.7, spot(organ="lung_left", picture=1.0), BEFORE, Nature.INDETERMINATE, "an opacity has other causes"),
])
def test_before_the_first_dose_inflammation_hardly_competes(p, focus, on, nature, why):
    (answer,) = decide(focus, learned=always(1.0 - p - 0.001, p, 0.001), on=on)
    assert answer.nature is nature, why


def test_what_is_left_of_a_known_lesion_is_what_it_was():
    before = told(decide(spot(track="L01", organ="lymph_node"), learned=always(0.01, 0.98, 0.01)), START)
    left = spot(track="L01", organ="lymph_node", suv=1.0, status=FocusStatus.KNOWN, followed=1.0, liver_ratio=0.3)
    (answer,) = decide(left, learned=always(0.01, 0.01, 0.98, trained_on=seen(0.5, 10.1)), earlier=[before])
    assert answer.nature is METASTASIS
    assert answer.reasons[0].startswith("What is left, at its place")
    open_ = {"inflammation": 0.4, "metastasis": 0.4, "physiologic": 0.2}
    unsure = replace(before, foci=tuple(
        replace(a, nature=Nature.INDETERMINATE, probabilities=open_) for a in before.foci
    ))
    (answer,) = decide(left, learned=always(0.01, 0.01, 0.98, trained_on=seen(0.5, 10.1)), earlier=[unsure])
    assert answer.nature is PHYSIOLOGIC  # an open focus is decided anew
    fallen = spot(track="L01", organ="lung_left", suv=1.0, status=FocusStatus.KNOWN, followed=1.0, suv_peak_ratio=0.35,
                  rim_ground_glass_fraction=0.7, size_from_ct=1.0, ct_hu_mean=-160.0)
    (answer,) = decide(fallen, learned=None, earlier=[unsure])
    assert answer.nature is Nature.INDETERMINATE  # but not as inflammation: that it fell is why it was looked for
    (found,) = decide(replace(fallen, features={**fallen.features, "followed": 0.0}), learned=None, earlier=[unsure])
    assert found.nature is INFLAMMATION


@pytest.mark.parametrize(("focus", "nature", "why"), [
    (spot(organ="lymph_node", size_from_ct=1.0), METASTASIS, "no normal uptake there: 90 to 4"),
    (spot(head_neck=1.0, liver_ratio=1.1), Nature.INDETERMINATE, "glands may be hot: normal uptake stays possible"),
])
def test_what_cannot_be_normal_uptake_by_place_does_not_compete(focus, nature, why):
    (answer,) = decide(focus, learned=always(0.02, 0.45, 0.53, least=(0.1, 0.2, 0.9)))
    assert answer.nature is nature, why
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("p", "focus", "nature", "why"), [
    ((0.28, 0.70, 0.02), spot(organ="liver", share=0.004, contrast=4.0), METASTASIS, "likeliest, -3 points"),
    ((0.50, 0.48, 0.02), spot(organ="liver", share=0.004, contrast=4.0), Nature.INDETERMINATE, "not the likeliest"),
    ((0.28, 0.70, 0.02), spot(organ="lymph_node", size_from_ct=1.0), Nature.INDETERMINATE, "few points"),
    ((0.22, 0.55, 0.23), spot(organ="stomach", contrast=4.0, size_from_ct=1.0, ct_nodule_mm=15.0, ct_hu_mean=40.0),
     METASTASIS, "likelier than not"),
    ((0.28, 0.45, 0.27), spot(organ="stomach", contrast=4.0, size_from_ct=1.0, ct_nodule_mm=15.0, ct_hu_mean=40.0),
     Nature.INDETERMINATE, "not likelier than not"),
])
def test_where_both_arms_suspect_a_metastasis_it_is_named(p, focus, nature, why):
    (answer,) = decide(focus, learned=always(*p))
    assert answer.nature is nature, why


METASTASIS_BY_POINTS = {"organ": "liver", "share": 0.004, "contrast": 4.0, "liver_ratio": 9.0}


def test_of_a_focus_unlike_the_training_cases_the_model_is_not_asked():
    model = always(0.01, 0.01, 0.98)
    like, unlike = decide(spot(1, **METASTASIS_BY_POINTS), spot(2, suv=42.0, **METASTASIS_BY_POINTS), learned=model)
    assert (like.nature, unlike.nature) == (Nature.INDETERMINATE, METASTASIS)
    assert unlike.probabilities["metastasis"] > 0.5
    assert unlike.reasons[0].startswith("Unlike all that the learned model was trained on, most of all in uptake "
                                        "(SUVmax 42.0 g/mL")
    (notice,) = attribution_notices((like, unlike), model)
    assert notice.code == "attribution_unlike_training"
    assert "1 of 2 foci" in notice.text
    assert "no. 2." in notice.text
    assert attribution_notices((like,), model) == ()


def test_the_unlike_are_no_metastasis_by_points_that_only_favour_it():
    model = always(0.01, 0.01, 0.98)
    node = {"organ": "lymph_node", "size_from_ct": 1.0}
    (alone,) = decide(spot(**node, suv=42.0), learned=None)
    assert (alone.nature, alone.outcome) == (METASTASIS, "favour metastasis")
    (unlike,) = decide(spot(**node, suv=42.0), learned=model)
    assert unlike.nature is Nature.INDETERMINATE
    assert unlike.reasons[1].startswith("Not called metastasis: the points favour it")
    assert unlike.probabilities == alone.probabilities
    (hot,) = decide(spot(**node, suv=42.0, liver_ratio=15.0), learned=model)
    assert hot.nature is METASTASIS  # far hotter than the liver, and compact
    (scrap,) = decide(spot(**node, suv=42.0, liver_ratio=15.0, sphericity=0.3), learned=model)
    assert scrap.nature is Nature.INDETERMINATE
    before = told((alone,), START)
    (known,) = decide(spot(**node, suv=42.0, status=FocusStatus.KNOWN), on=WEEK_10, learned=model, earlier=[before])
    assert known.nature is METASTASIS
    without_pet = replace(spot(**node), suv_max=None, suv_peak=None, suv_mean=None, tlg=None)
    (by_ct,) = decide(without_pet, learned=model)
    assert by_ct.nature is METASTASIS


def test_the_unlike_do_not_make_each_other_metastases_by_their_number():
    """Four strange foci meet PERCIMT's count; that says nothing of any of them."""
    many = [spot(n, organ="spleen", share=0.1, contrast=2.5, suv=42.0, liver_ratio=2.0) for n in range(1, 6)]
    before = [told([], START)]
    alone = decide(*many, learned=None, earlier=before)
    assert {(a.nature, a.outcome) for a in alone} == {(METASTASIS, "suspected metastasis")}
    assert any(part.feature == "F12" for part in alone[0].parts)
    unlike = decide(*many, learned=always(0.01, 0.01, 0.98), earlier=before)
    assert {a.nature for a in unlike} == {Nature.INDETERMINATE}


def test_the_unlike_keep_their_gate():
    (bladder,) = decide(spot(organ="urinary_bladder", suv=60.0), learned=always(0.01, 0.98, 0.01))
    assert bladder.nature is PHYSIOLOGIC


@pytest.mark.parametrize(("suv_max", "apart"), [(8.5, 0.25), (9.0, 1.0), (2.0, 1.0), (np.nan, 9.0 + 25.0)])
def test_distance_to_the_nearest_training_case_the_unknown_being_average_and_flagged(suv_max, apart):
    assert seen(3.0, 8.0).apart(np.array([suv_max])) == pytest.approx([apart])


def test_a_model_that_does_not_say_what_it_was_trained_on_is_not_used():
    model = always(0.01, 0.01, 0.98, trained_on=None)
    answers = decide(spot(**METASTASIS_BY_POINTS), learned=model)
    assert answers[0].nature is METASTASIS
    (notice,) = attribution_notices(answers, model)
    assert notice.code == "attribution_model_not_used"


@pytest.mark.parametrize("broken", [
    {"limit": 0.0}, {"scale": np.array([1.0, 0.0])}, {"centre": np.zeros(3)},
    {"typical": np.zeros((0, 2), np.float32)}, {"typical": np.array([[np.nan, 0.0]], np.float32)},
])
def test_a_record_of_training_that_cannot_be_is_refused(broken):
    with pytest.raises(ValueError, match="what was seen"):
        replace(seen(8.0), **broken)


def test_what_a_gate_holds_for_harmless_is_left_open_where_the_model_sees_a_metastasis():
    bladder = spot(organ="urinary_bladder")
    (sure,) = decide(bladder, learned=always(0.01, 0.98, 0.01))
    (unsure,) = decide(bladder, learned=always(0.2, 0.4, 0.4))
    assert (sure.nature, unsure.nature) == (Nature.INDETERMINATE, PHYSIOLOGIC)


def test_radiotherapy_does_not_hide_what_can_only_be_a_metastasis():
    opacity = spot(organ="lung_left", ct_hu_mean=-300.0, ground_glass_fraction=0.6, rim_lung_fraction=0.9,
                   liver_ratio=4.0, sphericity=0.8)
    irradiated = therapy(ContextEntry(kind=ContextKind.RADIOTHERAPY, value="lung", start=START))
    for p, nature in ((0.98, METASTASIS), (0.6, Nature.INDETERMINATE), (0.3, INFLAMMATION)):
        (answer,) = decide(opacity, learned=always(0.99 - p, p, 0.01, least=(0.2, 0.2, 0.2)), context=irradiated)
        assert answer.nature is nature, p


@pytest.mark.parametrize(("held", "later"), [(0.6, Nature.INDETERMINATE), (0.4, INFLAMMATION)])
def test_what_an_exam_held_for_a_metastasis_is_not_called_inflammation_later(held, later):
    irradiated = therapy(ContextEntry(kind=ContextKind.RADIOTHERAPY, value="lung", start=START))
    ball = spot(track="L01", organ="lung_left", liver_ratio=4.0)
    first = told(decide(ball, learned=always(0.99 - held, held, 0.01)), START)
    assert first.foci[0].nature is Nature.INDETERMINATE
    grown = spot(track="L01", organ="lung_left", longest=60.0, sphericity=0.3, ct_hu_mean=-300.0, symmetry=0.9,
                 ground_glass_fraction=0.6, rim_lung_fraction=0.9, status=FocusStatus.KNOWN, liver_ratio=4.0)
    (answer,) = decide(grown, learned=always(0.98, 0.01, 0.01), context=irradiated, earlier=[first])
    assert answer.nature is later
    (answer,) = decide(grown, learned=always(0.98, 0.01, 0.01), context=irradiated,
                       earlier=[first, told([answer], WEEK_10 - timedelta(days=7))])
    assert answer.nature is later, "nor two exams later"


def by_uptake(log_odds, size_log_odds=0.0):
    """A sure model of inflammation: of a focus of SUVmax 8 and 15 mm, so much of it by uptake and by size."""
    weight = np.array([[log_odds / 16.0, -log_odds / 16.0, 0.0], [size_log_odds / 30.0, -size_log_odds / 30.0, 0.0]])
    margins = Linear(start=np.array([20.0, 0.0, 0.0]), centre=np.zeros(2), scale=np.ones(2), weight=weight,
                     missing=np.zeros((2, 3)))
    where = Seen(centre=np.zeros(4), scale=np.ones(4), typical=np.array([[8.0, 15.0, 0.0, 0.0]], np.float32), limit=1.0)
    return LearnedModel(features=("suv_max", "longest_mm"), margins=margins, temperature=1.0, least=(0.2, 0.2, 0.2),
                        seen=where)


@pytest.mark.parametrize(("learned", "kind", "nature", "why"), [
    (by_uptake(4.0), {}, INFLAMMATION, "it appeared under therapy, and what is seen of it speaks for inflammation"),
    (by_uptake(2.0), {}, Nature.INDETERMINATE, "only 7 to 1 by what is seen of it, the rest by circumstances"),
    (by_uptake(6.0, -1.0), {}, Nature.INDETERMINATE, "its size speaks for a metastasis"),
    (by_uptake(4.0), {"earlier": ()}, Nature.INDETERMINATE, "nobody knows whether it was there before"),
    (by_uptake(4.0), {"context": PatientContext()}, Nature.INDETERMINATE, "no therapy is known"),
    (by_uptake(4.0), {"status": FocusStatus.KNOWN}, Nature.INDETERMINATE, "it was left open before"),
])
def test_without_a_sign_only_what_appears_under_therapy_and_looks_inflamed_is_called_inflammation(
    learned, kind, nature, why
):
    def tubular(**more):
        return spot(track="L01", organ="liver", liver_ratio=2.0, sphericity=0.4, elongation=3.0, **more)

    status = kind.pop("status", FocusStatus.NEW)
    first = told(decide(tubular(), learned=by_uptake(2.0)) if status is FocusStatus.KNOWN else [], START)
    (answer,) = decide(tubular(status=status), learned=learned, **{"earlier": [first]} | kind)
    assert answer.nature is nature, why
    if nature is Nature.INDETERMINATE:
        assert answer.reasons[0].startswith("Not called inflammation: nothing but time")


def test_a_model_that_was_shown_nothing_of_the_focus_itself_does_not_stand_in_for_a_sign():
    margins = Linear(start=np.array([20.0, 0.0, 0.0]), centre=np.zeros(1), scale=np.ones(1), weight=np.zeros((1, 3)),
                     missing=np.zeros((1, 3)))
    where = Seen(centre=np.zeros(2), scale=np.ones(2), typical=np.zeros((1, 2), np.float32), limit=2.0)
    model = LearnedModel(features=("off_renal_hilum_mm",), margins=margins, temperature=1.0, least=(0.2, 0.2, 0.2),
                         seen=where)
    focus = spot(organ="liver", liver_ratio=2.0, sphericity=0.4, elongation=3.0)
    (answer,) = decide(focus, learned=model, earlier=[told([], START)])
    assert answer.nature is Nature.INDETERMINATE
    assert answer.reasons[0].startswith("Not called inflammation: nothing but time")


def test_a_whole_organ_is_never_called_metastasis():
    (answer,) = decide(picture("liver"), learned=always(0.01, 0.98, 0.01))
    assert answer.nature is Nature.INDETERMINATE


def test_nothing_is_dropped_and_the_evidence_stays():
    foci = [spot(id=i + 1, organ=o) for i, o in enumerate(("liver", "lung_left", None, "urinary_bladder"))]
    answers = decide(*foci, learned=always(0.3, 0.4, 0.3))
    assert [a.focus.id for a in answers] == [1, 2, 3, 4]
    assert all(a.parts and a.reasons for a in answers if a.focus.organ == "liver")


def test_a_gone_lesion_keeps_what_it_was_called_whatever_the_model_says():
    before = told(decide(spot(track="L01"), learned=always(0.01, 0.98, 0.01)), START)
    gone = replace(spot(track="L01", status=FocusStatus.GONE), longest_mm=0.0, short_mm=0.0, volume_ml=0.0)
    (answer,) = decide(gone, learned=always(0.98, 0.01, 0.01), earlier=[before])
    assert answer.nature is METASTASIS


@pytest.mark.parametrize(("organ", "short"), [("lymph_node", 14.0), ("lung_left", 14.0), (None, 14.0)])
def test_a_known_metastasis_stays_one_on_a_ct_without_pet(organ, short):
    """The model was trained with PET; the points and what the lesion was called decide."""
    before = told(decide(spot(organ=organ, track="L01"), learned=always(0.01, 0.98, 0.01)), START)
    now = replace(spot(organ=organ, short=short, status=FocusStatus.KNOWN, track="L01", size_from_ct=1.0), suv_max=None,
                  suv_peak=None, suv_mean=None, tlg=None)
    (answer,) = decide(now, learned=always(0.01, 0.01, 0.98), earlier=[before])
    assert answer.nature is METASTASIS
    assert any(reason.startswith("Unlike all") for reason in answer.reasons)


def test_findings_reach_the_model():
    from irae.core.anatomy import Irae

    _, (candidate,) = candidates(
        [picture("colon")], findings=[finding(Irae.COLITIS)], quantities=Quantities(), context=therapy(), on=WEEK_10,
        earlier=(),
    )
    assert candidate.features["own_irae"] == pytest.approx(0.8)
