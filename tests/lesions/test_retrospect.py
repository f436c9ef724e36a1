"""A focus that is listed for the first time though an earlier exam shows it."""

from dataclasses import replace

import numpy as np
import pytest

from irae.core.focus import FocusStatus
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.register import register
from tests.lesions.bodies import REFERENCE, Ball, draw
from tests.lesions.test_match import DAYS, LUNG, NODE, at, told


def looked_back(now, *then, unlisted=(NODE, LUNG), shift=(9, -7, 12)):
    """Foci of the last exam; earlier ones did not list what they show at ``unlisted``."""
    earlier = []
    for day, balls in zip(DAYS, then, strict=False):
        exam, organs = draw(balls, day=day, seed=3)
        found = find_foci(exam, organs=organs, reference=REFERENCE)
        foci = [f for f in match_foci(found, exam, earlier=()).foci
                if all(np.linalg.norm(np.subtract(f.centroid_ras_mm, place)) > 15 for place in unlisted)]
        earlier.append(EarlierExam(told(exam, foci), exam, organs))
    exam, organs = draw(now, day=DAYS[len(then)], seed=5, shift=shift)
    found = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=earlier)
    return found, shift


@pytest.mark.parametrize(("place", "suv"), [(NODE, 7.0), (LUNG, 0.5)])
def test_what_an_earlier_exam_shows_is_marked_and_said(place, suv):
    """A node that was as hot, and a lung nodule that was as solid."""
    ball = Ball(place, 16, suv)
    found, shift = looked_back([ball], [ball])
    focus = at(found.foci, place, shift)
    assert focus.status is FocusStatus.NEW
    assert focus.features["seen_days_before"] == (DAYS[1] - DAYS[0]).days
    assert focus.track in next(n.text for n in found.notices if n.code == "seen_in_retrospect")


def test_a_new_lesion_is_new():
    found, shift = looked_back([Ball(NODE, 16, 7.0), Ball(LUNG, 16, 5.0)], [])
    assert all("seen_days_before" not in at(found.foci, place, shift).features for place in (NODE, LUNG))
    assert "seen_in_retrospect" not in {n.code for n in found.notices}


def test_what_was_there_far_fainter_is_new():
    found, shift = looked_back([Ball(NODE, 16, 14.0)], [Ball(NODE, 16, 5.0)])
    assert "seen_days_before" not in at(found.foci, NODE, shift).features


def test_the_oldest_exam_that_shows_it_counts():
    ball = Ball(NODE, 16, 7.0)
    found, shift = looked_back([ball], [], [ball])
    assert at(found.foci, NODE, shift).features["seen_days_before"] == (DAYS[2] - DAYS[1]).days
    found, shift = looked_back([ball], [ball], [])
    assert at(found.foci, NODE, shift).features["seen_days_before"] == (DAYS[2] - DAYS[0]).days


def test_a_mapping_and_its_inverse_give_the_place_back():
    exam, _ = draw([], day=DAYS[0])
    later, _ = draw([], day=DAYS[1], shift=(9, -7, 12), seed=5)
    mapping = register(exam, later)
    places = np.array([NODE, LUNG], float)
    assert np.allclose(mapping.to_now(mapping.to_then(places)), places, atol=0.1)
    assert np.abs(mapping.to_then(places) - places).max() > 5.0


def test_without_a_pet_then_uptake_says_nothing():
    exam, organs = draw([Ball(NODE, 16, 7.0, None)], day=DAYS[0], pet=False)
    earlier = EarlierExam(told(exam, ()), exam, organs)
    now, organs = draw([Ball(NODE, 16, 7.0)], day=DAYS[1], seed=5)
    found = match_foci(find_foci(now, organs=organs, reference=REFERENCE), now, earlier=[earlier])
    assert "seen_days_before" not in at(found.foci, NODE).features
    assert replace(at(found.foci, NODE), features={}).status is FocusStatus.NEW
