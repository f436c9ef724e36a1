"""NIfTI in the layout and loose: who, when and what, by an explicit rule."""

from datetime import date

import nibabel as nib
import numpy as np
import pytest

from irae.core.exam import Role
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import body_hu, body_mr, body_suv

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-78, -78, -98)
GRID = np.stack(np.meshgrid(*(np.arange(n) for n in (40, 40, 50)), indexing="ij"), axis=-1)
WORLD = GRID @ AFFINE[:3, :3].T + AFFINE[:3, 3]
VALUES = {"hu": body_hu(WORLD).astype(np.int16), "suv": body_suv(WORLD).astype(np.float32),
          "mr": body_mr(WORLD).astype(np.int16), "labels": (body_hu(WORLD) > -900).astype(np.uint8)}


def put(folder, name, values):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(VALUES[values], AFFINE), path)


def index_of(tmp_path):
    return index_archive(tmp_path / "in", scratch=tmp_path / "scratch")


def test_the_layout(tmp_path):
    for name, values in (("ct", "hu"), ("pet_suv", "suv"), ("mr_t1c", "mr")):
        put(tmp_path / "in", f"P7/2026-03-14/{name}.nii.gz", values)
    index = index_of(tmp_path)
    assert [exam.key for exam in index.exams] == ["P7/2026-03-14"]
    read = read_exam(index.exams[0])
    assert set(read.exam.volumes) == set(Role)
    assert read.exam.notices == ()
    assert {row.code for row in index.files} == {"used"}
    np.testing.assert_allclose(read.exam.pet.array, VALUES["suv"])


def test_axes_are_turned_to_ras_without_moving_a_voxel(tmp_path):
    turned = nib.Nifti1Image(VALUES["hu"], AFFINE).as_reoriented([[1, -1], [2, 1], [0, -1]])
    path = tmp_path / "in" / "P7" / "2026-03-14" / "ct.nii"
    path.parent.mkdir(parents=True)
    nib.save(turned, path)
    volume = read_exam(index_of(tmp_path).exams[0]).exam.ct
    assert nib.aff2axcodes(volume.geometry.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(volume.array, VALUES["hu"])
    np.testing.assert_allclose(volume.geometry.affine, AFFINE)


@pytest.mark.parametrize(("name", "values", "patient", "day", "role"), [
    ("study1/ct.nii.gz", "hu", "study1", date(1900, 1, 1), Role.CT),
    ("CT_image.nii.gz", "hu", "in", date(1900, 1, 1), Role.CT),
    ("anna7_CT_2026-03-14.nii.gz", "hu", "anna7", date(2026, 3, 14), Role.CT),
    ("20260314/anna7-pet.nii.gz", "suv", "anna7", date(2026, 3, 14), Role.PET),
    ("anna7/20260314/SUV.nii.gz", "suv", "anna7", date(2026, 3, 14), Role.PET),
    ("anna7_t1gd_head.nii.gz", "mr", "anna7_head", date(1900, 1, 1), Role.MR),
    ("scan_of_anna7.nii.gz", "hu", "of_anna7", date(1900, 1, 1), Role.CT),
])
def test_loose_files(tmp_path, name, values, patient, day, role):
    put(tmp_path / "in", name, values)
    index = index_of(tmp_path)
    (exam,) = index.exams
    assert (exam.patient, exam.acquired_on, set(exam.chosen)) == (patient, day, {role})
    notices = {notice.code for notice in exam.notices}
    assert "loose_nifti" in notices
    assert ("date_unknown" in notices) == (day.year == 1900)
    assert [row.code for row in index.files] == ["loose_nifti"]


@pytest.mark.parametrize(("name", "values", "outcome", "code"), [
    ("a_ct_seg.nii.gz", "labels", "ignored", "annotation"),
    ("liver_mask.nii.gz", "labels", "ignored", "annotation"),
    ("a_ct.nii.gz", "labels", "ignored", "annotation"),
    ("a_ct.nii.gz", "suv", "quarantined", "quantity_contradicts"),
    ("a_pet.nii.gz", "hu", "quarantined", "quantity_contradicts"),
    ("a_pet.nii.gz", "mr", "quarantined", "quantity_contradicts"),
    ("a_mr.nii.gz", "mr", "ignored", "mr_not_contrast_enhanced"),
    ("a_t1c.nii.gz", "hu", "quarantined", "quantity_contradicts"),
    ("anything.nii.gz", "suv", "ignored", "role_unknown"),
    ("P7/2026-03-14/ct.nii.gz", "labels", "quarantined", "quantity_contradicts"),
])
def test_what_is_not_an_image_here(tmp_path, name, values, outcome, code):
    put(tmp_path / "in", name, values)
    index = index_of(tmp_path)
    assert not index.exams
    assert [(row.outcome.value, row.code) for row in index.files] == [(outcome, code)], index.files[0].text


def test_two_dates_of_one_patient_are_two_exams(tmp_path):
    for day in ("2026-03-14", "2026-06-01"):
        put(tmp_path / "in", f"P7/{day}/ct.nii.gz", "hu")
    assert [exam.key for exam in index_of(tmp_path).exams] == ["P7/2026-03-14", "P7/2026-06-01"]
