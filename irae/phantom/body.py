"""Draws one body: sex, build, organ sizes and places, tissues; its bowel and vessels come from ``courses``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.phantom.courses import draw_courses
from irae.phantom.patient import Anatomy
from irae.phantom.tissue import TissueDraw


def draw_anatomy(rng: np.random.Generator, *, wide: float = 1.0) -> Anatomy:
    """A body at random; ``wide`` > 1 spreads sizes, places and tissues beyond the usual (domain randomisation)."""
    sex = "M" if rng.random() < 0.55 else "F"
    height = float(np.clip(rng.normal(177 if sex == "M" else 164, 7), 150, 198))
    bmi = float(np.clip(rng.normal(26.0, 4.2), 18.0, 40.0))
    weight = bmi * (height / 100) ** 2
    length = height / 176.0
    frame = float(np.clip((0.99 if sex == "M" else 0.91) * (1 + 0.035 * rng.standard_normal()), 0.82, 1.1))
    fat = float(np.clip((bmi - 17) * (1.5 if sex == "M" else 2.1) * rng.uniform(0.8, 1.2), 4, 48))
    visceral = float(np.clip((bmi - 20) / 16 * (1.1 if sex == "M" else 0.8), 0.02, 1.0))

    def size(cov: float) -> float:
        return float(np.clip(1 + wide * cov * rng.standard_normal(), 1 - 2.2 * cov * wide, 1 + 2.2 * cov * wide))

    names = {
        "lung": 0.07,
        "heart": 0.045,
        "liver": 0.045,
        "spleen": 0.085,
        "thyroid_gland": 0.10,
        "kidney_left": 0.06,
        "kidney_right": 0.06,
        "stomach": 0.12,
        "pancreas": 0.10,
        "aorta": 0.10,
        "brain": 0.03,
        "vertebrae": 0.05,
        "gallbladder": 0.15,
        "small_bowel": 0.10,
    }
    moved = {
        "heart": 5,
        "liver": 5,
        "spleen": 6,
        "thyroid_gland": 3,
        "kidney_left": 7,
        "kidney_right": 7,
        "stomach": 8,
        "pancreas": 6,
        "brain": 2,
        "urinary_bladder": 4,
    }
    sizes = {name: size(cov) for name, cov in names.items()}
    shifts = {
        name: tuple(float(v) for v in np.clip(rng.standard_normal(3), -2, 2) * sd * wide) for name, sd in moved.items()
    }
    turns = {
        name: tuple(float(v) for v in np.clip(rng.standard_normal(3), -2, 2) * 5.0 * wide)
        for name in ("heart", "liver", "spleen", "kidney_left", "kidney_right", "stomach")
    }
    body = Anatomy(
        sex=sex,
        height_cm=round(height, 1),
        weight_kg=round(weight, 1),
        length=length,
        frame=frame,
        fat_mm=fat,
        visceral=visceral,
        arms_up=bool(rng.random() < 0.8),
        size=sizes,
        shift_mm={k: (v[0], v[1], v[2]) for k, v in shifts.items()},
        turn_deg={k: (v[0], v[1], v[2]) for k, v in turns.items()},
        colon=np.zeros((2, 3)),
        small_bowel=np.zeros((2, 3)),
        colon_calibre_mm=np.zeros(2),
        colon_wall_mm=float(np.clip(rng.normal(1.5, 0.3), 1.0, 2.4)),
        lung_vessels=(),
        tissue=TissueDraw.draw(rng, spread=wide),
        noise_seed=int(rng.integers(2**31)),
        pituitary_height_mm=float(np.clip(rng.normal(5.5 if sex == "M" else 6.0, 1.0), 3.5, 7.8)),
        stalk_mm=float(np.clip(rng.normal(2.0, 0.3), 1.3, 2.9)),
        sella={
            "width": size(0.08),
            "depth": size(0.08),
            "cistern": size(0.13),
            "cavernous": size(0.10),
            "sinus": 0.0 if rng.random() < 0.1 else size(0.15),
            "tilt_deg": float(rng.normal(0, 4 * wide)),
            "flat": float(rng.uniform(0, 1)),
        },
    )
    shares = {"hip_left": 0.03, "hip_right": 0.03, "dental": 0.2}
    worn = dict(zip(shares, rng.random(len(shares)), strict=True))
    body = replace(body, metal=tuple(kind for kind, share in shares.items() if worn[kind] < share))
    return draw_courses(rng, body, wide=wide)
