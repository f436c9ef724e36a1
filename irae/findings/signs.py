"""Signs held against their cut-offs, and what they come to together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from irae.core.context import ContextKind
from irae.core.exam import Exam
from irae.core.finding import Evidence, Quantities
from irae.core.result import ExamResult
from irae.findings.baseline import BaselineValue, baseline_value
from irae.findings.rules import Change, Cutoff, IraeRules, Modality, RuleSet, Sign

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


def rule_log_odds(rules: IraeRules, judged: Sequence[Judged], terms: Sequence[tuple[str, float]]) -> float | None:
    """Log-odds of the rule arm: prior, context, and the strongest sign of each group; None if nothing was judged."""
    groups: dict[str, float] = {}
    for item in judged:
        if item.why_not or item.sign.shown_only:
            continue
        group = item.sign.group
        groups[group] = max(groups.get(group, -math.inf), item.log_odds)
    if not groups:
        return None
    return rules.prior + sum(value for _, value in terms) + sum(groups.values())


def severity_of(
    rules: IraeRules, exam: Exam, quantities: Quantities, earlier: Sequence[ExamResult],
    gates: Mapping[Modality, str], rule_set: RuleSet,
) -> int:
    """Radiological severity 1-3 of a suspected irAE: the highest step that is reached, on images that are judged."""
    gated = {sign.quantity for sign in rules.signs if sign.modality in gates}
    reached = 1
    for step in rules.severity:
        now = quantities.get(step.quantity)
        if now is None or step.quantity in gated or (step.unless and quantities.get(step.unless) is not None):
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
    if sign.phase_bound and baseline is not None and not _phase_matches(quantities, baseline, rule_set):
        return _not_judged(sign, value, "the contrast phase differs from the baseline's, or is unknown")
    evidence = _evidence(sign, value, sign.cutoff.met(value))
    return Judged(sign=sign, evidence=evidence, log_odds=log_odds(sign, value))


def _not_judged(sign: Sign, value: float | None, why: str) -> Judged:
    return Judged(sign=sign, evidence=_evidence(sign, value, None), log_odds=0.0, why_not=why)


def _evidence(sign: Sign, value: float | None, met: bool | None) -> Evidence:
    cutoff: Cutoff = sign.cutoff
    unit = "%" if sign.change is Change.PERCENT else "1" if sign.change is Change.RATIO else cutoff.unit
    return Evidence(
        name=sign.name, value=value, unit=unit, reference=cutoff.reference, source=cutoff.source, met=met
    )


def _phase_matches(quantities: Quantities, baseline: BaselineValue, rule_set: RuleSet) -> bool:
    for name in _PHASE_ORGANS:
        now, then = quantities.get(name), baseline.exam.quantities.get(name)
        if now is not None and then is not None:
            return abs(now - then) <= rule_set.common.phase_hu
    return False


