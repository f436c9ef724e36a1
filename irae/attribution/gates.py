"""F11: what a focus is by a known confounder, and the order in which all gates are asked, whatever its points."""

from __future__ import annotations

from irae.attribution.evidence import is_focal
from irae.attribution.physiology import (
    Gate,
    Rule,
    bowel_and_stomach,
    brain,
    brown_fat,
    cold_liver_lesion,
    cold_nodule,
    field_end,
    focal_bowel,
    head_and_neck,
    may_be_normal_uptake,
    muscle,
    myocardium,
    paravertebral_fat,
    renal_cortex,
    ureter,
    urine,
)
from irae.attribution.rules import EvidenceRules
from irae.attribution.situation import NODE_SITE, Situation, is_opacity, was_tumour
from irae.core.anatomy import Irae, site_of
from irae.core.focus import Focus, FocusStatus, Nature
from irae.core.numbers import reaches


def metformin(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Bowel uptake under metformin says nothing; the CT alone may. A large part of the bowel is no focus."""
    if not now.metformin or focus.organ not in {"colon", "small_bowel"}:
        return None
    large = reaches(focus.features.get("organ_share", 0.0), rules.organ_share_some)
    if not focus.features.get("picture") and not large:
        return None
    wall = now.quantities.get(f"{focus.organ}.wall_mm")
    if wall is not None and reaches(wall, rules.wall_mm):
        return None
    return Gate(Nature.PHYSIOLOGIC, 0.85, "physiologic: metformin",
                "Metformin makes the bowel hot: its uptake is not counted, and the wall is not thickened.")


def marrow_and_spleen(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """The whole marrow or spleen hot together: G-CSF, else activation."""
    if focus.organ not in {"vertebrae", "spleen"} or not focus.features.get("picture"):
        return None
    if now.gcsf:
        return Gate(Nature.PHYSIOLOGIC, 0.9, "physiologic: G-CSF",
                    f"G-CSF within {rules.gcsf_days} days makes marrow and spleen hot.")
    return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: activation",
                "Diffuse uptake of the whole organ: activation rather than focal disease.")


def marrow_under_gcsf(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Uptake in intact bone under G-CSF is not counted: what is little hotter than the spine stays open."""
    if not now.gcsf or site_of(focus.organ) != "bone" or focus.status is FocusStatus.KNOWN:
        return None
    get, marrow = focus.features.get, now.quantities.get("vertebrae.suv_median")
    intact = get("bone_fraction", 0.0) > 0.0 or get("ct_hu_mean", 0.0) >= rules.intact_marrow_hu
    above = get("contrast", 0.0)
    if marrow and focus.suv_peak is not None:
        above = focus.suv_peak / marrow
    if intact and not reaches(above, rules.contrast_high):
        return Gate(Nature.INDETERMINATE, 0.5, "indeterminate: G-CSF",
                    f"Bone uptake within {rules.gcsf_days} days of G-CSF cannot be judged.")
    return None


def radiation(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """An opacity in an irradiated lung."""
    if not _may_be_explained(focus, now, rules) or focus.organ is None:
        return None
    side = "left" if focus.organ.endswith("left") else "right"
    for site in now.radiation_sites:
        other = "right" if side == "left" else "left"
        if any(word in site for word in ("lung", "chest", "thora", "mediast", "breast")) and other not in site:
            return Gate(Nature.INFLAMMATION, 0.8, "radiation change",
                        f"An opacity within {rules.radiation_days} days of radiotherapy to the {site}.")
    return None


def _may_be_explained(focus: Focus, now: Situation, rules: EvidenceRules) -> bool:
    """An opacity that was no tumour before, and is no small ball: on thick slices a nodule reads as ground glass."""
    ball = focus.longest_mm <= rules.blob_mm and reaches(focus.features.get("sphericity", 0.0), rules.ball_sphericity)
    return is_opacity(focus, rules) and not was_tumour(focus, now) and not ball


def infection(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """An opacity with a documented infection; the image cannot separate it from pneumonitis."""
    if now.infected and _may_be_explained(focus, now, rules):
        return Gate(Nature.INFLAMMATION, 0.8, "infection or pneumonitis",
                    "A lung opacity with a documented infection; images do not separate it from pneumonitis.")
    return None


def vaccine_node(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """A small new axillary node soon after a vaccination."""
    axilla = focus.features.get("beyond_lung_mm", -99.0) >= -15.0 and focus.features.get("height_in_lungs", 0.0) >= 0.5
    new = focus.status is FocusStatus.NEW
    if now.vaccinated and axilla and new and site_of(focus.organ) == NODE_SITE:
        if focus.short_mm < rules.vaccine_node_short_mm:
            return Gate(Nature.INFLAMMATION, 0.7, "vaccine-related node",
                        f"A small axillary node within {rules.vaccination_days} days of a vaccination.")
        return Gate(Nature.INDETERMINATE, 0.5, "indeterminate: vaccination",
                    f"A large axillary node within {rules.vaccination_days} days of a vaccination.")
    return None


def thyroid_nodule(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Focal thyroid uptake: malignant in 11-15 %, mostly a second primary (PMC4387987, PMC5643945).

    A patch of the gland is a nodule too, unless it is faint or thyroiditis is suspected. Both lobes alike are no nodule
    where thyroiditis is suspected, however little of them a mask holds.
    """
    if focus.organ != "thyroid_gland" or (Irae.THYROIDITIS in now.suspected and _both_lobes(focus, now)):
        return None
    if not is_focal(focus, rules):
        if focus.features.get("organ_share", 1.0) >= rules.organ_share_some or Irae.THYROIDITIS in now.suspected:
            return None
        if focus.features.get("liver_ratio", rules.faint_patch_liver_ratio) < rules.faint_patch_liver_ratio:
            return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: thyroid", "A faint patch of the thyroid, hardly hotter "
                        "than the liver: neither diffuse nor a nodule.")
    return Gate(Nature.INDETERMINATE, 0.5, "indeterminate: thyroid nodule",
                "Focal thyroid uptake is a nodule until shown otherwise (malignant in 11-15 %): ultrasound.")


def _both_lobes(focus: Focus, now: Situation) -> bool:
    """Whether the other lobe is hot, too, by no less than half and no more than twice."""
    side, heat = focus.features.get("off_midline_mm"), focus.suv_peak
    if side is None or not heat:
        return False
    return any(
        other.organ == focus.organ and other.suv_peak is not None and 0.5 <= other.suv_peak / heat <= 2.0
        and side * other.features.get("off_midline_mm", 0.0) < 0.0
        for other in now.foci
    )


__all__ = ["GATES", "Gate", "may_be_normal_uptake"]

GATES: tuple[Rule, ...] = (
    ureter, urine, renal_cortex, head_and_neck, brain, myocardium, metformin, bowel_and_stomach, marrow_and_spleen,
    marrow_under_gcsf, paravertebral_fat, brown_fat, radiation, infection, vaccine_node, thyroid_nodule, field_end,
    focal_bowel, muscle, cold_nodule, cold_liver_lesion,
)
