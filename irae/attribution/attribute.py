"""Each focus decided: inflammation, metastasis, physiologic, or indeterminate - with its evidence."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import date

from irae.attribution.evidence import FEATURES, SIGNS, VETOES, is_believable, is_focal, percimt_met
from irae.attribution.gates import GATES, Gate, may_be_normal_uptake
from irae.attribution.rules import EVIDENCE_RULES, EvidenceRules
from irae.attribution.situation import Situation, is_opacity, situation
from irae.core.context import PatientContext
from irae.core.finding import OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature, ScorePart
from irae.core.numbers import reaches
from irae.core.result import ExamResult
from irae.quant.uptake import UptakeReference

ADVICE = "Short-interval imaging in 4-8 weeks, endoscopy, laboratory or tissue would decide."


def attribute(
    foci: Sequence[Focus],
    *,
    findings: Sequence[OrganFinding],
    quantities: Quantities,
    context: PatientContext,
    on: date,
    reference: UptakeReference | None,
    earlier: Sequence[ExamResult],
    unseen: Collection[str] = (),
    rules: EvidenceRules = EVIDENCE_RULES,
) -> tuple[AttributedFocus, ...]:
    """Decides the nature of every focus from the evidence score F1-F12 and the gates; drops none.

    The sum of the points gives one of five outcomes: probable irAE, favour inflammatory, indeterminate, favour
    metastasis, suspected metastasis. Two rules stand above the sum: a gate (physiologic organ, known confounder) names
    the nature itself; and inflammation is never said without a sign of inflammation of its own, nor against a discrete
    nodule, destroyed bone or growth - then it stays indeterminate. Nor is metastasis said of uptake outside all masks
    while organs that are hot by nature were not found: it may be theirs. A lesion that is gone keeps what it was
    called, unless its vanishing says otherwise.

    Args:
        foci: The exam's foci, matched to earlier ones.
        findings: The exam's five irAE answers.
        quantities: The exam's organ measurements.
        context: Therapy and confounders of the patient.
        on: Date of the exam.
        reference: Liver and blood pool; kept for rules that need it.
        earlier: Results of earlier exams.
        unseen: Organs whose masks were not found or not believed on this exam.
        rules: Points and limits.

    Returns:
        One attribution per focus, in their order.
    """
    now = situation(
        foci, findings=findings, quantities=quantities, context=context, on=on, earlier=earlier, unseen=unseen,
        rules=rules,
    )
    gates = {focus.id: _gate(focus, now, rules) for focus in foci}
    parts = {focus.id: _parts(focus, now, rules) for focus in foci}
    counted = [
        f for f in foci
        if gates[f.id] is None and not may_be_normal_uptake(f, now) and is_believable(f, _total(parts[f.id]), rules)
    ]
    met = "" if now.first_exam else percimt_met(counted, rules)
    if met:
        shift = ScorePart(feature="F12", value=met, points=rules.percimt_points,
                          reason=f"PERCIMT: {met}, enough for metabolic progression.")
        for focus in foci:
            if is_focal(focus, rules) and focus.status is FocusStatus.NEW:
                parts[focus.id] = (*parts[focus.id], shift)
    return tuple(_decided(focus, gates[focus.id], parts[focus.id], now, rules) for focus in foci)


def outcome(score: float, rules: EvidenceRules = EVIDENCE_RULES) -> tuple[Nature, str]:
    """Nature and words of a sum of points.

    >>> outcome(3.0)[1], outcome(0.9)[1], outcome(-1.0)[1]
    ('probable irAE', 'indeterminate', 'favour metastasis')
    """
    if reaches(score, rules.probable):
        return Nature.INFLAMMATION, "probable irAE"
    if reaches(score, rules.favour):
        return Nature.INFLAMMATION, "favour inflammatory"
    if reaches(-score, rules.probable):
        return Nature.METASTASIS, "suspected metastasis"
    if reaches(-score, rules.favour):
        return Nature.METASTASIS, "favour metastasis"
    return Nature.INDETERMINATE, "indeterminate"


def _gate(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    return next((gate for rule in GATES if (gate := rule(focus, now, rules)) is not None), None)


def _parts(focus: Focus, now: Situation, rules: EvidenceRules) -> tuple[ScorePart, ...]:
    return tuple(part for feature in FEATURES if (part := feature(focus, now, rules)) is not None)


def _total(parts: Sequence[ScorePart]) -> float:
    return math.fsum(part.points for part in parts)


def _decided(
    focus: Focus, gate: Gate | None, parts: tuple[ScorePart, ...], now: Situation, rules: EvidenceRules
) -> AttributedFocus:
    score = _total(parts)
    strongest = tuple(p.reason for p in sorted(parts, key=lambda p: (-abs(p.points), p.feature)) if p.points)
    kept = _kept(focus, now, parts)
    if kept is not None:
        return kept
    if gate is not None and gate.nature is Nature.INFLAMMATION and is_opacity(focus, rules) and score < rules.favour:
        # Radiation or infection explains an opacity; it does not overrule what speaks for a metastasis in it.
        gate = Gate(Nature.INDETERMINATE, 0.5, "indeterminate", f"Perhaps {gate.outcome}, but other signs disagree.")
    if gate is not None:
        return AttributedFocus(
            focus=focus, nature=gate.nature, probabilities=_gated(gate, score, rules), score=score,
            outcome=gate.outcome, parts=parts, reasons=(gate.reason, *strongest),
        )
    nature, words = outcome(score, rules)
    if nature is Nature.INFLAMMATION:
        caution = _caution(parts)
        if caution:
            nature, words, strongest = Nature.INDETERMINATE, "indeterminate", (caution, *strongest)
    if nature is Nature.METASTASIS:
        theirs = may_be_normal_uptake(focus, now)
        if focus.features.get("picture"):
            theirs = "Not called metastasis: it is the uptake of the organ, and no focus stands out of it."
        if theirs:
            nature, words, strongest = Nature.INDETERMINATE, "indeterminate", (theirs, *strongest)
    if nature is Nature.INDETERMINATE:
        score_shown = max(-0.9 * rules.favour, min(score, 0.9 * rules.favour))
        strongest = (*strongest, ADVICE)
    else:
        score_shown = score
    return AttributedFocus(
        focus=focus, nature=nature, probabilities=_soft(score_shown, rules), score=score, outcome=words, parts=parts,
        reasons=strongest or ("Nothing about it speaks for either nature.",),
    )


def _kept(focus: Focus, now: Situation, parts: tuple[ScorePart, ...]) -> AttributedFocus | None:
    """A gone lesion keeps what it was called, unless it was undecided and its vanishing decides."""
    before = now.earlier.get(focus.track)
    if focus.status is not FocusStatus.GONE or before is None:
        return None
    attributed, on, _ = before
    if attributed.nature is Nature.INDETERMINATE and any(p.feature == "F10" and p.points > 0 for p in parts):
        return None
    return AttributedFocus(
        focus=focus, nature=attributed.nature, probabilities=attributed.probabilities, score=attributed.score,
        outcome=attributed.outcome, parts=parts,
        reasons=(f"It is no longer seen; on {on.isoformat()} it was called {attributed.nature.value}.",),
    )


def _caution(parts: Sequence[ScorePart]) -> str:
    """Why inflammation must not be said in spite of the sum; empty if it may."""
    against = [p.reason for p in parts if p.feature in VETOES and p.points < 0]
    if against:
        return f"Not called inflammation in spite of the score: {against[0][0].lower()}{against[0][1:]}"
    if not any(p.feature in SIGNS and p.points >= 1.0 for p in parts):
        return "Not called inflammation: nothing but time and circumstances speaks for it."
    return ""


def _soft(score: float, rules: EvidenceRules) -> dict[str, float]:
    """Probabilities of a candidate: a logistic of the score, a small share left for physiology."""
    inflammation = 1.0 / (1.0 + math.exp(-rules.slope * max(-20.0, min(20.0, score))))
    rest = 1.0 - rules.physiologic_floor
    return {"inflammation": rest * inflammation, "metastasis": rest * (1.0 - inflammation),
            "physiologic": rules.physiologic_floor}


def _gated(gate: Gate, score: float, rules: EvidenceRules) -> dict[str, float]:
    """Probabilities of a gated focus: the gate's for its nature, the rest shared by the score."""
    soft = _soft(score, rules)
    if gate.nature is Nature.INDETERMINATE:
        return _soft(max(-0.9 * rules.favour, min(0.9 * rules.favour, score)), rules)
    others = {name: p for name, p in soft.items() if name != gate.nature.value}
    total = sum(others.values())
    shared = {name: (1.0 - gate.probability) * p / total for name, p in others.items()}
    probabilities = shared | {gate.nature.value: gate.probability}
    return {name: probabilities[name] for name in ("inflammation", "metastasis", "physiologic")}
