"""From the header of a PET series to the factor that turns its rescaled values into SUVbw, with the path in words.

The rules follow the QIBA FDG-PET/CT profile's vendor-neutral pseudo-code (QIBA wiki, "Standardized Uptake Value (SUV)";
happy and robust paths) and what vendors actually write (cornerstonejs/calculate-suv, MIT: the eight vendor cases of the
tests). A wrong SUV is worse than none, so nothing is guessed: what does not fit is refused with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from irae.core.errors import StudyError
from irae.quant.lbm import lean_body_mass_kg

# Physical half-lives in seconds (NuDat 3; F-18 as DICOM CID 4020 users write it, 109.77 min).
HALF_LIFE_S: dict[str, float] = {
    "F-18": 6586.2,
    "Ga-68": 4062.6,
    "C-11": 1221.8,
    "N-13": 597.9,
    "O-15": 122.2,
    "Cu-64": 45724.0,
    "Rb-82": 76.4,
    "Zr-89": 282276.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvRules:
    """What is believed of a header. Limits are design values: far outside anything given to a person."""

    weight_kg: tuple[float, float] = (2.0, 400.0)  # below: pounds, grams or 0; above: grams or a typing error
    dose_bq: tuple[float, float] = (5e6, 5e9)  # FDG is given as 37 to 1000 MBq; 370 "Bq" is MBq in the wrong unit
    half_life_tolerance: float = 0.02  # GE writes 6588 s, Siemens 6586.2 s; another nuclide is far off
    uptake_max: timedelta = timedelta(hours=8)  # EANM FDG guideline v2: 60 +/- 5 min; delayed scans to 3 to 4 h
    series_before_acquisition_max: timedelta = timedelta(hours=1)  # the series begins with its first bed
    philips_suv_scale: tuple[float, float] = (1e-9, 1e3)


SUV_RULES = SuvRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class PetHeader:
    """What a PET header says; None where it says nothing. Times are local to the scanner.

    Attributes:
        units: (0054,1001) BQML, CNTS, GML, PROPCNTS ...
        suv_type: (0054,1006) BW, LBM, LBMJANMA, LBMJAMES128, BSA, IBW; only with GML.
        corrected_image: (0028,0051).
        decay_correction: (0054,1102) START, ADMIN or NONE.
        weight_kg, height_cm, sex: Of the patient.
        series_at: Series date and time.
        acquired_at: The earliest acquisition date and time of all slices.
        frame_reference_s, frame_duration_s: Of that earliest slice.
        ge_scan_at: GE private (0009,100D), the start of the scan.
        injected_at: Radiopharmaceutical Start DateTime (0018,1078); may carry a UTC offset.
        injected_time: Radiopharmaceutical Start Time (0018,1072).
        utc_offset: (0008,0201) Timezone Offset From UTC.
        dose_bq, half_life_s: (0018,1074) in Bq, (0018,1075) in s.
        nuclide: A key of HALF_LIFE_S where the radionuclide code says so.
        philips_suv_scale, philips_activity_scale: Private (7053,1000) and (7053,1009).
    """

    units: str | None = None
    suv_type: str | None = None
    corrected_image: tuple[str, ...] = ()
    decay_correction: str | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    sex: str | None = None
    series_at: datetime | None = None
    acquired_at: datetime | None = None
    frame_reference_s: float | None = None
    frame_duration_s: float | None = None
    ge_scan_at: datetime | None = None
    injected_at: datetime | None = None
    injected_time: time | None = None
    utc_offset: timedelta | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    nuclide: str | None = None
    philips_suv_scale: float | None = None
    philips_activity_scale: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvDecision:
    """How SUVbw follows from the header, or why it does not.

    Attributes:
        factor: SUVbw (g/mL) = factor x rescaled value; None where it was refused.
        path: Every step of the decision, in words, in order; on refusal the last one says why.
        code: Empty, or a stable reason code of the refusal.
        uptake_minutes: From injection to the time the activity was decay-corrected to; None where unknown.
        repaired: Whether a step had to be inferred (an injection date across midnight, for instance).
    """

    factor: float | None
    path: tuple[str, ...]
    code: str = ""
    uptake_minutes: float | None = None
    repaired: bool = False

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
    path: list[str] = []
    uptake: list[float] = []
    repairs: list[str] = []
    try:
        factor = _factor(header, rules, path, uptake, repairs)
    except StudyError as refusal:
        path.append(refusal.text)
        return SuvDecision(factor=None, path=tuple(path), code=refusal.code, uptake_minutes=next(iter(uptake), None))
    path.append(f"SUVbw = {factor:.6g} x rescaled value")
    return SuvDecision(
        factor=factor, path=tuple(path), uptake_minutes=next(iter(uptake), None), repaired=bool(repairs)
    )


def _factor(
    header: PetHeader, rules: SuvRules, path: list[str], uptake: list[float], repairs: list[str]
) -> float:
    if not header.units:
        raise StudyError("suv_units_missing", "units are missing (0054,1001): the values could be anything")
    if "ATTN" not in header.corrected_image:
        raise StudyError(
            "pet_not_attenuation_corrected",
            f"corrected image {list(header.corrected_image)} lacks ATTN: not attenuation-corrected, no SUV",
        )
    by_units = {"BQML": _from_activity, "GML": _from_suv, "CNTS": _from_counts}
    if header.units not in by_units:
        raise StudyError(
            "suv_units_unsupported", f"units {header.units} are not an activity concentration or an SUV in g/mL"
        )
    return by_units[header.units](header, rules, path, uptake, repairs)


def _from_suv(
    header: PetHeader, rules: SuvRules, path: list[str], uptake: list[float], repairs: list[str]
) -> float:
    kind = header.suv_type or "BW"
    said = f"SUV type {kind}" if header.suv_type else "no SUV type, which means body weight (DICOM PS3.3 C.8.9.1)"
    path.append(f"units GML, {said}: already an SUV, not scaled again")
    if kind == "BW":
        return 1.0
    formula = {"LBMJANMA": "janmahasatian", "LBMJAMES128": "james128"}.get(kind)
    if formula is None:
        raise StudyError("suv_type_unsupported", f"SUV type {kind} cannot be turned into SUVbw without guessing")
    weight = _weight(header, rules)
    if header.sex not in ("M", "F") or not header.height_cm:
        raise StudyError("suv_type_unsupported", f"SUV type {kind}: sex and height are needed to get back to SUVbw")
    lean = lean_body_mass_kg(header.sex, weight, header.height_cm, formula)
    path.append(f"lean body mass ({formula}) {lean:.1f} kg of {weight:g} kg: SUVbw = SUL x weight / lean mass")
    return weight / lean


def _from_counts(
    header: PetHeader, rules: SuvRules, path: list[str], uptake: list[float], repairs: list[str]
) -> float:
    low, high = rules.philips_suv_scale
    scale = header.philips_suv_scale
    if scale is not None and math.isfinite(scale) and low < scale < high:
        path.append(f"units CNTS with the Philips SUV scale factor (7053,1000) = {scale:g}: SUVbw by the scanner")
        return scale
    activity = header.philips_activity_scale
    if activity is not None and math.isfinite(activity) and activity > 0:
        path.append(f"units CNTS with the Philips activity scale factor (7053,1009) = {activity:g} Bq/mL per count")
        return activity * _from_activity(header, rules, path, uptake, repairs)
    raise StudyError(
        "suv_counts_without_factor", "units CNTS without a Philips scale factor (7053,1000) or (7053,1009)"
    )


def _from_activity(
    header: PetHeader, rules: SuvRules, path: list[str], uptake: list[float], repairs: list[str]
) -> float:
    weight = _weight(header, rules)
    dose = _dose(header, rules)
    path.append(f"activity in Bq/mL, weight {weight:g} kg, injected {dose / 1e6:.1f} MBq")
    if "DECY" not in header.corrected_image and header.decay_correction != "ADMIN":
        raise StudyError("suv_not_decay_corrected", f"corrected image {list(header.corrected_image)} lacks DECY")
    if header.decay_correction == "ADMIN":
        path.append("decay-corrected to the injection (ADMIN): no further decay")
        return 1000.0 * weight / dose
    if header.decay_correction != "START":
        raise StudyError(
            "suv_not_decay_corrected",
            f"decay correction is {header.decay_correction or 'missing'}; START or ADMIN is needed",
        )
    half_life = _half_life(header, rules)
    reference = _reference_time(header, rules, path)
    injected = _injection_time(header, reference, rules, path, repairs)
    elapsed = (reference - injected).total_seconds()
    uptake.append(round(elapsed / 60.0, 4))
    remaining = dose * math.exp2(-elapsed / half_life)
    path.append(
        f"injected {injected:%H:%M:%S}, {elapsed / 60:.1f} min earlier; half-life {half_life:g} s leaves "
        f"{remaining / 1e6:.1f} MBq"
    )
    return 1000.0 * weight / remaining


def _weight(header: PetHeader, rules: SuvRules) -> float:
    weight = header.weight_kg
    if weight is None or not math.isfinite(weight) or weight <= 0:
        raise StudyError("suv_weight_missing", f"patient weight is {'missing' if weight is None else weight}")
    low, high = rules.weight_kg
    if not low <= weight <= high:
        hint = "; it looks like grams" if weight > 1000 else ""
        raise StudyError("suv_weight_absurd", f"patient weight {weight:g} kg is outside {low:g} to {high:g} kg{hint}")
    return weight


def _dose(header: PetHeader, rules: SuvRules) -> float:
    dose = header.dose_bq
    if dose is None or not math.isfinite(dose) or dose <= 0:
        raise StudyError("suv_dose_missing", f"radionuclide total dose is {'missing' if dose is None else dose}")
    low, high = rules.dose_bq
    if not low <= dose <= high:
        hint = "; it looks like MBq" if dose < 1e5 else ""
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


def _reference_time(header: PetHeader, rules: SuvRules, path: list[str]) -> datetime:
    """The time that START decay correction refers to."""
    series, acquired = header.series_at, header.acquired_at
    if acquired is None:
        raise StudyError("suv_time_missing", "acquisition date and time are missing: the decay time is unknown")
    if series is not None and series <= acquired:
        if acquired - series > rules.series_before_acquisition_max:
            raise StudyError(
                "suv_time_contradiction",
                f"series time {series:%Y-%m-%d %H:%M:%S} is {acquired - series} before the first acquisition",
            )
        path.append(f"decay-corrected to the series time {series:%H:%M:%S} (not after the first acquisition)")
        return series
    why = "is missing" if series is None else f"{series:%Y-%m-%d %H:%M:%S} is after the first acquisition"
    scan = header.ge_scan_at
    if scan is not None and scan <= acquired and acquired - scan <= rules.series_before_acquisition_max:
        path.append(f"series time {why} (reprocessed): GE private scan start {scan:%H:%M:%S} (0009,100D)")
        return scan
    frame, duration = header.frame_reference_s, header.frame_duration_s
    if frame and duration and header.half_life_s and frame > 0 and duration > 0:
        reference = acquired + timedelta(seconds=_mean_count_time(duration, header.half_life_s) - frame)
        path.append(
            f"series time {why} (reprocessed): {reference:%H:%M:%S} by frame reference time {frame:.1f} s of the "
            f"frame acquired {acquired:%H:%M:%S}"
        )
        return reference
    path.append(f"series time {why} (reprocessed): first acquisition {acquired:%H:%M:%S}")
    return acquired


def _mean_count_time(duration_s: float, half_life_s: float) -> float:
    """When in a frame the decaying count rate equals its mean (QIBA pseudo-code)."""
    decay = math.log(2.0) / half_life_s
    lost = decay * duration_s
    return math.log(lost / -math.expm1(-lost)) / decay


def _injection_time(
    header: PetHeader, reference: datetime, rules: SuvRules, path: list[str], repairs: list[str]
) -> datetime:
    if header.injected_at is not None:
        injected = _local(header.injected_at, header)
    elif header.injected_time is not None:
        injected = datetime.combine(reference.date(), header.injected_time)
        if injected > reference:
            yesterday = injected - timedelta(days=1)
            if reference - yesterday > rules.uptake_max:
                raise StudyError(
                    "suv_injection_after_scan",
                    f"injection {injected:%H:%M:%S} is after the scan {reference:%H:%M:%S} and no date is given",
                )
            path.append("injection time without a date is later in the day than the scan: across midnight")
            repairs.append("midnight")
            injected = yesterday
    else:
        raise StudyError("suv_injection_time_missing", "the time of injection is missing (0018,1072) and (0018,1078)")
    if injected > reference:
        raise StudyError(
            "suv_injection_after_scan",
            f"injection {injected:%Y-%m-%d %H:%M:%S} is after the scan {reference:%Y-%m-%d %H:%M:%S}",
        )
    if reference - injected > rules.uptake_max:
        raise StudyError(
            "suv_uptake_absurd",
            f"{(reference - injected).total_seconds() / 3600:.1f} h from injection to scan; at most "
            f"{rules.uptake_max.total_seconds() / 3600:g} h is believed",
        )
    return injected


def _local(injected: datetime, header: PetHeader) -> datetime:
    """The injection on the scanner's clock."""
    if injected.tzinfo is None:
        return injected
    local = injected.replace(tzinfo=None)
    if header.utc_offset is not None:
        offset = injected.utcoffset() or timedelta()
        return local - offset + header.utc_offset
    if header.injected_time is not None and header.injected_time == local.time():
        return local
    raise StudyError(
        "suv_time_zone_unknown",
        f"injection {injected.isoformat()} has a UTC offset, the scan times have none (0008,0201)",
    )
