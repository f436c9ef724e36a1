import numpy as np
import pytest
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.quant.region import ball, box_around


@pytest.mark.parametrize(("spacing", "radius"), [
    ((1.5, 1.5, 3.0), 2.0), ((1.2, 1.3, 1.6), 1.9), ((4.0, 4.0, 4.0), 2.0),
])
def test_eroding_and_dilating_by_a_ball_are_distances_to_the_border(spacing, radius):
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(30, 31, 32)), 1.5) > 0
    inside = ndimage.distance_transform_edt(mask, sampling=spacing) > radius
    near = ndimage.distance_transform_edt(~mask, sampling=spacing) <= radius
    assert np.array_equal(ndimage.binary_erosion(mask, ball(spacing, radius), border_value=1), inside)
    assert np.array_equal(ndimage.binary_dilation(mask, ball(spacing, radius)), near)


def test_box_around_a_mask_has_its_margin_and_ends_at_the_grid():
    grid = Geometry.axis_aligned((10, 10, 10), (2.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[5, 1, 4:6] = True
    assert box_around(mask, grid, 3.0) == (slice(3, 8), slice(0, 4), slice(2, 8))
    assert box_around(np.zeros(grid.shape, bool), grid, 3.0) == (slice(0, 10),) * 3
