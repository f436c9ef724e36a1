"""Whether a file is an annotation in DICOM, and of which frame of reference, by its header alone."""

from __future__ import annotations

import warnings
from pathlib import Path

from pydicom import dcmread

_TAGS = ["Modality", "FrameOfReferenceUID", "StructureSetROISequence", "ReferencedFrameOfReferenceSequence"]


def annotation_frame(path: Path) -> str | None:
    """The frame of reference a DICOM SEG or RTSTRUCT is drawn in, empty where it does not say; None for other files."""
    try:
        with open(path, "rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            if header.get("Modality") not in ("SEG", "RTSTRUCT"):
                return None
            if header.get("FrameOfReferenceUID"):
                return str(header.FrameOfReferenceUID)
            rois = header.get("StructureSetROISequence") or [{}]
            return str(rois[0].get("ReferencedFrameOfReferenceUID") or "")
    except Exception:  # pydicom raises anything on damaged files; what is no header is no annotation
        return None
