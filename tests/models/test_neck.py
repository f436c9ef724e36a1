"""The box in which the thyroid is looked for."""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.models.neck import FROM_APICES_MM, HALF_MM, neck_box

SPACING = 5.0


def chest(*, gland=None, top_cut=False):
    """Two lung columns 80 mm off the midline with apices at 300 mm, and a gland of 3 x 3 x 3 voxels where asked."""
    geometry = Geometry.axis_aligned((80, 60, 100), (SPACING,) * 3, (-200.0, -150.0, 0.0))
    labels = np.zeros(geometry.shape, np.uint8)
    for lung, x in (("lung_left", -80.0), ("lung_right", 80.0)):
        i, j, k = np.round(geometry.to_index((x, 0.0, 300.0))).astype(int)
        labels[i - 6:i + 7, j - 6:j + 7, 5:(100 if top_cut else k + 1)] = BY_NAME[lung].label
    if gland is not None:
        i, j, k = np.round(geometry.to_index(gland)).astype(int)
        labels[i - 1:i + 2, j - 1:j + 2, k - 1:k + 2] = BY_NAME["thyroid_gland"].label
    return labels, geometry


def middle(box, geometry):
    return geometry.to_world([(part.start + part.stop - 1) / 2 for part in box])


def test_the_apices_of_the_lungs_place_the_box():
    labels, geometry = chest()
    box = neck_box(labels, geometry)
    assert box is not None
    assert middle(box, geometry) == pytest.approx(np.array([0.0, 0.0, 300.0]) + FROM_APICES_MM, abs=2 * SPACING)
    size = [(part.stop - part.start) * SPACING for part in box]
    assert size == pytest.approx(2 * HALF_MM, abs=3 * SPACING)


def test_a_gland_found_coarsely_places_the_box():
    labels, geometry = chest(gland=(15.0, 10.0, 345.0))
    assert middle(neck_box(labels, geometry), geometry) == pytest.approx([15.0, 10.0, 345.0], abs=SPACING)


def test_a_gland_far_from_the_neck_is_not_followed():
    labels, geometry = chest(gland=(0.0, 0.0, 60.0))
    assert middle(neck_box(labels, geometry), geometry)[2] > 280.0


def test_no_box_without_gland_and_apices():
    labels, geometry = chest(top_cut=True)
    assert neck_box(labels, geometry) is None
    assert neck_box(np.zeros_like(labels), geometry) is None


def test_the_box_stays_within_the_image():
    labels, geometry = chest(gland=(180.0, 140.0, 480.0), top_cut=True)
    box = neck_box(labels, geometry)
    assert all(0 <= part.start < part.stop <= n for part, n in zip(box, geometry.shape, strict=True))
