"""One stack of files as a plan: who and when, where it lies, what it can be used as, and what had to be repaired."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from irae.core.errors import StudyError
from irae.core.notice import Notice
from irae.io.archive.catalogue import MADE_UID
from irae.io.archive.choice import judged
from irae.io.archive.codes import Outcome
from irae.io.archive.enhanced import frames_of
from irae.io.archive.geometry import ENDS, Stack, ends, stack
from irae.io.archive.grouping import MODALITY_OF_CLASS, ROLE_MODALITIES, Group, is_enhanced
from irae.io.archive.headers import Header
from irae.io.archive.identity import exam_date
from irae.io.archive.pixels import check_codec, check_format, is_lossy
from irae.io.archive.values import SeriesPlan

_ANNOTATIONS = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "KO", "PR", "REG", "FID"})


@dataclass(frozen=True, slots=True)
class Losses:
    """Files that may be slices of a stack and are not in it."""

    unreadable: int  # damaged, of this series
    left_aside: int  # of this series, but fit no stack
    beside: int  # damaged, of no known series, in the same folder


def planned(group: Group, losses: Losses) -> SeriesPlan:
    """One stack as a plan: identity, geometry, judgement. Never raises: what fails is quarantined."""
    first = group.headers[0]
    day, said = exam_date(first.values)
    decisions = list(group.decisions)
    if said and said != "StudyDate":
        decisions.append(f"no study date: the exam is filed under its {said}")
    plan = SeriesPlan(
        key=group.key, series_uid=group.series_uid, patient=group.patient, acquired_on=day, modality=group.modality,
        description=first.text("SeriesDescription"), kind="enhanced" if is_enhanced(first) else "dicom",
        notices=group.notices, decisions=tuple(decisions), headers=group.headers,
        files=tuple(header.file for header in group.headers),
    )
    try:
        if group.contradiction and plan.modality in ROLE_MODALITIES:
            raise StudyError("identity_contradicts", f"series {plan.key}: {group.contradiction}")
        if plan.modality in ROLE_MODALITIES and MODALITY_OF_CLASS.get(
            first.text("SOPClassUID"), plan.modality
        ) != plan.modality:
            text = f"series {plan.key}: modality {plan.modality}, but its SOP class is another's"
            raise StudyError("modality_contradicts", text)
        if group.torn and plan.modality in ROLE_MODALITIES:
            text = "slices that follow each other differ in spacing, size, orientation, kind or frame of reference"
            raise StudyError("mixed_series", f"series {plan.key}: {text}")
        if group.phases > 1 and plan.modality == "PT":
            text = f"the series holds {group.phases} PET at the same places: dynamic, gated or repeated"
            return plan.decided(Outcome.IGNORED, "pet_dynamic_or_gated", text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, which may hold a patient's name
            return _judged_stack(plan, first, losses)
    except StudyError as error:
        return plan.decided(Outcome.QUARANTINED, error.code, error.text)
    except Exception as error:  # one bad series must never stop the others
        return plan.decided(
            Outcome.QUARANTINED, "internal_error", f"series {plan.key}: {type(error).__name__} while it was planned"
        )


def _judged_stack(plan: SeriesPlan, first: Header, losses: Losses) -> SeriesPlan:
    if plan.modality in _ANNOTATIONS:
        return plan.decided(Outcome.IGNORED, "annotation", f"{plan.modality} is an annotation, not an image")
    if plan.modality == "RWV":
        return plan.decided(Outcome.IGNORED, "suv_mapping", "a table of SUV factors, compared with the PET's own")
    if plan.modality not in ROLE_MODALITIES:
        return judged(plan)
    early = judged(plan) if plan.modality != "PT" else None
    if early is not None and not early.usable and early.code in ("localizer", "derived_image", "not_for_this_use"):
        return early
    if plan.acquired_on is None:
        raise StudyError("date_missing", f"series {plan.key} has no usable date")
    for header in plan.headers:
        check_format(header)
    check_codec(first)
    if plan.kind == "enhanced":
        plan = plan.decided(plan.outcome, plan.code, "", headers=frames_of(first))
    arranged = stack(plan.headers)
    spacing = tuple(round(float(s), 4) for s in np.linalg.norm(arranged.affine[:3, :3], axis=0))
    facts = dict(
        plan.facts, shape=arranged.shape, spacing_mm=spacing, orientation=arranged.decisions[0],
        field_of_view_mm=max(arranged.shape[0] * spacing[0], arranged.shape[1] * spacing[1]),
        **{ENDS: ends(arranged)},
    )
    files = plan.files if plan.kind == "enhanced" else tuple(plan.headers[n].file for n in arranged.order)
    extra = tuple(plan.headers[n].file for _, n in arranged.duplicates) if plan.kind != "enhanced" else ()
    plan = plan.decided(plan.outcome, plan.code, plan.text, *arranged.decisions, facts=facts, files=(*files, *extra))
    plan = _with_repairs(plan, arranged, losses)
    return judged(plan)


def _with_repairs(plan: SeriesPlan, arranged: Stack, losses: Losses) -> SeriesPlan:
    repairs: list[tuple[str, str, Notice | None]] = []
    role = {"CT": "CT", "PT": "PET", "MR": "MR"}[plan.modality]
    if plan.series_uid.startswith(MADE_UID):
        repairs.append(("series_uid_missing", "the files name no series; they were grouped by what they share", None))
    if arranged.tilt_mm != (0.0, 0.0):
        repairs.append(("gantry_tilt", arranged.decisions[-1],
                        Notice("gantry_tilt", f"The {role} was taken with a tilted gantry and was straightened.")))
    if arranged.duplicates:
        repairs.append(("duplicates_removed", f"{len(arranged.duplicates)} slices lie at places already taken", None))
    if arranged.thickness_from_header:
        repairs.append(("single_slice", arranged.decisions[-1],
                        Notice("single_slice", f"The {role} is a single slice: extents and volumes are not reliable.")))
    declared = _declared(plan.headers[0])
    slices = arranged.shape[2]
    shortened = Notice("scan_shortened", f"Slices at an end of the {role} may be missing.")
    if losses.unreadable:
        text = f"{losses.unreadable} files of the series could not be used, all beyond its first or last slice"
        repairs.append(("slices_unreadable_at_end", text, shortened))
    if losses.left_aside:
        text = f"{losses.left_aside} files of the series differ in size, orientation or kind and were left aside"
        repairs.append(("files_left_aside", text, shortened))
    if losses.beside:
        text = f"{losses.beside} damaged files of no known series lie in the same folder"
        repairs.append(("damaged_files_beside", text, shortened))
    if declared is not None and slices > 1 and declared > slices:
        text = f"the header declares {declared} slices, {slices} are here without a gap"
        repairs.append(("fewer_slices_than_declared", text, shortened))
    skipped = _skips(plan.headers)
    if skipped > 1:
        text = f"instance numbers go in steps of {skipped}: the slices between may be missing"
        repairs.append(("fewer_slices_than_declared", text, shortened))
    if any(is_lossy(header) for header in plan.headers):
        repairs.append(("lossy_compression", "the pixels went through lossy compression",
                        Notice("lossy_compression", f"The {role} was compressed with loss.")))
    if not repairs:
        return plan
    notices = tuple(notice for _, _, notice in repairs if notice is not None)
    return plan.decided(
        Outcome.REPAIRED, repairs[0][0], "; ".join(text for _, text, _ in repairs),
        notices=tuple(dict.fromkeys((*plan.notices, *notices))),
    )


def _skips(headers: Sequence[Header]) -> int:
    """The step between instance numbers where it is the same everywhere and slices are further apart than thick."""
    numbers = sorted(number for header in headers if (number := header.get("InstanceNumber")) is not None)
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) < max(3, len(headers)) or len(steps) != 1:
        return 1
    depth = [header.get("ImagePositionPatient") for header in headers[:2]]
    thickness = headers[0].get("SliceThickness")
    apart = float(np.linalg.norm(np.subtract(*depth))) if all(depth) else 0.0
    return steps.pop() if thickness and apart > 1.5 * thickness else 1


def _declared(first: Header) -> int | None:
    """How many slices the header says the scan has; None where it does not say."""
    said = first.get("NumberOfSlices") if first.text("Modality") == "PT" else first.get("ImagesInAcquisition")
    return int(said) if said else None
