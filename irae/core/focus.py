"""A hot or new region, before and after its nature is decided. None is ever dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from irae.core.mapping import FrozenMapping


class Nature(Enum):
    """What a focus looks like. INDETERMINATE is an answer: it cannot be told."""

    INFLAMMATION = "inflammation"
    METASTASIS = "metastasis"
    PHYSIOLOGIC = "physiologic"
    INDETERMINATE = "indeterminate"


class FocusStatus(Enum):
    """Against the patient's earlier exams."""

    NEW = "new"
    KNOWN = "known"
    GONE = "gone"


class FocusSource(Enum):
    """The image a focus was found on."""

    PET = "pet"
    CT = "ct"
    MR = "mr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """One region found on one exam, measured, its nature not yet decided.

    Attributes:
        id: Its label in foci.nii.gz, from 1.
        centroid_ras_mm: Centre of mass in RAS+ mm.
        volume_ml: Volume of the region.
        longest_mm: Longest diameter in an axial slice, as a reader would measure it.
        short_mm: Longest diameter at right angles to it, same slice.
        suv_max, suv_peak, suv_mean: g/mL; None without PET. suv_peak: mean in the 1 cm3 sphere placed for the
            highest average (PERCIST).
        tlg: Total lesion glycolysis, g (SUVmean x mL); None without PET.
        organ: Organ that holds most of it (a row of ``core.anatomy``), ``lymph_node``, or None.
        organ_fraction: Share of its voxels inside that organ's mask, 0..1.
        source: The image it was found on.
        track: Its identity over exams (``L07``), once matched.
        status: new, known or gone against earlier exams, once matched.
        is_node: Whether it is measured as a lymph node (short axis).
        features: Further measured features by name (shape, CT correlate, symmetry ...), for attribution.
    """

    id: int
    centroid_ras_mm: tuple[float, float, float]
    volume_ml: float
    longest_mm: float
    short_mm: float
    suv_max: float | None = None
    suv_peak: float | None = None
    suv_mean: float | None = None
    tlg: float | None = None
    organ: str | None = None
    organ_fraction: float = 0.0
    source: FocusSource = FocusSource.PET
    track: str = ""
    status: FocusStatus = FocusStatus.NEW
    is_node: bool = False
    features: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.id < 1 or self.volume_ml < 0 or not 0 <= self.short_mm <= self.longest_mm + 1e-6:
            raise ValueError(
                f"focus {self.id}: need id >= 1, volume >= 0 and short {self.short_mm} <= longest {self.longest_mm} mm"
            )
        object.__setattr__(self, "features", FrozenMapping(self.features))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePart:
    """One feature of the evidence score: its id (F1..F12), its value in words, its points, and why."""

    feature: str
    value: str
    points: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedFocus:
    """A focus whose nature is decided, with the evidence kept.

    Attributes:
        focus: The region.
        nature: inflammation, metastasis, physiologic or indeterminate.
        probabilities: inflammation, metastasis, physiologic; they sum to 1.
        score: Sum of the evidence points; positive speaks for inflammation or physiology.
        outcome: The score's five-step outcome in words (e.g. ``favour metastasis``).
        parts: The evidence, feature by feature.
        reasons: Sentences, the strongest first.
    """

    focus: Focus
    nature: Nature
    probabilities: Mapping[str, float]
    score: float
    outcome: str
    parts: tuple[ScorePart, ...] = ()
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if set(self.probabilities) != {"inflammation", "metastasis", "physiologic"}:
            raise ValueError(f"focus {self.focus.id}: probabilities need the three natures, got {self.probabilities}")
        if abs(sum(self.probabilities.values()) - 1.0) > 1e-6:
            raise ValueError(f"focus {self.focus.id}: probabilities must sum to 1, got {self.probabilities}")
        if not self.reasons:
            raise ValueError(f"focus {self.focus.id}: a nature needs a reason")
        object.__setattr__(self, "probabilities", FrozenMapping(self.probabilities))
