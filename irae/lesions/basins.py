"""Basins of a PET's maxima: how hot they are, where they touch, and how round they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.geometry import Geometry


def hottest(
    basins: NDArray[np.int32], smooth: NDArray[np.float32]
) -> tuple[NDArray[np.float32], dict[int, tuple[int, int, int]]]:
    """Greatest value of every basin, (basins + 1,), 0 where there is none; and its voxel. Looks at hot voxels only."""
    voxels = np.flatnonzero(basins)
    labels, values = basins.ravel()[voxels], smooth.ravel()[voxels]
    order = np.lexsort((-voxels, values, labels))  # of equal values the first voxel
    last = np.flatnonzero(np.diff(labels[order], append=-1))
    tops = order[last]
    peak = np.zeros(int(basins.max()) + 1, np.float32)
    peak[labels[tops]] = values[tops]
    places = np.stack(np.unravel_index(voxels[tops], basins.shape), axis=-1)
    return peak, {int(n): (int(p[0]), int(p[1]), int(p[2])) for n, p in zip(labels[tops], places, strict=True)}


def borders(
    basins: NDArray[np.int32], smooth: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Every pair of touching basins, the smaller number first: (first, second, saddle between them, voxel faces)."""
    count = int(basins.max())
    pairs, values = [], []
    for axis in range(3):
        ahead, behind = (np.moveaxis(basins, axis, 0)[s] for s in (slice(1, None), slice(None, -1)))
        touching = (ahead > 0) & (behind > 0) & (ahead != behind)
        high, low = (np.moveaxis(smooth, axis, 0)[s][touching] for s in (slice(1, None), slice(None, -1)))
        a, b = ahead[touching].astype(np.int64), behind[touching].astype(np.int64)
        pairs.append(np.minimum(a, b) * (count + 1) + np.maximum(a, b))
        values.append(np.minimum(high, low))
    keys, inverse, faces = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
    saddle = np.zeros(len(keys), np.float32)
    np.maximum.at(saddle, inverse, np.concatenate(values))
    return keys // (count + 1), keys % (count + 1), saddle, faces


def elongation(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Longest over shortest principal axis of a region; 1 for a ball. Infinite for what is flat or too small to say."""
    places = geometry.to_world(np.argwhere(mask))
    if len(places) < 8:
        return float("inf")
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 0.0))
    return float(spread[-1] / spread[0]) if spread[0] > 0 else float("inf")


def stands_out(peak: float, rest: NDArray[np.float32], ratio: float) -> bool:
    """Whether a peak is so many times hotter than the 90th percentile of the rest; not where too little is left."""
    return rest.size >= 20 and bool(peak >= ratio * np.percentile(rest, 90))
