"""Contours of single foci on PET, against balls drawn with their blur."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from irae.core.focus import Focus, FocusSource
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.lesions.residual import residual_on_pet
from irae.lesions.rules import FOCI_RULES, FWHM_PER_SIGMA
from irae.lesions.sizing import focus_extent, pet_diameter_mm

GRID = Geometry.axis_aligned((24, 24, 24), (4.0, 4.0, 4.0))
FINE = GRID.with_spacing((1.5, 1.5, 1.5))


def pet_of(diameter_mm, suv, marrow_suv):
    """A ball in the middle of a bone of 32 mm in muscle, as a PET of 6.5 mm shows it."""
    fine = GRID.with_spacing((1.0, 1.0, 1.0))
    away = np.linalg.norm(fine.to_world(np.argwhere(np.ones(fine.shape))) - 46.0, axis=1).reshape(fine.shape)
    true = np.where(away <= diameter_mm / 2, suv, np.where(away <= 16.0, marrow_suv, 0.6))
    blurred = ndimage.gaussian_filter(true, 6.5 / FWHM_PER_SIGMA)
    return blurred.reshape(24, 4, 24, 4, 24, 4).mean(axis=(1, 3, 5)).astype(np.float32)


@pytest.mark.parametrize("diameter_mm", [12.0, 15.0, 18.0])
def test_a_cool_lesion_in_marrow_is_measured_against_the_marrow(diameter_mm):
    suv = pet_of(diameter_mm, 4.0, 1.6)
    basin = suv >= 1.9
    longest = [
        focus_extent(basin, np.zeros_like(basin), suv, GRID, None, FINE, GRID, FOCI_RULES, least_background=least)
        .longest_mm for least in (0.0, 1.6)
    ]
    assert abs(longest[1] - diameter_mm) < abs(longest[0] - diameter_mm)
    assert longest[1] == pytest.approx(diameter_mm, abs=3.0)


@pytest.mark.parametrize(("around_hu", "ct_mm", "is_mean"), [
    (-100.0, 20.0, True),  # fat, and CT and PET agree: their mean
    (-100.0, 25.0, False),  # fat, and they do not: the CT's
    (-850.0, 20.0, False),  # lung: the CT's
])
def test_in_fat_the_diameters_are_the_mean_of_ct_and_pet_where_they_agree(around_hu, ct_mm, is_mean):
    suv = pet_of(17.5, 8.0, 0.6)
    basin = suv >= 3.0
    away = np.linalg.norm(FINE.to_world(np.argwhere(np.ones(FINE.shape))) - 46.0, axis=1).reshape(FINE.shape)
    hu = np.where(away <= ct_mm / 2, 40.0, around_hu).astype(np.float32)

    def longest(ct, rules=FOCI_RULES):
        return focus_extent(basin, np.zeros_like(basin), suv, GRID, ct, FINE, GRID, rules)

    on_pet, both, on_ct = longest(None), longest(hu), longest(hu, replace(FOCI_RULES, both_agree=0.0))
    assert both.from_ct
    assert np.array_equal(both.mask, on_ct.mask)
    assert abs(on_pet.longest_mm - on_ct.longest_mm) > 1.0
    expected = 0.5 * (on_pet.longest_mm + on_ct.longest_mm) if is_mean else on_ct.longest_mm
    assert both.longest_mm == pytest.approx(expected)


def test_the_short_axis_has_errors_of_its_own():
    errors = [pet_diameter_mm(mm, FOCI_RULES, short=True) - pet_diameter_mm(mm, FOCI_RULES) for mm in (12.0, 28.0)]
    assert errors[0] > 0.2 > -0.2 > errors[1], "longer than the long one's when small, shorter when large"


@pytest.mark.parametrize("diameter_mm", [9.0, 11.0])
def test_what_is_left_of_a_lesion_in_marrow_is_measured_against_the_marrow(diameter_mm):
    pet = Volume(array=pet_of(diameter_mm, 4.0, 1.4), geometry=GRID, quantity=Quantity.SUV_BW)
    before = Focus(
        id=1, centroid_ras_mm=(46.0, 46.0, 46.0), volume_ml=5.0, longest_mm=21.0, short_mm=19.0, suv_max=8.0,
        suv_peak=7.0, suv_mean=5.0, tlg=25.0, organ="vertebrae", organ_fraction=1.0, source=FocusSource.PET,
        is_node=False, features={},
    )
    none = np.zeros(GRID.shape, np.uint16)
    longest = []
    for tissue in (0.0, 1.4):
        left = residual_on_pet(pet, np.full(3, 46.0), before, none, GRID, FOCI_RULES, tissue_suv=tissue)
        assert left is not None
        longest.append(left.lesion.size.longest_mm)
    assert abs(longest[1] - diameter_mm) < abs(longest[0] - diameter_mm)
    assert longest[1] == pytest.approx(diameter_mm, abs=3.0)


def test_a_residual_beside_something_hotter_does_not_reach_up_its_slope():
    """The other focus is listed by its core; its rim, hotter than the residual, is nobody's."""
    steps = round(24.0 / GRID.spacing_mm[0])
    beside = np.roll(pet_of(24.0, 14.0, 0.0), steps, axis=0)
    array = pet_of(11.0, 4.5, 0.5) + beside
    labels = (beside >= 9.0).astype(np.uint16)
    before = Focus(
        id=1, centroid_ras_mm=(46.0, 46.0, 46.0), volume_ml=5.0, longest_mm=24.0, short_mm=20.0, suv_max=8.0,
        suv_peak=7.0, suv_mean=5.0, tlg=25.0, organ="lymph_node", organ_fraction=0.0, source=FocusSource.PET,
        is_node=True, features={},
    )
    pet = Volume(array=array.astype(np.float32), geometry=GRID, quantity=Quantity.SUV_BW)
    left = residual_on_pet(pet, np.full(3, 46.0), before, labels, GRID, FOCI_RULES)
    assert left is not None
    assert left.lesion.size.longest_mm == pytest.approx(11, abs=2.0)
    assert np.percentile(left.lesion.geometry.to_world(np.argwhere(left.lesion.mask))[:, 0], 98) < 46.0 + 11.0


@pytest.mark.parametrize(("suv", "grown"), [(6.0, True), (1.2, False)])
def test_a_residual_that_stands_out_may_have_grown_and_a_faint_one_may_not(suv, grown):
    pet = Volume(array=pet_of(22.0, suv, 0.5), geometry=GRID, quantity=Quantity.SUV_BW)
    before = Focus(
        id=1, centroid_ras_mm=(46.0, 46.0, 46.0), volume_ml=1.9, longest_mm=15.5, short_mm=13.5, suv_max=5.0,
        suv_peak=4.0, suv_mean=3.0, tlg=5.0, organ="lymph_node", organ_fraction=0.0, source=FocusSource.PET,
        is_node=True, features={},
    )
    left = residual_on_pet(pet, np.full(3, 46.0), before, np.zeros(GRID.shape, np.uint16), GRID, FOCI_RULES)
    if grown:
        assert left is not None
        assert left.lesion.size.longest_mm == pytest.approx(22, abs=2.5)
    else:
        assert left is None or left.lesion.size.longest_mm <= before.longest_mm
