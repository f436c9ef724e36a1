from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from irae.core.exam import Exam, Role
from irae.core.finding import Quantities
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.geometry import Geometry
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Volume
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.match import MATCH_RULES, _assigned
from irae.lesions.register import register
from irae.lesions.values import Known
from tests.lesions.bodies import REFERENCE, Ball, draw

DAYS = (date(2026, 1, 5), date(2026, 3, 2), date(2026, 5, 4), date(2026, 7, 6))
LIVER, LUNG, NODE = (80, 0, 160), (80, -30, 330), (0, -60, 230)


def told(exam, foci):
    """An earlier result that holds these foci."""
    attributed = tuple(AttributedFocus(
        focus=f, nature=Nature.METASTASIS, probabilities={"inflammation": 0.1, "metastasis": 0.9, "physiologic": 0.0},
        score=-4.0, outcome="suspected metastasis", reasons=("test",)) for f in foci)
    return ExamResult(
        patient=exam.patient, acquired_on=exam.acquired_on, modalities=("CT", "PT"), organs={}, quantities=Quantities(),
        findings=(), foci=attributed, assessments=(), hinges_on=(), notices=(),
        triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()),
        versions=Versions(irae="0", models={}, settings=""),
    )


def course(*visits, shifts=None, **kwargs):
    """Foci of every visit, matched to all before; the last visit's answer."""
    earlier, foci = [], ()
    for at, balls in enumerate(visits):
        shift = (0, 0, 0) if shifts is None else shifts[at]
        exam, organs = draw(balls, day=DAYS[at], seed=at + 1, shift=shift, **kwargs)
        found = find_foci(exam, organs=organs, reference=REFERENCE)
        foci = match_foci(found, exam, earlier=earlier).foci
        earlier.append(EarlierExam(told(exam, foci), exam, organs))
    return foci, earlier


def at(foci, place, shift=(0, 0, 0)):
    return min(foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, np.add(place, shift))))


def test_first_exam_names_every_track():
    foci, _ = course([Ball(LIVER, 20, 8.0, None), Ball(NODE, 14, 7.0)])
    assert [f.track for f in foci] == [f"L{n:02d}" for n in range(1, len(foci) + 1)]
    assert all(f.status is FocusStatus.NEW for f in foci)


def test_known_new_and_gone_in_a_shifted_patient():
    shift = (10, -8, 24)
    foci, earlier = course(
        [Ball(LIVER, 20, 8.0, None), Ball(LUNG, 20, 5.0), Ball(NODE, 14, 7.0)],
        [Ball(LIVER, 26, 8.0, None), Ball(LUNG, 12, 5.0), Ball((-80, 20, 300), 14, 6.0)],
        shifts=[(0, 0, 0), shift],
    )
    first = {name: at([a.focus for a in earlier[0].result.foci], place).track
             for name, place in (("liver", LIVER), ("lung", LUNG), ("node", NODE))}
    liver, lung, fresh = at(foci, LIVER, shift), at(foci, LUNG, shift), at(foci, (-80, 20, 300), shift)
    assert (liver.track, liver.status) == (first["liver"], FocusStatus.KNOWN)
    assert (lung.track, lung.status) == (first["lung"], FocusStatus.KNOWN)
    assert liver.features["longest_change_mm"] == pytest.approx(6.0, abs=3.0)
    assert fresh.status is FocusStatus.NEW
    gone = [f for f in foci if f.status is FocusStatus.GONE]
    assert [f.track for f in gone] == [first["node"]]
    assert (gone[0].longest_mm, gone[0].volume_ml, gone[0].organ) == (0.0, 0.0, "lymph_node")
    assert np.linalg.norm(np.subtract(gone[0].centroid_ras_mm, np.add(NODE, shift))) < 8.0
    assert gone[0].id == max(f.id for f in foci)
    assert len({f.track for f in foci}) == len(foci)


def test_one_track_over_four_exams_with_a_gap():
    ball = Ball(NODE, 16, 8.0)
    foci, earlier = course([ball], [ball], [], [ball], shifts=[(0, 0, 0), (6, 4, -8), (0, 0, 0), (-8, 6, 12)])
    tracks = [at([a.focus for a in e.result.foci if a.focus.organ == "lymph_node"], NODE).track for e in earlier]
    assert len(set(tracks)) == 1
    assert at(foci, NODE, (-8, 6, 12)).status is FocusStatus.KNOWN
    assert [a.focus.status for a in earlier[2].result.foci if a.focus.organ == "lymph_node"] == [FocusStatus.GONE]


def test_a_place_that_was_not_imaged_is_not_listed():
    exam, organs = draw([Ball(NODE, 14, 7.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    above = {role: Volume(array=v.array[:, :, v.array.shape[2] * 6 // 10:], quantity=v.quantity,
                          geometry=v.geometry.cropped((0, 0, v.array.shape[2] * 6 // 10), v.geometry.shape))
             for role, v in draw([], day=DAYS[1], seed=4)[0].volumes.items()}
    upper = Exam(patient="P01", acquired_on=DAYS[1], volumes=above)
    foci = match_foci(find_foci(upper, organs=organs, reference=REFERENCE), upper, earlier=[before]).foci
    assert "lymph_node" not in [f.organ for f in foci]
    assert "urinary_bladder" not in [f.organ for f in foci]
    assert [f.status for f in foci if f.organ == "brain"] == [FocusStatus.KNOWN]


def test_split_and_merged():
    whole, halves = [Ball((0, -20, 230), 46, 9.0)], [Ball((-16, -20, 230), 22, 9.0), Ball((16, -20, 230), 22, 9.0)]
    foci, earlier = course(whole, halves)
    parent = at([a.focus for a in earlier[0].result.foci], (0, -20, 230)).track
    parts = [f for f in foci if not f.features["picture"]]
    assert sorted(f.status.value for f in parts) == ["known", "new"]
    assert next(f for f in parts if f.status is FocusStatus.KNOWN).track == parent
    assert next(f for f in parts if f.status is FocusStatus.NEW).features["split_of"] == int(parent[1:])
    foci, earlier = course(halves, whole)
    merged = [f for f in foci if not f.features["picture"]]
    assert len(merged) == 1
    assert merged[0].features["merged"] == 1
    assert FocusStatus.GONE not in [f.status for f in foci]


def test_ct_cannot_say_that_uptake_is_gone():
    exam, organs = draw([Ball(LIVER, 20, 8.0, None)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    ct_only, organs = draw([], day=DAYS[1], pet=False)
    foci = match_foci(find_foci(ct_only, organs=organs, reference=None), ct_only, earlier=[before]).foci
    assert [f for f in foci if f.status is FocusStatus.GONE and f.organ == "liver"] == []


def test_registration_recovers_shift_and_turn_and_is_deterministic():
    before, _ = draw([Ball(LIVER, 20, 8.0, None)])
    turn = np.radians(6.0)
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    pose[:3, 3] = (14.0, -10.0, 30.0)
    ct = before.ct
    moved = Volume(array=ct.array, quantity=ct.quantity, geometry=Geometry(
        shape=ct.geometry.shape, affine=pose @ ct.geometry.affine))
    after = Exam(patient="P01", acquired_on=DAYS[1], volumes={Role.CT: moved})
    places = np.array([LIVER, LUNG, NODE, (0, 40, 40), (-80, 20, 300)], dtype=float)
    expected = places @ pose[:3, :3].T + pose[:3, 3]
    mapping = register(before, after)
    assert mapping.notice is None
    assert np.linalg.norm(mapping.to_now(places) - expected, axis=1).max() < 5.0
    assert np.array_equal(register(before, after).to_now(places), mapping.to_now(places))


def test_without_a_common_image_places_are_kept_and_it_is_said():
    exam, organs = draw([Ball(NODE, 14, 7.0)], day=DAYS[0], ct=False)
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    ct_only, organs = draw([Ball(NODE, 14, 7.0)], day=DAYS[1], pet=False)
    found = match_foci(find_foci(ct_only, organs=organs, reference=None), ct_only, earlier=[before])
    assert "not_registered" in [n.code for n in found.notices]


@pytest.mark.parametrize(("fat", "mean", "pairs"), [
    (0.1, 20.0, {0: 0}), (0.5, -30.0, {0: 0}), (0.9, -80.0, {}), (None, None, {0: 0}),
    (0.7, -20.0, {0: 0}),  # what is left of a node in fat is mostly fat by partial volume
])
def test_brown_fat_beside_a_node_is_not_the_node(fat, mean, pairs):
    node = Focus(id=1, centroid_ras_mm=(0.0, 0.0, 0.0), volume_ml=1.0, longest_mm=12.0, short_mm=10.0, track="L01",
                 organ="lymph_node", features={"fat_fraction": 0.05})
    here = replace(node, centroid_ras_mm=(4.0, 0.0, 0.0),
                   features={} if fat is None else {"fat_fraction": fat, "ct_hu_mean": mean})
    known = Known(focus=node, place=np.zeros(3), nature=Nature.METASTASIS, gone=False)
    assert _assigned([here], [known], MATCH_RULES) == pairs


def test_what_is_left_of_a_lesion_is_it_and_not_a_piece_that_had_merged_into_it():
    def track(name, place, volume_ml, mm, **more):
        focus = Focus(id=1, centroid_ras_mm=place, volume_ml=volume_ml, longest_mm=mm, short_mm=mm * 0.8,
                      organ="lymph_node", is_node=True, track=name)
        return Known(focus=focus, place=np.array(place, float), nature=Nature.METASTASIS, **more)

    whole = track("L09", (-21.0, -8.0, -628.0), 33.9, 45.0)
    left = Focus(id=1, centroid_ras_mm=(-31.0, -1.0, -631.0), volume_ml=3.9, longest_mm=23.0, short_mm=21.0,
                 organ="lymph_node", is_node=True)
    piece = track("L12", (-29.0, -9.0, -632.0), 5.0, 29.0, listed=False)
    assert _assigned([left], [whole, piece], MATCH_RULES) == {0: 0}
    listed = replace(piece, listed=True)
    assert _assigned([left], [whole, listed], MATCH_RULES) == {0: 1}, "the nearer in place and size"
    assert _assigned([left], [piece], MATCH_RULES) == {0: 0}, "but where nothing else is near it comes back"
    both = [left, replace(left, id=2, centroid_ras_mm=(-20.0, -10.0, -628.0), volume_ml=20.0, longest_mm=36.0)]
    assert _assigned(both, [whole, piece], MATCH_RULES) == {0: 1, 1: 0}


@pytest.mark.parametrize(("gone", "apart_mm", "again"), [(False, 18.0, True), (True, 18.0, False), (True, 10.0, True)])
def test_what_comes_back_comes_back_where_it_was(gone, apart_mm, again):
    nodule = Focus(id=1, centroid_ras_mm=(0.0, 0.0, 0.0), volume_ml=0.5, longest_mm=10.0, short_mm=9.0, track="L01",
                   organ="lung_left", features={})
    here = replace(nodule, centroid_ras_mm=(apart_mm, 0.0, 0.0))
    known = Known(focus=nodule, place=np.zeros(3), nature=Nature.METASTASIS, gone=gone)
    assert _assigned([here], [known], MATCH_RULES) == ({0: 0} if again else {})


@pytest.mark.parametrize(("nature", "again"), [(Nature.METASTASIS, False), (Nature.INDETERMINATE, False),
                                               (Nature.INFLAMMATION, True)])
def test_a_large_region_far_off_is_no_small_metastasis_grown_but_may_be_inflammation_spread(nature, again):
    node = Focus(id=1, centroid_ras_mm=(0.0, 0.0, 0.0), volume_ml=0.8, longest_mm=14.0, short_mm=10.0, track="L01",
                 organ="lymph_node", features={})
    here = replace(node, centroid_ras_mm=(33.0, 0.0, 0.0), volume_ml=7.9, longest_mm=60.0, short_mm=26.0)
    known = Known(focus=node, place=np.zeros(3), nature=nature)
    assert _assigned([here], [known], MATCH_RULES) == ({0: 0} if again else {})
