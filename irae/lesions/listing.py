"""Which hot regions are listed as foci: those that are more than noise, more than marrow, and no faint anything."""

from __future__ import annotations

from collections.abc import Mapping

from irae.lesions.hosts import is_bone
from irae.lesions.regions import Noise
from irae.lesions.rules import BONE, LUNGS, FociRules
from irae.lesions.sizing import Extent

Uptake = tuple[float, float, float]  # SUVmax, SUVpeak and SUVmean of a region, g/mL


def stands_out(
    uptake: Uptake, volume_ml: float, background_suv: float, organ: str | None, *, from_ct: bool, threshold_suv: float,
    liver_suv: float | None, voxel_ml: float, noise: Noise, rules: FociRules,
) -> bool:
    """Whether a region is more than the scanner's noise: large enough for its voxels, and its SUVpeak hot.

    SUVpeak must reach the general threshold (PERCIST's measurable lesion), or stand out of the surroundings and of the
    noise of the organ it lies in.

    Args:
        uptake: Of the region.
        volume_ml: Its volume.
        background_suv: Median uptake around it.
        organ: That its middle lies in; None outside of all.
        from_ct: Whether the CT shows its border.
        threshold_suv: The scan's general threshold.
        liver_suv: Mean of the liver, where known.
        voxel_ml: Volume of the PET's voxels.
        noise: Of the scan.
        rules: The limits.
    """
    highest, peak, _ = uptake
    faint = highest < threshold_suv
    least_ml = rules.least_contrasted_ml if faint else rules.least_volume_ml
    if not from_ct:
        least_ml = max(least_ml, rules.least_pet_voxels * voxel_ml)
    if volume_ml < least_ml:
        return False
    level = max(background_suv, 0.1)
    ratio = rules.least_contrast if faint else rules.least_contrast_hot
    if organ == "liver":
        ratio, level = rules.least_contrast_in_liver, max(level, liver_suv or 0.0)
    elif organ == "thyroid_gland":
        ratio = rules.least_contrast_in_organ
    usual, sd = noise.organs.get(organ or "", (0.0, 0.0))
    if organ in noise.organs:
        return peak >= ratio * level and peak >= usual + rules.noise_sd * sd
    if peak >= threshold_suv:
        return True
    return peak >= max(ratio, 1.0 + rules.noise_sd * rules.noise_beyond_liver * noise.cv) * level


def is_marrow(
    organ: str | None, fraction: float, tissue: Mapping[str, float], uptake: Uptake, marrow_suv: float, *,
    from_ct: bool, rules: FociRules,
) -> bool:
    """Whether the whole marrow is as hot (G-CSF, anaemia) as this part of it, or as this rib beside the lung.

    Args:
        organ: Host of the region.
        fraction: Of it inside the host's mask.
        tissue: ``ct_features`` of it; empty without CT.
        uptake: Of the region.
        marrow_suv: Median of the spine.
        from_ct: Whether the CT shows its border.
        rules: The limits.
    """
    highest, peak, _ = uptake
    if peak >= rules.marrow_peak_ratio * marrow_suv or highest >= rules.marrow_max_ratio * marrow_suv:
        return False
    bone = tissue.get("bone_fraction", 0.0) + tissue.get("rim_bone_fraction", 0.0)
    rib = organ in LUNGS and not from_ct and bone >= rules.rib_bone  # that spills into the lung
    trabecular = fraction < 0.3 and tissue.get("ct_hu_mean", 0.0) >= rules.marrow_hu
    return rib or trabecular or organ == "vertebrae" or (organ == BONE and is_bone(tissue))


def is_large_node(
    organ: str | None, extent: Extent, sphericity: float, tissue: Mapping[str, float], rules: FociRules
) -> bool:
    """Whether a region is a ball of soft tissue in fat as wide as a node that RECIST 1.1 calls abnormal."""
    least_hu, most_hu = rules.faint_hu
    return (
        organ == "lymph_node" and extent.short_mm >= rules.faint_node_mm and sphericity >= rules.faint_sphericity
        and least_hu <= tissue.get("ct_hu_mean", -1000.0) <= most_hu
        and tissue["rim_fat_fraction"] >= rules.faint_rim_fat
    )
