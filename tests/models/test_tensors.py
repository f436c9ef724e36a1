"""Axes and grids: what goes into a network comes from the right place, and goes back there."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.models.package import Channel
from irae.models.sliding import labels_on_grid, mean_probability
from irae.models.tensors import (
    Canonical,
    crop_grid,
    mr_levels,
    mr_normalised,
    network_grid,
    resample,
    scaled,
    volume_crop,
)

AFFINES = {
    "ras": np.diag([2.0, 3.0, 4.0, 1.0]),
    "lps": np.diag([-2.0, -3.0, 4.0, 1.0]),
    "sagittal": np.array([[0, 0, 3.0, -5], [2.0, 0, 0, 7], [0, -2.5, 0, 1], [0, 0, 0, 1]]),
    "oblique": np.array([[1.9, 0.5, 0, 3], [-0.5, 1.9, 0.3, 4], [0, -0.4, 3.9, 5], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_canonical_axes_run_to_right_front_and_head_and_go_back(affine):
    geometry = Geometry(shape=(5, 6, 7), affine=affine)
    canonical = Canonical.of(geometry)
    directions = canonical.geometry.affine[:3, :3]
    assert (np.argmax(np.abs(directions), axis=0) == [0, 1, 2]).all()
    assert (np.diag(directions) > 0).all()
    # Every voxel keeps its place in the world.
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    world = geometry.to_world(index)
    for axis in range(3):
        moved = canonical.apply(np.ascontiguousarray(world[..., axis]))
        ours = np.stack(np.meshgrid(*(np.arange(n) for n in canonical.geometry.shape), indexing="ij"), axis=-1)
        np.testing.assert_allclose(moved, canonical.geometry.to_world(ours)[..., axis], atol=1e-9)
    array = np.random.default_rng(0).random(geometry.shape)
    np.testing.assert_array_equal(canonical.undo(canonical.apply(array)), array)


def test_resampling_agrees_with_simpleitk_on_a_smooth_image():
    geometry = Geometry.axis_aligned((40, 36, 32), (1.0, 1.5, 2.0), (5.0, -7.0, 9.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    world = geometry.to_world(index)
    smooth = (np.sin(world[..., 0] / 9) + np.cos(world[..., 1] / 11) + world[..., 2] / 20).astype(np.float32)
    grid = network_grid(geometry, 3.0)
    image = sitk.GetImageFromArray(smooth.transpose(2, 1, 0))
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.affine[:3, 3].tolist())
    reference = sitk.Image(*grid.shape, sitk.sitkFloat32)
    reference.SetSpacing(grid.spacing_mm)
    reference.SetOrigin(grid.affine[:3, 3].tolist())
    expected = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear))
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(
        resample(smooth, grid.shape).numpy()[inner], expected.transpose(2, 1, 0)[inner], atol=0.02
    )


def test_averaging_does_not_alias():
    checkers = np.indices((24, 24, 24)).sum(axis=0) % 2 * 200.0
    coarse = resample(checkers.astype(np.float32), (8, 8, 8))
    assert float((coarse - 100.0).abs().max()) < 5.0


def test_labels_on_the_fine_grid_follow_the_interpolated_probabilities():
    rng = np.random.default_rng(3)
    probabilities = torch.softmax(torch.from_numpy(rng.normal(0, 3, (4, 6, 7, 5)).astype(np.float32)), dim=0)
    shape = (17, 14, 13)
    everywhere = torch.nn.functional.interpolate(
        probabilities[None], size=shape, mode="trilinear", align_corners=False
    )[0].argmax(dim=0)
    found = labels_on_grid(probabilities, shape)
    assert found.dtype == np.uint8
    assert float((torch.from_numpy(found) == everywhere).float().mean()) > 0.995
    assert set(np.unique(found)) == {0, 1, 2, 3}


def test_the_mean_probability_of_a_class_is_over_its_own_voxels():
    probabilities = torch.zeros(3, 2, 2, 2)
    probabilities[0] = 0.8
    probabilities[1] = 0.2
    probabilities[:, 0, 0] = torch.tensor([0.3, 0.7, 0.0])[:, None]
    assert mean_probability(probabilities) == pytest.approx((0.8, 0.7, 1.0))


def test_labels_on_a_coarser_grid_and_of_nothing():
    probabilities = torch.zeros(3, 8, 8, 8)
    probabilities[0] = 1.0
    assert not labels_on_grid(probabilities, (4, 4, 4)).any()
    probabilities[:, 4:] = torch.tensor([0.0, 0.0, 1.0])[:, None, None, None]
    coarse = labels_on_grid(probabilities, (4, 4, 4))
    assert (coarse[:2] == 0).all()
    assert (coarse[2:] == 2).all()


def test_windows_clip():
    values = torch.tensor([-2000.0, -1000.0, -300.0, 400.0, 3000.0])
    torch.testing.assert_close(scaled(values, Channel("ct", -1000, 400)), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_mr_levels_do_not_depend_on_the_unit():
    values = np.random.default_rng(0).gamma(2.0, 100.0, (12, 12, 12)).astype(np.float32)
    geometry = Geometry.axis_aligned((12, 12, 12), (1.0, 1.0, 1.0))
    one = mr_normalised(Volume(array=values, geometry=geometry, quantity=Quantity.MR_SIGNAL))
    other = mr_normalised(Volume(array=values * 37 + 5, geometry=geometry, quantity=Quantity.MR_SIGNAL))
    np.testing.assert_allclose(one.array, other.array, atol=1e-3)
    with pytest.raises(ValueError, match="same value"):
        mr_levels(np.zeros((4, 4, 4), np.float32))


def test_a_crop_is_in_ras_whatever_the_axes_and_air_outside():
    shape = (30, 30, 30)
    array = np.zeros(shape, np.float32)
    array[20, 10, 15] = 1000.0
    for affine in (np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([-2.0, -2.0, 2.0, 1.0])):
        source = Volume(array=array, geometry=Geometry(shape=shape, affine=affine), quantity=Quantity.HU)
        spot = source.geometry.to_world((20, 10, 15))
        grid = crop_grid(spot, (9, 9, 9), 2.0)
        crop = volume_crop(source, grid)
        assert np.unravel_index(int(crop.argmax()), crop.shape) == (4, 4, 4)
        assert crop[4, 4, 4] == pytest.approx(1000.0, abs=1.0)
    far = volume_crop(source, crop_grid(np.array([500.0, 500.0, 500.0]), (4, 4, 4), 2.0))
    assert (far == -1024.0).all()
