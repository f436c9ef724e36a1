"""Synthetic irAEs and lesions inserted into real volumes, with exact truth.

    made = insert(7, ct, organs, pet=pet, kinds=("liver_metastasis", "ground_glass"))

``ct`` is a user's own normal in HU with organ masks on the same grid; ``pet`` (SUVbw) may lie on another grid. What was
inserted keeps the scan's own noise, blur and anatomy around it, so that a network cannot tell it by a foreign texture
alone. The same seed gives the same voxels. A synthetic finding proves plumbing and sensitivity to its own recipe, never
clinical accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import Irae
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Quantity, Volume
from irae.phantom.canvas import rotation
from irae.phantom.insert_places import (
    Box,
    Field,
    Mask,
    deep_place,
    depth_mm,
    ellipsoid_share,
    ill_share,
    smooth_noise,
    stretch,
)
from irae.quant.resample import onto_grid

LUNGS = ("lung_left", "lung_right")
PET_FWHM_MM = 6.0
ENHANCED_FROM_HU = 100.0  # an aorta brighter than this holds contrast


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Inserted:
    """One inserted finding.

    Attributes:
        kind: A name of ``KINDS``.
        nature: metastasis or inflammation.
        irae: Which of the five it is a sign of, if one.
        organ: Where it lies.
        centre_ras_mm: Its centre of mass.
        diameters_mm: Axes of an ellipsoid, longest first; of anything else the sides of its box, longest first.
        volume_ml: Of the mask.
        organ_share: Share of the organ's volume that it takes.
        suv: True SUV before the scanner's blur; None without PET.
        mask: (i, j, k) bool on the CT's grid, read-only.
    """

    kind: str
    nature: Nature
    irae: Irae | None
    organ: str
    centre_ras_mm: tuple[float, float, float]
    diameters_mm: tuple[float, float, float]
    volume_ml: float
    organ_share: float
    suv: float | None
    mask: Mask


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class InsertedExam:
    """A real exam with what was inserted; ``organs`` are unchanged: ill organs keep their labels."""

    ct: Volume
    pet: Volume | None
    organs: LabelMap
    truth: tuple[Inserted, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Change:
    """What one finding does: weight 0..1 on a box of the CT, the CT numbers it pulls to, the SUV it pulls to."""

    box: Box
    weight: Field
    hu: Field
    suv: float
    organ: str
    mask: Mask
    axes_mm: tuple[float, float, float] | None = None


def insert(
    seed: int, ct: Volume, organs: LabelMap, *, kinds: Sequence[str], pet: Volume | None = None
) -> InsertedExam:
    """Inserts findings one after the other.

    Args:
        seed: Everything follows from it.
        ct: HU.
        organs: Masks on the CT's grid.
        kinds: Names of ``KINDS``; a name may come more than once.
        pet: SUVbw of the same body, on any grid.

    Raises:
        ValueError: If a kind is unknown, a volume has another quantity, the grids differ, or an organ is absent or too
            small for its finding.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"unknown kinds {unknown}; known are {', '.join(KINDS)}")
    if ct.quantity is not Quantity.HU:
        raise ValueError(f"ct must be HU, got {ct.quantity.name}")
    if pet is not None and pet.quantity is not Quantity.SUV_BW:
        raise ValueError(f"pet must be SUV_BW, got {pet.quantity.name}")
    if not organs.geometry.same_grid(ct.geometry):
        raise ValueError(f"organs {organs.geometry.shape} must lie on the CT's grid {ct.geometry.shape}")
    truth: list[Inserted] = []
    hu = np.array(ct.array)
    grain = _scan_noise(hu, organs)
    suv = None if pet is None else np.array(pet.array)
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng((seed, number, 0x1175E))
        recipe, nature, irae = KINDS[kind]
        change = recipe(rng, hu, organs)
        part = hu[change.box.slices]
        texture = grain * smooth_noise(rng, change.box.geometry, scale_mm=4.0)
        part += change.weight * (change.hu + texture - part)
        if suv is not None and pet is not None:
            _heat(suv, pet.geometry, change)
        truth.append(_truth(kind, nature, irae, change, organs, with_suv=suv is not None))
    return InsertedExam(
        ct=replace(ct, array=np.clip(hu, -1024, 3071)),
        pet=None if pet is None or suv is None else replace(pet, array=suv),
        organs=organs,
        truth=tuple(truth),
    )


def _scan_noise(hu: NDArray[np.float32], organs: LabelMap) -> float:
    """SD of the scan's own noise, HU: of what a small blur takes out of a solid organ."""
    name = next((n for n in ("liver", "spleen", "heart", "aorta") if organs.seen(n)), None)
    mask = organs.mask(name) if name else hu > 0
    if mask.sum() < 200:
        return 10.0
    box = Box.around(mask, organs.geometry, margin_mm=0.0).slices
    rough = hu[box] - ndimage.gaussian_filter(hu[box], 1.0)
    spread = np.median(np.abs(rough[ndimage.binary_erosion(mask[box], iterations=1)])) if mask.sum() > 2000 else 7.0
    return float(np.clip(1.4826 * spread, 2.0, 40.0))


def _heat(suv: NDArray[np.float32], geometry: Geometry, change: _Change) -> None:
    """Pulls the true uptake to the finding's, as the PET would show it: the change is blurred, not the scan."""
    weight = onto_grid(change.weight, change.box.geometry, geometry, order=1)
    raised = weight * np.maximum(change.suv - suv, 0.0)
    sigma = [PET_FWHM_MM / 2.3548 / s for s in geometry.spacing_mm]
    suv += ndimage.gaussian_filter(raised.astype(np.float32), sigma, mode="constant")


def _truth(
    kind: str, nature: Nature, irae: Irae | None, change: _Change, organs: LabelMap, *, with_suv: bool
) -> Inserted:
    geometry = organs.geometry
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[change.box.slices] = change.mask
    mask.flags.writeable = False
    places = geometry.to_world(np.argwhere(mask))
    x, y, z = (round(float(v), 2) for v in places.mean(axis=0))
    sides = change.axes_mm or tuple(np.ptp(places, axis=0) + np.array(geometry.spacing_mm))
    a, b, c = (round(float(v), 2) for v in sorted(sides, reverse=True))
    whole = int(organs.mask(*(LUNGS if change.organ == "lung" else (change.organ,))).sum())
    return Inserted(
        kind=kind,
        nature=nature,
        irae=irae,
        organ=change.organ,
        centre_ras_mm=(x, y, z),
        diameters_mm=(a, b, c),
        volume_ml=round(float(mask.sum()) * geometry.voxel_volume_ml, 3),
        organ_share=round(float(mask.sum()) / max(whole, 1), 4),
        suv=round(change.suv, 2) if with_suv else None,
        mask=mask,
    )


# --- recipes -----------------------------------------------------------------------------------------------------


def _enhanced(hu: NDArray[np.float32], organs: LabelMap) -> bool:
    return bool(organs.seen("aorta") and np.median(hu[organs.mask("aorta")]) > ENHANCED_FROM_HU)


def _nodule(
    rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap, *, host: str, median_mm: float, spread: float,
    suv: tuple[float, float],
) -> _Change:
    present = [o for o in (LUNGS if host == "lung" else (host,)) if organs.seen(o)]
    if not present:
        raise ValueError(f"{host} is not in the picture: no metastasis can be inserted there")
    organ = present[int(rng.integers(len(present)))]
    longest = float(np.clip(median_mm * spread ** rng.standard_normal(), 6.0, 45.0))
    semi = longest / 2 * np.array([1.0, rng.uniform(0.72, 0.98), rng.uniform(0.75, 1.0)])
    turn = rotation((0.0, float(rng.uniform(-30, 30)), float(rng.uniform(0, 180))))
    whole = Box.around(organs.mask(organ), organs.geometry, margin_mm=2.0)
    inside = organs.mask(organ)[whole.slices]
    if host == "lung":  # vessels and airways are no place for a nodule
        inside = inside & (hu[whole.slices] < -600)
        inside = ndimage.binary_closing(inside, iterations=1)
    centre = deep_place(rng, inside, whole.geometry, radius_mm=min(0.8 * longest / 2, 12.0))
    share = ellipsoid_share(whole.geometry, centre, semi, turn)
    if host == "lung":
        level = 35.0 + (40.0 if _enhanced(hu, organs) else 0.0)
        share *= organs.mask(*LUNGS)[whole.slices]
    else:
        level = float(np.median(hu[organs.mask(organ)])) - float(rng.uniform(18, 45))
    target = np.full(share.shape, level + 4.0 * rng.standard_normal(), dtype=np.float32)
    a, b, c = 2.0 * semi
    hot = float(np.clip(suv[0] * suv[1] ** rng.standard_normal(), 3.0, 20.0))
    return _Change(whole, share, target, hot, organ, share > 0.5, (float(a), float(b), float(c)))


def _lung_metastasis(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    return _nodule(rng, hu, organs, host="lung", median_mm=11.0, spread=1.5, suv=(6.0, 1.5))


def _liver_metastasis(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    return _nodule(rng, hu, organs, host="liver", median_mm=20.0, spread=1.5, suv=(8.0, 1.4))


def _opacity(
    rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap, *, extent: tuple[float, float], pattern: str,
    solid: float, suv: float,
) -> _Change:
    lungs = organs.mask(*LUNGS)
    box = Box.around(lungs, organs.geometry, margin_mm=2.0)
    inside = lungs[box.slices]
    weight, dense = ill_share(rng, inside, box.geometry, extent=float(rng.uniform(*extent)), pattern=pattern)
    ill = weight > 0.5
    limit = float(np.quantile(dense[ill], 1 - solid)) if solid and ill.any() else np.inf
    hardness = np.clip((dense - limit) / 0.3 + 0.5, 0, 1)
    glass = float(rng.uniform(-620, -500))
    level = 30.0 + (25.0 if _enhanced(hu, organs) else 0.0)
    target = ((1 - hardness) * glass + hardness * level).astype(np.float32)
    # Vessels and walls that are denser already stay as they are.
    target = np.maximum(target, hu[box.slices])
    hot = suv * float(np.exp(0.2 * rng.standard_normal()))
    return _Change(box, weight, target, hot, "lung", ill)


def _ground_glass(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    return _opacity(rng, hu, organs, extent=(0.08, 0.4), pattern="nsip", solid=0.05, suv=1.8)


def _organising_pneumonia(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    return _opacity(rng, hu, organs, extent=(0.05, 0.3), pattern="op", solid=0.5, suv=2.8)


def _colitis(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    mask = organs.mask("colon")
    box = Box.around(mask, organs.geometry, margin_mm=14.0)
    colon = mask[box.slices]
    severity = int(rng.integers(1, 4))
    part = stretch(rng, colon, box.geometry, length_mm=(250.0, 450.0, 900.0)[severity - 1])
    wall_mm = (3.8, 6.0, 9.5)[severity - 1] * float(np.exp(0.15 * rng.standard_normal()))
    depth = depth_mm(colon, box.geometry)
    pitch = float(np.prod(box.geometry.spacing_mm) ** (1 / 3))
    # The mask's outer voxels lie half a voxel inside its surface.
    wall = np.clip((wall_mm - depth) / pitch + 1.0, 0, 1) * part
    enhanced = _enhanced(hu, organs)
    inner = np.clip((depth - 0.6 * wall_mm) / 2.0, 0, 1)
    level = (85.0 if enhanced else 36.0) + inner * (20.0 * severity if enhanced else 0.0)
    # Stranding: fat near the stretch, by streaks.
    away = ndimage.distance_transform_edt(~part, sampling=box.geometry.spacing_mm)
    fat = (hu[box.slices] > -150) & (hu[box.slices] < -50) & (organs.array[box.slices] == 0)
    reach = (3.0, 8.0, 14.0)[severity - 1]
    streaks = np.clip(0.45 + 0.5 * smooth_noise(rng, box.geometry, scale_mm=6.0), 0, 1)
    strands = np.clip(1 - away / reach, 0, 1) * streaks * fat * 0.6
    weight = np.maximum(wall, strands).astype(np.float32)
    target = np.where(wall >= strands, level, 5.0).astype(np.float32)
    hot = (4.0, 5.4, 8.0)[severity - 1] * float(np.exp(0.2 * rng.standard_normal()))
    return _Change(box, weight, target, hot, "colon", wall > 0.5)


def _thyroiditis(rng: np.random.Generator, hu: NDArray[np.float32], organs: LabelMap) -> _Change:
    mask = organs.mask("thyroid_gland")
    box = Box.around(mask, organs.geometry, margin_mm=3.0)
    inside = mask[box.slices]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), 0.4) * inside
    lower = float(rng.uniform(8, 25)) * (1.5 if _enhanced(hu, organs) else 1.0)
    patchy = 8.0 * smooth_noise(rng, box.geometry, scale_mm=8.0)
    target = (hu[box.slices] - lower + patchy).astype(np.float32)
    return _Change(box, weight, target, float(rng.uniform(3.0, 6.5)), "thyroid_gland", inside)


Recipe = Callable[[np.random.Generator, NDArray[np.float32], LabelMap], _Change]
KINDS: dict[str, tuple[Recipe, Nature, Irae | None]] = {
    "lung_metastasis": (_lung_metastasis, Nature.METASTASIS, None),
    "liver_metastasis": (_liver_metastasis, Nature.METASTASIS, None),
    "ground_glass": (_ground_glass, Nature.INFLAMMATION, Irae.PNEUMONITIS),
    "organising_pneumonia": (_organising_pneumonia, Nature.INFLAMMATION, Irae.PNEUMONITIS),
    "colitis": (_colitis, Nature.INFLAMMATION, Irae.COLITIS),
    "thyroiditis": (_thyroiditis, Nature.INFLAMMATION, Irae.THYROIDITIS),
}
