"""Pictures: figures, exam and course pages.

``matplotlib`` and ``jinja2`` are imported here, so import this room only where a page is written.
"""

from irae.report.course_page import write_course_page
from irae.report.exam_page import write_exam_page
from irae.report.pictures import ExamImages

__all__ = ["ExamImages", "write_course_page", "write_exam_page"]
