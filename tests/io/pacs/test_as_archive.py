"""archive= as a real Orthanc: plan, convert and fetch see what they see in a folder of the same files."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from irae.app.cli import app
from irae.app.config import InferConfig, PacsSettings
from irae.app.convert import convert_archive
from irae.app.infer import SOURCE_UNUSABLE
from irae.app.infer import run as infer
from irae.app.source import check_source, open_archive
from tests.io.pacs import orthanc as server
from tests.io.pacs.cut import wire
from tests.io.pacs.images import images

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

# pynetdicom drops a socket that could not connect without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def credentials(monkeypatch, tmp_path):
    """In the environment, with a cache of the test's own."""
    monkeypatch.setenv("IRAE_PACS_USER", server.USER)
    monkeypatch.setenv("IRAE_PACS_PASSWORD", server.PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_fetch_plan_and_convert(orthanc, tmp_path, credentials):
    scan = images("AS-ARCHIVE", slices=12)
    folder = tmp_path / "folder"
    folder.mkdir()
    for n, one in enumerate(scan):
        one.save_as(folder / f"{n}.dcm", enforce_file_format=True)
    orthanc.put(scan)
    asked = run("fetch", orthanc.web, "--patient", "AS-ARCHIVE")
    assert asked.exit_code == 0, asked.output
    fetched = asked.stdout.strip()
    assert server.PASSWORD not in asked.output

    def exams(archive):
        return json.loads(run("plan", archive, "--json").stdout)["exams"]

    assert exams(fetched) == exams(folder) != []
    planned = json.loads(run("plan", orthanc.web, "--json").stdout)
    assert exams(folder)[0] in planned["exams"]
    assert {row["code"] for row in planned["files"]["codes"]} >= {"fetched", "used"}
    answer = run("convert", orthanc.dimse, "--out", tmp_path / "out")
    assert answer.exit_code in (0, 3), answer.output  # the server holds other tests' images too
    convert_archive(folder, tmp_path / "same")
    name = "AS-ARCHIVE/2026-03-14/ct.nii.gz"
    one, other = nib.load(tmp_path / "out" / name), nib.load(tmp_path / "same" / name)
    assert np.array_equal(one.affine, other.affine)
    assert np.array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))


def test_a_series_that_did_not_come_is_a_row_and_not_an_exam(orthanc, tmp_path, credentials):
    orthanc.put(images("SHORT", slices=20, rows=128, columns=128))
    settings = PacsSettings(cache=str(tmp_path / "cache"), patients=["SHORT"], attempts=1, timeout_s=5.0)
    with wire(orthanc.http, after=400_000, stays_dead=True) as broken:
        source = f"dicomweb+http://127.0.0.1:{broken.port}/dicom-web"
        index = open_archive(source, scratch=tmp_path / "scratch", settings=settings)
        assert index.exams == ()
        assert [(row.outcome.value, row.code) for row in index.files] == [("quarantined", "not_fetched")]
        broken.after, broken.cuts = 10**9, 0
        index = open_archive(source, scratch=tmp_path / "scratch", settings=settings)
    assert [exam.key for exam in index.exams] == ["SHORT/2026-03-14"]
    assert [row.outcome.value for row in index.files if row.code == "fetched"] == ["used"]


@pytest.mark.parametrize(("archive", "wrong", "why"), [
    ("dimse://A@h", {"studied_from": "1.2.2026"}, "pacs.studied_from=1.2.2026"),
    ("dimse://A@h", {"studied_from": "2026-02-01", "studied_until": "2026-01-01"}, "run backwards"),
    ("dimse://A@h", {"credentials": "/nowhere.json"}, "cannot be read"),
    ("nonsense://h", {}, "needed is"),
])
def test_settings_are_refused_before_anything_is_asked(archive, wrong, why):
    with pytest.raises(ValueError, match=why):
        check_source(archive, PacsSettings(**wrong))


def test_exit_codes(tmp_path, credentials):
    nobody = f"dicomweb+http://127.0.0.1:{server.free_port()}"
    quick = PacsSettings(attempts=1)
    assert infer(InferConfig(archive=nobody, out=str(tmp_path / "out"), pacs=quick)) == SOURCE_UNUSABLE
    assert run("fetch", "dimse://h").exit_code == 2
    assert run("plan", "dicomweb+http://u:p@h").exit_code == 2
