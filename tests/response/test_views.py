"""The two views of a course, the attribution a category hinges on, the patterns, and what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irae.core.assessment import Assessment, View
from irae.core.course import DueState
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.response import CRITERIA
from irae.response.course import ExamLesions
from irae.response.course_patterns import due, patterns
from irae.response.views import EXAM_CRITERIA, assess_course

START = date(2025, 1, 6)
SITES = ("liver", "spleen", "colon", "kidney")
WORST = {"iCR": 0, "CR": 0, "NED": 0, "iPR": 1, "PR": 1, "iSD": 2, "SD": 2, "NON-CR/NON-PD": 2,
         "NON-iCR/NON-iUPD": 2, "NE": 2, "iUPD": 3, "PD": 3, "iCPD": 4}


def focus(
    number: int, nature: Nature, size_mm: float, *, track: str = "", organ: str = "liver",
    suv_peak: float | None = None, gone: bool = False, is_node: bool = False,
) -> AttributedFocus:
    shares = dict.fromkeys(("inflammation", "metastasis", "physiologic"), 0.0)
    if nature is Nature.INDETERMINATE:
        shares = {"inflammation": 0.5, "metastasis": 0.5, "physiologic": 0.0}
    else:
        shares[nature.value] = 1.0
    return AttributedFocus(
        focus=Focus(
            id=number, centroid_ras_mm=(0, 0, 0), volume_ml=0 if gone else (size_mm / 10) ** 3 / 2,
            longest_mm=0 if gone else size_mm, short_mm=0 if gone else size_mm * 0.8, organ=organ,
            suv_peak=None if gone else suv_peak, track=track or f"L{number:02d}", is_node=is_node,
            status=FocusStatus.GONE if gone else FocusStatus.KNOWN,
        ),
        nature=nature, probabilities=shares, score=0.0, outcome="drawn", reasons=("drawn",),
    )


def exam(day: int, *foci: AttributedFocus, pet: bool = False) -> ExamLesions:
    return ExamLesions(
        acquired_on=START + timedelta(days=day), foci=foci, has_pet=pet, slice_thickness_mm=3.0,
        suv_to_sul=0.75 if pet else None, liver_mean_suv=2.4 if pet else None, liver_sd_suv=0.3 if pet else None,
        blood_pool_mean_suv=1.8 if pet else None, blood_pool_sd_suv=0.2 if pet else None,
        uptake_minutes=60.0 if pet else None,
    )


def category(assessments: tuple[Assessment, ...], criterion: str, view: View) -> str:
    return next(a.category for a in assessments if a.criterion == criterion and a.view is view)


M, N, Q, P = Nature.METASTASIS, Nature.INFLAMMATION, Nature.INDETERMINATE, Nature.PHYSIOLOGIC


def test_inflammation_set_aside_is_progression_as_seen_and_the_category_hinges_on_it() -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 40), focus(2, N, 25, organ="colon"))]
    assessments, hinges = assess_course(course)
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == "PR"
    assert category(assessments, "recist_1_1", View.AS_SEEN) == "PD"
    assert category(assessments, "irecist", View.ATTRIBUTED) == "iPR"
    assert category(assessments, "irecist", View.AS_SEEN) == "iUPD"
    assert [(h.focus, h.if_nature, h.categories) for h in hinges] == [
        (2, "metastasis", (("recist_1_1", "PD"), ("irecist", "iUPD"))),
    ]
    seen = next(a for a in assessments if a.criterion == "irecist" and a.view is View.AS_SEEN)
    assert seen.confirm_between == (START + timedelta(days=84), START + timedelta(days=112))
    assert (seen.sum_mm, seen.baseline_mm, seen.nadir_mm) == (40.0, 60.0, 60.0)
    assert all(a.reasons for a in assessments)


def test_a_doubtful_focus_of_the_baseline_that_is_told_to_be_inflammation_is_no_progression() -> None:
    course = [
        exam(0, focus(1, M, 60), focus(2, Q, 12, organ="lung_right")),
        exam(56, focus(1, M, 38), focus(2, N, 60, organ="lung_right")),
    ]
    assessments, hinges = assess_course(course)
    assert category(assessments, "irecist", View.ATTRIBUTED) == "iPR"
    assert category(assessments, "irecist", View.AS_SEEN) == "iUPD"
    assert [(h.focus, h.if_nature) for h in hinges] == [(2, "metastasis")]
    doubtful = [course[0], replace(course[1], foci=(course[1].foci[0], focus(2, Q, 60, organ="lung_right")))]
    assert category(assess_course(doubtful)[0], "irecist", View.ATTRIBUTED) == "iUPD", "doubt does not set aside"


def test_a_doubtful_focus_that_comes_and_goes_is_no_progression_and_a_metastasis_that_comes_back_is() -> None:
    def back(nature: Nature) -> str:
        course = [exam(0, focus(1, M, 60), focus(2, nature, 24, organ="colon")),
                  exam(56, focus(1, M, 40), focus(2, nature, 0, organ="colon", gone=True)),
                  exam(112, focus(1, M, 38), focus(2, nature, 22, organ="colon"))]
        return category(assess_course(course)[0], "recist_1_1", View.ATTRIBUTED)

    assert back(Q) == "PR"
    # The colon's one is a target here: 24 mm at baseline, back from nothing.
    assert back(M) == "PD"


def test_a_doubtful_focus_that_is_normal_uptake_today_is_no_progression() -> None:
    def grown(nature: Nature, view: View) -> str:
        course = [exam(0, focus(1, M, 60), focus(2, Q, 11, organ="colon")),
                  exam(56, focus(1, M, 40), focus(2, nature, 25, organ="colon"))]
        return category(assess_course(course)[0], "recist_1_1", view)

    for view in View:
        assert grown(Nature.PHYSIOLOGIC, view) == "PR", view
        assert grown(Q, view) == "PD", "doubt does not set aside"


@pytest.mark.parametrize(("share", "called", "attributed"), [
    (0.1, Q, "PR"),  # open, but hardly a metastasis
    (0.3, Q, "PD"),
    (0.1, M, "PD"),  # what was called metastasis is not let go by a doubt
    (0.04, M, "PR"),  # but where it is all but ruled out: a pneumonitis has swallowed it
])
def test_a_doubtful_focus_that_is_hardly_a_metastasis_today_is_no_progression(share, called, attributed) -> None:
    today = focus(2, Q, 25, organ="colon")
    today = replace(today, probabilities={"inflammation": 1.0 - share, "metastasis": share, "physiologic": 0.0})
    course = [exam(0, focus(1, M, 60), focus(2, called, 9, organ="colon")), exam(56, focus(1, M, 40), today)]
    assessments, _ = assess_course(course)
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == attributed
    assert category(assessments, "recist_1_1", View.AS_SEEN) == "PD"


@pytest.mark.parametrize(("followed", "category_now"), [(0.0, "PD"), (1.0, "SD")])
def test_what_was_normal_uptake_is_new_from_its_second_call_on_and_what_is_merely_followed_is_none(
    followed, category_now
) -> None:
    def seen(nature: Nature, **features: float) -> AttributedFocus:
        spot = focus(2, nature, 20, organ="lymph_node", is_node=True)
        return replace(spot, focus=replace(spot.focus, features=features))

    course = [exam(0, focus(1, M, 60), seen(P)), exam(56, focus(1, M, 60), seen(M)),
              exam(112, focus(1, M, 60), seen(M, followed=followed))]
    assert category(assess_course(course[:2])[0], "recist_1_1", View.ATTRIBUTED) == "SD"
    assert category(assess_course(course)[0], "recist_1_1", View.ATTRIBUTED) == category_now


def test_inflammation_does_not_dilute_the_growth_of_a_non_target() -> None:
    """As seen, an inflamed focus beside a growing metastasis must not hide its growth (found by Hypothesis)."""
    course = [exam(0, focus(1, M, 60), focus(2, M, 20), focus(3, M, 30), focus(4, N, 60, organ="colon")),
              exam(56, focus(1, M, 60), focus(2, M, 30), focus(3, M, 30), focus(4, N, 60, organ="colon"))]
    assessments, _ = assess_course(course)
    assert {a.category for a in assessments if a.criterion == "recist_1_1"} == {"PD"}


def test_a_new_metastasis_hinges_the_other_way() -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 60), focus(2, M, 25, organ="lung_left"))]
    assessments, hinges = assess_course(course)
    assert category(assessments, "irecist", View.ATTRIBUTED) == "iUPD"
    assert (hinges[0].focus, hinges[0].if_nature) == (2, "inflammation")
    assert dict(hinges[0].categories)["irecist"] == "iSD"


@pytest.mark.parametrize("nature", [N, Q])
def test_equivocal_foci_do_not_make_progression_and_are_imaged_again(nature: Nature) -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 60), focus(2, nature, 25))]
    assessments, _ = assess_course(course)
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == "SD"
    planned = {d.what: d for d in due(course)}
    assert planned["re-image equivocal lesions"].earliest == START + timedelta(days=84)
    assert "L02" in planned["re-image equivocal lesions"].reason


def in_retrospect(one: AttributedFocus, days: int) -> AttributedFocus:
    return replace(one, focus=replace(one.focus, status=FocusStatus.NEW, features={"seen_days_before": float(days)}))


@pytest.mark.parametrize(("seen_before", "expected"), [(0, "PD"), (30, "PD"), (56, "SD")])
def test_what_the_baseline_shows_in_retrospect_is_no_new_lesion(seen_before: int, expected: str) -> None:
    """Only the baseline counts: what appeared between baseline and now is new, whoever overlooked it."""
    found = in_retrospect(focus(2, M, 25), seen_before) if seen_before else focus(2, M, 25)
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 58), found)]
    assessments, _ = assess_course(course)
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == expected
    assert category(assessments, "recist_1_1", View.AS_SEEN) == expected


def test_an_overlooked_lesion_stands_against_a_complete_response_and_may_progress() -> None:
    overlooked = in_retrospect(focus(2, M, 25), 56)
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 0, gone=True), overlooked),
              exam(112, focus(1, M, 0, gone=True), focus(2, M, 25))]
    assert category(assess_course(course)[0], "recist_1_1", View.ATTRIBUTED) == "PR"
    grown = [*course[:2], exam(112, focus(1, M, 0, gone=True), focus(2, M, 40))]
    assert category(assess_course(grown)[0], "recist_1_1", View.ATTRIBUTED) == "PD"


def test_an_overlooked_lesion_is_left_out_of_metabolic_sums() -> None:
    """Its uptake at baseline was not measured: it is neither new nor an increase."""
    def of(*more: AttributedFocus) -> str:
        course = [exam(0, focus(1, M, 40, suv_peak=9.0), pet=True),
                  exam(56, focus(1, M, 38, suv_peak=8.5), *more, pet=True)]
        return category(assess_course(course)[0], "percist_1_0", View.ATTRIBUTED)

    assert of() == of(in_retrospect(focus(2, M, 60, suv_peak=20.0), 56)) == "SMD"
    assert of(focus(2, M, 60, suv_peak=20.0)) == "PMD"


def test_overlooked_inflammation_is_followed_as_seen_only() -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 0, gone=True), in_retrospect(focus(2, N, 25), 56)),
              *(exam(day, focus(1, M, 0, gone=True), focus(2, N, 25)) for day in (112, 168))]
    assessments, _ = assess_course(course)
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == "CR"
    assert category(assessments, "recist_1_1", View.AS_SEEN) == "PR"


@pytest.mark.parametrize(("metastasis", "expected"), [(0.1, "CR"), (0.5, "PR")])
def test_an_overlooked_doubtful_focus_is_disease_of_the_attributed_view_only_if_it_may_well_be_one(
    metastasis: float, expected: str
) -> None:
    """As at the baseline itself."""
    shares = {"inflammation": 1 - metastasis, "metastasis": metastasis, "physiologic": 0.0}
    found = replace(in_retrospect(focus(2, Q, 25), 56), probabilities=shares)
    later = replace(focus(2, Q, 25), probabilities=shares)
    assessments, _ = assess_course([
        exam(0, focus(1, M, 60)), exam(56, focus(1, M, 0, gone=True), found),
        *(exam(day, focus(1, M, 0, gone=True), later) for day in (112, 168)),
    ])
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == expected
    assert category(assessments, "recist_1_1", View.AS_SEEN) == "PR"


@pytest.mark.parametrize(("baseline_mm", "now_mm", "expected"), [
    (16, 12, "CR"),  # 12.8 mm short, then 9.6: normal in size
    (16, 13, "NON-CR/NON-PD"),
    (11, 11, "NON-CR/NON-PD"),  # never enlarged: listed for its uptake, and there as long as it is seen
])
def test_a_node_that_is_no_target_becomes_normal_below_10_mm(baseline_mm: int, now_mm: int, expected: str) -> None:
    def node(mm: int) -> AttributedFocus:
        return focus(1, M, mm, organ="lymph_node", is_node=True)

    assessments, _ = assess_course([exam(0, node(baseline_mm)), exam(56, node(now_mm))])
    assert category(assessments, "recist_1_1", View.ATTRIBUTED) == expected


def test_physiologic_uptake_counts_in_no_view() -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 60), focus(2, P, 40))]
    assessments, _ = assess_course(course)
    assert category(assessments, "recist_1_1", View.AS_SEEN) == "SD"


def lost(organ: str, *days: int) -> list[ExamLesions]:
    """A target, and exams that do not find it."""
    return [exam(0, focus(1, M, 60, organ=organ)), *(exam(d, focus(1, M, 0, organ=organ, gone=True)) for d in days)]


@pytest.mark.parametrize(("organ", "expected"), [
    ("lung_left", ["PR", "CR", "CR"]),
    ("liver", ["PR", "PR", "CR"]),  # where a small remnant cannot be seen it takes one exam more
])
def test_a_lost_target_is_too_small_first_and_absent_when_lost_again(organ: str, expected: list[str]) -> None:
    course = lost(organ, 56, 112, 168)
    found = [assess_course(course[:n])[0] for n in (2, 3, 4)]
    assert [category(a, "recist_1_1", View.ATTRIBUTED) for a in found] == expected
    first = found[0][0]
    assert first.sum_mm == 5.0
    assert any(rule == "R11-N3" for rule, _ in first.reasons)
    missing = [course[0], exam(56, focus(2, P, 20))]
    assert category(assess_course(missing)[0], "recist_1_1", View.ATTRIBUTED) == "NE"


@pytest.mark.parametrize(("organ", "expected"), [("lung_left", ["CR", "CR"]), ("liver", ["PR", "CR"])])
def test_a_target_that_was_small_when_last_seen_is_absent_one_exam_earlier(organ: str, expected: list[str]) -> None:
    course = [exam(0, focus(1, M, 60, organ=organ)), exam(28, focus(1, M, 7, organ=organ)), *lost(organ, 56, 112)[1:]]
    found = [category(assess_course(course[:n])[0], "recist_1_1", View.ATTRIBUTED) for n in (3, 4)]
    assert found == expected


def shown(focus_: AttributedFocus, **features: float) -> AttributedFocus:
    return replace(focus_, focus=replace(focus_.focus, features=features))


@pytest.mark.parametrize(("new", "expected", "why"), [
    (shown(focus(2, M, 12), contrast=3.0), "PD", "12 mm, and three times its surroundings"),
    (shown(focus(2, M, 9.8), contrast=8.0), "SD", "small"),
    (shown(focus(2, M, 12), contrast=2.4), "SD", "hardly hotter than its surroundings"),
    (shown(focus(2, M, 12), contrast=2.4, size_from_ct=1.0), "PD", "no hotter, but with a border on CT"),
    (focus(2, M, 12), "PD", "found on a CT alone"),
])
def test_a_small_or_faint_new_lesion_is_equivocal_at_first(new: AttributedFocus, expected: str, why: str) -> None:
    course = [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 60), new), exam(112, focus(1, M, 60), new)]
    first, second = assess_course(course[:2])[0], assess_course(course)[0]
    assert category(first, "recist_1_1", View.ATTRIBUTED) == expected, why
    assert category(first, "recist_1_1", View.AS_SEEN) == "PD"
    assert category(second, "recist_1_1", View.ATTRIBUTED) == "PD", "seen again it is disease"
    said = [text for rule, text in first[0].reasons if rule == "R11-L2"]
    assert said == ([] if expected == "PD" else ["New lesion L02 is equivocal: a further exam decides."])
    since = [text for rule, text in second[0].reasons if rule == "R11-L2"]
    assert bool(since) == (expected == "SD"), "progression then carries the date of the first exam"


@pytest.mark.parametrize(("contrast", "expected"), [(8.0, "PMD"), (2.0, "SMD")])
def test_a_small_new_lesion_is_plain_on_pet_where_it_stands_out(contrast: float, expected: str) -> None:
    new = shown(focus(2, M, 8, organ="colon", suv_peak=7.0), contrast=contrast)
    course = [exam(0, focus(1, M, 60, suv_peak=8.0), pet=True), exam(56, focus(1, M, 60, suv_peak=8.0), new, pet=True)]
    assert category(assess_course(course)[0], "percist_1_0", View.ATTRIBUTED) == expected


def test_a_target_that_was_seen_between_is_lost_anew() -> None:
    course = [*lost("liver", 56, 112), exam(168, focus(1, M, 12)), exam(224, focus(1, M, 0, gone=True))]
    assert category(assess_course(course)[0], "recist_1_1", View.ATTRIBUTED) == "PR"


def test_a_lost_lesion_that_is_no_target_is_there_as_long() -> None:
    small = [exam(0, focus(1, M, 9)), *(exam(d, focus(1, M, 0, gone=True)) for d in (56, 112, 168))]
    answers = [category(assess_course(small[:n])[0], "recist_1_1", View.ATTRIBUTED) for n in (2, 3, 4)]
    assert answers == ["NON-CR/NON-PD", "NON-CR/NON-PD", "CR"]


def test_targets_are_five_two_a_site_measurable_and_the_largest() -> None:
    foci = [focus(1, M, 50), focus(2, M, 40), focus(3, M, 30), focus(4, M, 9, organ="spleen"),
            focus(5, M, 18, organ="lymph_node", is_node=True)]
    first = assess_course([exam(0, *foci)])[0][0]
    assert first.category == "baseline"
    assert first.baseline_mm == 90.0  # 50 + 40; the third of the liver, the 9 mm and the 14.4 mm node are not targets
    assert "L01, L02" in first.reasons[0][1]


def test_the_whole_uptake_of_an_organ_is_never_a_target() -> None:
    lesion = focus(1, M, 20)
    drawn = focus(2, M, 120)
    liver = replace(drawn, focus=replace(drawn.focus, features={"picture": 1.0}))
    first = assess_course([exam(0, lesion, liver)])[0][0]
    assert first.baseline_mm == 20.0
    assert assess_course([exam(0, lesion, drawn)])[0][0].baseline_mm == 140.0


def test_growing_non_targets_are_unequivocal_only_beyond_73_percent_volume() -> None:
    base = exam(0, focus(1, M, 60), focus(2, M, 50), focus(3, M, 20))
    little = exam(56, focus(1, M, 60), focus(2, M, 50), focus(3, M, 23))
    much = exam(56, focus(1, M, 60), focus(2, M, 50), focus(3, M, 30))
    assert category(assess_course([base, little])[0], "recist_1_1", View.ATTRIBUTED) == "SD"
    assert category(assess_course([base, much])[0], "recist_1_1", View.ATTRIBUTED) == "PD"


def test_a_call_can_be_withdrawn_but_not_by_doubt() -> None:
    def course(last: Nature) -> list[ExamLesions]:
        return [exam(0, focus(1, M, 60)), exam(56, focus(1, M, 60), focus(2, M, 20)),
                exam(98, focus(1, M, 60), focus(2, last, 20))]

    assert category(assess_course(course(N))[0], "irecist", View.ATTRIBUTED) == "iSD"
    assert category(assess_course(course(Q))[0], "irecist", View.ATTRIBUTED) == "iUPD"


def test_pet_criteria_use_lean_body_mass_and_set_inflammation_aside() -> None:
    course = [exam(0, focus(1, M, 60, suv_peak=10.0), pet=True),
              exam(56, focus(1, M, 60, suv_peak=6.0), focus(2, N, 30, organ="colon", suv_peak=12.0), pet=True)]
    assessments, hinges = assess_course(course)
    assert {a.criterion for a in assessments} == {"recist_1_1", "irecist", "percist_1_0", "impercist5", "ipercist"}
    for name, aside, seen in (("percist_1_0", "PMR", "PMD"), ("impercist5", "PMR", "PMD"), ("ipercist", "PMR", "UPMD")):
        assert category(assessments, name, View.ATTRIBUTED) == aside
        assert category(assessments, name, View.AS_SEEN) == seen
    percist = next(a for a in assessments if a.criterion == "percist_1_0")
    assert (percist.baseline_sul, percist.sum_sul) == (7.5, 4.5)
    assert {name for name, _ in hinges[0].categories} >= {"percist_1_0", "ipercist"}


def test_pet_without_weight_is_not_evaluable_and_says_why() -> None:
    course = [exam(0, focus(1, M, 60, suv_peak=10.0), pet=True), exam(56, focus(1, M, 60, suv_peak=6.0), pet=True)]
    course = [replace(e, suv_to_sul=None, why_no_sul="weight unknown") for e in course]
    found = [a for a in assess_course(course)[0] if a.criterion == "percist_1_0"]
    assert {a.category for a in found} == {"NE"}
    assert found[0].reasons[0][1] == "SUL cannot be computed: weight unknown."


def test_without_a_metastasis_at_baseline_indeterminate_foci_are_followed_and_it_says_so() -> None:
    assessments, _ = assess_course([exam(0, focus(1, Q, 60)), exam(56, focus(1, Q, 40))])
    first = assessments[0]
    assert first.category == "PR"
    assert any("indeterminate foci are followed" in text for _, text in first.reasons)


def test_an_exam_of_the_head_alone_gets_no_response() -> None:
    mr = ExamLesions(acquired_on=START + timedelta(days=9), foci=(), has_ct=False)
    assert assess_course([exam(0, focus(1, M, 60)), mr]) == ((), ())


def test_fragments_of_one_track_are_summed() -> None:
    course = [exam(0, focus(1, M, 40)), exam(56, focus(1, M, 15), focus(2, M, 10, track="L01"))]
    recist = assess_course(course)[0][0]
    assert (recist.category, recist.sum_mm) == ("PR", 25.0)


def test_foci_without_a_track_are_lesions_of_their_own_exam() -> None:
    def untracked(number: int) -> AttributedFocus:
        found = focus(number, M, 40)
        return replace(found, focus=replace(found.focus, track=""))

    recist = assess_course([exam(0, untracked(1)), exam(56, untracked(1))])[0][0]
    assert recist.category == "PD"  # the old one is not found again, and another one is there
    assert any(rule == "R11-L1" for rule, _ in recist.reasons)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_course_gets_an_answer(data: st.DataObject) -> None:
    """Whatever is found, gone, missing or unattributed: every criterion answers in both views, with reasons."""
    course, day = [], 0
    for _ in range(data.draw(st.integers(1, 4))):
        foci = []
        for number in range(1, data.draw(st.integers(0, 6)) + 1):
            foci.append(focus(
                number, data.draw(st.sampled_from(list(Nature))), float(data.draw(st.integers(3, 90))),
                track=f"L{data.draw(st.integers(1, 6)):02d}", organ=data.draw(st.sampled_from([*SITES, "lymph_node"])),
                suv_peak=data.draw(st.one_of(st.none(), st.floats(0.5, 30))), gone=data.draw(st.booleans()),
                is_node=data.draw(st.booleans()),
            ))
        drawn = exam(day, *foci, pet=data.draw(st.booleans()))
        if data.draw(st.booleans()):
            drawn = replace(drawn, liver_mean_suv=None, blood_pool_sd_suv=None, has_ct=data.draw(st.booleans()))
        course.append(drawn)
        day += data.draw(st.integers(1, 70))
    assessments, hinges = assess_course(course, criteria=EXAM_CRITERIA)
    for found in assessments:
        assert found.category == "baseline" or found.category in CRITERIA[found.criterion].words
        assert found.reasons
    assert all(h.categories for h in hinges)
    assert all(p.answer in (True, False, None) for p in patterns(course))
    assert all(d.earliest <= d.latest for d in due(course))


def test_wrong_calls_are_refused() -> None:
    course = [exam(0, focus(1, M, 60)), exam(0, focus(1, M, 60))]
    with pytest.raises(ValueError, match="out of order"):
        assess_course(course)
    with pytest.raises(ValueError, match="baseline index 3"):
        assess_course(course[:1], baseline_index=3)
    with pytest.raises(ValueError, match="'patterns' cannot score"):
        assess_course(course[:1], criteria=("patterns",))


def test_confirmation_scan_due_done_overdue_and_missed() -> None:
    def state(*days: int, on: int | None = None) -> DueState:
        course = [exam(0, focus(1, M, 60)), *(exam(d, focus(1, M, 80)) for d in days)]
        found = due(course, on=None if on is None else START + timedelta(days=on))
        return next(d.state for d in found if d.what == "iRECIST confirmation scan")

    assert state(56) is DueState.DUE
    assert state(56, on=112) is DueState.DUE
    assert state(56, on=113) is DueState.OVERDUE
    assert state(56, 84) is DueState.DONE
    assert state(56, 112) is DueState.DONE
    assert state(56, 113) is DueState.MISSED
    assert state(56, 80, on=80) is DueState.DUE


def test_patterns_name_their_definition_and_source_and_may_be_undetermined() -> None:
    course = [exam(0, focus(1, M, 60), focus(2, M, 60, organ="spleen")),
              exam(84, focus(1, M, 85), focus(2, M, 60, organ="spleen")),
              exam(126, focus(1, M, 30), focus(2, M, 80, organ="spleen"))]
    found = {p.name: p for p in patterns(course)}
    assert found["pseudoprogression_early"].answer is True
    assert found["pseudoprogression_irecist"].answer is True
    assert found["dissociated_bernard_tessier"].answer is True
    assert found["hyperprogression_champiat"].answer is None  # no scan before the baseline
    assert found["hyperprogression_matos"].answer is False
    assert all(p.source and p.definition and p.reasons for p in found.values())
    with_before = [exam(-60, focus(1, M, 58), focus(2, M, 60, organ="spleen")), *course]
    before = {p.name: p for p in patterns(with_before, baseline_index=1)}
    assert before["hyperprogression_champiat"].answer is True


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_inflammation_never_makes_attributed_worse_than_as_seen(data: st.DataObject) -> None:
    """The worst category reached over the course: exams at least four weeks apart, so that none is disregarded."""
    natures = st.sampled_from([M, N, Q])
    count = data.draw(st.integers(2, 4))
    course, day = [], 0
    kinds = [M, *(data.draw(natures) for _ in range(3))]
    first = [0, 0, data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))]
    for number in range(count):
        foci = [focus(i + 1, kind, float(data.draw(st.integers(10, 80))), organ=SITES[i])
                for i, kind in enumerate(kinds) if number >= first[i]]
        course.append(exam(day, *foci))
        day += data.draw(st.integers(28, 70))
    worst = {View.ATTRIBUTED: 0, View.AS_SEEN: 0}
    for last in range(2, count + 1):
        assessments, _ = assess_course(course[:last], criteria=("recist_1_1",))
        for view in worst:
            worst[view] = max(worst[view], WORST[category(assessments, "recist_1_1", view)])
        assert worst[View.ATTRIBUTED] <= worst[View.AS_SEEN]


def undecided(number: int, metastasis: float, size_mm: float, **more: object) -> AttributedFocus:
    shares = {"inflammation": 0.0, "metastasis": metastasis, "physiologic": 1.0 - metastasis}
    return replace(focus(number, Q, size_mm, **more), probabilities=shares)  # type: ignore[arg-type]


def test_what_was_most_likely_never_there_is_no_complete_response() -> None:
    """A scrap of urine that nobody could name, gone at the next exam, is not disease that vanished."""
    course = [exam(0, undecided(1, 0.0002, 15)), exam(56, focus(1, Q, 0, gone=True))]
    assert category(assess_course(course)[0], "recist_1_1", View.ATTRIBUTED) == "NED"
    likely = [exam(0, undecided(1, 0.7, 15)), *(exam(day, focus(1, Q, 0, gone=True)) for day in (56, 112, 168))]
    assert category(assess_course(likely)[0], "recist_1_1", View.ATTRIBUTED) == "CR"


@pytest.mark.parametrize("first", [focus(2, N, 12, organ="lung_right"), undecided(2, 0.01, 12, organ="lung_right")])
def test_what_was_set_aside_at_baseline_and_is_metastasis_since_counts(first: AttributedFocus) -> None:
    course = [exam(0, focus(1, M, 60), first), exam(56, focus(1, M, 60), focus(2, M, 30, organ="lung_right"))]
    for criterion, progression in (("recist_1_1", "PD"), ("irecist", "iUPD")):
        assert category(assess_course(course)[0], criterion, View.ATTRIBUTED) == progression
        assert category(assess_course(course)[0], criterion, View.AS_SEEN) == progression


@pytest.mark.parametrize(("features", "is_target"), [
    ({"core_lytic_fraction": 0.8}, True), ({"core_lytic_fraction": 0.1, "lytic_fraction": 0.8}, False),
    ({"lytic_fraction": 0.8}, True), ({}, False),
])
def test_only_lytic_bone_is_a_target(features: dict[str, float], is_target: bool) -> None:
    spot = focus(1, M, 25, organ="vertebrae")
    spot = replace(spot, focus=replace(spot.focus, features=features))
    (first, *_), _ = assess_course([exam(0, spot, focus(2, M, 20))])
    assert first.targets == (("L01", "L02") if is_target else ("L02",))
