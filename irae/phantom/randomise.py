"""Domain randomisation: what no scanner or person shows together, so that a network does not learn this generator.

Applied by ``training_sample`` alone; archives stay realistic. Every choice follows from the generator given.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irae.phantom.canvas import Pose
from irae.phantom.patient import Anatomy, Patient, Scanner
from irae.phantom.scene_crude import crude_lines
from irae.phantom.tissue import TISSUES, TissueDraw

CRUDE_SHARE = 0.18  # bodies of ellipsoids and even tissue
FREE_LOOK_SHARE = 0.5  # every tissue's CT number, contrast and texture drawn by itself
BENT_SHARE = 0.5  # whole body bent by centimetres
SHIFT_HU = 40.0  # of soft tissue, each by itself


def randomise(
    rng: np.random.Generator, patient: Patient, *, spacing_mm: float, crude_share: float = CRUDE_SHARE
) -> Patient:
    """The patient with a random look, geometry, position and scanner; diseases and truth stay as drawn."""
    crude = bool(rng.random() < crude_share)
    free = bool(crude or rng.random() < FREE_LOOK_SHARE)
    anatomy = replace(
        patient.anatomy,
        tissue=_free_look(rng, patient.anatomy.tissue, even=crude and rng.random() < 0.7)
        if free
        else patient.anatomy.tissue,
        arms_up=bool(rng.random() < 0.65),
        limbs=bool(rng.random() < (0.5 if crude else 0.9)),
    )
    if crude:
        anatomy = _crude(rng, anatomy)
    visits = tuple(
        replace(
            v,
            pose=_bent(rng, v.pose) if rng.random() < BENT_SHARE else v.pose,
            scanner=_any_scanner(rng, v.scanner, spacing_mm=spacing_mm),
        )
        for v in patient.visits
    )
    return replace(patient, anatomy=anatomy, visits=visits)


def _free_look(rng: np.random.Generator, draw: TissueDraw, *, even: bool) -> TissueDraw:
    """Tissues whose CT number, enhancement, uptake and texture are each drawn by themselves; ``even``: no texture."""
    shift, gain, suv, texture = {}, {}, {}, {}
    fat = float(rng.uniform(-25, 25))  # fats differ little from each other
    wild = 1.0 + 0.8 * float(rng.random())
    for name, tissue in TISSUES.items():
        if tissue.native < -600:
            reach = 80.0
        elif tissue.native > 110:
            reach = 120.0
        else:
            reach = SHIFT_HU
        shift[name] = fat if tissue.native < -60 and tissue.native > -150 else float(rng.uniform(-reach, reach))
        gain[name] = float(rng.uniform(0.1, 1.7))
        suv[name] = draw.suv[name] + float(rng.normal(0, 1.0))
        texture[name] = 0.0 if even else draw.texture[name] * wild * float(np.exp(rng.uniform(-1.5, 1.3)))
    return replace(
        draw, shift_hu=shift, gain=gain, suv=suv, texture=texture, texture_mm=float(rng.choice([6.0, 9.0, 14.0, 24.0]))
    )


def _crude(rng: np.random.Generator, anatomy: Anatomy) -> Anatomy:
    colon, small_bowel = crude_lines(rng, anatomy)
    calibre = np.full(len(colon), float(rng.uniform(14, 25)) * anatomy.frame)
    return replace(anatomy, crude=True, colon=colon, small_bowel=small_bowel, colon_calibre_mm=calibre)


def _bent(rng: np.random.Generator, pose: Pose) -> Pose:
    """A body bent and turned far more than a person on a table is."""
    wavelength = tuple(float(v) for v in rng.uniform(220, 520, 6))
    return replace(
        pose,
        tilt_deg=tuple(float(v) for v in rng.normal(0, 4.0, 3)),  # type: ignore[arg-type]
        bend_mm=tuple(float(0.032 * w * v) for w, v in zip(wavelength, rng.uniform(0, 1, 6), strict=True)),
        wavelength_mm=wavelength,
        phase=tuple(float(v) for v in rng.uniform(0, 2 * np.pi, 6)),
    )


def _any_scanner(rng: np.random.Generator, scanner: Scanner, *, spacing_mm: float) -> Scanner:
    """Noise, blur and slices of any reconstruction, resampled with or without averaging."""
    level = float(np.exp(rng.uniform(np.log(1.5), np.log(45.0))))  # SD on these voxels
    return replace(
        scanner,
        ct_noise_hu=level / float(np.sqrt(0.016 / spacing_mm**3 * 1000.0)),
        ct_noise_fwhm_mm=0.0 if rng.random() < 0.4 else float(rng.uniform(2.0, 9.0)),
        ct_fwhm_mm=float(rng.uniform(0.5, 8.0)) if rng.random() < 0.5 else scanner.ct_fwhm_mm,
        ct_slice_mm=float(rng.uniform(1.0, 10.0)),
        ct_offset_hu=float(rng.normal(0, 8)),
        pet_noise=float(rng.uniform(0.02, 0.3)),
        pet_fwhm_mm=float(rng.uniform(3.5, 9.5)),
    )
