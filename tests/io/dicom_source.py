"""Small source series of known geometry, as files of a scanner would have them (no pixels beyond zeros)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from irae.core.geometry import Geometry
from irae.io.uids import uid_of

FRAME = "1.2.826.0.1.3680043.8.498.1"

AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
CORONAL = ((1, 0, 0), (0, 0, -1))
PRONE = ((-1, 0, 0), (0, -1, 0))


def oblique(degrees: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Directions of rows and columns turned about the three axes."""
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn = about_z @ about_y @ about_x
    return turn[:, 0], turn[:, 1]


def series(
    *, rows: int, columns: int, slices: int, spacing: tuple[float, float] = (1.5, 1.25), step: float = 3.0,
    directions: tuple = AXIAL, origin: tuple[float, float, float] = (-30.0, -20.0, 100.0), reverse: bool = False,
    patient: str = "P01", name: str = "Canary^Name", modality: str = "CT",
) -> list[Dataset]:
    """Datasets of one series in file order (``reverse`` turns the file order against the geometry)."""
    row, column = (np.asarray(v, dtype=float) for v in directions)
    normal = np.cross(row, column)
    images = []
    for n in range(slices):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SOPClassUID = CTImageStorage
        d.SOPInstanceUID = uid_of("image", patient, str(n))
        d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = d.SOPClassUID, d.SOPInstanceUID
        d.StudyInstanceUID, d.SeriesInstanceUID = uid_of("study", patient), uid_of("ct", patient)
        d.FrameOfReferenceUID = FRAME
        d.PatientID, d.PatientName, d.PatientBirthDate, d.PatientSex = patient, name, "19500101", "F"
        d.StudyDate, d.StudyTime, d.AccessionNumber, d.StudyID = "20260314", "101500", "ACC1", "S1"
        d.Modality, d.Manufacturer, d.SeriesNumber, d.InstanceNumber = modality, "Scanner", 3, n + 1
        d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows, d.Columns = rows, columns
        d.PixelSpacing, d.SliceThickness = [float(s) for s in spacing], step
        d.ImageOrientationPatient = [float(f"{v:.10g}") for v in (*row, *column)]
        d.ImagePositionPatient = [float(f"{v:.10g}") for v in np.array(origin) + n * step * normal]
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 1
        d.BitsAllocated, d.BitsStored, d.HighBit = 16, 16, 15
        d.RescaleSlope, d.RescaleIntercept = 1, 0
        d.PixelData = np.zeros((rows, columns), np.int16).tobytes()
        images.append(d)
    return images[::-1] if reverse else images


def geometry_of(images: list[Dataset]) -> Geometry:
    """The grid (column, row, slice) of a series in the order of its geometry, by the formula of PS3.3 C.7.6.2.1.1."""
    first, second = sorted(images, key=lambda d: d.InstanceNumber)[:2]
    row, column = np.array(first.ImageOrientationPatient[:3]), np.array(first.ImageOrientationPatient[3:])
    lps = np.eye(4)
    lps[:3, 0] = row * first.PixelSpacing[1]
    lps[:3, 1] = column * first.PixelSpacing[0]
    lps[:3, 2] = np.array(second.ImagePositionPatient) - np.array(first.ImagePositionPatient)
    lps[:3, 3] = first.ImagePositionPatient
    return Geometry(
        shape=(first.Columns, first.Rows, len(images)), affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps,
        frame_of_reference_uid=FRAME,
    )
