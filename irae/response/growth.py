"""Tumour growth rate and kinetics, and the published definitions of hyperprogression side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from irae.core.numbers import exceeds, reaches
from irae.response.options import Options
from irae.response.rules import HYPERPROGRESSION, HyperprogressionRules
from irae.response.values import Case, CaseError, Reason, Scored, Value, Visit, VisitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """Growth between two scans. TGR: % volume per month (Ferte 2014); TGK: mm per month; None where undefined."""

    tgr: float | None
    tgk: float


def slope(from_mm: Fraction, to_mm: Fraction, days: int, month_days: float) -> Slope:
    """TG = 3 ln(D2 / D1) / t, TGR = 100 (e^TG - 1), TGK = (D2 - D1) / t, t in months.

    Raises:
        ValueError: If the second scan is not after the first.
    """
    if days <= 0:
        raise ValueError(f"growth needs two scans in order, got {days} days between them")
    months = days / month_days
    tgk = float(to_mm - from_mm) / months
    if from_mm <= 0 or to_mm <= 0:
        return Slope(tgr=None, tgk=tgk)
    return Slope(tgr=100.0 * math.expm1(3.0 * math.log(float(to_mm / from_mm)) / months), tgk=tgk)


def all_of(*limbs: bool | None) -> bool | None:
    """Three-valued and: False if any limb fails, else None if any is unknown."""
    if any(limb is False for limb in limbs):
        return False
    return None if any(limb is None for limb in limbs) else True


def any_of(*limbs: bool | None) -> bool | None:
    """Three-valued or: True if any limb holds, else None if any is unknown."""
    if any(limb is True for limb in limbs):
        return True
    return None if any(limb is None for limb in limbs) else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the definitions of hyperprogression read: growth before and under treatment, and clinical facts.

    ``None`` means unknown, except ``fails_early``: False where the treatment is known not to have failed early.
    """

    before: Slope | None
    under: Slope | None
    baseline_mm: Fraction | None = None
    now_mm: Fraction | None = None
    days: int | None = None
    is_pd: bool | None = None
    fails_early: bool | None = None
    new_lesion_organs: int | None = None
    new_in_involved_organ: int | None = None
    spreads: bool | None = None
    ecog: int | None = None


def hyperprogression(
    growth: Growth, options: Options, rules: HyperprogressionRules = HYPERPROGRESSION
) -> dict[str, tuple[bool | None, Reason]]:
    """Every published definition: its answer (None where the data cannot say) and why (rules HPD-1 to HPD-7)."""
    before, under = growth.before, growth.under
    tgr = None if before is None or under is None else _ratio(under.tgr, before.tgr)
    tgk = None if before is None or under is None else _ratio(under.tgk, before.tgk)
    delta = None
    if before is not None and under is not None and before.tgr is not None and under.tgr is not None:
        delta = under.tgr - before.tgr
    by_tgr = _at_least_double(tgr, before.tgr if before else None, under.tgr if under else None, options, rules)
    by_tgk = _at_least_double(tgk, before.tgk if before else None, under.tgk if under else None, options, rules)
    pace = None if tgk is None else exceeds(tgk, rules.ratio)
    if tgk is None and options.hpd_without_growth_before == "hpd":
        pace = by_tgk
    rise = None
    if growth.baseline_mm is not None and growth.now_mm is not None:
        rise = growth.now_mm - growth.baseline_mm
    base = growth.baseline_mm
    ferrara = None if delta is None else exceeds(delta, rules.ferrara_delta_tgr_above)
    kas = None if delta is None else exceeds(delta, rules.kas_delta_tgr_above)
    ecog = None if growth.ecog is None else growth.ecog >= rules.lo_russo_ecog
    new = growth.new_in_involved_organ
    two_new = None if new is None else new >= rules.lo_russo_new_lesions
    five = (growth.fails_early, _rise(rise, base, rules.lo_russo_increase_pct), two_new, growth.spreads, ecog)
    new_organs = None if growth.new_lesion_organs is None else growth.new_lesion_organs >= rules.matos_new_organs
    matos = all_of(
        growth.is_pd,
        None if growth.days is None else growth.days <= rules.matos_days,
        None if rise is None else rise >= rules.matos_increase_mm,
        any_of(
            _rise(rise, base, rules.matos_increase_pct),
            all_of(_rise(rise, base, rules.matos_with_new_pct), new_organs),
        ),
    )
    ratio_text = f"TGR ratio {_show(tgr)}, TGK ratio {_show(tgk)}, delta TGR {_show(delta)} points per month"
    return {
        "champiat": (all_of(growth.is_pd, by_tgr), ("HPD-1", f"Progression and TGR ratio >= 2: {ratio_text}.")),
        "saada_bouzid": (by_tgk, ("HPD-2", f"TGK ratio >= 2: {ratio_text}.")),
        "ferrara": (all_of(growth.is_pd, ferrara), ("HPD-3", f"Progression and delta TGR > 50: {ratio_text}.")),
        "kato": (
            all_of(growth.fails_early, _rise(rise, base, rules.kato_increase_above_pct, above=True), pace),
            ("HPD-4", f"Failure within 2 months, burden > +50 % and pace > 2-fold: {ratio_text}."),
        ),
        "lo_russo": (_at_least(five, rules.lo_russo_needed), ("HPD-5", "At least three of five criteria.")),
        "matos": (matos, ("HPD-6", "Progression in 8 weeks, +10 mm, and +40 % or +20 % with new lesions in 2 organs.")),
        "kas_delta100": (kas, ("HPD-7", f"Delta TGR > 100: {ratio_text}.")),
    }


def _ratio(under: float | None, before: float | None) -> float | None:
    """Growth under treatment over growth before; undefined where there was none before (DEC-15)."""
    return None if under is None or before is None or not exceeds(before, 0.0) else under / before


def _at_least_double(
    ratio: float | None, before: float | None, under: float | None, options: Options, rules: HyperprogressionRules
) -> bool | None:
    if ratio is not None:
        return reaches(ratio, rules.ratio)
    if before is not None and under is not None and options.hpd_without_growth_before == "hpd":
        return exceeds(under, 0.0)
    return None


def _rise(rise: Fraction | None, base: Fraction | None, pct: int, *, above: bool = False) -> bool | None:
    if rise is None or base is None or base <= 0:
        return None
    return 100 * rise > pct * base if above else 100 * rise >= pct * base


def _at_least(limbs: tuple[bool | None, ...], needed: int) -> bool | None:
    """Three-valued "at least so many": None where the unknown limbs could still decide."""
    met = sum(limb is True for limb in limbs)
    if met >= needed:
        return True
    return None if met + sum(limb is None for limb in limbs) >= needed else False


def _show(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def read_growth(case: Case) -> tuple[Growth, Visit]:
    """Growth before and under treatment from the sums that a case gives.

    Raises:
        CaseError: If there is no baseline sum or no follow-up.
    """
    baseline, now = case.baseline, next(iter(case.followups), None)
    if baseline is None or baseline.facts.sum_mm is None:
        raise CaseError("growth needs the sum at baseline", patient=case.id)
    if now is None or now.facts.sum_mm is None:
        raise CaseError("growth needs the sum at the first scan on treatment", patient=case.id)
    # The last scan before the baseline is the reference.
    before = next((v for v in reversed(case.visits)
                   if v.kind is VisitKind.PREBASELINE and v.facts.sum_mm is not None), None)
    month = case.options.month_days
    facts = now.facts
    early = None
    if facts.ttf_days is not None:
        early = facts.ttf_days < HYPERPROGRESSION.early_failure_below_months * month
    elif "ttf_days" in facts.given:
        early = False  # given as null: the treatment has not failed
    new_organs = len(set(facts.new_lesions_organs)) if "new_lesions_organs" in facts.given else None
    base_mm, now_mm = baseline.facts.sum_mm, now.facts.sum_mm
    growth = Growth(
        before=None if before is None or before.facts.sum_mm is None
        else slope(before.facts.sum_mm, base_mm, (baseline.on - before.on).days, month),
        under=slope(base_mm, now_mm, (now.on - baseline.on).days, month),
        baseline_mm=base_mm,
        now_mm=now_mm,
        days=(now.on - baseline.on).days,
        is_pd=None if facts.recist is None else facts.recist == "PD",
        fails_early=early,
        new_lesion_organs=new_organs,
        new_in_involved_organ=facts.new_lesions_in_involved_organ,
        spreads=facts.spread_to_new_organ,
        ecog=facts.ecog,
    )
    return growth, now


def growth_values(growth: Growth) -> dict[str, Value]:
    """TGR, TGK, their ratios and difference, by the keys of the case format."""
    before, under = growth.before, growth.under
    ref_tgr = before.tgr if before else None
    exp_tgr = under.tgr if under else None
    ref_tgk = before.tgk if before else None
    exp_tgk = under.tgk if under else None
    return {
        "tgr_ref_pct_per_month": ref_tgr,
        "tgr_exp_pct_per_month": exp_tgr,
        "delta_tgr": None if ref_tgr is None or exp_tgr is None else exp_tgr - ref_tgr,
        "tgk_ref_mm_per_month": ref_tgk,
        "tgk_exp_mm_per_month": exp_tgk,
        "tgr_ratio": _ratio(exp_tgr, ref_tgr),
        "tgk_ratio": _ratio(exp_tgk, ref_tgk),
    }


def score(case: Case) -> Scored:
    """Growth before and under treatment, and every definition of hyperprogression."""
    growth, _ = read_growth(case)
    answers = hyperprogression(growth, case.options)
    return Scored(
        answers=(),
        summary={**growth_values(growth), **{name: answer for name, (answer, _) in answers.items()}},
        reasons=tuple((rule, f"{name}: {_said(answer)}. {text}") for name, (answer, (rule, text)) in answers.items()),
    )


def _said(answer: bool | None) -> str:
    return "undetermined" if answer is None else ("yes" if answer else "no")
