import numpy as np
import pytest
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.quant.resample import labels_onto, onto_grid, volume_onto

SOURCE = Geometry.axis_aligned((20, 24, 16), (2.0, 2.0, 3.0), (-20.0, -24.0, 5.0))


def test_a_linear_image_is_linear_on_any_grid():
    world = SOURCE.to_world(np.moveaxis(np.indices(SOURCE.shape), 0, -1))
    image = world @ np.array([1.0, -2.0, 0.5])
    turned = np.array([[0, 0, 1.7, -10.0], [1.5, 0.2, 0, -15.0], [0.3, 1.9, 0, 12.0], [0, 0, 0, 1.0]])
    target = Geometry(shape=(9, 7, 8), affine=turned)
    sampled = onto_grid(image, SOURCE, target, order=1, antialias=False)
    expected = target.to_world(np.moveaxis(np.indices(target.shape), 0, -1)) @ np.array([1.0, -2.0, 0.5])
    inside = np.all(
        (SOURCE.to_index(target.to_world(np.moveaxis(np.indices(target.shape), 0, -1))) >= 0)
        & (
            SOURCE.to_index(target.to_world(np.moveaxis(np.indices(target.shape), 0, -1))) <= np.array(SOURCE.shape) - 1
        ),
        axis=-1,
    )
    assert inside.sum() > 100
    assert np.allclose(sampled[inside], expected[inside])


def test_outside_is_air_and_no_uptake():
    far = Geometry.axis_aligned((4, 4, 4), (2.0, 2.0, 2.0), (500.0, 0.0, 0.0))
    for quantity, value in ((Quantity.HU, -1024.0), (Quantity.SUV_BW, 0.0)):
        volume = Volume(array=np.ones(SOURCE.shape), geometry=SOURCE, quantity=quantity)
        assert np.all(volume_onto(volume, far).array == value)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 1.5)])
def test_labels_fill_their_voxels_to_the_outer_edge(spacing):
    labels = LabelMap(
        array=np.full(SOURCE.shape, 5), geometry=SOURCE, labels={"liver": 5}, coverage={"liver": Coverage.WHOLE}
    )
    assert labels_onto(labels, SOURCE.with_spacing(spacing)).array.min() == 5


def test_coarser_images_are_smoothed_first():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=SOURCE.shape)
    coarse = SOURCE.with_spacing((8.0, 8.0, 9.0))
    assert onto_grid(noise, SOURCE, coarse).std() < 0.5 * onto_grid(noise, SOURCE, coarse, antialias=False).std()


@pytest.mark.parametrize(("shape", "spacing", "start"), [
    ((31, 9, 44), (1.3, 5.0, 1.0), (-25.0, -30.0, -3.0)), ((6, 6, 40), (7.0, 7.0, 0.9), (-15.0, -20.0, 10.0)),
])
@pytest.mark.parametrize(("order", "kind"), [(0, np.uint8), (0, np.float32), (1, np.float32), (1, np.float64)])
def test_grids_whose_axes_agree_are_sampled_as_scipy_does(shape, spacing, start, order, kind):
    array = (np.random.default_rng(3).random(SOURCE.shape) * 200).astype(kind)
    target = Geometry.axis_aligned(shape, spacing, start)
    to_source = np.linalg.inv(SOURCE.affine) @ target.affine
    wanted = ndimage.affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], output_shape=shape, order=order, mode="grid-constant", cval=7.0
    )
    sampled = onto_grid(array, SOURCE, target, order=order, outside=7.0, antialias=False)
    assert sampled.dtype == kind
    assert np.allclose(sampled, wanted, atol=1e-3)
    assert (sampled == 7.0).any(), "the target reaches beyond the source"
