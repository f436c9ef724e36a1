"""Lungs found as air inside the body: left and right, without bowel gas, without the air outside."""

import numpy as np

from irae.core.anatomy import BY_NAME
from irae.models.air import lungs_from_air

LEFT, RIGHT = BY_NAME["lung_left"].label, BY_NAME["lung_right"].label


def ball(shape, centre, radii):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return (((grid - centre) / radii) ** 2).sum(axis=-1) <= 1.0


def chest(*, gas_hu=-1000.0, lungs=True):
    shape = (80, 60, 70)
    hu = np.full(shape, -1000.0, np.float32)
    hu[ball(shape, (40, 30, 35), (36, 26, 200))] = 40.0
    left, right = ball(shape, (24, 30, 50), (11, 16, 14)), ball(shape, (56, 30, 50), (12, 16, 15))
    if lungs:
        hu[left | right] = -820.0
        hu[36:44, 28:32, 44:58] = -950.0  # airways join them
    gas = ball(shape, (45, 30, 12), (9, 9, 9))
    hu[gas] = gas_hu
    return hu, left, right, gas


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_left_and_right_lung_are_told_apart_and_gas_is_not_lung():
    hu, left, right, gas = chest()
    found = lungs_from_air(hu, 4.0)
    assert overlap(found == LEFT, left) > 0.93
    assert overlap(found == RIGHT, right) > 0.93
    assert not found[gas].any()


def test_lungs_that_touch_in_front_of_the_heart_are_parted():
    hu, left, right, _ = chest()
    hu[30:50, 33:38, 44:56] = -820.0
    found = lungs_from_air(hu, 4.0)
    assert overlap(found == LEFT, left) > 0.85
    assert overlap(found == RIGHT, right) > 0.85


def test_a_body_without_lungs_has_none():
    hu, *_ = chest(lungs=False)
    assert not lungs_from_air(hu, 4.0).any()
    assert not lungs_from_air(np.full((20, 20, 20), -1000.0, np.float32), 4.0).any()
    assert not lungs_from_air(np.full((20, 20, 20), 40.0, np.float32), 4.0).any()
