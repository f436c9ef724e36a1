"""infer.py on exams that are not as they should be: it is said, what can be answered is answered, the rest is not."""

import json
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest

from irae.app.config import InferConfig, ModelSource, SegmenterName
from irae.app.infer import run
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.io.archive.people import Person
from irae.io.dicom_write import Injection, SeriesHeader, write_ct_series, write_pet_series
from irae.io.nifti import write_labels, write_volume
from irae.phantom import draw_patient, render_exam

GRID = Geometry.axis_aligned((54, 42, 120), (7.5, 7.5, 7.5), (-199, -154, -895))
FIRST, SECOND = date(2026, 1, 5), date(2026, 3, 9)


@pytest.fixture(scope="module")
def rendered():
    """Two PET/CT of one synthetic patient."""
    patient = draw_patient(np.random.default_rng(3), visits=2)
    return [render_exam(patient, visit, ct_geometry=GRID, pet_geometry=GRID, with_mr=False) for visit in range(2)]


def infer(top: Path, out: str = "out") -> dict[str, dict]:
    """Runs infer.py without models on top/archive with the masks of top/masks; results by ``patient/date``."""
    config = InferConfig(archive=str(top / "archive"), out=str(top / out), segmenter=SegmenterName.masks,
                         models=ModelSource.rules)
    config.segmenters.masks = str(top / "masks")
    config.run.readers, config.run.threads = 0, 1
    assert run(config) == 0
    found = {f"{p.parent.parent.name}/{p.parent.name}": json.loads(p.read_text())
             for p in (top / out).glob("*/*/result.json")}
    assert found
    return found


def put(top: Path, made, day: date, *, patient="P1", ct=None, pet=None, organs=None):
    """One exam as NIfTI with its masks; the images and masks may be other than drawn."""
    folder = top / "archive" / patient / day.isoformat()
    write_volume(folder / "ct.nii.gz", ct or made.exam.ct)
    write_volume(folder / "pet_suv.nii.gz", pet or made.exam.pet)
    labels = organs or made.organs
    write_labels(top / "masks" / patient / day.isoformat() / "organs.nii.gz", labels.array, labels.geometry,
                 {label: organ for organ, label in labels.labels.items()})


def put_dicom(top: Path, made, day: date, *, folder: str, ct_header=None, pet_header=None, study="", pet=True, **who):
    """One exam as DICOM with its masks; ``who`` is told of the patient, the headers what else is said of a series."""
    start = datetime.combine(day, time(9, 10))
    about = SeriesHeader(**({"patient_id": "P1", "sex": "F", "birth_year": 1960, "weight_kg": 70.0, "height_cm": 168.0}
                            | who), study_key=f"{folder}{study}", series_key="CT", acquired_at=start)
    write_ct_series(top / "archive" / folder / "CT", made.exam.ct, replace(about, **(ct_header or {})))
    if pet:
        write_pet_series(top / "archive" / folder / "PT", made.exam.pet,
                         replace(about, series_key="PT", series_number=3, **(pet_header or {})),
                         injection=Injection(dose_mbq=300.0, injected_at=start - timedelta(minutes=60)))
    write_labels(top / "masks" / "P1" / day.isoformat() / "organs.nii.gz", made.organs.array, made.organs.geometry,
                 {label: organ for organ, label in made.organs.labels.items()})


def codes(result) -> set[str]:
    return {notice["code"] for notice in result["notices"]}


def known(result) -> list[str]:
    return [f["track"] for f in result["foci"] if f["status"] != "new"]


def decisions(result) -> dict[str, str]:
    return {finding["irae"]: finding["decision"] for finding in result["findings"]}


# --- Two people under one id ----------------------------------------------------------------------------------------


def test_two_people_under_one_id_are_not_compared(rendered, tmp_path):
    put_dicom(tmp_path, rendered[0], FIRST, folder="a")
    alone = infer(tmp_path)[f"P1/{FIRST}"]
    assert "patient_contradicted" not in codes(alone)
    put_dicom(tmp_path, rendered[1], SECOND, folder="b", sex="M", birth_year=1971)
    first, second = (infer(tmp_path)[f"P1/{day}"] for day in (FIRST, SECOND))
    assert "patient_contradicted" in codes(first) & codes(second), "the earlier result is made again and says so, too"
    assert "no_baseline" in codes(second)
    assert known(second) == []
    course = json.loads((tmp_path / "out" / "P1" / "course.json").read_text())
    assert [e["date"] for e in course["exams"]] == [SECOND.isoformat()]
    assert course["notices"][0]["code"] == "patient_contradicted"
    assert FIRST.isoformat() in course["notices"][0]["text"]
    assert "may be of two people" in (tmp_path / "out" / "P1" / "course.html").read_text()


def test_one_person_is_compared_whatever_the_archive_s_order(rendered, tmp_path):
    put_dicom(tmp_path, rendered[1], SECOND, folder="a-newest-first", height_cm=170.0)
    put_dicom(tmp_path, rendered[0], FIRST, folder="b-then-the-oldest")
    first, second = (infer(tmp_path)[f"P1/{day}"] for day in (FIRST, SECOND))
    assert "patient_contradicted" not in codes(first) | codes(second)
    assert "no_baseline" in codes(first) - codes(second)
    assert known(second)


A = Person(frozenset("F"), frozenset({"3a"}), frozenset({168.0}))


@pytest.mark.parametrize(("sexes", "born", "heights", "why"), [
    ("F", {"3a"}, {168.0}, ""),
    ("", set(), set(), ""),
    ("M", {"3a"}, {168.0}, "different sexes"),
    ("F", {"7c"}, {168.0}, "different dates of birth"),
    ("F", {"3a"}, {182.9}, ""),
    ("F", {"3a"}, {183.0}, "heights of 168 and 183 cm"),
    ("", set(), {153.0}, "heights of 153 and 168 cm"),
])
def test_what_contradicts(sexes, born, heights, why):
    other = Person(frozenset(sexes), frozenset(born), frozenset(heights))
    assert (A.contradiction(other), other.contradiction(A)) == (why, why)


def test_images_of_two_people_in_one_exam_are_said(rendered, tmp_path):
    put_dicom(tmp_path, rendered[0], FIRST, folder="a", pet_header={"sex": "M"})
    (result,) = infer(tmp_path).values()
    assert "patient_contradicted" in codes(result)


# --- Dates ----------------------------------------------------------------------------------------------------------


def test_two_studies_of_one_day_are_one_exam_and_said(rendered, tmp_path):
    put_dicom(tmp_path, rendered[0], FIRST, folder="morning")
    put_dicom(tmp_path, rendered[1], FIRST, folder="afternoon")
    (result,) = infer(tmp_path).values()
    assert "same_day_study" in codes(result)


# --- Images and masks -----------------------------------------------------------------------------------------------


def moved(volume: Volume, shift_mm) -> Volume:
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += shift_mm
    return replace(volume, geometry=Geometry(shape=volume.geometry.shape, affine=affine))


def uptake(result) -> dict[str, float | None]:
    """Every organ uptake that was measured."""
    return {name: q["value"] for name, q in result["quantities"].items() if "suv" in name and q["value"] is not None
            and not name.startswith("pet.")}


def test_a_pet_that_lies_elsewhere_says_nothing_of_organs(rendered, tmp_path):
    put(tmp_path, rendered[0], FIRST, pet=moved(rendered[0].exam.pet, (200.0, 0.0, 0.0)))
    put(tmp_path, rendered[0], FIRST, patient="P2")
    apart, good = (infer(tmp_path)[f"{p}/{FIRST}"] for p in ("P1", "P2"))
    assert "pet_ct_misaligned" in codes(apart) - codes(good)
    assert uptake(good)
    assert not uptake(apart)
    assert all(f["organ"] is None for f in apart["foci"] if f["source"] == "pet")
    assert decisions(apart)["pneumonitis"] != "not_assessable", "the CT answers what it can"


def test_other_frames_of_reference_are_said(rendered, tmp_path):
    put_dicom(tmp_path, rendered[0], FIRST, folder="a", pet_header={"frame_of_reference_key": "another"})
    (result,) = infer(tmp_path).values()
    assert "pet_ct_other_frame" in codes(result)
    assert uptake(result), "the bodies cover each other: they are taken to be registered"


def cut(volume, low: int, high: int):
    """Slices low..high of an image or label map."""
    grid = volume.geometry.cropped((0, 0, low), (*volume.geometry.shape[:2], high))
    if isinstance(volume, LabelMap):
        array = volume.array[:, :, low:high]
        there = {organ: label for organ, label in volume.labels.items() if (array == label).any()}
        return replace(volume, array=array, geometry=grid, labels=there,
                       coverage={organ: volume.coverage[organ] for organ in there}, rejected={})
    return replace(volume, array=volume.array[:, :, low:high], geometry=grid)


def test_a_truncated_field_of_view_cuts_organs_and_what_they_answer(rendered, tmp_path):
    made = rendered[0]
    middle = int(np.argwhere(made.organs.mask("lung_left"))[:, 2].mean())
    ct, pet, organs = (cut(image, middle, GRID.shape[2]) for image in (made.exam.ct, made.exam.pet, made.organs))
    put(tmp_path, made, FIRST, ct=ct, pet=pet, organs=organs)
    (result,) = infer(tmp_path).values()
    assert result["organs"]["lung_left"]["coverage"] == "partial"
    assert {decisions(result)[irae] for irae in ("colitis", "hepatitis")} == {"not_assessable"}
    assert decisions(result)["thyroiditis"] != "not_assessable"
    edge = GRID.to_world((0, 0, middle))[2]
    for f in result["foci"]:
        near = f["source"] == "pet" and f["centroid_ras_mm"][2] - edge < 7.5
        assert not (near and f["nature"] in ("metastasis", "inflammation")), f"focus {f['id']} at the border is open"


def test_half_of_the_organs(rendered, tmp_path):
    made = rendered[0]
    half = dict(list(made.organs.labels.items())[::2])
    organs = replace(made.organs, array=np.where(np.isin(made.organs.array, list(half.values())), made.organs.array, 0),
                     labels=half, coverage={organ: made.organs.coverage[organ] for organ in half}, rejected={})
    put(tmp_path, made, FIRST, organs=organs)
    (result,) = infer(tmp_path).values()
    for irae, organ in (("colitis", "colon"), ("hepatitis", "liver"), ("thyroiditis", "thyroid_gland")):
        assert (decisions(result)[irae] == "not_assessable") is (organ not in half), irae
    hot = [f for f in result["foci"] if f["suv_max"] and f["suv_max"] > 10 and f["organ"] in (None, "lymph_node")]
    assert hot, "organs that are hot by nature are foci where they have no mask"
    assert not any(f["nature"] == "metastasis" for f in hot)


def test_no_baseline_is_said_and_change_is_not_judged(rendered, tmp_path):
    put(tmp_path, rendered[1], SECOND)
    (result,) = infer(tmp_path).values()
    assert "no_baseline" in codes(result)
    rises = [e for f in result["findings"] for e in f["evidence"] if e["name"].endswith("_rise")]
    assert rises
    assert all(e["value"] is None and e["met"] is None for e in rises)


