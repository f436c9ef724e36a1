"""The coded words of the DICOM results, in one table.

Every SCT, DCM, UCUM, RADLEX and NCIt value here is one of DICOM PS3.16, the SNOMED CT Global Patient Set or NCI CDISC
controlled terminology (2025-03-25). What no published scheme has a word for is in this project's own scheme
``99IRAE``, under its plain name.
"""

from __future__ import annotations

import hashlib

from pydicom.sr.coding import Code

from irae.core.anatomy import BY_NAME, AnyIrae, FurtherIrae, Irae, Organ
from irae.core.assessment import View
from irae.core.finding import Decision, EpisodeState
from irae.core.focus import FocusStatus, Nature
from irae.core.triage import Priority

SCHEME = "99IRAE"
SCHEME_NAME = "irae: results of the irae package that no published scheme has a word for"


LONGEST_VALUE = 16  # Code Value (0008,0100) is an SH
LONGEST_MEANING = 64  # Code Meaning (0008,0104) is an LO


def own(value: str, meaning: str) -> Code:
    """A word of this project's own scheme.

    Raises:
        ValueError: If the value is longer than a Code Value may be.
    """
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"code value {value!r} has {len(value)} characters, at most {LONGEST_VALUE} are allowed")
    return Code(value, SCHEME, meaning)


# Segments: categories of CID 7150, types of CID 7159 / 7194.
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NATURE_TYPE: dict[Nature, Code] = {
    Nature.INFLAMMATION: Code("409774005", "SCT", "Inflammation"),
    Nature.METASTASIS: Code("14799000", "SCT", "Neoplasm, Secondary"),
    Nature.INDETERMINATE: Code("52988006", "SCT", "Lesion"),
    Nature.PHYSIOLOGIC: Code("17621005", "SCT", "Normal"),
}
LATERALITY: dict[str, Code] = {
    "right": Code("24028007", "SCT", "Right"),
    "left": Code("7771000", "SCT", "Left"),
}
LYMPH_NODE = Code("59441001", "SCT", "Lymph Node")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# What DICOM calls the organs of core.anatomy where its word is not this project's.
_DICOM_MEANING = {
    "urinary_bladder": "Bladder", "vertebrae": "Vertebra", "small_bowel": "Small intestine",
    "adrenal_gland_left": "Adrenal gland", "adrenal_gland_right": "Adrenal gland",
    "skeletal_muscle": "Skeletal muscle",
}


def organ_code(organ: Organ) -> Code:
    """The SNOMED CT code of an organ of the table; its side is a modifier (``LATERALITY``)."""
    return Code(organ.snomed, "SCT", _DICOM_MEANING.get(organ.name, organ.site.replace("_", " ").capitalize()))


def site_code(organ: str | None) -> Code | None:
    """The finding site of a focus; None where its organ is unknown."""
    if organ is None:
        return None
    if organ in BY_NAME:
        return organ_code(BY_NAME[organ])
    return LYMPH_NODE if organ == "lymph_node" else None


# The report (TID 1500).
ONCOLOGY_REPORT = Code("126001", "DCM", "Oncology Measurement Report")
PET_REPORT = Code("126003", "DCM", "PET Measurement Report")
IMAGING_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ACTIONABLE: dict[int, Code] = {
    1: Code("RID49480", "RADLEX", "ACR Category 1 Actionable Finding"),
    2: Code("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
    3: Code("RID49482", "RADLEX", "ACR Category 3 Actionable Finding"),
}

# Measurements (CID 7464, 7466, 7469) and their units (UCUM).
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
VOLUME = Code("118565006", "SCT", "Volume")
SUV_BW = Code("126401", "DCM", "SUVbw")
TOTAL_LESION_GLYCOLYSIS = Code("126033", "DCM", "Total Lesion Glycolysis")
PROBABILITY = Code("122157", "DCM", "Probability")
MAXIMUM = Code("56851009", "SCT", "Maximum")
MEAN = Code("373098007", "SCT", "Mean")
PEAK = Code("126031", "DCM", "Peak Value Within ROI")
SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")

MM = Code("mm", "UCUM", "mm")
CM3 = Code("cm3", "UCUM", "cm3")
SUV_UNIT = Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")
GRAM = Code("g", "UCUM", "g")
NO_UNIT = Code("1", "UCUM", "no units")
UNIT: dict[str, Code] = {
    "mm": MM,
    "mL": CM3,
    "g/mL": SUV_UNIT,
    "g": GRAM,
    "HU": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "%": Code("%", "UCUM", "Percent"),
    "1": NO_UNIT,
}

# Immune-related adverse events. The Global Patient Set has no word for hypophysitis.
IRAE_CODE: dict[AnyIrae, Code] = {
    Irae.COLITIS: Code("64226004", "SCT", "Colitis"),
    Irae.PNEUMONITIS: Code("205237003", "SCT", "Pneumonitis"),
    Irae.THYROIDITIS: Code("82119001", "SCT", "Thyroiditis"),
    Irae.HEPATITIS: Code("128241005", "SCT", "Hepatitis"),
    Irae.HYPOPHYSITIS: own("hypophysitis", "Hypophysitis"),
    FurtherIrae.PANCREATITIS: Code("75694006", "SCT", "Pancreatitis"),
    FurtherIrae.SARCOID_LIKE: own("sarcoid-like", "Sarcoid-like lymph nodes"),
    FurtherIrae.ARTHRITIS: Code("3723001", "SCT", "Arthritis"),
    FurtherIrae.ENTERITIS: Code("64613007", "SCT", "Enteritis"),
    FurtherIrae.GASTRITIS: Code("4556007", "SCT", "Gastritis"),
    FurtherIrae.ADRENALITIS: own("adrenalitis", "Adrenalitis"),
    FurtherIrae.CHOLANGITIS: Code("82403002", "SCT", "Cholangitis"),
    FurtherIrae.MYOSITIS: Code("26889001", "SCT", "Myositis"),
}

# Questions and answers of this project, each answer the enum's own word.
NATURE = own("nature", "Nature of the focus")
STATUS = own("status", "Status against earlier exams")
DECISION = own("irae-decision", "Immune-related adverse event")
EPISODE = own("episode", "State of the episode")
RADIOLOGICAL_SEVERITY = own("severity", "Radiological severity 0-3, not a CTCAE grade")
THRESHOLD = own("threshold", "Probability at or above which it is suspected")
VIEW = own("view", "How foci of inflammatory nature were counted")
PRIORITY_SCORE = own("priority-score", "Order within the worklist, 0 to 1, larger sooner")
PRIORITY = own("priority", "Suggested reading priority")
ACTIONABLE_CATEGORY = own("acr-category", "ACR actionable finding category")
SUM_OF_DIAMETERS = own("sum-mm", "Sum of target diameters")
BASELINE_SUM = own("sum-mm-baseline", "Baseline sum of target diameters")
NADIR_SUM = own("sum-mm-nadir", "Smallest earlier sum of target diameters")
SUM_SUL = own("sum-sulpeak", "Sum of SULpeak")
SUL_UNIT = Code("g/ml{SUVlbm}", "UCUM", "Standardized Uptake Value lean body mass")
BASELINE_SUM_SUL = own("sum-sulpeak-base", "Baseline sum of SULpeak")
COMMENT = Code("121106", "DCM", "Comment")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")

NATURE_ANSWER = {nature: own(nature.value, nature.value.capitalize()) for nature in Nature}
STATUS_ANSWER = {status: own(status.value, status.value.capitalize()) for status in FocusStatus}
DECISION_ANSWER = {
    Decision.SUSPECTED: own("suspected", "Suspected"),
    Decision.NOT_SUSPECTED: own("not_suspected", "Not suspected"),
    Decision.NOT_ASSESSABLE: own("not_assessable", "Not assessable"),
}
EPISODE_ANSWER = {state: own(f"ep-{state.value}", state.value.capitalize()) for state in EpisodeState}
VIEW_ANSWER = {
    View.ATTRIBUTED: own("attributed", "Inflammation set aside as equivocal"),
    View.AS_SEEN: own("as_seen", "Every new focus counted as tumour"),
}
NATURE_PROBABILITY = {
    nature: own(f"p-{nature}", f"Probability of {nature}") for nature in ("inflammation", "metastasis", "physiologic")
}
PRIORITY_ANSWER = {priority: own(priority.value, priority.value.upper()) for priority in Priority}



def evidence_code(name: str) -> Code:
    """The name of a measured sign; a name too long for a code value is cut and told apart by its hash.

    >>> evidence_code("suv95").value, evidence_code("colon.wall_thickness_mm").value
    ('suv95', 'colon.wall_655e')
    """
    if len(name) <= LONGEST_VALUE:
        return own(name, name[:LONGEST_MEANING])
    return own(f"{name[: LONGEST_VALUE - 6]}_{hashlib.sha256(name.encode()).hexdigest()[:4]}", name[:LONGEST_MEANING])


def unit_code(unit: str) -> Code:
    """The UCUM code of a unit as results write it; a unit not of the table is written as it is, in braces."""
    return UNIT.get(unit, Code(f"{{{unit}}}"[:LONGEST_VALUE], "UCUM", unit or "no units"))


# Response (TID 1500 has no section of its own for it).
RESPONSE_EVALUATION = Code("112020", "DCM", "Response Evaluation")
RESPONSE_METHOD = Code("112021", "DCM", "Response Evaluation Method")
CURRENT_RESPONSE = Code("112048", "DCM", "Current Response")

# CID 6147 knows RECIST 1.1 only; NCIt has iRECIST and PERCIST; the rest are named in this project's scheme.
_CRITERION: dict[str, Code] = {
    "recist_1_1": Code("126081", "DCM", "RECIST 1.1"),
    "irecist": Code("C136711", "NCIt", "iRECIST"),
    "percist_1_0": Code("C126039", "NCIt", "PERCIST"),
}
# NCI CDISC codelist C96785.
_CATEGORY: dict[str, str] = {
    "CR": "C4870", "PR": "C18058", "SD": "C18213", "PD": "C35571", "NE": "C62222", "NED": "C40413",
    "Non-CR/Non-PD": "C96700", "iCR": "C142357", "iPR": "C142358", "iSD": "C142359", "iUPD": "C142360",
    "iCPD": "C142356", "NON-iCR/NON-iUPD": "C142361", "irPD": "C140319", "CMR": "C123407", "PMR": "C123609",
    "SMD": "C123616", "PMD": "C123608",
}
_CATEGORY_BY_LOWER = {word.lower(): Code(code, "NCIt", word) for word, code in _CATEGORY.items()}


def criterion_code(criterion: str) -> Code:
    """The code of a response criterion.

    >>> criterion_code("irecist").value, criterion_code("impercist5").scheme_designator
    ('C136711', '99IRAE')
    """
    return _CRITERION.get(criterion, own(criterion[:LONGEST_VALUE], criterion))


def category_code(category: str) -> Code:
    """The code of a criterion's answer.

    >>> category_code("iUPD").value, category_code("irSD").scheme_designator
    ('C142360', '99IRAE')
    """
    return _CATEGORY_BY_LOWER.get(category.lower(), own(category[:LONGEST_VALUE], category))
