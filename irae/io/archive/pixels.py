"""Stored pixel values into a float32 volume, each slice with its own rescale, in one pass and little memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.io.archive.codec import decode_apart
from irae.io.archive.headers import EXPLICIT_BE, UNCOMPRESSED, Header, read_dataset

# Lossy by definition of the transfer syntax (DICOM PS3.5 section 10 and A.4).
LOSSY = frozenset({
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
})
_SLOPE_LEAST, _SLOPE_LIMIT = 1e-12, 1e12
_INTERCEPT_LIMIT = 1e6
NOISE = 0.85  # of roughness: from here on pixels say nothing of their neighbours


def rescale(header: Header, *, needed: bool) -> tuple[float, float] | None:
    """(slope, intercept) of one slice; None where the header has none and none is needed.

    Raises:
        StudyError: ``rescale_invalid`` where it is zero, absurd, not a number, or missing though needed.
    """
    broken = {"RescaleSlope", "RescaleIntercept"} & header.bad
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if broken:
        raise StudyError("rescale_invalid", f"{header.file.name}: {' and '.join(sorted(broken))} is not a number")
    if slope is None and intercept is None and not needed:
        return None
    if slope is None or not _SLOPE_LEAST <= slope <= _SLOPE_LIMIT or abs(intercept or 0.0) > _INTERCEPT_LIMIT:
        raise StudyError("rescale_invalid", f"{header.file.name}: rescale slope {slope}, intercept {intercept}")
    return float(slope), float(intercept or 0.0)


def check_format(header: Header) -> None:
    """Refuses what is not a greyscale slice of whole numbers.

    Raises:
        StudyError: ``pixel_format_unsupported``, ``no_pixels``, ``truncated``, ``pixels_broken`` (a row too many).
    """
    name, get = header.file.name, header.values.get
    rows, columns, bits = get("Rows"), get("Columns"), get("BitsAllocated")
    stored = get("BitsStored", bits)
    if not rows or not columns or bits not in (8, 16, 32) or not stored or stored > bits:
        raise StudyError(
            "pixel_format_unsupported", f"{name}: {rows} x {columns} pixels, {stored} of {bits} bits are not a slice"
        )
    high = get("HighBit", stored - 1)
    if not stored - 1 <= high < bits:
        raise StudyError("pixel_format_unsupported", f"{name}: {stored} of {bits} bits do not end at bit {high}")
    photometric = get("PhotometricInterpretation", "MONOCHROME2")
    if get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise StudyError("pixel_format_unsupported", f"{name}: {photometric} is not greyscale")
    if get("PixelRepresentation", 0) not in (0, 1):
        raise StudyError("pixel_format_unsupported", f"{name}: pixel representation is not 0 or 1")
    if not header.has_pixels:
        raise StudyError("no_pixels", f"{name}: no pixel data")
    if header.pixels is not None:
        offset, length = header.pixels
        needed = rows * columns * bits // 8 * max(1, get("NumberOfFrames", 1))
        there = min(length, header.file.size - offset)
        if there < needed:
            raise StudyError("truncated", f"{name}: {there} of {needed} bytes of pixel data")
        if get("NumberOfFrames", 1) == 1 and there >= needed + columns * bits // 8:
            raise StudyError(
                "pixels_broken", f"{name}: {there} bytes of pixel data, but {rows} x {columns} pixels need {needed}"
            )


def is_lossy(header: Header) -> bool:
    """Whether the pixels went through lossy compression."""
    return header.syntax in LOSSY or header.text("LossyImageCompression") == "01"


def is_plain(header: Header) -> bool:
    """Whether the pixels lie in the file as they are, 8 or 16 bits, least byte first."""
    return header.pixels is not None and header.syntax != EXPLICIT_BE and header.get("BitsAllocated") != 32


def read_slice(header: Header) -> NDArray[Any]:
    """Stored values (rows, columns) of a single-frame file, whole numbers, unused bits cleared.

    Raises:
        StudyError: ``truncated``, ``codec_missing``, ``pixels_broken``, ``unreadable``.
    """
    rows, columns, bits = header.get("Rows"), header.get("Columns"), header.get("BitsAllocated")
    if header.pixels is None or not is_plain(header):
        return decoded(header, (rows, columns))
    offset, _ = header.pixels
    count = rows * columns * bits // 8
    try:
        with open(header.file.path, "rb", buffering=0) as stream:
            stream.seek(offset)
            data = stream.read(count)
    except OSError as error:
        raise StudyError("unreadable", f"{header.file.name} cannot be read: {error.strerror}") from error
    if len(data) < count:
        raise StudyError("truncated", f"{header.file.name}: {len(data)} of {count} bytes of pixel data")
    signed = header.get("PixelRepresentation", 0) == 1
    dtype = np.dtype(("<i" if signed else "<u") + str(bits // 8))
    return _used_bits(np.frombuffer(data, dtype).reshape(rows, columns), header)


def rescale_into(target: NDArray[np.float32], stored: NDArray[Any], slope: float, intercept: float) -> None:
    """Writes slope x stored + intercept, rounded once."""
    if slope == 1.0 and intercept.is_integer():
        np.add(stored, np.float32(intercept), out=target, casting="unsafe")
    else:
        target[...] = stored * np.float64(slope) + intercept


def _used_bits(values: NDArray[Any], header: Header) -> NDArray[Any]:
    """Only the stored bits: what lies above them is not pixel data (DICOM PS3.5 section 8.1.1).

    Raises:
        StudyError: ``pixel_format_unsupported`` where it seems to be pixel data nevertheless.
    """
    allocated = header.get("BitsAllocated")
    stored = header.get("BitsStored", allocated)
    if stored == allocated or values.dtype.kind == "f":
        return values
    below = max(0, header.get("HighBit", stored - 1) - (stored - 1))
    up = allocated - stored - below
    whole = values.view(values.dtype.str.replace("i", "u"))
    if below == 0 and values.dtype.kind == "u" and int(values.max()) < 1 << stored:
        return values
    kept: NDArray[Any] = (values << up) >> (up + below)
    above = whole >> (stored + below)
    if above.any():
        others = above != 0
        if values.dtype.kind == "i":
            signs = (above == (1 << up) - 1) & (kept < 0)  # all ones above a negative number continue its sign ...
            others &= ~signs
            if signs.any():
                others |= (above == 0) & (kept < 0)  # ... above all of them, or above none
        swapped = whole.byteswap() >> (stored + below)  # all fits with the bytes exchanged: they are
        if others.any() and not (swapped.any() and _aside(kept, others)):
            raise StudyError(
                "pixel_format_unsupported",
                f"{header.file.name}: pixels use more bits than the {stored} that the header declares",
            )
    return kept


def _aside(kept: NDArray[Any], others: NDArray[np.bool_]) -> bool:
    """Whether bits above the stored ones are something else (an overlay): the picture goes on below them."""
    at_its_edge, beside = [], []
    for picture, marked in ((kept, others), (kept.T, others.T)):
        step = np.abs(np.diff(picture.astype(np.int64), axis=1))
        at_its_edge.append(step[marked[:, 1:] ^ marked[:, :-1]])
        beside.append(step[~(marked[:, 1:] | marked[:, :-1])])
    edge, clear = np.concatenate(at_its_edge), np.concatenate(beside)
    if not len(edge) or not len(clear):
        return False
    return float(edge.mean()) <= 3.0 * float(clear.mean()) + 1.0 and roughness(kept) < NOISE


def roughness(stored: NDArray[Any]) -> float:
    """How far pixels are from their neighbours, against pixels far away: 1 in noise, far less in a picture."""
    rows, columns = stored.shape
    if rows < 8 or columns < 8:
        return 0.0
    some = slice(None, 8 * (rows // 8), rows // 8), slice(None, None, max(1, columns // 64))  # a few are enough
    here = stored[some].astype(np.float32)
    below = stored[1:][some]
    aside = here.shape[1] // 3
    far = float(np.abs(here[:4, :-aside] - here[4:, aside:]).mean())
    return float(np.abs(here[: len(below)] - below).mean()) / far if far else 0.0


def decoded(header: Header, shape: tuple[int, ...]) -> NDArray[Any]:
    """Stored values by pydicom's decoders: compressed ones in a process apart, odd but uncompressed ones here."""
    check_codec(header)
    array = decode_apart(header, shape) if header.syntax not in UNCOMPRESSED else _decoded_here(header, shape)
    if header.get("BitsStored", header.get("BitsAllocated")) == header.get("BitsAllocated"):
        return array
    return np.stack([_used_bits(frame, header) for frame in array.reshape(-1, *shape[-2:])]).reshape(shape)


def _decoded_here(header: Header, shape: tuple[int, ...]) -> NDArray[Any]:
    dataset = read_dataset(header.file, pixels=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = header.syntax
    try:
        dataset.pixel_array_options(correct_unused_bits=False)
        array: NDArray[Any] = dataset.pixel_array
    except MemoryError as error:
        raise StudyError("too_large", f"{header.file.name}: the image does not fit into memory") from error
    except Exception as error:  # decoders raise anything on damaged data
        raise StudyError(
            "pixels_broken", f"{header.file.name}: pixel data does not decode ({type(error).__name__})"
        ) from error
    if array.shape != shape:
        raise StudyError("pixels_broken", f"{header.file.name}: decoded {array.shape} instead of {shape}")
    return array


def check_codec(header: Header) -> None:
    """Refuses a compression that nothing here can decode.

    Raises:
        StudyError: ``codec_missing``.
    """
    if header.syntax not in UNCOMPRESSED and not _decodable(header.syntax):
        raise StudyError("codec_missing", f"{header.file.name}: no decoder for {header.syntax}")


@lru_cache(maxsize=64)
def _decodable(syntax: str) -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except NotImplementedError:
        return False
