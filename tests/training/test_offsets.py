"""Offsets of classes: found where a network is known to give too much, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from irae.core.volume import Quantity
from irae.models.package import Channel
from irae.training.loop import Budget
from irae.training.offsets import add_offsets, fitted_offsets
from irae.training.segmentation import SegmentationCase, SegmentationPlan

PLAN = SegmentationPlan(
    network="dynunet", arguments={}, patch=(16, 16, 16), channels=(Channel("ct", 0.0, 1.0),), classes=3,
    budget=Budget(steps=1),
)


def network(bias):
    """Class 1 where the image is bright, class 2 where it is brightest, by logits that are off by ``bias``."""
    made = nn.Conv3d(1, 3, kernel_size=1)
    with torch.no_grad():
        made.weight[:] = torch.tensor([0.0, 20.0, 40.0]).reshape(3, 1, 1, 1, 1)
        made.bias[:] = torch.tensor([0.0, -10.0, -25.0]) + torch.tensor(bias)
    return made


def cases(count=3):
    """Images of noise; the truth is drawn from the unbiased network's own probabilities."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        image = rng.random((24, 24, 24), dtype=np.float32)
        logits = np.stack([0 * image, 20 * image - 10, 40 * image - 25])
        odds = np.exp(logits - logits.max(axis=0))
        steps = np.cumsum(odds / odds.sum(axis=0), axis=0)
        truth = (rng.random(image.shape) > steps).sum(axis=0).clip(0, 2).astype(np.uint8)
        made.append(SegmentationCase(image, truth, Quantity.HU))
    return made


def test_a_bias_is_found_and_undone():
    biased = network([0.0, 0.0, 2.0])
    offsets = fitted_offsets(biased, cases(), PLAN, dtype=None)
    assert float(offsets[0]) == 0.0
    assert float(offsets[1]) == pytest.approx(0.0, abs=0.2)
    assert float(offsets[2]) == pytest.approx(-2.0, abs=0.6), "or a share of it, where Dice is better so"
    before = biased.bias.detach().clone()
    add_offsets(biased, offsets)
    torch.testing.assert_close(biased.bias.detach(), before + offsets)


def test_a_class_that_no_case_holds_keeps_its_logit():
    without = [replace(case, labels=np.minimum(case.labels, 1)) for case in cases()]
    assert float(fitted_offsets(network([0.0, 1.0, 1.0]), without, PLAN, dtype=None)[2]) == 0.0


def test_a_network_without_such_a_layer_is_refused():
    with pytest.raises(ValueError, match="no convolution with a bias gives 3 classes"):
        add_offsets(nn.Conv3d(1, 4, kernel_size=1), torch.zeros(3))
