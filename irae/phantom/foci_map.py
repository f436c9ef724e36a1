"""Where focal things lie on the PET of a visit: what a network that looks for lesions learns from."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.phantom.canvas import Canvas
from irae.phantom.motion import breathe_pet
from irae.phantom.patient import Patient
from irae.phantom.spots import spots

LESIONS = frozenset({Nature.METASTASIS, Nature.INFLAMMATION})
# A thing that fills less of every voxel than this is not marked.
LEAST_SHARE = 0.1


def marked_foci(
    patient: Patient, visit: int, geometry: Geometry, *, natures: Set[Nature] = LESIONS
) -> NDArray[np.bool_]:
    """(i, j, k): voxels of which at least half is a focal thing of these natures, where its uptake lies on the PET.

    A thing smaller than a voxel marks the voxel that holds most of it.
    """
    today = patient.visits[visit]
    canvas = Canvas(geometry, today.pose, {}, noise_seed=patient.anatomy.noise_seed)
    marked = np.zeros(geometry.shape, dtype=bool)
    for spot in spots(patient, visit):
        found = spot.shape.field(canvas) if spot.nature in natures else None
        if found is None:
            continue
        (i, j, k), distance = found
        column = geometry.cropped((i.start, j.start, 0), (i.stop, j.stop, geometry.shape[2]))
        share = np.zeros(column.shape, dtype=np.float32)
        share[:, :, k] = canvas.share(distance)
        share = breathe_pet(share, column, today.pose, patient.anatomy, today.breath)
        most = float(share.max())
        if most > LEAST_SHARE:
            marked[i, j] |= share >= min(0.5, most)
    return marked
