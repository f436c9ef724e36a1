"""The shipped rules of the further irAEs: rules alone, and only where an image can honestly carry an answer.

Nephritis, myocarditis and encephalitis are not here on purpose: their imaging does not separate them from what else
looks the same (SUV of the renal cortex is no different in biopsy-proven disease, Clin Kidney J 2026 sfag042; the heart
is not readable without fasting).
"""

from __future__ import annotations

from irae.core.anatomy import FurtherIrae
from irae.findings.rules import DESIGN, Change, IraeRules, Modality, SeverityStep, Sign, cutoff_of

PANCREATITIS_CT = "Das (MSK) series, n=25"
SARCOID_PET = "Kaneko 2019, Jpn J Radiol 37:88, n=16"
NODE_SHAPE = "124 nodes, PMC6831101"
PMR_PET = "PMR by FDG PET, PMC8113217"
BOWEL_MASK = "Hribernik 2022 for a bowel mask, 10.1007/s00259-021-05650-3"
BOWEL_RISE = "Huff 2021 for bowel, 10.1088/2057-1976/ac27c3"
DUCTS = "wider than 2 mm or 40 % of the portal vein beside it, Radiopaedia"
FROM_MEMORY = "unverified, from memory of the literature"

PANCREATITIS = IraeRules(
    irae=FurtherIrae.PANCREATITIS,
    prior=-2.0,
    onset_weeks=(3, 60),
    signs=(
        Sign(
            name="stranding_rise", quantity="pancreas.stranding_percent", change=Change.DIFFERENCE,
            modality=Modality.CT, group="fat", if_met=2.5, if_not=-1.0, span=15.0,
            cutoff=cutoff_of(
                ">=", 15.0, "%", f"{DESIGN}; stranding in 24 of 25 ({PANCREATITIS_CT})",
                "of 27 others 23 % looked normal (ACG 2022): a negative says little",
            ),
        ),
        Sign(
            name="volume_rise", quantity="pancreas.volume_ml", change=Change.RATIO, modality=Modality.CT, group="size",
            if_met=1.5, if_not=-0.3, span=0.2,
            cutoff=cutoff_of(
                ">", 1.3, "1", f"{DESIGN}; enlarged, diffusely in 14 and focally in 11 of 25 ({PANCREATITIS_CT})",
                "later atrophy in 44 %",
            ),
        ),
        Sign(
            name="suv95_rise", quantity="pancreas.suv95", change=Change.PERCENT, modality=Modality.PET, group="uptake",
            if_met=1.2, if_not=-0.3, span=30.0,
            cutoff=cutoff_of(">", 40.0, "%", f"{DESIGN}, after {BOWEL_RISE}", "diffuse or focal uptake is described"),
        ),
    ),
    severity=(
        SeverityStep(
            severity=2, quantity="pancreas.stranding_percent", change=Change.DIFFERENCE,
            cutoff=cutoff_of(">=", 30.0, "%"),
        ),
    ),
    required=("fat",),
    visible="A fifth of pancreatitis looks normal; amylase and lipase decide. Necrosis is not expected.",
)

SARCOID_LIKE = IraeRules(
    irae=FurtherIrae.SARCOID_LIKE,
    prior=-2.0,
    onset_weeks=(6, 100),
    place="lymph_node",
    signs=(
        Sign(
            name="symmetric_pairs", quantity="nodes.hilar_pairs", modality=Modality.PET, group="pattern",
            if_met=2.5, if_not=0.0, span=1.0,
            cutoff=cutoff_of(
                ">", 0.0, "1", f"{SARCOID_PET}, hilar and symmetric in 75 %", "regressed in 79 %, median 8.5 months"
            ),
        ),
        Sign(
            name="pairs_rise", quantity="nodes.hilar_pairs", change=Change.DIFFERENCE, modality=Modality.PET,
            group="pattern", if_met=2.5, if_not=0.0, span=1.0, cutoff=cutoff_of(">", 0.0, "1", SARCOID_PET),
        ),
        Sign(
            name="thoracic_nodes", quantity="nodes.thoracic", modality=Modality.PET, group="extent",
            if_met=0.8, if_not=-0.8, span=2.0,
            cutoff=cutoff_of(">=", 3.0, "1", f"{DESIGN}: both hila and the mediastinum"),
        ),
        Sign(
            name="node_shape", quantity="nodes.short_long_ratio", modality=Modality.PET, group="shape",
            if_met=0.8, if_not=-0.8, span=0.15,
            cutoff=cutoff_of(
                "<", 0.7, "1", f"{DESIGN}; direction of {NODE_SHAPE}",
                "uptake with the axis ratio: sensitivity 87.5 %, specificity 93.3 %; uptake alone 95 % and 20 %",
            ),
        ),
        Sign(
            name="few_elsewhere", quantity="nodes.elsewhere", modality=Modality.PET, group="elsewhere",
            if_met=0.3, if_not=-1.5, span=2.0,
            cutoff=cutoff_of("<=", 1.0, "1", f"{DESIGN}: hot nodes outside the chest speak for tumour"),
        ),
        Sign(
            name="node_suv_max", quantity="nodes.thoracic_suv_max", modality=Modality.PET, group="shown",
            if_met=0.0, if_not=0.0, span=1.0, shown_only=True,
            cutoff=cutoff_of(
                ">=", 3.8, "g/mL", f"{SARCOID_PET}, 6.8 (3.8-13.6)",
                "does not separate sarcoid-like from metastatic nodes (152 patients, Medicine 2015)",
            ),
        ),
    ),
    severity=(SeverityStep(severity=2, quantity="nodes.thoracic_short_mm", cutoff=cutoff_of(">=", 20.0, "mm")),),
    required=("pattern",),
    visible="Uptake does not tell sarcoid-like from metastatic nodes; symmetry and course do, and biopsy decides.",
)

ARTHRITIS = IraeRules(
    irae=FurtherIrae.ARTHRITIS,
    prior=-1.7,
    onset_weeks=(2, 60),
    place="joint",
    signs=(
        Sign(
            name="hips", quantity="joints.hip_pairs", modality=Modality.PET, group="hips",
            if_met=1.06, if_not=0.0, span=1.0,
            cutoff=cutoff_of(">", 0.0, "1", f"{PMR_PET}, LR+ 2.9", "composite of all sites: LR+ 3.9, LR- 0.19"),
        ),
        Sign(
            name="shoulders", quantity="joints.shoulder_pairs", modality=Modality.PET, group="shoulders",
            if_met=0.96, if_not=0.0, span=1.0,
            cutoff=cutoff_of(
                ">", 0.0, "1", f"{PMR_PET}, LR+ 2.6", "readers: sensitivity 71 %, specificity 83 % (JJR 2024)"
            ),
        ),
    ),
    severity=(),
    visible="Looked for as paired uptake beside shoulders and hips only; hands, knees and the spine are not read.",
)

ENTERITIS = IraeRules(
    irae=FurtherIrae.ENTERITIS,
    prior=-2.0,
    onset_weeks=(2, 40),
    signs=(
        Sign(
            name="stranding_rise", quantity="small_bowel.stranding_percent", change=Change.DIFFERENCE,
            modality=Modality.CT, group="fat", if_met=1.5, if_not=-0.5, span=10.0,
            cutoff=cutoff_of(">=", 15.0, "%", DESIGN),
        ),
        Sign(
            name="suv95", quantity="small_bowel.suv95", modality=Modality.PET, group="uptake",
            if_met=0.8, if_not=-0.4, span=1.0,
            cutoff=cutoff_of(">", 2.7, "g/mL", BOWEL_MASK, "prospectively no better than chance for bowel"),
        ),
        Sign(
            name="suv95_rise", quantity="small_bowel.suv95", change=Change.PERCENT, modality=Modality.PET,
            group="uptake", if_met=1.83, if_not=-1.26, span=30.0,
            cutoff=cutoff_of(">", 40.0, "%", BOWEL_RISE, "sensitivity 75 %, specificity 88 % (n=40, all bowel)"),
        ),
    ),
    severity=(),
    required=("fat", "uptake"),
    visible="The wall of the small bowel (normal up to 3 mm) is not measured: collapsed loops lie against each other.",
)

GASTRITIS = IraeRules(
    irae=FurtherIrae.GASTRITIS,
    prior=-2.5,
    onset_weeks=(2, 60),
    signs=(
        Sign(
            name="wall_p90", quantity="stomach.wall_p90_mm", modality=Modality.CT, group="wall",
            if_met=1.5, if_not=-1.0, span=4.0,
            cutoff=cutoff_of(">=", 10.0, "mm", f"distended antrum up to 5-10 mm, {FROM_MEMORY}"),
        ),
        Sign(
            name="wall_rise", quantity="stomach.wall_p90_mm", change=Change.DIFFERENCE, modality=Modality.CT,
            group="wall", if_met=2.5, if_not=-1.0, span=3.0, cutoff=cutoff_of(">=", 4.0, "mm"),
        ),
        Sign(
            name="suv95", quantity="stomach.suv95", modality=Modality.PET, group="uptake",
            if_met=1.0, if_not=-0.4, span=2.0,
            cutoff=cutoff_of(">", 4.0, "g/mL", f"physiologic 2-4, {FROM_MEMORY}", "never without a CT sign"),
        ),
    ),
    severity=(),
    required=("wall",),
    visible="Folds of an empty stomach look thick; endoscopy decides.",
)

ADRENALITIS = IraeRules(
    irae=FurtherIrae.ADRENALITIS,
    prior=-2.0,
    onset_weeks=(4, 80),
    signs=(
        Sign(
            name="limbs", quantity="adrenals.lesser_thickness_mm", modality=Modality.CT, group="size",
            if_met=1.5, if_not=-1.0, span=3.0,
            cutoff=cutoff_of(
                ">", 10.0, "mm", f"limbs above 6-10 mm on both sides, {FROM_MEMORY}",
                "one-sided or nodular is metastasis until shown otherwise",
            ),
        ),
        Sign(
            name="volume_rise", quantity="adrenals.lesser_volume_ml", change=Change.RATIO, modality=Modality.CT,
            group="size", if_met=2.0, if_not=-0.5, span=0.3, cutoff=cutoff_of(">", 1.5, "1"),
        ),
        Sign(
            name="uptake_to_liver", quantity="adrenals.lesser_suv_max_to_liver", modality=Modality.PET, group="uptake",
            if_met=1.5, if_not=-0.5, span=0.5,
            cutoff=cutoff_of(">", 1.0, "1", f"both sides above liver, {FROM_MEMORY}"),
        ),
    ),
    severity=(),
    required=("size",),
    visible="Cortisol and ACTH decide; atrophy comes later.",
)

CHOLANGITIS = IraeRules(
    irae=FurtherIrae.CHOLANGITIS,
    prior=-2.3,
    onset_weeks=(2, 60),
    place="bile_duct",
    signs=(
        Sign(
            name="ducts", quantity="liver.duct_mm", modality=Modality.CT, group="ducts", if_met=2.5, if_not=0.0,
            span=40.0,
            cutoff=cutoff_of(
                ">=", 80.0, "mm", f"{DESIGN}, of ducts that are dilated ({DUCTS})",
                "without an obstruction they tell it from hepatitis (10.1007/s10637-021-01136-z)",
            ),
        ),
        Sign(
            name="ducts_rise", quantity="liver.duct_mm", change=Change.DIFFERENCE, modality=Modality.CT, group="ducts",
            if_met=3.3, if_not=0.0, span=40.0, phase_bound=True, cutoff=cutoff_of(">=", 60.0, "mm", DESIGN),
        ),
    ),
    severity=(),
    required=("ducts",),
    partly_seen=(
        "No duct in the liver is clearly dilated, but those outside it, where the disease often is, are outlined by no "
        "segmenter: not seen is not absent."
    ),
    visible="A stone, a stricture or a tumour dilates ducts as well: alkaline phosphatase, bilirubin and MRCP decide.",
)

MYOSITIS = IraeRules(
    irae=FurtherIrae.MYOSITIS,
    prior=-2.0,
    onset_weeks=(2, 60),
    signs=(
        Sign(
            name="uptake_to_liver", quantity="skeletal_muscle.median_to_liver", modality=Modality.PET, group="uptake",
            if_met=3.5, if_not=-1.5, span=0.2,
            cutoff=cutoff_of(
                ">=", 1.0, "1", f"{DESIGN}: as hot as the liver; insulin and exercise may do that, too",
                "muscle and joints together, by readers: sensitivity 71 %, specificity 83 % (JJR 2024)",
            ),
        ),
        Sign(
            name="uptake_rise", quantity="skeletal_muscle.suv_median", change=Change.RATIO, modality=Modality.PET,
            group="uptake", if_met=3.5, if_not=-1.5, span=0.5,
            cutoff=cutoff_of(">", 2.5, "1", f"{DESIGN}: insulin and exercise double it"),
        ),
    ),
    severity=(),
    required=("uptake",),
    visible="Creatine kinase decides; insulin and exercise make muscle hot as well. One inflamed muscle is a focus.",
)

FURTHER: dict[FurtherIrae, IraeRules] = {
    FurtherIrae.PANCREATITIS: PANCREATITIS,
    FurtherIrae.SARCOID_LIKE: SARCOID_LIKE,
    FurtherIrae.ARTHRITIS: ARTHRITIS,
    FurtherIrae.ENTERITIS: ENTERITIS,
    FurtherIrae.GASTRITIS: GASTRITIS,
    FurtherIrae.ADRENALITIS: ADRENALITIS,
    FurtherIrae.CHOLANGITIS: CHOLANGITIS,
    FurtherIrae.MYOSITIS: MYOSITIS,
}
