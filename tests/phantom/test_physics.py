"""The phantom's physics against the published partial-volume table and against its own drawn numbers."""

import dataclasses

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.phantom.canvas import Canvas, Pose
from irae.phantom.draw import draw_scanner
from irae.phantom.scanner import add_pet_noise, blur_pet, correlated_noise, scan_mr
from irae.phantom.shapes import Ellipsoid, Tube

SCANNER = draw_scanner(np.random.default_rng(0), weight_kg=75.0)


def _tube_recovery(wall_mm: float, fwhm_mm: float, *, lumen_mm: float = 30.0, voxel_mm: float = 2.0) -> float:
    """Largest apparent value over the true value 1 of a tube's wall on background 0."""
    n = round(96 / voxel_mm)
    grid = Geometry.axis_aligned((n, n, n), (voxel_mm,) * 3, (-(n - 1) / 2 * voxel_mm,) * 3)
    canvas = Canvas(grid, Pose(), {"suv": 0.0}, noise_seed=1)
    found = Tube([(0, 0, -80), (0, 0, 80)], lumen_mm / 2).field(canvas, margin_mm=wall_mm + 5)
    assert found is not None
    block, distance, _ = found
    canvas.paint_layers(block, [distance - np.float32(wall_mm), distance], [{"suv": 1.0}, {"suv": 0.0}])
    blurred = blur_pet(
        canvas.channels["suv"], grid, dataclasses.replace(SCANNER, pet_fwhm_mm=fwhm_mm), edge_mm=canvas.edge_mm
    )
    return float(blurred[:, :, n // 2].max())


@pytest.mark.parametrize(
    ("wall_mm", "fwhm_mm", "expected"),
    [
        (2, 5, 0.37), (2, 6, 0.31), (2, 7, 0.27), (4, 5, 0.66), (4, 6, 0.57), (4, 7, 0.50),
        (6, 5, 0.84), (6, 6, 0.76), (6, 7, 0.69), (8, 5, 0.94), (8, 6, 0.89), (8, 7, 0.83),
    ],
)  # fmt: skip
def test_thin_walls_lose_apparent_uptake_as_the_partial_volume_table_says(wall_mm, fwhm_mm, expected):
    assert _tube_recovery(wall_mm, fwhm_mm) == pytest.approx(expected, abs=0.035)


def test_doubling_a_thin_wall_alone_raises_apparent_uptake_by_about_1_8_on_pet_voxels_too():
    ratio = _tube_recovery(4, 6, voxel_mm=4.0) / _tube_recovery(2, 6, voxel_mm=4.0)
    assert ratio == pytest.approx(1.8, abs=0.15)


def test_collapsed_thick_bowel_recovers_fully():
    assert _tube_recovery(8, 6, lumen_mm=0.5) == pytest.approx(0.99, abs=0.04)


@pytest.mark.parametrize(("height_mm", "expected"), [(5, 0.47), (6, 0.54), (8, 0.66), (10, 0.73), (12, 0.78)])
def test_a_small_pituitary_shows_part_of_its_uptake(height_mm, expected):
    grid = Geometry.axis_aligned((25, 25, 25), (2.0,) * 3, (-24.0,) * 3)
    canvas = Canvas(grid, Pose(), {"suv": 0.0}, noise_seed=1)
    found = Ellipsoid(centre=(0, 0, 0), semi=(6, 4.5, height_mm / 2)).field(canvas)
    assert found is not None
    block, distance = found
    canvas.paint_layers(block, [distance], [{"suv": 1.0}])
    blurred = blur_pet(canvas.channels["suv"], grid, dataclasses.replace(SCANNER, pet_fwhm_mm=6.0), edge_mm=2.0)
    assert float(blurred.max()) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("voxel_mm", [2.0, 3.0, 6.0])
def test_a_thin_layer_keeps_its_mass_on_any_grid(voxel_mm):
    n = round(90 / voxel_mm)
    grid = Geometry.axis_aligned((n, n, n), (voxel_mm,) * 3, (-(n - 1) / 2 * voxel_mm,) * 3)
    canvas = Canvas(grid, Pose(), {"suv": 0.0}, noise_seed=1)
    found = Ellipsoid(centre=(0.7, -0.3, 0.2), semi=(30, 30, 30)).field(canvas, margin_mm=6)
    assert found is not None
    block, distance = found
    canvas.paint_layers(block, [distance - 1.5, distance], [{"suv": 1.0}, {"suv": 0.0}])
    shell_ml = 4 / 3 * np.pi * (31.5**3 - 30**3) / 1000
    assert canvas.channels["suv"].sum() * grid.voxel_volume_ml == pytest.approx(shell_ml, rel=0.06)


def test_noise_has_unit_spread_and_the_asked_correlation():
    grid = Geometry.axis_aligned((60, 60, 60), (2.0, 2.0, 2.0))
    noise = correlated_noise(np.random.default_rng(3), grid, 6.0)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    # Filtering with FWHM 6 mm gives an autocorrelation of exp(-d^2 / (4 sigma^2)) at distance d.
    expected = np.exp(-(2.0**2) / (4 * (6 / 2.3548) ** 2))
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(expected, abs=0.06)


def test_pet_noise_has_the_asked_variation_in_the_liver():
    grid = Geometry.axis_aligned((50, 50, 50), (4.0, 4.0, 4.0))
    flat = np.full(grid.shape, 2.2, dtype=np.float32)
    noisy = add_pet_noise(flat, grid, dataclasses.replace(SCANNER, pet_noise=0.1, pet_fwhm_mm=6.0))
    assert noisy.std() / noisy.mean() == pytest.approx(0.1, abs=0.01)


def test_mr_noise_is_rician_in_air():
    grid = Geometry.axis_aligned((40, 40, 40), (1.0, 1.0, 1.0))
    scanner = dataclasses.replace(SCANNER, mr_snr=25.0, mr_bias=0.0)
    air = scan_mr(np.zeros(grid.shape, dtype=np.float32), grid, scanner)
    # Rayleigh: mean / SD = sqrt(pi/2) / sqrt(2 - pi/2) = 1.913
    assert air.mean() / air.std() == pytest.approx(1.913, abs=0.05)


def test_pose_there_and_back():
    pose = Pose(
        shift_mm=(5, -8, 12), tilt_deg=(1, -2, 1.5), bend_mm=(3.0,) * 6, wavelength_mm=(300.0,) * 6, phase=(0.5,) * 6
    )
    points = np.random.default_rng(1).uniform((-200, -120, -950), (200, 120, 0), (200, 3))
    assert np.allclose(pose.to_canonical(pose.to_world(points)), points, atol=1e-2)


@pytest.mark.parametrize("flip", [False, True])
def test_a_canvas_places_a_shape_in_the_world_whatever_the_axes(flip):
    """The same ellipsoid on an axis-aligned and on a permuted, flipped grid has the same centre of mass."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-40, -40, -40)
    if flip:
        affine = np.array([[0, 0, -2.0, 40], [2.0, 0, 0, -40], [0, -2.0, 0, 40], [0, 0, 0, 1]])
    grid = Geometry(shape=(41, 41, 41), affine=affine)
    pose = Pose(shift_mm=(3.0, 0.0, -2.0))
    canvas = Canvas(grid, pose, {"suv": 0.0}, noise_seed=1)
    found = Ellipsoid(centre=(10, -6, 4), semi=(12, 8, 5)).field(canvas)
    assert found is not None
    canvas.paint_layers(found[0], [found[1]], [{"suv": 1.0}])
    weight = canvas.channels["suv"]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    centre = (grid.to_world(index) * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    assert centre == pytest.approx((13, -6, 2), abs=0.05)
