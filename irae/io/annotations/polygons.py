"""Which grid points closed contours enclose: even-odd, holes by XOR, points on an outline belong to the region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ON_LINE = 1e-6  # in grid steps


def fill_contours(contours: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Grid points inside an odd number of contours, or on an outline.

    Outlines count as inside because masks are often outlined through the centres of their border voxels; a line that
    is run along twice (the channel of a keyhole) is no outline.

    Args:
        contours: (n, 2) points in grid steps, closed without repeating the first; n >= 3 each.
        shape: Grid points along both axes.

    Returns:
        Bool of ``shape``.

    >>> square = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])
    >>> int(fill_contours([square], (5, 5)).sum()), int(fill_contours([square - 0.5], (5, 5)).sum())
    (9, 4)
    """
    start = np.concatenate(list(contours))
    end = np.concatenate([np.roll(c, -1, axis=0) for c in contours])
    inside = _odd(start, end, shape)
    start, end = _run_once(start, end)
    on = _on_lines(start, end)
    within = ((on >= 0) & (on < shape)).all(axis=1)
    inside[tuple(on[within].T)] = True
    return inside


def _odd(start: NDArray[np.float64], end: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Even-odd rule along the second axis: each edge crosses the lines first <= line < last of the first axis."""
    low = np.where((start[:, 0] <= end[:, 0])[:, None], start, end)
    high = np.where((start[:, 0] <= end[:, 0])[:, None], end, start)
    first = np.clip(np.ceil(low[:, 0]), 0, shape[0]).astype(np.intp)
    last = np.clip(np.ceil(high[:, 0]), 0, shape[0]).astype(np.intp)
    count = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(count)), count)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (line - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
    crossing = low[edge, 1] + share * (high[edge, 1] - low[edge, 1])
    column = np.clip(np.ceil(crossing - ON_LINE), 0, shape[1]).astype(np.intp)
    toggles = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    np.add.at(toggles, (line, column), 1)
    return np.cumsum(toggles, axis=1)[:, : shape[1]] % 2 == 1


def _run_once(
    start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The edges that are not run along twice."""
    flipped = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    key = np.round(np.where(flipped[:, None], np.hstack([end, start]), np.hstack([start, end])), 6)
    _, which, times = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    once = times[which.ravel()] % 2 == 1
    return start[once], end[once]


def _on_lines(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.intp]:
    """Grid points (n, 2) that lie on an edge."""
    found = [np.zeros((0, 2), dtype=np.intp)]
    for a, b in ((0, 1), (1, 0)):  # along each axis, so that level and upright edges are met
        first = np.ceil(np.minimum(start[:, a], end[:, a]) - ON_LINE).astype(np.intp)
        last = np.floor(np.maximum(start[:, a], end[:, a]) + ON_LINE).astype(np.intp)
        count = np.maximum(last - first + 1, 0)
        edge = np.repeat(np.arange(len(count)), count)
        line = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        run = end[edge, a] - start[edge, a]
        share = np.divide(line - start[edge, a], run, out=np.zeros(len(edge)), where=np.abs(run) > ON_LINE)
        place = start[edge, b] + share * (end[edge, b] - start[edge, b])
        on = np.abs(place - np.rint(place)) <= ON_LINE
        points = np.empty((int(on.sum()), 2), dtype=np.intp)
        points[:, a], points[:, b] = line[on], np.rint(place[on]).astype(np.intp)
        found.append(points)
    return np.concatenate(found)
