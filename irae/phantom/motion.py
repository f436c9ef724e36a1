"""Breathing: what moves with the diaphragm between CT and PET, and while either is acquired.

Motion is along the body's axis, largest at the domes and nothing at the lung apex or in the pelvis. It is applied to
painted images whose last axis runs along the body; other grids (none that a scanner makes) are left as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.geometry import Geometry
from irae.phantom.canvas import Field, Pose
from irae.phantom.patient import Anatomy, Breath

# Share of the diaphragm's motion by height of the standard body (mm below the vertex); the domes lie at about 560.
_HEIGHTS, _SHARES = (330.0, 450.0, 545.0, 600.0, 700.0, 800.0, 880.0), (0.0, 0.25, 1.0, 1.0, 0.55, 0.2, 0.0)
STEP_EVERY_MM = 38.0  # table travel per breath of a helical CT


def _depths(geometry: Geometry, pose: Pose, anatomy: Anatomy) -> NDArray[np.float64] | None:
    """Height of every slice in the standard body, mm below the vertex; None where slices are not axial."""
    affine = geometry.affine
    if abs(affine[2, 2]) < 0.9 * geometry.spacing_mm[2]:
        return None
    z = affine[2, 3] + affine[2, 2] * np.arange(geometry.shape[2]) - pose.shift_mm[2]
    return np.asarray(-z / anatomy.length, dtype=np.float64)


def diaphragm_share(down_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the diaphragm's motion at heights of the standard body."""
    return np.interp(down_mm, _HEIGHTS, _SHARES)


def _sources(geometry: Geometry, shift_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slice from which each slice's content comes when content moves by ``shift_mm`` towards the feet."""
    k = np.arange(geometry.shape[2]) + shift_mm / geometry.affine[2, 2]
    return np.clip(k, 0, geometry.shape[2] - 1)


def _moved(image: Field, source: NDArray[np.float64]) -> Field:
    low = np.minimum(np.floor(source).astype(int), image.shape[2] - 1)
    high = np.minimum(low + 1, image.shape[2] - 1)
    part = (source - low).astype(np.float32)
    return image[:, :, low] * (1 - part) + image[:, :, high] * part


def breathe_pet(true_suv: Field, geometry: Geometry, pose: Pose, anatomy: Anatomy, breath: Breath) -> Field:
    """The PET's mean over a breath, at its own mean position of the diaphragm; the CT stands at position 0."""
    down = _depths(geometry, pose, anatomy)
    if down is None or (breath.pet_offset_mm == 0 and breath.pet_amplitude_mm == 0):
        return true_suv
    share = diaphragm_share(down)
    # The diaphragm dwells at the end of expiration.
    dwell = ((-0.5, 0.45), (0.0, 0.3), (0.5, 0.25))
    total = np.zeros_like(true_suv)
    for place, weight in dwell:
        shift = (breath.pet_offset_mm + place * breath.pet_amplitude_mm) * share
        total += np.float32(weight) * _moved(true_suv, _sources(geometry, shift))
    return total


def breathe_ct(
    hu: Field, labels: NDArray[np.uint8], geometry: Geometry, pose: Pose, anatomy: Anatomy, breath: Breath
) -> tuple[Field, NDArray[np.uint8]]:
    """A CT during shallow breathing: steps in the diaphragm and the chest wall; organs move with the picture."""
    down = _depths(geometry, pose, anatomy)
    if down is None or breath.ct_step_mm == 0:
        return hu, labels
    wave = np.sin(2 * np.pi * down / STEP_EVERY_MM + breath.phase)
    # Near the ends of the wave the scanner sees still anatomy, between them it moves fast: steps rather than a sine.
    shift = breath.ct_step_mm * np.tanh(2.5 * wave) * diaphragm_share(down)
    source = _sources(geometry, shift)
    return _moved(hu, source), labels[:, :, np.rint(source).astype(int)]
