"""Where and how an inserted finding lies in a real volume: places deep in an organ, stretches of bowel, ill lung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
COARSE_MM = 3.0  # distances and stretches are found on voxels no finer than this


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a grid, with a margin around a mask."""

    slices: tuple[slice, slice, slice]
    geometry: Geometry

    @classmethod
    def around(cls, mask: Mask, geometry: Geometry, *, margin_mm: float) -> Box:
        """The smallest box that holds a mask and its margin.

        Raises:
            ValueError: If the mask is empty.
        """
        if not mask.any():
            raise ValueError("nothing can be inserted into an organ that is not in the picture")
        found = ndimage.find_objects(mask.astype(np.uint8))[0]
        margin = [int(np.ceil(margin_mm / s)) for s in geometry.spacing_mm]
        low = tuple(max(s.start - m, 0) for s, m in zip(found, margin, strict=True))
        high = tuple(min(s.stop + m, n) for s, m, n in zip(found, margin, geometry.shape, strict=True))
        i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
        return cls((i, j, k), geometry.cropped((low[0], low[1], low[2]), (high[0], high[1], high[2])))


def depth_mm(mask: Mask, geometry: Geometry) -> Field:
    """Distance of every voxel inside a mask from its surface; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=geometry.spacing_mm), dtype=np.float32)


def deep_place(
    rng: np.random.Generator, mask: Mask, geometry: Geometry, *, radius_mm: float
) -> tuple[float, float, float]:
    """World place of a random voxel at least ``radius_mm`` inside a mask.

    Raises:
        ValueError: If the mask is nowhere that thick.
    """
    depth = depth_mm(mask, geometry)
    deep = np.argwhere(depth >= radius_mm)
    if not len(deep):
        raise ValueError(f"the organ is {depth.max():.1f} mm deep at most; {radius_mm:.1f} mm are needed")
    x, y, z = geometry.to_world(deep[int(rng.integers(len(deep)))])
    return float(x), float(y), float(z)


def ellipsoid_share(
    geometry: Geometry, centre_mm: tuple[float, float, float], semi_mm: NDArray[np.float64], turn: NDArray[np.float64]
) -> Field:
    """(i, j, k) share of every voxel in an ellipsoid of the world; soft over one voxel."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    local = (geometry.to_world(index) - np.asarray(centre_mm)) @ turn / semi_mm
    reach = np.sqrt((local**2).sum(axis=-1))
    edge = float(np.prod(geometry.spacing_mm) ** (1 / 3))
    return np.clip(0.5 - (reach - 1) * float(semi_mm.mean()) / edge, 0, 1).astype(np.float32)


def smooth_noise(rng: np.random.Generator, geometry: Geometry, *, scale_mm: float) -> Field:
    """Smooth noise of unit spread with a grain of about ``scale_mm``, drawn coarsely and interpolated."""
    steps = [max(1, int(scale_mm / 2.0 / s)) for s in geometry.spacing_mm]
    small = [int(np.ceil(n / s)) + 2 for n, s in zip(geometry.shape, steps, strict=True)]
    coarse = ndimage.gaussian_filter(rng.standard_normal(small, dtype=np.float32), 0.9)
    fine = coarse
    for axis, (n, step) in enumerate(zip(geometry.shape, steps, strict=True)):
        at = np.arange(n) / step
        low = at.astype(int)
        part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        fine = np.take(fine, low, axis=axis) * (1 - part) + np.take(fine, low + 1, axis=axis) * part
    return np.asarray(fine / max(float(fine.std()), 1e-6), dtype=np.float32)


def ill_share(
    rng: np.random.Generator, lungs: Mask, geometry: Geometry, *, extent: float, pattern: str
) -> tuple[Field, Field]:
    """Weight 0..1 of ill lung that covers ``extent`` of it, and a second field that says where it is densest.

    ``pattern``: ``op`` (peripheral foci), ``nsip`` (basal, subpleural), ``diffuse``.
    """
    depth = depth_mm(lungs, geometry)
    rim = np.exp(-depth / 20.0)
    i, j, k = np.ogrid[: geometry.shape[0], : geometry.shape[1], : geometry.shape[2]]
    height = geometry.affine[2, 0] * i + geometry.affine[2, 1] * j + geometry.affine[2, 2] * k
    low = (height.max() - height) / max(float(np.ptp(height)), 1.0)
    noise = smooth_noise(rng, geometry, scale_mm=30.0)
    fine = smooth_noise(rng, geometry, scale_mm=7.0)
    weights = {"op": (0.9, 0.3, 0.9), "nsip": (1.0, 1.6, 0.3), "diffuse": (0.1, 0.1, 0.9)}
    if pattern not in weights:
        raise ValueError(f"pattern must be one of {', '.join(weights)}, got {pattern!r}")
    a, b, c = weights[pattern]
    score = a * rim + b * low + c * noise + 0.15 * fine
    limit = float(np.quantile(score[lungs], 1 - extent))
    weight = np.clip((score - limit) / 0.3 + 0.5, 0, 1) * lungs
    return weight.astype(np.float32), (noise + 0.5 * fine).astype(np.float32)


def stretch(rng: np.random.Generator, mask: Mask, geometry: Geometry, *, length_mm: float) -> Mask:
    """A connected stretch of a winding organ: what lies within half the length of one voxel, measured inside it."""
    steps = [max(1, int(COARSE_MM / s)) for s in geometry.spacing_mm]
    coarse = mask[:: steps[0], :: steps[1], :: steps[2]]
    voxels = np.argwhere(coarse)
    part = np.zeros_like(coarse)
    part[tuple(voxels[int(rng.integers(len(voxels)))])] = True
    pitch = float(np.mean([s * n for s, n in zip(geometry.spacing_mm, steps, strict=True)]))
    part = ndimage.binary_dilation(
        part, ndimage.generate_binary_structure(3, 2), iterations=max(1, round(length_mm / 2 / pitch)), mask=coarse
    )
    fine = part
    for axis, step in enumerate(steps):
        fine = np.repeat(fine, step, axis=axis)
    i, j, k = mask.shape
    return np.asarray(fine[:i, :j, :k] & mask)
