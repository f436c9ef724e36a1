"""Small solid nodules by the soft tissue their voxels hold, against balls and ellipsoids drawn with exact borders."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from irae.lesions.crops import fine_grid
from irae.lesions.partial_volume import remnant_in_lung, solid_size
from irae.lesions.rules import FOCI_RULES
from irae.quant.diameter import axial_diameters
from irae.quant.resample import onto_grid
from irae.quant.shape import ball_mm
from tests.lesions.scans import FAT, PLACE, ball, ellipsoid, rod, scan


def thresholded(ct, limit=FOCI_RULES.nodule_in_lung_hu, centre=PLACE):
    """(HU, mask, grid): what exceeds a threshold, on the fine grid on which lesions are measured."""
    grid = fine_grid(ct.geometry)
    hu = onto_grid(ct.array, ct.geometry, grid, outside=-1024.0)
    parts, _ = ndimage.label(hu >= limit)
    middle = tuple(int(v) for v in np.round(grid.to_index(centre)))
    return hu, parts == parts[middle], grid


def sized(ct, limit=FOCI_RULES.nodule_in_lung_hu, centre=PLACE):
    return solid_size(*thresholded(ct, limit, centre), ct.geometry, FOCI_RULES)


@pytest.mark.parametrize("diameter_mm", [9.0, 12.0, 16.0])
@pytest.mark.parametrize("offset_mm", [0.0, 0.9, 1.7])
def test_a_nodule_of_few_voxels_has_its_volume_wherever_it_lies_on_them(diameter_mm, offset_mm):
    centre = PLACE + offset_mm
    size = sized(scan([ball(diameter_mm, centre)], 4.0), centre=centre)
    assert ball_mm(size.volume_ml) == pytest.approx(diameter_mm, abs=1.0)
    assert size.longest_mm == pytest.approx(diameter_mm, abs=1.7)


def test_counting_voxels_is_off_by_more():
    counted, weighed = [], []
    for centre in (PLACE + offset_mm for offset_mm in (0.0, 0.9, 1.7)):
        ct = scan([ball(9.0, centre)], 4.0)
        _, mask, grid = thresholded(ct, centre=centre)
        counted.append(ball_mm(np.count_nonzero(mask) * grid.voxel_volume_ml) - 9.0)
        weighed.append(ball_mm(sized(ct, centre=centre).volume_ml) - 9.0)
    assert max(np.abs(counted)) > 1.5 * max(np.abs(weighed))
    assert np.ptp(counted) > 2.0 * np.ptp(weighed)


def test_on_fine_voxels_the_outline_gives_the_shape():
    size = sized(scan([partial(ellipsoid, diameters_mm=(22.0, 12.0, 12.0))], 1.0, blur_mm=0.7))
    assert size.longest_mm == pytest.approx(22.0, abs=1.5)
    assert size.short_mm == pytest.approx(12.0, abs=1.2)


def test_the_staircase_of_voxels_does_not_lengthen_a_nodule():
    errors = []
    for diameter_mm in (16.0, 22.0, 28.0, 34.0):
        for offset_mm in (0.0, 0.9, 1.7):
            centre = PLACE + offset_mm
            size = sized(scan([ball(diameter_mm, centre)], 3.0), centre=centre)
            errors.append([size.longest_mm - diameter_mm, size.short_mm - diameter_mm])
    assert np.mean(errors, axis=0) == pytest.approx([0.0, 0.0], abs=0.5)
    assert np.max(np.abs(errors)) < 1.0


def test_a_vessel_that_enters_it_is_not_measured():
    with_vessel = scan([ball(20.0), partial(rod, radius_mm=2.2)], 2.0)
    _, mask, grid = thresholded(with_vessel)
    assert axial_diameters(mask, grid).longest_mm > 30.0
    assert sized(with_vessel).longest_mm == pytest.approx(20.0, abs=2.5)


@pytest.mark.parametrize("radius_mm", [2.8, 3.4])
def test_a_vessel_nearly_as_wide_as_the_nodule_is_cut_off_where_it_enters(radius_mm):
    size = sized(scan([ball(12.0), partial(rod, radius_mm=radius_mm)], 2.0))
    assert size.longest_mm == pytest.approx(12.0, abs=2.5)
    before = replace(FOCI_RULES, tail_sphericity=0.0)
    hu, mask, grid = thresholded(scan([ball(12.0), partial(rod, radius_mm=radius_mm)], 2.0))
    assert solid_size(hu, mask, grid, scan([ball(12.0)], 2.0).geometry, before).longest_mm > size.longest_mm + 1.0


def test_outside_the_lung_a_lesion_has_the_size_of_its_mask():
    ct = scan([ball(14.0)], 2.0, around=FAT)
    _, mask, grid = thresholded(ct, FOCI_RULES.nodule_in_fat_hu)
    read = axial_diameters(mask, grid)
    size = sized(ct, FOCI_RULES.nodule_in_fat_hu)
    assert (size.longest_mm, size.short_mm) == (read.longest_mm, read.short_mm)
    assert size.volume_ml == pytest.approx(np.count_nonzero(mask) * grid.voxel_volume_ml)


@pytest.mark.parametrize("diameter_mm", [5.5, 7.0, 8.0])
@pytest.mark.parametrize("off_mm", [0.0, 4.0])
def test_what_is_left_of_a_nodule_is_measured_where_no_threshold_shows_it(diameter_mm, off_mm):
    ct = scan([ball(diameter_mm)], 4.0)
    assert diameter_mm > 6.0 or ct.array.max() < FOCI_RULES.nodule_in_lung_hu
    left = remnant_in_lung(ct, np.add(PLACE, (0.0, off_mm, 0.0)), 14.0, FOCI_RULES)
    assert left is not None
    assert left.size.longest_mm == pytest.approx(diameter_mm, abs=1.7)
    assert np.linalg.norm(left.geometry.to_world(np.argwhere(left.mask)).mean(axis=0) - PLACE) < 2.0


def test_where_nothing_is_left_nothing_is_measured():
    assert remnant_in_lung(scan([], 4.0), PLACE, 14.0, FOCI_RULES) is None


def test_a_vessel_that_passes_is_no_remnant():
    passing = scan([partial(rod, radius_mm=1.5, begin=-45.0)], 4.0)
    assert remnant_in_lung(passing, PLACE, 10.0, FOCI_RULES) is None


def test_beside_the_chest_wall_nothing_can_be_told():
    def wall(at):
        return at[..., 0] > 6.0

    assert remnant_in_lung(scan([wall], 4.0), np.array([4.0, 0.0, 0.0]), 10.0, FOCI_RULES) is None


def test_more_than_was_there_is_no_remnant():
    assert remnant_in_lung(scan([ball(16.0)], 4.0), PLACE, 9.0, FOCI_RULES) is None


def test_a_place_outside_the_scan_has_no_remnant():
    assert remnant_in_lung(scan([], 4.0), np.array([900.0, 0.0, 0.0]), 9.0, FOCI_RULES) is None
