"""All measures of an exam together: on a small body of known numbers, and on a real CT."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME, Irae
from irae.core.exam import Exam, Role
from irae.core.finding import Decision
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.findings import assess_findings, measure
from irae.quant.uptake import uptake_reference
from tests.quant.shapes import hu, label_map, suv, world_of

CT_GRID = Geometry.axis_aligned((90, 60, 60), (4.0, 4.0, 4.0), (-178.0, -118.0, -118.0))
PET_GRID = Geometry.axis_aligned((72, 48, 48), (5.0, 5.0, 5.0), (-178.0, -118.0, -118.0))


def ball(geometry, centre, radius):
    return np.linalg.norm(world_of(geometry) - np.array(centre), axis=-1) <= radius


def small_body(*, pituitary_suv=4.0, frame=None, thyroid_suv=3.0):
    """Liver, spleen, thyroid as balls; aorta as a bar; a pituitary on its own MR grid."""
    places = {"liver": ((-90, 0, -40), 50), "spleen": ((100, 0, -40), 30), "thyroid_gland": ((0, 40, 90), 16)}
    masks = {name: ball(CT_GRID, *place) for name, place in places.items()}
    x, y, _ = np.moveaxis(world_of(CT_GRID), -1, 0)
    masks["aorta"] = np.hypot(x, y + 60) <= 14
    values = {"liver": 58.0, "spleen": 48.0, "thyroid_gland": 90.0, "aorta": 45.0}
    uptakes = {"liver": 2.2, "spleen": 1.8, "thyroid_gland": thyroid_suv, "aorta": 1.5}
    array = np.full(CT_GRID.shape, -100.0)
    for name, mask in masks.items():
        array[mask] = values[name]
    pet = np.full(PET_GRID.shape, 0.4)
    xp, yp, _ = np.moveaxis(world_of(PET_GRID), -1, 0)
    for name, place in places.items():
        pet[ball(PET_GRID, *place)] = uptakes[name]
    pet[np.hypot(xp, yp + 60) <= 14] = uptakes["aorta"]
    gland = (60.0, 40.0, 60.0)
    pet[ball(PET_GRID, gland, 9)] = pituitary_suv
    mr_grid = Geometry.axis_aligned((40, 40, 40), (1.0, 1.0, 1.0), (40.5, 20.5, 40.5), frame)
    on_mr = ball(mr_grid, gland, 6)
    mr = Volume(array=np.where(on_mr, 2.4, 0.5), geometry=mr_grid, quantity=Quantity.MR_SIGNAL)
    exam = Exam(
        patient="P", acquired_on=date(2026, 1, 1),
        volumes={Role.CT: hu(array, CT_GRID), Role.PET: suv(pet, PET_GRID), Role.MR: mr},
    )
    return exam, label_map(CT_GRID, **masks), label_map(mr_grid, pituitary=on_mr)


def measured(**how):
    exam, organs, pituitary = small_body(**how)
    return measure(exam, organs, pituitary, uptake_reference(exam.pet, organs))


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("liver.hu", 58.0, "HU"), ("spleen.hu", 48.0, "HU"), ("liver.minus_spleen_hu", 10.0, "HU"),
        ("thyroid_gland.hu", 90.0, "HU"), ("thyroid_gland.suv75", 3.0, "g/mL"), ("liver.suv_median", 2.2, "g/mL"),
        ("liver.volume_ml", 523.6, "mL"), ("pituitary.height_mm", 12.0, "mm"), ("pituitary.tbr", 4.0 / 1.5, "1"),
    ],
)
def test_small_body(name, value, unit):
    found = measured().values[name]
    assert found.value == pytest.approx(value, rel=0.04)
    assert found.unit == unit


def test_no_pituitary_ratio_across_frames_of_reference():
    found = measured(frame="1.2.3").values["pituitary.tbr"]
    assert found.value is None
    assert "frames of reference" in found.why


def test_without_pet_there_is_no_uptake():
    exam, organs, pituitary = small_body()
    ct_only = Exam(patient="P", acquired_on=exam.acquired_on, volumes={Role.CT: exam.ct})
    assert not [name for name in measure(ct_only, organs, None, None).values if "suv" in name]
    assert measure(exam, None, pituitary, None).get("pituitary.height_mm") is not None


def test_organ_outside_the_pet_says_so():
    exam, organs, _ = small_body()
    pet = suv(exam.pet.array[:, :, :24], PET_GRID.cropped((0, 0, 0), (72, 48, 24)))
    cut = Exam(patient="P", acquired_on=exam.acquired_on, volumes={Role.CT: exam.ct, Role.PET: pet})
    found = measure(cut, organs, None, uptake_reference(pet, organs)).values["thyroid_gland.suv75"]
    assert found.value is None
    assert "field of view" in found.why


TOTALSEGMENTATOR = {
    1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 6: "stomach", 7: "pancreas", 10: "lung_left",
    11: "lung_left", 14: "lung_right", 18: "small_bowel", 20: "colon", 52: "aorta",
}


@pytest.mark.real_data
def test_a_real_abdomen_is_plausible(shared_data):
    nib = pytest.importorskip("nibabel")
    image = nib.load(shared_data / "totalseg" / "example_ct.nii.gz")
    classes = np.asarray(nib.load(shared_data / "totalseg" / "example_ct_seg.nii.gz").dataobj)
    geometry = Geometry(shape=image.shape, affine=image.affine)
    labels = np.zeros(image.shape, np.uint8)
    for value, name in TOTALSEGMENTATOR.items():
        labels[classes == value] = BY_NAME[name].label
    names = set(TOTALSEGMENTATOR.values())
    organs = LabelMap(
        array=labels, geometry=geometry, labels={n: BY_NAME[n].label for n in names},
        coverage=dict.fromkeys(names, Coverage.WHOLE),
    )
    ct = Volume(array=np.asarray(image.dataobj, np.float32), geometry=geometry, quantity=Quantity.HU)
    exam = Exam(patient="T", acquired_on=date(2026, 1, 1), volumes={Role.CT: ct})
    found = measure(exam, organs, None, None)
    assert 35 < found.get("liver.hu") < 70
    assert 100 < found.get("colon.length_cm") < 220
    assert 15 < found.get("colon.calibre_p50_mm") < 45
    assert found.get("colon.wall_p90_mm") < 4
    assert found.get("lung.opacity_percent") < 2
    answers = {
        f.irae: f.decision
        for f in assess_findings(exam, organs=organs, pituitary=None, quantities=found, learned={}, earlier=())
    }
    assert answers[Irae.COLITIS] is Decision.NOT_SUSPECTED
    assert answers[Irae.THYROIDITIS] is Decision.NOT_ASSESSABLE
