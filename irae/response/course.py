"""From a course of measured foci to the cases that criteria score: which lesions are followed, and what counts as new.

Both views follow the same targets, chosen once at baseline, so that they differ only by what is counted besides: the
attributed view can then never be worse than the view as seen because of a lesion that is set aside.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise

from irae.core.anatomy import site_of
from irae.core.assessment import View
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.response.lengths import exact, tenths
from irae.response.options import DEFAULT_OPTIONS, Options
from irae.response.rules import RECIST_11
from irae.response.validity import is_measurable
from irae.response.values import (
    NODE_SITE,
    Case,
    Change,
    Imaging,
    NewLesion,
    NonTarget,
    PetLesion,
    PetScan,
    State,
    Target,
    Visit,
    VisitKind,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRules:
    """How measured foci become what a reader would record."""

    # Growth below this is not called growth of a lesion that is not summed: about the repeatability of a diameter on
    # CT (Zhao B et al., Radiology 2009;252:263-272: same-day repeats differ by up to some 10 %); a design value.
    growth_mm: float = 2.0
    growth_pct: int = 10
    # Physiologic uptake less likely than this to be metastasis is no hinge, and an undecided focus of the baseline no
    # disease of the attributed view: what was most likely never there can be no complete response. Design value.
    hinge_least: float = 0.2
    ruled_out: float = 0.05  # less likely than this a focus is not the metastasis that it was called before
    # Share of a bone lesion's inner half that is as dense as soft tissue, enhanced too (-20 to 130 HU), below which it
    # is blastic: never measurable (rule R11-M3). Design value. Of the whole lesion, rim and all, a blurred border
    # leaves too little: of 203 synthetic ones drawn as soft tissue 97 had less than this of -20 to 110 HU.
    lytic_least: float = 0.4
    # Unequivocal progression of non-targets: +73 % volume is +20 % diameter (Eisenhauer 2009 section 4.3.4).
    non_target_volume_pct: int = 73
    clear_growth_pct: int = 20
    clear_growth_mm: float = 5.0
    # A new lesion is equivocal at first where it is small (RECIST 1.1, Eisenhauer 2009 section 4.3.5: continued therapy
    # and follow-up clarify) or hardly stands out of its surroundings (SUVpeak over theirs; a lesion with a border on CT
    # does). In 464 synthetic follow-ups 23 new metastases had 11 mm and 2.9 times at least; 10 of 11 foci that were
    # none and were called so had less of one of them.
    new_lesion_mm: float = 10.0
    new_contrast: float = 2.5
    # A new node counts from 10 mm short axis, if no PET shows it (EORTC FAQ "New lymph node lesions").
    new_node_mm: float = 10.0
    # A lesion that this many exams in a row did not find is absent; before, it is too small to measure (R11-N3). The
    # lung shows a spot of a few voxels; elsewhere a remnant of 5 to 10 mm has neither contrast nor uptake. Of synthetic
    # metastases outside the lungs that were not found, 54 of 63 were still there at the second such exam, 4 of 23 at
    # the third; in the lungs 2 of 16 at the second. One last seen shorter than ``last_seen_mm`` needs one exam less: of
    # 29 such in the lungs 25 were gone at the first exam that did not find them and none had 5 mm, of 6 that had been
    # longer none was gone; elsewhere 2 of 3 at the second. Design values.
    lost_in_lung: int = 2
    lost_elsewhere: int = 3
    last_seen_mm: float = 8.0


VIEW_RULES = ViewRules()
PET_RULES = replace(VIEW_RULES, new_lesion_mm=0.0)  # what is plain on PET is a new lesion there, whatever its size
BONE_SITE = "bone"


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
class Plan:
    """What the baseline fixes for both views: tracks followed as targets and as non-targets."""

    targets: tuple[str, ...]
    non_targets: tuple[str, ...]  # metastases and indeterminate foci that are no targets
    set_aside: tuple[str, ...]  # foci of the baseline called inflammation, or undecided and hardly metastasis
    fallback: bool  # no metastasis at baseline: indeterminate foci are followed

    @property
    def known(self) -> frozenset[str]:
        """Every track that the baseline listed as anything but normal uptake."""
        return frozenset((*self.targets, *self.non_targets, *self.set_aside))

    def groups(self, view: View, told: Collection[str] = ()) -> tuple[tuple[str, ...], ...]:
        """Non-targets of a view, each group judged on its own: what is set aside counts only as seen.

        One volume for both would let inflammation dilute the growth of a metastasis. What was set aside at baseline and
        is called metastasis since (``told``) is disease that was there from the start, in both views.
        """
        turned = tuple(t for t in self.set_aside if t in told)
        if view is View.ATTRIBUTED:
            return self.non_targets, turned
        return self.non_targets, turned, tuple(t for t in self.set_aside if t not in told)


def check_course(course: Sequence[ExamLesions], baseline_index: int) -> None:
    """Refuses exams that are out of order, and a baseline that is none of them.

    Raises:
        ValueError: Naming the dates, or the index.
    """
    for before, after in pairwise(course):
        if after.acquired_on <= before.acquired_on:
            raise ValueError(f"exams are out of order: {after.acquired_on} is not after {before.acquired_on}")
    if course and not 0 <= baseline_index < len(course):
        raise ValueError(f"baseline index {baseline_index} is outside the {len(course)} exams of the course")


def counts(exam: ExamLesions) -> bool:
    """Whether response can be read from an exam at all: it has a CT or a PET."""
    return exam.has_ct or exam.has_pet


def track_of(focus: AttributedFocus) -> str:
    """The stable id of a lesion over exams."""
    return focus.focus.track


def site_of_focus(focus: AttributedFocus) -> str:
    """The organ of a focus as response criteria count organs; all lymph nodes are one."""
    return NODE_SITE if focus.focus.is_node else site_of(focus.focus.organ)


def one_focus_a_track(course: Sequence[ExamLesions]) -> tuple[ExamLesions, ...]:
    """The course with every track at most once an exam: fragments of a split lesion are summed (rule R11-N4).

    A focus without a track is a lesion of its own exam only. Whether a lesion is measured as a node is settled where it
    was first seen: its axis may change, its kind may not.
    """
    nodes: dict[str, bool] = {}
    found = []
    for exam in course:
        unique = _unique_tracks(exam)
        for focus in unique.foci:
            nodes.setdefault(track_of(focus), focus.focus.is_node)
        found.append(replace(unique, foci=tuple(
            focus if focus.focus.is_node is nodes[track_of(focus)]
            else replace(focus, focus=replace(focus.focus, is_node=nodes[track_of(focus)]))
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


def _natures(exams: Sequence[ExamLesions]) -> dict[str, list[tuple[int, Nature]]]:
    """What each track was called at which exam; at one where it is gone only if that was inflammation."""
    natures: dict[str, list[tuple[int, Nature]]] = {}
    for number, exam in enumerate(exams):
        for focus in exam.foci:
            track, gone = track_of(focus), focus.focus.status is FocusStatus.GONE
            if not gone:
                natures.setdefault(track, []).append((number, focus.nature))
            elif track in natures and focus.nature is Nature.INFLAMMATION:
                natures[track].append((number, focus.nature))
    return natures


def told_inflammation(exams: Sequence[ExamLesions]) -> frozenset[str]:
    """Tracks that were last called inflammation, whatever they were called before."""
    return _last_told(exams, Nature.INFLAMMATION)


def told_metastasis(exams: Sequence[ExamLesions]) -> frozenset[str]:
    """Tracks that were last called metastasis, whatever they were called before."""
    return _last_told(exams, Nature.METASTASIS)


def _last_told(exams: Sequence[ExamLesions], nature: Nature) -> frozenset[str]:
    last = {
        track: sure[-1] for track, seen in _natures(exams).items()
        if (sure := [said for _, said in seen if said is not Nature.INDETERMINATE])
    }
    return frozenset(track for track, said in last.items() if said is nature)


def came_and_went(exams: Sequence[ExamLesions]) -> frozenset[str]:
    """Tracks that were gone at an exam and that none called metastasis: that they are back is no clear progression.

    A spot of bowel or muscle comes and goes; Eisenhauer 2009 (4.3.4) asks for unequivocal progression of non-targets.
    """
    vanished = {track_of(f) for exam in exams for f in exam.foci if f.focus.status is FocusStatus.GONE}
    called = {track for track, seen in _natures(exams).items() if any(n is Nature.METASTASIS for _, n in seen)}
    return frozenset(vanished - called)


_NEVER = 1_000_000  # an exam that never comes


def _called_from(exams: Sequence[ExamLesions], view: View, rules: ViewRules) -> dict[str, int]:
    """From which exam on each track counts as tumour in a view; ``_NEVER`` where it does not. Skips physiology.

    Attributed: from the first exam that called it metastasis, unless a later exam withdrew that and called it
    inflammation; a vanished lesion may be called so, too. An indeterminate look later on does not withdraw a call.
    What was held for normal uptake before, or is small or faint, is no unequivocal new lesion (rule R11-L2): its second
    call counts, or the first that is clear; what is merely followed at its place is no call.
    """
    called: dict[str, int] = {}
    followed = {
        (track_of(f), number) for number, exam in enumerate(exams) for f in exam.foci
        if f.focus.features.get("followed")
    }
    plain = {(track_of(f), number) for number, exam in enumerate(exams) for f in exam.foci if _is_plain(f, rules)}
    for track, seen in _natures(exams).items():
        sure = [nature for _, nature in seen if nature is not Nature.INDETERMINATE]
        if sure and sure[-1] is Nature.PHYSIOLOGIC:
            continue
        if view is View.AS_SEEN:
            called[track] = seen[0][0]
        elif sure and sure[-1] is Nature.METASTASIS:
            calls = [number for number, nature in seen if nature is Nature.METASTASIS]
            doubted = any(nature is Nature.PHYSIOLOGIC and number < calls[0] for number, nature in seen)
            again = [number for number in calls[1:] if (track, number) not in followed]
            sufficient = again if doubted else sorted({*again, *(n for n in calls if (track, n) in plain)})
            called[track] = sufficient[0] if sufficient else _NEVER
        else:
            called[track] = _NEVER
    return called


def _is_plain(focus: AttributedFocus, rules: ViewRules) -> bool:
    """Whether a focus is large enough, and stands out enough, to be an unequivocal new lesion at once."""
    get = focus.focus.features.get
    shown = bool(get("size_from_ct")) or get("contrast", math.inf) >= rules.new_contrast
    return shown and focus.focus.longest_mm >= rules.new_lesion_mm


def plan_of(exam: ExamLesions, options: Options, rules: ViewRules = VIEW_RULES) -> Plan:
    """Targets at baseline: at most five and two a site, measurable, the largest first (rules R11-B1, R11-M1, R11-M3).

    The whole uptake of an organ (``features["picture"]``) has no diameter of a lesion: it is never a target.
    """
    there = [f for f in exam.foci if f.focus.status is not FocusStatus.GONE]
    metastases = [f for f in there if f.nature is Nature.METASTASIS]
    unclear = [f for f in there if _is_unclear(f, rules)]
    fallback = not metastases and bool(unclear)
    thickness = None if exam.slice_thickness_mm is None else exact(round(exam.slice_thickness_mm, 3))
    imaging = Imaging(slice_mm=thickness)
    targets: list[AttributedFocus] = []
    eligible = unclear if fallback else metastases
    for focus in sorted(eligible, key=lambda f: (-_size_mm(f), track_of(f))) if exam.has_ct else ():
        if (
            len(targets) < RECIST_11.max_targets
            and sum(site_of_focus(t) == site_of_focus(focus) for t in targets) < RECIST_11.max_per_organ
            and not focus.focus.features.get("picture")
            and is_measurable(target_of(focus, rules=rules), imaging, options)
        ):
            targets.append(focus)
    chosen = {track_of(f) for f in targets}
    return Plan(
        tuple(sorted(chosen)),
        tuple(sorted({track_of(f) for f in metastases + unclear} - chosen)),
        tuple(sorted({track_of(f) for f in there if f.nature is Nature.INFLAMMATION or (
            f.nature is Nature.INDETERMINATE and f not in unclear)})),
        fallback,
    )


def overlooked(exams: Sequence[ExamLesions]) -> dict[str, AttributedFocus]:
    """Tracks that the baseline shows though it did not list them, as they were when first listed.

    RECIST 1.1 asks that a new lesion be unequivocal: what was there at baseline is none (``lesions.retrospect``).
    """
    found: dict[str, AttributedFocus] = {}
    listed: set[str] = set()
    for exam in exams:
        for focus in exam.foci:
            days = focus.focus.features.get("seen_days_before", 0.0)
            since = (exam.acquired_on - exams[0].acquired_on).days
            if track_of(focus) not in listed and 0 < since <= days:
                found[track_of(focus)] = focus
        listed |= {track_of(focus) for focus in exam.foci}
    return found


def _size_mm(focus: AttributedFocus) -> float:
    return focus.focus.short_mm if focus.focus.is_node else focus.focus.longest_mm


def _disease(focus: AttributedFocus, rules: ViewRules) -> str:
    """What R11-M3 lists as never measurable: bone that is not lytic where the CT shows it, or that no CT shows."""
    get = focus.focus.features.get
    lytic = get("core_lytic_fraction", get("lytic_fraction", 0.0))  # results of earlier versions have no core
    blastic = site_of_focus(focus) == BONE_SITE and lytic < rules.lytic_least
    return "blastic_bone" if blastic else ""


@dataclass
class _Losses:
    """For how many exams in a row each track was not found, and how long it was when last seen."""

    exams: dict[str, int] = field(default_factory=dict)
    last_mm: dict[str, float] = field(default_factory=dict)

    def absent(self, by_track: Mapping[str, AttributedFocus], rules: ViewRules) -> frozenset[str]:
        """The tracks that the next exam shows to be absent: not found in enough exams in a row, this one included."""
        gone = {track: f for track, f in by_track.items() if f.focus.status is FocusStatus.GONE}
        self.exams = {track: self.exams.get(track, 0) + 1 for track in gone}
        self.last_mm |= {track: f.focus.longest_mm for track, f in by_track.items() if track not in gone}
        absent = set()
        for track, focus in gone.items():
            needed = rules.lost_in_lung if site_of(focus.focus.organ) == "lung" else rules.lost_elsewhere
            if self.last_mm.get(track, math.inf) < rules.last_seen_mm:
                needed -= 1
            if self.exams[track] >= needed:
                absent.add(track)
        return frozenset(absent)


def target_of(focus: AttributedFocus, *, absent: bool = False, rules: ViewRules = VIEW_RULES) -> Target:
    """A target as measured. Not found is not absent: for some exams it is too small to measure."""
    gone = focus.focus.status is FocusStatus.GONE
    if gone and not absent:
        return Target(id=track_of(focus), site=site_of_focus(focus), is_node=focus.focus.is_node, state=State.TOO_SMALL)
    longest, short = tenths(focus.focus.longest_mm), tenths(focus.focus.short_mm)
    return Target(
        id=track_of(focus), site=site_of_focus(focus), is_node=focus.focus.is_node,
        state=State.ABSENT if gone else State.MEASURED,
        longest=None if gone else max(longest, short), short=None if gone else short, disease=_disease(focus, rules),
    )


@dataclass
class _Sizes:
    """Diameters of each lesion and volume of each group so far, to say whether what is not summed has grown."""

    last_mm: dict[str, float] = field(default_factory=dict)
    least_mm: dict[str, float] = field(default_factory=dict)
    most_mm: dict[str, float] = field(default_factory=dict)
    least_ml: dict[tuple[str, ...], float] = field(default_factory=dict)

    def change(self, track: str, size_mm: float, rules: ViewRules) -> Change:
        """Change since the last exam, beyond what a repeated measurement gives; clear growth against the smallest."""
        least, last = self.least_mm.get(track), self.last_mm.get(track)
        self.last_mm[track] = size_mm
        self.least_mm[track] = size_mm if least is None else min(least, size_mm)
        self.most_mm[track] = max(size_mm, self.most_mm.get(track, 0.0))
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
    exams = [e for e in one_focus_a_track(course) if counts(e)]
    if not exams:
        return Case(id="course", visits=(), options=options)
    plan = plan_of(exams[0], options, rules)
    told = told_metastasis(exams)
    missed = overlooked(exams)
    there = {t for t, first in missed.items() if t in told or _is_followed(first, view, rules)}
    groups = (*plan.groups(view, told), tuple(sorted(there)))
    equivocal = told_inflammation(exams) | came_and_went(exams) if view is View.ATTRIBUTED else frozenset()
    called = _called_from(exams, view, rules)
    sizes = _Sizes()
    visits = []
    losses = _Losses()
    listed: set[str] = set()
    for number, exam in enumerate(exams):
        by_track = {track_of(f): f for f in exam.foci}
        absent = losses.absent(by_track, rules)
        visits.append(Visit(
            id=exam.acquired_on.isoformat(),
            on=exam.acquired_on,
            kind=VisitKind.FOLLOWUP if number else VisitKind.BASELINE,
            targets=tuple(
                target_of(by_track[t], absent=t in absent, rules=rules) for t in plan.targets if t in by_track
            ) if exam.has_ct else (),
            non_targets=tuple(
                lesion for group in groups
                for lesion in _non_targets(
                    group, by_track, sizes, rules, baseline=number == 0, absent=absent,
                    equivocal=equivocal | _doubtful(exam, told, view, rules, baseline=number == 0),
                )
            ) + tuple(_not_listed_yet(t, exams[number:]) for t in sorted(there - by_track.keys()) if t not in listed),
            new_lesions=() if number == 0 else _new_lesions(exam, number, {*plan.known, *missed}, called, sizes, rules),
            clinical_deterioration=exam.clinical_deterioration,
        ))
        listed |= by_track.keys()
    return Case(id="course", visits=tuple(visits), options=options)


def _is_followed(focus: AttributedFocus, view: View, rules: ViewRules) -> bool:
    """Whether a view follows a focus of the baseline as disease; what is set aside only as seen."""
    if focus.nature is Nature.METASTASIS or _is_unclear(focus, rules):
        return True
    return view is View.AS_SEEN and focus.nature in (Nature.INFLAMMATION, Nature.INDETERMINATE)


def _is_unclear(focus: AttributedFocus, rules: ViewRules) -> bool:
    """Whether a focus is left open and may well be a metastasis."""
    return focus.nature is Nature.INDETERMINATE and focus.probabilities["metastasis"] >= rules.hinge_least


def _not_listed_yet(track: str, exams: Sequence[ExamLesions]) -> NonTarget:
    """An overlooked lesion at an exam before the one that first listed it."""
    first = next(f for exam in exams for f in exam.foci if track_of(f) == track)
    return NonTarget(id=track, site=site_of_focus(first), is_node=first.focus.is_node, state=State.PRESENT)


def _doubtful(
    exam: ExamLesions, told: Collection[str], view: View, rules: ViewRules, *, baseline: bool
) -> frozenset[str]:
    """Tracks that an exam leaves open but hardly holds for a metastasis.

    That such a focus grew is no unequivocal progression (Eisenhauer 2009, 4.3.4). What was last called a metastasis is
    not let go by a doubt, only where the exam all but rules one out: a nodule that a pneumonitis has swallowed has the
    pneumonitis's size. As seen there are none.
    """
    if view is View.AS_SEEN:
        return frozenset()
    least = {True: 0.0 if baseline else rules.ruled_out, False: rules.hinge_least}
    return frozenset(
        track for f in exam.foci if f.nature is Nature.INDETERMINATE
        and f.probabilities["metastasis"] < least[(track := track_of(f)) in told]
    )


def _non_targets(
    tracks: tuple[str, ...], by_track: Mapping[str, AttributedFocus], sizes: _Sizes, rules: ViewRules, *,
    baseline: bool, equivocal: Collection[str], absent: Collection[str],
) -> tuple[NonTarget, ...]:
    """One group of non-targets at one exam: those that clearly grew progress where its volume is up by 73 %.

    What is equivocal is followed, but is no progression, and its volume is not counted; so is what this exam holds for
    normal uptake: bowel that is hot today is no lesion that grew.
    """
    seen = [(t, by_track[t]) for t in tracks if t in by_track]
    changes = {t: sizes.change(t, _size_mm(f), rules) for t, f in seen}
    equivocal = {*equivocal, *(t for t, f in seen if f.nature is Nature.PHYSIOLOGIC)}
    counted = [(t, f) for t, f in seen if t not in equivocal]
    volume = sum(f.focus.volume_ml for _, f in counted)
    least = sizes.least_ml.get(tracks)
    if counted and len(counted) == sum(t not in equivocal for t in tracks):
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
        state = State.ABSENT if track in absent else (State.PROGRESSED if progressed else State.PRESENT)
        change = changes[track]
        if change is Change.PROGRESSED:
            change = Change.INCREASED
        # A node that was enlarged can become normal (R11-NT1); one listed for its uptake alone never was by size.
        was_enlarged = focus.focus.is_node and sizes.most_mm[track] >= RECIST_11.node_normal_below_mm
        lesions.append(NonTarget(
            id=track, site=site_of_focus(focus), is_node=focus.focus.is_node, state=state,
            short=tenths(focus.focus.short_mm) if was_enlarged and track not in absent else None,
            change=None if change is Change.NEW else change,
        ))
    return tuple(lesions)


def _new_lesions(
    exam: ExamLesions, number: int, known: Collection[str], called: Mapping[str, int], sizes: _Sizes, rules: ViewRules
) -> tuple[NewLesion, ...]:
    """Foci that the baseline did not have. Those not called (yet) are equivocal."""
    found: list[NewLesion] = []
    for focus in exam.foci:
        track = track_of(focus)
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
            id=track, site=site_of_focus(focus), is_node=focus.focus.is_node, state=state,
            longest=None if gone else max(longest, short), short=None if gone else short, change=change,
        ))
    return tuple(found)


def pet_case_of(
    course: Sequence[ExamLesions], view: View, options: Options = DEFAULT_OPTIONS
) -> Case:
    """The metabolic case of a course, from its first PET on, in one view. SUL = SUVbw x suv_to_sul."""
    exams = [e for e in one_focus_a_track(course) if e.has_pet]
    if not exams:
        return Case(id="course", visits=(), options=options)
    plan = plan_of(exams[0], options)
    # What the baseline shows and did not measure has no uptake to compare with: it is left out.
    missed = overlooked(exams).keys()
    exams = [replace(e, foci=tuple(f for f in e.foci if track_of(f) not in missed)) for e in exams]
    told = told_metastasis(exams)
    tumour_at_baseline = {*plan.targets, *plan.non_targets, *(t for t in plan.set_aside if t in told)}
    known = plan.known
    called = _called_from(exams, view, PET_RULES)
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
    exam: ExamLesions, number: int, called: Mapping[str, int], tumour: Collection[str], known: Collection[str]
) -> PetScan | None:
    factor = exam.suv_to_sul
    if factor is None:
        return None
    liver = _sul(exam.liver_mean_suv, factor)
    pool = _sul(exam.blood_pool_mean_suv, factor)
    lesions = []
    for focus in exam.foci:
        track = track_of(focus)
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
            id=track, site=site_of_focus(focus), sul_peak=peak, is_new=is_new, resolved=gone, background=low,
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


def number_of(value: object) -> float | None:
    """A number of an answer; None for what is no number."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
