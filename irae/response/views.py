"""One course seen two ways: inflammation set aside as equivocal, and every focus counted as tumour.

Both views follow the same targets, chosen once at baseline, so that they differ only by what is counted besides: the
attributed view can then never be worse than the view as seen because of a lesion that is set aside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise

from irae.core.anatomy import site_of
from irae.core.assessment import Assessment, Hinge, View
from irae.core.course import Due, Pattern
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.response import burden, growth, irecist, metabolic, recist11, timeline
from irae.response import patterns as named_patterns
from irae.response.disease import size_of
from irae.response.lengths import PER_MM, exact, tenths
from irae.response.options import DEFAULT_OPTIONS, Options
from irae.response.registry import CRITERIA
from irae.response.rules import RECIST_11
from irae.response.validity import is_measurable
from irae.response.values import (
    NODE_SITE,
    Answer,
    Case,
    Change,
    Imaging,
    NewLesion,
    NonTarget,
    PetLesion,
    PetScan,
    Reason,
    State,
    Target,
    Visit,
    VisitKind,
)

ANATOMIC_DEFAULT: tuple[str, ...] = ("recist_1_1", "irecist")
PET_DEFAULT: tuple[str, ...] = ("percist_1_0", "impercist5", "ipercist")
DEFAULT_CRITERIA: tuple[str, ...] = ANATOMIC_DEFAULT + PET_DEFAULT
# Criteria that can score the lesions of an exam; the others need given responses or measurements of their own.
EXAM_CRITERIA: tuple[str, ...] = tuple(
    name for name, row in CRITERIA.items() if row.family in ("anatomic", "metabolic") and row.states is not None
)
BASELINE = "baseline"  # the category of the exam that responses are measured from


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRules:
    """How measured foci become what a reader would record."""

    # Growth below this is not called growth of a lesion that is not summed: about the repeatability of a diameter on
    # CT (Zhao B et al., Radiology 2009;252:263-272: same-day repeats differ by up to some 10 %); a design value.
    growth_mm: float = 2.0
    growth_pct: int = 10
    # Physiologic uptake less likely than this to be metastasis is no hinge. Design value.
    hinge_least: float = 0.2
    # Unequivocal progression of non-targets: +73 % volume is +20 % diameter (Eisenhauer 2009 section 4.3.4).
    non_target_volume_pct: int = 73
    clear_growth_pct: int = 20
    clear_growth_mm: float = 5.0
    # A new node counts from 10 mm short axis, if no PET shows it (EORTC FAQ "New lymph node lesions").
    new_node_mm: float = 10.0


VIEW_RULES = ViewRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamLesions:
    """What response needs of one exam. SUV in g/mL (body weight).

    ``suv_to_sul`` None: SUL is unknown (``why_no_sul``) and PET criteria answer NE. ``uptake_minutes`` None: not known,
    not compared.
    """

    acquired_on: date
    foci: tuple[AttributedFocus, ...]
    has_ct: bool = True
    has_pet: bool = False
    slice_thickness_mm: float | None = None
    suv_to_sul: float | None = None
    why_no_sul: str = ""
    liver_mean_suv: float | None = None
    liver_sd_suv: float | None = None
    blood_pool_mean_suv: float | None = None
    blood_pool_sd_suv: float | None = None
    uptake_minutes: float | None = None
    clinical_deterioration: bool = False
    scanner: str | None = None
    reconstruction: str | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the baseline fixes for both views: tracks followed as targets and as non-targets."""

    targets: tuple[str, ...]
    non_targets: tuple[str, ...]  # metastases and indeterminate foci that are no targets
    set_aside: tuple[str, ...]  # foci called inflammation at baseline
    fallback: bool  # no metastasis at baseline: indeterminate foci are followed

    def groups(self, view: View) -> tuple[tuple[str, ...], ...]:
        """Non-targets of a view, each group judged on its own: what is set aside as inflammation counts only as seen.

        One volume for both would let inflammation dilute the growth of a metastasis.
        """
        return (self.non_targets,) if view is View.ATTRIBUTED else (self.non_targets, self.set_aside)


def _track(focus: AttributedFocus) -> str:
    return focus.focus.track


def _site(focus: AttributedFocus) -> str:
    return NODE_SITE if focus.focus.is_node else site_of(focus.focus.organ)


def _counts(exam: ExamLesions) -> bool:
    return exam.has_ct or exam.has_pet


def _one_focus_a_track(course: Sequence[ExamLesions]) -> tuple[ExamLesions, ...]:
    """The course with every track at most once an exam: fragments of a split lesion are summed (rule R11-N4).

    A focus without a track is a lesion of its own exam only. Whether a lesion is measured as a node is settled where it
    was first seen: its axis may change, its kind may not.
    """
    nodes: dict[str, bool] = {}
    found = []
    for exam in course:
        unique = _unique_tracks(exam)
        for focus in unique.foci:
            nodes.setdefault(_track(focus), focus.focus.is_node)
        found.append(replace(unique, foci=tuple(
            focus if focus.focus.is_node is nodes[_track(focus)]
            else replace(focus, focus=replace(focus.focus, is_node=nodes[_track(focus)]))
            for focus in unique.foci
        )))
    return tuple(found)


def _unique_tracks(exam: ExamLesions) -> ExamLesions:
    by_track: dict[str, list[AttributedFocus]] = {}
    for focus in exam.foci:
        track = focus.focus.track or f"{exam.acquired_on} focus {focus.focus.id}"
        if not focus.focus.track:
            focus = replace(focus, focus=replace(focus.focus, track=track))
        by_track.setdefault(track, []).append(focus)
    return replace(exam, foci=tuple(_whole(parts) for parts in by_track.values()))


def _whole(parts: Sequence[AttributedFocus]) -> AttributedFocus:
    """One lesion of its fragments: diameters, volume and TLG summed, the hottest SULpeak, the largest one's nature."""
    there = [p for p in parts if p.focus.status is not FocusStatus.GONE] or list(parts)
    main = max(there, key=lambda p: (p.focus.volume_ml, -p.focus.id))
    if len(there) == 1:
        return main
    peaks = [p.focus.suv_peak for p in there if p.focus.suv_peak is not None]
    tlgs = [p.focus.tlg for p in there if p.focus.tlg is not None]
    return replace(main, focus=replace(
        main.focus,
        longest_mm=sum(p.focus.longest_mm for p in there),
        short_mm=sum(p.focus.short_mm for p in there),
        volume_ml=sum(p.focus.volume_ml for p in there),
        suv_peak=max(peaks, default=None),
        tlg=sum(tlgs) if tlgs else None,
    ))


def assess_course(
    course: Sequence[ExamLesions],
    *,
    criteria: Sequence[str] | None = None,
    options: Options = DEFAULT_OPTIONS,
    baseline_index: int = 0,
    rules: ViewRules = VIEW_RULES,
    hinges: bool = True,
) -> tuple[tuple[Assessment, ...], tuple[Hinge, ...]]:
    """Every criterion in both views for the last exam, and on which single attribution a category hinges.

    Args:
        course: All exams up to the one asked about, oldest first.
        criteria: Names of ``EXAM_CRITERIA``; None: RECIST 1.1 and iRECIST, and the PET criteria where the last
            exam has PET. PET criteria are left out where no exam has PET, and answer NE where only this one has none.
        options: How contested points are decided.
        baseline_index: The exam that responses are measured from: the last before, or within a week after, the
            start of immunotherapy.
        rules: How foci become lesions.
        hinges: Whether to look for hinges, which takes most of the time.

    Returns:
        Assessments (attributed before as_seen for each criterion) and hinges. Both empty where the last exam has
        neither CT nor PET or lies before the baseline.

    Raises:
        ValueError: If dates are out of order, the index is out of range, or a criterion is unknown or not one that
            scores lesions.
    """
    _check(course, baseline_index)
    if not course or not _counts(course[-1]):
        return (), ()
    names = tuple(criteria) if criteria is not None else default_criteria(course[-1])
    for name in names:
        if name not in EXAM_CRITERIA:
            raise ValueError(f"criterion {name!r} cannot score an exam's lesions; {', '.join(EXAM_CRITERIA)} can")
    kept = _one_focus_a_track(course[baseline_index:])
    if not any(exam.has_pet for exam in kept):
        names = tuple(name for name in names if CRITERIA[name].family != "metabolic")
    assessments = tuple(
        _assessment(name, view, kept, options, rules) for name in names for view in (View.ATTRIBUTED, View.AS_SEEN)
    )
    return assessments, _hinges(kept, names, assessments, options, rules) if hinges else ()


def default_criteria(exam: ExamLesions) -> tuple[str, ...]:
    """The criteria of an exam where none are named: PET criteria only where there is PET."""
    return DEFAULT_CRITERIA if exam.has_pet else ANATOMIC_DEFAULT


def _check(course: Sequence[ExamLesions], baseline_index: int) -> None:
    for before, after in pairwise(course):
        if after.acquired_on <= before.acquired_on:
            raise ValueError(f"exams are out of order: {after.acquired_on} is not after {before.acquired_on}")
    if course and not 0 <= baseline_index < len(course):
        raise ValueError(f"baseline index {baseline_index} is outside the {len(course)} exams of the course")


# --- From foci to a case ------------------------------------------------------------------------------------------

_NEVER = 1_000_000  # an exam that never comes


def _natures(exams: Sequence[ExamLesions]) -> dict[str, list[tuple[int, Nature]]]:
    """What each track was called at which exam; at one where it is gone only if that was inflammation."""
    natures: dict[str, list[tuple[int, Nature]]] = {}
    for number, exam in enumerate(exams):
        for focus in exam.foci:
            track, gone = _track(focus), focus.focus.status is FocusStatus.GONE
            if not gone:
                natures.setdefault(track, []).append((number, focus.nature))
            elif track in natures and focus.nature is Nature.INFLAMMATION:
                natures[track].append((number, focus.nature))
    return natures


def _told_inflammation(exams: Sequence[ExamLesions]) -> frozenset[str]:
    """Tracks that were last called inflammation, whatever they were called before."""
    last = {
        track: sure[-1] for track, seen in _natures(exams).items()
        if (sure := [nature for _, nature in seen if nature is not Nature.INDETERMINATE])
    }
    return frozenset(track for track, nature in last.items() if nature is Nature.INFLAMMATION)


def _called_from(exams: Sequence[ExamLesions], view: View) -> dict[str, int]:
    """From which exam on each track counts as tumour in a view; ``_NEVER`` where it does not. Skips physiology.

    Attributed: from the first exam that called it metastasis, unless a later exam withdrew that and called it
    inflammation; a vanished lesion may be called so, too. An indeterminate look later on does not withdraw a call.
    What was held for normal uptake before is no unequivocal new lesion (rule R11-L2): its second call counts.
    """
    called: dict[str, int] = {}
    for track, seen in _natures(exams).items():
        sure = [nature for _, nature in seen if nature is not Nature.INDETERMINATE]
        if sure and sure[-1] is Nature.PHYSIOLOGIC:
            continue
        if view is View.AS_SEEN:
            called[track] = seen[0][0]
        elif sure and sure[-1] is Nature.METASTASIS:
            calls = [number for number, nature in seen if nature is Nature.METASTASIS]
            doubted = any(nature is Nature.PHYSIOLOGIC and number < calls[0] for number, nature in seen)
            called[track] = calls[0] if not doubted else (calls[1] if len(calls) > 1 else _NEVER)
        else:
            called[track] = _NEVER
    return called


def _plan(exam: ExamLesions, options: Options) -> _Plan:
    """Targets at baseline: at most five and two a site, measurable, the largest first (rules R11-B1, R11-M1).

    The whole uptake of an organ (``features["picture"]``) has no diameter of a lesion: it is never a target.
    """
    there = [f for f in exam.foci if f.focus.status is not FocusStatus.GONE]
    metastases = [f for f in there if f.nature is Nature.METASTASIS]
    unclear = [f for f in there if f.nature is Nature.INDETERMINATE]
    fallback = not metastases and bool(unclear)
    thickness = None if exam.slice_thickness_mm is None else exact(round(exam.slice_thickness_mm, 3))
    imaging = Imaging(slice_mm=thickness)
    targets: list[AttributedFocus] = []
    eligible = unclear if fallback else metastases
    for focus in sorted(eligible, key=lambda f: (-_size_mm(f), _track(f))) if exam.has_ct else ():
        if (
            len(targets) < RECIST_11.max_targets
            and sum(_site(t) == _site(focus) for t in targets) < RECIST_11.max_per_organ
            and not focus.focus.features.get("picture")
            and is_measurable(_target(focus), imaging, options)
        ):
            targets.append(focus)
    chosen = {_track(f) for f in targets}
    return _Plan(
        tuple(sorted(chosen)),
        tuple(sorted({_track(f) for f in metastases + unclear} - chosen)),
        tuple(sorted({_track(f) for f in there if f.nature is Nature.INFLAMMATION})),
        fallback,
    )


def _size_mm(focus: AttributedFocus) -> float:
    return focus.focus.short_mm if focus.focus.is_node else focus.focus.longest_mm


def _target(focus: AttributedFocus, *, lost_before: bool = True) -> Target:
    """A target as measured. Not found is not absent: at the first exam that loses it, it is too small to measure."""
    gone = focus.focus.status is FocusStatus.GONE
    if gone and not lost_before:
        return Target(id=_track(focus), site=_site(focus), is_node=focus.focus.is_node, state=State.TOO_SMALL)
    longest, short = tenths(focus.focus.longest_mm), tenths(focus.focus.short_mm)
    return Target(
        id=_track(focus), site=_site(focus), is_node=focus.focus.is_node,
        state=State.ABSENT if gone else State.MEASURED,
        longest=None if gone else max(longest, short), short=None if gone else short,
    )


@dataclass
class _Sizes:
    """Diameters of each lesion and volume of each group so far, to say whether what is not summed has grown."""

    last_mm: dict[str, float] = field(default_factory=dict)
    least_mm: dict[str, float] = field(default_factory=dict)
    least_ml: dict[tuple[str, ...], float] = field(default_factory=dict)

    def change(self, track: str, size_mm: float, rules: ViewRules) -> Change:
        """Change since the last exam, beyond what a repeated measurement gives; clear growth against the smallest."""
        least, last = self.least_mm.get(track), self.last_mm.get(track)
        self.last_mm[track] = size_mm
        self.least_mm[track] = size_mm if least is None else min(least, size_mm)
        if last is None or least is None:
            return Change.NEW
        if size_mm - least >= rules.clear_growth_mm and 100 * (size_mm - least) >= rules.clear_growth_pct * least:
            clear = size_mm > last
            return Change.PROGRESSED if clear else Change.STABLE
        if size_mm - last >= rules.growth_mm and 100 * (size_mm - last) >= rules.growth_pct * last:
            return Change.INCREASED
        return Change.DECREASED if last - size_mm >= rules.growth_mm else Change.STABLE


def case_of(
    course: Sequence[ExamLesions],
    view: View,
    options: Options = DEFAULT_OPTIONS,
    rules: ViewRules = VIEW_RULES,
) -> Case:
    """The anatomic case of a course from its baseline on, in one view."""
    exams = [e for e in _one_focus_a_track(course) if _counts(e)]
    if not exams:
        return Case(id="course", visits=(), options=options)
    plan = _plan(exams[0], options)
    groups = plan.groups(view)
    equivocal = _told_inflammation(exams) if view is View.ATTRIBUTED else frozenset()
    called = _called_from(exams, view)
    sizes = _Sizes()
    visits = []
    lost: set[str] = set()  # gone at the exam before
    for number, exam in enumerate(exams):
        by_track = {_track(f): f for f in exam.foci}
        visits.append(Visit(
            id=exam.acquired_on.isoformat(),
            on=exam.acquired_on,
            kind=VisitKind.FOLLOWUP if number else VisitKind.BASELINE,
            targets=tuple(
                _target(by_track[t], lost_before=t in lost) for t in plan.targets if t in by_track
            ) if exam.has_ct else (),
            non_targets=tuple(
                lesion for group in groups
                for lesion in _non_targets(group, by_track, sizes, rules, baseline=number == 0, equivocal=equivocal)
            ),
            new_lesions=() if number == 0 else _new_lesions(exam, number, plan, called, sizes, rules),
            clinical_deterioration=exam.clinical_deterioration,
        ))
        lost = {t for t, f in by_track.items() if f.focus.status is FocusStatus.GONE}
    return Case(id="course", visits=tuple(visits), options=options)


def _non_targets(
    tracks: tuple[str, ...], by_track: Mapping[str, AttributedFocus], sizes: _Sizes, rules: ViewRules, *,
    baseline: bool, equivocal: Collection[str],
) -> tuple[NonTarget, ...]:
    """One group of non-targets at one exam: those that clearly grew progress where its volume is up by 73 %.

    What is equivocal is followed, but is no progression, and its volume is not counted.
    """
    seen = [(t, by_track[t]) for t in tracks if t in by_track]
    changes = {t: sizes.change(t, _size_mm(f), rules) for t, f in seen}
    counted = [(t, f) for t, f in seen if t not in equivocal]
    volume = sum(f.focus.volume_ml for _, f in counted)
    least = sizes.least_ml.get(tracks)
    if len(counted) == sum(t not in equivocal for t in tracks):
        sizes.least_ml[tracks] = volume if least is None else min(least, volume)
    burden_up = (
        least is not None and least > 0 and 100 * (volume - least) >= rules.non_target_volume_pct * least
    )
    lesions: list[NonTarget] = []
    for track, focus in seen:
        gone = focus.focus.status is FocusStatus.GONE
        grew = changes[track] is Change.PROGRESSED or (
            sizes.last_mm[track] - sizes.least_mm[track] >= rules.clear_growth_mm
            and 100 * (sizes.last_mm[track] - sizes.least_mm[track])
            >= rules.clear_growth_pct * sizes.least_mm[track]
        )
        progressed = not baseline and not gone and burden_up and grew and track not in equivocal
        state = State.ABSENT if gone else (State.PROGRESSED if progressed else State.PRESENT)
        change = changes[track]
        if change is Change.PROGRESSED:
            change = Change.INCREASED
        lesions.append(NonTarget(
            id=track, site=_site(focus), is_node=focus.focus.is_node, state=state,
            change=None if change is Change.NEW else change,
        ))
    return tuple(lesions)


def _new_lesions(
    exam: ExamLesions, number: int, plan: _Plan, called: Mapping[str, int], sizes: _Sizes, rules: ViewRules
) -> tuple[NewLesion, ...]:
    """Foci that the baseline did not have. Those not called (yet) are equivocal."""
    known = {*plan.targets, *plan.non_targets, *plan.set_aside}
    found: list[NewLesion] = []
    for focus in exam.foci:
        track = _track(focus)
        if track in known or track not in called:
            continue
        gone = focus.focus.status is FocusStatus.GONE
        small_node = focus.focus.is_node and focus.focus.short_mm < rules.new_node_mm and not exam.has_pet
        change = Change.RESOLVED if gone else sizes.change(track, _size_mm(focus), rules)
        if gone:
            state = State.ABSENT
        elif called[track] <= number and not small_node:
            state = State.MEASURED
        else:
            state = State.EQUIVOCAL
        longest, short = tenths(focus.focus.longest_mm), tenths(focus.focus.short_mm)
        found.append(NewLesion(
            id=track, site=_site(focus), is_node=focus.focus.is_node, state=state,
            longest=None if gone else max(longest, short), short=None if gone else short, change=change,
        ))
    return tuple(found)


def pet_case_of(
    course: Sequence[ExamLesions], view: View, options: Options = DEFAULT_OPTIONS
) -> Case:
    """The metabolic case of a course, from its first PET on, in one view. SUL = SUVbw x suv_to_sul."""
    exams = [e for e in _one_focus_a_track(course) if e.has_pet]
    if not exams:
        return Case(id="course", visits=(), options=options)
    plan = _plan(exams[0], options)
    tumour_at_baseline = {*plan.targets, *plan.non_targets}
    known = tumour_at_baseline | set(plan.set_aside)
    called = _called_from(exams, view)
    visits = tuple(
        Visit(
            id=exam.acquired_on.isoformat(), on=exam.acquired_on,
            kind=VisitKind.FOLLOWUP if number else VisitKind.BASELINE,
            pet=_pet_scan(exam, number, called, tumour_at_baseline, known),
            clinical_deterioration=exam.clinical_deterioration,
        )
        for number, exam in enumerate(exams)
    )
    return Case(id="course", visits=visits, options=options)


def _pet_scan(
    exam: ExamLesions, number: int, called: Mapping[str, int], tumour: set[str], known: set[str]
) -> PetScan | None:
    factor = exam.suv_to_sul
    if factor is None:
        return None
    liver = _sul(exam.liver_mean_suv, factor)
    pool = _sul(exam.blood_pool_mean_suv, factor)
    lesions = []
    for focus in exam.foci:
        track = _track(focus)
        gone = focus.focus.status is FocusStatus.GONE
        if track not in called and track not in tumour:
            continue
        if focus.focus.suv_peak is None and not gone:
            continue
        if number == 0 and gone:
            continue
        is_new = number > 0 and track not in known
        # What is set aside at baseline stays out of both views' sums, so that they follow the same lesions.
        is_tumour = track in tumour or (is_new and called[track] <= number)
        peak = Fraction(0) if gone else _sul(focus.focus.suv_peak, factor)
        low = peak is not None and liver is not None and peak < liver and (pool is None or peak <= pool)
        lesions.append(PetLesion(
            id=track, site=_site(focus), sul_peak=peak, is_new=is_new, resolved=gone, background=low,
            attribution="tumour" if is_tumour else ("irae" if focus.nature is Nature.INFLAMMATION else "infection"),
            tlg=None if focus.focus.tlg is None or gone else _sul(focus.focus.tlg, factor),
            functional_mm=exact(round(focus.focus.longest_mm, 1)),
        ))
    return PetScan(
        lesions=tuple(lesions),
        liver_mean=liver, liver_sd=_sul(exam.liver_sd_suv, factor),
        blood_pool_mean=pool, blood_pool_sd=_sul(exam.blood_pool_sd_suv, factor),
        uptake_min=None if exam.uptake_minutes is None else exact(round(exam.uptake_minutes, 1)),
        scanner=exam.scanner, reconstruction=exam.reconstruction,
    )


def _sul(suv: float | None, factor: float) -> Fraction | None:
    """SUL to a thousandth of a g/mL, exact from there on."""
    return None if suv is None else exact(round(suv * factor, 3))


# --- Answers ------------------------------------------------------------------------------------------------------


def _last_answer(
    name: str, course: Sequence[ExamLesions], view: View, options: Options, rules: ViewRules
) -> tuple[Case, Answer | None]:
    metabolic_ = CRITERIA[name].family == "metabolic"
    case = pet_case_of(course, view, options) if metabolic_ else case_of(course, view, options, rules)
    fold = CRITERIA[name].states
    if fold is None or not case.followups:
        return case, None
    return case, [answer for _, answer in fold(case)][-1]


def _assessment(
    name: str, view: View, course: Sequence[ExamLesions], options: Options, rules: ViewRules
) -> Assessment:
    metabolic_ = CRITERIA[name].family == "metabolic"
    last = course[-1]
    case, answer = _last_answer(name, course, view, options, rules)
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
    # After confirmed progression nothing is scored any more: the category stays.
    category = answer.overall or ("CPMD" if metabolic_ else "iCPD")
    return Assessment(
        criterion=name, view=view, category=category,
        sum_mm=_number(values.get("sum_mm", values.get("tumour_burden_mm"))),
        baseline_mm=baseline_mm,
        nadir_mm=_number(values.get("nadir_mm")),
        sum_sul=_number(values.get("sum_sulpeak" if name == "impercist5" else "sul_peak")),
        baseline_sul=baseline_sul,
        targets=targets,
        confirm_between=window,
        reasons=answer.reasons + _plan_reason(course, options),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


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
    exams = [e for e in course if _counts(e)]
    if exams and _plan(exams[0], options).fallback:
        text = "No focus of the baseline is called metastasis: indeterminate foci are followed instead."
        return (("R11-B1", text),)
    return ()


# --- Hinges -------------------------------------------------------------------------------------------------------


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
    exams = [e for e in course if _counts(e)]
    plan = _plan(exams[0], options)
    settled = {*plan.targets, *plan.non_targets} - _told_inflammation(exams)
    found: list[Hinge] = []
    for focus in course[-1].foci:
        physiologic = focus.nature is Nature.PHYSIOLOGIC
        if _track(focus) in settled or (physiologic and focus.probabilities["metastasis"] < rules.hinge_least):
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
        replace(f, nature=nature) if _track(f) == _track(focus) else f for f in exam.foci
    ))


# --- Patterns and what is due -------------------------------------------------------------------------------------


def _words(states: Iterable[tuple[object, Answer]]) -> list[tuple[date, str | None]]:
    return [(answer.on, answer.overall) for _, answer in states]


def patterns(
    course: Sequence[ExamLesions], *, options: Options = DEFAULT_OPTIONS, baseline_index: int = 0
) -> tuple[Pattern, ...]:
    """Every response pattern of the course by its published definition, in the attributed view."""
    _check(course, baseline_index)
    course = _one_focus_a_track(course)
    kept = course[baseline_index:]
    case = case_of(kept, View.ATTRIBUTED, options)
    baseline = case.baseline
    if baseline is None:
        return ()
    iwords = _words(irecist.states(case))
    words = _words(recist11.states(case))
    found: list[Pattern] = []

    def add(name: str, definition: str, source: str, answer: bool | None, reason: Reason) -> None:
        found.append(Pattern(name=name, definition=definition, answer=answer, source=source,
                             reasons=(f"{reason[0]}: {reason[1]}",)))

    burdens: list[tuple[date, Fraction | None]] = [(baseline.on, exact(burden.start_irrc(baseline).baseline / 100))]
    for _, answer in burden.states_irrc(case):
        value = _number(answer.values["tumour_burden_mm2"])
        burdens.append((answer.on, None if value is None else exact(value)))
    kind, why = named_patterns.pseudoprogression(burdens)
    for name in ("early", "delayed"):
        add(f"pseudoprogression_{name}", "tumour burden (irRC) up by >= 25 %, not confirmed at the next assessment",
            "Hodi 2016", None if kind is None else kind == name, why)
    for strict, text in ((False, "iUPD reset by iSD, iPR or iCR"), (True, "iUPD reset by iPR or iCR")):
        answer_, why = named_patterns.pseudoprogression_irecist(iwords, options, strict=strict)
        add("pseudoprogression_irecist" + ("_strict" if strict else ""), text, "Seymour 2017", answer_, why)
    changes = [named_patterns.lesion_changes(baseline, v, size_of) for v in case.followups[-1:]]
    for name, (rule, source, ask) in named_patterns.DISSOCIATED.items():
        answer_ = named_patterns.any_visit([ask(change) for change in changes])
        add(name, "dissociated (mixed) response, last exam against baseline", source, answer_,
            (rule, f"{source}: {len(changes[0].lesions) if changes else 0} targets measured at both exams."))
    answer_, why = named_patterns.durable_kaufman(words, case.reference_date, options)
    add("durable_kaufman", "CR or PR that begins within 12 months and lasts >= 6", "Kaufman 2017", answer_, why)
    for name, (hyper, why) in growth.hyperprogression(_growth(course, baseline_index, case, words, options),
                                                      options).items():
        add(f"hyperprogression_{name}", why[1].split(":")[0], _HPD_SOURCES[name], hyper, why)
    return tuple(found)


_HPD_SOURCES = {
    "champiat": "Champiat 2017", "saada_bouzid": "Saada-Bouzid 2017", "ferrara": "Ferrara 2018", "kato": "Kato 2017",
    "lo_russo": "Lo Russo 2019", "matos": "Matos 2020", "kas_delta100": "Kas 2020",
}


def _growth(
    course: Sequence[ExamLesions], baseline_index: int, case: Case, words: Sequence[tuple[date, str | None]],
    options: Options,
) -> growth.Growth:
    """Growth of the same targets before the baseline and from it to the first exam on treatment."""
    baseline = case.baseline
    assert baseline is not None
    base = _sum_mm(baseline.targets, len(baseline.targets))
    now = next(iter(case.followups), None)
    after = None if now is None else _sum_mm(now.targets, len(baseline.targets))
    month = options.month_days
    before = None
    earlier = next((e for e in reversed(course[:baseline_index]) if e.has_ct), None)
    if earlier is not None and base is not None:
        tracks = {t.id for t in baseline.targets}
        seen = tuple(_target(f) for f in earlier.foci if _track(f) in tracks)
        then = _sum_mm(seen, len(baseline.targets))
        if then is not None:
            before = growth.slope(then, base, (baseline.on - earlier.acquired_on).days, month)
    under = None
    if now is not None and base is not None and after is not None:
        under = growth.slope(base, after, (now.on - baseline.on).days, month)
    involved = {x.site for group in (baseline.targets, baseline.non_targets) for x in group}
    new = [x for x in now.new_lesions if x.there] if now is not None else []
    return growth.Growth(
        before=before, under=under, baseline_mm=base, now_mm=after,
        days=None if now is None else (now.on - baseline.on).days,
        is_pd=None if now is None or words[0][1] in (None, "NE") else words[0][1] == "PD",
        new_lesion_organs=None if now is None else len({x.site for x in new}),
        new_in_involved_organ=None if now is None else sum(x.site in involved for x in new),
        spreads=None if now is None else any(x.site not in involved for x in new),
    )


def _sum_mm(targets: Sequence[Target], count: int) -> Fraction | None:
    sizes = [size_of(t) for t in targets]
    if count == 0 or len(sizes) < count or any(s is None for s in sizes):
        return None
    return Fraction(sum(s for s in sizes if s is not None), PER_MM)


def due(
    course: Sequence[ExamLesions],
    *,
    on: date | None = None,
    options: Options = DEFAULT_OPTIONS,
    baseline_index: int = 0,
) -> tuple[Due, ...]:
    """What is due when, in the attributed view; ``on`` None: judged on the day of the last exam."""
    _check(course, baseline_index)
    kept = [e for e in course[baseline_index:] if _counts(e)]
    if not kept:
        return ()
    today = on if on is not None else kept[-1].acquired_on
    case = case_of(kept, View.ATTRIBUTED, options)
    found: list[Due] = list(timeline.confirmation_scans(_words(irecist.states(case)), options, on=today))
    pet = pet_case_of(kept, View.ATTRIBUTED, options)
    if pet.followups:
        found.extend(timeline.pet_confirmation_scans(_words(metabolic.states_ipercist(pet)), on=today))
    scans = [e.acquired_on for e in kept]
    for visit in case.followups[-1:]:
        names = sorted(x.id for x in visit.new_lesions if x.state is State.EQUIVOCAL)
        if names:
            found.append(timeline.equivocal_scan(visit.on, scans, names, on=today))
    found.append(timeline.routine_scan(scans[-1], on=today))
    return tuple(found)

