"""Whatever is written for a patient with a peculiar name names nobody: files, their names, tables, logs, output."""

import gzip
import logging
import sqlite3

import numpy as np
import pytest

from irae.app.config import InferConfig, ModelSource, SegmenterName
from irae.app.convert import convert_archive
from irae.app.infer import run
from irae.app.plan import as_text, plan_of
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap
from irae.io.archive import index_archive, read_exam
from irae.io.dicom_seg import write_seg
from tests.io.archive.made import series, write

NAME, BORN, ACCESSION = "Qwzxvjk", "19500203", "ACC7731Q"
SECRETS = (NAME, NAME.upper(), BORN, "1950-02-03", ACCESSION)
PERSONAL = {
    "PatientName": f"{NAME}^Anna", "PatientBirthDate": BORN, "AccessionNumber": ACCESSION,
    "OtherPatientNames": f"{NAME}^A", "ReferringPhysicianName": f"{NAME}^Dr", "OperatorsName": NAME,
    "InstitutionName": f"{NAME} Clinic", "StationName": NAME, "StudyDescription": f"for {NAME}",
    "PatientComments": f"call {NAME}", "PatientAddress": NAME, "RequestedProcedureDescription": NAME,
}


@pytest.fixture
def archive(tmp_path):
    """CT and PET of one exam, a damaged slice, and a liver drawn on the CT."""
    shape = {"slices": 16, "rows": 24, "columns": 24, "spacing": (14.0, 14.0), "gap": 14.0}
    made = series("CT", number=1, **shape, **PERSONAL)
    body = np.full((24, 24), 24, "<i2")
    body[3:-3, 3:-3] = 1024 + 60
    for ds in made:
        ds.PixelData = body.tobytes()
    write(tmp_path / "in", made)
    ct = read_exam(index_archive(tmp_path / "in", scratch=tmp_path / "s").exams[0]).exam.ct
    array = np.zeros(ct.geometry.shape, np.uint8)
    array[12:18, 9:15, 5:11] = 5
    organs = LabelMap(array=array, geometry=ct.geometry, labels={"liver": 5}, coverage={"liver": Coverage.WHOLE})
    for ds in made:
        ds.StudyID = ""
    write_seg(tmp_path / "masks" / "seg.dcm", source=made, organs=organs,
              versions=Versions(irae="0", models={}, settings="sha256:" + "2" * 64))
    write(tmp_path / "in" / "pet", series("PT", number=2, **shape, **PERSONAL))
    bad = write(tmp_path / "in" / "bad", series("MR", number=3, **PERSONAL))
    bad[0].write_bytes(bad[0].read_bytes()[:700])
    return tmp_path


def assert_nobody_is_named(folder, *said):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        data = path.read_bytes()
        data += gzip.decompress(data) if path.suffix == ".gz" else b""
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as table:
                data += "\n".join(table.iterdump()).encode()
        for secret in SECRETS:
            if secret == ACCESSION and path.suffix == ".dcm":
                continue  # SEG and SR go back to the PACS, which files them by it
            assert secret.encode() not in data, (secret, path.name)
            assert secret.encode("utf-16-le") not in data, (secret, path.name)
            assert secret not in path.relative_to(folder).as_posix()
    assert not [secret for secret in SECRETS for text in said if secret in text]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_convert_and_plan(archive, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    convert_archive(archive / "in", archive / "out")
    told = as_text(plan_of(archive / "in"))
    captured = capfd.readouterr()
    assert (archive / "out" / "P01" / "2026-03-14" / "pet_suv.nii.gz").is_file()
    assert_nobody_is_named(archive / "out", told, caplog.text, captured.out, captured.err)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_infer(archive, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    config = InferConfig(archive=str(archive / "in"), out=str(archive / "out"), segmenter=SegmenterName.masks,
                         models=ModelSource.rules)
    config.segmenters.masks = str(archive / "masks")
    config.run.readers = 0
    config.run.threads = 1
    assert run(config) in (0, 3)
    captured = capfd.readouterr()
    exam = archive / "out" / "P01" / "2026-03-14"
    written = {path.name for path in exam.iterdir()}
    assert {"result.json", "report.html", "organs.nii.gz", "seg.dcm", "sr.dcm"} <= written
    assert_nobody_is_named(archive / "out", caplog.text, captured.out, captured.err)
