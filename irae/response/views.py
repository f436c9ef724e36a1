"""One course seen two ways: inflammation set aside as equivocal, and every focus counted as tumour."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction

from irae.core.assessment import Assessment, Hinge, View
from irae.core.focus import AttributedFocus, Nature
from irae.response import metabolic
from irae.response.course import (
    VIEW_RULES,
    ExamLesions,
    ViewRules,
    case_of,
    check_course,
    counts,
    number_of,
    one_focus_a_track,
    pet_case_of,
    plan_of,
    told_inflammation,
    track_of,
)
from irae.response.disease import size_of
from irae.response.lengths import PER_MM
from irae.response.options import DEFAULT_OPTIONS, Options
from irae.response.readings import READING_RULES, ReadingRules, readings
from irae.response.registry import CRITERIA
from irae.response.values import Answer, Case, Reason

ANATOMIC_DEFAULT: tuple[str, ...] = ("recist_1_1", "irecist")
PET_DEFAULT: tuple[str, ...] = ("percist_1_0", "impercist5", "ipercist")
DEFAULT_CRITERIA: tuple[str, ...] = ANATOMIC_DEFAULT + PET_DEFAULT
# Criteria that can score the lesions of an exam; the others need given responses or measurements of their own.
EXAM_CRITERIA: tuple[str, ...] = tuple(
    name for name, row in CRITERIA.items() if row.family in ("anatomic", "metabolic") and row.states is not None
)
BASELINE = "baseline"  # the category of the exam that responses are measured from


def assess_course(
    course: Sequence[ExamLesions],
    *,
    criteria: Sequence[str] | None = None,
    options: Options = DEFAULT_OPTIONS,
    baseline_index: int = 0,
    rules: ViewRules = VIEW_RULES,
    reading_rules: ReadingRules = READING_RULES,
    what_if: bool = True,
) -> tuple[tuple[Assessment, ...], tuple[Hinge, ...]]:
    """Every criterion in both views for the last exam, and what its category stands on.

    That is in how many other readings of the diameters it would be the same (RECIST 1.1 and its kin), and on which
    single attribution it hinges.

    Args:
        course: All exams up to the one asked about, oldest first.
        criteria: Names of ``EXAM_CRITERIA``; None: RECIST 1.1 and iRECIST, and the PET criteria where the last
            exam has PET. PET criteria are left out where no exam has PET, and answer NE where only this one has none.
        options: How contested points are decided.
        baseline_index: The exam that responses are measured from: the last before, or within a week after, the
            start of immunotherapy.
        rules: How foci become lesions.
        reading_rules: How many readings are drawn, and with which error.
        what_if: Whether to draw readings and look for hinges, which takes most of the time.

    Returns:
        Assessments (attributed before as_seen for each criterion) and hinges. Both empty where the last exam has
        neither CT nor PET or lies before the baseline.

    Raises:
        ValueError: If dates are out of order, the index is out of range, or a criterion is unknown or not one that
            scores lesions.
    """
    check_course(course, baseline_index)
    if not course or not counts(course[-1]):
        return (), ()
    names = tuple(criteria) if criteria is not None else default_criteria(course[-1])
    for name in names:
        if name not in EXAM_CRITERIA:
            raise ValueError(f"criterion {name!r} cannot score an exam's lesions; {', '.join(EXAM_CRITERIA)} can")
    kept = one_focus_a_track(course[baseline_index:])
    if not any(exam.has_pet for exam in kept):
        names = tuple(name for name in names if CRITERIA[name].family != "metabolic")
    assessments = tuple(
        _assessment(name, view, kept, options, rules) for name in names for view in (View.ATTRIBUTED, View.AS_SEEN)
    )
    if not what_if:
        return assessments, ()
    found = _hinges(kept, names, assessments, options, rules)
    return _read_again(assessments, kept, options, rules, reading_rules), found


def default_criteria(exam: ExamLesions) -> tuple[str, ...]:
    """The criteria of an exam where none are named: PET criteria only where there is PET."""
    return DEFAULT_CRITERIA if exam.has_pet else ANATOMIC_DEFAULT


def _last_answer(name: str, case: Case) -> Answer | None:
    fold = CRITERIA[name].states
    return None if fold is None or not case.followups else [answer for _, answer in fold(case)][-1]


def _category(name: str, answer: Answer) -> str:
    """Its category; after confirmed progression nothing is scored any more: the category stays."""
    return answer.overall or ("CPMD" if CRITERIA[name].family == "metabolic" else "iCPD")


def _assessment(
    name: str, view: View, course: Sequence[ExamLesions], options: Options, rules: ViewRules
) -> Assessment:
    metabolic_ = CRITERIA[name].family == "metabolic"
    last = course[-1]
    case = pet_case_of(course, view, options) if metabolic_ else case_of(course, view, options, rules)
    answer = _last_answer(name, case)
    if metabolic_ and not last.has_pet:
        return Assessment(criterion=name, view=view, category="NE",
                          reasons=(("PER-1", "This exam has no PET with usable SUV."),))
    if metabolic_ and last.suv_to_sul is None:
        text = f"SUL cannot be computed: {last.why_no_sul or 'sex, weight or height unknown'}."
        return Assessment(criterion=name, view=view, category="NE", reasons=(("LBM-1", text),))
    baseline_mm, baseline_sul = _baseline_values(name, case)
    targets = () if metabolic_ or case.baseline is None else tuple(target.id for target in case.baseline.targets)
    if answer is None:
        return Assessment(criterion=name, view=view, category=BASELINE, baseline_mm=baseline_mm,
                          baseline_sul=baseline_sul, targets=targets, reasons=_baseline_reasons(case, course, options))
    values = answer.values
    first, final = values.get("confirm_from"), values.get("confirm_to")
    window = (first, final) if isinstance(first, date) and isinstance(final, date) else None
    return Assessment(
        criterion=name, view=view, category=_category(name, answer),
        sum_mm=number_of(values.get("sum_mm", values.get("tumour_burden_mm"))),
        baseline_mm=baseline_mm,
        nadir_mm=number_of(values.get("nadir_mm")),
        sum_sul=number_of(values.get("sum_sulpeak" if name == "impercist5" else "sul_peak")),
        baseline_sul=baseline_sul,
        targets=targets,
        confirm_between=window,
        reasons=answer.reasons + _plan_reason(course, options),
    )


def _baseline_values(name: str, case: Case) -> tuple[float | None, float | None]:
    """Sum at baseline in mm (anatomic criteria that sum diameters) and in SUL (metabolic ones)."""
    baseline = case.baseline
    if baseline is None:
        return None, None
    if CRITERIA[name].family == "metabolic":
        if baseline.pet is None:
            return None, None
        peaks = [x.sul_peak for x in metabolic.tumour_lesions(baseline.pet) if x.sul_peak is not None]
        value = sum(peaks[:5], Fraction(0)) if name == "impercist5" else max(peaks, default=None)
        return None, None if value is None else float(value)
    if not baseline.targets or name == "irrc":
        return None, None
    return sum(size_of(t) or 0 for t in baseline.targets) / PER_MM, None


def _baseline_reasons(case: Case, course: Sequence[ExamLesions], options: Options) -> tuple[Reason, ...]:
    baseline = case.baseline
    if baseline is None:
        return (("R11-B1", "There is no exam to measure from."),)
    names = ", ".join(t.id for t in baseline.targets) or "none"
    return (("R11-B1", f"Baseline of {baseline.on}; targets: {names}."), *_plan_reason(course, options))


def _plan_reason(course: Sequence[ExamLesions], options: Options) -> tuple[Reason, ...]:
    exams = [e for e in course if counts(e)]
    if exams and plan_of(exams[0], options).fallback:
        text = "No focus of the baseline is called metastasis: indeterminate foci are followed instead."
        return (("R11-B1", text),)
    return ()


def _read_again(
    assessments: Sequence[Assessment], course: Sequence[ExamLesions], options: Options, rules: ViewRules,
    reading_rules: ReadingRules,
) -> tuple[Assessment, ...]:
    """The assessments by diameters, each with what other readings of them would have come to."""
    asked = {a.criterion for a in assessments if CRITERIA[a.criterion].family == "anatomic" and a.category != BASELINE}
    told: dict[tuple[str, View], Counter[str]] = defaultdict(Counter)
    for drawn in readings(course, reading_rules) if asked else ():
        for view in View:
            case = case_of(drawn, view, options, rules)
            for name in asked:
                if (answer := _last_answer(name, case)) is not None:
                    told[name, view][_category(name, answer)] += 1
    return tuple(replace(a, readings=tuple(told[a.criterion, a.view].most_common())) for a in assessments)


def _hinges(
    course: Sequence[ExamLesions],
    names: Sequence[str],
    assessments: Sequence[Assessment],
    options: Options,
    rules: ViewRules,
) -> tuple[Hinge, ...]:
    """For every focus of the last exam: were its track of the other nature, which categories would change.

    Disease that was followed from baseline on is not asked about: its nature was settled before treatment, unless it
    was told to be inflammation since. Nor is uptake that is all but certainly physiologic: neither view counts it.
    """
    now = {a.criterion: a.category for a in assessments if a.view is View.ATTRIBUTED}
    exams = [e for e in course if counts(e)]
    plan = plan_of(exams[0], options)
    settled = {*plan.targets, *plan.non_targets} - told_inflammation(exams)
    found: list[Hinge] = []
    for focus in course[-1].foci:
        physiologic = focus.nature is Nature.PHYSIOLOGIC
        if track_of(focus) in settled or (physiologic and focus.probabilities["metastasis"] < rules.hinge_least):
            continue
        other = Nature.INFLAMMATION if focus.nature is Nature.METASTASIS else Nature.METASTASIS
        turned = [_turned(exam, focus, other) for exam in course]
        categories = []
        for name in names:
            category = _assessment(name, View.ATTRIBUTED, turned, options, rules).category
            if category != now[name]:
                categories.append((name, category))
        if categories:
            found.append(Hinge(focus=focus.focus.id, if_nature=other.value, categories=tuple(categories)))
    return tuple(found)


def _turned(exam: ExamLesions, focus: AttributedFocus, nature: Nature) -> ExamLesions:
    """The exam with one track's nature turned."""
    return replace(exam, foci=tuple(
        replace(f, nature=nature) if track_of(f) == track_of(focus) else f for f in exam.foci
    ))
