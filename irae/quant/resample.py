"""Images and masks onto another grid, in the world's frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Quantity, Volume

_SPARSE = 0.25  # a target with fewer voxels than this share of the source's is sampled at its own places alone

# What lies outside an image: air, no uptake, no signal.
OUTSIDE = dict.fromkeys(Quantity, 0.0) | {Quantity.HU: -1024.0}


def onto_grid(
    array: NDArray[Any],
    source: Geometry,
    target: Geometry,
    *,
    order: int = 1,
    outside: float = 0.0,
    antialias: bool = True,
) -> NDArray[Any]:
    """Samples an array at the voxel centres of another grid.

    Args:
        array: (i, j, k) values on ``source``.
        source: The array's grid.
        target: The grid to sample at; any orientation.
        order: 0 nearest (labels, masks), 1 linear, 3 cubic.
        outside: Value beyond the source.
        antialias: Smooth first along axes that get coarser by more than 1.5 x (never for order 0).

    Returns:
        Array of ``target.shape``, the input's dtype.
    """
    if source.same_grid(target):
        return array.copy()
    to_source = np.linalg.inv(source.affine) @ target.affine
    sigma = np.zeros(3)
    if antialias and order > 0:
        step = np.linalg.norm(to_source[:3, :3], axis=1)
        sigma = np.where(step > 1.5, 0.5 * np.sqrt(np.maximum(step**2 - 1.0, 0.0)) / 1.1774, 0.0)
    values: NDArray[Any] = array
    if order <= 1:  # a cubic spline depends on the whole array
        corners = source.to_index(target.corners_mm())
        margin = np.ceil(4.0 * sigma).astype(int) + 2  # a Gaussian is cut at 4 sigma
        start = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, source.shape)
        stop = np.clip(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, 0, source.shape)
        if (stop <= start).any():
            return np.full(target.shape, outside, dtype=array.dtype)
        values = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        to_source[:3, 3] -= start
    if sigma.any():
        values = ndimage.gaussian_filter(values.astype(np.float32), sigma, mode="nearest")
    matrix = to_source[:3, :3]
    scale = np.diag(matrix)
    if order <= 1 and (matrix == np.diag(scale)).all():
        places = [
            np.round(start + step * np.arange(count), 9)  # midway is midway on every machine
            for start, step, count in zip(to_source[:3, 3], scale, target.shape, strict=True)
        ]
        if order == 0:
            return _nearest(values, places, outside)
        if np.prod(target.shape) > _SPARSE * values.size:
            return _linear(values, places, outside).astype(array.dtype)
    sampled: NDArray[Any] = ndimage.affine_transform(
        values, matrix, to_source[:3, 3], output_shape=target.shape,
        output=array.dtype if order == 0 else np.float32, order=order, mode="grid-constant", cval=outside,
        prefilter=order > 1,
    )
    return sampled.astype(array.dtype, copy=False)


def _nearest(values: NDArray[Any], places: list[NDArray[np.float64]], outside: float) -> NDArray[Any]:
    """Nearest samples at places along each axis."""
    rows = [np.floor(at + 0.5).astype(int) for at in places]
    sampled: NDArray[Any] = values[np.ix_(*(np.clip(r, 0, n - 1) for r, n in zip(rows, values.shape, strict=True)))]
    for axis, (row, count) in enumerate(zip(rows, values.shape, strict=True)):
        np.moveaxis(sampled, axis, 0)[(row < 0) | (row >= count)] = outside
    return sampled


def _linear(values: NDArray[Any], places: list[NDArray[np.float64]], outside: float) -> NDArray[np.float32]:
    """Linear samples at places along each axis: one axis after the other, the shrinking ones first.

    The same numbers as scipy's for any affine, at a fraction of its time where most of the source is needed.
    """
    for axis in sorted(range(3), key=lambda n: len(places[n]) / values.shape[n]):
        at, last = places[axis], values.shape[axis] - 1
        if at.min() < 0.0 or at.max() > last:
            at, last = np.clip(at, -1.0, last + 1.0) + 1.0, last + 2
            values = np.pad(values, [(int(n == axis),) * 2 for n in range(3)], constant_values=outside)
        below = np.floor(at).astype(int)
        low, high = (np.take(values, rows, axis).astype(np.float32) for rows in (below, np.minimum(below + 1, last)))
        high -= low
        high *= np.moveaxis((at - below).astype(np.float32)[:, None, None], 0, axis)
        low += high
        values = low
    return values


def volume_onto(volume: Volume, target: Geometry, *, order: int = 1) -> Volume:
    """A volume on another grid; outside is air (HU) or 0."""
    array = onto_grid(volume.array, volume.geometry, target, order=order, outside=OUTSIDE[volume.quantity])
    return Volume(array=array, geometry=target, quantity=volume.quantity)


def labels_onto(labels: LabelMap, target: Geometry) -> LabelMap:
    """A label map on another grid, nearest neighbour; coverage is kept as it was found."""
    array = onto_grid(labels.array, labels.geometry, target, order=0)
    return LabelMap(
        array=array, geometry=target, labels=labels.labels, coverage=labels.coverage, rejected=labels.rejected
    )
