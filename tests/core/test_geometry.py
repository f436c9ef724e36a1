import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irae.core.geometry import Geometry

OBLIQUE = np.array([[0.0, -1.2, 0.3, 5.0], [0.9, 0.1, 0.0, -7.0], [0.0, 0.3, 2.9, 11.0], [0.0, 0.0, 0.0, 1.0]])


def test_index_and_world_are_each_others_inverse():
    geometry = Geometry(shape=(4, 5, 6), affine=OBLIQUE)
    points = np.array([[0, 0, 0], [3, 4, 5], [1.5, 0.25, 2.0]])
    assert np.allclose(geometry.to_index(geometry.to_world(points)), points)
    assert np.allclose(geometry.to_world((0, 0, 0)), (5, -7, 11))


def test_spacing_and_voxel_volume_of_an_oblique_grid():
    geometry = Geometry(shape=(4, 5, 6), affine=OBLIQUE)
    assert geometry.spacing_mm == pytest.approx(np.linalg.norm(OBLIQUE[:3, :3], axis=0))
    assert geometry.voxel_volume_ml == pytest.approx(abs(np.linalg.det(OBLIQUE[:3, :3])) / 1000)


@pytest.mark.parametrize("spacing", [(1.0, 2.0, 3.0), (2.5, 2.5, 2.5), (0.7, 0.7, 5.0)])
def test_another_spacing_covers_the_same_box(spacing):
    geometry = Geometry(shape=(30, 41, 22), affine=OBLIQUE)
    other = geometry.with_spacing(spacing)
    assert np.allclose(sorted(map(tuple, geometry.corners_mm())), sorted(map(tuple, other.corners_mm())))


@given(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(4, 9)] * 3))
def test_a_crop_keeps_every_voxel_where_it_was(start, stop):
    geometry = Geometry(shape=(9, 9, 9), affine=OBLIQUE)
    crop = geometry.cropped(start, stop)
    assert np.allclose(crop.to_world((0, 0, 0)), geometry.to_world(start))
    assert crop.shape == tuple(b - a for a, b in zip(start, stop, strict=True))


def test_the_axis_that_runs_along_the_body():
    assert Geometry(shape=(4, 5, 6), affine=OBLIQUE).axis_of(2) == 2
    assert Geometry(shape=(4, 5, 6), affine=OBLIQUE).axis_of(0) == 1  # R is mostly j


def test_the_affine_cannot_be_changed_afterwards():
    affine = np.eye(4)
    geometry = Geometry(shape=(2, 2, 2), affine=affine)
    affine[0, 0] = 9
    assert geometry.spacing_mm == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 9


@pytest.mark.parametrize(("shape", "affine", "message"), [
    ((0, 2, 2), np.eye(4), "three positive sizes"),
    ((2, 2, 2), np.zeros((4, 4)), "invertible"),
    ((2, 2, 2), np.full((4, 4), np.nan), "finite"),
])
def test_a_grid_that_cannot_be_is_refused(shape, affine, message):
    with pytest.raises(ValueError, match=message):
        Geometry(shape=shape, affine=affine)
