"""Tiny series with UIDs of their own for each test, so that tests share one server."""

from __future__ import annotations

from pydicom import dcmread
from pydicom.dataset import Dataset

from irae.io.uids import uid_of
from tests.io.archive.made import series


def images(patient: str, *, modality: str = "CT", slices: int = 6, day: str = "20260314", number: int = 1, **kind):
    """Data sets of one series of a patient."""
    made = series(modality, slices=slices, patient=patient, day=day, number=number, **kind)
    for k, one in enumerate(made):
        one.StudyInstanceUID = uid_of(patient, day)
        one.SeriesInstanceUID = uid_of(patient, day, str(number))
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid_of(patient, day, str(number), str(k))
    return made


def pixels(datasets) -> dict[str, bytes]:
    """Stored pixel bytes by SOP Instance UID."""
    return {str(one.SOPInstanceUID): one.PixelData for one in datasets}


def in_folder(folder) -> list[Dataset]:
    """Every data set under a folder."""
    return [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
