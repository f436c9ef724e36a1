"""Organs and foci as one DICOM Segmentation on the source series' own frames.

highdicom builds the header; the frames are put in here, plane by plane, because organs and foci overlap and a stack of
one mask per segment would need many times the memory of the study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from irae.core.anatomy import BY_NAME
from irae.core.focus import AttributedFocus, Focus, Nature
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import LabelMap
from irae.io import codes
from irae.io.atomic import written_aside
from irae.io.planes import Plane, even_spacing_mm, planes_of, read_headers, sample_plane
from irae.io.uids import uid_of

MANUFACTURER = "irae (research use only)"
SERIES_NUMBER = 9001
# Frames are parallel when their directions agree this well (cosine of about 0.06 degrees).
PARALLEL = 1.0 - 5e-7

COLOUR: dict[Nature, tuple[float, float, float]] = {  # CIELab
    Nature.METASTASIS: (53.2, 80.1, 67.2),  # red
    Nature.INFLAMMATION: (74.9, 23.9, 78.9),  # orange
    Nature.INDETERMINATE: (97.1, -21.6, 94.5),  # yellow
    Nature.PHYSIOLOGIC: (87.7, -86.2, 83.2),  # green
}


class PatientModule(Enum):
    """What results say about the person.

    KEY: the patient key as Patient ID, an empty name and birth date; the accession number and study ID stay only where
        the key is the source's own Patient ID (behind a pseudonym they would lead back to the person).
    SOURCE: patient and study as in the source images, for an archive that files by name.
    """

    KEY = "key"
    SOURCE = "source"


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class WrittenSeg:
    """A Segmentation that was written, for those who refer to it.

    Attributes:
        header: Patient, study, series and instance of the object; no frames.
        source_series_uid: The series whose frames it lies on.
        organs: Organ name to segment number.
        foci: Focus id to segment number.
    """

    header: Dataset
    source_series_uid: str
    organs: Mapping[str, int] = field(default_factory=dict)
    foci: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class _Layer:
    """Labels that exclude each other, and which of them become segments."""

    labels: NDArray[np.uint8] | NDArray[np.uint16]
    geometry: Geometry
    segment_of: Mapping[int, int]  # label value to index in the list of wanted segments


def write_seg(
    path: Path,
    *,
    source: Sequence[Path | str | bytes | Dataset],
    organs: LabelMap | None = None,
    foci: Sequence[AttributedFocus] = (),
    foci_labels: NDArray[np.uint16] | None = None,
    foci_geometry: Geometry | None = None,
    versions: Versions,
    patient: str | None = None,
    patient_module: PatientModule = PatientModule.KEY,
    created: datetime | None = None,
) -> WrittenSeg | None:
    """Writes a BINARY Segmentation with one segment per organ and per focus; the same input gives the same UIDs.

    Labels lie on any grid of the source's frame of reference. Each source frame takes the nearest voxel at its pixel
    centres: exact on the source's own grid (any axis order or sign), resampled from another (foci on PET onto CT).

    Args:
        path: The file; appears whole or not at all.
        source: All images of the one series to lie on: files, their bytes, or datasets. Pixels are not read.
        organs: Organs; those not seen are left out.
        foci: Natures and tracks of the foci. Foci without voxels (gone) are left out.
        foci_labels: (i, j, k) uint16, values are focus ids; with ``foci_geometry``.
        foci_geometry: The grid of foci_labels.
        versions: What produced the labels, for the algorithm identification.
        patient: The patient's key; None for the source's Patient ID.
        patient_module: How much of the source's patient and study is repeated.
        created: Time written into the object; now by default.

    Returns:
        What was written; None (and no file) where there is not one voxel to write.

    Raises:
        ValueError: If the source is empty, of several series, without a frame of reference, position or orientation,
            with frames that are not parallel, or if labels are of another frame of reference.
    """
    headers = read_headers(source)
    if not headers:
        raise ValueError("a segmentation needs at least one source image")
    if (foci_labels is None) != (foci_geometry is None):
        raise ValueError("foci_labels and foci_geometry go together")
    layers: list[_Layer] = []
    wanted: list[str | AttributedFocus] = []
    if organs is not None:
        seen = [name for name in organs.labels if organs.seen(name)]
        layers.append(_Layer(organs.array, organs.geometry, {organs.labels[n]: i for i, n in enumerate(seen)}))
        wanted += seen
    if foci_labels is not None and foci_geometry is not None:
        if foci_labels.shape != foci_geometry.shape:
            raise ValueError(f"foci labels {foci_labels.shape} do not fit geometry {foci_geometry.shape}")
        layers.append(_Layer(foci_labels, foci_geometry, {f.focus.id: len(wanted) + i for i, f in enumerate(foci)}))
        wanted += list(foci)

    frames, planes = _frames_of(headers)
    for layer in layers:
        _same_frame_of_reference(layer.geometry, headers[0])
    packed = _cut(layers, planes, len(wanted))
    kept = [index for index, cuts in enumerate(packed) if cuts]
    if not kept:
        return None

    number_of = {index: number for number, index in enumerate(kept, start=1)}
    subjects = [identified(header, patient=patient, patient_module=patient_module) for header in headers]
    key = str(subjects[0].PatientID)
    series = str(headers[0].SeriesInstanceUID)
    digest = hashlib.sha256()
    for index in kept:
        digest.update(repr(wanted[index] if isinstance(wanted[index], str) else _words(wanted[index])).encode())
        for plane_index, bits in packed[index]:
            digest.update(plane_index.to_bytes(4, "little") + bits)
    content = ("seg", series, key, versions.irae, versions.settings, digest.hexdigest())
    descriptions = [_description(number_of[i], wanted[i], key, series, versions) for i in kept]
    now = created or datetime.now()
    measures = _measures(planes, headers[0])
    seg = hd.seg.Segmentation(
        source_images=subjects,
        pixel_array=np.ones((1, planes[0].rows, planes[0].columns), dtype=np.uint8),  # replaced below
        plane_positions=[_position(planes[0])],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", _orientation(planes[0])),
        pixel_measures=measures,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=uid_of("series", *content),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("instance", *content),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="irae",
        software_versions=versions.irae,
        device_serial_number=versions.settings[-16:] or "none",
        content_label="IRAE",
        content_description="Organs and foci by irae, research use only",
        series_description="irae organs and foci (research use only)",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
        content_date=now.date(), content_time=now.time(), series_date=now.date(), series_time=now.time(),
    )
    seg.InstanceCreationDate, seg.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    for equipment in seg.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    _put_frames(seg, [(number_of[i], p, bits) for i in kept for p, bits in packed[i]], frames, planes, measures)
    seg.SegmentsOverlap = "NO" if len(layers) == 1 else "UNDEFINED"
    organization = uid_of("dimensions", *content)
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for dimension in seg.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = organization
    with written_aside(path) as aside:
        seg.save_as(aside, enforce_file_format=True)
    return WrittenSeg(
        header=_without_frames(seg),
        source_series_uid=series,
        organs={w: number_of[i] for i in kept if isinstance(w := wanted[i], str)},
        foci={w.focus.id: number_of[i] for i in kept if isinstance(w := wanted[i], AttributedFocus)},
    )


def organ_tracking(patient: str, organ: str) -> tuple[str, str]:
    """Tracking identifier and Tracking UID of an organ: the same at every exam of the patient."""
    return organ, uid_of("track", patient, organ)


def focus_tracking(patient: str, focus: Focus, series_uid: str) -> tuple[str, str]:
    """Tracking identifier and Tracking UID of a focus: its track's at every exam; its own where it has no track."""
    if focus.track:
        return focus.track, uid_of("track", patient, focus.track)
    return f"focus {focus.id}", uid_of("focus", series_uid, str(focus.id))


# Attributes of an image that its results need. Nothing else is carried over, so nothing else can leak.
_CARRIED = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate",
    "StudyTime", "Modality", "PatientSex", "FrameOfReferenceUID", "PositionReferenceIndicator", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "ImageType",
    "InstanceNumber", "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)
_EMPTY_IF_ABSENT = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)


def identified(header: Dataset, *, patient: str | None, patient_module: PatientModule) -> Dataset:
    """A source header as results may repeat it (see ``PatientModule``)."""
    if patient_module is PatientModule.SOURCE:
        subject = Dataset()
        subject.update(header)
    else:
        subject = Dataset()
        for word in _CARRIED:
            if word in header:
                subject[word] = header[word]
        own_id = str(header.get("PatientID", ""))
        if patient is None or patient == own_id:
            for word in ("IssuerOfPatientID", "AccessionNumber", "StudyID"):
                if word in header:
                    subject[word] = header[word]
        subject.PatientID = own_id if patient is None else patient
    for word in _EMPTY_IF_ABSENT:
        if word not in subject:
            setattr(subject, word, "")
    subject.file_meta = header.file_meta if hasattr(header, "file_meta") else hd.base.FileMetaDataset()
    return subject


def _frames_of(headers: Sequence[Dataset]) -> tuple[list[tuple[Dataset, int | None]], list[Plane]]:
    """All frames of the series in order along their normal, as (header, frame number or None), and their planes."""
    series = {str(h.SeriesInstanceUID) for h in headers}
    if len(series) > 1:
        raise ValueError(f"source images must be of one series, got {len(series)}")
    if not headers[0].get("FrameOfReferenceUID"):
        raise ValueError(f"series {headers[0].SeriesInstanceUID} has no frame of reference")
    found = []
    for header in headers:
        many = "PerFrameFunctionalGroupsSequence" in header
        for number, at in enumerate(planes_of(header), start=1):
            found.append(((header, number if many else None), at))
    first = found[0][1]
    for (header, _), at in found:
        directions = [
            a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            for a, b in ((at.column_step_mm, first.column_step_mm), (at.row_step_mm, first.row_step_mm))
        ]
        if min(directions) < PARALLEL or (at.rows, at.columns) != (first.rows, first.columns):
            raise ValueError(f"image {header.SOPInstanceUID} is not parallel to, or not the size of, the others")
    found.sort(key=lambda item: item[1].depth_mm)
    # Two frames at one place (a late re-send, a second phase): the first stands for both.
    unique = [
        item for n, item in enumerate(found)
        if n == 0 or np.linalg.norm(item[1].corner_mm - found[n - 1][1].corner_mm) > 1e-3
    ]
    return [frame for frame, _ in unique], [at for _, at in unique]


def _same_frame_of_reference(geometry: Geometry, header: Dataset) -> None:
    ours, theirs = geometry.frame_of_reference_uid, str(header.FrameOfReferenceUID)
    if ours is not None and ours != theirs:
        raise ValueError(f"labels are in frame of reference {ours}, the source series in {theirs}")


def _cut(layers: Sequence[_Layer], planes: Sequence[Plane], count: int) -> list[list[tuple[int, bytes]]]:
    """Per wanted segment its non-empty planes, as (index of the plane, bits of the frame)."""
    packed: list[list[tuple[int, bytes]]] = [[] for _ in range(count)]
    for plane_index, at in enumerate(planes):
        for layer in layers:
            sampled = sample_plane(layer.labels, layer.geometry, at)
            for value in np.flatnonzero(np.bincount(sampled.ravel())):  # many times faster than unique
                segment = layer.segment_of.get(int(value))
                if segment is not None and value != 0:
                    bits = np.packbits((sampled == value).ravel(), bitorder="little").tobytes()
                    packed[segment].append((plane_index, bits))
    return packed


def _put_frames(
    seg: Dataset, cuts: Sequence[tuple[int, int, bytes]], frames: Sequence[tuple[Dataset, int | None]],
    planes: Sequence[Plane], measures: hd.PixelMeasuresSequence,
) -> None:
    """Replaces the frames of a Segmentation: (segment number, plane index, bits), by segment, then by place.

    highdicom took the slice spacing from the one frame it was given; here it is that of the series.
    """
    place = {index: n for n, index in enumerate(sorted({index for _, index, _ in cuts}), start=1)}
    groups = []
    for number, index, _ in cuts:
        header, frame_number = frames[index]
        image = Dataset()
        image.ReferencedSOPClassUID = header.SOPClassUID
        image.ReferencedSOPInstanceUID = header.SOPInstanceUID
        if frame_number is not None:
            image.ReferencedFrameNumber = frame_number
        image.SpatialLocationsPreserved = "YES"
        image.PurposeOfReferenceCodeSequence = [
            hd.sr.CodedConcept("121322", "DCM", "Source image for image processing operation")
        ]
        derivation = Dataset()
        derivation.SourceImageSequence = [image]
        derivation.DerivationCodeSequence = [hd.sr.CodedConcept("113076", "DCM", "Segmentation")]
        content, identification, group = Dataset(), Dataset(), Dataset()
        content.DimensionIndexValues = [number, place[index]]
        identification.ReferencedSegmentNumber = number
        group.DerivationImageSequence = [derivation]
        group.FrameContentSequence = [content]
        group.PlanePositionSequence = _position(planes[index])
        group.SegmentIdentificationSequence = [identification]
        groups.append(group)
    seg.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = measures
    if "SegmentIdentificationSequence" in shared:
        del shared.SegmentIdentificationSequence
    if "DimensionOrganizationType" in seg:
        del seg.DimensionOrganizationType
    seg.NumberOfFrames = len(cuts)
    pixels = seg.Rows * seg.Columns
    if pixels % 8 == 0:
        bits = b"".join(bits for _, _, bits in cuts)
    else:  # frames follow each other bit by bit, without padding (PS3.5 8.1.1)
        each = (np.frombuffer(bits, dtype=np.uint8) for _, _, bits in cuts)
        stream = np.concatenate([np.unpackbits(b, bitorder="little", count=pixels) for b in each])
        bits = np.packbits(stream, bitorder="little").tobytes()
    seg.PixelData = bits + b"\0" * (len(bits) % 2)
    seg["PixelData"].VR = "OB"


def _position(at: Plane) -> hd.PlanePositionSequence:
    return hd.PlanePositionSequence("PATIENT", image_position=[float(v) for v in at.corner_mm * (-1.0, -1.0, 1.0)])


def _orientation(at: Plane) -> list[float]:
    steps = np.stack([at.column_step_mm, at.row_step_mm])
    unit = steps / np.linalg.norm(steps, axis=1, keepdims=True) * (-1.0, -1.0, 1.0)
    return [float(v) for v in unit.ravel()]


def _measures(planes: Sequence[Plane], header: Dataset) -> hd.PixelMeasuresSequence:
    spacing = even_spacing_mm(planes)
    thickness = header.get("SliceThickness") or spacing or 1.0
    first = planes[0]
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(np.linalg.norm(first.row_step_mm)), float(np.linalg.norm(first.column_step_mm))],
        slice_thickness=float(thickness), spacing_between_slices=spacing,
    )


def _words(item: str | AttributedFocus) -> tuple[str, ...]:
    if isinstance(item, str):
        return (item,)
    return (str(item.focus.id), item.focus.track, item.nature.value, item.focus.organ or "")


def _description(
    number: int, item: str | AttributedFocus, patient: str, series: str, versions: Versions
) -> hd.seg.SegmentDescription:
    algorithm = hd.AlgorithmIdentificationSequence(
        name="irae", version=versions.irae, family=codes.ARTIFICIAL_INTELLIGENCE, source="irae",
        parameters={"settings": versions.settings, **dict(versions.models)},
    )
    if isinstance(item, str):
        organ = BY_NAME[item]
        identifier, uid = organ_tracking(patient, item)
        description = hd.seg.SegmentDescription(
            segment_number=number, segment_label=organ.display, algorithm_type="AUTOMATIC",
            segmented_property_category=codes.ANATOMICAL_STRUCTURE, segmented_property_type=codes.organ_code(organ),
            algorithm_identification=algorithm, tracking_id=identifier, tracking_uid=uid,
        )
        if organ.laterality is not None:
            kind = description.SegmentedPropertyTypeCodeSequence[0]
            side = codes.LATERALITY[organ.laterality]
            kind.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept(*side[:3])]
        return description
    focus, site = item.focus, codes.site_code(item.focus.organ)
    identifier, uid = focus_tracking(patient, focus, series)
    return hd.seg.SegmentDescription(
        segment_number=number, segment_label=f"{identifier} {item.nature.value}", algorithm_type="AUTOMATIC",
        segmented_property_category=codes.ABNORMAL_STRUCTURE, segmented_property_type=codes.NATURE_TYPE[item.nature],
        algorithm_identification=algorithm, tracking_id=identifier, tracking_uid=uid,
        anatomic_regions=[site] if site is not None else None,
        display_color=hd.color.CIELabColor(*COLOUR[item.nature]),
    )


def _without_frames(seg: Dataset) -> Dataset:
    header = Dataset()
    for element in seg:
        if element.keyword not in ("PixelData", "PerFrameFunctionalGroupsSequence"):
            header.add(element)
    return header
