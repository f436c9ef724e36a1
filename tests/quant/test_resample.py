import numpy as np
import pytest

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
