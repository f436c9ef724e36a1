"""Display planes are right for every orientation of the voxels."""

import itertools

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.report.planes import AXIAL, CORONAL, LETTERS, SAGITTAL, Plane, along_world_axes, coronal_projection, cut
from tests.report.examples import ellipsoid, oriented

MARKER = (-30.0, 22.0, 41.0)  # on the patient's left, in front, towards the head
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
CENTRE = (0.0, 0.0, 0.0)


def marked(axes=(0, 1, 2), flips=(1, 1, 1)):
    grid = oriented((30, 24, 40), (4.0, 4.0, 4.0), (-60.0, -48.0, -80.0), axes, flips)
    return ellipsoid(grid, MARKER, (7, 7, 7)).astype(np.float32), grid


def where(picture):
    """Centre of the marker as fractions of the width from the viewer's left and of the height from the top."""
    rows, columns = np.nonzero(picture > 0.5)
    return (columns.mean() + 0.5) / picture.shape[1], (rows.mean() + 0.5) / picture.shape[0]


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_a_marker_on_the_patients_left_appears_on_the_viewers_right(axes, flips):
    array, grid = marked(axes, flips)
    for kind, depth, expected in (
        (AXIAL, (0, 0, 41), (0.5 + 30 / 120, 0.5 - 22 / 96)),
        (CORONAL, (0, 22, 0), (0.5 + 30 / 120, 0.5 - 41 / 160)),
        (SAGITTAL, (-30, 0, 0), (0.5 - 22 / 96, 0.5 - 41 / 160)),
    ):
        size = {AXIAL: (120, 96), CORONAL: (120, 160), SAGITTAL: (96, 160)}[kind]
        plane = Plane(kind=kind, centre_mm=depth, width_mm=size[0], height_mm=size[1], pixel_mm=2.0)
        picture = cut(array, grid, plane)
        assert picture is not None
        assert picture.shape == (size[1] // 2, size[0] // 2)
        assert where(picture) == pytest.approx(expected, abs=0.02), kind


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS[::5])
def test_projection_shows_the_marker_at_the_same_place(axes, flips):
    array, grid = marked(axes, flips)
    picture, plane = coronal_projection(array, grid)
    assert where(picture) == pytest.approx((0.5 + 30 / 120, 0.5 - 41 / 160), abs=0.02)
    assert plane.extent_mm == pytest.approx((60, -60, -80, 80))


def test_an_oblique_volume_is_cut_along_the_patient():
    tilt = np.deg2rad(20)
    affine = np.eye(4)
    affine[:3, :3] = 3.0 * np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    shape = (40, 50, 60)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    grid = Geometry(shape=shape, affine=affine)
    array = ellipsoid(grid, MARKER, (8, 8, 8)).astype(np.float32)
    plane = Plane(kind=SAGITTAL, centre_mm=(-30, 0, 0), width_mm=96, height_mm=160, pixel_mm=2.0)
    assert where(cut(array, grid, plane)) == pytest.approx((0.5 - 22 / 96, 0.5 - 41 / 160), abs=0.02)
    picture, view = coronal_projection(array, grid)
    across = view.extent_mm[0] + where(picture)[0] * (view.extent_mm[1] - view.extent_mm[0])
    up = view.extent_mm[3] - where(picture)[1] * (view.extent_mm[3] - view.extent_mm[2])
    assert (across, up) == pytest.approx((-30, 41), abs=2.5)


def test_letters_follow_radiological_convention():
    assert LETTERS[AXIAL] == ("R", "L", "A", "P")
    assert LETTERS[CORONAL] == ("R", "L", "H", "F")
    assert LETTERS[SAGITTAL] == ("A", "P", "H", "F")


def test_a_plane_outside_the_image_has_no_picture():
    array, grid = marked()
    far = Plane(kind=AXIAL, centre_mm=(0, 0, 500), width_mm=100, height_mm=100, pixel_mm=2)
    assert cut(array, grid, far) is None


def test_what_lies_beyond_the_image_is_filled():
    array, grid = marked()
    wide = Plane(kind=AXIAL, centre_mm=(0, 0, 41), width_mm=200, height_mm=200, pixel_mm=2)
    picture = cut(array, grid, wide, outside=-1024.0)
    assert picture[0, 0] == -1024
    assert picture[-1, -1] == -1024
    assert picture[50, 50] == 0


def test_axis_aligned_volumes_are_turned_without_resampling():
    array, grid = marked((2, 0, 1), (-1, 1, -1))
    turned, straight = along_world_axes(array, grid)
    assert np.shares_memory(turned, array)
    assert np.all(np.diag(straight.affine)[:3] > 0)
    place = np.argwhere(turned > 0.5).mean(axis=0)
    assert straight.to_world(place) == pytest.approx(MARKER, abs=2.0)


@pytest.mark.parametrize("bad", [{"kind": "frontal"}, {"width_mm": 0.0}, {"pixel_mm": -1.0}])
def test_nonsense_is_refused(bad):
    good = {"kind": AXIAL, "centre_mm": CENTRE, "width_mm": 10.0, "height_mm": 10.0, "pixel_mm": 1.0}
    with pytest.raises(ValueError, match="plane"):
        Plane(**(good | bad))
