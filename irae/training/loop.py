"""What every training loop shares: the budget, the optimiser and its schedule, seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

# Called now and then with the step and the numbers of that moment; the tracker and the progress bar listen here.
Report = Callable[[int, dict[str, float]], None]
REPORTS = 50


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

    def clock(self) -> Clock:
        """Starts the budget."""
        return Clock(self, time.process_time())


@dataclass(frozen=True, slots=True)
class Clock:
    """A budget that is running."""

    budget: Budget
    started: float

    def share(self, step: int) -> float:
        """How much of the budget is used after a number of steps, 0..1."""
        share = step / self.budget.steps
        if self.budget.cpu_minutes:
            share = max(share, (time.process_time() - self.started) / (60.0 * self.budget.cpu_minutes))
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

    def step(self, optimiser: torch.optim.AdamW, network: nn.Module, loss: torch.Tensor, share: float) -> float:
        """One update; returns the loss.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}; training stops")
        for group in optimiser.param_groups:
            group["lr"] = self.rate(share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        optimiser.step()
        return value
