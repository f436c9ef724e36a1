"""Thresholds for finding and measuring foci, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

# Organs whose uptake is one picture: what is hot in them and does not stand out is one focus, not forty.
ONE_PICTURE = frozenset({
    "brain", "kidney_left", "kidney_right", "urinary_bladder", "colon", "small_bowel", "stomach", "heart",
    "thyroid_gland",
})
KIDNEYS = frozenset({"kidney_left", "kidney_right"})
# Urine is arbitrarily hot: what stands out in these by its uptake alone is urine.
URINE = KIDNEYS | {"urinary_bladder"}
BOWEL = frozenset({"colon", "small_bowel"})
LUNGS = ("lung_left", "lung_right")
NODE = "lymph_node"
ADRENAL = "adrenal"  # told by a gland's mask, or by its place without one; site "adrenal", as that of the two glands
ADRENAL_GLANDS = frozenset({"adrenal_gland_left", "adrenal_gland_right"})
FWHM_PER_SIGMA = 2.3548  # of a Gaussian
BONE = "bone"  # bone other than the spine, seen by its HU; site "bone"


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkLesion:
    """What makes a dark spot in the liver a lesion.

    Attributes:
        contrast_hu, sd: Darker than the liver by this much, and by this many SD of smoothed liver.
        least_mm: Diameter of the part below that threshold; the lesion is about 2 mm larger.
    """

    contrast_hu: float
    sd: float
    least_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FociRules:
    """Every number that decides what becomes a focus and how it is measured.

    Uptake in SUVbw g/mL. Fields without a named source are design values of this project.
    """

    # PERCIST 1.0 (Wahl, J Nucl Med 2009;50 Suppl 1:122S): 1.5 x liver mean + 2 SD, and where the liver is diseased
    # or absent 2.0 x blood pool mean + 2 SD.
    liver_factor: float = 1.5
    blood_pool_factor: float = 2.0
    reference_sd: float = 2.0
    # Fixed thresholds in wide use where a scan offers no reference: 4.0 (Boellaard, EJNMMI 2015;42:328 discusses it for
    # large VOIs); 2.5, the older one, is the lower limit for small, contrasted foci.
    fixed_suv: float = 4.0
    fixed_contrasted_suv: float = 2.5
    # A reference outside these is not believed (mean +- 4 SD of Boktor, J Nucl Med 2013;54:677).
    liver_range_suv: tuple[float, float] = (0.8, 4.0)
    blood_pool_range_suv: tuple[float, float] = (0.6, 3.2)
    # Organs with a published inflammation cut-off are searched down to it (Hribernik, EJNMMI 2022,
    # 10.1007/s00259-021-05650-3: bowel SUV95 2.7, lung SUV95 1.7, thyroid SUV75 2.1).
    bowel_suv: float = 2.7
    lung_suv: float = 1.7
    thyroid_suv: float = 2.1
    # Where the surroundings are quiet a focus shows below the general threshold: at least this, and this many times
    # the mean of the surrounding 40 mm.
    contrasted_suv: float = 2.0
    contrasted_blood_pool: float = 1.3  # and this many times the blood pool ...
    contrasted_noise: float = 3.0  # ... plus this many times the liver's coefficient of variation
    contrasted_ratio: float = 2.0
    # ... or is a node on CT, round and of the short axis from which RECIST 1.1 calls one abnormal, though it is too
    # faint for the noise of the PET: this many times the blood pool and its surroundings, over so much volume.
    faint_blood_pool: float = 1.15
    faint_ratio: float = 3.0
    faint_ml: float = 0.5
    faint_node_mm: float = 10.0
    faint_sphericity: float = 0.85
    faint_hu: tuple[float, float] = (0.0, 120.0)
    faint_rim_fat: float = 0.25
    # In lung, small nodules lose most of their uptake to partial volume (EARL recovery 0.34-0.57 at 10 mm).
    lung_nodule_suv: float = 1.2
    lung_edge_mm: float = 7.0
    # In the liver a metastasis is seen against the liver itself.
    liver_lesion_sd: float = 4.0
    liver_lesion_ratio: float = 1.35
    # In bone a focus must stand out of the patient's own marrow, which is patchy and, under G-CSF, hot: SUVpeak or
    # SUVmax over the spine's median.
    marrow_peak_ratio: float = 1.9
    marrow_max_ratio: float = 2.6
    marrow_hu: float = 130.0  # outside organs, tissue this dense throughout is trabecular bone that no cortex shows of
    # A bone's lesion that has destroyed all bone in it still has bone on this share of its sides, within this distance.
    bone_around: float = 0.55
    bone_around_hu: float = 150.0
    bone_around_rim: float = 0.1  # and so much of its rim is denser than enhanced organs mostly are (``bone_hu``)
    bone_around_mm: float = 10.0
    # A hole in bone (``lytic``): so much darker than the bone around it, which counts as no denser than this (cortex);
    # so round; the ball that is rolled over the bone has at most this radius. Of 52 synthetic lytic metastases so
    # found the longest diameter was read -0.2 mm (SD 1.1) wrong, on the PET +0.7 (1.4).
    lytic_contrast_hu: float = 45.0
    lytic_marrow_hu: float = 260.0
    lytic_sphericity: float = 0.96
    lytic_roll_mm: float = 12.0
    lytic_beside_pet: float = 0.3  # and so near to the PET's diameter (log ratio): else it is another hole
    # What is fainter than so many times the spine's marrow is measured against the marrow beside it, if that is hotter:
    # by this percentile, so far beyond the lesion, inside bone so dense and so far from its surface, of which so much
    # must be there. Of 31 such synthetic metastases the longest diameter was read +0.5 mm wrong (six by more than
    # 2 mm), so +0.0 (two).
    faint_in_marrow: float = 3.5
    beside_mm: tuple[float, float] = (3.0, 12.0)
    beside_percentile: float = 65.0
    beside_hu: float = 100.0
    beside_deep_mm: float = 2.5
    beside_ml: float = 0.5
    rib_bone: float = 0.15  # a focus in the lung of which, with its rim, this share is bone is a rib's
    organ_ratio: float = 1.4  # in spleen, pancreas, spine, aorta: times the organ's own median, at least

    smoothing_fwhm_mm: float = 4.0  # before looking for maxima
    # A PET whose liver is noisier than this after that smoothing (coefficient of variation; EARL accepts 0.15) is
    # searched at the resolution of SUVpeak: a Gaussian of the same second moment as the 12 mm sphere.
    noisy_cv: float = 0.15
    peak_fwhm_mm: float = 6.4
    # Single foci must exceed their surroundings by this many SD of 1 cm3 means: those of the organ they lie in where
    # its uptake is even, else those of the liver, which soft tissue and spine exceed about twofold (OSEM noise).
    noise_sd: float = 4.0
    noise_beyond_liver: float = 2.0
    lung_noise: float = 0.25  # SD of a lung's 1 cm3 means, of their median, at most
    least_pet_voxels: float = 4.0  # a focus sized on the PET holds this many of its voxels within half its maximum
    # In the last slices of a PET few coincidences are counted: noise is highest, and a part is not seen at all.
    field_end_mm: float = 10.0
    saddle_ratio: float = 0.7  # two maxima are one focus if the saddle reaches this share of the lower
    saddle_ratio_at_organ: float = 0.9  # ... if one of them is an organ that is hot by nature
    standout_ratio: float = 1.7  # a compact focus this many times the organ's own 90th percentile is its own focus
    standout_beside: float = 1.3  # ... of a focus whose maximum lies outside of the organ
    standout_volume_ml: float = 20.0
    # ... or this many times the 90th percentile of the organ within this distance: hot bowel elsewhere hides nothing.
    standout_nearby_ratio: float = 3.0
    standout_nearby_mm: float = 60.0
    # The myocardium lies in the heart's mask (of 280 synthetic ones by 0.86 of it and more): a necrotic mass on the
    # heart, over which the mask runs, is a ring as well.
    heart_share: float = 0.7
    standout_mass_ml: float = 60.0  # in brain and heart; the whole myocardium is larger
    # Brain that the segmenter left out (six of synthetic CTs of 2 mm): saddle 0.8 to 0.9 of its maximum, and 0.24 to
    # 0.57 of its surface against the brain.
    brain_saddle: float = 0.75
    brain_border: float = 0.2
    # Elsewhere a mass of any size, where it is round, as loops are not: longest over shortest axis.
    mass_elongation: float = 1.6
    mass_reach_mm: float = 60.0  # looked at around the maximum of a mass among loops of bowel
    # A mass in or behind a kidney: so large, so far from the kidney's middle, round, and hotter than the kidney.
    renal_mass_ml: float = 5.0
    renal_mass_off_mm: float = 20.0
    diffuse_organ_fraction: float = 0.4  # an organ of which this share is hot is one focus
    # Contrast-oriented 50 % contour (EANM FDG guideline 2.0, Boellaard, EJNMMI 2015;42:328: "A50").
    contour: float = 0.5
    contour_leaks: tuple[float, ...] = (0.6, 0.7, 0.8)  # tried where 50 % runs into the surroundings
    contour_reach_mm: float = 15.0
    # Below the general threshold: SUVpeak over the surroundings' median, and volume.
    least_contrast: float = 1.8
    least_contrast_hot: float = 1.5  # where the hottest voxel alone reaches the general threshold
    least_contrasted_ml: float = 0.25
    least_contrast_in_organ: float = 1.3  # in the thyroid, which has a threshold of its own
    least_contrast_in_liver: float = 1.3  # over the liver's mean and over the surroundings: above its noise
    stray_mm: float = 10.0  # an organ's picture does not reach this far into the inside of another organ
    stray_ml: float = 1.0
    # A mask of the bladder that holds less than this of its uptake is a poor one; a ball as round as this is all urine.
    bladder_share: float = 0.8
    bladder_sphericity: float = 0.95
    stray_elongation: float = 2.5  # beside a kidney; drawn nodes have 1.1, rims of kidneys 4.6 to 14
    stray_blur_mm: float = 3.0  # about half the PET's blur: nearer to the organ it may be the organ's spill
    # So far a PET in free breathing shows an organ above or below its place on the CT (the phantom's most; 20 mm at the
    # diaphragm and more are published, Osman, J Nucl Med 2003;44:240).
    breathing_mm: float = 16.0
    # A dark spot in the liver is the CT of a focus so far above or below it if it lies no farther aside, differs no
    # more in diameter (log ratio) and takes up no more of the focus's SUVmax: 400 synthetic exams had three such pairs
    # (13 to 15 mm apart, 1 mm aside), each one metastasis.
    breathed_aside_mm: float = 6.0
    breathed_size: float = 0.35
    breathed_cold: float = 0.5
    least_volume_ml: float = 0.10  # a sphere of 5.8 mm; smaller hot spots are noise on any PET
    # The point spread assumed when a small focus is sized from PET alone (EARL-1 recovery fits 7-8 mm, modern
    # scanners 4-6 mm).
    psf_fwhm_mm: float = 6.5
    # What an axial diameter of such a contour still reads too much (staircase and noise on small ones) or too little
    # (the blur of a curved edge): reading and error, mm. Medians of 1007 metastases of 114 synthetic patients; another
    # maker's 69 erred alike (+1.1 to +1.5 under 15 mm, -1.2 and -1.4 from 15 to 28 mm, -0.4 above).
    pet_reading_mm: tuple[float, ...] = (10.1, 11.5, 13.3, 15.1, 17.8, 21.5, 29.1, 45.0)
    pet_error_mm: tuple[float, ...] = (1.1, 0.5, 0.3, -0.4, -0.7, -1.0, -0.9, 0.0)
    # The same of the short axis, which noise does not lengthen: 1398 metastases on CTs of 2, 3 and 4 mm, alike on all.
    pet_short_error_mm: tuple[float, ...] = (0.6, 0.15, 0.0, -0.6, -0.85, -0.9, -0.2, 0.0)
    # Little hotter than its surroundings (SUVmax over their median) a lesion reads this much shorter, longest diameter
    # and short axis, for noise lifts the peak against which the contour is drawn: 116 of 623 drawn metastases, bone
    # aside, stood out less than 5 times and read 0.3 and 0.8 mm too short; those of 7 times and more read right.
    pet_contrast: tuple[float, float] = (3.5, 6.5)
    pet_faint_mm: tuple[float, float] = (0.4, 0.8)

    # In fat the diameters are the mean of CT's and PET's where both differ by less (log ratio): on 60 drawn nodes and
    # deposits that fat bordered (CT of 3 mm) the SD of longest and short is 0.8 and 0.9 mm, of the CT's 1.1 and 1.15,
    # of the PET's 1.1 and 1.35.
    both_agree: float = 0.25

    # Soft tissue against lung: half-way between -800 and +40 HU. Against fat: half-way between -100 and +40 HU.
    nodule_in_lung_hu: float = -380.0
    nodule_in_fat_hu: float = -30.0
    # Small solid nodules by their partial volumes (``partial_volume``; Kuhnigk, IEEE Trans Med Imaging 2006;25:417):
    # soft tissue, and the share of it that the densest voxel (enhanced, calcified) counts at most; so far a border's
    # blur reaches (the scanner's, and a share of a voxel's longest side); so far around it the lung is read, of which
    # at least this share is aerated.
    soft_tissue_hu: float = 40.0
    densest_share: float = 1.2
    border_mm: float = 1.5
    border_voxels: float = 0.6
    around_mm: float = 6.0
    tail_share: float = 0.5  # a vessel that enters it is thinner than this share of it
    # What is no ball has a wide vessel: 29 drawn nodules without one were .96 and more, three with one .74 to .87. By
    # this share the longest diameters of those three, +3.0, +4.1 and +3.0 mm, are +1.1, +0.7 and +1.4.
    tail_sphericity: float = 0.92
    wide_tail_share: float = 0.8
    aerated_share: float = 0.4
    # SD of the smoothing of a nodule's outline, in voxels of the grid it is measured on; the grid it is then read on.
    # On 69 drawn nodules (CT of 3 mm) the longest diameter's bias from 16 mm on falls from 0.8 to 0.3 mm, its SD from
    # 0.6 to 0.4; below it stays within 0.3 mm.
    outline_smoothing_voxels: float = 1.2
    outline_mm: float = 0.5
    # An outline of so many voxels shows a shape; of fewer a usual one stands in: longest and short axial diameter over
    # the diameter of the ball of the same volume.
    outline_voxels: float = 6.0
    usual_shape: tuple[float, float] = (1.1, 0.95)
    # What is left of a known nodule: it stands out of the lung by this; one farther off must be denser by this for each
    # mm; it reaches to this share of its own height, and so far beyond it in half shares.
    remnant_hu: float = 100.0
    remnant_hu_per_mm: float = 15.0
    remnant_levels: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7)
    remnant_border_mm: float = 2.0
    # So is what the PET shows in the lung up to this longest diameter and the CT has no border for, where this share of
    # its surroundings is lung: the PET's contour of a small nodule is mostly blur (7.7 mm had read 11.0).
    spot_most_mm: float = 16.0
    spot_lung: float = 0.9
    bone_hu: float = 180.0
    ground_glass_hu: tuple[float, float] = (-700.0, -300.0)
    consolidation_hu: tuple[float, float] = (-300.0, 80.0)
    # Brown fat's HU range (-190..-10; Ouellet, J Clin Invest 2012, as used by Iran J Radiol 2018 review series).
    fat_hu: tuple[float, float] = (-190.0, -10.0)

    # Lung nodules on CT alone. Fleischner 2017: solid nodules under 6 mm need no follow-up.
    ct_nodule_least_mm: float = 6.0
    ct_nodule_vessel_mm: float = 4.0  # thinner solid structures are taken for vessels
    ct_nodule_elongation: float = 1.9
    ct_nodule_sphericity: float = 0.65
    # More leaves it, in cross-sections of its own, and it may be a piece of a vessel (78 such pieces of six synthetic
    # patients on voxels of 1.5 and 2 mm: 1.0 to 7.9; 10 nodules 0 to 0.7).
    ct_nodule_goes_on: float = 0.9
    ct_nodule_voxels: float = 3.0  # a nodule spans at least this many voxels of the CT ...
    ct_nodule_voxels_hot: float = 2.0  # ... or this many where the PET shows it, too:
    ct_nodule_lung_ratio: float = 2.5  # SUVmax over the lung's own median, and lung_nodule_suv
    # A dark liver lesion is compact (widest ball inside over the diameter of its volume) and lies in the liver (share
    # of its surroundings, 3-8 mm, as dense as the liver); clefts, vessels, gallbladder and borders are not.
    dark_compact: float = 0.6
    dark_enclosed: float = 0.75
    # Dark liver lesions on CT. Beside a PET, which shows the active ones, only what is plain on CT is added: with the
    # limits of a CT alone and coarse masks most of what is found is fissures, vessels and texture. Design values.
    ct_liver: DarkLesion = DarkLesion(contrast_hu=18.0, sd=3.0, least_mm=8.0)
    ct_liver_beside_pet: DarkLesion = DarkLesion(contrast_hu=25.0, sd=4.0, least_mm=12.0)

    # What is left of a known lesion at its registered place (``residual``): this far off it, this many times and SD
    # above its surroundings, no longer than this many times its earlier diameter.
    residual_off_mm: float = 8.0
    residual_ratio: float = 1.25
    residual_sd: float = 3.0
    residual_growth: float = 1.3
    residual_growth_clear: float = 2.0  # of one that stands out (``residual_contrast``)
    residual_hotter: float = 1.2  # a maximum beside it this many times hotter keeps its own slope
    residual_shape: tuple[float, float] = (0.7, 1.6)  # its diameters over that of the ball of its volume
    # What a diameter of such a contour reads too much, mm: of a faint one, and of one that stands out of its
    # surroundings so many times (between the two by their contrast). 111 residuals outside the lungs of synthetic
    # patients, CTs of 2 to 4 mm: +0.3 mm (SD 2.1); without regard to contrast those of 16 mm and more that stood out
    # read 2.5 to 4.3 mm too short.
    residual_reading_mm: tuple[float, ...] = (6.0, 8.5, 10.5, 13.0, 16.0, 22.0)
    residual_faint_mm: tuple[float, ...] = (1.0, 2.2, 2.5, 3.0, 4.3, 6.0)
    residual_clear_mm: tuple[float, ...] = (0.8, 1.3, 1.8, 1.8, 0.6, 0.0)
    residual_contrast: tuple[float, float] = (2.0, 3.6)
    # A nodule against a consolidation (``free_border``): this share of its border is free, lies so near to a ball's
    # surface (median), and the ball is so large (of its radius when it was last seen). Design values.
    free_border: float = 0.3
    free_facing: float = 0.8  # cosine between its border's normal and the way from its middle
    free_error_mm: float = 1.0
    free_size: tuple[float, float] = (0.5, 1.8)
    # What is left of one in the liver on CT (``dark_remnant``): so far off its place, darker than the liver in this
    # shell around it by so many HU and SD at this resolution; its contour at one of these, half-way or deeper.
    dark_off_mm: float = 5.0
    dark_around_mm: tuple[float, float] = (6.0, 18.0)
    dark_tissue_hu: tuple[float, float] = (75.0, 100.0)
    dark_search_mm: float = 6.0
    dark_hu: float = 10.0
    dark_sd: float = 2.5
    dark_contour_mm: tuple[float, ...] = (5.0, 7.0, 9.0)
    dark_levels: tuple[float, ...] = (0.5, 0.6)
    dark_sphericity: float = 0.7
    dark_growth: float = 1.15
    # A focus that is listed for the first time was there before if the earlier PET is hot at its place (within this
    # distance), by this share of today's SUVmax: 30 % is a metabolic change by PERCIST 1.0.
    look_back_mm: float = 8.0
    look_back_share: float = 0.7

    # In muscle: soft tissue makes up this much of what surrounds a focus (3-10 mm), fat no more than that. It holds for
    # 240 of 283 synthetic deposits in muscle and for none of 484 metastases in nodes.
    muscle_rim: float = 0.80
    muscle_rim_fat: float = 0.16
    # The trunk has no lymph nodes this far dorsal of the middle of the vertebrae (anatomy: paravertebral nodes lie
    # beside the bodies, the dorsal wall drains to axilla and groin). It is muscle or fat there. A design value.
    dorsal_mm: float = 30.0
    adrenal_mm: float = 25.0  # from the upper pole of a kidney
    node_longest_mm: float = 60.0  # a larger mass outside organs is not measured as a node
    # A mesenteric node in the mask of the small bowel: a ball, soft, this much of what surrounds it (3-10 mm) fat. Of
    # 92 synthetic metastases in nodes whose mask was the small bowel's 86 had 0.35 of it, of 93 other foci in it two; a
    # node with 0.33 was taken for bowel.
    mesenteric_sphericity: float = 0.9
    mesenteric_hu: tuple[float, float] = (-20.0, 120.0)
    mesenteric_rim_fat: float = 0.3
    # A ball with fat about it whose greater part lies outside bowel, stomach or bladder lies beside it: of 24 synthetic
    # foci that were such 17 were metastases in nodes, of 424 whose mask reached into one and that were not 12.
    beside_hollow_sphericity: float = 0.85
    # A hilar node: height in the lungs (0 base, 1 apex), distance off the midline as a share of the lungs' half width,
    # and what surrounds it. A nodule inside the lung has aerated lung over nine tenths of its rim.
    hilum_height: tuple[float, float] = (0.35, 0.85)
    hilum_above_heart: float = 0.5
    hilum_off_midline: float = 0.5
    hilum_rim_lung: tuple[float, float] = (0.02, 0.7)
    hilum_rim_soft: float = 0.1
    # Masks for the search (irae.lesions.masks): the abdomen's organs end below this share of the lungs' height; the
    # skull is bone that encloses soft tissue on axial slices.
    abdomen_height: float = 0.65
    skull_hu: float = 250.0
    skull_grid_mm: float = 4.0
    skull_least_cm2: float = 25.0
    skull_least_ml: float = 150.0
    brain_height_mm: float = 165.0  # from the vertex to the foramen magnum, at most
    body_overlap: float = 0.85  # Dice of the bodies on PET and CT from which they are taken to lie on each other
    bodies_apart: float = 0.75  # below it they do not, whatever the headers say (a synthetic body moved by 8 cm)
    spill_mm: float = 8.0  # an organ hot by nature spills this far over a coarse mask's border
    myocardium_mm: float = 10.0
    organ_margin_mm: float = 8.0  # a focus this near an organ that it does not touch is assigned to it


FOCI_RULES = FociRules()
