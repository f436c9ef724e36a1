import numpy as np
import pytest
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.quant.distance import ball, depth_mm, distance_mm, opened

GRID = Geometry.axis_aligned((5, 5, 5), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("spacing", "radius"), [
    ((1.5, 1.5, 3.0), 2.0), ((1.2, 1.3, 1.6), 1.9), ((4.0, 4.0, 4.0), 2.0),
])
def test_eroding_and_dilating_by_a_ball_are_distances_to_the_border(spacing, radius):
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(30, 31, 32)), 1.5) > 0
    inside = ndimage.distance_transform_edt(mask, sampling=spacing) > radius
    near = ndimage.distance_transform_edt(~mask, sampling=spacing) <= radius
    assert np.array_equal(ndimage.binary_erosion(mask, ball(spacing, radius), border_value=1), inside)
    assert np.array_equal(ndimage.binary_dilation(mask, ball(spacing, radius)), near)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 3.0), (1.5, 1.5, 1.5), (4.07, 4.07, 5.0)])
def test_distances_are_scipys(spacing):
    mask = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(30, 31, 32)), 1.5) > 0
    wanted = ndimage.distance_transform_edt(mask, sampling=spacing)
    assert np.allclose(distance_mm(mask, spacing), wanted, atol=1e-4)
    cut = mask[3:20:2, ::-1, 5:]  # a view
    assert np.allclose(distance_mm(cut, spacing), ndimage.distance_transform_edt(cut, sampling=spacing), atol=1e-4)


def test_whole_voxels_of_any_size_compare_as_such():
    mask = np.ones((41, 1, 1), bool)
    mask[0] = False
    for size in (0.7, 0.8, 0.9765625, 1.1, 3.3):
        away = distance_mm(mask, (size, 1.0, 1.0))[:, 0, 0]
        for count in range(1, 41):
            limit = count * size
            assert away[count] <= round(limit, 4)
            assert away[count] >= round(limit, 4)


def test_nothing_outside_is_infinitely_far():
    assert np.isinf(distance_mm(np.ones((4, 5, 6), bool), (1.0, 1.0, 1.0))).all()
    assert depth_mm(np.ones((5, 5, 5), bool), GRID).max() == 2.5, "but the array's ends are a surface"


def test_opening_takes_what_is_thin_and_leaves_what_is_thick():
    mask = np.zeros((30, 30, 30), bool)
    mask[5:20, 5:20, 5:20] = True
    mask[12, 12, 20:28] = True
    left = opened(mask, Geometry.axis_aligned(mask.shape, (1.0, 1.0, 1.0)), 5.0)
    assert not left[:, :, 20:].any()
    assert left[12, 12, 5:20].all()
    assert not opened(mask, Geometry.axis_aligned(mask.shape, (1.0, 1.0, 1.0)), 40.0).any()
