"""The fast walker and pydicom give the same header; odd encodings go to pydicom."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_files
from pydicom.uid import ImplicitVRLittleEndian

from irae.core.errors import StudyError
from irae.io.archive import headers
from irae.io.archive.values import FoundFile
from tests.io.archive.made import series, write


def found(path):
    return FoundFile(path.name, str(path), path.stat().st_size)


def everything(header):
    """All that a header says, sequences included."""
    return header and (header.values, header.syntax, header.bad, header.pixels, header.has_pixels)


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


def unlike(made):
    """Slices of one series, each of which differs from the one before in its own way."""
    made[1].InstanceNumber, made[1].SliceThickness = 1000, "2.50000"
    made[2].ImagePositionPatient, made[2].RescaleSlope = [-1.25, 3, 1e-7], None
    made[3].add_new(0x00091002, "LO", "one element more")
    del made[4].SliceThickness, made[4].PatientID
    made[5].SpecificCharacterSet, made[5].SeriesDescription = "ISO_IR 192", "Schädel µ"
    made[6].Rows, made[6].SeriesDescription = 4, "x" * 60
    made[7].SliceThickness = "2."
    made[8]["ProcedureCodeSequence"].value[0].CodeMeaning = "another length"
    made[9].file_meta.ImplementationVersionName = "IRAE"
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("private_bytes", [20, 20_000, 200_000], ids=["small", "windows", "too large to compare"])
def test_a_header_compared_with_the_one_before_is_the_same(tmp_path, implicit, private_bytes):
    made = series("CT", slices=12)
    for ds in made:
        ds.add_new(0x00090010, "LO", "TEST")
        ds.add_new(0x00091001, "OB", bytes(private_bytes))
        ds.ProcedureCodeSequence = [Dataset()]
        ds.ProcedureCodeSequence[0].CodeMeaning = "a code"
        ds["ProcedureCodeSequence"].is_undefined_length = True
        if implicit:
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    paths = write(tmp_path, unlike(made))
    paths[10].write_bytes(paths[10].read_bytes()[:900])
    like, walked = headers.Walked(), 0
    for path in [*paths, *reversed(paths)]:
        before = list(like.kinds.values())
        with_it, alone = (attempt(headers.read_header, found(path), *more) for more in ((like,), ()))
        assert (everything(with_it[0]), with_it[1]) == (everything(alone[0]), alone[1]), path.name
        walked += list(like.kinds.values()) != before
    assert bool(like.kinds) == (private_bytes < 100_000)
    assert walked <= 14, "the others were compared"


@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_reads_the_same_when_compared(tmp_path):
    """Bytes of a header are changed at random: compared with a good one, and a good one with it, both read as alone."""
    rng = np.random.default_rng(11)
    good, path = map(found, write(tmp_path, series("PT", slices=2, RescaleSlope=1.5)))
    data = path.path.read_bytes()
    end = headers.read_header(path).pixels[0]
    read = 0
    for _ in range(600):
        spoiled = bytearray(data)
        for at in rng.integers(132, end + 2, rng.integers(1, 3)):
            spoiled[at] = rng.integers(256)
        path.path.write_bytes(spoiled)
        for first, second in ((good, path), (path, good)):
            like = headers.Walked()
            attempt(headers.read_header, first, like)
            with_it, alone = (attempt(headers.read_header, second, *more) for more in ((like,), ()))
            assert (everything(with_it[0]), with_it[1]) == (everything(alone[0]), alone[1])
        read += attempt(headers.read_header, path)[0] is not None
    assert 300 < read < 600


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
