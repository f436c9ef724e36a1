"""Multi-frame objects (enhanced CT, MR, PET) as if each frame were a file: the rest of the archive sees slices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.io.archive.headers import EXPLICIT_BE, Header, read_dataset
from irae.io.archive.pixels import decoded

_FRAME_LIMIT = 100_000

# Where a frame's value lies: functional group sequence, attribute, keyword it is known by here.
_GROUPS = (
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness", "SliceThickness"),
    ("PixelMeasuresSequence", "SpacingBetweenSlices", "SpacingBetweenSlices"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("PixelValueTransformationSequence", "RescaleType", "RescaleType"),
    ("FrameContentSequence", "StackID", "StackID"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("FrameContentSequence", "FrameAcquisitionDateTime", "AcquisitionDateTime"),
    ("FrameContentSequence", "FrameAcquisitionDuration", "ActualFrameDuration"),
    ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("CTReconstructionSequence", "ConvolutionKernel", "ConvolutionKernel"),
    ("FrameAnatomySequence", "FrameLaterality", "FrameLaterality"),
)
_SEVERAL = frozenset({"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"})
_TEXTS = frozenset({"RescaleType", "StackID", "AcquisitionDateTime", "ConvolutionKernel", "FrameLaterality"})


def frames_of(header: Header) -> tuple[Header, ...]:
    """One header per frame, with the frame's own position, orientation, spacing and rescale.

    Raises:
        StudyError: ``multiframe_inconsistent``, ``geometry_missing`` or ``header_broken``.
    """
    try:
        return _frames(header)
    except StudyError:
        raise
    except Exception as error:  # functional groups of the wrong kind: sequences that are texts, texts that are numbers
        raise StudyError(
            "multiframe_inconsistent", f"{header.file.name}: functional groups do not read ({type(error).__name__})"
        ) from error


def _frames(header: Header) -> tuple[Header, ...]:
    name = header.file.name
    dataset = read_dataset(header.file, pixels=False)
    count = header.get("NumberOfFrames", 1)
    if not 1 <= count <= _FRAME_LIMIT:
        raise StudyError("multiframe_inconsistent", f"{name}: {count} frames")
    shared = _item(dataset.get("SharedFunctionalGroupsSequence"))
    frames = dataset.get("PerFrameFunctionalGroupsSequence")
    if frames is None or len(frames) == 0:
        raise StudyError("geometry_missing", f"{name}: {count} frames without functional groups say no positions")
    if len(frames) != count:
        raise StudyError(
            "multiframe_inconsistent", f"{name}: {count} frames declared, {len(frames)} functional groups"
        )
    common = dict(header.values)
    common.pop("NumberOfFrames", None)
    if shared is not None:
        _take(shared, common)
    corrected = list(common.get("CorrectedImage", ()))
    if str(dataset.get("AttenuationCorrected", "")).upper() == "YES":
        corrected.append("ATTN")
    if str(dataset.get("DecayCorrected", "")).upper() == "YES":
        corrected.append("DECY")
        common.setdefault("DecayCorrection", "START")
    if corrected:
        common["CorrectedImage"] = tuple(corrected)
    size = common["Rows"] * common["Columns"] * common["BitsAllocated"] // 8
    headers = []
    for number, frame in enumerate(frames):
        values = dict(common, _frame=number)
        _take(frame, values)
        span = None
        if header.pixels is not None and header.syntax != EXPLICIT_BE:
            span = (header.pixels[0] + number * size, size)
        headers.append(Header(header.file, values, header.syntax, header.bad, span, header.has_pixels))
    stacks = {header.get("StackID") for header in headers}
    if len(stacks) > 1:
        raise StudyError("multiframe_inconsistent", f"{name}: {len(stacks)} stacks in one object")
    return tuple(headers)


def _item(sequence: Any) -> Any:
    return None if sequence is None or len(sequence) == 0 else sequence[0]


def _take(groups: Any, values: dict[str, Any]) -> None:
    for sequence, attribute, keyword in _GROUPS:
        item = _item(groups.get(sequence))
        value = None if item is None else item.get(attribute)
        if value is None or value == "":
            continue
        if keyword in _TEXTS:
            values[keyword] = str(value) if isinstance(value, str) else tuple(map(str, value))
        elif hasattr(value, "__iter__"):
            if keyword not in _SEVERAL:
                raise ValueError(f"{keyword} is one number")
            values[keyword] = tuple(_finite(float(v)) for v in value)
        else:
            values[keyword] = _finite(float(value))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def frame_reader(headers: tuple[Header, ...]) -> Callable[[int], NDArray[Any]]:
    """Frame number to stored values (rows, columns) of a compressed or odd object, decoded here and now."""
    first = headers[0]
    shape = (len(headers), first.get("Rows"), first.get("Columns"))
    whole = decoded(first, shape if len(headers) > 1 else shape[1:]).reshape(shape)
    return lambda number: whole[headers[number].get("_frame")]
