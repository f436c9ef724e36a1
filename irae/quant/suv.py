"""From the header of a PET series to the factor that turns its rescaled values into SUVbw, with the path in words.

The rules follow the QIBA FDG-PET/CT profile's vendor-neutral pseudo-code (QIBA wiki, "Standardized Uptake Value (SUV)";
happy and robust paths) and what vendors actually write (cornerstonejs/calculate-suv, MIT: the eight vendor cases of the
tests). A wrong SUV is worse than none, so nothing is guessed: what does not fit is refused with a reason. What the
words mean is taught in ``docs/concepts/suv.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from irae.core.errors import StudyError
from irae.quant.lbm import lean_body_mass_kg
from irae.quant.suv_header import HALF_LIFE_S, SUV_RULES, PetHeader, SuvRules, Trail
from irae.quant.suv_times import injection_time, reference_time

__all__ = ["HALF_LIFE_S", "SUV_RULES", "PetHeader", "SuvDecision", "SuvRules", "suv_factor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvDecision:
    """How SUVbw follows from the header, or why it does not.

    Attributes:
        factor: SUVbw (g/mL) = factor x rescaled value; None where it was refused.
        path: Every step of the decision, in words, in order; on refusal the last one says why.
        code: Empty, or a stable reason code of the refusal.
        uptake_minutes: From injection to the time the activity was decay-corrected to (ADMIN: to the first
            acquisition); None where unknown.
        repaired: Whether a step had to be inferred (an injection date across midnight, for instance).
        doubts: Sentences for the reader: nothing refuses the SUV, but this is odd.
    """

    factor: float | None
    path: tuple[str, ...]
    code: str = ""
    uptake_minutes: float | None = None
    repaired: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The last step: the result or the reason of the refusal."""
        return self.path[-1] if self.path else ""


def suv_factor(header: PetHeader, rules: SuvRules = SUV_RULES) -> SuvDecision:
    """The factor from rescaled PET values to SUVbw.

    Args:
        header: What the series says of itself.
        rules: Plausibility limits.

    Returns:
        The decision with its path in words. ``factor`` is None, with a reason code, where SUV cannot be had.

    >>> from datetime import datetime, time
    >>> decision = suv_factor(PetHeader(
    ...     units="BQML", corrected_image=("ATTN", "DECY"), decay_correction="START", weight_kg=52.0,
    ...     series_at=datetime(2020, 12, 17, 9, 56, 21), acquired_at=datetime(2020, 12, 17, 9, 56, 21),
    ...     injected_time=time(8, 45), dose_bq=152022720.0, half_life_s=6586.2))
    >>> round(decision.factor, 9), decision.uptake_minutes
    (0.000536739, 71.35)
    """
    trail = Trail()
    factor, code = None, ""
    try:
        factor = _factor(header, rules, trail)
        trail.path.append(f"SUVbw = {factor:.6g} x rescaled value")
    except StudyError as refusal:
        trail.path.append(refusal.text)
        code = refusal.code
    return SuvDecision(
        factor=factor, path=tuple(trail.path), code=code, uptake_minutes=trail.uptake_minutes,
        repaired=trail.repaired and factor is not None, doubts=tuple(trail.doubts),
    )


def _factor(header: PetHeader, rules: SuvRules, trail: Trail) -> float:
    if not header.units:
        raise StudyError("suv_units_missing", "units are missing (0054,1001): the values could be anything")
    if "ATTN" not in header.corrected_image:
        raise StudyError(
            "pet_not_attenuation_corrected",
            f"corrected image {list(header.corrected_image)} lacks ATTN: not attenuation-corrected, no SUV",
        )
    if header.units not in _BY_UNITS:
        raise StudyError(
            "suv_units_unsupported", f"units {header.units} are not an activity concentration or an SUV in g/mL"
        )
    return _BY_UNITS[header.units](header, rules, trail)


def _from_suv(header: PetHeader, rules: SuvRules, trail: Trail) -> float:
    kind = header.suv_type or "BW"
    said = f"SUV type {kind}" if header.suv_type else "no SUV type, which means body weight (DICOM PS3.3 C.8.9.1)"
    trail.path.append(f"units GML, {said}: already an SUV, not scaled again")
    if kind == "BW":
        return 1.0
    formula = {"LBMJANMA": "janmahasatian", "LBMJAMES128": "james128"}.get(kind)
    if formula is None:
        raise StudyError("suv_type_unsupported", f"SUV type {kind} cannot be turned into SUVbw without guessing")
    weight = _weight(header, rules, trail)
    if header.sex not in ("M", "F") or not header.height_cm:
        raise StudyError("suv_type_unsupported", f"SUV type {kind}: sex and height are needed to get back to SUVbw")
    try:
        lean = lean_body_mass_kg(header.sex, weight, header.height_cm, formula)
    except ValueError as error:
        raise StudyError("suv_type_unsupported", f"SUV type {kind}: {error}") from error
    trail.path.append(f"lean body mass ({formula}) {lean:.1f} kg of {weight:g} kg: SUVbw = SUL x weight / lean mass")
    return weight / lean


def _from_counts(header: PetHeader, rules: SuvRules, trail: Trail) -> float:
    low, high = rules.philips_suv_scale
    scale, activity = header.philips_suv_scale, header.philips_activity_scale
    if scale is not None and math.isfinite(scale) and low < scale < high:
        trail.path.append(f"units CNTS with the Philips SUV scale factor (7053,1000) = {scale:g}: SUVbw by the scanner")
        _philips_agrees(scale, header, rules, trail)
        return scale
    if activity is not None and math.isfinite(activity) and activity > 0:
        trail.path.append(f"units CNTS with the Philips activity scale factor (7053,1009) = {activity:g} Bq/mL a count")
        return activity * _from_activity(header, rules, trail)
    raise StudyError(
        "suv_counts_without_factor", "units CNTS without a Philips scale factor (7053,1000) or (7053,1009)"
    )


def _philips_agrees(scale: float, header: PetHeader, rules: SuvRules, trail: Trail) -> None:
    """A second opinion on the scanner's SUV factor, where the header has what it takes."""
    own = Trail()
    try:
        activity = header.philips_activity_scale
        if not activity or not math.isfinite(activity) or activity <= 0:
            return
        expected = activity * _from_activity(header, rules, own)
    except StudyError as refusal:
        trail.path.append(f"not compared with dose and weight: {refusal.text}")
        return
    trail.uptake_minutes = own.uptake_minutes
    ratio = scale / expected
    if not 1.0 / rules.philips_contradicts < ratio < rules.philips_contradicts:
        raise StudyError(
            "suv_header_contradicts",
            f"the scanner's SUV factor {scale:g} is {ratio:.3g} times {expected:.4g}, which follows from dose, weight "
            "and times",
        )
    if abs(ratio - 1.0) > rules.philips_agrees:
        trail.doubts.append(
            f"The scanner's own SUV factor is {ratio:.2f} times the one that follows from dose, weight and times."
        )
    trail.path.append(f"{ratio:.3f} times what follows from dose, weight and times")


def _from_activity(header: PetHeader, rules: SuvRules, trail: Trail) -> float:
    weight = _weight(header, rules, trail)
    dose = _dose(header, rules)
    trail.path.append(f"activity in Bq/mL, weight {weight:g} kg, injected {dose / 1e6:.1f} MBq")
    _check_decay_corrected(header)
    if header.decay_correction == "ADMIN":
        trail.path.append("decay-corrected to the injection (ADMIN): no further decay")
        _uptake_of_admin(header, rules, trail)
        return 1000.0 * weight / dose
    half_life = _half_life(header, rules)
    reference = reference_time(header, rules, trail)
    acquired = header.acquired_at if header.decay_corrected_to is not None else None
    injected = injection_time(header, acquired or reference, rules, trail)
    _note_uptake((acquired or reference) - injected, rules, trail)
    if reference < injected - rules.clocks_agree:
        raise StudyError(
            "suv_time_contradiction",
            f"decay-corrected to {reference:%H:%M:%S}, before the injection {injected:%H:%M:%S}",
        )
    elapsed = (reference - injected).total_seconds()
    remaining = dose * math.exp2(-elapsed / half_life)
    trail.path.append(
        f"injected {injected:%H:%M:%S}, {elapsed / 60:.1f} min earlier; half-life {half_life:g} s leaves "
        f"{remaining / 1e6:.1f} MBq"
    )
    return 1000.0 * weight / remaining


def _check_decay_corrected(header: PetHeader) -> None:
    """Only START and ADMIN, and only where Corrected Image agrees.

    QIBA's pseudo-code goes on for START alone; ADMIN is the same with no time in between. NONE is refused although
    each frame could be corrected by its own time: slices where two beds overlap are mixed from scans minutes apart,
    and no attribute says how much of each.
    """
    said, flags = header.decay_correction, list(header.corrected_image)
    if said == "NONE":
        also = "; yet corrected image says DECY" if "DECY" in flags else ""
        raise StudyError(
            "suv_not_decay_corrected",
            f"decay correction is NONE: slices of different beds, and mixtures of two, are minutes apart{also}",
        )
    if said not in ("START", "ADMIN"):
        raise StudyError(
            "suv_not_decay_corrected", f"decay correction is {said or 'missing'}; START or ADMIN is needed"
        )
    if "DECY" not in flags:
        raise StudyError(
            "suv_not_decay_corrected", f"decay correction is {said}, but corrected image {flags} lacks DECY"
        )


def _uptake_of_admin(header: PetHeader, rules: SuvRules, trail: Trail) -> None:
    """The uptake time where it can be had: the SUV does not depend on it, the reading of it does."""
    if header.acquired_at is None:
        return
    own = Trail()
    try:
        injected = injection_time(header, header.acquired_at, rules, own)
        _note_uptake(header.acquired_at - injected, rules, own)
    except StudyError as refusal:
        trail.path.append(f"uptake time unknown: {refusal.text}")
        return
    trail.uptake_minutes = own.uptake_minutes
    trail.doubts += own.doubts


def _note_uptake(uptake: timedelta, rules: SuvRules, trail: Trail) -> None:
    minutes = uptake.total_seconds() / 60.0
    trail.uptake_minutes = round(minutes, 4)
    if uptake < rules.uptake_min:
        raise StudyError(
            "suv_uptake_absurd", f"{minutes:.1f} min from injection to scan: the time of the scan was written for both"
        )
    least, most = rules.usual_uptake
    if not least <= uptake <= most:
        trail.doubts.append(f"The scan began {minutes:.0f} min after the injection: SUV of other exams do not compare.")


def _weight(header: PetHeader, rules: SuvRules, trail: Trail) -> float:
    weight = header.weight_kg
    if weight is None or not math.isfinite(weight) or weight <= 0:
        raise StudyError("suv_weight_missing", f"patient weight is {'missing' if weight is None else weight}")
    low, high = rules.weight_kg
    if not low <= weight <= high:
        hint = "; it looks like grams" if weight > 1000 else ""
        raise StudyError("suv_weight_absurd", f"patient weight {weight:g} kg is outside {low:g} to {high:g} kg{hint}")
    if header.height_cm:
        index = weight / (header.height_cm / 100.0) ** 2
        said = f"weight {weight:g} kg at height {header.height_cm:.0f} cm"
        if not rules.body_mass_index[0] <= index <= rules.body_mass_index[1]:
            raise StudyError("suv_weight_absurd", f"{said}: body mass index {index:.1f} kg/m2, one of them is wrong")
        if not rules.usual_body_mass_index[0] <= index <= rules.usual_body_mass_index[1]:
            pounds = " (pounds?)" if index > rules.usual_body_mass_index[1] else ""
            trail.doubts.append(f"The header says {said}, body mass index {index:.0f}{pounds}: SUV depends on it.")
    return weight


def _dose(header: PetHeader, rules: SuvRules) -> float:
    dose = header.dose_bq
    if dose is None or not math.isfinite(dose) or dose <= 0:
        raise StudyError("suv_dose_missing", f"radionuclide total dose is {'missing' if dose is None else dose}")
    low, high = rules.dose_bq
    if not low <= dose <= high:
        hint = "; it looks like MBq" if dose < 5e3 else "; it looks like kBq" if dose < low else ""
        raise StudyError(
            "suv_dose_absurd", f"injected dose {dose:g} Bq is outside {low / 1e6:g} to {high / 1e6:g} MBq{hint}"
        )
    return dose


def _half_life(header: PetHeader, rules: SuvRules) -> float:
    half_life = header.half_life_s
    if half_life is None or not math.isfinite(half_life) or half_life <= 0:
        raise StudyError(
            "suv_half_life_missing", f"radionuclide half-life is {'missing' if half_life is None else half_life}"
        )
    known = {header.nuclide: HALF_LIFE_S[header.nuclide]} if header.nuclide in HALF_LIFE_S else HALF_LIFE_S
    if all(abs(half_life / expected - 1.0) > rules.half_life_tolerance for expected in known.values()):
        raise StudyError(
            "suv_half_life_absurd",
            f"half-life {half_life:g} s does not fit {header.nuclide or 'any PET nuclide'} "
            f"({', '.join(f'{name} {value:g} s' for name, value in known.items())})",
        )
    return half_life


_BY_UNITS: dict[str, Callable[[PetHeader, SuvRules, Trail], float]] = {
    "BQML": _from_activity, "GML": _from_suv, "CNTS": _from_counts,
}
