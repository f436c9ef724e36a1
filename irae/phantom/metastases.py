"""Draws metastases: where they lie, how large and hot they are, and the course they take under therapy."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from irae.core.focus import Nature
from irae.phantom.anatomy import KIDNEYS, lung, outline, spine_at
from irae.phantom.disease import DiseasePlan
from irae.phantom.patient import Anatomy, LesionCourse

# Site: share, longest diameter (median mm, spread), true SUV (median, spread), native HU, gain with contrast.
_SITES: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "lymph_node": (0.30, 19, 1.45, 9, 1.6, 38, 45),
    "lung": (0.28, 13, 1.5, 6, 1.5, 35, 40),
    "liver": (0.17, 24, 1.5, 8, 1.4, 38, 28),
    "bone": (0.12, 18, 1.4, 8, 1.5, 60, 40),
    "soft_tissue": (0.13, 19, 1.5, 9, 1.6, 42, 40),
}
# Longest diameter at the first exam.
_SMALLEST_MM = {"lung": 10.0, "lymph_node": 16.0}
_LARGEST_MM = 42.0
_NODES = (
    (2, 46, 399),
    (-12, 36, 413),
    (40, -2, 440),
    (-42, -2, 446),
    (-4, -16, 443),
    (128, -12, 372),
    (-128, -12, 372),
    (46, 0, 312),
    (-46, 0, 312),
    (34, -8, 690),
    (-32, -8, 700),
    (12, 16, 652),
    (38, 58, 878),
    (-38, 58, 878),
    (40, -22, 817),
    (-40, -22, 817),
    (30, 40, 760),
    (-38, 30, 740),
)
_BONES = (
    *((0, spine_at(d), d) for d in (333, 430, 503, 551, 588, 624, 694, 730)),
    (108, -24, 775),
    (-108, -24, 775),
    (68, -48, 798),
    (-68, -48, 798),
    (95, -8, 870),
    (-95, -8, 870),
)
_SOFT = (
    (85, -95, 850),
    (-85, -95, 850),
    (34, -96, 540),
    (-40, -92, 560),
    (110, 40, 930),
    (-110, 20, 930),
    (40, -80, 700),
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
        pull = min(1.0, 0.93 / max(float(np.hypot(u, v)), 1e-6))
        place = (centre_x + pull * u * half_x, centre_y + pull * v * half_y, place[2])
    return place, "vertebrae" if site == "bone" and x == 0 else site


def _in_kidney(anatomy: Anatomy, place: tuple[float, float, float], radius_mm: float) -> bool:
    """Whether a ball in the liver reaches into the right kidney, on which the liver lies."""
    at, semi = KIDNEYS["kidney_right"]
    centre = np.add(anatomy.point(*at), anatomy.shift_mm.get("kidney_right", (0.0, 0.0, 0.0)))
    size = anatomy.size.get("kidney_right", 1.0) * np.array([anatomy.frame, anatomy.frame, anatomy.length])
    return bool(np.linalg.norm((np.array(place) - centre) / (np.array(semi) * size + radius_mm)) < 1.0)


COURSES: dict[str, tuple[float, float, float]] = {
    # name: share; diameter and SUV factors are in _factors
    "response": (0.30, 0, 0),
    "stable": (0.22, 0, 0),
    "progression": (0.22, 0, 0),
    "pseudoprogression": (0.10, 0, 0),
    "hyperprogression": (0.04, 0, 0),
    "dissociated": (0.12, 0, 0),
}


def _within(median: float, spread: float, z: float, low: float, high: float) -> float:
    """A log-normal value from a standard normal one, cut off at two limits.

    Clipped instead, every third node and every fourth nodule in the lung would measure what the limit says to the tenth
    of a millimetre, and 10 mm is just where a lesion becomes measurable.
    """
    below, up_to = (ndtr(np.log(limit / median) / np.log(spread)) for limit in (low, high))
    return float(median * spread ** ndtri(below + (up_to - below) * ndtr(z)))


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
        first = _within(median, spread, float(rng.standard_normal()), _SMALLEST_MM.get(site, 12.0), _LARGEST_MM)
        suv = float(np.clip(suv_median * suv_spread ** rng.standard_normal(), 3.5, 25))
        if site == "liver" and _in_kidney(anatomy, place, first / 2):
            continue
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
