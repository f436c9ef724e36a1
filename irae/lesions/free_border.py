"""A nodule against a consolidation: the ball that the free part of its border belongs to.

Cut off at a neck (``sizing.extent_on_ct``) it must have one. A nodule that an opacity touches broadly has none, but a
reader completes its outline; so does this, from where the lung shows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.lesions.partial_volume import Size, Sized
from irae.lesions.rules import FociRules
from irae.quant.shape import ball_ml

STEP_MM = 0.5  # along a ray
RAYS = 400


def ball_at_border(
    hu: NDArray[np.float32], geometry: Geometry, place: NDArray[np.float64], radius_mm: float, rules: FociRules
) -> Sized | None:
    """The ball in a lung that a known nodule is taken to be; None where too little of its border is free, or no ball.

    Args:
        hu: (i, j, k) HU on a crop.
        geometry: The crop.
        place: Where its centre would lie, RAS+ mm.
        radius_mm: Of the ball of its volume when it was last seen.
        rules: HU between nodule and lung; how much of a border, how round, how far off, how much larger.
    """
    spacing = np.array(geometry.spacing_mm)
    smooth = ndimage.gaussian_filter(hu, 0.8 / spacing, truncate=2.5)
    slope = np.stack(np.gradient(smooth, *spacing), axis=0)
    smallest, largest = (factor * radius_mm for factor in rules.free_size)
    ways = _directions(RAYS)
    centre = place
    for _ in range(3):  # the fitted centre is nearer to the nodule's than the registered place
        steps = np.arange(0.0, largest + STEP_MM, STEP_MM)
        along = centre + ways[:, None, :] * steps[None, :, None]
        index = geometry.to_index(along.reshape(-1, 3)).reshape(along.shape)
        values = ndimage.map_coordinates(smooth, np.moveaxis(index, -1, 0), order=1, mode="nearest")
        in_lung = values < rules.nodule_in_lung_hu
        first = np.argmax(in_lung, axis=1)
        free = in_lung.any(axis=1) & (steps[first] >= min(smallest, 2.0))
        if np.count_nonzero(free) < rules.free_border * RAYS:
            return None
        where = np.flatnonzero(free), first[free]
        # A ball's border faces its middle; that of a consolidation beside it, met aslant, does not.
        facing = np.array([ndimage.map_coordinates(part, index[where].T, order=1, mode="nearest") for part in slope])
        inwards = -np.einsum("ij,ij->j", facing, _in_voxels(ways[where[0]], geometry).T)
        faces = inwards >= rules.free_facing * np.linalg.norm(facing, axis=0)
        if np.count_nonzero(faces) < rules.free_border * RAYS:
            return None
        fitted, radius, error = _ball_through(along[where][faces])
        if not smallest <= radius <= largest or np.linalg.norm(fitted - place) > rules.residual_off_mm:
            return None
        centre = fitted
    if error > rules.free_error_mm:
        return None
    at = geometry.to_world(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1))
    mask = np.linalg.norm(at - centre, axis=-1) <= radius
    longest, short = (usual * 2.0 * radius for usual in rules.usual_shape)
    return Sized(mask=mask, geometry=geometry,
                 size=Size(longest_mm=longest, short_mm=short, volume_ml=ball_ml(2.0 * radius)))


def _in_voxels(ways: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """World directions along the axes of a grid, (n, 3)."""
    axes = geometry.affine[:3, :3] / np.array(geometry.spacing_mm)
    return np.asarray(ways @ axes)


def _directions(count: int) -> NDArray[np.float64]:
    """Unit vectors spread evenly over the sphere (a Fibonacci lattice), (count, 3)."""
    at = np.arange(count) + 0.5
    height, turn = 1.0 - 2.0 * at / count, np.pi * (1.0 + np.sqrt(5.0)) * at
    wide = np.sqrt(1.0 - height**2)
    return np.column_stack([wide * np.cos(turn), wide * np.sin(turn), height])


def _ball_through(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Centre, radius and median error (mm) of the ball whose surface lies nearest to points; outliers are left out."""
    kept = points
    for _ in range(3):
        matrix = np.column_stack([2.0 * kept, np.ones(len(kept))])
        solution, *_ = np.linalg.lstsq(matrix, (kept**2).sum(axis=1), rcond=None)
        centre = solution[:3]
        radius = float(np.sqrt(max(solution[3] + centre @ centre, 0.0)))
        errors = np.abs(np.linalg.norm(points - centre, axis=1) - radius)
        middle = float(np.median(errors))
        kept = points[errors <= max(2.5 * middle, 0.5)]
    return centre, radius, middle
