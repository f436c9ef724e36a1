"""Augmentation moves image and truth together and keeps what means something."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from irae.core.anatomy import Irae
from irae.core.volume import Quantity
from irae.models.package import Channel
from irae.training.augment import (
    Deform,
    FoundChange,
    HuChange,
    MrChange,
    blurred,
    changed_found,
    changed_hu,
    changed_mr,
    crop_field,
    cut_axially,
    sample,
)
from irae.training.classification import CROPS, ClassificationPlan, Shown, augmented, loss_on, targets
from irae.training.data import LabelledCrops
from irae.training.loop import Budget
from irae.training.segmentation import BalancedCrops, SegmentationCase, SegmentationPlan


def test_without_deformation_a_crop_is_a_slice():
    volume = torch.arange(10 * 11 * 12, dtype=torch.float32).reshape(1, 10, 11, 12)
    still = Deform(rotate_deg=0, scale=0, stretch=0, bend_voxels=0)
    field = crop_field(np.random.default_rng(0), (4, 5, 6), (3, 5, 7), (10, 11, 12), still)
    torch.testing.assert_close(sample(volume, field, outside=0.0), volume[:, 3:6, 3:8, 3:10], atol=1e-3, rtol=0)


def test_image_and_labels_move_together_and_air_lies_outside():
    rng = np.random.default_rng(1)
    labels = torch.zeros(1, 40, 40, 40)
    labels[:, 12:28, 14:30, 10:26] = 1.0
    image = labels * 1000.0 - 1000.0
    field = crop_field(rng, (20, 20, 20), (32, 32, 32), (40, 40, 40), Deform())
    moved = sample(image, field, outside=-1000.0)
    truth = sample(labels, field, outside=0.0, nearest=True)
    agree = ((moved > -500) == (truth > 0.5)).float().mean()
    assert float(agree) > 0.97
    far = crop_field(rng, (500, 500, 500), (8, 8, 8), (40, 40, 40), Deform())
    assert (sample(image, far, outside=-1000.0) == -1000.0).all()


def test_changes_of_intensity_keep_the_order_of_tissues():
    rng = np.random.default_rng(2)
    ct = torch.full((1, 16, 16, 16), -800.0)
    ct[:, 8:] = 100.0
    for _ in range(20):
        out = changed_hu(rng, ct, HuChange())
        assert abs(float(out[:, 10:].mean()) - 100.0) < 140
        assert float(out[:, :6].mean()) < float(out[:, 10:].mean()) - 600
    mr = torch.full((1, 16, 16, 16), 0.2)
    mr[:, 8:] = 0.9
    for _ in range(20):
        out = changed_mr(rng, mr, MrChange())
        assert torch.isfinite(out).all()
        assert float(out[:, 10:].mean()) > float(out[:, :6].mean())


def test_blur_keeps_the_mean_and_a_cut_ends_image_and_labels():
    rng = np.random.default_rng(3)
    image = torch.from_numpy(rng.normal(0, 1, (1, 20, 20, 20)).astype(np.float32))
    smooth = blurred(image, 1.0)
    assert float(smooth.std()) < 0.5 * float(image.std())
    assert abs(float(smooth.mean() - image.mean())) < 0.02
    labels = torch.ones_like(image)
    cut, kept = cut_axially(rng, image, labels, outside=-1000.0)
    gone = (cut == -1000.0)[0, 0, 0]
    assert 2 <= int(gone.sum()) < 10
    assert (kept[..., gone] == 0).all()
    assert (kept[..., ~gone] == 1).all()
    assert (labels == 1).all()


def test_small_organs_are_at_the_centre_as_often_as_large_ones():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[2:30, 2:30, 2:30] = 1
    labels[34:36, 34:36, 34:36] = 2
    case = SegmentationCase(np.where(labels > 0, 50.0, -1000.0).astype(np.float32), labels, Quantity.HU)
    plan = SegmentationPlan(
        network="dynunet", arguments={}, patch=(16, 16, 16), channels=(Channel("ct", -1000, 400),), classes=3,
        budget=Budget(steps=1), background_share=0.0,
    )
    crops, rng = BalancedCrops([case], plan), np.random.default_rng(0)
    seen = np.array([[bool((truth == value).any()) for value in (1, 2)]
                     for _, truth in (crops.draw(rng) for _ in range(60))])
    assert seen[:, 1].mean() > 0.3, "eight voxels of 64000"


def test_coarse_organs_are_cropped_where_the_image_is():
    """The same box on a coarser grid: a ball in both stays one ball, whatever the crop."""
    fine, coarse = (np.indices((n, n, n)).transpose(1, 2, 3, 0) + 0.5 for n in (48, 32))
    labels = (np.linalg.norm(fine / 48 - 0.4, axis=-1) < 0.2).astype(np.uint8)
    found = (np.linalg.norm(coarse / 32 - 0.4, axis=-1) < 0.2).astype(np.uint8)[None] * 255
    case = SegmentationCase(labels.astype(np.float32) * 50, labels, Quantity.HU, found=found)
    channels = (Channel("ct", -1000, 400), Channel("found:liver", 0.0, 1.0))
    assert float((case.channels(channels)[1] > 0.5).float().sub(torch.from_numpy(labels)).abs().sum()) < 900
    plan = SegmentationPlan(
        network="dynunet", arguments={}, patch=(32, 32, 32), channels=channels, classes=2, budget=Budget(steps=1),
        background_share=0.0, found=FoundChange(missed_share=0.0, shift_voxels=0),
    )
    crops, rng = BalancedCrops([case], plan), np.random.default_rng(0)
    for image, truth in (crops.draw(rng) for _ in range(10)):
        assert image.shape == (2, 32, 32, 32)
        both = ((image[1] > 0.5) & (truth[0] == 1)).sum() * 2 / ((image[1] > 0.5).sum() + (truth[0] == 1).sum())
        assert float(both) > 0.9
    with pytest.raises(ValueError, match="no such coarse organ"):
        replace(case, found=None).channels(channels)


def test_a_coarse_network_misses_organs_now_and_then():
    found = torch.ones((16, 8, 8, 8))
    rng = np.random.default_rng(0)
    drawn = [changed_found(rng, found, FoundChange(missed_share=0.25)).amax(dim=(1, 2, 3)) for _ in range(40)]
    assert 0.15 < float((torch.stack(drawn) == 0).float().mean()) < 0.35


@pytest.mark.parametrize(("pet", "baseline"), [(True, True), (False, True), (True, False), (False, False)])
def test_what_is_hidden_is_said_to_be_hidden(pet, baseline):
    spec = CROPS[Irae.HEPATITIS]
    shape = (16, 16, 16)
    case = LabelledCrops(
        {"ct": np.full(shape, 80.0, np.float32), "pet": np.full(shape, 3.0, np.float32),
         "organ": np.ones(shape, np.float32), "baseline_ct": np.full(shape, 90.0, np.float32),
         "baseline_pet": np.full(shape, 2.0, np.float32)}, positive=True,
    )
    plan = ClassificationPlan(network="resnet", arguments={}, channels=spec.channels, budget=Budget(steps=1))
    image = augmented(np.random.default_rng(0), case, plan, Shown(pet, baseline))
    of = {channel.source: layer for channel, layer in zip(spec.channels, image, strict=True)}
    assert image.shape == (8, *shape)
    assert (of["pet_present"] == float(pet)).all()
    assert (of["baseline_present"] == float(baseline)).all()
    assert bool((of["pet"] > 0).any()) == pet
    assert bool((of["baseline_ct"] > 0).any()) == baseline
    assert bool((of["baseline_pet"] > 0).any()) == (pet and baseline)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_what_is_hidden_does_not_tell_the_classes_apart():
    """In every batch a positive and a negative case are shown alike."""
    plan = ClassificationPlan(network="resnet", arguments={}, channels=(), budget=Budget(steps=1), pet_dropped=0.5,
                              baseline_dropped=0.5)
    rng = np.random.default_rng(0)
    drawn = {Shown.drawn(rng, plan) for _ in range(50)}
    assert len(drawn) == 4


@pytest.mark.parametrize(("severity", "expected"), [
    (0, [1, 0, 0, 0]), (2, [1, 1, 1, 0]), (3, [1, 1, 1, 1]), (None, [1, np.nan, np.nan, np.nan]),
])
def test_severity_is_learnt_step_by_step(severity, expected):
    np.testing.assert_equal(targets(LabelledCrops({}, positive=True, severity=severity)), expected)
    np.testing.assert_equal(targets(LabelledCrops({}, positive=False, severity=0)), [0, *[np.nan] * 3])


def test_a_loss_without_known_severity_is_that_of_the_irae_alone():
    plan = ClassificationPlan(network="resnet", arguments={}, channels=(), budget=Budget(steps=1), label_smoothing=0.0)
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-1.0, 0.0, 0.0, 0.0]])
    unknown = torch.tensor([[1.0] + [float("nan")] * 3, [0.0] + [float("nan")] * 3])
    known = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    alone = loss_on(logits[:, :1], unknown, plan)
    assert float(loss_on(logits, unknown, plan)) == pytest.approx(float(alone))
    assert float(loss_on(logits, known, plan)) > float(alone)
