"""The answer for every irAE: cited rules, the learned score, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from irae.core.anatomy import BY_NAME, IRAE_ORGANS, Irae
from irae.core.exam import Exam
from irae.core.finding import Decision, EpisodeState, Evidence, LearnedScore, OrganFinding, Quantities
from irae.core.numbers import reaches
from irae.core.result import ExamResult
from irae.core.volume import Coverage, LabelMap
from irae.findings.confounders import Confounded, confounders
from irae.findings.episodes import episode_state, past_findings
from irae.findings.fusion import fuse, sigmoid
from irae.findings.rules import IraeRules, Modality, RuleSet
from irae.findings.signs import Judged, judge_signs, rule_log_odds, severity_of
from irae.findings.tables import RULE_SET

# What an irAE's extent is read from, to tell receding from unchanged within one severity step.
EXTENT: dict[Irae, str] = {
    Irae.COLITIS: "colon.thickened_cm",
    Irae.PNEUMONITIS: "lung.opacity_percent",
    Irae.HYPOPHYSITIS: "pituitary.height_mm",
}
RECEDING = 0.5  # extent below this share of the last exam's is receding; design value

WORSENED = "severity_rise"  # the evidence that marks a known episode that got worse


def assess_findings(
    exam: Exam,
    *,
    organs: LabelMap | None,
    pituitary: LabelMap | None,
    quantities: Quantities,
    learned: Mapping[Irae, LearnedScore],
    earlier: Sequence[ExamResult],
    rule_set: RuleSet = RULE_SET,
) -> tuple[OrganFinding, ...]:
    """The answer for all five irAEs, in the order of ``Irae``.

    Args:
        exam: The exam, with its context.
        organs: Organs on the CT; None without a CT.
        pituitary: The pituitary on the MR; None without an MR.
        quantities: This exam's measurements.
        learned: The learned arm's scores, where it has them.
        earlier: Results of earlier exams, oldest first.
        rule_set: Cut-offs and weights.
    """
    return tuple(
        _assess(
            rule_set.iraes[irae], exam, pituitary if irae is Irae.HYPOPHYSITIS else organs, quantities,
            learned.get(irae), earlier, rule_set,
        )
        for irae in Irae
    )


def _assess(
    rules: IraeRules, exam: Exam, labels: LabelMap | None, quantities: Quantities, learned: LearnedScore | None,
    earlier: Sequence[ExamResult], rule_set: RuleSet,
) -> OrganFinding:
    past = past_findings(rules.irae, earlier)
    unseen = _why_unseen(rules.irae, exam, labels)
    if unseen:
        return _not_assessable(rules.irae, (unseen,), past, ())

    context = confounders(exam.context, exam.acquired_on, rules, rule_set.common)
    judged = judge_signs(rules, exam, quantities, earlier, context.gates, rule_set)
    log_odds = rule_log_odds(rules, judged, context.log_odds)
    rule = None if log_odds is None else sigmoid(log_odds)
    fused = fuse(rule, rule_set.common.threshold, learned, rule_set.fusion)
    evidence = tuple(item.evidence for item in judged)
    if fused is None:
        why = ("None of its signs could be judged on this exam.", *_not_judged_reasons(judged))
        return _not_assessable(rules.irae, why, past, evidence)

    suspected = reaches(fused.probability, fused.threshold)
    decision = Decision.SUSPECTED if suspected else Decision.NOT_SUSPECTED
    severity = severity_of(rules, exam, quantities, earlier, context.gates, rule_set) if suspected else 0
    state = episode_state(
        decision, severity, past, improving_by=rule_set.common.improving_severity,
        receding=_receding(rules.irae, quantities, earlier),
    )
    if suspected and past and past[-1].decision is Decision.SUSPECTED:
        evidence += (_severity_change(severity, past[-1]),)
    return OrganFinding(
        irae=rules.irae,
        organ=IRAE_ORGANS[rules.irae][0],
        decision=decision,
        probability=fused.probability,
        threshold=fused.threshold,
        severity=severity,
        state=state,
        evidence=evidence,
        reasons=_reasons(rules, exam, labels, judged, context, rule, learned, suspected, past, severity),
        rule_probability=rule,
        learned_probability=None if learned is None else learned.probability,
    )


def _why_unseen(irae: Irae, exam: Exam, labels: LabelMap | None) -> str:
    """Why an irAE's organ cannot be judged at all; empty where it can."""
    names = " and ".join(BY_NAME[organ].display for organ in IRAE_ORGANS[irae])
    if labels is None:
        needed = "contrast-enhanced T1 MR of the head" if irae is Irae.HYPOPHYSITIS else "CT"
        return f"The {names} was not seen: this exam has no usable {needed}."
    if any(labels.seen(organ) for organ in IRAE_ORGANS[irae]):
        return ""
    rejected = [f"{BY_NAME[o].display}: {labels.rejected[o]}" for o in IRAE_ORGANS[irae] if o in labels.rejected]
    if rejected:
        return f"The organ's mask was not believed ({'; '.join(rejected)})."
    return f"The {names} was not found in the field of view: not seen is not absent."


def _not_assessable(
    irae: Irae, reasons: tuple[str, ...], past: Sequence[OrganFinding], evidence: tuple[Evidence, ...]
) -> OrganFinding:
    state = episode_state(Decision.NOT_ASSESSABLE, 0, past)
    if state is EpisodeState.ONGOING:
        reasons = (*reasons, "It was suspected at the last exam that could be judged: the episode is held open.")
    return OrganFinding(
        irae=irae, organ=IRAE_ORGANS[irae][0], decision=Decision.NOT_ASSESSABLE, probability=None, threshold=None,
        severity=0, state=state, evidence=evidence, reasons=reasons,
    )


def _receding(irae: Irae, quantities: Quantities, earlier: Sequence[ExamResult]) -> bool:
    name = EXTENT.get(irae)
    now = quantities.get(name) if name else None
    then = [v for past in earlier if name and (v := past.quantities.get(name)) is not None]
    return now is not None and bool(then) and then[-1] > 0 and now <= RECEDING * then[-1]


def _severity_change(severity: int, last: OrganFinding) -> Evidence:
    rise = severity - last.severity
    return Evidence(
        name=WORSENED, value=float(rise), unit="1", reference=">= 1", source="against the last exam", met=rise >= 1
    )


def _reasons(
    rules: IraeRules, exam: Exam, labels: LabelMap | None, judged: Sequence[Judged], context: Confounded,
    rule: float | None, learned: LearnedScore | None, suspected: bool, past: Sequence[OrganFinding], severity: int,
) -> tuple[str, ...]:
    """Sentences, the strongest first: signs for the decision, then against it, then limits."""
    counted = sorted(
        (item for item in judged if not item.why_not and not item.sign.shown_only),
        key=lambda item: item.log_odds, reverse=suspected,
    )
    agreeing = [item for item in counted if (item.log_odds > 0) == suspected]
    others = [item for item in counted if item not in agreeing]
    lines = [sign_sentence(item) for item in (*agreeing, *others)]
    lines += [sign_sentence(item) for item in judged if item.sign.shown_only and item.evidence.met]
    if learned is not None:
        kind = "calibrated" if learned.calibrated else "uncalibrated"
        agrees = "agrees" if (learned.probability >= learned.threshold) == suspected else "disagrees"
        limit = f"{kind}, threshold {learned.threshold:.2f}"
        lines.append(f"The learned score is {learned.probability:.2f} ({limit}): {agrees}.")
        if rule is None:
            lines.append("No cited sign could be judged: the learned score stands alone.")
    if past and past[-1].decision is Decision.SUSPECTED and suspected and severity > past[-1].severity:
        lines.append(f"Known episode, worse: radiological severity {past[-1].severity} before, {severity} now.")
    lines += context.reasons
    lines += _not_judged_reasons(judged)
    lines += _limits(rules, exam, labels)
    if not suspected:
        lines.append(rules.visible)
    return tuple(dict.fromkeys(lines))


def sign_sentence(item: Judged) -> str:
    """``suv95 4.10 g/mL: met (> 2.7 g/mL; Hribernik 2022).``"""
    evidence = item.evidence
    assert evidence.value is not None
    unit = "" if evidence.unit == "1" else f" {evidence.unit}"
    word = "met" if evidence.met else "not met"
    source = evidence.source.split(",")[0]
    name = evidence.name.replace("_", " ")
    digits = 0 if abs(evidence.value) >= 100 else 1 if abs(evidence.value) >= 10 else 2
    value = f"{evidence.value:.{digits}f}"
    known = " Present at baseline already." if item.at_baseline else ""
    return f"{name} {value}{unit}: {word} ({evidence.reference}{unit}; {source}).{known}"


def _not_judged_reasons(judged: Sequence[Judged]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for item in judged:
        if item.why_not:
            by_reason.setdefault(item.why_not, []).append(item.sign.name.replace("_", " "))
    return [f"Not judged: {', '.join(names)} - {why}." for why, names in by_reason.items()]


def _limits(rules: IraeRules, exam: Exam, labels: LabelMap | None) -> list[str]:
    lines = []
    if labels is not None:
        parts = IRAE_ORGANS[rules.irae]
        partial = [BY_NAME[o].display for o in parts if labels.seen(o) and labels.coverage[o] is Coverage.PARTIAL]
        absent = [BY_NAME[o].display for o in parts if not labels.seen(o)]
        if partial:
            lines.append(f"Only part of the {' and '.join(partial)} is in the field of view.")
        if absent:
            lines.append(f"The {' and '.join(absent)} was not seen.")
    if exam.pet is None and any(sign.modality is Modality.PET for sign in rules.signs):
        lines.append("No PET with usable SUV: uptake is not part of this answer.")
    return lines
