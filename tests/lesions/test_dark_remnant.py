"""What a CT shows of a known liver lesion whose uptake is the liver's own."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from irae.core.exam import Role
from irae.core.focus import FocusSource, FocusStatus
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.lesions.dark_remnant import remnant_in_liver
from irae.lesions.rules import FOCI_RULES
from tests.lesions.bodies import REFERENCE, Ball, draw
from tests.lesions.test_match import DAYS, LIVER, at, told

GRID = Geometry.axis_aligned((36, 36, 36), (3.0, 3.0, 3.0))
MIDDLE = np.array([52.5, 52.5, 52.5])


def liver(*, contrast_hu=45.0, mm=13.0, off=(0.0, 0.0, 0.0), cleft=False, edge=False, seed=4):
    """A liver of 105 HU on slices of 3 mm, the noise of a PET/CT's CT in it, with what is dark in it."""
    at_mm = GRID.to_world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1)) - MIDDLE
    hu = np.full(GRID.shape, 105.0)
    if edge:
        hu[at_mm[..., 0] > 11.0] = -800.0
    hu[np.linalg.norm(at_mm - off, axis=-1) <= mm / 2.0] -= contrast_hu
    if cleft:
        hu[np.abs(at_mm[..., 0]) <= 4.0] -= contrast_hu
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0.0, 1.0, GRID.shape), 0.5)
    hu = ndimage.gaussian_filter(hu, 0.5) + 16.0 * noise / noise.std()
    return Volume(array=hu.astype(np.float32), geometry=GRID, quantity=Quantity.HU)


@pytest.mark.parametrize(("mm", "off"), [
    (10.0, (0.0, 0.0, 0.0)), (13.0, (3.0, -2.0, 0.0)), (13.0, (0.0, 0.0, -12.0)), (20.0, (2.0, 0.0, 9.0)),
], ids=["small", "beside its place", "below it", "large, above it"])
def test_a_dark_spot_is_found_where_registration_and_breathing_leave_it(mm, off):
    found = remnant_in_liver(liver(mm=mm, off=off), MIDDLE, 1.5 * mm, FOCI_RULES)
    assert found is not None
    assert found.size.longest_mm == pytest.approx(mm, abs=3.5)
    centre = found.geometry.to_world(np.argwhere(found.mask)).mean(axis=0)
    assert np.linalg.norm(centre - MIDDLE - off) < 4.0


def test_what_is_not_liver_beside_it_does_not_draw_it_away():
    found = remnant_in_liver(liver(mm=12.0, off=(-2.0, 0.0, 0.0), edge=True), MIDDLE, 18.0, FOCI_RULES)
    assert found is not None
    assert found.geometry.to_world(np.argwhere(found.mask))[:, 0].max() < MIDDLE[0] + 9.0


@pytest.mark.parametrize("drawn", [
    {"contrast_hu": 0.0}, {"contrast_hu": 8.0}, {"mm": 0.0, "cleft": True}, {"off": (18.0, 0.0, 0.0)},
], ids=["nothing", "too faint", "a cleft", "too far aside"])
def test_where_the_ct_shows_no_compact_spot_near_its_place_nothing_is_said(drawn):
    found = [remnant_in_liver(liver(**drawn, seed=seed), MIDDLE, 18.0, FOCI_RULES) for seed in range(6)]
    assert sum(one is not None for one in found) <= 1


def test_beyond_the_ct_nothing_is_said():
    assert remnant_in_liver(liver(), MIDDLE + 500.0, 18.0, FOCI_RULES) is None


def test_a_liver_metastasis_that_has_cooled_is_measured_on_the_ct_and_gone_where_that_shows_none():
    exam, organs = draw([Ball(LIVER, 20, 8.0, 15.0)], day=DAYS[0])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    before = EarlierExam(told(exam, match_foci(found, exam, earlier=()).foci), exam, organs)
    track = at(match_foci(found, exam, earlier=()).foci, LIVER).track
    for balls, status in (((Ball(LIVER, 14, 2.2, 15.0),), FocusStatus.KNOWN), ((), FocusStatus.GONE)):
        exam, organs = draw(balls, day=DAYS[1], seed=9)
        foci = match_foci(find_foci(exam, organs=organs, reference=REFERENCE), exam, earlier=[before],
                          reference=REFERENCE).foci
        (left,) = (f for f in foci if f.track == track)
        assert left.status is status
        if status is FocusStatus.KNOWN:
            assert (left.source, left.features["size_from_ct"]) == (FocusSource.CT, 1.0)
            assert left.longest_mm == pytest.approx(14, abs=3.0)


@pytest.mark.parametrize(("off_mm", "alone"), [((0, 0, 13), True), ((0, 0, 26), False), ((24, 0, 8), False)],
                         ids=["breathing", "too far up", "aside"])
def test_breathing_between_ct_and_pet_makes_one_liver_lesion_no_two(off_mm, alone):
    place = tuple(np.add(LIVER, off_mm))
    exam, organs = draw([Ball(LIVER, 20, 2.2, 20.0)])
    moved, _ = draw([Ball(place, 20, 8.0, None)])
    exam = replace(exam, volumes={Role.CT: exam.ct, Role.PET: moved.pet})
    foci = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.organ == "liver"]
    assert len(foci) == (1 if alone else 2)
    assert max(f.suv_max for f in foci) > 5.0
