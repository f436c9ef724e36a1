"""Each focus decided: inflammation, metastasis, physiologic, or indeterminate - with its evidence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from irae.attribution.candidates import candidates
from irae.attribution.decide import UNLIKE, decided
from irae.attribution.learned import LearnedModel
from irae.attribution.rules import EVIDENCE_RULES, EvidenceRules
from irae.core.context import PatientContext
from irae.core.finding import OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus
from irae.core.notice import Notice
from irae.core.result import ExamResult
from irae.quant.uptake import UptakeReference


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
    learned: LearnedModel | None = None,
) -> tuple[AttributedFocus, ...]:
    """Decides the nature of every focus; drops none. docs/concepts/attribution.md explains how.

    The evidence arm sums the points of F1-F12 to five outcomes, from probable irAE to suspected metastasis. The learned
    arm, where there is one, gives calibrated probabilities and names a nature only where the others can be ruled out;
    it is not asked about a focus unlike all that it was trained on. Gates (physiologic organ, known confounder) and
    cautions stand above both: inflammation is never said against a discrete nodule, destroyed bone or growth,
    metastasis never of an organ's whole uptake nor of uptake outside all masks while organs that are hot by nature were
    not found. A lesion that is gone keeps what it was called, unless its vanishing says otherwise.

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
        learned: The learned arm; None: the evidence points decide alone.

    Returns:
        One attribution per focus, in their order.
    """
    now, described = candidates(
        foci, findings=findings, quantities=quantities, context=context, on=on, earlier=earlier, unseen=unseen,
        rules=rules,
    )
    known = learned if learned is not None and learned.seen is not None else None
    return tuple(decided(candidate, now, rules, known) for candidate in described)


def attribution_notices(foci: Sequence[AttributedFocus], learned: LearnedModel | None) -> tuple[Notice, ...]:
    """Which foci the learned model was not asked about, and why.

    Args:
        foci: As ``attribute`` gave them.
        learned: The learned arm that it was given.
    """
    if learned is None:
        return ()
    if learned.seen is None:
        return (Notice("attribution_model_not_used", "The attribution model does not say what it was trained on (an "
                       "older package): the evidence score decided alone. Fit it again: train.py task=attribution."),)
    unlike = [str(a.focus.id) for a in foci if any(r.startswith(UNLIKE) for r in a.reasons)]
    if not unlike:
        return ()
    return (Notice("attribution_unlike_training", f"{len(unlike)} of {len(foci)} foci are unlike all that the "
                   f"attribution model was trained on; the evidence score decided them: no. {', '.join(unlike)}."),)
