"""Lungs as air inside the body: a classical find for CT on which the network's lungs are not believed.

It sees aerated lung only: consolidated lung and fluid are left out, which is why it is the second choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import BY_NAME
from irae.quant.holes import filled_slices


@dataclass(frozen=True, slots=True, kw_only=True)
class AirRules:
    """Design values, for voxels of about 4 mm.

    Attributes:
        body_hu: Denser than this is body. air_hu: Less dense than this, inside the body, is lung or gas.
        least_ml: Smaller pockets are not lung (bowel gas, oesophagus).
        mean_hu: The mean of a lung; gas in bowel and stomach is near -1000, fat above.
        core_mm: What is thicker than twice this is lung and not airway; the first depth that parts left from right.
        crossing_share: A core counts as lying on both sides of the body if the lesser side holds this share of all.
        close_mm: Vessels up to about twice this belong to the lung.
    """

    body_hu: float = -350.0
    air_hu: float = -400.0
    least_ml: float = 150.0
    mean_hu: tuple[float, float] = (-930.0, -500.0)
    core_mm: tuple[float, ...] = (10.0, 15.0, 20.0, 25.0, 30.0)
    crossing_share: float = 0.08
    close_mm: float = 6.0


AIR = AirRules()


def lungs_from_air(hu: NDArray[np.float32], spacing_mm: float, rules: AirRules = AIR) -> NDArray[np.uint8]:
    """Labels (values of ``core.anatomy``) of left and right lung; all 0 where there are none.

    Args:
        hu: (R, A, S) CT in RAS axes on an isotropic grid.
        spacing_mm: Its spacing.
        rules: Limits.
    """
    labels = np.zeros(hu.shape, dtype=np.uint8)
    body = cc3d.largest_k(hu > rules.body_hu, k=1, connectivity=6) > 0
    inside = filled_slices(body, 2)
    air = np.ascontiguousarray(inside & (hu < rules.air_hu))
    thickness = ndimage.distance_transform_edt(air) * spacing_mm
    middle = float(np.argwhere(inside)[:, 0].mean()) if inside.any() else 0.0
    deep, cores, count = _cores(thickness, middle, rules)
    if not count:
        return labels
    # Air goes to the nearest core of its own pocket, airways to either side; gas of the bowel has no core to go to.
    pockets = cc3d.connected_components(air, connectivity=6)
    nearest = tuple(ndimage.distance_transform_edt(~deep, return_distances=False, return_indices=True))
    owner = np.where(air & (pockets[nearest] == pockets), cores[nearest], 0)
    sizes = np.bincount(owner.ravel(), minlength=count + 1)
    sums = np.bincount(owner.ravel(), weights=hu.ravel(), minlength=count + 1)
    voxel_ml = spacing_mm**3 / 1000.0
    centres = ndimage.center_of_mass(cores > 0, cores, np.arange(1, count + 1))
    low, high = rules.mean_hu
    for number in range(1, count + 1):
        if sizes[number] * voxel_ml < rules.least_ml or not low <= sums[number] / sizes[number] <= high:
            continue
        side = "lung_right" if centres[number - 1][0] > middle else "lung_left"
        labels[owner == number] = BY_NAME[side].label
    steps = max(1, round(rules.close_mm / spacing_mm))
    for side in ("lung_left", "lung_right"):
        value = BY_NAME[side].label
        closed = ndimage.binary_closing(labels == value, iterations=steps)
        labels[closed & (labels == 0) & inside] = value
    return labels


def _cores(
    thickness: NDArray[np.float64], middle: float, rules: AirRules
) -> tuple[NDArray[np.bool_], NDArray[np.uint32], int]:
    """The deep parts of the air, at the least depth at which none of weight lies on both sides of the body.

    Lungs touch in front of and behind the heart; going deeper parts them. Where no depth does, the middle does.
    """
    for core_mm in rules.core_mm:
        deep = np.ascontiguousarray(thickness > core_mm)
        cores, count = cc3d.connected_components(deep, connectivity=6, return_N=True)
        right = np.zeros(thickness.shape, dtype=bool)
        right[int(np.ceil(middle)):] = True
        on_right = np.bincount(cores[right], minlength=count + 1)[1:]
        total = np.bincount(cores.ravel(), minlength=count + 1)[1:]
        both = np.minimum(on_right, total - on_right) > rules.crossing_share * max(1, total.sum())
        if not both.any():
            return deep, cores, count
    deep = np.ascontiguousarray(thickness > rules.core_mm[0])
    deep[round(middle)] = False
    cores, count = cc3d.connected_components(deep, connectivity=6, return_N=True)
    return deep, cores, count
