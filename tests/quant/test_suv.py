"""SUV from headers: the vendor cases of cornerstonejs/calculate-suv, and what must be refused.

The vendor cases are header values and expected factors transcribed from github.com/cornerstonejs/calculate-suv
@ dc72aa17 (test/metadata, test/calculateSUV_SampleData.test.ts; MIT License, Open Health Imaging Foundation).
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irae.io.archive import REASONS
from irae.quant.suv import HALF_LIFE_S, SUV_RULES, PetHeader, suv_factor

DAY = "2020-12-17"


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"{DAY} {clock}")


def bqml(**changes) -> PetHeader:
    return replace(
        PetHeader(units="BQML", corrected_image=("ATTN", "DECY"), decay_correction="START", half_life_s=6586.2),
        **changes,
    )


VENDORS = {
    "PHILIPS_BQML": (bqml(
        weight_kg=64, dose_bq=126e6, half_life_s=6586.199707, series_at=at("11:01:55"), acquired_at=at("11:01:56"),
        frame_reference_s=1328.7, frame_duration_s=120.7, injected_at=at("10:00:58"), injected_time=time(10, 0, 58),
        philips_suv_scale=0.003515736, philips_activity_scale=4.709921), 0.0007463747013889488),
    "PHILIPS_CNTS_AND_BQML_SUV": (bqml(
        units="CNTS", weight_kg=54, dose_bq=238e6, half_life_s=6588, series_at=at("09:35:56"),
        acquired_at=at("09:54:39"), frame_reference_s=1183.0, frame_duration_s=120.0, injected_time=time(8, 30),
        philips_suv_scale=0.000551, philips_activity_scale=1.602563), 0.000551),
    "PHILIPS_CNTS_AND_SUV": (bqml(
        units="CNTS", weight_kg=47, dose_bq=208.23e6, half_life_s=6588, series_at=at("13:45:51"),
        acquired_at=at("14:13:36"), frame_reference_s=1755.0, frame_duration_s=180.0, injected_time=time(12, 30),
        philips_suv_scale=0.000728), 0.000728),
    "SIEMENS": (bqml(
        weight_kg=67, dose_bq=374e6, series_at=at("10:48:29"), acquired_at=at("10:48:30.351370"),
        frame_reference_s=38.51336, frame_duration_s=74.324, injected_at=at("08:30:45"),
        injected_time=time(8, 30, 45)), 0.00042748316187197236),
    "GE_MEDICAL_AND_BQML": (bqml(
        weight_kg=52, dose_bq=152022720, half_life_s=6586.2001953125, series_at=at("09:56:21"),
        acquired_at=at("09:56:21"), frame_reference_s=0.0, frame_duration_s=120.0, injected_at=at("08:45:00"),
        injected_time=time(8, 45)), 0.0005367387681819742),
    "BQML_AC_DT_lessThan_S_DT_SIEMENS": (bqml(
        weight_kg=65, dose_bq=225e6, series_at=at("12:35:15"), acquired_at=at("12:35:14.999995"),
        frame_reference_s=59.936854672596, frame_duration_s=120.0, injected_time=time(11, 41)), 0.0004069156854009332),
    "CPS_AND_BQML_AC_DT_-_S_DT": (bqml(
        weight_kg=69, dose_bq=388e6, series_at=at("13:49:18"), acquired_at=at("13:03:48.234"), frame_reference_s=0.0,
        frame_duration_s=180.0, injected_time=time(12, 0, 37)), 0.00026503312764157046),
    "RADIOPHARM_DATETIME_UNDEFINED": (bqml(
        weight_kg=102, dose_bq=412e6, series_at=at("13:54:31.843"), acquired_at=at("14:15:55.687"),
        frame_reference_s=1372.8579232493, frame_duration_s=180.0, injected_time=time(12, 50)), 0.0003721089202818729),
}


@pytest.mark.parametrize(("header", "expected"), VENDORS.values(), ids=VENDORS.keys())
def test_vendor_cases(header, expected):
    decision = suv_factor(header)
    assert decision.factor == pytest.approx(expected, rel=1e-6)
    assert decision.code == ""
    assert decision.path[-1].startswith("SUVbw = ")


CLEAN = bqml(
    weight_kg=70.0, height_cm=175.0, sex="M", dose_bq=370e6, series_at=at("10:00:00"), acquired_at=at("10:00:00"),
    injected_time=time(9, 0), nuclide="F-18",
)
EXPECTED = 1000 * 70.0 / (370e6 * 2 ** (-3600 / 6586.2))

ACCEPTED = {
    "one hour after injection": ({}, EXPECTED),
    "activity corrected to the injection": ({"decay_correction": "ADMIN"}, 1000 * 70.0 / 370e6),
    "Philips counts with an activity factor": ({"units": "CNTS", "philips_activity_scale": 2.5}, 2.5 * EXPECTED),
    "Philips counts, SUV factor of zero is not a factor": (
        {"units": "CNTS", "philips_suv_scale": 0.0, "philips_activity_scale": 2.0}, 2.0 * EXPECTED),
    "already an SUV is not scaled twice": ({"units": "GML", "suv_type": "BW"}, 1.0),
    "already an SUV, type not named": ({"units": "GML"}, 1.0),
    "SUL Janmahasatian back to SUVbw": ({"units": "GML", "suv_type": "LBMJANMA"}, 70.0 / 55.857),
    "reprocessed hours later: first acquisition": ({"series_at": at("18:00:00")}, EXPECTED),
    "reprocessed the next day": ({"series_at": at("10:00:00") + timedelta(days=1)}, EXPECTED),
    "reprocessed GE: private scan start": (
        {"series_at": at("18:00:00"), "acquired_at": at("10:05:00"), "ge_scan_at": at("10:00:00")}, EXPECTED),
    "GE private date shifted away is not believed": (
        {"series_at": at("18:00:00"), "ge_scan_at": at("10:00:00") - timedelta(days=23)}, EXPECTED),
    "no series time": ({"series_at": None}, EXPECTED),
    "across midnight, with date": (
        {"series_at": at("00:30:00"), "acquired_at": at("00:30:00"), "injected_time": None,
         "injected_at": at("23:30:00") - timedelta(days=1)}, EXPECTED),
    "across midnight, time only": (
        {"series_at": at("00:30:00"), "acquired_at": at("00:30:00"), "injected_time": time(23, 30)}, EXPECTED),
    "injection in UTC, scanner at +0100": (
        {"injected_at": at("08:00:00").replace(tzinfo=UTC), "utc_offset": timedelta(hours=1)}, EXPECTED),
    "injection with offset, clock time agrees": (
        {"injected_at": at("09:00:00").replace(tzinfo=timezone(timedelta(hours=2)))}, EXPECTED),
    "corrected to the injection, as a multi-frame header states it": (
        {"decay_corrected_to": at("09:00:00"), "series_at": at("10:00:00")}, 1000 * 70.0 / 370e6),
    "corrected to the scan, as a multi-frame header states it, reprocessed": (
        {"decay_corrected_to": at("10:00:00"), "series_at": at("18:00:00")}, EXPECTED),
    "stated in UTC, scanner at +0100": (
        {"decay_corrected_to": at("09:00:00").replace(tzinfo=UTC), "utc_offset": timedelta(hours=1)}, EXPECTED),
    "corrected to the injection, dates shifted apart by others": (
        {"decay_correction": "ADMIN", "injected_at": datetime(1999, 1, 1, 9)}, 1000 * 70.0 / 370e6),
    "both ways of writing the injection, seconds apart": (
        {"injected_at": at("09:00:00"), "injected_time": time(9, 0, 42)}, EXPECTED),
    "Philips counts, the scanner's factor agrees": (
        {"units": "CNTS", "philips_suv_scale": 2.5 * EXPECTED, "philips_activity_scale": 2.5}, 2.5 * EXPECTED),
    "Philips counts, the scanner's factor without dose": (
        {"units": "CNTS", "philips_suv_scale": 5e-4, "philips_activity_scale": 2.5, "dose_bq": None}, 5e-4),
    "half-life as GE writes it": ({"half_life_s": 6588.0}, 1000 * 70.0 / (370e6 * 2 ** (-3600 / 6588.0))),
}


@pytest.mark.parametrize(("changes", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(changes, expected):
    decision = suv_factor(replace(CLEAN, **changes))
    assert decision.factor == pytest.approx(expected, rel=1e-4), decision.path


REFUSED = {
    "units missing": ({"units": None}, "suv_units_missing"),
    "propcnts": ({"units": "PROPCNTS"}, "suv_units_unsupported"),
    "cm2ml": ({"units": "CM2ML"}, "suv_units_unsupported"),
    "not attenuation-corrected": ({"corrected_image": ("DECY",)}, "pet_not_attenuation_corrected"),
    "SUV but not attenuation-corrected": (
        {"units": "GML", "corrected_image": ()}, "pet_not_attenuation_corrected"),
    "not decay-corrected by its flags": ({"corrected_image": ("ATTN",)}, "suv_not_decay_corrected"),
    "decay correction NONE": ({"decay_correction": "NONE"}, "suv_not_decay_corrected"),
    "decay correction NONE, flags agree": (
        {"decay_correction": "NONE", "corrected_image": ("ATTN",)}, "suv_not_decay_corrected"),
    "decay correction ADMIN, flags disagree": (
        {"decay_correction": "ADMIN", "corrected_image": ("ATTN",)}, "suv_not_decay_corrected"),
    "decay correction missing": ({"decay_correction": None}, "suv_not_decay_corrected"),
    "counts without factor": ({"units": "CNTS"}, "suv_counts_without_factor"),
    "counts with a zero factor": ({"units": "CNTS", "philips_suv_scale": 0.0}, "suv_counts_without_factor"),
    "SUV by body surface": ({"units": "GML", "suv_type": "BSA"}, "suv_type_unsupported"),
    "SUV by unnamed lean mass formula": ({"units": "GML", "suv_type": "LBM"}, "suv_type_unsupported"),
    "SUL without height": ({"units": "GML", "suv_type": "LBMJANMA", "height_cm": None}, "suv_type_unsupported"),
    "weight missing": ({"weight_kg": None}, "suv_weight_missing"),
    "weight zero": ({"weight_kg": 0.0}, "suv_weight_missing"),
    "weight nan": ({"weight_kg": float("nan")}, "suv_weight_missing"),
    "weight in grams": ({"weight_kg": 70000.0}, "suv_weight_absurd"),
    "weight 1 kg": ({"weight_kg": 1.0}, "suv_weight_absurd"),
    "weight 999": ({"weight_kg": 999.0}, "suv_weight_absurd"),
    "weight negative": ({"weight_kg": -70.0}, "suv_weight_missing"),
    "weight a tenth": ({"weight_kg": 7.0}, "suv_weight_absurd"),
    "weight 380 kg at 1.55 m": ({"weight_kg": 380.0, "height_cm": 155.0}, "suv_weight_absurd"),
    "SUL of a build the formula gives nothing for": (
        {"units": "GML", "suv_type": "LBMJAMES128", "weight_kg": 300.0, "height_cm": 170.0}, "suv_type_unsupported"),
    "dose missing": ({"dose_bq": None}, "suv_dose_missing"),
    "dose zero": ({"dose_bq": 0.0}, "suv_dose_missing"),
    "dose in MBq": ({"dose_bq": 370.0}, "suv_dose_absurd"),
    "dose in kBq": ({"dose_bq": 370e3}, "suv_dose_absurd"),
    "dose in mCi": ({"dose_bq": 10.0}, "suv_dose_absurd"),
    "dose nan": ({"dose_bq": float("nan")}, "suv_dose_missing"),
    "dose a thousand times": ({"dose_bq": 370e9}, "suv_dose_absurd"),
    "half-life missing": ({"half_life_s": None}, "suv_half_life_missing"),
    "half-life in minutes": ({"half_life_s": 109.77}, "suv_half_life_absurd"),
    "half-life zero": ({"half_life_s": 0.0}, "suv_half_life_missing"),
    "half-life of carbon with a fluorine tracer": ({"half_life_s": 1221.8}, "suv_half_life_absurd"),
    "acquisition time missing": ({"acquired_at": None}, "suv_time_missing"),
    "series begins long before its first bed": ({"acquired_at": at("11:30:00")}, "suv_time_contradiction"),
    "injection time missing": ({"injected_time": None}, "suv_injection_time_missing"),
    "injection after the scan, with date": ({"injected_at": at("10:30:00")}, "suv_injection_after_scan"),
    "injection after the scan, time only": ({"injected_time": time(10, 30)}, "suv_injection_after_scan"),
    "injection when the scan began": ({"injected_time": time(10, 0)}, "suv_uptake_absurd"),
    "injection at 00:00:00, which stands for unknown": ({"injected_time": time(0, 0)}, "suv_uptake_absurd"),
    "two injection times an hour apart": (
        {"injected_at": at("08:00:00"), "injected_time": time(9, 0)}, "suv_time_contradiction"),
    "corrected to a time of another day": (
        {"decay_corrected_to": at("10:00:00") - timedelta(days=1)}, "suv_time_contradiction"),
    "corrected to a time before the injection": ({"decay_corrected_to": at("08:30:00")}, "suv_time_contradiction"),
    "the scanner's factor a thousand times off": (
        {"units": "CNTS", "philips_suv_scale": 1000 * EXPECTED, "philips_activity_scale": 1.0},
        "suv_header_contradicts"),
    "injection a day early": ({"injected_at": at("09:00:00") - timedelta(days=1)}, "suv_uptake_absurd"),
    "dates shifted by de-identification": ({"injected_at": datetime(1999, 1, 1, 9)}, "suv_uptake_absurd"),
    "offset that nothing explains": (
        {"injected_at": at("08:00:00").replace(tzinfo=UTC)}, "suv_time_zone_unknown"),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_reason(changes, code):
    decision = suv_factor(replace(CLEAN, **changes))
    assert decision.factor is None
    assert decision.code == code, decision.path
    assert decision.text


def test_only_an_inference_counts_as_a_repair():
    assert not suv_factor(CLEAN).repaired
    midnight = replace(CLEAN, series_at=at("00:30:00"), acquired_at=at("00:30:00"), injected_time=time(23, 30))
    assert suv_factor(midnight).repaired
    assert suv_factor(midnight).uptake_minutes == pytest.approx(60.0)


def test_law_more_weight_or_less_dose_is_more_suv():
    base = suv_factor(CLEAN).factor
    assert suv_factor(replace(CLEAN, weight_kg=140.0)).factor == pytest.approx(2 * base)
    assert suv_factor(replace(CLEAN, dose_bq=185e6)).factor == pytest.approx(2 * base)
    later = replace(CLEAN, series_at=at("10:00:00") + timedelta(seconds=6586.2), acquired_at=at("12:00:00"))
    assert suv_factor(later).factor == pytest.approx(2 * base)


@pytest.mark.parametrize(("changes", "words"), [
    ({"weight_kg": 154.0, "height_cm": 165.0}, "pounds"),
    ({"injected_time": time(9, 45)}, "15 min"),
    ({"injected_time": time(5, 30)}, "270 min"),
    ({"decay_correction": "ADMIN", "injected_time": time(9, 45)}, "15 min"),
    ({"units": "CNTS", "philips_suv_scale": 1.3 * EXPECTED, "philips_activity_scale": 1.0}, "1.30 times"),
])
def test_what_is_odd_and_not_refused_is_said(changes, words):
    decision = suv_factor(replace(CLEAN, **changes))
    assert decision.factor is not None
    assert len(decision.doubts) == 1
    assert words in decision.doubts[0]
    assert not suv_factor(CLEAN).doubts


# --- laws

WEIGHTS, DOSES = st.floats(40.0, 160.0), st.floats(4e7, 1e9)
UPTAKES = st.floats(60.0, 6 * 3600.0)
BEGINS = st.datetimes(datetime(1950, 1, 2), datetime(2090, 1, 1))


def exam(weight: float, dose: float, uptake_s: float, begins: datetime, **changes) -> PetHeader:
    return bqml(
        weight_kg=weight, height_cm=170.0, dose_bq=dose, series_at=begins, acquired_at=begins + timedelta(seconds=2),
        injected_at=begins - timedelta(seconds=uptake_s), **changes)


@given(WEIGHTS, DOSES, UPTAKES, BEGINS)
def test_law_the_whole_body_has_suv_one(weight, dose, uptake_s, begins):
    """All of the injected activity, decayed, spread evenly over a body of 1 g/mL, is SUV 1 everywhere."""
    concentration = dose * 2 ** (-uptake_s / 6586.2) / (1000.0 * weight)
    assert suv_factor(exam(weight, dose, uptake_s, begins)).factor * concentration == pytest.approx(1.0, rel=1e-6)


@given(WEIGHTS, DOSES, UPTAKES, BEGINS)
def test_law_start_and_admin_of_one_scan_agree(weight, dose, uptake_s, begins):
    at_start = 5000.0
    at_injection = at_start * 2 ** (uptake_s / 6586.2)
    start = suv_factor(exam(weight, dose, uptake_s, begins)).factor
    admin = suv_factor(exam(weight, dose, uptake_s, begins, decay_correction="ADMIN")).factor
    assert start * at_start == pytest.approx(admin * at_injection, rel=1e-6)


@given(UPTAKES, BEGINS, st.integers(-36500, 36500), st.integers(-12, 14))
def test_law_neither_the_date_nor_the_time_zone_matters(uptake_s, begins, days, hours):
    base = suv_factor(exam(70.0, 3e8, uptake_s, begins))
    zone = timezone(timedelta(hours=hours))
    moved = exam(70.0, 3e8, uptake_s, datetime(2000, 1, 1) + timedelta(days=days % 3650), utc_offset=timedelta(hours=3))
    abroad = (moved.injected_at - timedelta(hours=3)).replace(tzinfo=UTC).astimezone(zone)
    assert suv_factor(moved).factor == pytest.approx(base.factor, rel=1e-9)
    assert suv_factor(replace(moved, injected_at=abroad)).factor == pytest.approx(base.factor, rel=1e-9)


NUMBERS = st.one_of(st.none(), st.floats(), st.floats(1e-3, 1e10), st.sampled_from([0.0, 70.0, 370.0, 370e6, 6586.2]))
MOMENTS = st.one_of(
    st.none(), st.datetimes(), st.datetimes(at("08:00:00"), at("12:00:00")),
    st.datetimes(at("08:00:00"), at("12:00:00"), timezones=st.just(UTC)))
LOCAL = st.one_of(st.none(), st.datetimes(at("08:00:00"), at("12:00:00")))
ANY_HEADER = st.builds(
    PetHeader,
    units=st.sampled_from([None, "BQML", "GML", "CNTS", "PROPCNTS", "BQML ", "CM2ML", "\0"]),
    suv_type=st.sampled_from([None, "BW", "LBM", "LBMJANMA", "LBMJAMES128", "BSA", "IBW", "?"]),
    corrected_image=st.sampled_from([("ATTN", "DECY"), ("ATTN",), ("DECY",), ()]),
    decay_correction=st.sampled_from([None, "START", "ADMIN", "NONE", "start"]),
    weight_kg=NUMBERS, height_cm=st.one_of(st.none(), st.floats(30.0, 260.0)),
    sex=st.sampled_from([None, "M", "F", "O"]), series_at=LOCAL, acquired_at=LOCAL, frame_reference_s=NUMBERS,
    frame_duration_s=NUMBERS, decay_corrected_to=MOMENTS, ge_scan_at=LOCAL, injected_at=MOMENTS,
    injected_time=st.one_of(st.none(), st.times()), utc_offset=st.one_of(st.none(), st.just(timedelta(hours=1))),
    dose_bq=NUMBERS, half_life_s=NUMBERS, nuclide=st.sampled_from([None, "F-18", "C-11"]),
    philips_suv_scale=NUMBERS, philips_activity_scale=st.one_of(st.none(), st.floats(1e-3, 1e4)),
)


@given(ANY_HEADER)
def test_law_any_header_gives_a_believable_factor_or_a_reason(header):
    decision = suv_factor(header)
    assert decision.text
    if decision.factor is None:
        assert decision.code in REASONS
        return
    assert decision.code == ""
    if header.units == "BQML":
        at_once = 1000.0 * header.weight_kg / header.dose_bq
        longest = SUV_RULES.uptake_max.total_seconds() + 3600.0
        assert at_once * 0.99 <= decision.factor <= at_once * 2 ** (longest / min(HALF_LIFE_S.values()))
    else:
        assert 0.0 < decision.factor < 1e16


NEEDED = {
    "units": "BQML", "corrected_image": ("ATTN", "DECY"), "decay_correction": "START", "weight_kg": 70.0,
    "dose_bq": 370e6, "half_life_s": 6586.2, "acquired_at": at("10:00:00"), "injected_time": time(9, 0),
}


@pytest.mark.parametrize("word", NEEDED)
def test_law_nothing_that_is_needed_has_a_default(word):
    complete = PetHeader(**NEEDED)
    assert suv_factor(complete).factor == pytest.approx(EXPECTED)
    spoiled = replace(complete, **{word: () if word == "corrected_image" else None})
    assert suv_factor(spoiled).factor is None
