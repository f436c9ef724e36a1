"""iRECIST: Seymour L et al., Lancet Oncol 2017;18:e143-e152, Table 2, with the EORTC working group's FAQ.

Progression is first unconfirmed (iUPD). The run of visits since an open iUPD is a block: it ends confirmed (iCPD) or
the bar is reset (iCR, iPR, iSD). New lesions are summed on their own and never added to the targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType

from irae.response.best import best_irecist
from irae.response.disease import (
    CR,
    NA,
    NE,
    NED,
    NON_CR_NON_PD,
    PD,
    PR,
    SD,
    TargetHistory,
    next_history,
    non_target_category,
    non_target_grew,
    overall_category,
    start_targets,
    sum_targets,
    target_category,
)
from irae.response.lengths import PER_MM
from irae.response.options import Options
from irae.response.recist11 import equivocal_reasons, need_baseline
from irae.response.rules import IRECIST, RECIST_11, IRecistRules
from irae.response.values import Answer, Case, Change, Kind, NewLesion, Reason, Scored, State, Value, Visit

TARGET, NON_TARGET, NEW_LESION = "target", "non_target", "new_lesion"
WORD = {CR: "iCR", PR: "iPR", SD: "iSD", NON_CR_NON_PD: "NON-iCR/NON-iUPD", NE: NE, NED: NED, PD: "iUPD"}
CLOSING = frozenset({"iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", NED})
_RANK = {CR: 0, PR: 1, SD: 2, NON_CR_NON_PD: 2, PD: 3}


@dataclass(frozen=True, slots=True)
class KnownNew:
    """A new lesion once called: how it is followed, its last size in tenths of mm, and whether it went away."""

    kind: Kind
    site: str
    size: int | None = None
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """An open iUPD; lengths in tenths of mm.

    Attributes:
        opened_on: Date of its first iUPD.
        reasons: What progressed: target, non_target, new_lesion.
        target: Category of the targets at that visit; ``non_target`` likewise.
        start_sum, smallest_sum, last_sum: Complete target sums of the block.
        start_new, smallest_new, last_new: The same of the new target lesions.
    """

    opened_on: date
    reasons: frozenset[str]
    target: str
    non_target: str
    start_sum: int | None
    smallest_sum: int | None
    last_sum: int | None
    start_new: int | None
    smallest_new: int | None
    last_new: int | None


@dataclass(frozen=True, slots=True)
class IRecistState:
    """What is known after a visit.

    Attributes:
        targets: As in RECIST 1.1; the nadir is never reset.
        non_targets: Number of non-targets at baseline.
        new: Every new lesion called so far.
        new_nadir: Smallest sum of the new target lesions since the last one joined them; None without any.
        block: The open iUPD, if there is one.
        progressed: Non-targets in unequivocal progression at the last visit.
        accepted: Unchanged non-target progression no longer counts (DEC-11).
        confirmed_on: Date of the iCPD; nothing is scored after it.
    """

    targets: TargetHistory
    non_targets: int
    new: Mapping[str, KnownNew] = field(default_factory=lambda: MappingProxyType({}))
    new_nadir: int | None = None
    block: Block | None = None
    progressed: frozenset[str] = frozenset()
    accepted: bool = False
    confirmed_on: date | None = None


@dataclass(frozen=True, slots=True)
class NewSeen:
    """The new lesions of one visit."""

    known: Mapping[str, KnownNew]
    additional: tuple[str, ...] = ()
    partial: int = 0  # tenths of mm, new target lesions that were measured
    has_targets: bool = False
    complete: bool = True
    grown: tuple[str, ...] = ()  # new non-target lesions that grew at all
    clearly_grown: tuple[str, ...] = ()  # ... unequivocally
    outstanding: bool = False  # any known one has not gone
    unseen: bool = False  # any known one was not evaluated

    @property
    def sum(self) -> int | None:
        """Sum of the new target lesions; None without any, or where one was not measured."""
        return self.partial if self.has_targets and self.complete else None


def start(baseline: Visit) -> IRecistState:
    """The state at baseline."""
    return IRecistState(start_targets(baseline), len(baseline.non_targets))


def additional_lesions(known: Mapping[str, KnownNew], lesions: Sequence[NewLesion]) -> list[NewLesion]:
    """New lesions that are there and were never called before; largest first, so that their order does not matter."""
    return sorted((x for x in lesions if x.there and x.id not in known), key=lambda x: (-(x.size or 0), x.id))


def classify_new(
    known: Mapping[str, KnownNew], lesions: Sequence[NewLesion], rules: IRecistRules = IRECIST
) -> dict[str, KnownNew]:
    """New target or new non-target (rule IR-L1): five and two per organ at most, all others non-target."""
    called: dict[str, KnownNew] = {}
    counts: dict[str, int] = {}
    for record in known.values():
        if record.kind is Kind.TARGET:
            counts[record.site] = counts.get(record.site, 0) + 1
    total = sum(counts.values())
    for lesion in additional_lesions(known, lesions):
        kind = lesion.kind or (Kind.TARGET if _measurable(lesion) else Kind.NON_TARGET)
        sized = lesion.state is State.TOO_SMALL or (lesion.state is State.MEASURED and lesion.size is not None)
        full = total >= rules.max_new_targets or counts.get(lesion.site, 0) >= rules.max_new_targets_per_organ
        if kind is Kind.TARGET and sized and not full:
            counts[lesion.site] = counts.get(lesion.site, 0) + 1
            total += 1
        else:
            kind = Kind.NON_TARGET
        called[lesion.id] = KnownNew(kind, lesion.site, lesion.size)
    return called


def _measurable(lesion: NewLesion) -> bool:
    least = RECIST_11.node_measurable_mm if lesion.is_node else RECIST_11.lesion_measurable_mm
    return lesion.state is State.MEASURED and lesion.size is not None and lesion.size >= least * PER_MM


def look_at_new(state: IRecistState, visit: Visit, rules: IRecistRules = IRECIST) -> NewSeen:
    """What a visit says of the new lesions; a known one that is not listed was not evaluated."""
    if not visit.new_lesions and not state.new:
        return NewSeen(state.new)
    called = classify_new(state.new, visit.new_lesions, rules)
    before = state.new
    known: dict[str, KnownNew] = {**before, **called}
    listed = {lesion.id: lesion for lesion in visit.new_lesions}
    partial, complete, has_targets, outstanding, unseen = 0, True, False, False, False
    additional = list(called)
    grown: list[str] = []
    clearly: list[str] = []
    for id_, record in known.items():
        lesion = listed.get(id_)
        gone = lesion is not None and (lesion.state is State.ABSENT or lesion.change is Change.RESOLVED)
        missing = lesion is None or (not lesion.there and not gone)
        is_target = record.kind is Kind.TARGET
        has_targets = has_targets or is_target
        if missing or lesion is None:
            if not record.resolved:
                outstanding = unseen = True
                complete = complete and not is_target
            continue
        size = 0 if gone else (RECIST_11.too_small_mm * PER_MM if lesion.state is State.TOO_SMALL else lesion.size)
        outstanding = outstanding or not gone
        if is_target:
            if size is None:
                complete, unseen = False, True
            else:
                partial += size
        elif id_ in before and not gone:
            if record.resolved or lesion.change is Change.PROGRESSED:
                clearly.append(id_)
                grown.append(id_)
            elif lesion.change is Change.INCREASED or (
                lesion.change is None and size is not None and record.size is not None and size > record.size
            ):
                grown.append(id_)
        known[id_] = KnownNew(record.kind, record.site, size if size is not None else record.size, gone)
    return NewSeen(
        MappingProxyType(known), tuple(additional), partial, has_targets, complete, tuple(grown), tuple(clearly),
        outstanding, unseen,
    )


def step(
    state: IRecistState, visit: Visit, options: Options, rules: IRecistRules = IRECIST
) -> tuple[IRecistState, Answer]:
    """Scores one visit and returns the state after it."""
    if state.confirmed_on is not None:
        text = f"Progression was confirmed on {state.confirmed_on}: nothing is scored after it."
        return state, Answer(visit.id, visit.on, None, {}, (), (("IR-B1", text),))
    block = state.block
    days = 0
    exception = False
    if block is not None:
        days = (visit.on - block.opened_on).days
        least = options.early_scan_min_days - options.early_scan_tolerance_days
        if days < least:
            exception = visit.symptom_driven and bool(additional_lesions(state.new, visit.new_lesions))
            if not exception:
                return state, _disregarded(state, block, visit, days, least, options)

    history = state.targets
    seen = sum_targets(visit.targets, history.count)
    target, reason, flag = target_category(seen, history, options)
    non_target = non_target_category(visit.non_targets, state.non_targets)
    new = look_at_new(state, visit, rules)
    reasons: list[Reason] = [reason, *equivocal_reasons(visit)]
    flags: list[str] = [flag] if flag else []
    if seen.default_used:
        flags.append("default_5mm_used")
    if visit.clinical_deterioration:
        flags.append("clinical_deterioration")
        reasons.append(("IR-K1", "Clinical deterioration never changes the time-point response."))

    grew = bool(visit.non_targets) and non_target_grew(visit.non_targets, state.progressed)
    reappeared = history.had_overall_cr and non_target == NON_CR_NON_PD
    accepted = state.accepted and non_target == PD and not grew
    non_target_progress = (non_target == PD and not accepted) or reappeared
    new_progress = _known_new_progress(state, new, options, rules)

    triggers: list[Reason] = []
    progressing: set[str] = set()
    if target == PD:
        progressing.add(TARGET)
        triggers.append(reason)
    if non_target_progress:
        progressing.add(NON_TARGET)
        text = "is back after a complete response" if reappeared else "is in unequivocal progression"
        triggers.append(("R11-T7" if reappeared else "R11-NT1", f"The non-target disease {text}."))
    if new.additional:
        progressing.add(NEW_LESION)
        triggers.append(("R11-L1", f"New lesion {', '.join(sorted(new.additional))}."))

    base, _ = overall_category(target, NON_CR_NON_PD if accepted else non_target)
    if block is None:
        if new_progress is not None:
            progressing.add(NEW_LESION)
            triggers.append(new_progress)
        if progressing:
            overall = "iUPD"
            reasons.extend(r for r in triggers if r is not reason)
            reasons.append(("IR-S1", f"Progression of {_and(progressing)}, not yet confirmed: iUPD."))
            block = Block(visit.on, frozenset(progressing), target, non_target, seen.sum, seen.sum, seen.sum,
                          new.sum, new.sum, new.sum)
        else:
            overall = _word(base, new, options, reasons)
    else:
        if days > options.late_scan_days:
            flags.append("late_confirmation_scan")
            reasons.append(("IR-W3", f"This scan comes {days} days after the iUPD, later than "
                                     f"{options.late_scan_days} days."))
        confirming = _confirming(
            block, target, seen.partial, non_target_progress, grew, new, new_progress, options, rules
        )
        if confirming and days > options.late_scan_days and options.late_confirmation == "not_usable":
            reasons.append(("IR-W3", "A scan this late may not confirm (DEC-09)."))
            confirming = []
            overall = "iUPD"
        elif confirming:
            overall = "iCPD"
            flags.extend(f"confirmed_by:{what}" for what, _ in confirming)
            reasons.extend(why for _, why in confirming)
            if exception:
                reasons.append(("IR-W2", "An early scan for a new symptom that shows a further new lesion counts."))
        elif target == NE or new.unseen or (NON_TARGET in block.reasons and non_target == NE):
            overall = NE
            reasons.append(("IR-W4", "Not all that progressed was evaluated; the iUPD stays open."))
        else:
            overall, accepted = _unconfirmed(
                block, target, seen.sum, non_target, non_target_progress, accepted, new, options, reasons
            )
        if overall == "iCPD" or overall in CLOSING:
            block = None
        else:
            block = replace(
                block,
                smallest_sum=_least(block.smallest_sum, seen.sum),
                last_sum=block.last_sum if seen.sum is None else seen.sum,
                smallest_new=_least(block.smallest_new, new.sum),
                last_new=block.last_new if new.sum is None else new.sum,
                start_sum=block.start_sum if block.start_sum is not None else seen.sum,
            )

    after = IRecistState(
        next_history(history, seen, target, CR if overall == "iCR" else overall, options),
        state.non_targets,
        new.known,
        _new_nadir(state, new),
        block,
        frozenset(x.id for x in visit.non_targets if x.state is State.PROGRESSED)
        if visit.non_targets else state.progressed,
        accepted,
        visit.on if overall == "iCPD" else None,
    )
    values: dict[str, Value] = {
        "target": target,
        "non_target": non_target,
        "new_lesion": new.outstanding,
        "sum_mm": seen.partial / 10 if seen.complete and history.count else None,
        "nadir_mm": history.nadir / 10 if history.count else None,
        "nlt_sum_mm": None if new.sum is None else new.sum / 10,
    }
    if overall in ("iUPD", NE) and block is not None:
        values["confirm_from"], values["confirm_to"] = confirmation_window(block.opened_on, options)
    return after, Answer(visit.id, visit.on, overall, values, tuple(flags), tuple(reasons))


def confirmation_window(opened_on: date, options: Options) -> tuple[date, date]:
    """First and last day on which a scan confirms an iUPD (rule IR-W1)."""
    return (
        opened_on + timedelta(days=options.early_scan_min_days - options.early_scan_tolerance_days),
        opened_on + timedelta(days=options.late_scan_days),
    )


def _disregarded(
    state: IRecistState, block: Block, visit: Visit, days: int, least: int, options: Options
) -> Answer:
    text = f"This scan comes {days} days after the iUPD, earlier than {least}: it is disregarded and repeated."
    first, last = confirmation_window(block.opened_on, options)
    values: dict[str, Value] = {
        "nadir_mm": state.targets.nadir / 10 if state.targets.count else None,
        "confirm_from": first,
        "confirm_to": last,
    }
    flags = ("disregarded_early_scan",) + (("clinical_deterioration",) if visit.clinical_deterioration else ())
    return Answer(visit.id, visit.on, "iUPD", values, flags, (("IR-W1", text),))


def _known_new_progress(
    state: IRecistState, new: NewSeen, options: Options, rules: IRecistRules
) -> Reason | None:
    """Whether new lesions known from before progress in their own right (rule IR-L6)."""
    if not state.new:
        return None
    if new.clearly_grown:
        return "IR-L6", f"New non-target lesion {', '.join(new.clearly_grown)} grew unequivocally."
    if state.new_nadir is not None and new.has_targets and not new.additional:
        increase = new.partial - state.new_nadir
        if (
            increase >= rules.new_target_increase_mm * PER_MM
            and 100 * increase >= rules.new_target_increase_pct * state.new_nadir
        ):
            text = f"New target lesions are {new.partial / 10:g} mm, +{increase / 10:g} mm over their nadir."
            return "IR-L6", text
    return None


def _reference(start_: int | None, smallest: int | None, last: int | None, options: Options) -> int | None:
    """What a further increase is measured from (DEC-10)."""
    return {"smallest_since_iupd": smallest, "iupd_visit": start_, "previous_visit": last}[
        options.further_increase_from
    ]


def _confirming(
    block: Block,
    target: str,
    target_sum: int,
    non_target_progress: bool,
    non_target_grown: bool,
    new: NewSeen,
    new_progress: Reason | None,
    options: Options,
    rules: IRecistRules,
) -> list[tuple[str, Reason]]:
    """Everything that confirms progression at this visit (rules IR-C1 to IR-C7)."""
    found: list[tuple[str, Reason]] = []
    further = rules.further_increase_mm * PER_MM
    if target == PD:
        if TARGET in block.reasons:
            since = _reference(block.start_sum, block.smallest_sum, block.last_sum, options)
            if since is not None and target_sum - since >= further:
                text = f"The targets grew by {(target_sum - since) / 10:g} mm since the iUPD."
                found.append(("target+5", ("IR-C1", text)))
        else:
            found.append(("target_new_category", ("IR-C7", "Now the targets progress too.")))
    if new.additional:
        text = f"Further new lesion {', '.join(sorted(new.additional))}."
        found.append(("additional_new_lesion", ("IR-C5", text)))
    if NEW_LESION in block.reasons:
        since = _reference(block.start_new, block.smallest_new, block.last_new, options)
        if since is not None and not new.additional and new.partial - since >= further:
            text = f"The new target lesions grew by {(new.partial - since) / 10:g} mm since the iUPD."
            found.append(("nlt+5", ("IR-C3", text)))
        if new.grown:
            found.append(("nlnt_increase", ("IR-C4", f"New non-target lesion {', '.join(new.grown)} grew.")))
    elif new_progress is not None:
        found.append(("new_lesion_new_category", ("IR-C7", new_progress[1])))
    if NON_TARGET in block.reasons:
        if non_target_grown:
            found.append(("nt_increase", ("IR-C6", "The non-target disease grew further.")))
    elif non_target_progress:
        found.append(("non_target_new_category", ("IR-C7", "Now the non-target disease progresses too.")))
    return found


def _unconfirmed(
    block: Block,
    target: str,
    target_sum: int | None,
    non_target: str,
    non_target_progress: bool,
    accepted: bool,
    new: NewSeen,
    options: Options,
    reasons: list[Reason],
) -> tuple[str, bool]:
    """Reset or stay (rules IR-S3, IR-L4, IR-L5, IR-L7): the word, and whether non-target progression is accepted."""
    if target == PD:
        reasons.append(("IR-C1", "Still progression, but no further growth of 5 mm: stays iUPD."))
        return "iUPD", accepted
    if non_target_progress:
        newly_smaller = target in (PR, CR) and block.target not in (PR, CR)
        if not (newly_smaller and options.unchanged_non_target_progression == "ipr"):
            reasons.append(("IR-L7", "The non-target progression persists unchanged: stays iUPD."))
            return "iUPD", accepted
        accepted = True
        reasons.append(("IR-L7", f"The targets newly fall to {target}: unchanged non-target progression is set aside."))
    if NEW_LESION in block.reasons and new.outstanding and not _clears(block, target, target_sum, non_target, options):
        reasons.append(("IR-L4", "The new lesion persists and the original disease did not shrink: stays iUPD."))
        return "iUPD", accepted
    base, why = overall_category(target, NON_CR_NON_PD if accepted else non_target)
    word = _word(base, new, options, reasons, why)
    if word in CLOSING:
        rule = "IR-L5" if NEW_LESION in block.reasons and not new.outstanding else "IR-S3"
        reasons.append((rule, f"Progression is not confirmed; the bar is reset: {word}."))
    return word, accepted


def _clears(block: Block, target: str, target_sum: int | None, non_target: str, options: Options) -> bool:
    """Whether shrinkage of the original disease clears an iUPD although its new lesion persists (DEC-12)."""
    if options.new_lesion_clears == "never":
        return False
    if target == NA:
        return _RANK.get(non_target, 9) < _RANK.get(block.non_target, 9)
    fall = 0 if block.start_sum is None or target_sum is None else block.start_sum - target_sum
    if options.new_lesion_clears == "any_decrease":
        return fall > 0
    return _RANK.get(target, 9) < _RANK.get(block.target, 9) or fall >= IRECIST.further_increase_mm * PER_MM


def _word(base: str, new: NewSeen, options: Options, reasons: list[Reason], why: Reason | None = None) -> str:
    """The iRECIST word of a RECIST response; a residual new lesion stands against iCR (DEC-08)."""
    if base == CR and new.outstanding and options.residual_new_lesion == "ipr":
        reasons.append(("IR-S2", "The original disease is gone but a new lesion remains: iPR (DEC-08)."))
        return "iPR"
    if why is None:
        reasons.append(("IR-S2", f"No progression: {WORD[base]}."))
    return WORD[base]


def _new_nadir(state: IRecistState, new: NewSeen) -> int | None:
    """Smallest sum of the new target lesions; starts afresh when one joins them."""
    if any(new.known[id_].kind is Kind.TARGET for id_ in new.additional):
        return new.sum
    return _least(state.new_nadir, new.sum)


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else (a if b is None else min(a, b))


def _and(names: set[str]) -> str:
    return " and ".join(sorted(name.replace("_", " ") for name in names))


def states(case: Case) -> Iterator[tuple[IRecistState, Answer]]:
    """The fold over visits: state and answer after each follow-up visit."""
    state = start(need_baseline(case))
    for visit in case.followups:
        state, answer = step(state, visit, case.options)
        yield state, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What a sequence of iRECIST words comes to.

    Attributes:
        progressed_on: iPFS event: first iUPD of the block that was confirmed, or of the block open at the end.
        confirmed: Whether an iCPD followed.
        blocks: (opened on, word that ended it or None) of every iUPD block.
    """

    progressed_on: date | None
    confirmed: bool
    blocks: tuple[tuple[date, str | None], ...]


def events(words: Sequence[tuple[date, str | None]]) -> Events:
    """Blocks and the iPFS date from the words alone; everything after the first iCPD is ignored."""
    blocks: list[tuple[date, str | None]] = []
    opened: date | None = None
    for on, word in words:
        if word == "iUPD" and opened is None:
            opened = on
        elif word == "iCPD":
            opened = opened or on
            blocks.append((opened, word))
            return Events(progressed_on=opened, confirmed=True, blocks=tuple(blocks))
        elif word in CLOSING and opened is not None:
            blocks.append((opened, word))
            opened = None
    if opened is not None:
        blocks.append((opened, None))
    return Events(progressed_on=opened, confirmed=False, blocks=tuple(blocks))


def score(case: Case) -> Scored:
    """iRECIST for one patient: an answer at every visit, iBOR, the iPFS date and the duration of response."""
    if any(v.facts.overall is not None for v in case.followups):
        answers = tuple(
            Answer(v.id, v.on, v.facts.overall, {}, (), (("given", "The response is given."),))
            for v in case.followups
        )
    else:
        answers = tuple(answer for _, answer in states(case))
    words = [(a.on, a.overall) for a in answers]
    found = events(words)
    best = best_irecist([(on, w) for on, w in words if w is not None], case.options, case.reference_date)
    responds = best.category in ("iCR", "iPR")
    first = next((on for on, w in words if w in ("iCR", "iPR")), None) if responds else None
    stopped = any(
        a.overall == "iUPD" and v.clinical_deterioration and v.treatment_stopped
        for a, v in zip(answers, case.followups, strict=True)
    )
    summary: dict[str, Value] = {
        "best_response": best.category,
        "ibor": best.category,
        "progression_date": found.progressed_on,
        "ipfs_event_date": found.progressed_on,
        "idor_start": first,
        "idor_end": found.progressed_on if first is not None and found.confirmed else None,
        "continue_treatment_past_progression": (not stopped) if found.blocks else None,
    }
    return Scored(answers=answers, summary=summary, reasons=best.reasons)
