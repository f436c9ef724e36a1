"""The fast walker and pydicom give the same header; odd encodings go to pydicom."""

import struct
from pathlib import Path

import pytest
from pydicom.data import get_testdata_files
from pydicom.uid import ImplicitVRLittleEndian

from irae.core.errors import StudyError
from irae.io.archive import headers
from irae.io.archive.values import FoundFile
from tests.io.archive.made import series, write


def found(path):
    return FoundFile(path.name, path, path.stat().st_size)


def attempt(function, *args):
    """(result, "") or (None, reason code)."""
    try:
        return function(*args), ""
    except StudyError as error:
        return None, error.code


def same(fast, slow):
    for keyword in set(fast.values) | set(slow.values):
        one, other = fast.get(keyword), slow.get(keyword)
        if isinstance(one, bytes) or isinstance(other, bytes):
            continue  # sequences are compared only with themselves
        assert one == other, keyword
    assert (fast.syntax, fast.bad, fast.has_pixels) == (slow.syntax, slow.bad, slow.has_pixels)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("modality", ["CT", "PT", "MR"])
def test_walker_equals_pydicom(tmp_path, modality, implicit):
    made = series(modality, slices=2, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Schädel µ")
    for ds in made:
        ds.add_new(0x00090010, "LO", "TEST")
        ds.add_new(0x00091001, "OB", bytes(200_000))  # larger than any window
        if implicit:
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for ds, path in zip(made, write(tmp_path, made), strict=True):
        fast, slow = headers.read_header(found(path)), headers._by_pydicom(found(path))
        assert fast.pixels is not None, "the fast way was taken"
        assert slow.pixels is None
        assert fast.get("SeriesDescription") == "Schädel µ"
        same(fast, slow)
        offset, length = fast.pixels
        assert path.read_bytes()[offset : offset + length] == ds.PixelData


def test_undefined_length_sequences(tmp_path):
    made = series("PT", slices=1)[0]
    made["RadiopharmaceuticalInformationSequence"].is_undefined_length = True
    made.RadiopharmaceuticalInformationSequence[0].is_undefined_length_sequence_item = True
    path = write(tmp_path, [made])[0]
    fast = headers.read_header(found(path))
    assert fast.pixels is not None
    same(fast, headers._by_pydicom(found(path)))


@pytest.mark.filterwarnings("ignore")
def test_walker_equals_pydicom_on_its_own_test_files():
    """pydicom ships files of every odd kind; whatever the walker accepts, it reads as pydicom does."""
    compared = 0
    for name in get_testdata_files("*.dcm"):
        file = found(Path(name))
        fast, refusal = attempt(headers.read_header, file)
        assert refusal in ("", "header_broken", "not_dicom", "empty_file", "too_large"), name
        if fast is not None:
            same(fast, headers._by_pydicom(file))
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("cut", range(132, 1400, 37))
def test_cut_anywhere_never_crashes(tmp_path, cut):
    path = write(tmp_path, series(slices=1))[0]
    path.write_bytes(path.read_bytes()[:cut])
    header, refusal = attempt(headers.read_header, found(path))
    assert refusal in ("", "header_broken", "not_dicom")
    assert header is None or not header.has_pixels or header.pixels is None or sum(header.pixels) > cut


def test_values_that_are_not_numbers_are_named(tmp_path):
    path = write(tmp_path, series(slices=1))[0]
    data = path.read_bytes()
    at = data.find(struct.pack("<HH", 0x28, 0x1053))
    path.write_bytes(data[: at + 8] + b"1," + data[at + 10 :])
    header = headers.read_header(found(path))
    assert header.bad == {"RescaleSlope"}
    assert header.get("RescaleSlope") is None


def test_text_is_not_dicom(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("nothing here")
    assert headers.read_header(found(path)) is None
