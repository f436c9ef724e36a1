"""De-identification of what leaves: only what is known to be harmless stays, everything else goes.

DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile with the options Retain Longitudinal Temporal
Information with Modified Dates, Retain Patient Characteristics (sex, height, weight: SUV and SUL need them), Clean
Descriptors and Retain Safe Private. What is kept is in ``deidentify_table``.

Not done: faces. A head CT or MR can be recognised by its surface; deface it before it leaves.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes as standard
from pydicom.uid import UID, ExplicitVRLittleEndian, UID_dictionary

from irae.core.errors import StudyError
from irae.io.atomic import written_aside
from irae.io.deidentify_pixels import put_pixels
from irae.io.deidentify_table import (
    DATES,
    DATETIMES,
    DESCRIPTIONS,
    KERNEL,
    NUMBERS,
    PRIVATE,
    SEQUENCES,
    SOP_CLASSES,
    TIMES,
    UIDS,
    VOCABULARY,
    WORDS,
)

KEY_BYTES = 32
# Dates move back by 1 to 10 years and some days, the same for everything of one patient.
SHIFT_DAYS = (365, 3653)

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DATETIME = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?")
_ZONE = re.compile(r"[+-]\d{4}")
_RT_CODE = re.compile(r"[A-Z]-[0-9A-Z]{4,6}")  # SNOMED-RT, as scanners of all ages write it
_METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
    ("113111", "Retain Safe Private Option"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifiedFile:
    """What became of one file. ``source`` may name a person: it stays where the originals are."""

    source: str
    written: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """Takes identities away, the same way for everything that is done with the same key.

    Attributes:
        key: The secret. Who has it can recognise a patient whose ID he guesses; nobody else can.

    Raises:
        ValueError: If the key is shorter than 32 bytes.
    """

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(f"a de-identification key needs {KEY_BYTES} bytes, got {len(self.key)}")

    @classmethod
    def from_file(cls, path: Path) -> Deidentifier:
        """The key of a file of hexadecimal digits.

        Raises:
            ValueError: If the file does not hold such a key.
        """
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (UnicodeDecodeError, ValueError) as error:
            need = f"{2 * KEY_BYTES} or more hexadecimal digits"
            raise ValueError(f"{path.name} does not hold a key of {need}") from error

    def _digest(self, *words: str) -> bytes:
        named = "".join(f"{len(word)}:{word}" for word in words)
        return hmac.new(self.key, named.encode(), hashlib.sha256).digest()

    def pseudonym(self, patient_id: str) -> str:
        """The patient's pseudonym: 16 characters that nobody without the key can link to the ID."""
        return "IR" + base64.b32encode(self._digest("patient", patient_id.strip()))[:14].decode()

    def shift_days(self, patient_id: str) -> int:
        """How many days the patient's dates move back; intervals between them stay."""
        first, last = SHIFT_DAYS
        return first + int.from_bytes(self._digest("shift", patient_id.strip())[:8], "big") % (last - first)

    def shifted(self, day: date, patient_id: str) -> date:
        """A date of the patient, moved."""
        return day - timedelta(days=self.shift_days(patient_id))

    def uid(self, uid: str) -> str:
        """The UID that stands for a UID; those of the standard itself stay."""
        if uid in UID_dictionary:
            return uid
        number = int.from_bytes(self._digest("uid", uid)[:16], "big")
        return f"2.25.{number & ~(0xF << 76) & ~(3 << 62) | (5 << 76) | (2 << 62)}"

    def dataset(self, source: Dataset) -> Dataset:
        """A new data set with what may leave; the source is not changed (compressed pixels are decoded in it).

        Raises:
            StudyError: ``deid_unsupported`` (not a CT, PET, MR or SEG image), ``deid_burned_in`` (text in the pixels),
                ``deid_no_uid``, ``deid_no_patient_id``, ``deid_pixels`` (missing, too short or undecodable).
        """
        where = self.uid(str(source.get("SOPInstanceUID", "")))
        kind = str(source.get("SOPClassUID", ""))
        if kind not in SOP_CLASSES:
            known = UID_dictionary[kind][0] if kind in UID_dictionary else "an unknown object"
            raise StudyError(
                "deid_unsupported", f"{known} is not a CT, PET, MR or SEG image: what it may hold is not known",
                where=where,
            )
        risk = _burned_in(source)
        if risk:
            raise StudyError("deid_burned_in", risk, where=where)
        nameless = [w for w in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID") if not source.get(w)]
        if nameless:
            raise StudyError("deid_no_uid", f"there is no {', '.join(nameless)}", where=where)
        patient_id = str(source.get("PatientID") or "").strip()
        if not patient_id:
            raise StudyError("deid_no_patient_id", "there is no Patient ID to make a pseudonym of", where=where)
        days = self.shift_days(patient_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever pydicom thinks of a value: it is checked here
            clean = self._kept(source, days)
            put_pixels(source, clean, where)
            self._put_private(source, clean, days)
        clean.SOPClassUID = UID(kind)
        clean.Modality = SOP_CLASSES[kind]
        clean.SpecificCharacterSet = "ISO_IR 192"
        clean.PatientID, clean.PatientName, clean.PatientBirthDate = self.pseudonym(patient_id), "", ""
        for keyword in ("PatientSex", "AccessionNumber", "ReferringPhysicianName", "StudyID", "StudyDate", "StudyTime"):
            if keyword not in clean:
                setattr(clean, keyword, "")
        for keyword in ("PositionReferenceIndicator", "Laterality"):  # may not be missing where they were
            if keyword in source:
                setattr(clean, keyword, "")
        if clean.Modality == "SEG":
            _put_dummies(clean)
        clean.PatientIdentityRemoved = "YES"
        clean.DeidentificationMethod = "irae: PS3.15 basic profile, keep list"
        clean.DeidentificationMethodCodeSequence = [_coded(value, "DCM", meaning) for value, meaning in _METHODS]
        clean.LongitudinalTemporalInformationModified = "MODIFIED"
        clean.file_meta = FileMetaDataset()
        clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        clean.file_meta.MediaStorageSOPClassUID = UID(kind)
        clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
        return clean

    def file(self, source: Path, folder: Path) -> Path:
        """Writes the de-identified file below a folder, its name made of new UIDs only; returns its path.

        Raises:
            StudyError: See ``dataset``; ``deid_unreadable``.
        """
        try:
            clean = self.dataset(dcmread(source))
        except StudyError:
            raise
        except Exception as error:  # pydicom converts values late and raises anything on damaged ones
            raise StudyError("deid_unreadable", f"a file does not read as DICOM ({type(error).__name__})") from error
        path = folder / str(clean.PatientID) / str(clean.SeriesInstanceUID) / f"{clean.SOPInstanceUID}.dcm"
        with written_aside(path) as aside:
            clean.save_as(aside, enforce_file_format=True)
        return path

    def folder(self, source: Path, out: Path) -> tuple[DeidentifiedFile, ...]:
        """Every file below a folder; what is refused is left out and says why. One row for each file.

        Links are not followed, zips not opened, NIfTI files (their names may name a person) refused.
        """
        rows = []
        for path in sorted(p for p in source.rglob("*") if p.is_symlink() or not p.is_dir()):
            name = path.relative_to(source).as_posix()
            try:
                if path.is_symlink() or not path.is_file():
                    raise StudyError("deid_not_a_file", "a link or a device is not followed")
                written = self.file(path, out)
            except StudyError as refusal:
                rows.append(DeidentifiedFile(source=name, written="", code=refusal.code, text=refusal.text))
            else:
                rows.append(DeidentifiedFile(source=name, written=written.relative_to(out).as_posix()))
        return tuple(rows)

    def _kept(self, source: Dataset, days: int) -> Dataset:
        clean = Dataset()
        for tag in source.keys():  # noqa: SIM118  # a Dataset iterates over elements, not tags
            keyword = keyword_for_tag(tag)
            if not keyword or tag.is_private:
                continue
            try:
                element = source[tag]
                value = self._value(keyword, element, days)
            except Exception:  # noqa: S112  # whatever cannot be read cannot be judged, and goes
                continue
            if value is not None:
                clean.add(DataElement(tag, element.VR, value))
        return clean

    def _value(self, keyword: str, element: DataElement, days: int) -> Any:
        """The value that may stay; None where the attribute goes."""
        if keyword in SEQUENCES and keyword.endswith("CodeSequence"):
            return [self._code(item) for item in element.value]
        if keyword in SEQUENCES:
            return [self._kept(item, days) for item in element.value]
        values = [v for v in _many(element.value) if v is not None and str(v) != ""]
        if keyword == "ReferencedSOPClassUID" or keyword == "SOPClassUID":
            return str(element.value) if str(element.value) in UID_dictionary else None
        for keywords, change in self._changes(days):
            if keyword in keywords:
                changed = [change(str(v).strip()) for v in values]
                return changed if changed and all(v is not None for v in changed) else None
        if keyword in NUMBERS:
            fits = all(isinstance(v, int | float | bytes) or _NUMBER.fullmatch(str(v)) for v in values)
            return element.value if fits and not isinstance(element.value, bytes) else None
        if keyword in WORDS:
            kept = [" ".join(w for w in str(v).upper().split() if w in WORDS[keyword]) for v in values]
            if keyword in ("ImageType", "FrameType"):  # their values count by position
                return [v or "OTHER" for v in kept] or None
            return [v for v in kept if v] or None
        if keyword == "ContrastBolusAgent":
            said = " ".join(str(v) for v in values).strip().lower()
            return "contrast" if said and said not in ("no", "none", "0", "n") else None
        if keyword in DESCRIPTIONS:
            kept = [w for v in values for w in re.split(r"[^A-Za-z0-9_]+", str(v)) if _says_what(w, keyword)]
            return " ".join(kept) or ("segment" if keyword == "SegmentLabel" else None)
        if keyword == "TimezoneOffsetFromUTC":
            return str(element.value) if _ZONE.fullmatch(str(element.value)) else None
        return None

    def _code(self, source: Dataset) -> Dataset:
        """A code that is known, with those of its modifiers that are."""
        code, modifiers = _known_code(source), source.get("SegmentedPropertyTypeModifierCodeSequence")
        if modifiers:
            code.SegmentedPropertyTypeModifierCodeSequence = [self._code(item) for item in modifiers]
        return code

    def _changes(self, days: int) -> Iterator[tuple[frozenset[str], Callable[[str], str | None]]]:
        yield UIDS, self.uid
        yield DATES, lambda text: _moved(text, days)
        yield DATETIMES, lambda text: _moved_time(text, days)
        yield TIMES, lambda text: text if _TIME.fullmatch(text) else None

    def _put_private(self, source: Dataset, clean: Dataset, days: int) -> None:
        for group, creator, offset, is_time in PRIVATE:
            try:
                value = source.private_block(group, creator)[offset].value
            except KeyError:
                continue
            text = (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")
            kept = _moved_time(text, days) if is_time else text if _NUMBER.fullmatch(text) else None
            if kept is not None:
                clean.private_block(group, creator, create=True).add_new(offset, "DT" if is_time else "DS", kept)


_CAPTURED = re.compile(
    r"(?i)screen ?save|screen ?shot|capture|dose[ _]?(info|report|summary|page)|patient protocol|report|key ?image"
)


def _burned_in(source: Dataset) -> str:
    """Why text may be burned into the pixels, in words without a value of the header; empty where nothing says so.

    The attribute is optional and often missing: pages of text also come as CT images, and say so by their type, their
    description or the conversion that made them.
    """
    if str(source.get("BurnedInAnnotation") or "NO").strip().upper() != "NO":
        return "the header says that text is burned into the pixels"
    if str(source.get("ConversionType") or "") in ("DV", "DF", "WSD", "SD", "SI", "DRW"):
        return "it was made from a screen, a film or a video: text may be burned into the pixels"
    if _CAPTURED.search(" ".join(map(str, _many(source.get("ImageType") or "")))):
        return "by its type it is a page of text or a capture: text may be burned into the pixels"
    if _CAPTURED.search(str(source.get("SeriesDescription") or "")):
        return "by its description it is a page of text or a capture: text may be burned into the pixels"
    return ""


def _put_dummies(clean: Dataset) -> None:
    """What a Segmentation may not be without (action D of the profile: a dummy value)."""
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        if keyword not in clean:
            setattr(clean, keyword, "removed")
    clean.ContentLabel, clean.ContentDescription, clean.ContentCreatorName = "SEGMENTATION", "", ""
    for segment in clean.get("SegmentSequence", []):
        if "TrackingUID" in segment:
            segment.TrackingID = str(segment.TrackingUID)
        if segment.get("SegmentAlgorithmType") != "MANUAL":
            segment.SegmentAlgorithmName = "removed"


def make_key_file(path: Path) -> None:
    """Writes a new random key that only its owner can read.

    Raises:
        FileExistsError: If there is a file already: a lost key cannot be had again.
    """
    with open(path, "x", encoding="ascii") as stream:
        path.chmod(0o600)
        stream.write(secrets.token_hex(KEY_BYTES) + "\n")


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def _says_what(word: str, keyword: str) -> bool:
    known = word.lower() in VOCABULARY
    return known or (keyword == "ConvolutionKernel" and KERNEL.fullmatch(word) is not None)


def _moved(text: str, days: int) -> str | None:
    try:
        day = date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}") if re.fullmatch(r"\d{8}", text) else None
        return (day - timedelta(days=days)).strftime("%Y%m%d") if day is not None else None
    except (ValueError, OverflowError):
        return None


def _moved_time(text: str, days: int) -> str | None:
    found = _DATETIME.fullmatch(text)
    if found is None:
        return None
    day = _moved(found[1], days)
    return f"{day}{found[2] or ''}{found[3] or ''}" if day is not None else None


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    """Every code of PS3.16 and the shortest of its meanings."""
    found: dict[tuple[str, str], str] = {}
    for scheme in standard.schemes():
        for code in getattr(standard, scheme).concepts.values():
            known = found.get((scheme, code.value))
            if known is None or len(code.meaning) < len(known):
                found[scheme, code.value] = code.meaning
    return found


def _known_code(source: Dataset) -> Dataset:
    """A code of PS3.16 with the standard's own meaning, or a SNOMED-RT code without one; empty if it is neither."""
    value, scheme = str(source.get("CodeValue", "")), str(source.get("CodingSchemeDesignator", ""))
    if (scheme, value) in _meanings():
        return _coded(value, scheme, _meanings()[scheme, value])
    if scheme in ("SRT", "SNM3", "99SDM") and _RT_CODE.fullmatch(value):
        return _coded(value, scheme, value)
    return Dataset()
