"""F11 and physiology: what a focus is by its place or by a known confounder, whatever its points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from irae.attribution.evidence import is_focal
from irae.attribution.rules import IRAE_SITE, EvidenceRules
from irae.attribution.situation import NODE_SITE, Situation, is_opacity, was_tumour
from irae.core.anatomy import BY_NAME, Irae, site_of
from irae.core.focus import Focus, FocusSource, FocusStatus, Nature
from irae.core.numbers import reaches


@dataclass(frozen=True, slots=True)
class Gate:
    """A nature named by place or confounder: its probability, the outcome in words, and why."""

    nature: Nature
    probability: float
    outcome: str
    reason: str


# Share of the lungs' height above which uptake cannot be of the upper abdomen (their bases reach far down beside it).
CHEST_FROM = 0.3

Rule = Callable[[Focus, Situation, EvidenceRules], Gate | None]


def physiologic_organ(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Brain, urinary tract, heart: hot by nature. A focus that stands out of brain or heart stays a candidate."""
    picture = bool(focus.features.get("picture"))
    inside = focus.organ_fraction >= 0.5 or (
        focus.organ_fraction >= 0.3 and focus.features.get("off_renal_hilum_mm", 0.0) <= rules.renal_hilum_mm
    )
    if focus.organ in {"kidney_left", "kidney_right", "urinary_bladder"} and (picture or inside):
        return Gate(Nature.PHYSIOLOGIC, rules.gate_probability, "physiologic: urine",
                    "Kidneys and bladder hold excreted tracer; a lesion inside them cannot be seen by its uptake.")
    if focus.organ == "brain" and picture:
        return Gate(Nature.PHYSIOLOGIC, rules.gate_probability, "physiologic: brain", "The brain is always hot.")
    if focus.organ == "heart" and picture:
        return Gate(Nature.PHYSIOLOGIC, rules.gate_probability, "physiologic: myocardium",
                    "Myocardial uptake is normal without a fasting preparation; myocarditis cannot be judged.")
    return None


def may_be_normal_uptake(focus: Focus, now: Situation) -> str:
    """Why uptake outside all masks must not be called metastasis: organs hot by nature were not found; else empty.

    A solid nodule that the CT shows there (its size was taken from the CT) is judged all the same.
    """
    elsewhere = focus.organ in (None, NODE_SITE)
    if focus.source is not FocusSource.PET or not elsewhere or focus.features.get("size_from_ct"):
        return ""
    hot: tuple[str, ...] = ("kidney_left", "kidney_right", "urinary_bladder", "stomach", "colon", "small_bowel")
    if focus.features.get("head_neck"):
        hot = ("brain",)
    elif focus.features.get("height_in_lungs", 0.0) > CHEST_FROM:
        hot = ("heart",)
    missing = [BY_NAME[organ].display for organ in hot if organ in now.unseen]
    if not missing:
        return ""
    return f"It may be normal uptake: no mask of {', '.join(missing)} was found, and it lies outside all others."


def metformin(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Bowel uptake under metformin says nothing; the CT alone may."""
    if not now.metformin or focus.organ not in {"colon", "small_bowel"} or not focus.features.get("picture"):
        return None
    wall = now.quantities.get(f"{focus.organ}.wall_mm")
    if wall is not None and reaches(wall, rules.wall_mm):
        return None
    return Gate(Nature.PHYSIOLOGIC, 0.85, "physiologic: metformin",
                "Metformin makes the bowel hot: its uptake is not counted, and the wall is not thickened.")


def bowel_and_stomach(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Diffuse bowel or stomach uptake that no finding explains is physiologic."""
    if focus.organ not in {"colon", "small_bowel", "stomach"} or not focus.features.get("picture"):
        return None
    irae = IRAE_SITE.get(site_of(focus.organ))
    if irae in now.suspected:
        if focus.organ == "colon":
            return None
        return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: small bowel",
                    "Diffuse small bowel uptake; colitis is suspected, so enteritis is possible.")
    ratio = focus.features.get("liver_ratio")
    quiet = ratio is None or ratio <= rules.quiet_organ_ratio
    name = focus.organ.replace("_", " ")
    if irae in now.cleared or irae is None or quiet:
        return Gate(Nature.PHYSIOLOGIC, 0.85 if quiet else 0.7, f"physiologic: {name}",
                    f"Diffuse {name} uptake without a suspected irAE there is physiologic until shown otherwise.")
    return None


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
    """Uptake in bone under G-CSF is not counted: what stands out of the marrow stays open."""
    if not now.gcsf or site_of(focus.organ) != "bone" or focus.status is FocusStatus.KNOWN:
        return None
    if focus.features.get("bone_fraction", 0.0) and focus.features.get("contrast", 0.0) < rules.contrast_high:
        return Gate(Nature.INDETERMINATE, 0.5, "indeterminate: G-CSF",
                    f"Bone uptake within {rules.gcsf_days} days of G-CSF cannot be judged.")
    return None


def brown_fat(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Fat on CT through and through, outside organs, and not a node measured there."""
    core = focus.features.get("ct_hu_core")
    if focus.organ_fraction >= 0.3 or core is None or focus.features.get("size_from_ct"):
        return None
    if focus.suv_max is None or focus.suv_max > rules.brown_fat_suv:
        return None
    low, fat = core <= rules.brown_fat_core_hu, focus.features.get("fat_fraction", 0.0)
    if low and fat >= 0.6:
        return Gate(Nature.PHYSIOLOGIC, 0.85, "physiologic: brown fat",
                    f"The CT shows fat there ({100 * fat:.0f} % of it at -190..-10 HU): brown fat.")
    return None


def head_and_neck(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Tonsils, salivary glands, tongue, palate: above the neck, alike on both sides or in the midline, not too hot."""
    if not focus.features.get("head_neck") or focus.suv_max is None or focus.suv_max > rules.head_neck_suv:
        return None
    if focus.organ is not None and focus.organ != NODE_SITE:
        return None
    if focus.suv_max <= rules.gland_suv and focus.longest_mm >= rules.gland_mm:
        return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: salivary gland",
                    "A broad focus of low uptake beside jaw or throat: a salivary gland.")
    midline = abs(focus.features.get("off_midline_mm", 99.0)) <= 15.0
    if midline or focus.features.get("symmetry", 0.0) >= 0.5:
        return Gate(Nature.PHYSIOLOGIC, 0.85, "physiologic: tonsils or glands",
                    "Head and neck uptake in the midline or alike on both sides: tonsils, salivary glands, palate.")
    return None


def radiation(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """An opacity in an irradiated lung."""
    if not is_opacity(focus, rules) or focus.organ is None or was_tumour(focus, now):
        return None
    side = "left" if focus.organ.endswith("left") else "right"
    for site in now.radiation_sites:
        other = "right" if side == "left" else "left"
        if any(word in site for word in ("lung", "chest", "thora", "mediast", "breast")) and other not in site:
            return Gate(Nature.INFLAMMATION, 0.8, "radiation change",
                        f"An opacity within {rules.radiation_days} days of radiotherapy to the {site}.")
    return None


def infection(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """An opacity with a documented infection; the image cannot separate it from pneumonitis."""
    if now.infected and is_opacity(focus, rules) and not was_tumour(focus, now):
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

    A patch of the gland is a nodule too, unless it is faint or thyroiditis is suspected.
    """
    if focus.organ != "thyroid_gland":
        return None
    if not is_focal(focus, rules):
        if focus.features.get("organ_share", 1.0) >= rules.organ_share_some or Irae.THYROIDITIS in now.suspected:
            return None
        if focus.features.get("liver_ratio", rules.faint_patch_liver_ratio) < rules.faint_patch_liver_ratio:
            return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: thyroid", "A faint patch of the thyroid, hardly hotter "
                        "than the liver: neither diffuse nor a nodule.")
    return Gate(Nature.INDETERMINATE, 0.5, "indeterminate: thyroid nodule",
                "Focal thyroid uptake is a nodule until shown otherwise (malignant in 11-15 %): ultrasound.")


def ureter(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Urine on its way: the upright funnel at a renal hilum, a thin upright tube between kidney and bladder."""
    get = focus.features.get
    if was_tumour(focus, now):
        return None
    on_the_way = get("off_ureter_mm", 999.0) <= rules.ureter_off_mm
    thin = focus.short_mm <= rules.ureter_short_mm
    upright = get("vertical_mm", 0.0) >= 1.5 * max(focus.longest_mm, 8.0)
    hu = get("ct_hu_mean", 0.0)
    fluid = hu <= rules.urine_hu or hu >= rules.excreted_contrast_hu
    at_hilum = get("off_renal_hilum_mm", 999.0) <= rules.renal_hilum_mm
    funnel = at_hilum and get("vertical_mm", 0.0) >= 1.4 * focus.short_mm and fluid
    beside = focus.organ in {"kidney_left", "kidney_right"} and thin and (at_hilum or upright or on_the_way)
    if beside or (funnel and not get("size_from_ct", 0.0)):
        return Gate(Nature.PHYSIOLOGIC, 0.7, "physiologic: renal pelvis",
                    "A small focus against the kidney, where the renal pelvis and ureter begin: urine.")
    thread = get("size_from_ct", 0.0) == 0 and focus.short_mm <= rules.ureter_thread_mm
    # The pelvic ureter bows out; in fat that holds no node it is a ureter even so.
    bow = (get("off_ureter_mm", 999.0) <= rules.ureter_curve_mm and "ct_hu_mean" in focus.features and hu <= 0.0
           and focus.short_mm <= rules.ureter_in_fat_mm and not get("size_from_ct", 0.0))
    tube = on_the_way and ((thin and upright) or thread)
    if (tube or bow) and focus.organ in {None, NODE_SITE, "small_bowel", "aorta"}:
        return Gate(Nature.PHYSIOLOGIC, 0.75, "physiologic: ureter",
                    f"A thin upright tube ({get('vertical_mm', 0.0):.0f} mm high) between kidney and bladder: urine.")
    return None


GATES: tuple[Rule, ...] = (
    physiologic_organ, ureter, metformin, bowel_and_stomach, marrow_and_spleen, marrow_under_gcsf, brown_fat,
    head_and_neck, radiation, infection, vaccine_node, thyroid_nodule,
)
