"""Whether the exams filed under one patient id can be of one person: sex, date of birth and height in their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irae.core.notice import Notice
from irae.io.archive.pet import height_cm
from irae.io.archive.values import ExamPlan

CONTRADICTED = "patient_contradicted"
# Adults: beyond what measuring, stating and rounding differ by. Design value.
HEIGHT_APART_CM = 15.0


@dataclass(frozen=True, slots=True)
class Person:
    """What the headers of one exam say of the person; empty sets where they say nothing.

    ``born`` holds marks of dates of birth (``headers``): they tell whether two differ, and no date.
    """

    sexes: frozenset[str]
    born: frozenset[str]
    heights_cm: frozenset[float]

    def contradiction(self, other: Person) -> str:
        """What two exams disagree about, in words; empty where they may be of one person."""
        if self.sexes and other.sexes and not self.sexes & other.sexes:
            return "different sexes"
        if self.born and other.born and not self.born & other.born:
            return "different dates of birth"
        if self.heights_cm and other.heights_cm:
            low, high = sorted((self, other), key=lambda p: max(p.heights_cm))
            if min(high.heights_cm) - max(low.heights_cm) >= HEIGHT_APART_CM:
                return f"heights of {max(low.heights_cm):.0f} and {min(high.heights_cm):.0f} cm"
        return ""

    def own_contradiction(self) -> str:
        """What the images of one exam disagree about, in words; empty where they agree."""
        return "different sexes" if len(self.sexes) > 1 else "different dates of birth" if len(self.born) > 1 else ""

    def joined(self, other: Person) -> Person:
        """What both say together."""
        return Person(self.sexes | other.sexes, self.born | other.born, self.heights_cm | other.heights_cm)


def person_of(plan: ExamPlan) -> Person:
    """What the exam's chosen series say; NIfTI says nothing."""
    first = [series.headers[0] for series in plan.chosen.values() if series.headers]
    sexes = {header.text("PatientSex").upper() for header in first}
    heights = {height_cm(header.get("PatientSize")) for header in first}
    return Person(
        sexes=frozenset(sexes & {"M", "F"}),
        born=frozenset(mark for header in first if (mark := header.text("PatientBirthDate"))),
        heights_cm=frozenset(height for height in heights if height is not None),
    )


def people(plans: Sequence[ExamPlan]) -> list[list[tuple[ExamPlan, tuple[Notice, ...]]]]:
    """The exams of one patient id by person, each with what must be said of it; mostly one person and nothing.

    Each exam joins the first person whom it does not contradict. Exams of two people are not to be compared.

    Args:
        plans: Exams of one patient id, oldest first.
    """
    found: list[tuple[Person, list[ExamPlan]]] = []
    for plan in plans:
        here = person_of(plan)
        at = next((n for n, (known, _) in enumerate(found) if not known.contradiction(here)), None)
        if at is None:
            found.append((here, [plan]))
        else:
            known, exams = found[at]
            found[at] = known.joined(here), [*exams, plan]
    return [[(plan, _notices(plan, person, found)) for plan in exams] for person, exams in found]


def _notices(
    plan: ExamPlan, person: Person, found: Sequence[tuple[Person, Sequence[ExamPlan]]]
) -> tuple[Notice, ...]:
    notices = []
    within = person_of(plan).own_contradiction()
    if within:
        notices.append(Notice(CONTRADICTED, f"The images of this exam name {within}: they may be of two people."))
    for other, others in found:
        why = person.contradiction(other)
        if other is not person and why:
            days = ", ".join(exam.acquired_on.isoformat() for exam in others)
            notices.append(Notice(CONTRADICTED, f"Exams under this patient id may be of two people: {why} are named "
                                                f"here and on {days}. They are not compared."))
    return tuple(notices)
