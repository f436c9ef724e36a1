"""Every cut-off of the rule arm: value, unit, what it is taken over, source, and how well it did.

Log-odds weights (``if_met``, ``if_not``) are ln LR+ and ln LR- of the source's sensitivity and specificity where it
gives them, shrunk by half where the cohort is small or a later prospective study did worse; all others are design
values and say so. Linearly between them over +-``span`` around the cut-off, so that a number just past a cut-off
counts little and one far past it counts in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae
from irae.core.numbers import exceeds, reaches

DESIGN = "design value"


class Relation(Enum):
    """How a value is held against a cut-off."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff:
    """One published or design cut-off.

    Attributes:
        value: The limit.
        relation: Which side of it is the sign.
        unit: Unit of the measured number.
        source: Where the value comes from.
        performance: What the source, and later ones, found it to be worth; honest.
    """

    value: float
    relation: Relation
    unit: str
    source: str
    performance: str = ""

    def met(self, value: float) -> bool:
        """Whether a value shows the sign.

        >>> Cutoff(value=2.7, relation=Relation.ABOVE, unit="g/mL", source="x").met(2.7)
        False
        """
        match self.relation:
            case Relation.ABOVE:
                return exceeds(value, self.value)
            case Relation.AT_LEAST:
                return reaches(value, self.value)
            case Relation.BELOW:
                return not reaches(value, self.value)
            case Relation.AT_MOST:
                return not exceeds(value, self.value)

    @property
    def reference(self) -> str:
        """For people: ``> 2.7``."""
        return f"{self.relation.value} {self.value:g}"

    @property
    def upward(self) -> bool:
        """Whether larger values are the sign."""
        return self.relation in (Relation.ABOVE, Relation.AT_LEAST)


def cutoff_of(relation: str, value: float, unit: str, source: str = DESIGN, performance: str = "") -> Cutoff:
    """A cut-off as tables write it.

    >>> cutoff_of(">", 2.7, "g/mL").reference
    '> 2.7'
    """
    return Cutoff(value=value, relation=Relation(relation), unit=unit, source=source, performance=performance)


class Change(Enum):
    """What of a quantity is held against the cut-off."""

    ABSOLUTE = "now"
    PERCENT = "change from own baseline, %"
    DIFFERENCE = "change from own baseline"
    RATIO = "ratio to own baseline"


class Modality(Enum):
    """The image a sign is read on."""

    CT = "CT"
    PET = "PET"
    MR = "MR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign of an irAE.

    Attributes:
        name: The evidence's name in results.
        quantity: Which measurement (``colon.suv95``).
        change: The measurement itself, or its change against the patient's own baseline.
        cutoff: The limit.
        modality: The image it is read on.
        group: Signs of one group say much the same; only the strongest of a group counts.
        if_met, if_not: Log-odds far past the cut-off, and far short of it.
        span: Distance from the cut-off at which they are reached in full, in the cut-off's unit.
        phase_bound: CT attenuation: comparable only in the same contrast phase.
        native_only: CT attenuation that means something without contrast only.
        needs: Another quantity, and the least value at which this one can be believed.
        read_percent: The quantity that says along how much of the organ this one was read, percent: where the sign is
            not met, it speaks against the irAE by that share only. Empty: of the whole organ.
        least_left: A volume, and the least share of the baseline's that a diseased organ keeps: where less is left, the
            mask missed the organ, and no change of it is judged.
        shown_only: Listed as evidence, counts nothing (a complication, a mimic).
        cutoff_men: The cut-off for men, where it depends on sex; ``cutoff`` is the women's and holds where the sex
            is unknown.
    """

    name: str
    quantity: str
    cutoff: Cutoff
    modality: Modality
    group: str
    if_met: float
    if_not: float
    span: float
    change: Change = Change.ABSOLUTE
    phase_bound: bool = False
    native_only: bool = False
    needs: tuple[str, float] | None = None
    read_percent: str = ""
    least_left: tuple[str, float] | None = None
    shown_only: bool = False
    cutoff_men: Cutoff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityStep:
    """A radiological severity that a measurement reaches.

    Attributes:
        severity, quantity, cutoff, change: Which, and from where on.
        unless: A better measurement that replaces this one.
        unless_needs: Another quantity, and the least value at which the better one speaks for the whole organ.
        late: It counts in the late phase only, where the sign of the same change of the same measurement is met.
    """

    severity: int
    quantity: str
    cutoff: Cutoff
    change: Change = Change.ABSOLUTE
    unless: str = ""
    unless_needs: tuple[str, float] | None = None
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The late phase of a disease that burns out: what remains of it, and what falls silent.

    Attributes:
        signs: Signs that remain, any of them.
        silent: The group that falls silent then, and no longer speaks against the disease.
        known: Log-odds added where an earlier exam suspected the disease. Design value.
        phase: What it is called, for the reader.
        untold: What is said where none of the signs can be judged after a known episode.
    """

    signs: tuple[str, ...]
    silent: str
    known: float
    phase: str
    untold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IraeRules:
    """The rule arm of one irAE.

    Attributes:
        irae: Which.
        prior: Log-odds before any sign. Design value.
        onset_weeks: Weeks since the first dose in which it is expected (Table of onset; design window).
        signs: All signs.
        severity: Steps, any order; the highest that is reached counts, 1 at least once suspected.
        visible: What imaging cannot see, for the reader.
        required: Groups of which a sign must be met, each, before it is suspected at all.
        place: What it is looked for in, where that is no organ of the table (``lymph_node``, ``joint`` ...).
        partly_seen: What of its place is never seen, where that is so: without a required sign it is not assessable.
        aftermath: Its late phase, where it has one.
    """

    irae: AnyIrae
    prior: float
    onset_weeks: tuple[float, float]
    signs: tuple[Sign, ...]
    severity: tuple[SeverityStep, ...]
    visible: str
    required: tuple[str, ...] = ()
    place: str = ""
    partly_seen: str = ""
    aftermath: Aftermath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRules:
    """What holds for all irAEs. All design values.

    Attributes:
        threshold: Probability of the rule arm at which an irAE is suspected.
        outside_onset: Log-odds outside the onset window.
        before_therapy: Log-odds before the first dose: there is nothing to be related to yet.
        confounder: Log-odds for an active infection, or recent radiotherapy of the organ's region.
        phase_hu: Aortic attenuation of two CTs may differ by this much for their phases to match.
        native_hu: Aortic attenuation up to which a CT counts as native.
        blood_pool_change: A blood pool that moved by more than this (g/mL) between two PETs means that they are not
            comparable: changes of uptake are not judged. A patient's own range is -0.85..+0.85 (Boktor 2013).
        baseline_grace_days: A scan this soon after the first dose still counts as baseline.
        metformin_days, gcsf_days, infection_days, radiotherapy_days: How long after its end each still confounds.
        improving_severity: Severity steps an ongoing episode must fall by to be called improving.
    """

    threshold: float = 0.5
    outside_onset: float = -1.0
    before_therapy: float = -4.0
    confounder: float = -0.7
    phase_hu: float = 30.0
    native_hu: float = 75.0
    blood_pool_change: float = 0.85
    baseline_grace_days: int = 7
    metformin_days: int = 3
    gcsf_days: int = 30
    infection_days: int = 28
    radiotherapy_days: int = 182
    improving_severity: int = 1


COMMON = CommonRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRules:
    """How the two arms become one probability: a weighted mean of their log-odds.

    Design weights until a calibrated fusion is fitted: an uncalibrated learned score counts less than the cited rules.
    """

    learned_weight: float = 0.5
    uncalibrated_weight: float = 0.3


FUSION = FusionRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """All rules of the arm together; ``irae.findings.tables.RULE_SET`` is the one that is shipped.

    iraes: The five that are always answered. further: Those answered by rules alone.
    """

    iraes: Mapping[Irae, IraeRules]
    further: Mapping[FurtherIrae, IraeRules]
    common: CommonRules = COMMON
    fusion: FusionRules = FUSION
