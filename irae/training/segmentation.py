"""Training of segmentation networks on class-balanced crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irae.core.volume import Quantity
from irae.models.nets import build_network
from irae.models.package import Channel
from irae.models.tensors import finer, scaled
from irae.quant.resample import OUTSIDE
from irae.training.augment import (
    Deform,
    FoundChange,
    HuChange,
    MrChange,
    SuvChange,
    changed_found,
    changed_hu,
    changed_mr,
    changed_suv,
    crop_field,
    cut_axially,
    field_on,
    sample,
)
from irae.training.loop import Batch, Budget, Optimiser, Report, Upkeep, Validate, fit

# Voxels remembered per class and case as possible crop centres.
CENTRES = 2000
# Weight of a class in the loss: its share of voxels against the organs' geometric mean, to this power, within limits.
WEIGHT_POWER, WEIGHTS = 0.4, (0.25, 4.0)


@dataclass(frozen=True, eq=False, slots=True)
class SegmentationCase:
    """An image on the network's grid with its truth.

    Attributes:
        image: (I, J, K) float32: HU, or MR normalised by ``tensors.mr_normalised``.
        labels: (I, J, K) uint8: 0 background, n the n-th label of the task.
        quantity: HU or MR signal.
        pet: (I, J, K) float32, SUVbw beside a CT; None where the network takes none.
        found: (organs, ...) uint8 on any grid over the same box: 255 times the probability of each organ that a coarser
            network was asked for, in its order; None where the network takes none.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    quantity: Quantity
    pet: NDArray[np.float32] | None = None
    found: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        for name, array in (("labels", self.labels), ("pet", self.pet)):
            if array is not None and array.shape != self.image.shape:
                raise ValueError(f"image {self.image.shape} and {name} {array.shape} differ in shape")

    def channels(self, channels: Sequence[Channel]) -> torch.Tensor:
        """(channels, I, J, K) float32 in 0..1: the whole case as the network is shown it."""
        image = torch.from_numpy(self.image)
        pet = None if self.pet is None else torch.from_numpy(self.pet)
        found = None if self.found is None else finer(torch.from_numpy(self.found) / 255.0, self.image.shape)
        return shown(image[None], None if pet is None else pet[None], channels, found)


def shown(
    image: torch.Tensor, pet: torch.Tensor | None, channels: Sequence[Channel], found: torch.Tensor | None = None
) -> torch.Tensor:
    """The channels of a network from a (1, I, J, K) CT or MR and the PET and the coarse organs beside it.

    Raises:
        ValueError: If a channel is of a PET or a coarse organ, and there is none.
    """
    organs = iter(()) if found is None else iter(found)
    parts = []
    for channel in channels:
        if channel.source == "pet" and pet is None:
            raise ValueError("a channel is of a PET, and the case has none")
        values = pet if pet is not None and channel.source == "pet" else image
        if channel.found is not None:
            coarse = next(organs, None)
            if coarse is None:
                raise ValueError(f"a channel is {channel.source}, and the case has no such coarse organ")
            values = coarse[None]
        parts.append(scaled(values, channel))
    return torch.cat(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationPlan:
    """One training run. ``network`` and ``arguments``: a row of ``nets.NETWORKS`` and its arguments."""

    network: str
    arguments: dict[str, Any]
    patch: tuple[int, int, int]
    channels: tuple[Channel, ...]
    classes: int
    budget: Budget
    seed: int = 0
    batch: int = 2
    background_share: float = 0.1
    optimiser: Optimiser = field(default_factory=Optimiser)
    upkeep: Upkeep = field(default_factory=Upkeep)
    deform: Deform = field(default_factory=Deform)
    hu: HuChange = field(default_factory=HuChange)
    suv: SuvChange = field(default_factory=SuvChange)
    found: FoundChange = field(default_factory=FoundChange)
    mr: MrChange = field(default_factory=MrChange)


class BalancedCrops:
    """Random augmented crops in which every class is at the centre equally often, however small its organ."""

    def __init__(self, cases: Sequence[SegmentationCase], plan: SegmentationPlan) -> None:
        if not cases:
            raise ValueError("no cases to train on")
        rng = np.random.default_rng([plan.seed, 1])
        self._cases, self._plan = cases, plan
        self._centres: list[dict[int, NDArray[np.int64]]] = []
        self._holders: dict[int, list[int]] = {}
        for number, case in enumerate(cases):
            centres = {}
            for value in np.unique(case.labels).tolist():
                found = np.flatnonzero(case.labels == value)
                centres[value] = rng.choice(found, CENTRES) if found.size > CENTRES else found
                self._holders.setdefault(value, []).append(number)
            self._centres.append(centres)
        missing = sorted(set(range(1, plan.classes)) - set(self._holders))
        if missing:
            raise ValueError(f"classes {missing} occur in none of the {len(cases)} training cases")
        self._organs = sorted(set(self._holders) - {0})

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """One crop: (channels, *patch) float32 in 0..1 and (1, *patch) class numbers."""
        plan = self._plan
        value = 0 if rng.random() < plan.background_share else int(rng.choice(self._organs))
        number = int(rng.choice(self._holders[value]))
        case = self._cases[number]
        centre = np.unravel_index(int(rng.choice(self._centres[number][value])), case.labels.shape)
        # The organ at the patch's centre only on average: it must be known at the edges of a window too.
        jitter = rng.uniform(-0.35, 0.35, 3) * np.array(plan.patch)
        spot = np.array(centre, dtype=np.float64) + jitter
        crop = crop_field(rng, spot.tolist(), plan.patch, case.labels.shape, plan.deform)
        outside = OUTSIDE[case.quantity]
        image = sample(torch.from_numpy(case.image)[None], crop, outside=outside)
        labels = sample(torch.from_numpy(case.labels)[None].float(), crop, outside=0.0, nearest=True)
        if case.quantity is not Quantity.HU:
            return shown(changed_mr(rng, image, plan.mr), None, plan.channels), labels
        parts, beyond = [changed_hu(rng, image, plan.hu)], [outside]
        if case.pet is not None:
            pet = sample(torch.from_numpy(case.pet)[None], crop, outside=OUTSIDE[Quantity.SUV_BW])
            parts.append(changed_suv(rng, pet, plan.suv))
            beyond.append(OUTSIDE[Quantity.SUV_BW])
        if case.found is not None:
            coarse = field_on(crop, case.labels.shape, case.found.shape[1:])
            found = sample(torch.from_numpy(case.found).float() / 255.0, coarse, outside=0.0)
            parts.append(changed_found(rng, found, plan.found))
            beyond += [0.0] * len(found)
        stack = torch.cat(parts)
        if rng.random() < plan.hu.cut_share:
            stack, labels = cut_axially(rng, stack, labels, outside=torch.tensor(beyond)[:, None, None, None])
        pets = int(case.pet is not None)
        return shown(stack[:1], stack[1:2] if pets else None, plan.channels, stack[1 + pets:]), labels


def class_weights(cases: Sequence[SegmentationCase], classes: int) -> torch.Tensor:
    """How much each class counts in the loss: small organs more, background less, within ``WEIGHTS``.

    Without it a short training learns lungs and liver and leaves the rest for later.
    """
    counts = np.sum([np.bincount(case.labels.ravel(), minlength=classes) for case in cases], axis=0).astype(float)
    relative = np.maximum(counts, 1.0) / np.exp(np.log(np.maximum(counts[1:], 1.0)).mean())
    return torch.tensor(np.clip(relative**-WEIGHT_POWER, *WEIGHTS), dtype=torch.float32)


def train_segmenter(
    cases: Sequence[SegmentationCase],
    plan: SegmentationPlan,
    *,
    device: torch.device,
    dtype: torch.dtype | None,
    start: nn.Module | None = None,
    report: Report | None = None,
    validate: Validate | None = None,
) -> nn.Module:
    """A trained network (on the device, in eval mode).

    Args:
        cases: What to learn from.
        plan: How.
        device: Where to compute. dtype: Of convolutions (autocast); None is float32.
        start: A network to go on from; one with fresh weights where absent.
        report: Gets (step, {"loss", "learning_rate", "share"}) once an epoch.
        validate: See ``loop.fit``.

    Raises:
        ValueError: If a class is in none of the cases.
        FloatingPointError: If the loss diverges.
    """
    from monai.losses import DiceCELoss

    crops = BalancedCrops(cases, plan)
    torch.manual_seed(plan.seed)
    network = (start if start is not None else build_network(plan.network, plan.arguments)).to(device)
    criterion = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True,
        weight=class_weights(cases, plan.classes).to(device),
    )

    def draw(rng: np.random.Generator) -> Batch:
        drawn = [crops.draw(rng) for _ in range(plan.batch)]
        return torch.stack([image for image, _ in drawn]), torch.stack([labels for _, labels in drawn])

    def loss_of(called: nn.Module, batch: Batch) -> torch.Tensor:
        images, labels = (part.to(device) for part in batch)
        with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            logits = called(images)
        loss: torch.Tensor = criterion(logits.float(), labels)
        return loss

    return fit(network, draw, loss_of, plan=plan, seed=plan.seed, cases=len(cases), report=report, validate=validate)
