"""``masks``: organs that were segmented before, by people or programs: NIfTI label maps, DICOM SEG, RTSTRUCT."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from irae.core.anatomy import BY_NAME, ORGANS
from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Volume
from irae.io.annotations import Annotation, AnnotationRules, organs_of, read_annotations
from irae.io.annotations.kind import annotation_frame
from irae.io.nifti import read_array
from irae.models.plausibility import believed
from irae.models.segmenters.names import translated

SUFFIXES = (".nii.gz", ".nii")
CT_ORGANS = tuple(organ.name for organ in ORGANS if organ.name != "pituitary")
_CARET_LABEL = re.compile(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[([^\]]+)\]\]></Label>')
_OWN_LABEL = re.compile(r"^\s*(\d+)\s+(\S+)\s*$", re.MULTILINE)


class MaskSegmenter:
    """Masks from a folder, ``<patient>/<date>/``: ``*.nii.gz``, DICOM SEG or RTSTRUCT under any name.

    A NIfTI label map belongs to an image if it lies on the very same grid. Its class names are read from a table
    beside it (``<file>.json``: name to value), or from its header (as this project and TotalSegmentator write them).
    A SEG or structure set belongs to an image of its frame of reference and is put onto its grid; where the image has
    none (NIfTI), only if it fits the grid. Several of them complete each other, but none may draw an organ again.
    The masks are kept as they were drawn, but the plausibility gates apply to them as to any other.

    Raises:
        ValueError: If the folder is not there or holds no mask.
    """

    name = "masks"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ValueError(f"masks: {folder} is not a folder")
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_table(p))
        self._files = tuple(p for p in files if p.name.endswith(SUFFIXES))
        frames = {p: annotation_frame(p) for p in files if p not in self._files}
        self._dicom = {path: frame for path, frame in frames.items() if frame is not None}
        if not self._files and not self._dicom:
            raise ValueError(f"masks: no .nii, .nii.gz, DICOM SEG or RTSTRUCT in {folder}")
        self._folder = folder
        self._grids: dict[Path, Geometry] = {}

    def for_exam(self, patient: str, acquired_on: date) -> MaskSegmenter:
        """The same, for one exam's own sub-folder; where there is none, any file on the image's grid may answer.

        Raises:
            ValueError: If the exam's folder holds no mask.
        """
        own = self._folder / patient / acquired_on.isoformat()
        return MaskSegmenter(own) if own.is_dir() else self

    @property
    def digests(self) -> Mapping[str, str]:
        """The digest of all files and their tables of names."""
        digest = hashlib.sha256()
        for path in sorted((*self._files, *self._dicom)):
            for part in (path, _names_table(path)):
                if part.is_file():
                    digest.update(hashlib.sha256(part.read_bytes()).digest())
        return {"masks": f"sha256:{digest.hexdigest()}"}

    def segment_ct(self, ct: Volume) -> LabelMap:
        """The organs of the masks that belong to this CT; none where there are none."""
        return self._answer(ct, CT_ORGANS)

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The pituitary of the masks that belong to this MR; none where there are none."""
        return self._answer(mr, ("pituitary",))

    def _answer(self, image: Volume, organs: tuple[str, ...]) -> LabelMap:
        fitting = [path for path in self._files if self._grid(path).same_grid(image.geometry)]
        if not fitting:
            return self._from_dicom(image, organs)
        if len(fitting) > 1:
            # Two exams can share a grid; taking either could put one patient's organs on another.
            listed = ", ".join(str(path.relative_to(self._folder)) for path in fitting)
            return _refused(image, organs, f"several mask files lie on this image's grid ({listed}): which is meant?")
        path = fitting[0]
        array, geometry = read_array(path)
        try:
            labels, present = translated(array, class_names(path))
        except ValueError as error:
            raise StudyError("masks_unreadable", str(error), where=path.name) from error
        wanted = tuple(organ for organ in organs if organ in present)
        return believed(labels.reshape(geometry.shape), image, wanted or organs, clean=False)

    def _from_dicom(self, image: Volume, organs: tuple[str, ...]) -> LabelMap:
        drawn: dict[str, tuple[Path, list[Annotation]]] = {}
        reasons: list[str] = []
        for path, frame in self._dicom.items():
            # Another grid of the same frame of reference is the same patient on the same table.
            same_frame = bool(frame) and frame == image.geometry.frame_of_reference_uid
            try:
                found = read_annotations(path, image.geometry, rules=AnnotationRules(resample=same_frame))
            except StudyError as refusal:
                if refusal.code != "annotation_frame_of_reference":
                    reasons.append(refusal.text)
                continue
            for item in found.annotations:
                if item.organ not in organs:
                    continue
                first, items = drawn.setdefault(str(item.organ), (path, []))
                if first != path:
                    names = " and ".join(str(p.relative_to(self._folder)) for p in (first, path))
                    return _refused(image, organs, f"{names} both draw the {item.organ}: which is meant?")
                items.append(item)
        if not drawn and reasons:
            return _refused(image, organs, "; ".join(reasons))
        labels = organs_of([item for _, items in drawn.values() for item in items], image.geometry)
        return believed(np.array(labels.array), image, tuple(sorted(drawn)) or organs, clean=False)

    def _grid(self, path: Path) -> Geometry:
        if path not in self._grids:
            self._grids[path] = read_array(path)[1]
        return self._grids[path]


def class_names(path: Path) -> dict[int, str]:
    """Label value to class name of a NIfTI label map.

    Raises:
        ValueError: If neither a table beside it nor its header says what its labels mean.
    """
    table = _names_table(path)
    if table.is_file():
        try:
            listed: dict[str, Any] = json.loads(table.read_text())
            return {int(value): name for name, value in listed.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{table.name} must map class names to label values: {error}") from error

    import nibabel as nib

    header: Any = nib.load(path).header
    for extension in getattr(header, "extensions", ()):
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        found = _CARET_LABEL.findall(text) or _OWN_LABEL.findall(text)
        if found:
            return {int(value): name for value, name in found}
    raise ValueError(
        f"{path.name} does not say what its labels mean: put {table.name} beside it, "
        'e.g. {"liver": 5}'
    )


def _is_table(path: Path) -> bool:
    return path.suffix == ".json"


def _names_table(path: Path) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    return path.with_name(f"{stem}.json")


def _refused(image: Volume, organs: tuple[str, ...], why: str) -> LabelMap:
    return LabelMap(
        array=np.zeros(image.geometry.shape, np.uint8), geometry=image.geometry,
        labels={organ: BY_NAME[organ].label for organ in organs},
        coverage=dict.fromkeys(organs, Coverage.NONE), rejected=dict.fromkeys(organs, why),
    )
