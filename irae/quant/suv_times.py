"""When the tracer was injected, and which time the PET's activity was decay-corrected to."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from irae.core.errors import StudyError
from irae.quant.suv_header import PetHeader, SuvRules, Trail

_DAY = timedelta(days=1)


def reference_time(header: PetHeader, rules: SuvRules, trail: Trail) -> datetime:
    """The time that START decay correction refers to.

    Raises:
        StudyError: ``suv_time_missing``, ``suv_time_contradiction``, ``suv_time_zone_unknown``.
    """
    series, acquired = header.series_at, header.acquired_at
    if acquired is None:
        raise StudyError("suv_time_missing", "acquisition date and time are missing: the decay time is unknown")
    if header.decay_corrected_to is not None:
        return _stated(header.decay_corrected_to, acquired, header, rules, trail)
    if series is not None and series <= acquired:
        if acquired - series > rules.series_before_acquisition_max:
            raise StudyError(
                "suv_time_contradiction",
                f"series time {series:%Y-%m-%d %H:%M:%S} is {acquired - series} before the first acquisition",
            )
        trail.path.append(f"decay-corrected to the series time {series:%H:%M:%S} (not after the first acquisition)")
        return series
    why = "is missing" if series is None else f"{series:%Y-%m-%d %H:%M:%S} is after the first acquisition"
    scan = header.ge_scan_at
    if scan is not None and scan <= acquired and acquired - scan <= rules.series_before_acquisition_max:
        trail.path.append(f"series time {why} (reprocessed): GE private scan start {scan:%H:%M:%S} (0009,100D)")
        return scan
    frame, duration = header.frame_reference_s, header.frame_duration_s
    if frame and duration and header.half_life_s and frame > 0 and duration > 0:
        reference = acquired + timedelta(seconds=mean_count_time(duration, header.half_life_s) - frame)
        trail.path.append(
            f"series time {why} (reprocessed): {reference:%H:%M:%S} by frame reference time {frame:.1f} s of the "
            f"frame acquired {acquired:%H:%M:%S}"
        )
        return reference
    trail.path.append(f"series time {why} (reprocessed): first acquisition {acquired:%H:%M:%S}")
    return acquired


def _stated(stated: datetime, acquired: datetime, header: PetHeader, rules: SuvRules, trail: Trail) -> datetime:
    """The reference that a multi-frame header states; it may be the injection."""
    reference = _local(stated, header, "decay correction")
    if not acquired - rules.uptake_max <= reference <= acquired + rules.series_before_acquisition_max:
        raise StudyError(
            "suv_time_contradiction",
            f"decay correction time {reference:%Y-%m-%d %H:%M:%S} does not fit the first acquisition "
            f"{acquired:%Y-%m-%d %H:%M:%S}",
        )
    trail.path.append(f"decay-corrected to {reference:%H:%M:%S}, as (0018,9701) states")
    return reference


def mean_count_time(duration_s: float, half_life_s: float) -> float:
    """When in a frame (s from its start) the decaying count rate equals its mean (QIBA pseudo-code).

    >>> round(mean_count_time(180.0, 6586.2), 2)
    89.86
    """
    decay = math.log(2.0) / half_life_s
    lost = decay * duration_s
    return math.log(lost / -math.expm1(-lost)) / decay


def injection_time(header: PetHeader, scan: datetime, rules: SuvRules, trail: Trail) -> datetime:
    """The injection on the scanner's clock.

    Args:
        header: What the series says of itself.
        scan: What the injection has to come before.
        rules: Plausibility limits.
        trail: Takes an inference across midnight.

    Raises:
        StudyError: ``suv_injection_time_missing``, ``suv_injection_after_scan``, ``suv_uptake_absurd``,
            ``suv_time_contradiction``, ``suv_time_zone_unknown``.
    """
    if header.injected_at is not None:
        injected = _local(header.injected_at, header, "injection")
    elif header.injected_time is not None:
        injected = _on_the_day(header, scan, rules, trail)
    else:
        raise StudyError("suv_injection_time_missing", "the time of injection is missing (0018,1072) and (0018,1078)")
    if injected > scan:
        raise StudyError(
            "suv_injection_after_scan",
            f"injection {injected:%Y-%m-%d %H:%M:%S} is after the scan {scan:%Y-%m-%d %H:%M:%S}",
        )
    if scan - injected > rules.uptake_max:
        raise StudyError(
            "suv_uptake_absurd",
            f"{(scan - injected).total_seconds() / 3600:.1f} h from injection to scan; at most "
            f"{rules.uptake_max.total_seconds() / 3600:g} h is believed",
        )
    _same_clock(header, injected, rules)
    return injected


def _on_the_day(header: PetHeader, scan: datetime, rules: SuvRules, trail: Trail) -> datetime:
    """An injection time without a date: the scan's day, or the day before where only that fits."""
    assert header.injected_time is not None
    injected = datetime.combine(scan.date(), header.injected_time)
    if injected <= scan:
        return injected
    yesterday = injected - _DAY
    if scan - yesterday > rules.uptake_max:
        raise StudyError(
            "suv_injection_after_scan",
            f"injection {injected:%H:%M:%S} is after the scan {scan:%H:%M:%S} and no date is given",
        )
    trail.path.append("injection time without a date is later in the day than the scan: across midnight")
    trail.repaired = True
    return yesterday


def _same_clock(header: PetHeader, injected: datetime, rules: SuvRules) -> None:
    """Refuses a header whose two injection times differ: one of them is wrong, and it does not say which."""
    if header.injected_at is None or header.injected_time is None:
        return
    apart = abs(datetime.combine(injected.date(), header.injected_time) - injected)
    if min(apart, _DAY - apart) > rules.clocks_agree:
        raise StudyError(
            "suv_time_contradiction",
            f"injection at {injected:%H:%M:%S} by its date and time (0018,1078), at "
            f"{header.injected_time:%H:%M:%S} by its time (0018,1072)",
        )


def _local(moment: datetime, header: PetHeader, what: str) -> datetime:
    """A date and time on the scanner's clock."""
    if moment.tzinfo is None:
        return moment
    local = moment.replace(tzinfo=None)
    if header.utc_offset is not None:
        offset = moment.utcoffset() or timedelta()
        return local - offset + header.utc_offset
    if header.injected_time is not None and header.injected_time == local.time():
        return local
    raise StudyError(
        "suv_time_zone_unknown",
        f"{what} {moment.isoformat()} has a UTC offset, the scan times have none (0008,0201)",
    )
