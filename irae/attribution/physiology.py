"""Normal uptake: what a focus is by its place, also where masks are missing, refused or coarse.

Only what is sure by place or tissue is called physiologic. What merely may be normal uptake stays indeterminate, with
the reason: it is neither hidden nor counted as tumour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irae.attribution.evidence import is_focal
from irae.attribution.rules import IRAE_SITE, EvidenceRules
from irae.attribution.situation import BONE_SITE, NODE_SITE, OUTSIDE_ORGANS, Situation, grew, was_tumour
from irae.core.anatomy import BY_NAME, MUSCLE, Uptake, site_of
from irae.core.focus import Focus, FocusSource, FocusStatus, Nature
from irae.core.numbers import exceeds, reaches


@dataclass(frozen=True, slots=True)
class Gate:
    """A nature named by place or confounder: its probability, the outcome in words, and why."""

    nature: Nature
    probability: float
    outcome: str
    reason: str


KIDNEYS = ("kidney_left", "kidney_right")
BOWEL = ("colon", "small_bowel")

Rule = Callable[[Focus, Situation, EvidenceRules], Gate | None]


def _physiologic(rules: EvidenceRules, words: str, reason: str, probability: float | None = None) -> Gate:
    return Gate(Nature.PHYSIOLOGIC, probability or rules.gate_probability, f"physiologic: {words}", reason)


def _open(words: str, reason: str) -> Gate:
    return Gate(Nature.INDETERMINATE, 0.5, f"indeterminate: {words}", reason)


def urine(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Kidneys and bladder: inside them physiologic, across the border of a coarse mask at the hilum too."""
    get, picture = focus.features.get, bool(focus.features.get("picture"))
    at_hilum = get("off_renal_hilum_mm", 999.0) <= rules.renal_hilum_mm
    owned = focus.organ in {*KIDNEYS, "urinary_bladder"}
    if focus.organ in KIDNEYS and not picture and focus.volume_ml >= rules.renal_mass_ml:
        return None  # hotter than the kidney, round, off its pelvis: found as a mass of its own (lesions.regions)
    if owned and (picture or focus.organ_fraction >= 0.5 or (focus.organ_fraction >= 0.3 and at_hilum)):
        return _physiologic(rules, "urine", "Kidneys and bladder hold excreted tracer; a lesion inside them cannot be "
                            "seen by its uptake.")
    if get("size_from_ct") or was_tumour(focus, now):
        return None
    low, high = rules.urine_pool_hu
    hot = get("liver_ratio", 0.0) >= rules.urine_liver_ratio
    if hot:
        low = rules.streaked_pool_hu
    hu, volume = get("ct_hu_mean", 999.0), focus.volume_ml
    pool = focus.organ in OUTSIDE_ORGANS and volume >= rules.urine_pool_ml and low <= hu <= high
    if pool and BLADDER_ZONE.holds(focus):
        return _physiologic(rules, "urine", f"A pool of fluid ({volume:.0f} mL, {hu:.0f} HU), hot throughout, in the "
                            "middle of the pelvis: the bladder, which its mask missed.", 0.75)
    if focus.organ in OUTSIDE_ORGANS and hot and volume >= rules.bladder_ml and BLADDER_ZONE.holds(focus) and not any(
        f.organ == "urinary_bladder" and f.status is not FocusStatus.GONE for f in now.foci
    ):
        return _open("may be the bladder", "As hot as urine, in the middle of the pelvis, and no other uptake of a "
                     "bladder was found in this exam: it may be the bladder.")
    near_hilum = (get("off_renal_hilum_mm", 999.0) <= rules.coarse_hilum_mm
                  or get("off_kidney_mm", 999.0) <= rules.coarse_hilum_mm)
    if focus.organ in OUTSIDE_ORGANS and near_hilum and hot:
        if get("symmetry", 0.0) >= rules.paired:
            return _physiologic(rules, "renal pelvis", "Intense, near the hilum of a kidney, its like on the other "
                                "side, no node on CT: both renal pelves.", 0.75)
        return _open("beside the renal hilum", "Intense uptake near the hilum of a kidney without a node on CT: urine "
                     "or a node beside it.")
    if get("near_urine", 0.0) < rules.near_share:
        return None
    if near_hilum and get("vertical_mm", 0.0) >= focus.short_mm:
        return _physiologic(rules, "renal pelvis", "It lies against the kidney where the renal pelvis leaves it, and "
                            "the CT shows no node there: urine.", 0.7)
    if owned or focus.organ in OUTSIDE_ORGANS:
        return _open("beside urine", "It lies at the border of kidney or bladder, whose urine spills over; the CT "
                     "shows no node there.")
    return None


def renal_cortex(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """What lies in the liver by its mask but against a kidney, and is no hotter than a kidney's cortex."""
    get = focus.features.get
    if focus.organ != "liver" or focus.source is not FocusSource.PET or was_tumour(focus, now):
        return None
    if get("near_urine", 0.0) < rules.cortex_share or reaches(get("liver_ratio", 9.0), rules.cortex_liver_ratio):
        return None
    return _open("beside the kidney", "It lies where liver and kidney touch and is no hotter than a kidney's cortex, "
                 "which breathing moves and masks cut short; a metastasis there would look alike.")


def brain(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """The brain's uptake; pieces of it where its mask is coarse. Glands below a coarse brain mask are not brain."""
    if focus.organ == "brain" and focus.features.get("picture"):
        return _physiologic(rules, "brain", "The brain is always hot.")
    if focus.organ_fraction >= 0.5 and reaches(focus.features.get("contrast", 0.0), rules.contrast_high):
        return None  # far hotter than the brain around it
    inside = focus.organ == "brain"
    beside = focus.features.get("near_brain", 0.0) >= rules.near_share
    if (inside or beside) and focus.source is FocusSource.PET and not was_tumour(focus, now):
        return _open("brain", "It lies in or against the brain, whose own uptake hides and imitates metastases: only "
                     "MR decides.")
    return None


def myocardium(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """The heart: its picture and any patch of it."""
    if focus.organ == "heart" and focus.features.get("picture"):
        return _physiologic(rules, "myocardium", "Myocardial uptake is normal without a fasting preparation; "
                            "myocarditis cannot be judged.")
    if focus.features.get("size_from_ct") or was_tumour(focus, now):
        return None
    if focus.organ == "heart" and focus.organ_fraction >= 0.5:
        ratio = focus.features.get("contrast", 0.0)
        if reaches(ratio, rules.contrast_high) and _is_ball(focus, rules):
            return _open("a ball in the heart", f"A ball {ratio:.1f} times hotter than the heart around it: myocardium "
                         "is hot in bands and patches, a node may lie in front of it.")
        return _physiologic(rules, "myocardium", "A patch of the heart: myocardial uptake is often patchy, metastases "
                            "in the heart are rare.", 0.75)
    if focus.organ in (None, "heart") and focus.features.get("near_heart", 0.0) >= rules.near_share:
        return _open("beside the heart", "It lies at the border of the heart; it may be myocardium.")
    return None


def may_be_normal_uptake(focus: Focus, now: Situation) -> str:
    """Why uptake outside all masks must not be called metastasis; empty if it may.

    An organ that is hot by nature and was not found explains uptake where it lies in the body, and only there. Without
    any landmark every such organ may. A solid nodule that the CT shows (its size was taken from the CT) is judged all
    the same.
    """
    get = focus.features.get
    elsewhere = focus.organ in OUTSIDE_ORGANS or (focus.organ_fraction < 0.3 and site_of(focus.organ) != "lung")
    if focus.source is not FocusSource.PET or not elsewhere or get("size_from_ct"):
        return ""
    if "below_lungs_mm" in focus.features:
        hot = [organ for zone in ZONES if zone.holds(focus) for organ in zone.organs]
    else:
        hot = ["brain"] if get("head_neck") else [*KIDNEYS, "urinary_bladder", "stomach", *BOWEL]
    missing = [BY_NAME[organ].display for organ in hot if organ in now.unseen]
    if missing:
        return f"It may be normal uptake: no mask of {', '.join(missing)} was found, and it lies where that organ does."
    if get("ct_hu_mean", 0.0) < GAS_WITHIN_HU and get("ct_hu_core", 0.0) < SOLID_HU:
        return (f"The CT shows gas there (mean {get('ct_hu_mean', 0.0):.0f} HU) and nothing solid: breathing may have "
                "moved the uptake of an organ off its place.")
    gas = get("rim_lung_fraction", 0.0)
    if get("below_lungs_mm", -999.0) >= 0.0 and gas >= GAS_BESIDE and not _solid_mass(focus):
        return f"It may be bowel outside its mask: gas lies beside it ({100 * gas:.0f} % of its surroundings)."
    if RECTUM_ZONE.holds(focus) and get("behind_spine_mm", -999.0) >= 0.0:
        return "It may be the rectum, which masks of the colon often leave out: it lies where that does."
    return ""


def _solid_mass(focus: Focus) -> bool:
    """Soft tissue through and through, and compact: gas may lie beside it, but it is not the wall around that gas."""
    get = focus.features.get
    compact = get("sphericity", 0.0) >= MASS_SPHERICITY and focus.short_mm >= 0.5 * focus.longest_mm
    return compact and get("ct_hu_mean", -999.0) >= MASS_HU


def normal_place(focus: Focus) -> bool:
    """Whether a focus is the uptake of an organ, in an organ that is hot by nature, or among the glands of the head."""
    organ = BY_NAME.get(focus.organ or "")
    hot = organ is not None and organ.uptake is not Uptake.LOW
    return hot or bool(focus.features.get("picture")) or bool(focus.features.get("head_neck"))


# Below what fat can be a place holds gas; a tumour's densest tenth is soft tissue. Design values.
GAS_WITHIN_HU, SOLID_HU = -150.0, -50.0
# Share of the surroundings (3-10 mm) that is gas below the lungs: bowel. Design value.
GAS_BESIDE = 0.05
# A mass with bowel beside it. All of 10 synthetic metastases with gas beside them are such, of 3 other foci none.
MASS_SPHERICITY, MASS_HU = 0.8, -30.0


@dataclass(frozen=True, slots=True)
class Zone:
    """Where organs lie: mm above (or, negative, below) a lung landmark, and mm off the midline. Design values.

    They are generous (about 3 cm beyond the organ's usual place): inside them a missing mask leaves uptake open.
    """

    organs: tuple[str, ...]
    landmark: str  # "above_lungs_mm": over the apices; "below_lungs_mm": under the bases
    heights_mm: tuple[float, float]
    off_midline_mm: tuple[float, float] = (-999.0, 999.0)  # signed, the patient's right is positive
    thickest_mm: float = 999.0  # a solid ball thicker than this is not the organ

    def holds(self, focus: Focus) -> bool:
        """Whether a focus lies in the zone; where the midline is not known, its height decides."""
        if focus.short_mm > self.thickest_mm and _solid_mass(focus):
            return False
        height, off = focus.features.get(self.landmark), focus.features.get("off_midline_mm", 0.0)
        low, high = self.heights_mm
        left, right = self.off_midline_mm
        return height is not None and low <= height <= high and left <= off <= right


BLADDER_ZONE = Zone(("urinary_bladder",), "below_lungs_mm", (150.0, 999.0), (-60.0, 60.0))
# In front of the sacrum, behind the middle of the lowest vertebrae. Of 55 foci of synthetic patients outside all masks
# there none was a metastasis (none is drawn there) and 23 were called one.
RECTUM_ZONE = Zone(("colon",), "below_lungs_mm", (180.0, 999.0), (-25.0, 25.0))
ZONES: tuple[Zone, ...] = (
    Zone(("brain",), "above_lungs_mm", (110.0, 999.0)),
    # A lobe is 13 to 18 mm thick, an enlarged one more than 20, and longer than thick.
    Zone(("thyroid_gland",), "above_lungs_mm", (-30.0, 75.0), (-45.0, 45.0), thickest_mm=24.0),
    Zone(("heart",), "below_lungs_mm", (-230.0, -40.0), (-120.0, 60.0)),
    Zone(("stomach",), "below_lungs_mm", (-140.0, 70.0), (-130.0, 20.0)),
    Zone(("kidney_left",), "below_lungs_mm", (-80.0, 160.0), (-120.0, -10.0)),
    Zone(("kidney_right",), "below_lungs_mm", (-80.0, 160.0), (10.0, 120.0)),
    Zone(BOWEL, "below_lungs_mm", (-50.0, 999.0)),
    BLADDER_ZONE,
)


def field_end(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Uptake in the last slices of the PET: noise is highest there, and a part of it is not seen."""
    end = focus.features.get("field_end_mm")
    if end is None or end > rules.field_end_mm or focus.features.get("size_from_ct") or was_tumour(focus, now):
        return None
    return _open("end of the field of view", f"It lies {end:.0f} mm from the end of the PET's field of view, where "
                 "noise is highest and only a part is seen.")


def focal_bowel(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """A spot in bowel or stomach wall: a polyp, a second primary or peristalsis before it is a metastasis.

    Focal colonic uptake is carcinoma or polyp in most (clinical reference [V50]): colonoscopy decides, not its SUV.
    """
    if focus.organ not in {*BOWEL, "stomach"} or not is_focal(focus, rules) or was_tumour(focus, now):
        return None
    if focus.features.get("size_from_ct") or (focus.status is FocusStatus.KNOWN and grew(focus, rules)):
        return None
    spots = [f for f in now.foci if f.organ == focus.organ and is_focal(f, rules) and f.status is not FocusStatus.GONE]
    name = focus.organ.replace("_", " ")
    if len(spots) > rules.bowel_spots:
        return _open(f"{name} pattern", f"One of {len(spots)} hot spots along the {name}: a pattern of the bowel "
                     "rather than single lesions.")
    if focus.organ_fraction >= 0.3 and focus.organ != "small_bowel":  # mesenteric nodes lie among its loops
        return _open(f"focal {name}", f"A single hot spot of the {name} is a polyp, a second primary or peristalsis "
                     "more often than a metastasis: endoscopy decides.")
    return None


def muscle(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """A long, thin, symmetric pair outside organs without a node on CT; a spot no hotter than muscles at work are."""
    get = focus.features.get
    if focus.organ not in OUTSIDE_ORGANS or get("size_from_ct") or get("picture") or was_tumour(focus, now):
        return None
    if get("elongation", 1.0) >= rules.muscle_elongation and get("symmetry", 0.0) >= rules.symmetric:
        return _physiologic(rules, "muscle", "Long, thin and alike on both sides, without a node on CT: muscle.", 0.7)
    to_liver, hottest = (now.quantities.get(f"{MUSCLE}.{name}") for name in ("median_to_liver", "suv95"))
    if to_liver is None or hottest is None or not reaches(to_liver, rules.hot_muscle_liver_ratio):
        return None
    if focus.suv_max is not None and not exceeds(focus.suv_max, rules.hot_muscle_margin * hottest):
        return _physiologic(rules, "muscle", f"Muscles are hot in this exam ({to_liver:.1f} times the liver), and this "
                            "spot, without a node on CT, is hardly hotter.", 0.7)
    return None


def cold_nodule(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """A lung nodule large enough for the PET that takes up no more than blood."""
    if site_of(focus.organ) != "lung" or focus.source is not FocusSource.CT or focus.suv_max is None:
        return None
    if was_tumour(focus, now) or not reaches(focus.longest_mm, rules.cold_nodule_mm[0]):
        return None
    if focus.suv_max > np.interp(focus.longest_mm, rules.cold_nodule_mm, rules.cold_nodule_suv):
        return None
    if focus.status is FocusStatus.KNOWN and grew(focus, rules):
        return None
    medial = focus.features.get("off_midline_share", 1.0) <= rules.hilar_vessel_share
    if medial and not reaches(focus.features.get("ground_glass_fraction", 0.0), rules.opacity_ground_glass):
        return _physiologic(rules, "hilar vessel", f"A structure of the hilum with no more uptake than blood (SUVmax "
                            f"{focus.suv_max:.1f}): a vessel.", 0.7)
    return _open("cold nodule", f"A solid {focus.longest_mm:.0f} mm structure of the lung without uptake (SUVmax "
                 f"{focus.suv_max:.1f}): atelectasis, scar or hamartoma as well as metastasis.")


def cold_liver_lesion(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """A dark liver lesion that takes up no more than the liver: cyst or haemangioma as well as metastasis."""
    if focus.organ != "liver" or focus.source is not FocusSource.CT or focus.suv_peak is None:
        return None
    if was_tumour(focus, now) or reaches(focus.features.get("liver_ratio", 0.0), rules.liver_lesion_ratio):
        return None
    if focus.status is FocusStatus.KNOWN and grew(focus, rules):
        return None
    hu = focus.features.get("ct_hu_mean", 99.0)
    if hu <= rules.fluid_hu:
        return _physiologic(rules, "fluid", f"A cold liver lesion of fluid ({hu:.0f} HU): gallbladder or cyst.", 0.75)
    return _open("dark liver lesion", "The CT shows a dark liver lesion that takes up no more than the liver: cyst, "
                 "haemangioma or metastasis.")


def brown_fat(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Fat on CT through and through, outside organs, and not a node measured there."""
    core = focus.features.get("ct_hu_core")
    if focus.organ_fraction >= 0.3 or core is None or focus.features.get("size_from_ct"):
        return None
    if focus.suv_max is None or focus.suv_max > rules.brown_fat_suv or was_tumour(focus, now):
        return None
    fat = focus.features.get("fat_fraction", 0.0)
    pair = reaches(focus.features.get("symmetry", 0.0), rules.symmetric)
    mean = focus.features.get("ct_hu_mean", 0.0)
    # A small node in fat is mostly fat by partial volume; alone, brown fat is that dark on average, and is no ball: of
    # seven lone balls on synthetic CTs two were metastases that breathing had put beside their place on the CT.
    dark = _is_fat(focus, rules) and mean <= rules.brown_fat_mean_hu
    if dark and not pair and _is_ball(focus, rules):
        return _open("a ball in fat", "The CT shows fat there, but it is a single ball: brown fat seldom is; a node "
                     "that moved between PET and CT may be.")
    if dark or (pair and _is_fat(focus, rules)):
        return _physiologic(rules, "brown fat", f"The CT shows fat there ({100 * fat:.0f} % of it at -190..-10 HU): "
                            "brown fat.", 0.85)
    others = sum(_is_fat(f, rules) for f in now.foci if f.organ_fraction < 0.3)
    alike = fat >= rules.brown_fat_mixed and pair
    fossa = focus.features.get("above_lungs_mm", -99.0) > 0.0 and not focus.features.get("head_neck")
    if alike and fossa and mean <= rules.brown_fat_mean_hu:
        return _physiologic(rules, "brown fat", f"Mostly fat ({100 * fat:.0f} %), alike on both sides above the "
                            "collarbones.", 0.75)
    if alike and others >= rules.brown_fat_pattern:
        if _is_ball(focus, rules) and core >= rules.node_core_hu:
            return _open("a ball partly in fat", "A ball with soft tissue in it, partly over fat: brown fat seldom is; "
                         "a node that moved between PET and CT is.")
        return _physiologic(rules, "brown fat", f"Partly fat ({100 * fat:.0f} %), alike on both sides, with {others} "
                            "further foci of brown fat.", 0.75)
    return None


def paravertebral_fat(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Brown fat beside the thoracic spine, in an exam with other brown fat; lung or bone beside it hides what it is.

    Nothing moves there between PET and CT, so that a dark place is not that of a node beside it.
    """
    get = focus.features.get
    core, mean, fat = get("ct_hu_core"), get("ct_hu_mean", 0.0), get("fat_fraction", 0.0)
    if core is None or focus.suv_max is None or focus.suv_max > rules.brown_fat_suv or was_tumour(focus, now):
        return None
    nearest, farthest = rules.paravertebral_mm
    beside = nearest <= abs(get("off_midline_mm", 0.0)) <= farthest
    beside &= abs(get("behind_spine_mm", 999.0)) <= rules.paravertebral_level_mm
    beside &= -rules.thoracic_mm <= get("above_lungs_mm", 999.0) <= 0.0
    if not beside or focus.short_mm > rules.paravertebral_short_mm:
        return None
    if sum(_is_fat(f, rules) for f in now.foci if f.organ_fraction < 0.3 and f is not focus) < rules.brown_fat_pattern:
        return None
    if site_of(focus.organ) == "lung":
        nothing_solid = core <= rules.paravertebral_core_hu and fat >= rules.brown_fat_mixed
    else:
        nothing_solid = mean <= rules.brown_fat_mean_hu and fat >= rules.paravertebral_fat
    mirrored = fat >= rules.paravertebral_fat and get("symmetry", 0.0) >= rules.paravertebral_alike
    if not nothing_solid and not mirrored:
        return None
    return _physiologic(rules, "brown fat", f"Beside the thoracic spine, {100 * fat:.0f} % fat, with further brown fat "
                        "in this exam: brown fat lies there on both sides.", 0.75)


def _is_fat(focus: Focus, rules: EvidenceRules) -> bool:
    low = focus.features.get("ct_hu_core", 999.0) <= rules.brown_fat_core_hu
    return low and focus.features.get("fat_fraction", 0.0) >= 0.6


def head_and_neck(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Tonsils, salivary glands, tongue, palate: above the neck, alike on both sides or in the midline, not too hot."""
    pair = reaches(focus.features.get("symmetry", 0.0), rules.head_neck_pair)
    hottest = rules.head_neck_pair_suv if pair else rules.head_neck_suv
    if not focus.features.get("head_neck") or focus.suv_max is None or focus.suv_max > hottest:
        return None
    coarse = focus.organ == "brain" and focus.organ_fraction < 0.5
    if focus.organ is not None and focus.organ != NODE_SITE and not coarse:
        return None
    if focus.suv_max <= rules.gland_suv and focus.longest_mm >= rules.gland_mm:
        return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: salivary gland",
                    "A broad focus of low uptake beside jaw or throat: a salivary gland.")
    midline = abs(focus.features.get("off_midline_mm", 99.0)) <= 15.0
    if midline or focus.features.get("symmetry", 0.0) >= 0.5:
        return Gate(Nature.PHYSIOLOGIC, 0.85, "physiologic: tonsils or glands",
                    "Head and neck uptake in the midline or alike on both sides: tonsils, salivary glands, palate.")
    return None


def _is_ball(focus: Focus, rules: EvidenceRules) -> bool:
    get = focus.features.get
    return reaches(get("sphericity", 0.0), rules.ball_sphericity) and get("elongation", 9.0) <= rules.ball_elongation


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
           and focus.short_mm <= rules.ureter_in_fat_mm and not get("size_from_ct", 0.0) and not _is_ball(focus, rules))
    tube = on_the_way and ((thin and upright) or thread)
    # Where it crosses the iliac vessels bone lies beside it; a deposit in bone is no thread.
    crossing = focus.organ == BONE_SITE and on_the_way and thread and get("elongation", 1.0) >= rules.thread_elongation
    if ((tube or bow) and focus.organ in {*OUTSIDE_ORGANS, "small_bowel", "aorta"}) or crossing:
        return Gate(Nature.PHYSIOLOGIC, 0.75, "physiologic: ureter",
                    f"A thin upright tube ({get('vertical_mm', 0.0):.0f} mm high) between kidney and bladder: urine.")
    return None


def bowel_and_stomach(focus: Focus, now: Situation, rules: EvidenceRules) -> Gate | None:
    """Diffuse bowel or stomach uptake that no finding explains is physiologic."""
    if focus.organ not in {"colon", "small_bowel", "stomach"} or not focus.features.get("picture"):
        return None
    irae = IRAE_SITE.get(site_of(focus.organ))
    ratio = focus.features.get("liver_ratio")
    quiet = ratio is None or ratio <= rules.quiet_organ_ratio
    if irae in now.suspected:
        if focus.organ == "colon" or not quiet:
            return None  # enteritis, or inflamed colon that a mask took for small bowel
        return Gate(Nature.PHYSIOLOGIC, 0.6, "physiologic: small bowel",
                    "Diffuse faint small bowel uptake; colitis is suspected, so enteritis is possible.")
    name = focus.organ.replace("_", " ")
    get = focus.features.get
    compact = get("elongation", 9.0) < rules.focal_elongation and reaches(get("contrast", 0.0), rules.contrast_high)
    if compact and not quiet:
        return _open(f"hot {name}", f"Compact, and far hotter than liver and {name}: a lesion in or beside it as well "
                     "as its own uptake.")
    if irae in now.cleared or irae is None or quiet:
        return Gate(Nature.PHYSIOLOGIC, 0.85 if quiet else 0.7, f"physiologic: {name}",
                    f"Diffuse {name} uptake without a suspected irAE there is physiologic until shown otherwise.")
    return None
