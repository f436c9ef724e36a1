"""SUVpeak, metabolic volume and total lesion glycolysis of a region."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry

# "A fixed 1-cm3 (1.2-cm-diameter) spheric ROI" (PERCIST: Wahl, J Nucl Med 2009;50 Suppl 1:122S).
PEAK_DIAMETER_MM = 12.0
_SUBVOXELS = 6  # per axis: weights of voxels that the sphere's surface cuts, to about 1 %


def sphere_weights(
    spacing_mm: tuple[float, float, float], diameter_mm: float = PEAK_DIAMETER_MM
) -> NDArray[np.float32]:
    """The share of every voxel that lies in a sphere around the central voxel's centre.

    Args:
        spacing_mm: Voxel size along i, j, k.
        diameter_mm: The sphere's diameter.

    Returns:
        (2a+1, 2b+1, 2c+1) float32 in 0..1, symmetric, the sphere's centre in the middle.

    >>> volume_ml = float(sphere_weights((2.0, 2.0, 2.0)).sum()) * 0.008
    >>> round(volume_ml, 2)  # 4/3 pi 6^3 mm3
    0.91
    """
    return _sphere_weights(tuple(round(s, 4) for s in spacing_mm), diameter_mm)


@lru_cache(maxsize=32)
def _sphere_weights(spacing_mm: tuple[float, ...], diameter_mm: float) -> NDArray[np.float32]:
    radius = diameter_mm / 2.0
    squared = []
    for step in spacing_mm:
        reach = int(np.ceil(radius / step - 0.5)) if radius > step / 2 else 0
        offsets = (np.arange((2 * reach + 1) * _SUBVOXELS) + 0.5) / _SUBVOXELS - 0.5 - reach
        squared.append((offsets * step) ** 2)
    inside = (squared[0][:, None, None] + squared[1][None, :, None] + squared[2][None, None, :]) <= radius**2
    a, b, c = (n // _SUBVOXELS for n in inside.shape)
    shares = inside.reshape(a, _SUBVOXELS, b, _SUBVOXELS, c, _SUBVOXELS).mean(axis=(1, 3, 5))
    weights: NDArray[np.float32] = shares.astype(np.float32)
    weights.flags.writeable = False
    return weights


def suv_peak(suv: NDArray[np.float32], geometry: Geometry, mask: NDArray[np.bool_]) -> float:
    """The highest mean in a 12 mm sphere (about 1 cm3) centred on a voxel of the region (PERCIST).

    The sphere may reach beyond the region, as PERCIST allows; voxels that its surface cuts count by the share inside.
    Where it reaches beyond the image, the mean is over the part inside.

    Args:
        suv: (i, j, k) SUV or SUL in g/mL.
        geometry: The grid of both arrays.
        mask: (i, j, k) the region.

    Returns:
        g/mL.

    Raises:
        ValueError: If the shapes disagree or the region is empty.
    """
    if suv.shape != mask.shape or suv.shape != geometry.shape:
        raise ValueError(f"suv {suv.shape}, mask {mask.shape} and geometry {geometry.shape} must be one grid")
    found = ndimage.find_objects(mask.astype(np.uint8), max_label=1)[0]
    if found is None:
        raise ValueError("suv_peak needs a region with at least one voxel")
    weights = sphere_weights(geometry.spacing_mm)
    crop = tuple(
        slice(max(0, s.start - n // 2), min(size, s.stop + n // 2))
        for s, n, size in zip(found, weights.shape, suv.shape, strict=True)
    )
    values = suv[crop].astype(np.float32)
    total = ndimage.convolve(values, weights, mode="constant", cval=0.0)
    weight = ndimage.convolve(np.ones_like(values), weights, mode="constant", cval=0.0)
    return float((total / weight)[mask[crop]].max())


def metabolic_volume_ml(geometry: Geometry, mask: NDArray[np.bool_]) -> float:
    """Volume of the region in mL (metabolic tumour volume, where the region is a lesion's)."""
    return float(np.count_nonzero(mask)) * geometry.voxel_volume_ml


def total_lesion_glycolysis_g(suv: NDArray[np.float32], geometry: Geometry, mask: NDArray[np.bool_]) -> float:
    """SUVmean x volume in g (PERCIST's TLG, here with the SUV it is given)."""
    return float(suv[mask].sum()) * geometry.voxel_volume_ml
