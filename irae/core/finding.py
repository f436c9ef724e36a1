"""What is said about one organ and one irAE at one exam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from irae.core.anatomy import AnyIrae, Irae
from irae.core.mapping import FrozenMapping
from irae.core.volume import Quantity, Volume


class Decision(Enum):
    """The answer for one irAE."""

    SUSPECTED = "suspected"
    NOT_SUSPECTED = "not_suspected"
    NOT_ASSESSABLE = "not_assessable"


class EpisodeState(Enum):
    """Where an irAE episode stands at this exam."""

    NEW = "new"
    ONGOING = "ongoing"
    IMPROVING = "improving"
    RESOLVED = "resolved"
    RECURRENT = "recurrent"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number measured on an organ, with its unit; ``value`` None where it could not be, and ``why`` not."""

    value: float | None
    unit: str
    why: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Quantities:
    """Everything measured on the organs of one exam, by name (e.g. ``colon.suv95``, ``thyroid_gland.volume_ml``).

    Names are ``<organ>.<measure>``; units are g/mL, mL, mm, HU, % or 1. They are kept in the result so that a later
    exam can compare with the patient's own baseline without the images.
    """

    values: Mapping[str, Measured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", FrozenMapping(self.values))

    def get(self, name: str) -> float | None:
        """The number; None where it was not measured."""
        measured = self.values.get(name)
        return None if measured is None else measured.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measurement held against one published (or design) cut-off.

    ``met`` is None where the sign could not be judged (no baseline, phase mismatch, confounder gate).
    """

    name: str
    value: float | None
    unit: str
    reference: str
    source: str
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScore:
    """The learned arm's answer for one irAE.

    Attributes:
        irae: Which.
        probability, threshold: 0..1; at or above the threshold the arm suspects the irAE.
        calibrated: Whether the probability is one.
        model: Digest of its package.
        severity: Radiological severity 0-3; None where the network gives none.
        compared: Whether the patient's baseline was seen beside the exam.
        evidence_map: Where the network looked, 0..1 on its crop's grid; None under the threshold, or where it cannot be
            told.
    """

    irae: Irae
    probability: float
    threshold: float
    calibrated: bool
    model: str
    severity: int | None = None
    compared: bool = False
    evidence_map: Volume | None = None

    def __post_init__(self) -> None:
        if self.severity is not None and not 0 <= self.severity <= 3:
            raise ValueError(f"{self.irae.value}: learned severity must be 0..3, got {self.severity}")
        if self.evidence_map is not None and self.evidence_map.quantity is not Quantity.RELEVANCE:
            raise ValueError(f"{self.irae.value}: an evidence map holds {Quantity.RELEVANCE.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformalSet:
    """The answers that cannot be ruled out with the stated coverage (split-conformal).

    Attributes:
        coverage: Share of patients like the calibration patients whose true answer is in their set, 0..1.
        suspected, not_suspected: Whether each answer is in the set. Both or neither: the case is uncertain.
    """

    coverage: float
    suspected: bool
    not_suspected: bool

    @property
    def uncertain(self) -> bool:
        """Whether the set does not single out one answer."""
        return self.suspected == self.not_suspected


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganFinding:
    """The answer for one irAE at one exam, with everything it rests on.

    Attributes:
        irae: Which irAE.
        organ: The organ it was looked for in (the first mask of the irAE, e.g. ``colon``), or ``lymph_node``,
            ``joint``, ``bile_duct``, ``muscle``.
        decision: suspected, not_suspected or not_assessable.
        probability: 0..1; None when not assessable.
        threshold: At or above it the irAE is suspected; None when not assessable.
        severity: Radiological severity 0-3; never a CTCAE grade. 0 unless suspected.
        state: Where the episode stands, given earlier exams.
        evidence: Measurements against cut-offs, each with its source.
        reasons: Sentences, the strongest first.
        rule_probability, learned_probability: The two arms before fusion; None where an arm had no answer.
        conformal: What a fitted fusion cannot rule out; None where the fusion is not a fitted one.

    Raises:
        ValueError: If probability or severity is out of range or contradicts the decision.
    """

    irae: AnyIrae
    organ: str
    decision: Decision
    probability: float | None
    threshold: float | None
    severity: int
    state: EpisodeState = EpisodeState.NONE
    evidence: tuple[Evidence, ...] = ()
    reasons: tuple[str, ...] = ()
    rule_probability: float | None = None
    learned_probability: float | None = None
    conformal: ConformalSet | None = None

    def __post_init__(self) -> None:
        assessable = self.decision is not Decision.NOT_ASSESSABLE
        if assessable != (self.probability is not None) or assessable != (self.threshold is not None):
            raise ValueError(f"{self.irae.value}: probability and threshold go with an assessable decision, only")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"{self.irae.value}: probability must be in 0..1, got {self.probability}")
        if not 0 <= self.severity <= 3 or (self.severity > 0) != (self.decision is Decision.SUSPECTED):
            raise ValueError(f"{self.irae.value}: severity {self.severity} does not fit {self.decision.value}")
        if not self.reasons:
            raise ValueError(f"{self.irae.value}: a decision needs a reason")
