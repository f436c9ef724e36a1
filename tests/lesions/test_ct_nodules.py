"""Nodules that a CT shows by itself, against vessels."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from irae.core.volume import Coverage, LabelMap
from irae.lesions.ct_nodules import lung_nodules
from irae.lesions.rules import FOCI_RULES
from tests.lesions.scans import PLACE, ball, rod, scan


def vessel(at, radii_mm, tilt):
    """A tapering tube along x through the whole scan."""
    along = at[..., 0] / np.ptp(at[..., 0])
    radius = radii_mm[0] + (radii_mm[1] - radii_mm[0]) * (along + 0.5)
    return np.hypot(at[..., 1] - tilt * at[..., 0], at[..., 2] + 0.3 * at[..., 0]) <= radius


def nodules(ct, rules=FOCI_RULES):
    """(believed, doubtful) of a scan that is all lung."""
    organs = LabelMap(array=np.ones(ct.geometry.shape, np.uint8), geometry=ct.geometry, labels={"lung_left": 1},
                      coverage={"lung_left": Coverage.WHOLE})
    found = lung_nodules(ct, organs, rules)
    return [n for n in found if not n.doubtful], [n for n in found if n.doubtful]


@pytest.mark.parametrize("tilt", [0.25, 0.45, 0.7])
def test_pieces_of_a_vessel_are_no_nodules_without_a_pet(tilt):
    ct = scan([partial(vessel, radii_mm=(3.4, 1.6), tilt=tilt)], 2.0, half_mm=40.0)
    assert nodules(ct, replace(FOCI_RULES, ct_nodule_goes_on=np.inf))[0]  # it does fall apart into compact pieces
    believed, doubtful = nodules(ct)
    assert not believed
    assert doubtful


def test_pieces_of_a_rib_in_the_lungs_mask_are_nothing_even_with_a_pet():
    rib = partial(vessel, radii_mm=(3.4, 1.6), tilt=0.45)
    believed, doubtful = nodules(scan([rib], 2.0, tissue=500.0, half_mm=40.0))
    assert not believed + doubtful


@pytest.mark.parametrize("spacing_mm", [1.5, 2.0, 3.0])
def test_a_nodule_at_the_end_of_a_vessel_is_one(spacing_mm):
    ct = scan([ball(11.0), partial(rod, radius_mm=1.6)], spacing_mm, half_mm=36.0)
    believed, _ = nodules(ct)
    assert len(believed) == 1
    (nodule,) = believed
    assert np.linalg.norm(nodule.geometry.to_world(np.argwhere(nodule.mask)).mean(axis=0) - PLACE) < 2.5
