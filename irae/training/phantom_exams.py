"""Synthetic exams with their whole truth, for an evaluation: as in use, with and without PET and baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.core.volume import Volume
from irae.phantom.disease import CONFOUNDER_SHARE, DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, head_geometry, render_exam
from irae.training.annotated import AnnotatedExam, TrueFocus

# Design values: half of all irAEs, so that few patients say much; PET and baseline are as often absent as in practice.
IRAE_CHANCE, PET_SHARE, BASELINE_SHARE = 0.5, 0.7, 0.6
BODY_MM, HEAD_MM = 4.0, 1.2
# CT sharper than this (full width at half maximum, mm) is one subgroup, the rest the other.
SHARP_MM = 2.5


def phantom_exams(seeds: Sequence[int], *, body_mm: float = BODY_MM) -> Iterator[AnnotatedExam]:
    """One exam of each seed's patient, the same for the same seed; its baseline beside it where there is one."""
    for seed in seeds:
        rng = np.random.default_rng((seed, 0xE7A1))
        patient = draw_patient(
            np.random.default_rng((seed, 0x1AE)), visits=2, key=f"EVAL-{seed}", seed=seed,
            disease=DiseasePlan(
                irae=dict.fromkeys(Irae, IRAE_CHANCE),
                confounder={kind: min(1.3 * share, 0.4) for kind, share in CONFOUNDER_SHARE.items()},
            ),
            plan=VisitPlan(has_pet=True, mr=True, wide=1.3),
        )
        with_pet, compared = rng.random() < PET_SHARE, rng.random() < BASELINE_SHARE
        now = _seen(patient, 1, body_mm=body_mm, with_pet=with_pet)
        yield replace(now, before=_seen(patient, 0, body_mm=body_mm, with_pet=True) if compared else None)


def _seen(patient: Patient, visit: int, *, body_mm: float, with_pet: bool) -> AnnotatedExam:
    grid = body_geometry(patient, visit, (body_mm,) * 3)
    made = render_exam(
        patient, visit, ct_geometry=grid, pet_geometry=grid, mr_geometry=head_geometry(patient, visit, HEAD_MM)
    )
    exam = made.exam
    if not with_pet:
        kept: dict[Role, Volume] = {role: image for role, image in exam.volumes.items() if role is not Role.PET}
        exam = replace(exam, volumes=kept, origins={role: o for role, o in exam.origins.items() if role in kept})
    foci = tuple(
        TrueFocus(centre_ras_mm=focus.centre_ras_mm, radius_mm=float(np.cbrt(np.prod(focus.diameters_mm))) / 2.0)
        for focus in made.truth.lesions
    )
    scanner = patient.visits[visit].scanner
    return AnnotatedExam(
        exam=exam, organs=made.organs, pituitary=made.pituitary,
        present={irae: made.truth.irae(irae).present for irae in Irae},
        visible={irae: made.truth.irae(irae).visible for irae in Irae},
        foci=foci if with_pet else None,
        groups={"sex": patient.anatomy.sex, "scanner": "sharp" if scanner.ct_fwhm_mm <= SHARP_MM else "soft"},
    )
