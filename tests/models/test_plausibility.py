"""What is not believable is rejected with a sentence; what is cut by the border is partial; nothing else changes."""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, Quantity, Volume
from irae.models.plausibility import Plausibility, believed, cleaned

# 5 mm voxels: 0.125 mL each, so 8000 voxels are a litre.
SHAPE, SPACING = (60, 50, 80), 5.0
HU = {"lung_left": -800, "lung_right": -800, "liver": 100, "spleen": 110, "kidney_left": 150, "kidney_right": 150}
# low corner and size in voxels; +i is to the right, +k to the head
BOXES = {
    "lung_left": ((5, 15, 50), (20, 20, 24)),  # 1.2 L
    "lung_right": ((35, 15, 50), (20, 20, 24)),
    "liver": ((32, 12, 26), (24, 24, 20)),  # 1.4 L
    "spleen": ((6, 8, 30), (10, 12, 14)),  # 210 mL
    "kidney_left": ((12, 8, 12), (8, 10, 14)),  # 140 mL
    "kidney_right": ((40, 8, 10), (8, 10, 14)),
}
ORGANS = tuple(BOXES)


def scene(boxes=BOXES, hu=HU):
    array = np.full(SHAPE, 40.0)
    labels = np.zeros(SHAPE, np.uint8)
    for organ, (low, size) in boxes.items():
        box = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
        array[box], labels[box] = hu[organ], BY_NAME[organ].label
    image = Volume(array=array, geometry=Geometry.axis_aligned(SHAPE, (SPACING,) * 3), quantity=Quantity.HU)
    return labels, image


def test_a_believable_body_is_believed_whole():
    labels, image = scene()
    found = believed(labels, image, (*ORGANS, "colon"), clean=True)
    assert not found.rejected
    assert {found.coverage[organ] for organ in ORGANS} == {Coverage.WHOLE}
    assert found.coverage["colon"] is Coverage.NONE
    assert not found.seen("colon")
    np.testing.assert_array_equal(found.array, labels)


@pytest.mark.parametrize(("organ", "box", "hu", "says"), [
    ("liver", ((28, 2, 2), (30, 46, 46)), 100, "more than the 4500 mL"),
    ("liver", ((32, 12, 26), (8, 8, 8)), 100, "less than the 500 mL"),
    ("liver", BOXES["liver"], -100, "median -100 HU"),
    ("spleen", ((50, 8, 5), (8, 12, 14)), 110, "spleen lies right of the liver"),
    ("liver", ((32, 12, 4), (24, 24, 20)), 100, ""),
    ("kidney_left", ((50, 8, 10), (8, 10, 14)), 150, "right kidney lies left"),
    ("lung_left", BOXES["lung_left"], 20, ""),  # opaque from apex to base
    ("lung_left", BOXES["lung_left"], 120, "median 120 HU"),
])
def test_what_is_not_believable_is_rejected_with_a_reason(organ, box, hu, says):
    labels, image = scene(BOXES | {organ: box}, HU | {organ: hu})
    found = believed(labels, image, ORGANS, clean=False)
    if not says:
        assert organ not in found.rejected
        return
    assert says in found.rejected[organ]
    assert found.coverage[organ] is Coverage.NONE
    assert not found.mask(organ).any()
    assert not (found.array == BY_NAME[organ].label).any()


@pytest.mark.parametrize(("sure", "seen"), [(0.9, True), (0.7, False)])
def test_an_opaque_lung_is_believed_where_the_network_is_sure_of_it(sure, seen):
    labels, image = scene(BOXES, HU | {"lung_right": 20})
    found = believed(labels, image, ORGANS, clean=True, probability={"lung_right": sure})
    assert found.seen("lung_right") is seen
    assert found.seen("lung_left")


def test_order_rules_use_believed_organs_only():
    labels, image = scene(BOXES | {"liver": ((2, 12, 26), (24, 24, 20))}, HU | {"liver": -500})
    found = believed(labels, image, ORGANS, clean=False)
    assert set(found.rejected) == {"liver"}, "an unbelieved liver must not drag the spleen along"


def test_an_organ_cut_by_the_border_is_partial_and_a_sliver_is_not_measured():
    labels, image = scene(BOXES | {"liver": ((36, 12, 0), (24, 24, 6))})
    found = believed(labels, image, ORGANS, clean=False)
    assert found.coverage["liver"] is Coverage.PARTIAL
    labels, image = scene(BOXES | {"liver": ((36, 12, 0), (10, 10, 3))})
    found = believed(labels, image, ORGANS, clean=False)
    assert found.coverage["liver"] is Coverage.NONE
    assert "lie in the field of view" in found.rejected["liver"]


def test_liver_half_full_of_air_is_not_a_liver():
    labels, image = scene()
    array = image.array.copy()
    array[BOXES["liver"][0][0]:, :, 26:31] = -900.0  # a quarter of it; the median stays that of liver
    image = Volume(array=array, geometry=image.geometry, quantity=Quantity.HU)
    found = believed(labels, image, ORGANS, clean=False)
    assert "must" in found.rejected["liver"]


def test_loose_parts_are_cleaned_and_a_scattered_organ_is_rejected():
    labels, image = scene()
    labels[2:5, 40:43, 70:73] = BY_NAME["liver"].label
    cleaned_labels, kept = cleaned(labels, {"liver": 5, "spleen": 6})
    assert not (cleaned_labels[2:5, 40:43, 70:73] == BY_NAME["liver"].label).any()
    assert kept["liver"] > 0.99
    rng = np.random.default_rng(0)
    scattered = np.where(rng.random(SHAPE) < 0.04, BY_NAME["liver"].label, 0).astype(np.uint8)
    scattered[20:36, 20:36, 20:36] = BY_NAME["liver"].label
    found = believed(
        scattered, Volume(array=np.full(SHAPE, 80.0), geometry=image.geometry, quantity=Quantity.HU), ("liver",),
        clean=True,
    )
    assert "scattered" in found.rejected["liver"]


def test_a_colon_in_two_parts_stays_in_two_parts():
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 10:20, 10:30] = labels[40:50, 10:20, 10:28] = BY_NAME["colon"].label
    again, kept = cleaned(labels, {"colon": BY_NAME["colon"].label})
    np.testing.assert_array_equal(again, labels)
    assert kept["colon"] == 1.0


def test_mr_has_no_attenuation_gate():
    shape = (40, 40, 40)
    labels = np.zeros(shape, np.uint8)
    labels[16:26, 16:26, 17:24] = BY_NAME["pituitary"].label  # 700 mm3
    image = Volume(array=np.random.default_rng(0).random(shape), geometry=Geometry.axis_aligned(shape, (1.0,) * 3),
                   quantity=Quantity.MR_SIGNAL)
    assert believed(labels, image, ("pituitary",), clean=True).coverage["pituitary"] is Coverage.WHOLE


@pytest.mark.parametrize(("moved", "says"), [((0, 8, -8), ""), ((14, 0, 0), "right"), ((0, -17, 0), "front")])
def test_a_pituitary_lies_in_the_midline_of_the_head(moved, says):
    shape = (40, 40, 40)
    labels, head = np.zeros(shape, np.uint8), np.zeros(shape)
    head[5:35, 3:37, 3:37] = 100.0
    low = np.array((18, 18, 18)) + moved
    labels[tuple(slice(a, a + 3) for a in low)] = BY_NAME["pituitary"].label
    image = Volume(array=head, geometry=Geometry.axis_aligned(shape, (2.0,) * 3), quantity=Quantity.MR_SIGNAL)
    drawn = believed(labels, image, ("pituitary",), clean=False)
    assert drawn.seen("pituitary") == (not says)
    assert says in drawn.rejected.get("pituitary", "")
    labels[18:21, 20:23, 16:19] = BY_NAME["pituitary"].label
    by_network = believed(labels, image, ("pituitary",), clean=True)
    assert by_network.mask("pituitary")[18:21, 20:23, 16:19].all(), "what lies elsewhere must not hide the gland"


def test_what_the_network_itself_doubts_is_not_believed():
    labels, image = scene()
    found = believed(labels, image, ORGANS, clean=True, probability={"spleen": 0.59, "liver": 0.61})
    assert set(found.rejected) == {"spleen"}
    assert "59 % on average" in found.rejected["spleen"]


def test_gates_are_settings():
    labels, image = scene(BOXES | {"liver": ((32, 12, 26), (8, 8, 8))})
    lenient = Plausibility(hu={}, orders=())
    assert "liver" in believed(labels, image, ORGANS, clean=False, rules=lenient).rejected, "volume is anatomy's"
    assert len(believed(labels, image, ("spleen",), clean=False, rules=lenient).rejected) == 0


GLANDS = {"adrenal_gland_left": ((23, 14, 25), (2, 2, 4)), "adrenal_gland_right": ((36, 14, 24), (2, 2, 4))}  # 2 mL


@pytest.mark.parametrize(("organ", "box", "hu", "says"), [
    ("adrenal_gland_left", GLANDS["adrenal_gland_left"], 40, ""),
    ("adrenal_gland_left", ((23, 14, 25), (8, 8, 8)), 40, "more than the 60 mL"),
    ("adrenal_gland_left", ((23, 14, 25), (1, 2, 3)), 40, "less than the 1 mL"),
    ("adrenal_gland_left", GLANDS["adrenal_gland_left"], -90, "median -90 HU"),
    ("adrenal_gland_left", ((23, 14, 12), (2, 2, 4)), 40, "below the left kidney's centre"),
    ("adrenal_gland_left", ((23, 9, 25), (2, 2, 4)), 40, "behind the left kidney's centre"),
    ("adrenal_gland_left", ((4, 14, 25), (2, 2, 4)), 40, "lateral of the left kidney"),
    ("adrenal_gland_left", ((40, 8, 40), (2, 2, 4)), 40, "lies left of the left one"),
    ("adrenal_gland_right", ((52, 14, 24), (2, 2, 4)), 40, "lateral of the right kidney"),
    ("adrenal_gland_right", ((36, 14, 70), (2, 2, 4)), 40, "above the right lung's centre"),
])
def test_adrenals_lie_medial_above_and_before_the_kidneys_each_on_its_side(organ, box, hu, says):
    boxes = BOXES | GLANDS | {organ: box}
    labels, image = scene(boxes, HU | dict.fromkeys(GLANDS, 40) | {organ: hu})
    found = believed(labels, image, tuple(boxes), clean=True)
    assert set(found.rejected) <= set(GLANDS)
    assert (says in found.rejected[organ]) if says else not found.rejected
