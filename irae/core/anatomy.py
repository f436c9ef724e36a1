"""The one table of organs: names, codes, and which of them an irAE inflames.

Names are TotalSegmentator's where it has them. SNOMED CT codes are those of DICOM PS3.16 and the Global Patient Set.
Volume ranges are plausibility gates for a whole organ of an adult, deliberately wide: a mask outside them is not
believed. They are design values, chosen to contain the published ranges cited per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Irae(Enum):
    """The five immune-related adverse events that every result answers for."""

    COLITIS = "colitis"
    PNEUMONITIS = "pneumonitis"
    THYROIDITIS = "thyroiditis"
    HEPATITIS = "hepatitis"
    HYPOPHYSITIS = "hypophysitis"


class FurtherIrae(Enum):
    """Further irAEs with a strong imaging signature, answered by cited rules alone, without a learned arm."""

    PANCREATITIS = "pancreatitis"
    SARCOID_LIKE = "sarcoid_like"
    ARTHRITIS = "arthritis"
    ENTERITIS = "enteritis"
    GASTRITIS = "gastritis"
    ADRENALITIS = "adrenalitis"
    CHOLANGITIS = "cholangitis"
    MYOSITIS = "myositis"


AnyIrae: TypeAlias = Irae | FurtherIrae


class Uptake(Enum):
    """What FDG does in a healthy organ."""

    LOW = "low"  # near blood pool
    VARIABLE = "variable"  # bowel, stomach, heart: anything from low to intense
    HIGH = "high"  # brain, urine: always intense


@dataclass(frozen=True, slots=True, kw_only=True)
class Organ:
    """One organ of the table.

    Attributes:
        name: The key used in masks and results.
        label: Its value in label maps that this project writes.
        display: For people.
        site: The organ as response criteria count it (paired organs are one; EORTC RECIST FAQ "Paired organs").
        snomed: SNOMED CT code of the structure.
        laterality: ``left``, ``right`` or None.
        volume_ml: Plausible volume (least, most) of the whole organ of an adult, mL.
        uptake: Physiologic FDG uptake.
        irae: The irAE of this organ, if it is one of the five.
    """

    name: str
    label: int
    display: str
    site: str
    snomed: str
    volume_ml: tuple[float, float]
    uptake: Uptake = Uptake.LOW
    laterality: str | None = None
    irae: Irae | None = None


# Lungs: a collapsed or opaque lung, or what a network leaves of it, holds far less than a healthy one.
ORGANS: tuple[Organ, ...] = (
    Organ(name="lung_left", label=1, display="left lung", site="lung", snomed="39607008", laterality="left",
          volume_ml=(200, 4500), irae=Irae.PNEUMONITIS),
    Organ(name="lung_right", label=2, display="right lung", site="lung", snomed="39607008", laterality="right",
          volume_ml=(250, 5000), irae=Irae.PNEUMONITIS),
    Organ(name="colon", label=3, display="colon", site="colon", snomed="71854001", volume_ml=(120, 4000),
          uptake=Uptake.VARIABLE, irae=Irae.COLITIS),
    Organ(name="small_bowel", label=4, display="small bowel", site="small_bowel", snomed="30315005",
          volume_ml=(150, 3500), uptake=Uptake.VARIABLE),
    Organ(name="liver", label=5, display="liver", site="liver", snomed="10200004", volume_ml=(500, 4500),
          irae=Irae.HEPATITIS),
    Organ(name="spleen", label=6, display="spleen", site="spleen", snomed="78961009", volume_ml=(40, 1800)),
    Organ(name="thyroid_gland", label=7, display="thyroid", site="thyroid", snomed="69748006", volume_ml=(3, 150),
          irae=Irae.THYROIDITIS),
    Organ(name="kidney_left", label=8, display="left kidney", site="kidney", snomed="64033007", laterality="left",
          volume_ml=(50, 600), uptake=Uptake.HIGH),
    Organ(name="kidney_right", label=9, display="right kidney", site="kidney", snomed="64033007",
          laterality="right", volume_ml=(50, 600), uptake=Uptake.HIGH),
    Organ(name="heart", label=10, display="heart", site="heart", snomed="80891009", volume_ml=(250, 1800),
          uptake=Uptake.VARIABLE),
    Organ(name="aorta", label=11, display="aorta", site="aorta", snomed="15825003", volume_ml=(40, 700)),
    Organ(name="stomach", label=12, display="stomach", site="stomach", snomed="69695003", volume_ml=(30, 2500),
          uptake=Uptake.VARIABLE),
    Organ(name="urinary_bladder", label=13, display="urinary bladder", site="bladder", snomed="89837001",
          volume_ml=(10, 1500), uptake=Uptake.HIGH),
    Organ(name="brain", label=14, display="brain", site="brain", snomed="12738006", volume_ml=(700, 2000),
          uptake=Uptake.HIGH),
    Organ(name="pancreas", label=15, display="pancreas", site="pancreas", snomed="15776009", volume_ml=(15, 250)),
    Organ(name="vertebrae", label=16, display="spine", site="bone", snomed="51282000", volume_ml=(250, 2500)),
    Organ(name="adrenal_gland_left", label=17, display="left adrenal gland", site="adrenal", snomed="23451007",
          laterality="left", volume_ml=(1, 60)),
    Organ(name="adrenal_gland_right", label=18, display="right adrenal gland", site="adrenal", snomed="23451007",
          laterality="right", volume_ml=(1, 60)),
    # Of the trunk alone some 10 L (reference man, ICRP 89: 29 kg in all).
    Organ(name="skeletal_muscle", label=19, display="skeletal muscle", site="muscle", snomed="127954009",
          volume_ml=(3000, 80000)),
    Organ(name="pituitary", label=20, display="pituitary", site="pituitary", snomed="56329008",
          volume_ml=(0.1, 6.0), irae=Irae.HYPOPHYSITIS),
)

# Where everything else lies: nodes, vessels and joints, which a coarse mask of it runs over. What looks for those, or
# for the fat and fluid around organs, takes it for background.
MUSCLE = "skeletal_muscle"

BY_NAME: dict[str, Organ] = {organ.name: organ for organ in ORGANS}

# Which organs answer for which irAE; an irAE is assessable only where at least one of them was seen.
IRAE_ORGANS: dict[Irae, tuple[str, ...]] = {
    irae: tuple(organ.name for organ in ORGANS if organ.irae is irae) for irae in Irae
}

# The masks in which a further irAE is looked for. Sarcoid-like nodes and joints are read from foci beside landmarks;
# bile ducts have no mask: of them only dilated ones inside the liver are seen.
FURTHER_ORGANS: dict[FurtherIrae, tuple[str, ...]] = {
    FurtherIrae.PANCREATITIS: ("pancreas",),
    FurtherIrae.SARCOID_LIKE: ("lung_left", "lung_right"),
    FurtherIrae.ARTHRITIS: ("lung_left", "lung_right", "urinary_bladder"),
    FurtherIrae.ENTERITIS: ("small_bowel",),
    FurtherIrae.GASTRITIS: ("stomach",),
    FurtherIrae.ADRENALITIS: ("adrenal_gland_left", "adrenal_gland_right"),
    FurtherIrae.CHOLANGITIS: ("liver",),
    FurtherIrae.MYOSITIS: (MUSCLE,),
}


def organs_of(irae: AnyIrae) -> tuple[str, ...]:
    """The masks that answer for an irAE.

    >>> organs_of(Irae.COLITIS), organs_of(FurtherIrae.MYOSITIS)
    (('colon',), ('skeletal_muscle',))
    """
    return IRAE_ORGANS[irae] if isinstance(irae, Irae) else FURTHER_ORGANS[irae]


def site_of(organ: str | None) -> str:
    """The site a response criterion counts an organ under; ``other`` where the organ is unknown.

    >>> site_of("lung_left"), site_of("lymph_node"), site_of(None)
    ('lung', 'lymph_node', 'other')
    """
    if organ is None:
        return "other"
    return BY_NAME[organ].site if organ in BY_NAME else organ
