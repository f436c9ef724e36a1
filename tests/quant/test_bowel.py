from __future__ import annotations

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.bowel import measure_bowel
from tests.quant.shapes import hu, label_map, soft, world_of

FAT, GAS = -100.0, -1000.0


def ring(
    *, lumen_mm: float, wall_mm: float, spacing=(1.2, 1.2, 1.2), inside=GAS, wall_hu=45.0, noise=10.0, seed=1,
    fat=FAT, thick_half: float | None = None, mask_error_mm: float = 0.0, ring_mm: float = 55.0,
):
    """A colon bent into a ring in the coronal plane: circumference 2 pi 55 mm = 35 cm.

    thick_half: with it, the wall is that thick for z > 0 only, elsewhere wall_mm.
    """
    size = [int(2 * (ring_mm + lumen_mm / 2 + 24) / spacing[0]), int((lumen_mm + 48) / spacing[1]),
            int(2 * (ring_mm + lumen_mm / 2 + 24) / spacing[2])]
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(size, spacing, strict=True))
    geometry = Geometry.axis_aligned(tuple(size), spacing, origin)
    x, y, z = np.moveaxis(world_of(geometry), -1, 0)
    from_axis = np.hypot(np.hypot(x, z) - ring_mm, y)
    wall = np.where(z > 0, thick_half, wall_mm) if thick_half is not None else wall_mm
    in_lumen = soft(from_axis - lumen_mm / 2, spacing[0])
    in_tube = soft(from_axis - lumen_mm / 2 - wall, spacing[0])
    array = inside * in_lumen + wall_hu * (in_tube - in_lumen) + fat * (1 - in_tube)
    array += np.random.default_rng(seed).normal(0, noise, array.shape)
    mask = from_axis <= lumen_mm / 2 + wall + mask_error_mm
    return hu(array, geometry), label_map(geometry, colon=mask)


@pytest.mark.parametrize("wall", [3.0, 5.0, 8.0, 12.0])
def test_wall_between_gas_and_fat(wall):
    found = measure_bowel(*ring(lumen_mm=30, wall_mm=wall))
    assert found.wall_p50_mm == pytest.approx(wall, abs=0.6)
    assert found.wall_p90_mm == pytest.approx(wall, abs=1.0)
    assert found.calibre_p50_mm == pytest.approx(30, abs=3)
    assert found.length_cm == pytest.approx(2 * np.pi * 5.5, rel=0.15)
    assert found.assessable_percent > 70


def test_normal_wall_is_not_thickened():
    found = measure_bowel(*ring(lumen_mm=35, wall_mm=1.5))
    assert found.wall_p90_mm <= 2.5
    assert found.thickened_cm == pytest.approx(0, abs=1)


@pytest.mark.parametrize(("wall", "thickened"), [(3.2, False), (4.8, True)])
def test_thickened_on_either_side_of_four_mm(wall, thickened):
    found = measure_bowel(*ring(lumen_mm=30, wall_mm=wall))
    assert (found.thickened_percent > 80) is thickened
    assert (found.thickened_percent < 20) is not thickened


def test_half_of_the_ring_is_thick():
    found = measure_bowel(*ring(lumen_mm=30, wall_mm=1.5, thick_half=8.0))
    assert found.thickened_percent == pytest.approx(50, abs=10)
    assert found.thickened_cm == pytest.approx(np.pi * 5.5, rel=0.25)
    assert found.thickened_calibre_mm == pytest.approx(30, abs=4)


def test_enhancing_wall_against_fluid():
    found = measure_bowel(*ring(lumen_mm=32, wall_mm=6, inside=10.0, wall_hu=110.0))
    assert found.wall_p50_mm == pytest.approx(6, abs=1.0)


def test_native_wall_against_fluid():
    found = measure_bowel(*ring(lumen_mm=32, wall_mm=6, inside=12.0, wall_hu=40.0))
    assert found.wall_p50_mm == pytest.approx(6, abs=1.0)


def test_dependent_fluid_is_not_wall():
    """Gas in front, fluid behind, a thin wall: below the level, fluid lies between gas and fat."""
    ct, organs = ring(lumen_mm=36, wall_mm=1.5)
    y = world_of(ct.geometry)[..., 1]
    array = ct.array.copy()
    array[(array < -480) & (y < -4)] = 15.0
    found = measure_bowel(hu(array, ct.geometry), organs)
    assert found.wall_p90_mm <= 3.0


def test_native_wall_against_dense_stool_is_not_measured():
    found = measure_bowel(*ring(lumen_mm=32, wall_mm=6, inside=30.0, wall_hu=40.0))
    assert found.wall_p90_mm is None
    assert "visible" in found.why


def test_narrow_lumen_is_not_assessable():
    found = measure_bowel(*ring(lumen_mm=14, wall_mm=6))
    assert found.wall_p90_mm is None
    assert found.assessable_percent < 15
    assert "20 mm" in found.why


@pytest.mark.parametrize("error", [-3.0, 3.0])
def test_wrong_mask_surface_does_not_move_the_wall(error):
    found = measure_bowel(*ring(lumen_mm=32, wall_mm=6, mask_error_mm=error))
    assert found.wall_p50_mm == pytest.approx(6, abs=0.8)


def test_thick_slices():
    found = measure_bowel(*ring(lumen_mm=32, wall_mm=6, spacing=(0.9, 0.9, 5.0)))
    assert found.wall_p50_mm == pytest.approx(6, abs=1.0)


def test_stranding():
    clean = measure_bowel(*ring(lumen_mm=32, wall_mm=6))
    stranded = measure_bowel(*ring(lumen_mm=32, wall_mm=6, fat=-55.0))
    assert clean.stranding_percent < 10
    assert stranded.stranding_percent > 80


def test_no_colon():
    ct, organs = ring(lumen_mm=30, wall_mm=2)
    empty = label_map(organs.geometry, liver=organs.mask("colon"))
    assert measure_bowel(ct, empty) is None
