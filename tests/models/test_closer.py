"""The boxes in which networks look closer: the thyroid's and the adrenals'."""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.models.closer import CLOSER_LOOKS, FROM_APICES_MM, FROM_FLANKS_MM, FROM_POLES_MM, read_by_the_five

SPACING = 5.0
NECK, ABOVE_KIDNEYS = CLOSER_LOOKS["thyroid"], CLOSER_LOOKS["adrenals"]


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
    box = NECK.box(labels, geometry)
    assert box is not None
    assert middle(box, geometry) == pytest.approx(np.array([0.0, 0.0, 300.0]) + FROM_APICES_MM, abs=2 * SPACING)
    size = [(part.stop - part.start) * SPACING for part in box]
    assert size == pytest.approx(2 * np.array(NECK.half_mm), abs=3 * SPACING)


def test_a_gland_found_coarsely_places_the_box():
    labels, geometry = chest(gland=(15.0, 10.0, 345.0))
    assert middle(NECK.box(labels, geometry), geometry) == pytest.approx([15.0, 10.0, 345.0], abs=SPACING)


def test_a_gland_far_from_the_neck_is_not_followed():
    labels, geometry = chest(gland=(0.0, 0.0, 60.0))
    assert middle(NECK.box(labels, geometry), geometry)[2] > 280.0


def test_no_box_without_gland_and_apices():
    labels, geometry = chest(top_cut=True)
    assert NECK.box(labels, geometry) is None
    assert NECK.box(np.zeros_like(labels), geometry) is None


def test_the_box_stays_within_the_image():
    labels, geometry = chest(gland=(180.0, 140.0, 480.0), top_cut=True)
    box = NECK.box(labels, geometry)
    assert all(0 <= part.start < part.stop <= n for part, n in zip(box, geometry.shape, strict=True))


POLE_MM = 200.0


def abdomen(*kidneys, flanks=True, spine=True, poles=(POLE_MM, POLE_MM), top=None):
    """Kidneys 60 mm off the midline with poles at 200 mm, spine, liver, spleen; ``top``: where the image ends, mm."""
    geometry = Geometry.axis_aligned((80, 60, 80), (SPACING,) * 3, (-200.0, -150.0, 0.0))
    labels = np.zeros(geometry.shape, np.uint8)

    def put(organ, centre, half):
        low, high = (np.round(geometry.to_index(np.array(centre) + side * np.array(half))).astype(int)
                     for side in (-1, 1))
        labels[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = BY_NAME[organ].label

    if flanks:
        put("liver", (90.0, 0.0, 230.0), (50.0, 60.0, 60.0))
        put("spleen", (-110.0, -20.0, 230.0), (25.0, 40.0, 40.0))
    for kidney, pole in zip(kidneys, poles, strict=False):
        put(kidney, (-60.0 if kidney == "kidney_left" else 60.0, -45.0, pole - 55.0), (25.0, 25.0, 55.0))
    if spine:
        put("vertebrae", (0.0, -60.0, 150.0), (20.0, 20.0, 140.0))
    if top is None:
        return labels, geometry
    last = int(geometry.to_index((0.0, 0.0, top))[2])
    return labels[:, :, :last], geometry.cropped((0, 0, 0), (80, 60, last))


BOTH = ("kidney_left", "kidney_right")


@pytest.mark.parametrize(("kidneys", "more", "expected"), [
    (BOTH, {}, (0.0, -45.0, POLE_MM)),
    (BOTH[:1], {}, (0.0, -45.0, POLE_MM)),
    (BOTH[1:], {}, (0.0, -45.0, POLE_MM)),
    (BOTH[1:], {"spine": False}, (2.0, -45.0, POLE_MM)),
    (BOTH, {"poles": (POLE_MM, POLE_MM - 90.0)}, (0.0, -45.0, POLE_MM)),  # one kidney lies in the pelvis
], ids=["both", "left", "right", "right, no spine", "one sunk"])
def test_the_upper_poles_place_the_box_of_the_adrenals(kidneys, more, expected):
    labels, geometry = abdomen(*kidneys, **more)
    box = ABOVE_KIDNEYS.box(labels, geometry)
    assert middle(box, geometry) == pytest.approx(np.array(expected) + FROM_POLES_MM, abs=2 * SPACING)


def test_without_kidneys_liver_and_spleen_place_it():
    labels, geometry = abdomen()
    expected = np.array([0.0, -10.0, 230.0]) + FROM_FLANKS_MM
    assert middle(ABOVE_KIDNEYS.box(labels, geometry), geometry) == pytest.approx(expected, abs=2 * SPACING)
    labels, geometry = abdomen(spine=False)
    assert ABOVE_KIDNEYS.box(labels, geometry) is None


def test_no_box_above_the_field_of_view():
    labels, geometry = abdomen(*BOTH, top=POLE_MM - 30.0)
    assert ABOVE_KIDNEYS.box(labels, geometry) is None
    labels, geometry = abdomen(*BOTH, top=POLE_MM + 15.0)
    box = ABOVE_KIDNEYS.box(labels, geometry)
    assert box is not None
    assert box[2].stop == geometry.shape[2]


def test_specks_of_a_kidney_are_not_followed():
    labels, geometry = abdomen(flanks=False)
    labels[20:22, 20:22, 70:72] = BY_NAME["kidney_left"].label
    assert ABOVE_KIDNEYS.box(labels, geometry) is None


def test_muscle_is_looked_for_everywhere():
    labels, geometry = abdomen()
    assert CLOSER_LOOKS["muscle"].box(labels, geometry) == tuple(slice(0, n) for n in geometry.shape)


def test_what_only_adds_organs_is_not_read_by_the_five():
    digests = {"organs": "a", "thyroid": "b", "adrenals": "c", "muscle": "m", "another": "d"}
    assert read_by_the_five(digests) == {"organs": "a", "thyroid": "b", "another": "d"}
