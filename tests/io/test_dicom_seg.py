"""Organs and foci written as DICOM SEG, read back by highdicom, compared voxel by voxel."""

from __future__ import annotations

from datetime import datetime

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset

from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap
from irae.io.dicom_seg import PatientModule, write_seg
from tests.io.dicom_source import AXIAL, CORONAL, FRAME, PRONE, SAGITTAL, geometry_of, oblique, series

VERSIONS = Versions(irae="0.1.0", models={"organs": "sha256:" + "1" * 64}, settings="sha256:" + "2" * 64)
CREATED = datetime(2026, 3, 15, 12, 0, 0)


def organs_on(geometry: Geometry, rng: np.random.Generator) -> LabelMap:
    array = rng.choice(np.array([0, 0, 1, 2, 5], dtype=np.uint8), size=geometry.shape)
    labels = {"lung_left": 1, "lung_right": 2, "liver": 5}
    return LabelMap(array=array, geometry=geometry, labels=labels, coverage=dict.fromkeys(labels, Coverage.WHOLE))


def focus(number: int, nature: Nature, *, track: str = "", organ: str | None = "liver") -> AttributedFocus:
    return AttributedFocus(
        focus=Focus(
            id=number, centroid_ras_mm=(0, 0, 0), volume_ml=1.0, longest_mm=12.0, short_mm=8.0, suv_max=7.9,
            suv_peak=6.6, organ=organ, track=track or f"L{number:02d}", status=FocusStatus.NEW,
        ),
        nature=nature, probabilities={"inflammation": 0.2, "metastasis": 0.7, "physiologic": 0.1}, score=-2.0,
        outcome="favour metastasis", reasons=("round",),
    )


def read_back(path, segment: int, geometry: Geometry) -> np.ndarray:
    """A segment on the image's grid, through highdicom, placed by the positions highdicom reports."""
    seg = hd.seg.segread(path)
    volume = seg.get_volume(segment_numbers=[segment], allow_missing_positions=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    there = np.argwhere(volume.array[..., 0] > 0)
    index = geometry.to_index(there @ lps[:3, :3].T + lps[:3, 3])
    assert np.abs(index - np.rint(index)).max() < 1e-3
    mask = np.zeros(geometry.shape, bool)
    mask[tuple(np.rint(index).astype(int).T)] = True
    return mask


@pytest.mark.parametrize(("directions", "reverse"), [
    (AXIAL, False), (AXIAL, True), (SAGITTAL, False), (CORONAL, True), (PRONE, False),
    (oblique((17.0, -8.0, 31.0)), False), (oblique((-100.0, 40.0, 5.0)), True),
], ids=["axial", "axial reversed", "sagittal", "coronal reversed", "prone", "oblique", "oblique reversed"])
@pytest.mark.parametrize("columns", [16, 15], ids=["whole bytes", "bits run on"])
def test_every_voxel_comes_back(tmp_path, directions, reverse, columns):
    source = series(rows=12, columns=columns, slices=7, directions=directions, reverse=reverse)
    geometry = geometry_of(source)
    rng = np.random.default_rng(3)
    organs = organs_on(geometry, rng)
    foci = np.zeros(geometry.shape, np.uint16)
    foci[2:6, 3:8, 2:4], foci[9:12, 1:4, 5:7] = 4, 300
    written = write_seg(
        tmp_path / "seg.dcm", source=source, organs=organs, foci=[focus(4, Nature.METASTASIS),
        focus(300, Nature.INFLAMMATION)], foci_labels=foci, foci_geometry=geometry, versions=VERSIONS, created=CREATED,
    )
    assert written is not None
    assert set(written.organs) == {"lung_left", "lung_right", "liver"}
    measures = hd.seg.segread(tmp_path / "seg.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.PixelSpacing, measures.SpacingBetweenSlices) == ([1.5, 1.25], 3.0)
    for organ, number in written.organs.items():
        np.testing.assert_array_equal(read_back(tmp_path / "seg.dcm", number, geometry), organs.mask(organ))
    for id_, number in written.foci.items():
        np.testing.assert_array_equal(read_back(tmp_path / "seg.dcm", number, geometry), foci == id_)


def test_labels_on_another_axis_order_land_on_the_source_frames(tmp_path):
    source = series(rows=12, columns=16, slices=5)
    geometry = geometry_of(source)
    ras = geometry.affine.copy()  # the same voxels as RAS+ storage has them: i and j turned round
    ras[:3, 3] = geometry.to_world((15, 11, 0))
    ras[:3, 0], ras[:3, 1] = -ras[:3, 0], -ras[:3, 1]
    turned = Geometry(shape=(16, 12, 5), affine=ras, frame_of_reference_uid=FRAME)
    organs = organs_on(turned, np.random.default_rng(5))
    written = write_seg(tmp_path / "seg.dcm", source=source, organs=organs, versions=VERSIONS)
    back = read_back(tmp_path / "seg.dcm", written.organs["liver"], geometry)
    np.testing.assert_array_equal(back, organs.mask("liver")[::-1, ::-1])


def test_foci_on_a_coarser_grid_take_the_nearest_voxel(tmp_path):
    source = series(rows=20, columns=20, slices=8, spacing=(1.0, 1.0), step=2.0)
    geometry = geometry_of(source)
    pet = geometry.with_spacing((4.0, 4.0, 4.0))
    labels = np.zeros(pet.shape, np.uint16)
    labels[1, 2, 1] = 7
    written = write_seg(
        tmp_path / "seg.dcm", source=source, foci=[focus(7, Nature.INDETERMINATE)], foci_labels=labels,
        foci_geometry=pet, versions=VERSIONS,
    )
    expected = np.zeros(geometry.shape, bool)
    expected[4:8, 8:12, 2:4] = True
    np.testing.assert_array_equal(read_back(tmp_path / "seg.dcm", written.foci[7], geometry), expected)


def test_codes_tracks_and_identity(tmp_path):
    source = series(rows=8, columns=8, slices=3)
    geometry = geometry_of(source)
    foci = np.zeros(geometry.shape, np.uint16)
    natures = list(Nature)
    for n in range(4):
        foci[n, n, 1] = n + 1
    arguments = {
        "source": source, "organs": organs_on(geometry, np.random.default_rng(1)), "foci": [
            focus(n + 1, nature, organ=["lung_left", None, "lymph_node", "liver"][n])
            for n, nature in enumerate(natures)
        ], "foci_labels": foci, "foci_geometry": geometry, "versions": VERSIONS, "created": CREATED,
    }
    written = write_seg(tmp_path / "a.dcm", patient="pseudo-1", **arguments)
    seg = hd.seg.segread(tmp_path / "a.dcm")
    lung = seg.get_segment_description(written.organs["lung_left"])
    assert lung.segmented_property_category.value == "91723000"
    assert lung.segmented_property_type.value == "39607008"
    assert lung.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    kinds = [seg.get_segment_description(written.foci[n + 1]).segmented_property_type.value for n in range(4)]
    assert kinds == ["409774005", "14799000", "17621005", "52988006"]
    assert seg.get_segment_description(written.foci[2]).tracking_id == "L02"
    assert seg.get_segment_description(written.foci[2]).SegmentAlgorithmType == "AUTOMATIC"
    assert seg.get_segment_description(written.foci[2]).algorithm_identification.version == "0.1.0"
    assert (seg.PatientID, str(seg.PatientName), seg.PatientBirthDate, seg.AccessionNumber) == ("pseudo-1", "", "", "")
    raw = (tmp_path / "a.dcm").read_bytes()
    assert b"Canary" not in raw
    assert b"ACC1" not in raw

    write_seg(tmp_path / "b.dcm", patient="pseudo-1", **arguments)
    assert (tmp_path / "b.dcm").read_bytes() == raw, "the same input gives the same object"
    written_named = write_seg(tmp_path / "c.dcm", patient_module=PatientModule.SOURCE, **arguments)
    named = hd.seg.segread(tmp_path / "c.dcm")
    assert (named.PatientID, str(named.PatientName), named.AccessionNumber) == ("P01", "Canary^Name", "ACC1")
    assert written_named.header.SOPInstanceUID != written.header.SOPInstanceUID


def test_every_frame_names_its_source_image(tmp_path):
    source = series(rows=8, columns=8, slices=4, reverse=True)
    geometry = geometry_of(source)
    organs = organs_on(geometry, np.random.default_rng(1))
    write_seg(tmp_path / "s.dcm", source=source, organs=organs, versions=VERSIONS)
    place = {d.SOPInstanceUID: list(d.ImagePositionPatient) for d in source}
    seg = hd.seg.segread(tmp_path / "s.dcm")
    for group in seg.PerFrameFunctionalGroupsSequence:
        origin = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert list(group.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(place[origin])
    pixels = seg.get_pixels_by_source_instance([d.SOPInstanceUID for d in source], segment_numbers=[3])
    assert pixels.shape == (4, 8, 8, 1)


def test_nothing_to_write_writes_nothing(tmp_path):
    source = series(rows=8, columns=8, slices=3)
    geometry = geometry_of(source)
    empty = LabelMap(array=np.zeros(geometry.shape, np.uint8), geometry=geometry, labels={}, coverage={})
    assert write_seg(tmp_path / "s.dcm", source=source, organs=empty, versions=VERSIONS) is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(tmp_path):
    source = series(rows=8, columns=8, slices=3)
    geometry = geometry_of(source)
    elsewhere = Geometry(shape=geometry.shape, affine=geometry.affine, frame_of_reference_uid="1.2.3")
    with pytest.raises(ValueError, match=r"frame of reference 1\.2\.3"):
        write_seg(
            tmp_path / "s.dcm", source=source, organs=organs_on(elsewhere, np.random.default_rng(1)), versions=VERSIONS
        )
    organs = organs_on(geometry, np.random.default_rng(1))
    with pytest.raises(ValueError, match="at least one source image"):
        write_seg(tmp_path / "s.dcm", source=[], organs=organs, versions=VERSIONS)
    mixed = series(rows=8, columns=8, slices=3)
    mixed[1].SeriesInstanceUID = "1.2.4"
    with pytest.raises(ValueError, match="one series, got 2"):
        write_seg(tmp_path / "s.dcm", source=mixed, organs=organs, versions=VERSIONS)
    turned = series(rows=8, columns=8, slices=3)
    turned[2].ImageOrientationPatient = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
    with pytest.raises(ValueError, match="not parallel"):
        write_seg(tmp_path / "s.dcm", source=turned, organs=organs, versions=VERSIONS)
    lost = series(rows=8, columns=8, slices=3)
    del lost[0].FrameOfReferenceUID
    with pytest.raises(ValueError, match="no frame of reference"):
        write_seg(tmp_path / "s.dcm", source=lost, organs=organs, versions=VERSIONS)
    assert list(tmp_path.iterdir()) == []


def test_enhanced_multi_frame_source(tmp_path):
    single = series(rows=8, columns=8, slices=4)
    geometry = geometry_of(single)
    enhanced = single[0]
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    enhanced.NumberOfFrames = 4
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = enhanced.PixelSpacing, enhanced.SliceThickness
    orientation.ImageOrientationPatient = enhanced.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    enhanced.SharedFunctionalGroupsSequence = [shared]
    enhanced.PerFrameFunctionalGroupsSequence = []
    for image in (single[2], single[0], single[3], single[1]):  # frames in any order
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = image.ImagePositionPatient
        group.PlanePositionSequence = [place]
        enhanced.PerFrameFunctionalGroupsSequence.append(group)
    for word in ("PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(enhanced, word)
    organs = organs_on(geometry, np.random.default_rng(1))
    written = write_seg(tmp_path / "s.dcm", source=[enhanced], organs=organs, versions=VERSIONS)
    for organ, number in written.organs.items():
        np.testing.assert_array_equal(read_back(tmp_path / "s.dcm", number, geometry), organs.mask(organ))
    first = hd.seg.segread(tmp_path / "s.dcm").PerFrameFunctionalGroupsSequence[0]
    assert first.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber == 2
