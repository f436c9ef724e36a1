"""Holes of a mask, slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from irae.quant.holes import filled_slices


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("share", [0.45, 0.7])
def test_slices_are_filled_as_scipy_fills_each(axis: int, share: float) -> None:
    mask = np.random.default_rng(3).random((14, 17, 9)) < share
    each = np.stack([ndimage.binary_fill_holes(part) for part in np.moveaxis(mask, axis, 0)])
    filled = filled_slices(mask, axis)
    np.testing.assert_array_equal(filled, np.moveaxis(each, 0, axis))
    assert filled.sum() > mask.sum()


def test_a_cup_is_open_in_its_slice_and_closed_across_it() -> None:
    cup = np.ones((5, 5, 5), dtype=bool)
    cup[2, 2, 2:] = False  # a well from the top
    assert filled_slices(cup, 2).all()
    np.testing.assert_array_equal(filled_slices(cup, 0), cup)


def test_empty_and_full_masks_stay() -> None:
    for value in (False, True):
        mask = np.full((3, 4, 2), value)
        np.testing.assert_array_equal(filled_slices(mask, 1), mask)
