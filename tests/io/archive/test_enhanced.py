"""Multi-frame objects give the same volume as the single files they stand for."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from irae.core.exam import Role
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import AXIAL, CONTENT, UID, series, write
from tests.io.archive.test_geometry import assert_every_voxel_is_in_its_place

ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1",
            "PT": "1.2.840.10008.5.1.4.1.1.130"}


def item(**values):
    ds = Dataset()
    for word, value in values.items():
        setattr(ds, word, value)
    return ds


def enhanced(modality="CT", order=None, cosines=AXIAL, **tags):
    """One multi-frame object of a classic series, frames in any order."""
    classic = series(modality, cosines=cosines)
    frames = [classic[n] for n in (order if order is not None else range(len(classic)))]
    whole = series(modality, slices=1, cosines=cosines)[0]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = ENHANCED[modality]
    for word in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
                 "RescaleIntercept", "RescaleType"):
        if word in whole:
            delattr(whole, word)
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(ds.PixelData for ds in frames)
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=classic[0].ImageOrientationPatient)],
        PixelMeasuresSequence=[item(PixelSpacing=classic[0].PixelSpacing, SliceThickness="9")],
    )
    per_frame = []
    for n, ds in enumerate(frames):
        values = item(RescaleSlope=ds.get("RescaleSlope", "1"), RescaleIntercept=ds.get("RescaleIntercept", "0"),
                      RescaleType="HU" if modality == "CT" else "US")
        per_frame.append(item(
            PlanePositionSequence=[item(ImagePositionPatient=ds.ImagePositionPatient)],
            PixelValueTransformationSequence=[values],
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=n + 1)],
        ))
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = per_frame
    for word, value in tags.items():
        setattr(whole, word, value)
    return whole


def read_only(tmp_path, *datasets):
    write(tmp_path / "in", list(datasets))
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    assert index.exams, [row.text for row in index.files]
    return read_exam(index.exams[0])


@pytest.mark.parametrize("cosines", [AXIAL, (0, 1, 0, 0, 0, -1)], ids=["axial", "sagittal"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_frames_are_slices(tmp_path, modality, cosines):
    order = np.random.default_rng(1).permutation(12)
    read = read_only(tmp_path, enhanced(modality, order=order, cosines=cosines))
    (volume,) = read.exam.volumes.values()
    assert_every_voxel_is_in_its_place(volume, CONTENT[modality], 5e-4 if modality == "PT" else 0.5)


def test_compressed_frames(tmp_path):
    whole = enhanced("CT")
    whole.compress(JPEGLSLossless, generate_instance_uid=False)
    assert_every_voxel_is_in_its_place(read_only(tmp_path, whole).exam.ct, CONTENT["CT"], 0.5)


def test_classic_and_enhanced_are_the_same_volume(tmp_path):
    one = read_only(tmp_path / "a", enhanced("CT")).exam.ct
    other = read_only(tmp_path / "b", *series("CT")).exam.ct
    assert one.geometry.same_grid(other.geometry)
    np.testing.assert_array_equal(one.array, other.array)


@pytest.mark.parametrize(("spoil", "code"), [
    (lambda ds: setattr(ds, "NumberOfFrames", 11), "multiframe_inconsistent"),
    (lambda ds: delattr(ds, "PerFrameFunctionalGroupsSequence"), "geometry_missing"),
    (lambda ds: ds.PerFrameFunctionalGroupsSequence.pop(4), "multiframe_inconsistent"),
    (lambda ds: ds.PerFrameFunctionalGroupsSequence[4].__delattr__("PlanePositionSequence"), "geometry_missing"),
    (lambda ds: setattr(ds.PerFrameFunctionalGroupsSequence[4].FrameContentSequence[0], "StackID", "2"),
     "multiframe_inconsistent"),
    (lambda ds: setattr(ds.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence[0], "ImagePositionPatient",
                        ["0", "0", "999"]), "missing_slice"),
    (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "truncated"),
])
def test_inconsistent_objects_are_refused(tmp_path, spoil, code):
    whole = enhanced("CT")
    spoil(whole)
    write(tmp_path / "in", [whole, *series("MR", number=4)])
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    rows = [row for row in index.files if row.series_uid == f"{UID}.1"]
    assert [row.code for row in rows] == [code], [row.text for row in rows]
    assert set(read_exam(index.exams[0]).exam.volumes) == {Role.MR}
