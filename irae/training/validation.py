"""How a network does on cases that it does not learn from, while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from irae.models.sliding import class_probabilities
from irae.models.tensors import scaled
from irae.training.loop import SCORE, Upkeep, Validate
from irae.training.metrics import dice
from irae.training.segmentation import SegmentationCase, SegmentationPlan
from irae.training.settings import NetworkSettings


def upkeep_of(settings: NetworkSettings, checkpoint: Path) -> Upkeep:
    """What settings ask of the loop beside its steps."""
    return Upkeep(
        ema=settings.ema, accumulate=settings.accumulate, patience=settings.patience,
        validate_every=settings.validate_every, checkpoint=checkpoint, resume=settings.resume,
    )


def segmentation_validation(
    cases: Sequence[SegmentationCase], plan: SegmentationPlan, *, dtype: torch.dtype | None
) -> Validate | None:
    """Mean Dice over classes, each averaged over the cases that have it, on the network's grid; None without cases."""
    if not len(cases):
        return None

    def validate(network: nn.Module) -> dict[str, float]:
        scores: dict[int, list[float]] = {}
        for case in cases:
            image = torch.from_numpy(case.image)
            channels = torch.stack([scaled(image, channel) for channel in plan.channels])
            found = class_probabilities(network, channels, plan.patch, dtype=dtype).argmax(dim=0).numpy()
            for number in range(1, plan.classes):
                score = dice(found == number, case.labels == number)
                if score is not None and (case.labels == number).any():
                    scores.setdefault(number, []).append(score)
        means = [float(np.mean(values)) for values in scores.values()]
        return {SCORE: float(np.mean(means)) if means else 0.0}

    return validate
