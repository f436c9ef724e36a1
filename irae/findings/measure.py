"""Every organ measurement of one exam, by name."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from irae.core.anatomy import MUSCLE
from irae.core.exam import Exam
from irae.core.finding import Measured, Quantities
from irae.core.volume import Coverage, LabelMap, Volume
from irae.quant.adrenal import ADRENALS, measure_adrenals
from irae.quant.bowel import measure_bowel
from irae.quant.gland import measure_pituitary
from irae.quant.lung import LUNGS, measure_lungs
from irae.quant.portal_tracts import measure_portal_tracts
from irae.quant.region import geometry_of, organ_boxes, without
from irae.quant.resample import labels_onto, onto_grid
from irae.quant.solid import measure_solid
from irae.quant.surroundings import free_gas_ml, pleural_fluid_ml, stranding_percent
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
        _measure_ct(exam.ct, without(organs, MUSCLE), values)
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
    for organ in ("colon", "stomach"):
        bowel = measure_bowel(ct, organs, organ, boxes=boxes)
        if bowel is not None:
            found = asdict(bowel)
            why = str(found.pop("why"))
            for name, value in found.items():
                _put(values, organ, name, value, why or _NOT_THERE.get(name, ""))
    for organ in ("liver", "spleen", "thyroid_gland", "aorta", "pancreas"):
        inset = {"thyroid_gland": 1.5, "pancreas": 3.0}.get(organ, 6.0)
        solid = measure_solid(ct, organs, organ, inset_mm=inset, boxes=boxes)
        if solid is not None:
            _put_volume(values, organs, organ, solid.volume_ml)
            _put(values, organ, "hu", solid.hu)
            _put(values, organ, "sd_hu", solid.hu_sd)
            _put(values, organ, "tissue_percent", solid.tissue_percent)
    if "small_bowel" in boxes:
        voxels = np.count_nonzero(organs.array[boxes["small_bowel"]] == organs.labels["small_bowel"])
        _put_volume(values, organs, "small_bowel", voxels * organs.geometry.voxel_volume_ml)
    for organ in ("pancreas", "small_bowel"):
        if organ in boxes:
            share = stranding_percent(ct, organs, organ, boxes=boxes)
            _put(values, organ, "stranding_percent", share, "too little fat around it")
    if "liver" in boxes:
        tracts, why = measure_portal_tracts(ct, organs, boxes=boxes)
        _put(values, "liver", "periportal_percent", None if tracts is None else tracts.halo_percent, why)
        _put(values, "liver", "duct_mm", tracts.duct_mm if tracts else None, tracts.duct_why if tracts else why)
        _put(values, "abdomen", "free_gas_ml", *free_gas_ml(ct, organs))
    if lungs is not None:
        _put(values, "pleura", "fluid_ml", *pleural_fluid_ml(ct, organs))
    adrenals = measure_adrenals(organs)
    if adrenals is not None:
        _put(values, "adrenals", "lesser_thickness_mm", adrenals.lesser_thickness_mm)
        _put(values, "adrenals", "lesser_volume_ml", adrenals.lesser_volume_ml)
    liver, spleen = (values.get(f"{organ}.hu") for organ in ("liver", "spleen"))
    if liver is not None and spleen is not None and liver.value is not None and spleen.value is not None:
        _put(values, "liver", "minus_spleen_hu", liver.value - spleen.value)


def _put_volume(values: dict[str, Measured], organs: LabelMap, organ: str, volume_ml: float) -> None:
    """A volume is the organ's only where all of it is in the picture: a cut organ has not shrunk."""
    whole = organs.coverage[organ] is Coverage.WHOLE
    _put(values, organ, "volume_ml", volume_ml if whole else None, "only part of it is in the field of view")


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
        ("stomach", ("stomach",), ("heart", "kidney_left"), SPILL_MM, 0.0),
        ("vertebrae", ("vertebrae",), ("kidney_left", "kidney_right"), SPILL_MM, 4.0),
        (MUSCLE, (MUSCLE,), (*urine, "brain", "heart"), SPILL_MM, 6.0),
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
            if name in ("spleen", "vertebrae", MUSCLE):
                values[f"{name}.median_to_liver"] = Measured(value=uptake.median / reference.liver_mean, unit="1")
    hottest = [uptake_values(pet, on_pet, (side,)) for side in ADRENALS]
    if reference is not None and reference.liver_mean and all(suv.size for suv in hottest):
        ratio = min(float(suv.max()) for suv in hottest) / reference.liver_mean
        values["adrenals.lesser_suv_max_to_liver"] = Measured(value=ratio, unit="1")


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
    _put(values, "pituitary", "chiasm_gap_mm", gland.chiasm_gap_mm, "nothing that stands out lies above the gland")
    if exam.pet is None:
        return
    hottest, why = _pituitary_suv_max(exam, pituitary)
    _put(values, "pituitary", "suv_max", hottest, why)
    pool = None if reference is None else reference.blood_pool_mean
    ratio = hottest / pool if hottest is not None and pool else None
    _put(values, "pituitary", "tbr", ratio, why or "no blood-pool reference")


def _pituitary_suv_max(exam: Exam, pituitary: LabelMap) -> tuple[float | None, str]:
    """SUVmax of the pituitary, where PET and MR share a frame of reference; else None and why not."""
    assert exam.pet is not None
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
    return float(pet.array[inside].max()), ""
