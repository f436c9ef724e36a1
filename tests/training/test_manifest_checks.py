"""Everything that can be wrong with annotated exams is found before training starts, and told at once."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from irae.core.anatomy import Irae
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.io.dicom_seg import write_seg
from irae.io.manifest import FileRole, ManifestError, Split, read_manifest, sha256_of, write_manifest
from irae.io.nifti import read_array, write_labels, write_volume
from irae.models.package import load_package
from irae.models.runtime import Device, Precision
from irae.training.classification_jobs import classification_job
from irae.training.jobs import Workplace
from irae.training.manifest_checks import check_manifest
from irae.training.manifest_source import FIRST, ManifestSource
from irae.training.memory import GIB, shortage
from irae.training.settings import ClassificationSettings, IraeName, SegmentationSettings, Target
from irae.training.tracking import Tracking
from tests.io.dicom_source import geometry_of, series
from tests.io.test_annotations import circle, rtstruct
from tests.training.sets import SetOnDisk, bodies, moved

ORGANS = SegmentationSettings(
    labels=["lung_left", "liver"], spacing_mm=12.0, patch=[16, 16, 16], filters=[4, 8, 8], image_spacing_mm=8.0
)
HEPATITIS = ClassificationSettings(iraes=[IraeName.hepatitis])


def codes(path: Path, settings=ORGANS, **more) -> dict[str, list[str]]:
    with pytest.raises(ManifestError) as refused:
        check_manifest(read_manifest(path), settings, **more)
    found: dict[str, list[str]] = {}
    for problem in refused.value.problems:
        found.setdefault(problem.code, []).append(f"{problem.where}: {problem.text}")
    return found


def test_a_good_manifest_becomes_cases(tmp_path):
    manifest = read_manifest(bodies(tmp_path))
    check_manifest(manifest, ORGANS)
    source = ManifestSource(manifest)
    settings = source.fitted(ORGANS)
    assert (settings.train_cases, settings.validation_cases, settings.held_out_cases) == (3, 1, 2)
    settings.check()
    (sample,) = source.segmentation(Target.organs, [FIRST[Split.TEST]], spacing_mm=4.0)
    array, geometry = read_array(tmp_path / "S4/2026-01-01/organs.nii.gz")
    assert sample.image.geometry.same_grid(geometry)
    np.testing.assert_array_equal(sample.truth.array, array)
    provenance = source.provenance
    assert provenance.licence == "as its training data: CC BY 4.0"
    assert provenance.record["splits"]["train"] == {"exams": 3, "patients": 3}
    assert "synthetic" not in provenance.limitations


def test_a_manifest_of_classes_becomes_crops_with_the_baseline(tmp_path):
    made = SetOnDisk(tmp_path)
    for number, split in ((0, Split.TRAIN), (1, Split.TRAIN), (2, Split.VALIDATION), (3, Split.VALIDATION),
                          (4, Split.TEST), (5, Split.TEST)):
        made.body(number, split, positive=number % 2 == 1, sex="F", scanner="A")
    made.body(11, Split.TRAIN, positive=False, day=date(2025, 6, 1), patient="S1")
    manifest = read_manifest(made.write())
    check_manifest(manifest, HEPATITIS)
    source = ManifestSource(manifest)
    exams = {annotated.exam.key: annotated for annotated in source.exams(source.numbers(Split.TRAIN))}
    assert exams["S1/2026-01-01"].before.exam.key == "S1/2025-06-01"
    assert exams["S0/2026-01-01"].before is None
    assert exams["S1/2026-01-01"].present == {Irae.HEPATITIS: True}
    assert exams["S1/2026-01-01"].groups == {"sex": "F", "scanner": "A"}


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    path = bodies(tmp_path, train=6)
    manifest = read_manifest(path)
    (tmp_path / "S0/2026-01-01/ct.nii.gz").unlink()
    with (tmp_path / "S1/2026-01-01/ct.nii.gz").open("ab") as file:
        file.write(b"changed")
    rows = {row.file: row for exam in manifest.exams for row in exam.rows}

    def changed(name: str, write) -> None:
        write(tmp_path / name)
        rows[name] = rows[name].model_copy(update={"sha256": sha256_of(tmp_path / name)})

    array, geometry = read_array(tmp_path / "S2/2026-01-01/organs.nii.gz")
    changed("S2/2026-01-01/organs.nii.gz", lambda file: write_labels(
        file, array, Geometry(shape=array.shape, affine=moved(geometry, (5.0, 0, 0)).affine)))
    ct, grid = read_array(tmp_path / "S3/2026-01-01/ct.nii.gz")
    holed = ct.astype(np.float32)
    holed[3, 3, 3] = np.nan
    image = nib.Nifti1Image(holed, None)
    image.set_sform(grid.affine, code=1)
    changed("S3/2026-01-01/ct.nii.gz", lambda file: nib.save(image, file))
    alien = array.copy()
    alien[0, 0, 0] = 77
    changed("S4/2026-01-01/organs.nii.gz", lambda file: write_labels(file, alien, geometry))
    # The voxels of S5 (train) under another name and in another file in the test split.
    voxels, its = read_array(tmp_path / "S5/2026-01-01/ct.nii.gz")
    changed("S7/2026-01-01/ct.nii.gz", lambda file: write_volume(
        file, Volume(array=voxels, geometry=moved(its, (1.0, 0, 0)), quantity=Quantity.HU)))
    found = codes(write_manifest(tmp_path / "set.csv", list(rows.values())))
    assert "S0/2026-01-01/ct.nii.gz: there is no such file" in found["missing"][0]
    assert "the file was changed" in found["sha256"][0]
    assert any("S2" in text for text in found["annotation_grid"])
    assert "not finite" in found["values_not_finite"][0]
    assert "label 77 has no name" in found["annotation_names"][0]
    assert "S5/2026-01-01 (train), S7/2026-01-01 (test)" in found["leak"][0]


def test_a_class_that_no_exam_of_a_split_shows_is_named(tmp_path):
    path = bodies(tmp_path, classes=True, train=3, validation=1, test=2)
    assert codes(path, HEPATITIS)["class_absent"] == [
        "split calibration: no exam without hepatitis that has a ct; both classes are needed",
        "split validation: no exam without hepatitis that has a ct; both classes are needed",
    ]
    found = codes(path, ClassificationSettings(iraes=[IraeName.hypophysitis]))
    assert "no exam with hypophysitis that has a mr_t1c" in " ".join(found["class_absent"])
    wider = SegmentationSettings(**vars(ORGANS) | {"labels": ["liver", "colon"]})
    found = codes(path, wider)
    assert "colon: not annotated, and would be taught as background" in found["not_annotated"][0]
    assert "no exam shows colon" in found["class_absent"][0]


def test_a_split_without_exams_is_named(tmp_path):
    found = codes(bodies(tmp_path, validation=0))
    assert found["empty"] == ["split validation: has no exam; a task needs train, validation and test"]


def test_too_little_memory_says_what_would_fit(tmp_path):
    path = bodies(tmp_path)
    (text,) = codes(path, memory_bytes=1 * GIB)["memory"]
    assert "smaller task.batch" in text
    grids = [Geometry.axis_aligned((512, 512, 600), (0.8, 0.8, 1.0))] * 300
    settings = SegmentationSettings(labels=["liver"], spacing_mm=2.0)
    text = shortage(grids, settings, on_disk=False, available=16 * GIB)
    assert "what would fit: data.cache=disk, or task.spacing_mm=" in text
    assert "of the cases" in text
    assert shortage(grids, settings, on_disk=True, available=16 * GIB) == ""


def test_labels_may_be_a_dicom_seg_an_rtstruct_or_one_mask_a_file(tmp_path):
    source = series(rows=30, columns=32, slices=6, spacing=(8.0, 8.0), step=8.0)
    geometry = geometry_of(source)
    rng = np.random.default_rng(0)
    marked = np.zeros(geometry.shape, np.uint8)
    marked[8:20, 8:20, 2:5] = 5
    organs = LabelMap(array=marked, geometry=geometry, labels={"liver": 5}, coverage={"liver": Coverage.WHOLE})
    versions = Versions(irae="0", models={"organs": "sha256:" + "1" * 64}, settings="sha256:" + "2" * 64)
    made = SetOnDisk(tmp_path)
    for number, split in enumerate((Split.TRAIN, Split.VALIDATION, Split.TEST)):
        ct = Volume(array=rng.normal(0, 20, geometry.shape).round(), geometry=geometry, quantity=Quantity.HU)
        folder, day = f"D{number}", date(2026, 1, 1)
        write_volume(tmp_path / folder / "ct.nii.gz", ct)
        made.add(folder, day, FileRole.CT, f"{folder}/ct.nii.gz", split)
        if split is Split.TRAIN:
            write_seg(tmp_path / folder / "seg.dcm", source=source, organs=organs, versions=versions)
            made.add(folder, day, FileRole.ORGANS, f"{folder}/seg.dcm", split)
        elif split is Split.VALIDATION:
            rtstruct(tmp_path / folder / "rs.dcm", {"Liver": [(circle((14.0, 14.0), 6.0), k) for k in (2, 3)]},
                     geometry)
            made.add(folder, day, FileRole.ORGANS, f"{folder}/rs.dcm", split)
        else:
            # As TotalSegmentator writes: one mask a file, empty where the organ is not in the picture.
            write_labels(tmp_path / folder / "liver.nii.gz", (marked > 0).astype(np.uint8), geometry)
            write_labels(tmp_path / folder / "spleen.nii.gz", np.zeros_like(marked), geometry)
            made.add(folder, day, FileRole.ORGANS, f"{folder}/liver.nii.gz", split, label="liver")
            made.add(folder, day, FileRole.ORGANS, f"{folder}/spleen.nii.gz", split, label="spleen")
    manifest = read_manifest(made.write())
    liver = SegmentationSettings(**vars(ORGANS) | {"labels": ["liver"]})
    checked = check_manifest(manifest, liver)
    assert checked["D2/2026-01-01"].annotated == {"liver", "spleen"}
    assert checked["D2/2026-01-01"].drawn == {"liver"}
    truths = [next(ManifestSource(manifest).segmentation(Target.organs, [FIRST[s]], spacing_mm=1)).truth.mask("liver")
              for s in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
    np.testing.assert_array_equal(truths[0], marked > 0)
    np.testing.assert_array_equal(truths[2], marked > 0)
    assert truths[1].any()


def test_a_classifier_is_trained_from_a_manifest(tmp_path):
    torch.set_num_threads(1)
    manifest = read_manifest(bodies(tmp_path / "set", train=4, validation=4, test=4, classes=True))
    settings = ClassificationSettings(
        iraes=[IraeName.hepatitis], steps=2, batch=2, filters=[4, 8, 8, 8], validate_every=1, patience=3,
        train_cases=4, calibration_cases=4, held_out_cases=4, validation_cases=4,
    )
    check_manifest(manifest, settings)
    source = ManifestSource(manifest)
    tracking = Tracking(uri=f"sqlite:///{tmp_path}/mlflow.db", experiment="manifest")
    place = Workplace(out=tmp_path / "runs", tracking=tracking, device=Device.CPU, precision=Precision.FP32,
                      say=lambda text: None)
    (folder,) = classification_job(source.fitted(settings), source, place)
    card = load_package(folder).card
    assert card.data["train"] == {"cases": 4, "positive": 2, "without_sign": 0, "with_baseline": 0}
    assert card.data["splits"]["test"] == {"exams": 4, "patients": 4}
    assert card.licence == "as its training data: CC BY 4.0"
    assert "one manifest" in card.limitations
    again = dataclasses.replace(settings, start_from=str(tmp_path / "runs"))
    (other,) = classification_job(source.fitted(again), source, dataclasses.replace(place, out=tmp_path / "again"))
    assert load_package(other).card.training["started_from"]["digest"] == load_package(folder).digest
    assert sorted(path.name for path in place.out.iterdir()) == ["hepatitis"], "no checkpoint is left"
