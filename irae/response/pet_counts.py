"""PERCIMT (number and size of new lesions), PECRIT (RECIST and SULpeak at 3-4 weeks) and LYRIC (lymphoma)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from irae.response import recist11
from irae.response.lengths import percent_change
from irae.response.metabolic import tumour_lesions
from irae.response.recist11 import need_baseline
from irae.response.rules import LYRIC, PECRIT, PERCIMT, LyricRules, PecritRules, PercimtRules
from irae.response.values import Answer, Case, CaseError, PetScan, Reason, Scored, Value, Visit

# --- PERCIMT ------------------------------------------------------------------------------------------------------


def percimt_progression(functional_mm: list[Fraction], rules: PercimtRules = PERCIMT) -> Reason | None:
    """Whether new lesions of these functional diameters are progression (rule PMT-1)."""
    for least, above in ((rules.above_15_mm, 15), (rules.above_10_mm, 10), (rules.any_size, 0)):
        count = sum(size > above for size in functional_mm) if above else len(functional_mm)
        if count >= least:
            size = f" larger than {above / 10:g} cm" if above else ""
            return "PMT-1", f"{count} new lesions{size}: at least {least} make progression."
    return None


def _percimt(visit: Visit, baseline: Visit) -> Answer:
    if visit.pet is None:
        return Answer(visit.id, visit.on, "NE", {}, ("no_pet",), (("PMT-1", "There is no PET at this visit."),))
    known = {x.id for x in baseline.pet.lesions} if baseline.pet is not None else set()
    tumour = [x for x in visit.pet.lesions if x.is_tumour]
    new = [x for x in tumour if (x.is_new or x.id not in known) and not (x.resolved or x.background)]
    unsized = [x.id for x in new if x.functional_mm is None]
    values: dict[str, Value] = {"new_lesions": len(new)}
    sizes = [x.functional_mm for x in new if x.functional_mm is not None]
    why = percimt_progression(sizes + [Fraction(0)] * len(unsized))
    if why is not None:
        return Answer(visit.id, visit.on, "PMD", values, (), (why,))
    if unsized:
        text = f"New lesion {', '.join(sorted(unsized))} has no functional diameter."
        return Answer(visit.id, visit.on, "NE", values, (), (("PMT-1", text),))
    old = [x for x in tumour if x.id in known and not x.is_new]
    if not old:
        text = f"{len(new)} new lesions are too few or too small; no other lesion is recorded."
        return Answer(visit.id, visit.on, "non-PMD", values, (), (("PMT-1", text),))
    gone = sum(x.resolved or x.background for x in old)
    if gone == len(old) and not new:
        overall, text = "CMR", "All lesions are resolved."
    elif gone and not new:
        overall, text = "PMR", f"{gone} of {len(old)} lesions are resolved and none is new."
    else:
        overall, text = "SMD", "Neither progression nor response."
    return Answer(visit.id, visit.on, overall, values, (), (("PMT-1", text),))


def states_percimt(case: Case) -> Iterator[tuple[None, Answer]]:
    """The answers of PERCIMT; it keeps no state, every visit is read against the baseline."""
    baseline = need_baseline(case)
    for visit in case.followups:
        yield None, _percimt(visit, baseline)


def score_percimt(case: Case) -> Scored:
    """PERCIMT for one patient."""
    answers = tuple(answer for _, answer in states_percimt(case))
    return Scored(answers=answers, summary={
        "progression_date": next((a.on for a in answers if a.overall == "PMD"), None),
    })


# --- PECRIT -------------------------------------------------------------------------------------------------------


def score_pecrit(case: Case, rules: PecritRules = PECRIT) -> Scored:
    """PECRIT for one patient: clinical benefit from RECIST 1.1 and the change of SULpeak (rule PEC-1)."""
    baseline = need_baseline(case)
    has_lesions = bool(baseline.targets or baseline.non_targets)
    words = {a.tp: a.overall for _, a in recist11.states(case)} if has_lesions else {}
    answers: list[Answer] = []
    for visit in case.followups:
        recist = visit.facts.recist or words.get(visit.id)
        change = visit.facts.sulpeak_change_pct
        if change is None:
            change = _hottest_change(visit.pet, baseline.pet)
        benefit, text = _benefit(recist, change, rules)
        values: dict[str, Value] = {
            "clinical_benefit": benefit,
            "recist": recist,
            "sulpeak_change_pct": None if change is None else float(change),
        }
        overall = "NE" if benefit is None else ("clinical benefit" if benefit else "no clinical benefit")
        answers.append(Answer(visit.id, visit.on, overall, values, (), (("PEC-1", text),)))
    return Scored(answers=tuple(answers), summary={
        "clinical_benefit": answers[0].values["clinical_benefit"] if answers else None,
    })


def _hottest_change(now: PetScan | None, then: PetScan | None) -> Fraction | None:
    if now is None or then is None:
        return None
    after = next((x.sul_peak for x in tumour_lesions(now) if x.sul_peak is not None), None)
    before = next((x.sul_peak for x in tumour_lesions(then) if x.sul_peak is not None), None)
    return None if after is None or before is None else percent_change(after, before)


def _benefit(recist: str | None, change: Fraction | None, rules: PecritRules) -> tuple[bool | None, str]:
    if recist in ("CR", "PR"):
        return True, f"RECIST {recist} is clinical benefit."
    if recist == "PD":
        return False, "RECIST PD is no clinical benefit."
    if recist != "SD":
        return None, f"RECIST is {recist or 'not given'}: PECRIT cannot be answered."
    if change is None:
        return None, "RECIST SD needs the change of SULpeak, which is not given."
    above = change > rules.benefit_above_pct
    least = float(rules.benefit_above_pct)
    return above, f"RECIST SD with SULpeak {float(change):+.1f} %: benefit needs more than {least:g} %."


# --- LYRIC --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LyricState:
    """What is known after a visit: SPD at baseline and nadir, mm2, and the SPD of an open IR1."""

    began_on: date
    baseline: Fraction
    nadir: Fraction
    ir1_spd: Fraction | None = None


def step_lyric(state: LyricState, visit: Visit, rules: LyricRules = LYRIC) -> tuple[LyricState, Answer]:
    """LYRIC at one visit (rule LYR-1), tested in the order PD or IR1, IR2a, IR2b, IR3, Lugano."""
    seen = visit.lymphoma
    if seen is None:
        return state, Answer(visit.id, visit.on, "NE", {}, (), (("LYR-1", "There is no SPD at this visit."),))
    now = seen.spd_mm2
    days = (visit.on - state.began_on).days
    rise = percent_change(now, state.nadir)
    is_large = now > state.nadir and (rise is None or rise >= rules.spd_increase_pct)
    fall = percent_change(now, state.baseline)
    ir1: Fraction | None = None
    text = f"SPD {float(now):g} mm2 at day {days}, nadir {float(state.nadir):g}, baseline {float(state.baseline):g}."
    if is_large:
        further = None if state.ir1_spd is None else percent_change(now, state.ir1_spd)
        if visit.clinical_deterioration:
            overall, why = "PD", f"{text} Large rise with clinical deterioration."
        elif further is not None and further >= rules.ir1_further_pct:
            overall, why = "PD", f"{text} IR1 is confirmed: SPD {float(further):+.1f} % since."
        elif days <= rules.early_days or state.ir1_spd is not None:
            overall, why = "IR1", f"{text} Large rise, clinically stable: indeterminate, re-image or biopsy."
            ir1 = state.ir1_spd if state.ir1_spd is not None else now
        else:
            overall, why = "PD", f"{text} Large rise after the first 12 weeks."
    elif seen.new_lesions > 0:
        overall, why = "IR2a", f"{text} {seen.new_lesions} new lesions without a large rise."
    elif seen.max_single_ppd_increase_pct >= rules.single_ppd_increase_pct:
        overall, why = "IR2b", f"{text} One lesion grew by {float(seen.max_single_ppd_increase_pct):g} %."
    elif seen.fdg_increase_only:
        overall, why = "IR3", f"{text} FDG uptake alone rose."
    elif now == 0 and state.baseline > 0:
        overall, why = "CR", f"{text} All measured disease is gone."
    elif fall is not None and -fall >= rules.pr_decrease_pct:
        overall, why = "PR", f"{text} SPD fell by at least half."
    else:
        overall, why = "SD", f"{text} Neither response nor a rise."
    after = LyricState(state.began_on, state.baseline, min(state.nadir, now), ir1)
    values: dict[str, Value] = {
        "spd_mm2": float(now),
        "nadir_spd_mm2": float(state.nadir),
        "delta_pct": None if rise is None else float(rise),
    }
    return after, Answer(visit.id, visit.on, overall, values, (), (("LYR-1", why),))


def states_lyric(case: Case) -> Iterator[tuple[LyricState, Answer]]:
    """The fold over visits by LYRIC; day zero is the reference date, else the baseline.

    Raises:
        CaseError: If the baseline has no SPD.
    """
    baseline = need_baseline(case)
    if baseline.lymphoma is None:
        raise CaseError("LYRIC needs the SPD at baseline", patient=case.id, visit=baseline.id)
    spd = baseline.lymphoma.spd_mm2
    state = LyricState(case.reference_date or baseline.on, spd, spd)
    for visit in case.followups:
        state, answer = step_lyric(state, visit)
        yield state, answer


def score_lyric(case: Case) -> Scored:
    """LYRIC for one patient."""
    answers = tuple(answer for _, answer in states_lyric(case))
    return Scored(answers=answers, summary={
        "progression_date": next((a.on for a in answers if a.overall == "PD"), None),
    })
