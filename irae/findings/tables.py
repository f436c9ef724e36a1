"""The shipped rules of the five irAEs: every cut-off with its source and what it was found to be worth.

Sources are named as in docs/reference/findings.md, which lists them with mask definitions.
"""

from __future__ import annotations

from types import MappingProxyType

from irae.core.anatomy import Irae
from irae.findings.rules import (
    DESIGN,
    Aftermath,
    Change,
    IraeRules,
    Modality,
    RuleSet,
    SeverityStep,
    Sign,
    cutoff_of,
)
from irae.findings.tables_further import FURTHER

HRIBERNIK = "Hribernik 2022, EJNMMI, 10.1007/s00259-021-05650-3"
PROSPECTIVE = "Hribernik 2024, Radiol Oncol, 71 patients"
HUFF = "Huff 2021, Biomed Phys Eng Express, 10.1088/2057-1976/ac27c3"
AFTER_HUFF = f"{DESIGN}, after Huff 2021 for bowel"
BOWEL_CT = "Insights Imaging 2014, 10.1007/s13244-013-0308-y"
BOKTOR = "Boktor 2013, J Nucl Med 54:677"
ASCO = "ASCO irAE guideline, extent of pneumonitis"
LIVER_SIZE = "Kim DW, Radiology, 97.5th centile of 2,989 adults"
SUZUKI = "Suzuki 1990, JCAT 14:36, none of 213 normal subjects"
CALIBRE = "normal wall by calibre, secondary summary of unknown primary"
COMPARTMENTS = "Crit Care 2013, 10.1186/cc12738, mean + 2 SD of healthy lungs (7 +- 4 %)"
ORGAN_CHANGE = "AI organ FDG series (n=64)"
GLAND_SIZE = "3 T series (n=245), mean + 2 SD"
PORTAL = "PMID 10399776"
TBR = "Clin Nucl Med, 10.1097/RLU.0000000000005440"


# A thyroid's size, density and every change count where this share of its mask looks like gland, now and at baseline:
# two poor masks differ by more than the gland does. Design value.
THYROID_MASK = ("thyroid_gland.tissue_percent", 80.0)
# A gland that burnt out keeps 0.6 of its volume (clinical reference, part 4); with less than this a mask has missed it.
GLAND_LEFT = ("thyroid_gland.volume_ml", 0.4)
# The wall says how severe a colitis is where it was read along this share of the colon; else the uptake does, too: a
# filled inflamed segment hides its wall. Design value.
COLON_READ = "colon.assessable_percent"
COLON_WALL_SEEN = (COLON_READ, 50.0)


COLITIS = IraeRules(
    irae=Irae.COLITIS,
    prior=-1.5,
    onset_weeks=(2, 40),
    signs=(
        Sign(
            name="wall_p90", quantity="colon.wall_p90_mm", modality=Modality.CT, group="wall",
            if_met=3.0, if_not=-1.0, span=1.5, read_percent=COLON_READ,
            cutoff=cutoff_of(
                ">=", 4.0, "mm", f"{BOWEL_CT}, upper end of normal at a calibre of 2 cm or more",
                "CT by readers against biopsy: sensitivity 81 %, specificity 52 % (n=118, PMID 34081152)",
            ),
        ),
        Sign(
            name="wall_rise", quantity="colon.wall_p90_mm", change=Change.DIFFERENCE, modality=Modality.CT,
            group="wall", if_met=3.0, if_not=-1.0, span=1.0, read_percent=COLON_READ,
            cutoff=cutoff_of(">=", 1.5, "mm"),
        ),
        Sign(
            name="thickened_length", quantity="colon.thickened_cm", modality=Modality.CT, group="wall",
            if_met=2.5, if_not=-1.0, span=10.0, read_percent=COLON_READ,
            cutoff=cutoff_of(
                ">=", 6.0, "cm", f"{BOWEL_CT}, segmental 6-40 cm, diffuse above",
                "thickening over less than 5 cm is focal: a colonoscopy flag, not colitis",
            ),
        ),
        Sign(
            name="wall_for_calibre", quantity="colon.excess_p90_mm", modality=Modality.CT, group="wall",
            if_met=2.0, if_not=-1.0, span=2.0, read_percent=COLON_READ,
            cutoff=cutoff_of(
                ">=", 1.5, "mm", f"{DESIGN}, above the {CALIBRE}",
                "normal wall: up to 4 mm at 2-3 cm, 2.5 mm at 3-4 cm, 2 mm above; readings are good to about 1 mm",
            ),
        ),
        Sign(
            name="fat_stranding", quantity="colon.stranding_percent", modality=Modality.CT, group="fat",
            if_met=1.0, if_not=-0.3, span=20.0, cutoff=cutoff_of(">=", 35.0, "%"),
        ),
        Sign(
            name="suv95", quantity="colon.suv95", modality=Modality.PET, group="uptake",
            if_met=0.8, if_not=-0.4, span=1.0,
            cutoff=cutoff_of(
                ">", 2.7, "g/mL", HRIBERNIK,
                f"AUROC 0.79 (6 cases of 58); prospectively 0.53 at week 16 ({PROSPECTIVE}): weak alone",
            ),
        ),
        Sign(
            name="suv95_rise", quantity="colon.suv95", change=Change.PERCENT, modality=Modality.PET, group="uptake",
            if_met=1.83, if_not=-1.26, span=30.0,
            cutoff=cutoff_of(">", 40.0, "%", HUFF, "sensitivity 75 %, specificity 88 % (n=40)"),
        ),
        Sign(
            name="toxic_dilatation", quantity="colon.thickened_calibre_mm", modality=Modality.CT, group="complication",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(">", 60.0, "mm", f"{DESIGN}: an inflamed colon wider than 6 cm"),
        ),
        Sign(
            name="free_gas", quantity="abdomen.free_gas_ml", modality=Modality.CT, group="complication",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(
                ">=", 2.0, "mL", f"{DESIGN}: gas away from bowel, stomach and lungs",
                "a bowel loop that no mask holds looks the same: it is looked at, not believed",
            ),
        ),
    ),
    severity=(
        SeverityStep(severity=2, quantity="colon.wall_p90_mm", cutoff=cutoff_of(">=", 6.0, "mm")),
        SeverityStep(severity=3, quantity="colon.wall_p90_mm", cutoff=cutoff_of(">=", 10.0, "mm")),
        SeverityStep(
            severity=2, quantity="colon.suv95", cutoff=cutoff_of(">=", 3.5, "g/mL"), unless="colon.wall_p90_mm",
            unless_needs=COLON_WALL_SEEN,
        ),
        SeverityStep(
            severity=3, quantity="colon.suv95", cutoff=cutoff_of(">=", 5.0, "g/mL"), unless="colon.wall_p90_mm",
            unless_needs=COLON_WALL_SEEN,
        ),
    ),
    visible="20-40 % of colitis shows no sign on CT or PET: a negative does not exclude it.",
)

PNEUMONITIS = IraeRules(
    irae=Irae.PNEUMONITIS,
    prior=-1.5,
    onset_weeks=(2, 80),
    signs=(
        Sign(
            name="opacity_extent", quantity="lung.opacity_percent", modality=Modality.CT, group="opacity",
            if_met=3.5, if_not=-1.5, span=2.0,
            cutoff=cutoff_of(">=", 2.5, "%", f"{DESIGN}: least extent of a mild pneumonitis"),
        ),
        Sign(
            name="opacity_rise", quantity="lung.opacity_percent", change=Change.DIFFERENCE, modality=Modality.CT,
            group="opacity", if_met=3.5, if_not=-1.5, span=2.0, cutoff=cutoff_of(">=", 2.5, "%"),
        ),
        Sign(
            name="density_rise", quantity="lung.mean_hu", change=Change.DIFFERENCE, modality=Modality.CT,
            group="opacity", if_met=1.0, if_not=-1.5, span=60.0,
            cutoff=cutoff_of(">=", 100.0, "HU", f"{DESIGN}: breathing alone moves it by 50-80 HU"),
        ),
        Sign(
            name="non_aerated", quantity="lung.non_percent", modality=Modality.CT, group="opacity",
            if_met=1.0, if_not=-1.5, span=10.0,
            cutoff=cutoff_of(">", 15.0, "%", COMPARTMENTS, "atelectasis and effusion do the same"),
        ),
        Sign(
            name="pleural_fluid", quantity="pleura.fluid_ml", modality=Modality.CT, group="mimic",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(
                ">=", 300.0, "mL", f"{DESIGN}: a moderate effusion, both sides together",
                "compressed lung beside it is dense without being inflamed",
            ),
        ),
        Sign(
            name="zones", quantity="lung.zones", modality=Modality.CT, group="distribution",
            if_met=0.8, if_not=-0.3, span=1.0,
            cutoff=cutoff_of(
                ">=", 2.0, "1", DESIGN, "multifocal ground glass in 21 of 31 (Future Oncol 2022, 10.2217/fon-2022-0826)"
            ),
        ),
        Sign(
            name="suv95", quantity="lung.suv95", modality=Modality.PET, group="uptake",
            if_met=1.8, if_not=-0.8, span=0.5,
            cutoff=cutoff_of(
                ">", 1.7, "g/mL", HRIBERNIK,
                f"AUROC 0.98, but 5 cases of 58 (95 % CI 0.89-1.00); prospectively 0.76 ({PROSPECTIVE})",
            ),
        ),
        Sign(
            name="suv95_rise", quantity="lung.suv95", change=Change.PERCENT, modality=Modality.PET, group="uptake",
            if_met=1.8, if_not=-0.8, span=30.0, cutoff=cutoff_of(">", 40.0, "%", AFTER_HUFF),
        ),
    ),
    severity=(
        SeverityStep(severity=2, quantity="lung.opacity_percent", cutoff=cutoff_of(">=", 25.0, "%", ASCO)),
        SeverityStep(severity=3, quantity="lung.opacity_percent", cutoff=cutoff_of(">", 50.0, "%", ASCO)),
    ),
    visible="Infection looks the same (radiomics AUROC 0.71, radiologists 0.55-0.63): the two are not told apart here.",
)

THYROIDITIS = IraeRules(
    irae=Irae.THYROIDITIS,
    prior=-1.5,
    onset_weeks=(1, 30),
    signs=(
        Sign(
            name="suv75", quantity="thyroid_gland.suv75", modality=Modality.PET, group="uptake",
            if_met=2.5, if_not=-0.8, span=0.5,
            cutoff=cutoff_of(
                ">", 2.1, "g/mL", HRIBERNIK,
                f"AUROC 0.88 (9 cases of 58); prospectively 0.81 at week 16 ({PROSPECTIVE}); "
                "6.6 % of the healthy have diffuse uptake",
            ),
        ),
        Sign(
            name="suv75_rise", quantity="thyroid_gland.suv75", change=Change.PERCENT, modality=Modality.PET,
            group="uptake", if_met=2.5, if_not=-0.8, span=30.0, needs=THYROID_MASK,
            cutoff=cutoff_of(">", 40.0, "%", AFTER_HUFF),
        ),
        Sign(
            name="suv_max_rise", quantity="thyroid_gland.suv_max", change=Change.DIFFERENCE, modality=Modality.PET,
            group="uptake", if_met=0.5, if_not=-0.8, span=1.0, needs=THYROID_MASK,
            cutoff=cutoff_of(
                ">", 0.44, "g/mL", ORGAN_CHANGE,
                "thyroid adverse event in 29 % where uptake rose, in 3 % elsewhere; a nodule raises it too",
            ),
        ),
        Sign(
            name="native_density", quantity="thyroid_gland.hu", modality=Modality.CT, group="density",
            if_met=1.5, if_not=-0.3, span=15.0, native_only=True, needs=THYROID_MASK,
            cutoff=cutoff_of(
                "<", 60.0, "HU", f"{DESIGN}: as dark as muscle; normal is 82 HU, 10.3390/life13122303",
                "3 or more CT signs of diffuse disease: sensitivity 55.8 %, specificity 95.5 % (10.1155/2014/921934)",
            ),
        ),
        Sign(
            name="hu_fall", quantity="thyroid_gland.hu", change=Change.DIFFERENCE, modality=Modality.CT,
            group="density", if_met=2.6, if_not=-0.6, span=12.0, phase_bound=True, needs=THYROID_MASK,
            least_left=GLAND_LEFT,
            cutoff=cutoff_of(
                "<=", -12.0, "HU", f"{DESIGN}, beyond -8.9 HU over 5 years in new hypothyroidism, 10.3390/life13122303",
                "in ICI thyroiditis HU falls 43 days before TSH rises (32 cases, St Marianna series)",
            ),
        ),
        Sign(
            name="volume_rise", quantity="thyroid_gland.volume_ml", change=Change.PERCENT, modality=Modality.CT,
            group="size", if_met=0.8, if_not=-0.2, span=15.0, needs=THYROID_MASK,
            least_left=GLAND_LEFT, cutoff=cutoff_of(">=", 20.0, "%"),
        ),
        Sign(
            name="volume_fall", quantity="thyroid_gland.volume_ml", change=Change.PERCENT, modality=Modality.CT,
            group="size", if_met=1.8, if_not=-0.2, span=10.0, needs=THYROID_MASK, least_left=GLAND_LEFT,
            cutoff=cutoff_of(
                "<=", -25.0, "%", f"{DESIGN}: late atrophy follows destruction",
                "atrophy goes with TSH (r = -0.69, St Marianna series)",
            ),
        ),
    ),
    severity=(
        SeverityStep(severity=2, quantity="thyroid_gland.suv75", cutoff=cutoff_of(">=", 4.5, "g/mL")),
        # Late phase of the phantom's table (clinical reference, part 4): volume x 0.6 and HU -30..-45; half-way to it.
        SeverityStep(
            severity=3, quantity="thyroid_gland.volume_ml", change=Change.PERCENT, late=True,
            cutoff=cutoff_of("<=", -30.0, "%"),
        ),
        SeverityStep(
            severity=3, quantity="thyroid_gland.hu", change=Change.DIFFERENCE, late=True,
            cutoff=cutoff_of("<=", -25.0, "HU"),
        ),
    ),
    aftermath=Aftermath(
        signs=("volume_fall", "hu_fall", "native_density"), silent="uptake", known=1.5,
        phase="Atrophic phase: the gland is smaller or darker than it was and takes up nothing more; a thyroiditis "
        "that has burnt out, not one that has healed.",
        untold="Its uptake is no longer raised, but neither size nor density of the gland can be compared with the "
        "baseline: a gland that burnt out looks the same as one that recovered.",
    ),
    visible="Diffuse uptake is benign (29 of 29); focal uptake is a nodule, malignant in 11-15 %: not called here.",
)

HEPATITIS = IraeRules(
    irae=Irae.HEPATITIS,
    prior=-1.5,
    onset_weeks=(2, 60),
    signs=(
        Sign(
            name="volume_rise", quantity="liver.volume_ml", change=Change.RATIO, modality=Modality.CT, group="size",
            if_met=2.5, if_not=-0.5, span=0.08,
            cutoff=cutoff_of(
                ">", 1.15, "1", f"{DESIGN}: own baseline x 1.15",
                "half of ICI liver injuries look normal (30 of 59, Mod Pathol 2021, PMC8405244)",
            ),
        ),
        Sign(
            name="hepatomegaly", quantity="liver.volume_ml", modality=Modality.CT, group="size",
            if_met=0.8, if_not=-0.3, span=300.0, cutoff=cutoff_of(">", 1700.0, "mL", LIVER_SIZE),
        ),
        Sign(
            name="suv_rise", quantity="liver.suv_median", change=Change.DIFFERENCE, modality=Modality.PET,
            group="uptake", if_met=2.0, if_not=-0.4, span=0.5,
            cutoff=cutoff_of(">", 1.1, "g/mL", f"{BOKTOR}, upper end of a patient's own range"),
        ),
        Sign(
            name="hu_fall", quantity="liver.hu", change=Change.DIFFERENCE, modality=Modality.CT, group="density",
            if_met=1.0, if_not=-0.2, span=6.0, phase_bound=True,
            cutoff=cutoff_of("<=", -10.0, "HU", DESIGN, "steatosis does the same"),
        ),
        Sign(
            name="periportal_rise", quantity="liver.periportal_percent", change=Change.DIFFERENCE, modality=Modality.CT,
            group="periportal", if_met=1.2, if_not=-0.2, span=10.0, phase_bound=True,
            cutoff=cutoff_of(
                ">=", 10.0, "%", f"{DESIGN}, on both sides of a vein, more than 3 mm wide",
                f"not specific: present in 69.8 % of 93 CTs in the portal venous phase alone ({PORTAL})",
            ),
        ),
        Sign(
            name="steatosis", quantity="liver.minus_spleen_hu", modality=Modality.CT, group="mimic",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of("<=", -10.0, "HU", f"{DESIGN}: steatosis on native CT, a mimic"),
        ),
    ),
    severity=(
        SeverityStep(severity=2, quantity="liver.volume_ml", change=Change.RATIO, cutoff=cutoff_of(">", 1.15, "1")),
        SeverityStep(severity=3, quantity="liver.volume_ml", change=Change.RATIO, cutoff=cutoff_of(">", 1.22, "1")),
        SeverityStep(
            severity=3, quantity="liver.suv_median", change=Change.PERCENT, cutoff=cutoff_of(">=", 35.0, "%")
        ),
    ),
    visible="Half of all immune-related liver injury shows nothing on imaging: ALT and bilirubin decide, not this.",
)

HYPOPHYSITIS = IraeRules(
    irae=Irae.HYPOPHYSITIS,
    prior=-1.5,
    onset_weeks=(4, 52),
    signs=(
        Sign(
            name="height", quantity="pituitary.height_mm", modality=Modality.MR, group="size",
            if_met=3.0, if_not=-1.0, span=1.0,
            cutoff=cutoff_of(
                ">=", 9.0, "mm", f"{SUZUKI}, women",
                "MR is normal in a third of hypophysitis; the young and the pregnant reach 10-12 mm",
            ),
            cutoff_men=cutoff_of(
                ">=", 8.0, "mm", f"{SUZUKI}, men", "MR is normal in a third of hypophysitis"
            ),
        ),
        Sign(
            name="height_rise", quantity="pituitary.height_mm", change=Change.DIFFERENCE, modality=Modality.MR,
            group="size", if_met=3.0, if_not=-1.5, span=0.8,
            cutoff=cutoff_of(">=", 1.5, "mm", f"{DESIGN}: +2-5 mm is typical"),
        ),
        Sign(
            name="volume", quantity="pituitary.volume_ml", modality=Modality.MR, group="size",
            if_met=1.5, if_not=-1.0, span=0.25,
            cutoff=cutoff_of(">", 0.89, "mL", f"{GLAND_SIZE}, women (0.660 +- 0.117 mL)"),
            cutoff_men=cutoff_of(">", 0.87, "mL", f"{GLAND_SIZE}, men (0.614 +- 0.126 mL)"),
        ),
        Sign(
            name="stalk", quantity="pituitary.stalk_mm", modality=Modality.MR, group="stalk",
            if_met=1.5, if_not=-0.2, span=0.7,
            cutoff=cutoff_of(">", 3.0, "mm", f"{DESIGN}: upper end of normal at the infundibulum"),
        ),
        Sign(
            name="tbr", quantity="pituitary.tbr", modality=Modality.PET, group="uptake",
            if_met=1.5, if_not=-0.6, span=0.6,
            cutoff=cutoff_of(
                ">", 2.41, "1", TBR,
                "AUC 0.769 (95 % CI 0.57-0.97), sensitivity 72.7 %, specificity 90.9 %; 11 cases of 28",
            ),
        ),
        Sign(
            name="adenoma_uptake", quantity="pituitary.suv_max", modality=Modality.PET, group="mimic",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(
                ">", 9.6, "g/mL", "Oncotarget 2017, 10.18632/oncotarget.15417, highest physiologic",
                "adenoma 13.6 +- 9.8 (from 4.7), metastasis 16 +- 10.6: above it a mass is likelier than inflammation",
            ),
        ),
        Sign(
            name="chiasm_contact", quantity="pituitary.chiasm_gap_mm", modality=Modality.MR, group="complication",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of("<=", 0.5, "mm", f"{DESIGN}: no dark cistern left between gland and chiasm"),
        ),
        Sign(
            name="chiasm_reach", quantity="pituitary.height_mm", modality=Modality.MR, group="complication",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(">=", 15.0, "mm", f"{DESIGN}: tall enough to touch the chiasm"),
        ),
    ),
    severity=(
        SeverityStep(
            severity=2, quantity="pituitary.height_mm", change=Change.DIFFERENCE, cutoff=cutoff_of(">=", 2.3, "mm")
        ),
        SeverityStep(
            severity=3, quantity="pituitary.height_mm", change=Change.DIFFERENCE, cutoff=cutoff_of(">=", 4.0, "mm")
        ),
        SeverityStep(severity=2, quantity="pituitary.height_mm", cutoff=cutoff_of(">=", 9.5, "mm")),
        SeverityStep(severity=3, quantity="pituitary.height_mm", cutoff=cutoff_of(">=", 11.5, "mm")),
        SeverityStep(
            severity=2, quantity="pituitary.tbr", cutoff=cutoff_of(">=", 2.6, "1"), unless="pituitary.height_mm",
        ),
        SeverityStep(
            severity=3, quantity="pituitary.tbr", cutoff=cutoff_of(">=", 3.6, "1"), unless="pituitary.height_mm",
        ),
    ),
    visible="A third of hypophysitis shows nothing on MR: hormones decide.",
)

RULE_SET = RuleSet(
    iraes=MappingProxyType({
        Irae.COLITIS: COLITIS, Irae.PNEUMONITIS: PNEUMONITIS, Irae.THYROIDITIS: THYROIDITIS,
        Irae.HEPATITIS: HEPATITIS, Irae.HYPOPHYSITIS: HYPOPHYSITIS,
    }),
    further=MappingProxyType(FURTHER),
)
