"""Training of the per-irAE classifiers on organ crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from irae.core.anatomy import Irae
from irae.core.volume import Quantity
from irae.models.crops import BASELINE, CropSpec, stacked
from irae.models.nets import build_network
from irae.models.package import Channel
from irae.quant.resample import OUTSIDE
from irae.training.augment import Deform, HuChange, MrChange, changed_hu, changed_mr, crop_field, sample
from irae.training.data import LabelledCrops
from irae.training.loop import Batch, Budget, Optimiser, Report, Upkeep, Validate, fit

_MASK = Channel("organ", 0.0, 1.0)
_PET = Channel("pet_present", 0.0, 1.0)
_BASELINE = Channel("baseline_present", 0.0, 1.0)


def _seen(source: str, low: float, high: float) -> Channel:
    """An image, shown at and near its organ: over a whole box, hot kidneys and bladder drown a colon.

    For colon and lungs only. A liver is dark or hot against its neighbours, and a small organ's mask is off by too much
    of it to be a gate: both did worse so (measured).
    """
    return Channel(source, low, high, gated=True)


# The box holds the organ of a large adult; spacing is what its disease needs and a small network can take in.
# CT is seen twice, widely and in a soft-tissue window; PET saturates where every reader would say "very hot". The
# baseline is seen in the narrower window alone.
CROPS: dict[Irae, CropSpec] = {
    Irae.COLITIS: CropSpec(
        (56, 40, 64), 6.0,
        (_seen("ct", -1000.0, 400.0), _seen("ct", -120.0, 160.0), _seen("pet", 0.0, 8.0), _PET, _MASK,
         _seen("baseline_ct", -120.0, 160.0), _seen("baseline_pet", 0.0, 8.0), _BASELINE),
    ),
    Irae.PNEUMONITIS: CropSpec(
        (56, 40, 56), 6.0,
        (_seen("ct", -1000.0, 200.0), _seen("ct", -950.0, -450.0), _seen("pet", 0.0, 5.0), _PET, _MASK,
         _seen("baseline_ct", -950.0, -450.0), _seen("baseline_pet", 0.0, 5.0), _BASELINE),
    ),
    Irae.THYROIDITIS: CropSpec(
        (40, 32, 40), 2.5,
        (Channel("ct", -200.0, 300.0), Channel("ct", 0.0, 200.0), Channel("pet", 0.0, 7.0), _PET, _MASK,
         Channel("baseline_ct", 0.0, 200.0), Channel("baseline_pet", 0.0, 7.0), _BASELINE),
    ),
    Irae.HEPATITIS: CropSpec(
        (56, 48, 48), 5.0,
        (Channel("ct", -200.0, 250.0), Channel("ct", 0.0, 160.0), Channel("pet", 0.0, 5.0), _PET, _MASK,
         Channel("baseline_ct", 0.0, 160.0), Channel("baseline_pet", 0.0, 5.0), _BASELINE),
    ),
    Irae.HYPOPHYSITIS: CropSpec(
        (40, 40, 40), 1.0,
        (Channel("mr", 0.0, 1.2), Channel("mr", 0.2, 0.8), _MASK, Channel("baseline_mr", 0.0, 1.2), _BASELINE),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPlan:
    """One training run.

    Attributes:
        network, arguments: A row of ``nets.NETWORKS`` and its arguments.
        channels, budget, seed, batch, optimiser, upkeep, deform, hu, mr: As they say.
        pet_dropped, baseline_dropped: Share of the crops whose PET, or baseline, is hidden.
        label_smoothing: The truth 0 or 1 is learnt as half of this away from it.
        severity_weight: Weight of the severity's loss beside the irAE's.
        shift_voxels, pet_gain: Of the augmentation.
        misplaced_voxels: How far a baseline may lie off beyond the shift of its organ.
    """

    network: str
    arguments: dict[str, Any]
    channels: tuple[Channel, ...]
    budget: Budget
    seed: int = 0
    batch: int = 8
    pet_dropped: float = 0.4
    baseline_dropped: float = 0.4
    label_smoothing: float = 0.05
    severity_weight: float = 0.3
    misplaced_voxels: int = 2
    shift_voxels: float = 3.0
    pet_gain: float = 0.15
    optimiser: Optimiser = field(default_factory=Optimiser)
    upkeep: Upkeep = field(default_factory=Upkeep)
    deform: Deform = field(default_factory=lambda: Deform(rotate_deg=10.0, scale=0.08, stretch=0.05, bend_voxels=1.0))
    hu: HuChange = field(default_factory=lambda: HuChange(offset_hu=8.0, gain=0.02, noise_hu=30.0, cut_share=0.0))
    mr: MrChange = field(default_factory=MrChange)


def train_classifier(
    cases: Sequence[LabelledCrops],
    plan: ClassificationPlan,
    *,
    device: torch.device,
    dtype: torch.dtype | None,
    start: nn.Module | None = None,
    report: Report | None = None,
    validate: Validate | None = None,
) -> nn.Module:
    """A trained network (on the device, in eval mode): the irAE's logit, and those of its severity if it has outputs.

    It goes on from ``start`` where that is given. Every batch is half positive, half negative, with PET and baseline
    hidden alike in both halves; irAEs without any sign are left out.

    Raises:
        ValueError: If one class is absent from the cases.
        FloatingPointError: If the loss diverges.
    """
    shown = [case for case in cases if not case.hidden]
    groups = [[c for c in shown if c.positive], [c for c in shown if not c.positive]]
    if not all(groups):
        raise ValueError(f"training needs both classes, got {len(groups[0])} positive and {len(groups[1])} negative")
    torch.manual_seed(plan.seed)
    network = (start if start is not None else build_network(plan.network, plan.arguments)).to(device)

    def draw(rng: np.random.Generator) -> Batch:
        images, truth = [], []
        shown = Shown()
        for n in range(plan.batch):
            case = groups[n % 2][int(rng.integers(len(groups[n % 2])))]
            # A pair of a positive and a negative case: what is not shown must not tell them apart.
            shown = Shown.drawn(rng, plan) if n % 2 == 0 else shown
            images.append(augmented(rng, case, plan, shown))
            truth.append(targets(case))
        return torch.stack(images), torch.tensor(truth)

    def loss_of(called: nn.Module, batch: Batch) -> torch.Tensor:
        images, truth = (part.to(device) for part in batch)
        with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            logits = called(images)
        return loss_on(logits.float(), truth, plan)

    return fit(network, draw, loss_of, plan=plan, seed=plan.seed, cases=len(cases), report=report, validate=validate)


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a case a network is shown."""

    pet: bool = True
    baseline: bool = True

    @classmethod
    def drawn(cls, rng: np.random.Generator, plan: ClassificationPlan) -> Shown:
        """At random, as a plan has it."""
        return cls(rng.random() >= plan.pet_dropped, rng.random() >= plan.baseline_dropped)

    def sources(self, crops: Iterable[str]) -> list[str]:
        """Those of the crops that are shown."""
        return [
            source for source in crops
            if (self.pet or not source.endswith("pet")) and (self.baseline or not source.startswith(BASELINE))
        ]


def targets(case: LabelledCrops) -> list[float]:
    """The truth of a case: irAE, severity at least 1, at least 2, 3; each 0 or 1, not a number where not learnt from.

    Severity is learnt from cases that have the irAE: how severe it is, not again whether it is there.
    """
    if case.severity is None or not case.positive:
        return [float(case.positive), *[float("nan")] * 3]
    return [float(case.positive), *(float(case.severity >= step) for step in (1, 2, 3))]


def loss_on(logits: torch.Tensor, truth: torch.Tensor, plan: ClassificationPlan) -> torch.Tensor:
    """Binary cross-entropy of (n, 1) or (n, 4) logits against (n, 4) targets; severity counts where it is known."""
    smooth = truth[:, 0] * (1.0 - plan.label_smoothing) + 0.5 * plan.label_smoothing
    loss = functional.binary_cross_entropy_with_logits(logits[:, 0], smooth)
    known = ~torch.isnan(truth[:, 1:])
    if logits.shape[1] > 1 and bool(known.any()):
        severity = functional.binary_cross_entropy_with_logits(logits[:, 1:][known], truth[:, 1:][known])
        loss = loss + plan.severity_weight * severity
    return loss


def augmented(
    rng: np.random.Generator, case: LabelledCrops, plan: ClassificationPlan, shown: Shown
) -> torch.Tensor:
    """One case as another day, scanner and segmentation might show it: (C, *patch) in 0..1."""
    shape = case.crops["organ"].shape
    centre = (np.array(shape) - 1) / 2.0 + rng.uniform(-plan.shift_voxels, plan.shift_voxels, 3)
    crop = crop_field(rng, centre.tolist(), shape, shape, plan.deform)
    off = rng.integers(-plan.misplaced_voxels, plan.misplaced_voxels + 1, 3).tolist()
    moved: dict[str, torch.Tensor] = {}
    for source in shown.sources(case.crops):
        outside = OUTSIDE[Quantity.HU] if source.endswith("ct") else 0.0
        image = sample(
            torch.from_numpy(np.array(case.crops[source], dtype=np.float32))[None], crop, outside=outside
        )
        if source.startswith(BASELINE):
            image = torch.roll(image, off, dims=(1, 2, 3))
        match source.removeprefix(BASELINE):
            case "ct":
                image = changed_hu(rng, image, plan.hu)
            case "mr":
                image = changed_mr(rng, image, plan.mr)
            case "pet":
                image = image * float(1.0 + rng.uniform(-plan.pet_gain, plan.pet_gain))
            case "organ":
                image = _resegmented(rng, image)
        moved[source] = image
    return stacked({source: image[0] for source, image in moved.items()}, plan.channels)


def _resegmented(rng: np.random.Generator, organ: torch.Tensor) -> torch.Tensor:
    """A region as another mask of the organ would give it: fuller or thinner, displaced, with a part not found."""
    shift = rng.integers(-2, 3, 3).tolist()
    out = torch.roll(organ, shift, dims=(1, 2, 3)) * float(rng.uniform(0.5, 1.4))
    if rng.random() < 0.25:
        size = [int(n * rng.uniform(0.15, 0.4)) for n in out.shape[1:]]
        low = [int(rng.integers(0, n - part + 1)) for n, part in zip(out.shape[1:], size, strict=True)]
        box = tuple(slice(start, start + part) for start, part in zip(low, size, strict=True))
        out[(0, *box)] = 0.0
    return out.clamp(0.0, 1.0)


def logits_of(
    network: nn.Module, cases: Sequence[LabelledCrops], channels: Sequence[Channel], *, shown: Shown = Shown()
) -> NDArray[np.float64]:
    """A network's answers on cases as they are, in float32: (cases, outputs)."""
    device = next(network.parameters()).device
    answers = []
    with torch.inference_mode():
        for case in cases:
            crops = {
                source: torch.from_numpy(np.array(array, dtype=np.float32))
                for source, array in case.crops.items() if source in shown.sources(case.crops)
            }
            answers.append(network(stacked(crops, channels)[None].to(device))[0].cpu().numpy().astype(np.float64))
    return np.array(answers)
