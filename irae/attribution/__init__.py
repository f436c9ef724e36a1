"""Rules: what every focus looks like, by a transparent evidence score."""

from irae.attribution.attribute import attribute, outcome
from irae.attribution.rules import EVIDENCE_RULES, EvidenceRules

__all__ = ["EVIDENCE_RULES", "EvidenceRules", "attribute", "outcome"]
