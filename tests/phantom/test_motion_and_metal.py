"""Breathing between CT and PET, metal streaks, and what time and glucose do to uptake."""

import dataclasses

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.phantom.canvas import Pose
from irae.phantom.draw import TRAPS, VisitPlan, draw_patient, draw_scanner
from irae.phantom.metal import streaks
from irae.phantom.motion import breathe_ct, breathe_pet, diaphragm_share
from irae.phantom.patient import Breath
from irae.phantom.scanner import add_ct_noise
from irae.phantom.scene import uptake_factor

GRID = Geometry.axis_aligned((8, 8, 200), (4.0, 4.0, 4.0), (-14.0, -14.0, -800.0))
BODY = draw_patient(np.random.default_rng(0), visits=2, plan=VisitPlan(has_pet=True, mr=False))
STANDARD = dataclasses.replace(BODY.anatomy, length=1.0)


def _below(down_mm):
    """1 below a height of the standard body, 0 above it."""
    z = GRID.to_world([(0, 0, k) for k in range(GRID.shape[2])])[:, 2]
    return np.broadcast_to((-z > down_mm).astype(np.float32), GRID.shape).copy()


def _edge(image):
    """Height at which the column reaches one half, mm below the vertex."""
    return 800.0 - 4.0 * float(image[4, 4].sum()) + 2.0


def test_the_dome_on_pet_lies_where_the_breath_puts_it():
    dome = _below(560.0)
    still = breathe_pet(dome, GRID, Pose(), STANDARD, Breath())
    up = breathe_pet(dome, GRID, Pose(), STANDARD, Breath(pet_offset_mm=-10.0))
    assert still is dome
    assert _edge(dome) - _edge(up) == pytest.approx(10.0, abs=0.5)
    smeared = breathe_pet(dome, GRID, Pose(), STANDARD, Breath(pet_amplitude_mm=16.0))
    assert ((smeared[4, 4] > 0.05) & (smeared[4, 4] < 0.95)).sum() >= 3


@pytest.mark.parametrize("down", [300.0, 900.0])
def test_neither_the_apex_nor_the_pelvis_moves(down):
    assert diaphragm_share(np.array([down]))[0] == 0.0


def test_labels_move_with_a_ct_that_steps():
    dome = _below(560.0)
    labels = (dome > 0.5).astype(np.uint8)
    breath = Breath(ct_step_mm=6.0, phase=1.0)
    hu, moved = breathe_ct(dome, labels, GRID, Pose(), STANDARD, breath)
    assert not np.array_equal(moved, labels)
    assert ((hu > 0.5) == (moved > 0)).mean() > 0.98


def test_oblique_grids_are_left_alone():
    turned = np.zeros((4, 4))
    turned[:3, :3] = np.eye(3)[:, [2, 0, 1]] * 4.0
    turned[3, 3] = 1.0
    grid = Geometry(shape=(8, 8, 8), affine=turned)
    image = np.ones(grid.shape, dtype=np.float32)
    assert breathe_pet(image, grid, Pose(), STANDARD, Breath(pet_offset_mm=9.0)) is image


def test_metal_throws_rays_and_a_dark_band_between_two_hips_and_nothing_does_without_metal():
    hu = np.zeros((100, 60, 3), dtype=np.float32)
    grid = Geometry.axis_aligned(hu.shape, (3.0, 3.0, 3.0))
    assert streaks(hu, grid, np.random.default_rng(0)) is None
    hu[18:24, 28:33, 1] = hu[76:82, 28:33, 1] = 7000.0
    rays = streaks(hu, grid, np.random.default_rng(0))
    assert np.all(rays[:, :, [0, 2]] == 0)
    assert rays[:, :, 1].std() > 25
    assert rays[40:60, 29:32, 1].mean() < rays[40:60, :10, 1].mean() - 40


def test_shoulders_are_noisier_than_the_neck():
    hu = np.full((140, 80, 2), -1000.0, dtype=np.float32)
    hu[10:130, 15:65, 0] = 50.0
    hu[50:90, 25:55, 1] = 50.0
    grid = Geometry.axis_aligned(hu.shape, (3.5, 3.5, 3.5))
    scanner = dataclasses.replace(draw_scanner(np.random.default_rng(0), weight_kg=75.0), ct_offset_hu=0.0)
    noisy = add_ct_noise(hu, grid, scanner)
    assert noisy[15:125, 20:60, 0].std() > 1.5 * noisy[55:85, 30:50, 1].std()


def test_late_scans_show_hotter_tumours_and_colder_blood_and_glucose_spares_the_liver():
    today = BODY.visits[0]
    late = dataclasses.replace(today, scanner=dataclasses.replace(today.scanner, uptake_minutes=90.0))
    assert uptake_factor(late, "tumour") > 1.15
    assert uptake_factor(late, "blood") < 0.85
    sweet = dataclasses.replace(late, traps=("high_glucose",))
    assert uptake_factor(sweet, "tumour") == pytest.approx(0.8 * uptake_factor(late, "tumour"))
    assert uptake_factor(sweet, "liver") == uptake_factor(late, "liver")


def test_traps_never_spoil_the_baseline_and_are_recorded():
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(12):
        patient = draw_patient(rng, visits=3, plan=VisitPlan(has_pet=True, mr=False, traps=0.5))
        assert patient.visits[0].traps == ()
        for visit in patient.visits[1:]:
            seen |= set(visit.traps)
            assert ("late_pet" in visit.traps) == (visit.scanner.uptake_minutes > 80)
            assert ("other_phase" in visit.traps) == (visit.phase is not patient.visits[0].phase)
    assert seen == set(TRAPS)
