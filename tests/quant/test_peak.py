import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.peak import metabolic_volume_ml, sphere_weights, suv_peak, total_lesion_glycolysis_g


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 2.0, 3.0), (4.0, 4.0, 4.0), (4.07, 4.07, 5.0)])
def test_sphere_has_the_volume_of_a_12_mm_sphere_on_any_grid(spacing):
    volume_mm3 = sphere_weights(spacing).sum() * np.prod(spacing)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 6.0**3, rel=0.03)


def test_a_voxel_larger_than_the_sphere_is_the_peak_itself():
    grid = Geometry.axis_aligned((3, 3, 3), (20.0, 20.0, 20.0))
    suv = np.zeros(grid.shape, np.float32)
    suv[1, 1, 1] = 5.0
    assert suv_peak(suv, grid, suv > 0) == pytest.approx(5.0)


def test_large_uniform_region_peaks_at_its_value():
    grid = Geometry.axis_aligned((16, 16, 16), (3.0, 3.0, 3.0))
    suv = np.full(grid.shape, 4.2, np.float32)
    assert suv_peak(suv, grid, suv > 1) == pytest.approx(4.2, rel=1e-5)


def test_small_sphere_is_diluted_by_its_share_of_the_peak_sphere():
    grid = Geometry.axis_aligned((41, 41, 41), (1.0, 1.0, 1.0))
    axes = np.meshgrid(*[np.arange(41) - 20.0] * 3, indexing="ij")
    region = sum(a**2 for a in axes) <= 4.0**2
    suv = np.where(region, 10.0, 1.0).astype(np.float32)
    share = (4.0 / 6.0) ** 3
    assert suv_peak(suv, grid, region) == pytest.approx(10 * share + 1 * (1 - share), rel=0.04)


def test_peak_is_at_the_hottest_place_not_the_hottest_voxel():
    grid = Geometry.axis_aligned((40, 20, 20), (3.0, 3.0, 3.0))
    suv = np.ones(grid.shape, np.float32)
    suv[6, 10, 10] = 9.0  # one noisy voxel
    suv[26:32, 7:13, 7:13] = 6.0
    assert suv_peak(suv, grid, suv > 2) == pytest.approx(6.0, rel=1e-4)


def test_mean_at_the_image_border_is_over_what_was_imaged():
    grid = Geometry.axis_aligned((8, 8, 8), (3.0, 3.0, 3.0))
    suv = np.full(grid.shape, 7.0, np.float32)
    corner = np.zeros(grid.shape, bool)
    corner[0, 0, 0] = True
    assert suv_peak(suv, grid, corner) == pytest.approx(7.0, rel=1e-5)


def test_empty_region_is_refused():
    grid = Geometry.axis_aligned((4, 4, 4), (3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="at least one voxel"):
        suv_peak(np.ones(grid.shape, np.float32), grid, np.zeros(grid.shape, bool))


def test_volume_and_glycolysis():
    grid = Geometry.axis_aligned((4, 4, 4), (5.0, 5.0, 4.0))
    suv = np.full(grid.shape, 2.0, np.float32)
    region = np.zeros(grid.shape, bool)
    region[:2] = True
    assert metabolic_volume_ml(grid, region) == pytest.approx(3.2)
    assert total_lesion_glycolysis_g(suv, grid, region) == pytest.approx(6.4)
