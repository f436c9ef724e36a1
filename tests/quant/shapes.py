"""Boxes, tubes and spheres of known size, rendered with partial volume."""

from __future__ import annotations

import numpy as np

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume


def world_of(geometry: Geometry) -> np.ndarray:
    """(i, j, k, 3) world coordinates of every voxel."""
    return geometry.to_world(np.stack(np.indices(geometry.shape), axis=-1))


def label_map(geometry: Geometry, coverage: Coverage = Coverage.WHOLE, **masks: np.ndarray) -> LabelMap:
    """Organs by name to boolean masks; later ones win."""
    array = np.zeros(geometry.shape, np.uint8)
    for name, mask in masks.items():
        array[mask] = BY_NAME[name].label
    return LabelMap(
        array=array, geometry=geometry, labels={n: BY_NAME[n].label for n in masks},
        coverage=dict.fromkeys(masks, coverage),
    )


def hu(array: np.ndarray, geometry: Geometry) -> Volume:
    return Volume(array=array.astype(np.float32), geometry=geometry, quantity=Quantity.HU)


def suv(array: np.ndarray, geometry: Geometry) -> Volume:
    return Volume(array=array.astype(np.float32), geometry=geometry, quantity=Quantity.SUV_BW)


def soft(distance_mm: np.ndarray, width_mm: float) -> np.ndarray:
    """1 inside (negative distance), 0 outside, linear over one voxel: partial volume of a smooth surface."""
    return np.clip(0.5 - distance_mm / width_mm, 0.0, 1.0)
