"""Where a finer network looks for the thyroid: a box at the neck, placed by what the coarse network found.

A gland of 20 mL is four voxels wide on the coarse grid; on it no outline, volume or attenuation can be had.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry

# Design values. The gland's centre lies about C7, a little above and in front of the lungs' apices (T1).
HALF_MM = np.array([75.0, 70.0, 75.0])
FROM_APICES_MM = np.array([0.0, 20.0, 25.0])
# A coarse gland smaller than this, or further than this from where the apices put it, is not followed.
LEAST_ML, FURTHEST_MM = 1.0, 80.0
# The top of a lung: this share of its voxels, the very highest of which (specks) are passed over.
APEX_SHARE, SPECK_SHARE = 0.03, 0.002
LUNGS = ("lung_left", "lung_right")

Box = tuple[slice, slice, slice]


def neck_box(labels: NDArray[np.uint8], geometry: Geometry) -> Box | None:
    """The voxels in which to look for the thyroid.

    Args:
        labels: (I, J, K) organ labels of ``core.anatomy``, axes to the right, front and head (``tensors.Canonical``).
        geometry: Their grid.

    Returns:
        A box within the image, or None where neither the gland nor the lungs' apices are in the picture.
    """
    centre = _centre_mm(labels, geometry)
    if centre is None:
        return None
    spacing = np.array(geometry.spacing_mm)
    middle = geometry.to_index(centre)
    low = np.clip(np.floor(middle - HALF_MM / spacing), 0, geometry.shape).astype(int)
    high = np.clip(np.ceil(middle + HALF_MM / spacing) + 1, 0, geometry.shape).astype(int)
    if (high - low < 2).any():
        return None
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _centre_mm(labels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.float64] | None:
    apices = [apex for lung in LUNGS if (apex := _apex_mm(labels == BY_NAME[lung].label, geometry)) is not None]
    expected = np.mean(apices, axis=0) + FROM_APICES_MM if apices else None
    gland = np.argwhere(labels == BY_NAME["thyroid_gland"].label)
    if len(gland) * geometry.voxel_volume_ml < LEAST_ML:
        return expected
    found: NDArray[np.float64] = geometry.to_world(np.median(gland, axis=0))
    if expected is not None and float(np.linalg.norm(found - expected)) > FURTHEST_MM:
        return expected
    return found


def _apex_mm(lung: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float64] | None:
    """The middle of a lung's top, RAS mm; None for no lung, or one that the field of view cuts above."""
    voxels = np.argwhere(lung)
    if not len(voxels) or lung[:, :, -1].any():
        return None
    voxels = voxels[np.argsort(voxels[:, 2])]
    top = voxels[int(len(voxels) * (1.0 - APEX_SHARE)): max(1, int(len(voxels) * (1.0 - SPECK_SHARE)))]
    if not len(top):
        return None
    return np.array([*geometry.to_world(top.mean(axis=0))[:2], geometry.to_world(top[-1])[2]])
