"""Holes of a mask, slice by slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def filled_slices(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """A mask with the holes of every slice across an axis filled: all that the outside does not reach in the slice.

    The same as ``scipy.ndimage.binary_fill_holes`` slice by slice, in one pass.

    >>> ring = np.ones((3, 3, 2), dtype=bool)
    >>> ring[1, 1, 0] = ring[0, 0, 1] = False
    >>> filled_slices(ring, 2).sum(axis=(0, 1)).tolist()
    [9, 8]
    """
    in_slice = ndimage.generate_binary_structure(3, 1)
    np.moveaxis(in_slice, axis, 0)[[0, 2]] = False
    gaps, count = ndimage.label(~mask, in_slice)
    open_gaps = np.zeros(count + 1, dtype=bool)
    for other in {0, 1, 2} - {axis}:
        open_gaps[np.moveaxis(gaps, other, 0)[[0, -1]]] = True
    open_gaps[0] = False
    return np.asarray(~open_gaps[gaps])
