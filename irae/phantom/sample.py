"""Training samples: one visit of a random patient, randomised more widely than any scanner or person would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.core.geometry import Geometry
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.foci_map import marked_foci
from irae.phantom.randomise import CRUDE_SHARE, randomise
from irae.phantom.render import FIELDS, body_geometry, head_geometry, label_map, render_exam
from irae.phantom.truth import PhantomExam

_FIELD_SHARE = {
    "whole": 0.30,
    "chest_abdomen": 0.25,
    "chest": 0.12,
    "abdomen": 0.13,
    "neck_chest": 0.12,
    "head_neck": 0.04,
    "pelvis": 0.04,
}


def training_sample(
    seed: int,
    *,
    spacing_mm: float,
    field: str | None = None,
    irae: Mapping[Irae, float] | None = None,
    confounder: Mapping[str, float] | None = None,
    with_pet: bool = True,
    with_mr: bool = False,
    with_ct: bool = True,
    mr_spacing_mm: float = 1.0,
    wide: float = 1.6,
    realistic: bool = False,
    with_foci: bool = False,
    crude_share: float = CRUDE_SHARE,
) -> PhantomExam:
    """A domain-randomised exam with its truth, the same for the same seed.

    Args:
        seed: Everything follows from it.
        spacing_mm: Isotropic voxels of CT and PET (one grid).
        field: A name of ``render.FIELDS``; drawn where absent (whole body, chest only, abdomen only ...).
        irae: Chance of each irAE; 0.35 each where absent.
        confounder: Chance of those confounders that are not to come as often as usual.
        with_ct, with_pet: Render CT, PET on the same grid.
        with_mr: Render a sella-centred T1c MR too (a box of about 96 mm at ``mr_spacing_mm``).
        wide: Spread of bodies, tissues, scanners against the usual.
        realistic: No domain randomisation beyond ``wide``: no free looks, crude bodies or cut fields.
        with_foci: Mark where focal lesions lie on the PET.
        crude_share: Share of bodies of ellipsoids among the randomised; their muscles are not labelled.

    Raises:
        ValueError: If spacing_mm is not positive or the field is unknown.
    """
    if spacing_mm <= 0:
        raise ValueError(f"spacing must be positive, got {spacing_mm} mm")
    rng = np.random.default_rng((seed, 0x1AE))
    chances = dict(irae) if irae is not None else dict.fromkeys(Irae, 0.35)
    usual = {k: min(1.6 * v, 0.4) for k, v in CONFOUNDER_SHARE.items()}
    disease = DiseasePlan(irae=chances, confounder=usual | dict(confounder or {}))
    patient = draw_patient(
        rng,
        visits=1,
        key=f"SAMPLE-{seed}",
        seed=seed,
        disease=disease,
        plan=VisitPlan(has_pet=with_pet, mr=with_mr, wide=wide),
    )
    names = list(_FIELD_SHARE)
    drawn = str(rng.choice(names, p=np.array([_FIELD_SHARE[n] for n in names])))
    field = drawn if field is None else field
    if field not in FIELDS:
        raise ValueError(f"field must be one of {', '.join(FIELDS)}, got {field!r}")
    if not realistic:
        patient = randomise(rng, patient, spacing_mm=spacing_mm, crude_share=crude_share)
    width, depth = float(rng.uniform(380, 480)), float(rng.uniform(300, 400))
    if not realistic and rng.random() < 0.12:  # a small reconstruction circle cuts arms and flanks
        width, depth = float(rng.uniform(290, 380)), float(rng.uniform(240, 320))
    grid = body_geometry(patient, 0, (spacing_mm,) * 3, field=field, width_mm=width, depth_mm=depth)
    # The cut of a field of view falls anywhere, not at a fixed landmark.
    trim = [int(v / spacing_mm) for v in rng.uniform(0, 60, 2)]
    if grid.shape[2] - sum(trim) > 24:
        grid = grid.cropped((0, 0, trim[0]), (grid.shape[0], grid.shape[1], grid.shape[2] - trim[1]))
    with_table, round_field = rng.random() < 0.75, rng.random() < 0.35
    mr_grid = sella_geometry(head_geometry(patient, 0, mr_spacing_mm), rng) if with_mr else None
    made = render_exam(
        patient,
        0,
        ct_geometry=grid,
        pet_geometry=grid,
        mr_geometry=mr_grid,
        with_ct=with_ct,
        with_pet=with_pet,
        with_mr=with_mr,
        with_table=realistic or bool(with_table),
    )
    if with_foci:
        made = replace(made, foci=marked_foci(patient, 0, grid))
    return _round_field(made) if round_field and not realistic else made


def _round_field(made: PhantomExam) -> PhantomExam:
    """Only the circle that a scanner reconstructs; outside it CT holds padding and nothing is labelled."""
    ct, organs = made.exam.ct, made.organs
    if ct is None or organs is None:
        return made
    i, j, _ = ct.geometry.shape
    x, y = np.arange(i) - (i - 1) / 2, np.arange(j) - (j - 1) / 2
    outside = (np.hypot(x[:, None], y[None, :]) > max(i, j) / 2)[:, :, None]
    volumes = {**made.exam.volumes, Role.CT: replace(ct, array=np.where(outside, np.float32(-1024.0), ct.array))}
    cut = label_map(np.where(outside, 0, organs.array).astype(np.uint8), organs.geometry)
    return replace(made, exam=replace(made.exam, volumes=volumes), organs=cut)


def sella_geometry(head: Geometry, rng: np.random.Generator, *, box_mm: float = 96.0) -> Geometry:
    """A random crop of a head grid of about the asked size; the sella lies somewhere inside."""
    offset = np.array([0.0, 12.0, -24.0])  # from the middle of the head to the sella
    middle = head.to_world((np.array(head.shape) - 1) / 2)
    centre = head.to_index(middle + offset + rng.uniform(-22, 22, 3))
    half = np.array([box_mm / 2 / s for s in head.spacing_mm])
    start = np.maximum(np.floor(centre - half), 0).astype(int)
    stop = np.minimum(np.ceil(centre + half), np.array(head.shape)).astype(int)
    return head.cropped((int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2])))
