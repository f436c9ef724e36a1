"""Where the learned arm looked, as it is drawn over the organ of a suspected irAE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.volume import Volume
from irae.report import palette
from irae.report.canvas import Outline
from irae.report.planes import Plane, cut

# Shares of the map's largest value at which contours are drawn, with line style and width.
CONTOURS = ((0.5, "dashdot", 1.2), (0.8, "solid", 1.6))
CAPTION = (
    " Orange: where the learned arm's network looked, dash-dotted from half, solid from four fifths of the largest "
    "value of its class activation map (Layer-CAM). It shows what raised the score, coarsely; it is no outline of "
    "disease and no proof of it."
)
ELSEWHERE = " What the learned arm's network looked at does not reach this plane."


def evidence_outlines(relevance: Volume, plane: Plane) -> list[Outline]:
    """Contours of an evidence map in a plane; none where it does not reach the plane."""
    flat = cut(relevance.array, relevance.geometry, plane)
    if flat is None:
        return []
    masks = [(flat >= share, style, width) for share, style, width in CONTOURS]
    return [Outline(mask, palette.ORANGE, style, width) for mask, style, width in masks if mask.any()]


def relevance_at(relevance: Volume, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map's value at each of (n, 3) RAS+ mm points; 0 outside of it."""
    index = relevance.geometry.to_index(places_mm)
    values: NDArray[np.float64] = ndimage.map_coordinates(relevance.array, index.T, order=1, cval=0.0)
    return values
