"""Each focus with all that speaks about its nature: gate, evidence points, features. Nothing is decided here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from irae.attribution.evidence import FEATURES, is_believable, is_focal, percimt_met
from irae.attribution.features import feature_row
from irae.attribution.gates import GATES, Gate, may_be_normal_uptake
from irae.attribution.rules import EVIDENCE_RULES, EvidenceRules
from irae.attribution.situation import Situation, situation
from irae.core.context import PatientContext
from irae.core.finding import OrganFinding, Quantities
from irae.core.focus import Focus, FocusStatus, ScorePart
from irae.core.result import ExamResult


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Candidate:
    """A focus before it is decided.

    Attributes:
        focus: The region.
        gate: What its place or a confounder names it; None where no gate applies.
        parts: Evidence points F1-F10 and F12 that could be given.
        features: Known features by name (``features.FEATURE_TABLE``); an unknown one is absent.
    """

    focus: Focus
    gate: Gate | None
    parts: tuple[ScorePart, ...]
    features: Mapping[str, float]

    @property
    def score(self) -> float:
        """Sum of the evidence points."""
        return total(self.parts)


def total(parts: Sequence[ScorePart]) -> float:
    """Sum of points."""
    return math.fsum(part.points for part in parts)


def candidates(
    foci: Sequence[Focus],
    *,
    findings: Sequence[OrganFinding],
    quantities: Quantities,
    context: PatientContext,
    on: date,
    earlier: Sequence[ExamResult],
    unseen: Collection[str] = (),
    rules: EvidenceRules = EVIDENCE_RULES,
) -> tuple[Situation, tuple[Candidate, ...]]:
    """The exam's situation and one candidate per focus, in their order. Arguments as of ``attribute``."""
    now = situation(
        foci, findings=findings, quantities=quantities, context=context, on=on, earlier=earlier, unseen=unseen,
        rules=rules,
    )
    gates = {f.id: next((g for rule in GATES if (g := rule(f, now, rules)) is not None), None) for f in foci}
    parts = {f.id: tuple(p for feature in FEATURES if (p := feature(f, now, rules)) is not None) for f in foci}
    counted = [
        f for f in foci
        if gates[f.id] is None and not may_be_normal_uptake(f, now) and is_believable(f, total(parts[f.id]), rules)
    ]
    met = "" if now.first_exam else percimt_met(counted, rules)
    if met:
        shift = ScorePart(feature="F12", value=met, points=rules.percimt_points,
                          reason=f"PERCIMT: {met}, enough for metabolic progression.")
        for f in foci:
            if is_focal(f, rules) and f.status is FocusStatus.NEW:
                parts[f.id] = (*parts[f.id], shift)
    return now, tuple(
        Candidate(focus=f, gate=gates[f.id], parts=parts[f.id],
                  features=feature_row(f, gates[f.id], parts[f.id], now, rules))
        for f in foci
    )
