from __future__ import annotations

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.quant.gland import measure_pituitary
from irae.quant.solid import measure_solid
from tests.quant.shapes import hu, label_map, soft, world_of

CSF, GLAND = 0.5, 2.4


def sella(*, height_mm=6.0, width_mm=12.0, depth_mm=9.0, stalk_mm=2.0, spacing=(0.8, 0.8, 0.8), uneven=0.0, noise=0.03):
    """A box of a gland with a stalk straight up from its top, in dark cistern."""
    size = tuple(int(44 / s) for s in spacing)
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(size, spacing, strict=True))
    geometry = Geometry.axis_aligned(size, spacing, origin)
    x, y, z = np.moveaxis(world_of(geometry), -1, 0)
    inside = (
        soft(np.abs(x) - width_mm / 2, spacing[0]) * soft(np.abs(y) - depth_mm / 2, spacing[1])
        * soft(np.abs(z) - height_mm / 2, spacing[2])
    )
    stalk = soft(np.hypot(x, y) - stalk_mm / 2, max(spacing[:2])) * (z > height_mm / 2) * (z < height_mm / 2 + 8)
    signal = CSF + (GLAND - CSF) * np.maximum(inside, stalk) * (1 - uneven * (x > 0))
    signal = signal * 400 * (1 + np.random.default_rng(2).normal(0, noise, signal.shape))
    mr = Volume(array=signal.astype(np.float32), geometry=geometry, quantity=Quantity.MR_SIGNAL)
    return mr, label_map(geometry, pituitary=inside >= 0.5)


@pytest.mark.parametrize("height", [5.2, 6.0, 7.8, 10.4])
def test_sizes(height):
    found = measure_pituitary(*sella(height_mm=height))
    assert found.height_mm == pytest.approx(height, abs=0.6)
    assert found.width_mm == pytest.approx(12, abs=0.8)
    assert found.depth_mm == pytest.approx(9, abs=0.8)
    assert found.volume_ml == pytest.approx(12 * 9 * height / 1000, rel=0.15)


def test_height_on_thick_sagittal_slices():
    found = measure_pituitary(*sella(height_mm=7.0, spacing=(3.0, 0.6, 0.6)))
    assert found.height_mm == pytest.approx(7.0, abs=0.6)
    assert found.stalk_mm is None
    assert "too coarse" in found.stalk_why


@pytest.mark.parametrize("stalk", [2.0, 3.5, 4.5])
def test_stalk(stalk):
    assert measure_pituitary(*sella(stalk_mm=stalk)).stalk_mm == pytest.approx(stalk, abs=0.6)


def test_no_stalk_is_said():
    found = measure_pituitary(*sella(stalk_mm=0.0))
    assert found.stalk_mm is None
    assert "no stalk" in found.stalk_why


def test_uneven_enhancement():
    even, uneven = measure_pituitary(*sella()), measure_pituitary(*sella(uneven=0.3))
    assert even.signal_cov < 0.1 < uneven.signal_cov


def test_no_gland():
    mr, labels = sella()
    assert measure_pituitary(mr, label_map(labels.geometry, brain=labels.mask("pituitary"))) is None


def test_solid_organ_ignores_edge_and_small_lesions():
    geometry = Geometry.axis_aligned((60, 60, 60), (1.5, 1.5, 1.5), (-44.25, -44.25, -44.25))
    x, y, z = np.moveaxis(world_of(geometry), -1, 0)
    radius = np.sqrt(x**2 + y**2 + z**2)
    array = np.where(radius <= 38, 58.0, -100.0)
    array[np.hypot(x, y) <= 5] = 120.0
    found = measure_solid(hu(array, geometry), label_map(geometry, liver=radius <= 40), "liver")
    assert found.hu == pytest.approx(58, abs=0.5)
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * 40**3 / 1000, rel=0.02)
    assert measure_solid(hu(array, geometry), label_map(geometry, liver=radius <= 40), "spleen") is None
