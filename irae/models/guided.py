"""A network's answer on the image's own grid, drawn along the image's edges.

A network of 6 mm knows where an organ's surface lies to within some millimetres; the image, whose voxels are finer,
shows where the edge is. A guided filter (He, IEEE TPAMI 2013, "Guided image filtering"; to upsample, as in Kopf, ACM
TOG 2007) makes each class's probability a linear function of the image in every small window: it changes where the
image does, and where the image is even it is averaged over the window (what is thin and looks like its
surroundings loses a little).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from irae.models.card import Channel
from irae.models.tensors import drawing_on, linear_weights, scaled, separable

# Changes of this many HU and less are taken as noise (the filter's epsilon, a standard deviation). On 3 synthetic
# PET/CTs 5 and 10 HU gave the same Dice; 20, 40 and 80 less and less.
NOISE_HU = 10.0
# The window is as wide as two of the network's voxels: one on either side of where it saw the surface. Windows of 17
# in place of 12 mm lose thin organs.
WINDOW_VOXELS = 2.0
# Where a class is less probable than this it cannot win.
LEAST = 0.02
# Planes are filtered in slabs of about this many voxels, so that memory does not grow with the image.
SLAB_VOXELS = 8_000_000

Box = tuple[slice, slice, slice]


def guided_labels(
    probabilities: torch.Tensor, image: NDArray[np.float32], spacing_mm: Sequence[float], *, network_mm: float,
    channel: Channel, slab_voxels: int = SLAB_VOXELS,
) -> NDArray[np.uint8]:
    """The most probable class at every voxel of the image, each class's probability guided by the image.

    Args:
        probabilities: (classes, I, J, K) on a coarser grid over the image's box; class 0 is background.
        image: (i, j, k), HU.
        spacing_mm: Of the image.
        network_mm: Spacing of the network's grid.
        channel: The range of HU whose edges count.
        slab_voxels: Filtered at a time; the answer does not depend on it.

    Returns:
        uint8 class numbers.
    """
    classes, *coarse = probabilities.shape
    weights = [linear_weights(n, wanted) for n, wanted in zip(coarse, image.shape, strict=True)]
    # Voxels on either side of a window's middle; none along an axis that is as coarse as the network's.
    reach = [max(0, round((WINDOW_VOXELS * network_mm / step - 1.0) / 2.0)) for step in spacing_mm]
    boxes = [_where(probabilities[number], weights) for number in range(1, classes)]
    labels = np.zeros(image.shape, dtype=np.uint8)
    around = _around([box for box in boxes if box is not None], reach, image.shape)
    if around is None:
        return labels
    plane = (around[0].stop - around[0].start) * (around[1].stop - around[1].start)
    step = max(1, slab_voxels // plane)
    for start in range(around[2].start, around[2].stop, step):
        inner = slice(start, min(start + step, around[2].stop))
        # What a voxel becomes depends on windows of windows around it.
        outer = _grown(inner, 2 * reach[2], image.shape[2])
        slab = (around[0], around[1], outer)
        guide = _Guide.of(image[slab], channel, reach)
        found = _slab_labels(probabilities, weights, boxes, slab, guide)
        labels[around[0], around[1], inner] = found[:, :, inner.start - outer.start : inner.stop - outer.start]
    return labels


@dataclass(frozen=True, eq=False, slots=True)
class _Guide:
    """A part of the image and its mean and variance in each window, on the scale of ``channel``."""

    values: NDArray[np.float32]
    mean: NDArray[np.float32]
    variance: NDArray[np.float32]
    noise: float
    window: tuple[int, ...]

    @classmethod
    def of(cls, hu: NDArray[np.float32], channel: Channel, reach: Sequence[int]) -> _Guide:
        values = scaled(torch.from_numpy(np.array(hu, dtype=np.float32, order="C")), channel).numpy()
        window = tuple(2 * n + 1 for n in reach)
        mean = _mean(values, window)
        variance = np.maximum(_mean(values * values, window) - mean * mean, 0.0)
        return cls(values, mean, variance, NOISE_HU / (channel.high - channel.low), window)

    def followed(self, probability: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
        """A probability over a box of this part as it follows the image."""
        values, mean = self.values[box], self.mean[box]
        average = _mean(probability, self.window)
        slope = (_mean(values * probability, self.window) - mean * average) / (self.variance[box] + self.noise**2)
        rest = average - slope * mean
        found: NDArray[np.float32] = _mean(slope, self.window) * values + _mean(rest, self.window)
        return found


def _slab_labels(
    probabilities: torch.Tensor, weights: Sequence[torch.Tensor], boxes: Sequence[Box | None], slab: Box, guide: _Guide
) -> NDArray[np.uint8]:
    """The winner at each voxel of a slab, class by class against the best so far."""
    best = guide.followed(_interpolated(probabilities[0], weights, slab), (slice(None),) * 3)
    labels = np.zeros(best.shape, dtype=np.uint8)
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        part = tuple(_both(mine, its) for mine, its in zip(box, slab, strict=True))
        if any(one.stop <= one.start for one in part):
            continue
        x, y, z = (
            slice(one.start - its.start, one.stop - its.start) for one, its in zip(part, slab, strict=True)
        )
        mine = guide.followed(_interpolated(probabilities[number], weights, part), (x, y, z))
        wins = mine > best[x, y, z]
        best[x, y, z][wins] = mine[wins]
        labels[x, y, z][wins] = number
    return labels


def _interpolated(channel: torch.Tensor, weights: Sequence[torch.Tensor], part: Sequence[slice]) -> NDArray[np.float32]:
    """A coarse channel, linearly interpolated to a part of the fine grid."""
    rows = [w[fine] for w, fine in zip(weights, part, strict=True)]
    used = [(w > 0).any(dim=0).nonzero().flatten() for w in rows]
    columns = [slice(int(its[0]), int(its[-1]) + 1) for its in used]
    fine: NDArray[np.float32] = separable(
        channel[columns[0], columns[1], columns[2]], [w[:, its] for w, its in zip(rows, columns, strict=True)]
    ).numpy()
    return fine


def _mean(values: NDArray[np.float32], window: Sequence[int]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ndimage.uniform_filter(values, window, mode="nearest")
    return found


def _where(probability: torch.Tensor, weights: Sequence[torch.Tensor]) -> Box | None:
    """The box on the fine grid that draws on where a class can win; None where it cannot."""
    likely = probability > LEAST
    sides = []
    for axis, w in enumerate(weights):
        others = [other for other in range(3) if other != axis]
        there = likely.any(dim=others[1]).any(dim=others[0]).nonzero().flatten()
        if not len(there):
            return None
        low, high = max(int(there[0]) - 1, 0), min(int(there[-1]) + 2, w.shape[1])
        sides.append(drawing_on(w, low, high))
    return sides[0], sides[1], sides[2]


def _around(boxes: Sequence[Box], reach: Sequence[int], shape: Sequence[int]) -> Box | None:
    """The box around boxes, with room for a filter's windows."""
    if not boxes:
        return None
    x, y, z = (
        _grown(slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)), 2 * n, size)
        for axis, (n, size) in enumerate(zip(reach, shape, strict=True))
    )
    return x, y, z


def _grown(part: slice, by: int, size: int) -> slice:
    return slice(max(part.start - by, 0), min(part.stop + by, size))


def _both(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))
