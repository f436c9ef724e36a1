"""What a segmentation network gives too much of: an offset for each class, fitted after training and kept in its bias.

The loss counts small organs more than their voxels and every error of theirs as a share of them, so that they are
learnt at all; a network trained so draws them too large (measured: kidneys by 20 to 40 %, the colon by 24 %). Offsets
of the logits that minimise the plain cross-entropy over voxels of other patients undo it (the bias part of vector
scaling: Guo, ICML 2017, "On calibration of modern neural networks"). Of each class's offset, the share is kept at which
its Dice is best: a thin organ whose every border voxel is in doubt would lose them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from irae.models.sliding import class_probabilities
from irae.training.segmentation import SegmentationCase, SegmentationPlan

# Probabilities below this are taken as this; offsets stay within it.
LEAST, LARGEST = 1e-6, 6.0
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def fitted_offsets(
    network: nn.Module, cases: Sequence[SegmentationCase], plan: SegmentationPlan, *, dtype: torch.dtype | None
) -> torch.Tensor:
    """(classes,) to add to the logits; 0 for the background and for a class that no case holds.

    Dice is over all voxels of all cases together, so that one with a sliver of an organ counts as little as it holds.

    Args:
        network: As trained.
        cases: Of patients that it did not learn from.
        plan: Its channels, patch and classes.
        dtype: Of convolutions (autocast); None is float32.
    """
    logs, truth = [], []
    for case in cases:
        found = class_probabilities(network, case.channels(plan.channels), plan.patch, dtype=dtype)
        logs.append(found.flatten(1).clamp(min=LEAST).log().T)
        truth.append(torch.from_numpy(case.labels).flatten().long())
    every, labels = torch.cat(logs), torch.cat(truth)
    there = torch.bincount(labels, minlength=plan.classes) > 0
    there[0] = False
    offsets = torch.zeros(plan.classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([offsets], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(every + offsets * there, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    fitted = (offsets.detach() * there).clamp(-LARGEST, LARGEST)
    for number in there.nonzero().flatten().tolist():
        choices = [share * fitted[number] for share in SHARES]
        scores = [_dice(every, labels, fitted, number, offset) for offset in choices]
        fitted[number] = choices[scores.index(max(scores))]
    return fitted


def _dice(
    logs: torch.Tensor, labels: torch.Tensor, offsets: torch.Tensor, number: int, offset: torch.Tensor
) -> float:
    """Dice of one class with this offset, the others with theirs."""
    others = logs + offsets
    mine = others[:, number] - offsets[number] + offset
    others[:, number] = -torch.inf
    found, truth = mine > others.amax(dim=1), labels == number
    return 2.0 * float((found & truth).sum()) / max(float(found.sum() + truth.sum()), 1.0)


def add_offsets(network: nn.Module, offsets: torch.Tensor) -> None:
    """Adds offsets to the bias of the network's last convolution, in place.

    Raises:
        ValueError: If no convolution with a bias gives that many classes.
    """
    last = [
        module for module in network.modules()
        if isinstance(module, nn.Conv3d) and module.out_channels == len(offsets) and module.bias is not None
    ]
    if not last or last[-1].bias is None:
        raise ValueError(f"no convolution with a bias gives {len(offsets)} classes")
    with torch.no_grad():
        last[-1].bias += offsets.to(last[-1].bias)
