"""Whether a challenger may take a champion's place: not worse, on the same patients, within stated limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    """Which way a measure improves."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of both models on the same patients.

    Attributes:
        name: e.g. ``dice/liver``, ``auroc/colitis``.
        champion, challenger: The values.
        low, high: 95 % interval of challenger minus champion over patients; None where it cannot be had.
        n: Patients.
        better: Which way is better.
    """

    name: str
    champion: float
    challenger: float
    low: float | None
    high: float | None
    n: int
    better: Better = Better.HIGHER

    @property
    def kind(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse a challenger might be and still count as not worse (non-inferiority margins; design values).

    Attributes:
        dice, auroc, sensitivity: Loss that is tolerated. ece: Rise of the calibration error that is tolerated.
        least_patients: Fewer than these show nothing.
    """

    dice: float = 0.02
    auroc: float = 0.03
    sensitivity: float = 0.05
    ece: float = 0.03
    least_patients: int = 20

    def of(self, measure: Measure) -> float:
        """The margin of a measure."""
        margins = {"dice": self.dice, "auroc": self.auroc, "sensitivity": self.sensitivity, "ece": self.ece}
        return margins[measure.kind]


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger may take the place, and a sentence for every measure."""

    accepted: bool
    reasons: tuple[str, ...]


def verdict(measures: Sequence[Measure], limits: Limits = LIMITS) -> Verdict:
    """The verdict on a challenger.

    It is accepted if no measure can be worse than the champion's by its limit or more: the worse end of the interval of
    the difference lies within the limit. Few patients have wide intervals, and show nothing.
    """
    if not measures:
        return Verdict(False, ("nothing was measured on both models",))
    reasons, accepted = [], True
    for measure in measures:
        margin = limits.of(measure)
        told = f"{measure.name}: {measure.champion:.3f} to {measure.challenger:.3f}"
        if measure.low is None or measure.high is None or measure.n < limits.least_patients:
            accepted = False
            reasons.append(f"{told}; {measure.n} patients are too few, {limits.least_patients} are needed")
            continue
        loss = -measure.low if measure.better is Better.HIGHER else measure.high
        if loss >= margin:
            accepted = False
            reasons.append(f"{told}; it may be worse by {max(loss, 0.0):.3f}, the limit is {margin:.3f}")
        else:
            reasons.append(f"{told}; not worse (at most by {max(loss, 0.0):.3f}, the limit is {margin:.3f})")
    return Verdict(accepted, tuple(reasons))
