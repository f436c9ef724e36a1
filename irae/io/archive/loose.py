"""NIfTI files: the documented layout, and files that lie about loose.

Layout: ``<patient>/<YYYY-MM-DD>/{ct,pet_suv,mr_t1c}.nii.gz``. Any other NIfTI file is *loose*; its rule:

- the patient is the file's name without the words that name a role or a date; where nothing is left, the folder's name;
- the date is one written in the file's name or a folder's (YYYY-MM-DD or YYYYMMDD); else 1900-01-01 stands for
  "unknown", with the notice ``date_unknown``;
- the role comes from a word in the name (ct; pet, pt, suv; t1c, t1gd ...) and must fit the voxel values; without such a
  word only values that are HU beyond doubt decide;
- a label map (few whole numbers from 0, or named mask, seg, label) is an annotation and is not used as an image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.core.exam import Role
from irae.core.notice import Notice
from irae.io.archive.codes import Outcome
from irae.io.archive.identity import patient_key
from irae.io.archive.plausibility import check_hu, check_suv, sample_of
from irae.io.archive.values import FoundFile, SeriesPlan
from irae.io.nifti import read_array

UNKNOWN_DATE = date(1900, 1, 1)

_LAYOUT = re.compile(
    r"(?:^|.*/)(?P<patient>[^/]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<role>ct|pet_suv|mr_t1c)\.nii(\.gz)?$"
)
_DATE = re.compile(r"(?<!\d)(19|20)(\d{2})-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")
_WORDS = re.compile(r"[^A-Za-z0-9.]+")
_ROLE_WORDS: dict[Role, frozenset[str]] = {
    Role.CT: frozenset({"ct", "hu", "ctres", "cect"}),
    Role.PET: frozenset({"pet", "pt", "suv", "suvbw", "petsuv"}),
    Role.MR: frozenset({"mr", "mri", "t1c", "t1gd", "t1ce", "t1post", "mprage", "t1"}),
}
_CONTRAST_WORDS = frozenset({"t1c", "t1gd", "t1ce", "t1post", "gd", "ce", "post", "contrast"})
_FILLER = frozenset({"image", "img", "scan", "vol", "volume", "res"})
_MASK_WORDS = frozenset({"mask", "masks", "label", "labels", "segmentation", "annotation", "gt"})
_LABELS_MOST = 256


@dataclass(frozen=True, slots=True)
class _Named:
    patient: str
    on: date
    dated: bool
    role: Role | None
    contrast: bool
    mask: bool
    layout: bool


def is_nifti(file: FoundFile) -> bool:
    """Whether a file is NIfTI by its name."""
    return file.name.lower().endswith((".nii", ".nii.gz"))


def nifti_plan(file: FoundFile, *, root: str) -> SeriesPlan:
    """What one NIfTI file is, by its name and values; damaged ones come back quarantined.

    Args:
        file: The file.
        root: The archive's own name, for files that lie directly in it.
    """
    named = _read_name(file.name, root)
    plan = SeriesPlan(
        key=file.name, series_uid=file.name, patient=patient_key(named.patient), acquired_on=named.on,
        modality={Role.CT: "CT", Role.PET: "PT", Role.MR: "MR"}.get(named.role, "") if named.role else "",
        description=PurePosixPath(file.name).name, kind="nifti", files=(file,),
    )
    try:
        array, geometry = read_array(file.path, np.float32)
    except StudyError as error:
        return plan.decided(Outcome.QUARANTINED, error.code, error.text)
    facts = {"shape": geometry.shape, "spacing_mm": tuple(round(s, 3) for s in geometry.spacing_mm)}
    plan = plan.decided(plan.outcome, plan.code, "", facts=facts)
    if named.mask or _is_label_map(array):
        if named.layout:
            text = f"{file.name} is named as an image but holds labels"
            return plan.decided(Outcome.QUARANTINED, "quantity_contradicts", text)
        return plan.decided(Outcome.IGNORED, "annotation", f"{file.name} is a label map, not an image", modality="")
    try:
        role, why = _role(array, named, file.name)
    except StudyError as error:
        outcome = Outcome.IGNORED if error.code in ("role_unknown", "mr_not_contrast_enhanced") else Outcome.QUARANTINED
        return plan.decided(outcome, error.code, error.text)
    modality = {Role.CT: "CT", Role.PET: "PT", Role.MR: "MR"}[role]
    extent = float(np.prod(geometry.shape) * geometry.voxel_volume_ml)
    decisions = [why, f"{geometry.shape} voxels of {facts['spacing_mm']} mm, axes as its affine says"]
    factor = 1.0 if role is Role.PET else None
    if named.layout:
        return plan.decided(
            Outcome.USED, "used", f"{role.value} by its place in the layout", *decisions, role=role,
            modality=modality, score=extent, suv_factor=factor,
        )
    notices = [Notice("loose_nifti", f"{role.value} comes from a file outside the layout; {why}.")]
    said = f"patient {plan.patient} by its name"
    if named.dated:
        said += f", date {named.on} by its name"
    else:
        said += f", no date: {UNKNOWN_DATE} stands for unknown"
        notices.append(Notice("date_unknown", f"The date of {role.value} is unknown; {UNKNOWN_DATE} stands for it."))
    text = f"{file.name}: {said}; {why}"
    return plan.decided(
        Outcome.REPAIRED, "loose_nifti", text, said, *decisions, role=role, modality=modality, score=extent,
        suv_factor=factor, notices=tuple(notices),
    )


def _read_name(name: str, root: str) -> _Named:
    match = _LAYOUT.match(name)
    if match:
        on = _as_date(match.group("date"))
        if on is not None:
            role = next(role for role in Role if role.value == match.group("role"))
            return _Named(match.group("patient"), on, True, role, True, False, True)
    path = PurePosixPath(name)
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    dates = [found for part in (stem, *reversed(path.parts[:-1])) for m in _DATE.finditer(part)
             if (found := _as_date(m.group(0))) is not None]
    words = [word for word in _WORDS.split(_DATE.sub("", stem)) if word]
    low = [word.lower() for word in words]
    roles = [role for role in Role if _ROLE_WORDS[role] & set(low)]
    known = frozenset().union(*_ROLE_WORDS.values()) | _CONTRAST_WORDS | _FILLER
    kept = [word for word in words if word.lower() not in known]
    folders = [part for part in path.parts[:-1] if not _DATE.fullmatch(part)]
    folder = folders[-1] if folders else root
    return _Named(
        patient="_".join(kept) or folder, on=dates[0] if dates else UNKNOWN_DATE, dated=bool(dates),
        role=roles[0] if len(roles) == 1 else None, contrast=bool(_CONTRAST_WORDS & set(low)),
        mask=bool(_MASK_WORDS & set(low)) or low[-1:] == ["seg"], layout=False,
    )


def _as_date(text: str) -> date | None:
    digits = text.replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _is_label_map(array: NDArray[np.float32]) -> bool:
    """Whole numbers from 0, few of them: no scan looks like that."""
    values = np.empty(0)
    for part in np.moveaxis(array, 2, 0):
        here = np.unique(part)
        values = np.union1d(values, here)
        if here[0] < 0 or len(values) > _LABELS_MOST or not np.array_equal(here, np.rint(here)):
            return False
    return bool(values[-1] <= 65535 and (values[-1] < _LABELS_MOST or len(values) <= 64))


def _role(values: NDArray[np.float32], named: _Named, name: str) -> tuple[Role, str]:
    span = float(values.min()), float(values.max())
    if not np.isfinite(span).all():
        raise StudyError("values_not_finite", f"{name}: voxels are not finite")
    sample = sample_of(values)
    if named.role is Role.CT:
        try:
            return Role.CT, f"named CT, and {check_hu(sample, span, name)}"
        except StudyError as error:
            raise StudyError("quantity_contradicts", f"{name} is named CT, but {error.text}") from error
    if named.role is Role.PET:
        try:
            if span[0] < -1.0:
                raise StudyError("suv_implausible", f"values down to {span[0]:.3g}")
            return Role.PET, f"named PET, read as SUVbw; {check_suv(sample, span, name)}"
        except StudyError as error:
            raise StudyError("quantity_contradicts", f"{name} is named PET, but {error.text}") from error
    if named.role is Role.MR:
        if not named.contrast:
            raise StudyError("mr_not_contrast_enhanced", f"{name}: the name does not say T1 with contrast")
        if span[0] < -500 or span[0] == span[1]:
            raise StudyError("quantity_contradicts", f"{name} is named MR, but its values are not a signal")
        return Role.MR, "named contrast-enhanced T1 MR"
    try:
        if span[0] <= -500:
            return Role.CT, f"not named, but {check_hu(sample, span, name)}"
    except StudyError:
        pass
    raise StudyError("role_unknown", f"{name}: neither name nor values say CT, PET in SUV or T1c MR")
