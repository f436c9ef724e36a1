"""The state of a training between two steps, on disk: whole or not at all, tensors and plain data only."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from irae.io.atomic import written_aside

SCHEMA = "irae.checkpoint/1"
State = dict[str, Any]


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on from, and why."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Checkpoint:
    """Everything that the next step depends on.

    Attributes:
        fingerprint: Of the plan and the number of cases; another plan cannot go on from here.
        step: Steps done. seconds: CPU time they took. finished: Whether the training had ended.
        network, averaged, optimiser: State dictionaries; averaged is empty without EMA.
        generators: State of torch's random generator in each process, by rank.
        best: The best validated weights so far; empty without validation. best_score: Theirs.
        stale: Validations since then without anything better.
    """

    fingerprint: str
    step: int
    seconds: float
    network: State
    optimiser: State
    generators: list[torch.Tensor]
    averaged: State = field(default_factory=dict)
    best: State = field(default_factory=dict)
    best_score: float | None = None
    stale: int = 0
    finished: bool = False


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in the place of an older one."""
    document = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    with written_aside(path) as aside:
        torch.save({"schema": SCHEMA} | document, aside)


def load_checkpoint(path: Path, fingerprint: str) -> Checkpoint:
    """Reads a checkpoint; a pickle that holds more than tensors and plain data is refused by torch (``weights_only``).

    Raises:
        CheckpointError: If it does not read, or belongs to another plan.
    """
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
        if document.pop("schema") != SCHEMA:
            raise KeyError("schema")
        checkpoint = Checkpoint(**document)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"checkpoint {path.name} does not read: {reason}") from error
    if checkpoint.fingerprint != fingerprint:
        raise CheckpointError(
            f"checkpoint {path.name} belongs to another training (other settings, cases or number of processes); start "
            "without resume=true, or with the settings it was made with"
        )
    return checkpoint
