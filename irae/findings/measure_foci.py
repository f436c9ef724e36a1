"""What is counted on an exam's foci for irAEs without an organ mask: symmetric nodes of the chest, paired joints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from irae.core.exam import Exam
from irae.core.finding import Measured
from irae.core.focus import Focus, FocusSource, FocusStatus
from irae.core.numbers import reaches
from irae.core.volume import LabelMap
from irae.quant.region import organ_boxes

LUNGS = ("lung_left", "lung_right")


@dataclass(frozen=True, slots=True, kw_only=True)
class FociSignRules:
    """Where nodes and joints are looked for. Design values; 0.7 is the symmetry of F4 of the evidence score."""

    symmetric: float = 0.7
    hilar_height: tuple[float, float] = (0.2, 0.95)  # of the lungs, 0 at the bases
    hilar_off_midline_mm: float = 75.0
    pair_off_midline_mm: float = 12.0
    shoulder_height: tuple[float, float] = (0.75, 1.4)
    shoulder_beyond_lung_mm: float = 0.0
    hip_off_midline_mm: tuple[float, float] = (60.0, 150.0)
    hip_from_bladder_mm: tuple[float, float] = (-70.0, 50.0)  # above the bladder's middle
    beside_bone: float = 0.1  # share of the rim that is bone
    in_bone: float = 0.3  # share of the focus that is bone: a bone lesion, not a joint
    fat: float = 0.3  # more is brown fat


FOCI_SIGN_RULES = FociSignRules()


def measure_foci(
    foci: Sequence[Focus], exam: Exam, organs: LabelMap | None, *, normal: Collection[int] = (),
    rules: FociSignRules = FOCI_SIGN_RULES,
) -> dict[str, Measured]:
    """Counts over an exam's foci, as quantities ``nodes.*`` and ``joints.*``.

    Args:
        foci: All foci of the exam, matched; gone ones are left out.
        exam: The exam. Without a PET nodes and joints were not searched for.
        organs: Organs on the CT's grid: lungs and bladder say where hila, shoulders and hips are.
        normal: Ids of foci that are normal uptake. They lie outside all masks like nodes do (ureters, tonsils, salivary
            glands, brown fat) and are no nodes.
        rules: Where they are looked for.

    Returns:
        The counts; value None, and why, where they were not searched for. Empty without a CT.
    """
    if organs is None:
        return {}
    names = ("hilar_pairs", "thoracic", "elsewhere")
    if exam.pet is None:
        why = "no PET: nodes and joints were not searched for"
        return {
            **{f"nodes.{name}": Measured(value=None, unit="1", why=why) for name in names},
            "joints.hip_pairs": Measured(value=None, unit="1", why=why),
            "joints.shoulder_pairs": Measured(value=None, unit="1", why=why),
        }
    here = [f for f in foci if f.status is not FocusStatus.GONE and f.source is FocusSource.PET]
    return {**_nodes([f for f in here if f.id not in normal], organs, rules), **_joints(here, organs, rules)}


def _nodes(foci: Sequence[Focus], organs: LabelMap, rules: FociSignRules) -> dict[str, Measured]:
    if not all(organs.seen(lung) for lung in LUNGS):
        why = "the lungs were not both seen: hila are not known"
        return {f"nodes.{n}": Measured(value=None, unit="1", why=why) for n in ("hilar_pairs", "thoracic", "elsewhere")}
    nodes = [f for f in foci if f.organ == "lymph_node"]
    thoracic = [f for f in nodes if _thoracic(f, rules)]
    paired = [f for f in thoracic if _paired(f, rules)]
    found = {
        "nodes.hilar_pairs": Measured(value=float(len(paired) // 2), unit="1"),
        "nodes.thoracic": Measured(value=float(len(thoracic)), unit="1"),
        "nodes.elsewhere": Measured(value=float(len(nodes) - len(thoracic)), unit="1"),
    }
    if thoracic:
        ratios = [f.short_mm / f.longest_mm for f in thoracic if f.longest_mm > 0]
        found["nodes.short_long_ratio"] = Measured(value=float(np.median(ratios)) if ratios else None, unit="1")
        found["nodes.thoracic_short_mm"] = Measured(value=max(f.short_mm for f in thoracic), unit="mm")
        hottest = [f.suv_max for f in thoracic if f.suv_max is not None]
        found["nodes.thoracic_suv_max"] = Measured(value=max(hottest, default=None), unit="g/mL")
    return found


def _thoracic(focus: Focus, rules: FociSignRules) -> bool:
    height = focus.features.get("height_in_lungs")
    low, high = rules.hilar_height
    off = abs(focus.features.get("off_midline_mm", 0.0))
    return height is not None and low <= height <= high and off <= rules.hilar_off_midline_mm


def _paired(focus: Focus, rules: FociSignRules) -> bool:
    off = abs(focus.features.get("off_midline_mm", 0.0))
    return off >= rules.pair_off_midline_mm and reaches(focus.features.get("symmetry", 0.0), rules.symmetric)


def _joints(foci: Sequence[Focus], organs: LabelMap, rules: FociSignRules) -> dict[str, Measured]:
    beside = [f for f in foci if _beside_bone(f, rules) and _paired(f, rules)]
    found: dict[str, Measured] = {}
    if all(organs.seen(lung) for lung in LUNGS):
        low, high = rules.shoulder_height
        shoulders = [
            f for f in beside
            if low <= f.features.get("height_in_lungs", -1.0) <= high
            and f.features.get("beyond_lung_mm", -1.0) >= rules.shoulder_beyond_lung_mm
        ]
        found["joints.shoulder_pairs"] = Measured(value=float(len(shoulders) // 2), unit="1")
    box = organ_boxes(organs).get("urinary_bladder")
    if box is not None:
        middle = organs.geometry.to_world([(part.start + part.stop - 1) / 2 for part in box])[2]
        low, high = rules.hip_from_bladder_mm
        near, far = rules.hip_off_midline_mm
        hips = [
            f for f in beside
            if low <= f.centroid_ras_mm[2] - middle <= high
            and near <= abs(f.features.get("off_midline_mm", 0.0)) <= far
        ]
        found["joints.hip_pairs"] = Measured(value=float(len(hips) // 2), unit="1")
    why = {"shoulder_pairs": "the lungs were not both seen", "hip_pairs": "the bladder was not seen"}
    for name, text in why.items():
        found.setdefault(f"joints.{name}", Measured(value=None, unit="1", why=text))
    return found


def _beside_bone(focus: Focus, rules: FociSignRules) -> bool:
    get = focus.features.get
    if focus.organ not in (None, "lymph_node", "bone", "soft_tissue"):
        return False
    beside = reaches(get("rim_bone_fraction", 0.0), rules.beside_bone)
    return beside and get("bone_fraction", 0.0) < rules.in_bone and get("fat_fraction", 0.0) < rules.fat

