"""What every training loop shares: the budget, the optimiser and its schedule, and the loop itself.

The batch of a step depends on the seed and the number of the step alone. So batches can be drawn ahead in a thread, and
a training that was interrupted goes on exactly as if it had not been.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset

from irae.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from irae.training.distributed import agreed, gathered, leads, rank, world_size, wrapped

# Called once an epoch with the step and the numbers of that moment; the tracker and the progress bar listen here.
Report = Callable[[int, dict[str, float]], None]
# An epoch is this share of the budget: crops are drawn at random, so there is no pass over the data to count.
REPORTS = 50
Batch = tuple[torch.Tensor, ...]
Draw = Callable[[np.random.Generator], Batch]
Loss = Callable[[nn.Module, Batch], torch.Tensor]
# Gives numbers by name; SCORE is the one that must rise.
Validate = Callable[[nn.Module], dict[str, float]]
SCORE = "validation/score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a training ends: after ``steps``, or earlier after ``cpu_minutes`` of this process (0: no limit).

    A run bounded by steps gives the same weights every time on one machine; a run bounded by minutes does not.
    """

    steps: int
    cpu_minutes: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.cpu_minutes < 0:
            raise ValueError(f"budget needs steps >= 1 and cpu_minutes >= 0, got {self.steps} and {self.cpu_minutes}")

    def clock(self, used_s: float = 0.0) -> Clock:
        """Starts the budget, of which some CPU seconds may be used already."""
        return Clock(self, time.process_time() - used_s)


@dataclass(frozen=True, slots=True)
class Clock:
    """A budget that is running."""

    budget: Budget
    started: float

    @property
    def used_s(self) -> float:
        """CPU seconds used."""
        return time.process_time() - self.started

    def share(self, step: int) -> float:
        """How much of the budget is used after a number of steps, 0..1; the leader's share in every process."""
        share = step / self.budget.steps
        if self.budget.cpu_minutes:
            share = agreed(max(share, self.used_s / (60.0 * self.budget.cpu_minutes)))
        return min(1.0, share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """AdamW with a short warm-up and a cosine to zero over the budget."""

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.03
    clip_norm: float = 5.0

    def build(self, network: nn.Module) -> torch.optim.AdamW:
        """The optimiser of a network's parameters."""
        return torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)

    def rate(self, share: float) -> float:
        """The learning rate when this share of the budget is used."""
        rising = min(1.0, share / self.warm_up) if self.warm_up else 1.0
        return self.learning_rate * max(0.01, rising) * (0.5 + 0.5 * math.cos(math.pi * share))

    def backward(self, loss: torch.Tensor, *, parts: int = 1) -> float:
        """Adds the gradients of one of several batches of a step; returns its loss.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}; training stops")
        (loss / parts).backward()  # type: ignore[no-untyped-call]
        return value

    def update(self, optimiser: torch.optim.AdamW, network: nn.Module, share: float) -> None:
        """One update with the gradients collected, which are then cleared."""
        for group in optimiser.param_groups:
            group["lr"] = self.rate(share)
        nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What a training does beside its steps.

    Attributes:
        ema: Decay of the exponential moving average of the weights, which is then the result; 0: none.
        accumulate: Batches whose gradients make one step.
        patience: Validations without improvement after which the training stops; 0: it never stops early. The best
            validated weights are the result in either case.
        validate_every: Epochs (``REPORTS`` a training) from one validation to the next.
        ahead: Batches drawn ahead in a thread.
        checkpoint: File that holds the state at the end of each epoch; None: none is kept.
        resume: Go on from that file, if it is there.
    """

    ema: float = 0.0
    accumulate: int = 1
    patience: int = 0
    validate_every: int = 5
    ahead: int = 2
    checkpoint: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"ema must be 0 (none) to under 1, got {self.ema}")
        if self.accumulate < 1 or self.validate_every < 1 or self.ahead < 1 or self.patience < 0:
            raise ValueError(f"accumulate, validate_every and ahead must be at least 1, patience 0 or more; got {self}")


def fit(
    network: nn.Module, draw: Draw, loss_of: Loss, *, plan: Any, seed: int, cases: int,
    report: Report | None = None, validate: Validate | None = None,
) -> nn.Module:
    """Trains a network and returns it in eval mode: the best validated weights, else the averaged, else the last.

    Args:
        network: On its device.
        draw: Makes a batch from a generator. It is called in a thread, and must not use torch's own random numbers.
        loss_of: The loss of the network on a batch.
        plan: Has ``budget``, ``optimiser`` and ``upkeep``; a checkpoint of any other plan is refused.
        seed: Of the batches. Each process draws its own.
        cases: How many cases batches are drawn from, for the checkpoint's fingerprint.
        report: Gets (step, {"loss", "learning_rate", "share", ...}) once an epoch.
        validate: Measures the network on cases of their own; in the leading process.

    Raises:
        FloatingPointError: If the loss diverges.
        CheckpointError: If the checkpoint to go on from belongs to another training.
    """
    optimiser, upkeep, budget = plan.optimiser, plan.upkeep, plan.budget
    course = _Course(network, plan, _fingerprint(plan, cases))
    if upkeep.resume and upkeep.checkpoint is not None and upkeep.checkpoint.is_file():
        course.go_on_from(upkeep.checkpoint)
    clock: Clock = budget.clock(course.seconds)
    every = max(1, budget.steps // REPORTS)
    called = wrapped(network.train())
    losses: list[float] = []
    share = 1.0 if course.finished else clock.share(course.step)
    batches = _drawn_ahead(draw, seed, course.step * upkeep.accumulate, budget.steps * upkeep.accumulate, upkeep.ahead)
    with closing(batches):
        while share < 1.0 and not course.finished:
            for part in range(upkeep.accumulate):
                with _unsynchronised(called, part < upkeep.accumulate - 1):
                    losses.append(optimiser.backward(loss_of(called, next(batches)), parts=upkeep.accumulate))
            optimiser.update(course.optimiser, network, share)
            course.stepped()
            share = clock.share(course.step)
            if course.step % every and share < 1.0:
                continue
            numbers = {"loss": float(np.mean(losses)), "learning_rate": optimiser.rate(share), "share": share}
            losses.clear()
            if validate is not None and (course.step % (every * upkeep.validate_every) == 0 or share >= 1.0):
                numbers |= course.validated(validate)
            course.finished |= share >= 1.0
            if report is not None:
                report(course.step, numbers)
            course.save(clock.used_s)
    return course.result()


class _Course:
    """The state of one training."""

    def __init__(self, network: nn.Module, plan: Any, fingerprint: str) -> None:
        self.network, self.upkeep, self.fingerprint = network, plan.upkeep, fingerprint
        self.optimiser: torch.optim.AdamW = plan.optimiser.build(network)
        self.averaged = None
        if self.upkeep.ema:
            averaging = get_ema_multi_avg_fn(self.upkeep.ema)
            self.averaged = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        self.step, self.seconds, self.stale, self.finished = 0, 0.0, 0, False
        self.best: dict[str, torch.Tensor] = {}
        self.best_score: float | None = None

    @property
    def current(self) -> nn.Module:
        """The network that would be the result now."""
        return self.network if self.averaged is None else self.averaged.module

    def stepped(self) -> None:
        self.step += 1
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def validated(self, validate: Validate) -> dict[str, float]:
        """Measures the network, remembers it if it is the best so far, and sees whether it is time to stop."""
        measured: dict[str, float] = {}
        if leads():
            training = self.current.training
            measured = validate(self.current.eval())
            self.current.train(training)
        measured = agreed(measured)
        score = measured[SCORE]
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best, self.stale = score, deepcopy(self.current.state_dict()), 0
        else:
            self.stale += 1
        self.finished |= bool(self.upkeep.patience) and self.stale >= self.upkeep.patience
        return measured

    def result(self) -> nn.Module:
        if self.best:
            self.network.load_state_dict(self.best)
        elif self.averaged is not None:
            self.network.load_state_dict(self.averaged.module.state_dict())
        return self.network.eval()

    def save(self, seconds: float) -> None:
        if self.upkeep.checkpoint is None:
            return
        generators = gathered(torch.get_rng_state())
        if leads():
            save_checkpoint(self.upkeep.checkpoint, Checkpoint(
                fingerprint=self.fingerprint, step=self.step, seconds=seconds, network=self.network.state_dict(),
                optimiser=self.optimiser.state_dict(), generators=generators,
                averaged={} if self.averaged is None else self.averaged.state_dict(), best=self.best,
                best_score=self.best_score, stale=self.stale, finished=self.finished,
            ))

    def go_on_from(self, path: Path) -> None:
        kept = load_checkpoint(path, self.fingerprint)
        self.network.load_state_dict(kept.network)
        self.optimiser.load_state_dict(kept.optimiser)
        if self.averaged is not None:
            self.averaged.load_state_dict(kept.averaged)
        torch.set_rng_state(kept.generators[rank()])
        self.step, self.seconds, self.stale, self.finished = kept.step, kept.seconds, kept.stale, kept.finished
        self.best, self.best_score = kept.best, kept.best_score


class _Batches(Dataset[Batch | Exception]):
    """Batch n of a training. What goes wrong in drawing is handed over: an exception in a thread would be lost."""

    def __init__(self, draw: Draw, seed: int, first: int, stop: int) -> None:
        self._draw, self._seed, self._first, self._stop = draw, seed, first, stop

    def __len__(self) -> int:
        return self._stop - self._first

    def __getitem__(self, index: int) -> Batch | Exception:
        if not 0 <= index < len(self):
            raise IndexError(index)
        try:
            return self._draw(np.random.default_rng([self._seed, 2, rank(), self._first + index]))
        except Exception as error:
            return error


def _drawn_ahead(draw: Draw, seed: int, first: int, stop: int, ahead: int) -> Generator[Batch, None, None]:
    from monai.data import ThreadDataLoader

    # A generator of its own: the loader would otherwise take random numbers from those that dropout uses.
    loader = ThreadDataLoader(
        _Batches(draw, seed, first, stop), buffer_size=ahead, batch_size=None, shuffle=False, num_workers=0,
        generator=torch.Generator(), collate_fn=lambda batch: batch,
    )
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _unsynchronised(called: nn.Module, wanted: bool) -> Any:
    return called.no_sync() if wanted and isinstance(called, DistributedDataParallel) else nullcontext()


def _fingerprint(plan: Any, cases: int) -> str:
    same = replace(plan, upkeep=replace(plan.upkeep, checkpoint=None, resume=False, ahead=1))
    return hashlib.sha256(f"{same!r} {cases} {world_size()}".encode()).hexdigest()
