"""Several processes that train one network (``torchrun``): who leads, and what they tell each other.

Without torchrun there is one process, it leads, and nothing here talks to anyone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def process_group(*, on_gpu: bool) -> Iterator[None]:
    """Joins the group that torchrun set up (gloo on CPUs, nccl on GPUs); does nothing in a process started alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield
        return
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
        distributed.barrier()  # nobody hangs up while another still listens: gloo can abort the one that does
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process in its group, from 0."""
    return distributed.get_rank() if _grouped() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _grouped() else 1


def leads() -> bool:
    """Whether this process validates, reports, writes packages and records runs."""
    return rank() == 0


def wrapped(network: nn.Module) -> nn.Module:
    """The network as it is called in a training step: gradients are averaged over the group's processes."""
    if not _grouped():
        return network
    return DistributedDataParallel(network)


def agreed(value: Any) -> Any:
    """The leader's value, in every process."""
    if not _grouped():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gathered(value: Any) -> list[Any]:
    """Every process's value, by rank."""
    if not _grouped():
        return [value]
    box: list[Any] = [None] * world_size()
    distributed.all_gather_object(box, value)
    return box


def _grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()
