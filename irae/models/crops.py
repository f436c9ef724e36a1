"""What a classifier sees: a box around one organ, from CT (with PET where there is one) or from MR, with the mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import IRAE_ORGANS, Irae
from irae.core.exam import Exam
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
# Raw crops by source: ct in HU, pet in SUVbw (where there is one), mr normalised, organ as a smooth region 0..1.
Crops = Mapping[str, NDArray[np.floating[Any]]]


def organ_crops(
    exam: Exam,
    organs: LabelMap | None,
    pituitary: LabelMap | None,
    *,
    irae: Irae,
    patch: tuple[int, int, int],
    spacing_mm: float,
) -> Crops | None:
    """The raw crops around the organ of an irAE; None where its image is missing or the organ was not seen.

    The box is centred on the middle of the organ's extent, in RAS axes whatever the axes of the images.
    """
    on_mr = irae is Irae.HYPOPHYSITIS
    labels, image = (pituitary, exam.mr) if on_mr else (organs, exam.ct)
    if labels is None or image is None:
        return None
    names = [organ for organ in IRAE_ORGANS[irae] if labels.seen(organ)]
    mask = labels.mask(*names)
    if not names or not mask.any():
        return None
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append((occupied[0], occupied[-1]))
    corners = labels.geometry.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))
    grid = crop_grid((corners.min(axis=0) + corners.max(axis=0)) / 2.0, patch, spacing_mm)
    region: NDArray[np.float32] = ndimage.gaussian_filter(mask_crop(labels, names, grid), REGION_VOXELS)
    crops: dict[str, NDArray[np.float32]] = {"organ": region}
    if on_mr:
        low, high = mr_levels(image.array)
        crops["mr"] = np.maximum((volume_crop(image, grid) - low) / (high - low), 0.0).astype(np.float32)
        return crops
    crops["ct"] = volume_crop(image, grid)
    if exam.pet is not None:
        crops["pet"] = volume_crop(exam.pet, grid)
    return crops


def stacked(crops: Mapping[str, torch.Tensor], channels: Sequence[Channel]) -> torch.Tensor:
    """(C, I, J, K) network input in 0..1. Without PET its channels are 0, and ``pet_present`` says so.

    Args:
        crops: (I, J, K) tensors by source.
        channels: Of the card.
    """
    shape = crops["organ"].shape
    layers = []
    for channel in channels:
        if channel.source == "pet_present":
            layers.append(torch.full(shape, 1.0 if "pet" in crops else 0.0))
        elif channel.source == "pet" and "pet" not in crops:
            layers.append(torch.zeros(shape))
        else:
            layers.append(scaled(crops[channel.source], channel))
    return torch.stack(layers)
