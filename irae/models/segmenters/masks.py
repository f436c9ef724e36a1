"""``masks``: organs that were segmented before, by people or programs, as NIfTI label maps."""

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
from irae.io.nifti import read_array
from irae.models.plausibility import believed
from irae.models.segmenters.names import translated

SUFFIXES = (".nii.gz", ".nii")
CT_ORGANS = tuple(organ.name for organ in ORGANS if organ.name != "pituitary")
_CARET_LABEL = re.compile(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[([^\]]+)\]\]></Label>')
_OWN_LABEL = re.compile(r"^\s*(\d+)\s+(\S+)\s*$", re.MULTILINE)


class MaskSegmenter:
    """Label maps from a folder, ``<patient>/<date>/*.nii.gz``.

    A label map belongs to an image if it lies on the very same grid. Its class names are read from a table beside it
    (``<file>.json``: name to value), or from the file's own header (as this project and TotalSegmentator write them).
    The masks are kept as they were drawn, but the plausibility gates apply to them as to any other.

    Raises:
        ValueError: If the folder is not there or holds no label map.
    """

    name = "masks"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ValueError(f"masks: {folder} is not a folder")
        self._files = tuple(sorted(p for p in folder.rglob("*") if p.name.endswith(SUFFIXES)))
        if not self._files:
            raise ValueError(f"masks: no .nii or .nii.gz in {folder}")
        self._folder = folder
        self._grids: dict[Path, Geometry] = {}

    def for_exam(self, patient: str, acquired_on: date) -> MaskSegmenter:
        """The same, for one exam's own sub-folder; where there is none, any file on the image's grid may answer.

        Raises:
            ValueError: If the exam's folder holds no label map.
        """
        own = self._folder / patient / acquired_on.isoformat()
        return MaskSegmenter(own) if own.is_dir() else self

    @property
    def digests(self) -> Mapping[str, str]:
        """The digest of all files and their tables of names."""
        digest = hashlib.sha256()
        for path in self._files:
            for part in (path, _names_table(path)):
                if part.is_file():
                    digest.update(hashlib.sha256(part.read_bytes()).digest())
        return {"masks": f"sha256:{digest.hexdigest()}"}

    def segment_ct(self, ct: Volume) -> LabelMap:
        """The organs of the label map on this CT's grid; none where there is no such label map."""
        return self._answer(ct, CT_ORGANS)

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The pituitary of the label map on this MR's grid; none where there is no such label map."""
        return self._answer(mr, ("pituitary",))

    def _answer(self, image: Volume, organs: tuple[str, ...]) -> LabelMap:
        fitting = [path for path in self._files if self._grid(path).same_grid(image.geometry)]
        if not fitting:
            return believed(np.zeros(image.geometry.shape, np.uint8), image, organs, clean=False)
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


def _names_table(path: Path) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    return path.with_name(f"{stem}.json")


def _refused(image: Volume, organs: tuple[str, ...], why: str) -> LabelMap:
    return LabelMap(
        array=np.zeros(image.geometry.shape, np.uint8), geometry=image.geometry,
        labels={organ: BY_NAME[organ].label for organ in organs},
        coverage=dict.fromkeys(organs, Coverage.NONE), rejected=dict.fromkeys(organs, why),
    )
