"""Laws that hold for every course of disease, drawn by Hypothesis."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irae.response import ANATOMIC, CRITERIA, Case, Visit, score_case
from irae.response.disease import SumSeen, TargetHistory, target_category
from irae.response.options import DEFAULT_OPTIONS
from irae.response.rules import RECIST_11
from irae.response.values import Change, NewLesion, NonTarget, State, Target, VisitKind

SITES = ("liver", "lung", "adrenal", "bone", "spleen")
START = date(2024, 1, 8)
# Best first: how much disease a word stands for, over all anatomic criteria.
SEVERITY = {"CR": 0, "NED": 0, "PR": 1, "SD": 2, "NON-CR/NON-PD": 2, "NE": 2, "UPD": 3, "PD": 3, "CPD": 4}


def severity(word: str | None) -> int:
    if word is None:
        return 4
    for prefix in ("ir", "im", "i"):
        if word.startswith(prefix):
            return SEVERITY[word.removeprefix(prefix)]
    return SEVERITY["NON-CR/NON-PD" if word == "NON-iCR/NON-iUPD" else word]


@st.composite
def sized(draw: st.DrawFn, id_: str, site: str, *, is_node: bool, baseline: bool, factor: int = 1) -> Target:
    states = [State.MEASURED] if baseline else [State.MEASURED] * 6 + [State.ABSENT, State.TOO_SMALL,
                                                                         State.NOT_EVALUATED]
    state = draw(st.sampled_from(states))
    if state is not State.MEASURED:
        return Target(id=id_, site=site, is_node=is_node, state=state)
    long = draw(st.integers(150 if baseline else 10, 800))
    short = draw(st.integers(150 if baseline else 5, long)) if long > 150 else long
    return Target(id=id_, site=site, is_node=is_node, longest=long * factor, short=short * factor)


@st.composite
def new_lesion(draw: st.DrawFn, id_: str, *, seen_before: bool) -> NewLesion:
    states = [State.MEASURED, State.PRESENT, State.ABSENT, State.NOT_EVALUATED, State.EQUIVOCAL]
    state = draw(st.sampled_from(states if seen_before else [State.MEASURED, State.PRESENT, State.EQUIVOCAL]))
    size = draw(st.integers(50, 400)) if state is State.MEASURED else None
    change = draw(st.sampled_from([None, Change.INCREASED, Change.STABLE, Change.PROGRESSED])) if seen_before else None
    return NewLesion(id=id_, site="lung", state=state, longest=size, short=size, change=change)


@st.composite
def courses(draw: st.DrawFn, *, least_days: int = 10, new: bool = True) -> Case:
    """A baseline and one to five visits: targets (the last a node), a non-target, sometimes new lesions."""
    count = draw(st.integers(1, 4))
    on = START
    appear = {f"L{i}": draw(st.integers(1, 6)) for i in range(draw(st.integers(0, 2)) if new else 0)}
    visits = []
    for n in range(draw(st.integers(1, 5)) + 1):
        targets = tuple(
            draw(sized(f"T{i}", SITES[i], is_node=i == 3, baseline=n == 0)) for i in range(count)
        )
        state = State.PRESENT if n == 0 else draw(st.sampled_from(
            [State.PRESENT, State.PRESENT, State.ABSENT, State.PROGRESSED, State.NOT_EVALUATED]))
        lesions = tuple(
            draw(new_lesion(id_, seen_before=n > first)) for id_, first in sorted(appear.items()) if 0 < first <= n
        )
        visits.append(Visit(
            id=f"V{n}", on=on, kind=VisitKind.FOLLOWUP if n else VisitKind.BASELINE, targets=targets,
            non_targets=(NonTarget(id="NT1", state=state),), new_lesions=lesions,
            clinical_deterioration=draw(st.booleans()),
        ))
        on += timedelta(days=draw(st.integers(least_days, 90)))
    return Case(id="drawn", visits=tuple(visits))


@given(
    st.integers(100, 3000), st.integers(0, 100), st.integers(0, 4000), st.integers(0, 500), st.booleans()
)
def test_a_larger_sum_never_gives_a_better_target_response(
    baseline: int, nadir_pct: int, now: int, more: int, responded: bool
) -> None:
    history = TargetHistory(2, baseline, baseline * nadir_pct // 100, responded)
    words = [
        target_category(SumSeen(total, True, total == 0, False), history, DEFAULT_OPTIONS)[0]
        for total in (now, now + more)
    ]
    assert severity(words[0]) <= severity(words[1])


@settings(deadline=None, max_examples=40)
@given(courses(), st.integers(0, 3), st.integers(1, 300))
@pytest.mark.parametrize("criterion", ["recist_1_1", "irrc", "irrecist", "imrecist"])
def test_a_larger_last_measurement_never_gives_a_better_answer(
    criterion: str, case: Case, which: int, more: int
) -> None:
    last = case.visits[-1]
    index = which % len(last.targets)
    target = last.targets[index]
    if target.state is not State.MEASURED or target.longest is None or target.short is None:
        return
    grown = replace(target, longest=target.longest + more, short=target.short + more)
    targets = (*last.targets[:index], grown, *last.targets[index + 1:])
    larger = replace(case, visits=(*case.visits[:-1], replace(last, targets=targets)))
    before, after = score_case(case, criterion).answers[-1], score_case(larger, criterion).answers[-1]
    # NE stands for "cannot be said": growth may turn it into progression, never into a response.
    assert severity(before.overall) <= severity(after.overall)


def scaled(case: Case, factor: int) -> Case:
    def times(value: int | None) -> int | None:
        return None if value is None else value * factor

    return replace(case, visits=tuple(
        replace(
            v,
            targets=tuple(replace(t, longest=times(t.longest), short=times(t.short)) for t in v.targets),
            new_lesions=tuple(replace(x, longest=times(x.longest), short=times(x.short)) for x in v.new_lesions),
        )
        for v in case.visits
    ))


@given(st.integers(50, 3000), st.integers(0, 3000), st.integers(0, 4000), st.integers(2, 7), st.booleans())
def test_scaling_changes_a_category_only_through_absolute_limits(
    baseline: int, fall: int, now: int, factor: int, responded: bool
) -> None:
    nadir = max(0, baseline - fall)
    words = []
    for k in (1, factor):
        history = TargetHistory(1, baseline * k, nadir * k, responded)
        words.append(target_category(SumSeen(now * k, True, now == 0, False), history, DEFAULT_OPTIONS)[0])
    limit = RECIST_11.pd_increase_mm * 10
    is_absolute = (now - nadir < limit) != ((now - nadir) * factor < limit)
    assert words[0] == words[1] or is_absolute


@settings(deadline=None, max_examples=40)
@given(courses(new=False), st.integers(2, 5))
def test_irrc_knows_no_absolute_limit(case: Case, factor: int) -> None:
    has_stated_size = any(t.state is State.TOO_SMALL for v in case.visits for t in v.targets)
    words = [[a.overall for a in score_case(c, "irrc").answers] for c in (case, scaled(case, factor))]
    assert words[0] == words[1] or has_stated_size


@settings(deadline=None, max_examples=40)
@given(courses(), st.randoms(use_true_random=False))
@pytest.mark.parametrize("criterion", ANATOMIC)
def test_order_of_lesions_is_irrelevant(criterion: str, case: Case, random: object) -> None:
    def shuffled(items: tuple[object, ...]) -> tuple[object, ...]:
        mixed = list(items)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        return tuple(mixed)

    mixed = replace(case, visits=tuple(
        replace(v, targets=shuffled(v.targets), new_lesions=shuffled(v.new_lesions)) for v in case.visits
    ))
    one, other = score_case(case, criterion), score_case(mixed, criterion)
    assert [(a.overall, dict(a.values)) for a in one.answers] == [(a.overall, dict(a.values)) for a in other.answers]
    # Violations name the lesions in the order of the table.
    assert {k: v for k, v in one.summary.items() if k != "violations"} == {
        k: v for k, v in other.summary.items() if k != "violations"
    }


@settings(deadline=None, max_examples=40)
@given(courses())
@pytest.mark.parametrize("criterion", ANATOMIC)
def test_a_later_visit_never_changes_earlier_answers(criterion: str, case: Case) -> None:
    shorter = replace(case, visits=case.visits[:-1])
    answers = score_case(case, criterion).answers[:-1]
    assert answers == score_case(shorter, criterion).answers


@settings(deadline=None, max_examples=40)
@given(courses(least_days=28), st.integers(1, 5), st.lists(st.integers(50, 400), min_size=5, max_size=5))
@pytest.mark.parametrize("criterion", ["recist_1_1", "irecist"])
def test_a_lesion_set_aside_never_makes_it_worse_than_as_seen(
    criterion: str, case: Case, first: int, sizes: list[int]
) -> None:
    """The worst answer reached so far with the lesion equivocal is no worse than with the lesion called."""
    def with_lesion(state: State) -> Case:
        return replace(case, visits=tuple(
            v if n < first else replace(v, new_lesions=(*v.new_lesions, NewLesion(
                id="inflamed", site="thyroid", state=state, longest=sizes[n - 1] if state is State.MEASURED else None,
            )))
            for n, v in enumerate(case.visits)
        ))

    aside = score_case(with_lesion(State.EQUIVOCAL), criterion).answers
    without = score_case(case, criterion).answers
    assert [a.overall for a in aside] == [a.overall for a in without]
    if criterion == "recist_1_1":
        seen = score_case(with_lesion(State.MEASURED), criterion).answers
        for a, s in zip(aside, seen, strict=True):
            assert s.overall == "PD" or s.overall == a.overall


@settings(deadline=None, max_examples=40)
@given(courses())
@pytest.mark.parametrize("criterion", ANATOMIC)
def test_every_answer_is_a_word_of_the_criterion_and_has_a_reason(criterion: str, case: Case) -> None:
    for answer in score_case(case, criterion).answers:
        assert answer.overall is None or answer.overall in CRITERIA[criterion].words
        assert answer.reasons
        assert all(rule and sentence.endswith(".") for rule, sentence in answer.reasons)


@settings(deadline=None, max_examples=40)
@given(courses())
def test_the_state_after_a_visit_can_be_printed_and_folded_again(case: Case) -> None:
    for name in ANATOMIC:
        fold = CRITERIA[name].states
        assert fold is not None
        once, again = list(fold(case)), list(fold(case))
        assert [repr(state) for state, _ in once] == [repr(state) for state, _ in again]
        assert len(once) == len(case.followups)
