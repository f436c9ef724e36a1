"""What attribution is worth on synthetic courses: every number of the one table, by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from irae.attribution.learned import CLASSES, LearnedModel
from irae.core.assessment import View
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.result import ExamResult
from irae.pipeline import scorable_course
from irae.response.course import ExamLesions, ViewRules
from irae.response.views import assess_course
from irae.training.attribution_cases import RECISTS, Case, CaseExam
from irae.training.attribution_truth import DrawnLesion
from irae.training.metrics import auroc

MEASURABLE_MM = 10.0
# Perfect eyes: what is not drawn at an exam is absent, not too small to see; what is drawn is no doubtful new lesion.
PERFECT_EYES = ViewRules(lost_in_lung=1, lost_elsewhere=1, new_lesion_mm=0.0)
UNCONFIRMED, NOT_CONFIRMED = "iUPD", frozenset({"iSD", "iPR", "iCR", "NON-iCR/NON-iUPD"})


@dataclass(frozen=True, slots=True)
class Call:
    """One found focus: true nature, nature called, probabilities by class, and whether something was drawn there."""

    truth: Nature
    called: Nature
    p: tuple[float, ...]
    drawn: bool


def calls(cases: Sequence[Case], decided: Sequence[Sequence[ExamResult]]) -> list[Call]:
    """Every labelled focus with what the results say of it."""
    found = []
    for case, results in zip(cases, decided, strict=True):
        for exam, result in zip(case.exams, results, strict=True):
            for a in result.foci:
                truth = exam.truth.nature.get(a.focus.id)
                if truth is not None and a.focus.status is not FocusStatus.GONE:
                    p = tuple(a.probabilities[nature.value] for nature in CLASSES)
                    found.append(Call(truth, a.nature, p, a.focus.id in exam.truth.drawn))
    return found


def calls_by_suv_max(cases: Sequence[Case], alone: LearnedModel) -> list[Call]:
    """The same foci by their SUVmax alone, with the same calibration and abstention, and no gate."""
    found = []
    for case in cases:
        for exam in case.exams:
            for a in exam.result.foci:
                truth = exam.truth.nature.get(a.focus.id)
                if truth is None or a.focus.status is FocusStatus.GONE:
                    continue
                told = alone.told({} if a.focus.suv_max is None else {"suv_max": a.focus.suv_max})
                (nature,) = told.possible if len(told.possible) == 1 else (Nature.INDETERMINATE,)
                found.append(Call(truth, nature, tuple(told.probabilities[c] for c in CLASSES),
                                  a.focus.id in exam.truth.drawn))
    return found


def macro_auroc(found: Sequence[Call]) -> float | None:
    """Mean over the natures of the AUROC of each against the rest; None where one is absent."""
    p = np.array([c.p for c in found]).reshape(-1, len(CLASSES))
    each = [auroc(p[:, k], [c.truth is nature for c in found]) for k, nature in enumerate(CLASSES)]
    known = [value for value in each if value is not None]
    return float(np.mean(known)) if len(known) == len(CLASSES) else None


def called(found: Sequence[Call], truth: Nature, nature: Nature) -> tuple[int, int]:
    """How many foci of a true nature are called another, and how many there are."""
    own = [c for c in found if c.truth is truth]
    return sum(c.called is nature for c in own), len(own)


def indeterminate(found: Sequence[Call]) -> tuple[int, int]:
    """How many drawn metastases and drawn inflammation stay open, and how many there are."""
    own = [c for c in found if c.drawn and c.truth is not Nature.PHYSIOLOGIC]
    return sum(c.called is Nature.INDETERMINATE for c in own), len(own)


# --- Finding, measuring, tracking -----------------------------------------------------------------------------------


def focus_of(exam: CaseExam, lesion: DrawnLesion) -> Focus | None:
    """The focus found of a drawn lesion."""
    return next((a.focus for a in exam.result.foci if a.focus.id == lesion.focus), None)


def metastases_found(cases: Sequence[Case]) -> tuple[int, int]:
    """Drawn metastases from 10 mm (longest axial diameter) that were found, and how many there are."""
    drawn = [x for case in cases for exam in case.exams for x in exam.truth.lesions
             if x.nature is Nature.METASTASIS and x.imaged and x.longest_mm >= MEASURABLE_MM]
    return sum(x.focus is not None for x in drawn), len(drawn)


def false_foci(cases: Sequence[Case], decided: Sequence[Sequence[ExamResult]]) -> list[AttributedFocus]:
    """Foci of nothing drawn that are neither an organ's whole uptake nor called physiologic."""
    return [
        a for case, results in zip(cases, decided, strict=True)
        for exam, result in zip(case.exams, results, strict=True)
        for a in result.foci
        if a.focus.id not in exam.truth.drawn and a.focus.status is not FocusStatus.GONE
        and not a.focus.features.get("picture") and a.nature is not Nature.PHYSIOLOGIC
    ]


def diameter_errors_mm(cases: Sequence[Case]) -> NDArray[np.float64]:
    """Longest diameter found less drawn, of found metastases from 10 mm."""
    errors = []
    for case in cases:
        for exam in case.exams:
            for x in exam.truth.lesions:
                focus = focus_of(exam, x)
                if focus is not None and x.nature is Nature.METASTASIS and x.longest_mm >= MEASURABLE_MM:
                    errors.append(focus.longest_mm - x.longest_mm)
    return np.array(errors)


def one_track(cases: Sequence[Case]) -> tuple[int, int]:
    """Drawn lesions with the same track id at every exam that found them, of those found more than once."""
    tracks: dict[tuple[int, str], list[str]] = {}
    for case in cases:
        for exam in case.exams:
            for x in exam.truth.lesions:
                focus = focus_of(exam, x)
                if focus is not None:
                    tracks.setdefault((case.seed, x.track), []).append(focus.track)
    repeated = [t for t in tracks.values() if len(t) > 1]
    return sum(len(set(t)) == 1 for t in repeated), len(repeated)


# --- Response -------------------------------------------------------------------------------------------------------


def true_course(case: Case) -> tuple[ExamLesions, ...]:
    """What a reader with perfect eyes would measure: every drawn metastasis, nothing else."""
    course, known = [], dict[str, DrawnLesion]()
    for exam in case.exams:
        here = {x.track: x for x in exam.truth.lesions if x.nature is Nature.METASTASIS and x.imaged}
        known |= {track: x for track, x in here.items() if track not in known}
        foci = tuple(
            _true_focus(number, x, here.get(track)) for number, (track, x) in enumerate(sorted(known.items()), start=1)
        )
        course.append(ExamLesions(
            acquired_on=exam.result.acquired_on, foci=foci, has_pet=True,
            slice_thickness_mm=exam.result.quantities.get("ct.slice_mm"),
        ))
    return tuple(course)


def _true_focus(number: int, first: DrawnLesion, now: DrawnLesion | None) -> AttributedFocus:
    focus = Focus(
        id=number, centroid_ras_mm=(0.0, 0.0, 0.0), volume_ml=now.volume_ml if now else 0.0,
        longest_mm=now.longest_mm if now else 0.0, short_mm=now.short_mm if now else 0.0, organ=first.organ,
        is_node=first.organ == "lymph_node", track=first.track,
        features={"core_lytic_fraction": 1.0},  # bone metastases are drawn as soft tissue
        status=FocusStatus.KNOWN if now else FocusStatus.GONE,
    )
    return AttributedFocus(
        focus=focus, nature=Nature.METASTASIS, score=0.0, outcome="drawn", reasons=("Drawn.",),
        probabilities={"inflammation": 0.0, "metastasis": 1.0, "physiologic": 0.0},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One category of one exam: the truth's and the product's by view.

    holds: Share of the readings of the attributed view that come to its category; None where none were drawn.
    """

    seed: int
    visit: int
    criterion: str
    truth: str
    attributed: str
    as_seen: str
    holds: float | None = None


def categories(cases: Sequence[Case], decided: Sequence[Sequence[ExamResult]]) -> list[Answered]:
    """RECIST 1.1 and iRECIST at every exam after the baseline, beside the truth's."""
    answered = []
    for case, results in zip(cases, decided, strict=True):
        course = true_course(case)
        _, baseline = scorable_course(results, case.context)
        for at in range(baseline + 1, len(results)):
            true, _ = assess_course(
                course[: at + 1], criteria=RECISTS, baseline_index=baseline, what_if=False, rules=PERFECT_EYES
            )
            for name in RECISTS:
                own = {a.view: a for a in results[at].assessments if a.criterion == name}
                answered.append(Answered(
                    seed=case.seed, visit=case.plan.first + at, criterion=name,
                    truth=next(a.category for a in true if a.criterion == name and a.view is View.ATTRIBUTED),
                    attributed=own[View.ATTRIBUTED].category, as_seen=own[View.AS_SEEN].category,
                    holds=own[View.ATTRIBUTED].holds,
                ))
    return answered


def pseudoprogression(answered: Sequence[Answered]) -> Mapping[View, tuple[int, int]]:
    """Truth goes iUPD, then not confirmed: how often the product's next answer is not confirmed either, by view."""
    by_case: dict[int, list[Answered]] = {}
    for one in answered:
        if one.criterion == "irecist":
            by_case.setdefault(one.seed, []).append(one)
    hits = dict.fromkeys(View, 0)
    count = 0
    for course in by_case.values():
        for before, after in pairwise(course):
            if before.truth == UNCONFIRMED and after.truth in NOT_CONFIRMED:
                count += 1
                hits[View.ATTRIBUTED] += after.attributed in NOT_CONFIRMED
                hits[View.AS_SEEN] += after.as_seen in NOT_CONFIRMED
    return {view: (hits[view], count) for view in View}
