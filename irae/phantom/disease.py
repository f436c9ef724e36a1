"""Draws diseases: irAEs by severity with their patterns, metastases and their courses, confounders.

Design values of the clinical reference, straddling the published cut-offs on purpose; see ``docs/concepts/phantom.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from irae.core.anatomy import Irae
from irae.core.focus import Nature
from irae.phantom.anatomy import lung, outline, spine_at
from irae.phantom.patient import Anatomy, Confounder, Episode, LesionCourse

INVISIBLE_SHARE = 0.15  # true irAEs that leave no sign on any image, before those that are invisible by their grade

# Patterns of pneumonitis and their shares (Nishino, Clin Cancer Res 2016: 13/3/2/2 of 20).
_PATTERNS: dict[Irae, tuple[tuple[str, float], ...]] = {
    Irae.COLITIS: (("diffuse", 0.6), ("segmental", 0.4)),
    Irae.PNEUMONITIS: (("op", 0.6), ("nsip", 0.2), ("hp", 0.1), ("aip", 0.1)),
    Irae.THYROIDITIS: (("diffuse_gland", 1.0),),
    Irae.HEPATITIS: (("diffuse_liver", 1.0),),
    Irae.HYPOPHYSITIS: (("diffuse_gland", 1.0),),
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
    "steroid": 0.0,
    "vaccine_nodes": 0.06,
    "sarcoid_nodes": 0.06,
    "pituitary_microadenoma": 0.10,
    "pleural_effusion": 0.06,
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
    visible = bool(rng.random() >= invisible)
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


# --- metastases ------------------------------------------------------------------------------------------------

# Site: share, longest diameter (median mm, spread), true SUV (median, spread), native HU, gain with contrast.
_SITES: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "lymph_node": (0.30, 19, 1.45, 9, 1.6, 38, 45),
    "lung": (0.28, 13, 1.5, 6, 1.5, 35, 40),
    "liver": (0.17, 24, 1.5, 8, 1.4, 38, 28),
    "bone": (0.12, 18, 1.4, 8, 1.5, 60, 40),
    "soft_tissue": (0.13, 19, 1.5, 9, 1.6, 42, 40),
}
_NODES = (
    (8, 22, 405),
    (-30, 12, 425),
    (40, -2, 440),
    (-42, -2, 446),
    (2, -22, 455),
    (128, -12, 372),
    (-128, -12, 372),
    (52, 6, 312),
    (-52, 6, 312),
    (22, -18, 690),
    (-18, -20, 700),
    (12, 16, 640),
    (62, 52, 890),
    (-62, 52, 890),
    (70, -8, 800),
    (-70, -8, 800),
    (30, 40, 760),
    (-38, 30, 740),
)
_BONES = (
    *((0, spine_at(d), d) for d in (333, 430, 503, 551, 588, 624, 694, 730)),
    (92, -28, 775),
    (-92, -28, 775),
    (40, -72, 800),
    (-40, -72, 800),
    (95, -8, 870),
    (-95, -8, 870),
)
_SOFT = (
    (85, -95, 850),
    (-85, -95, 850),
    (60, -92, 520),
    (-62, -94, 560),
    (110, 40, 960),
    (-110, 20, 955),
    (70, -88, 700),
)


def _place(rng: np.random.Generator, anatomy: Anatomy, site: str) -> tuple[tuple[float, float, float], str]:
    """A canonical place of a site, and the name of its organ."""
    if site == "lung":
        # Above the domes of the diaphragm and beside the heart, so that it truly lies in the lung.
        side = 1 if rng.random() < 0.55 else -1
        body = lung(anatomy, side)
        z = float(rng.uniform(-475, -350)) * anatomy.length
        half_x, half_y, centre_x, centre_y = body.at(z)
        angle, radius = rng.uniform(0, 2 * np.pi), 0.78 * np.sqrt(rng.uniform(0.05, 1))
        x = centre_x + 0.3 * side * half_x + half_x * 0.65 * radius * np.cos(angle)
        y = centre_y + half_y * radius * np.sin(angle) * 0.85
        return (float(x), float(y), z), "lung_right" if side > 0 else "lung_left"
    if site == "liver":
        offset = rng.uniform(-0.6, 0.6, 3) * (62, 55, 55)
        x, y, z = anatomy.point(*(float(v) for v in np.array([78.0, 6.0, 578.0]) + offset * 0.85))
        dx, dy, dz = anatomy.shift_mm.get("liver", (0.0, 0.0, 0.0))
        return (x + dx, y + dy, z + dz), "liver"
    table = {"lymph_node": _NODES, "bone": _BONES, "soft_tissue": _SOFT}[site]
    x, y, down = table[int(rng.integers(len(table)))]
    spread = 3.0 if site == "bone" else 5.0
    place = anatomy.point(*(float(v) for v in np.array([x, y, down]) + rng.uniform(-spread, spread, 3)))
    if site == "soft_tissue":
        # In the muscle, whatever the build: never through the skin.
        half_x, half_y, centre_x, centre_y = outline(anatomy).at(place[2])
        u, v = (place[0] - centre_x) / half_x, (place[1] - centre_y) / half_y
        pull = min(1.0, 0.86 / max(float(np.hypot(u, v)), 1e-6))
        place = (centre_x + pull * u * half_x, centre_y + pull * v * half_y, place[2])
    return place, "vertebrae" if site == "bone" and x == 0 else site


COURSES: dict[str, tuple[float, float, float]] = {
    # name: share; diameter and SUV factors are in _factors
    "response": (0.30, 0, 0),
    "stable": (0.22, 0, 0),
    "progression": (0.22, 0, 0),
    "pseudoprogression": (0.10, 0, 0),
    "hyperprogression": (0.04, 0, 0),
    "dissociated": (0.12, 0, 0),
}


def _factors(rng: np.random.Generator, course: str, visits: int) -> tuple[list[float], list[float]]:
    """Diameter and SUV against baseline at every visit."""
    size, suv = [1.0], [1.0]
    for visit in range(1, visits):
        if course == "response":
            step, heat = rng.uniform(0.5, 0.75), rng.uniform(0.4, 0.75)
        elif course == "stable":
            step, heat = rng.uniform(0.94, 1.06), rng.uniform(0.88, 1.12)
        elif course == "progression":
            step, heat = rng.uniform(1.22, 1.42), rng.uniform(1.0, 1.3)
        elif course == "hyperprogression":
            step, heat = rng.uniform(1.7, 2.0), rng.uniform(1.1, 1.4)
        elif course == "pseudoprogression":
            step, heat = (
                (rng.uniform(1.25, 1.38), rng.uniform(1.1, 1.3))
                if visit == 1
                else (rng.uniform(0.45, 0.6), rng.uniform(0.45, 0.65))
            )
        else:
            raise ValueError(f"unknown course {course!r}; known are {sorted(COURSES)}")
        size.append(size[-1] * float(step))
        suv.append(suv[-1] * float(heat))
    return size, suv


def draw_metastases(
    rng: np.random.Generator, anatomy: Anatomy, visits: int, plan: DiseasePlan
) -> tuple[tuple[LesionCourse, ...], str]:
    """Metastases with their courses, and the word for the course as a whole."""
    names = list(COURSES)
    shares = np.array([COURSES[n][0] for n in names])
    course = plan.lesion_course or str(rng.choice(names, p=shares / shares.sum()))
    count = int(np.clip(1 + rng.negative_binomial(0.8, 0.8 / (0.8 + 4.0)), plan.min_lesions, plan.max_lesions))
    fresh = 0
    if visits > 1 and (
        plan.force_new or (course in {"progression", "hyperprogression", "dissociated"} and rng.random() < 0.6)
    ):
        fresh = int(rng.integers(1, 3))
    sites = list(_SITES)
    weights = np.array([_SITES[s][0] for s in sites])
    lesions: list[LesionCourse] = []
    tries = 0
    while len(lesions) < count + fresh and tries < 400:
        tries += 1
        site = str(rng.choice(sites, p=weights / weights.sum()))
        _, median, spread, suv_median, suv_spread, hu, gain = _SITES[site]
        place, organ = _place(rng, anatomy, site)
        low = 10.0 if site == "lung" else 12.0
        first = float(np.clip(median * spread ** rng.standard_normal(), low, 42))
        if site == "lymph_node":
            first = max(first, 16.0)
        suv = float(np.clip(suv_median * suv_spread ** rng.standard_normal(), 3.5, 25))
        if any(
            np.linalg.norm(np.subtract(place, x.centre_mm)) < 10 + (first + max(x.diameter_mm)) * 0.75 for x in lesions
        ):
            continue
        number = len(lesions)
        own = course
        if course == "dissociated":
            own = "response" if number % 2 == 0 else "progression"
        size, heat = _factors(rng, own, visits)
        if number >= count:
            own, onset = "new", int(rng.integers(1, visits))
            size = [0.0] * onset + [1.0] + [float(rng.uniform(1.15, 1.4) ** k) for k in range(1, visits - onset)]
            heat = [1.0] * visits
        diameters = tuple(0.0 if (d := first * f) < 4.0 else round(min(d, 90.0), 1) for f in size)
        ratio = (1.0, float(rng.uniform(0.72, 0.98)), float(rng.uniform(0.75, 1.0)))
        lesions.append(
            LesionCourse(
                track=f"M{number + 1:02d}",
                nature=Nature.METASTASIS,
                organ=organ,
                course=own,
                centre_mm=place,
                ratio=ratio,
                turn_deg=(0.0, 0.0, float(rng.uniform(0, 180))),
                diameter_mm=diameters,
                suv=tuple(round(max(suv * h, 1.2), 2) for h in heat),
                hu=float(hu + 6 * rng.standard_normal()),
                hu_gain=float(gain),
            )
        )
    return tuple(lesions), course


def draw_confounders(rng: np.random.Generator, visits: int, plan: DiseasePlan) -> tuple[Confounder, ...]:
    """Which confounders show, when, and how strongly."""
    out = []
    for kind in CONFOUNDERS:
        if rng.random() >= plan.confounder.get(kind, 0.0):
            continue
        always = kind in {
            "metformin",
            "fatty_liver",
            "thyroid_adenoma",
            "diffuse_thyroid_baseline",
            "pituitary_microadenoma",
        }
        if always:
            active = [True] * visits
        elif kind in {"physiologic_bowel", "brown_fat"}:
            active = [bool(rng.random() < 0.6) for _ in range(visits)]
        else:
            when = int(rng.integers(0, visits))
            active = [v == when or (kind in {"sarcoid_nodes", "radiation"} and v > when) for v in range(visits)]
        if not any(active):
            active[int(rng.integers(visits))] = True
        drawn = {
            "suv": _jitter(rng),
            "size": _jitter(rng),
            "side": float(rng.choice([-1, 1])),
            "start": rng.random(),
            "seed": float(rng.integers(2**20)),
            "lobe": rng.random(),
        }
        out.append(Confounder(kind=kind, active=tuple(active), drawn=drawn))
    return tuple(out)
