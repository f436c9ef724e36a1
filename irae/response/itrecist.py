"""itRECIST, for injected lesions of oncolytic virus therapy: Goldmacher GV et al., J Clin Oncol 2020;38:2667.

Injected and non-injected targets have a sum of their own (five each, ten in all); the overall answer reads both
together and handles progression as iRECIST does. The paper's combination tables were not seen: the responses of the
two groups are each RECIST 1.1 target responses on their own sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from irae.response import irecist
from irae.response.best import best_irecist
from irae.response.disease import (
    NA,
    NE,
    TargetHistory,
    next_history,
    size_of,
    sum_targets,
    target_category,
)
from irae.response.irecist import IRecistState
from irae.response.options import Options
from irae.response.recist11 import need_baseline
from irae.response.rules import ITRECIST, ItRecistRules
from irae.response.values import Answer, Case, Scored, Value, Visit

GROUPS = ("injected", "non_injected")


@dataclass(frozen=True, slots=True)
class Group:
    """Injected or non-injected targets: which they are, and their history (tenths of mm)."""

    members: frozenset[str]
    history: TargetHistory


@dataclass(frozen=True, slots=True)
class ItRecistState:
    """The iRECIST state of all targets, each group's own, and all sizes so far, newest last (tenths of mm)."""

    overall: IRecistState
    groups: Mapping[str, Group]
    sizes: tuple[Mapping[str, int], ...]


def start(baseline: Visit) -> ItRecistState:
    """The state at baseline."""
    sizes = ({t.id: size_of(t) or 0 for t in baseline.targets},)
    return ItRecistState(irecist.start(baseline), _groups({t.id for t in baseline.targets if t.injected}, sizes), sizes)


def _groups(injected: set[str], sizes: tuple[Mapping[str, int], ...]) -> Mapping[str, Group]:
    """Both groups, with baseline and nadir from every visit so far at which all of a group was measured."""
    found = {}
    for name, members in zip(GROUPS, (frozenset(injected), frozenset(sizes[0]) - injected), strict=True):
        sums = [sum(seen[m] for m in members) for seen in sizes if members <= seen.keys()]
        found[name] = Group(members, TargetHistory(len(members), sums[0] if sums else 0, min(sums, default=0)))
    return MappingProxyType(found)


def step(state: ItRecistState, visit: Visit, options: Options) -> tuple[ItRecistState, Answer]:
    """Scores one visit: overall as iRECIST on all targets, and each group on its own."""
    overall_state, answer = irecist.step(state.overall, visit, options)
    if answer.overall is None or "disregarded_early_scan" in answer.flags:
        return ItRecistState(overall_state, state.groups, state.sizes), answer
    groups = state.groups
    already = groups["injected"].members
    # A lesion may become injected after baseline, never the other way round.
    joining = {t.id for t in visit.targets if t.injected and t.id not in already}
    if joining:
        groups = _groups({*already, *joining}, state.sizes)
    values: dict[str, Value] = dict(answer.values)
    after: dict[str, Group] = {}
    for name, group in groups.items():
        if not group.members:
            values[name] = NA
            after[name] = group
            continue
        history = group.history
        seen = sum_targets(tuple(t for t in visit.targets if t.id in group.members), history.count)
        category, _, _ = target_category(seen, history, options)
        values[name] = category
        values[f"{name}_sum_mm"] = None if seen.sum is None else seen.sum / 10
        values[f"{name}_nadir_mm"] = history.nadir / 10
        after[name] = Group(group.members, next_history(history, seen, category, NE if category == NE else "", options))
    sized = {t.id: size for t in visit.targets if (size := size_of(t)) is not None}
    state = ItRecistState(overall_state, MappingProxyType(after), (*state.sizes, sized))
    return state, Answer(answer.tp, answer.on, answer.overall, values, answer.flags, answer.reasons)


def violations(baseline: Visit, rules: ItRecistRules = ITRECIST) -> tuple[str, ...]:
    """More than five targets in a group, or ten in all."""
    injected = sum(t.injected for t in baseline.targets)
    found = []
    if len(baseline.targets) > rules.max_targets:
        found.append("max_targets")
    if injected > rules.max_per_group:
        found.append("max_injected")
    if len(baseline.targets) - injected > rules.max_per_group:
        found.append("max_non_injected")
    return tuple(found)


def states(case: Case) -> Iterator[tuple[ItRecistState, Answer]]:
    """The fold over visits."""
    state = start(need_baseline(case))
    for visit in case.followups:
        state, answer = step(state, visit, case.options)
        yield state, answer


def score(case: Case) -> Scored:
    """itRECIST for one patient."""
    baseline = need_baseline(case)
    answers = tuple(answer for _, answer in states(case))
    words = [(a.on, a.overall) for a in answers]
    found = irecist.events(words)
    best = best_irecist([(on, w) for on, w in words if w is not None], case.options, case.reference_date)
    broken = violations(baseline)
    return Scored(
        answers=answers,
        summary={
            "best_response": best.category,
            "ibor": best.category,
            "progression_date": found.progressed_on,
            "ipfs_event_date": found.progressed_on,
            "valid": not broken,
            "violations": broken,
        },
        reasons=best.reasons,
    )
