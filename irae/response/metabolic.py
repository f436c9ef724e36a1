"""FDG-PET criteria on SULpeak: PERCIST 1.0, imPERCIST5, iPERCIST, and the scheme reviews call imPERCIST.

Uptake attributed to infection, treatment effect or an irAE is not tumour (rule PER-6): it neither makes progression
nor enters a sum. SUL values are exact fractions of g/mL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from irae.response.lengths import percent_change
from irae.response.options import Options
from irae.response.recist11 import need_baseline
from irae.response.rules import (
    IMPERCIST5,
    IMPERCIST_REVIEW,
    IPERCIST,
    PERCIST_10,
    ImPercist5Rules,
    PercistRules,
    UnconfirmedPetRules,
)
from irae.response.values import Answer, Case, CaseError, PetLesion, PetScan, Reason, Scored, Value, Visit

CMR, PMR, SMD, PMD, NE = "CMR", "PMR", "SMD", "PMD", "NE"
UPMD, CPMD = "UPMD", "CPMD"


@dataclass(frozen=True, slots=True)
class PetState:
    """What is known at and after baseline.

    Attributes:
        baseline: The baseline PET; None where there is none.
        measurable: Whether the hottest lesion of the baseline reaches the threshold; None without a reference.
        threshold: 1.5 x liver mean + 2 SD, or 2 x blood pool + 2 SD; g/mL.
        targets: Ids of the followed lesions, hottest first (imPERCIST5: five; PERCIST: five, two an organ).
        known: Ids of all lesions of the baseline.
        opened_on: First UPMD of an open block.
        confirmed_on: Date of the CPMD; nothing is scored after it.
    """

    baseline: PetScan | None
    began_on: date
    measurable: bool | None
    threshold: Fraction | None
    targets: tuple[str, ...]
    known: frozenset[str]
    opened_on: date | None = None
    confirmed_on: date | None = None


def reference_uptake(scan: PetScan) -> tuple[Fraction | None, Fraction | None, str]:
    """Mean and SD of the reference region and its name: liver, or blood pool where the liver is diseased or unseen."""
    if scan.liver_mean is not None and not scan.liver_diseased:
        return scan.liver_mean, scan.liver_sd, "liver"
    if scan.blood_pool_mean is not None:
        return scan.blood_pool_mean, scan.blood_pool_sd, "blood pool"
    return None, None, "none"


def measurable_threshold(scan: PetScan, rules: PercistRules = PERCIST_10) -> Fraction | None:
    """Least SULpeak of a measurable lesion (rule PER-2), g/mL; None without a reference region."""
    mean, sd, name = reference_uptake(scan)
    if mean is None or sd is None:
        return None
    return (rules.liver_factor if name == "liver" else rules.blood_pool_factor) * mean + rules.sd_factor * sd


def tumour_lesions(scan: PetScan) -> list[PetLesion]:
    """Lesions that count as tumour (rule PER-6), hottest first."""
    return sorted((x for x in scan.lesions if x.is_tumour), key=lambda x: (-(x.sul_peak or Fraction(0)), x.id))


def start(baseline: Visit, rules: PercistRules = PERCIST_10, *, per_organ: int | None = None) -> PetState:
    """The state at baseline; ``per_organ`` limits how many lesions of one organ are followed."""
    scan = baseline.pet
    if scan is None:
        return PetState(None, baseline.on, None, None, (), frozenset())
    lesions = tumour_lesions(scan)
    for lesion in lesions:
        if lesion.sul_peak is None and not lesion.background:
            raise CaseError("a baseline PET lesion needs its SULpeak, got none", visit=baseline.id, lesion=lesion.id)
    threshold = measurable_threshold(scan, rules)
    hottest = lesions[0].sul_peak if lesions else None
    measurable = None if threshold is None else hottest is not None and hottest >= threshold
    return PetState(
        scan, baseline.on, measurable, threshold, _followed(lesions, rules.max_lesions, per_organ),
        frozenset(x.id for x in scan.lesions),
    )


def _followed(lesions: Sequence[PetLesion], most: int, per_organ: int | None) -> tuple[str, ...]:
    kept: list[PetLesion] = []
    for lesion in lesions:
        if len(kept) < most and (per_organ is None or sum(k.site == lesion.site for k in kept) < per_organ):
            kept.append(lesion)
    return tuple(lesion.id for lesion in kept)


def not_comparable(now: PetScan, then: PetScan, rules: PercistRules = PERCIST_10) -> list[tuple[str, Reason]]:
    """Why two PETs must not be compared (rule PER-1); empty where they may be."""
    found: list[tuple[str, Reason]] = []
    mean, _, name = reference_uptake(now)
    before, _, name_before = reference_uptake(then)
    if mean is None or before is None:
        found.append(("no_reference", ("PER-1", "There is no liver or blood-pool reference on one of the scans.")))
    elif name != name_before:
        text = f"The reference region changed from {name_before} to {name}."
        found.append(("reference_region", ("PER-1", text)))
    else:
        change = abs(mean - before)
        if 100 * change > rules.reference_change_pct * before or change >= rules.reference_change_below_sul:
            text = (f"The {name} went from {float(before):g} to {float(mean):g} SUL: not within "
                    f"{rules.reference_change_pct} % and {float(rules.reference_change_below_sul):g} SUL.")
            found.append(("reference_sul", ("PER-1", text)))
    if now.uptake_min is not None and then.uptake_min is not None:
        if abs(now.uptake_min - then.uptake_min) > rules.uptake_difference_min:
            text = f"Uptake times of {float(then.uptake_min):g} and {float(now.uptake_min):g} min are too far apart."
            found.append(("uptake_time", ("PER-1", text)))
        elif min(now.uptake_min, then.uptake_min) < rules.uptake_least_min:
            text = f"An uptake time of {float(min(now.uptake_min, then.uptake_min)):g} min is too short."
            found.append(("uptake_time", ("PER-1", text)))
    if now.scanner and then.scanner and now.scanner != then.scanner:
        found.append(("scanner", ("PER-1", f"Scanner {now.scanner} instead of {then.scanner}.")))
    if now.reconstruction and then.reconstruction and now.reconstruction != then.reconstruction:
        text = f"Reconstruction {now.reconstruction} instead of {then.reconstruction}."
        found.append(("reconstruction", ("PER-1", text)))
    return found


def _is_background(lesion: PetLesion, liver_mean: Fraction | None) -> bool:
    """Below liver mean and indistinguishable from background, or gone (rule PER-3)."""
    if lesion.resolved:
        return True
    below = lesion.sul_peak is None or liver_mean is None or lesion.sul_peak < liver_mean
    return lesion.background and below


def _new_tumour(state: PetState, lesions: Sequence[PetLesion], liver: Fraction | None) -> list[str]:
    return sorted(x.id for x in lesions if (x.is_new or x.id not in state.known) and not _is_background(x, liver))


@dataclass(frozen=True, slots=True)
class _Read:
    """One follow-up PET read against the baseline; or, with ``refused``, the answer that ends it."""

    refused: Answer | None
    lesions: list[PetLesion]
    new: list[str]
    liver: Fraction | None
    all_background: bool


def _read(state: PetState, visit: Visit, rules: PercistRules) -> _Read:
    values: dict[str, Value] = {"threshold_sul": _float(state.threshold)}

    def refuse(flags: Sequence[str], reasons: Sequence[Reason]) -> _Read:
        return _Read(Answer(visit.id, visit.on, NE, values, tuple(flags), tuple(reasons)), [], [], None, False)

    scan = visit.pet
    if scan is None or state.baseline is None:
        which = "at this visit" if scan is None else "at baseline"
        return refuse(["no_pet"], [("PER-1", f"There is no PET {which}.")])
    why = not_comparable(scan, state.baseline, rules)
    if why:
        return refuse([f"not_comparable:{name}" for name, _ in why], [reason for _, reason in why])
    lesions = tumour_lesions(scan)
    liver = scan.liver_mean if scan.liver_mean is not None else reference_uptake(scan)[0]
    new = _new_tumour(state, lesions, liver)
    if not state.measurable and not new:
        if state.threshold is None:
            return refuse(["no_reference"], [("PER-2", "The reference region of the baseline has no SD.")])
        text = f"No baseline lesion reaches {float(state.threshold):g} SUL."
        return refuse(["no_measurable_lesion"], [("PER-2", text)])
    unread = [x.id for x in lesions if x.sul_peak is None and not _is_background(x, liver)]
    if unread and not new:
        return refuse(["not_evaluated"], [("R11-E1", f"PET lesion {', '.join(unread)} has no SULpeak.")])
    if not lesions:
        return refuse(["no_lesion_recorded"], [("R11-E1", "No PET lesion is recorded; a gone lesion is background.")])
    gone = all(_is_background(x, liver) for x in lesions)
    return _Read(None, lesions, new, liver, gone)


def _hottest_change(state: PetState, read: _Read) -> tuple[Fraction | None, Fraction | None, Fraction | None]:
    """SULpeak of the hottest lesion now, its change in percent and in SUL; not necessarily the same lesion."""
    assert state.baseline is not None
    before = next((x.sul_peak for x in tumour_lesions(state.baseline) if x.sul_peak is not None), None)
    now = next((x.sul_peak for x in read.lesions if x.sul_peak is not None), None)
    if now is None or before is None:
        return now, None, None
    return now, percent_change(now, before), now - before


def _values(state: PetState, read: _Read) -> tuple[dict[str, Value], Fraction | None, Fraction | None]:
    hottest, pct, delta = _hottest_change(state, read)
    assert state.baseline is not None
    before = next((x.sul_peak for x in tumour_lesions(state.baseline) if x.sul_peak is not None), None)
    values: dict[str, Value] = {
        "threshold_sul": _float(state.threshold),
        "sul_peak": _float(hottest),
        "baseline_sul_peak": _float(before),
        "delta_pct": _float(pct),
        "delta_sul": _float(delta),
        "new_lesions": len(read.new),
    }
    return values, pct, delta


def step_percist(
    state: PetState, visit: Visit, options: Options, rules: PercistRules = PERCIST_10
) -> tuple[PetState, Answer]:
    """PERCIST 1.0 at one visit (rules PER-1 to PER-6; DEC-14)."""
    read = _read(state, visit, rules)
    if read.refused is not None:
        return state, read.refused
    values, pct, delta = _values(state, read)
    values["weeks"] = (visit.on - state.began_on).days / 7
    values.update(_secondary(state, read, rules))
    flags: list[str] = []
    if read.new:
        overall, why = PMD, ("PER-5", f"New FDG-avid lesion {', '.join(read.new)}.")
        flags.append("new_lesion")
    elif read.all_background:
        overall, why = CMR, ("PER-3", "All uptake is below liver and indistinguishable from background.")
    elif pct is None or delta is None:
        overall, why = NE, ("R11-E1", "The hottest lesion has no SULpeak at baseline or now.")
    elif _rises(pct, delta, options, rules):
        overall, why = PMD, ("PER-5", f"SULpeak {float(pct):+.1f} % and {float(delta):+.2f}.")
    elif _extends(state, visit, delta, rules):
        overall, why = PMD, ("PER-5", "Visible extension, or TLG up by 75 %, without decline of SUL.")
        flags.append("extension")
    elif -pct >= rules.pmr_decrease_pct and -delta >= rules.pmr_decrease_sul:
        overall, why = PMR, ("PER-4", f"SULpeak {float(pct):+.1f} % and {float(delta):+.2f}.")
    else:
        overall, why = SMD, ("PER-4", f"SULpeak {float(pct):+.1f} % and {float(delta):+.2f}: neither limb pair is met.")
    reasons: list[Reason] = [why]
    if overall == PMD and not read.new:
        last = visit.on + timedelta(days=rules.confirm_days)
        values["confirm_from"], values["confirm_to"] = visit.on + timedelta(days=1), last
        reasons.append(("PER-5", f"To be confirmed by {last}, unless RECIST 1.1 progresses too."))
    return state, Answer(visit.id, visit.on, overall, values, tuple(flags), tuple(reasons))


def _rises(pct: Fraction, delta: Fraction, options: Options, rules: PercistRules) -> bool:
    if options.percist_pmd_at_30 == "at_least_30":
        return pct >= rules.pmd_above_pct and delta >= rules.pmd_above_sul
    return pct > rules.pmd_above_pct and delta > rules.pmd_above_sul


def _extends(state: PetState, visit: Visit, delta: Fraction, rules: PercistRules) -> bool:
    assert visit.pet is not None
    assert state.baseline is not None
    if visit.pet.visible_extension:
        return True
    then, now = _tlg(state.baseline, state.targets), _tlg(visit.pet, state.targets)
    if then is None or now is None or delta < 0:
        return False
    change = percent_change(now, then)
    return change is not None and change >= rules.tlg_increase_pct


def _tlg(scan: PetScan, targets: Sequence[str]) -> Fraction | None:
    if scan.tlg is not None:
        return scan.tlg
    values = [x.tlg for x in scan.lesions if x.id in targets and x.is_tumour]
    known = [v for v in values if v is not None]
    return sum(known, Fraction(0)) if known and len(known) == len(values) else None


def _secondary(state: PetState, read: _Read, rules: PercistRules) -> dict[str, Value]:
    """The secondary measure: sum of up to five lesions, two an organ at most, at baseline and now."""
    assert state.baseline is not None
    then = _sum_of(tumour_lesions(state.baseline), rules)
    now = _sum_of(read.lesions, rules)
    change = None if then is None or now is None else percent_change(now, then)
    return {"sum_sulpeak": _float(now), "baseline_sum_sulpeak": _float(then), "sum_delta_pct": _float(change)}


def _sum_of(lesions: Sequence[PetLesion], rules: PercistRules) -> Fraction | None:
    kept = set(_followed(lesions, rules.max_lesions, rules.max_per_organ))
    values = [x.sul_peak for x in lesions if x.id in kept]
    return None if any(v is None for v in values) else sum((v for v in values if v is not None), Fraction(0))


def step_impercist5(
    state: PetState,
    visit: Visit,
    options: Options,
    rules: ImPercist5Rules = IMPERCIST5,
    percist: PercistRules = PERCIST_10,
) -> tuple[PetState, Answer]:
    """imPERCIST5 at one visit (rules IMP-1, IMP-2): the five hottest among followed and new lesions are summed."""
    read = _read(state, visit, percist)
    if read.refused is not None:
        return state, read.refused
    assert state.baseline is not None
    assert visit.pet is not None
    then = sum((x.sul_peak or Fraction(0) for x in state.baseline.lesions if x.id in state.targets), Fraction(0))
    listed = {x.id: x for x in read.lesions}
    missing = [id_ for id_ in state.targets if id_ not in listed and _is_unlisted_tumour(id_, visit.pet)]
    summed = [x for x in read.lesions if x.id in state.targets or x.id in read.new]
    now = sum(sorted((x.sul_peak or Fraction(0) for x in summed), reverse=True)[: rules.max_lesions], Fraction(0))
    pct = percent_change(now, then)
    values: dict[str, Value] = {
        "threshold_sul": _float(state.threshold),
        "sum_sulpeak": _float(now),
        "baseline_sum_sulpeak": _float(then),
        "delta_pct": _float(pct),
        "delta_sul": _float(now - then),
        "new_lesions": len(read.new),
    }
    flags: list[str] = ["new_lesion"] if read.new else []
    reasons: list[Reason] = []
    if read.new:
        reasons.append(("IMP-2", f"New lesion {', '.join(read.new)} may enter the sum; it is no progression per se."))
    if pct is None:
        overall, why = NE, ("R11-E1", "The sum at baseline is zero.")
    elif pct >= rules.pmd_increase_pct:
        overall, why = PMD, ("IMP-1", f"Sum of SULpeak {float(pct):+.1f} %.")
    elif missing:
        overall, why = NE, ("R11-E1", f"Lesion {', '.join(missing)} was not evaluated.")
        values.update(sum_sulpeak=None, delta_pct=None, delta_sul=None)
    elif read.all_background:
        overall, why = CMR, ("IMP-1", "All lesions are at background.")
    elif -pct >= rules.pmr_decrease_pct:
        overall, why = PMR, ("IMP-1", f"Sum of SULpeak {float(pct):+.1f} %.")
    else:
        overall, why = SMD, ("IMP-1", f"Sum of SULpeak {float(pct):+.1f} %: neither limb is met.")
    reasons.append(why)
    return state, Answer(visit.id, visit.on, overall, values, tuple(flags), tuple(reasons))


def _is_unlisted_tumour(id_: str, scan: PetScan) -> bool:
    """Whether a followed lesion is missing, not merely re-read as inflammation."""
    return not any(x.id == id_ and not x.is_tumour for x in scan.lesions)


def step_unconfirmed(
    state: PetState,
    visit: Visit,
    options: Options,
    rules: UnconfirmedPetRules,
    percist: PercistRules = PERCIST_10,
) -> tuple[PetState, Answer]:
    """iPERCIST at one visit (rule IPE-1): progression is unconfirmed until a later PET still shows it."""
    if state.confirmed_on is not None:
        text = f"Progression was confirmed on {state.confirmed_on}: nothing is scored after it."
        return state, Answer(visit.id, visit.on, None, {}, (), (("IPE-1", text),))
    read = _read(state, visit, percist)
    if read.refused is not None:
        return state, read.refused
    values, pct, _ = _values(state, read)
    flags: list[str] = []
    reasons: list[Reason] = []
    progressing = bool(read.new) or (pct is not None and pct >= rules.upmd_increase_pct)
    what = f"new lesion {', '.join(read.new)}" if read.new else f"SULpeak {float(pct or 0):+.1f} %"
    after = state
    if state.opened_on is not None:
        days = (visit.on - state.opened_on).days
        first, last = _window(state.opened_on, rules)
        if days < rules.confirm_from_days:
            values["confirm_from"], values["confirm_to"] = first, last
            text = f"This PET comes {days} days after the UPMD, before {rules.confirm_from_days}: it cannot decide."
            flags.append("early_scan")
            return state, Answer(visit.id, visit.on, UPMD, values, tuple(flags), (("IPE-1", text),))
        late = rules.confirm_to_days is not None and days > rules.confirm_to_days
        if late:
            flags.append("late_confirmation_scan")
        if progressing and not (late and options.late_confirmation == "not_usable"):
            reasons.append(("IPE-1", f"Progression persists after {days} days ({what}): confirmed."))
            after = replace(state, opened_on=None, confirmed_on=visit.on)
            return after, Answer(visit.id, visit.on, CPMD, values, tuple(flags), tuple(reasons))
        if not progressing:
            reasons.append(("IPE-1", f"Progression is not confirmed after {days} days: reset."))
            after = replace(state, opened_on=None)
    if progressing:
        opened_on = after.opened_on or visit.on
        after = replace(after, opened_on=opened_on)
        values["confirm_from"], values["confirm_to"] = _window(opened_on, rules)
        overall, why = UPMD, ("IPE-1", f"Progression not yet confirmed: {what}.")
        if read.new:
            flags.append("new_lesion")
    elif read.all_background:
        overall, why = CMR, ("PER-3", "All uptake is below liver and indistinguishable from background.")
    elif pct is None:
        overall, why = NE, ("R11-E1", "The hottest lesion has no SULpeak at baseline or now.")
    elif -pct >= rules.pmr_decrease_pct:
        overall, why = PMR, ("IPE-1", f"SULpeak {float(pct):+.1f} %.")
    else:
        overall, why = SMD, ("IPE-1", f"SULpeak {float(pct):+.1f} %.")
    reasons.append(why)
    return after, Answer(visit.id, visit.on, overall, values, tuple(flags), tuple(reasons))


def _window(opened_on: date, rules: UnconfirmedPetRules) -> tuple[date, date]:
    last = rules.confirm_to_days if rules.confirm_to_days is not None else 2 * rules.confirm_from_days
    return opened_on + timedelta(days=rules.confirm_from_days), opened_on + timedelta(days=last)


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


_ORDER = (CMR, PMR, SMD, PMD, CPMD, UPMD, NE)


def _summary(answers: Sequence[Answer], progression: tuple[str, ...]) -> dict[str, Value]:
    words = [a.overall for a in answers if a.overall is not None]
    return {
        "best_response": next((w for w in _ORDER if w in words), NE),
        "progression_date": next((a.on for a in answers if a.overall in progression), None),
    }


def states_percist(case: Case) -> Iterator[tuple[PetState, Answer]]:
    """The fold over visits by PERCIST 1.0."""
    state = start(need_baseline(case), per_organ=PERCIST_10.max_per_organ)
    for visit in case.followups:
        state, answer = step_percist(state, visit, case.options)
        yield state, answer


def states_impercist5(case: Case) -> Iterator[tuple[PetState, Answer]]:
    """The fold over visits by imPERCIST5."""
    state = start(need_baseline(case))
    for visit in case.followups:
        state, answer = step_impercist5(state, visit, case.options)
        yield state, answer


def states_ipercist(case: Case, rules: UnconfirmedPetRules = IPERCIST) -> Iterator[tuple[PetState, Answer]]:
    """The fold over visits by iPERCIST, or by other rules of its kind."""
    state = start(need_baseline(case), per_organ=PERCIST_10.max_per_organ)
    for visit in case.followups:
        state, answer = step_unconfirmed(state, visit, case.options, rules)
        yield state, answer


def states_impercist_review(case: Case) -> Iterator[tuple[PetState, Answer]]:
    """The fold over visits by the scheme some reviews call imPERCIST."""
    return states_ipercist(case, IMPERCIST_REVIEW)


def score_percist(case: Case) -> Scored:
    """PERCIST 1.0 for one patient."""
    answers = tuple(answer for _, answer in states_percist(case))
    return Scored(answers=answers, summary=_summary(answers, (PMD,)))


def score_impercist5(case: Case) -> Scored:
    """imPERCIST5 for one patient."""
    answers = tuple(answer for _, answer in states_impercist5(case))
    return Scored(answers=answers, summary=_summary(answers, (PMD,)))


def score_ipercist(case: Case) -> Scored:
    """iPERCIST for one patient."""
    return _scored_unconfirmed(tuple(states_ipercist(case)))


def score_impercist_review(case: Case) -> Scored:
    """The scheme some reviews call imPERCIST, for one patient."""
    return _scored_unconfirmed(tuple(states_impercist_review(case)))


def _scored_unconfirmed(folded: Sequence[tuple[PetState, Answer]]) -> Scored:
    answers = tuple(answer for _, answer in folded)
    summary = _summary(answers, (CPMD,))
    opened: date | None = None
    for answer in answers:
        if answer.overall == UPMD:
            opened = opened or answer.on
        elif answer.overall in (CMR, PMR, SMD):
            opened = None
        elif answer.overall == CPMD:
            break
    # Dated as iRECIST dates it: the first unconfirmed progression of the block that was confirmed or is still open.
    summary["progression_date"] = opened
    return Scored(answers=answers, summary=summary)
