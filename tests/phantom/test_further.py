"""Confounders and further irAEs: each is drawn, recorded in the truth, and changes what it should change."""

from dataclasses import replace

import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.core.focus import Nature
from irae.phantom import draw_patient, render_exam
from irae.phantom.archive import QUIET
from irae.phantom.disease import CONFOUNDER_SHARE, CONFOUNDERS, FURTHER_IRAES, DiseasePlan, draw_episode
from irae.phantom.draw import VisitPlan
from irae.phantom.render import body_geometry, head_geometry
from irae.phantom.scene import Stage, visit_materials
from irae.phantom.scene_abdomen import LIVER_VOLUME
from irae.phantom.scene_head import pituitary_state
from irae.phantom.tissue import Phase

NONE = dict.fromkeys(Irae, 0.0)


def _patient(*kinds, seed=3, force=None, mr=False):
    return draw_patient(
        np.random.default_rng(seed), visits=1,
        disease=DiseasePlan(irae=NONE, force=force or {}, confounder={**QUIET, **dict.fromkeys(kinds, 1.0)},
                            min_lesions=1, max_lesions=1),
        plan=VisitPlan(phase=Phase.PORTAL, has_pet=True, mr=mr),
    )  # fmt: skip


def _render(patient, field="chest_abdomen", spacing=5.0):
    grid = body_geometry(patient, 0, (spacing,) * 3, field=field)
    return render_exam(patient, 0, ct_geometry=grid, pet_geometry=grid, noise=False)


def test_every_confounder_has_a_share_and_every_further_irae_is_one():
    assert set(CONFOUNDERS) == set(CONFOUNDER_SHARE)
    assert set(FURTHER_IRAES) <= set(CONFOUNDERS)


def _pair(*kinds, field="chest_abdomen"):
    """The same patient without and with something."""
    ill = _patient(*kinds)
    return _render(replace(ill, confounders=()), field), _render(ill, field)


@pytest.mark.parametrize(
    ("kind", "organ", "hotter"),
    [("pancreatitis", "pancreas", 1.15), ("gastritis", "stomach", 1.15), ("enteritis", "small_bowel", 1.3)],
)
def test_a_further_irae_heats_its_organ_and_is_true(kind, organ, hotter):
    healthy, ill = _pair(kind, field="abdomen")
    heat = [np.percentile(e.exam.pet.array[e.organs.mask(organ)], 75) for e in (healthy, ill)]
    assert heat[1] > hotter * heat[0]
    assert set(ill.truth.further) == {kind}
    assert 1 <= ill.truth.further[kind] <= 3
    assert kind in ill.truth.confounders
    assert any(f.organ == organ and f.nature is Nature.INFLAMMATION for f in ill.truth.foci)
    assert not any(t.present for t in ill.truth.iraes)  # none of the five


def test_foci_without_a_ct_sign_leave_the_ct_alone():
    healthy, sore = _pair("arthritis", field="chest")
    joints = [f for f in sore.truth.lesions if f.kind == "arthritis"]
    assert len(joints) == 6
    i, j, k = np.rint(sore.exam.pet.geometry.to_index(joints[0].centre_ras_mm)).astype(int)
    assert sore.exam.pet.array[i, j, k] > 1.5 * healthy.exam.pet.array[i, j, k]
    assert abs(sore.exam.ct.array[i, j, k] - healthy.exam.ct.array[i, j, k]) < 1.0


def test_fluid_around_lungs_and_heart_is_no_organ():
    healthy, wet = _pair("lung_oedema", "pericardial_effusion", field="chest")
    lungs = [e.organs.volume_ml("lung_left") + e.organs.volume_ml("lung_right") for e in (healthy, wet)]
    assert lungs[1] < 0.95 * lungs[0]
    assert wet.organs.volume_ml("heart") == pytest.approx(healthy.organs.volume_ml("heart"), rel=0.05)


def test_severe_hepatitis_is_mostly_past_the_fifteen_per_cent_of_the_rule():
    rng = np.random.default_rng(0)
    for severity, at_least in ((2, 0.7), (3, 0.95)):
        grown = [
            (LIVER_VOLUME[severity] - 1) * draw_episode(rng, Irae.HEPATITIS, (severity,)).drawn["size"]
            for _ in range(400)
        ]
        assert np.mean(np.array(grown) > 0.15) > at_least


def _height(patient):
    return pituitary_state(Stage(None, patient, 0, visit_materials(patient, 0)))


def test_a_stalk_hypophysitis_thickens_the_stalk_more_than_the_gland():
    found = {}
    for seed in range(40):
        patient = _patient(seed=seed, force={Irae.HYPOPHYSITIS: (2,)}, mr=True)
        found.setdefault(patient.episode(Irae.HYPOPHYSITIS).pattern, []).append(_height(patient)[:2])
    assert set(found) == {"diffuse_gland", "stalk"}
    height, stalk = (np.array(found[p]).mean(axis=0) for p in ("diffuse_gland", "stalk"))
    assert height[0] > stalk[0] + 1
    assert stalk[1] > height[1] + 0.5


@pytest.mark.parametrize(("kind", "low", "high"), [("empty_sella", 0.05, 0.5), ("pituitary_macroadenoma", 1.3, 9.0)])
def test_sella_mimics_change_the_gland_and_belong_to_it(kind, low, high):
    patient = _patient(kind, mr=True)
    grid = head_geometry(patient, 0, 1.0, box_mm=(80, 80, 80))
    made = render_exam(patient, 0, with_ct=False, with_pet=False, with_mr=True, mr_geometry=grid)
    assert Role.MR in made.exam.volumes
    assert low < made.pituitary.volume_ml("pituitary") < high


def test_steroids_follow_an_irae_and_never_come_before_it():
    plan = DiseasePlan(irae={**NONE, Irae.COLITIS: 1.0}, confounder={**QUIET, "steroid": 1.0})
    for seed in range(6):
        patient = draw_patient(np.random.default_rng(seed), visits=4, disease=plan)
        onset = next(v for v, s in enumerate(patient.episode(Irae.COLITIS).severity) if s)
        given = [v for v in range(4) if patient.confounder("steroid", v) is not None]
        assert all(v > onset for v in given)
