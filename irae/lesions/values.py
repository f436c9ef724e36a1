"""What passes out of and into this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.focus import Focus, Nature
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.result import ExamResult
from irae.core.volume import LabelMap


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FociFound:
    """The foci of one exam and where they lie.

    Attributes:
        foci: Hottest first, then those seen on CT only; not yet matched to earlier exams.
        labels: (i, j, k) uint16, 0 = none, else ``Focus.id``; on the CT's grid, or the PET's where there is no CT.
        geometry: The grid of ``labels``.
        notices: Which threshold was used and why; what could not be searched.
        marrow_suv: Median uptake of the vertebrae, g/mL; 0 where they or a PET are missing.
    """

    foci: tuple[Focus, ...]
    labels: NDArray[np.uint16]
    geometry: Geometry
    notices: tuple[Notice, ...]
    marrow_suv: float = 0.0

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise ValueError(f"foci labels {self.labels.shape} do not fit geometry {self.geometry.shape}")
        view = np.asarray(self.labels, dtype=np.uint16).view()
        view.flags.writeable = False
        object.__setattr__(self, "labels", view)


@dataclass(frozen=True, eq=False, slots=True)
class EarlierExam:
    """An earlier exam of the same patient: what was said, and the images it was said of."""

    result: ExamResult
    exam: Exam
    organs: LabelMap | None
    pituitary: LabelMap | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Known:
    """A track as last seen: where it would lie now (RAS+ mm), what it was called, whether it has been gone since.

    ``listed``: whether the newest exam shows it; it does not where it was gone, hidden or had merged into another.
    """

    focus: Focus
    place: NDArray[np.float64]
    nature: Nature
    gone: bool = False
    listed: bool = True


def listed(foci: Sequence[Focus]) -> str:
    """Foci for a notice: ``L07 (lung left), L09 (outside organs)``."""
    return ", ".join(f"{f.track} ({(f.organ or 'outside organs').replace('_', ' ')})" for f in foci)
