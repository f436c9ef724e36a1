"""Draws diseases: irAEs by severity with their patterns, and what only looks like them.

Design values of the clinical reference, straddling the published cut-offs on purpose; see ``docs/concepts/phantom.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from irae.core.anatomy import Irae
from irae.phantom.patient import Confounder, Episode

INVISIBLE_SHARE = 0.15  # true irAEs that leave no sign on any image, before those that are invisible by their grade
# More where the published sensitivity is lower: CT colitis 50-81 %, MR hypophysitis 1/3 normal, hepatitis half.
_INVISIBLE = {Irae.COLITIS: 1.5, Irae.HYPOPHYSITIS: 2.0, Irae.HEPATITIS: 2.0}

# Patterns of pneumonitis and their shares (Nishino, Clin Cancer Res 2016: 13/3/2/2 of 20).
_PATTERNS: dict[Irae, tuple[tuple[str, float], ...]] = {
    Irae.COLITIS: (("diffuse", 0.6), ("segmental", 0.4)),
    Irae.PNEUMONITIS: (("op", 0.6), ("nsip", 0.2), ("hp", 0.1), ("aip", 0.1)),
    Irae.THYROIDITIS: (("diffuse_gland", 1.0),),
    Irae.HEPATITIS: (("diffuse_liver", 1.0),),
    Irae.HYPOPHYSITIS: (("diffuse_gland", 0.75), ("stalk", 0.25)),
}

CONFOUNDERS: tuple[str, ...] = (
    "metformin",
    "physiologic_bowel",
    "brown_fat",
    "pneumonia",
    "radiation",
    "atelectasis",
    "fatty_liver",
    "thyroid_adenoma",
    "diffuse_thyroid_baseline",
    "gcsf",
    "steroid",
    "vaccine_nodes",
    "sarcoid_nodes",
    "pituitary_microadenoma",
    "pleural_effusion",
    "pituitary_macroadenoma",
    "empty_sella",
    "rathke_cyst",
    "diverticulitis",
    "colon_polyp",
    "lung_oedema",
    "pericardial_effusion",
    "oesophagitis",
    "dental_focus",
    "thymus",
    "muscle_uptake",
    "pancreatitis",
    "adrenalitis",
    "arthritis",
    "gastritis",
    "enteritis",
    "cholangitis",
    "myositis",
)
# Confounders that are irAEs themselves, beyond the five; they carry a grade.
FURTHER_IRAES = (
    "pancreatitis",
    "adrenalitis",
    "arthritis",
    "gastritis",
    "enteritis",
    "cholangitis",
    "myositis",
    "sarcoid_nodes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiseasePlan:
    """What must and may happen to a patient; probabilities where nothing is forced.

    Attributes:
        irae: Chance of each irAE.
        force: irAEs that must come, with their severity at each visit.
        lesion_course: The course the metastases must take; None: drawn.
        force_new: Whether a new metastasis must appear.
        confounder: Chance of each confounder.
        invisible: Share of true irAEs without any sign.
        min_lesions, max_lesions: Number of metastases at baseline.
    """

    irae: Mapping[Irae, float] = field(default_factory=lambda: dict.fromkeys(Irae, 0.25))
    force: Mapping[Irae, Sequence[int]] = field(default_factory=dict)
    lesion_course: str | None = None
    force_new: bool = False
    confounder: Mapping[str, float] = field(default_factory=lambda: dict(CONFOUNDER_SHARE))
    invisible: float = INVISIBLE_SHARE
    min_lesions: int = 1
    max_lesions: int = 7


CONFOUNDER_SHARE: dict[str, float] = {
    "metformin": 0.12,
    "physiologic_bowel": 0.39,
    "brown_fat": 0.05,
    "pneumonia": 0.05,
    "radiation": 0.08,
    "atelectasis": 0.15,
    "fatty_liver": 0.25,
    "thyroid_adenoma": 0.03,
    "diffuse_thyroid_baseline": 0.066,
    "gcsf": 0.06,
    "steroid": 0.3,  # of the patients with an irAE, from the visit after its onset
    "vaccine_nodes": 0.06,
    "sarcoid_nodes": 0.06,
    "pituitary_microadenoma": 0.10,
    "pleural_effusion": 0.06,
    "pituitary_macroadenoma": 0.01,
    "empty_sella": 0.08,
    "rathke_cyst": 0.05,
    "diverticulitis": 0.03,
    "colon_polyp": 0.06,
    "lung_oedema": 0.03,
    "pericardial_effusion": 0.04,
    "oesophagitis": 0.04,
    "dental_focus": 0.08,
    "thymus": 0.04,
    "muscle_uptake": 0.05,
    "pancreatitis": 0.02,
    "adrenalitis": 0.015,
    "arthritis": 0.03,
    "gastritis": 0.02,
    "enteritis": 0.02,
    "cholangitis": 0.01,
    "myositis": 0.01,
}


def _jitter(rng: np.random.Generator) -> float:
    """Lognormal factor of about 25 % between people, cut at 1.5 SD."""
    return float(np.exp(0.22 * np.clip(rng.standard_normal(), -1.5, 1.5)))


def draw_severities(rng: np.random.Generator, visits: int) -> tuple[int, ...]:
    """An irAE that comes at a visit after the baseline and then lasts, improves or resolves."""
    if visits == 1:
        return (int(rng.integers(1, 4)),)
    onset = int(rng.integers(1, visits))
    peak = int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))
    out = [0] * onset + [peak]
    while len(out) < visits:
        out.append(max(0, out[-1] + int(rng.choice([-2, -1, 0, 1], p=[0.25, 0.4, 0.25, 0.1]))))
    return tuple(min(s, 3) for s in out)


def draw_episode(
    rng: np.random.Generator, irae: Irae, severity: Sequence[int], *, invisible: float = INVISIBLE_SHARE
) -> Episode:
    """Pattern, visibility and the drawn numbers of one irAE."""
    names, weights = zip(*_PATTERNS[irae], strict=True)
    pattern = str(rng.choice(names, p=np.array(weights)))
    severity = tuple(int(s) for s in severity)
    visible = bool(rng.random() >= min(invisible * _INVISIBLE.get(irae, 1.0), 0.6))
    if irae is Irae.HEPATITIS and max(severity) <= 1:
        visible = False  # grade 1: no size, density or uptake change
    phase = tuple("" for _ in severity)
    if irae is Irae.THYROIDITIS:
        # Severity 1 and 2 are inflamed; 3 is the late, atrophic gland. After inflammation it does not turn normal.
        late, phases = False, []
        for now in severity:
            late = late or now == 3
            phases.append("" if now == 0 and not late else ("atrophic" if late else "inflamed"))
        phase = tuple(phases)
    if irae is Irae.PNEUMONITIS:
        worst = max(severity)
        if pattern == "aip" and worst < 3:
            pattern = "nsip"
    drawn = {
        "wall": _jitter(rng),
        "extent": _jitter(rng),
        "suv": _jitter(rng),
        "hu": _jitter(rng),
        "start": rng.random(),
        "stranding": _jitter(rng),
        "seed": float(rng.integers(2**20)),
        "size": _jitter(rng),
    }
    return Episode(irae=irae, pattern=pattern, visible=visible, severity=severity, phase=phase, drawn=drawn)


def draw_confounders(rng: np.random.Generator, visits: int, plan: DiseasePlan) -> tuple[Confounder, ...]:
    """Which confounders show, when, and how strongly."""
    out = []
    for kind in CONFOUNDERS:
        if rng.random() >= plan.confounder.get(kind, 0.0) or kind == "steroid":  # steroids follow the irAEs
            continue
        always = kind in {
            "metformin",
            "fatty_liver",
            "thyroid_adenoma",
            "diffuse_thyroid_baseline",
            "pituitary_microadenoma",
            "pituitary_macroadenoma",
            "empty_sella",
            "rathke_cyst",
            "colon_polyp",
        }
        if always:
            active = [True] * visits
        elif kind in {"physiologic_bowel", "brown_fat"}:
            active = [bool(rng.random() < 0.6) for _ in range(visits)]
        else:
            when = int(rng.integers(0, visits))
            lasting = kind in {"radiation", "dental_focus", *FURTHER_IRAES}
            active = [v == when or (lasting and v > when) for v in range(visits)]
        if not any(active):
            active[int(rng.integers(visits))] = True
        drawn = {
            "suv": _jitter(rng),
            "size": _jitter(rng),
            "side": float(rng.choice([-1, 1])),
            "start": rng.random(),
            "seed": float(rng.integers(2**20)),
            "lobe": rng.random(),
            "grade": float(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25])),
        }
        out.append(Confounder(kind=kind, active=tuple(active), drawn=drawn))
    return tuple(out)
