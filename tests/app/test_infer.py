"""infer.py from an archive to a worklist, on synthetic patients at a coarse grid, with their true masks as organs."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from irae.app.config import InferConfig, ModelSource, SegmenterName
from irae.app.infer import run
from irae.core.geometry import Geometry
from irae.io.nifti import write_labels, write_volume
from irae.io.result_json import check_result
from irae.phantom import draw_patient, render_exam

VISITS = 2
GRID = Geometry.axis_aligned((54, 42, 120), (7.5, 7.5, 7.5), (-199, -154, -895))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> tuple[Path, Path]:
    """Two synthetic patients with two PET/CT each, NIfTI, and their true organ masks."""
    top = tmp_path_factory.mktemp("study")
    for seed in (3, 4):
        patient = draw_patient(np.random.default_rng(seed), visits=VISITS)
        for visit in range(VISITS):
            made = render_exam(patient, visit, ct_geometry=GRID, pet_geometry=GRID, with_mr=False)
            exam = made.exam
            folder = top / "archive" / f"P{seed}" / exam.acquired_on.isoformat()
            write_volume(folder / "ct.nii.gz", exam.ct)
            write_volume(folder / "pet_suv.nii.gz", exam.pet)
            masks = top / "masks" / f"P{seed}" / exam.acquired_on.isoformat()
            names = {label: organ for organ, label in made.organs.labels.items()}
            write_labels(masks / "organs.nii.gz", made.organs.array, made.organs.geometry, names)
    return top / "archive", top / "masks"


def settings(archive: Path, masks: Path, out: Path, **changes) -> InferConfig:
    config = InferConfig(
        archive=str(archive), out=str(out), segmenter=SegmenterName.masks, models=ModelSource.rules, **changes
    )
    config.segmenters.masks = str(masks)
    config.run.readers = 0
    config.run.threads = 1
    return config


@pytest.fixture(scope="module")
def out(archive, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "out"
    assert run(settings(*archive, folder)) == 0
    return folder


def exams(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("*/*/result.json") if not path.parent.name.startswith("."))


def test_every_exam_has_its_whole_folder(out):
    assert len(exams(out)) == 2 * VISITS
    for folder in exams(out):
        assert {p.name for p in folder.iterdir()} >= {"result.json", "report.html", "organs.nii.gz", "foci.nii.gz"}
        check_result(json.loads((folder / "result.json").read_text()))
    for patient in ("P3", "P4"):
        assert json.loads((out / patient / "course.json").read_text())["patient"] == patient
        assert "RESEARCH USE ONLY" in (out / patient / "course.html").read_text().upper()


def test_the_second_exam_knows_the_first(out):
    first, second = (json.loads((f / "result.json").read_text()) for f in exams(out)[:2])
    assert "no_baseline" in {n["code"] for n in first["notices"]}
    assert "no_baseline" not in {n["code"] for n in second["notices"]}
    known = {f["track"] for f in first["foci"]} & {f["track"] for f in second["foci"]}
    assert known, "at least the brain is a known focus"
    views = {(a["criterion"], a["view"]) for a in second["assessments"]}
    assert {("recist_1_1", "attributed"), ("recist_1_1", "as_seen"), ("irecist", "attributed")} <= views


def test_the_worklist_is_sorted_and_lists_every_exam(out):
    rows = json.loads((out / "worklist.json").read_text())["exams"]
    assert sorted(r["exam"] for r in rows) == sorted(f"{f.parent.name}/{f.name}" for f in exams(out))
    order = [("stat", "urgent", "routine").index(r["priority"]) for r in rows]
    assert order == sorted(order)
    with (out / "worklist.csv").open() as table:
        assert len(list(csv.DictReader(table))) == len(rows)


def test_a_second_run_does_nothing_and_a_changed_context_redoes_that_patient(archive, out, tmp_path):
    again = tmp_path / "out"
    shutil.copytree(out, again)
    before = {f: (f / "result.json").stat().st_mtime_ns for f in exams(again)}
    assert run(settings(*archive, again)) == 0
    assert {f: (f / "result.json").stat().st_mtime_ns for f in exams(again)} == before
    context = tmp_path / "context.csv"
    context.write_text("patient_id,date,end_date,kind,value\nP3,,,metformin,yes\n")
    assert run(settings(*archive, again, context=str(context))) == 0
    changed = {f.parent.name for f in exams(again) if (f / "result.json").stat().st_mtime_ns != before[f]}
    assert changed == {"P3"}


def test_bad_input_is_quarantined_and_the_rest_is_the_same(archive, out, tmp_path):
    source, masks = archive
    mixed = tmp_path / "archive"
    shutil.copytree(source, mixed)
    day = next((mixed / "P4").iterdir())
    broken = mixed / "P9" / day.name
    broken.mkdir(parents=True)
    whole = (day / "ct.nii.gz").read_bytes()
    (broken / "ct.nii.gz").write_bytes(whole[: len(whole) // 2])
    (mixed / "notes.txt").write_text("not an image")
    folder = tmp_path / "out"
    assert run(settings(mixed, masks, folder)) == 3
    with (folder / "quarantine.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert rows
    assert all(row["code"] and row["reason"] for row in rows)
    assert any("P9" in row["path"] + row["exam"] for row in rows)
    listed = {r["exam"]: r["state"] for r in json.loads((folder / "worklist.json").read_text())["exams"]}
    assert listed[f"P9/{day.name}"] == "quarantined", "not analysed is on the worklist"
    for clean in exams(out):
        twin = json.loads((folder / clean.parent.name / clean.name / "result.json").read_text())
        mine = json.loads((clean / "result.json").read_text())
        twin["versions"]["input"] = mine["versions"]["input"]  # the archive lies elsewhere: other times of change
        assert twin == mine


@pytest.mark.slow
def test_killed_half_way_it_goes_on_where_it_stopped(archive, out, tmp_path, project):
    source, masks = archive
    folder = tmp_path / "out"
    call = [
        sys.executable, str(project / "infer.py"), f"archive={source}", f"out={folder}", "segmenter=masks",
        f"segmenters.masks={masks}", "models=rules", "run.readers=1", "run.threads=1",
    ]
    running = subprocess.Popen(call, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 240
    while not exams(folder) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    finished = {f: (f / "result.json").stat().st_mtime_ns for f in exams(folder)}
    assert finished, "one exam was finished before the kill"
    assert len(finished) < 2 * VISITS, "the kill came too late to prove anything"
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(exams(folder)) == 2 * VISITS
    assert not list(folder.glob("*/.aside-*")), "nothing is left aside"
    for path, when in finished.items():
        assert (path / "result.json").stat().st_mtime_ns == when, "a finished exam is not redone"
    for mine in exams(out):
        twin = folder / mine.parent.name / mine.name
        assert (twin / "result.json").read_bytes() == (mine / "result.json").read_bytes(), "the same to the byte"


def test_an_empty_folder_is_a_clear_message(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "masks").mkdir()
    config = InferConfig(archive=str(tmp_path / "empty"), out=str(tmp_path / "out"))
    assert run(config) == 2
    assert "empty" in capsys.readouterr().err
