"""What each tissue shows on CT, FDG PET and contrast-enhanced T1 MR, and how it varies between people and visits.

Numbers are design values in the range of the sources named per column in ``docs/concepts/phantom.md``: HU at 120 kVp
without contrast and in the portal venous phase, SUVbw at 60 minutes (true concentration, before the scanner's blur),
T1c signal relative to white matter before contrast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from irae.phantom.canvas import Material


class Phase(Enum):
    """Contrast phase of the CT."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    PORTAL = "portal"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Tissue:
    """One row: mean HU native and portal, SD of HU between people, mean SUV and its relative SD, T1c, texture."""

    native: float
    portal: float
    hu_sd: float
    suv: float
    suv_cov: float
    t1c: float
    texture: float = 0.0


# Enhancement relative to the portal phase, by phase: (arterial, portal, delayed); native is 0.
_ENHANCEMENT: dict[str, tuple[float, float, float]] = {
    "blood": (2.0, 1.0, 0.65),
    "portal_blood": (0.7, 1.0, 0.65),
    "liver": (0.3, 1.0, 0.75),
    "spleen": (1.0, 1.0, 0.7),
    "kidney_cortex": (1.0, 1.0, 0.9),
    "kidney_medulla": (0.35, 1.0, 1.0),
    "thyroid": (1.3, 1.0, 0.75),
    "myocardium": (1.3, 1.0, 0.7),
    "pancreas": (1.2, 1.0, 0.7),
    "bowel_wall": (0.9, 1.0, 0.75),
}
_ENHANCEMENT_OTHER = (0.5, 1.0, 0.9)

TISSUES: dict[str, Tissue] = {
    "air": Tissue(-1000, -1000, 0, 0.0, 0, 0.03),
    "fat": Tissue(-102, -100, 6, 0.30, 0.25, 2.45, 0.6),
    "visceral_fat": Tissue(-100, -97, 7, 0.35, 0.25, 2.45, 0.8),
    "skin": Tissue(20, 25, 8, 0.5, 0.2, 1.2),
    "muscle": Tissue(50, 65, 7, 0.70, 0.2, 0.95, 0.8),
    "lung": Tissue(-780, -765, 35, 0.45, 0.2, 0.05, 1.5),
    "airway_wall": Tissue(20, 40, 10, 0.8, 0.2, 1.0),
    "mediastinal_fat": Tissue(-92, -85, 8, 0.6, 0.2, 2.3, 0.8),
    "blood": Tissue(45, 148, 8, 1.55, 0.18, 0.25),
    "portal_blood": Tissue(45, 165, 8, 1.55, 0.18, 0.25),
    "venous_sinus": Tissue(50, 120, 8, 1.6, 0.18, 2.6),
    "myocardium": Tissue(45, 105, 7, 1.5, 0.3, 1.2),
    "liver": Tissue(58, 110, 6, 2.17, 0.16, 1.5, 0.8),
    "spleen": Tissue(48, 120, 6, 1.80, 0.16, 1.2, 0.6),
    "pancreas": Tissue(40, 95, 7, 1.6, 0.2, 1.4, 1.2),
    "adrenal": Tissue(30, 75, 7, 1.8, 0.25, 1.2),
    "kidney_cortex": Tissue(32, 165, 6, 2.5, 0.22, 1.3),
    "kidney_medulla": Tissue(32, 140, 6, 3.2, 0.3, 1.2),
    "urine": Tissue(4, 8, 3, 15.0, 0.55, 0.4),
    "bile": Tissue(8, 8, 4, 0.6, 0.2, 0.6),
    "stomach_wall": Tissue(38, 90, 8, 2.6, 0.28, 1.2),
    "stomach_content": Tissue(18, 18, 12, 0.5, 0.2, 0.8, 1.0),
    "bowel_wall": Tissue(36, 92, 8, 2.6, 0.32, 1.2),
    "small_bowel_wall": Tissue(36, 95, 8, 2.3, 0.25, 1.2),
    "small_bowel_content": Tissue(18, 20, 8, 0.6, 0.2, 0.7),
    "stool": Tissue(25, 25, 15, 0.7, 0.3, 0.9, 3.0),
    "thyroid": Tissue(96, 170, 12, 1.30, 0.25, 1.4, 0.8),
    "gland": Tissue(40, 75, 8, 2.2, 0.3, 1.2),
    "tonsil": Tissue(45, 80, 8, 5.5, 0.35, 1.3),
    "marrow": Tissue(150, 168, 30, 1.60, 0.18, 2.2, 1.0),
    "cortical_bone": Tissue(620, 630, 80, 0.8, 0.2, 0.15),
    "skull": Tissue(850, 850, 90, 0.6, 0.2, 0.25),
    "disc": Tissue(80, 85, 10, 0.6, 0.2, 0.6),
    "cord": Tissue(35, 38, 4, 1.8, 0.2, 1.0),
    "cartilage": Tissue(90, 95, 12, 0.7, 0.2, 0.8),
    "grey_matter": Tissue(37, 41, 2, 9.5, 0.2, 1.0, 0.2),
    "white_matter": Tissue(29, 32, 2, 3.4, 0.2, 1.12, 0.2),
    "cerebellum": Tissue(36, 40, 2, 8.0, 0.22, 1.05, 0.2),
    "csf": Tissue(5, 6, 2, 0.4, 0.2, 0.50),
    "eye": Tissue(10, 12, 3, 0.7, 0.2, 0.5),
    "pituitary": Tissue(45, 95, 6, 4.5, 0.25, 2.41),
    "stalk": Tissue(40, 90, 6, 2.0, 0.2, 2.34),
    "chiasm": Tissue(35, 38, 3, 4.0, 0.2, 1.10),
    "clivus": Tissue(250, 260, 40, 1.2, 0.2, 2.3, 0.6),
    "soft_tissue": Tissue(45, 62, 8, 0.9, 0.2, 1.1),
    "node": Tissue(35, 75, 10, 1.0, 0.2, 1.2),
    "prostate": Tissue(40, 75, 8, 1.6, 0.25, 1.1),
    "uterus": Tissue(45, 95, 10, 1.9, 0.3, 1.2),
    "breast": Tissue(15, 30, 15, 0.8, 0.25, 1.2, 3.0),
    "table": Tissue(-650, -650, 60, 0.0, 0, 0.0),
    "table_shell": Tissue(120, 120, 40, 0.0, 0, 0.0),
    "fluid": Tissue(8, 10, 5, 0.7, 0.2, 0.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueDraw:
    """How one person differs from the table, kept over visits: scores of HU and SUV, factors on the rest.

    Domain randomisation adds ``shift_hu`` to the CT numbers, multiplies the enhancement by ``gain`` and changes the
    size of the texture's grain, ``texture_mm``.
    """

    hu: Mapping[str, float]
    suv: Mapping[str, float]
    texture: Mapping[str, float]
    t1c: Mapping[str, float]
    shift_hu: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    texture_mm: float = 9.0

    @classmethod
    def draw(cls, rng: np.random.Generator, *, spread: float = 1.0) -> TissueDraw:
        """Scores from a normal distribution cut at 2.2, times spread (domain randomisation uses more than 1)."""
        names = list(TISSUES)
        scores = np.clip(rng.standard_normal((4, len(names))), -2.2, 2.2) * spread
        t1c = dict(zip(names, map(float, np.exp(0.06 * scores[3])), strict=True))
        gradient_echo, fat_suppressed = rng.random() < 0.4, rng.random() < 0.2
        if gradient_echo:  # as MPRAGE: more contrast between grey and white matter, darker fluid
            for name, factor in (("grey_matter", 0.80), ("cerebellum", 0.86), ("csf", 0.6), ("muscle", 0.85)):
                t1c[name] *= factor
        if fat_suppressed:
            for name in ("fat", "visceral_fat", "mediastinal_fat", "clivus", "marrow"):
                t1c[name] *= 0.3
        return cls(
            t1c=t1c,
            hu=dict(zip(names, map(float, scores[0]), strict=True)),
            suv=dict(zip(names, map(float, scores[1]), strict=True)),
            texture=dict(zip(names, map(float, np.exp(0.25 * scores[2])), strict=True)),
        )


def materials(
    draw: TissueDraw,
    *,
    phase: Phase,
    enhancement: float = 1.0,
    suv_visit: Mapping[str, float] | None = None,
    overrides: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Material]:
    """The materials of one visit.

    Args:
        draw: The person.
        phase: Contrast phase.
        enhancement: Strength of the contrast against the table (cardiac output, dose), about 1.
        suv_visit: Tissue to a factor on its SUV at this visit.
        overrides: Tissue to (native HU shift, SUV factor) by diseases and confounders.
    """
    out = {}
    for name, tissue in TISSUES.items():
        shift, factor = (overrides or {}).get(name, (0.0, 1.0))
        gain = 0.0
        if phase is not Phase.NATIVE:
            row = _ENHANCEMENT.get(name, _ENHANCEMENT_OTHER)
            gain = row[(Phase.ARTERIAL, Phase.PORTAL, Phase.DELAYED).index(phase)] * enhancement
            gain *= draw.gain.get(name, 1.0)
        hu = tissue.native + gain * (tissue.portal - tissue.native) + tissue.hu_sd * draw.hu[name] + shift
        hu += draw.shift_hu.get(name, 0.0)
        suv = tissue.suv * float(np.exp(tissue.suv_cov * draw.suv[name])) * factor
        suv *= (suv_visit or {}).get(name, 1.0)
        t1c, texture = tissue.t1c * draw.t1c[name], tissue.texture * draw.texture[name]
        out[name] = Material(hu=hu, suv=suv, t1c=t1c, texture=texture)
    return out
