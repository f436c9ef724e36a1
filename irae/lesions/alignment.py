"""Whether the PET lies on the CT: a common frame of reference, else bodies that cover each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.volume import Volume
from irae.lesions.rules import FociRules
from irae.quant.holes import filled_slices
from irae.quant.resample import onto_grid

GRID_MM = 10.0


def aligned(ct: Volume, pet: Volume, rules: FociRules) -> tuple[bool, tuple[Notice, ...]]:
    """Whether foci of the PET may be looked up on the CT, and what the reader must know.

    Two frames of reference say that nothing is known of how the images lie; where the bodies cover each other all the
    same they are taken to be registered, with a notice. In one frame the images are used even where the bodies differ
    (arms, movement), with a notice, but not where they lie apart.

    Args:
        ct: HU.
        pet: SUVbw, g/mL.
        rules: The least overlap.
    """
    overlap = body_overlap(ct, pet)
    frames = ct.geometry.frame_of_reference_uid, pet.geometry.frame_of_reference_uid
    differ = all(frames) and frames[0] != frames[1]
    covers = overlap is not None and overlap >= rules.body_overlap
    words = "do not meet" if overlap is None else f"overlap by {100 * overlap:.0f} % (Dice)"
    if differ and not covers:
        return False, (Notice("pet_ct_other_frame", f"PET and CT have different frames of reference and the bodies "
                              f"{words}: foci are found and sized on the PET alone, without organs."),)
    if differ:
        return True, (Notice("pet_ct_other_frame", f"PET and CT have different frames of reference; the bodies {words} "
                             "and are taken to be registered."),)
    if overlap is None or overlap < rules.bodies_apart:
        return False, (Notice("pet_ct_misaligned", f"The bodies on PET and CT {words}: foci are found and sized on the "
                              "PET alone, without organs."),)
    if not covers:
        return True, (Notice("pet_ct_misaligned", f"The bodies on PET and CT {words}: organs and CT signs of foci may "
                             "be those of a neighbouring place."),)
    return True, ()


def body_overlap(ct: Volume, pet: Volume) -> float | None:
    """Dice of the bodies of CT and PET in their common field of view; None where there is none."""
    corners = [volume.geometry.corners_mm() for volume in (ct, pet)]
    low = np.maximum(*(c.min(axis=0) for c in corners))
    high = np.minimum(*(c.max(axis=0) for c in corners))
    if (high - low < 3 * GRID_MM).any():
        return None
    i, j, k = (int(n) for n in (high - low) // GRID_MM)
    grid = Geometry.axis_aligned((i, j, k), (GRID_MM,) * 3, (float(low[0]), float(low[1]), float(low[2])))
    on_ct = onto_grid(ct.array, ct.geometry, grid, order=0, outside=-1024.0) > -300.0
    uptake = onto_grid(pet.array, pet.geometry, grid, order=1)
    bodies = [_filled(on_ct), _filled(uptake > 0.2)]
    total = sum(np.count_nonzero(body) for body in bodies)
    return 2.0 * np.count_nonzero(bodies[0] & bodies[1]) / total if total else None


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part, with the air inside it."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body: NDArray[np.bool_] = parts == int(sizes.argmax())
    return filled_slices(body, 2)
