"""FDG uptake of organs: the patient's own references, and percentiles over organ masks.

Organ masks come onto the PET grid by nearest neighbour: a PET voxel belongs to the organ its centre lies in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.numbers import exceeds
from irae.core.volume import LabelMap, Quantity, Volume
from irae.quant.distance import depth_mm, distance_mm, inner
from irae.quant.region import geometry_of, grown, joined, organ_boxes
from irae.quant.resample import labels_onto


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRules:
    """How and where the reference uptake is taken.

    PERCIST takes the mean in a 3 cm sphere of the right liver lobe and, where the liver is diseased, a 1 cm x 2 cm
    cylinder in the descending aorta (Wahl, J Nucl Med 2009;50 Suppl 1:122S). The plausible ranges are design values,
    wider than 1.2-3.4 (liver) and 0.9-2.6 g/mL (blood pool), which span mean +-2-3 SD of Boktor, J Nucl Med 2013.
    """

    liver_radius_mm: float = 15.0
    liver_edge_mm: float = 5.0  # between the sphere and the liver's surface: breathing and partial volume
    spot_fwhm_mm: float = 8.0  # hot and cold spots are looked for in an image smoothed by about a PET resolution
    spot_deviations: float = 3.0  # robust SDs from the liver's median
    aorta_radius_mm: float = 5.0
    aorta_length_mm: float = 20.0
    aorta_slab_mm: float = 5.0
    plausible_liver: tuple[float, float] = (1.0, 4.0)
    plausible_blood_pool: tuple[float, float] = (0.6, 3.5)
    least_voxels: int = 8


REFERENCE_RULES = ReferenceRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class UptakeReference:
    """The patient's own reference uptake at one exam, SUVbw in g/mL; None where it could not be taken.

    Attributes:
        liver_mean, liver_sd: Over the voxels of a 3 cm sphere in the right liver lobe.
        blood_pool_mean, blood_pool_sd: Over a 1 cm x 2 cm cylinder in the descending aorta.
        notices: What the reader must know (missing or implausible references).
    """

    liver_mean: float | None = None
    liver_sd: float | None = None
    blood_pool_mean: float | None = None
    blood_pool_sd: float | None = None
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganUptake:
    """Uptake over an organ's voxels on the PET grid, SUVbw in g/mL."""

    mean: float
    median: float
    maximum: float
    p75: float
    p95: float
    voxels: int


def suv_percentile(values: ArrayLike, q: float) -> float:
    """The q-th percentile: linear interpolation between order statistics (numpy's default, Hyndman-Fan type 7).

    Args:
        values: SUV of an organ's voxels, any shape, g/mL.
        q: 0..100; SUV95 is q = 95, the value that 5 % of the organ's voxels exceed.

    Raises:
        ValueError: If there are no values or q is not in 0..100.

    >>> suv_percentile(range(101), 95)
    95.0
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"the {q:g}th percentile needs at least one voxel")
    return float(np.percentile(array, q))


def organ_uptake(values: ArrayLike) -> OrganUptake:
    """Uptake statistics of one organ's voxels.

    Raises:
        ValueError: If there are no values.
    """
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    p50, p75, p95 = (suv_percentile(array, q) for q in (50, 75, 95))
    return OrganUptake(
        mean=float(array.mean()), median=p50, maximum=float(array.max()), p75=p75, p95=p95, voxels=array.size
    )


def uptake_values(
    pet: Volume, organs_on_pet: LabelMap, organs: tuple[str, ...], *, away_from: tuple[str, ...] = (),
    away_mm: float = 0.0, inset_mm: float = 0.0,
) -> NDArray[np.float32]:
    """SUV of the voxels of one or more organs, on the PET grid.

    Args:
        pet: SUVbw in g/mL.
        organs_on_pet: The organs on the PET's grid.
        organs: Organs taken together.
        away_from: Organs whose uptake spills over: voxels nearer than ``away_mm`` to them are left out.
        away_mm: How near, mm.
        inset_mm: Leave out voxels nearer than this to the organs' surface, mm; not where nothing would be left.

    Returns:
        (n,) float32; empty where the organs have no voxels on the PET grid.
    """
    if not pet.geometry.same_grid(organs_on_pet.geometry):
        raise ValueError("organs must lie on the PET's grid")
    boxes = organ_boxes(organs_on_pet)
    present = [boxes[o] for o in organs if o in boxes]
    if not present:
        return np.empty(0, np.float32)
    box = grown(joined(present), pet.geometry, away_mm)
    labels = organs_on_pet.array[box]
    geometry = geometry_of(box, pet.geometry)
    wanted = np.isin(labels, [organs_on_pet.labels[o] for o in organs if organs_on_pet.seen(o)])
    kept = wanted
    if away_mm > 0:
        others = np.isin(labels, [organs_on_pet.labels[o] for o in away_from if organs_on_pet.seen(o)])
        if others.any():
            kept = wanted & (distance_mm(~others, geometry.spacing_mm) > away_mm)
    if inset_mm > 0 and (deep := kept & inner(wanted, geometry, inset_mm)).any():
        kept = deep
    values: NDArray[np.float32] = pet.array[box][kept if kept.any() else wanted]
    return values


def uptake_reference(
    pet: Volume, organs: LabelMap | None, rules: ReferenceRules = REFERENCE_RULES
) -> UptakeReference:
    """Reference uptake of liver and blood pool.

    Args:
        pet: SUVbw in g/mL.
        organs: Organs on any grid of the same world; None where there is no CT.
        rules: Sizes and plausible ranges.

    Raises:
        ValueError: If pet is not SUVbw.
    """
    if pet.quantity is not Quantity.SUV_BW:
        raise ValueError(f"uptake reference needs {Quantity.SUV_BW.value}, got {pet.quantity.value}")
    if organs is None:
        missing = "No organ masks: liver and blood-pool reference uptake are unknown."
        return UptakeReference(notices=(Notice("uptake_reference_missing", missing),))
    on_pet = organs if organs.geometry.same_grid(pet.geometry) else labels_onto(organs, pet.geometry)
    notices: list[Notice] = []
    liver = _liver_values(pet, on_pet, rules, notices)
    blood = _blood_pool_values(pet, on_pet, rules, notices)
    liver_mean, liver_sd = _mean_sd(liver)
    blood_mean, blood_sd = _mean_sd(blood)
    for code, name, value, (least, most) in (
        ("liver_reference_implausible", "Liver", liver_mean, rules.plausible_liver),
        ("blood_pool_reference_implausible", "Blood-pool", blood_mean, rules.plausible_blood_pool),
    ):
        if value is not None and not least <= value <= most:
            text = f"{name} SUVmean {value:.2f} g/mL is outside {least:g}-{most:g}: the PET's SUV may be wrong."
            notices.append(Notice(code, text))
    return UptakeReference(
        liver_mean=liver_mean, liver_sd=liver_sd, blood_pool_mean=blood_mean, blood_pool_sd=blood_sd,
        notices=tuple(notices),
    )


def _mean_sd(values: NDArray[np.float32]) -> tuple[float | None, float | None]:
    if not values.size:
        return None, None
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def _liver_values(
    pet: Volume, on_pet: LabelMap, rules: ReferenceRules, notices: list[Notice]
) -> NDArray[np.float32]:
    """Voxels of the sphere: in the right half of the liver, as far as can be from its edge and from any spot."""
    box = organ_boxes(on_pet).get("liver")
    if box is None:
        notices.append(Notice("liver_reference_missing", "No liver in the PET's field of view: no liver reference."))
        return np.empty(0, np.float32)
    geometry = geometry_of(box, pet.geometry)
    mask = np.asarray(on_pet.array[box] == on_pet.labels["liver"])
    suv = pet.array[box]
    smooth = ndimage.gaussian_filter(suv, [rules.spot_fwhm_mm / 2.355 / s for s in geometry.spacing_mm])
    median = float(np.median(smooth[mask]))
    spread = 1.4826 * float(np.median(np.abs(smooth[mask] - median)))
    even = mask & (np.abs(smooth - median) <= max(rules.spot_deviations * spread, 0.05 * median))
    # Single voxels of noise must not bore holes into the sphere.
    even = mask & ndimage.binary_closing(np.pad(even, 2), iterations=1)[2:-2, 2:-2, 2:-2]
    depth = depth_mm(even if even.any() else mask, geometry)
    points = geometry.to_world(np.argwhere(mask))
    depths = depth[mask]
    right = points[:, 0] <= np.median(points[:, 0])
    depths = np.where(right, depths, 0.0)
    centre = points[int(np.argmax(depths))]
    if exceeds(rules.liver_radius_mm, float(depths.max())):
        text = f"The 3 cm liver sphere does not fit: {2 * depths.max():.0f} mm of even liver tissue in the right lobe."
        notices.append(Notice("liver_reference_small", text))
    inside = np.linalg.norm(points - centre, axis=1) <= rules.liver_radius_mm
    values = suv[mask][inside & ((even if even.any() else mask)[mask])]
    return values if values.size >= rules.least_voxels else np.empty(0, np.float32)


def _blood_pool_values(
    pet: Volume, on_pet: LabelMap, rules: ReferenceRules, notices: list[Notice]
) -> NDArray[np.float32]:
    """Voxels of the cylinder: around the descending aorta's axis, at the level whose mean is the levels' median."""
    box = organ_boxes(on_pet).get("aorta")
    if box is None:
        text = "No aorta in the PET's field of view: no blood-pool reference."
        notices.append(Notice("blood_pool_reference_missing", text))
        return np.empty(0, np.float32)
    mask = np.asarray(on_pet.array[box] == on_pet.labels["aorta"])
    points = geometry_of(box, pet.geometry).to_world(np.argwhere(mask))
    suv = pet.array[box][mask]
    axis = _posterior_axis(points, rules)
    offsets = np.linalg.norm(points[:, None, :2] - axis[None, :, :2], axis=2)
    # A coarse grid may have no voxel centre within 5 mm of the axis: the nearest ones stand for it.
    radius = max(rules.aorta_radius_mm, 0.75 * max(pet.geometry.spacing_mm))
    levels: list[NDArray[np.float32]] = []
    for n, level in enumerate(axis):
        near = (np.abs(points[:, 2] - level[2]) <= rules.aorta_length_mm / 2) & (offsets[:, n] <= radius)
        if np.count_nonzero(near) >= rules.least_voxels:
            levels.append(suv[near])
    if not levels:
        text = "The aorta is too small on the PET grid: no blood-pool reference."
        notices.append(Notice("blood_pool_reference_missing", text))
        return np.empty(0, np.float32)
    means = np.array([v.mean() for v in levels])
    return levels[int(np.argmin(np.abs(means - np.median(means))))]


def _posterior_axis(points: NDArray[np.float64], rules: ReferenceRules) -> NDArray[np.float64]:
    """Centres (n, 3) of the most posterior vessel per slab: behind the arch that is the descending aorta."""
    slabs = np.floor((points[:, 2] - points[:, 2].min()) / rules.aorta_slab_mm).astype(int)
    centres = []
    for slab in np.unique(slabs):
        here = points[slabs == slab]
        # 30 mm from the rearmost point: the whole of a normal descending aorta, never the ascending one before it.
        vessel = here[here[:, 1] <= here[:, 1].min() + 30.0]
        if np.ptp(vessel[:, 1]) <= 30.0:
            centres.append(vessel.mean(axis=0))
    return np.array(centres)


def same_world(first: Geometry, second: Geometry) -> bool:
    """Whether two grids share a frame of reference; grids without one (NIfTI) are taken to lie in one world."""
    return first.frame_of_reference_uid == second.frame_of_reference_uid
