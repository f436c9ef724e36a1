"""The colon along its centreline at one visit: calibre, wall, uptake, content - healthy, inflamed or on metformin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.phantom.patient import Patient
from irae.phantom.shapes import Tube

# By severity 1, 2, 3 (design values of the clinical reference, section 4.3).
WALL_MM = (3.8, 6.0, 9.5)
TRUE_SUV = (4.0, 5.4, 8.0)
MUCOSA_HU = (20.0, 40.0, 60.0)
STRANDING_MM = (3.0, 8.0, 14.0)
EXTENT_MM = (300.0, 560.0, 2000.0)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ColonProfile:
    """Values at every point of the colon's centreline.

    Attributes:
        lumen_mm: Radius of the lumen, haustra included.
        wall_mm: Thickness of the wall.
        wall_suv: True SUV of the wall.
        lumen_suv: SUV of the content.
        mucosa_hu: Extra enhancement of the inner layer.
        stranding_mm: How far the fat around is stranded.
        gas: Share of gas in the lumen.
        fluid: Share of fluid instead of stool, 0..1.
        inflamed: Weight 0..1 of the colitis.
        hot: Weight 0..1 of physiologic uptake.
        focal: Weight 0..1 of a diverticulitis.
    """

    lumen_mm: NDArray[np.float64]
    wall_mm: NDArray[np.float64]
    wall_suv: NDArray[np.float64]
    lumen_suv: NDArray[np.float64]
    mucosa_hu: NDArray[np.float64]
    stranding_mm: NDArray[np.float64]
    gas: NDArray[np.float64]
    fluid: NDArray[np.float64]
    inflamed: NDArray[np.float64]
    hot: NDArray[np.float64]
    focal: NDArray[np.float64]


def _window(arc: NDArray[np.float64], start: float, length: float, *, soft: float = 15.0) -> NDArray[np.float64]:
    """1 between start and start + length mm, with soft ends."""
    return np.clip((arc - start) / soft + 0.5, 0, 1) * np.clip((start + length - arc) / soft + 0.5, 0, 1)


def colon_profile(patient: Patient, visit: int, *, wall_suv: float) -> ColonProfile:
    """The colon of a patient at a visit.

    Args:
        patient: The patient.
        visit: Which visit.
        wall_suv: True SUV of the healthy wall today (before the segmental variation).
    """
    anatomy, today = patient.anatomy, patient.visits[visit]
    arc = Tube(anatomy.colon, 1.0).arc_mm
    total = float(arc[-1])
    haustra = 1.0 + 0.10 * np.sin(2 * np.pi * arc / 38.0) * (arc < 0.75 * total)
    lumen = np.maximum(anatomy.colon_calibre_mm * today.colon_distension * haustra, 2.5)
    # A collapsed wall is thicker: 1-2 mm distended, up to 5 mm collapsed (Insights Imaging 2014).
    wall = anatomy.colon_wall_mm * np.clip(1.0 + 0.9 * (1.0 - lumen / 14.0), 1.0, 2.0)
    suv = wall_suv * today.colon_uptake
    lumen_suv = np.full(len(arc), 0.7)
    gas, fluid = today.colon_gas.copy(), np.zeros(len(arc))
    mucosa, stranding = np.zeros(len(arc)), np.zeros(len(arc))
    inflamed, hot, focal = np.zeros(len(arc)), np.zeros(len(arc)), np.zeros(len(arc))

    if (bowel := patient.confounder("physiologic_bowel", visit)) is not None:
        length = 110.0 * bowel.drawn["size"]
        hot = _window(arc, 0.0 if bowel.drawn["lobe"] < 0.5 else bowel.drawn["start"] * (total - length), length)
        second = _window(arc, (0.35 + 0.6 * bowel.drawn["start"]) * total, 50.0)
        hot = np.maximum(hot, 0.7 * second)
        suv = suv * (1 + hot * 2.0 * bowel.drawn["suv"])
    if (drug := patient.confounder("metformin", visit)) is not None:
        # Diffuse, continuous, wall and lumen, most in the descending colon and sigmoid; the wall stays thin.
        rise = np.interp(arc / total, [0, 0.3, 0.6, 0.9, 1.0], [0.7, 0.75, 1.0, 1.1, 0.6]) * 4.0 * drug.drawn["suv"]
        suv, lumen_suv = wall_suv * rise, wall_suv * rise * 0.8
        hot = np.maximum(hot, 1.0)

    if (pouch := patient.confounder("diverticulitis", visit)) is not None:
        # A short thick stretch of the sigmoid with much stranding: focal, asymmetric, not an irAE.
        here = _window(arc, (0.72 + 0.12 * pouch.drawn["start"]) * total, 45.0 + 25.0 * pouch.drawn["size"])
        wall = wall + here * 5.0 * pouch.drawn["size"]
        suv = suv + here * 3.0 * pouch.drawn["suv"]
        mucosa, stranding, focal = here * 30.0, here * 14.0, here

    episode = patient.episode(Irae.COLITIS)
    if episode is not None and episode.visible and episode.severity[visit] > 0:
        grade, drawn = episode.severity[visit] - 1, episode.drawn
        calm = 0.6 if patient.confounder("steroid", visit) is not None else 1.0
        extent = EXTENT_MM[grade] * (1.0 if grade == 2 else drawn["extent"])
        if episode.pattern == "segmental":
            extent = min(extent, 390.0)
        extent = min(extent, total)
        # Most ICI colitis includes the left colon: the window is anchored from the rectum upwards.
        start = max(0.0, (total - extent) * (0.55 + 0.45 * drawn["start"]))
        inflamed = _window(arc, start, extent)
        target = 1.0 + (WALL_MM[grade] * float(np.clip(drawn["wall"], 0.82, 1.3)) - 1.0) * calm
        wall = wall + inflamed * np.maximum(target - wall, 0.0)
        hotness = TRUE_SUV[grade] * drawn["suv"] * calm
        suv = suv + inflamed * np.maximum(hotness - suv, 0.0)
        mucosa = np.maximum(mucosa, inflamed * MUCOSA_HU[grade] * drawn["hu"])
        stranding = np.maximum(stranding, inflamed * STRANDING_MM[grade] * drawn["stranding"])
        lumen = lumen * (1 - inflamed * 0.15 * grade)
        fluid = inflamed * 0.9
        gas = gas * (1 - 0.75 * inflamed)
    return ColonProfile(
        lumen_mm=lumen,
        wall_mm=wall,
        wall_suv=suv,
        lumen_suv=lumen_suv,
        mucosa_hu=mucosa,
        stranding_mm=stranding,
        gas=gas,
        fluid=fluid,
        inflamed=inflamed,
        hot=hot,
        focal=focal,
    )
