"""The thresholds of every criterion, each with its source. Percentages are whole numbers, lengths whole millimetres.

They are compared as whole tenths of a millimetre or as fractions (``lengths``), so "at least" is exact and needs no
tolerance. Thresholds are inclusive unless the name says ``above`` (CONV-2).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Recist11Rules:
    """Eisenhauer EA et al., Eur J Cancer 2009;45:228-247; EORTC RECIST working group FAQ."""

    pr_decrease_pct: int = 30  # of the baseline sum, section 4.3.1
    pd_increase_pct: int = 20  # of the nadir, section 4.3.1
    pd_increase_mm: int = 5  # and this much, section 4.3.1
    too_small_mm: int = 5  # stated for "too small to measure", section 4.3.2
    node_normal_below_mm: int = 10  # short axis, section 4.3.2
    node_measurable_mm: int = 15  # short axis, section 3.1.2
    lesion_measurable_mm: int = 10  # CT with slices <= 5 mm, MRI, callipers, section 3.1.1
    xray_measurable_mm: int = 20  # chest X-ray, section 3.1.1
    thin_slice_mm: int = 5  # above it the least size is twice the slice, section 3.1.1
    max_targets: int = 5  # section 4.2
    max_per_organ: int = 2  # section 4.2; paired organs and all nodes are one (FAQ)
    baseline_before_treatment_days: int = 28  # section 4.2


@dataclass(frozen=True, slots=True, kw_only=True)
class IRecistRules:
    """Seymour L et al., Lancet Oncol 2017;18:e143-e152, Table 2; recist.eortc.org FAQ."""

    further_increase_mm: int = 5  # Table 2, ">= 5 mm" in three rows; FAQ "5mm or more"
    new_target_increase_pct: int = 20  # after a reset, of their own nadir (FAQ)
    new_target_increase_mm: int = 5
    max_new_targets: int = 5
    max_new_targets_per_organ: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IrRcRules:
    """Wolchok JD et al., Clin Cancer Res 2009;15:7412-7420, Tables 1 and 2."""

    pr_decrease_pct: int = 50
    pd_increase_pct: int = 25
    measurable_mm: int = 5  # both diameters
    too_small_mm: int = 5  # 5 x 5 mm for "too small to measure": this project's reading, the paper does not say
    max_new_per_organ: int = 5
    max_new_visceral: int = 10
    max_new_cutaneous: int = 5
    confirm_days: int = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class SumBurdenRules:
    """irRECIST: Nishino M et al., Clin Cancer Res 2013;19:3936 and 2014. imRECIST: Hodi FS et al., JCO 2018;36:850."""

    pr_decrease_pct: int = 30
    pd_increase_pct: int = 20
    pd_increase_mm: int = 5
    confirm_days: int = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class ItRecistRules:
    """Goldmacher GV et al., J Clin Oncol 2020;38:2667 (figure legend seen; combination tables not)."""

    max_per_group: int = 5
    max_targets: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PercistRules:
    """Wahl RL et al., J Nucl Med 2009;50 Suppl 1:122S; guide: O JH et al., Radiology 2016;280:576. SUL in g/mL."""

    pmr_decrease_pct: int = 30
    pmr_decrease_sul: Fraction = Fraction(8, 10)
    pmd_above_pct: int = 30  # ">30 %" (PMC2938069); DEC-14 has ">= 30 %"
    pmd_above_sul: Fraction = Fraction(8, 10)
    tlg_increase_pct: int = 75  # without decline of SUL
    liver_factor: Fraction = Fraction(15, 10)  # measurable: 1.5 x liver mean + 2 SD
    blood_pool_factor: Fraction = Fraction(2)  # liver diseased: 2.0 x blood pool + 2 SD
    sd_factor: int = 2
    reference_change_pct: int = 20  # comparable: within 20 % ...
    reference_change_below_sul: Fraction = Fraction(3, 10)  # ... and less than 0.3 SUL
    uptake_difference_min: int = 15
    uptake_least_min: int = 50
    max_lesions: int = 5
    max_per_organ: int = 2
    confirm_days: int = 31  # PMD other than by new visceral lesions: confirm within a month


@dataclass(frozen=True, slots=True, kw_only=True)
class ImPercist5Rules:
    """Ito K et al., J Nucl Med 2019;60:335-341: sum of SULpeak of up to five lesions; no absolute limb."""

    pmr_decrease_pct: int = 30
    pmd_increase_pct: int = 30
    max_lesions: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedPetRules:
    """Unconfirmed, then confirmed metabolic progression on SULpeak of the hottest lesion, against baseline."""

    source: str
    pmr_decrease_pct: int
    upmd_increase_pct: int
    confirm_from_days: int
    confirm_to_days: int | None


# Goldfarb L et al., EJNMMI Res 2019;9:8; PMC8484219 Table 2: second PET 4 to 8 weeks later.
IPERCIST = UnconfirmedPetRules(
    source="Goldfarb 2019", pmr_decrease_pct=30, upmd_increase_pct=30, confirm_from_days=28, confirm_to_days=56
)
# What some reviews print under the name imPERCIST: unconfirmed at 8 weeks, a PET 4 weeks later confirms or downgrades.
IMPERCIST_REVIEW = UnconfirmedPetRules(
    source="head and neck review", pmr_decrease_pct=30, upmd_increase_pct=30, confirm_from_days=28, confirm_to_days=None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PercimtRules:
    """Anwar H et al., EJNMMI 2018;45:376: number and functional diameter of new lesions."""

    any_size: int = 4  # ">= 4 new < 1.0 cm"; one table prints "> 4", three and the abstract say four
    above_10_mm: int = 3
    above_15_mm: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PecritRules:
    """Cho SY et al., J Nucl Med 2017;58:1421."""

    benefit_above_pct: Fraction = Fraction(155, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class LyricRules:
    """Cheson BD et al., Blood 2016;128:2489; PR as Lugano (Cheson 2014)."""

    spd_increase_pct: int = 50
    early_days: int = 84  # 12 weeks
    single_ppd_increase_pct: int = 50
    ir1_further_pct: int = 10  # confirms IR1 as PD (from memory of the paper)
    pr_decrease_pct: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperprogressionRules:
    """Published definitions side by side (criteria reference section 5.2)."""

    ratio: int = 2  # Champiat 2017 (TGR), Saada-Bouzid 2017 (TGK), Kato 2017 (pace, more than)
    ferrara_delta_tgr_above: int = 50  # Ferrara 2018
    kas_delta_tgr_above: int = 100  # Kas 2020
    early_failure_below_months: int = 2  # Kato 2017, Lo Russo 2019
    kato_increase_above_pct: int = 50
    lo_russo_increase_pct: int = 50
    lo_russo_new_lesions: int = 2
    lo_russo_ecog: int = 2
    lo_russo_needed: int = 3
    matos_days: int = 56  # Matos 2020
    matos_increase_mm: int = 10
    matos_increase_pct: int = 40
    matos_with_new_pct: int = 20
    matos_new_organs: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRules:
    """Response patterns (criteria reference sections 5.1, 5.3, 5.4)."""

    pseudo_increase_pct: int = 25  # Hodi 2016, of the nadir
    pseudo_early_days: int = 84  # week 12
    dissociated_decrease_above_pct: int = 30  # Bernard-Tessier 2020
    dissociated_increase_above_pct: int = 20
    dissociated_increase_mm: int = 5
    durable_begin_months: int = 12  # Kaufman 2017
    durable_months: int = 6
    durable_pfs_factor: int = 3  # Pons-Tostivint 2019


RECIST_11 = Recist11Rules()
IRECIST = IRecistRules()
IRRC = IrRcRules()
SUM_BURDEN = SumBurdenRules()
ITRECIST = ItRecistRules()
PERCIST_10 = PercistRules()
IMPERCIST5 = ImPercist5Rules()
PERCIMT = PercimtRules()
PECRIT = PecritRules()
LYRIC = LyricRules()
HYPERPROGRESSION = HyperprogressionRules()
PATTERNS = PatternRules()
