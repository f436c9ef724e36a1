"""``irae deidentify``: what leaves names nobody, reads as before, and every file is accounted for."""

import csv
import json
from datetime import timedelta

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from typer.testing import CliRunner

from irae.app.cli import app
from irae.core.context import ContextKind
from irae.core.exam import Role
from irae.io.archive import index_archive, read_exam
from irae.io.context import read_context
from irae.io.deidentify import Deidentifier
from tests.io.archive.made import series, write

NAME, ID, DAY = "Qwzxvjk", "MRN-7731-Qwzxvjk", "19500203"
PHI = (NAME, ID, DAY, "1950-02-03", "20260314", "2026-03-14", "20260614", "2026-06-14")
CONTEXT = f"""patient_id,date,end_date,kind,value
{ID},,,sex,F
{ID},,,birth_year,1950
{ID},,,height_cm,165
{ID},2026-01-05,2026-04-05,therapy,Ipilimumab + nivolumab
{ID},2026-02-01,,steroid,prednisolone 40 mg
{ID},2025-12-01,,surgery,left nephrectomy by Dr {NAME}
{ID},,,tumour,melanoma
P99,,,birth_year,1925
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two visits of one patient with CT and PET, and what does not leave: captures, a page, a link, other files."""
    top = tmp_path_factory.mktemp("deid")
    whole = {"PatientName": f"{NAME}^Anna", "PatientBirthDate": DAY, "patient": ID}
    for visit, day in enumerate(("20260314", "20260614")):
        for n, modality in enumerate(("CT", "PT")):
            made = series(modality, slices=8, number=10 * visit + n + 1, day=day, **whole)
            if modality == "PT":
                for ds in made:  # the date crosses midnight with the shift as it did before
                    ds.SeriesTime = ds.AcquisitionTime = "003000"
                    item = ds.RadiopharmaceuticalInformationSequence[0]
                    item.RadiopharmaceuticalStartTime = "233000"
            write(top / "in" / NAME / day / modality, made)
    capture, page, plain = series("CT", slices=3, number=50, **whole)
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    page.SeriesDescription = "Patient Protocol"
    plain.BurnedInAnnotation = "YES"
    write(top / "in" / "pages", [capture, page, plain])
    (top / "in" / f"{NAME}.txt").write_text(f"call {NAME}")
    (top / "in" / "link.dcm").symlink_to(top / "in" / "pages")
    (top / "context.csv").write_text(CONTEXT)
    return top


def run(archive, out, *more, key="key"):
    words = ["deidentify", str(archive / "in"), "--out", str(archive / out), "--key-file", str(archive / key), *more]
    return CliRunner().invoke(app, words)


@pytest.fixture(scope="module")
def left(archive):
    return run(archive, "out", "--new-key", "--context", str(archive / "context.csv"))


def test_nothing_names_anyone(archive, left):
    assert left.exit_code == 3, left.output
    produced = [path for path in (archive / "out").rglob("*") if path.is_file()]
    assert len(produced) == 32 + 2
    for path in produced:
        inside = path.relative_to(archive / "out").as_posix()
        for secret in PHI:
            assert secret.encode() not in path.read_bytes(), (secret, inside)
            assert secret not in inside
    assert not [secret for secret in PHI if secret in left.output]


def test_every_file_is_accounted_for(archive, left):
    assert "37 files found = 32 written + 5 left out" in left.output
    with open(archive / "key.report.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 37
    assert sorted(row["code"] for row in rows if not row["written"]) == [
        "deid_burned_in", "deid_burned_in", "deid_not_a_file", "deid_unreadable", "deid_unsupported",
    ]
    assert {row["written"] for row in rows if row["written"]} == {
        path.relative_to(archive / "out").as_posix() for path in (archive / "out").rglob("*.dcm")
    }
    assert (archive / "key.report.csv").stat().st_mode & 0o077 == 0
    said = json.loads((archive / "out" / "deidentified.json").read_text())
    assert said["files_found"] == said["files_written"] + sum(said["left_out"].values()) == 37


def test_suv_geometry_and_time_between_exams_are_as_before(archive, left, tmp_path):
    key = Deidentifier.from_file(archive / "key")
    before = index_archive(archive / "in", scratch=tmp_path / "a").exams
    after = index_archive(archive / "out", scratch=tmp_path / "b").exams
    assert len(before) == len(after) == 2
    assert [exam.patient for exam in after] == [key.pseudonym(ID)] * 2
    assert [exam.acquired_on for exam in after] == [key.shifted(exam.acquired_on, ID) for exam in before]
    for one, other in zip(before, after, strict=True):
        source, result = read_exam(one).exam, read_exam(other).exam
        for role in (Role.CT, Role.PET):
            np.testing.assert_array_equal(result.volumes[role].array, source.volumes[role].array)
            np.testing.assert_array_equal(result.volumes[role].geometry.affine, source.volumes[role].geometry.affine)
        old, new = source.origins[Role.PET], result.origins[Role.PET]
        assert old.suv_factor is not None
        assert (new.suv_factor, new.uptake_minutes, new.suv_to_sul) == (
            old.suv_factor, old.uptake_minutes, old.suv_to_sul)
        assert result.ct.geometry.frame_of_reference_uid == result.pet.geometry.frame_of_reference_uid
        assert result.ct.geometry.frame_of_reference_uid != source.ct.geometry.frame_of_reference_uid


def test_the_context_goes_along(archive, left, tmp_path):
    key = Deidentifier.from_file(archive / "key")
    before, after = (read_context(archive / name) for name in ("context.csv", "out/context.csv"))
    exam = index_archive(archive / "out", scratch=tmp_path).exams[-1]
    own, was = after[exam.patient], before[ID]
    assert own.weeks_since_immunotherapy(exam.acquired_on) == was.weeks_since_immunotherapy(
        exam.acquired_on + timedelta(days=key.shift_days(ID)))
    day = exam.acquired_on
    assert own.latest(ContextKind.TUMOUR, day) == "melanoma"
    assert own.latest(ContextKind.SURGERY, day) == "left nephrectomy"
    assert own.latest(ContextKind.STEROID, day) == "prednisolone 40 mg"
    assert key.pseudonym("P99") not in after, "a birth year of somebody over 89 goes, and nothing else was known"
    said = json.loads((archive / "out" / "deidentified.json").read_text())["context_left_out"]
    assert list(said.values()) == [1, 1]


def test_the_same_key_gives_the_same_bytes_and_another_does_not(archive, left):
    assert run(archive, "again").exit_code == 3
    files = sorted(p.relative_to(archive / "out") for p in (archive / "out").rglob("*.dcm"))
    assert files == sorted(p.relative_to(archive / "again") for p in (archive / "again").rglob("*.dcm"))
    assert all((archive / "out" / f).read_bytes() == (archive / "again" / f).read_bytes() for f in files)
    assert run(archive, "other", "--new-key", key="key2").exit_code == 3
    assert not {str(f) for f in files} & {str(p.relative_to(archive / "other")) for p in (archive / "other").rglob("*")}
    assert dcmread(archive / "out" / files[0]).PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(("words", "said"), [
    (["--out", "in/inside", "--key-file", "key"], "must not lie in each other"),
    (["--out", "new", "--key-file", "new/key", "--new-key"], "must stay"),
    (["--out", "new", "--key-file", "none"], "--new-key makes one"),
    (["--out", "new", "--key-file", "key", "--new-key"], "exists"),
    (["--out", "new", "--key-file", "context.csv"], "does not hold a key"),
    (["--out", "context.csv", "--key-file", "key"], "not a folder"),
])
def test_wrong_calls_change_nothing(archive, left, monkeypatch, words, said):
    monkeypatch.chdir(archive)
    result = CliRunner().invoke(app, ["deidentify", "in", *words])
    assert result.exit_code == 2
    assert said in result.output
    assert not (archive / "new").exists()
