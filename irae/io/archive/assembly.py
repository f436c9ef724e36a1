"""Planned series into exams: for each role the best, the others with the reason, and what to be told about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import PurePosixPath

import numpy as np

from irae.core.exam import Role
from irae.core.notice import Notice
from irae.io.archive.choice import best
from irae.io.archive.codes import Outcome
from irae.io.archive.geometry import ENDS
from irae.io.archive.grouping import ROLE_MODALITIES
from irae.io.archive.mapping import compared_with_mappings
from irae.io.archive.values import ExamPlan, SeriesPlan


def only_marks(exam: ExamPlan) -> bool:
    """Whether an exam holds nothing but marks and tables, all fine."""
    return all(
        series.modality not in ROLE_MODALITIES and series.outcome is Outcome.IGNORED for series in exam.series
    )


def exam_of(patient: str, day: date, members: Sequence[SeriesPlan]) -> ExamPlan:
    """The exam that the series of one patient and date make."""
    chosen: dict[Role, SeriesPlan] = {}
    members = _put_together([_not_alone(plan, members) for plan in members])
    unchosen = [plan for plan in members if plan.role is None or not plan.usable]
    frame = ""
    for role in (Role.PET, Role.CT, Role.MR):
        candidates = [plan for plan in members if plan.role is role and plan.usable]
        if not candidates:
            continue
        chosen[role], rest = best(candidates, partner_frame=frame if role is Role.CT else "")
        unchosen.extend(rest)
        if role is Role.PET and chosen[role].headers:
            frame = chosen[role].headers[0].text("FrameOfReferenceUID")
    chosen = {role: _with_strays(chosen[role], unchosen) for role in Role if role in chosen}
    chosen, unchosen = compared_with_mappings(chosen, unchosen)
    return ExamPlan(
        patient=patient, acquired_on=day, chosen=chosen, unchosen=tuple(unchosen),
        notices=tuple(_notices(chosen, unchosen, day)),
    )


def _not_alone(plan: SeriesPlan, others: Sequence[SeriesPlan]) -> SeriesPlan:
    """A single slice stands in for no refused stack: it is set aside where one of its modality was quarantined."""
    refused = any(
        other.modality == plan.modality and other.outcome is Outcome.QUARANTINED and len(other.files) >= 3
        for other in others
    )
    if not (refused and plan.usable and len(plan.headers) == 1 and plan.kind == "dicom"):
        return plan
    return plan.decided(
        Outcome.IGNORED, "files_left_aside", f"a single slice beside a refused {plan.modality} series is not used"
    )


def _with_strays(plan: SeriesPlan, others: Sequence[SeriesPlan]) -> SeriesPlan:
    """The chosen series, marked where slices under other UIDs lie exactly where its next slices would."""
    if len(plan.headers) < 3 or not plan.usable:
        return plan
    alike = [other for other in others if other.modality == plan.modality]
    lost = [other for other in alike if other.code == "geometry_missing" and len(other.files) <= 2]
    folders = {str(PurePosixPath(file.name).parent) for file in plan.files} if lost else set()
    strays = sum(str(PurePosixPath(other.files[0].name).parent) in folders for other in lost)
    strays += sum(
        other.facts["shape"][2] for other in alike
        if other.code == "not_chosen" and _goes_on(plan.facts.get(ENDS), other.facts.get(ENDS))
    )
    if not strays:
        return plan
    text = f"{strays} slices under another series UID seem to continue this stack; they were left aside"
    notice = Notice("scan_shortened", f"Slices at an end of the {plan.modality} may be missing.")
    return plan.decided(Outcome.REPAIRED, "files_left_aside", text, notices=(*plan.notices, notice))


def _goes_on(ends: Sequence[Sequence[float]] | None, other: Sequence[Sequence[float]] | None) -> bool:
    """Whether another stack begins where the next slice of this one would lie, or ends where the one before would."""
    if not ends or not other:
        return False
    first, last, step = (np.array(end) for end in ends)
    others = [np.array(end) for end in other[:2]]
    near = 0.1 * float(np.linalg.norm(step))
    for here, outward in ((first - step, -step), (last + step, step)):
        apart = [float(np.abs(end - here).max()) for end in others]
        beyond = [float((end - here) @ outward) for end in others]
        if min(apart) < near and min(beyond) > -near * float(np.linalg.norm(step)):
            return True
    return False


def _put_together(members: Sequence[SeriesPlan]) -> list[SeriesPlan]:
    """The series, refused where a role has only single slices, at several places: a scan whose UIDs were remade."""
    result = list(members)
    for role in Role:
        fit = [plan for plan in members if plan.role is role and plan.usable and plan.kind != "nifti"]
        places = {tuple(plan.facts[ENDS][0]) for plan in fit if plan.facts["shape"][2] == 1}
        if len(places) < 3 or any(plan.facts["shape"][2] > 1 for plan in fit):
            continue
        text = f"{len(places)} {fit[0].modality} slices at different places each name a series of their own"
        for plan in fit:
            result[result.index(plan)] = plan.decided(Outcome.QUARANTINED, "series_torn", text)
    return result


def _notices(chosen: dict[Role, SeriesPlan], unchosen: Iterable[SeriesPlan], day: date) -> Iterable[Notice]:
    for plan in chosen.values():
        yield from plan.notices
    if day > date.today():
        yield Notice("date_in_the_future", f"The exam's date {day} lies in the future.")
    if Role.PET not in chosen:
        refused = [plan for plan in unchosen if plan.modality == "PT"]
        if refused:
            worst = max(refused, key=lambda plan: (plan.outcome is Outcome.QUARANTINED, len(plan.files)))
            yield Notice("pet_without_suv", f"A PET is there but was not used: {worst.text}.")
    for plan in unchosen:
        if plan.outcome is Outcome.QUARANTINED and plan.modality in ("CT", "MR"):
            yield Notice("series_quarantined", f"A {plan.modality} series was not used: {plan.text}.")
    used = {study for plan in chosen.values() if (study := _study(plan))}
    beside = [plan for plan in unchosen if plan.code == "not_chosen" and used and _study(plan) not in {"", *used}]
    if beside:
        yield Notice("same_day_study", f"Another study of this day was not used ({len(beside)} series): one exam is "
                     "what a patient had on one date.")
    frames = {plan.headers[0].text("FrameOfReferenceUID") for role, plan in chosen.items()
              if role is not Role.MR and plan.headers}
    if len(frames) > 1:
        yield Notice("frames_of_reference_differ", "PET and CT do not share a frame of reference; they may not align.")


def _study(plan: SeriesPlan) -> str:
    text: str = plan.headers[0].text("StudyInstanceUID") if plan.headers else ""
    return text
