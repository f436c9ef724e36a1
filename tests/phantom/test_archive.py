"""The synthetic archive: readable by plain pydicom, deterministic, with context and truth."""

import csv
import hashlib
import json

import numpy as np
import pydicom
import pytest

import irae.phantom.archive as archive
from irae.phantom import write_archive


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three patients, one visit, on coarse grids (the third has a head MR)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "CT_SPACING_MM", (6.0, 6.0, 10.0))
        patch.setattr(archive, "PET_SPACING_MM", (8.0, 8.0, 10.0))
        return [write_archive(tmp_path_factory.mktemp(n), patients=3, seed=5, visits=1, workers=1) for n in "ab"]


def test_same_seed_same_bytes(small):
    def digest(root):
        files = sorted(p for p in root.rglob("*") if p.is_file())
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    first, second = map(digest, small)
    assert first == second
    assert len(first) > 100


def test_every_series_reads_and_nobody_is_named(small):
    modalities = set()
    uids = set()
    for path in (small[0] / "dicom").rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        modalities.add(ds.Modality)
        assert ds.PatientID.startswith("PHANTOM-")
        assert str(ds.PatientName) == f"{ds.PatientID}^^"
        assert ds.PatientIdentityRemoved == "YES"
        assert ds.SOPInstanceUID not in uids
        uids.add(ds.SOPInstanceUID)
        assert ds.pixel_array.shape == (ds.Rows, ds.Columns)
    assert modalities == {"CT", "PT", "MR"}


def test_ct_and_pet_of_a_visit_share_study_and_frame(small):
    folder = next((small[0] / "dicom" / "PHANTOM-0001").iterdir())
    ct, pet = (pydicom.dcmread(next((folder / m).glob("*.dcm")), stop_before_pixels=True) for m in ("CT", "PT"))
    assert ct.StudyInstanceUID == pet.StudyInstanceUID
    assert ct.FrameOfReferenceUID == pet.FrameOfReferenceUID
    assert ct.SeriesInstanceUID != pet.SeriesInstanceUID


def test_context_has_the_contracts_columns_and_kinds(small):
    with (small[0] / "context.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["patient_id", "date", "end_date", "kind", "value"]
    assert {r["patient_id"] for r in rows} == {"PHANTOM-0001", "PHANTOM-0002", "PHANTOM-0003"}
    assert {"sex", "birth_year", "height_cm", "tumour", "therapy"} <= {r["kind"] for r in rows}


def test_truth_lies_beside_the_archive(small):
    found = sorted((small[0] / "truth").rglob("truth.json"))
    assert len(found) == 3
    truth = json.loads(found[0].read_text())
    assert truth["schema"] == "irae.phantom_truth/1"
    assert [t["irae"] for t in truth["iraes"]] == ["colitis", "pneumonitis", "thyroiditis", "hepatitis", "hypophysitis"]
    assert {"track", "centre_ras_mm", "diameters_mm", "suv", "nature", "organ"} <= set(truth["lesions"][0])
    import nibabel

    labels = nibabel.load(found[0].with_name("organs.nii.gz"))
    assert np.asanyarray(labels.dataobj).max() <= 20


def test_some_later_patients_lack_their_baseline_and_the_first_four_never_do():
    kept = [archive.has_baseline(n, seed=1, visits=3) for n in range(200)]
    assert all(kept[:4])
    assert 0.04 < 1 - sum(kept) / 200 < 0.18
    assert all(archive.has_baseline(n, seed=1, visits=1) for n in range(50))


def test_the_truth_holds_what_a_scorer_needs(small):
    truth = json.loads(sorted((small[0] / "truth").rglob("truth.json"))[0].read_text())
    assert {"recist11", "irecist", "sum_mm", "nadir_mm", "new_tracks"} <= set(truth["response"])
    assert {"track", "role", "is_node", "site", "longest_mm", "short_mm", "course"} <= set(truth["metastases"][0])
    assert {"traps", "further", "confounders", "metal", "baseline_in_archive"} <= set(truth)


def test_wrong_calls_are_refused(small, tmp_path):
    with pytest.raises(ValueError, match="not empty"):
        write_archive(small[0], patients=1, seed=1)
    with pytest.raises(ValueError, match="at least 1"):
        write_archive(tmp_path, patients=0, seed=1)
