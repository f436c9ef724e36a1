"""What is due when: confirmation scans between two dates, re-imaging of equivocal lesions, the next routine scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from irae.core.course import Due, DueState
from irae.response.irecist import confirmation_window, events
from irae.response.options import Options
from irae.response.rules import IPERCIST, UnconfirmedPetRules


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRules:
    """Intervals in days."""

    routine_from: int = 42  # re-evaluation every 6 to 8 weeks (RECIST 1.1 section 4.6, from memory)
    routine_to: int = 56
    equivocal_from: int = 28  # an equivocal lesion is re-imaged in 4 to 8 weeks (RECIST 1.1 section 4.3.5: next scan)
    equivocal_to: int = 56


TIMELINE = TimelineRules()


def due_state(earliest: date, latest: date, scans: Sequence[date], on: date) -> DueState:
    """Where a planned scan stands: done in its window, missed (only done later), overdue, or still due.

    Args:
        earliest, latest: The window, both days included.
        scans: Dates of all later scans.
        on: The day to judge on.
    """
    after = [scan for scan in scans if scan >= earliest]
    if any(scan <= latest for scan in after):
        return DueState.DONE
    if after:
        return DueState.MISSED
    return DueState.OVERDUE if on > latest else DueState.DUE


def confirmation_scans(
    words: Sequence[tuple[date, str | None]], options: Options, *, on: date
) -> tuple[Due, ...]:
    """One entry for every iUPD block: its confirmation window and whether a scan fell into it (rule IR-W1)."""
    scans = [scanned for scanned, _ in words]
    found: list[Due] = []
    for opened, ended in events(words).blocks:
        earliest, latest = confirmation_window(opened, options)
        later = [s for s in scans if s > opened]
        outcome = f"; it ended as {ended}" if ended is not None else ""
        found.append(Due(
            what="iRECIST confirmation scan", earliest=earliest, latest=latest,
            state=due_state(earliest, latest, later, on),
            reason=f"IR-W1: unconfirmed progression (iUPD) on {opened}{outcome}",
        ))
    return tuple(found)


def pet_confirmation_scans(
    words: Sequence[tuple[date, str | None]], *, on: date, rules: UnconfirmedPetRules = IPERCIST
) -> tuple[Due, ...]:
    """One entry for every unconfirmed metabolic progression (rule IPE-1)."""
    found: list[Due] = []
    opened: date | None = None
    for scanned, word in words:
        if word == "UPMD" and opened is None:
            opened = scanned
            earliest = opened + timedelta(days=rules.confirm_from_days)
            latest = opened + timedelta(days=rules.confirm_to_days or 2 * rules.confirm_from_days)
            later = [s for s, _ in words if s > opened]
            found.append(Due(
                what="iPERCIST confirmation PET", earliest=earliest, latest=latest,
                state=due_state(earliest, latest, later, on),
                reason=f"IPE-1: unconfirmed metabolic progression (UPMD) on {opened}",
            ))
        elif word in ("CMR", "PMR", "SMD"):
            opened = None
        elif word == "CPMD":
            break
    return tuple(found)


def equivocal_scan(seen_on: date, scans: Sequence[date], names: Sequence[str], *, on: date) -> Due:
    """Re-imaging of lesions that are not yet called (rule R11-L2)."""
    earliest = seen_on + timedelta(days=TIMELINE.equivocal_from)
    latest = seen_on + timedelta(days=TIMELINE.equivocal_to)
    return Due(
        what="re-image equivocal lesions", earliest=earliest, latest=latest,
        state=due_state(earliest, latest, [s for s in scans if s > seen_on], on),
        reason=f"R11-L2: {', '.join(names)} of {seen_on} cannot be called yet",
    )


def routine_scan(last: date, *, on: date) -> Due:
    """The next regular assessment, six to eight weeks after the last one."""
    earliest, latest = last + timedelta(days=TIMELINE.routine_from), last + timedelta(days=TIMELINE.routine_to)
    return Due(
        what="next assessment", earliest=earliest, latest=latest, state=due_state(earliest, latest, (), on),
        reason=f"R11-BOR: re-evaluation every 6 to 8 weeks, last on {last}",
    )
