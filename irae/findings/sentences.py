"""The reasons of an answer, as sentences a reader can check, the strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irae.core.anatomy import BY_NAME, organs_of
from irae.core.exam import Exam
from irae.core.finding import ConformalSet, Decision, LearnedScore, OrganFinding
from irae.core.volume import Coverage, LabelMap
from irae.findings.confounders import Confounded
from irae.findings.fusion import Fused
from irae.findings.rules import IraeRules, Modality
from irae.findings.signs import Judged


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Told:
    """Everything an answer rests on, for its reasons."""

    rules: IraeRules
    judged: Sequence[Judged]
    context: Confounded
    rule: float | None
    learned: LearnedScore | None
    fused: Fused
    suspected: bool
    past: Sequence[OrganFinding]
    severity: int
    lacking: Sequence[str]
    why_design: str
    remains: Sequence[str]


def reasons(told: Told, exam: Exam, labels: LabelMap | None) -> tuple[str, ...]:
    """Sentences, the strongest first: what phase it is in, signs for the decision, then against it, then limits."""
    rules, judged, learned, suspected = told.rules, told.judged, told.learned, told.suspected
    counted = sorted(
        (item for item in judged if not item.why_not and not item.sign.shown_only),
        key=lambda item: item.log_odds, reverse=suspected,
    )
    agreeing = [item for item in counted if (item.log_odds > 0) == suspected]
    others = [item for item in counted if item not in agreeing]
    lines = []
    if suspected and told.remains and rules.aftermath is not None:
        lines.append(rules.aftermath.phase)
    lines += [sign_sentence(item) for item in (*agreeing, *others)]
    lines += [sign_sentence(item) for item in judged if item.sign.shown_only and item.evidence.met]
    if told.lacking:
        lines.append(f"It is suspected only together with a sign of: {', '.join(told.lacking)}.")
    if learned is not None:
        kind = "calibrated" if learned.calibrated else "uncalibrated"
        agrees = "agrees" if (learned.probability >= learned.threshold) == suspected else "disagrees"
        limit = f"{kind}, threshold {learned.threshold:.2f}"
        lines.append(f"The learned score is {learned.probability:.2f} ({limit}): {agrees}.")
        if told.rule is None:
            lines.append("No cited sign could be judged: the learned score stands alone.")
    if told.fused.conformal is not None and told.fused.conformal.uncertain:
        lines.append(uncertain_sentence(told.fused.conformal))
    if told.why_design:
        lines.append(told.why_design)
    past = told.past
    if past and past[-1].decision is Decision.SUSPECTED and suspected and told.severity > past[-1].severity:
        lines.append(f"Known episode, worse: radiological severity {past[-1].severity} before, {told.severity} now.")
    lines += told.context.reasons
    lines += not_judged(judged)
    lines += _limits(rules, exam, labels)
    if not suspected:
        lines.append(rules.visible)
    return tuple(dict.fromkeys(lines))


def uncertain_sentence(conformal: ConformalSet) -> str:
    """That the answer is uncertain, and what that means."""
    share = f"{100 * conformal.coverage:.0f} %"
    if conformal.suspected:
        return f"Uncertain: at {share} coverage neither answer can be ruled out; a reader must decide."
    return f"Uncertain: unlike the cases with and without it that set the {share} coverage; a reader must decide."


def sign_sentence(item: Judged) -> str:
    """``suv95 4.10 g/mL: met (> 2.7 g/mL; Hribernik 2022).``"""
    evidence = item.evidence
    assert evidence.value is not None
    unit = "" if evidence.unit == "1" else f" {evidence.unit}"
    word = "met" if evidence.met else "not met"
    source = evidence.source.split(",")[0]
    name = evidence.name.replace("_", " ")
    counted = evidence.unit == "1" and evidence.value == round(evidence.value)  # two pairs, not 2.00 pairs
    digits = 0 if counted or abs(evidence.value) >= 100 else 1 if abs(evidence.value) >= 10 else 2
    value = f"{evidence.value:.{digits}f}"
    known = " Present at baseline already." if item.at_baseline else ""
    return f"{name} {value}{unit}: {word} ({evidence.reference}{unit}; {source}).{known}"


def not_judged(judged: Sequence[Judged]) -> list[str]:
    """Which signs could not be judged, by why not."""
    by_reason: dict[str, list[str]] = {}
    for item in judged:
        if item.why_not:
            by_reason.setdefault(item.why_not, []).append(item.sign.name.replace("_", " "))
    return [f"Not judged: {', '.join(names)} - {why}." for why, names in by_reason.items()]


def _limits(rules: IraeRules, exam: Exam, labels: LabelMap | None) -> list[str]:
    lines = []
    if labels is not None:
        parts = organs_of(rules.irae)
        partial = [BY_NAME[o].display for o in parts if labels.seen(o) and labels.coverage[o] is Coverage.PARTIAL]
        absent = [BY_NAME[o].display for o in parts if not labels.seen(o)]
        if partial:
            lines.append(f"Only part of the {' and '.join(partial)} is in the field of view.")
        if absent:
            lines.append(f"The {' and '.join(absent)} was not seen.")
    if exam.pet is None and any(sign.modality is Modality.PET for sign in rules.signs):
        lines.append("No PET with usable SUV: uptake is not part of this answer.")
    return lines
