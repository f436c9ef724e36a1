"""Volumes to network input and back. The one place that knows a network's axis order: (channel, R, A, S)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.models.package import Channel
from irae.quant.resample import OUTSIDE, onto_grid

# Everything denser than this is body, table or clothes; air around them needs no network.
BODY_HU = -500.0


@dataclass(frozen=True, eq=False, slots=True)
class Canonical:
    """How a grid's axes are permuted and flipped so that they run nearest to R, A and S; nothing is interpolated.

    Attributes:
        geometry: The reordered grid.
        axes: Source axis of each canonical axis. flipped: Whether it is reversed.
    """

    geometry: Geometry
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def of(cls, geometry: Geometry) -> Canonical:
        """The nearest reordering of a grid."""
        directions = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
        remaining, axes = {0, 1, 2}, [0, 0, 0]
        # The most decided world axis chooses its voxel axis first, so that oblique grids stay a permutation.
        for world in np.argsort(-np.abs(directions).max(axis=1)).tolist():
            axes[world] = max(remaining, key=np.abs(directions[world]).__getitem__)
            remaining.discard(axes[world])
        flipped = [bool(directions[world, axes[world]] < 0) for world in range(3)]
        affine = np.eye(4)
        affine[:3, :3] = geometry.affine[:3, axes] * np.where(flipped, -1.0, 1.0)
        corner = [0.0, 0.0, 0.0]
        for world in range(3):
            corner[axes[world]] = geometry.shape[axes[world]] - 1.0 if flipped[world] else 0.0
        affine[:3, 3] = geometry.to_world(corner)
        shape = (geometry.shape[axes[0]], geometry.shape[axes[1]], geometry.shape[axes[2]])
        reordered = Geometry(shape=shape, affine=affine, frame_of_reference_uid=geometry.frame_of_reference_uid)
        return cls(reordered, (axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]))

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of the array with canonical axes."""
        return array.transpose(self.axes)[self._slices()]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view with the source's axes."""
        return array[self._slices()].transpose([self.axes.index(axis) for axis in range(3)])

    def _slices(self) -> tuple[slice, slice, slice]:
        i, j, k = (slice(None, None, -1 if flip else 1) for flip in self.flipped)
        return i, j, k


def resample(array: NDArray[np.float32], shape: Sequence[int]) -> torch.Tensor:
    """An array on the grid of another size over the same box (``Geometry.with_spacing``), float32.

    Axes that get coarser are averaged over each new voxel, so that nothing aliases; axes that get finer are linear.
    """
    tensor = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
    return separable(tensor, [
        (average_weights if new < old else linear_weights)(old, new)
        for old, new in zip(array.shape, shape, strict=True)
    ])


def finer(channels: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """(C, I, J, K) on a finer grid over the same box, linearly: (C, *shape)."""
    weights = [linear_weights(old, new) for old, new in zip(channels.shape[1:], shape, strict=True)]
    return torch.stack([separable(channel, weights) for channel in channels])


def average_weights(old: int, new: int) -> torch.Tensor:
    """(new, old) weights of the mean over each of fewer, larger voxels over the same box; parts of voxels count so."""
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    left = torch.arange(old, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], left + 1) - torch.maximum(edges[:-1, None], left)
    return (overlap.clamp(min=0.0) * new / old).float()


def linear_weights(old: int, new: int) -> torch.Tensor:
    """(new, old) weights of linear interpolation between voxel centres over the same box; the ends are held."""
    position = ((torch.arange(new, dtype=torch.float64) + 0.5) * old / new - 0.5).clamp(0, old - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=old - 1)
    share = (position - low).float()
    weights = torch.zeros(new, old)
    rows = torch.arange(new)
    weights[rows, low] += 1.0 - share
    weights[rows, high] += share
    return weights


def drawing_on(weights: torch.Tensor, low: int, high: int) -> slice:
    """The rows of (new, old) weights that draw on nothing but old voxels low..high, or on some of them if none does."""
    rows = (weights[:, low:high].sum(dim=1) > 0.999).nonzero().flatten()
    if not len(rows):
        rows = (weights[:, low:high].sum(dim=1) > 0).nonzero().flatten()
    return slice(int(rows[0]), int(rows[-1]) + 1)


def separable(array: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """(I, J, K) under one (new, old) matrix per axis; axes that shrink go first, so that little is computed."""
    out = array
    for axis in sorted(range(3), key=lambda axis: weights[axis].shape[0] / weights[axis].shape[1]):
        new, old = weights[axis].shape
        if new == old and torch.equal(weights[axis], torch.eye(old)):
            continue
        out = torch.movedim(torch.tensordot(weights[axis], out, dims=([1], [axis])), 0, axis)
    return out.contiguous()


def network_grid(geometry: Geometry, spacing_mm: float) -> Geometry:
    """The network's grid over a canonical grid's box: isotropic to within half a voxel in the box's length."""
    return geometry.with_spacing((spacing_mm, spacing_mm, spacing_mm))


def body_box(hu: torch.Tensor) -> tuple[slice, slice, slice]:
    """The box that holds everything denser than ``BODY_HU``; the whole image where nothing is."""
    body = hu > BODY_HU
    slices = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        found = body.any(dim=others[1]).any(dim=others[0]).nonzero().flatten()
        slices.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(None))
    return slices[0], slices[1], slices[2]


def scaled(values: torch.Tensor, channel: Channel) -> torch.Tensor:
    """Values with ``channel.low`` as 0 and ``channel.high`` as 1, clipped."""
    return ((values - channel.low) / (channel.high - channel.low)).clamp(0.0, 1.0)


def mr_levels(values: NDArray[np.float32]) -> tuple[float, float]:
    """The background level and the bright end (99th percentile of what is above it) of an MR, its own units.

    MR signal has no unit; ``(value - background) / (bright - background)`` is comparable between scanners.

    Raises:
        ValueError: If the image is constant.
    """
    low = float(np.percentile(values, 1.0))
    above = values[values > low]
    if not above.size:
        raise ValueError("the MR has the same value everywhere")
    return low, float(np.percentile(above, 99.0))


def mr_normalised(mr: Volume) -> Volume:
    """An MR with its background at 0 and its bright end at 1 (values above it stay above 1)."""
    low, high = mr_levels(mr.array)
    return Volume(array=(mr.array - low) / (high - low), geometry=mr.geometry, quantity=mr.quantity)


def crop_grid(centre_mm: NDArray[np.float64], shape: tuple[int, int, int], spacing_mm: float) -> Geometry:
    """An isotropic RAS grid of this shape around a point of the world, mm."""
    half = (np.array(shape) - 1.0) / 2.0 * spacing_mm
    x, y, z = (np.asarray(centre_mm) - half).tolist()
    return Geometry.axis_aligned(shape, (spacing_mm,) * 3, (x, y, z))


def volume_crop(volume: Volume, target: Geometry) -> NDArray[np.float32]:
    """A volume sampled on a small grid; only the part of it near that grid is touched. Outside is air or 0."""
    return _near(volume.array, volume.geometry, target, order=1, outside=OUTSIDE[volume.quantity])


def mask_crop(labels: LabelMap, organs: Sequence[str], target: Geometry) -> NDArray[np.float32]:
    """The share of organ in each voxel of a small grid, 0..1."""
    return _near(labels.mask(*organs).astype(np.float32), labels.geometry, target, order=1, outside=0.0)


def _near(
    array: NDArray[np.float32], source: Geometry, target: Geometry, *, order: int, outside: float
) -> NDArray[np.float32]:
    corners = source.to_index(target.corners_mm())
    # Three source voxels more for interpolation, and the smoothing that coarse targets need.
    margin = 3.0 + 2.0 * max(target.spacing_mm) / np.array(source.spacing_mm)
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, source.shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin) + 1, 0, source.shape).astype(int)
    if (high <= low).any():
        return np.full(target.shape, outside, dtype=np.float32)
    part = array[low[0]:high[0], low[1]:high[1], low[2]:high[2]]
    grid = source.cropped((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    return onto_grid(np.ascontiguousarray(part), grid, target, order=order, outside=outside)
