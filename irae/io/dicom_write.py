"""Writes a Volume as a classic single-frame DICOM series: CT, PET or MR, with the geometry turned from RAS+ to LPS.

Nothing here reads a clock or draws a random number: UIDs are derived from the series' key by hash, dates are given, so
that the same call writes the same bytes. Used for synthetic archives; a name that could be a person's is never written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.io.uids import uid_of

# RAS+ to LPS: the first two world axes point the other way in DICOM.
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])
F18_HALF_LIFE_S = 6586.2  # 109.77 min
F18_POSITRON_FRACTION = 0.967
IMPLEMENTATION_VERSION = "IRAE"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What a series says besides its pixels.

    Attributes:
        patient_id: PatientID; also written as PatientName in the form ``ID^^``, so that no name-like text is there.
        sex: M, F or O.
        birth_year: Written as the first of January; None leaves the birth date empty.
        weight_kg, height_cm: Build on that day; None leaves the attribute out.
        study_key, series_key: UIDs follow from them.
        acquired_at: Acquisition start; the study's date is its date.
        description: SeriesDescription.
        study_description: StudyDescription.
        series_number: SeriesNumber.
        manufacturer, model: Of the scanner.
        contrast_agent: ContrastBolusAgent; empty leaves the attribute out.
        extra: Further attributes by DICOM keyword, written last.
        frame_of_reference_key: The frame's UID follows from it; by default the study's.
    """

    patient_id: str
    sex: str
    study_key: str
    series_key: str
    acquired_at: datetime
    birth_year: int | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    description: str = ""
    study_description: str = ""
    series_number: int = 1
    manufacturer: str = "irae synthetic"
    model: str = "phantom"
    contrast_agent: str = ""
    frame_of_reference_key: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.patient_id):
            raise ValueError(f"PatientID must be 1 to 64 of A-Z a-z 0-9 . _ -, got {self.patient_id!r}")
        if self.sex not in {"M", "F", "O"}:
            raise ValueError(f"PatientSex must be M, F or O, got {self.sex!r}")

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return uid_of("study", self.study_key)

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return uid_of("series", self.study_key, self.series_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """The radiopharmaceutical of a PET.

    Attributes:
        dose_mbq: Activity at the time of injection.
        injected_at: When.
        half_life_s: Of the nuclide.
        nuclide: ``F18``.
        name: Of the agent.
    """

    dose_mbq: float
    injected_at: datetime
    half_life_s: float = F18_HALF_LIFE_S
    name: str = "Fluorodeoxyglucose"

    def __post_init__(self) -> None:
        if self.dose_mbq <= 0 or self.half_life_s <= 0:
            raise ValueError(f"dose and half-life must be positive, got {self.dose_mbq} MBq and {self.half_life_s} s")

    def decayed_bq(self, at: datetime) -> float:
        """Activity left at a time, Bq."""
        seconds = (at - self.injected_at).total_seconds()
        if seconds < 0:
            raise ValueError(f"the scan starts {-seconds:.0f} s before the injection")
        return float(self.dose_mbq * 1e6 * 0.5 ** (seconds / self.half_life_s))


def suv_factor(injection: Injection, *, scan_start: datetime, weight_kg: float) -> float:
    """SUVbw per Bq/mL for images that are decay-corrected to the scan's start (DecayCorrection START).

    Source: QIBA "SUV vendor-neutral pseudo-code": SUVbw = C [Bq/mL] * weight [g] / decayed dose [Bq].
    """
    return weight_kg * 1000.0 / injection.decayed_bq(scan_start)


def _ds(value: float) -> str:
    """A decimal string of at most 16 characters."""
    text = f"{value:.10g}"
    return text if len(text) <= 16 else f"{value:.9e}"


def plane(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row cosines, column cosines and first pixel position of every slice (n, 3), all LPS, for slices along k.

    Axes of the volume that point to LPS-negative directions are kept as they are: the cosines say so.

    Raises:
        ValueError: If the voxel axes are not at right angles (classic DICOM cannot say that), or a slice has one row.
    """
    if min(geometry.shape[:2]) < 2:
        raise ValueError(f"a DICOM slice needs at least 2 x 2 pixels, got {geometry.shape[:2]}")
    directions = LPS_FROM_RAS @ geometry.affine[:3, :3]
    spacing = np.linalg.norm(directions, axis=0)
    unit = directions / spacing
    if not np.allclose(unit.T @ unit, np.eye(3), atol=1e-4):
        raise ValueError("classic DICOM needs voxel axes at right angles; resample first")
    index = np.zeros((geometry.shape[2], 3))
    index[:, 2] = np.arange(geometry.shape[2])
    positions = geometry.to_world(index) @ LPS_FROM_RAS
    return unit[:, 0], unit[:, 1], positions


def _flipped(volume: Volume) -> tuple[NDArray[np.float32], Geometry]:
    """The volume with in-plane axes turned so that rows and columns run the way scanners write them."""
    array, geometry = volume.array, volume.geometry
    for axis in (0, 1):
        direction = LPS_FROM_RAS @ geometry.affine[:3, axis]
        if (direction[int(np.argmax(np.abs(direction)))] < 0 and int(np.argmax(np.abs(direction))) != 2) or (
            int(np.argmax(np.abs(direction))) == 2 and direction[2] > 0
        ):
            array = np.flip(array, axis)
        else:
            continue
        affine = geometry.affine.copy()
        last = np.zeros(3)
        last[axis] = geometry.shape[axis] - 1
        affine[:3, 3] = geometry.to_world(last)
        affine[:3, axis] *= -1
        geometry = Geometry(shape=geometry.shape, affine=affine, frame_of_reference_uid=geometry.frame_of_reference_uid)
    return array, geometry


def _common(header: SeriesHeader, modality: str, sop_class: str, geometry: Geometry) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if modality == "CT" else ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = ""
    at = header.acquired_at
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{kind}Date", at.strftime("%Y%m%d"))
        setattr(ds, f"{kind}Time", at.strftime("%H%M%S"))
    ds.AccessionNumber = ""
    ds.Modality = modality
    ds.Manufacturer = header.manufacturer
    ds.ManufacturerModelName = header.model
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = header.study_description
    ds.SeriesDescription = header.description
    ds.PatientName = f"{header.patient_id}^^"
    ds.PatientID = header.patient_id
    ds.PatientBirthDate = f"{header.birth_year:04d}0101" if header.birth_year else ""
    ds.PatientSex = header.sex
    if header.birth_year:
        ds.PatientAge = f"{max(0, at.year - header.birth_year):03d}Y"
    if header.height_cm is not None:
        ds.PatientSize = _ds(header.height_cm / 100)
    if header.weight_kg is not None:
        ds.PatientWeight = _ds(header.weight_kg)
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "synthetic data, no person"
    if header.contrast_agent:
        ds.ContrastBolusAgent = header.contrast_agent
    ds.StudyInstanceUID = header.study_uid
    ds.SeriesInstanceUID = header.series_uid
    ds.StudyID = ""
    ds.SeriesNumber = header.series_number
    ds.InstanceNumber = 0
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = geometry.frame_of_reference_uid or uid_of(
        "frame", header.frame_of_reference_key or header.study_key
    )
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    i, j, k = geometry.spacing_mm
    ds.Rows, ds.Columns = geometry.shape[1], geometry.shape[0]
    ds.PixelSpacing = [_ds(j), _ds(i)]
    ds.SliceThickness = _ds(k)
    ds.BitsAllocated = 16
    ds.BitsStored = 16
    ds.HighBit = 15
    return ds


def _write(
    folder: Path,
    ds: Dataset,
    stored: NDArray[Any],
    geometry: Geometry,
    header: SeriesHeader,
    *,
    times: Sequence[datetime] | None = None,
) -> tuple[Path, ...]:
    """One file a slice; ``stored`` is (i, j, k) int16 or uint16."""
    rows, columns, positions = plane(geometry)
    ds.PixelRepresentation = 1 if stored.dtype == np.int16 else 0
    ds.ImageOrientationPatient = [_ds(float(v) + 0.0) for v in (*rows, *columns)]
    for keyword, value in header.extra.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = uid.UID(uid_of("implementation", IMPLEMENTATION_VERSION))
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    normal = np.cross(rows, columns)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    frames = np.ascontiguousarray(np.transpose(stored, (2, 1, 0))).astype(stored.dtype.newbyteorder("<"), copy=False)
    for n in range(geometry.shape[2]):
        sop = uid.UID(uid_of("instance", header.study_key, header.series_key, str(n)))
        ds.SOPInstanceUID = sop
        ds.file_meta.MediaStorageSOPInstanceUID = sop
        ds.InstanceNumber = n + 1
        ds.ImagePositionPatient = [_ds(float(v) + 0.0) for v in positions[n]]
        ds.SliceLocation = _ds(float(positions[n] @ normal))
        if times is not None:
            ds.AcquisitionTime = times[n].strftime("%H%M%S")
        if ds.Modality == "PT":
            ds.ImageIndex = n + 1
        ds.PixelData = frames[n].tobytes()
        path = folder / f"{ds.Modality}{n + 1:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return tuple(paths)


def _need(volume: Volume, quantity: Quantity) -> None:
    if volume.quantity is not quantity:
        raise ValueError(f"this series needs {quantity.value}, got {volume.quantity.value}")


def write_ct_series(folder: Path, volume: Volume, header: SeriesHeader, *, kvp: float = 120.0) -> tuple[Path, ...]:
    """A CT series in HU, one file a slice along k.

    Args:
        folder: Made if absent.
        volume: HU; values are rounded to whole numbers and cut to -1024..3071.
        header: The rest.
        kvp: Tube voltage.

    Returns:
        The files, in slice order.

    Raises:
        ValueError: If the volume is not HU or its axes are not at right angles.
    """
    _need(volume, Quantity.HU)
    array, geometry = _flipped(volume)
    ds = _common(header, "CT", uid.CTImageStorage, geometry)
    ds.KVP = _ds(kvp)
    ds.ConvolutionKernel = "STANDARD"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.AcquisitionNumber = 1
    stored = np.rint(np.clip(array, -1024, 3071) + 1024).astype(np.uint16)
    return _write(folder, ds, stored, geometry, header)


def write_pet_series(
    folder: Path,
    volume: Volume,
    header: SeriesHeader,
    *,
    injection: Injection,
    bed_minutes: float = 2.0,
    per_bed: int = 40,
) -> tuple[Path, ...]:
    """A PET series in Bq/mL with everything an SUV needs: corrected for decay (to the start) and attenuation.

    Args:
        folder: Made if absent.
        volume: SUVbw in g/mL; turned into Bq/mL with the header's own dose, times and weight.
        header: Needs weight_kg; ``acquired_at`` is the scan's start.
        injection: Dose and time.
        bed_minutes: Duration of one bed position; AcquisitionTime moves on by bed, SeriesTime does not.
        per_bed: Slices of one bed position.

    Returns:
        The files, in slice order.

    Raises:
        ValueError: If the volume is not SUVbw, the weight is unknown, or the scan precedes the injection.
    """
    _need(volume, Quantity.SUV_BW)
    if header.weight_kg is None:
        raise ValueError(f"PET of {header.patient_id}: SUV needs a weight, got none")
    array, geometry = _flipped(volume)
    start = header.acquired_at
    per_bq = suv_factor(injection, scan_start=start, weight_kg=header.weight_kg)
    becquerel = array / np.float32(per_bq)
    peak = float(becquerel.max())
    slope = max(peak, 1.0) / 32700.0
    ds = _common(header, "PT", uid.PositronEmissionTomographyImageStorage, geometry)
    ds.Units = "BQML"
    ds.CountsSource = "EMISSION"
    ds.SeriesType = ["WHOLE BODY", "IMAGE"]
    ds.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RADL"]
    ds.DecayCorrection = "START"
    ds.RandomsCorrectionMethod = "DLYD"
    ds.AttenuationCorrectionMethod = "measured, CT"
    ds.ScatterCorrectionMethod = "model-based"
    ds.ReconstructionMethod = "synthetic"
    ds.CollimatorType = "NONE"
    ds.NumberOfSlices = geometry.shape[2]
    ds.ActualFrameDuration = str(int(bed_minutes * 60000))
    ds.FrameReferenceTime = _ds(bed_minutes * 30000)
    ds.DecayFactor = "1"
    ds.RescaleIntercept, ds.RescaleSlope = "0", _ds(slope)
    agent = Dataset()
    agent.Radiopharmaceutical = injection.name
    agent.RadiopharmaceuticalStartTime = injection.injected_at.strftime("%H%M%S")
    agent.RadiopharmaceuticalStartDateTime = injection.injected_at.strftime("%Y%m%d%H%M%S")
    agent.RadionuclideTotalDose = _ds(injection.dose_mbq * 1e6)
    agent.RadionuclideHalfLife = _ds(injection.half_life_s)
    agent.RadionuclidePositronFraction = _ds(F18_POSITRON_FRACTION)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "77004003", "SCT", "^18^Fluorine"
    agent.RadionuclideCodeSequence = [code]
    ds.RadiopharmaceuticalInformationSequence = [agent]
    beds = [start + timedelta(minutes=bed_minutes * (n // per_bed)) for n in range(geometry.shape[2])]
    written_slope = float(ds.RescaleSlope)
    stored = np.rint(becquerel / np.float32(written_slope)).astype(np.int16)
    return _write(folder, ds, stored, geometry, header, times=beds)


def write_mr_series(
    folder: Path, volume: Volume, header: SeriesHeader, *, repetition_ms: float = 550.0, echo_ms: float = 10.0
) -> tuple[Path, ...]:
    """An MR series (T1-weighted spin echo by default), one file a slice along k.

    Raises:
        ValueError: If the volume is not an MR signal.
    """
    _need(volume, Quantity.MR_SIGNAL)
    array, geometry = _flipped(volume)
    ds = _common(header, "MR", uid.MRImageStorage, geometry)
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", ""
    ds.MRAcquisitionType = "3D" if geometry.spacing_mm[2] < 1.6 else "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = _ds(repetition_ms), _ds(echo_ms), 1
    ds.MagneticFieldStrength = "3"
    ds.SpacingBetweenSlices = _ds(geometry.spacing_mm[2])
    top = float(array.max())
    scale = 1.0 if top <= 4095 else 4095 / top
    ds.WindowCenter, ds.WindowWidth = _ds(top * scale / 2), _ds(max(top * scale, 1.0))
    stored = np.rint(np.clip(array, 0, None) * np.float32(scale)).astype(np.uint16)
    return _write(folder, ds, stored, geometry, header)


def scan_moment(on: date, *, hour: int = 9, minute: int = 0) -> datetime:
    """A fixed time on a date."""
    return datetime(on.year, on.month, on.day, hour, minute)
