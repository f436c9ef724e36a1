"""The archive's door: a folder, a zip or a DICOMDIR in; exams with geometry and SUV that can be trusted out."""

import logging

from irae.io.archive.codes import REASONS, Outcome, Reason
from irae.io.archive.discover import LIMITS, Limits
from irae.io.archive.identity import patient_key
from irae.io.archive.index import index_archive, rows_of
from irae.io.archive.people import CONTRADICTED, people
from irae.io.archive.read import ExamUnusableError, read_exam
from irae.io.archive.values import ArchiveIndex, ExamPlan, FileOutcome, FoundFile, ReadExam, SeriesPlan

# pydicom's log quotes the values it finds odd, and they may hold a patient's name. What was odd is in the outcomes.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

__all__ = [
    "CONTRADICTED", "LIMITS", "REASONS", "ArchiveIndex", "ExamPlan", "ExamUnusableError", "FileOutcome", "FoundFile",
    "Limits", "Outcome", "ReadExam", "Reason", "SeriesPlan", "index_archive", "patient_key", "people", "read_exam",
    "rows_of",
]
