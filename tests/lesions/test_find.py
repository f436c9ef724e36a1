from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from irae.core.anatomy import site_of
from irae.core.exam import Exam, Role
from irae.core.focus import FocusSource
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.lesions import find_foci
from irae.lesions.pictures import join_pictures
from irae.lesions.regions import Noise, hot_regions
from irae.lesions.rules import FOCI_RULES
from irae.lesions.sizing import deblurred_mm
from irae.lesions.threshold import hot_threshold
from irae.quant.resample import volume_onto
from irae.quant.uptake import UptakeReference
from tests.lesions.bodies import FINE, PET_GRID, REFERENCE, Ball, draw, ellipsoid, points

BALLS = (
    Ball((80, 0, 160), 20, 8.0, None),  # liver, not visible on CT
    Ball((-80, 20, 300), 12, 6.0),  # left lung
    Ball((80, -30, 330), 20, 5.0),  # right lung
    Ball((0, -60, 230), 14, 7.0),  # in fat
    Ball((0, 0, 90), 16, 10.0),  # in fat, 40 mm above the bladder
)


def nearest(found, place):
    return min(found.foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, place)))


@pytest.fixture(scope="module")
def body():
    exam, organs = draw(BALLS)
    return exam, organs, find_foci(exam, organs=organs, reference=REFERENCE)


def test_every_sphere_is_one_focus_and_every_hot_organ_one(body):
    _, _, found = body
    assert sorted(f.organ for f in found.foci if f.features["picture"]) == ["brain", "urinary_bladder"]
    assert len(found.foci) == len(BALLS) + 2


@pytest.mark.parametrize("ball", BALLS, ids=lambda b: f"{b.diameter_mm} mm")
def test_place_and_diameter(body, ball):
    focus = nearest(body[2], ball.centre)
    assert np.linalg.norm(np.subtract(focus.centroid_ras_mm, ball.centre)) < 3.0
    assert focus.longest_mm == pytest.approx(ball.diameter_mm, abs=3.0)  # one voxel
    assert focus.short_mm == pytest.approx(ball.diameter_mm, abs=3.0)  # one voxel


def test_size_is_from_the_ct_where_it_shows_the_border_else_from_the_pet(body):
    from_ct = [nearest(body[2], ball.centre).features["size_from_ct"] for ball in BALLS]
    assert from_ct == [0, 1, 1, 1, 1]


def test_organs(body):
    organs = [nearest(body[2], ball.centre).organ for ball in BALLS]
    assert organs == ["liver", "lung_left", "lung_right", "lymph_node", "lymph_node"]
    assert [f.is_node for f in body[2].foci] == [f.organ == "lymph_node" for f in body[2].foci]


def test_labels_lie_where_the_foci_are(body):
    _, _, found = body
    assert found.labels.dtype == np.uint16
    assert found.geometry.same_grid(FINE)
    for focus in found.foci:
        voxels = np.argwhere(found.labels == focus.id)
        centre = found.geometry.to_world(voxels).mean(axis=0)
        assert np.linalg.norm(centre - focus.centroid_ras_mm) < 4.0
        assert len(voxels) * FINE.voxel_volume_ml == pytest.approx(focus.volume_ml, rel=0.35, abs=0.1)


def test_uptake_of_a_large_focus_is_its_own():
    ball = Ball((0, -20, 230), 40, 10.0)
    exam, organs = draw([ball], noise=0.01)
    focus = nearest(find_foci(exam, organs=organs, reference=REFERENCE), ball.centre)
    assert focus.suv_peak == pytest.approx(10.0, rel=0.05)
    assert focus.volume_ml == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.12)
    assert focus.tlg == pytest.approx(focus.suv_mean * focus.volume_ml)


def test_two_touching_spheres_are_two_foci():
    pair = [Ball((-14, -20, 230), 24, 8.0), Ball((14, -20, 230), 24, 8.0)]
    exam, organs = draw(pair)
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    focal = [f for f in found.foci if not f.features["picture"]]
    assert len(focal) == 2
    assert {round(f.centroid_ras_mm[0] / 14) for f in focal} == {-1, 1}


def test_a_lesion_beside_the_bladder_does_not_vanish():
    ball = Ball((48, 40, 40), 16, 14.0)  # 12 mm of fat between them
    exam, organs = draw([ball])
    focus = nearest(find_foci(exam, organs=organs, reference=REFERENCE), ball.centre)
    assert not focus.features["picture"]
    assert np.linalg.norm(np.subtract(focus.centroid_ras_mm, ball.centre)) < 5.0


def test_a_node_against_a_bladder_as_hot_is_measured_whole():
    node = Ball((44, 40, 40), 34, 18.0)  # its wall touches the bladder's
    exam, organs = draw([node])
    focus = nearest(find_foci(exam, organs=organs, reference=REFERENCE), node.centre)
    assert not focus.features["picture"]
    assert focus.longest_mm == pytest.approx(34.0, abs=5.0)
    assert focus.short_mm > 24.0


def test_a_node_far_hotter_than_the_bladder_whose_mask_runs_over_it_is_no_urine():
    node = Ball((33, 40, 40), 16, 14.0)
    exam, organs = draw([Ball((0, 40, 40), 58, 3.0, 8.0), node])  # a bladder of little activity
    array = organs.array.copy()
    array[ellipsoid(points(organs.geometry), (25, 40, 40), (6, 6, 6))] = organs.labels["urinary_bladder"]
    found = find_foci(exam, organs=replace(organs, array=array), reference=REFERENCE)
    near = [f for f in found.foci if np.linalg.norm(np.subtract(f.centroid_ras_mm, node.centre)) < 6.0]
    assert [f.features["picture"] for f in near] == [0.0]


def test_a_very_hot_spot_inside_the_brain_is_its_own_focus():
    ball = Ball((0, -5, 415), 18, 30.0, None)
    exam, organs = draw([ball])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    brain = [f for f in found.foci if f.organ == "brain"]
    assert sorted(f.features["picture"] for f in brain) == [0, 1]


@pytest.mark.parametrize(("between", "parts"), [(5.0, 1), (3.0, 2)])
def test_brain_that_the_segmenter_left_out_is_brain_unless_a_valley_lies_between(between, parts):
    height = 408.0
    fold = [Ball((x, y, height), 10, between, None) for x in range(-40, 41, 8) for y in range(-48, 49, 8)
            if (x / 50) ** 2 + (y / 60) ** 2 < 0.8]
    exam, organs = draw(fold)
    array = organs.array.copy()
    array[(points(organs.geometry)[..., 2] < height + 2.0) & organs.mask("brain")] = 0
    found = find_foci(exam, organs=replace(organs, array=array), reference=REFERENCE)
    head = [f for f in found.foci if f.centroid_ras_mm[2] > 350.0]
    assert len(head) == parts
    assert head[0].features["picture"] == 1.0


def test_a_diffusely_hot_colon_is_one_focus_that_holds_most_of_it():
    exam, organs = draw(colon_suv=7.0)
    colon = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.organ == "colon"]
    assert len(colon) == 1
    assert colon[0].features["organ_share"] > 0.6
    assert colon[0].features["length_mm"] > 150


def test_a_polyp_in_a_quiet_colon_is_focal():
    ball = Ball((-60, 45, 120), 16, 9.0, None)
    exam, organs = draw([ball])
    colon = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.organ == "colon"]
    assert [f.features["picture"] for f in colon] == [0]
    assert colon[0].features["contrast"] > 3


def test_a_cold_lung_nodule_is_found_on_ct():
    ball = Ball((80, 0, 300), 11, 0.6)
    exam, organs = draw([ball])
    found = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.source is FocusSource.CT]
    assert len(found) == 1
    assert found[0].longest_mm == pytest.approx(11, abs=2.5)
    assert found[0].organ == "lung_right"
    assert found[0].suv_max is not None


def test_ct_alone_finds_lung_nodules_and_dark_liver_lesions_and_says_what_it_cannot():
    exam, organs = draw([Ball((-80, 20, 300), 12, 6.0), Ball((80, 0, 160), 24, 8.0, 20.0)], pet=False)
    found = find_foci(exam, organs=organs, reference=None)
    assert sorted(f.organ for f in found.foci) == ["liver", "lung_left"]
    assert all(f.suv_max is None and f.tlg is None for f in found.foci)
    assert {n.code for n in found.notices} == {"foci_ct_only"}


def test_pet_alone_and_without_organs():
    exam, _ = draw(BALLS, ct=False)
    found = find_foci(exam, organs=None, reference=None)
    assert found.geometry.same_grid(exam.pet.geometry)
    for ball in BALLS[:1] + BALLS[3:]:
        focus = nearest(found, ball.centre)
        assert np.linalg.norm(np.subtract(focus.centroid_ras_mm, ball.centre)) < 5.0
        assert focus.longest_mm == pytest.approx(ball.diameter_mm, abs=5.0)
    assert {n.code for n in found.notices} == {"hot_threshold", "foci_without_organs"}


def test_no_uptake_no_focus_and_no_pet_no_ct_is_said():
    exam, organs = draw(noise=0.0)
    quiet = Exam(patient="P", acquired_on=date(2026, 1, 1), volumes={Role.PET: Volume(
        array=np.minimum(exam.pet.array, 1.0), geometry=exam.pet.geometry, quantity=Quantity.SUV_BW)})
    assert find_foci(quiet, organs=organs, reference=REFERENCE).foci == ()
    grid = Geometry.axis_aligned((4, 4, 4), (1, 1, 1))
    head = Exam(patient="P", acquired_on=date(2026, 1, 1), volumes={Role.MR: Volume(
        array=np.ones((4, 4, 4)), geometry=grid, quantity=Quantity.MR_SIGNAL)})
    assert find_foci(head, organs=None, reference=None).notices[0].code == "foci_not_searched"


def test_orientation_of_the_images_does_not_matter(body):
    exam, organs, found = body
    turned = Geometry(shape=(112, 63, 90), affine=np.array(
        [[0, 0, -4.0, 176], [0, 4.0, 0, -126], [4.0, 0, 0, 0], [0, 0, 0, 1]]))
    pet = volume_onto(exam.pet, turned)
    again = find_foci(Exam(patient="P", acquired_on=exam.acquired_on, volumes={Role.CT: exam.ct, Role.PET: pet}),
                      organs=organs, reference=REFERENCE)
    for ball in BALLS:
        assert nearest(again, ball.centre).longest_mm == pytest.approx(nearest(found, ball.centre).longest_mm, abs=1.5)


@pytest.mark.parametrize(("reference", "method", "suv"), [
    (REFERENCE, "liver", 1.5 * 2.2 + 2 * 0.15),
    (UptakeReference(blood_pool_mean=1.5, blood_pool_sd=0.1), "blood_pool", 3.2),
    (UptakeReference(liver_mean=9.0, liver_sd=1.0, blood_pool_mean=1.5, blood_pool_sd=0.1), "blood_pool", 3.2),
    (UptakeReference(), "fixed", 4.0),
    (None, "fixed", 4.0),
])
def test_threshold_methods(reference, method, suv):
    found = hot_threshold(reference, FOCI_RULES)
    assert found.method == method
    assert found.suv == pytest.approx(suv)
    assert found.notice.text


def test_deblurring_is_monotone_and_leaves_large_lesions_alone():
    sizes = [deblurred_mm(mm, 6.5) for mm in np.arange(7.0, 70.0, 0.5)]
    assert np.all(np.diff(sizes) > 0)
    assert deblurred_mm(8.0, 6.5) < 8.0
    assert deblurred_mm(25.0, 6.5) == pytest.approx(25.0, abs=0.3)


def test_same_exam_same_answer(body):
    exam, organs, found = body
    again = find_foci(exam, organs=organs, reference=REFERENCE)
    assert again.foci == found.foci
    assert np.array_equal(again.labels, found.labels)


def test_a_node_at_the_hilum_is_a_node_though_the_lung_mask_covers_it_and_a_nodule_in_the_lung_is_not():
    vessel = Ball((22.0, 0.0, 300.0), 40.0, 1.5)
    exam, organs = draw([vessel, Ball((36.0, 0.0, 300.0), 16.0, 9.0), Ball((85.0, 0.0, 300.0), 16.0, 9.0)])
    foci = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if not f.features["picture"]]
    by_x = sorted(foci, key=lambda f: f.centroid_ras_mm[0])
    assert [f.organ for f in by_x] == ["lymph_node", "lung_right"], [(f.organ, f.features) for f in by_x]


def test_a_hot_edge_without_a_maximum_of_its_own_does_not_take_the_picture_of_the_organ_away():
    grid = Geometry.axis_aligned((40, 40, 40), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    suv, labels = np.full(grid.shape, 0.5, np.float32), np.zeros(grid.shape, np.uint8)
    for row in range(19, 40):
        suv[:, row, :] = min(3.4, 2.7 + 0.1 * (row - 18))  # below the general threshold, above the colon's, rising
    labels[:, 16:21, :] = 3
    suv[8:36, 16:18, 8:36] = 5.0
    organs = LabelMap(array=labels, geometry=grid, labels={"colon": 3}, coverage={"colon": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    assert list(regions.pictures.values()) == ["colon"]
    assert (regions.labels[10:34, 17, 10:34] > 0).all()
    assert regions.labels[2, 2, 2] == 0


def test_a_liver_metastasis_against_a_hotter_colon_is_not_swallowed_by_it():
    grid = Geometry.axis_aligned((40, 40, 40), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    suv, labels = np.full(grid.shape, 0.5, np.float32), np.zeros(grid.shape, np.uint8)
    labels[:, 12:20, :], labels[:, 20:, :] = 3, 5
    suv[:, 20:, :] = 2.2
    suv[8:28, 12:20, 8:28], suv[10:26, 20:32, 10:26] = 14.0, 8.0
    organs = LabelMap(array=labels, geometry=grid, labels={"colon": 3, "liver": 5},
                      coverage={"colon": Coverage.WHOLE, "liver": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    colon, lesion = (int(regions.labels[18, y, 18]) for y in (16, 27))
    assert regions.pictures == {colon: "colon"}
    assert lesion not in (0, colon)
    assert regions.peaks[lesion][1] == pytest.approx(8.0, abs=0.1)


def test_a_spot_in_quiet_bowel_is_its_own_focus_however_hot_the_bowel_is_elsewhere():
    exam, organs = draw([Ball((-105.0, 0.0, 120.0), 16, 9.0)])
    suv, at = exam.pet.array.copy(), points(PET_GRID)
    colon = volume_onto(Volume(array=organs.mask("colon"), geometry=FINE, quantity=Quantity.HU), PET_GRID).array > 0.5
    suv[colon & (at[..., 0] > -40)] = 6.0
    hot = Volume(array=suv, geometry=PET_GRID, quantity=Quantity.SUV_BW)
    seen = Exam(patient="P", acquired_on=exam.acquired_on, volumes={Role.CT: exam.ct, Role.PET: hot})
    found = [f for f in find_foci(seen, organs=organs, reference=REFERENCE).foci if f.organ == "colon"]
    assert sorted(f.features["picture"] for f in found) == [0.0, 1.0]
    spot = min(found, key=lambda f: f.features["picture"])
    assert np.linalg.norm(np.subtract(spot.centroid_ras_mm, (-105.0, 0.0, 120.0))) < 6.0


@pytest.mark.parametrize(("diameter_mm", "own"), [(24, True), (42, True), (60, True)])
def test_a_round_mass_in_bowel_that_is_hot_by_itself_is_its_own_focus_however_large(diameter_mm, own):
    ball = Ball((-60, 45, 120), diameter_mm, 12.0)
    exam, organs = draw([ball], colon_suv=4.0)
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    focus = nearest(found, ball.centre)
    assert (focus.features["picture"] == 0) is own
    assert focus.longest_mm == pytest.approx(diameter_mm, abs=5.0)  # hot bowel around it widens the contour


def test_a_dark_cleft_at_the_livers_border_is_no_lesion_and_a_dark_ball_inside_is():
    inside, at_the_border = Ball((80, 0, 160), 24, 2.2, 20.0), Ball((80, -52, 160), 30, 2.2, 20.0)
    exam, organs = draw([inside, at_the_border], pet=False)
    liver = [f for f in find_foci(exam, organs=organs, reference=None).foci if f.organ == "liver"]
    assert len(liver) == 1
    assert np.linalg.norm(np.subtract(liver[0].centroid_ras_mm, inside.centre)) < 4.0


@pytest.mark.parametrize(("suv", "expected"), [(2.5, 1), (0.5, 0)])
def test_a_nodule_of_two_voxels_of_the_ct_is_believed_where_the_pet_shows_it(suv, expected):
    coarse = Geometry.axis_aligned((90, 63, 112), (4.0, 4.0, 4.0), (-180.0, -126.0, 0.0))
    exam, organs = draw([Ball((80, 0, 300), 11, suv)], ct_grid=coarse)
    found = [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.organ == "lung_right"]
    assert len(found) == expected


def test_consolidation_that_the_lung_mask_leaves_out_belongs_to_the_lung():
    exam, organs = draw([Ball((95, 0, 290), 60, 6.0)])
    grid = organs.geometry.to_world(np.argwhere(organs.array == organs.labels["lung_right"]))
    left_out = np.argwhere(organs.array == organs.labels["lung_right"])[
        np.linalg.norm(grid - (95, 0, 290), axis=-1) <= 34]
    array = organs.array.copy()
    array[tuple(left_out.T)] = 0
    holed = LabelMap(array=array, geometry=organs.geometry, labels=organs.labels, coverage=organs.coverage)
    focus = nearest(find_foci(exam, organs=holed, reference=REFERENCE), (95, 0, 290))
    assert (focus.organ, focus.organ_fraction < 0.3) == ("lung_right", True)


@pytest.mark.parametrize(("along", "own"), [(2, False), (0, True)])
def test_hot_bowel_above_its_mask_is_bowel_that_breathing_moved_and_beside_it_is_not(along, own):
    grid = Geometry.axis_aligned((40, 40, 40), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    suv, labels = np.full(grid.shape, 0.5, np.float32), np.zeros(grid.shape, np.uint8)
    np.moveaxis(labels, along, 0)[8:20, 4:36, 14:26] = 3
    np.moveaxis(labels, along, 0)[20:, 4:36, 14:26] = 6
    np.moveaxis(suv, along, 0)[12:26, 5:35, 15:25] = 14.0  # 24 mm into the spleen
    organs = LabelMap(array=labels, geometry=grid, labels={"colon": 3, "spleen": 6},
                      coverage={"colon": Coverage.WHOLE, "spleen": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    beyond = np.moveaxis(regions.labels, along, 0)[24, 20, 20]
    assert (int(beyond) not in regions.pictures) is own


def test_a_mass_at_the_pole_of_a_kidney_is_its_own_focus_and_the_urine_in_its_pelvis_is_not():
    grid = Geometry.axis_aligned((40, 40, 50), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    at = points(grid)
    kidney, pelvis, mass = (ellipsoid(at, c, r) for c, r in (
        ((80, 80, 120), (24, 26, 52)), ((90, 80, 120), (7, 7, 18)), ((72, 62, 84), (17, 17, 17))))
    suv = np.where(mass, 12.0, np.where(pelvis, 20.0, np.where(kidney, 3.0, 0.5))).astype(np.float32)
    labels = (9 * (kidney | (mass & (at[..., 1] > 60)))).astype(np.uint8)  # the mask takes in a part of the mass
    organs = LabelMap(array=labels, geometry=grid, labels={"kidney_right": 9},
                      coverage={"kidney_right": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    of_pelvis, of_mass = (int(regions.labels[tuple(np.round(grid.to_index(np.array(c))).astype(int))])
                          for c in ((90, 80, 120), (72, 60, 84)))
    assert regions.pictures[of_pelvis] == "kidney_right"
    assert of_mass not in (0, *regions.pictures)


def test_a_focus_in_a_sick_lung_is_not_lost_in_its_disease():
    rng = np.random.default_rng(3)
    exam, organs = draw([Ball((-80.0, 10.0, 320.0), 16.0, 7.0, None)])
    at, suv = points(PET_GRID), exam.pet.array.copy()
    patches = rng.choice([0.5, 4.5], size=(9, 7, 12)).repeat(10, 0).repeat(9, 1).repeat(10, 2)[:90, :63, :112]
    lung = ellipsoid(at, (-80, 0, 300), (50, 65, 85)) & ~ellipsoid(at, (-80, 10, 320), (22, 22, 22))
    suv[lung] = patches[lung]
    seen = Exam(patient="P", acquired_on=exam.acquired_on, volumes={
        Role.CT: exam.ct, Role.PET: Volume(array=suv, geometry=PET_GRID, quantity=Quantity.SUV_BW)})
    focus = nearest(find_foci(seen, organs=organs, reference=REFERENCE), (-80.0, 10.0, 320.0))
    assert np.linalg.norm(np.subtract(focus.centroid_ras_mm, (-80.0, 10.0, 320.0))) < 6.0


def test_a_region_that_two_organs_claim_is_one_picture():
    grid = Geometry.axis_aligned((40, 40, 40), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    labels, basins = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.int32)
    labels[6:34, 4:20, 14:26], labels[6:34, 20:36, 14:26] = 3, 4
    basins[6:34, 24:36, 14:26], basins[6:34, 16:24, 14:26] = 1, 2  # the second lies half in either
    suv = np.where(labels > 0, 5.0, 0.5).astype(np.float32)
    organs = LabelMap(array=labels, geometry=grid, labels={"colon": 3, "small_bowel": 4},
                      coverage={"colon": Coverage.WHOLE, "small_bowel": Coverage.WHOLE})
    assert join_pictures(basins, suv, suv, suv > 2, organs, grid, FOCI_RULES) == {1: "small_bowel"}
    assert set(np.unique(basins)) == {0, 1}


def test_a_metastasis_that_fills_an_adrenal_is_a_focus_and_not_the_glands_uptake():
    place = (20, -60, 200)
    exam, organs = draw([Ball(place, 26, 9.0)])
    gland = ellipsoid(points(organs.geometry), place, (14.0, 14.0, 14.0))
    labels = {**organs.labels, "adrenal_gland_right": 18}
    organs = replace(organs, array=np.where(gland, 18, organs.array).astype(np.uint8), labels=labels,
                     coverage={**organs.coverage, "adrenal_gland_right": Coverage.WHOLE})
    focus = nearest(find_foci(exam, organs=organs, reference=REFERENCE), place)
    assert (site_of(focus.organ), focus.features["picture"]) == ("adrenal", 0.0)
    assert focus.longest_mm == pytest.approx(26, abs=3.0)


def test_a_cold_nodule_beside_a_hot_tumour_does_not_take_its_uptake():
    tumour, nodule = Ball((-80, -10, 300), 30, 40.0), Ball((-80, 16, 300), 14, 0.6)
    exam, organs = draw([tumour, nodule])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    assert nearest(found, tumour.centre).suv_max > 30.0
    beside = nearest(found, nodule.centre)
    assert np.linalg.norm(np.subtract(beside.centroid_ras_mm, nodule.centre)) < 4.0
    assert beside.source is FocusSource.CT
    assert beside.suv_max == pytest.approx(0.6, abs=0.2)  # on its border the tumour spills 1.5


@pytest.mark.parametrize(("in_mask", "picture"), [(1.0, True), (0.5, False)], ids=["myocardium", "a mass on the heart"])
def test_a_ring_is_the_myocardium_if_it_lies_in_the_heart(in_mask, picture):
    grid = Geometry.axis_aligned((50, 50, 50), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    at = points(grid)
    ring = ellipsoid(at, (100, 100, 100), (34, 34, 34)) & ~ellipsoid(at, (100, 100, 100), (20, 20, 20))
    suv = np.where(ring, 12.0, 1.2).astype(np.float32)
    heart = (ellipsoid(at, (100, 100, 60), (60, 60, 60)) | ring) & (at[..., 2] <= (140 if in_mask == 1.0 else 100))
    organs = LabelMap(array=(4 * heart).astype(np.uint8), geometry=grid, labels={"heart": 4},
                      coverage={"heart": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    assert ("heart" in regions.pictures.values()) is picture


def test_a_small_lung_nodule_seen_on_pet_and_on_ct_is_one_focus():
    place = (80, 0, 300)
    exam, organs = draw([Ball(place, 8, 6.0)])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    assert sum(np.linalg.norm(np.subtract(f.centroid_ras_mm, place)) < 6.0 for f in found.foci) == 1


def test_a_bladder_of_which_the_mask_misses_the_hottest_part_is_the_bladder():
    grid = Geometry.axis_aligned((50, 40, 50), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    at = points(grid)
    bladder = ellipsoid(at, (80, 80, 100), (28, 28, 28))
    suv = np.where(bladder, 16.0 - 0.1 * (at[..., 1] - 80), 0.5).astype(np.float32)  # urine layers
    mask = ellipsoid(at, (80, 88, 108), (30, 28, 30)) & (at[..., 1] >= 65)
    organs = LabelMap(array=(7 * mask).astype(np.uint8), geometry=grid, labels={"urinary_bladder": 7},
                      coverage={"urinary_bladder": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    assert regions.pictures == {1: "urinary_bladder"}
    assert list(regions.peaks) == [1], "the rim that the mask leaves out is no focus"


@pytest.mark.parametrize(("off_mm", "own"), [(40.0, True), (18.0, False)], ids=["beside it", "in its neck"])
def test_a_node_against_the_bladder_is_its_own_focus_though_no_saddle_parts_the_two(off_mm, own):
    grid = Geometry.axis_aligned((50, 40, 50), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    at = points(grid)
    bladder, beside = ellipsoid(at, (80, 80, 100), (28, 28, 28)), ellipsoid(at, (80 + off_mm, 80, 100), (14, 14, 14))
    suv = np.where(bladder, 20.0, np.where(beside, 12.0, 0.5)).astype(np.float32)
    organs = LabelMap(array=(7 * bladder).astype(np.uint8), geometry=grid, labels={"urinary_bladder": 7},
                      coverage={"urinary_bladder": Coverage.WHOLE})
    hot = hot_threshold(REFERENCE, FOCI_RULES)
    regions = hot_regions(suv, grid, organs, hot, (2.2, 0.15), 1.5, Noise({}, 0.07, 4.0), FOCI_RULES)
    of_node = int(regions.labels[tuple(np.round(grid.to_index(np.array((80 + off_mm + 10, 80, 100)))).astype(int))])
    assert of_node != 0
    assert (of_node not in regions.pictures) is own
    if own:
        assert np.mean(regions.labels[beside & ~bladder] == of_node) > 0.8, "whole, not its tip"


def test_a_faint_metastasis_of_the_lung_beside_a_rib_is_no_marrow_of_the_rib():
    """It takes up more than marrow does, though less than the general threshold."""
    place = (126, 0, 300)
    rib = [Ball((138, y, 300), 18, 0.8, 400.0) for y in (-12, 0, 12)]
    exam, organs = draw([*rib, Ball(place, 20, 3.5)])
    found = find_foci(exam, organs=organs, reference=REFERENCE)
    lesion = min(found.foci, key=lambda f: np.linalg.norm(np.subtract(f.centroid_ras_mm, place)))
    assert np.linalg.norm(np.subtract(lesion.centroid_ras_mm, place)) < 6.0
    assert lesion.suv_max < hot_threshold(REFERENCE, FOCI_RULES).suv
    assert lesion.features["bone_fraction"] + lesion.features["rim_bone_fraction"] >= FOCI_RULES.rib_bone


@pytest.mark.parametrize(("diameter_mm", "slice_mm"), [(7, 5), (8, 5), (8, 6)])
def test_a_hot_nodule_as_small_as_two_voxels_of_the_ct_is_found_and_measured_by_its_spot_there(diameter_mm, slice_mm):
    shape = tuple(int(n * 3 / slice_mm) for n in FINE.shape)
    coarse = Geometry.axis_aligned(shape, (slice_mm,) * 3, (-180.0, -126.0, 0.0))
    place = (-80, 10, 320)

    def lung_foci(hu):
        exam, organs = draw([Ball(place, diameter_mm, 15.0, hu)], ct_grid=coarse)
        return [f for f in find_foci(exam, organs=organs, reference=REFERENCE).foci if f.organ == "lung_left"]

    (nodule,) = lung_foci(40.0)
    assert nodule.features["spot_mm"] == nodule.longest_mm == pytest.approx(diameter_mm, abs=1.0)
    assert nodule.suv_max is not None
    assert not any("spot_mm" in f.features for f in lung_foci(None)), "the CT shows nothing there"


@pytest.mark.parametrize(("ball", "listed"), [
    (Ball((0, -60, 230), 21, 3.7), True),
    (Ball((0, -60, 230), 21, 3.7, None), False),  # no node on the CT
    (Ball((0, -60, 230), 21, 2.6), False),  # no hotter than blood
    (Ball((0, -60, 230), 10, 6.0), False),  # no larger than a normal node
], ids=["node", "fat", "vessel", "small"])
def test_a_large_node_is_listed_though_it_is_too_faint_for_a_patient_of_much_blood_pool(ball, listed):
    blood = UptakeReference(liver_mean=2.5, liver_sd=0.25, blood_pool_mean=2.4, blood_pool_sd=0.1)
    exam, organs = draw([ball])
    found = find_foci(exam, organs=organs, reference=blood)
    at = [f for f in found.foci if np.linalg.norm(np.subtract(f.centroid_ras_mm, ball.centre)) < 8.0]
    assert bool(at) is listed
    if listed:
        (node,) = at
        assert node.is_node
        assert node.longest_mm == pytest.approx(ball.diameter_mm, abs=2.0)
        assert node.suv_max < hot_threshold(blood, FOCI_RULES).suv
