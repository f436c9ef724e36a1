"""Manifests as tables: what is written comes back, and everything that is wrong is told at once."""

from __future__ import annotations

import json
from datetime import date

import pytest

from irae.core.anatomy import Irae
from irae.io.manifest import FileRole, ManifestError, Row, Split, read_manifest, write_manifest

HASH = "a" * 64


def row(**changes) -> Row:
    values = {"patient": "P1", "exam": date(2026, 1, 1), "role": "ct", "file": "P1/ct.nii.gz", "sha256": HASH,
              "licence": "CC BY 4.0", "split": "train"}
    return Row.model_validate(values | changes)


def problems(path) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        read_manifest(path)
    return [f"{p.where}: {p.text}" for p in refused.value.problems]


def test_what_is_written_comes_back(tmp_path):
    rows = [
        row(label="colitis=1;hepatitis=0", sex="F", scanner="Vendor 1"),
        row(role="organs", file="P1/organs.nii.gz", sha256="b" * 64, label="liver=5;_gallbladder=4"),
        row(patient="P2", file="P2/ct.nii.gz", sha256="c" * 64, split="test", licence="CC0"),
    ]
    manifest = read_manifest(write_manifest(tmp_path / "set.csv", rows))
    assert manifest.name == "set"
    assert manifest.root == tmp_path
    assert [exam.key for exam in manifest.exams] == ["P1/2026-01-01", "P2/2026-01-01"]
    assert manifest.exams[0].iraes == {Irae.COLITIS: "1", Irae.HEPATITIS: "0"}
    assert manifest.exams[0].of(FileRole.ORGANS)[0].labels == {"liver": "5", "_gallbladder": "4"}
    assert [exam.patient for exam in manifest.of(Split.TEST)] == ["P2"]
    assert manifest.licences() == ("CC BY 4.0", "CC0")


def test_a_table_as_json_says_the_same(tmp_path):
    document = {"schema": "irae.manifest/1", "rows": [row().model_dump(mode="json")]}
    (tmp_path / "set.json").write_text(json.dumps(document))
    assert read_manifest(tmp_path / "set.json").exams[0].rows == (row(),)
    (tmp_path / "other.json").write_text(json.dumps(document | {"schema": "irae.manifest/9"}))
    assert "schema must be" in problems(tmp_path / "other.json")[0]


def test_validation_stands_in_for_calibration(tmp_path):
    path = write_manifest(tmp_path / "set.csv", [row(split="validation")])
    assert read_manifest(path).of(Split.CALIBRATION)[0].patient == "P1"


def test_every_wrong_row_is_told_at_once(tmp_path):
    path = tmp_path / "set.csv"
    path.write_text(
        "patient,exam,role,file,sha256,label,licence,split\n"
        f"P1,2026-13-01,ct,a.nii,{HASH},,CC0,train\n"
        f"P2,2026-01-01,xray,a.nii,{HASH},,CC0,train\n"
        f"P3,2026-01-01,ct,../a.nii,{HASH},,CC0,train\n"
        "P4,2026-01-01,ct,b.nii,123,,CC0,train\n"
        f"P5,2026-01-01,ct,c.nii,{HASH},,,train\n"
        f"P6,2026-01-01,ct,d.nii,{HASH},gout=1,CC0,train\n"
        f"P7,2026-01-01,ct,e.nii,{HASH},,CC0,holdout\n"
        f",2026-01-01,ct,f.nii,{HASH},,CC0,train\n"
    )
    found = problems(path)
    for line, word in ((2, "exam"), (3, "role"), (4, "path below"), (5, "sha256"), (6, "licence"), (7, "gout=1"),
                       (8, "split"), (9, "patient")):
        assert any(text.startswith(f"row {line}: ") and word in text for text in found), (line, word, found)


@pytest.mark.parametrize(("rows", "says"), [
    ([row(), row(exam=date(2026, 2, 1), file="b", sha256="b" * 64, split="test")], "a patient belongs to one"),
    ([row(), row(patient="P2", file="b", split="test")], "the same file is in two splits: P1 (train), P2 (test)"),
    ([row(), row(file="b", sha256="b" * 64)], "2 files of the role ct"),
    ([row(role="organs", label="liver=5")], "has annotations and no image"),
    ([row(), row(role="pituitary", file="b", sha256="b" * 64)], "not the image it is drawn on"),
    ([row(), row(role="organs", file="b", sha256="b" * 64, label="soul=5")], "label soul: is no organ"),
    ([row(), row(role="organs", file="b", sha256="b" * 64, label="liver=5;spleen=5")], "the same value"),
    ([row(), row(role="organs", file="b", sha256="b" * 64, label="liver=red")], "whole number from 1"),
    ([row(label="colitis=2")], "0, 1 or hidden"),
    ([row(sex="F"), row(role="pet_suv", file="b", sha256="b" * 64, sex="M")], "of two sexes"),
    ([row(), row(patient="P2", sha256="b" * 64)], "two different sha256"),
])
def test_contradictions_are_refused(tmp_path, rows, says):
    with pytest.raises(ManifestError) as refused:
        write_manifest(tmp_path / "set.csv", rows)
    assert says in str(refused.value)
    assert not (tmp_path / "set.csv").exists()


def test_what_is_no_table_says_so(tmp_path):
    (tmp_path / "a.csv").write_text("patient,exam\nP1,2026-01-01\n")
    assert "columns file, licence" in problems(tmp_path / "a.csv")[0]
    assert "does not read" in problems(tmp_path / "absent.csv")[0]
    (tmp_path / "b.csv").write_text("patient,exam,role,file,sha256,licence,split\n")
    assert "holds no rows" in problems(tmp_path / "b.csv")[0]
