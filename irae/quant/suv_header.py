"""What a PET header says that matters to SUV, what is believed of it, and the trail a decision leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

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

    weight_kg: tuple[float, float] = (2.0, 400.0)  # below: 0 or a typing error; above: grams, 999
    body_mass_index: tuple[float, float] = (6.0, 120.0)  # weight and height cannot both be right
    usual_body_mass_index: tuple[float, float] = (12.0, 55.0)  # 70 kg written as 154 (lb) at 1.65 m is 57
    dose_bq: tuple[float, float] = (5e6, 5e9)  # FDG is given as 37 to 1000 MBq; 370 "Bq" is MBq in the wrong unit
    half_life_tolerance: float = 0.02  # GE writes 6588 s, Siemens 6586.2 s; another nuclide is far off
    uptake_max: timedelta = timedelta(hours=6)  # EANM FDG guideline v2: 60 +/- 5 min; delayed scans to 3 to 4 h
    uptake_min: timedelta = timedelta(minutes=1)  # less is a time that was copied, not an injection
    usual_uptake: tuple[timedelta, timedelta] = (timedelta(minutes=30), timedelta(hours=4))
    clocks_agree: timedelta = timedelta(seconds=60)  # the two ways a header writes one injection
    series_before_acquisition_max: timedelta = timedelta(hours=1)  # the series begins with its first bed
    philips_suv_scale: tuple[float, float] = (1e-9, 1e3)
    philips_agrees: float = 0.1  # of the scanner's own SUV factor with the one from dose and weight
    philips_contradicts: float = 10.0  # times: another unit or another patient


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
        decay_corrected_to: Decay Correction DateTime (0018,9701), of multi-frame PET; may carry a UTC offset.
        ge_scan_at: GE private (0009,100D), the start of the scan.
        injected_at: Radiopharmaceutical Start DateTime (0018,1078); may carry a UTC offset.
        injected_time: Radiopharmaceutical Start Time (0018,1072).
        utc_offset: (0008,0201) Timezone Offset From UTC.
        dose_bq, half_life_s: (0018,1074) in Bq, (0018,1075) in s.
        nuclide: A key of HALF_LIFE_S where the radionuclide code, or else the tracer's name, says so.
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
    decay_corrected_to: datetime | None = None
    ge_scan_at: datetime | None = None
    injected_at: datetime | None = None
    injected_time: time | None = None
    utc_offset: timedelta | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    nuclide: str | None = None
    philips_suv_scale: float | None = None
    philips_activity_scale: float | None = None


@dataclass(slots=True)
class Trail:
    """What a decision leaves behind while it is made.

    Attributes:
        path: Its steps in words.
        doubts: Sentences for the reader: used, and odd.
        uptake_minutes: From injection to the time the activity was decay-corrected to.
        repaired: Whether a step had to be inferred.
    """

    path: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    uptake_minutes: float | None = None
    repaired: bool = False
