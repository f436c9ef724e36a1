"""One exam: what one patient had on one date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from irae.core.context import PatientContext
from irae.core.mapping import FrozenMapping
from irae.core.notice import Notice
from irae.core.volume import Quantity, Volume


class Role(Enum):
    """The part a volume plays in an exam; the values are the file names of the NIfTI layout."""

    CT = "ct"
    PET = "pet_suv"
    MR = "mr_t1c"


ROLE_QUANTITY: dict[Role, Quantity] = {
    Role.CT: Quantity.HU,
    Role.PET: Quantity.SUV_BW,
    Role.MR: Quantity.MR_SIGNAL,
}

DICOM_MODALITY: dict[Role, str] = {Role.CT: "CT", Role.PET: "PT", Role.MR: "MR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOrigin:
    """Where a volume came from, for provenance and for writing DICOM that refers to it.

    Attributes:
        role: What the series is used as.
        series_uid: DICOM Series Instance UID, or the file's path for NIfTI.
        study_uid: DICOM Study Instance UID; empty for NIfTI.
        files: Paths of the files inside the archive, in slice order.
        digest: sha256 over the content of the files.
        decisions: How geometry and SUV were decided, in words.
        suv_factor: Factor from rescaled pixel values to SUVbw, where it applies.
        suv_to_sul: Factor from SUVbw to SUL (Janmahasatian); None where sex, weight or height is unknown.
        why_no_sul: Which of them; empty where there is a factor.
        contrast: Whether contrast was given, as the header says; None where it does not say.
    """

    role: Role
    series_uid: str
    study_uid: str = ""
    files: tuple[str, ...] = ()
    digest: str = ""
    decisions: tuple[str, ...] = ()
    suv_factor: float | None = None
    suv_to_sul: float | None = None
    why_no_sul: str = ""
    uptake_minutes: float | None = None
    contrast: bool | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Exam:
    """What one patient had on one date.

    Attributes:
        patient: The patient's key: DICOM PatientID, a folder's name, or a pseudonym. Never a name.
        acquired_on: The date.
        volumes: One volume per role; at least one.
        context: Everything known about the patient (all dates; consumers ask for the state on ``acquired_on``).
        origins: Where each volume came from.
        notices: What the reader should know about this exam's input (missing SUV, truncated field of view ...).

    Raises:
        ValueError: If there is no volume, or a volume's quantity does not fit its role.
    """

    patient: str
    acquired_on: date
    volumes: Mapping[Role, Volume]
    context: PatientContext = field(default_factory=PatientContext)
    origins: Mapping[Role, SeriesOrigin] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        if not self.volumes:
            raise ValueError(f"exam {self.key}: needs at least one volume")
        for role, volume in self.volumes.items():
            if volume.quantity is not ROLE_QUANTITY[role]:
                raise ValueError(
                    f"exam {self.key}: {role.value} must be {ROLE_QUANTITY[role].value}, got {volume.quantity.value}"
                )
        object.__setattr__(self, "volumes", FrozenMapping(self.volumes))
        object.__setattr__(self, "origins", FrozenMapping(self.origins))

    @property
    def key(self) -> str:
        """``patient/YYYY-MM-DD``."""
        return f"{self.patient}/{self.acquired_on.isoformat()}"

    @property
    def ct(self) -> Volume | None:
        """CT in HU, if there is one."""
        return self.volumes.get(Role.CT)

    @property
    def pet(self) -> Volume | None:
        """PET in SUVbw (g/mL), if there is one with usable SUV."""
        return self.volumes.get(Role.PET)

    @property
    def mr(self) -> Volume | None:
        """Contrast-enhanced T1 MR of the head, if there is one."""
        return self.volumes.get(Role.MR)

    @property
    def suv_to_sul(self) -> float | None:
        """Factor from SUVbw to SUL (Janmahasatian); None where it cannot be known."""
        origin = self.origins.get(Role.PET)
        return origin.suv_to_sul if origin is not None else None
