"""Response patterns by their published definitions: pseudoprogression, dissociated and durable response.

Every answer is True, False, or None where the data cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from irae.response.irecist import CLOSING, events
from irae.response.lengths import exact
from irae.response.options import Options
from irae.response.rules import PATTERNS, PatternRules
from irae.response.values import Case, CaseError, Reason, Scored, State, Target, Value, Visit

RESPONDS = frozenset({"CR", "PR", "iCR", "iPR"})


def pseudoprogression(
    burdens: Sequence[tuple[date, Fraction | None]], rules: PatternRules = PATTERNS
) -> tuple[str | None, Reason]:
    """Pseudoprogression by burden (rule PSP-1, Hodi 2016): ``early``, ``delayed``, ``none``, or None: undetermined.

    Args:
        burdens: (date, burden), the baseline first; None where it was not evaluated.
    """
    known = [(on, value) for on, value in burdens if value is not None]
    if len(known) < 2:
        return None, ("PSP-1", "There are not two tumour burdens.")
    began, nadir = known[0][0], known[0][1]
    for i, (on, value) in enumerate(known[1:], start=1):
        if not _is_rise(value, nadir, rules):
            nadir = min(nadir, value)
            continue
        if i + 1 == len(known):
            return None, ("PSP-1", f"The burden rose on {on} and has not been assessed since.")
        then, next_value = known[i + 1]
        if _is_rise(next_value, nadir, rules):
            return "none", ("PSP-1", f"The rise of {on} is confirmed on {then}.")
        days = (on - began).days
        kind = "early" if days <= rules.pseudo_early_days else "delayed"
        return kind, ("PSP-1", f"The burden rose on day {days} and is not confirmed as progression on {then}.")
    return "none", ("PSP-1", f"The burden never rose by {rules.pseudo_increase_pct} %.")


def _is_rise(value: Fraction, nadir: Fraction, rules: PatternRules) -> bool:
    return value > nadir and 100 * (value - nadir) >= rules.pseudo_increase_pct * nadir


def pseudoprogression_irecist(
    words: Sequence[tuple[date, str | None]], options: Options, *, strict: bool = False
) -> tuple[bool | None, Reason]:
    """Pseudoprogression by iRECIST (rule PSP-2): an iUPD that was reset; ``strict``: reset by iPR or iCR only."""
    found = events(words)
    ends = frozenset({"iPR", "iCR"}) if strict else CLOSING
    closed = [(opened, end) for opened, end in found.blocks if end in ends]
    if closed:
        return True, ("PSP-2", f"The iUPD of {closed[0][0]} was reset by {closed[0][1]}.")
    if any(end is None for _, end in found.blocks):
        if options.iupd_then_only_ne == "no":
            return False, ("PSP-2", "The iUPD has not been reset (DEC-16).")
        return None, ("PSP-2", "An iUPD is still open: neither confirmed nor reset.")
    if found.blocks:
        return False, ("PSP-2", "No iUPD was reset this way.")
    if not any(w is not None and w != "NE" for _, w in words):
        return None, ("PSP-2", "There is no iRECIST response.")
    return False, ("PSP-2", "There was no iUPD.")


# --- Dissociated response -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LesionChange:
    """One lesion at baseline and now: its site and its size in tenths of mm."""

    id: str
    site: str
    before: int
    now: int

    @property
    def decrease_pct(self) -> Fraction:
        """Decrease in percent; negative where it grew."""
        return Fraction(100 * (self.before - self.now), self.before)


@dataclass(frozen=True, slots=True)
class LesionChanges:
    """All measured lesions of one visit against baseline, and what appeared or worsened besides."""

    lesions: tuple[LesionChange, ...]
    new_lesions: bool | None = None
    worse_non_target: bool | None = None


def _grew(change: LesionChange, rules: PatternRules, *, inclusive: bool) -> bool:
    rise = change.now - change.before
    pct = rules.dissociated_increase_above_pct * change.before
    return rise >= rules.dissociated_increase_mm * 10 and (100 * rise >= pct if inclusive else 100 * rise > pct)


def bernard_tessier(changes: LesionChanges, rules: PatternRules = PATTERNS) -> bool | None:
    """Some lesions down by more than 30 %, others up by more than 20 % and at least 5 mm (rule DIS-1)."""
    if len(changes.lesions) < 2:
        return None
    down = any(c.decrease_pct > rules.dissociated_decrease_above_pct for c in changes.lesions)
    return down and any(_grew(c, rules, inclusive=False) for c in changes.lesions)


def vaflard(changes: LesionChanges, rules: PatternRules = PATTERNS) -> bool | None:
    """At least one responding and one progressing target; RECIST thresholds presumed (the paper's were not seen)."""
    if len(changes.lesions) < 2:
        return None
    down = any(c.decrease_pct >= rules.dissociated_decrease_above_pct for c in changes.lesions)
    return down and any(_grew(c, rules, inclusive=True) for c in changes.lesions)


def sato(changes: LesionChanges, rules: PatternRules = PATTERNS) -> bool | None:
    """Some organs CR or PR and others PD; or all CR or PR with new lesions or clear non-target worsening (DIS-2)."""
    if not changes.lesions:
        return None
    sites: dict[str, tuple[int, int]] = {}
    for c in changes.lesions:
        before, now = sites.get(c.site, (0, 0))
        sites[c.site] = (before + c.before, now + c.now)
    organs = [LesionChange(site, site, before, now) for site, (before, now) in sites.items()]
    responding = [o for o in organs if o.decrease_pct >= rules.dissociated_decrease_above_pct]
    if responding and any(_grew(o, rules, inclusive=True) for o in organs):
        return True
    if len(responding) < len(organs):
        return False
    worse = (changes.new_lesions, changes.worse_non_target)
    return True if True in worse else (None if None in worse else False)


def tozuka(changes: LesionChanges) -> bool | None:
    """Some lesions shrink while others grow or emerge (rule DIS-3; the paper gives no numbers)."""
    if not changes.lesions:
        return None
    if not any(c.now < c.before for c in changes.lesions):
        return False
    if any(c.now > c.before for c in changes.lesions) or changes.new_lesions:
        return True
    return None if changes.new_lesions is None else False


def zhou(changes: LesionChanges, rules: PatternRules = PATTERNS) -> bool | None:
    """Targets reduced or up by less than 20 %, with new lesions (rule DIS-5)."""
    if not changes.lesions or changes.new_lesions is None:
        return None
    before, now = sum(c.before for c in changes.lesions), sum(c.now for c in changes.lesions)
    return changes.new_lesions and 100 * (now - before) < rules.dissociated_increase_above_pct * before


def wong(changes: LesionChanges) -> bool | None:
    """Shrinking and growing lesions with new lesions, or stable ones beside growing or shrinking ones (rule DIS-4)."""
    if len(changes.lesions) < 2:
        return None
    down = any(c.decrease_pct >= 30 for c in changes.lesions)
    up = any(_grew(c, PATTERNS, inclusive=True) for c in changes.lesions)
    stable = any(c.decrease_pct < 30 and not _grew(c, PATTERNS, inclusive=True) for c in changes.lesions)
    if stable and (down or up):
        return True
    if down and up:
        return changes.new_lesions
    return False


DISSOCIATED: Mapping[str, tuple[str, str, Callable[[LesionChanges], bool | None]]] = {
    "dissociated_bernard_tessier": ("DIS-1", "Bernard-Tessier 2020", bernard_tessier),
    "dissociated_sato": ("DIS-2", "Sato 2021", sato),
    "dissociated_tozuka": ("DIS-3", "Tozuka 2020", tozuka),
    "dissociated_wong": ("DIS-4", "Wong 2021", wong),
    "dissociated_zhou": ("DIS-5", "Zhou 2020", zhou),
    "dissociated_vaflard": ("DIS-6", "Vaflard 2021 (RECIST thresholds presumed)", vaflard),
}


def lesion_changes(baseline: Visit, visit: Visit, size_of: Callable[[Target], int | None]) -> LesionChanges:
    """Every target measured at both visits, and whether anything appeared or worsened."""
    before = {t.id: size_of(t) for t in baseline.targets}
    lesions = []
    for target in visit.targets:
        then, now = before.get(target.id), size_of(target)
        if then and now is not None and target.state is not State.MERGED:
            lesions.append(LesionChange(target.id, target.site, then, now))
    return LesionChanges(
        tuple(sorted(lesions, key=lambda c: c.id)),
        any(x.there for x in visit.new_lesions),
        any(x.state is State.PROGRESSED for x in visit.non_targets),
    )


def any_visit(answers: Sequence[bool | None]) -> bool | None:
    """True if it holds at any visit, None if it cannot be said, else False."""
    return True if True in answers else (None if not answers or None in answers else False)


# --- Durable response ---------------------------------------------------------------------------------------------


def durable_kaufman(
    words: Sequence[tuple[date, str | None]], began_on: date | None, options: Options, rules: PatternRules = PATTERNS
) -> tuple[bool | None, Reason]:
    """Continuous CR or PR that begins within 12 months and lasts at least 6 (rule DUR-1, Kaufman 2017)."""
    if began_on is None:
        return None, ("DUR-1", "The start of treatment is not known.")
    known = [(on, w) for on, w in words if w is not None and w != "NE"]
    if not known:
        return None, ("DUR-1", "There is no response to judge.")
    open_run: date | None = None
    for on, word in [*known, (known[-1][0], "")]:
        if word in RESPONDS:
            open_run = open_run or on
            continue
        if open_run is None:
            continue
        in_time = (open_run - began_on).days <= rules.durable_begin_months * options.month_days
        lasts = (on - open_run).days >= rules.durable_months * options.month_days
        if in_time and lasts:
            return True, ("DUR-1", f"Response from {open_run}, at least {rules.durable_months} months.")
        if in_time and word == "":
            return None, ("DUR-1", f"The response of {open_run} goes on, shorter than {rules.durable_months} months.")
        open_run = None
    return False, ("DUR-1", "No response began within 12 months and lasted 6.")


def durable_pons_tostivint(
    pfs_months: Fraction | None, cohort_months: Fraction | None, rules: PatternRules = PATTERNS
) -> tuple[bool | None, Reason]:
    """Progression-free survival of more than three times the cohort's median (rule DUR-2): a cohort property."""
    if pfs_months is None or cohort_months is None:
        return None, ("DUR-2", "Progression-free survival or the cohort's median is not given.")
    answer = pfs_months > rules.durable_pfs_factor * cohort_months
    return answer, ("DUR-2", f"{float(pfs_months):g} months against a cohort median of {float(cohort_months):g}.")


# --- One patient --------------------------------------------------------------------------------------------------


def score(case: Case) -> Scored:
    """Every pattern that the case has data for.

    Raises:
        CaseError: If it has data for none.
    """
    from irae.response import irecist, recist11
    from irae.response.disease import size_of

    summary: dict[str, Value] = {}
    reasons: list[Reason] = []
    visits = [v for v in case.visits if v.kind.value != "prebaseline"]
    burdens = [(v.on, v.facts.tumour_burden) for v in visits]
    baseline = case.baseline
    has_lesions = baseline is not None and bool(baseline.targets or baseline.non_targets)
    if any(b is not None for _, b in burdens):
        _put(summary, reasons, "pseudoprogression", pseudoprogression(burdens))
    elif has_lesions:
        _put(summary, reasons, "pseudoprogression", pseudoprogression(_lesion_burdens(case)))
    given = [(v.on, v.facts.overall) for v in case.followups if v.facts.overall is not None]
    iwords: list[tuple[date, str | None]] = list(given)
    words: list[tuple[date, str | None]] = list(given)
    if has_lesions and not given:
        iwords = [(a.on, a.overall) for _, a in irecist.states(case)]
        words = [(a.on, a.overall) for _, a in recist11.states(case)]
    if iwords:
        _put(summary, reasons, "pseudoprogression_irecist", pseudoprogression_irecist(iwords, case.options))
        _put(summary, reasons, "pseudoprogression_irecist_strict",
             pseudoprogression_irecist(iwords, case.options, strict=True))
    if words:
        _put(summary, reasons, "durable_kaufman", durable_kaufman(words, case.reference_date, case.options))
    if baseline is not None and baseline.targets:
        changes = [lesion_changes(baseline, v, size_of) for v in case.followups if v.targets]
        for name, (rule, source, ask) in DISSOCIATED.items():
            answer = any_visit([ask(change) for change in changes])
            _put(summary, reasons, name, (answer, (rule, f"{source}, any visit against baseline.")))
    survival = next((v.facts for v in visits if v.facts.pfs_months is not None), None)
    if survival is not None:
        _put(summary, reasons, "durable_pons_tostivint",
             durable_pons_tostivint(survival.pfs_months, survival.cohort_median_pfs_months))
    if not summary:
        raise CaseError("there is nothing that a pattern could be read from", patient=case.id)
    return Scored(answers=(), summary=summary, reasons=tuple(reasons))


def _lesion_burdens(case: Case) -> list[tuple[date, Fraction | None]]:
    """Tumour burden by irRC; by diameters where lesions lack a second one."""
    from irae.response import burden

    baseline = case.baseline
    assert baseline is not None
    try:
        answers = [a for _, a in burden.states_irrc(case)]
        key, began = "tumour_burden_mm2", burden.start_irrc(baseline).baseline / 100
    except CaseError:
        answers = [a for _, a in burden.states_irrecist(case)]
        key, began = "tumour_burden_mm", burden.start_sum(baseline).baseline / 10
    series: list[tuple[date, Fraction | None]] = [(baseline.on, exact(began))]
    for answer in answers:
        value = answer.values[key]
        series.append((answer.on, exact(value) if isinstance(value, float) else None))
    return series


def _put(
    summary: dict[str, Value], reasons: list[Reason], name: str, answer: tuple[bool | str | None, Reason]
) -> None:
    summary[name] = answer[0]
    reasons.append((answer[1][0], f"{name}: {answer[1][1]}"))
