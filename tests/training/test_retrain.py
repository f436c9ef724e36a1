"""A challenger from new data: trained, compared, refused or promoted; readers' answers become labels."""

from __future__ import annotations

import json
from datetime import date

import pytest
import torch
from typer.testing import CliRunner

from irae.app.answers import rows_from_answers, with_rows
from irae.app.cli import app
from irae.core.anatomy import Irae
from irae.io.manifest import FileRole, Split, read_manifest
from irae.models.package import load_package
from irae.models.runtime import Device, Precision
from irae.training.jobs import Workplace, segmentation_job
from irae.training.retrain import read_record
from irae.training.settings import SegmentationSettings
from irae.training.tracking import Tracking, fetch_registered
from irae.worklist.answers import Answer, Answers
from tests.training.sets import SetOnDisk, bodies
from tests.training.stand_in import StandIn

SETTINGS = SegmentationSettings(
    labels=["lung_left", "liver"], spacing_mm=12.0, patch=[16, 16, 16], image_spacing_mm=12.0, filters=[4, 8, 8],
    steps=3, batch=1, train_cases=2, held_out_cases=1,
)


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def retrained(tmp_path_factory):
    """A champion, and a challenger from a manifest: (folder, tracking uri, exit code, output)."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("retrain")
    uri = f"sqlite:///{root}/mlflow.db"
    champion = Workplace(out=root / "weights", tracking=Tracking(uri=uri), device=Device.CPU, say=lambda text: None,
                         precision=Precision.FP32)
    segmentation_job(SETTINGS, StandIn(), champion)
    manifest = bodies(root / "set", train=2, validation=1, test=2, spacing_mm=12.0)
    done = call("retrain", "--manifest", str(manifest), "--task", "organs", "--out", str(root / "out"), "--champion",
                str(root / "weights"), "--steps", "2", "--tracking-uri", uri)
    return root, uri, done


def test_a_challenger_goes_on_from_the_champion_and_is_compared(retrained):
    root, _, done = retrained
    assert done.exit_code == 3, done.output
    record = read_record(root / "out")
    champion, challenger = (load_package(root / name / "organs") for name in ("weights", "out/trained"))
    assert record["champion"] == {"organs": champion.digest}
    assert record["challenger"] == {"organs": challenger.digest}
    assert challenger.card.training["started_from"]["digest"] == champion.digest
    assert challenger.card.labels == champion.card.labels
    assert challenger.card.data["manifest"] == "set"
    assert challenger.card.licence == "as its training data: CC BY 4.0"
    assert {measure["name"] for measure in record["measures"]} == {"dice/lung_left", "dice/liver"}
    assert not record["accepted"]
    assert "2 patients are too few" in record["reasons"][0]


def test_what_is_not_shown_to_be_as_good_is_refused_and_that_is_recorded(retrained):
    root, uri, _ = retrained
    done = call("promote", str(root / "out"), "--tracking-uri", uri)
    assert done.exit_code == 3
    entry = json.loads((root / "out/promotions.jsonl").read_text().splitlines()[-1])
    assert not entry["promoted"]
    assert "too few" in entry["reasons"][0]
    assert call("promote", str(root / "out"), "--tracking-uri", uri, "--force").exit_code == 2, "a reason is needed"


def test_an_edited_record_or_package_does_not_count(retrained, tmp_path):
    root, uri, _ = retrained
    record = json.loads((root / "out/retrain.json").read_text())
    record["accepted"] = True
    (tmp_path / "retrain.json").write_text(json.dumps(record))
    (tmp_path / "trained").symlink_to(root / "out/trained")
    assert call("promote", str(tmp_path), "--tracking-uri", uri).exit_code == 3, "the numbers decide"
    record["challenger"] = {"organs": "sha256:" + "0" * 64}
    (tmp_path / "retrain.json").write_text(json.dumps(record))
    done = call("promote", str(tmp_path), "--tracking-uri", uri)
    assert done.exit_code == 2
    assert "not the package that was measured" in done.output


def test_one_that_is_not_worse_is_promoted_with_the_reasons(retrained, tmp_path):
    from mlflow import MlflowClient

    root, uri, _ = retrained
    record = json.loads((root / "out/retrain.json").read_text())
    good = [measure | {"low": 0.0, "high": 0.02, "n": 30} for measure in record["measures"]]
    (tmp_path / "retrain.json").write_text(json.dumps(record | {"measures": good}))
    (tmp_path / "trained").symlink_to(root / "out/trained")
    assert call("promote", str(tmp_path), "--into", str(tmp_path / "weights")).exit_code == 0
    assert load_package(tmp_path / "weights/organs").digest == record["challenger"]["organs"]
    done = call("promote", str(tmp_path), "--tracking-uri", uri)
    assert done.exit_code == 0, done.output
    fetched = fetch_registered("irae-organs", "champion", uri, tmp_path / "fetched")
    assert load_package(fetched).digest == record["challenger"]["organs"]
    version = MlflowClient(uri).get_model_version_by_alias("irae-organs", "champion")
    assert "not worse" in version.tags["promoted_because"]


def test_a_manifest_is_evaluated_as_a_page(retrained, tmp_path):
    root, _, _ = retrained
    data = ("--data", str(root / "set/set.csv"), "--weights", str(root / "weights"), "--out", str(tmp_path))
    done = call("evaluate", *data)
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert document["patients"] == 2
    assert document["data"]["what"] == "manifest, split test, licence CC BY 4.0"
    assert set(document["organs"]) == {"lung_left", "liver"}
    assert "evaluation" in (tmp_path / "evaluation.html").read_text()
    assert "the choices are" in call("evaluate", *data, "--split", "bogus").output
    assert "no exam is of the split calibration" not in call("evaluate", *data, "--split", "calibration").output


def test_answers_of_readers_become_labels(tmp_path):
    made = SetOnDisk(tmp_path / "images")
    for number in range(4):
        made.body(number, Split.TRAIN, spacing_mm=32.0)
    day = date(2026, 1, 1)
    out = tmp_path / "out"
    answers = Answers(out)
    out.mkdir()
    answers.record(f"S0/{day}", Answer.DISMISSED, reason="metformin", suspected=("colitis", "hepatitis"))
    answers.record(f"S1/{day}", Answer.READ, suspected=("colitis",))
    answers.record(f"S2/{day}", Answer.DISMISSED, reason="other", suspected=("colitis",))
    answers.record(f"S2/{day}", Answer.REOPENED)
    answers.record(f"ABSENT/{day}", Answer.DISMISSED, reason="other", suspected=("colitis",))
    (out / f"S0/{day}").mkdir(parents=True)
    organs = tmp_path / f"images/S0/{day}/organs.nii.gz"
    (out / f"S0/{day}/organs.nii.gz").write_bytes(organs.read_bytes())
    (out / f"S0/{day}/result.json").write_text(json.dumps({"organs": {"liver": {"label": 5}, "colon": {"label": 3}}}))
    rows = rows_from_answers(out, tmp_path / "images", tmp_path, splits={})
    assert {row.exam_key for row in rows} == {f"S0/{day}"}, "a read is no label, a reopened or absent exam neither"
    by_role = {row.role: row for row in rows}
    assert by_role[FileRole.CT].label == "colitis=0;hepatitis=0"
    assert by_role[FileRole.ORGANS].label == "liver=5;colon=3"
    assert by_role[FileRole.CT].split is not Split.TEST
    confirmed = rows_from_answers(out, tmp_path / "images", tmp_path, splits={"S1": Split.TEST}, read_confirms=True)
    read = next(row for row in confirmed if row.patient == "S1" and row.role is FileRole.CT)
    assert (read.label, read.split) == ("colitis=1", Split.TEST)
    manifest = read_manifest(made.write())
    joined = with_rows(manifest, rows, tmp_path)
    assert len(joined) == len(made.rows), "exams that the manifest has keep its labels"
    assert joined[0].file.startswith("images/")
    assert Irae("colitis") not in manifest.exams[0].iraes
