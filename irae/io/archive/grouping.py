"""Headers into series, and a series that holds several stacks into those stacks - only where the split is provable."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from irae.core.errors import StudyError
from irae.core.notice import Notice
from irae.io.archive.catalogue import MADE_UID
from irae.io.archive.geometry import GEOMETRY_RULES, places, plane
from irae.io.archive.headers import Header
from irae.io.archive.identity import digest, exam_date, patient_key

ENHANCED = frozenset({
    "1.2.840.10008.5.1.4.1.1.2.1",  # CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # MR
    "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted MR
    "1.2.840.10008.5.1.4.1.1.130",  # PET
    "1.2.840.10008.5.1.4.1.1.128.1",  # legacy converted PET
})
MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.2.1": "CT", "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR", "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT", "1.2.840.10008.5.1.4.1.1.130": "PT", "1.2.840.10008.5.1.4.1.1.128.1": "PT",
}
ROLE_MODALITIES = frozenset({"CT", "PT", "MR"})

# Of these, what may tell apart stacks of which each lies between the slices of the others. In MR an acquisition may be
# every second slice of one stack.
_APART = {
    "CT": ("AcquisitionNumber", "TemporalPositionIdentifier", "ConvolutionKernel", "ImageType", "ContrastBolusAgent",
           "AcquisitionTime"),
    "PT": ("AcquisitionNumber", "TemporalPositionIdentifier", "ImageType"),
    "MR": ("TemporalPositionIdentifier", "EchoTime", "InversionTime", "ImageType", "ContrastBolusAgent"),
}
# What may tell apart stacks that share a series UID and positions (phases, echoes, repetitions).
_SPLITTERS = (
    "AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "TriggerTime", "InversionTime", "ConvolutionKernel",
    "ImageType", "ContrastBolusAgent", "AcquisitionTime", "FrameReferenceTime",
)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Group:
    """Headers that claim to be one stack."""

    key: str
    series_uid: str
    patient: str
    modality: str
    headers: tuple[Header, ...]
    notices: tuple[Notice, ...] = ()
    decisions: tuple[str, ...] = ()
    left_aside: int = 0
    contradiction: str = ""
    phases: int = 1  # stacks of the series that lie at the same places
    torn: bool = False  # together with another stack of the series it would be one: their headers contradict


def is_enhanced(header: Header) -> bool:
    """Whether one file holds a stack of frames."""
    return header.text("SOPClassUID") in ENHANCED or (
        header.get("NumberOfFrames", 1) > 1 and modality_of(header) in ROLE_MODALITIES
    )


def modality_of(header: Header) -> str:
    """The modality, from the SOP class where the attribute is missing."""
    return header.text("Modality").upper() or MODALITY_OF_CLASS.get(header.text("SOPClassUID"), "")


def series_of(header: Header) -> tuple[str, str, str]:
    """(patient key, series UID, study UID) of a file; a file that names no series gets the UID of its like."""
    patient, _ = _patient(header)
    return patient, header.text("SeriesInstanceUID") or _made_uid(header), header.text("StudyInstanceUID")


def groups_of(
    patient: str, uid: str, members: Sequence[Header], *, parts: Sequence[int], known: int,
    elsewhere: Sequence[Sequence[Header]] = (),
) -> list[Group]:
    """The stacks that the files of one series form: by kind, size and orientation, then by phase.

    Args:
        patient: Patient key.
        uid: Series UID.
        members: The files of this patient, series and study.
        parts: Number of files of each patient and study that use this series UID.
        known: How many stacks of this series UID there are already.
        elsewhere: The files of each other patient and study that use this series UID.
    """
    phases = [_phases(facing) for kind in _by(members, _kind) for facing in _orientations(kind)]
    together = {id(stack): several for several in phases for stack in several}
    stacks = sorted((stack for several in phases for stack in several), key=len, reverse=True)
    groups = []
    for number, stack in enumerate(stacks, known + 1):
        decisions = []
        if len(stacks) > 1:
            decisions.append(
                f"the series holds {len(stacks)} stacks of different kind, size, orientation or phase; "
                f"this one has {len(stack)} of its {len(members)} files"
            )
        if not stack[0].text("SeriesInstanceUID"):
            decisions.append("no series UID: grouped by study, number, description, size and orientation")
        aside = sum(len(other) for other in stacks if other is not stack and _is_leftover(other, stack))
        _, notices = _patient(stack[0])
        groups.append(Group(
            key=uid if number == 1 else f"{uid}#{number}", series_uid=uid, patient=patient,
            modality=modality_of(stack[0]), headers=tuple(stack), notices=notices, decisions=tuple(decisions),
            left_aside=aside, contradiction=_contradiction(stack, parts) or _shared(stack, elsewhere),
            phases=len(together[id(stack)]),
            torn=any(_continues(stack, other) for other in stacks if other not in together[id(stack)]),
        ))
    return groups


def _continues(one: Sequence[Header], other: Sequence[Header]) -> bool:
    """Whether two stacks of a series interleave or follow each other at one distance: one scan, torn by its headers."""
    if min(len(one), len(other)) < 2 or _is_leftover(one, other) or _is_leftover(other, one):
        return False
    first, second = one[0], other[0]
    if is_enhanced(first) or is_enhanced(second) or any("LOCALIZER" in h.get("ImageType", ()) for h in (first, second)):
        return False
    try:
        row, column, _, _ = plane(first)
        other_row, other_column, _, _ = plane(second)
        normal = np.cross(row, column)
        if abs(float(normal @ np.cross(other_row, other_column))) < 0.999:
            return False
        depth = np.sort(np.concatenate([places(one), places(other)]) @ normal)
    except StudyError:
        return False
    gaps = np.diff(depth)
    middle = float(np.median(gaps))
    return middle > GEOMETRY_RULES.same_position_mm and bool((np.abs(gaps - middle) < 0.25 * middle).all())


def _is_leftover(piece: Sequence[Header], stack: Sequence[Header]) -> bool:
    """A few files of a series that fit no stack, and are no localizer: perhaps slices of the stack with a wrong tag."""
    few = len(piece) <= max(2, len(stack) // 10) and len(piece) < len(stack)
    return few and not is_enhanced(piece[0]) and "LOCALIZER" not in piece[0].get("ImageType", ())


def _contradiction(stack: Sequence[Header], parts: Sequence[int]) -> str:
    """What speaks against believing who and when a stack is; empty where nothing does."""
    if len(parts) > 1 and min(parts) < 3 and max(parts) > 1:
        return "files of this series name different patients or studies"
    days = {header.get("StudyDate") for header in stack}
    if len(days) > 1:
        return "files of this series name different study dates"
    if len({header.get("PatientBirthDate") for header in stack}) > 1:
        return "files of this series name different dates of birth"
    if len({header.text("PatientSex").upper() for header in stack} & {"M", "F"}) > 1:
        return "files of this series name different sexes"
    return ""


def _shared(stack: Sequence[Header], elsewhere: Sequence[Sequence[Header]]) -> str:
    """What speaks against a stack that is one scan only together with files of another patient or study."""
    for other in elsewhere:
        alike = [header for header in other if _kind(header) == _kind(stack[0])]
        if alike and _continues(stack, alike):
            return "slices that follow each other name different patients or studies"
    return ""


def _patient(header: Header) -> tuple[str, tuple[Notice, ...]]:
    said = header.text("PatientID")
    source = ""
    if not said:
        folder = str(PurePosixPath(header.file.name).parent)
        source = header.text("StudyInstanceUID") or header.text("FrameOfReferenceUID") or folder
    return _patient_of(said, source)


@lru_cache(maxsize=4096)
def _patient_of(said: str, source: str) -> tuple[str, tuple[Notice, ...]]:
    if not said:
        key = f"no-id-{digest(source)}"
        return key, (Notice("patient_id_missing", f"The images name no patient; they are filed under {key}."),)
    key = patient_key(said)
    if key != said:
        text = f"The patient's id cannot be a folder's name; the exam is filed under {key}."
        return key, (Notice("patient_id_unsafe", text),)
    return key, ()


def _made_uid(header: Header) -> str:
    same = (
        header.text("StudyInstanceUID"), header.text("FrameOfReferenceUID"), header.get("SeriesNumber"),
        header.text("SeriesDescription"), modality_of(header), exam_date(header.values)[0],
        str(PurePosixPath(header.file.name).parent) if header.get("SeriesNumber") is None else "",
    )
    return f"{MADE_UID}{hashlib.sha256(repr(same).encode()).hexdigest()[:16]}"


def _kind(header: Header) -> Hashable:
    if is_enhanced(header):
        return ("enhanced", header.file.name)
    get = header.values.get
    kind, spacing = [value.upper() for value in get("ImageType", ())], get("PixelSpacing")
    return (
        modality_of(header), get("SOPClassUID"), "LOCALIZER" in kind, get("Rows"), get("Columns"),
        get("SamplesPerPixel", 1), get("FrameOfReferenceUID"),
        None if spacing is None else tuple(round(v, 3) for v in spacing), get("Units"),
    )


def _orientations(headers: Sequence[Header]) -> list[list[Header]]:
    """Headers of one kind by orientation, within rounding."""
    clusters: list[tuple[np.ndarray | None, list[Header]]] = []
    exact: dict[Hashable, list[Header]] = {}
    for header in headers:
        said = header.get("ImageOrientationPatient")
        if said not in exact:
            exact[said] = _cluster(clusters, np.array(said) if said is not None and len(said) == 6 else None)
        exact[said].append(header)
    return [members for _, members in clusters]


def _cluster(clusters: list[tuple[np.ndarray | None, list[Header]]], cosines: np.ndarray | None) -> list[Header]:
    for known, members in clusters:
        if known is None or cosines is None:
            if known is None and cosines is None:
                return members
        elif np.abs(known - cosines).max() <= GEOMETRY_RULES.mixed_cosine_tolerance:
            return members
    clusters.append((cosines, []))
    return clusters[-1][1]


def _by(headers: Sequence[Header], key: Callable[[Header], Hashable]) -> list[list[Header]]:
    groups: dict[Hashable, list[Header]] = defaultdict(list)
    for header in headers:
        groups[key(header)].append(header)
    return list(groups.values())


def _phases(headers: list[Header]) -> list[list[Header]]:
    """One stack, or several of the same size by the first attribute under which no place is taken twice.

    Stacks that do not share places but lie through each other (phases half a slice apart) are told apart, too.
    """
    if len(headers) < 2 or is_enhanced(headers[0]):
        return [headers]
    if not _places_repeat(headers):
        for word in _APART.get(modality_of(headers[0]), ()):
            parts = _by(headers, lambda header, word=word: _plain(header.get(word)))  # type: ignore[misc]
            if len(parts) > 1 and _through_each_other(parts):
                return parts
        return [headers]
    for word in _SPLITTERS:
        parts = _by(headers, lambda header, word=word: _plain(header.get(word)))  # type: ignore[misc]
        if len(parts) > 1 and not any(_places_repeat(part) for part in parts):
            # Every part must be a stack of its own: single slices that merely fit are no proof.
            if min(len(part) for part in parts) < 2 and max(len(part) for part in parts) > 2:
                continue
            return parts
    return [headers]


def _through_each_other(parts: Sequence[Sequence[Header]]) -> bool:
    """Whether each part is a regular stack by itself, of one slice distance, and reaches over most of the others."""
    if min(map(len, parts)) < 3:
        return False
    try:
        row, column, _, _ = plane(parts[0][0])
        depths = [np.sort(places(part) @ np.cross(row, column)) for part in parts]
    except StudyError:
        return False
    steps = [float(np.median(np.diff(depth))) for depth in depths]
    if max(steps) > 1.05 * min(steps) or min(steps) <= GEOMETRY_RULES.same_position_mm:
        return False
    if any(np.abs(np.diff(depth) - steps[0]).max() > 0.1 * steps[0] for depth in depths):
        return False
    shared = min(depth[-1] for depth in depths) - max(depth[0] for depth in depths)
    return bool(shared > 0.5 * min(depth[-1] - depth[0] for depth in depths))


def _plain(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list | tuple) else value


def _places_repeat(headers: Sequence[Header]) -> bool:
    try:
        row, column, _, _ = plane(headers[0])
        depth = np.sort(places(headers) @ np.cross(row, column))
    except StudyError:
        return False
    return bool((np.diff(depth) <= GEOMETRY_RULES.same_position_mm).any())
