"""Rules: published response criteria, exact, with reasons."""

from irae.response.options import DECISIONS, Decision, Options
from irae.response.registry import ANATOMIC, CRITERIA, METABOLIC, Criterion, score_case
from irae.response.values import Answer, Case, CaseError, Scored, Visit

__all__ = [
    "ANATOMIC", "CRITERIA", "DECISIONS", "METABOLIC", "Answer", "Case", "CaseError", "Criterion", "Decision", "Options",
    "Scored", "Visit", "score_case",
]
