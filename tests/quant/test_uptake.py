from __future__ import annotations

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.uptake import organ_uptake, suv_percentile, uptake_reference, uptake_values
from tests.quant.shapes import hu, label_map, suv, world_of

GRID = Geometry.axis_aligned((75, 60, 110), (4.0, 4.0, 4.0), (-148.0, -118.0, -220.0))


def body(*, liver=2.2, blood=1.6, noise=0.08, spots=(), seed=0, liver_radius=60.0):
    """A round liver on the patient's right, an aorta with arch: ascending in front, descending behind."""
    x, y, z = np.moveaxis(world_of(GRID), -1, 0)
    in_liver = np.linalg.norm(np.stack([x + 70, y, z + 100]), axis=0) <= liver_radius
    descending = (np.hypot(x - 20, y + 60) <= 11) & (z <= 100)
    ascending = (np.hypot(x, y - 10) <= 15) & (z > 20) & (z <= 100)
    aorta = descending | ascending
    array = np.full(GRID.shape, 0.6)
    array[in_liver] = liver
    array[ascending] = blood * 2  # a hot ascending wall must not enter
    array[descending] = blood
    for centre, radius, value in spots:
        array[np.linalg.norm(np.stack([x, y, z]) - np.array(centre)[:, None, None, None], axis=0) <= radius] = value
    array *= 1 + np.random.default_rng(seed).normal(0, noise, array.shape)
    return suv(array, GRID), label_map(GRID, liver=in_liver, aorta=aorta)


def test_reference_of_a_plain_body():
    found = uptake_reference(*body())
    assert found.liver_mean == pytest.approx(2.2, rel=0.03)
    assert found.liver_sd == pytest.approx(2.2 * 0.08, rel=0.2)
    assert found.blood_pool_mean == pytest.approx(1.6, rel=0.05)
    assert found.notices == ()


@pytest.mark.parametrize("value", [9.0, 0.3])
def test_hot_and_cold_spots_stay_out_of_the_sphere(value):
    spots = [((-70.0, 0.0, -100.0), 14.0, value), ((-90.0, 20.0, -90.0), 10.0, value)]
    found = uptake_reference(*body(spots=spots))
    assert found.liver_mean == pytest.approx(2.2, rel=0.04)


@pytest.mark.parametrize(
    ("liver", "code"), [(0.99, True), (1.02, False), (3.9, False), (4.2, True)]
)
def test_implausible_liver_is_said(liver, code):
    codes = [n.code for n in uptake_reference(*body(liver=liver, noise=0.001)).notices]
    assert ("liver_reference_implausible" in codes) is code


def test_small_liver_is_said():
    codes = [n.code for n in uptake_reference(*body(liver_radius=14.0)).notices]
    assert codes == ["liver_reference_small"]


def test_missing_organs_are_said_not_guessed():
    pet, organs = body()
    nothing = uptake_reference(pet, label_map(GRID, spleen=organs.mask("liver")))
    assert nothing.liver_mean is None
    assert nothing.blood_pool_mean is None
    assert {n.code for n in nothing.notices} == {"liver_reference_missing", "blood_pool_reference_missing"}
    assert uptake_reference(pet, None).notices[0].code == "uptake_reference_missing"


def test_organs_on_a_finer_ct_grid():
    pet, organs = body()
    fine = GRID.with_spacing((2.0, 2.0, 2.0))
    x, y, z = np.moveaxis(world_of(fine), -1, 0)
    liver = np.linalg.norm(np.stack([x + 70, y, z + 100]), axis=0) <= 60
    found = uptake_reference(pet, label_map(fine, liver=liver))
    assert found.liver_mean == pytest.approx(uptake_reference(pet, organs).liver_mean, rel=0.03)


def test_other_units_are_refused():
    _, organs = body()
    with pytest.raises(ValueError, match="SUVbw"):
        uptake_reference(hu(np.zeros(GRID.shape), GRID), organs)


def test_percentile_definition():
    assert suv_percentile([1.0, 2.0, 3.0, 4.0], 75) == pytest.approx(3.25)
    with pytest.raises(ValueError, match="at least one voxel"):
        suv_percentile([], 95)
    found = organ_uptake(np.arange(101.0))
    assert (found.median, found.p75, found.p95, found.maximum) == (50.0, 75.0, 95.0, 100.0)


def test_spill_over_from_urine_is_left_out():
    x, _, _ = np.moveaxis(world_of(GRID), -1, 0)
    colon, bladder = np.abs(x) <= 20, (x > 20) & (x < 60)
    array = np.where(bladder, 30.0, np.where(colon & (x > 12), 8.0, 1.0))
    pet, organs = suv(array, GRID), label_map(GRID, colon=colon, urinary_bladder=bladder)
    with_spill = uptake_values(pet, organs, ("colon",))
    without = uptake_values(pet, organs, ("colon",), away_from=("urinary_bladder",), away_mm=8.0)
    assert suv_percentile(with_spill, 95) == pytest.approx(8.0)
    assert suv_percentile(without, 95) == pytest.approx(1.0)


def test_absent_organ_has_no_values():
    pet, organs = body()
    assert uptake_values(pet, organs, ("colon",)).size == 0
