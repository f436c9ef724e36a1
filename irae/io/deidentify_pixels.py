"""Pixels for what leaves: decoded, of exactly the declared size, nothing hidden beside or above them."""

from __future__ import annotations

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from irae.core.errors import StudyError


def put_pixels(source: Dataset, clean: Dataset, where: str) -> None:
    """Native little-endian pixels of exactly the declared size: no codec comments, no tail, no unused bits."""
    if "PixelData" not in source:
        raise StudyError("deid_pixels", "there are no pixels", where=where)
    syntax = source.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        try:
            source.decompress()
        except Exception as error:  # whatever a codec raises
            reason = f"pixels cannot be decoded ({type(error).__name__})"
            raise StudyError("deid_pixels", reason, where=where) from error
    bits = int(source.BitsAllocated)
    count = int(source.Rows) * int(source.Columns) * int(source.get("SamplesPerPixel", 1))
    count *= int(source.get("NumberOfFrames") or 1)
    size = -(-count * bits // 8)
    data = bytes(source.PixelData)
    if len(data) < size or bits not in (1, 8, 16, 32):
        raise StudyError("deid_pixels", f"{len(data)} bytes of {bits}-bit pixels, {size} are declared", where=where)
    data = data[:size]
    if syntax == ExplicitVRBigEndian and bits > 8:
        data = np.frombuffer(data, dtype=f">u{bits // 8}").astype(f"<u{bits // 8}").tobytes()
    data = _used_bits(data, bits, int(source.get("BitsStored", bits)), int(source.get("HighBit", bits - 1)),
                      signed=int(source.get("PixelRepresentation", 0)) == 1)
    clean.add(DataElement(0x7FE00010, "OW" if bits > 8 else "OB", data + b"\0" * (len(data) % 2)))
    if int(source.get("SamplesPerPixel", 1)) != 1:
        raise StudyError("deid_unsupported", "colour images may be screen captures", where=where)


def _used_bits(data: bytes, bits: int, stored: int, high: int, *, signed: bool) -> bytes:
    """Pixels without what may hide in the bits that are not used (old overlays do)."""
    if bits not in (8, 16) or stored >= bits or high != stored - 1:
        return data
    spare = bits - stored
    values = np.frombuffer(data, dtype=f"<u{bits // 8}") << spare
    if signed:
        return (values.view(f"<i{bits // 8}") >> spare).astype(f"<i{bits // 8}").tobytes()
    return (values >> spare).astype(f"<u{bits // 8}").tobytes()
