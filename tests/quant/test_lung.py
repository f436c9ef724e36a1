from __future__ import annotations

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.lung import measure_lungs
from tests.quant.shapes import hu, label_map, world_of

SPACING = (2.0, 2.0, 2.0)


def chest(*, lung_hu=-850.0, noise=20.0, paint=None, mask_grown_mm=0.0, seed=3):
    """Two boxes of lung (100 x 120 x 180 mm each) in soft tissue; paint(x, y, z, array) adds disease."""
    geometry = Geometry.axis_aligned((130, 80, 110), SPACING, (-129.0, -79.0, -109.0))
    x, y, z = np.moveaxis(world_of(geometry), -1, 0)
    array = np.full(geometry.shape, 40.0)
    sides = {"lung_right": x < 0, "lung_left": x > 0}
    inside = (np.abs(np.abs(x) - 65) <= 50) & (np.abs(y) <= 60) & (np.abs(z) <= 90)
    array[inside] = lung_hu
    if paint is not None:
        paint(x, y, z, array, inside)
    array = array + np.random.default_rng(seed).normal(0, noise, array.shape)
    e = mask_grown_mm
    grown = (np.abs(np.abs(x) - 65) <= 50 + e) & (np.abs(y) <= 60 + e) & (np.abs(z) <= 90 + e)
    return hu(array, geometry), label_map(geometry, **{name: grown & side for name, side in sides.items()})


def lower_third(value):
    def paint(x, y, z, array, inside):
        array[inside & (z < -30)] = value

    return paint


def test_clear_lungs():
    found = measure_lungs(*chest())
    assert found.opacity_percent == pytest.approx(0, abs=0.2)
    assert found.volume_ml == pytest.approx(2 * 10 * 12 * 18, rel=0.05)
    assert found.zones == 0
    assert found.basal_percent is None
    total = found.over_percent + found.normal_percent + found.poorly_percent + found.non_percent
    assert total == pytest.approx(100)


def test_free_breathing_lung_is_not_ground_glass():
    found = measure_lungs(*chest(lung_hu=-730.0, noise=30.0))
    assert found.ggo_from_hu > -650
    assert found.opacity_percent < 0.5


def test_ground_glass_of_the_lower_third():
    found = measure_lungs(*chest(paint=lower_third(-500.0)))
    assert found.opacity_percent == pytest.approx(33, abs=2.5)
    assert found.consolidation_percent < 1
    assert found.basal_percent > 95
    assert found.zones == 2
    assert found.side_percent["lung_left"] == pytest.approx(found.side_percent["lung_right"], abs=1)


def test_consolidation_of_the_lower_third():
    found = measure_lungs(*chest(paint=lower_third(40.0)))
    assert found.consolidation_percent == pytest.approx(32, abs=2.5)
    assert found.ggo_percent < 2


def test_one_side_only():
    def paint(x, y, z, array, inside):
        array[inside & (x < 0) & (z < 0)] = -450.0

    found = measure_lungs(*chest(paint=paint))
    assert found.side_percent["lung_right"] == pytest.approx(50, abs=3)
    assert found.side_percent["lung_left"] < 0.5
    assert found.zones == 2


def test_vessels_are_not_opacity():
    def paint(x, y, z, array, inside):
        array[inside & (np.hypot(np.mod(x, 40) - 20, np.mod(z, 40) - 20) <= 3.0)] = 50.0

    found = measure_lungs(*chest(paint=paint))
    assert found.opacity_percent < 0.5


def test_a_mask_that_overshoots_is_not_consolidation():
    found = measure_lungs(*chest(mask_grown_mm=4.0))
    assert found.opacity_percent < 0.5


def test_too_little_lung():
    ct, organs = chest()
    sliver = organs.mask("lung_left") & (np.arange(110) == 60)[None, None, :]
    assert measure_lungs(ct, label_map(organs.geometry, lung_left=sliver)) is None
