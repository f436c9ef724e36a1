"""A small body with known answers: an ellipse of soft tissue with lungs, liver, bladder and bowel, and hot spheres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy import ndimage

from irae.core.exam import Exam, Role
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.quant.uptake import UptakeReference

LABELS = {"lung_left": 1, "lung_right": 2, "colon": 3, "liver": 5, "urinary_bladder": 13, "brain": 14}
REFERENCE = UptakeReference(liver_mean=2.2, liver_sd=0.15, blood_pool_mean=1.5, blood_pool_sd=0.1)
FINE = Geometry.axis_aligned((120, 84, 150), (3.0, 3.0, 3.0), (-180.0, -126.0, 0.0))
PET_GRID = Geometry.axis_aligned((90, 63, 112), (4.0, 4.0, 4.0), (-180.0, -126.0, 0.0))


@dataclass(frozen=True)
class Ball:
    """A hot sphere: place and diameter in mm, true uptake in g/mL, HU of its tissue (None: as around it)."""

    centre: tuple[float, float, float]
    diameter_mm: float
    suv: float
    hu: float | None = 40.0


def points(grid: Geometry):
    return grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def ellipsoid(at, centre, radii):
    return (((at - np.array(centre)) / np.array(radii)) ** 2).sum(axis=-1) <= 1.0


def draw(balls=(), *, colon_suv=1.2, noise=0.03, fwhm_mm=6.5, seed=1, day=date(2026, 1, 5), shift=(0, 0, 0), ct=True,
         pet=True, ct_grid=FINE, pet_grid=PET_GRID):
    """An exam and its organs. The uptake is drawn at 2 mm, blurred, and sampled on the PET's grid."""
    def scene(grid):
        at = points(grid) - np.array(shift)
        hu = np.full(grid.shape, -1000.0, np.float32)
        suv = np.zeros(grid.shape, np.float32)
        organs = np.zeros(grid.shape, np.uint8)
        body = ((at[..., 0] / 160) ** 2 + (at[..., 1] / 105) ** 2) <= 1
        hu[body], suv[body] = -100.0, 0.4  # fat
        parts = {
            "lung_left": ((-80, 0, 300), (55, 70, 90), -800, 0.5),
            "lung_right": ((80, 0, 300), (55, 70, 90), -800, 0.5),
            "liver": ((80, 0, 160), (60, 60, 50), 60, 2.2), "urinary_bladder": ((0, 40, 40), (28, 28, 24), 8, 20.0),
            "brain": ((0, 0, 415), (50, 60, 28), 35, 8.0),
        }
        for name, (centre, radii, tissue, uptake) in parts.items():
            inside = ellipsoid(at, centre, radii)
            hu[inside], suv[inside], organs[inside] = tissue, uptake, LABELS[name]
        ring = (np.hypot(at[..., 0] + 60, at[..., 1]) - 45) ** 2 + (at[..., 2] - 120) ** 2
        colon = ring <= 14.0**2
        hu[colon], suv[colon], organs[colon] = 35.0, colon_suv, LABELS["colon"]
        for ball in balls:
            inside = ellipsoid(at, ball.centre, (ball.diameter_mm / 2,) * 3)
            suv[inside] = ball.suv
            if ball.hu is not None:
                hu[inside] = ball.hu
        return hu, suv, organs

    rng = np.random.default_rng(seed)
    volumes = {}
    hu, suv, organs = scene(ct_grid)
    if ct:
        volumes[Role.CT] = Volume(array=hu + rng.normal(0, 12, hu.shape).astype(np.float32), geometry=ct_grid,
                                  quantity=Quantity.HU)
    if pet:
        from irae.quant.resample import onto_grid
        blurred = ndimage.gaussian_filter(suv, fwhm_mm / 2.3548 / np.array(ct_grid.spacing_mm))
        sampled = onto_grid(blurred, ct_grid, pet_grid, order=1, antialias=False)
        grain = ndimage.gaussian_filter(rng.normal(0, 1, sampled.shape), 1.0)
        sampled = sampled * (1 + noise * grain / grain.std())
        volumes[Role.PET] = Volume(array=np.maximum(sampled, 0), geometry=pet_grid, quantity=Quantity.SUV_BW)
    exam = Exam(patient="P01", acquired_on=day, volumes=volumes)
    labels = LabelMap(array=organs, geometry=ct_grid, labels=LABELS, coverage=dict.fromkeys(LABELS, Coverage.WHOLE))
    return exam, labels
