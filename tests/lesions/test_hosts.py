"""To which organ a focus belongs, by its mask and by what the CT shows around it."""

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap
from irae.lesions.features import ct_features, landmarks
from irae.lesions.hosts import host_organ
from irae.lesions.rules import ADRENAL, BONE, FOCI_RULES, NODE

GRID = Geometry.axis_aligned((20, 20, 20), (2.0, 2.0, 2.0))


def host(*, spine: bool, place=None, gland=None, **tissue):
    """The organ of a 12 mm ball of soft tissue, a vertebra's mask 6 mm beside it or not, an adrenal's where asked."""
    centre = np.linalg.norm(np.argwhere(np.ones(GRID.shape)) - 10, axis=1).reshape(GRID.shape)
    labels = np.zeros(GRID.shape, np.uint8)
    if spine:
        labels[:, :7] = 16
    if gland is not None:
        labels[gland] = 17
    seen = {"ct_hu_mean": 45.0, "bone_fraction": 0.0, "rim_soft_fraction": 0.21} | tissue
    names = {16: "vertebrae", 5: "liver", 17: "adrenal_gland_left"}
    return host_organ(centre <= 3, labels, names, GRID, seen, 17.5, FOCI_RULES, place=place)[0]


@pytest.mark.parametrize(("rim", "spine", "organ"), [
    (0.52, True, "vertebrae"), (0.52, False, BONE), (0.3, False, NODE),
])
def test_what_bone_surrounds_by_half_is_a_bone_lesion_and_a_node_against_it_is_not(rim, spine, organ):
    assert host(spine=spine, rim_bone_fraction=rim) == organ


@pytest.mark.parametrize(("soft", "fat", "organ"), [
    (0.95, 0.02, None), (0.82, 0.15, None), (0.95, 0.2, NODE), (0.6, 0.05, NODE),
])
def test_a_deposit_with_muscle_all_around_is_no_node(soft, fat, organ):
    assert host(spine=False, rim_soft_fraction=soft, rim_fat_fraction=fat, rim_bone_fraction=0.0) == organ


@pytest.mark.parametrize(("sphericity", "fat", "hu", "organ"), [
    (0.97, 0.5, 40.0, NODE), (0.6, 0.5, 40.0, "small_bowel"), (0.97, 0.1, 40.0, "small_bowel"),
    (0.97, 0.5, -300.0, "small_bowel"),
], ids=["ball in fat", "loop", "between loops", "gas"])
def test_a_ball_with_fat_about_it_in_the_mask_of_the_small_bowel_is_a_mesenteric_node(sphericity, fat, hu, organ):
    ball = np.linalg.norm(np.argwhere(np.ones(GRID.shape)) - 10, axis=1).reshape(GRID.shape) <= 3
    tissue = {"ct_hu_mean": hu, "rim_fat_fraction": fat, "rim_soft_fraction": 0.3}
    for label, name, expected in ((6, "small_bowel", organ), (6, "colon", "colon")):
        labels = np.full(GRID.shape, label, np.uint8)
        found, _ = host_organ(ball, labels, {label: name}, GRID, tissue, 14.0, FOCI_RULES, sphericity=sphericity)
        assert found == expected


@pytest.mark.parametrize("name", ["urinary_bladder", "small_bowel", "stomach"])
@pytest.mark.parametrize(("first", "sphericity", "fat", "beside"), [
    (11, 0.87, 0.5, True), (9, 0.87, 0.5, False), (11, 0.7, 0.5, False), (11, 0.87, 0.2, False),
], ids=["ball in fat", "mostly inside", "loop", "in its wall"])
def test_a_ball_in_fat_that_a_hollow_organs_mask_only_reaches_into_is_a_node(name, first, sphericity, fat, beside):
    ball = np.linalg.norm(np.argwhere(np.ones(GRID.shape)) - 10, axis=1).reshape(GRID.shape) <= 3
    labels = np.zeros(GRID.shape, np.uint8)
    labels[first:] = 6
    tissue = {"ct_hu_mean": 23.0, "rim_fat_fraction": fat, "rim_soft_fraction": 0.4}
    found, share = host_organ(ball, labels, {6: name}, GRID, tissue, 18.6, FOCI_RULES, sphericity=sphericity)
    assert (found, share > 0) == ((NODE, False) if beside else (name, True))


@pytest.mark.parametrize(("place", "organ"), [
    ({"behind_spine_mm": 45.0}, None), ({"behind_spine_mm": 45.0, "head_neck": 0.0}, None),
    ({"behind_spine_mm": 15.0}, NODE), ({"behind_spine_mm": 45.0, "head_neck": 1.0}, NODE),
], ids=["back", "back below the neck", "beside the spine", "nape"])
def test_the_back_has_no_nodes(place, organ):
    assert host(spine=False, place=place, rim_fat_fraction=0.6, rim_bone_fraction=0.0) == organ


def test_how_far_behind_the_spine_a_place_lies_follows_its_curve_and_its_ends():
    labels = np.zeros((20, 40, 60), np.uint8)
    labels[8:12, 10:14, 10:30] = 1  # 20 to 60 mm high, middle at y = 23
    labels[8:12, 20:24, 30:50] = 1  # 60 to 100 mm, middle at y = 43
    grid = Geometry.axis_aligned(labels.shape, (2.0, 2.0, 2.0))
    body = landmarks(LabelMap(
        array=labels, geometry=grid, labels={"vertebrae": 1}, coverage={"vertebrae": Coverage.WHOLE}, rejected={}
    ), None)
    for z, y, behind in ((30.0, 3.0, 20.0), (90.0, 3.0, 40.0), (0.0, 33.0, -10.0), (119.0, 3.0, 40.0)):
        assert body.of(np.array([0.0, y, z]), None)["behind_spine_mm"] == pytest.approx(behind, abs=1e-6)
    assert "behind_spine_mm" not in landmarks(None, None).of(np.zeros(3), None)


@pytest.mark.parametrize(("off_mm", "fat", "organ"), [(20.0, 0.6, ADRENAL), (30.0, 0.6, NODE), (20.0, 0.2, NODE)])
def test_in_the_fat_on_the_upper_pole_of_a_kidney_it_is_an_adrenal(off_mm, fat, organ):
    place = {"off_adrenal_mm": off_mm}
    assert host(spine=False, place=place, rim_fat_fraction=fat, rim_bone_fraction=0.0) == organ


@pytest.mark.parametrize(("sides", "organ"), [
    ("all", BONE), ("one", NODE), ("even", NODE), ("skull", NODE),
], ids=["bone", "beside bone", "in an enhanced organ", "in the head"])
def test_a_destroyed_bone_is_told_by_the_bone_about_it_and_a_node_beside_a_bone_is_not(sides, organ):
    at = GRID.to_world(np.argwhere(np.ones(GRID.shape))).reshape(*GRID.shape, 3) - 19.0
    away = np.linalg.norm(at, axis=-1)
    hu = np.where((away <= 7) | (away > 13), 40.0, -90.0).astype(np.float32)
    bone = (away > 9) & (away < 13)  # marrow and a thin cortex: little of the rim is as dense as cortex
    shell = bone & (away > 11)
    hu[bone if sides != "one" else bone & (at[..., 1] < -4)] = 165.0
    if sides != "even":
        hu[shell if sides != "one" else shell & (at[..., 1] < -4)] = 240.0
    tissue = ct_features(hu, away <= 7, GRID, FOCI_RULES)
    place = {"head_neck": 1.0} if sides == "skull" else None
    assert host(spine=False, place=place, **tissue) == organ


@pytest.mark.parametrize(("gland", "organ"), [
    (slice(9, 12), ADRENAL), (slice(14, 16), ADRENAL), (slice(17, 19), NODE),
], ids=["in it", "beside it", "further off"])
@pytest.mark.parametrize("fat", [0.6, 0.2])
def test_on_a_found_adrenal_gland_it_is_an_adrenal(gland, organ, fat):
    assert host(spine=False, gland=gland, rim_fat_fraction=fat, rim_bone_fraction=0.0) == organ
