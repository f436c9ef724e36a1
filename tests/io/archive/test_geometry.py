"""Left is left in every orientation: each voxel read back has the value of the place the geometry says it has."""

import numpy as np
import pytest

from irae.core.exam import Role
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import CONTENT, body_hu, series, write


def rotated(x: float, y: float, z: float):
    """Cosines of an axial plane turned about the three axes, in degrees."""
    a, b, c = np.radians([x, y, z])
    turn = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    )
    return (*turn[:, 0], *turn[:, 1])


ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "axial, both cosines negated (prone)": (-1, 0, 0, 0, -1, 0),
    "axial, rows negated": (-1, 0, 0, 0, 1, 0),
    "axial, columns negated": (1, 0, 0, 0, -1, 0),
    "axial, rows and columns swapped": (0, 1, 0, 1, 0, 0),
    "axial, swapped and negated": (0, -1, 0, 1, 0, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "sagittal, negated": (0, -1, 0, 0, 0, -1),
    "sagittal, upwards": (0, 1, 0, 0, 0, 1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "coronal, negated": (-1, 0, 0, 0, 0, -1),
    "coronal, upwards": (1, 0, 0, 0, 0, 1),
    "oblique axial": rotated(12, -7, 5),
    "oblique, far": rotated(38, 25, -31),
    "oblique sagittal": tuple(np.round(rotated(80, 10, 95), 8)),
}


def read_one(folder, tmp_path, role=Role.CT):
    index = index_archive(folder, scratch=tmp_path / "scratch")
    assert len(index.exams) == 1, [(row.code, row.text) for row in index.files]
    return read_exam(index.exams[0])


def assert_every_voxel_is_in_its_place(volume, content, tolerance):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), axis=-1)
    expected = content(volume.geometry.to_world(grid))
    assert np.abs(volume.array - expected).max() <= tolerance
    assert np.ptp(expected) > 2 * tolerance


@pytest.mark.parametrize("cosines", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
@pytest.mark.parametrize("backwards", [False, True])
def test_every_orientation(tmp_path, cosines, backwards):
    made = series(cosines=cosines, number=3)
    write(tmp_path / "in", made[::-1] if backwards else made)
    volume = read_one(tmp_path / "in", tmp_path).exam.ct
    assert_every_voxel_is_in_its_place(volume, body_hu, 0.5)
    # Axes run nearest to R, A and S, so that nobody meets a mirrored array.
    assert (np.diag(volume.geometry.affine)[:3] > 0).all() or "far" in str(cosines)
    assert volume.geometry.frame_of_reference_uid.endswith(".8")


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "FFP", "HFDR"])
def test_patient_position_changes_nothing(tmp_path, position):
    write(tmp_path / "in", series(PatientPosition=position))
    assert_every_voxel_is_in_its_place(read_one(tmp_path / "in", tmp_path).exam.ct, body_hu, 0.5)


def test_every_modality_has_its_own_scaling(tmp_path):
    for number, modality in enumerate(("CT", "PT", "MR"), start=1):
        write(tmp_path / "in" / modality, series(modality, number=number))
    read = read_one(tmp_path / "in", tmp_path)
    assert set(read.exam.volumes) == set(Role)
    assert_every_voxel_is_in_its_place(read.exam.ct, CONTENT["CT"], 0.5)
    assert_every_voxel_is_in_its_place(read.exam.pet, CONTENT["PT"], 5e-4)  # per-slice slopes, 16 bits
    assert_every_voxel_is_in_its_place(read.exam.mr, CONTENT["MR"], 0.5)


@pytest.mark.parametrize("angle", [5.0, -15.0, 25.0])
def test_gantry_tilt_is_straightened(tmp_path, angle):
    """Tilted planes, stepped along the table: markers stay where they are in the world."""
    tilt = np.radians(angle)
    cosines = (1, 0, 0, 0, np.cos(tilt), np.sin(tilt))
    made = series(cosines=cosines, step=(0, 0, 6.0), spacing=(3.0, 3.0), rows=48, columns=50, slices=30)
    write(tmp_path / "in", made)
    read = read_one(tmp_path / "in", tmp_path)
    volume = read.exam.ct
    axes = volume.geometry.affine[:3, :3] / np.linalg.norm(volume.geometry.affine[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6), "the grid is orthogonal"
    assert any(notice.code == "gantry_tilt" for notice in read.exam.notices)
    assert read.series[0].code == "gantry_tilt"
    assert f"{abs(angle):.1f} degrees" in " ".join(read.exam.origins[Role.CT].decisions)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), axis=-1)
    world = volume.geometry.to_world(grid)
    deep = (world[..., 0] / 60) ** 2 + (world[..., 1] / 45) ** 2 + (world[..., 2] / 75) ** 2 < 1
    covered = deep & (volume.array > -900)
    assert covered.sum() > 0.95 * deep.sum()
    assert np.abs(volume.array - body_hu(world))[covered].max() < 2.0  # linear content, rounded to whole HU


def test_positions_win_over_tags_names_and_numbers(tmp_path):
    shuffled = np.random.default_rng(4).permutation(12)
    made = series(SliceThickness="2.5", SpacingBetweenSlices="1.0", InstanceNumber=lambda k: int(shuffled[k]) + 1,
                  SliceLocation=lambda k: f"{shuffled[k]}")
    write(tmp_path / "in", made)
    read = read_one(tmp_path / "in", tmp_path)
    assert read.exam.ct.geometry.spacing_mm[2] == pytest.approx(9.0)
    assert_every_voxel_is_in_its_place(read.exam.ct, body_hu, 0.5)
    assert "the positions win" in " ".join(read.exam.origins[Role.CT].decisions)


def test_uneven_within_rounding_is_accepted_and_said(tmp_path):
    made = series(gap=3.0, slices=20)
    made[7].ImagePositionPatient[2] = float(made[7].ImagePositionPatient[2]) + 0.08
    write(tmp_path / "in", made)
    read = read_one(tmp_path / "in", tmp_path)
    assert read.exam.ct.array.shape[2] == 20
    assert "differ by up to 0.0" in " ".join(read.exam.origins[Role.CT].decisions)


def test_single_slice_is_a_volume_of_one(tmp_path):
    write(tmp_path / "in", series(slices=1, gap=2.5))
    read = read_one(tmp_path / "in", tmp_path)
    assert read.exam.ct.array.shape[2] == 1
    assert read.exam.ct.geometry.spacing_mm == pytest.approx((7.0, 8.0, 2.5))
    assert_every_voxel_is_in_its_place(read.exam.ct, body_hu, 0.5)
    assert [notice.code for notice in read.exam.notices] == ["single_slice"]
