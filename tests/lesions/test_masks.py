import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.lesions.masks import inside_skull, searched_organs
from irae.lesions.rules import FOCI_RULES
from tests.lesions.bodies import ellipsoid, points

GRID = Geometry.axis_aligned((60, 60, 130), (4.0, 4.0, 4.0), (-118.0, -118.0, 0.0))
LABELS = {"lung_left": 1, "lung_right": 2, "colon": 3}


def head(*, open_vault=False):
    """Lungs up to 300 mm, a head of 1.2 L in a shell of bone above them."""
    at = points(GRID)
    hu = np.full(GRID.shape, -1000.0, np.float32)
    hu[ellipsoid(at, (0, 0, 250), (110, 90, 240))] = 40.0
    hu[ellipsoid(at, (0, 0, 430), (68, 78, 68))] = 900.0
    brain = ellipsoid(at, (0, 0, 430), (60, 70, 60))
    hu[brain] = 35.0
    if open_vault:
        hu[(np.abs(at[..., 0]) < 30) & (at[..., 1] > 0) & (hu > 200)] = 40.0
    labels = np.zeros(GRID.shape, np.uint8)
    for label, x in ((1, -55), (2, 55)):
        labels[ellipsoid(at, (x, 0, 200), (40, 60, 100))] = label
    return Volume(array=hu, geometry=GRID, quantity=Quantity.HU), labels, brain


def test_the_inside_of_the_skull_is_found_by_its_bone():
    ct, _, brain = head()
    mask, grid = inside_skull(ct, 300.0, FOCI_RULES)
    volume = np.count_nonzero(brain) * GRID.voxel_volume_ml
    assert np.count_nonzero(mask) * grid.voxel_volume_ml == pytest.approx(volume, rel=0.3)
    assert np.linalg.norm(grid.to_world(np.argwhere(mask)).mean(axis=0) - (0, 0, 430)) < 8.0


def test_no_skull_where_the_bone_is_open_or_below_the_head():
    assert inside_skull(head(open_vault=True)[0], 300.0, FOCI_RULES) is None
    ct = head()[0]
    body = Volume(array=ct.array[:, :, :80], geometry=GRID.cropped((0, 0, 0), (60, 60, 80)), quantity=Quantity.HU)
    assert inside_skull(body, None, FOCI_RULES) is None
    assert inside_skull(body, 400.0, FOCI_RULES) is None


def test_a_brain_that_was_not_found_is_there_and_colon_in_the_shoulder_is_not():
    ct, labels, brain = head()
    labels[25:35, 25:35, 90:95] = 3  # 360 mm: far above the lungs
    labels[25:30, 25:30, 5:20] = 3
    organs = LabelMap(array=labels, geometry=GRID, labels=LABELS, coverage=dict.fromkeys(LABELS, Coverage.WHOLE))
    searched = searched_organs(organs, ct, FOCI_RULES)
    assert np.mean(searched.mask("brain")[brain]) > 0.85
    assert searched.coverage["brain"] is Coverage.PARTIAL
    kept = np.argwhere(searched.mask("colon"))
    assert kept[:, 2].max() < 20
    assert np.count_nonzero(organs.mask("colon")) > len(kept)  # the map that was given stays as it was


def test_muscle_is_background_of_the_search():
    ct, labels, _ = head()
    with_muscle = np.where((labels == 0) & (ct.array == 40.0), 19, labels).astype(np.uint8)
    names = LABELS | {"skeletal_muscle": 19}
    given = LabelMap(array=with_muscle, geometry=GRID, labels=names, coverage=dict.fromkeys(names, Coverage.WHOLE))
    searched = searched_organs(given, ct, FOCI_RULES)
    assert "skeletal_muscle" not in searched.coverage
    assert not (searched.array == 19).any()
    plain = LabelMap(array=labels, geometry=GRID, labels=LABELS, coverage=dict.fromkeys(LABELS, Coverage.WHOLE))
    np.testing.assert_array_equal(searched.array, searched_organs(plain, ct, FOCI_RULES).array)


def test_without_organs_there_is_nothing_to_complete():
    assert searched_organs(None, head()[0], FOCI_RULES) is None
