"""``segmenter=masks`` with DICOM SEG and RTSTRUCT: from the archive's own reader to the organs of an assessed exam."""

from datetime import date

import numpy as np
import pytest

from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.io.archive import index_archive, read_exam
from irae.io.dicom_seg import write_seg
from irae.models.segmenters import MaskSegmenter
from irae.pipeline import Stages, assess_exam
from tests.io.archive.made import series, write
from tests.io.test_annotations import circle, rtstruct

VERSIONS = Versions(irae="0.1.0", models={}, settings="sha256:" + "2" * 64)
SHAPE = {"slices": 16, "rows": 24, "columns": 24, "spacing": (14.0, 14.0), "gap": 14.0}
VOXEL_ML = 14.0**3 / 1000.0


@pytest.fixture
def exam(tmp_path):
    """A CT as its archive gives it, and the data sets it came from."""
    made = series("CT", **SHAPE)
    body = np.full((24, 24), 24, "<i2")
    body[3:-3, 3:-3] = 1024 + 60  # a liver may be anywhere
    for ds in made:
        ds.PixelData = body.tobytes()
        ds.PatientName = ds.PatientBirthDate = ds.StudyID = ds.AccessionNumber = ""
    write(tmp_path / "in", made)
    return read_exam(index_archive(tmp_path / "in", scratch=tmp_path / "scratch").exams[0]).exam, made


def organs_on(geometry: Geometry, **boxes) -> LabelMap:
    array = np.zeros(geometry.shape, np.uint8)
    labels = {"liver": 5, "spleen": 6}
    for organ, box in boxes.items():
        array[box] = labels[organ]
    used = {organ: labels[organ] for organ in boxes}
    return LabelMap(array=array, geometry=geometry, labels=used, coverage=dict.fromkeys(used, Coverage.WHOLE))


LIVER, SPLEEN = np.s_[12:18, 9:15, 5:11], np.s_[7:10, 9:12, 5:9]


def test_a_seg_of_the_image_is_the_organ_of_the_exam(exam, tmp_path):
    read, made = exam
    drawn = organs_on(read.ct.geometry, liver=LIVER)
    write_seg(tmp_path / "masks" / read.patient / str(read.acquired_on) / "anything", source=made, organs=drawn,
              versions=VERSIONS)
    segmenter = MaskSegmenter(tmp_path / "masks")
    np.testing.assert_array_equal(segmenter.segment_ct(read.ct).mask("liver"), drawn.mask("liver"))
    stages = Stages(segmenter=segmenter, classifier=None)
    result = assess_exam(read, history=(), images=(), stages=stages, versions=VERSIONS)
    assert result.organs.coverage["liver"] is Coverage.WHOLE
    assert result.result.organs["liver"].volume_ml == pytest.approx(6 * 6 * 6 * VOXEL_ML)
    assert result.result.quantities.get("liver.hu") == pytest.approx(60.0)
    assert segmenter.digests["masks"].startswith("sha256:")


def test_contours_and_a_seg_complete_each_other_and_may_not_repeat(exam, tmp_path):
    read, made = exam
    folder = tmp_path / "masks"
    folder.mkdir()
    write_seg(folder / "spleen.dcm", source=made, organs=organs_on(read.ct.geometry, spleen=SPLEEN), versions=VERSIONS)
    rtstruct(folder / "rs.dcm", {"Liver": [(circle((14.5, 11.5), 3.2), k) for k in range(5, 11)]}, read.ct.geometry,
             frame=read.ct.geometry.frame_of_reference_uid)
    found = MaskSegmenter(folder).segment_ct(read.ct)
    assert {organ for organ in found.coverage if found.seen(organ)} == {"liver", "spleen"}
    assert found.mask("liver").sum() == pytest.approx(np.pi * 3.2**2 * 6, rel=0.1)
    np.testing.assert_array_equal(found.mask("spleen"), organs_on(read.ct.geometry, spleen=SPLEEN).mask("spleen"))
    write_seg(folder / "two.dcm", source=made, organs=organs_on(read.ct.geometry, liver=LIVER), versions=VERSIONS)
    assert "both draw the liver: which is meant?" in MaskSegmenter(folder).segment_ct(read.ct).rejected["liver"]


def test_another_grid_counts_only_in_the_same_frame_of_reference(exam, tmp_path):
    read, made = exam
    drawn = organs_on(read.ct.geometry, liver=LIVER)
    write_seg(tmp_path / "masks" / "seg.dcm", source=made, organs=drawn, versions=VERSIONS)
    segmenter = MaskSegmenter(tmp_path / "masks")

    def finer(frame):
        geometry = read.ct.geometry.with_spacing((7.0, 7.0, 7.0))
        geometry = Geometry(shape=geometry.shape, affine=geometry.affine, frame_of_reference_uid=frame)
        return Volume(array=np.full(geometry.shape, 60, np.float32), geometry=geometry, quantity=Quantity.HU)

    same = segmenter.segment_ct(finer(read.ct.geometry.frame_of_reference_uid))
    assert same.mask("liver").sum() / 8 == pytest.approx(drawn.mask("liver").sum(), rel=0.01)
    assert segmenter.segment_ct(finer("1.2.3")).coverage["liver"] is Coverage.NONE
    unknown = segmenter.segment_ct(finer(None))
    assert unknown.coverage["liver"] is Coverage.NONE
    assert "grid" in unknown.rejected["liver"]


def test_what_is_no_mask_is_no_mask(exam, tmp_path):
    _, made = exam
    write(tmp_path / "images", made)
    (tmp_path / "images" / "notes.txt").write_text("liver")
    (tmp_path / "images" / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    with pytest.raises(ValueError, match="DICOM SEG or RTSTRUCT"):
        MaskSegmenter(tmp_path / "images")
    (tmp_path / "images" / "a.nii").write_bytes(b"")
    assert MaskSegmenter(tmp_path / "images").for_exam("P9", date(2026, 1, 1)).name == "masks"
