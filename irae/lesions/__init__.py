"""Rules: foci found on PET and CT, measured, and matched over exams."""

from irae.lesions.find import find_foci
from irae.lesions.match import match_foci
from irae.lesions.rules import FOCI_RULES, FociRules
from irae.lesions.values import EarlierExam, FociFound

__all__ = ["FOCI_RULES", "EarlierExam", "FociFound", "FociRules", "find_foci", "match_foci"]
