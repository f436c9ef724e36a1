"""Where further networks look: a box in the body for each of them, placed by what the coarse network found.

A thyroid of 20 mL is four voxels wide on the coarse grid, an adrenal limb one; on it no outline, volume or attenuation
can be had. Muscle is everywhere, and what is nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry

Box = tuple[slice, slice, slice]
Point = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloserLook:
    """A finer network's task and where it looks.

    Attributes:
        task: Of its package.
        organs: What it finds; where the coarse network finds one of them too, this one's stands.
        half_mm: Half the box: to the right, to the front, towards the head.
        centre: The middle of the box, RAS mm, from coarse organ labels and their grid; None where the place is not in
            the picture.
        yields: Whether its organs are only what no other organ is; else they lie on top of coarse masks.
    """

    task: str
    organs: tuple[str, ...]
    half_mm: tuple[float, float, float]
    centre: Callable[[Labels, Geometry], Point | None]
    yields: bool = False

    @property
    def only_adds(self) -> bool:
        """Whether none of the five irAEs is looked for in what it finds."""
        return all(BY_NAME[organ].irae is None for organ in self.organs)

    def box(self, labels: Labels, geometry: Geometry) -> Box | None:
        """The voxels in which to look.

        Args:
            labels: (I, J, K) organ labels of ``core.anatomy``, axes to the right, front and head
                (``tensors.Canonical``).
            geometry: Their grid.

        Returns:
            A box within the image, or None where the place is not in the picture.
        """
        centre = self.centre(labels, geometry)
        if centre is None:
            return None
        half = np.array(self.half_mm) / np.array(geometry.spacing_mm)
        middle = geometry.to_index(centre)
        low = np.clip(np.floor(middle - half), 0, geometry.shape).astype(int)
        high = np.clip(np.ceil(middle + half) + 1, 0, geometry.shape).astype(int)
        if (high - low < 2).any():
            return None
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


# Design values of the thyroid. Its centre lies about C7, a little above and in front of the lungs' apices (T1).
FROM_APICES_MM = np.array([0.0, 20.0, 25.0])
# A coarse gland smaller than this, or further than this from where the apices put it, is not followed.
LEAST_ML, FURTHEST_MM = 1.0, 80.0
# The top of an organ: this share of its voxels, the very highest of which (specks) are passed over.
TOP_SHARE, SPECK_SHARE = 0.03, 0.002
LUNGS = ("lung_left", "lung_right")
ADRENALS = ("adrenal_gland_left", "adrenal_gland_right")
# Design values of the adrenals. They lie medial of the kidneys' upper poles, a little in front and above.
SIDES = (("kidney_left", 1.0), ("kidney_right", -1.0))  # and which way the midline is
KIDNEY_ML = 20.0
FROM_POLES_MM = np.array([0.0, 5.0, 12.0])
# From a pole to the midline, where only one kidney and no spine says where that is; a kidney whose pole lies this far
# below the other's lies elsewhere (in the pelvis), and its adrenal does not.
OFF_MIDLINE_MM, SUNK_MM = 58.0, 70.0
# Without kidneys: the middle of liver and spleen, which the glands lie behind, a little lower.
FLANKS, FLANK_ML = ("liver", "spleen"), 40.0
FROM_FLANKS_MM = np.array([0.0, -20.0, -10.0])
SPINE_ML = 30.0


def neck_mm(labels: Labels, geometry: Geometry) -> Point | None:
    """Where the thyroid is: the coarse gland, or, where it is missing or lies wrong, above the lungs' apices."""
    apices = [apex for lung in LUNGS if (apex := _top_mm(labels == BY_NAME[lung].label, geometry)) is not None]
    expected = np.mean(apices, axis=0) + FROM_APICES_MM if apices else None
    gland = np.argwhere(labels == BY_NAME["thyroid_gland"].label)
    if len(gland) * geometry.voxel_volume_ml < LEAST_ML:
        return expected
    found: Point = geometry.to_world(np.median(gland, axis=0))
    if expected is not None and float(np.linalg.norm(found - expected)) > FURTHEST_MM:
        return expected
    return found


def above_kidneys_mm(labels: Labels, geometry: Geometry) -> Point | None:
    """Between the kidneys' upper poles, or beside the only one's; without any, where the glands are drawn already, or
    behind the whole liver and spleen.
    """
    poles: dict[str, Point] = {}
    for kidney, _ in SIDES:
        mask = labels == BY_NAME[kidney].label
        if _ml(mask, geometry) >= KIDNEY_ML and (pole := _top_mm(mask, geometry)) is not None:
            poles[kidney] = pole
    highest = max((pole[2] for pole in poles.values()), default=0.0)
    poles = {kidney: pole for kidney, pole in poles.items() if highest - pole[2] <= SUNK_MM}
    if len(poles) == len(SIDES):
        return np.mean(list(poles.values()), axis=0) + FROM_POLES_MM
    midline = _midline_mm(labels, geometry)
    for kidney, medial in SIDES:
        if kidney in poles:
            x = poles[kidney][0] + medial * OFF_MIDLINE_MM if midline is None else midline
            return np.array([x, *poles[kidney][1:]]) + FROM_POLES_MM
    glands = np.isin(labels, [BY_NAME[gland].label for gland in ADRENALS])
    if _ml(glands, geometry) >= LEAST_ML:
        return geometry.to_world(np.median(np.argwhere(glands), axis=0))
    whole = [
        geometry.to_world(np.argwhere(mask).mean(axis=0)) for flank in FLANKS
        if _ml(mask := labels == BY_NAME[flank].label, geometry) >= FLANK_ML
        and not (mask[:, :, 0].any() or mask[:, :, -1].any())
    ]
    if midline is None or not whole:
        return None
    return np.array([midline, *np.mean(whole, axis=0)[1:]]) + FROM_FLANKS_MM


def middle_mm(labels: Labels, geometry: Geometry) -> Point:
    """The middle of the picture."""
    return geometry.to_world((np.array(geometry.shape) - 1) / 2.0)


def _top_mm(mask: NDArray[np.bool_], geometry: Geometry) -> Point | None:
    """The middle of an organ's top, RAS mm; None for no organ, or one that the field of view cuts above."""
    voxels = np.argwhere(mask)
    if not len(voxels) or mask[:, :, -1].any():
        return None
    voxels = voxels[np.argsort(voxels[:, 2])]
    top = voxels[int(len(voxels) * (1.0 - TOP_SHARE)): max(1, int(len(voxels) * (1.0 - SPECK_SHARE)))]
    if not len(top):
        return None
    return np.array([*geometry.to_world(top.mean(axis=0))[:2], geometry.to_world(top[-1])[2]])


def _midline_mm(labels: Labels, geometry: Geometry) -> float | None:
    """The spine's x, RAS mm; None where too little of it is seen."""
    spine = labels == BY_NAME["vertebrae"].label
    return None if _ml(spine, geometry) < SPINE_ML else float(geometry.to_world(np.argwhere(spine).mean(axis=0))[0])


def _ml(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    return float(np.count_nonzero(mask)) * geometry.voxel_volume_ml


CLOSER_LOOKS: Mapping[str, CloserLook] = {look.task: look for look in (
    CloserLook(task="thyroid", organs=("thyroid_gland",), half_mm=(75.0, 70.0, 75.0), centre=neck_mm),
    CloserLook(task="adrenals", organs=ADRENALS, half_mm=(75.0, 55.0, 55.0), centre=above_kidneys_mm),
    CloserLook(
        task="muscle", organs=("skeletal_muscle",), half_mm=(np.inf, np.inf, np.inf), centre=middle_mm, yields=True
    ),
)}


def read_by_the_five(digests: Mapping[str, str]) -> dict[str, str]:
    """Digests of segmenters by name, without the closer looks that no answer about the five irAEs depends on.

    Such a package adds organs and moves no other one, but for the few voxels of theirs that a coarse mask had run over
    (``segmenters.packaged``): it does not make the masks that a fusion of the five was fitted with others.
    """
    added = {look.task for look in CLOSER_LOOKS.values() if look.only_adds}
    return {name: digest for name, digest in digests.items() if name not in added}
