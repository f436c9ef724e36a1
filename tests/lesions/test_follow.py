"""A lesion known from PET/CT on a later CT without PET: measured at its place, or said not to be."""

from dataclasses import replace

import numpy as np
import pytest

from irae.core.focus import FocusStatus, Nature
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.match import match_and_follow
from tests.lesions.bodies import REFERENCE, Ball, draw
from tests.lesions.test_match import DAYS, LIVER, NODE, told


@pytest.fixture(scope="module")
def before():
    """A PET/CT with a node in fat and a liver lesion of the liver's own attenuation."""
    exam, organs = draw([Ball(NODE, 14, 7.0), Ball(LIVER, 20, 8.0, None)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    return EarlierExam(told(exam, match_foci(found, exam, organs=organs, earlier=())), exam, organs)


def later(before, *balls, shift=(0, 0, 0)):
    """What is found on a CT without PET two months later; the body lies elsewhere by ``shift``."""
    exam, organs = draw([*balls, Ball(LIVER, 20, 8.0, None)], day=DAYS[1], pet=False, shift=shift, seed=9)
    return match_and_follow(find_foci(exam, organs=organs, reference=None), exam, earlier=[before])


def track_of(before, place):
    foci = [a.focus for a in before.result.foci]
    return min(foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, place))).track


@pytest.mark.parametrize(("diameter_mm", "shift"), [(14, (0, 0, 0)), (20, (12, -9, 15)), (12, (-10, 6, 0))])
def test_a_known_node_is_measured_at_its_registered_place(before, diameter_mm, shift):
    found = later(before, Ball(NODE, diameter_mm, 7.0), shift=shift)
    (node,) = (f for f in found.foci if f.track == track_of(before, NODE))
    assert node.status is FocusStatus.KNOWN
    assert node.suv_max is None
    assert node.is_node == next(a.focus.is_node for a in before.result.foci if a.focus.track == node.track)
    assert node.longest_mm == pytest.approx(diameter_mm, abs=2.5)
    assert np.linalg.norm(np.subtract(node.centroid_ras_mm, np.add(NODE, shift))) < 3.0
    painted = np.count_nonzero(found.labels == node.id) * found.geometry.voxel_volume_ml
    assert painted == pytest.approx(node.volume_ml, rel=0.25)
    said = next(n for n in found.notices if n.code == "known_lesions_followed")
    assert node.track in said.text


def test_what_the_ct_does_not_show_is_said_and_not_called_gone(before):
    found = later(before)
    said = next(n.text for n in found.notices if n.code == "known_lesions_not_seen")
    for place in (NODE, LIVER):
        assert track_of(before, place) in said
        assert track_of(before, place) not in {f.track for f in found.foci}


def test_normal_uptake_is_not_followed(before):
    result = replace(before.result, foci=tuple(replace(a, nature=Nature.PHYSIOLOGIC) for a in before.result.foci))
    found = later(EarlierExam(result, before.exam, before.organs), Ball(NODE, 14, 7.0))
    assert not {"known_lesions_followed", "known_lesions_not_seen"} & {n.code for n in found.notices}


def test_with_a_pet_nothing_is_followed(before):
    exam, organs = draw([Ball(NODE, 14, 7.0)], day=DAYS[1], seed=9)
    found = match_and_follow(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before])
    assert not {"known_lesions_followed", "known_lesions_not_seen"} & {n.code for n in found.notices}
    assert [f.status for f in found.foci if f.track == track_of(before, NODE)] == [FocusStatus.KNOWN]
