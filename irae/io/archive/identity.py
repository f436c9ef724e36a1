"""Who and when: the patient's key and the exam's date, from what headers and paths say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

# A key is also a folder's name: letters, digits, and marks that no file system or shell minds.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@ -]{0,62}[A-Za-z0-9_+=@-]|[A-Za-z0-9]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_OURS = re.compile(r"(?i).*\.(json|csv|sqlite|html|lock)(-\w+)?")  # convert.json and its like lie beside the patients
_NO_DATES = frozenset({date(1, 1, 1), date(1900, 1, 1)})  # they stand for "unknown" where software must write one


def patient_key(patient_id: str) -> str:
    """The key of a patient: the id itself where it is safe as a folder's name, else a readable, deterministic one.

    >>> patient_key("P01"), patient_key("../../etc/passwd")
    ('P01', 'etc-passwd-3754d6cb')
    """
    taken = _RESERVED.fullmatch(patient_id) or _OURS.fullmatch(patient_id)
    if _SAFE.fullmatch(patient_id) and not taken and ".." not in patient_id:
        return patient_id
    readable = re.sub(r"[^A-Za-z0-9]+", "-", patient_id).strip("-")[:32]
    return f"{readable or 'id'}-{digest(patient_id)}"


def digest(text: str) -> str:
    """Eight hex digits that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def dicom_date(text: str | None) -> date | None:
    """A DICOM DA (also the old dotted form); None where it is not a date.

    >>> dicom_date("20260314"), dicom_date("2026.03.14"), dicom_date("20261314")
    (datetime.date(2026, 3, 14), datetime.date(2026, 3, 14), None)
    """
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", (text or "").strip())
    if match is None:
        return None
    try:
        return date(*map(int, match.groups()))
    except ValueError:
        return None


def dicom_time(text: str | None) -> time | None:
    """A DICOM TM (also with colons); None where it is not a time.

    >>> dicom_time("101530.25"), dicom_time("09:56"), dicom_time("256161")
    (datetime.time(10, 15, 30, 250000), datetime.time(9, 56), None)
    """
    match = re.fullmatch(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6})\d*)?)?)?", (text or "").strip())
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(int(hour), int(minute or 0), min(59, int(second or 0)), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None


def dicom_datetime(text: str | None) -> datetime | None:
    """A DICOM DT with at least a date and an hour; aware where it names its UTC offset."""
    match = re.fullmatch(r"(\d{8})(\d{2}[\d.]*)([+-]\d{4})?", (text or "").strip())
    if match is None:
        return None
    day, clock = dicom_date(match.group(1)), dicom_time(match.group(2))
    if day is None or clock is None:
        return None
    offset = utc_offset(match.group(3))
    return datetime.combine(day, clock, timezone(offset) if offset is not None else None)


def utc_offset(text: str | None) -> timedelta | None:
    """``+HHMM`` as a time difference."""
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", (text or "").strip())
    if match is None or int(match.group(2)) > 14:
        return None
    size = timedelta(hours=int(match.group(2)), minutes=int(match.group(3)))
    return -size if match.group(1) == "-" else size


def together(day: date | None, clock: time | None) -> datetime | None:
    """Date and time of day in one; None where either is missing."""
    return None if day is None or clock is None else datetime.combine(day, clock)


def exam_date(values: Mapping[str, Any]) -> tuple[date | None, str]:
    """The date an exam is filed under, and which attribute said it; 00010101 and 19000101 only where all say so.

    >>> exam_date({"StudyDate": "00010101", "AcquisitionDate": "20260314"})
    (datetime.date(2026, 3, 14), 'AcquisitionDate')
    """
    words = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
    found = [(day, word) for word in words if (day := dicom_date(values.get(word))) is not None]
    moment = dicom_datetime(values.get("AcquisitionDateTime"))
    if moment is not None:
        found.append((moment.date(), "AcquisitionDateTime"))
    believed = [one for one in found if one[0] not in _NO_DATES]
    return next(iter(believed or found), (None, ""))


def acquired_at(values: Mapping[str, Any]) -> datetime | None:
    """When a slice was acquired, by AcquisitionDate and AcquisitionTime, else AcquisitionDateTime."""
    moment = together(dicom_date(values.get("AcquisitionDate")), dicom_time(values.get("AcquisitionTime")))
    if moment is None:
        moment = dicom_datetime(values.get("AcquisitionDateTime"))
        moment = moment.replace(tzinfo=None) if moment is not None else None
    return moment
