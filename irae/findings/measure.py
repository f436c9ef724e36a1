"""Every organ measurement of one exam, by name."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from irae.core.exam import Exam
from irae.core.finding import Measured, Quantities
from irae.core.volume import LabelMap, Volume
from irae.quant.bowel import measure_colon
from irae.quant.gland import measure_pituitary
from irae.quant.lung import LUNGS, measure_lungs
from irae.quant.region import geometry_of, organ_boxes
from irae.quant.resample import labels_onto, onto_grid
from irae.quant.solid import measure_solid
from irae.quant.uptake import UptakeReference, organ_uptake, same_world, uptake_values

# Uptake of neighbours that spills over: breathing (liver, heart into lung) and urine, by up to about one PET
# resolution. Design values.
SPILL_MM = 8.0
BREATHING_MM = 12.0

_NOT_THERE = {
    "stranding_percent": "too little fat beside the wall", "thickened_calibre_mm": "no thickened part",
}

_UNITS = {"ml": "mL", "mm": "mm", "cm": "cm", "hu": "HU", "percent": "%"}


def measure(
    exam: Exam, organs: LabelMap | None, pituitary: LabelMap | None, reference: UptakeReference | None
) -> Quantities:
    """Measures every organ that was seen, on every image there is.

    Args:
        exam: CT, PET, MR or some of them.
        organs: Organs on the CT's grid; None without a CT.
        pituitary: The pituitary on the MR's grid; None without an MR.
        reference: Uptake of liver and blood pool; None without a PET.

    Returns:
        ``<organ>.<measure>``; the names are listed in docs/reference/findings.md. What could not be measured although
        its image is there has value None and says why.

    Raises:
        ValueError: If a label map does not lie on its image's grid.
    """
    values: dict[str, Measured] = {}
    if exam.ct is not None and organs is not None:
        _must_share_grid("organs", organs, exam.ct)
        _measure_ct(exam.ct, organs, values)
    if exam.pet is not None and organs is not None:
        _measure_pet(exam.pet, organs, reference, values)
    if exam.mr is not None and pituitary is not None:
        _must_share_grid("pituitary", pituitary, exam.mr)
        _measure_mr(exam, pituitary, reference, values)
    return Quantities(values)


def _must_share_grid(name: str, labels: LabelMap, volume: Volume) -> None:
    if not labels.geometry.same_grid(volume.geometry):
        raise ValueError(
            f"{name} {labels.geometry.shape} must lie on the {volume.quantity.value} image's grid "
            f"{volume.geometry.shape}"
        )


def unit_of(measure_name: str) -> str:
    """The unit a measure's name ends with.

    >>> unit_of("wall_p90_mm"), unit_of("suv95"), unit_of("zones")
    ('mm', 'g/mL', '1')
    """
    if measure_name.startswith("suv"):
        return "g/mL"
    return _UNITS.get(measure_name.rsplit("_", 1)[-1], "1")


def _put(values: dict[str, Measured], organ: str, name: str, value: float | None, why: str = "") -> None:
    values[f"{organ}.{name}"] = Measured(
        value=None if value is None else float(value), unit=unit_of(name), why=why if value is None else ""
    )


def _measure_ct(ct: Volume, organs: LabelMap, values: dict[str, Measured]) -> None:
    boxes = organ_boxes(organs)
    lungs = measure_lungs(ct, organs, boxes=boxes)
    if lungs is not None:
        for name, value in asdict(lungs).items():
            if name == "side_percent":
                for side, percent in value.items():
                    _put(values, side, "opacity_percent", percent)
            else:
                _put(values, "lung", name, value, "no opacity")
    colon = measure_colon(ct, organs, boxes=boxes)
    if colon is not None:
        found = asdict(colon)
        why = str(found.pop("why"))
        for name, value in found.items():
            _put(values, "colon", name, value, why or _NOT_THERE.get(name, ""))
    for organ in ("liver", "spleen", "thyroid_gland", "aorta"):
        inset = 1.5 if organ == "thyroid_gland" else 6.0
        solid = measure_solid(ct, organs, organ, inset_mm=inset, boxes=boxes)
        if solid is not None:
            _put(values, organ, "volume_ml", solid.volume_ml)
            _put(values, organ, "hu", solid.hu)
            _put(values, organ, "sd_hu", solid.hu_sd)
    for organ in ("small_bowel", "pancreas"):
        if organ in boxes:
            voxels = np.count_nonzero(organs.array[boxes[organ]] == organs.labels[organ])
            _put(values, organ, "volume_ml", voxels * organs.geometry.voxel_volume_ml)
    liver, spleen = (values.get(f"{organ}.hu") for organ in ("liver", "spleen"))
    if liver is not None and spleen is not None and liver.value is not None and spleen.value is not None:
        _put(values, "liver", "minus_spleen_hu", liver.value - spleen.value)


def _measure_pet(pet: Volume, organs: LabelMap, reference: UptakeReference | None, values: dict[str, Measured]) -> None:
    on_pet = organs if organs.geometry.same_grid(pet.geometry) else labels_onto(organs, pet.geometry)
    urine = ("urinary_bladder", "kidney_left", "kidney_right")
    wanted: tuple[tuple[str, tuple[str, ...], tuple[str, ...], float, float], ...] = (
        ("colon", ("colon",), urine, SPILL_MM, 0.0),
        ("small_bowel", ("small_bowel",), urine, SPILL_MM, 0.0),
        ("lung", LUNGS, ("liver", "heart", "spleen", "stomach", "kidney_left", "kidney_right"), BREATHING_MM, 0.0),
        ("thyroid_gland", ("thyroid_gland",), (), 0.0, 0.0),
        ("liver", ("liver",), ("heart", "kidney_right", "stomach", "colon"), SPILL_MM, 8.0),
        ("spleen", ("spleen",), ("heart", "kidney_left", "stomach", "colon"), SPILL_MM, 6.0),
        ("pancreas", ("pancreas",), (*urine, "stomach"), SPILL_MM, 0.0),
    )
    for name, parts, away_from, away_mm, inset_mm in wanted:
        suv = uptake_values(pet, on_pet, parts, away_from=away_from, away_mm=away_mm, inset_mm=inset_mm)
        if not suv.size:
            if any(organs.seen(part) for part in parts):
                for measure_name in ("suv_mean", "suv_median", "suv75", "suv95", "suv_max"):
                    _put(values, name, measure_name, None, "outside the PET's field of view")
            continue
        uptake = organ_uptake(suv)
        _put(values, name, "suv_mean", uptake.mean)
        _put(values, name, "suv_median", uptake.median)
        _put(values, name, "suv75", uptake.p75)
        _put(values, name, "suv95", uptake.p95)
        _put(values, name, "suv_max", uptake.maximum)
        if reference is not None and reference.liver_mean:
            values[f"{name}.suv95_to_liver"] = Measured(value=uptake.p95 / reference.liver_mean, unit="1")


def _measure_mr(
    exam: Exam, pituitary: LabelMap, reference: UptakeReference | None, values: dict[str, Measured]
) -> None:
    assert exam.mr is not None
    gland = measure_pituitary(exam.mr, pituitary)
    if gland is None:
        return
    for name in ("volume_ml", "height_mm", "depth_mm", "width_mm"):
        _put(values, "pituitary", name, getattr(gland, name))
    _put(values, "pituitary", "stalk_mm", gland.stalk_mm, gland.stalk_why)
    _put(values, "pituitary", "signal_cov", gland.signal_cov, "the gland is too small")
    if exam.pet is None:
        return
    ratio, why = _pituitary_to_blood_pool(exam, pituitary, reference)
    _put(values, "pituitary", "tbr", ratio, why)


def _pituitary_to_blood_pool(
    exam: Exam, pituitary: LabelMap, reference: UptakeReference | None
) -> tuple[float | None, str]:
    """Pituitary SUVmax over blood-pool SUVmean, where PET and MR share a frame of reference."""
    assert exam.pet is not None
    if reference is None or not reference.blood_pool_mean:
        return None, "no blood-pool reference"
    if not same_world(exam.pet.geometry, pituitary.geometry):
        return None, "PET and MR have different frames of reference and are not registered"
    box = organ_boxes(pituitary)["pituitary"]
    mask = pituitary.array[box] == pituitary.labels["pituitary"]
    pet = exam.pet
    share = onto_grid(mask.astype(np.float32), geometry_of(box, pituitary.geometry), pet.geometry)
    if share.max() <= 0:
        return None, "the sella is outside the PET's field of view"
    # At most two PET voxels high: the voxels that are mostly gland, or the one that is most of all. The brain is near.
    inside = share >= min(0.5, float(share.max()))
    return float(pet.array[inside].max()) / reference.blood_pool_mean, ""
