"""Shape of a region: how round, how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.quant.distance import distance_mm


def ball_ml(diameter_mm: float) -> float:
    """Volume of a ball, mL.

    >>> round(ball_ml(10.0), 3)
    0.524
    """
    return float(np.pi / 6.0 * diameter_mm**3 / 1000.0)


def ball_mm(volume_ml: float) -> float:
    """Diameter of the ball of a volume, mm.

    >>> round(ball_mm(ball_ml(17.0)), 6)
    17.0
    """
    return float(np.cbrt(6.0 * volume_ml * 1000.0 / np.pi))


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a region.

    Attributes:
        sphericity: Surface of the sphere of the same volume over the region's surface; 1 for a sphere, smaller else
            (IBSI 1.0 QCFX).
        elongation: Longest over shortest-but-one principal axis of its second moments; 1 for a sphere, larger else.
        length_mm: Extent along the longest principal axis; for a bent tube the length of its course.
    """

    sphericity: float
    elongation: float
    length_mm: float


def shape_of(mask: NDArray[np.bool_], geometry: Geometry) -> Shape:
    """Shape of a region on its grid.

    The surface is counted over voxel faces by direction and corrected for the staircase (a plane of random
    orientation has 1.5 times its area in axis-parallel faces), which is exact on average and needs no mesh. The course
    of a bent tube is its volume over the cross-section that its inscribed radius gives, where that is longer than the
    straight extent.

    Raises:
        ValueError: If the region is empty or does not fit the geometry.
    """
    if mask.shape != geometry.shape:
        raise ValueError(f"mask {mask.shape} does not fit geometry {geometry.shape}")
    found = ndimage.find_objects(mask.astype(np.uint8), max_label=1)[0]
    if found is None:
        raise ValueError("shape_of needs a region with at least one voxel")
    region = np.pad(mask[found], 1)
    spacing = np.array(geometry.spacing_mm)
    voxel_mm3 = geometry.voxel_volume_ml * 1000.0
    volume = float(np.count_nonzero(region)) * voxel_mm3
    faces = sum(
        float(np.count_nonzero(np.diff(region.view(np.int8), axis=axis))) * voxel_mm3 / spacing[axis]
        for axis in range(3)
    )
    sphericity = min(1.0, np.pi ** (1 / 3) * (6.0 * volume) ** (2 / 3) / (faces / 1.5))
    points = np.argwhere(region) @ geometry.affine[:3, :3].T
    centred = points - points.mean(axis=0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(points) + np.diag(spacing**2) / 12.0)
    straight = float(np.ptp(centred @ axes[:, 2]) + spacing.mean())
    thickness = distance_mm(region, spacing)
    radius = max(float(thickness.max()), float(spacing.min()) / 2.0)
    course = volume / (np.pi * radius**2)
    return Shape(
        sphericity=float(sphericity),
        elongation=float(np.sqrt(variance[2] / variance[1])),
        length_mm=max(straight, course),
    )
