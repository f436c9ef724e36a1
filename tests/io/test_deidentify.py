"""De-identification: nothing planted survives in any byte, and SUV is the same before and after."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, keyword_dict, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RLELossless

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap
from irae.io.annotations import organs_of, read_annotations
from irae.io.archive import FoundFile, index_archive, read_exam
from irae.io.archive.headers import read_header
from irae.io.archive.pet import pet_header
from irae.io.deidentify import (
    DATES,
    DATETIMES,
    DESCRIPTIONS,
    NUMBERS,
    SEQUENCES,
    TIMES,
    UIDS,
    WORDS,
    Deidentifier,
    make_key_file,
)
from irae.io.dicom_seg import write_seg
from irae.quant.suv import suv_factor
from tests.io.dicom_source import geometry_of, series

KEY = Deidentifier(bytes(range(32)))
CANARY = "CANARYMUELLER"
DAY = "19481231"


def planted(value_representation: str):
    """A value of each representation that would give somebody away."""
    text = {"PN": f"{CANARY}^Hans", "AE": CANARY, "CS": CANARY, "SH": CANARY, "LO": CANARY, "ST": CANARY,
            "LT": CANARY, "UT": CANARY, "UC": CANARY, "UR": f"http://{CANARY}", "DA": DAY, "DT": f"{DAY}101500",
            "UI": "1.2.3.19481231", "OB": CANARY.encode() + b"\0", "UN": CANARY.encode() + b"\0", "AS": "077Y"}
    return text.get(value_representation)


SPARED = ("SOPClassUID", "BurnedInAnnotation", "SpecificCharacterSet", "PixelData")


def canary_image() -> Dataset:
    """A CT image with a canary in every text, date, UID, byte and sequence attribute of the DICOM dictionary."""
    image = series(rows=8, columns=8, slices=1, patient=f"{CANARY}-1")[0]
    full, small = Dataset(), Dataset()
    seen = set()
    for tag, (representation, *_, keyword) in DicomDictionary.items():
        value, group = planted(representation), tag >> 16
        if value is None or not keyword or keyword in SPARED or group < 8 or group in (0x7FE0, 0xFFFA, 0xFFFE):
            continue
        full.add_new(tag, representation, value)
        if keyword not in image or representation in ("PN", "LO", "SH", "DA"):
            image.add_new(tag, representation, value)
        if representation not in seen:
            seen.add(representation)
            small.add_new(tag, representation, value)
    image.PatientID = f"{CANARY}-1"
    for keyword in SEQUENCES:  # those that are kept are looked into, twice
        setattr(full, keyword, [small])
    for tag, (representation, *_, keyword) in DicomDictionary.items():
        if representation == "SQ" and keyword and tag >> 16 >= 8:
            image.add_new(tag, "SQ", [full if keyword in ("SegmentSequence", "DerivationImageSequence",
                          "RadiopharmaceuticalInformationSequence", "SegmentedPropertyTypeCodeSequence") else small])
    block = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", CANARY.encode() + b"\0")
    block.add_new(0x11, "LO", CANARY)
    image.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x03, "LO", CANARY)
    image.add_new(0x60000010, "US", 8)
    image.add_new(0x60003000, "OW", CANARY.encode() + b"\0")
    image.add_new(0xFFFCFFFC, "OB", CANARY.encode() + b"\0")
    image.PixelData = np.zeros((8, 8), np.int16).tobytes() + CANARY.encode() + b"\0"
    image.preamble = CANARY.encode().ljust(128, b"\0")
    image.file_meta.SourceApplicationEntityTitle = CANARY
    return image


@pytest.mark.filterwarnings("ignore")  # the values are meant to be wrong
def test_no_canary_survives_in_any_byte(tmp_path):
    image = canary_image()
    image.save_as(tmp_path / "in.dcm", enforce_file_format=True)
    raw = (tmp_path / "in.dcm").read_bytes()
    assert raw.count(CANARY.encode()) > 2000
    assert raw.count(DAY.encode()) > 200
    out = KEY.file(tmp_path / "in.dcm", tmp_path / "out")
    clean = out.read_bytes()
    for secret in (CANARY.encode(), DAY.encode(), b"1.2.3.19481231", b"077Y", b"SIEMENS CSA"):
        assert secret not in clean, secret
        assert secret.decode("latin1") not in str(out.relative_to(tmp_path))
    back = pydicom.dcmread(out)
    assert back.PatientID == KEY.pseudonym(f"{CANARY}-1")
    assert (str(back.PatientName), back.PatientBirthDate, back.AccessionNumber) == ("", "", "")
    assert back.PatientIdentityRemoved == "YES"
    assert [c.CodeValue for c in back.DeidentificationMethodCodeSequence] == [
        "113100", "113105", "113107", "113108", "113111",
    ]
    assert list(back.ImagePositionPatient) == list(image.ImagePositionPatient)
    assert len(back.PixelData) == 128


def test_the_keep_list_names_real_attributes_and_none_of_a_person():
    for keyword in [*NUMBERS, *WORDS, *DATES, *DATETIMES, *TIMES, *UIDS, *SEQUENCES, *DESCRIPTIONS]:
        assert keyword in keyword_dict, keyword
    kept_texts = {
        keyword for keyword in [*NUMBERS, *WORDS, *DESCRIPTIONS]
        if DicomDictionary[tag_for_keyword(keyword)][0] in ("PN", "LO", "LT", "ST", "UT", "SH", "UC", "UR", "AE")
    }
    assert kept_texts == {"StackID", "RescaleType", *DESCRIPTIONS}


def test_one_key_is_consistent_and_another_key_is_not():
    other = Deidentifier(bytes(range(1, 33)))
    assert KEY.pseudonym("P01 ") == KEY.pseudonym("P01") != KEY.pseudonym("P02")
    assert KEY.pseudonym("P01") != other.pseudonym("P01")
    assert "P01" not in KEY.pseudonym("P01")
    assert KEY.uid("1.2.3") == KEY.uid("1.2.3") != KEY.uid("1.2.4")
    assert KEY.uid("1.2.3") != other.uid("1.2.3")
    assert KEY.uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    shifts = {KEY.shift_days(f"P{n}") for n in range(200)}
    assert len(shifts) > 180
    assert all(365 <= s < 3653 for s in shifts)
    between = KEY.shifted(date(2026, 5, 9), "P01") - KEY.shifted(date(2026, 3, 14), "P01")
    assert between.days == 56


def test_key_files(tmp_path):
    make_key_file(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert Deidentifier.from_file(tmp_path / "key").pseudonym("P01").startswith("IR")
    with pytest.raises(FileExistsError):
        make_key_file(tmp_path / "key")
    for text in ("", "abcd", "not a key", "é"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(ValueError, match="bad does not hold a key"):
            Deidentifier.from_file(tmp_path / "bad")


def test_what_belongs_together_stays_together():
    images = series(rows=8, columns=8, slices=3)
    images[0].ReferencedImageSequence = [Dataset()]
    clean = [KEY.dataset(d) for d in images]
    assert len({d.SeriesInstanceUID for d in clean}) == len({d.StudyInstanceUID for d in clean}) == 1
    assert len({d.SOPInstanceUID for d in clean}) == 3
    assert clean[0].FrameOfReferenceUID == KEY.uid(images[0].FrameOfReferenceUID)
    assert all(len(d.SOPInstanceUID) <= 64 for d in clean)
    shift = date.fromisoformat("2026-03-14") - date.fromisoformat(clean[0].StudyDate)
    assert shift.days == KEY.shift_days("P01")
    assert clean[0].StudyTime == "101500"


@pytest.mark.parametrize(("given", "kept"), [
    ("CT 5mm WB Mueller AC", "CT WB AC"), ("PET wb *14.3.1950*", "PET wb"), ("Frau Schmidt", None),
    ("T1 mprage post Gd Dr.House", "T1 mprage post Gd"),
])
def test_descriptions_keep_what_a_series_is(given, kept):
    image = series(rows=8, columns=8, slices=1)[0]
    image.SeriesDescription = given
    assert KEY.dataset(image).get("SeriesDescription") == kept


@pytest.mark.filterwarnings("ignore")  # the values are meant to be wrong
def test_values_that_do_not_fit_go():
    image = series(rows=8, columns=8, slices=1)[0]
    image.BodyPartExamined, image.ContrastBolusAgent = "MUELLER", "Ultravist for Mr Mueller"
    image.ImageType = ["ORIGINAL", "PRIMARY", "MUELLER", "AXIAL"]
    image.ConvolutionKernel = "Br40d"
    image.AcquisitionDate, image.TimezoneOffsetFromUTC = "2026", "+0100"
    clean = KEY.dataset(image)
    assert "BodyPartExamined" not in clean
    assert "AcquisitionDate" not in clean
    assert clean.ContrastBolusAgent == "contrast"
    assert list(clean.ImageType) == ["ORIGINAL", "PRIMARY", "OTHER", "AXIAL"]
    assert (clean.ConvolutionKernel, clean.TimezoneOffsetFromUTC) == ("Br40d", "+0100")


def test_bits_that_are_not_used_are_cleared():
    image = series(rows=8, columns=8, slices=1)[0]
    image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 0
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    image.PixelData = (values | 0xA000).tobytes()
    np.testing.assert_array_equal(KEY.dataset(image).pixel_array, values)
    image.PixelRepresentation = 1
    signed = (np.arange(64) - 32).astype(np.int16)
    image.PixelData = (signed.view(np.uint16) & 0x0FFF | 0x5000).tobytes()
    np.testing.assert_array_equal(KEY.dataset(image).pixel_array.ravel(), signed)


def test_compressed_pixels_are_decoded():
    image = series(rows=8, columns=8, slices=1)[0]
    values = np.arange(64, dtype=np.int16).reshape(8, 8)
    image.PixelData = values.tobytes()
    image.compress(RLELossless, generate_instance_uid=False)
    clean = KEY.dataset(image)
    assert clean.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    np.testing.assert_array_equal(clean.pixel_array, values)


@pytest.mark.parametrize(("change", "code"), [
    ({"BurnedInAnnotation": "YES"}, "deid_burned_in"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "deid_unsupported"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "deid_unsupported"),
    ({"PatientID": ""}, "deid_no_patient_id"),
    ({"StudyInstanceUID": ""}, "deid_no_uid"),
    ({"PixelData": b"\0\0"}, "deid_pixels"),
    ({"SamplesPerPixel": 3, "PixelData": bytes(8 * 8 * 3 * 2)}, "deid_unsupported"),
])
def test_what_is_refused(tmp_path, change, code):
    image = series(rows=8, columns=8, slices=1)[0]
    for keyword, value in change.items():
        setattr(image, keyword, value)
    with pytest.raises(StudyError, match=code) as refused:
        KEY.dataset(image)
    assert "P01" not in str(refused.value)
    assert image.SOPInstanceUID not in str(refused.value)


def test_a_file_that_is_no_dicom(tmp_path):
    (tmp_path / "CANARYMUELLER.txt").write_text("x")
    with pytest.raises(StudyError, match="deid_unreadable") as refused:
        KEY.file(tmp_path / "CANARYMUELLER.txt", tmp_path / "out")
    assert CANARY not in str(refused.value)


def test_a_segmentation_still_lies_on_its_image(tmp_path):
    source = series(rows=12, columns=16, slices=5)
    geometry = geometry_of(source)
    array = np.random.default_rng(4).choice(np.array([0, 1, 5], np.uint8), size=geometry.shape)
    organs = LabelMap(array=array, geometry=geometry, labels={"lung_left": 1, "liver": 5},
                      coverage={"lung_left": Coverage.WHOLE, "liver": Coverage.WHOLE})
    versions = Versions(irae="0.1.0", models={}, settings="")
    written = write_seg(tmp_path / "in" / "seg.dcm", source=source, organs=organs, versions=versions)
    (tmp_path / "in" / "notes.txt").write_text("Mr Mueller")
    for n, image in enumerate(source):
        image.save_as(tmp_path / "in" / f"{n}.dcm", enforce_file_format=True)
    rows = KEY.folder(tmp_path / "in", tmp_path / "out")
    assert [(r.source, r.code) for r in rows if not r.written] == [("notes.txt", "deid_unreadable")]
    assert len({r.written for r in rows if r.written}) == 6
    images = [pydicom.dcmread(p) for p in (tmp_path / "out").rglob("*.dcm")]
    seg = next(d for d in images if d.Modality == "SEG")
    names = {d.SOPInstanceUID for d in images if d.Modality == "CT"}
    lung = seg.SegmentSequence[0]
    assert (lung.SegmentLabel, lung.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == ("left lung", "Lung")
    assert lung.TrackingID == lung.TrackingUID == KEY.uid(written.header.SegmentSequence[0].TrackingUID)
    assert {g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            for g in seg.PerFrameFunctionalGroupsSequence} == names
    image = Geometry(shape=geometry.shape, affine=geometry.affine,
                     frame_of_reference_uid=next(d for d in images if d.Modality == "CT").FrameOfReferenceUID)
    back = organs_of(read_annotations(Path(seg.filename), image).annotations, image)
    np.testing.assert_array_equal(back.array, array)
    assert "P01" not in "".join(r.written for r in rows)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
def test_what_leaves_is_valid_dicom(tmp_path):
    source = series(rows=12, columns=16, slices=3)
    geometry = geometry_of(source)
    organs = LabelMap(array=np.ones(geometry.shape, np.uint8), geometry=geometry, labels={"liver": 1},
                      coverage={"liver": Coverage.WHOLE})
    write_seg(tmp_path / "seg.dcm", source=source, organs=organs,
              versions=Versions(irae="0.1.0", models={}, settings="sha256:1"))
    for file in (tmp_path / "seg.dcm", KEY.file(tmp_path / "seg.dcm", tmp_path / "out")):
        said = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False).stderr
        assert "Error" not in said, said


# --- SUV before and after


def vendor_image(values: dict) -> Dataset:
    """A PET slice with the header values of a vendor case of calculate-suv."""
    image = series(rows=8, columns=8, slices=1, modality="PT")[0]
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    drug = Dataset()
    for keyword, value in values.items():
        if keyword == "PhilipsPETPrivateGroup":
            block = image.private_block(0x7053, "Philips PET Private Group", create=True)
            for offset, name in ((0x00, "SUVScaleFactor"), (0x09, "ActivityConcentrationScaleFactor")):
                if value.get(name) is not None:
                    block.add_new(offset, "DS", str(value[name]))
        elif keyword == "GEPrivatePostInjectionDateTime":
            image.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", value)
        elif value is not None:
            setattr(drug if keyword.startswith("Radio") else image, keyword, value)
    image.RadiopharmaceuticalInformationSequence = [drug]
    return image


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore")
def test_suv_of_every_vendor_case_is_the_same_before_and_after(tmp_path, shared_data):
    cases = sorted((shared_data / "suv_expected").glob("*-instances.json"))
    assert len(cases) == 8
    with_private = 0
    for case in cases:
        decisions = []
        values = json.loads(case.read_text())[0]
        with_private += "PhilipsPETPrivateGroup" in values or "GEPrivatePostInjectionDateTime" in values
        image = vendor_image(values)
        for name, dataset in (("before", image), ("after", KEY.dataset(image))):
            path = tmp_path / f"{case.stem}-{name}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            header = read_header(FoundFile(path.name, path, path.stat().st_size))
            decisions.append(suv_factor(pet_header([header])))
        assert decisions[0].factor is not None, (case.name, decisions[0].text)
        assert decisions[0].factor == decisions[1].factor, case.name
        assert decisions[0].uptake_minutes == decisions[1].uptake_minutes
    assert with_private >= 4


@pytest.mark.real_data
@pytest.mark.parametrize("archive", ["ibsi_sts002/PT_dicom_and_RTSTRUCT.zip", "acrin042_petct/PT_AC.zip"])
def test_suv_volume_of_a_real_pet_is_the_same_before_and_after(tmp_path, shared_data, archive):
    with zipfile.ZipFile(shared_data / archive) as z:
        z.extractall(tmp_path / "before")
    source = read_only_exam(tmp_path / "before", tmp_path)
    for file in sorted((tmp_path / "before").rglob("*.dcm")):
        if "RTSTRUCT" not in file.parts:
            KEY.file(file, tmp_path / "after")
    result = read_only_exam(tmp_path / "after", tmp_path)
    np.testing.assert_array_equal(result.pet.array, source.pet.array)
    np.testing.assert_array_equal(result.pet.geometry.affine, source.pet.geometry.affine)
    before, after = (next(iter(e.origins.values())) for e in (source, result))
    assert (before.suv_factor, before.uptake_minutes, before.suv_to_sul) == (
        after.suv_factor, after.uptake_minutes, after.suv_to_sul
    )
    assert result.acquired_on == KEY.shifted(source.acquired_on, source.patient)
    for file in (tmp_path / "after").rglob("*.dcm"):
        assert source.patient.encode() not in file.read_bytes()


def read_only_exam(folder: Path, scratch: Path):
    plans = index_archive(folder, scratch=scratch / "scratch").exams
    assert len(plans) == 1
    return read_exam(plans[0]).exam


def test_tag_of_every_private_element_kept():
    image = vendor_image({"PhilipsPETPrivateGroup": {"SUVScaleFactor": "0.000728"},
                          "GEPrivatePostInjectionDateTime": "20201217101500.00"})
    clean = KEY.dataset(image)
    private = {element.tag for element in clean if element.tag.is_private}
    assert private == {Tag(0x7053, 0x10), Tag(0x7053, 0x1000), Tag(0x0009, 0x10), Tag(0x0009, 0x100D)}
    assert clean[0x7053, 0x1000].value == pytest.approx(0.000728)
    assert str(clean[0x0009, 0x100D].value)[:4] != "2020"
