"""Adrenal glands on CT and PET: the lesser of the two sides, because inflammation takes both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irae.core.volume import Coverage, LabelMap
from irae.quant.distance import distance_mm
from irae.quant.region import geometry_of, grown, organ_boxes
from irae.quant.resample import onto_grid

ADRENALS = ("adrenal_gland_left", "adrenal_gland_right")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdrenalMeasures:
    """The lesser of both sides: greatest thickness of a limb (mm, an inscribed ball's diameter) and volume (mL)."""

    lesser_thickness_mm: float
    lesser_volume_ml: float


def measure_adrenals(organs: LabelMap, *, grid_mm: float = 1.0) -> AdrenalMeasures | None:
    """Sizes of the adrenals; None where not both were seen whole: a gland that the field of view cuts is not thin.

    Args:
        organs: Organs on the CT's grid.
        grid_mm: Grid on which thickness is read.
    """
    boxes = organ_boxes(organs)
    if not all(side in boxes and organs.coverage[side] is Coverage.WHOLE for side in ADRENALS):
        return None
    thickness, volume = [], []
    for side in ADRENALS:
        box = grown(boxes[side], organs.geometry, 3.0)
        native = geometry_of(box, organs.geometry)
        mask = organs.array[box] == organs.labels[side]
        volume.append(float(np.count_nonzero(mask)) * native.voxel_volume_ml)
        fine = native.with_spacing((grid_mm,) * 3)
        solid = np.pad(onto_grid(mask.astype(np.float32), native, fine) >= 0.5, 1)
        depth = distance_mm(solid, fine.spacing_mm)
        thickness.append(max(0.0, 2.0 * float(depth.max()) - grid_mm))
    return AdrenalMeasures(lesser_thickness_mm=min(thickness), lesser_volume_ml=min(volume))
