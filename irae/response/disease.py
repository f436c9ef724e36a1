"""What all anatomic criteria share: the sum of the targets, their category, the non-targets, and the two together.

RECIST 1.1 (Eisenhauer 2009) sections 4.3 and 4.4; iRECIST inherits every rule here unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from irae.response.lengths import PER_MM
from irae.response.options import Options
from irae.response.rules import RECIST_11, Recist11Rules
from irae.response.values import Change, NonTarget, Reason, State, Target, Visit

CR, PR, SD, PD, NE, NA = "CR", "PR", "SD", "PD", "NE", "NA"
NON_CR_NON_PD = "NON-CR/NON-PD"
NED = "NED"


class SumSeen(NamedTuple):
    """The targets of one visit: their sum in tenths of mm, and what else decides their category."""

    partial: int  # sum of what was measured
    complete: bool  # every target of the baseline was evaluated
    all_resolved: bool  # all non-nodal targets absent, all nodes under 10 mm (of those evaluated)
    default_used: bool  # 5 mm was stated for a target too small to measure

    @property
    def sum(self) -> int | None:
        """The complete sum; None where a target is missing."""
        return self.partial if self.complete else None


@dataclass(frozen=True, slots=True)
class TargetHistory:
    """What earlier visits left behind for the targets; lengths in tenths of mm.

    Attributes:
        count: Number of targets at baseline.
        baseline, nadir: Sum at baseline and smallest complete sum so far (baseline included).
        responded: A target PR or CR was assigned and no target PD since (DEC-01).
        had_overall_cr: An overall CR was assigned (rule R11-T7).
    """

    count: int
    baseline: int
    nadir: int
    responded: bool = False
    had_overall_cr: bool = False


def size_of(target: Target, rules: Recist11Rules = RECIST_11) -> int | None:
    """What a target adds to the sum (rules R11-N1, N3, N4), tenths of mm; None where it was not evaluated."""
    state = target.state
    if state is State.MEASURED:
        return target.short if target.is_node else target.longest
    if state is State.ABSENT or state is State.MERGED:
        return 0
    if state is State.TOO_SMALL:
        return rules.too_small_mm * PER_MM
    if state is State.SPLIT:
        return sum(target.fragments)
    return None


def sum_targets(targets: tuple[Target, ...], count: int, rules: Recist11Rules = RECIST_11) -> SumSeen:
    """Sums the targets of a visit; a target that is not listed was not evaluated (rule R11-N5)."""
    total = 0
    evaluated = 0
    resolved = True
    default_used = False
    normal_below = rules.node_normal_below_mm * PER_MM
    for target in targets:
        size = size_of(target, rules)
        if size is None:
            continue
        evaluated += 1
        total += size
        if target.state is State.TOO_SMALL:
            default_used = True
        if size >= normal_below or (size > 0 and not target.is_node):
            resolved = False
    return SumSeen(total, evaluated == count, resolved, default_used)


def grew(size: int, smallest: int, rules: Recist11Rules, options: Options) -> bool:
    """Rule R11-T3: at least 20 % and at least 5 mm over the nadir. At nadir 0 the 5 mm decide (DEC-02)."""
    increase = size - smallest
    if increase < rules.pd_increase_mm * PER_MM:
        return False
    if smallest == 0:
        return options.nadir_zero == "absolute"
    return 100 * increase >= rules.pd_increase_pct * smallest


def target_category(
    seen: SumSeen, history: TargetHistory, options: Options, rules: Recist11Rules = RECIST_11
) -> tuple[str, Reason, str]:
    """Category of the targets at one visit, the rule that gave it, and a flag (section 4.3.1, in its order)."""
    if history.count == 0:
        return NA, ("R11-O2", "There is no target disease at baseline."), ""
    now, nadir, baseline = seen.partial, history.nadir, history.baseline
    is_grown = grew(now, nadir, rules, options)
    if seen.complete and seen.all_resolved and not (is_grown and options.normal_nodes == "pd"):
        rule = f"All targets are gone or normal nodes (sum {now / 10:g} mm)."
        return CR, ("R11-T1", rule), ""
    if history.had_overall_cr and not seen.all_resolved:
        return PD, ("R11-T7", "A target is back after an overall complete response."), "reappearance_after_cr"
    if is_grown:
        change = f"+{100 * (now - nadir) / nadir:.1f} %, " if nadir else ""
        if not seen.complete:
            text = f"The measured part alone is {now / 10:g} mm: {change}+{(now - nadir) / 10:g} mm over the nadir."
            return PD, ("R11-E2", text), "pd_despite_missing"
        return PD, ("R11-T3", f"Sum {now / 10:g} mm is {change}+{(now - nadir) / 10:g} mm over {nadir / 10:g} mm."), ""
    if not seen.complete:
        return NE, ("R11-E1", "Not all targets were evaluated."), ""
    if 100 * (baseline - now) >= rules.pr_decrease_pct * baseline:
        return PR, ("R11-T2", f"Sum {now / 10:g} mm is {_change(now, baseline)} of baseline {baseline / 10:g} mm."), ""
    if history.responded and options.pr_persistence == "eortc_faq":
        return PR, ("R11-T5", f"Partial response persists at {now / 10:g} mm: no progression since."), "pr_maintained"
    return SD, ("R11-T4", f"Sum {now / 10:g} mm: {_change(now, baseline)} of baseline, nadir {nadir / 10:g} mm."), ""


def _change(now: int, then: int) -> str:
    return f"{100 * (now - then) / then:+.1f} %" if then else f"+{now / 10:g} mm"


def non_target_category(lesions: tuple[NonTarget, ...], count: int, rules: Recist11Rules = RECIST_11) -> str:
    """Category of the non-targets (rule R11-NT1); NA where the baseline has none, NE where one is not evaluated."""
    if count == 0:
        return NA
    missing = len(lesions) < count
    present = False
    for lesion in lesions:
        state = lesion.state
        if state is State.PROGRESSED:
            return PD
        if state is State.NOT_EVALUATED:
            missing = True
        elif state is State.PRESENT and not _is_normal_node(lesion, rules):
            present = True
    if missing:
        return NE
    return NON_CR_NON_PD if present else CR


def _is_normal_node(lesion: NonTarget, rules: Recist11Rules) -> bool:
    return lesion.is_node and lesion.short is not None and lesion.short < rules.node_normal_below_mm * PER_MM


def overall_category(target: str, non_target: str) -> tuple[str, Reason]:
    """Time-point response without new lesions: Tables 1 and 2 (rules R11-O1 to R11-O3)."""
    if target == PD or non_target == PD:
        which = "target" if target == PD else "non-target"
        return PD, ("R11-O1", f"Progression of the {which} disease is progression.")
    if target == NA:
        if non_target == NA:
            return NED, ("R11-O3", "No disease at baseline and none has appeared.")
        return non_target, ("R11-O2", f"Non-target disease only: {non_target}.")
    if target == CR:
        if non_target in (CR, NA):
            return CR, ("R11-O1", "Targets CR, non-targets gone or none: CR.")
        return PR, ("R11-O1", f"Targets CR, non-targets {non_target}: PR.")
    return target, ("R11-O1", f"Targets {target}, non-targets {non_target}: {target}.")


def non_target_grew(lesions: tuple[NonTarget, ...], progressed_before: frozenset[str]) -> bool:
    """Whether any non-target grew since the last visit (rule IR-C6): so the reader says, or one more progressed."""
    return any(
        lesion.change is Change.INCREASED
        or lesion.change is Change.PROGRESSED
        or (lesion.change is None and lesion.state is State.PROGRESSED and lesion.id not in progressed_before)
        for lesion in lesions
    )


def start_targets(baseline: Visit, rules: Recist11Rules = RECIST_11) -> TargetHistory:
    """The history at baseline."""
    seen = sum_targets(baseline.targets, len(baseline.targets), rules)
    return TargetHistory(len(baseline.targets), seen.partial, seen.partial)


def next_history(
    history: TargetHistory, seen: SumSeen, category: str, overall: str, options: Options
) -> TargetHistory:
    """The history after a visit: nadir by complete sums only (DEC-04), responses until progression (DEC-01)."""
    nadir = history.nadir
    if (
        seen.complete
        and history.count
        and seen.partial < nadir
        and not (overall == NE and options.nadir_visits == "evaluable_visits")
    ):
        nadir = seen.partial
    responded = history.responded
    if category in (CR, PR):
        responded = True
    elif category == PD:
        responded = False
    had_cr = history.had_overall_cr or overall == CR
    if nadir == history.nadir and responded == history.responded and had_cr == history.had_overall_cr:
        return history
    return TargetHistory(history.count, history.baseline, nadir, responded, had_cr)
