"""Whether a training fits into memory, and what would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from irae.core.geometry import Geometry
from irae.models.tensors import network_grid
from irae.training.settings import FociSettings, SegmentationSettings, Target, VoxelSettings

GIB = 2**30
# float32 image and uint8 labels of a case; twice as many while one is made. Crop centres: 8 bytes x 2000 x classes.
# A PET beside it: float32.
BYTES_A_VOXEL, BYTES_A_CLASS, BYTES_OF_PET = 5, 16_000, 4
# What a coarser network found: a byte for each organ and voxel of its grid, which has a third of the voxels or fewer.
BYTES_OF_FOUND = 0.34
# Bytes of activations, gradients and workspace for each voxel and channel of the first level. Measured on DynUNet with
# 17 classes, float32, a CPU: 141 (16 to 128 channels, 64^3), 146 (the same, 48^3), 234 (8 to 32 channels, 32^3).
BYTES_A_CHANNEL = 250
# Interpreter, torch, MONAI and MLflow; 0.6 GiB measured before the first step, more with MLflow.
BASE_BYTES = 1.2 * GIB


def available_bytes() -> float:
    """Memory that a program can take now: the machine's, or its container's where that is less."""
    found = [float("inf")]
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        found.append(float(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        found.append(float(text) - float(used.read_text()))
    return min(found)


def step_bytes(settings: VoxelSettings) -> float:
    """Memory that one training step takes."""
    return float(BYTES_A_CHANNEL * settings.batch * settings.filters[0] * np.prod(settings.patch))


def case_bytes(grid: Geometry, settings: VoxelSettings, spacing_mm: float) -> float:
    """Memory that a case on the network's grid takes."""
    voxels = float(np.prod(network_grid(grid, spacing_mm).shape))
    beside = BYTES_OF_PET if isinstance(settings, FociSettings) else 0.0
    if isinstance(settings, SegmentationSettings) and settings.target is Target.organs_fine:
        beside = BYTES_OF_FOUND * len(settings.labels)
    return (BYTES_A_VOXEL + beside) * voxels + BYTES_A_CLASS * (len(settings.labels) + 1)


def shortage(
    grids: Sequence[Geometry], settings: VoxelSettings, *, on_disk: bool, available: float
) -> str:
    """A sentence on what does not fit and what would; empty where all fits.

    Args:
        grids: Of the images of the training and validation cases.
        settings: The task.
        on_disk: Whether cases are kept on disk, and only one or two at a time in memory.
        available: Bytes; see ``available_bytes``.
    """
    fixed = BASE_BYTES + step_bytes(settings)
    of_cases = [case_bytes(grid, settings, settings.spacing_mm) for grid in grids]
    held = 3 * max(of_cases, default=0.0) if on_disk else sum(of_cases) + max(of_cases, default=0.0)
    if fixed + held <= available:
        return ""
    text = (
        f"needs about {(fixed + held) / GIB:.1f} GiB ({held / GIB:.1f} for {len(grids)} cases, {fixed / GIB:.1f} for "
        f"the network at batch {settings.batch}, patch {settings.patch}), and {available / GIB:.1f} GiB are free"
    )
    left = available - fixed
    if left <= 0:
        return f"{text}; a smaller task.batch, task.patch or task.filters would have to come first"
    fits = []
    if not on_disk:
        fits.append("data.cache=disk")
        coarser = next((
            mm for mm in np.arange(settings.spacing_mm, 12.1, 0.5)
            if sum(case_bytes(grid, settings, float(mm)) for grid in grids) <= 0.9 * left
        ), None)
        if coarser is not None:
            fits.append(f"task.spacing_mm={coarser:g}")
        count = int(np.searchsorted(np.cumsum(sorted(of_cases)), 0.9 * left))
        fits.append(f"{count} of the cases")
    return f"{text}; what would fit: {', or '.join(fits) if fits else 'a coarser task.spacing_mm'}"
