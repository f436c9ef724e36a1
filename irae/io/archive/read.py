"""The planned series of one exam, read into volumes. A series that fails is quarantined; the others go on."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from irae.core.context import ContextKind, PatientContext
from irae.core.errors import StudyError
from irae.core.exam import ROLE_QUANTITY, Exam, Role, SeriesOrigin
from irae.core.notice import Notice
from irae.core.volume import Volume
from irae.io.archive.choice import contrast_given
from irae.io.archive.codes import Outcome
from irae.io.archive.enhanced import frame_reader
from irae.io.archive.geometry import Stack, stack
from irae.io.archive.headers import Header
from irae.io.archive.index import rows_of
from irae.io.archive.pet import height_cm
from irae.io.archive.pixels import is_plain, read_slice, rescale, rescale_into, roughness
from irae.io.archive.plausibility import (
    check_hu,
    check_pictures,
    check_rows,
    check_slice_scales,
    check_slices,
    check_suv,
    empty_part,
    sample_of,
    sample_steps,
)
from irae.io.archive.values import ExamPlan, FileOutcome, FoundFile, ReadExam, SeriesPlan
from irae.io.archive.volumes import assemble, canonical
from irae.io.archive.zips import present
from irae.io.nifti import read_array
from irae.quant.lbm import suv_to_sul

AIR_HU = -1024.0
_FORMAT = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation")


def read_exam(plan: ExamPlan, context: PatientContext | None = None) -> ReadExam:
    """The exam's volumes: CT in HU, PET in SUVbw (g/mL), T1c MR; axes nearest to R, A and S.

    Args:
        plan: From ``index_archive``; its files must still be where they were.
        context: What else is known of the patient; sex and height give SUL where the header does not.

    Returns:
        The exam, the series as they ended, and rows for files whose outcome changed against the index.

    Raises:
        StudyError: If no series of the plan could be read; its code is that of the first refusal.
    """
    context = context if context is not None else PatientContext()
    volumes: dict[Role, Volume] = {}
    origins: dict[Role, SeriesOrigin] = {}
    chosen: dict[Role, SeriesPlan] = {}
    notices = list(plan.notices)
    ended: dict[str, SeriesPlan] = {series.key: series for series in plan.series}
    refused: list[SeriesPlan] = []
    for role, first_choice in plan.chosen.items():
        for series in (first_choice, *_next_best(plan, role)):
            read, volume, digest = _tried(series)
            ended[series.key] = read
            if volume is not None:
                volumes[role], chosen[role] = volume, read
                origins[role] = _origin(read, role, context, plan, digest)
                break
            refused.append(read)
            notices.append(Notice("series_quarantined", f"A {read.modality} series could not be used: {read.text}."))
        else:
            if role is Role.PET:
                notices.append(Notice("pet_without_suv", f"The PET could not be used: {refused[-1].text}."))
    before = {series.key: series for series in plan.series}
    changed = [
        row for series in ended.values()
        if (series.outcome, series.code, series.text) != _verdict(before[series.key]) for row in rows_of(series)
    ]
    if not volumes:
        raise ExamUnusableError(plan, refused[0], tuple(ended.values()), tuple(changed))
    exam = Exam(
        patient=plan.patient, acquired_on=plan.acquired_on, volumes=volumes, context=context, origins=origins,
        notices=tuple(dict.fromkeys(notices)),
    )
    return ReadExam(exam=exam, chosen=chosen, series=tuple(ended.values()), outcomes=tuple(changed))


class ExamUnusableError(StudyError):
    """No series of an exam could be read; carries how each ended and the rows that changed."""

    def __init__(
        self, plan: ExamPlan, first: SeriesPlan, series: tuple[SeriesPlan, ...], outcomes: tuple[FileOutcome, ...]
    ) -> None:
        super().__init__(first.code, f"exam {plan.key}: nothing could be read; {first.text}", where=first.key)
        self.series = series
        self.outcomes = outcomes


def _verdict(series: SeriesPlan) -> tuple[Outcome, str, str]:
    return series.outcome, series.code, series.text


def _next_best(plan: ExamPlan, role: Role) -> list[SeriesPlan]:
    """Series that would also do for a role, best first, as they were before another was preferred."""
    also = [series for series in plan.unchosen if series.role is role and series.code == "not_chosen"]
    also.sort(key=lambda series: -series.score)
    return [
        series.decided(*series.facts["before"], "the series preferred over this one could not be read")
        for series in also
    ]


def _tried(series: SeriesPlan) -> tuple[SeriesPlan, Volume | None, str]:
    """The series as it ended, its volume (None where it was quarantined), and the digest of its files."""
    try:
        files = [present(file) for file in series.files]
        # Around all threads at once: filters are the process's, so a thread cannot set them for itself.
        with warnings.catch_warnings(), ThreadPoolExecutor(1) as beside:
            warnings.simplefilter("ignore")
            digest = beside.submit(digest_of, files)  # hashing frees the interpreter: it runs while slices are placed
            volume, read = _read_series(series)
            _check_unchanged(files)
            return read, volume, digest.result()
    except StudyError as error:
        return series.decided(Outcome.QUARANTINED, error.code, error.text), None, ""
    except MemoryError:
        text = f"series {series.key} does not fit into memory"
        return series.decided(Outcome.QUARANTINED, "too_large", text), None, ""
    except Exception as error:  # one bad series must never stop the others
        text = f"series {series.key}: {type(error).__name__} while it was read"
        return series.decided(Outcome.QUARANTINED, "internal_error", text), None, ""


def _check_unchanged(files: Sequence[FoundFile]) -> None:
    """Refuses a series of which a file is no longer what was indexed: its header and its pixels may not fit.

    Raises:
        StudyError: ``changed_meanwhile``.
    """
    for file in files:
        whole = file if file.container is None else file.container
        if whole.container is not None or not whole.modified_ns:
            continue
        try:
            now = os.stat(whole.path)
        except OSError as error:
            raise StudyError("changed_meanwhile", f"{whole.name} is no longer there") from error
        if (now.st_size, now.st_mtime_ns) != (whole.size, whole.modified_ns):
            raise StudyError("changed_meanwhile", f"{whole.name} changed between index and reading")


def _read_series(plan: SeriesPlan) -> tuple[Volume, SeriesPlan]:
    if plan.role is None:
        raise StudyError("role_unknown", f"series {plan.key} has no role")
    quantity = ROLE_QUANTITY[plan.role]
    if plan.kind == "nifti":
        array, geometry = canonical(*read_array(plan.files[0].path, np.float32))
        span = float(array.min()), float(array.max())
        if not np.isfinite(span).all():
            raise StudyError("values_not_finite", f"{plan.files[0].name}: voxels are not finite")
        plan = _checked(plan, sample_of(array), span)
        if plan.role is Role.CT and span[0] < AIR_HU:
            np.maximum(array, np.float32(AIR_HU), out=array)
        return Volume(array=array, geometry=geometry, quantity=quantity), plan
    headers: Sequence[Header] = tuple(plan.headers)
    arranged = stack(headers)
    ordered = tuple(headers[n] for n in arranged.order)
    scales, plan = _scales(ordered, plan)
    varied = len({(scale, *map(header.get, _FORMAT)) for scale, header in zip(scales, ordered, strict=True)}) > 1
    _agreeing_duplicates(headers, arranged, plan)
    whole = plan.kind == "enhanced" and not is_plain(ordered[0])
    stored_of = frame_reader(ordered) if whole else lambda number: read_slice(ordered[number])

    count = len(ordered)
    lows, highs, means = np.zeros((3, count))
    blank = np.zeros(count, dtype=bool)
    rough, empty_below = np.zeros((2, count))
    each = sample_steps(arranged.shape)
    samples: dict[int, NDArray[np.float32]] = {}

    def fill(number: int, target: NDArray[np.float32]) -> None:
        """One slice; whatever has to be known of its values is taken while they are at hand."""
        stored, (slope, intercept) = stored_of(number), scales[number]
        if number == count // 2:
            check_rows(stored, plan.key)
        low, high = stored.min(), stored.max()
        blank[number] = low == high
        rough[number], empty_below[number] = roughness(stored), empty_part(stored)
        lows[number], highs[number] = low * slope + intercept, high * slope + intercept
        if varied:
            means[number] = stored.mean() * slope + intercept
        rescale_into(target, stored, slope, intercept)
        if number % each[2] == 0:
            samples[number] = target[:: each[1], :: each[0]].ravel()
        if plan.role is Role.CT and lows[number] < AIR_HU:
            np.maximum(target, np.float32(AIR_HU), out=target)

    frame = ordered[0].text("FrameOfReferenceUID") or None
    outside = AIR_HU if plan.role is Role.CT else 0.0
    array, geometry = assemble(arranged, fill, frame_of_reference_uid=frame, outside=outside)
    name = plan.description or plan.key
    check_slices(np.flatnonzero(blank).tolist(), count, name)
    check_pictures(rough, empty_below, name)
    if varied:
        check_slice_scales(means.tolist(), quantity, name)
    sample = np.concatenate([samples[number] for number in sorted(samples)])
    weight = ordered[0].get("PatientWeight")
    litres_per_kg = geometry.voxel_volume_ml * array.size / 1000.0 / weight if weight else None
    plan = _checked(plan, sample, (float(lows.min()), float(highs.max())), litres_per_kg)
    return Volume(array=array, geometry=geometry, quantity=quantity), plan


def _scales(headers: Sequence[Header], plan: SeriesPlan) -> tuple[list[tuple[float, float]], SeriesPlan]:
    """(slope, intercept) of each slice; for PET the SUV factor is in them."""
    needed = plan.role is Role.PET
    found = [rescale(header, needed=needed) for header in headers]
    if any(scale is None for scale in found) and any(scale is not None for scale in found):
        raise StudyError("rescale_invalid", f"series {plan.key}: only some slices have a rescale slope")
    scales = [scale if scale is not None else (1.0, 0.0) for scale in found]
    if plan.role is Role.CT and found[0] is None:
        text = "no rescale slope and intercept: the stored values are taken as HU and checked"
        plan = plan.decided(Outcome.REPAIRED, "rescale_missing", text, text)
    if plan.role is Role.PET:
        factor = plan.suv_factor if plan.suv_factor is not None else float("nan")
        scales = [(slope * factor, intercept * factor) for slope, intercept in scales]
    if len(set(scales)) > 1:
        text = f"{len(set(scales))} different rescale slopes, one for each slice"
        plan = plan.decided(plan.outcome, plan.code, plan.text, text)
    return scales, plan


def _agreeing_duplicates(headers: Sequence[Header], arranged: Stack, plan: SeriesPlan) -> None:
    for kept, also in arranged.duplicates:
        one, other = headers[kept], headers[also]
        same = rescale(one, needed=False) == rescale(other, needed=False)
        if not same or not np.array_equal(read_slice(one), read_slice(other)):
            raise StudyError(
                "duplicate_position",
                f"{one.file.name} and {other.file.name} lie at the same place with different pixels", where=plan.key,
            )


def _checked(
    plan: SeriesPlan, sample: NDArray[np.float32], span: tuple[float, float], litres_per_kg: float | None = None
) -> SeriesPlan:
    """The series after its values, as read and not yet clipped, were checked against what they claim to be.

    ``litres_per_kg`` is the image's volume for each kg of the patient, where the weight is known.
    """
    name = plan.description or plan.key
    if plan.role is Role.CT:
        said = check_hu(sample, span, name)
        if span[0] < AIR_HU:
            said += f"; values below {AIR_HU:g} HU (padding) are clipped"
    elif plan.role is Role.PET:
        said = check_suv(sample, span, name, litres_per_kg)
        if span[0] < 0.0:
            said += f"; lowest value {span[0]:.3g} kept"
    else:
        if span[0] == span[1]:
            raise StudyError("quantity_contradicts", f"{name}: every voxel has the same value")
        said = "MR signal, arbitrary units"
    return plan.decided(plan.outcome, plan.code, plan.text, said)


def _origin(
    plan: SeriesPlan, role: Role, context: PatientContext, exam: ExamPlan, digest: str
) -> SeriesOrigin:
    first: Header | None = plan.headers[0] if len(plan.headers) else None
    decisions = list(plan.decisions)
    sul, why_no_sul = None, ""
    if role is Role.PET:
        sul, said = _sul(first, context, exam)
        decisions.append(f"no SUL: {said}" if sul is None else said)
        why_no_sul = said if sul is None else ""
    return SeriesOrigin(
        role=role, series_uid=plan.series_uid, study_uid=first.text("StudyInstanceUID") if first else "",
        files=tuple(file.name for file in plan.files), digest=digest, decisions=tuple(decisions),
        suv_factor=plan.suv_factor, suv_to_sul=sul, why_no_sul=why_no_sul,
        uptake_minutes=plan.facts.get("uptake_minutes"),
        contrast=contrast_given(first) if first is not None and role is not Role.PET else None,
    )


def _sul(first: Header | None, context: PatientContext, exam: ExamPlan) -> tuple[float | None, str]:
    """Factor from SUVbw to SUL (Janmahasatian), from the header, then from the context, and the sentence about it; or
    None and what is missing.
    """
    weight = first.get("PatientWeight") if first is not None else None
    sex = first.text("PatientSex").upper() if first is not None else ""
    height = height_cm(first.get("PatientSize")) if first is not None else None
    where = []
    if sex not in ("M", "F"):
        sex = (context.latest(ContextKind.SEX, exam.acquired_on) or "").upper()
        where.append("sex from the context")
    if height is None:
        said = context.latest(ContextKind.HEIGHT_CM, exam.acquired_on)
        height = float(said) if said else None
        where.append("height from the context")
    if not weight or sex not in ("M", "F") or height is None:
        missing = [n for n, v in (("weight", weight), ("sex", sex in ("M", "F")), ("height", height)) if not v]
        return None, f"{', '.join(missing)} unknown"
    try:
        factor = suv_to_sul(sex, weight, height)
    except ValueError as error:
        return None, str(error)
    noted = f" ({', '.join(where)})" if where else ""
    return factor, f"SUL = {factor:.4f} x SUVbw (Janmahasatian; {sex}, {weight:g} kg, {height:.0f} cm){noted}"


def digest_of(files: Sequence[FoundFile]) -> str:
    """sha256 over the contents of files in their order, as ``sha256:...``."""
    total = hashlib.sha256()
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    for file in files:
        with open(file.path, "rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                total.update(view[:count])
    return f"sha256:{total.hexdigest()}"
