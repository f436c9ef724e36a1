"""irae plan and irae convert as a user calls them."""

import json
import os
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from irae.app.convert import convert, convert_archive
from irae.app.plan import plan, plan_of
from tests.io.archive.made import series, write

app = typer.Typer()
app.command()(plan)
app.command()(convert)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def archive(tmp_path):
    write(tmp_path / "in" / "ct", series("CT", number=1))
    write(tmp_path / "in" / "pt", series("PT", number=2))
    write(tmp_path / "in" / "nac", series("PT", number=3, SeriesDescription="NAC"))
    (tmp_path / "in" / "notes.txt").write_text("hello")
    return tmp_path / "in"


def test_plan_reads_well_and_changes_nothing(archive, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    answer = run("plan", archive)
    assert answer.exit_code == 0
    assert sorted(tmp_path.rglob("*")) == before
    for words in ("P01/2026-03-14   runs on ct, pet_suv",
                  '+ ct      CT "Body" (12 files): 24 x 20 x 12 voxels', "SUVbw = ",
                  'PT "NAC"', "1 of 1 exams run.", "37 files found = 24 used + 0 repaired + 13 ignored"):
        assert words in answer.output


def test_plan_as_json(archive):
    planned = json.loads(run("plan", archive, "--json").output)
    assert planned == plan_of(archive)
    assert planned["schema"] == "irae.plan/1"
    assert [series["role"] for series in planned["exams"][0]["chosen"]] == ["ct", "pet_suv"]
    assert planned["files"]["found"] == 37


def test_convert_keeps_the_contract(archive, tmp_path):
    answer = run("convert", archive, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    result = json.loads((tmp_path / "out" / "convert.json").read_text())
    assert result["schema"] == "irae.convert/1"
    assert len(result["files"]) == 37
    assert set(result["files"][0]) == {"path", "series_uid", "outcome", "code", "text"}
    rows = {row["output"]: row for row in result["series"]}
    assert set(rows) == {"P01/2026-03-14/ct.nii.gz", "P01/2026-03-14/pet_suv.nii.gz", None}
    assert set(rows[None]) == {"patient", "date", "series_uid", "modality", "outcome", "code", "text", "output",
                               "suv_factor", "decisions"}
    assert rows["P01/2026-03-14/pet_suv.nii.gz"]["suv_factor"] == pytest.approx(0.000276279, rel=1e-3)
    assert rows[None]["code"] == "pet_not_attenuation_corrected"
    assert nib.aff2axcodes(nib.load(tmp_path / "out" / "P01/2026-03-14/ct.nii.gz").affine) == ("R", "A", "S")


def test_what_convert_writes_is_an_archive_again(archive, tmp_path):
    convert_archive(archive, tmp_path / "once")
    convert_archive(tmp_path / "once", tmp_path / "twice")
    for name in ("ct", "pet_suv"):
        one, two = (nib.load(tmp_path / n / f"P01/2026-03-14/{name}.nii.gz") for n in ("once", "twice"))
        np.testing.assert_allclose(np.asarray(one.dataobj), np.asarray(two.dataobj), atol=1e-6)
        np.testing.assert_allclose(one.affine, two.affine)


def test_exit_codes(archive, tmp_path):
    assert run("convert", tmp_path / "nowhere", "--out", tmp_path / "out").exit_code == 2
    assert run("plan", tmp_path / "nowhere").exit_code == 2
    inside = run("convert", archive, "--out", archive / "out")
    assert inside.exit_code == 2
    assert "lies in the archive" in inside.output
    (archive / "broken.dcm").write_bytes(b"\0" * 999)
    assert run("convert", archive, "--out", tmp_path / "out").exit_code == 3


def test_empty_folder(tmp_path):
    (tmp_path / "in").mkdir()
    answer = run("convert", tmp_path / "in", "--out", tmp_path / "out")
    assert answer.exit_code == 0
    assert "0 volumes written; 0 files found" in answer.output
    assert "0 of 0 exams run." in run("plan", tmp_path / "in").output


def test_full_disk_is_a_clear_message(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "out" / "x"))

    monkeypatch.setattr(nib, "save", full)
    answer = run("convert", archive, "--out", tmp_path / "out")
    assert answer.exit_code == 1
    assert "No space left on device" in answer.output
    left = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != "index.sqlite"]
    assert left == []


def test_two_conversions_into_one_folder(archive, tmp_path):
    import fcntl

    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".convert.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = run("convert", archive, "--out", tmp_path / "out")
    assert answer.exit_code == 2
    assert "another conversion is writing" in answer.output


def test_starts_without_the_heavy_imports():
    code = ("import sys, irae.app.plan, irae.app.convert\n"
            "print([m for m in ('torch', 'monai', 'pydicom', 'nibabel', 'numpy', 'scipy') if m in sys.modules])")
    began = time.process_time()
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert answer.stdout.strip() == "[]"
    assert time.process_time() - began < 1.0
