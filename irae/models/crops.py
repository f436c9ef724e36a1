"""What a classifier sees: a box around one organ, from CT (with PET where there is one) or from MR, with the mask.

Beside it, where the patient's earlier images are at hand, the same box around the same organ then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import IRAE_ORGANS, Irae
from irae.core.baseline import BaselineImages
from irae.core.exam import Exam
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.models.package import Channel
from irae.models.tensors import crop_grid, mask_crop, mr_levels, scaled, volume_crop


@dataclass(frozen=True, slots=True)
class CropSpec:
    """The input contract of one irAE's classifier: crop in voxels, isotropic spacing, channels."""

    patch: tuple[int, int, int]
    spacing_mm: float
    channels: tuple[Channel, ...]


# The mask only says where to look. Sharp, it would say more: a true mask shows how thick a wall or how tall a gland is,
# a network learns to read that off, and then fails on found masks, which do not show it (measured: logits of colitis
# fell from +6 on true to -6 on found masks).
REGION_VOXELS = 3.0
# Gated channels are shown in full where the region reaches this, and fade to 0 outside it: the organ and some two
# voxels around it.
GATE = 0.2
BASELINE = "baseline_"
# Raw crops by source: ct in HU, pet in SUVbw (where there is one), mr normalised, organ as a smooth region 0..1;
# baseline_ct, baseline_pet, baseline_mr alike.
Crops = Mapping[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True, eq=False, slots=True)
class OrganCrops:
    """Raw crops around one organ, and the grid on which they lie now."""

    crops: Crops
    grid: Geometry


def organ_crops(
    exam: Exam,
    organs: LabelMap | None,
    pituitary: LabelMap | None,
    *,
    irae: Irae,
    patch: tuple[int, int, int],
    spacing_mm: float,
    baseline: BaselineImages | None = None,
) -> OrganCrops | None:
    """The raw crops around the organ of an irAE; None where its image is missing or the organ was not seen.

    The box is centred on the middle of the organ's extent, in RAS axes whatever the axes of the images. At the baseline
    it is centred on the organ's extent then: the two are registered by a shift of the organ, no more. A baseline on
    which the irAE was suspected, or that does not show the organ, is left out.
    """
    grid = _organ_grid(organs if irae is not Irae.HYPOPHYSITIS else pituitary, irae, patch, spacing_mm)
    now = None if grid is None else _images(exam, irae, grid)
    if grid is None or now is None:
        return None
    labels = pituitary if irae is Irae.HYPOPHYSITIS else organs
    assert labels is not None
    crops = dict(now)
    mask = mask_crop(labels, _names(labels, irae), grid)
    crops["organ"] = ndimage.gaussian_filter(mask, REGION_VOXELS)
    if baseline is not None and irae not in baseline.suspected:
        before = baseline.pituitary if irae is Irae.HYPOPHYSITIS else baseline.organs
        then = _organ_grid(before, irae, patch, spacing_mm)
        earlier = None if then is None else _images(baseline, irae, then)
        crops |= {f"{BASELINE}{source}": array for source, array in (earlier or {}).items()}
    return OrganCrops(crops, grid)


def _names(labels: LabelMap, irae: Irae) -> list[str]:
    return [organ for organ in IRAE_ORGANS[irae] if labels.seen(organ)]


def _organ_grid(
    labels: LabelMap | None, irae: Irae, patch: tuple[int, int, int], spacing_mm: float
) -> Geometry | None:
    """The box around the organ of an irAE; None where it was not seen."""
    names = [] if labels is None else _names(labels, irae)
    if labels is None or not names:
        return None
    mask = labels.mask(*names)
    if not mask.any():
        return None
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append((occupied[0], occupied[-1]))
    corners = labels.geometry.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))
    return crop_grid((corners.min(axis=0) + corners.max(axis=0)) / 2.0, patch, spacing_mm)


def _images(images: Exam | BaselineImages, irae: Irae, grid: Geometry) -> dict[str, NDArray[np.float32]] | None:
    """The images of an irAE on a grid; None where the one it is looked for on is missing."""
    if irae is Irae.HYPOPHYSITIS:
        if images.mr is None:
            return None
        low, high = mr_levels(images.mr.array)
        return {"mr": np.maximum((volume_crop(images.mr, grid) - low) / (high - low), 0.0).astype(np.float32)}
    if images.ct is None:
        return None
    crops = {"ct": volume_crop(images.ct, grid)}
    if images.pet is not None:
        crops["pet"] = volume_crop(images.pet, grid)
    return crops


def has_baseline(crops: Mapping[str, object]) -> bool:
    """Whether any crop is of the baseline."""
    return any(source.startswith(BASELINE) for source in crops)


def stacked(crops: Mapping[str, torch.Tensor], channels: Sequence[Channel]) -> torch.Tensor:
    """(C, I, J, K) network input in 0..1. Channels of a missing PET or baseline are 0, and ``*_present`` says so.

    Gated channels fade to 0 away from the organ.

    Args:
        crops: (I, J, K) tensors by source.
        channels: Of the card.
    """
    shape = crops["organ"].shape
    gate = (crops["organ"] / GATE).clamp(0.0, 1.0)
    present = {"pet_present": "pet" in crops, "baseline_present": has_baseline(crops)}
    layers = []
    for channel in channels:
        source = channel.source
        if source in present:
            layers.append(torch.full(shape, 1.0 if present[source] else 0.0))
        elif source not in crops and (source == "pet" or source.startswith(BASELINE)):
            layers.append(torch.zeros(shape))
        else:
            layer = scaled(crops[source], channel)
            layers.append(layer * gate if channel.gated else layer)
    return torch.stack(layers)
