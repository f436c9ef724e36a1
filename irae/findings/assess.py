"""The answer for every irAE: cited rules, the learned score, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irae.core.anatomy import BY_NAME, AnyIrae, FurtherIrae, Irae, organs_of
from irae.core.exam import Exam
from irae.core.finding import Decision, EpisodeState, Evidence, LearnedScore, OrganFinding, Quantities
from irae.core.numbers import reaches
from irae.core.result import ExamResult
from irae.core.volume import LabelMap
from irae.findings.confounders import Confounded, confounders
from irae.findings.episodes import episode_state, past_findings
from irae.findings.fusion import FittedFusion, FittedIrae, fitted_fuse, fuse, sigmoid
from irae.findings.inputs import fusion_inputs
from irae.findings.learned import learned_severity, severity_evidence
from irae.findings.rules import Change, IraeRules, RuleSet
from irae.findings.sentences import Told, not_judged, reasons
from irae.findings.signs import (
    Judged,
    group_log_odds,
    judge_signs,
    remains_of,
    rule_log_odds,
    severity_of,
    unmet_requirements,
)
from irae.findings.tables import RULE_SET

# What an irAE's extent is read from, to tell receding from unchanged within one severity step.
EXTENT: dict[AnyIrae, str] = {
    Irae.COLITIS: "colon.thickened_cm",
    Irae.PNEUMONITIS: "lung.opacity_percent",
    Irae.HYPOPHYSITIS: "pituitary.height_mm",
}
RECEDING = 0.5  # extent below this share of the last exam's is receding; design value

WORSENED = "severity_rise"  # the evidence that marks a known episode that got worse


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Case:
    """What one answer is given from."""

    exam: Exam
    labels: LabelMap | None
    quantities: Quantities
    earlier: Sequence[ExamResult]
    rule_set: RuleSet


def assess_findings(
    exam: Exam,
    *,
    organs: LabelMap | None,
    pituitary: LabelMap | None,
    quantities: Quantities,
    learned: Mapping[Irae, LearnedScore],
    earlier: Sequence[ExamResult],
    rule_set: RuleSet = RULE_SET,
    fusion: FittedFusion | None = None,
) -> tuple[OrganFinding, ...]:
    """The answer for the five irAEs with two arms, in the order of ``Irae``.

    Args:
        exam: The exam, with its context.
        organs: Organs on the CT; None without a CT.
        pituitary: The pituitary on the MR; None without an MR.
        quantities: This exam's measurements.
        learned: The learned arm's scores, where it has them.
        earlier: Results of earlier exams, oldest first.
        rule_set: Cut-offs and weights.
        fusion: A fitted fusion of the arms; None: the rule set's design weights.
    """
    return tuple(
        _assess(
            rule_set.iraes[irae],
            _Case(exam=exam, labels=pituitary if irae is Irae.HYPOPHYSITIS else organs, quantities=quantities,
                  earlier=earlier, rule_set=rule_set),
            learned.get(irae),
            None if fusion is None else fusion.iraes.get(irae),
        )
        for irae in Irae
    )


def assess_further(
    exam: Exam, *, organs: LabelMap | None, quantities: Quantities, earlier: Sequence[ExamResult],
    rule_set: RuleSet = RULE_SET,
) -> tuple[OrganFinding, ...]:
    """The answer for the further irAEs, by cited rules alone, in the order of ``FurtherIrae``.

    Args:
        exam, organs, quantities, earlier, rule_set: As for ``assess_findings``; the quantities also hold what was
            measured on foci (``measure_foci``).
    """
    case = _Case(exam=exam, labels=organs, quantities=quantities, earlier=earlier, rule_set=rule_set)
    return tuple(_assess(rule_set.further[irae], case, None, None) for irae in FurtherIrae)


def _assess(
    rules: IraeRules, case: _Case, learned: LearnedScore | None, fitted: FittedIrae | None
) -> OrganFinding:
    past = past_findings(rules.irae, case.earlier)
    if unseen := _why_unseen(rules, case.labels):
        return _not_assessable(rules, (unseen,), past, ())

    exam, common = case.exam, case.rule_set.common
    known = any(finding.decision is Decision.SUSPECTED for finding in past)
    weighed = _weighed(rules, case, learned, known=known)
    context, judged, rule = weighed.context, weighed.judged, weighed.rule
    fused, why_design = fitted_fuse(weighed.inputs, learned, fitted)
    if fused is None:
        fused = fuse(rule, common.threshold, learned, case.rule_set.fusion)
    evidence = tuple(item.evidence for item in judged)
    if fused is None:
        why = ("None of its signs could be judged on this exam.", *not_judged(judged))
        return _not_assessable(rules, why, past, evidence)

    lacking = unmet_requirements(rules, judged)
    suspected = reaches(fused.probability, fused.threshold) and not lacking
    if not suspected and known and (open_question := unsettled(rules, judged)):
        return _not_assessable(rules, (open_question, *not_judged(judged)), past, evidence)
    if lacking and not known and rules.partly_seen:
        return _not_assessable(rules, (rules.partly_seen, *not_judged(judged)), past, evidence)
    evidence += severity_evidence(learned)
    severity = 0
    if suspected:
        by_rules = severity_of(rules, judged, exam, case.quantities, case.earlier, context.gates, case.rule_set)
        severity = by_rules if rule is not None else learned_severity(learned)
    decision = Decision.SUSPECTED if suspected else Decision.NOT_SUSPECTED
    state = episode_state(
        decision, severity, past, improving_by=common.improving_severity,
        receding=_receding(rules.irae, case.quantities, case.earlier), lingering=bool(lingering(judged)),
    )
    if suspected and past and past[-1].decision is Decision.SUSPECTED:
        evidence += (_severity_change(severity, past[-1]),)
    told = Told(
        rules=rules, judged=judged, context=context, rule=rule, learned=learned, fused=fused, suspected=suspected,
        past=past, severity=severity, lacking=lacking, why_design=why_design, remains=remains_of(rules, judged),
    )
    return OrganFinding(
        irae=rules.irae,
        organ=place_of(rules),
        decision=decision,
        probability=fused.probability,
        threshold=fused.threshold,
        severity=severity,
        state=state,
        evidence=evidence,
        reasons=(*_not_back(state, suspected, judged), *reasons(told, exam, case.labels)),
        rule_probability=rule,
        learned_probability=None if learned is None else learned.probability,
        conformal=fused.conformal,
    )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Weighed:
    """What context and signs say of one irAE, the rule arm's probability, and what a fitted fusion is told."""

    context: Confounded
    judged: tuple[Judged, ...]
    rule: float | None
    inputs: Mapping[str, float]


def _weighed(rules: IraeRules, case: _Case, learned: LearnedScore | None, *, known: bool) -> _Weighed:
    exam = case.exam
    context = confounders(exam.context, exam.acquired_on, rules, case.quantities, case.rule_set.common)
    judged = judge_signs(rules, exam, case.quantities, case.earlier, context.gates, case.rule_set)
    log_odds = rule_log_odds(rules, judged, context.log_odds, known=known)
    rule = None if log_odds is None else sigmoid(log_odds)
    inputs = fusion_inputs(
        rules.irae, exam, case.labels, rule=rule, groups=group_log_odds(rules, judged), learned=learned,
        context=context, earlier=case.earlier,
    )
    return _Weighed(context=context, judged=judged, rule=rule, inputs=inputs)


def inputs_for_fusion(
    irae: Irae, exam: Exam, *, labels: LabelMap | None, quantities: Quantities, learned: LearnedScore | None,
    earlier: Sequence[ExamResult], rule_set: RuleSet = RULE_SET,
) -> Mapping[str, float]:
    """What a fitted fusion is told about one irAE (``findings.inputs``); arguments as for ``assess_findings``.

    labels: The organs it is judged on.
    """
    case = _Case(exam=exam, labels=labels, quantities=quantities, earlier=earlier, rule_set=rule_set)
    known = any(finding.decision is Decision.SUSPECTED for finding in past_findings(irae, earlier))
    return _weighed(rule_set.iraes[irae], case, learned, known=known).inputs


def place_of(rules: IraeRules) -> str:
    """Where an irAE is looked for: the first of its masks, or the place its rules name."""
    return rules.place or organs_of(rules.irae)[0]


def unsettled(rules: IraeRules, judged: Sequence[Judged]) -> str:
    """Why a known episode that no longer shows cannot be called over; empty where it can.

    A gland that burns out falls silent as well as one that recovers: only its size and density tell them apart.
    """
    aftermath = rules.aftermath
    if aftermath is None:
        return ""
    told = [item for item in judged if item.sign.name in aftermath.signs and not item.why_not]
    return "" if told else aftermath.untold


def lingering(judged: Sequence[Judged]) -> tuple[str, ...]:
    """Signs that are still above the patient's own baseline by as much as their cut-off asks for."""
    return tuple(
        item.sign.name.replace("_", " ") for item in judged
        if item.sign.change is not Change.ABSOLUTE and not item.sign.shown_only and not item.why_not
        and item.evidence.met and item.log_odds > 0.0
    )


def _not_back(state: EpisodeState, suspected: bool, judged: Sequence[Judged]) -> tuple[str, ...]:
    if suspected or state is not EpisodeState.IMPROVING:
        return ()
    return ("It was suspected before and no longer is, but is not back at this patient's own baseline "
            f"({', '.join(lingering(judged))}): improving, not resolved.",)


def _why_unseen(rules: IraeRules, labels: LabelMap | None) -> str:
    """Why an irAE's organ cannot be judged at all; empty where it can."""
    organs = organs_of(rules.irae)
    names = " and ".join(BY_NAME[organ].display for organ in organs)
    if labels is None:
        needed = "contrast-enhanced T1 MR of the head" if rules.irae is Irae.HYPOPHYSITIS else "CT"
        return f"The {names} was not seen: this exam has no usable {needed}."
    if any(labels.seen(organ) for organ in organs):
        return ""
    rejected = [f"{BY_NAME[o].display}: {labels.rejected[o]}" for o in organs if o in labels.rejected]
    if rejected:
        return f"The organ's mask was not believed ({'; '.join(rejected)})."
    if not any(organ in labels.coverage for organ in organs):
        return f"Not outlined by this segmenter, so not looked at: {names}."
    return f"The {names} was not found in the field of view: not seen is not absent."


def _not_assessable(
    rules: IraeRules, why: tuple[str, ...], past: Sequence[OrganFinding], evidence: tuple[Evidence, ...]
) -> OrganFinding:
    state = episode_state(Decision.NOT_ASSESSABLE, 0, past)
    if state is EpisodeState.ONGOING:
        why = (*why, "It was suspected at the last exam that could be judged: the episode is held open.")
    return OrganFinding(
        irae=rules.irae, organ=place_of(rules), decision=Decision.NOT_ASSESSABLE, probability=None, threshold=None,
        severity=0, state=state, evidence=evidence, reasons=why,
    )


def _receding(irae: AnyIrae, quantities: Quantities, earlier: Sequence[ExamResult]) -> bool:
    name = EXTENT.get(irae)
    now = quantities.get(name) if name else None
    then = [v for past in earlier if name and (v := past.quantities.get(name)) is not None]
    return now is not None and bool(then) and then[-1] > 0 and now <= RECEDING * then[-1]


def _severity_change(severity: int, last: OrganFinding) -> Evidence:
    rise = severity - last.severity
    return Evidence(
        name=WORSENED, value=float(rise), unit="1", reference=">= 1", source="against the last exam", met=rise >= 1
    )
