"""NIfTI out and in again is the same grid and the same values."""

import gzip
import hashlib
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.io import nifti
from irae.io.nifti import read_array, read_volume, write_labels, write_volume

OBLIQUE = np.array([[0.9, -0.3, 0.1, 5], [0.28, 1.8, 0.2, -7], [-0.1, -0.2, 3.0, 11], [0, 0, 0, 1]])


def volume(quantity=Quantity.HU, affine=OBLIQUE):
    array = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.float32)
    if quantity is Quantity.SUV_BW:
        array = np.abs(array) / 300
    return Volume(array=array, geometry=Geometry(shape=(5, 6, 7), affine=affine), quantity=quantity)


@pytest.mark.parametrize("quantity", list(Quantity))
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_round_trip(tmp_path, quantity, suffix):
    made = volume(quantity)
    write_volume(tmp_path / f"a{suffix}", made)
    back = read_volume(tmp_path / f"a{suffix}", quantity)
    assert back.geometry.same_grid(made.geometry)
    np.testing.assert_array_equal(back.array, made.array)


def test_hu_is_stored_as_whole_numbers_and_suv_is_not(tmp_path):
    for quantity, dtype in ((Quantity.HU, np.int16), (Quantity.SUV_BW, np.float32)):
        write_volume(tmp_path / "a.nii.gz", volume(quantity))
        assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == dtype


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    digests = set()
    for name in ("a", "b"):
        write_volume(tmp_path / f"{name}.nii.gz", volume())
        digests.add(hashlib.sha256((tmp_path / f"{name}.nii.gz").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 20), (np.uint16, 300), (np.int64, 300)])
def test_labels(tmp_path, dtype, top):
    array = (np.arange(210).reshape(5, 6, 7) % (top + 1)).astype(dtype)
    write_labels(tmp_path / "l.nii.gz", array, volume().geometry, {3: "colon", 5: "liver"})
    back, geometry = read_array(tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(back, array)
    assert geometry.same_grid(volume().geometry)
    stored = nib.load(tmp_path / "l.nii.gz")
    assert stored.get_data_dtype() in (np.uint8, np.uint16)
    assert b"3 colon" in stored.header.extensions[0].get_content()


@pytest.mark.parametrize("array", [np.full((5, 6, 7), -1), np.full((5, 6, 7), 70000), np.zeros((5, 6, 8), np.uint8)])
def test_labels_that_do_not_fit(tmp_path, array):
    with pytest.raises(ValueError, match="labels"):
        write_labels(tmp_path / "l.nii.gz", array, volume().geometry)
    assert not list(tmp_path.iterdir())


def test_failed_writing_leaves_nothing_and_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    write_volume(path, volume())
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_volume(path, volume(Quantity.SUV_BW))
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_bytes() == before


def test_stored_scaling_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "a.nii.gz")
    array, _ = read_array(tmp_path / "a.nii.gz")
    assert (array.min(), array.max()) == (-10, 19.5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("stored", [np.uint8, np.int16, np.int64, np.float64, ">i2", ">f4"])
@pytest.mark.parametrize("scaling", [None, (0.3, -7.7)])
def test_values_are_nibabel_s_and_memory_is_theirs(tmp_path, monkeypatch, suffix, stored, scaling):
    monkeypatch.setattr(nifti, "_CHUNK_VOXELS", 1 << 13)
    path = tmp_path / f"a{suffix}"
    values = np.random.default_rng(0).integers(0, 200, (64, 65, 66)).astype(stored)
    image = nib.Nifti1Image(values, OBLIQUE, dtype=np.dtype(stored))
    image.header.set_slope_inter(*scaling or (1, 0))
    nib.save(image, path)
    read_array(path)  # imports
    tracemalloc.start()
    array, _ = read_array(path, np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(array, np.asarray(nib.load(path).dataobj).astype(np.float32))
    assert array.dtype == np.float32
    assert peak < 1.5 * array.nbytes
    as_stored, _ = read_array(path)
    whole = scaling is None and np.dtype(stored).kind in "iu"
    assert as_stored.dtype == (np.dtype(stored).newbyteorder("=") if whole else np.float32)
    np.testing.assert_array_equal(as_stored, array)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_that_cannot_be_there_take_no_memory(tmp_path, suffix):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    data = bytearray(image.to_bytes())
    data[42:48] = np.array([1500, 1500, 1500], "<i2").tobytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix == ".nii.gz" else bytes(data))
    tracemalloc.start()
    with pytest.raises(StudyError, match=r"nifti_broken.*6750000000 bytes"):
        read_array(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_missing_file(tmp_path):
    with pytest.raises(StudyError, match="nifti_broken"):
        read_array(tmp_path / "no.nii.gz")
