"""Small DICOM series of known content: every voxel's value is a function of where it lies in the patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage

SOP_CLASS = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage, "MR": MRImageStorage}
UID = "1.2.826.0.1.3680043.10.1588"


def body_hu(ras: np.ndarray) -> np.ndarray:
    """A body in air, different to the left, right, front, back, head and feet; HU of points (..., 3) in RAS+ mm."""
    x, y, z = ras[..., 0], ras[..., 1], ras[..., 2]
    inside = (x / 70) ** 2 + (y / 55) ** 2 + (z / 90) ** 2 < 1
    tissue = 20 + 0.9 * x + 0.5 * y - 0.7 * z
    return np.where(inside, np.round(tissue), -1000.0)


def body_suv(ras: np.ndarray) -> np.ndarray:
    """SUV of the same body."""
    x, y, z = ras[..., 0], ras[..., 1], ras[..., 2]
    inside = (x / 70) ** 2 + (y / 55) ** 2 + (z / 90) ** 2 < 1
    return np.where(inside, 1.5 + 0.008 * x + 0.005 * y - 0.004 * z, 0.02)


def body_mr(ras: np.ndarray) -> np.ndarray:
    """Signal of the same body."""
    return np.where(body_hu(ras) > -900, 400 + body_hu(ras), 5.0)


CONTENT: dict[str, Callable[[np.ndarray], np.ndarray]] = {"CT": body_hu, "PT": body_suv, "MR": body_mr}
PET_SUV_FACTOR = 1000.0 * 70.0 / (370e6 * 2.0 ** (-3600.0 / 6586.2))

AXIAL = (1, 0, 0, 0, 1, 0)


def series(
    modality: str = "CT", *, slices: int = 12, rows: int = 20, columns: int = 24, spacing=(8.0, 7.0), gap: float = 9.0,
    cosines=AXIAL, step=None, number: int = 1, patient: str = "P01", day: str = "20260314", **tags,
) -> list[Dataset]:
    """Data sets of one series, in slice order along the normal; ``spacing`` is (between rows, between columns).

    ``step`` is the LPS displacement from slice to slice (the normal times gap unless given, so a tilt may be made).
    ``tags`` are set on every slice; a callable gets the slice number.
    """
    row, column = np.array(cosines[:3], float), np.array(cosines[3:], float)
    normal = np.cross(row, column)
    step = normal * gap if step is None else np.array(step, float)
    middle = row * spacing[1] * (columns - 1) / 2 + column * spacing[0] * (rows - 1) / 2 + step * (slices - 1) / 2
    made = []
    for k in range(slices):
        position = -middle + step * k + np.array([3.0, -5.0, 7.0])
        index = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
        lps = position + index[..., 1:] * row * spacing[1] + index[..., :1] * column * spacing[0]
        values = CONTENT[modality](lps * np.array([-1.0, -1.0, 1.0]))
        made.append(_slice(modality, values, position, cosines, spacing, gap, k, number, patient, day, tags))
    return made


def _slice(modality, values, position, cosines, spacing, gap, k, number, patient, day, tags) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SOP_CLASS[modality]
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}.{k + 1}"
    ds.Modality, ds.PatientID, ds.PatientSex = modality, patient, "F"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = day
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "100000"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.9.{day}", f"{UID}.{number}"
    ds.FrameOfReferenceUID = f"{UID}.8"
    ds.SeriesNumber, ds.InstanceNumber = number, k + 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription = {"CT": "Body", "PT": "WB AC", "MR": "T1 MPRAGE post Gd brain"}[modality]
    ds.ImagePositionPatient = [f"{v:.6f}" for v in position]
    ds.ImageOrientationPatient = [f"{v:.8f}" for v in cosines]
    ds.PixelSpacing, ds.SliceThickness = [f"{v:.6f}" for v in spacing], f"{gap:.6f}"
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    if modality == "CT":
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
        stored = values + 1024
    elif modality == "PT":
        slope = 0.5 + 0.25 * (k % 5)  # PET scales every slice for itself
        ds.RescaleSlope, ds.RescaleIntercept = f"{slope:g}", "0"
        stored = values / PET_SUV_FACTOR / slope
        _pet(ds)
    else:
        stored = values
        ds.ContrastBolusAgent, ds.RepetitionTime, ds.EchoTime = "Gadobutrol", "9", "3"
    ds.PixelData = np.round(stored).astype("<i2").tobytes()
    for word, value in tags.items():
        value = value(k) if callable(value) else value
        if value is None:
            if word in ds:
                delattr(ds, word)
        else:
            setattr(ds, word, value)
    return ds


def _pet(ds: Dataset) -> None:
    ds.Units, ds.DecayCorrection, ds.CorrectedImage = "BQML", "START", ["ATTN", "DECY", "SCAT"]
    ds.SeriesType, ds.PatientWeight, ds.PatientSize = ["WHOLE BODY", "IMAGE"], "70", "1.65"
    ds.FrameReferenceTime, ds.ActualFrameDuration = "0", "120000"
    drug, code = Dataset(), Dataset()
    drug.Radiopharmaceutical, drug.RadiopharmaceuticalStartTime = "FDG", "090000"
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = "370000000", "6586.2"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "18F"
    drug.RadionuclideCodeSequence = [code]
    ds.RadiopharmaceuticalInformationSequence = [drug]


def write(folder: Path, datasets: list[Dataset], *, names=None) -> list[Path]:
    """Files of a series; named against slice order, so that names prove nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, ds in enumerate(datasets):
        name = names(n) if names else f"{(n * 7919) % 1000:03d}-{n}.dcm"
        path = folder / name
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
