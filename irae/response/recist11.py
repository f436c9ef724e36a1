"""RECIST 1.1: Eisenhauer EA et al., Eur J Cancer 2009;45:228-247, with the EORTC working group's FAQ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from irae.response.best import best_overall_response
from irae.response.disease import (
    CR,
    NON_CR_NON_PD,
    PD,
    PR,
    TargetHistory,
    next_history,
    non_target_category,
    overall_category,
    start_targets,
    sum_targets,
    target_category,
)
from irae.response.options import Options
from irae.response.rules import RECIST_11, Recist11Rules
from irae.response.validity import node_class, violations
from irae.response.values import Answer, Case, CaseError, Imaging, Reason, Scored, State, Value, Visit


@dataclass(frozen=True, slots=True)
class RecistState:
    """What is known after a visit. ``equivocal``: when each still equivocal lesion was first seen (rule R11-L2)."""

    targets: TargetHistory
    non_targets: int
    new_lesions: frozenset[str] = frozenset()
    equivocal: tuple[tuple[str, date], ...] = ()
    progressed_on: date | None = None


def start(baseline: Visit, rules: Recist11Rules = RECIST_11) -> RecistState:
    """The state at baseline."""
    return RecistState(start_targets(baseline, rules), len(baseline.non_targets))


def step(
    state: RecistState, visit: Visit, options: Options, rules: Recist11Rules = RECIST_11
) -> tuple[RecistState, Answer]:
    """Scores one visit and returns the state after it."""
    history = state.targets
    seen = sum_targets(visit.targets, history.count, rules)
    target, reason, flag = target_category(seen, history, options, rules)
    reasons: list[Reason] = [reason]
    flags: list[str] = [flag] if flag else []
    if seen.default_used:
        flags.append("default_5mm_used")
        reasons.append(("R11-N3", f"{rules.too_small_mm} mm is stated for a target too small to measure."))
    non_target = non_target_category(visit.non_targets, state.non_targets, rules)
    overall, why = overall_category(target, non_target)
    reasons.append(why)
    if history.had_overall_cr and non_target == NON_CR_NON_PD and overall != PD:
        overall = PD
        flags.append("reappearance_after_cr")
        reasons.append(("R11-T7", "A non-target lesion is back after an overall complete response."))
    seen_new, known, equivocal, since = _new_lesions(state, visit)
    if seen_new:
        overall = PD
        reasons.append(("R11-L1", f"New lesion {', '.join(seen_new)} is progression."))
    reasons.extend(equivocal_reasons(visit))
    progressed_on = state.progressed_on
    if overall == PD:
        on = visit.on if since is None else min(since, visit.on)
        if since is not None:
            reasons.append(("R11-L2", f"The lesion was equivocal on {since}: progression carries that date."))
        if progressed_on is None or on < progressed_on:
            progressed_on = on
    if visit.clinical_deterioration:
        flags.append("clinical_deterioration")
        reasons.append(("R11-C1", "Clinical deterioration is a reason to stop, never a response."))
    values: dict[str, Value] = {
        "target": target,
        "non_target": non_target,
        "new_lesion": bool(seen_new),
        "sum_mm": seen.partial / 10 if seen.complete and history.count else None,
        "nadir_mm": history.nadir / 10 if history.count else None,
    }
    after = RecistState(
        next_history(history, seen, target, overall, options), state.non_targets, known, equivocal, progressed_on
    )
    return after, Answer(visit.id, visit.on, overall, values, tuple(flags), tuple(reasons))


def equivocal_reasons(visit: Visit) -> list[Reason]:
    """The reason that names the new lesions that a visit leaves open; empty where there is none."""
    waiting = sorted(lesion.id for lesion in visit.new_lesions if lesion.state is State.EQUIVOCAL)
    return [("R11-L2", f"New lesion {', '.join(waiting)} is equivocal: a further exam decides.")] if waiting else []


def _new_lesions(
    state: RecistState, visit: Visit
) -> tuple[list[str], frozenset[str], tuple[tuple[str, date], ...], date | None]:
    """New lesions that are there, all ever called, those still equivocal, and when a now called one was equivocal.

    A lesion that was called before and is not evaluated now still counts: nothing shows that it has gone.
    """
    if not visit.new_lesions and not state.equivocal:
        return [], state.new_lesions, (), None
    was_equivocal = dict(state.equivocal)
    there: list[str] = []
    equivocal: dict[str, date] = {}
    since: date | None = None
    for lesion in visit.new_lesions:
        if lesion.state is State.EQUIVOCAL:
            equivocal[lesion.id] = was_equivocal.get(lesion.id, visit.on)
        elif lesion.state is State.NOT_EVALUATED:
            if lesion.id in state.new_lesions:
                there.append(lesion.id)
            elif lesion.id in was_equivocal:
                equivocal[lesion.id] = was_equivocal[lesion.id]
        elif lesion.there:
            there.append(lesion.id)
            if lesion.id in was_equivocal:
                since = min(since or visit.on, was_equivocal[lesion.id])
    there.sort()
    known = state.new_lesions if not there else state.new_lesions | frozenset(there)
    return there, known, tuple(sorted(equivocal.items())), since


def states(case: Case, rules: Recist11Rules = RECIST_11) -> Iterator[tuple[RecistState, Answer]]:
    """The fold over visits: state and answer after each follow-up visit.

    Raises:
        CaseError: If there is no baseline.
    """
    baseline = need_baseline(case)
    state = start(baseline, rules)
    for visit in case.followups:
        state, answer = step(state, visit, case.options, rules)
        yield state, answer


def need_baseline(case: Case) -> Visit:
    """The baseline visit.

    Raises:
        CaseError: If the case has none.
    """
    baseline = case.baseline
    if baseline is None:
        raise CaseError("there is no baseline visit", patient=case.id)
    return baseline


def score(case: Case) -> Scored:
    """RECIST 1.1 for one patient: an answer at every visit, the best overall response, the date of progression."""
    if any(v.facts.overall is not None for v in case.followups) or not case.visits:
        return best_of_given(case)
    answers: list[Answer] = []
    progressed_on: date | None = None
    for state, answer in states(case):
        answers.append(answer)
        progressed_on = state.progressed_on
    best = best_overall_response([(a.on, a.overall or "NE") for a in answers], case.options, case.reference_date)
    summary: dict[str, Value] = {
        "best_response": best.category,
        "best_overall_response": best.category,
        "response_date": best.on,
        "progression_date": progressed_on,
        **_durations(answers, case.reference_date, progressed_on),
        **_validity(case),
    }
    return Scored(answers=tuple(answers), summary=summary, reasons=best.reasons)


def best_of_given(case: Case) -> Scored:
    """Best overall response where the responses themselves are given."""
    given = [(v.on, v.facts.overall or "NE") for v in case.followups]
    best = best_overall_response(given, case.options, case.reference_date)
    answers = tuple(
        Answer(v.id, v.on, v.facts.overall, {}, (), (("given", "The response is given."),)) for v in case.followups
    )
    first_pd = case.options.first_pd_date or next((on for on, word in given if word == PD), None)
    return Scored(
        answers=answers,
        summary={
            "best_response": best.category,
            "best_overall_response": best.category,
            "response_date": best.on,
            "progression_date": first_pd,
            "flags": best.flags,
        },
        reasons=best.reasons,
    )


def _validity(case: Case) -> dict[str, Value]:
    """Whether the choice of targets is allowed; ``ask: node_class`` asks for the class of the first node instead."""
    baseline = need_baseline(case)
    broken = violations(baseline, case.imaging or Imaging(), case.options)
    found: dict[str, Value] = {"valid": not broken, "violations": broken}
    treated_on = case.options.reference_date
    if treated_on is not None:
        days = (treated_on - baseline.on).days
        found["baseline_within_4_weeks"] = 0 <= days <= RECIST_11.baseline_before_treatment_days
    if case.ask == "node_class":
        short = next((t.short for t in baseline.targets if t.is_node and t.short is not None), None)
        if short is None:
            raise CaseError("the class of a node needs a node with a short axis", patient=case.id, visit=baseline.id)
        found["node_class"] = node_class(short)
    return found


def _durations(answers: list[Answer], reference: date | None, progressed_on: date | None) -> dict[str, Value]:
    """Duration of response (first CR or PR to progression) and of stable disease (start to progression), in days."""
    first = next((a.on for a in answers if a.overall in (CR, PR)), None)
    last = answers[-1].on if answers else None
    end = progressed_on or last
    has_response = first is not None and end is not None and first <= end
    return {
        "response_days": (end - first).days if has_response and end is not None and first is not None else None,
        "response_ended": (progressed_on is not None) if has_response else None,
        "progression_free_days": (end - reference).days if end is not None and reference is not None else None,
    }


