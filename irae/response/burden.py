"""Criteria that add new measurable lesions to one tumour burden: irRC, irRECIST and imRECIST.

irRC multiplies two diameters (Wolchok 2009); irRECIST (Nishino 2013, 2014) and imRECIST (Hodi 2018) sum one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from irae.response.disease import (
    CR,
    NA,
    NE,
    PD,
    SumSeen,
    non_target_category,
    sum_targets,
)
from irae.response.lengths import PER_MM
from irae.response.options import Options
from irae.response.recist11 import need_baseline
from irae.response.rules import IRRC, RECIST_11, SUM_BURDEN, IrRcRules, SumBurdenRules
from irae.response.values import (
    Answer,
    Case,
    CaseError,
    Change,
    Kind,
    NewLesion,
    Reason,
    Scored,
    State,
    Target,
    Value,
    Visit,
)

_CUTANEOUS = frozenset({"skin", "cutaneous", "subcutaneous"})


@dataclass(frozen=True, slots=True)
class BurdenState:
    """What is known after a visit: burden at baseline and its nadir (tenths of mm, or squared for irRC).

    ``counted``: (id, site) of the new lesions in the burden; ``others``: new lesions that are not measurable;
    ``seen``: all of them that had not gone when last evaluated.
    """

    targets: int
    non_targets: int
    baseline: int
    nadir: int
    counted: tuple[tuple[str, str], ...] = ()
    others: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BurdenSeen:
    """The burden of one visit and what stands against a complete response."""

    targets: SumSeen
    partial: int
    complete: bool
    counted: tuple[tuple[str, str], ...]
    others: frozenset[str]
    seen: frozenset[str]
    non_measurable: tuple[str, ...]  # new, not measurable, still there
    non_measurable_grown: bool

    @property
    def burden(self) -> int | None:
        """The complete burden; None where a part is missing."""
        return self.partial if self.complete else None


def _product(longest: int | None, short: int | None, lesion: str, visit: Visit) -> int:
    if longest is None or short is None:
        raise CaseError("irRC needs both diameters of a measured lesion", visit=visit.id, lesion=lesion)
    return longest * short


def product_sum(visit: Visit, count: int, rules: IrRcRules = IRRC) -> SumSeen:
    """Sum of the products of diameters of the index lesions, nodes too (rule IRC-1), in squared tenths of mm.

    Raises:
        CaseError: If a measured lesion lacks a diameter, or one is split without both.
    """
    total, evaluated, resolved, default = 0, 0, True, False
    for target in visit.targets:
        area = _area(target, visit, rules)
        if area is None:
            continue
        evaluated += 1
        total += area
        resolved = resolved and area == 0
        default = default or target.state is State.TOO_SMALL
    return SumSeen(total, evaluated == count, resolved, default)


def _area(target: Target, visit: Visit, rules: IrRcRules) -> int | None:
    if target.state is State.MEASURED:
        size = target.short if target.is_node else target.longest
        return 0 if size == 0 else _product(target.longest, target.short, target.id, visit)
    if target.state in (State.ABSENT, State.MERGED):
        return 0
    if target.state is State.TOO_SMALL:
        return (rules.too_small_mm * PER_MM) ** 2
    if target.state is State.SPLIT:
        raise CaseError("irRC cannot sum a split lesion: its fragments have one diameter", visit=visit.id,
                        lesion=target.id)
    return None


def _add_new(
    state: BurdenState, visit: Visit, targets: SumSeen, squared: bool, rules: IrRcRules = IRRC
) -> BurdenSeen:
    """Adds the new measurable lesions to the burden of a visit."""
    if not visit.new_lesions and not state.counted and not state.others:
        return BurdenSeen(targets, targets.partial, targets.complete, (), frozenset(), frozenset(), (), False)
    counted = list(state.counted)
    others = set(state.others)
    inside = {id_ for id_, _ in counted}
    lesions = {x.id: x for x in visit.new_lesions}
    for lesion in sorted(visit.new_lesions, key=lambda x: (-(x.size or 0), x.id)):
        if lesion.id in inside or not lesion.there:
            continue
        if _joins(lesion, counted, squared, rules):
            counted.append((lesion.id, lesion.site))
            inside.add(lesion.id)
            others.discard(lesion.id)
        else:
            others.add(lesion.id)
    seen = set(state.seen)
    partial, complete = targets.partial, targets.complete
    left: list[str] = []
    grown = False
    for id_ in [*inside, *others]:
        found = lesions.get(id_)
        gone = found is not None and (found.state is State.ABSENT or found.change is Change.RESOLVED)
        if gone:
            seen.discard(id_)
            continue
        if found is None or not found.there:
            # Not evaluated: what had gone before stays gone, anything else is missing.
            if id_ in seen:
                complete = complete and id_ not in inside
                if id_ in others:
                    left.append(id_)
            continue
        seen.add(id_)
        if id_ in inside:
            size = _new_size(found, visit, squared, rules)
            complete = complete and size is not None
            partial += size or 0
        else:
            left.append(id_)
            grown = grown or found.change is Change.PROGRESSED
    return BurdenSeen(
        targets, partial, complete, tuple(counted), frozenset(others), frozenset(seen), tuple(sorted(left)), grown
    )


def _joins(lesion: NewLesion, counted: Sequence[tuple[str, str]], squared: bool, rules: IrRcRules) -> bool:
    """Whether a new lesion is measurable by the criterion, and there is room for it."""
    if lesion.state is not State.MEASURED or lesion.kind is Kind.NON_TARGET:
        return False
    if not squared:
        least = RECIST_11.node_measurable_mm if lesion.is_node else RECIST_11.lesion_measurable_mm
        return lesion.kind is Kind.TARGET or (lesion.size is not None and lesion.size >= least * PER_MM)
    if lesion.longest is None or lesion.short is None or lesion.short < rules.measurable_mm * PER_MM:
        return False
    same_site = sum(site == lesion.site for _, site in counted)
    cutaneous = lesion.site in _CUTANEOUS
    same_kind = sum((site in _CUTANEOUS) == cutaneous for _, site in counted)
    room = rules.max_new_cutaneous if cutaneous else rules.max_new_visceral
    return same_site < rules.max_new_per_organ and same_kind < room


def _new_size(lesion: NewLesion, visit: Visit, squared: bool, rules: IrRcRules) -> int | None:
    if lesion.state is State.TOO_SMALL:
        return (rules.too_small_mm * PER_MM) ** 2 if squared else RECIST_11.too_small_mm * PER_MM
    if lesion.state is not State.MEASURED:
        return None
    return _product(lesion.longest, lesion.short, lesion.id, visit) if squared else lesion.size


def _after(state: BurdenState, seen: BurdenSeen, options: Options, overall: str) -> BurdenState:
    nadir = state.nadir
    keep = overall != NE or options.nadir_visits == "complete_sums"
    if seen.burden is not None and keep:
        nadir = min(nadir, seen.burden)
    return BurdenState(
        state.targets, state.non_targets, state.baseline, nadir, seen.counted, seen.others, seen.seen
    )


# --- irRC ---------------------------------------------------------------------------------------------------------


def start_irrc(baseline: Visit) -> BurdenState:
    """The state at baseline: sum of products of the index lesions."""
    count = len(baseline.targets)
    total = product_sum(baseline, count).partial
    return BurdenState(count, len(baseline.non_targets), total, total)


def step_irrc(
    state: BurdenState, visit: Visit, options: Options, rules: IrRcRules = IRRC
) -> tuple[BurdenState, Answer]:
    """irRC at one visit (rules IRC-2 to IRC-5), tested in the order irCR, irPD, irPR, irSD."""
    seen = _add_new(state, visit, product_sum(visit, state.targets, rules), squared=True, rules=rules)
    now, nadir, baseline = seen.partial, state.nadir, state.baseline
    others = non_target_category(visit.non_targets, state.non_targets)
    is_grown = now > nadir and 100 * (now - nadir) >= rules.pd_increase_pct * nadir
    text = f"Burden {now / 100:g} mm2, baseline {baseline / 100:g}, nadir {nadir / 100:g}."
    if seen.complete and now == 0 and state.targets + state.non_targets > 0 and others in (CR, NA) and (
        not seen.non_measurable
    ):
        overall, why = "irCR", ("IRC-3", "All lesions are gone.")
    elif is_grown:
        overall, why = "irPD", ("IRC-4", f"{text} At least +{rules.pd_increase_pct} % over the nadir.")
    elif not seen.complete:
        overall, why = NE, ("R11-E1", "Not all index or new lesions were evaluated.")
    elif state.targets == 0 and baseline == 0:
        overall, why = "irSD", ("IRC-5", "There is no measurable disease at baseline.")
    elif 100 * (baseline - now) >= rules.pr_decrease_pct * baseline:
        overall, why = "irPR", ("IRC-3", f"{text} At least -{rules.pr_decrease_pct} % of baseline.")
    else:
        overall, why = "irSD", ("IRC-5", f"{text} Neither response nor progression.")
    reasons: list[Reason] = [why]
    if seen.counted:
        reasons.insert(0, ("IRC-2", f"New measurable lesions in the burden: {_ids(seen.counted)}."))
    if seen.non_measurable:
        reasons.append(("IRC-2", f"New non-measurable {', '.join(seen.non_measurable)} stands against irCR only."))
    values: dict[str, Value] = {
        "non_target": others,
        "tumour_burden_mm2": None if seen.burden is None else seen.burden / 100,
        "nadir_mm2": nadir / 100,
    }
    return _after(state, seen, options, overall), Answer(visit.id, visit.on, overall, values, (), tuple(reasons))


# --- irRECIST and imRECIST ----------------------------------------------------------------------------------------


def start_sum(baseline: Visit) -> BurdenState:
    """The state at baseline: sum of the target diameters."""
    count = len(baseline.targets)
    total = sum_targets(baseline.targets, count).partial
    return BurdenState(count, len(baseline.non_targets), total, total)


def _sum_parts(
    state: BurdenState, visit: Visit, options: Options, rules: SumBurdenRules
) -> tuple[BurdenSeen, str, bool, bool, bool]:
    """The burden, the non-target category, and whether burden says: all gone, progression, response."""
    seen = _add_new(state, visit, sum_targets(visit.targets, state.targets), squared=False)
    now, nadir, baseline = seen.partial, state.nadir, state.baseline
    others = non_target_category(visit.non_targets, state.non_targets)
    increase = now - nadir
    is_grown = increase >= rules.pd_increase_mm * PER_MM and 100 * increase >= rules.pd_increase_pct * nadir
    if nadir == 0 and options.nadir_zero == "never_pd":
        is_grown = False
    new_gone = not any(id_ in seen.seen for id_, _ in seen.counted)
    gone = (
        seen.complete and seen.targets.all_resolved and new_gone and not seen.non_measurable and others in (CR, NA)
        and state.targets + state.non_targets > 0
    )
    is_smaller = state.targets > 0 and 100 * (baseline - now) >= rules.pr_decrease_pct * baseline
    return seen, others, gone, is_grown, is_smaller


def step_irrecist(
    state: BurdenState, visit: Visit, options: Options, rules: SumBurdenRules = SUM_BURDEN
) -> tuple[BurdenState, Answer]:
    """irRECIST at one visit (rules IRR-1 to IRR-4; DEC-13)."""
    seen, others, gone, is_grown, is_smaller = _sum_parts(state, visit, options, rules)
    text = _burden_text(seen, state)
    by_others = options.irrecist_non_target_pd and (others == PD or bool(seen.non_measurable))
    if gone:
        overall, why = "irCR", ("IRR-3", "All lesions are gone.")
    elif is_grown:
        overall, why = "irPD", ("IRR-4", f"{text} At least +{rules.pd_increase_pct} % and {rules.pd_increase_mm} mm.")
    elif by_others:
        overall, why = "irPD", ("IRR-4", "Non-target or new non-measurable progression (Bohnsack's form).")
    elif not seen.complete:
        overall, why = NE, ("R11-E1", "Not all target or new lesions were evaluated.")
    elif is_smaller and not _blocked(seen, options):
        overall, why = "irPR", ("IRR-3", f"{text} At least -{rules.pr_decrease_pct} % of baseline.")
    elif is_smaller:
        overall, why = "irSD", ("IRR-3", f"{text} New non-measurable disease stands against irPR.")
    else:
        overall, why = "irSD", ("IRR-3", f"{text} Neither response nor progression.")
    return _after(state, seen, options, overall), _sum_answer(visit, overall, why, "IRR-2", seen, state, others)


def _blocked(seen: BurdenSeen, options: Options) -> bool:
    """Whether new non-measurable lesions stand against irPR (DEC-13)."""
    return seen.non_measurable_grown or (
        bool(seen.non_measurable) and options.irrecist_new_non_measurable == "irsd"
    )


def step_imrecist(
    state: BurdenState, visit: Visit, options: Options, rules: SumBurdenRules = SUM_BURDEN
) -> tuple[BurdenState, Answer]:
    """imRECIST at one visit (rules IMR-1, IMR-2): only the burden defines progression."""
    seen, others, gone, is_grown, is_smaller = _sum_parts(state, visit, options, rules)
    text = _burden_text(seen, state)
    if gone:
        overall, why = "imCR", ("IMR-1", "All lesions are gone.")
    elif is_grown:
        overall, why = "imPD", ("IMR-2", f"{text} At least +{rules.pd_increase_pct} % and {rules.pd_increase_mm} mm.")
    elif not seen.complete:
        overall, why = NE, ("R11-E1", "Not all target or new lesions were evaluated.")
    elif is_smaller:
        overall, why = "imPR", ("IMR-1", f"{text} At least -{rules.pr_decrease_pct} % of baseline.")
    else:
        overall, why = "imSD", ("IMR-1", f"{text} Neither response nor progression.")
    return _after(state, seen, options, overall), _sum_answer(visit, overall, why, "IMR-1", seen, state, others)


def _burden_text(seen: BurdenSeen, state: BurdenState) -> str:
    return f"Burden {seen.partial / 10:g} mm, baseline {state.baseline / 10:g}, nadir {state.nadir / 10:g}."


def _ids(counted: Sequence[tuple[str, str]]) -> str:
    return ", ".join(sorted(id_ for id_, _ in counted))


def _sum_answer(
    visit: Visit, overall: str, why: Reason, rule: str, seen: BurdenSeen, state: BurdenState, others: str
) -> Answer:
    reasons: tuple[Reason, ...] = (why,)
    if seen.counted:
        reasons = ((rule, f"New measurable lesions in the burden: {_ids(seen.counted)}."), why)
    flags = ("default_5mm_used",) if seen.targets.default_used else ()
    values: dict[str, Value] = {
        "non_target": others,
        "tumour_burden_mm": None if seen.burden is None else seen.burden / 10,
        "nadir_mm": state.nadir / 10,
    }
    return Answer(visit.id, visit.on, overall, values, flags, reasons)


# --- One patient --------------------------------------------------------------------------------------------------


def confirmed_progression(words: Sequence[tuple[date, str | None]], progression: str, days: int) -> date | None:
    """Date of the first progression that a later one, with only progression or NE between, confirms days later."""
    first: date | None = None
    run: list[date] = []
    for on, word in words:
        if word == progression:
            run.append(on)
            first = next((began for began in run if (on - began).days >= days), None)
            if first is not None:
                return first
        elif word != NE:
            run = []
    return None


def confirmed_best(words: Sequence[tuple[date, str | None]], prefix: str, days: int) -> tuple[str, str]:
    """Best response as seen, and with responses and progression confirmed by a second observation days later."""
    seen = [w for _, w in words if w is not None]
    order = (f"{prefix}CR", f"{prefix}PR", f"{prefix}SD", f"{prefix}PD", NE)
    best = next((w for w in order if w in seen), NE)
    confirmed = NE
    for rank, word in enumerate(order[:2]):
        better = order[: rank + 1]
        for i, (on, given) in enumerate(words):
            if given not in better:
                continue
            later = [(o, w) for o, w in words[i + 1:] if w != NE]
            if any((o - on).days >= days and all(w in better for _, w in later[: k + 1])
                   for k, (o, w) in enumerate(later) if w in better):
                confirmed = word
                break
        if confirmed != NE:
            return best, confirmed
    if any(w in order[:3] for w in seen):
        return best, order[2]
    return best, order[3] if confirmed_progression(words, order[3], days) is not None else NE


def _scored(answers: Iterator[Answer], prefix: str, days: int) -> Scored:
    kept = tuple(answers)
    words = [(a.on, a.overall) for a in kept]
    best, confirmed = confirmed_best(words, prefix, days)
    return Scored(
        answers=kept,
        summary={
            "best_response": best,
            "confirmed_best_response": confirmed,
            "confirmed_pd_date": confirmed_progression(words, f"{prefix}PD", days),
        },
    )


def states_irrc(case: Case) -> Iterator[tuple[BurdenState, Answer]]:
    """The fold over visits by irRC."""
    state = start_irrc(need_baseline(case))
    for visit in case.followups:
        state, answer = step_irrc(state, visit, case.options)
        yield state, answer


def states_irrecist(case: Case) -> Iterator[tuple[BurdenState, Answer]]:
    """The fold over visits by irRECIST."""
    state = start_sum(need_baseline(case))
    for visit in case.followups:
        state, answer = step_irrecist(state, visit, case.options)
        yield state, answer


def states_imrecist(case: Case) -> Iterator[tuple[BurdenState, Answer]]:
    """The fold over visits by imRECIST."""
    state = start_sum(need_baseline(case))
    for visit in case.followups:
        state, answer = step_imrecist(state, visit, case.options)
        yield state, answer


def score_irrc(case: Case) -> Scored:
    """irRC for one patient."""
    return _scored((answer for _, answer in states_irrc(case)), "ir", IRRC.confirm_days)


def score_irrecist(case: Case) -> Scored:
    """irRECIST for one patient."""
    return _scored((answer for _, answer in states_irrecist(case)), "ir", SUM_BURDEN.confirm_days)


def score_imrecist(case: Case) -> Scored:
    """imRECIST for one patient."""
    return _scored((answer for _, answer in states_imrecist(case)), "im", SUM_BURDEN.confirm_days)
