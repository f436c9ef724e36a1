"""A lesion known from PET/CT that a later search does not find: measured at its place, or said not to be."""

from dataclasses import replace

import numpy as np
import pytest

from irae.core.focus import FocusSource, FocusStatus, Nature
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.follow import follow, label_at
from irae.lesions.values import Known
from tests.lesions.bodies import PET_GRID, REFERENCE, Ball, draw, points
from tests.lesions.test_match import DAYS, LIVER, LUNG, NODE, at, told


@pytest.fixture(scope="module")
def before():
    """A PET/CT with a node in fat and a liver lesion of the liver's own attenuation."""
    exam, organs = draw([Ball(NODE, 14, 7.0), Ball(LIVER, 20, 8.0, None)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    return EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)


def later(before, *balls, shift=(0, 0, 0)):
    """What is found on a CT without PET two months later; the body lies elsewhere by ``shift``."""
    exam, organs = draw([*balls, Ball(LIVER, 20, 8.0, None)], day=DAYS[1], pet=False, shift=shift, seed=9)
    return match_foci(find_foci(exam, organs=organs, reference=None), exam, earlier=[before])


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


def on_pet(before, *balls, shift=(0, 0, 0)):
    """What is found on a PET/CT two months later."""
    exam, organs = draw(balls, day=DAYS[1], shift=shift, seed=9)
    return match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                            reference=REFERENCE)


def test_what_the_search_of_a_pet_finds_is_not_followed_besides(before):
    found = on_pet(before, Ball(NODE, 14, 7.0), Ball(LIVER, 20, 8.0, None))
    assert "known_lesions_followed" not in {n.code for n in found.notices}
    assert [f.status for f in found.foci if f.track == track_of(before, NODE)] == [FocusStatus.KNOWN]


def test_a_node_that_has_cooled_is_still_measured_on_the_ct(before):
    found = on_pet(before, Ball(NODE, 12, 0.5), shift=(8, -6, 10))
    (node,) = (f for f in found.foci if f.track == track_of(before, NODE))
    assert (node.status, node.source, node.features["followed"]) == (FocusStatus.KNOWN, FocusSource.CT, 1.0)
    assert node.longest_mm == pytest.approx(12, abs=2.5)
    assert node.suv_max < 1.0  # as the PET has it
    assert node.features["suv_peak_ratio"] < 0.3


def test_a_node_that_has_cooled_is_cut_off_the_vessel_that_it_touches(before):
    beside = np.add(NODE, (13.0, 0.0, 0.0))  # their surfaces touch
    vessel = [Ball(tuple(np.add(beside, (0.0, 0.0, dz))), 12, 0.5) for dz in range(-40, 44, 4)]
    found = on_pet(before, Ball(NODE, 14, 0.5), *vessel)
    (node,) = (f for f in found.foci if f.track == track_of(before, NODE))
    assert (node.status, node.source, node.features["followed"]) == (FocusStatus.KNOWN, FocusSource.CT, 1.0)
    assert node.longest_mm == pytest.approx(14, abs=3.0)
    assert np.linalg.norm(np.subtract(node.centroid_ras_mm, NODE)) < 4.0
    alone = on_pet(before, *vessel)
    assert track_of(before, NODE) in {f.track for f in alone.foci if f.status is FocusStatus.GONE}, "no node"


def test_a_liver_lesion_too_faint_for_the_search_is_measured_by_what_is_left_of_its_uptake(before):
    faint = Ball(LIVER, 18, 2.9, None)  # 1.3 times the liver before the blur: below every threshold of the search
    found = on_pet(before, faint)
    (liver,) = (f for f in found.foci if f.track == track_of(before, LIVER))
    assert (liver.status, liver.source) == (FocusStatus.KNOWN, FocusSource.PET)
    assert liver.features["followed"] == 1.0
    assert liver.longest_mm == pytest.approx(18, abs=5.0)
    assert np.linalg.norm(np.subtract(liver.centroid_ras_mm, LIVER)) < 5.0
    assert liver.track in next(n.text for n in found.notices if n.code == "known_lesions_followed")
    # Nobody who does not know the place believes it.
    exam, organs = draw([faint], day=DAYS[1], seed=9)
    assert "liver" not in {f.organ for f in find_foci(exam, organs=organs, reference=REFERENCE).foci}


def test_what_is_left_of_uptake_has_not_grown(before):
    (liver,) = (f for f in on_pet(before, Ball(LIVER, 23, 2.75, None)).foci if f.track == track_of(before, LIVER))
    was = next(a.focus for a in before.result.foci if a.focus.track == liver.track)
    assert liver.features["followed"] == 1.0
    assert liver.features["volume_ratio"] > 1.2
    assert liver.longest_mm <= was.longest_mm


def test_where_neither_ct_nor_pet_shows_it_a_pet_says_that_it_is_gone(before):
    found = on_pet(before)
    gone = {f.track for f in found.foci if f.status is FocusStatus.GONE}
    assert {track_of(before, NODE), track_of(before, LIVER)} <= gone


def test_a_residual_is_not_the_slope_of_what_is_hotter_beside_it(before):
    """A new node 20 mm beside the place of the old one has its own focus; nothing is left of the old one."""
    beside = (NODE[0] + 24, NODE[1], NODE[2])
    found = on_pet(before, Ball(beside, 16, 9.0))
    assert sum(f.features.get("followed", 0.0) for f in found.foci) == 0.0


@pytest.mark.parametrize(("hu", "seen"), [(250.0, 0), (40.0, 1)])
def test_the_marrow_of_bone_at_its_place_is_not_what_is_left_of_a_node(before, hu, seen):
    """As registration or breathing may put it there; the same uptake in soft tissue is the node's."""
    node = next(a.focus for a in before.result.foci if a.focus.track == track_of(before, NODE))
    exam, organs = draw([Ball(NODE, 50, 1.0, hu), Ball(NODE, 14, 2.4, None)], day=DAYS[1], seed=9)
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    lost = Known(focus=node, place=np.array(NODE, float), nature=Nature.METASTASIS)
    assert len(follow(found, exam, [lost], REFERENCE).tracks) == seen


def test_a_lung_nodule_that_shrank_below_the_voxels_of_a_coarse_ct_is_measured_there():
    place = (80, 0, 300)
    exam, organs = draw([Ball(place, 16, 7.0)], day=DAYS[0], ct_grid=PET_GRID)
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    track = track_of(before, place)
    exam, organs = draw([Ball(place, 6, 0.6)], day=DAYS[1], ct_grid=PET_GRID, seed=9)
    found = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                       reference=REFERENCE)
    (left,) = (f for f in found.foci if f.track == track)
    assert (left.status, left.source, left.features["followed"]) == (FocusStatus.KNOWN, FocusSource.CT, 1.0)
    assert left.longest_mm == pytest.approx(6, abs=2.0)
    exam, organs = draw([], day=DAYS[1], ct_grid=PET_GRID, seed=9)
    found = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                       reference=REFERENCE)
    assert [f.status for f in found.foci if f.track == track] == [FocusStatus.GONE]


@pytest.fixture(scope="module")
def with_lung_nodule():
    """A PET/CT with a nodule of 12 mm in the lung."""
    exam, organs = draw([Ball(LUNG, 12, 7.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    return EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)


def test_a_metastasis_under_an_opacity_is_hidden_and_neither_grown_nor_gone(with_lung_nodule):
    found = on_pet(with_lung_nodule, Ball(LUNG, 50, 4.0))
    track = track_of(with_lung_nodule, LUNG)
    assert track not in {f.track for f in found.foci}
    assert track in next(n.text for n in found.notices if n.code == "known_lesions_hidden")
    opacity = at(found.foci, LUNG)
    assert opacity.status is FocusStatus.NEW


def test_what_an_opacity_surrounds_is_hidden_though_its_middle_is_cold(with_lung_nodule):
    found = on_pet(with_lung_nodule, Ball(LUNG, 56, 4.0), Ball(LUNG, 9, 0.5))
    track = track_of(with_lung_nodule, LUNG)
    assert track in next(n.text for n in found.notices if n.code == "known_lesions_hidden")


def test_in_ground_glass_the_ct_still_shows_and_measures_it(with_lung_nodule):
    found = on_pet(with_lung_nodule, Ball(LUNG, 50, 4.0, -600.0), Ball(LUNG, 10, 4.0))
    (nodule,) = (f for f in found.foci if f.track == track_of(with_lung_nodule, LUNG))
    assert (nodule.status, nodule.source, nodule.features["followed"]) == (FocusStatus.KNOWN, FocusSource.CT, 1.0)
    assert nodule.longest_mm == pytest.approx(10, abs=2.0)
    painted = np.count_nonzero(found.labels == nodule.id) * found.geometry.voxel_volume_ml
    assert painted == pytest.approx(nodule.volume_ml, rel=0.4)  # over the opacity, which keeps the rest
    assert "known_lesions_hidden" not in {n.code for n in found.notices}


@pytest.mark.parametrize("overlap_mm", [3.0, 0.0])
def test_a_nodule_at_the_border_of_a_consolidation_is_cut_off_it_on_the_ct(with_lung_nodule, overlap_mm):
    x, y, z = LUNG
    found = on_pet(with_lung_nodule, Ball((x, y + 27 - overlap_mm, z), 38, 4.0), Ball(LUNG, 16, 3.0))
    (nodule,) = (f for f in found.foci if f.track == track_of(with_lung_nodule, LUNG))
    assert (nodule.status, nodule.source, nodule.features["followed"]) == (FocusStatus.KNOWN, FocusSource.CT, 1.0)
    assert nodule.longest_mm == pytest.approx(16, abs=2.0)


def test_inflammation_may_have_spread(with_lung_nodule):
    result = replace(with_lung_nodule.result, foci=tuple(
        replace(a, nature=Nature.INFLAMMATION) for a in with_lung_nodule.result.foci
    ))
    found = on_pet(EarlierExam(result, with_lung_nodule.exam, with_lung_nodule.organs), Ball(LUNG, 50, 4.0))
    opacity = at(found.foci, LUNG)
    assert (opacity.track, opacity.status) == (track_of(with_lung_nodule, LUNG), FocusStatus.KNOWN)


@pytest.mark.parametrize(("colon_suv", "hu", "status"), [
    (12.0, 40.0, [FocusStatus.KNOWN]), (12.0, None, []), (5.0, None, [FocusStatus.GONE]),
], ids=["the CT shows it", "hidden", "cooled"])
def test_what_an_inflamed_colon_as_hot_has_taken_in_is_measured_on_the_ct_or_hidden_and_not_gone(colon_suv, hu, status):
    """The colon's mask runs over the node, so that both are the colon's picture."""
    place = (2, 0, 120)
    exam, organs = draw([Ball(place, 26, 12.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    track = track_of(before, place)
    exam, organs = draw([Ball(place, 26, colon_suv, hu)], colon_suv=colon_suv, day=DAYS[1], seed=2)
    array = organs.array.copy()
    array[np.linalg.norm(points(organs.geometry) - place, axis=-1) <= 14.0] = organs.labels["colon"]
    found = find_foci(exam, organs=replace(organs, array=array), reference=REFERENCE)
    (colon,) = (f for f in found.foci if f.features.get("picture") and f.organ == "colon")
    assert label_at(np.array(place), found.labels, found.geometry) == colon.id
    found = match_foci(found, exam, earlier=[before], reference=REFERENCE)
    now = [f for f in found.foci if f.track == track]
    assert [f.status for f in now] == status
    assert any(track in n.text for n in found.notices if n.code == "known_lesions_hidden") is (not status)
    if hu is not None:
        assert now[0].longest_mm == pytest.approx(26, abs=3.0)


def test_a_cooled_node_among_hot_bowel_that_its_mask_takes_in_is_measured_by_its_own_uptake():
    place = (24, 0, 120)
    exam, organs = draw([Ball(place, 24, 14.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    track = track_of(before, place)
    exam, organs = draw([Ball(place, 16, 7.0, None)], colon_suv=12.0, day=DAYS[1], seed=2)
    array = organs.array.copy()
    array[np.linalg.norm(points(organs.geometry) - place, axis=-1) <= 9.0] = organs.labels["colon"]
    found = find_foci(exam, organs=replace(organs, array=array), reference=REFERENCE)
    held = label_at(np.array(place), found.labels, found.geometry)
    assert next(f for f in found.foci if f.id == held).features["picture"], "the colon's picture holds it"
    found = match_foci(found, exam, earlier=[before], reference=REFERENCE)
    (node,) = (f for f in found.foci if f.track == track)
    assert (node.status, node.source) == (FocusStatus.KNOWN, FocusSource.PET)
    assert node.longest_mm == pytest.approx(16, abs=2.5)
    assert label_at(np.array(place), found.labels, found.geometry) == node.id
