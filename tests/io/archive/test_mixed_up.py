"""Scans that UIDs, patients, phases or exports have mixed up: told apart where that is provable, else refused."""

import os
import shutil
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from irae.app.convert import convert_archive
from irae.core.exam import Role
from irae.io.archive import ExamUnusableError, index_archive, read_exam, refresh
from irae.io.archive import headers as headers_module
from irae.io.archive import index as index_module
from tests.io.archive.made import UID, body_hu, series, write
from tests.io.archive.test_enhanced import enhanced
from tests.io.archive.test_geometry import assert_every_voxel_is_in_its_place
from tests.io.archive.test_kept_index import archive, opened  # noqa: F401 - fixtures


def renamed(made, number):
    """The same slices as instances of their own."""
    for k, ds in enumerate(made):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.5.{number}.{k}"
    return made


def indexed(tmp_path):
    return index_archive(tmp_path / "in", scratch=tmp_path / "scratch")


def codes(index):
    return {row.path: row.code for row in index.files}


def through_each_other(modality, second, **first):
    """Two stacks of one series, half a slice apart, with what differs between them."""
    places = series(modality, slices=25, gap=4.5, **first)[1:]
    for ds in places[1::2]:
        for word, value in second.items():
            setattr(ds, word, value)
    return places


# Stacks that lie through each other ----------------------------------------------------------------------------
@pytest.mark.parametrize("tags", [
    {"AcquisitionNumber": 2}, {"ConvolutionKernel": "B70f"}, {"ContrastBolusAgent": "Iomeprol"},
    {"AcquisitionTime": "100130"},
])
def test_phases_half_a_slice_apart_are_two_stacks(tmp_path, tags):
    write(tmp_path / "in", through_each_other("CT", tags, AcquisitionNumber=1, ConvolutionKernel="B30f"))
    (exam,) = indexed(tmp_path).exams
    assert sorted(s.facts["shape"][2] for s in exam.series) == [12, 12]
    assert "2 stacks" in " ".join(exam.chosen[Role.CT].decisions)
    assert_every_voxel_is_in_its_place(read_exam(exam).exam.ct, body_hu, 0.5)


def test_two_pets_half_a_slice_apart_are_refused(tmp_path):
    write(tmp_path / "in", through_each_other("PT", {"AcquisitionNumber": 2}, AcquisitionNumber=1))
    assert set(codes(indexed(tmp_path)).values()) == {"pet_dynamic_or_gated"}


@pytest.mark.parametrize(("modality", "tags"), [
    ("MR", {"AcquisitionNumber": lambda k: 1 + k % 2}),  # every second slice in an acquisition of its own
    ("CT", {"AcquisitionNumber": lambda k: 1 + k // 4}),  # step and shoot
    ("CT", {"AcquisitionTime": lambda k: f"1000{k:02d}"}),
    ("PT", {"AcquisitionNumber": lambda k: 1 + k // 6}),  # beds
])
def test_one_scan_of_several_acquisitions_stays_one(tmp_path, modality, tags):
    write(tmp_path / "in", series(modality, **tags))
    (exam,) = indexed(tmp_path).exams
    (plan,) = exam.chosen.values()
    assert (plan.code, plan.facts["shape"][2]) == ("used", 12)


# Series and patients -------------------------------------------------------------------------------------------
def test_a_scan_in_two_halves_of_two_patients_is_nobodys(tmp_path):
    write(tmp_path / "in", series("CT", PatientID=lambda k: "P01" if k < 6 else "P02"))
    assert set(codes(indexed(tmp_path)).values()) == {"identity_contradicts"}


def test_one_series_uid_for_two_whole_scans_of_two_patients(tmp_path):
    write(tmp_path / "in" / "1", series("CT"))
    write(tmp_path / "in" / "2", renamed(series("CT", patient="P02"), 2))
    assert set(codes(indexed(tmp_path)).values()) == {"used"}


def test_a_series_uid_for_every_file_is_no_scan(tmp_path):
    write(tmp_path / "in" / "ct", series("CT", SeriesInstanceUID=lambda k: f"{UID}.7.{k}"))
    write(tmp_path / "in" / "pt", series("PT", number=2))
    index = indexed(tmp_path)
    assert {code for path, code in codes(index).items() if path.startswith("ct/")} == {"series_torn"}
    assert list(index.exams[0].chosen) == [Role.PET]


def test_single_slices_beside_a_scan_are_only_not_chosen(tmp_path):
    write(tmp_path / "in" / "ct", series("CT"))
    beside = series("CT", number=3, SeriesInstanceUID=lambda k: f"{UID}.7.{k}", SeriesDescription="monitoring")[3:9:2]
    write(tmp_path / "in" / "mon", beside)
    (exam,) = indexed(tmp_path).exams
    assert exam.chosen[Role.CT].code == "used"
    assert {plan.code for plan in exam.unchosen} == {"not_chosen"}


def test_the_second_half_under_another_series_uid_is_said(tmp_path):
    write(tmp_path / "in", series("CT", SeriesInstanceUID=lambda k: f"{UID}.{1 if k < 7 else 4}"))
    (exam,) = indexed(tmp_path).exams
    chosen = exam.chosen[Role.CT]
    assert (chosen.code, chosen.facts["shape"][2]) == ("files_left_aside", 7)
    assert chosen.text.startswith("5 slices")
    assert "scan_shortened" in [notice.code for notice in exam.notices]


def test_a_multiframe_object_of_one_frame_beside_a_series(tmp_path):
    one = enhanced("CT", order=[3], SeriesInstanceUID=f"{UID}.3", SOPInstanceUID=f"{UID}.3.1")
    write(tmp_path / "in" / "e", [one])
    write(tmp_path / "in" / "ct", series("CT"))
    assert set(codes(indexed(tmp_path)).values()) == {"used", "not_chosen"}


def test_an_exam_that_cannot_be_put_together_does_not_stop_the_others(tmp_path, monkeypatch):
    write(tmp_path / "in" / "1", series("CT"))
    write(tmp_path / "in" / "2", series("CT", number=2, patient="P02"))
    real = index_module.exam_of

    def failing(patient, day, members):
        if patient == "P01":
            raise TypeError("?")
        return real(patient, day, members)

    monkeypatch.setattr(index_module, "exam_of", failing)
    index = indexed(tmp_path)
    assert [exam.patient for exam in index.exams] == ["P02"]
    assert set(codes(index).values()) == {"used", "internal_error"}


# Copies --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_copy_in_another_encoding_is_a_copy(tmp_path, modality, syntax):
    for n, path in enumerate(write(tmp_path / "in" / "1", series(modality))):
        ds = dcmread(path)
        ds.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
        ds.InstitutionName = "Exported"
        if syntax == ImplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax:
            ds.compress(syntax, generate_instance_uid=False)
        (tmp_path / "in" / "2").mkdir(exist_ok=True)
        implicit = syntax == ImplicitVRLittleEndian
        ds.save_as(tmp_path / "in" / "2" / f"{n}", implicit_vr=implicit, little_endian=True)
    index = indexed(tmp_path)
    assert {path[0]: code for path, code in codes(index).items()} == {"1": "used", "2": "duplicate_file"}


@pytest.mark.parametrize("tags", [
    {"PatientWeight": "71"}, {"RescaleIntercept": "1"}, {"StudyDate": "20260315"}, {"PixelData": None},
])
def test_the_same_instance_with_another_content_is_no_copy(tmp_path, tags):
    write(tmp_path / "in" / "1", series("PT"))
    other = series("PT", **tags)
    if "PixelData" in tags:
        other = series("PT")
        for ds in other:
            ds.PixelData = ds.PixelData[2:] + b"\1\0"
    write(tmp_path / "in" / "2", other)
    assert set(codes(indexed(tmp_path)).values()) == {"conflicting_instance"}


def test_a_cut_copy_beside_the_whole_file_is_no_conflict(tmp_path):
    for part in ("1", "2"):
        paths = write(tmp_path / "in" / part, series("CT"))
    for path in paths[3:5]:
        path.write_bytes(path.read_bytes()[:-100])
    index = indexed(tmp_path)
    assert index.exams[0].chosen[Role.CT].code == "used"
    found = codes(index)
    assert sorted(found[f"2/{path.name}"] for path in paths) == ["duplicate_file"] * 10 + ["truncated"] * 2


# Names and kinds of file ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["convert.json", "index.sqlite", "INDEX.SQLITE-journal", "worklist.csv", "x.html"])
def test_a_patient_named_like_a_file_of_ours(tmp_path, name):
    write(tmp_path / "in" / "1", series("CT", patient=name))
    write(tmp_path / "in" / "2", series("CT", number=2, patient="P02"))
    result = convert_archive(tmp_path / "in", tmp_path / "out")
    assert sorted(row["outcome"] for row in result["series"]) == ["used", "used"]
    assert all((tmp_path / "out" / row["output"]).is_file() for row in result["series"])


def test_a_source_that_is_neither_folder_nor_file(tmp_path):
    os.mkfifo(tmp_path / "in.nii.gz")
    with pytest.raises(ValueError, match="neither a folder nor a file"):
        index_archive(tmp_path / "in.nii.gz", scratch=tmp_path / "scratch")


def test_what_a_disc_holds_beside_images_is_ignored(tmp_path):
    write(tmp_path / "in", series("CT"))
    begins = {
        "._im1.dcm": b"\0\5\x16\7\0\2\0\0", "START": b"MZ", "VIEWER": b"\x7fELF", "LOGO": b"\x89PNG",
        "PHOTO": b"\xff\xd8\xff", "MANUAL": b"%PDF-1.4",
    }
    for name, start in begins.items():
        (tmp_path / "in" / name).write_bytes(start + bytes(500))
    index = indexed(tmp_path)
    assert {codes(index)[name] for name in begins} == {"not_an_image"}
    assert index.exams[0].chosen[Role.CT].code == "used"


def test_an_empty_table_of_contents_is_no_lost_slice(tmp_path):
    write(tmp_path / "in", series("CT"))
    (tmp_path / "in" / "DICOMDIR").write_bytes(b"")
    index = indexed(tmp_path)
    assert index.exams[0].chosen[Role.CT].code == "used"
    assert codes(index)["DICOMDIR"] == "empty_file"


def test_a_table_of_contents_that_inflates_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(headers_module, "INFLATED_LIMIT", 1 << 20)
    (path,) = write(tmp_path, series("CT", slices=1), names=lambda n: "DICOMDIR")
    whole = path.read_bytes()
    begin = whole.find(b"\x08\0\x08\0CS")
    meta = whole[:begin].replace(b"\x14\x001.2.840.10008.1.2.1\0", b"\x16\x001.2.840.10008.1.2.1.99")
    meta = meta[:140] + (int.from_bytes(meta[140:144], "little") + 2).to_bytes(4, "little") + meta[144:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + packer.compress(bytes(2 << 20)) + packer.flush())
    file = next(refresh._files(next(iter(index_module.folders(path)))))
    assert refresh._references(file) is None
    assert codes(index_archive(path, scratch=tmp_path / "scratch"))["DICOMDIR"] == "too_large"


# Zips ----------------------------------------------------------------------------------------------------------
def zipped(path, members):
    with zipfile.ZipFile(path, "w") as target:
        for name, source in members:
            target.write(source, name)


def test_zips_are_known_by_their_content(archive, opened, tmp_path):  # noqa: F811
    shutil.move(archive / "P02.zip", archive / "export")
    kept = tmp_path / "index.sqlite"
    first = index_archive(archive, scratch=tmp_path / "s1", kept=kept)
    assert codes(first)["export"] == "container"
    assert [exam.patient for exam in first.exams] == ["P01", "P02"]
    opened.clear()
    write(archive / "late", series("CT", number=8, patient="P09"))
    second = index_archive(archive, scratch=tmp_path / "s2", kept=kept)
    assert "late" in {name.split("/")[0] for name in opened}
    assert not any("export" in name for name in opened)
    assert [exam.patient for exam in second.exams] == ["P01", "P02", "P09"]
    assert read_exam(second.exams[1]).exam.ct is not None


def test_a_zip_in_a_zip_without_a_name_of_its_kind(tmp_path):
    zipped(tmp_path / "inner", [(path.name, path) for path in write(tmp_path / "ct", series("CT"))])
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "outer", [("inner", tmp_path / "inner")])
    index = indexed(tmp_path)
    assert sum(code == "container" for code in codes(index).values()) == 2
    assert index.exams[0].chosen[Role.CT].code == "used"


def test_control_characters_in_a_members_name_are_no_danger(tmp_path):
    paths = write(tmp_path / "ct", series("CT"))
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "x.zip", [(f"\x1b[{n}m", path) for n, path in enumerate(paths)])
    assert indexed(tmp_path).exams[0].chosen[Role.CT].facts["shape"][2] == 12


def test_a_refused_member_may_be_a_slice(tmp_path):
    paths = write(tmp_path / "ct", series("CT"))
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "x.zip", [(f"C:{n}" if n == 11 else f"{n}", path) for n, path in enumerate(paths)])
    assert indexed(tmp_path).exams[0].chosen[Role.CT].code == "damaged_files_beside"


# Headers -------------------------------------------------------------------------------------------------------
def test_a_modality_that_is_none_is_not_quoted(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(tmp_path / "in", series("CT", Modality="DOE JANE"))
    index = indexed(tmp_path)
    assert set(codes(index).values()) == {"header_broken"}
    assert not any("DOE" in row.text for row in index.files)


def test_a_date_that_stands_for_none_is_not_the_exams(tmp_path):
    write(tmp_path / "in", series("CT", StudyDate="19000101"))
    assert [exam.key for exam in indexed(tmp_path).exams] == ["P01/2026-03-14"]


def test_where_every_date_is_one_that_stands_for_none_the_exam_stays(tmp_path):
    write(tmp_path / "in", series("CT", day="19000101"))
    assert [exam.key for exam in indexed(tmp_path).exams] == ["P01/1900-01-01"]


# Pixels --------------------------------------------------------------------------------------------------------
def stored(ds, change):
    values = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
    ds.PixelData = change(values.copy()).astype("<u2").tobytes()


TWELVE = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}


def overlay(values):
    values[::3] |= 0x8000
    return values


def written(folder, made, syntax):
    """The slices in a transfer syntax."""
    for n, path in enumerate(write(folder / "plain", made)):
        ds = dcmread(path)
        if syntax == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax:
            ds.compress(syntax, generate_instance_uid=False)
        (folder / "in").mkdir(exist_ok=True)
        ds.save_as(folder / "in" / f"{n}", implicit_vr=False, little_endian=True)


SYNTAXES = [None, DeflatedExplicitVRLittleEndian, RLELossless]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_overlay_in_the_unused_bits_is_not_pixel_data(tmp_path, syntax):
    made = series("CT", **TWELVE)
    for ds in made:
        stored(ds, overlay)
    written(tmp_path, made, syntax)
    (exam,) = indexed(tmp_path).exams
    assert_every_voxel_is_in_its_place(read_exam(exam).exam.ct, body_hu, 0.5)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_that_end_at_the_top_of_their_bits(tmp_path, syntax):
    made = series("CT", BitsStored=12, HighBit=15, PixelRepresentation=0)
    for ds in made:
        stored(ds, lambda values: values << 4)
    written(tmp_path, made, syntax)
    (exam,) = indexed(tmp_path).exams
    assert_every_voxel_is_in_its_place(read_exam(exam).exam.ct, body_hu, 0.5)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_beyond_the_stored_bits_are_refused(tmp_path, syntax):
    made = series("CT", RescaleSlope="0.25", **TWELVE)
    for ds in made:
        stored(ds, lambda values: values * 4 + 3072)
    written(tmp_path, made, syntax)
    (exam,) = indexed(tmp_path).exams
    with pytest.raises(ExamUnusableError) as refused:
        read_exam(exam)
    assert refused.value.code == "pixel_format_unsupported"
