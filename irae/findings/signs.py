"""Signs held against their cut-offs, and what they come to together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from irae.core.context import ContextKind
from irae.core.exam import Exam
from irae.core.finding import Evidence, Quantities
from irae.core.numbers import reaches
from irae.core.result import ExamResult
from irae.findings.baseline import BaselineValue, baseline_value
from irae.findings.rules import Change, CommonRules, Cutoff, IraeRules, Modality, RuleSet, Sign

# Where the contrast phase can be read off, best first.
_PHASE_ORGANS = ("aorta.hu", "spleen.hu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One sign at one exam: its evidence, its log-odds (0 where not judged), why it was not judged, and whether a
    healthy baseline showed it already.
    """

    sign: Sign
    evidence: Evidence
    log_odds: float
    why_not: str = ""
    at_baseline: bool = False


def judge_signs(
    rules: IraeRules, exam: Exam, quantities: Quantities, earlier: Sequence[ExamResult],
    gates: Mapping[Modality, str], rule_set: RuleSet,
) -> tuple[Judged, ...]:
    """Every sign of an irAE that has a number or should have one, in the rules' order."""
    judged = [
        item
        for sign in for_patient(rules.signs, exam)
        if (item := _judge(sign, exam, quantities, earlier, gates, rule_set)) is not None
    ]
    return tuple(_known_before(item, judged, rules, exam, earlier, rule_set) for item in judged)


def _known_before(
    item: Judged, judged: Sequence[Judged], rules: IraeRules, exam: Exam, earlier: Sequence[ExamResult],
    rule_set: RuleSet,
) -> Judged:
    """A sign that this patient had at a healthy baseline already counts no more than its change since then."""
    sign = item.sign
    if item.why_not or sign.shown_only or sign.change is not Change.ABSOLUTE or item.log_odds <= 0:
        return item
    baseline = baseline_value(sign.quantity, exam, earlier, rule_set.common)
    if baseline is None or not sign.cutoff.met(baseline.value) or not baseline.healthy(rules.irae):
        return item
    since = [
        other.log_odds
        for other in judged
        if other.sign.quantity == sign.quantity and other.sign.change is not Change.ABSOLUTE and not other.why_not
    ]
    return replace(item, log_odds=min(item.log_odds, max(since)), at_baseline=True) if since else item


def for_patient(signs: Sequence[Sign], exam: Exam) -> tuple[Sign, ...]:
    """The signs with the cut-offs that hold for this patient's sex; women's where it is unknown."""
    sex = (exam.context.latest(ContextKind.SEX, exam.acquired_on) or "").strip().upper()[:1]
    if sex != "M":
        return tuple(signs)
    return tuple(replace(sign, cutoff=sign.cutoff_men) if sign.cutoff_men is not None else sign for sign in signs)


def changed(change: Change, now: float, baseline: BaselineValue | None) -> float | None:
    """The number a cut-off of this kind is held against; None where there is no usable baseline."""
    if change is Change.ABSOLUTE:
        return now
    if baseline is None:
        return None
    if change is Change.DIFFERENCE:
        return now - baseline.value
    if baseline.value <= 0:
        return None
    ratio = now / baseline.value
    return ratio if change is Change.RATIO else 100.0 * (ratio - 1.0)


def log_odds(sign: Sign, value: float) -> float:
    """From ``if_not`` at one span short of the cut-off to ``if_met`` at one span past it, 0 at the cut-off."""
    past = (value - sign.cutoff.value) / sign.span * (1.0 if sign.cutoff.upward else -1.0)
    share = max(-1.0, min(1.0, past))
    return share * sign.if_met if share > 0 else -share * sign.if_not


def remains_of(rules: IraeRules, judged: Sequence[Judged]) -> tuple[str, ...]:
    """The met signs of a late phase whose active signs have fallen silent; empty where it is not in that phase."""
    aftermath = rules.aftermath
    if aftermath is None or any(item.sign.group == aftermath.silent and item.evidence.met for item in judged):
        return ()
    return tuple(item.sign.name for item in judged if item.sign.name in aftermath.signs and item.evidence.met)


def unmet_requirements(rules: IraeRules, judged: Sequence[Judged]) -> tuple[str, ...]:
    """The required groups of which no sign is met."""
    met = {item.sign.group for item in judged if item.evidence.met and not item.sign.shown_only}
    return tuple(group for group in rules.required if group not in met)


def rule_log_odds(
    rules: IraeRules, judged: Sequence[Judged], terms: Sequence[tuple[str, float]], *, known: bool = False
) -> float | None:
    """Log-odds of the rule arm: prior, context, and the strongest sign of each group; None if nothing was judged.

    In the late phase of a disease that burns out, a known episode speaks for it.

    Args:
        rules, judged: The irAE and its signs.
        terms: Context terms, by name.
        known: Whether an earlier exam suspected it.
    """
    groups = group_log_odds(rules, judged)
    if not groups:
        return None
    total = rules.prior + sum(value for _, value in terms)
    if rules.aftermath is not None and known and remains_of(rules, judged):
        total += rules.aftermath.known
    return total + sum(groups.values())


def group_log_odds(rules: IraeRules, judged: Sequence[Judged]) -> dict[str, float]:
    """Log-odds of the strongest sign of each group; a group of which nothing was judged is left out.

    In the late phase of a disease that burns out, its silent group does not speak against it.
    """
    groups: dict[str, float] = {}
    for item in judged:
        if not item.why_not and not item.sign.shown_only:
            groups[item.sign.group] = max(groups.get(item.sign.group, -math.inf), item.log_odds)
    if groups and rules.aftermath is not None and remains_of(rules, judged):
        silent = rules.aftermath.silent
        groups[silent] = max(0.0, groups.get(silent, 0.0))
    return groups


def severity_of(
    rules: IraeRules, judged: Sequence[Judged], exam: Exam, quantities: Quantities, earlier: Sequence[ExamResult],
    gates: Mapping[Modality, str], rule_set: RuleSet,
) -> int:
    """Radiological severity 1-3 of a suspected irAE: the highest step that is reached, on images that are judged."""
    gated = {sign.quantity for sign in rules.signs if sign.modality in gates}
    remains = remains_of(rules, judged)
    late = {(item.sign.quantity, item.sign.change) for item in judged if item.sign.name in remains}
    reached = 1
    for step in rules.severity:
        now = quantities.get(step.quantity)
        replaced = step.unless and quantities.get(step.unless) is not None
        if replaced and step.unless_needs is not None:
            replaced = _believed(step.unless_needs, quantities, None)
        if now is None or step.quantity in gated or replaced:
            continue
        if step.late and (step.quantity, step.change) not in late:
            continue
        value = changed(step.change, now, baseline_value(step.quantity, exam, earlier, rule_set.common))
        if value is not None and step.cutoff.met(value):
            reached = max(reached, step.severity)
    return reached


def _judge(
    sign: Sign, exam: Exam, quantities: Quantities, earlier: Sequence[ExamResult], gates: Mapping[Modality, str],
    rule_set: RuleSet,
) -> Judged | None:
    measured = quantities.values.get(sign.quantity)
    if measured is None or (sign.shown_only and measured.value is None):
        return None
    if measured.value is None:
        return _not_judged(sign, None, measured.why or "not measured")
    baseline = baseline_value(sign.quantity, exam, earlier, rule_set.common)
    value = changed(sign.change, measured.value, baseline)
    if value is None:
        return _not_judged(sign, None, "no baseline of this measurement")
    if sign.modality in gates:
        return _not_judged(sign, value, gates[sign.modality])
    if sign.needs is not None and not _believed(sign.needs, quantities, None if baseline is None else baseline.exam):
        return _not_judged(sign, value, f"{sign.needs[0].replace('_', ' ')} is under {sign.needs[1]:g}")
    if sign.least_left is not None and baseline is not None and sign.change is not Change.ABSOLUTE:
        name, share = sign.least_left
        left, whole = quantities.get(name), baseline.exam.quantities.get(name)
        if left is not None and whole is not None and left < share * whole:
            return _not_judged(
                sign, value, f"its mask holds {100 * left / whole:.0f} % of the baseline's, too little for a disease"
            )
    if sign.native_only and not _native(quantities, rule_set):
        return _not_judged(sign, value, "it needs a CT without contrast")
    if sign.modality is Modality.PET and baseline is not None and sign.change is not Change.ABSOLUTE:
        moved = blood_pool_moved(quantities, baseline.exam, rule_set.common)
        if moved:
            return _not_judged(sign, value, moved)
    if sign.phase_bound and baseline is not None and not _phase_matches(quantities, baseline, rule_set):
        return _not_judged(sign, value, "the contrast phase differs from the baseline's, or is unknown")
    counts = log_odds(sign, value)
    read = quantities.get(sign.read_percent) if sign.read_percent and counts < 0 else None
    return Judged(
        sign=sign, evidence=_evidence(sign, value, sign.cutoff.met(value)),
        log_odds=counts if read is None else counts * min(1.0, read / 100.0),
    )


def _not_judged(sign: Sign, value: float | None, why: str) -> Judged:
    return Judged(sign=sign, evidence=_evidence(sign, value, None), log_odds=0.0, why_not=why)


def _evidence(sign: Sign, value: float | None, met: bool | None) -> Evidence:
    cutoff: Cutoff = sign.cutoff
    unit = "%" if sign.change is Change.PERCENT else "1" if sign.change is Change.RATIO else cutoff.unit
    return Evidence(
        name=sign.name, value=value, unit=unit, reference=cutoff.reference, source=cutoff.source, met=met
    )


def _believed(needs: tuple[str, float], quantities: Quantities, baseline: ExamResult | None) -> bool:
    """Whether no mask is known to be too poor, now or at the baseline it is compared with."""
    name, least = needs
    values = [quantities.get(name)] + ([] if baseline is None else [baseline.quantities.get(name)])
    return all(value is None or reaches(value, least) for value in values)


def _native(quantities: Quantities, rule_set: RuleSet) -> bool:
    aorta = quantities.get("aorta.hu")
    return aorta is not None and aorta <= rule_set.common.native_hu


def blood_pool_moved(quantities: Quantities, baseline: ExamResult, rules: CommonRules) -> str:
    """Why two PETs are not comparable: the blood pool moved beyond the patient's own range; empty where they are."""
    now, then = quantities.get("pet.blood_pool_mean"), baseline.quantities.get("pet.blood_pool_mean")
    if now is None or then is None or abs(now - then) <= rules.blood_pool_change + 1e-6:
        return ""
    limit = rules.blood_pool_change
    return f"the blood pool moved by {now - then:+.2f} g/mL (own range +-{limit:g}, Boktor 2013): not comparable PETs"


def _phase_matches(quantities: Quantities, baseline: BaselineValue, rule_set: RuleSet) -> bool:
    for name in _PHASE_ORGANS:
        now, then = quantities.get(name), baseline.exam.quantities.get(name)
        if now is not None and then is not None:
            return abs(now - then) <= rule_set.common.phase_hu
    return False


