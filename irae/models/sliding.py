"""From an image to labels on the study's own grid: MONAI's sliding window, then a frugal way back up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irae.models.tensors import drawing_on, linear_weights, separable

# Windows overlap and count less towards their border: instance normalisation wants the training patch, and overlapping
# Gaussian windows were measured better than one pass over the whole volume. Halves (0.5) cost a quarter more on whole
# PET/CTs, and two thirds more where one more row of windows is then needed, for the same Dice.
OVERLAP = 0.4
# A network that is told what a coarser one found needs no second look at every voxel.
OVERLAP_AFTER_COARSE = 0.25
BATCH_WINDOWS = 1


def class_probabilities(
    network: nn.Module, image: torch.Tensor, patch: Sequence[int], *, dtype: torch.dtype | None,
    overlap: float = OVERLAP,
) -> torch.Tensor:
    """Soft-max over classes of a whole image, window by window.

    Args:
        network: Takes (1, C, *patch), gives (1, classes, *patch); on the device to run on.
        image: (C, I, J, K) float32; smaller than the patch is padded with 0.
        patch: The training patch.
        dtype: Of convolutions (autocast); None is float32.
        overlap: Of neighbouring windows, share of the patch.

    Returns:
        (classes, I, J, K) float32 on the CPU.
    """
    from monai.inferers import sliding_window_inference

    device = next(network.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        logits = sliding_window_inference(
            image[None].to(device), roi_size=tuple(patch), sw_batch_size=BATCH_WINDOWS,
            predictor=lambda window: network(window).float(), overlap=overlap, mode="gaussian",
        )
    return torch.softmax(torch.as_tensor(logits)[0].float(), dim=0).cpu()


def mean_probability(probabilities: torch.Tensor) -> tuple[float, ...]:
    """For each class, its mean probability over the voxels where it is the most probable; 1 where it occurs nowhere.

    It is the network's own expectation of how much of its mask is right, and it falls on images unlike the training's.
    """
    best, winner = probabilities.max(dim=0)
    count = torch.bincount(winner.flatten(), minlength=probabilities.shape[0])
    total = torch.bincount(winner.flatten(), weights=best.flatten().double(), minlength=probabilities.shape[0])
    return tuple((total / count.clamp(min=1)).where(count > 0, torch.ones_like(total)).tolist())


def labels_on_grid(probabilities: torch.Tensor, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The most probable class at every voxel of a finer (or coarser) grid over the same box.

    Probabilities are interpolated linearly class by class, each only in the box where it occurs, and compared with
    the best so far: smooth surfaces at the memory of two scalar volumes, whatever the number of classes.

    Args:
        probabilities: (classes, I, J, K), class 0 is background.
        shape: Of the wanted grid.

    Returns:
        uint8 class numbers.
    """
    classes, *coarse = probabilities.shape
    weights = [linear_weights(n, wanted) for n, wanted in zip(coarse, shape, strict=True)]
    winner = probabilities.argmax(dim=0)
    best = separable(probabilities[0], weights).clone()
    labels = torch.zeros(tuple(shape), dtype=torch.uint8)
    for index in range(1, classes):
        found = (winner == index).nonzero()
        if not len(found):
            continue
        low = (found.min(dim=0).values - 1).clamp(min=0).tolist()
        high = [min(int(top) + 2, n) for top, n in zip(found.max(dim=0).values, coarse, strict=True)]
        # Fine voxels that draw on the box, only.
        fine = [drawing_on(w, lo, hi) for w, lo, hi in zip(weights, low, high, strict=True)]
        box = tuple(slice(lo, hi) for lo, hi in zip(low, high, strict=True))
        part = [w[rows, columns] for w, rows, columns in zip(weights, fine, box, strict=True)]
        mine = separable(probabilities[(index, *box)], part)
        here = tuple(fine)
        wins = mine > best[here]
        best[here] = torch.where(wins, mine, best[here])
        labels[here].masked_fill_(wins, index)
    result: NDArray[np.uint8] = labels.numpy()
    return result
