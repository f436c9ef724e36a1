"""A nodule that a consolidation touches broadly, completed from the part of its border that the lung shows."""

import numpy as np
import pytest
from scipy import ndimage

from irae.core.focus import FocusStatus
from irae.core.geometry import Geometry
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.free_border import ball_at_border
from irae.lesions.rules import FOCI_RULES
from tests.lesions.bodies import REFERENCE, Ball, draw
from tests.lesions.test_match import DAYS, LUNG, at, told

GRID = Geometry.axis_aligned((50, 50, 50), (1.5, 1.5, 1.5))
MIDDLE = np.array([36.0, 36.0, 36.0])


def lung(mm, *, wall_mm, off=(0.0, 0.0, 0.0)):
    """A ball in lung with a consolidation from ``wall_mm`` beside its middle on; negative: beyond it."""
    at_mm = GRID.to_world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1)) - MIDDLE
    hu = np.full(GRID.shape, -800.0)
    hu[np.linalg.norm(at_mm - off, axis=-1) <= mm / 2.0] = 40.0
    hu[at_mm[..., 0] > wall_mm] = 30.0
    noise = np.random.default_rng(3).normal(0.0, 25.0, GRID.shape)
    return (ndimage.gaussian_filter(hu, 1.0) + noise).astype(np.float32)


@pytest.mark.parametrize("wall_mm", [12.0, 5.0, 1.0])
@pytest.mark.parametrize("mm", [14.0, 22.0])
def test_the_ball_is_completed_behind_the_consolidation(mm, wall_mm):
    off = (2.0, -1.5, 1.0)
    found = ball_at_border(lung(mm, wall_mm=wall_mm, off=off), GRID, MIDDLE, 9.0, FOCI_RULES)
    assert found is not None
    assert found.size.longest_mm / FOCI_RULES.usual_shape[0] == pytest.approx(mm, abs=1.6)
    centre = found.geometry.to_world(np.argwhere(found.mask)).mean(axis=0)
    assert np.linalg.norm(centre - MIDDLE - off) < 2.0


@pytest.mark.parametrize(("mm", "wall_mm"), [(14.0, -6.0), (0.0, -4.0), (40.0, 5.0), (0.0, 30.0)],
                         ids=["buried", "a flat border", "another size", "nothing"])
def test_where_too_little_is_free_or_no_ball_nothing_is_said(mm, wall_mm):
    assert ball_at_border(lung(mm, wall_mm=wall_mm), GRID, MIDDLE, 7.0, FOCI_RULES) is None


def test_a_known_nodule_that_a_ragged_opacity_touches_keeps_its_size_and_its_track():
    """The opacity is four times its volume and more, as hot, and one region with it on the PET."""
    exam, organs = draw([Ball(LUNG, 14, 6.0)], day=DAYS[0])
    found = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=())
    before = EarlierExam(told(exam, found.foci), exam, organs)
    track = at(found.foci, LUNG).track
    x, y, z = LUNG
    chain = ((0, 0), (20, 0), (40, 0), (20, -18), (38, -20), (-20, 0), (-18, 20))
    beside = [Ball((x + 15, y + dy, z + dz), 26, 6.0, 20.0) for dy, dz in chain]
    exam, organs = draw([Ball(LUNG, 14, 6.0), *beside], day=DAYS[1], seed=9)
    foci = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                      reference=REFERENCE).foci
    (nodule,) = (f for f in foci if f.track == track)
    assert (nodule.status, nodule.features["followed"]) == (FocusStatus.KNOWN, 1.0)
    assert nodule.longest_mm == pytest.approx(at(found.foci, LUNG).longest_mm, abs=2.5)
