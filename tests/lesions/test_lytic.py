"""Lytic lesions on CT: holes in drawn bone, and the known ones that a PET no longer shows."""

import numpy as np
import pytest
from scipy import ndimage

from irae.core.focus import FocusSource, FocusStatus
from irae.core.geometry import Geometry
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.lytic import lytic_on_ct, marrow_beside
from irae.lesions.rules import FOCI_RULES
from irae.quant.diameter import axial_diameters
from tests.lesions.bodies import REFERENCE, Ball, draw
from tests.lesions.test_match import DAYS, at, told

GRID = Geometry.axis_aligned((60, 60, 60), (1.5, 1.5, 1.5))
MIDDLE = np.array([45.0, 45.0, 45.0])
OFF = np.array([55.0, 45.0, 45.0])
PLACE = (0, -60, 230)


def bone(hole_mm, *, off_mm=0.0, hole_hu=85.0, marrow_hu=200.0):
    """A bone of 44 mm in muscle with a hole ``off_mm`` from its middle, as slices of 3 mm show it."""
    at_mm = GRID.to_world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1))
    hu = np.where(np.linalg.norm(at_mm - MIDDLE, axis=-1) <= 22.0, marrow_hu, 55.0)
    hu[np.linalg.norm(at_mm - MIDDLE - (off_mm, 0.0, 0.0), axis=-1) <= hole_mm / 2] = hole_hu
    noise = np.random.default_rng(5).normal(0.0, 20.0, GRID.shape)
    return (ndimage.gaussian_filter(hu, 1.0) + ndimage.gaussian_filter(noise, 0.7)).astype(np.float32)


@pytest.mark.parametrize("diameter_mm", [9.0, 14.0, 22.0])
def test_a_hole_in_bone_is_measured_on_the_ct_though_the_pet_says_more(diameter_mm):
    found = lytic_on_ct(bone(diameter_mm), GRID, [MIDDLE + 1.0], [0.65 * diameter_mm], FOCI_RULES)
    assert found is not None
    assert axial_diameters(found, GRID).longest_mm == pytest.approx(diameter_mm, abs=1.6)


@pytest.mark.parametrize("drawn", [
    bone(14.0, off_mm=20.0), bone(14.0, hole_hu=185.0), bone(14.0, hole_hu=200.0), bone(14.0, marrow_hu=110.0),
    np.full(GRID.shape, 55.0, np.float32),
], ids=["open to muscle", "little contrast", "none", "old marrow", "no bone"])
def test_where_bone_does_not_show_its_border_nothing_is_said(drawn):
    assert lytic_on_ct(drawn, GRID, [MIDDLE, OFF], [7.0, 9.0], FOCI_RULES) is None


def test_a_lytic_lesion_that_has_cooled_is_measured_by_its_hole():
    marrow = Ball(PLACE, 50, 1.0, 210.0)
    exam, organs = draw([marrow, Ball(PLACE, 18, 7.0, 80.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    assert at(found.foci, PLACE).organ == "bone"
    assert at(found.foci, PLACE).longest_mm == pytest.approx(18, abs=1.6)
    assert at(found.foci, PLACE).features["lytic_mm"] == at(found.foci, PLACE).longest_mm
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    for balls, status in (((marrow, Ball(PLACE, 13, 1.0, 80.0)), FocusStatus.KNOWN), ((marrow,), FocusStatus.GONE)):
        exam, organs = draw(balls, day=DAYS[1], seed=9)
        left = at(match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                             reference=REFERENCE).foci, PLACE)
        assert left.status is status
        if status is FocusStatus.KNOWN:
            assert (left.source, left.features["followed"]) == (FocusSource.CT, 1.0)
            assert left.longest_mm == pytest.approx(13, abs=1.6)


def test_the_marrow_beside_a_lesion_is_that_of_its_bone_whatever_lies_around_the_bone():
    at_mm = GRID.to_world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1))
    off = np.linalg.norm(at_mm - MIDDLE, axis=-1)
    lesion = off <= 6.0
    suv = np.where(lesion, 3.5, np.where(off <= 22.0, 2.0, 0.5)).astype(np.float32)
    suv = ndimage.gaussian_filter(suv, 1.5)
    nothing = np.zeros(GRID.shape, bool)
    found = marrow_beside(lesion, nothing, suv, GRID, bone(0.0), GRID, FOCI_RULES)
    assert found == pytest.approx(2.0, abs=0.15)
    hot = at_mm[..., 0] > MIDDLE[0] + 10.0  # another focus: not marrow
    assert marrow_beside(lesion, hot, np.where(hot, 9.0, suv), GRID, bone(0.0), GRID, FOCI_RULES) < 2.3
    assert marrow_beside(lesion, nothing, suv, GRID, np.full(GRID.shape, 55.0, np.float32), GRID, FOCI_RULES) == 0.0
