"""A study never needs more memory than three times its decoded float32 volumes, whatever it is stored as.

Volumes are large enough that what every study needs, whatever its size, does not decide.
"""

import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import RLELossless

from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import body_hu, body_suv, series, write

SIZE = {"slices": 64, "rows": 256, "columns": 256, "spacing": (0.7, 0.6), "gap": 2.0}
AFFINE = np.diag([-0.6, -0.7, 2.0, 1.0])  # to be turned
AFFINE[:3, 3] = (77, 84, -60)


def layout(folder, suffix, dtype):
    ras = np.stack(np.indices((256, 256, 64)), axis=-1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    (folder / "P01" / "2026-03-14").mkdir(parents=True)
    for name, values in (("ct", body_hu(ras)), ("pet_suv", body_suv(ras))):
        image = nib.Nifti1Image(values, AFFINE)
        image.set_data_dtype(dtype)
        nib.save(image, folder / "P01" / "2026-03-14" / f"{name}{suffix}")


def compressed(folder):
    made = series("CT", **SIZE)
    for ds in made:
        ds.compress(RLELossless, generate_instance_uid=False)
    write(folder, made)


@pytest.mark.parametrize("put", [
    lambda folder: write(folder, series("CT", **SIZE)),
    lambda folder: write(folder, series("PT", **SIZE)),
    lambda folder: write(folder, series("CT", step=(0, 0.3, 2.0), **SIZE)),
    compressed,
    lambda folder: layout(folder, ".nii", np.float64),
    lambda folder: layout(folder, ".nii.gz", np.float64),
    lambda folder: layout(folder, ".nii.gz", np.int16),  # scaled
], ids=["ct", "pet", "tilted", "compressed", "float64", "float64-packed", "scaled"])
def test_peak(tmp_path, put):
    put(tmp_path / "in")

    def study(scratch):
        volumes = read_exam(index_archive(tmp_path / "in", scratch=scratch).exams[0]).exam.volumes
        return sum(volume.array.nbytes for volume in volumes.values())

    study(tmp_path / "imports")
    tracemalloc.start()
    decoded = study(tmp_path / "scratch")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded >= 256 * 256 * 64 * 4
    assert peak < 3 * decoded
