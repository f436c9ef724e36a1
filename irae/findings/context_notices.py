"""What is context and not an irAE: activated spleen and marrow; and answers that are uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from irae.core.context import ContextKind, PatientContext
from irae.core.finding import OrganFinding, Quantities
from irae.core.notice import Notice
from irae.core.numbers import exceeds
from irae.findings.confounders import held
from irae.findings.rules import CommonRules
from irae.findings.sentences import uncertain_sentence

# Spleen over liver. Above 1.1 before therapy it went with worse survival in two series (n=90 and 110, Cancer Imaging
# 2020, 10.1186/s40644-020-00313-2) and with nothing in adjuvant PD-1 (n=122, Diagnostics 2025 16:79).
SPLEEN_TO_LIVER = 1.1
# Marrow over liver: design value, no cut-off is published.
MARROW_TO_LIVER = 1.1


def activation_notices(
    quantities: Quantities, context: PatientContext, on: date, rules: CommonRules
) -> tuple[Notice, ...]:
    """Spleen or marrow hotter than liver: immune activation is not toxicity, and is never flagged as an irAE."""
    hot = []
    for organ, word, limit in (("spleen", "spleen", SPLEEN_TO_LIVER), ("vertebrae", "marrow", MARROW_TO_LIVER)):
        ratio = quantities.get(f"{organ}.median_to_liver")
        if ratio is not None and exceeds(ratio, limit):
            hot.append(f"{word} {ratio:.2f} x liver (> {limit:g})")
    if not hot:
        return ()
    given = held(context, ContextKind.GCSF, on, rules.gcsf_days)
    why = "G-CSF was given within 30 days and explains it" if given else "immune activation or anaemia; not an irAE"
    return (Notice("immune_activation", f"Context: {' and '.join(hot)}: {why}."),)


def uncertain_notices(findings: Sequence[OrganFinding]) -> tuple[Notice, ...]:
    """One notice for every answer whose conformal set does not single out one decision."""
    return tuple(
        Notice(f"uncertain_{f.irae.value}", f"{f.irae.value}: {uncertain_sentence(f.conformal)}")
        for f in findings if f.conformal is not None and f.conformal.uncertain
    )
