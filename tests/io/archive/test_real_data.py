"""The real studies beside the project: the same voxels as SimpleITK, the same SUV as the study's own tables."""

import zipfile

import nibabel as nib
import numpy as np
import pytest

from irae.core.exam import Role
from irae.core.volume import Quantity, Volume
from irae.io.archive import ExamUnusableError, index_archive, read_exam
from irae.io.nifti import read_volume

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def acrin(shared_data, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("acrin")
    index = index_archive(shared_data / "acrin042_petct", scratch=scratch)
    assert len(index.exams) == 1
    return index, read_exam(index.exams[0])


@pytest.fixture(scope="module")
def unzipped(shared_data, tmp_path_factory):
    """SimpleITK's view of a zipped series: float64 array (i, j, k) in RAS."""
    def read(zip_name, folder, first=None):
        import SimpleITK as sitk

        target = tmp_path_factory.mktemp("sitk")
        with zipfile.ZipFile(shared_data / zip_name) as archive:
            for member in archive.namelist():
                assert ".." not in member
            archive.extractall(target, sorted(archive.namelist())[:first])
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(target / folder)))
        image = reader.Execute()
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        picture = nib.Nifti1Image(sitk.GetArrayFromImage(image).T.astype(np.float64), np.diag([-1, -1, 1, 1]) @ affine)
        return nib.as_closest_canonical(picture)

    return read


def assert_same(volume, reference, *, low=None, factor=1.0, rtol=0.0):
    expected = np.asarray(reference.dataobj) * factor
    if low is not None:
        expected = np.maximum(expected, low)
    np.testing.assert_allclose(volume.array, expected, rtol=rtol, atol=1e-3)
    # SimpleITK spaces slices by the first two positions; ours by first and last, so far slices may differ by rounding.
    corners = [[0, 0, 0], np.array(volume.array.shape) - 1]
    ours = volume.geometry.to_world(corners)
    theirs = nib.affines.apply_affine(reference.affine, corners)
    assert np.abs(ours - theirs).max() < 1.5
    assert np.abs(volume.geometry.affine[:3, :2] - reference.affine[:3, :2]).max() < 1e-4


def test_acrin_ct_is_simpleitks(acrin, unzipped):
    top = 25  # files are named from the head down; SimpleITK needs a second a slice here
    reference = unzipped("acrin042_petct/CT.zip", "CT", top)
    ct = acrin[1].exam.ct
    i, j, k = ct.array.shape
    part = Volume(array=ct.array[:, :, k - top:], geometry=ct.geometry.cropped((0, 0, k - top), (i, j, k)),
                  quantity=Quantity.HU)
    assert_same(part, reference, low=-1024)


def test_acrin_suv_is_its_own_mapping_objects(acrin, unzipped):
    index, read = acrin
    origin = read.exam.origins[Role.PET]
    assert origin.suv_factor == pytest.approx(0.00042111, rel=1e-5)
    verdicts = sorted((s.code, s.outcome.value) for s in index.exams[0].unchosen if s.modality == "RWV")
    assert verdicts == [("suv_mapping", "ignored"), ("suv_mapping_agrees", "used"), ("suv_mapping_agrees", "used")]
    assert_same(read.exam.pet, unzipped("acrin042_petct/PT_AC.zip", "PT_AC"), factor=origin.suv_factor, rtol=1e-4)
    liver_like = np.median(read.exam.pet.array[read.exam.pet.array > 0.5])
    assert 0.5 < liver_like < 3


def test_acrin_nac_is_refused_and_every_file_counted(acrin):
    index, _ = acrin
    nac = [s for s in index.exams[0].unchosen if s.description == "PET NAC"]
    assert [s.code for s in nac] == ["pet_not_attenuation_corrected"]
    assert len(index.files) == 135 + 135 + 12 + 6 + 4


def test_totalsegmentator_jpeg2000_is_its_nifti_twin(shared_data, tmp_path, unzipped):
    index = index_archive(shared_data / "totalseg" / "example_ct_dicom.zip", scratch=tmp_path)
    volume = read_exam(index.exams[0]).exam.ct
    twin = nib.as_closest_canonical(nib.load(shared_data / "totalseg" / "example_seg_dicom.nii.gz"))
    np.testing.assert_allclose(volume.geometry.affine, twin.affine, atol=1e-3)
    assert volume.array.shape == twin.shape
    # Organs of the peer's own mask have their HU only if nothing is mirrored.
    mask = np.asarray(twin.dataobj)
    assert 20 < np.median(volume.array[mask == 5]) < 200  # liver, contrast-enhanced
    assert np.median(volume.array[(mask >= 10) & (mask <= 14)]) < -500 if ((mask >= 10) & (mask <= 14)).any() else True


def test_loose_nifti_is_used_and_said(shared_data, tmp_path):
    index = index_archive(shared_data / "totalseg", scratch=tmp_path)
    loose = next(exam for exam in index.exams if exam.patient == "example")
    assert loose.acquired_on.isoformat() == "1900-01-01"
    assert {"loose_nifti", "date_unknown"} <= {notice.code for notice in loose.notices}
    codes = {row.path: row.code for row in index.files}
    assert {codes[name] for name in codes if "_seg" in name} == {"annotation"}
    assert codes["example_mr_sm.nii.gz"] == "mr_not_contrast_enhanced"


def test_ibsi_nifti_and_dicom_are_the_same_pet(shared_data, tmp_path):
    index = index_archive(shared_data / "ibsi_sts002", scratch=tmp_path)
    by_patient = {exam.patient: exam for exam in index.exams}
    dicom = read_exam(by_patient["STS_002"]).exam
    loose = read_exam(by_patient["ibsi_sts002"]).exam
    assert set(loose.volumes) == {Role.CT, Role.PET}
    np.testing.assert_allclose(dicom.pet.array, loose.pet.array, atol=2e-3)
    np.testing.assert_allclose(dicom.pet.geometry.affine, loose.pet.geometry.affine, atol=1e-3)
    assert dicom.suv_to_sul is not None
    assert {row.code for row in index.files if "mask" in row.path} == {"annotation"}


def test_heads_are_mr(shared_data, tmp_path):
    index = index_archive(shared_data / "vs_seg_001", scratch=tmp_path)
    assert [set(exam.chosen) for exam in index.exams] == [{Role.MR}, {Role.MR}]
    for exam in index.exams:
        volume = read_exam(exam).exam.mr
        stored = read_volume(exam.chosen[Role.MR].files[0].path, Quantity.MR_SIGNAL)
        assert volume.array.sum(dtype=np.float64) == stored.array.sum(dtype=np.float64)
        assert (np.diag(volume.geometry.affine)[:3] > 0).all()


def test_single_slices_lie_where_their_headers_say(shared_data, tmp_path):
    index = index_archive(shared_data / "covid_nysbu", scratch=tmp_path)
    assert len(index.exams) == 6
    for plan in index.exams:
        read = read_exam(plan)
        header = plan.chosen[Role.CT].headers[0]
        x, y, z = header.get("ImagePositionPatient")
        volume = read.exam.ct
        assert volume.array.shape == (512, 512, 1)
        # DICOM's first pixel is the rightmost, frontmost voxel of a RAS grid.
        assert volume.geometry.to_world((511, 511, 0)) == pytest.approx((-x, -y, z), abs=1e-3)
        assert "single_slice" in [notice.code for notice in read.exam.notices]


def test_odd_objects_never_stop_the_archive(shared_data, tmp_path):
    index = index_archive(shared_data / "dicom_objects", scratch=tmp_path)
    assert len(index.files) == 89
    assert not [row for row in index.files if row.code == "internal_error"]
    usable = [exam.key for exam in index.exams if _readable(exam)]
    assert {"99000/2003-04-17", "1CT1/2004-01-19"} <= set(usable)


def _readable(exam):
    try:
        return bool(read_exam(exam).exam.volumes)
    except ExamUnusableError as error:
        return error.code not in ("hu_implausible", "codec_missing") and pytest.fail(str(error))
