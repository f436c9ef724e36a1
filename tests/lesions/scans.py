"""CTs of a few shapes with exact borders."""

from functools import partial

import numpy as np
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume

LUNG, TISSUE, FAT = -780.0, 40.0, -100.0
PLACE = np.array([1.3, -0.8, 0.6])


def scan(shapes, spacing_mm, *, around=LUNG, tissue=TISSUE, blur_mm=1.0, noise=15.0, half_mm=32.0):
    """A CT of shapes (functions of world points), drawn at a part of its voxels, blurred and averaged over them."""
    n, finer = int(2 * half_mm / spacing_mm), max(2, round(spacing_mm))
    grid = Geometry.axis_aligned((n, n, n), (spacing_mm,) * 3, (-half_mm + spacing_mm / 2,) * 3)
    step = spacing_mm / finer
    line = -half_mm + step / 2 + step * np.arange(n * finer)
    at = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)
    hu = np.full(at.shape[:3], around, np.float32)
    for shape in shapes:
        hu[shape(at)] = tissue
    hu = ndimage.gaussian_filter(hu, blur_mm / step).reshape(n, finer, n, finer, n, finer).mean(axis=(1, 3, 5))
    hu += np.random.default_rng(3).normal(0, noise, hu.shape).astype(np.float32)
    return Volume(array=hu.astype(np.float32), geometry=grid, quantity=Quantity.HU)


def ellipsoid(at, diameters_mm, centre=PLACE):
    return (((at - centre) / (np.array(diameters_mm) / 2.0)) ** 2).sum(axis=-1) <= 1.0


def ball(diameter_mm, centre=PLACE):
    return partial(ellipsoid, diameters_mm=(diameter_mm,) * 3, centre=np.asarray(centre))


def rod(at, radius_mm=3.0, offset=PLACE, begin=0.0):
    return (np.hypot(at[..., 1] - offset[1], at[..., 2] - offset[2]) <= radius_mm) & (at[..., 0] >= begin)
