"""Metal in the body and the streaks that a CT makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.geometry import Geometry
from irae.phantom.canvas import Field, Material
from irae.phantom.scene import Stage
from irae.phantom.shapes import Ellipsoid, Tube

METAL = Material(hu=7000.0, suv=0.0, t1c=0.0)
METAL_FROM_HU = 3000.0  # nothing else in the body is that dense


def paint_metal(stage: Stage) -> None:
    """Hip prostheses and dental fillings of the body; metal is no organ."""
    for kind in stage.anatomy.metal:
        if kind == "dental":
            for x, y, down in ((-34, 56, 118), (-22, 72, 118), (24, 70, 118), (35, 52, 119)):
                stage.paint(Ellipsoid(centre=stage.anatomy.point(x, y, down), semi=(4.5, 4.5, 4.0)), METAL)
            continue
        side = 1 if kind == "hip_right" else -1
        stage.paint(Ellipsoid(centre=stage.anatomy.point(side * 101, 0, 870), semi=(17, 17, 17)), METAL)
        stem = [stage.anatomy.point(side * x, y, d) for x, y, d in ((101, 0, 870), (138, -4, 900), (136, 2, 1010))]
        stage.paint(Tube(stem, (10, 9, 6)), METAL)


def streaks(true_hu: Field, geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """What metal adds to a CT, HU: dark and bright rays from each piece, a dark band between two; None without metal.

    Rays lie in the planes of the last axis, as a gantry makes them.
    """
    metal = true_hu > METAL_FROM_HU
    planes = np.flatnonzero(metal.any(axis=(0, 1)))
    if not len(planes):
        return None
    added = np.zeros(true_hu.shape, dtype=np.float32)
    width, depth = geometry.spacing_mm[:2]
    i = np.arange(true_hu.shape[0], dtype=np.float32)[:, None] * np.float32(width)
    j = np.arange(true_hu.shape[1], dtype=np.float32)[None, :] * np.float32(depth)
    orders = np.arange(2, 12)
    phases, heights = rng.uniform(0, 2 * np.pi, len(orders)), rng.uniform(0.3, 1.0, len(orders))
    half = int(np.median(np.argwhere(metal)[:, 0])) + 1
    for k in planes:
        centres = []
        for start, part in ((0, metal[:half, :, k]), (half, metal[half:, :, k])):
            if not part.any():
                continue
            row, column = np.argwhere(part).mean(axis=0)
            x0, y0 = np.float32((row + start) * width), np.float32(column * depth)
            centres.append((x0, y0))
            angle, radius = np.arctan2(j - y0, i - x0), np.hypot(i - x0, j - y0)
            rays = np.zeros_like(radius)
            for order, phase, height in zip(orders, phases, heights, strict=True):
                rays += np.float32(height) * np.cos(np.float32(order) * angle + np.float32(phase))
            strength = 130.0 * min(float(np.sqrt(part.sum() * width * depth / 300.0)), 1.6)
            added[:, :, k] += np.float32(strength) * rays / (1 + radius / np.float32(45.0))
        if len(centres) == 2:
            (xa, ya), (xb, yb) = centres  # the first lies at the smaller index
            between = (i > xa) & (i < xb)
            line = ya + (i - xa) / max(float(xb - xa), 1e-3) * (yb - ya)
            added[:, :, k] -= np.float32(120.0) * np.exp(-(((j - line) / np.float32(16.0)) ** 2)) * between
    return added
