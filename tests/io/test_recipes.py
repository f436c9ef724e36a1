"""Recipes on miniatures in the layout of the public sets."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.io.manifest import FileRole, Split, read_manifest, write_manifest
from irae.io.recipes import AMOS_LABELS, RECIPES, manifest_rows, split_of

AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def nifti(path: Path, value: float | np.ndarray = 0.0, dtype=np.int16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((6, 6, 6), value, dtype) if np.isscalar(value) else value.astype(dtype)
    image = nib.Nifti1Image(array, AFFINE)
    image.set_sform(AFFINE, code=1)
    nib.save(image, path)


def labels(*values: int) -> np.ndarray:
    array = np.zeros((6, 6, 6), np.uint8)
    array.flat[: len(values)] = values
    return array


def made(name: str, root: Path, tmp_path: Path):
    path = write_manifest(tmp_path / "set.csv", manifest_rows(name, root))
    return read_manifest(path, root=root)


def test_totalsegmentator(tmp_path):
    root = tmp_path / "Totalsegmentator_dataset_v201"
    for number, subject in enumerate(("s0000", "s0001", "s0002")):
        nifti(root / subject / "ct.nii.gz", number)
        for organ in ("liver", "lung_upper_lobe_left", "lung_lower_lobe_left", "vertebrae_L1", "rib_left_4"):
            nifti(root / subject / "segmentations" / f"{organ}.nii.gz", labels(1))
    (root / "meta.csv").write_text(
        "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model\n"
        "s0000;60;m;A;ct thorax;train;siemens;x\ns0001;61;f;B;ct abdomen;val;ge;y\ns0002;62;f;B;ct;test;;y\n"
    )
    manifest = made("totalsegmentator", root, tmp_path)
    assert [(exam.patient, exam.split) for exam in manifest.exams] == [
        ("s0000", Split.TRAIN), ("s0001", Split.VALIDATION), ("s0002", Split.TEST)
    ]
    assert len(manifest.exams[0].of(FileRole.ORGANS)) == 4, "ribs are no organ of the table"
    assert manifest.exams[1].rows[0].sex == "F"
    assert manifest.exams[1].rows[0].scanner == "ge"


def test_amos(tmp_path):
    root = tmp_path / "amos22"
    for number, part in ((1, "Tr"), (4, "Tr"), (507, "Tr"), (8, "Va")):
        nifti(root / f"images{part}" / f"amos_{number:04d}.nii.gz", number)
        nifti(root / f"labels{part}" / f"amos_{number:04d}.nii.gz", labels(*range(16)))
    nifti(root / "imagesTs" / "amos_0009.nii.gz")
    (root / "labeled_data_meta_0000_0599.csv").write_text(
        "amos_id,Patient's Sex,Manufacturer\n1,M,TOSHIBA\n4,F,SIEMENS\n"
    )
    manifest = made("amos", root, tmp_path)
    assert [exam.patient for exam in manifest.exams] == ["amos_0001", "amos_0004", "amos_0008"], "no MR, no test set"
    assert manifest.exams[2].split is Split.TEST
    assert manifest.exams[0].split is not Split.TEST
    drawn = manifest.exams[0].of(FileRole.ORGANS)[0]
    assert len(drawn.labels) == len(AMOS_LABELS) == 15
    assert drawn.labels["liver"] == "6"
    assert drawn.scanner == "TOSHIBA"


def test_autopet_fdg(tmp_path):
    root = tmp_path / "FDG-PET-CT-Lesions"
    studies = (("PETCT_0011f3deaf", "03-23-2003-NA-PET-CT Ganzkoerper primaer mit KM-10445"),
               ("PETCT_0011f3deaf", "09-01-2003-NA-PET-CT-1"), ("PETCT_01140d52d8", "08-13-2005-NA-PET"))
    # Each file of its own content: equal ones in two splits are refused.
    for number, ((patient, study), name) in enumerate(product(studies, ("CT", "CTres", "SUV", "PET", "SEG"))):
        nifti(root / patient / study / f"{name}.nii.gz", number)
    manifest = made("autopet_fdg", root, tmp_path)
    assert [exam.key for exam in manifest.exams] == [
        "PETCT_0011f3deaf/2003-03-23", "PETCT_0011f3deaf/2003-09-01", "PETCT_01140d52d8/2005-08-13"
    ]
    assert manifest.exams[0].split is manifest.exams[1].split, "two exams of a patient"
    assert {row.role for row in manifest.exams[0].rows} == {FileRole.CT, FileRole.PET, FileRole.FOCI}
    assert manifest.licences() == ("TCIA restricted",)


def test_covid_lungs(tmp_path):
    for number in (1, 2):
        nifti(tmp_path / "x/COVID-19-CT-Seg_20cases" / f"coronacases_{number:03d}.nii.gz", number)
        nifti(tmp_path / "x/Lung_Mask" / f"coronacases_{number:03d}.nii.gz", labels(1, 2))
    manifest = made("covid_lungs", tmp_path / "x", tmp_path)
    assert [exam.patient for exam in manifest.exams] == ["coronacases_001", "coronacases_002"]
    assert manifest.exams[0].of(FileRole.ORGANS)[0].labels == {"lung_left": "1", "lung_right": "2"}


def test_own_data_as_convert_writes_it(tmp_path):
    root = tmp_path / "own"
    for number, day in enumerate(("2026-01-05", "2026-03-14")):
        nifti(root / "P01" / day / "ct.nii.gz", number)
        nifti(root / "P01" / day / "pet_suv.nii.gz", number + 10)
        nifti(root / "P01" / day / "organs.nii.gz", labels(5, number))
    (root / "convert.json").write_text("{}")
    (root / "exams.csv").write_text(
        "patient,exam,label,split,sex,organs\nP01,2026-03-14,colitis=1,test,F,liver=5\nP01,2026-01-05,,test,F,liver=5\n"
    )
    manifest = made("own", root, tmp_path)
    assert [exam.split for exam in manifest.exams] == [Split.TEST, Split.TEST]
    assert manifest.exams[1].iraes == {Irae.COLITIS: "1"}
    assert manifest.exams[0].of(FileRole.ORGANS)[0].labels == {"liver": "5"}


def test_wrong_calls_are_refused(tmp_path):
    for name, folder, says in (("bogus", tmp_path, "the choices are"), ("amos", tmp_path, "nothing in the layout"),
                               ("amos", tmp_path / "absent", "no such folder")):
        with pytest.raises(ValueError, match=says):
            manifest_rows(name, folder)
    assert set(RECIPES) >= {"totalsegmentator", "amos", "autopet_fdg", "covid_lungs", "own"}


def test_splits_of_sets_without_any_follow_the_patient_alone():
    splits = [split_of(f"P{number}") for number in range(2000)]
    assert splits == [split_of(f"P{number}") for number in range(2000)]
    assert 0.66 < splits.count(Split.TRAIN) / 2000 < 0.74
