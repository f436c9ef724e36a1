"""Exams that are not as they should be: what can be answered is answered, the rest is said."""

from dataclasses import replace

import numpy as np
import pytest

from irae.core.exam import Role
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Volume
from irae.lesions import find_foci
from irae.lesions.alignment import aligned, body_overlap
from irae.lesions.rules import FOCI_RULES
from tests.lesions.bodies import REFERENCE, Ball, draw

BALL = Ball((0, -60, 230), 16, 9.0)


@pytest.fixture(scope="module")
def exam():
    return draw([BALL])


def moved(volume, shift_mm, frame=None):
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += shift_mm
    grid = Geometry(shape=volume.geometry.shape, affine=affine, frame_of_reference_uid=frame)
    return Volume(array=volume.array, geometry=grid, quantity=volume.quantity)


def with_pet(exam, pet, ct_frame=None):
    ct = moved(exam.ct, (0, 0, 0), ct_frame)
    return replace(exam, volumes={Role.CT: ct, Role.PET: pet})


def codes(found):
    return [n.code for n in found.notices]


def test_bodies_that_lie_on_each_other_need_no_notice(exam):
    one, organs = exam
    assert body_overlap(one.ct, one.pet) > 0.9
    assert not {"pet_ct_misaligned", "pet_ct_other_frame"} & set(
        codes(find_foci(one, organs=organs, reference=REFERENCE)))


@pytest.mark.parametrize(("shift", "usable"), [((0, 0, 0), True), ((250, 0, 0), False), ((2000, 0, 0), False)])
def test_two_frames_of_reference(exam, shift, usable):
    one, _ = exam
    pet = moved(one.pet, shift, "1.2.3")
    can, notices = aligned(moved(one.ct, (0, 0, 0), "1.2.4"), pet, FOCI_RULES)
    assert can is usable
    assert [n.code for n in notices] == ["pet_ct_other_frame"]


def test_in_another_frame_and_place_foci_come_from_the_pet_alone(exam):
    one, organs = exam
    found = find_foci(with_pet(one, moved(one.pet, (250, 0, 0), "1.2.3"), "1.2.4"), organs=organs, reference=REFERENCE)
    assert "pet_ct_other_frame" in codes(found)
    spot = min(found.foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, (250, -60, 230))))
    assert spot.features["size_from_ct"] == 0
    assert spot.organ is None


def test_a_shifted_pet_in_one_frame_is_said(exam):
    one, organs = exam
    found = find_foci(with_pet(one, moved(one.pet, (120, 0, 0))), organs=organs, reference=REFERENCE)
    assert "pet_ct_misaligned" in codes(found)


def test_half_of_the_organs(exam):
    one, organs = exam
    few = {name: organs.labels[name] for name in ("liver", "lung_left")}
    array = np.where(np.isin(organs.array, list(few.values())), organs.array, 0).astype(np.uint8)
    half = LabelMap(array=array, geometry=organs.geometry, labels=few, coverage=dict.fromkeys(few, Coverage.WHOLE))
    found = find_foci(one, organs=half, reference=REFERENCE)
    assert any(np.linalg.norm(np.subtract(f.centroid_ras_mm, BALL.centre)) < 4 for f in found.foci)


def test_noise_is_counted_not_listed_and_the_end_of_the_field_is_known():
    noisy, organs = draw([BALL], noise=0.45, seed=3)
    found = find_foci(noisy, organs=organs, reference=REFERENCE)
    false = [f for f in found.foci if not f.features["picture"] and f.organ == "liver"]
    assert len(false) <= 1
    spot = min(found.foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, BALL.centre)))
    assert spot.features["field_end_mm"] == pytest.approx(444.0 - 230.0, abs=6.0)
