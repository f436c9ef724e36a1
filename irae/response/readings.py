"""How firmly a category stands: the course as other readings of the same images would have measured it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.response.course import ExamLesions


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRules:
    """How often, and how far apart, readings are drawn.

    Attributes:
        count: Readings of a course.
        sd_mm: Error of one diameter. Of a lung tumour on two CTs within 15 minutes, measured side by side, the
            diameters differed by an SD of 2.4 mm (Oxnard 2011, J Clin Oncol 29:3114, PMC3157977): by the root of two
            less for one of them.
        least_mm: No diameter is read as less.
        firm_from: A category that a smaller share of the readings come to is borderline. Design value.
    """

    count: int = 100
    sd_mm: float = 1.7
    least_mm: float = 1.0
    firm_from: float = 0.9


READING_RULES = ReadingRules()


def readings(course: Sequence[ExamLesions], rules: ReadingRules = READING_RULES) -> tuple[tuple[ExamLesions, ...], ...]:
    """The course as often as the rules say, every diameter of every lesion off by chance; the same each time it is run.

    Both axes of a lesion at one exam are off by the same; lesions, and exams, independently. What is gone stays gone,
    and normal uptake has no diameter to be read.
    """
    draw = np.random.default_rng(0)
    return tuple(
        tuple(
            replace(exam, foci=tuple(
                _off_by(focus, float(error), rules)
                for focus, error in zip(exam.foci, draw.normal(0.0, rules.sd_mm, len(exam.foci)), strict=True)
            ))
            for exam in course
        )
        for _ in range(rules.count)
    )


def _off_by(focus: AttributedFocus, error_mm: float, rules: ReadingRules) -> AttributedFocus:
    if focus.focus.status is FocusStatus.GONE or focus.nature is Nature.PHYSIOLOGIC:
        return focus
    longest = max(focus.focus.longest_mm + error_mm, rules.least_mm)
    short = min(max(focus.focus.short_mm + error_mm, rules.least_mm), longest)
    return replace(focus, focus=replace(focus.focus, longest_mm=longest, short_mm=short))
