"""The index of an archive: every file looked at once, headers only, nothing changed."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import numpy as np

from irae.core.errors import StudyError
from irae.core.exam import Role
from irae.core.notice import Notice
from irae.io.archive.choice import best, judged
from irae.io.archive.codes import Outcome
from irae.io.archive.discover import LIMITS, Limits, discover
from irae.io.archive.enhanced import frames_of
from irae.io.archive.geometry import Stack, stack
from irae.io.archive.grouping import ROLE_MODALITIES, Group, grouped, is_enhanced, modality_of, without_copies
from irae.io.archive.headers import Header, read_header
from irae.io.archive.identity import exam_date
from irae.io.archive.loose import is_nifti, nifti_plan
from irae.io.archive.mapping import compared_with_mappings
from irae.io.archive.pixels import check_codec, check_format, is_lossy
from irae.io.archive.values import ArchiveIndex, ExamPlan, FileOutcome, FoundFile, SeriesPlan

_ANNOTATIONS = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "KO", "PR", "REG", "FID"})
_FOREIGN = (
    ".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".html", ".htm", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".bmp",
    ".tif", ".tiff", ".nrrd", ".mha", ".mhd", ".mat", ".py", ".exe", ".inf", ".ini", ".log", ".db", ".sqlite", ".yaml",
    ".yml", ".bval", ".bvec", ".docx", ".xlsx", ".pptx", ".safetensors", ".npy", ".npz", ".ds_store",
)
_MAYBE_SLICES = frozenset({
    "empty_file", "not_dicom", "header_broken", "unreadable", "too_large", "zip_broken", "truncated", "no_pixels",
})
_BELONGS = ("SeriesInstanceUID", "StudyInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TEXT_BYTES = frozenset(range(32, 127)) | {9, 10, 13}


def index_archive(source: Path, *, scratch: Path, limits: Limits = LIMITS) -> ArchiveIndex:
    """What an archive holds, what each exam would use, and one row for every file found.

    Args:
        source: A folder of any depth, a .zip, a DICOMDIR or one file: DICOM in any order, NIfTI.
        scratch: A folder of ours for what zips hold.
        limits: What is refused.

    Returns:
        Exams (patient and date) with the series chosen for each role; nothing is read but headers and NIfTI files.

    Raises:
        ValueError: If the source does not exist.
    """
    source = Path(source)
    found = discover(source, scratch=Path(scratch), limits=limits)
    rows: list[FileOutcome] = list(found.outcomes)
    headers: list[Header] = []
    plans: list[SeriesPlan] = []
    for file in found.files:
        if is_nifti(file):
            root = source.resolve().name if source.is_dir() else source.resolve().parent.name
            plans.append(nifti_plan(file, root=root))
            continue
        header = _looked_at(file, rows)
        if header is not None:
            headers.append(header)
    kept, copies, conflicts = without_copies(headers, _same_content)
    for copy, original in copies:
        text = f"{copy.file.name} is a copy of {original.file.name}"
        rows.append(_row(copy, Outcome.IGNORED, "duplicate_file", text))
    for header, other in conflicts:
        text = f"{header.file.name} and {other.file.name} carry the same SOP Instance UID but differ"
        rows.append(_row(header, Outcome.QUARANTINED, "conflicting_instance", text))
    bad: dict[str, list[Header]] = defaultdict(list)
    good: list[Header] = []
    for header in kept:
        problem = _unusable(header)
        if problem is None:
            good.append(header)
        else:
            rows.append(_row(header, Outcome.QUARANTINED, problem.code, problem.text))
            bad[header.text("SeriesInstanceUID")].append(header)
    for header, _ in conflicts:
        bad[header.text("SeriesInstanceUID")].append(header)
    groups = grouped(good)
    beside = _unknown_beside(rows, {group.series_uid for group in groups})
    plans.extend(_planned(group, len(bad.get(group.series_uid, ())), _beside(group, beside)) for group in groups)
    return _assembled(source, plans, rows)


def _unknown_beside(rows: Sequence[FileOutcome], known: set[str]) -> Counter[str]:
    """Damaged files of no known series, by folder."""
    return Counter(
        str(PurePosixPath(row.path).parent) for row in rows
        if row.outcome is Outcome.QUARANTINED and row.series_uid not in known and row.code in _MAYBE_SLICES
    )


def _beside(group: Group, damaged: Counter[str]) -> int:
    if not damaged:
        return 0
    folders = {str(PurePosixPath(header.file.name).parent) for header in group.headers}
    return sum(damaged[folder] for folder in folders)


def _looked_at(file: FoundFile, rows: list[FileOutcome]) -> Header | None:
    try:
        header = read_header(file)
    except StudyError as error:
        rows.append(FileOutcome(
            path=file.name, series_uid="", outcome=Outcome.QUARANTINED, code=error.code, text=error.text
        ))
        return None
    if header is None:
        outcome, code, text = _foreign(file)
        rows.append(FileOutcome(path=file.name, series_uid="", outcome=outcome, code=code, text=text))
    return header


def _foreign(file: FoundFile) -> tuple[Outcome, str, str]:
    """What a file that is not DICOM is: of no concern, or an image that cannot be read."""
    lower = file.name.lower()
    if lower.endswith(_FOREIGN):
        return Outcome.IGNORED, "not_an_image", f"{file.name} is not a medical image"
    with open(file.path, "rb") as stream:
        start = stream.read(1024)
    if not lower.endswith((".dcm", ".dicom", ".ima")) and all(byte in _TEXT_BYTES or byte > 127 for byte in start):
        return Outcome.IGNORED, "not_an_image", f"{file.name} is a text"
    return Outcome.QUARANTINED, "not_dicom", f"{file.name} is neither DICOM nor NIfTI, or is damaged"


def _row(header: Header, outcome: Outcome, code: str, text: str) -> FileOutcome:
    return FileOutcome(
        path=header.file.name, series_uid=header.text("SeriesInstanceUID"), outcome=outcome, code=code, text=text
    )


def _same_content(one: Header, other: Header) -> bool:
    return one.file.size == other.file.size and _sha256(one.file.path) == _sha256(other.file.path)


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unusable(header: Header) -> StudyError | None:
    """What makes one file useless by itself, whatever series it may belong to."""
    name, modality = header.file.name, modality_of(header)
    if not re.fullmatch(r"[A-Z0-9_]{2,16}", modality):
        return StudyError("header_broken", f"{name}: the header does not say what it is (modality {modality[:16]!r})")
    if modality not in ROLE_MODALITIES:
        return None
    lost = [word for word in ("Rows", "Columns", "BitsAllocated") if header.get(word) is None]
    if lost or not any(header.text(word) for word in _BELONGS):
        what = ", ".join(lost) or "all of series, study and date"
        return StudyError("header_broken", f"{name}: {what} missing in the header")
    try:
        check_format(header)
    except StudyError as error:
        return error if error.code in ("truncated", "no_pixels") else None
    return None


def _planned(group: Group, unreadable: int, beside: int) -> SeriesPlan:
    """One stack as a plan: identity, geometry, judgement."""
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, which may hold a patient's name
            return _judged_stack(plan, first, _Losses(unreadable, group.left_aside, beside))
    except StudyError as error:
        return plan.decided(Outcome.QUARANTINED, error.code, error.text)
    except Exception as error:  # one bad series must never stop the others
        return plan.decided(
            Outcome.QUARANTINED, "internal_error", f"series {plan.key}: {type(error).__name__} while it was planned"
        )


@dataclass(frozen=True, slots=True)
class _Losses:
    """Files that may be slices of a stack and are not in it."""

    unreadable: int  # damaged, of this series
    left_aside: int  # of this series, but fit no stack
    beside: int  # damaged, of no known series, in the same folder


def _judged_stack(plan: SeriesPlan, first: Header, losses: _Losses) -> SeriesPlan:
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
    check_format(first)
    check_codec(first)
    if plan.kind == "enhanced":
        plan = plan.decided(plan.outcome, plan.code, "", headers=frames_of(first))
    arranged = stack(plan.headers)
    spacing = tuple(round(float(s), 4) for s in np.linalg.norm(arranged.affine[:3, :3], axis=0))
    facts = dict(
        plan.facts, shape=arranged.shape, spacing_mm=spacing, orientation=arranged.decisions[0],
        field_of_view_mm=max(arranged.shape[0] * spacing[0], arranged.shape[1] * spacing[1]),
    )
    files = plan.files if plan.kind == "enhanced" else tuple(plan.headers[n].file for n in arranged.order)
    extra = tuple(plan.headers[n].file for _, n in arranged.duplicates) if plan.kind != "enhanced" else ()
    plan = plan.decided(plan.outcome, plan.code, plan.text, *arranged.decisions, facts=facts, files=(*files, *extra))
    plan = _with_repairs(plan, arranged, losses)
    return judged(plan)


def _with_repairs(plan: SeriesPlan, arranged: Stack, losses: _Losses) -> SeriesPlan:
    repairs: list[tuple[str, str, Notice | None]] = []
    role = {"CT": "CT", "PT": "PET", "MR": "MR"}[plan.modality]
    if plan.series_uid.startswith("no-uid-"):
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


def _declared(first: Header) -> int | None:
    """How many slices the header says the scan has; None where it does not say."""
    said = first.get("NumberOfSlices") if first.text("Modality") == "PT" else first.get("ImagesInAcquisition")
    return int(said) if said else None


def _assembled(source: Path, plans: Sequence[SeriesPlan], rows: list[FileOutcome]) -> ArchiveIndex:
    by_exam: dict[tuple[str, date], list[SeriesPlan]] = defaultdict(list)
    homeless: list[SeriesPlan] = []
    for plan in plans:
        if plan.acquired_on is None:
            homeless.append(plan)
        else:
            by_exam[plan.patient, plan.acquired_on].append(plan)
    exams = [_exam(patient, day, members) for (patient, day), members in sorted(by_exam.items())]
    usable = tuple(exam for exam in exams if exam.chosen)
    rest = [exam for exam in exams if not exam.chosen]
    # Marks and tables without an image of their own date are no exam; they stay rows.
    homeless.extend(series for exam in rest if _only_marks(exam) for series in exam.series)
    unusable = tuple(exam for exam in rest if not _only_marks(exam))
    index = ArchiveIndex(source=source, exams=usable, unusable=unusable, homeless=tuple(homeless), files=())
    rows.extend(row for series in index.series for row in rows_of(series))
    files = tuple(sorted(rows, key=lambda row: row.path))
    return ArchiveIndex(source=source, exams=usable, unusable=unusable, homeless=tuple(homeless), files=files)


def _only_marks(exam: ExamPlan) -> bool:
    return all(
        series.modality not in ROLE_MODALITIES and series.outcome is Outcome.IGNORED for series in exam.series
    )


def rows_of(series: SeriesPlan) -> list[FileOutcome]:
    """One row for each file of a series."""
    return [
        FileOutcome(
            path=file.name, series_uid=series.series_uid, outcome=series.outcome, code=series.code,
            text=series.text or f"used as {series.role.value if series.role else 'part of the exam'}",
        )
        for file in series.files
    ]


def _exam(patient: str, day: date, members: Sequence[SeriesPlan]) -> ExamPlan:
    chosen: dict[Role, SeriesPlan] = {}
    members = [_not_alone(plan, members) for plan in members]
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
    """The chosen series, marked where single slices under other UIDs lie exactly where its next slices would."""
    if len(plan.headers) < 3 or not plan.usable:
        return plan
    arranged = stack(plan.headers)
    step = arranged.affine[:3, 2]
    first = arranged.affine[:3, 3]
    ends = (first - step, first + step * arranged.shape[2])
    strays = 0
    folders = {str(PurePosixPath(file.name).parent) for file in plan.files}
    for other in others:
        if other.code == "geometry_missing" and other.modality == plan.modality and len(other.files) <= 2:
            strays += str(PurePosixPath(other.files[0].name).parent) in folders
            continue
        if other.code != "not_chosen" or other.modality != plan.modality or not 1 <= len(other.headers) <= 2:
            continue
        place = other.headers[0].get("ImagePositionPatient")
        here = np.array(place) * (-1.0, -1.0, 1.0)
        strays += any(float(np.abs(here - end).max()) < 0.1 * float(np.linalg.norm(step)) for end in ends)
    if not strays:
        return plan
    text = f"{strays} slices under another series UID seem to continue this stack; they were left aside"
    notice = Notice("scan_shortened", f"Slices at an end of the {plan.modality} may be missing.")
    return plan.decided(Outcome.REPAIRED, "files_left_aside", text, notices=(*plan.notices, notice))


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
    frames = {plan.headers[0].text("FrameOfReferenceUID") for role, plan in chosen.items()
              if role is not Role.MR and plan.headers}
    if len(frames) > 1:
        yield Notice("frames_of_reference_differ", "PET and CT do not share a frame of reference; they may not align.")
