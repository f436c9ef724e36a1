"""What lies along the liver's veins: a halo on both sides, or ducts on one."""

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.portal_tracts import measure_portal_tracts
from tests.quant.shapes import hu as ct
from tests.quant.shapes import label_map

GRID = Geometry.axis_aligned((80, 80, 60), (1.6, 1.6, 2.0))
MIDDLE = (40, 40, 30)
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * np.array(GRID.spacing_mm) - np.array(MIDDLE) * GRID.spacing_mm
LIVER = np.linalg.norm(AT, axis=-1) <= 55.0
RNG = np.random.default_rng(5)


def tube(x_mm, width_mm, *, length_mm=80.0):
    """A tube along the feet-head axis of the liver, beside its middle."""
    off = np.hypot(AT[..., 0] - x_mm, AT[..., 1])
    return (off <= width_mm / 2.0) & (np.abs(AT[..., 2]) <= length_mm / 2.0) & LIVER


def measured(*painted, vessels=True, liver=LIVER, vein_mm=9.0, liver_hu=105.0, noise_hu=8.0):
    hu = np.full(GRID.shape, -100.0, np.float32)
    hu[LIVER] = liver_hu
    for where, value in painted:
        hu[where] = value
    if vessels:
        hu[tube(0.0, vein_mm)] = liver_hu + 60.0
    hu += RNG.normal(0.0, noise_hu, GRID.shape).astype(np.float32)
    return measure_portal_tracts(ct(hu, GRID), label_map(GRID, **({} if liver is None else {"liver": liver})))


def test_without_bright_vessels_nothing_is_said():
    found, why = measured((tube(10.0, 6.0), 8.0), vessels=False)
    assert found is None
    assert "no vessels" in why
    found, why = measured(liver=None)
    assert found is None
    assert "not seen" in why


def test_a_halo_is_seen_and_hides_ducts():
    healthy, _ = measured()
    assert healthy.halo_percent < 5.0
    assert healthy.duct_mm == 0.0
    ill, _ = measured((tube(0.0, 26.0), 20.0), vein_mm=14.0)
    assert ill.halo_percent > 40.0
    assert ill.duct_mm is None
    assert "both sides" in ill.duct_why


@pytest.mark.parametrize("width", [5.0, 7.0, 9.0])
def test_a_wide_duct_beside_a_vein_is_measured(width):
    found, _ = measured((tube(11.0, width), 8.0))
    assert found.duct_mm == pytest.approx(80.0, abs=15.0)


def test_two_ducts_add_up():
    found, _ = measured((tube(11.0, 6.0), 8.0), (tube(-25.0, 6.0), 8.0))
    assert found.duct_mm == pytest.approx(160.0, abs=30.0)


def test_what_is_not_a_long_dark_tube_is_no_duct():
    cyst = np.linalg.norm(AT - np.array([25.0, 0.0, 0.0]), axis=-1) <= 12.0
    assert measured((cyst, 5.0))[0].duct_mm == 0.0, "a cyst, with its rim"
    assert measured((tube(20.0, 6.0, length_mm=15.0), 8.0))[0].duct_mm == 0.0, "too short"
    assert measured((tube(20.0, 7.0), 70.0))[0].duct_mm == 0.0, "a thrombosed vein is not as dark as bile"
    assert measured((tube(20.0, 6.0), -90.0))[0].duct_mm == 0.0, "fat of a fissure"
    outer = tube(50.0, 6.0)
    assert measured((outer, 8.0))[0].duct_mm == 0.0, "the edge of the mask"
    beside = np.linalg.norm(AT - np.array([25.0, 0.0, 0.0]), axis=-1) <= 14.0
    assert measured((beside, 5.0), liver=LIVER & ~beside)[0].duct_mm == 0.0, "a gallbladder that the mask leaves out"


def test_noise_in_a_fatty_liver_makes_no_ducts():
    found, _ = measured(liver_hu=50.0, noise_hu=60.0)
    assert found.duct_mm is None
    assert "too dark or too noisy" in found.duct_why
    assert found.halo_percent > 0.0
