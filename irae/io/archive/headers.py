"""The header of one file, without its pixels, fast.

Little-endian files with a preamble are walked by hand (a tenth of pydicom's time); at anything unusual the walker steps
aside and pydicom reads the file, so both give the same values (``tests/io/archive/test_headers.py``).
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from irae.core.errors import StudyError
from irae.io.archive.values import FoundFile
from irae.io.archive.zips import present

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
UNCOMPRESSED = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE})
INFLATED_LIMIT = 256 * 2**20
_FIRST_READ = 8 * 1024
_WINDOW = 8 * 1024
_SEQUENCE_WINDOW = 1024 * 1024
_MOST_COMPARED = 128 * 1024  # headers up to this size are compared with each other
_KIND = slice(132, 192)
_KINDS_MOST = 16
_SPARE = 256  # bytes by which values may be longer in the next file, and the start of pixel data

_TEXT, _TEXTS, _INT, _NUMBER, _NUMBERS, _SHORT, _RAW, _MARK = range(8)

# What the index needs, as DICOM PS3.6 names it. RAW is kept as bytes (compared between slices, or read later).
_WANTED: dict[int, tuple[str, str, int]] = {
    0x00080005: ("SpecificCharacterSet", "CS", _TEXTS),
    0x00080008: ("ImageType", "CS", _TEXTS),
    0x00080016: ("SOPClassUID", "UI", _TEXT),
    0x00080018: ("SOPInstanceUID", "UI", _TEXT),
    0x00080020: ("StudyDate", "DA", _TEXT),
    0x00080021: ("SeriesDate", "DA", _TEXT),
    0x00080022: ("AcquisitionDate", "DA", _TEXT),
    0x00080023: ("ContentDate", "DA", _TEXT),
    0x0008002A: ("AcquisitionDateTime", "DT", _TEXT),
    0x00080031: ("SeriesTime", "TM", _TEXT),
    0x00080032: ("AcquisitionTime", "TM", _TEXT),
    0x00080033: ("ContentTime", "TM", _TEXT),
    0x00080060: ("Modality", "CS", _TEXT),
    0x00080070: ("Manufacturer", "LO", _TEXT),
    0x00080201: ("TimezoneOffsetFromUTC", "SH", _TEXT),
    0x0008103E: ("SeriesDescription", "LO", _TEXT),
    0x00090010: ("GEPrivateCreator", "LO", _TEXT),
    0x0009100D: ("GEScanDateTime", "DT", _TEXT),
    0x00100020: ("PatientID", "LO", _TEXT),
    0x00100021: ("IssuerOfPatientID", "LO", _TEXT),
    0x00100030: ("PatientBirthDate", "DA", _MARK),  # only whether two differ
    0x00100040: ("PatientSex", "CS", _TEXT),
    0x00101020: ("PatientSize", "DS", _NUMBER),
    0x00101030: ("PatientWeight", "DS", _NUMBER),
    0x00180010: ("ContrastBolusAgent", "LO", _TEXT),
    0x00180012: ("ContrastBolusAgentSequence", "SQ", _RAW),
    0x00180015: ("BodyPartExamined", "CS", _TEXT),
    0x00180020: ("ScanningSequence", "CS", _TEXTS),
    0x00180022: ("ScanOptions", "CS", _TEXTS),
    0x00180024: ("SequenceName", "SH", _TEXT),
    0x00180050: ("SliceThickness", "DS", _NUMBER),
    0x00180080: ("RepetitionTime", "DS", _NUMBER),
    0x00180081: ("EchoTime", "DS", _NUMBER),
    0x00180082: ("InversionTime", "DS", _NUMBER),
    0x00180088: ("SpacingBetweenSlices", "DS", _NUMBER),
    0x00181030: ("ProtocolName", "LO", _TEXT),
    0x00181060: ("TriggerTime", "DS", _NUMBER),
    0x00181120: ("GantryDetectorTilt", "DS", _NUMBER),
    0x00181210: ("ConvolutionKernel", "SH", _TEXTS),
    0x00181242: ("ActualFrameDuration", "IS", _NUMBER),
    0x00185100: ("PatientPosition", "CS", _TEXT),
    0x00189701: ("DecayCorrectionDateTime", "DT", _TEXT),
    0x0020000D: ("StudyInstanceUID", "UI", _TEXT),
    0x0020000E: ("SeriesInstanceUID", "UI", _TEXT),
    0x00200011: ("SeriesNumber", "IS", _INT),
    0x00200012: ("AcquisitionNumber", "IS", _INT),
    0x00200013: ("InstanceNumber", "IS", _INT),
    0x00200032: ("ImagePositionPatient", "DS", _NUMBERS),
    0x00200037: ("ImageOrientationPatient", "DS", _NUMBERS),
    0x00200052: ("FrameOfReferenceUID", "UI", _TEXT),
    0x00201002: ("ImagesInAcquisition", "IS", _INT),
    0x00200100: ("TemporalPositionIdentifier", "IS", _INT),
    0x00280002: ("SamplesPerPixel", "US", _SHORT),
    0x00280004: ("PhotometricInterpretation", "CS", _TEXT),
    0x00280008: ("NumberOfFrames", "IS", _INT),
    0x00280010: ("Rows", "US", _SHORT),
    0x00280011: ("Columns", "US", _SHORT),
    0x00280030: ("PixelSpacing", "DS", _NUMBERS),
    0x00280051: ("CorrectedImage", "CS", _TEXTS),
    0x00280100: ("BitsAllocated", "US", _SHORT),
    0x00280101: ("BitsStored", "US", _SHORT),
    0x00280102: ("HighBit", "US", _SHORT),
    0x00280103: ("PixelRepresentation", "US", _SHORT),
    0x00280120: ("PixelPaddingValue", "US", _RAW),
    0x00280301: ("BurnedInAnnotation", "CS", _TEXT),
    0x00281052: ("RescaleIntercept", "DS", _NUMBER),
    0x00281053: ("RescaleSlope", "DS", _NUMBER),
    0x00281054: ("RescaleType", "LO", _TEXT),
    0x00282110: ("LossyImageCompression", "CS", _TEXT),
    0x00540016: ("RadiopharmaceuticalInformationSequence", "SQ", _RAW),
    0x00540081: ("NumberOfSlices", "US", _SHORT),
    0x00541000: ("SeriesType", "CS", _TEXTS),
    0x00541001: ("Units", "CS", _TEXT),
    0x00541006: ("SUVType", "CS", _TEXT),
    0x00541101: ("AttenuationCorrectionMethod", "LO", _TEXT),
    0x00541102: ("DecayCorrection", "CS", _TEXT),
    0x00541300: ("FrameReferenceTime", "DS", _NUMBER),
    0x70530010: ("PhilipsPrivateCreator", "LO", _TEXT),
    0x70531000: ("PhilipsSUVScaleFactor", "DS", _NUMBER),
    0x70531009: ("PhilipsActivityScaleFactor", "DS", _NUMBER),
}
_LONG_FORM = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV"})
_ALL_VRS = _LONG_FORM | {
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
}
_UNDEFINED = 0xFFFFFFFF
_SOME_OF = ("SOPClassUID", "Modality", "Rows", "SOPInstanceUID")  # without any of them it is no image or report
_SYNTAX, _CHARSET = 0x00020010, 0x00080005
_PIXEL_TAGS = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """What one DICOM file says of itself.

    Attributes:
        file: Where it lies.
        values: By DICOM keyword; absent and empty are both absent. Numbers are float or int, several are tuples.
        bad: Keywords whose value could not be understood.
        syntax: Transfer Syntax UID.
        pixels: (offset, length) of uncompressed pixel data in the file; None where pydicom has to look.
        has_pixels: Whether there is a pixel data element.
    """

    file: FoundFile
    values: Mapping[str, Any]
    syntax: str
    bad: frozenset[str] = field(default_factory=frozenset)
    pixels: tuple[int, int] | None = None
    has_pixels: bool = False

    def get(self, keyword: str, default: Any = None) -> Any:
        """A value by keyword."""
        return self.values.get(keyword, default)

    def text(self, keyword: str) -> str:
        """A text value; empty where absent."""
        value = self.values.get(keyword)
        return "" if value is None else str(value)


class _UnusualError(Exception):
    """The fast walker met something it does not handle."""


@dataclass(frozen=True, eq=False, slots=True)
class _Walked:
    """A header that was walked: those of its kind are compared with it instead.

    Attributes:
        data: The start of its file.
        begins: Where its elements begin in it, pixel data last.
        syntax, charset, values, bad: What the header says.
        varying: Which elements, by number, have differed in another file, in order.
    """

    data: bytes
    begins: list[int]
    syntax: str
    charset: bytes
    values: dict[str, Any]
    bad: frozenset[str]
    varying: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Walked:
    """Headers to compare others with: the last one of each kind.

    Attributes:
        size: Bytes of a file that hold its header, most likely.
        kinds: By the bytes of the meta header that hold the SOP class, mostly.
    """

    size: int = _FIRST_READ
    kinds: dict[bytes, _Walked] = field(default_factory=dict)


def read_header(file: FoundFile, like: Walked | None = None) -> Header | None:
    """The header of a file; None where the file is not DICOM at all.

    Args:
        file: The file.
        like: Makes reading faster, not different, where it is given with files of which many are much alike.

    Raises:
        StudyError: ``unreadable``, ``empty_file``, ``header_broken`` or ``too_large``.
    """
    if file.size == 0:
        raise StudyError("empty_file", f"{file.name} is empty")
    like = like or Walked()
    try:
        descriptor = os.open(file.where, os.O_RDONLY)
        try:
            start = os.read(descriptor, like.size)
            if not _looks_like_dicom(start):
                return None
            if start[128:132] == b"DICM":
                try:
                    known = like.kinds.get(start[_KIND])
                    return (known and _compared(file, start, known)) or _walk_file(file, descriptor, start, like)
                except (_UnusualError, struct.error, IndexError, ValueError, OverflowError):
                    pass
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StudyError("unreadable", f"{file.name} cannot be read: {error.strerror or error}") from error
    return _by_pydicom(file)


def _looks_like_dicom(start: bytes) -> bool:
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16:
        return False
    # No preamble: the first element must be of group 2 or 8, with a known VR or a short length.
    group, element = struct.unpack_from("<HH", start)
    if group not in (0x0002, 0x0008) or element > 0x0100:
        return False
    return start[4:6] in _ALL_VRS or struct.unpack_from("<I", start, 4)[0] <= 64


def _walk_file(file: FoundFile, descriptor: int, start: bytes, like: Walked) -> Header:
    syntax, begins = _meta(start)
    if syntax in (DEFLATED_LE, EXPLICIT_BE) or not syntax.startswith("1.2.840.10008.1.2"):
        raise _UnusualError
    raw: dict[int, tuple[bytes, bytes]] = {}
    end = _walk(descriptor, start, begins, syntax != IMPLICIT_LE, raw, file.size)
    charset = raw.get(_CHARSET, (b"", b""))[1]
    values, bad = _decoded(raw, syntax != IMPLICIT_LE, charset)
    if end is not None and end[0] <= _MOST_COMPARED:
        like.size = max(like.size, end[0] + _SPARE)
        if begins:
            if len(like.kinds) >= _KINDS_MOST:
                like.kinds.clear()
            like.kinds[start[_KIND]] = _Walked(start, begins, syntax, charset, values, bad)
    return _header(file, values, syntax, bad, end)


def _header(
    file: FoundFile, values: dict[str, Any], syntax: str, bad: frozenset[str], end: tuple[int, int] | None
) -> Header:
    if not any(keyword in values for keyword in _SOME_OF):
        raise _UnusualError
    known = end is not None and syntax in UNCOMPRESSED and end[1] != _UNDEFINED
    return Header(file, values, syntax, bad, end if known else None, end is not None)


def _compared(file: FoundFile, data: bytes, like: _Walked) -> Header | None:
    """The header of a file that has the elements of another one; None where it has not, or is not there as a whole.

    What is equal byte for byte is stepped over, what differs is read like any other element.
    """
    before, begins, varying = like.data, like.begins, like.varying
    explicit = like.syntax != IMPLICIT_LE
    raw: dict[int, tuple[bytes, bytes]] = {}
    position, number, nth = begins[0], 0, 0
    try:
        while True:
            stop = varying[nth] if nth < len(varying) else len(begins) - 1
            shift = position - begins[number]
            position = begins[stop] + shift
            if data[begins[number] + shift : position] != before[begins[number] : begins[stop]]:
                while data[begins[number] + shift : begins[number + 1] + shift] == before[
                    begins[number] : begins[number + 1]
                ]:
                    number += 1
                stop, position = number, begins[number] + shift
                varying.insert(nth, stop)
            named = explicit or before.startswith(b"\2\0", begins[stop])  # group 2 names the VR in every file
            word = 6 if named else 4  # bytes of a tag and its VR
            if data[position : position + word] != before[begins[stop] : begins[stop] + word]:
                return None
            tag, vr, length, position = _element(data, position, named)
            if stop == len(begins) - 1:
                break
            end = _skip_undefined(data, position, explicit, 0) if length == _UNDEFINED else position + length
            if end > len(data) or tag in (_SYNTAX, _CHARSET):
                return None
            if tag in _WANTED:
                raw[tag] = (vr, data[position:end])
            position, number, nth = end, stop + 1, nth + 1
        changed, bad = _decoded(raw, explicit, like.charset)
    except (_UnusualError, struct.error):
        return None
    values = {**like.values, **changed}
    for tag in raw:
        if _WANTED[tag][0] not in changed:
            values.pop(_WANTED[tag][0], None)
    return _header(file, values, like.syntax, bad | (like.bad - {_WANTED[tag][0] for tag in raw}), (position, length))


_HEAD = struct.Struct("<HH2sH").unpack_from
_LONG = struct.Struct("<I").unpack_from
_TAG = struct.Struct("<HH").unpack_from


def _element(data: bytes, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
    """(tag, VR, length, where the value begins) of the element at a position."""
    group, element, vr, length = _HEAD(data, position)
    tag = group << 16 | element
    if not explicit:
        return tag, b"", _LONG(data, position + 4)[0], position + 8
    if vr in _LONG_FORM:
        return tag, vr, _LONG(data, position + 8)[0], position + 12
    if vr not in _ALL_VRS:
        raise _UnusualError
    return tag, vr, length, position + 8


def _meta(start: bytes) -> tuple[str, list[int]]:
    """Transfer syntax, and where the elements of group 2 and the data set begin; group 2 is explicit little endian."""
    position, syntax, begins = 132, "", [132]
    while start[position : position + 2] == b"\2\0":
        tag, _, length, position = _element(start, position, True)
        if position + length > len(start):
            raise _UnusualError
        if tag == _SYNTAX:
            syntax = start[position : position + length].rstrip(b"\0 ").decode("ascii")
        position += length
        begins.append(position)
    if not syntax:
        raise _UnusualError
    return syntax, begins


def _walk(
    descriptor: int, data: bytes, begins: list[int], explicit: bool, raw: dict[int, tuple[bytes, bytes]], size: int
) -> tuple[int, int] | None:
    """Collects the wanted elements; where pixel data begins and its length, or None where the file ends first.

    ``data`` is the file's start, later a window of the file; what is not wanted is jumped over without being read.
    ``begins`` ends with where the first element begins; where the next ones do is added, or it is emptied where they
    do not all lie in the file's start.
    """
    position, base, last = begins[-1], 0, 0
    while True:
        if position + 12 > len(data):
            base += position
            if base >= size:
                return None
            data, position = os.pread(descriptor, _WINDOW, base), 0
            if len(data) < 8:
                raise _UnusualError
        tag, vr, length, position = _element(data, position, explicit)
        if tag <= last:
            raise _UnusualError  # out of order: not ours to judge
        last = tag
        if tag in _PIXEL_TAGS:
            if base:
                begins.clear()
            return base + position, length
        if tag > 0x7FE0FFFF:
            return None
        if length == _UNDEFINED:
            try:
                end = _skip_undefined(data, position, explicit, 0)
            except struct.error:  # it does not end in this window
                base += position
                data, position = os.pread(descriptor, _SEQUENCE_WINDOW, base), 0
                end = _skip_undefined(data, position, explicit, 0)
        else:
            end = position + length
            if base + end > size:
                raise _UnusualError
        if tag in _WANTED:
            if end > len(data):
                base += position
                data, end, position = os.pread(descriptor, end - position + _WINDOW, base), end - position, 0
            raw[tag] = (vr, data[position:end])
        position = end
        begins.append(position)


def _skip_undefined(data: bytes, position: int, explicit: bool, depth: int) -> int:
    """The end of a sequence of undefined length; a struct.error where the data ends first."""
    if depth > 32:
        raise _UnusualError
    while True:
        group, element = _TAG(data, position)
        length = _LONG(data, position + 4)[0]
        position += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            return position
        if (group, element) != (0xFFFE, 0xE000):
            raise _UnusualError
        position = _skip_item(data, position, explicit, depth) if length == _UNDEFINED else position + length


def _skip_item(data: bytes, position: int, explicit: bool, depth: int) -> int:
    while True:
        group, element = _TAG(data, position)
        if group == 0xFFFE:
            if element != 0xE00D:
                raise _UnusualError
            return position + 8
        _, _, length, position = _element(data, position, explicit)
        position = _skip_undefined(data, position, explicit, depth + 1) if length == _UNDEFINED else position + length


# Most values are the same in every slice: what was understood once is not parsed again (and is kept once).
_understood: dict[tuple[int, bytes, bytes, bytes], Any] = {}
_UNDERSTOOD_MOST = 20_000  # what differs in every file must not pile up
_NOTHING, _BAD = object(), object()


def _decoded(
    raw: Mapping[int, tuple[bytes, bytes]], explicit: bool, charset: bytes
) -> tuple[dict[str, Any], frozenset[str]]:
    values: dict[str, Any] = {}
    bad: list[str] = []
    if len(_understood) > _UNDERSTOOD_MOST:
        _understood.clear()
    for tag, (vr, data) in raw.items():
        key = (tag, vr, data, charset)
        value = _understood.get(key)
        if value is None:
            value = _understood[key] = _value(tag, vr, data, explicit, charset)
        if value is _BAD:
            bad.append(_WANTED[tag][0])
        elif value is not _NOTHING:
            values[_WANTED[tag][0]] = value
    return values, frozenset(bad)


def _value(tag: int, vr: bytes, data: bytes, explicit: bool, charset: bytes) -> Any:
    keyword, expected, kind = _WANTED[tag]
    if kind == _RAW:
        return data or _NOTHING
    if explicit and vr != expected.encode() and not (tag >> 16 & 1 and vr in (b"UN", b"LO", b"SH")):
        raise _UnusualError  # pydicom knows how other VRs convert
    if kind == _SHORT:
        if len(data) == 2:
            return data[0] | data[1] << 8
        if data:
            raise _UnusualError
        return _NOTHING
    return _parsed(kind, _text(data, charset, keyword))


def _text(data: bytes, charset: bytes, keyword: str) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        if keyword not in ("PatientID", "SeriesDescription", "ProtocolName", "IssuerOfPatientID"):
            return data.decode("latin-1")
    from pydicom.charset import convert_encodings, decode_bytes

    names = [name.strip() for name in charset.decode("latin-1").split("\\")]
    try:
        return decode_bytes(data, convert_encodings(names), {ord("\\")})
    except (LookupError, UnicodeError, ValueError):
        return data.decode("latin-1")


def _parsed(kind: int, text: str) -> Any:
    """A text value by its kind; _NOTHING where empty, _BAD where it is not what it should be."""
    text = text.strip(" \0\t\r\n")
    if not text:
        return _NOTHING
    if kind == _TEXT:
        return text
    if kind == _MARK:  # one byte: tells two people apart (255 of 256 times) and gives nobody's date away
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:2]
    parts = [part.strip() for part in text.split("\\")]
    if kind == _TEXTS:
        return tuple(parts)
    try:
        numbers = tuple(_number(part) for part in parts)
    except ValueError:
        return _BAD
    if kind == _NUMBERS:
        return numbers
    if len(numbers) != 1:
        return _BAD
    if kind == _INT:
        return int(numbers[0]) if numbers[0].is_integer() else _BAD
    return numbers[0]


def _number(text: str) -> float:
    """A DICOM decimal string: no commas, no underscores, finite."""
    if "_" in text:
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _by_pydicom(file: FoundFile) -> Header:
    """The same values by pydicom: big endian, deflated, no preamble, odd VRs, broken lengths."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _by_pydicom_loudly(file)
    except StudyError:
        raise
    except Exception as error:  # pydicom converts values late and raises anything on damaged ones
        raise StudyError("header_broken", f"{file.name}: the header does not parse ({type(error).__name__})") from error


def _by_pydicom_loudly(file: FoundFile) -> Header:
    from pydicom.dataset import Dataset

    dataset = read_dataset(file, pixels=False, tags=[*_WANTED, *_PIXEL_TAGS])
    if not isinstance(dataset, Dataset) or not any(
        keyword in dataset for keyword in _SOME_OF
    ):
        raise StudyError("not_dicom", f"{file.name} begins like DICOM but holds no image or report")
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = EXPLICIT_BE if little is False else IMPLICIT_LE if implicit else EXPLICIT_LE
    values: dict[str, Any] = {}
    bad: set[str] = set()
    for tag, (keyword, _, kind) in _WANTED.items():
        if tag not in dataset:
            continue
        if kind == _RAW:
            raw = dataset.get_item(tag)
            data = raw.value if isinstance(raw.value, bytes) else str(dataset[tag]).encode()
            if data:
                values[keyword] = data
            continue
        try:
            value = dataset[tag].value
        except Exception:  # pydicom raises many kinds for values that do not convert
            bad.add(keyword)
            continue
        if value is None or value == "":
            continue
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        text = value if isinstance(value, str) else "\\".join(map(str, value)) if _many(value) else str(value)
        if kind == _SHORT:
            if isinstance(value, int) and 0 <= value <= 0xFFFF:
                values[keyword] = int(value)
            else:
                bad.add(keyword)
            continue
        parsed = _parsed(kind, text)
        if parsed is _BAD:
            bad.add(keyword)
        elif parsed is not _NOTHING:
            values[keyword] = parsed
    return Header(file, values, syntax, frozenset(bad), None, bool(getattr(dataset, "_pixels_follow", False)))


def _many(value: Any) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")


def read_dataset(file: FoundFile, *, pixels: bool, tags: list[int] | None = None) -> Any:
    """A pydicom data set; deflated files are inflated up to a limit, files without preamble are tried.

    Raises:
        StudyError: ``header_broken`` or ``too_large``; ``unreadable`` where the file cannot be opened.
    """
    from pydicom import dcmread
    from pydicom.filereader import read_partial

    try:
        source: Any = _inflated(present(file))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if pixels:
                return dcmread(file.path if source is None else BytesIO(source), force=True)
            seen: list[bool] = []

            def stop(tag: Any, vr: str | None, length: int) -> bool:
                if int(tag) in _PIXEL_TAGS:
                    seen.append(True)
                return bool(seen)

            with open(file.path, "rb") if source is None else BytesIO(source) as stream:
                dataset: Any = read_partial(stream, stop_when=stop, force=True, specific_tags=tags)
            object.__setattr__(dataset, "_pixels_follow", bool(seen))
            return dataset
    except OSError as error:
        raise StudyError("unreadable", f"{file.name} cannot be read: {error.strerror or error}") from error
    except StudyError:
        raise
    except Exception as error:  # pydicom raises anything on damaged files
        raise StudyError("header_broken", f"{file.name}: the header does not parse ({type(error).__name__})") from error


def _inflated(file: FoundFile) -> bytes | None:
    """A deflated file as an explicit little endian one, or None where it is not deflated."""
    with open(file.path, "rb") as stream:
        start = stream.read(_FIRST_READ)
        if start[128:132] != b"DICM" or DEFLATED_LE.encode() not in start[:1024]:
            return None
        syntax, begins = _meta(start)
        if syntax != DEFLATED_LE:
            return None
        stream.seek(begins[-1])
        packed = stream.read()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(packed, INFLATED_LIMIT)
    if inflater.unconsumed_tail:
        raise StudyError("too_large", f"{file.name} inflates to more than {INFLATED_LIMIT} bytes")
    meta = start[: begins[-1]].replace(DEFLATED_LE.encode(), EXPLICIT_LE.encode() + b"\0" * 3, 1)
    return meta + data
