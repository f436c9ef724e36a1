"""Every weight and limit of the evidence score in one value; docs/reference/attribution.md is its table.

The twelve features follow published observations (sources at the fields). The points are design values of this project
("all weights are to be re-fitted"), as are limits without a source: they are a starting point that a clinician can
read, not fitted coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from irae.core.anatomy import Irae

# Weeks since the first dose in which an organ's irAE usually begins: design windows around Tang, Cancer Res Treat 2021
# (pooled onset), Nishino, Clin Cancer Res 2016 (lung), de Filette, Horm Metab Res 2019 (pituitary). Never a hard gate:
# onset tails run beyond 100 weeks.
ONSET_WEEKS: Mapping[str, tuple[float, float]] = MappingProxyType({
    "colon": (2, 40), "small_bowel": (2, 40), "lung": (2, 80), "thyroid": (1, 30), "pituitary": (4, 52),
    "liver": (2, 60), "pancreas": (3, 60), "lymph_node": (6, 100), "joint": (2, 60),
})

IRAE_SITE: Mapping[str, Irae] = MappingProxyType({
    "colon": Irae.COLITIS, "small_bowel": Irae.COLITIS, "lung": Irae.PNEUMONITIS, "thyroid": Irae.THYROIDITIS,
    "liver": Irae.HEPATITIS, "pituitary": Irae.HYPOPHYSITIS,
})

# Sites where a tumour often spreads; textbook knowledge, for the tumours that are treated with checkpoint inhibitors.
METASTATIC_SITES: Mapping[str, frozenset[str]] = MappingProxyType({
    "melanoma": frozenset({
        "lung", "liver", "brain", "bone", "lymph_node", "small_bowel", "spleen", "adrenal", "other"}),
    "nsclc": frozenset({"adrenal", "lung", "liver", "brain", "bone", "lymph_node"}),
    "lung": frozenset({"adrenal", "lung", "liver", "brain", "bone", "lymph_node"}),
    "renal": frozenset({"adrenal", "lung", "liver", "brain", "bone", "lymph_node", "pancreas"}),
    "urothelial": frozenset({"lung", "liver", "bone", "lymph_node"}),
    "head and neck": frozenset({"lung", "bone", "lymph_node"}),
})
COMMON_SITES = frozenset({"lung", "liver", "bone", "brain", "lymph_node"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRules:
    """Points (positive: inflammation or physiology, negative: suspected metastasis) and limits of F1-F12."""

    # F1 share of an irAE organ that is involved.
    organ_share_most: float = 0.5
    organ_share_some: float = 0.2
    organ_share_little: float = 0.05
    organ_share_most_points: float = 3.0
    organ_share_some_points: float = 1.5
    organ_share_little_points: float = -1.0

    # F2 shape. Segmental or diffuse bowel involvement (beyond 6 cm) is benign, lymphoma excepted; focal, irregular,
    # asymmetric is malignant (Insights Imaging 2014, 10.1007/s13244-013-0308-y).
    segmental_mm: float = 60.0
    segmental_points: float = 2.0
    stretch_sphericity: float = 0.5  # a long hot stretch of bowel that is so little of a ball is no single spot; design
    blob_mm: float = 20.0
    blob_sphericity: float = 0.7
    blob_points: float = -2.0

    # F3 contrast to the host organ.
    contrast_high: float = 3.0
    contrast_high_points: float = -1.5
    contrast_mild: tuple[float, float] = (1.2, 2.0)
    contrast_mild_points: float = 1.0

    # F4 symmetry. Symmetric hilar nodes in 75 % of sarcoid-like reactions (Kaneko, Jpn J Radiol 2019;37:88); diffuse
    # thyroid uptake was benign in 29 of 29 (PMC4387987).
    symmetric: float = 0.7
    symmetric_points: float = 2.0
    # Joints: bone so far off the midline as shoulders, hips and knees are, its mirror image this much alike. Of the
    # 1500 metastases of 113 synthetic patients none was such, of 52 inflamed joints 28 were.
    joint_off_mm: float = 80.0
    joint_alike: float = 0.9
    one_sided: float = 0.2
    one_sided_points: float = -1.0
    pattern_points: float = 1.0  # a midline node between symmetric hilar nodes

    # F5 what the CT shows at the place.
    nodule_mm: float = 10.0
    nodule_points: float = -2.0
    opacity_points: float = 2.0
    opacity_ground_glass: float = 0.25
    within_opacity: float = 0.35  # of the rim is ground glass ...
    within_opacity_lung: float = 0.25  # ... and no more than this is aerated: a part of a larger opacity
    halo_ground_glass: float = 0.4  # around a solid nodule: organising pneumonia rather than a nodule
    bone_points: float = -2.5
    sclerotic_hu: float = 450.0
    lytic_fraction: float = 0.4
    bowel_pet_only_points: float = 0.5
    # Wall thickening in colitis: mild from 4 mm (design value within the ranges of Insights Imaging 2014).
    wall_mm: float = 4.0

    # F6 node shape: short over long axis separated sarcoid from metastatic nodes together with SUV (PMC6831101, 124
    # nodes); cut-offs are design values.
    round_node: float = 0.65
    round_node_points: float = -1.0
    oval_node: float = 0.5
    oval_node_points: float = 1.0

    # F7 onset window; combination therapy has more irAEs (Wang, Oncoimmunology 2017;6:e1344805).
    onset_points: float = 0.5
    combination_points: float = 0.5

    # F8 another irAE at the same time: 3 of 5 hypophysitis cases in one PET series (nel.edu).
    other_irae_points: float = 1.0

    # F9 lesion context.
    metastatic_site_points: float = -1.0
    growing_points: float = -1.0
    shrinking_points: float = 1.0
    others: int = 2  # lesions that must grow
    growth_mm: float = 5.0  # RECIST 1.1's absolute limb
    shrinkage: float = 0.7  # of the longest diameter: RECIST 1.1's partial response
    growth_ratio: float = 1.3  # of SULpeak: PERCIST's +30 %
    fall_ratio: float = 0.7

    # F10 over time.
    fell_points: float = 3.0
    grew_points: float = -3.0
    same_at_baseline_points: float = 1.0
    called_metastasis_points: float = -2.0  # design: what was tumour before is not inflammation now

    # F11 confounder gates. Metformin up to 72 h (Lee, Ann Nucl Med 2016); G-CSF up to 30 days (Kazama 2005,
    # PMID 16133379); radiation pneumonitis visible up to 6 months (JNM 2009;50(s2):284); axillary nodes after
    # vaccination 2-6 weeks (unverified textbook figure).
    metformin_days: int = 3
    intact_marrow_hu: float = 110.0  # marrow between trabeculae; what has destroyed them is soft tissue. Design value.
    gcsf_days: int = 30
    radiation_days: int = 180
    vaccination_days: int = 42
    infection_days: int = 30
    brown_fat_core_hu: float = 0.0
    brown_fat_suv: float = 20.0  # hotter than nearly all brown fat (SULmax 4.9 +- 4.5 after cold: PMC6469763)
    head_neck_suv: float = 10.0  # tonsil and salivary gland uptake above this is not taken for granted ...
    head_neck_pair_suv: float = 15.0  # ... unless both sides are as alike as this
    head_neck_pair: float = 0.9
    quiet_organ_ratio: float = 2.0  # bowel, stomach: diffuse and below this many times the liver is physiologic
    # Uptake in no organ that is hot by nature, below what PERCIST calls measurable (1.5 x liver) and without a nodule
    # on CT, is physiologic where the model rules a metastasis out; with one, under the liver (at or under it no
    # lymphoma is seen: Deauville 1-3, Barrington 2014) where the model is this sure. Design values.
    below_measurable_ratio: float = 1.5
    faint_liver_ratio: float = 1.0
    faint_least: float = 0.95
    vaccine_node_short_mm: float = 15.0
    # Myocardium is hot in bands and patches, a ureter is a tube (of 942 synthetic ones in fat one was a ball, of 8
    # metastases taken for one four).
    ball_sphericity: float = 0.9
    ball_elongation: float = 1.3
    # SUVpeak over that of its surroundings which a first sight of a metastasis has where the CT shows no border. Of 670
    # synthetic ones at baseline 586 outside the liver had 2.18 and more, 84 in it 1.50 (one) and 1.77; 4 of 12 foci of
    # the baseline that were called so and were none had less, and 10 of 47 later ones.
    least_contrast: float = 2.1
    least_contrast_in_liver: float = 1.5
    renal_mass_ml: float = 5.0  # a focus of a kidney that is not its picture and so large is no calix
    # A bladder without its mask: so much fluid. Necrosis is as dark on CT, but cold inside.
    urine_pool_ml: float = 40.0
    urine_pool_hu: tuple[float, float] = (-30.0, 30.0)
    bladder_ml: float = 5.0  # a smaller pool, where no other focus is the bladder, may be it. A design value.
    # As hot as urine: so dark at least, because the streaks of a hip prosthesis darken what lies between the hips.
    streaked_pool_hu: float = -200.0
    ureter_off_mm: float = 35.0
    ureter_curve_mm: float = 50.0  # the ureter's bow in the pelvis; asked only where the CT shows no node
    ureter_short_mm: float = 13.0
    ureter_thread_mm: float = 6.0
    thread_elongation: float = 2.0
    ureter_in_fat_mm: float = 10.0
    renal_hilum_mm: float = 25.0  # the renal pelvis reaches this far from the middle of the kidney's medial surface
    urine_hu: float = 60.0  # with the enhancing kidney around it; enhanced nodes lie above
    excreted_contrast_hu: float = 150.0
    # Coarse or missing masks (design values): share of a focus in or within 8-10 mm of an organ that is hot by nature;
    # how far the renal pelvis may lie from the hilum of a mask that holds only a part of the kidney.
    near_share: float = 0.8
    # A focus in the liver of which this share lies in or just beside a kidney may be the kidney's cortex, moved by
    # breathing or beyond its mask, as long as it is no hotter than that (of the liver's mean): all 24 of 113 synthetic
    # patients were, and the model called 17 of them metastasis.
    cortex_share: float = 0.5
    cortex_liver_ratio: float = 2.0
    coarse_hilum_mm: float = 40.0
    field_end_mm: float = 10.0
    urine_liver_ratio: float = 4.0  # urine is this many times hotter than the liver (lognormal 15 g/mL)
    paired: float = 0.5
    # Malignant nodules of 10 mm and more show on PET (SUVmax 2.5, the older cut-off, less partial volume, which takes
    # more of the smaller ones): up to which SUVmax one is cold at these longest diameters and between them.
    cold_nodule_mm: tuple[float, float] = (10.0, 12.0)
    cold_nodule_suv: tuple[float, float] = (1.0, 2.0)
    hilar_vessel_share: float = 0.45  # of the lungs' half width off the midline: vessels of this size lie medially
    fluid_hu: float = 20.0  # simple cysts and bile (ACR incidental findings, J Am Coll Radiol 2017: -9..20 HU)
    bowel_spots: int = 2  # more single spots in one bowel are a pattern
    muscle_elongation: float = 2.5
    # Muscles at work or under insulin: median over the liver (0.3 at rest), and a spot's SUVmax over their SUV95.
    hot_muscle_liver_ratio: float = 0.7
    hot_muscle_margin: float = 1.4
    liver_lesion_ratio: float = 1.2  # SUVpeak of a liver lesion over the liver's mean, from which it is not cold
    brown_fat_pattern: int = 2
    brown_fat_mean_hu: float = -50.0  # a solid node has no such mean, whatever fat lies around it
    # Brown fat beside the thoracic spine (T3 to T10: clinical reference 4.5): so far off the midline, so near to the
    # middle of the vertebrae in depth, so far below the lungs' apices, no thicker; by the lung its densest tenth is no
    # soft tissue; elsewhere, and where bone beside it is the densest, so much of it is fat. Design values; 112 of 134
    # foci of brown fat there in 13 synthetic patients are such. No metastasis is drawn there.
    paravertebral_mm: tuple[float, float] = (12.0, 40.0)
    paravertebral_level_mm: float = 15.0
    thoracic_mm: float = 220.0
    paravertebral_short_mm: float = 16.0
    paravertebral_core_hu: float = -100.0
    paravertebral_fat: float = 0.55
    paravertebral_alike: float = 0.9
    brown_fat_mixed: float = 0.25
    node_core_hu: float = 40.0  # a node that lies a little beside its uptake still has a core of soft tissue
    focal_elongation: float = 1.8  # a single focus must be this long for its width to follow the bowel
    gland_suv: float = 4.0
    gland_mm: float = 20.0
    faint_patch_liver_ratio: float = 1.5  # a patch of a thyroid below this many times the liver is no nodule

    # F12 PERCIMT: number and size of new lesions (Anwar, EJNMMI 2018;45:376).
    percimt: tuple[tuple[int, float], ...] = ((4, 0.0), (3, 10.0), (2, 15.0))  # (count, longer than mm)
    percimt_points: float = -1.0
    # Counted are foci that favour metastasis by themselves and that the CT shows or whose SUVpeak exceeds the liver's
    # mean this far (PERCIST's 1.5 for a measurable lesion).
    percimt_liver_ratio: float = 1.5

    # Outcomes by the sum.
    probable: float = 3.0
    favour: float = 1.0
    # Soft map: odds of inflammation against metastasis are exp(slope x score). Design value, not a calibration.
    slope: float = 0.9
    gate_probability: float = 0.92  # of the nature that a gate names
    physiologic_floor: float = 0.03
    # A focal lesion from this SUVpeak on (times the liver's mean) is called physiologic by a gate alone, never by the
    # learned model: PERCIST would measure it. Design value near PERCIST's 1.5 x liver + 2 SD.
    measurable_liver_ratio: float = 2.0
    # What the learned model does not know, and what the points only favour, is a metastasis from this SUVpeak on (times
    # the liver's mean) if it is compact; urine has its gates. Design values.
    strange_liver_ratio: float = 4.0
    strange_sphericity: float = 0.6
    # The learned model names a nature only above this probability. Design value: likelier than not.
    least_likely: float = 0.5
    # Without a published sign of inflammation, uptake, size, shape and CT must together favour it over a metastasis by
    # this many natural log-odds (20 to 1), and none of them speak for a metastasis by more than that. Design values.
    own_look: float = 3.0
    own_look_against: float = 0.2

    window_weeks: Mapping[str, tuple[float, float]] = field(default_factory=lambda: ONSET_WEEKS)
    metastatic_sites: Mapping[str, frozenset[str]] = field(default_factory=lambda: METASTATIC_SITES)

    def __post_init__(self) -> None:
        if not 0 < self.favour < self.probable:
            raise ValueError(f"need 0 < favour {self.favour} < probable {self.probable}")


EVIDENCE_RULES = EvidenceRules()
