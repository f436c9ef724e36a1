import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.quant.diameter import axial_diameters
from irae.quant.shape import shape_of


def ellipsoid(grid: Geometry, centre, radii, turn_deg=0.0):
    points = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)) - centre
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    x, y = c * points[..., 0] + s * points[..., 1], -s * points[..., 0] + c * points[..., 1]
    return (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (points[..., 2] / radii[2]) ** 2 <= 1.0


@pytest.mark.parametrize("turn", [0.0, 30.0, 45.0, 77.0])
def test_ellipse_of_any_direction(turn):
    grid = Geometry.axis_aligned((80, 80, 20), (0.8, 0.8, 3.0))
    found = axial_diameters(ellipsoid(grid, grid.to_world((40, 40, 10)), (20.0, 9.0, 15.0), turn), grid)
    assert found.longest_mm == pytest.approx(40.0, abs=1.0)
    assert found.short_mm == pytest.approx(18.0, abs=1.2)
    assert found.slice_index == 10


def test_the_long_axis_along_the_body_is_not_measured():
    grid = Geometry.axis_aligned((40, 40, 60), (1.0, 1.0, 1.0))
    found = axial_diameters(ellipsoid(grid, (20, 20, 30), (5.0, 5.0, 25.0)), grid)
    assert found.longest_mm == pytest.approx(10.5, abs=0.8)


def test_orientation_of_the_grid_does_not_matter():
    plain = Geometry.axis_aligned((50, 50, 30), (1.0, 1.0, 2.0))
    expected = axial_diameters(ellipsoid(plain, (25, 25, 30), (18.0, 7.0, 12.0)), plain)
    # sagittal storage: k runs right-left, i runs foot-head upside down
    affine = np.array([[0, 0, -1.0, 50], [0, 1.0, 0, 0], [-2.0, 0, 0, 60], [0, 0, 0, 1]])
    sagittal = Geometry(shape=(31, 51, 51), affine=affine)
    found = axial_diameters(ellipsoid(sagittal, (25, 25, 30), (18.0, 7.0, 12.0)), sagittal)
    assert found.longest_mm == pytest.approx(expected.longest_mm, abs=0.5)
    assert found.short_mm == pytest.approx(expected.short_mm, abs=0.5)
    ends = np.array(found.longest_ends_ras_mm)
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(found.longest_mm)
    assert np.ptp(ends[:, 2]) == pytest.approx(0.0, abs=1e-6)


def test_one_voxel_has_its_own_size():
    grid = Geometry.axis_aligned((3, 3, 3), (2.0, 3.0, 4.0))
    region = np.zeros(grid.shape, bool)
    region[1, 1, 1] = True
    found = axial_diameters(region, grid)
    assert found.longest_mm == pytest.approx(3.0)
    assert found.short_mm == pytest.approx(2.0)


def test_two_parts_in_a_slice_are_not_one_diameter():
    grid = Geometry.axis_aligned((60, 20, 3), (1.0, 1.0, 1.0))
    region = np.zeros(grid.shape, bool)
    region[5:15, 8:12, 1] = True
    region[45:50, 8:12, 1] = True
    assert axial_diameters(region, grid).longest_mm == pytest.approx(np.hypot(10, 3), abs=0.5)


def test_short_axis_never_exceeds_the_longest_and_meets_it_at_right_angles():
    rng = np.random.default_rng(3)
    grid = Geometry.axis_aligned((24, 24, 6), (1.3, 1.3, 4.0))
    for _ in range(10):
        region = np.zeros(grid.shape, bool)
        for _ in range(3):
            region |= ellipsoid(grid, rng.uniform((8, 8, 6), (22, 22, 16)), rng.uniform(2, 8, 3), rng.uniform(0, 90))
        found = axial_diameters(region, grid)
        assert found.short_mm <= found.longest_mm
        long, short = (np.subtract(*ends) for ends in (found.longest_ends_ras_mm, found.short_ends_ras_mm))
        assert abs(np.dot(long, short)) <= 1e-6 * np.linalg.norm(long) * max(np.linalg.norm(short), 1.0)


def test_empty_region_is_refused():
    grid = Geometry.axis_aligned((3, 3, 3), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="at least one voxel"):
        axial_diameters(np.zeros(grid.shape, bool), grid)


def test_sphere_is_round_and_tube_is_long():
    grid = Geometry.axis_aligned((60, 60, 60), (2.0, 2.0, 2.0))
    ball = shape_of(ellipsoid(grid, (60, 60, 60), (20.0, 20.0, 20.0)), grid)
    assert ball.sphericity > 0.9
    assert ball.elongation == pytest.approx(1.0, abs=0.05)
    tube = shape_of(ellipsoid(grid, (60, 60, 60), (8.0, 8.0, 55.0)), grid)
    assert tube.sphericity < 0.8
    assert tube.elongation > 4
    assert tube.length_mm == pytest.approx(110, abs=6)


def test_length_of_a_bent_tube_is_its_course():
    grid = Geometry.axis_aligned((80, 80, 20), (2.0, 2.0, 2.0))
    points = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    ring = (np.hypot(points[..., 0] - 80, points[..., 1] - 80) - 55) ** 2 + (points[..., 2] - 20) ** 2 <= 10.0**2
    half = ring & (points[..., 1] > 80)
    assert shape_of(half, grid).length_mm == pytest.approx(np.pi * 55, rel=0.2)
