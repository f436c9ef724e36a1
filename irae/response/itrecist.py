"""itRECIST, for injected lesions of oncolytic virus therapy: Goldmacher GV et al., J Clin Oncol 2020;38:2667.

Injected and non-injected targets have a sum of their own (five each, ten in all); the overall answer reads both
together and handles progression as iRECIST does. The paper's combination tables were not seen: the responses of the
two groups are each RECIST 1.1 target responses on their own sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
from irae.response.values import Answer, Case, Scored, Target, Value, Visit

GROUPS = ("injected", "non_injected")


@dataclass(frozen=True, slots=True)
class ItRecistState:
    """The iRECIST state of all targets, and each group's members, history and sizes so far (tenths of mm)."""

    overall: IRecistState
    injected: frozenset[str]
    groups: Mapping[str, TargetHistory]
    sizes: tuple[Mapping[str, int], ...] = field(default_factory=tuple)


def start(baseline: Visit) -> ItRecistState:
    """The state at baseline."""
    injected = frozenset(t.id for t in baseline.targets if t.injected)
    sizes = ({t.id: size_of(t) or 0 for t in baseline.targets},)
    ids = frozenset(sizes[0])
    groups = {name: _history(_members(name, ids, injected), sizes) for name in GROUPS}
    return ItRecistState(irecist.start(baseline), injected, MappingProxyType(groups), sizes)


def _members(group: str, ids: frozenset[str], injected: frozenset[str]) -> frozenset[str]:
    return injected if group == "injected" else ids - injected


def _history(members: frozenset[str], sizes: tuple[Mapping[str, int], ...]) -> TargetHistory:
    """Baseline and nadir of a group from every visit so far at which all of it was measured."""
    sums = [sum(seen[m] for m in members) for seen in sizes if members <= seen.keys()]
    return TargetHistory(len(members), sums[0] if sums else 0, min(sums, default=0))


def step(state: ItRecistState, visit: Visit, options: Options) -> tuple[ItRecistState, Answer]:
    """Scores one visit: overall as iRECIST on all targets, and each group on its own."""
    overall_state, answer = irecist.step(state.overall, visit, options)
    if answer.overall is None or "disregarded_early_scan" in answer.flags:
        return ItRecistState(overall_state, state.injected, state.groups, state.sizes), answer
    ids = frozenset(state.sizes[0])
    flagged = {t.id: t.injected for t in visit.targets}
    # A lesion may become injected after baseline, never the other way round.
    injected = state.injected | {id_ for id_, is_injected in flagged.items() if is_injected}
    groups = state.groups
    if injected != state.injected:
        groups = {name: _history(_members(name, ids, injected), state.sizes) for name in GROUPS}
    values: dict[str, Value] = dict(answer.values)
    after: dict[str, TargetHistory] = {}
    for name in GROUPS:
        members = _members(name, ids, injected)
        targets: tuple[Target, ...] = tuple(t for t in visit.targets if t.id in members)
        seen = sum_targets(targets, len(members))
        category, _, _ = target_category(seen, groups[name], options) if members else (NA, None, "")
        values[name] = category
        values[f"{name}_sum_mm"] = None if seen.sum is None or not members else seen.sum / 10
        values[f"{name}_nadir_mm"] = groups[name].nadir / 10 if members else None
        after[name] = next_history(groups[name], seen, category, category if category == NE else "", options)
    sized = {t.id: size for t in visit.targets if (size := size_of(t)) is not None}
    state = ItRecistState(overall_state, injected, MappingProxyType(after), (*state.sizes, sized))
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
