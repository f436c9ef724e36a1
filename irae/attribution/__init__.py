"""Rules: what every focus looks like, by a transparent evidence score and by a learned model beside it."""

from irae.attribution.attribute import attribute, attribution_notices
from irae.attribution.decide import outcome
from irae.attribution.rules import EVIDENCE_RULES, EvidenceRules

__all__ = ["EVIDENCE_RULES", "EvidenceRules", "attribute", "attribution_notices", "outcome"]
