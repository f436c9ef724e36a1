"""How a network does on cases that it does not learn from, while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from irae.models.card import Channel
from irae.models.sliding import class_probabilities
from irae.training.classification import logits_of
from irae.training.data import LabelledCrops
from irae.training.loop import SCORE, Upkeep, Validate
from irae.training.metrics import auroc, dice
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
            channels = case.channels(plan.channels)
            found = class_probabilities(network, channels, plan.patch, dtype=dtype).argmax(dim=0).numpy()
            for number in range(1, plan.classes):
                score = dice(found == number, case.labels == number)
                if score is not None and (case.labels == number).any():
                    scores.setdefault(number, []).append(score)
        means = [float(np.mean(values)) for values in scores.values()]
        return {SCORE: float(np.mean(means)) if means else 0.0}

    return validate


def classification_validation(cases: Sequence[LabelledCrops], channels: Sequence[Channel]) -> Validate | None:
    """Negative cross-entropy of the irAE's logit, which still rises when AUROC is at its end; None without cases."""
    if not cases:
        return None
    truth = torch.tensor([float(case.positive) for case in cases])

    def validate(network: nn.Module) -> dict[str, float]:
        logits = torch.from_numpy(logits_of(network, cases, channels)[:, 0]).float()
        loss = float(functional.binary_cross_entropy_with_logits(logits, truth))
        area = auroc(logits.numpy(), truth.numpy())
        return {SCORE: -loss} | ({} if area is None else {"validation/auroc": area})

    return validate
