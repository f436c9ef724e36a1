"""A coarse answer drawn along the image's edges, and as interpolated where the image has none."""

import numpy as np
import pytest
import torch

from irae.models.card import Channel
from irae.models.guided import guided_labels
from irae.models.sliding import labels_on_grid
from irae.models.tensors import resample
from irae.training.metrics import dice

CHANNEL = Channel("ct", -1000.0, 400.0)
SPACING_MM, NETWORK_MM = (2.0, 2.0, 3.0), 6.0


def shared(mask):
    """(2, ...) shares of background and organ in voxels of 6 mm."""
    shape = [round(n * step / NETWORK_MM) for n, step in zip(mask.shape, SPACING_MM, strict=True)]
    organ = resample(mask.astype(np.float32), shape)
    return torch.stack([1.0 - organ, organ])


@pytest.fixture
def ball():
    """A ball of 60 HU in fat, with noise."""
    middle = np.array([24.3, 23.1, 15.7]) * SPACING_MM
    places = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip((48, 48, 32), SPACING_MM, strict=True)),
                                  indexing="ij"), axis=-1)
    mask = np.linalg.norm(places - middle, axis=-1) < 22.0
    noise = np.random.default_rng(0).normal(0.0, 10.0, mask.shape)
    return mask, (np.where(mask, 60.0, -90.0) + noise).astype(np.float32)


def test_a_surface_that_the_network_saw_too_far_out_is_drawn_to_the_edge_of_the_image(ball):
    mask, hu = ball
    probabilities = shared(mask)
    # As a network that draws too large: its organ at 0.7 where its share is 0.5.
    organ = probabilities[1] ** 0.5
    probabilities = torch.stack([1.0 - organ, organ])
    guided = guided_labels(probabilities, hu, SPACING_MM, network_mm=NETWORK_MM, channel=CHANNEL) == 1
    plain = labels_on_grid(probabilities, hu.shape) == 1
    assert plain.sum() > 1.1 * mask.sum()
    assert dice(plain, mask) < 0.96
    assert dice(guided, mask) > 0.97
    assert abs(guided.sum() - mask.sum()) < 0.5 * (plain.sum() - mask.sum())


def test_without_edges_a_flat_surface_stays_where_the_network_saw_it():
    half = np.zeros((48, 48, 32), dtype=bool)
    half[:23] = True
    probabilities = shared(half)
    even = np.full(half.shape, 40.0, np.float32)
    guided = guided_labels(probabilities, even, SPACING_MM, network_mm=NETWORK_MM, channel=CHANNEL)
    plain = labels_on_grid(probabilities, half.shape)
    assert np.abs(guided.sum(axis=0).astype(int) - plain.sum(axis=0)).max() <= 1


def test_the_slabs_do_not_change_the_answer(ball):
    mask, hu = ball
    probabilities = shared(mask)

    def drawn(voxels):
        return guided_labels(
            probabilities, hu, SPACING_MM, network_mm=NETWORK_MM, channel=CHANNEL, slab_voxels=voxels
        )

    whole = drawn(10**9)
    assert whole.any()
    assert (drawn(1) != whole).mean() < 1e-4  # rounding: running sums start elsewhere
    assert (drawn(12_000) != whole).mean() < 1e-4


def test_several_classes_keep_their_numbers_and_a_class_that_is_nowhere_gets_no_voxel(ball):
    mask, hu = ball
    left = mask & (np.arange(mask.shape[0]) < 24)[:, None, None]
    organs = [shared(part)[1] for part in (left, np.zeros_like(mask), mask & ~left)]
    probabilities = torch.stack([1.0 - sum(organs), *organs])
    found = guided_labels(probabilities, hu, SPACING_MM, network_mm=NETWORK_MM, channel=CHANNEL)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 1, 3}
    assert dice(found == 1, left) > 0.95
    assert dice(found == 3, mask & ~left) > 0.95


def test_nothing_found_is_nothing_drawn(ball):
    _, hu = ball
    nothing = torch.zeros(3, 16, 16, 16)
    nothing[0] = 1.0
    assert not guided_labels(nothing, hu, SPACING_MM, network_mm=NETWORK_MM, channel=CHANNEL).any()


def test_an_image_as_coarse_as_the_network_is_drawn_as_the_network_saw_it():
    rng = np.random.default_rng(1)
    probabilities = torch.softmax(torch.from_numpy(rng.normal(0, 3, (3, 9, 8, 7)).astype(np.float32)), dim=0)
    hu = rng.normal(0, 100, (9, 8, 7)).astype(np.float32)
    found = guided_labels(probabilities, hu, (6.0, 6.0, 6.0), network_mm=6.0, channel=CHANNEL)
    assert (found == probabilities.argmax(dim=0).numpy()).mean() > 0.99
