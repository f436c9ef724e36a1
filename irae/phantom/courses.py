"""Courses of the hollow organs and vessels through one body: colon, small bowel, branches in the lungs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from irae.phantom.anatomy import abdominal_cavity
from irae.phantom.patient import Anatomy
from irae.phantom.shapes import Loft, smooth_curve

_COLON = (
    (72, 28, 812),
    (82, 24, 790),
    (92, 4, 745),
    (96, -10, 700),
    (92, -6, 660),
    (80, 18, 640),
    (58, 50, 660),
    (25, 68, 690),
    (-15, 70, 700),
    (-52, 58, 680),
    (-80, 25, 632),
    (-97, -12, 612),
    (-104, -26, 660),
    (-106, -26, 715),
    (-102, -10, 765),
    (-84, 12, 795),
    (-56, 30, 812),
    (-30, 18, 792),
    (-5, 8, 806),
    (14, -8, 832),
    (6, -34, 842),
    (0, -54, 856),
    (0, -58, 885),
    (0, -52, 915),
)
_COLON_CALIBRE = (27, 27, 24, 23, 22, 21, 19, 19, 19, 19, 18, 17, 14, 13, 13, 13, 13, 13, 13, 14, 15, 17, 17, 10)


def _inside(points: NDArray[np.float64], cavity: Loft, clearance_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) pulled towards the middle of a cavity until each keeps its clearance from the wall."""
    sections = np.array([cavity.at(float(z)) for z in points[:, 2]])
    half = np.maximum(sections[:, :2] - clearance_mm[:, None], 4.0)
    offset = points[:, :2] - sections[:, 2:]
    # The wall is a rounded box rather than an ellipse: the fourth power follows it into the corners.
    reach = ((offset / half) ** 4).sum(axis=1) ** 0.25
    out = points.copy()
    out[:, :2] = sections[:, 2:] + offset / np.maximum(reach, 1.0)[:, None]
    return out


def _colon(
    rng: np.random.Generator, anatomy: Anatomy, cavity: Loft, wide: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centreline (n, 3) and radius of the lumen (n,)."""
    frame = anatomy.frame
    knots = np.array(_COLON, dtype=float)
    jitter = np.clip(rng.standard_normal(knots.shape), -1.8, 1.8) * (5, 5, 9) * min(wide, 1.6)
    jitter[-4:] *= 0.2
    sag = float(np.clip(rng.normal(0, 14), -20, 45))  # the transverse colon hangs lower in some
    jitter[6:10, 2] += sag * np.array([0.5, 1.0, 1.0, 0.5])
    knots = (knots + jitter) * (frame, frame * (1 + 0.15 * anatomy.visceral), -anatomy.length)
    line = smooth_curve(knots, step_mm=11.0)
    size = float(np.exp(0.13 * wide * np.clip(rng.standard_normal(), -2, 2)))
    calibre = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(_COLON_CALIBRE)), _COLON_CALIBRE)
    calibre = calibre * 0.88 * size * frame
    return _inside(line, cavity, calibre + 4.0), calibre


def _small_bowel(rng: np.random.Generator, anatomy: Anatomy, cavity: Loft) -> NDArray[np.float64]:
    """Loops that fill the middle of the abdomen: a walk from one free place to a near one, downwards in all."""
    frame, length = anatomy.frame, anatomy.length
    apart = 25.0 * frame
    places = np.empty((0, 3))
    for u, v, w in rng.random((420, 3)):
        z = -(662.0 + 185.0 * w) * length
        half_x, half_y, _, centre_y = cavity.at(z)
        rear = max(centre_y - half_y, -6.0 * frame) + 12.0  # in front of the spine
        front = centre_y + half_y - 14.0
        share = 0.62 if w < 0.45 else 0.82
        place = np.array([(2 * u - 1) * share * half_x, rear + v * (front - rear), z])
        if not len(places) or float(((places - place) ** 2).sum(axis=1).min()) > apart**2:
            places = np.vstack([places, place])
    free = places
    walk = [np.array([-24.0 * frame, 20.0 * frame, -655.0 * length])]
    while len(free):
        cost = np.linalg.norm(free - walk[-1], axis=1) + 0.35 * (walk[0][2] - free[:, 2])
        nearest = int(np.argmin(cost))
        if np.linalg.norm(free[nearest] - walk[-1]) > 5.0 * apart:
            break
        walk.append(free[nearest])
        free = np.delete(free, nearest, axis=0)
    line = smooth_curve(np.array(walk), step_mm=13.0)
    return _inside(line, cavity, np.full(len(line), 13.0))


def _lung_vessels(
    rng: np.random.Generator, frame: float, length: float
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Branches from each hilum towards the pleura."""
    out = []
    for side in (1, -1):
        for _ in range(16):
            end = np.array([side * rng.uniform(55, 130), rng.uniform(-75, 65), rng.uniform(355, 600)])
            start = np.array([side * 34.0, -4.0, 442.0])
            middle = (start + end) / 2 + rng.normal(0, 10, 3)
            path = smooth_curve(np.array([start, middle, end]) * (frame, frame, -length), step_mm=18.0)
            out.append((path, np.linspace(rng.uniform(3.0, 5.5), 0.9, len(path))))
            for at in (0.45, 0.7):
                root = path[int(at * len(path))]
                tip = root + rng.normal(0, 1, 3) * (24, 24, 28) + (side * 10, 0, 0)
                branch = smooth_curve(np.array([root, (root + tip) / 2 + rng.normal(0, 4, 3), tip]), step_mm=18.0)
                out.append((branch, np.linspace(1.9, 0.7, len(branch))))
    return tuple(out)


def draw_courses(rng: np.random.Generator, anatomy: Anatomy, *, wide: float = 1.0) -> Anatomy:
    """A body with its bowel and vessels in place, all of them inside the wall."""
    cavity = abdominal_cavity(anatomy)
    colon, calibre = _colon(rng, anatomy, cavity, wide)
    return replace(
        anatomy,
        colon=colon,
        colon_calibre_mm=calibre,
        small_bowel=_small_bowel(rng, anatomy, cavity),
        lung_vessels=_lung_vessels(rng, anatomy.frame, anatomy.length),
    )
