"""Slices into a grid in RAS+ mm: filled, straightened if tilted, axes in nearest-RAS order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.archive.discover import LIMITS, Limits
from irae.io.archive.geometry import Stack

_THREADS = 4  # they wait for the disk; memory bounds the rest. Compressed slices wait for the codec's processes

SliceFiller = Callable[[int, NDArray[np.float32]], None]


def assemble(
    stack: Stack, fill: SliceFiller, *, frame_of_reference_uid: str | None, outside: float, limits: Limits = LIMITS
) -> tuple[NDArray[np.float32], Geometry]:
    """The stack as float32 on a grid whose axes run nearest to R, A and S; no voxel is interpolated without tilt.

    Args:
        stack: Where the slices lie.
        fill: Writes the values of a slice (its number in stack order) into an array (rows, columns); called by
            several threads, of which the first in slice order that raises decides.
        frame_of_reference_uid: For the geometry.
        outside: Value beyond the slices of a tilted stack.
        limits: Refuses what would not fit.

    Returns:
        Array (i, j, k) and its geometry.
    """
    count = int(np.prod(stack.shape, dtype=np.int64))
    if 4 * count > limits.volume_bytes:
        raise StudyError("too_large", f"{stack.shape} voxels need {4 * count} bytes; at most {limits.volume_bytes}")
    axes, flips = nearest_ras(stack.affine)
    # Slices are contiguous in memory whatever the orientation; axes are turned by strides, all of them positive.
    memory = np.empty(stack.shape, dtype=np.float32, order="F")
    view = memory[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(lambda number: fill(number, view[:, :, number].T), range(stack.shape[2])):
            pass
    affine = flipped(stack.affine, stack.shape, flips)
    if stack.tilt_mm != (0.0, 0.0):
        memory, affine = straightened(memory, affine, outside)
    array = memory.transpose(axes)
    turned = np.eye(4)
    turned[:, :3], turned[:, 3] = affine[:, :3][:, list(axes)], affine[:, 3]
    return array, Geometry(shape=array.shape, affine=turned, frame_of_reference_uid=frame_of_reference_uid)


def nearest_ras(affine: NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which voxel axis runs nearest to R, A and S, and which voxel axes have to be reversed (indexed as they are)."""
    from nibabel.orientations import io_orientation

    orientation = io_orientation(affine)
    axes = tuple(int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in range(3))
    flips = tuple(bool(orientation[axis, 1] < 0) for axis in range(3))
    return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


def flipped(
    affine: NDArray[np.float64], shape: tuple[int, ...], flips: tuple[bool, bool, bool]
) -> NDArray[np.float64]:
    """The affine of an array whose axes are reversed where ``flips`` says so."""
    result = affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            result[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            result[:3, axis] = -affine[:3, axis]
    return result


def straightened(
    array: NDArray[np.float32], affine: NDArray[np.float64], outside: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A sheared (tilted) stack on an orthogonal grid: every slice is shifted in its own plane, linearly.

    The grid grows by the whole shift, so that nothing is cut off.
    """
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    units = affine[:3, :2] / spacing
    normal = np.cross(units[:, 0], units[:, 1])
    step = affine[:3, 2]
    depth = float(step @ normal)
    drift_voxels = (step @ units) / spacing  # in-plane shift of each slice against the one before, in voxels
    last = array.shape[2] - 1
    low = np.minimum(0.0, drift_voxels * last)
    grow = np.ceil(np.abs(drift_voxels) * last - 1e-6).astype(int)
    shape = (array.shape[0] + int(grow[0]), array.shape[1] + int(grow[1]), array.shape[2])
    result = np.empty(shape, dtype=np.float32, order="F")
    for k in range(array.shape[2]):
        shift = drift_voxels * k - low  # where this slice's (0, 0) lies on the new grid
        result[:, :, k] = ndimage.affine_transform(
            array[:, :, k], np.ones(2), offset=-shift, output_shape=shape[:2], order=1, mode="constant", cval=outside
        )
    upright = affine.copy()
    upright[:3, 2] = normal * depth
    upright[:3, 3] = affine[:3, 3] + units @ (low * spacing)
    return result, upright


def canonical(array: NDArray[np.float32], geometry: Geometry) -> tuple[NDArray[np.float32], Geometry]:
    """The same image with axes nearest to R, A and S; voxels are only reordered."""
    axes, flips = nearest_ras(geometry.affine)
    if axes == (0, 1, 2) and not any(flips):
        return array, geometry
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)].transpose(axes)
    affine = flipped(geometry.affine, geometry.shape, flips)
    turned = np.eye(4)
    turned[:, :3], turned[:, 3] = affine[:, :3][:, list(axes)], affine[:, 3]
    geometry = Geometry(shape=array.shape, affine=turned, frame_of_reference_uid=geometry.frame_of_reference_uid)
    return np.asfortranarray(array), geometry
