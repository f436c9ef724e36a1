"""What a criterion reads: lesions, visits and one patient's case. Frozen, checked when made, lengths in tenths of mm.

Absent, too small to measure and not evaluated are three different things (rules R11-N3, R11-N5) and have three names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from fractions import Fraction

from irae.response.options import Options

NODE_SITE = "lymph_node"


class CaseError(ValueError):
    """A case that cannot be scored: names the patient, visit, lesion and value at fault.

    Attributes:
        patient, visit, lesion: Where it is; empty where it does not apply.
    """

    def __init__(self, text: str, *, patient: str = "", visit: str = "", lesion: str = "") -> None:
        where = ", ".join(
            f"{name} {value}"
            for name, value in (("patient", patient), ("visit", visit), ("lesion", lesion))
            if value
        )
        super().__init__(f"{where}: {text}" if where else text)
        self.text = text
        self.patient = patient
        self.visit = visit
        self.lesion = lesion


class State(Enum):
    """What was seen of a lesion at a visit."""

    MEASURED = "measured"
    PRESENT = "present"
    ABSENT = "absent"
    TOO_SMALL = "too_small"
    SPLIT = "split"
    MERGED = "merged"
    NOT_EVALUATED = "not_evaluated"
    PROGRESSED = "unequivocal_progression"
    EQUIVOCAL = "equivocal"


class Change(Enum):
    """How a lesion that is not summed changed since the last visit, as the reader says."""

    NEW = "new"
    INCREASED = "increased"
    STABLE = "stable"
    DECREASED = "decreased"
    RESOLVED = "resolved"
    PROGRESSED = "unequivocal_progression"


class Kind(Enum):
    """How a new lesion is followed (rule IR-L1); None in a case means: decide by size."""

    TARGET = "target"
    NON_TARGET = "non_target"


class VisitKind(Enum):
    """The part a visit plays."""

    PREBASELINE = "prebaseline"
    BASELINE = "baseline"
    FOLLOWUP = "followup"
    UNSCHEDULED = "unscheduled"
    SURVIVAL = "survival"


# States that need a number, and where a size may stand.
_TARGET_STATES = frozenset(
    {State.MEASURED, State.ABSENT, State.TOO_SMALL, State.SPLIT, State.MERGED, State.NOT_EVALUATED}
)
_NON_TARGET_STATES = frozenset({State.PRESENT, State.ABSENT, State.NOT_EVALUATED, State.PROGRESSED})
_NEW_STATES = frozenset(
    {State.MEASURED, State.PRESENT, State.ABSENT, State.TOO_SMALL, State.NOT_EVALUATED, State.EQUIVOCAL}
)


def _one_of(id_: str, state: State, allowed: frozenset[State]) -> None:
    if state not in allowed:
        raise CaseError(
            f"state {state.value!r} does not fit here, need one of {', '.join(sorted(s.value for s in allowed))}",
            lesion=id_,
        )


def _sizes(id_: str, longest: int | None, short: int | None) -> None:
    for name, value in (("longest diameter", longest), ("short axis", short)):
        if value is not None and value < 0:
            raise CaseError(f"{name} {value / 10} mm is negative", lesion=id_)
    if longest is not None and short is not None and short > longest:
        raise CaseError(f"short axis {short / 10} mm exceeds the longest diameter {longest / 10} mm", lesion=id_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target lesion at one visit; lengths in tenths of mm.

    ``site`` is the organ as criteria count it (paired organs and all lymph nodes are one each). A node is measured by
    its short axis, anything else by its longest diameter; irRC multiplies both.
    """

    id: str
    site: str = "other"
    is_node: bool = False
    state: State = State.MEASURED
    longest: int | None = None
    short: int | None = None
    fragments: tuple[int, ...] = ()
    merged_into: str = ""
    injected: bool = False
    disease: str = ""  # e.g. ascites: what R11-M3 lists as not measurable

    def __post_init__(self) -> None:
        _one_of(self.id, self.state, _TARGET_STATES)
        _sizes(self.id, self.longest, self.short)
        if self.state is State.MEASURED:
            if self.is_node and self.short is None:
                raise CaseError("a measured node needs its short axis, got none", lesion=self.id)
            if not self.is_node and self.longest is None:
                raise CaseError("a measured lesion needs its longest diameter, got none", lesion=self.id)
        elif self.state is State.SPLIT and not self.fragments:
            raise CaseError("a split lesion needs the size of its fragments, got none", lesion=self.id)
        elif self.state is State.MERGED and not self.merged_into:
            raise CaseError("a merged lesion needs the id of the lesion it merged into", lesion=self.id)
        if any(f < 0 for f in self.fragments):
            raise CaseError(f"fragment {min(self.fragments) / 10} mm is negative", lesion=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NonTarget:
    """One non-target lesion (or group of them) at one visit: seen or not, never summed."""

    id: str
    site: str = "other"
    is_node: bool = False
    state: State = State.PRESENT
    short: int | None = None
    change: Change | None = None

    def __post_init__(self) -> None:
        _one_of(self.id, self.state, _NON_TARGET_STATES)
        _sizes(self.id, None, self.short)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLesion:
    """One lesion that was not there at baseline, at one visit; lengths in tenths of mm."""

    id: str
    site: str = "other"
    is_node: bool = False
    kind: Kind | None = None
    state: State = State.PRESENT
    longest: int | None = None
    short: int | None = None
    change: Change | None = None

    def __post_init__(self) -> None:
        _one_of(self.id, self.state, _NEW_STATES)
        _sizes(self.id, self.longest, self.short)
        if self.state is State.MEASURED:
            if self.is_node and self.short is None:
                raise CaseError("a measured node needs its short axis, got none", lesion=self.id)
            if not self.is_node and self.longest is None:
                raise CaseError("a measured lesion needs its longest diameter, got none", lesion=self.id)

    @property
    def size(self) -> int | None:
        """What is measured of it: the short axis of a node, the longest diameter of anything else."""
        return self.short if self.is_node else self.longest

    @property
    def there(self) -> bool:
        """Seen and called a lesion (not absent, not equivocal, not unseen)."""
        return (
            self.state in (State.MEASURED, State.PRESENT, State.TOO_SMALL) and self.change is not Change.RESOLVED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PetLesion:
    """One FDG-avid lesion on one PET. SUL in g/mL as exact fractions; ``functional_mm``: diameter on fused PET/CT."""

    id: str
    site: str = "other"
    sul_peak: Fraction | None = None
    is_new: bool = False
    attribution: str = "tumour"  # tumour | irae | infection
    background: bool = False  # below liver and indistinguishable from background
    resolved: bool = False
    tlg: Fraction | None = None
    functional_mm: Fraction | None = None

    def __post_init__(self) -> None:
        if self.sul_peak is not None and self.sul_peak < 0:
            raise CaseError(f"SULpeak {float(self.sul_peak)} g/mL is negative", lesion=self.id)
        if self.functional_mm is not None and self.functional_mm < 0:
            raise CaseError(f"functional diameter {float(self.functional_mm)} mm is negative", lesion=self.id)
        if self.attribution not in ("tumour", "irae", "infection", "treatment_effect"):
            raise CaseError(
                f"attribution {self.attribution!r} must be tumour, irae, infection or treatment_effect", lesion=self.id
            )

    @property
    def is_tumour(self) -> bool:
        """Uptake of infection, treatment effect or an irAE is not tumour (rule PER-6)."""
        return self.attribution == "tumour"


@dataclass(frozen=True, slots=True, kw_only=True)
class PetScan:
    """One PET: reference uptake (SUL, g/mL), how it was taken, and its lesions."""

    lesions: tuple[PetLesion, ...] = ()
    liver_mean: Fraction | None = None
    liver_sd: Fraction | None = None
    blood_pool_mean: Fraction | None = None
    blood_pool_sd: Fraction | None = None
    liver_diseased: bool = False
    uptake_min: Fraction | None = None
    scanner: str | None = None
    reconstruction: str | None = None
    visible_extension: bool = False
    tlg: Fraction | None = None  # of all followed lesions, g; where the lesions do not carry their own

    def __post_init__(self) -> None:
        for name in ("liver_mean", "liver_sd", "blood_pool_mean", "blood_pool_sd", "uptake_min"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise CaseError(f"{name} {float(value)} is negative")
        _unique((lesion.id for lesion in self.lesions), "PET lesion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lymphoma:
    """What LYRIC reads at one visit; SPD: sum of the products of diameters, mm2."""

    spd_mm2: Fraction
    new_lesions: int = 0
    max_single_ppd_increase_pct: Fraction = Fraction(0)
    fdg_increase_only: bool = False

    def __post_init__(self) -> None:
        if self.spd_mm2 < 0 or self.new_lesions < 0:
            raise CaseError(f"SPD {float(self.spd_mm2)} mm2 and new lesions {self.new_lesions} must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a table gives instead of lesions: sums, a response by another criterion, clinical dates.

    ``given`` names the facts that the table holds, also where their value is null: ``ttf_days: null`` says that the
    treatment has not failed; without the key nothing is known.
    """

    given: frozenset[str] = frozenset()
    overall: str | None = None
    recist: str | None = None
    sum_mm: Fraction | None = None
    tumour_burden: Fraction | None = None
    sulpeak_change_pct: Fraction | None = None
    new_lesions_organs: tuple[str, ...] = ()
    new_lesions_in_involved_organ: int | None = None
    spread_to_new_organ: bool | None = None
    ttf_days: int | None = None
    ecog: int | None = None
    ecog_change: int | None = None
    pfs_months: Fraction | None = None
    cohort_median_pfs_months: Fraction | None = None


NO_FACTS = Facts()


def _unique(ids: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise CaseError(f"{what} is given twice at one visit", lesion=id_)
        seen.add(id_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Everything recorded on one day of imaging."""

    id: str
    on: date
    kind: VisitKind = VisitKind.FOLLOWUP
    targets: tuple[Target, ...] = ()
    non_targets: tuple[NonTarget, ...] = ()
    new_lesions: tuple[NewLesion, ...] = ()
    pet: PetScan | None = None
    lymphoma: Lymphoma | None = None
    facts: Facts = NO_FACTS
    clinical_deterioration: bool = False
    treatment_stopped: bool = False
    symptom_driven: bool = False

    def __post_init__(self) -> None:
        try:
            _unique([x.id for group in (self.targets, self.non_targets, self.new_lesions) for x in group], "a lesion")
        except CaseError as error:
            raise CaseError(error.text, visit=self.id, lesion=error.lesion) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """How the baseline was imaged, for measurability (rule R11-M1)."""

    modality: str = "CT"
    slice_mm: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What lean body mass needs."""

    sex: str
    weight_kg: float
    height_cm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One patient's visits, oldest first, with the options they are to be scored by.

    Raises:
        CaseError: If dates are out of order, a follow-up names a lesion that the baseline does not know, a lesion
            merged into an unknown one, or a lesion changes from node to non-node.
    """

    id: str
    visits: tuple[Visit, ...]
    options: Options = field(default_factory=Options)
    imaging: Imaging | None = None
    build: Build | None = None
    ask: str = ""

    def __post_init__(self) -> None:
        ids: set[str] = set()
        before: Visit | None = None
        for visit in self.visits:
            if visit.id in ids:
                raise CaseError("the visit is given twice", patient=self.id, visit=visit.id)
            ids.add(visit.id)
            if before is not None and visit.on <= before.on:
                raise CaseError(
                    f"dates are out of order: {visit.on} is not after {before.on} of visit {before.id}",
                    patient=self.id, visit=visit.id,
                )
            before = visit
        baseline = self.baseline
        if baseline is not None:
            self._check_known(baseline)

    def _check_known(self, baseline: Visit) -> None:
        targets = {t.id: t.is_node for t in baseline.targets}
        non_targets = {n.id for n in baseline.non_targets}
        for target in baseline.targets:
            if target.state is not State.MEASURED:
                raise CaseError(
                    f"a target is measured at baseline, got {target.state.value}",
                    patient=self.id, visit=baseline.id, lesion=target.id,
                )
        for visit in self.followups:
            for target in visit.targets:
                if target.id not in targets:
                    raise CaseError(
                        "unknown target: the baseline does not have it (record it as a new lesion)",
                        patient=self.id, visit=visit.id, lesion=target.id,
                    )
                if target.is_node is not targets[target.id]:
                    raise CaseError(
                        "is a node at one visit and not at another", patient=self.id, visit=visit.id, lesion=target.id
                    )
                if target.merged_into and target.merged_into not in targets:
                    raise CaseError(
                        f"merged into unknown target {target.merged_into}",
                        patient=self.id, visit=visit.id, lesion=target.id,
                    )
            for lesion in visit.non_targets:
                if lesion.id not in non_targets:
                    raise CaseError(
                        "unknown non-target: the baseline does not have it (record it as a new lesion)",
                        patient=self.id, visit=visit.id, lesion=lesion.id,
                    )

    @property
    def baseline(self) -> Visit | None:
        """The baseline visit; None where a case starts with given responses."""
        return next((v for v in self.visits if v.kind is VisitKind.BASELINE), None)

    @property
    def followups(self) -> tuple[Visit, ...]:
        """Visits that get an answer."""
        return tuple(v for v in self.visits if v.kind in (VisitKind.FOLLOWUP, VisitKind.UNSCHEDULED))

    @property
    def reference_date(self) -> date | None:
        """Day zero: the option's date, else the baseline's."""
        if self.options.reference_date is not None:
            return self.options.reference_date
        baseline = self.baseline
        return None if baseline is None else baseline.on


Reason = tuple[str, str]
Value = bool | int | float | str | None | tuple[str, ...] | date


@dataclass(frozen=True, slots=True)
class Answer:
    """One criterion's answer at one visit.

    Attributes:
        tp: The visit's id.
        on: Its date.
        overall: The criterion's own word; None: not scored.
        values: Everything else it says, by the keys of the case format (``target``, ``sum_mm``, ...).
        flags: Short machine-readable remarks.
        reasons: (rule id, sentence) in the order applied.
    """

    tp: str
    on: date
    overall: str | None
    values: Mapping[str, Value]
    flags: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """All answers of one criterion for one patient, and what they come to."""

    answers: tuple[Answer, ...]
    summary: Mapping[str, Value]
    reasons: tuple[Reason, ...] = ()


def site_key(organ: str, is_node: bool) -> str:
    """The organ as RECIST counts it: paired organs are one, all lymph nodes are one (EORTC FAQ "Paired organs").

    >>> site_key("left_lung", False), site_key("lung_right", False), site_key("axillary_node", True)
    ('lung', 'lung', 'lymph_node')
    """
    if is_node or organ == "node" or organ.endswith(("_node", "_nodes")):
        return NODE_SITE
    words = [w for w in organ.lower().replace(" ", "_").split("_") if w not in ("left", "right")]
    return "_".join(words) or "other"


