"""Whole synthetic patients: deterministic, anatomically plausible, and their images show what was drawn."""

import time
from collections import Counter

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME, MUSCLE, Irae
from irae.core.exam import Role
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.core.volume import Coverage
from irae.phantom import draw_patient, render_exam, training_sample
from irae.phantom.anatomy import skin_surface
from irae.phantom.archive import QUIET, archive_patient, demo_plan
from irae.phantom.disease import DiseasePlan, draw_episode
from irae.phantom.draw import VisitPlan
from irae.phantom.render import body_geometry
from irae.phantom.tissue import Phase

NONE = dict.fromkeys(Irae, 0.0)


def _patient(seed=3, *, force=None, confounder=None, visits=2, phase=Phase.PORTAL, **plan):
    disease = DiseasePlan(
        irae=NONE, force=force or {}, confounder={**QUIET, **(confounder or {})}, min_lesions=2, max_lesions=2,
        lesion_course="stable",
    )
    return draw_patient(
        np.random.default_rng(seed), visits=visits, disease=disease,
        plan=VisitPlan(phase=phase, has_pet=True, mr=False, **plan),
    )


def _render(patient, visit, spacing=5.0, field="whole"):
    grid = body_geometry(patient, visit, (spacing,) * 3, field=field)
    return render_exam(patient, visit, ct_geometry=grid, pet_geometry=grid)


def test_the_same_seed_gives_the_same_voxels_and_another_seed_does_not():
    a, b, c = (training_sample(s, spacing_mm=8.0) for s in (5, 5, 6))
    assert np.array_equal(a.exam.ct.array, b.exam.ct.array)
    assert np.array_equal(a.exam.pet.array, b.exam.pet.array)
    assert np.array_equal(a.organs.array, b.organs.array)
    assert a.truth == b.truth
    assert a.exam.ct.array.shape != c.exam.ct.array.shape or not np.array_equal(a.exam.ct.array, c.exam.ct.array)


@pytest.mark.parametrize("seed", range(6))
def test_organs_have_plausible_volumes_and_hounsfield_numbers(seed):
    exam = _render(_patient(seed, visits=1), 0, spacing=4.0)
    for name, organ in BY_NAME.items():
        if name == "pituitary":  # smaller than these voxels
            continue
        low, high = organ.volume_ml
        assert low <= exam.organs.volume_ml(name) <= high, name
    hu = exam.exam.ct.array
    lungs = exam.organs.mask("lung_left", "lung_right")
    assert -860 < np.median(hu[lungs]) < -650
    assert 70 < np.median(hu[exam.organs.mask("liver")]) < 150
    assert np.median(hu[exam.organs.mask("aorta")]) > np.median(hu[exam.organs.mask("liver")])
    assert hu[0].mean() < -700  # beside the patient there is air
    pet = exam.exam.pet.array
    assert 1.2 < np.median(pet[exam.organs.mask("liver")]) < 3.4
    assert np.median(pet[exam.organs.mask("brain")]) > 4
    assert np.percentile(pet[lungs], 50) < 0.9


def test_left_is_left():
    exam = _render(_patient(1, visits=1), 0, spacing=6.0)
    geometry = exam.organs.geometry

    def x_of(organ):
        return float(geometry.to_world(np.argwhere(exam.organs.mask(organ))).mean(axis=0)[0])

    assert x_of("liver") > 20 > -20 > x_of("spleen")
    assert x_of("lung_right") > 0 > x_of("lung_left")
    assert x_of("kidney_right") > 0 > x_of("kidney_left")


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_colitis_thickens_the_wall_and_raises_uptake_with_severity(severity):
    ill = _patient(11, force={Irae.COLITIS: (0, severity)})
    before, now = (_render(ill, v, field="abdomen") for v in (0, 1))
    assert not before.truth.irae(Irae.COLITIS).present
    truth = now.truth.irae(Irae.COLITIS)
    assert (truth.present, truth.severity, truth.visible) == (True, severity, True)
    assert now.truth.colon_wall_mm >= (3.0, 4.8, 7.5)[severity - 1] > before.truth.colon_wall_mm

    def suv95(exam):
        return np.percentile(exam.exam.pet.array[exam.organs.mask("colon")], 95)

    assert suv95(now) > suv95(before) * (1.1, 1.35, 1.6)[severity - 1]
    assert any(f.nature is Nature.INFLAMMATION and f.organ == "colon" for f in now.truth.foci)
    # Thick bowel stays bowel: the mask does not shrink.
    assert now.organs.volume_ml("colon") > 0.75 * before.organs.volume_ml("colon")


@pytest.mark.parametrize(("severity", "low", "high"), [(1, 0.02, 0.26), (2, 0.16, 0.58), (3, 0.42, 0.9)])
def test_pneumonitis_covers_the_lung_by_severity_and_consolidated_lung_stays_lung(severity, low, high):
    ill = _patient(4, force={Irae.PNEUMONITIS: (0, severity)}, phase=Phase.NATIVE)
    before, now = (_render(ill, v, field="chest") for v in (0, 1))

    def opaque(exam):
        return (exam.exam.ct.array[exam.organs.mask("lung_left", "lung_right")] > -650).mean()

    assert low < opaque(now) - opaque(before) < high
    places = [f for f in now.truth.foci if f.organ in ("lung_left", "lung_right")]
    assert places
    for place in places:
        i, j, k = np.rint(now.organs.geometry.to_index(place.centre_ras_mm)).astype(int)
        around = now.organs.array[i - 3 : i + 4, j - 3 : j + 4, k - 3 : k + 4]
        assert (around == now.organs.labels[place.organ]).any()
    volumes = [sum(e.organs.volume_ml(n) for n in ("lung_left", "lung_right")) for e in (before, now)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)


def test_thyroiditis_is_hot_first_and_small_and_pale_later():
    ill = _patient(7, force={Irae.THYROIDITIS: (0, 2, 3)}, visits=3, phase=Phase.NATIVE)
    exams = [_render(ill, v, spacing=3.0, field="neck_chest") for v in range(3)]
    volume = [e.organs.volume_ml("thyroid_gland") for e in exams]
    heat = [np.percentile(e.exam.pet.array[e.organs.mask("thyroid_gland")], 75) for e in exams]
    hu = [np.median(e.exam.ct.array[e.organs.mask("thyroid_gland")]) for e in exams]
    assert heat[1] > 2.1 > heat[2]
    assert heat[1] > 1.8 * heat[0]
    assert volume[2] < 0.85 * volume[0]
    assert hu[2] < hu[0] - 15
    assert [e.truth.irae(Irae.THYROIDITIS).phase for e in exams] == ["", "inflamed", "atrophic"]


def test_hypophysitis_raises_the_gland_on_mr():
    ill = _patient(5, force={Irae.HYPOPHYSITIS: (0, 3)})
    heights = []
    for visit in range(2):
        exam = render_exam(ill, visit, with_ct=False, with_pet=False, with_mr=True)
        index = np.argwhere(exam.pituitary.mask("pituitary"))
        heights.append(float(np.ptp(exam.pituitary.geometry.to_world(index)[:, 2])))
        gland = exam.exam.mr.array[exam.pituitary.mask("pituitary")]
        assert np.median(gland) > 1.3 * np.median(exam.exam.mr.array[exam.exam.mr.array > 100])
        assert abs(exam.truth.pituitary_height_mm - heights[-1]) < 2.5
    assert heights[1] > heights[0] + 2


def test_metformin_heats_the_whole_colon_but_leaves_the_wall_thin():
    drug, plain = _patient(9, confounder={"metformin": 1.0}, visits=1), _patient(9, visits=1)
    exams = [_render(p, 0, field="abdomen") for p in (drug, plain)]
    heat = [np.median(e.exam.pet.array[e.organs.mask("colon")]) for e in exams]
    assert heat[0] > 2 * heat[1]
    assert exams[0].truth.colon_wall_mm < 4.0  # healthy walls reach 5 mm where they are collapsed
    assert not exams[0].truth.irae(Irae.COLITIS).present
    assert all(f.nature is Nature.PHYSIOLOGIC for f in exams[0].truth.foci if f.organ == "colon")


def test_lesions_lie_where_the_truth_says():
    patient = _patient(21, visits=1)
    exam = _render(patient, 0, spacing=4.0)
    pet = exam.exam.pet
    for lesion in exam.truth.lesions:
        if lesion.nature is not Nature.METASTASIS or lesion.diameters_mm[2] < 10:
            continue
        i, j, k = np.rint(pet.geometry.to_index(lesion.centre_ras_mm)).astype(int)
        around = pet.array[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2]
        assert 0.25 * lesion.suv < around.max() < 1.5 * lesion.suv, lesion


@pytest.mark.parametrize("seed", range(5))
def test_metastases_never_lie_outside_the_skin(seed):
    patient = draw_patient(np.random.default_rng(seed), visits=1, disease=DiseasePlan(min_lesions=7))
    for lesion in patient.lesions:
        half_x, half_y, centre_x, centre_y = skin_surface(patient.anatomy).at(lesion.centre_mm[2])
        x, y, _ = lesion.centre_mm
        assert np.hypot((x - centre_x) / half_x, (y - centre_y) / half_y) < 1.0, lesion


def test_about_fifteen_in_a_hundred_true_iraes_leave_no_sign():
    rng = np.random.default_rng(0)
    hidden = np.mean([not draw_episode(rng, Irae.PNEUMONITIS, (0, 2)).visible for _ in range(2000)])
    assert hidden == pytest.approx(0.15, abs=0.03)
    assert not draw_episode(rng, Irae.HEPATITIS, (0, 1)).visible


@pytest.mark.parametrize("seed", [0, 1, 7, 123])
def test_the_first_four_patients_of_any_archive_are_instructive(seed):
    patients = [archive_patient(n, seed=seed, visits=3) for n in range(4)]

    def develops(irae):
        episodes = [(p, p.episode(irae)) for p in patients]
        return [p for p, e in episodes if e and e.visible and e.severity[0] == 0 < max(e.severity)]

    assert develops(Irae.COLITIS)
    assert develops(Irae.PNEUMONITIS)
    with_mr = [p for p in patients if all(v.mr_on is not None for v in p.visits)]
    assert set(with_mr) & set(develops(Irae.HYPOPHYSITIS) + develops(Irae.THYROIDITIS))
    assert any(x.diameter_mm[0] == 0 and max(x.diameter_mm) >= 10 for p in patients for x in p.lesions)
    assert {"pseudoprogression", "response"} & {x.course for p in patients for x in p.lesions}
    for patient in patients:
        start = next(e.start for e in patient.context.entries if e.kind.value == "therapy")
        assert patient.visits[0].acquired_on < start < patient.visits[1].acquired_on
        assert 8 <= max(d for x in patient.lesions for d in x.diameter_mm) <= 90


def test_demo_plans_know_any_number_of_visits():
    for visits in (1, 2, 5):
        for number in range(5):
            disease, plan = demo_plan(number, visits)
            patient = draw_patient(np.random.default_rng(1), visits=visits, disease=disease, plan=plan)
            assert len(patient.visits) == visits


def test_a_cut_organ_is_partial_and_an_absent_one_is_none():
    chest = _render(_patient(2, visits=1), 0, field="chest").organs
    assert chest.coverage["liver"] is Coverage.PARTIAL
    assert chest.coverage["brain"] is Coverage.NONE
    assert chest.coverage["heart"] is Coverage.WHOLE


def test_an_oblique_grid_shows_the_same_body():
    patient = _patient(2, visits=1)
    straight = body_geometry(patient, 0, (6.0, 6.0, 6.0), field="chest")
    turn = np.deg2rad(10)
    affine = straight.affine.copy()
    affine[:3, :3] = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) * 6.0
    centre = straight.to_world((np.array(straight.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(straight.shape) - 1) / 2)
    oblique = Geometry(shape=straight.shape, affine=affine)
    a = render_exam(patient, 0, ct_geometry=straight, with_pet=False)
    b = render_exam(patient, 0, ct_geometry=oblique, with_pet=False)
    for organ in ("heart", "lung_left"):
        centres = [g.organs.geometry.to_world(np.argwhere(g.organs.mask(organ))).mean(axis=0) for g in (a, b)]
        assert np.linalg.norm(centres[0] - centres[1]) < 4.0
        assert a.organs.volume_ml(organ) == pytest.approx(b.organs.volume_ml(organ), rel=0.06)


def test_wrong_calls_are_refused():
    patient = _patient(visits=1)
    with pytest.raises(ValueError, match="visits 0 to 0"):
        render_exam(patient, 1)
    with pytest.raises(ValueError, match="field must be one of"):
        training_sample(1, spacing_mm=6.0, field="foot")
    with pytest.raises(ValueError, match="spacing must be positive"):
        training_sample(1, spacing_mm=0.0)
    with pytest.raises(ValueError, match="at least one visit"):
        draw_patient(np.random.default_rng(0), visits=0)
    with pytest.raises(ValueError, match="nothing to render"):
        render_exam(patient, 0, with_ct=False, with_pet=False, with_mr=False)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_mr_sample_holds_the_gland_in_a_small_box(seed):
    sample = training_sample(seed, spacing_mm=6.0, with_ct=False, with_pet=False, with_mr=True)
    assert set(sample.exam.volumes) == {Role.MR}
    assert sample.pituitary.coverage["pituitary"] is Coverage.WHOLE
    assert 0.15 < sample.pituitary.volume_ml("pituitary") < 1.6
    assert max(np.array(sample.exam.mr.geometry.shape) * sample.exam.mr.geometry.spacing_mm) < 102


def test_a_training_sample_is_quick():
    training_sample(0, spacing_mm=6.0)
    start = time.process_time()
    for seed in range(1, 4):
        training_sample(seed, spacing_mm=6.0)
    assert (time.process_time() - start) / 3 < 1.0


def test_first_diameters_do_not_pile_up_at_their_limits():
    # Clipped draws did: 24 % of the lung's measured 10.0 mm, where a lesion becomes measurable.
    patients = [draw_patient(np.random.default_rng(seed), visits=1, key="P", seed=seed) for seed in range(60)]
    first = [x.diameter_mm[0] for p in patients for x in p.lesions if x.nature is Nature.METASTASIS]
    assert len(first) > 150
    assert max(Counter(first).values()) < 0.04 * len(first)
    assert min(first) >= 10.0
    assert max(first) <= 42.0


def test_metastases_lie_in_the_tissue_that_they_name():
    inside: Counter[tuple[str, bool]] = Counter()
    for seed in range(8):
        patient = draw_patient(
            np.random.default_rng(seed), visits=1, disease=DiseasePlan(min_lesions=6, max_lesions=14),
            plan=VisitPlan(has_pet=False, mr=False),
        )
        grid = body_geometry(patient, 0, (5.0,) * 3)
        organs = render_exam(patient, 0, ct_geometry=grid, with_pet=False, with_mr=False).organs
        for lesion in patient.lesions:
            index = np.round(grid.to_index(patient.visits[0].pose.to_world(np.array(lesion.centre_mm)))).astype(int)
            if ((index >= 0) & (index < grid.shape)).all():
                found = organs.name_of(int(organs.array[tuple(index)]))
                own = {"soft_tissue": MUSCLE, "lymph_node": None, "bone": None}.get(lesion.organ, lesion.organ)
                inside[lesion.organ, found == own] += 1
    for organ in ("lung_left", "lung_right", "liver", "soft_tissue", "vertebrae", "lymph_node"):
        assert inside[organ, True] >= 5 * inside[organ, False], (organ, inside)
