"""Annotations onto an image's grid: made here with known answers, and real objects of other people's software."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap
from irae.io.annotations import AnnotationRules, organ_named, organs_of, read_annotations
from irae.io.annotations.polygons import fill_contours
from irae.io.dicom_seg import write_seg
from irae.io.nifti import read_array
from irae.io.planes import planes_of
from tests.io.dicom_source import AXIAL, CORONAL, FRAME, SAGITTAL, geometry_of, oblique, series

VERSIONS = Versions(irae="0.1.0", models={}, settings="sha256:" + "2" * 64)
RESAMPLE = AnnotationRules(resample=True)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


# --- polygons


def test_even_odd_agrees_with_scikit_image_on_random_polygons():
    from skimage.measure import points_in_poly

    rng = np.random.default_rng(11)
    grid = np.argwhere(np.ones((30, 24), bool))
    for _ in range(40):
        polygon = rng.uniform(-3, 33, size=(int(rng.integers(3, 15)), 2))  # self-crossing ones too
        expected = points_in_poly(grid, polygon).reshape(30, 24)
        np.testing.assert_array_equal(fill_contours([polygon], (30, 24)), expected)


def square(low: float, high: float) -> np.ndarray:
    return np.array([[low, low], [low, high], [high, high], [high, low]])


def test_holes_outlines_and_keyholes():
    ring = fill_contours([square(1, 9), square(3, 7)], (11, 11))
    expected = np.zeros((11, 11), bool)
    expected[1:10, 1:10] = True
    expected[4:7, 4:7] = False
    np.testing.assert_array_equal(ring, expected, "outlines through voxel centres belong to the region")
    island = fill_contours([square(1, 9), square(2.5, 7.5), square(4.5, 5.5)], (11, 11))
    assert island[5, 5]
    assert not island[3, 3]
    keyhole = np.array([
        [0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5], [5, 0.5], [5, 3.5], [6.5, 3.5], [6.5, 6.5], [3.5, 6.5],
        [3.5, 3.5], [5, 3.5], [5, 0.5],
    ])
    by_xor = fill_contours([square(0.5, 9.5), square(3.5, 6.5)], (11, 11))
    np.testing.assert_array_equal(fill_contours([keyhole], (11, 11)), by_xor)


# --- RTSTRUCT


def contour_points(loop_ij: np.ndarray, k: float, geometry: Geometry) -> list[float]:
    """A loop in grid index as DICOM writes it: LPS mm."""
    ras = geometry.to_world(np.column_stack([loop_ij, np.full(len(loop_ij), k)]))
    return [float(f"{v:.6f}") for v in (ras * (-1, -1, 1)).ravel()]


def rtstruct(
    path: Path, rois: dict[str, list[tuple[np.ndarray, float]]], geometry: Geometry, *, frame: str = FRAME,
    kind: str = "CLOSED_PLANAR",
) -> Path:
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, "2.25.1"
    d.SOPClassUID, d.SOPInstanceUID, d.Modality = RTStructureSetStorage, "2.25.1", "RTSTRUCT"
    d.StructureSetROISequence, d.ROIContourSequence = [], []
    for number, (name, loops) in enumerate(rois.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for loop, k in loops:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(loop)
            contour.ContourData = contour_points(loop, k, geometry)
            drawn.ContourSequence.append(contour)
        d.StructureSetROISequence.append(roi)
        d.ROIContourSequence.append(drawn)
    d.save_as(path, enforce_file_format=True)
    return path


def circle(centre: tuple[float, float], radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


@pytest.mark.parametrize("directions", [AXIAL, SAGITTAL, CORONAL, oblique((17.0, -8.0, 31.0))])
def test_contours_fill_the_voxels_they_enclose(tmp_path, directions):
    geometry = geometry_of(series(rows=30, columns=32, slices=6, directions=directions, spacing=(1.0, 1.0)))
    file = rtstruct(tmp_path / "rs.dcm", {
        "Liver": [(circle((14.3, 15.2), 9.1), 2), (circle((14.3, 15.2), 4.2), 2), (circle((14.3, 15.2), 9.1), 3)],
    }, geometry)
    read = read_annotations(file, geometry)
    i, j = np.mgrid[:32, :30]
    away = np.hypot(i - 14.3, j - 15.2)
    expected = np.zeros(geometry.shape, bool)
    expected[..., 2], expected[..., 3] = (away < 9.1) & (away > 4.2), away < 9.1
    # A circle of 400 corners misses its circle by up to 0.0003 of the radius; no voxel centre is that near.
    assert min(np.abs(away - 9.1).min(), np.abs(away - 4.2).min()) > 0.001
    np.testing.assert_array_equal(read.masks()["Liver"], expected)
    assert read.annotations[0].organ == "liver"


def test_contours_on_planes_between_slices_are_refused_or_resampled(tmp_path):
    geometry = geometry_of(series(rows=30, columns=32, slices=9, spacing=(1.0, 1.0), step=1.0))
    file = rtstruct(tmp_path / "rs.dcm", {"GTV": [(circle((14, 15), 8), k + 0.4) for k in range(2, 6)]}, geometry)
    with pytest.raises(StudyError, match=r"annotation_grid.*0\.40 slices off"):
        read_annotations(file, geometry)
    region = read_annotations(file, geometry, rules=RESAMPLE).annotations[0]
    assert region.volume_ml == pytest.approx(4 * np.pi * 64 / 1000, rel=0.03)
    turned = geometry_of(series(rows=40, columns=40, slices=40, spacing=(1.0, 1.0), step=1.0,
                                directions=oblique((30.0, 0.0, 0.0)), origin=(-36.0, -22.0, 78.0)))
    with pytest.raises(StudyError, match=r"annotation_grid.*turned"):
        read_annotations(file, turned)
    region = read_annotations(file, turned, rules=RESAMPLE).annotations[0]
    centre = turned.to_world((np.argwhere(region.box) + region.start).mean(axis=0))
    np.testing.assert_allclose(centre, geometry.to_world((14, 15, 3.9)), atol=0.3)
    assert region.volume_ml == pytest.approx(4 * np.pi * 64 / 1000, rel=0.03)


def test_what_a_structure_set_leaves_out_is_said(tmp_path):
    geometry = geometry_of(series(rows=20, columns=20, slices=4))
    good = [(circle((9, 9), 5), 1)]
    line = np.array([[3.0, 3.0], [4.0, 4.0]])
    far = [(circle((9, 9), 5), 40)]
    file = rtstruct(tmp_path / "rs.dcm", {"A": good, "B": [], "C": far, "D": [(line, 1)]}, geometry)
    read = read_annotations(file, geometry)
    assert [a.name for a in read.annotations] == ["A"]
    assert [(name, code) for name, code, _ in read.left_out] == [
        ("B", "annotation_empty"), ("C", "annotation_outside"), ("D", "annotation_contour"), ("D", "annotation_empty"),
    ]
    open_ = rtstruct(tmp_path / "open.dcm", {"A": good}, geometry, kind="OPEN_PLANAR")
    with pytest.raises(StudyError, match=r"annotation_empty.*OPEN_PLANAR|annotation_empty.*no closed contour"):
        read_annotations(open_, geometry)
    elsewhere = rtstruct(tmp_path / "for.dcm", {"A": good}, geometry, frame="1.2.3")
    with pytest.raises(StudyError, match=r"annotation_frame_of_reference.*1\.2\.3"):
        read_annotations(elsewhere, geometry)


# --- SEG


@pytest.mark.parametrize(("directions", "reverse"), [
    (AXIAL, False), (AXIAL, True), (SAGITTAL, False), (CORONAL, False), (oblique((17.0, -8.0, 31.0)), True),
])
def test_what_is_written_is_read_again(tmp_path, directions, reverse):
    source = series(rows=12, columns=15, slices=6, directions=directions, reverse=reverse)
    geometry = geometry_of(source)
    array = np.random.default_rng(4).choice(np.array([0, 0, 0, 1, 2, 8, 20], np.uint8), size=geometry.shape)
    labels = {"lung_left": 1, "lung_right": 2, "kidney_left": 8, "pituitary": 20}
    organs = LabelMap(array=array, geometry=geometry, labels=labels, coverage=dict.fromkeys(labels, Coverage.WHOLE))
    write_seg(tmp_path / "seg.dcm", source=source, organs=organs, versions=VERSIONS)
    back = organs_of(read_annotations(tmp_path / "seg.dcm", geometry).annotations, geometry)
    np.testing.assert_array_equal(back.array, array)
    assert set(back.labels) == set(labels)
    # The same voxels as a volume stored the other way round has them.
    turned = np.diag([-1.0, 1.0, -1.0, 1.0])
    turned[:3, 3] = (geometry.shape[0] - 1, 0, geometry.shape[2] - 1)
    flipped = Geometry(shape=geometry.shape, affine=geometry.affine @ turned, frame_of_reference_uid=FRAME)
    back = organs_of(read_annotations(tmp_path / "seg.dcm", flipped).annotations, flipped)
    np.testing.assert_array_equal(back.array, array[::-1, :, ::-1])


def test_another_grid_is_refused_or_resampled(tmp_path):
    source = series(rows=20, columns=20, slices=10, spacing=(1.0, 1.0), step=2.0)
    geometry = geometry_of(source)
    array = np.zeros(geometry.shape, np.uint8)
    array[4:16, 4:16, 2:8] = 5
    organs = LabelMap(array=array, geometry=geometry, labels={"liver": 5}, coverage={"liver": Coverage.WHOLE})
    file = tmp_path / "seg.dcm"
    write_seg(file, source=source, organs=organs, versions=VERSIONS)
    shifted = np.eye(4)
    shifted[:3, 3] = (0.3, 0.0, 0.0)
    near = Geometry(shape=geometry.shape, affine=geometry.affine @ shifted)
    with pytest.raises(StudyError, match=r"annotation_grid.*0\.30 voxels off"):
        read_annotations(file, near)
    coarse = geometry.with_spacing((2.0, 2.0, 2.0))
    with pytest.raises(StudyError, match=r"annotation_grid.*another voxel size"):
        read_annotations(file, coarse)
    finer = geometry.with_spacing((1.0, 1.0, 1.0))  # its slices lie off, and twice as many
    with pytest.raises(StudyError, match="annotation_grid"):
        read_annotations(file, finer)
    between = geometry.affine.copy()
    between[:3, 2] /= 2
    holed = Geometry(shape=(20, 20, 19), affine=between)  # every frame on a slice, every other slice without one
    with pytest.raises(StudyError, match="annotation_grid"):
        read_annotations(file, holed)
    for other in (coarse, finer, holed):
        region = read_annotations(file, other, rules=RESAMPLE).annotations[0]
        assert region.volume_ml == pytest.approx(12 * 12 * 12 / 1000, rel=0.1)
    with pytest.raises(StudyError, match="annotation_frame_of_reference"):
        read_annotations(file, Geometry(shape=geometry.shape, affine=geometry.affine, frame_of_reference_uid="1.2.3"))
    away = geometry.affine.copy()
    away[:3, 3] += 1000.0 * geometry.affine[:3, 0] / np.linalg.norm(geometry.affine[:3, 0])
    with pytest.raises(StudyError, match=r"annotation_empty.*outside the image"):
        read_annotations(file, Geometry(shape=geometry.shape, affine=away))


@pytest.mark.parametrize(("cut", "code"), [(0, "annotation_unreadable"), (100, "annotation_unreadable")])
def test_broken_files_are_refused_by_name(tmp_path, cut, code):
    (tmp_path / "broken.dcm").write_bytes(b"\0" * cut)
    with pytest.raises(StudyError, match=f"{code}.*broken.dcm"):
        read_annotations(tmp_path / "broken.dcm", Geometry.axis_aligned((4, 4, 4), (1, 1, 1)))


def test_damaged_segmentations_are_refused_with_a_code(tmp_path):
    source = series(rows=16, columns=16, slices=4)
    geometry = geometry_of(source)
    organs = LabelMap(array=np.full(geometry.shape, 5, np.uint8), geometry=geometry, labels={"liver": 5},
                      coverage={"liver": Coverage.WHOLE})
    write_seg(tmp_path / "seg.dcm", source=source, organs=organs, versions=VERSIONS)

    def damaged(change) -> Path:
        d = pydicom.dcmread(tmp_path / "seg.dcm")
        change(d)
        d.save_as(tmp_path / "damaged.dcm")
        return tmp_path / "damaged.dcm"

    def no_position(d):
        del d.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence

    def short(d):
        d.PixelData = d.PixelData[:40]

    def no_segments(d):
        del d.SegmentSequence

    def nan(d):
        d.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = ["0", "1"]

    with pytest.raises(StudyError, match=r"annotation_geometry.*ImagePositionPatient"):
        read_annotations(damaged(no_position), geometry)
    with pytest.raises(StudyError, match=r"annotation_geometry.*spacing"):
        read_annotations(damaged(nan), geometry)
    with pytest.raises(StudyError, match="annotation_unreadable"):
        read_annotations(damaged(short), geometry)
    with pytest.raises(StudyError, match="annotation_unreadable"):
        read_annotations(damaged(no_segments), geometry)
    source[0].save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    with pytest.raises(StudyError, match=r"annotation_unreadable.*is CT"):
        read_annotations(tmp_path / "ct.dcm", geometry)


# --- NIfTI


def test_nifti_labels_by_names_and_in_another_axis_order(tmp_path):
    geometry = Geometry.axis_aligned((10, 12, 8), (2.0, 2.0, 3.0), (5.0, -4.0, 9.0))
    array = np.random.default_rng(2).choice(np.array([0, 0, 3, 5], np.uint8), size=geometry.shape)
    image = nib.as_closest_canonical(nib.Nifti1Image(array, geometry.affine))
    lps = image.as_reoriented(nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("SLP")
    ))
    nib.save(lps, tmp_path / "labels.nii.gz")
    with pytest.raises(StudyError, match=r"annotation_names.*2 labels"):
        read_annotations(tmp_path / "labels.nii.gz", geometry)
    (tmp_path / "labels.json").write_text(json.dumps({"names": {"colon": 3, "Liver": 5, "spleen": 9}}))
    read = read_annotations(tmp_path / "labels.nii.gz", geometry)
    np.testing.assert_array_equal(read.masks()["colon"], array == 3)
    np.testing.assert_array_equal(organs_of(read.annotations, geometry).mask("liver"), array == 5)
    assert read.left_out == (("spleen", "annotation_empty", "label 9 (spleen) has no voxel"),)
    (tmp_path / "labels.json").write_text(json.dumps({"5": "liver"}))
    assert read_annotations(tmp_path / "labels.nii.gz", geometry).left_out[0][:2] == ("3", "annotation_names")

    mask = (array == 3).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, geometry.affine), tmp_path / "colon.nii.gz")
    single = read_annotations(tmp_path / "colon.nii.gz", geometry).annotations[0]
    assert (single.name, single.organ) == ("colon", "colon")
    other = geometry.with_spacing((1.0, 1.0, 1.5))
    with pytest.raises(StudyError, match="annotation_grid"):
        read_annotations(tmp_path / "colon.nii.gz", other)
    fine = read_annotations(tmp_path / "colon.nii.gz", other, rules=RESAMPLE).annotations[0]
    assert fine.volume_ml == pytest.approx(single.volume_ml, rel=1e-6)


def test_nifti_that_is_not_a_label_map(tmp_path):
    geometry = Geometry.axis_aligned((4, 4, 4), (1, 1, 1))
    for name, value, code in (("a", 0.5, "annotation_names"), ("b", 0.0, "annotation_empty")):
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), value, np.float32), geometry.affine), tmp_path / f"{name}.nii.gz")
        with pytest.raises(StudyError, match=code):
            read_annotations(tmp_path / f"{name}.nii.gz", geometry)


# --- organs


@pytest.mark.parametrize(("name", "code", "sides", "organ"), [
    ("Segment_1", ("10200004", "SCT", "Liver"), [], "liver"),
    ("whatever", ("39607008", "SCT", "Lung"), [("7771000", "SCT", "Left")], "lung_left"),
    ("whatever", ("39607008", "SCT", "Lung"), [("24028007", "SCT", "Right")], "lung_right"),
    ("whatever", ("39607008", "SCT", "Lung"), [], None),
    ("left lung", ("39607008", "SCT", "Lung"), [], "lung_left"),
    ("liver", ("39607008", "SCT", "Lung"), [], None),
    ("x", ("45653009", "SCT", "Upper lobe of lung"), [("24028007", "SCT", "Right")], "lung_right"),
    ("liver", ("4147007", "SCT", "Mass"), [], None),
    ("Liver", ("85756007", "SCT", "Tissue"), [], "liver"),
    ("Spleen", None, [], "spleen"),
    ("Glnd_Thyroid", None, [], "thyroid_gland"),
    ("GTV liver", None, [], None),
    ("vertebrae_T12", None, [], "vertebrae"),
])
def test_organ_of_a_segment(name, code, sides, organ):
    assert organ_named(name, code=code, modifiers=sides) == organ


# --- other people's objects


def unzipped(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as z:
        z.extractall(folder)
    return folder


def image_geometry(files) -> Geometry:
    headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in files]
    planes = sorted((planes_of(h)[0] for h in headers), key=lambda p: p.depth_mm)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = planes[0].column_step_mm, planes[0].row_step_mm
    affine[:3, 2] = (planes[-1].corner_mm - planes[0].corner_mm) / (len(planes) - 1)
    affine[:3, 3] = planes[0].corner_mm
    return Geometry(
        shape=(planes[0].columns, planes[0].rows, len(planes)), affine=affine,
        frame_of_reference_uid=headers[0].get("FrameOfReferenceUID"),
    )


def nrrd_on(path: Path, geometry: Geometry) -> np.ndarray:
    """A label volume of dcmqi's own converter, read by SimpleITK, put on the image's grid by its own header."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    out = np.zeros(geometry.shape, values.dtype)
    where = np.argwhere(values > 0)
    lps = np.array([image.TransformIndexToPhysicalPoint([int(v) for v in w]) for w in where])
    index = np.rint(geometry.to_index(lps * (-1, -1, 1))).astype(int)
    out[tuple(index.T)] = values[tuple(where.T)]
    return out


@pytest.mark.real_data
@pytest.mark.parametrize("image", ["PET", "CT"])
def test_ibsi_contours_give_the_masks_of_ibsi(tmp_path, shared_data, image):
    folder = unzipped(shared_data / "ibsi_sts002" / "PT_dicom_and_RTSTRUCT.zip", tmp_path)
    expected, geometry = read_array(shared_data / "ibsi_sts002" / f"{image}_mask.nii.gz")
    read = read_annotations(next(folder.rglob("RS.dcm")), geometry)
    assert [a.name for a in read.annotations] == ["GTV_Mass_PET"]
    assert dice(read.annotations[0].mask(), expected > 0) == 1.0


@pytest.mark.real_data
def test_dcmqi_segments_lie_where_dcmqi_puts_them(tmp_path, shared_data):
    pytest.importorskip("SimpleITK")
    folder = unzipped(shared_data / "dicom_objects" / "dcmqi.zip", tmp_path) / "dcmqi" / "segmentations"
    geometry = image_geometry((folder / "ct-3slice").glob("*.dcm"))
    liver = read_annotations(folder / "liver.dcm", geometry).annotations[0]
    assert (liver.organ, liver.code[1]) == ("liver", "SRT")
    np.testing.assert_array_equal(liver.mask(), nrrd_on(folder / "liver_seg.nrrd", geometry) > 0)
    overlapping = read_annotations(folder / "partial_overlaps.dcm", geometry).masks()
    assert len(overlapping) == 5
    written = [nrrd_on(folder / f"partial_overlaps-{n}.nrrd", geometry) for n in (1, 2, 3)]
    for number, mask in enumerate(overlapping.values(), start=1):
        assert any(np.array_equal(mask, volume == number) for volume in written), number
    for case in ("23x38x3", "24x38x3"):
        geometry = image_geometry((folder / case / "image").glob("*.dcm"))
        mask = read_annotations(folder / case / "seg" / "label.seg", geometry).annotations[0].mask()
        np.testing.assert_array_equal(mask, nrrd_on(folder / case / "nrrd" / "label.nrrd", geometry) > 0)
    sparse = read_annotations(folder / "sparse-labelmap-ppv5.dcm", geometry)
    assert [(a.name, a.organ) for a in sparse.annotations] == [("Liver", "liver")]
    expected = nrrd_on(folder / "sparse_labelmap_ppv5_seg.nrrd", geometry)  # 5 is its padding, in the missing slice
    np.testing.assert_array_equal(sparse.annotations[0].mask(), expected == 1)


@pytest.mark.real_data
def test_every_encoding_of_one_segment_gives_one_mask(tmp_path, shared_data):
    unzipped(shared_data / "dicom_objects" / "pydicom-data.zip", tmp_path)
    unzipped(shared_data / "dicom_objects" / "dcmqi.zip", tmp_path)
    geometry = image_geometry((tmp_path / "dcmqi" / "segmentations" / "ct-3slice").glob("*.dcm"))
    folder = tmp_path / "pydicom-data"
    plain = read_annotations(folder / "liver.dcm", geometry).annotations[0].mask()
    assert plain.sum() == 107098
    for name in ("liver_expb", "liver_j2k", "liver_deflate", "liver_nonbyte_aligned"):
        mask = read_annotations(folder / f"{name}.dcm", geometry).annotations[0].mask()
        np.testing.assert_array_equal(mask, plain, name)
    with pytest.raises(StudyError, match=r"annotation_unreadable.*RLE"):
        read_annotations(folder / "liver_rle.dcm", geometry)


@pytest.mark.real_data
def test_highdicom_fractions_and_overlaps(tmp_path, shared_data):
    folder = unzipped(shared_data / "dicom_objects" / "highdicom.zip", tmp_path) / "highdicom"
    for name in ("seg_image_ct_binary", "seg_image_ct_true_fractional", "seg_image_ct_binary_overlap"):
        d = pydicom.dcmread(folder / f"{name}.dcm")
        planes = sorted(planes_of(d), key=lambda p: p.depth_mm)
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = planes[0].column_step_mm, planes[0].row_step_mm
        affine[:3, 2], affine[:3, 3] = planes[0].normal * 1.25, planes[0].corner_mm
        slices = round((planes[-1].depth_mm - planes[0].depth_mm) / 1.25) + 1  # one frame lies 200 mm off the others
        geometry = Geometry(shape=(d.Columns, d.Rows, slices), affine=affine,
                            frame_of_reference_uid=d.FrameOfReferenceUID)
        found = read_annotations(folder / f"{name}.dcm", geometry).annotations
        values, numbers = d.pixel_array, [
            g.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            if "SegmentIdentificationSequence" in g else 1 for g in d.PerFrameFunctionalGroupsSequence
        ]
        least = 1 if d.SegmentationType == "BINARY" else d.MaximumFractionalValue * 0.5
        for segment, annotation in enumerate(found, start=1):
            mine = sum(int((f >= least).sum()) for f, n in zip(values, numbers, strict=True) if n == segment)
            assert int(annotation.box.sum()) == mine > 0
    assert [a.name for a in found] == ["first segment", "second segment"]
    assert found[1].organ == "vertebrae"


@pytest.mark.real_data
def test_acrin_segments_on_pet_and_resampled_onto_ct(tmp_path, shared_data):
    folder = shared_data / "acrin042_petct"
    unzipped(folder / "SEG_RWV_objects.zip", tmp_path / "objects")

    def headers(name: str) -> list:
        with zipfile.ZipFile(folder / name) as z:
            names = [n for n in z.namelist() if n.endswith(".dcm")]
            return [io.BytesIO(z.read(n)) for n in names]

    pet = image_geometry(headers("PT_AC.zip"))
    ct = Geometry(shape=(512, 512, pet.shape[2]), affine=pet.with_spacing((
        pet.spacing_mm[0] / 4, pet.spacing_mm[1] / 4, pet.spacing_mm[2])).affine,
        frame_of_reference_uid=pet.frame_of_reference_uid)
    file = next((tmp_path / "objects").rglob("SEG_PT_Segmentation_504365/*.dcm"))
    on_pet = read_annotations(file, pet).annotations
    assert [int(a.box.sum()) for a in on_pet] == [2548, 23730]
    assert all(a.organ is None for a in on_pet), "OHIF calls them tissue: that is no organ"
    with pytest.raises(StudyError, match="annotation_grid"):
        read_annotations(file, ct)
    for a, b in zip(on_pet, read_annotations(file, ct, rules=RESAMPLE).annotations, strict=True):
        assert b.volume_ml == pytest.approx(a.volume_ml, rel=1e-6), "voxels of the finer grid nest in the PET's"
        there = pet.to_world((np.argwhere(a.box) + a.start).mean(axis=0))
        here = ct.to_world((np.argwhere(b.box) + b.start).mean(axis=0))
        np.testing.assert_allclose(here, there, atol=1e-3)
