"""Human names for what the results say. Anything not listed is shown as it is, never dropped."""

from __future__ import annotations

import re

from irae.core.anatomy import BY_NAME, AnyIrae, FurtherIrae, Irae
from irae.core.assessment import CRITERION_NAMES, Assessment, View
from irae.core.exam import Role
from irae.core.finding import Decision, EpisodeState
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.triage import Priority
from irae.response.readings import READING_RULES

MISSING = "–"

# Whole-body and metabolic criteria sum SUL, the others diameters.
CATEGORY: dict[str, str] = {
    "CR": "complete response", "PR": "partial response", "SD": "stable disease", "PD": "progressive disease",
    "NE": "not evaluable", "NED": "no evidence of disease", "NON-CR/NON-PD": "neither response nor progression",
    "iCR": "complete response", "iPR": "partial response", "iSD": "stable disease",
    "iUPD": "progression, unconfirmed", "iCPD": "progression, confirmed", "NON-iCR/NON-iUPD": "neither response nor "
    "progression", "CMR": "complete metabolic response", "PMR": "partial metabolic response",
    "SMD": "stable metabolic disease", "PMD": "progressive metabolic disease", "UPMD": "metabolic progression, "
    "unconfirmed", "CPMD": "metabolic progression, confirmed", "uPMD": "metabolic progression, unconfirmed",
    "cPMD": "metabolic progression, confirmed", "irCR": "complete response", "irPR": "partial response",
    "irSD": "stable disease", "irPD": "progressive disease", "BASELINE": "baseline exam",
}
# NCI Thesaurus codes of the criteria that have one (CDISC controlled terminology, RSCAT, 2025-03-25).
CRITERION_NCIT: dict[str, str] = {
    "recist_1_1": "C124415", "irecist": "C136711", "percist_1_0": "C126039",
}
# SNOMED CT concepts of the irAEs (Global Patient Set 2020-09); hypophysitis has none there, its parent is used.
IRAE_SNOMED: dict[AnyIrae, str] = {
    Irae.COLITIS: "64226004", Irae.PNEUMONITIS: "205237003", Irae.THYROIDITIS: "82119001",
    Irae.HEPATITIS: "128241005", Irae.HYPOPHYSITIS: "399244003 (disorder of pituitary gland)",
    FurtherIrae.PANCREATITIS: "75694006", FurtherIrae.SARCOID_LIKE: "87500009 (hilar lymphadenopathy)",
    FurtherIrae.ARTHRITIS: "3723001", FurtherIrae.ENTERITIS: "64613007", FurtherIrae.GASTRITIS: "4556007",
    FurtherIrae.ADRENALITIS: "363732003 (Addison disease)", FurtherIrae.CHOLANGITIS: "82403002",
    FurtherIrae.MYOSITIS: "26889001",
}
VIEW: dict[View, str] = {View.ATTRIBUTED: "inflammation set aside", View.AS_SEEN: "every focus counted as tumour"}
DECISION: dict[Decision, str] = {
    Decision.SUSPECTED: "suspected", Decision.NOT_SUSPECTED: "not suspected", Decision.NOT_ASSESSABLE: "not assessable",
}
STATE: dict[EpisodeState, str] = {state: state.value for state in EpisodeState} | {EpisodeState.NONE: "none"}
SEVERITY = ("none", "mild", "moderate", "severe")
PRIORITY: dict[Priority, str] = {Priority.STAT: "STAT", Priority.URGENT: "Urgent", Priority.ROUTINE: "Routine"}
# ACR Actionable Reporting Work Group: the time in which a finding should be communicated.
ACR: dict[int, str] = {1: "within minutes", 2: "within hours", 3: "within days"}
ROLE: dict[Role, str] = {Role.CT: "CT", Role.PET: "PET", Role.MR: "MR, T1 after contrast"}
MODALITY_WORDS = {"pet": "PET", "ct": "CT", "mr": "MR"}  # owners of quantities that belong to an image
MODALITY: dict[str, str] = {"PT": "PET", "CT": "CT", "MR": "MR"}

# What settles each suspicion; for the clinician, not a finding of the software. Follows the ASCO guideline on
# irAE management (Schneider et al., J Clin Oncol 2021) and the next steps of report readers.
NEXT_STEP: dict[AnyIrae, str] = {
    Irae.COLITIS: "stool tests for infection, calprotectin; endoscopy with biopsy",
    Irae.PNEUMONITIS: "oxygen saturation, infection work-up; bronchoscopy where in doubt",
    Irae.THYROIDITIS: "TSH, free T4; ultrasound for a focal lesion",
    Irae.HEPATITIS: "ALT, AST, bilirubin, viral serology",
    Irae.HYPOPHYSITIS: "morning cortisol, ACTH, TSH, free T4; dedicated MR of the sella",
    FurtherIrae.PANCREATITIS: "lipase, amylase; dedicated CT or MR of the pancreas",
    FurtherIrae.SARCOID_LIKE: "course over 4 to 8 weeks; biopsy before a treatment is changed",
    FurtherIrae.ARTHRITIS: "CRP, examination of the joints, rheumatology",
    FurtherIrae.ENTERITIS: "stool tests for infection; endoscopy, MR enterography",
    FurtherIrae.GASTRITIS: "endoscopy with biopsy",
    FurtherIrae.ADRENALITIS: "morning cortisol, ACTH, electrolytes",
    FurtherIrae.CHOLANGITIS: "alkaline phosphatase, bilirubin; MRCP",
    FurtherIrae.MYOSITIS: "creatine kinase, troponin",
}

# What no exam of this kind can show, whatever the software says, with where that is from.
LIMITS: tuple[str, ...] = (
    "About half of immune hepatitis shows nothing on imaging (30 of 59 cases, Mod Pathol 2021;34:426), mild cases "
    "least of all; liver enzymes decide.",
    "The MR is normal in a third or more of hypophysitis (Clin Nucl Med, doi 10.1097/RLU.0000000000005440); hormones "
    "decide.",
    "20 to 40 % of colitis shows no sign on CT or PET (JIPO 2022, doi 10.36401/JIPO-21-21).",
    "A single bowel uptake value hardly separates colitis (AUROC 0.53 in 71 patients, Hribernik, Radiol Oncol 2024); "
    "metformin and bowel preparation change it.",
    "Infection and pneumonitis look alike; a picture does not tell them apart.",
    "Nephritis, myocarditis and encephalitis are not looked for: their images do not separate them from what looks "
    "the same.",
    "Of the bile ducts only wide ones inside the liver are seen, on CT with contrast: cholangitis is never excluded.",
    "Radiological severity is not a CTCAE grade: grading needs symptoms and laboratory values.",
)
SYNTHETIC = "The packaged models were trained on synthetic patients only."
TRAINED_ON = (
    "The packaged models were trained on synthetic patients and have not been validated on real ones "
    "(external cases: 0). Probabilities are not calibrated for any hospital."
)


READINGS = (
    f"Readings: the category scored again {READING_RULES.count} times with every diameter off by chance, as two CTs "
    f"taken minutes apart differ (SD {READING_RULES.sd_mm:g} mm a diameter, PMC3157977), natures as they are."
)


def holds(assessment: Assessment) -> str:
    """In how many readings a category is the same, and which others come up.

    >>> holds(Assessment(criterion="x", view=View.AS_SEEN, category="SD", readings=(("SD", 82), ("PR", 18))))
    '≈ borderline: 82 of 100 readings, PR in 18'
    >>> holds(Assessment(criterion="x", view=View.AS_SEEN, category="PD", readings=(("PD", 100),)))
    'holds in 100 of 100 readings'
    """
    if assessment.holds is None:
        return ""
    drawn = sum(count for _, count in assessment.readings)
    same = round(assessment.holds * drawn)
    others = "".join(f", {name} in {count}" for name, count in assessment.readings if name != assessment.category)
    lead = "≈ borderline:" if assessment.holds < READING_RULES.firm_from else "holds in"
    return f"{lead} {same} of {drawn} readings{others}"


def criterion(name: str) -> str:
    """The criterion as people write it.

    >>> criterion("irecist"), criterion("something_new")
    ('iRECIST', 'something new')
    """
    return CRITERION_NAMES.get(name, name.replace("_", " "))


def irae(name: AnyIrae) -> str:
    """An irAE for people.

    >>> irae(Irae.COLITIS), irae(FurtherIrae.SARCOID_LIKE)
    ('colitis', 'sarcoid-like')
    """
    return name.value.replace("_", "-")


def organ(name: str | None) -> str:
    """An organ for people.

    >>> organ("thyroid_gland"), organ("lymph_node"), organ(None)
    ('thyroid', 'lymph node', 'outside the outlined organs')
    """
    if name is None:
        return "outside the outlined organs"
    if name in MODALITY_WORDS:
        return MODALITY_WORDS[name]
    return BY_NAME[name].display if name in BY_NAME else name.replace("_", " ")


def number(value: float | None, unit: str = "", *, digits: int | None = None) -> str:
    """A measured number with its unit, as precise as it is meant; a dash where there is none.

    >>> number(4.127, "g/mL"), number(-712.4, "HU"), number(None, "mm"), number(0.42, "1")
    ('4.13 g/mL', '−712 HU', '–', '0.42')
    """
    if value is None:
        return MISSING
    if digits is None:
        digits = {"mm": 1, "mL": 1, "cm": 1, "HU": 0, "%": 1, "g": 0, "g/mL": 2, "min": 0}.get(unit, 2)
        if unit == "1" and value == round(value):
            digits = 0
        if unit == "mL" and abs(value) >= 100:
            digits = 0
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
    return text if unit in ("", "1") else f"{text} {unit}"


def percent(change: float | None) -> str:
    """A relative change.

    >>> percent(0.204), percent(-0.3), percent(None)
    ('+20 %', '−30 %', '–')
    """
    if change is None:
        return MISSING
    rounded = round(change * 100)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else '±'}{abs(rounded)} %"


def probability(value: float | None) -> str:
    """A probability, never rounded to certainty.

    >>> probability(0.914), probability(0.999), probability(0.001)
    ('0.91', '> 0.99', '< 0.01')
    """
    if value is None:
        return MISSING
    if value > 0.99:
        return "> 0.99"
    return "< 0.01" if value < 0.01 else f"{value:.2f}"


def typeset(text: str) -> str:
    """A sentence of the rules as it is printed: comparison signs, and SUV in capitals.

    >>> typeset("suv95 rise 43.2 %: met (>= 40 %)")
    'SUV95 rise 43.2 %: met (≥ 40 %)'
    """
    return re.sub(r"\b(suv|hu|tbr)(?=\d|\b)", lambda m: m[0].upper(), text.replace(">=", "≥").replace("<=", "≤"))


def cutoff(reference: str, unit: str) -> str:
    """A cut-off with its unit, where it does not name one.

    >>> cutoff(">= 4", "mm"), cutoff("> 2.7 g/mL", "g/mL"), cutoff(">= 2", "1")
    ('≥ 4 mm', '> 2.7 g/mL', '≥ 2')
    """
    return typeset(reference if unit in ("", "1") or unit in reference else f"{reference} {unit}")


def measure_name(name: str) -> str:
    """The name of a measured quantity for people.

    >>> measure_name("thyroid_gland.volume_ml"), measure_name("colon.suv95")
    ('thyroid: volume', 'colon: SUV95')
    """
    owner, _, measure = name.rpartition(".")
    for unit in ("_ml", "_mm", "_hu", "_g_ml", "_percent"):
        measure = measure.removesuffix(unit)
    text = " ".join(
        word.upper() if word.startswith(("suv", "sul", "tlg")) or word in ("hu", "tbr") else word
        for word in measure.split("_")
    )
    return f"{organ(owner)}: {text}" if owner else text


def suggestion(focus: AttributedFocus, *, first_exam: bool) -> str:
    """What a reader may enter for NEW LESION (CDISC NEWLPROG knows EQUIVOCAL and UNEQUIVOCAL); the reader decides.

    Nothing is new on a first exam.
    """
    if focus.focus.status is FocusStatus.GONE:
        return "no longer seen"
    if focus.nature is Nature.PHYSIOLOGIC:
        return "not a lesion"
    if first_exam:
        return "on the first exam"
    if focus.focus.status is not FocusStatus.NEW:
        return "known"
    return "new: unequivocal" if focus.nature is Nature.METASTASIS else "new: equivocal"


def short_hash(digest: str) -> str:
    """The first twelve signs of a digest."""
    return digest.removeprefix("sha256:")[:12] or MISSING
