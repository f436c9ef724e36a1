"""What ``benchmarks/fuzz_readers.py`` found, one test a finding; ``docs/reference/fuzzing.md`` tells of the run."""

import json

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRBigEndian

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.annotations import read_annotations
from irae.io.archive import ExamUnusableError, index_archive, read_exam
from irae.io.deidentify import Deidentifier
from irae.io.nifti import read_array
from tests.io.archive.made import series, write
from tests.io.archive.test_enhanced import enhanced
from tests.io.dicom_source import geometry_of
from tests.io.dicom_source import series as source_series
from tests.io.test_annotations import circle, rtstruct

DEID = Deidentifier(b"k" * 32)


def read(folder, scratch):
    index = index_archive(folder, scratch=scratch)
    return index, read_exam(index.exams[0]).exam


def test_big_endian_slice_whose_meta_lost_its_transfer_syntax(tmp_path):
    """Was read with its bytes swapped, and used without a word."""
    made = series("CT", slices=6)
    for ds in made:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    paths = write(tmp_path / "in", made)
    _, clean = read(tmp_path / "in", tmp_path / "scratch")
    data = paths[3].read_bytes()
    paths[3].write_bytes(data[:140] + bytes(8) + data[140:])
    index, spoiled = read(tmp_path / "in", tmp_path / "scratch")
    assert len(index.files) == 6
    np.testing.assert_array_equal(spoiled.ct.array, clean.ct.array)


def test_multi_frame_rescale_with_two_values(tmp_path):
    """Was an internal error."""
    whole = enhanced("PT")
    for frame in whole.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleIntercept = MultiValue(float, [0.0, -1.0])
    write(tmp_path / "in", [whole])
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    assert [row.code for row in index.files] == ["multiframe_inconsistent"]


def test_a_slice_scaled_to_nothing(tmp_path):
    """A slope of 1e-308 in one slice made it all -1024, and it was used without a word."""
    write(tmp_path / "in", series("CT", slices=6, RescaleSlope=lambda k: "1e-308" if k == 2 else "1"))
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    with pytest.raises(ExamUnusableError, match="rescale_invalid"):
        read_exam(index.exams[0])


@pytest.mark.parametrize(("affine", "why"), [
    ([[-1.25, 0, 2.6e33], [0, -1.5, 0], [0, 0, 3]], "voxels of"),
    ([[1, 0, 9], [0, 1, 9], [0, 0, 1]], "sheared"),
])
def test_nifti_affine_of_no_person(tmp_path, affine, why):
    """Was an internal error where no voxel axis runs nearest to a body axis."""
    whole = np.eye(4)
    whole[:3, :3] = affine
    folder = tmp_path / "in" / "P01" / "2026-01-01"
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), None), folder / "ct.nii")
    data = bytearray((folder / "ct.nii").read_bytes())
    data[252:256] = b"\0\0\1\0"  # qform and sform codes
    data[280:328] = whole[:3].astype("<f4").tobytes()
    (folder / "ct.nii").write_bytes(data)
    with pytest.raises(StudyError, match=f"nifti_geometry.*{why}"):
        read_array(folder / "ct.nii")
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    assert not [row for row in index.files if row.code == "internal_error"]
    for plan in index.exams:
        with pytest.raises(ExamUnusableError, match="nifti_geometry"):
            read_exam(plan)


@pytest.mark.parametrize("spoil", [
    lambda d: d.ROIContourSequence[0].__delitem__("ReferencedROINumber"),
    lambda d: d.StructureSetROISequence[0].__delitem__("ROINumber"),
    lambda d: setattr(d.ROIContourSequence[0], "ReferencedROINumber", None),
    lambda d: setattr(d.ROIContourSequence[0], "ReferencedROINumber", [1, 2]),
])
def test_structure_set_without_roi_numbers(tmp_path, spoil):
    """Was an AttributeError or a TypeError."""
    grid = geometry_of(source_series(rows=16, columns=16, slices=4))
    path = rtstruct(tmp_path / "rs.dcm", {"Liver": [(circle((8, 8), 4), 1)]}, grid)
    ds = dcmread(path)
    spoil(ds)
    ds.save_as(path)
    with pytest.raises(StudyError, match="annotation_unreadable"):
        read_annotations(path, grid)


@pytest.mark.parametrize("table", ['{"liver": 1e400}', '{"liver": [1]}', '{"names": 3}', "[]"])
def test_table_of_names_that_is_none(tmp_path, table):
    """1e400 was an OverflowError."""
    grid = Geometry.axis_aligned((4, 4, 4), (1, 1, 1))
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), grid.affine), tmp_path / "m.nii")
    (tmp_path / "m.json").write_text(table)
    with pytest.raises(StudyError, match="annotation_names"):
        read_annotations(tmp_path / "m.nii", grid)


def test_a_name_where_a_sop_class_should_be_stays_where_it_was(tmp_path):
    """The refusal quoted the value, and with it the name, into the report that leaves."""
    (ds,) = series("CT", slices=1)
    (path,) = write(tmp_path / "in", [ds])
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"Canary^Name.8.5.1.4.1.1.2\0"))
    (row,) = DEID.folder(tmp_path / "in", tmp_path / "out")
    assert row.code.startswith("deid_un")
    assert not row.written
    assert "Canary" not in row.text


def without_bits(path):
    ds = dcmread(path)
    del ds.BitsAllocated
    ds.save_as(path)


def odd_syntax(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.1\0\0\0"))


@pytest.mark.parametrize("spoil", [without_bits, odd_syntax])
def test_damaged_files_are_left_out_of_what_leaves(tmp_path, spoil):
    """Was an AttributeError, a ValueError or a zlib.error that ended the whole folder."""
    paths = write(tmp_path / "in", series("CT", slices=2))
    spoil(paths[0])
    rows = DEID.folder(tmp_path / "in", tmp_path / "out")
    assert sorted(bool(row.written) for row in rows) == [False, True]
    assert json.dumps([row.code for row in rows]).count("deid_unreadable") == 1


def test_half_a_deflated_file_is_left_out_of_what_leaves(tmp_path):
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    made: list[Dataset] = series("CT", slices=2)
    for ds in made:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    paths = write(tmp_path / "in", made)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    rows = DEID.folder(tmp_path / "in", tmp_path / "out")
    assert sorted(row.code for row in rows) == ["", "deid_unreadable"]
