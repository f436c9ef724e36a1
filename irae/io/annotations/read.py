"""One way in: the kind of file is seen from its content, never asked for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from pydicom import dcmread

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.io.annotations.from_nifti import read_label_nifti
from irae.io.annotations.from_rtstruct import read_rtstruct
from irae.io.annotations.from_seg import read_seg
from irae.io.annotations.value import AnnotationRules, AnnotationsRead

RULES = AnnotationRules()
_READERS = {"SEG": read_seg, "RTSTRUCT": read_rtstruct}


def read_annotations(
    path: Path, onto: Geometry, *, names: Mapping[str, int] | None = None, rules: AnnotationRules = RULES
) -> AnnotationsRead:
    """Reads a DICOM SEG, an RTSTRUCT or a NIfTI label map onto an image's grid.

    Args:
        path: The file.
        onto: The image's grid.
        names: Region name to label value, for NIfTI; see ``read_label_nifti``.
        rules: Tolerances; whether another grid is resampled or refused.

    Raises:
        StudyError: ``annotation_unreadable``, ``annotation_geometry``, ``annotation_frame_of_reference``,
            ``annotation_grid`` (another grid beyond tolerance), ``annotation_empty``, ``annotation_names``, or what
            ``io.nifti.read_array`` raises.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return read_label_nifti(path, onto, names=names, rules=rules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, and these may hold names
            return _read_dicom(path, onto, rules)
    except StudyError:
        raise
    except Exception as error:  # pydicom converts values late and raises anything on damaged ones
        reason = f"{path.name} does not read as DICOM ({type(error).__name__})"
        raise StudyError("annotation_unreadable", reason) from error


def _read_dicom(path: Path, onto: Geometry, rules: AnnotationRules) -> AnnotationsRead:
    dataset = dcmread(path)
    modality = str(dataset.get("Modality", ""))
    if modality not in _READERS:
        named = modality if re.fullmatch(r"[A-Z]{2,16}", modality) else "of no known modality"
        raise StudyError("annotation_unreadable", f"{path.name} is {named}, not SEG or RTSTRUCT")
    return _READERS[modality](dataset, onto, rules=rules)
