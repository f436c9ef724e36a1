"""What a learned model is told of a focus: one table of names, units, and the subject each belongs to in the reasons.

Features of the clinical reference 2.2 (the evidence points F1-F12) and 2.3 (their measurements). Left out on purpose:
coordinates and heights in the body (a model learns where lesions were drawn or annotated), dates, the number of the
exam, and the weeks since therapy other than through F7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from irae.attribution.gates import Gate
from irae.attribution.rules import IRAE_SITE, EvidenceRules
from irae.attribution.situation import Situation, is_hilar, is_opacity
from irae.core.anatomy import site_of
from irae.core.focus import Focus, FocusStatus, Nature, ScorePart


class Subject(Enum):
    """What a feature is about, in the words of a report."""

    UPTAKE = "uptake"
    SIZE = "size"
    SHAPE = "shape"
    CT = "look on CT"
    PLACE = "place"
    PATTERN = "pattern"
    COURSE = "course over time"
    THERAPY = "therapy and confounders"
    OTHERS = "other lesions and irAEs"
    EVIDENCE = "evidence score"


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """All that a feature may look at."""

    focus: Focus
    gate: Gate | None
    points: Mapping[str, float]
    now: Situation
    rules: EvidenceRules


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of the table. value: None where it is not known or does not apply."""

    name: str
    unit: str
    subject: Subject
    value: Callable[[View], float | None]


def _measured(name: str, unit: str, subject: Subject) -> Feature:
    """A measurement kept in ``Focus.features``."""
    return Feature(name, unit, subject, lambda v: v.focus.features.get(name))


def _points(name: str, subject: Subject) -> Feature:
    """Evidence points; 0 where the feature could not be judged, as in the sum."""
    return Feature(name, "points", subject, lambda v: v.points.get(name, 0.0))


def _site(*sites: str) -> Feature:
    return Feature(f"in_{sites[0]}", "1", Subject.PLACE, lambda v: float(site_of(v.focus.organ) in sites))


def _told(name: str) -> Feature:
    """A confounder of the context; not known where no therapy is known, for then no context was given."""
    return Feature(name, "1", Subject.THERAPY, lambda v: float(getattr(v.now, name)) if _context(v) else None)


def _context(view: View) -> bool:
    return view.now.weeks is not None or view.now.before_therapy


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _own_irae(view: View) -> float | None:
    """Probability of the irAE of the focus's own organ: its own, 0 where it was assessed and not suspected."""
    irae = IRAE_SITE.get(site_of(view.focus.organ))
    if irae is None:
        return None
    return view.now.suspected.get(irae, 0.0 if irae in view.now.cleared else None)


def _before(view: View, nature: Nature) -> float | None:
    earlier = view.now.earlier.get(view.focus.track)
    return None if earlier is None else float(earlier[0].nature is nature)


FEATURE_TABLE: tuple[Feature, ...] = (
    Feature("suv_max", "g/mL", Subject.UPTAKE, lambda v: v.focus.suv_max),
    Feature("suv_peak", "g/mL", Subject.UPTAKE, lambda v: v.focus.suv_peak),
    Feature("suv_mean", "g/mL", Subject.UPTAKE, lambda v: v.focus.suv_mean),
    Feature("suv_evenness", "1", Subject.UPTAKE, lambda v: _share(v.focus.suv_mean, v.focus.suv_max)),
    _measured("liver_ratio", "1", Subject.UPTAKE),
    _measured("blood_pool_ratio", "1", Subject.UPTAKE),
    _measured("contrast", "1", Subject.UPTAKE),
    _measured("background_suv", "g/mL", Subject.UPTAKE),
    _points("F3", Subject.UPTAKE),
    Feature("longest_mm", "mm", Subject.SIZE, lambda v: v.focus.longest_mm),
    Feature("short_mm", "mm", Subject.SIZE, lambda v: v.focus.short_mm),
    Feature("volume_ml", "mL", Subject.SIZE, lambda v: v.focus.volume_ml),
    Feature("short_long", "1", Subject.SHAPE, lambda v: _share(v.focus.short_mm, v.focus.longest_mm)),
    _measured("sphericity", "1", Subject.SHAPE),
    _measured("elongation", "1", Subject.SHAPE),
    _measured("length_mm", "mm", Subject.SHAPE),
    _measured("vertical_mm", "mm", Subject.SHAPE),
    _points("F2", Subject.SHAPE),
    _points("F6", Subject.SHAPE),
    *(_measured(name, unit, Subject.CT) for name, unit in (
        ("size_from_ct", "1"), ("ct_nodule_mm", "mm"), ("ct_hu_mean", "HU"), ("ct_hu_sd", "HU"), ("ct_hu_core", "HU"),
        ("fat_fraction", "1"), ("bone_fraction", "1"), ("rim_bone_fraction", "1"), ("lytic_fraction", "1"),
        ("ground_glass_fraction", "1"), ("consolidation_fraction", "1"), ("air_fraction", "1"),
        ("rim_lung_fraction", "1"), ("rim_ground_glass_fraction", "1"), ("rim_fat_fraction", "1"),
        ("rim_soft_fraction", "1"),
    )),
    Feature("wall_mm", "mm", Subject.CT,
            lambda v: v.now.quantities.get(f"{v.focus.organ}.wall_mm") if v.focus.organ else None),
    _points("F5", Subject.CT),
    Feature("organ_fraction", "1", Subject.PLACE, lambda v: v.focus.organ_fraction),
    _site("lung"), _site("liver"), _site("bone"), _site("lymph_node"), _site("colon", "small_bowel"),
    _site("thyroid"), _site("other"),
    Feature("hilar", "1", Subject.PLACE, lambda v: float(is_hilar(v.focus))),
    _measured("head_neck", "1", Subject.PLACE),
    _measured("off_ureter_mm", "mm", Subject.PLACE),
    _measured("off_renal_hilum_mm", "mm", Subject.PLACE),
    *(Feature(f"gate_{nature.value}", "1", Subject.PLACE,
              lambda v, nature=nature: float(v.gate is not None and v.gate.nature is nature))  # type: ignore[misc]
      for nature in Nature if nature is not Nature.METASTASIS),
    _measured("picture", "1", Subject.PATTERN),
    Feature("opacity", "1", Subject.PATTERN, lambda v: float(is_opacity(v.focus, v.rules))),
    _measured("organ_share", "1", Subject.PATTERN),
    _measured("symmetry", "1", Subject.PATTERN),
    Feature("opacity_share", "1", Subject.PATTERN, lambda v: v.now.opacity_share),
    Feature("lung_symmetry", "1", Subject.PATTERN, lambda v: v.now.lung_symmetry),
    Feature("hilar_pair", "1", Subject.PATTERN, lambda v: float(v.now.hilar_pair)),
    _measured("foci_within_60_mm", "1", Subject.PATTERN),
    _measured("nearest_focus_mm", "mm", Subject.PATTERN),
    _points("F1", Subject.PATTERN),
    _points("F4", Subject.PATTERN),
    Feature("new_since_before", "1", Subject.COURSE,
            lambda v: None if v.now.first_exam else float(v.focus.status is FocusStatus.NEW)),
    _measured("longest_change_mm", "mm", Subject.COURSE),
    _measured("volume_ratio", "1", Subject.COURSE),
    _measured("suv_peak_ratio", "1", Subject.COURSE),
    Feature("was_metastasis", "1", Subject.COURSE, lambda v: _before(v, Nature.METASTASIS)),
    Feature("was_physiologic", "1", Subject.COURSE, lambda v: _before(v, Nature.PHYSIOLOGIC)),
    _points("F10", Subject.COURSE),
    Feature("before_therapy", "1", Subject.THERAPY, lambda v: float(v.now.before_therapy) if _context(v) else None),
    *(_told(name) for name in ("combination", "metformin", "gcsf", "steroid", "vaccinated", "infected")),
    Feature("irradiated", "1", Subject.THERAPY, lambda v: float(bool(v.now.radiation_sites)) if _context(v) else None),
    _points("F7", Subject.THERAPY),
    Feature("own_irae", "1", Subject.OTHERS, _own_irae),
    Feature("suspected_iraes", "1", Subject.OTHERS, lambda v: float(len(v.now.suspected))),
    Feature("growing", "1", Subject.OTHERS, lambda v: float(len(v.now.growing - {v.focus.track}))),
    Feature("shrinking", "1", Subject.OTHERS, lambda v: float(len(v.now.shrinking - {v.focus.track}))),
    _points("F8", Subject.OTHERS),
    _points("F9", Subject.OTHERS),
    _points("F12", Subject.OTHERS),
    Feature("evidence_score", "points", Subject.EVIDENCE, lambda v: math.fsum(v.points.values())),
)
SUBJECT: Mapping[str, Subject] = {feature.name: feature.subject for feature in FEATURE_TABLE}


def feature_row(
    focus: Focus, gate: Gate | None, parts: Sequence[ScorePart], now: Situation, rules: EvidenceRules
) -> dict[str, float]:
    """The known features of a focus, by name."""
    view = View(focus, gate, {part.feature: part.points for part in parts}, now, rules)
    values = ((feature.name, feature.value(view)) for feature in FEATURE_TABLE)
    return {name: float(value) for name, value in values if value is not None and math.isfinite(value)}


def in_words(subject: Subject, focus: Focus, row: Mapping[str, float], parts: Sequence[ScorePart]) -> str:
    """What is known of a focus on one subject, for a reader; empty where there is nothing to say."""
    said = {part.feature: part for part in parts if part.points}
    match subject:
        case Subject.UPTAKE:
            if focus.suv_max is None:
                return "no PET"
            times = row.get("liver_ratio")
            return f"SUVmax {focus.suv_max:.1f} g/mL" + ("" if times is None else f", {times:.1f} times the liver")
        case Subject.SIZE:
            return f"{focus.longest_mm:.0f} x {focus.short_mm:.0f} mm, {focus.volume_ml:.1f} mL"
        case Subject.SHAPE:
            sphericity = row.get("sphericity")
            words = [] if sphericity is None or "F2" in said else [f"sphericity {sphericity:.2f}"]
            return ", ".join([*words, *(said[f].value for f in ("F2", "F6") if f in said)])
        case Subject.CT:
            return said["F5"].value if "F5" in said else _tissue(row)
        case Subject.PLACE:
            return "outside all organs" if focus.organ is None else focus.organ.replace("_", " ")
        case Subject.PATTERN:
            words = ["the uptake of a whole organ"] if row.get("picture") else []
            words += ["an opacity of the lung"] if row.get("opacity") else []
            words += [f"symmetry {row['symmetry']:.1f}"] if "symmetry" in row else []
            return ", ".join([*words, *(said[f].value for f in ("F1",) if f in said)]) or "a single focus"
        case Subject.COURSE:
            return _course(focus, row)
        case Subject.THERAPY:
            names = [n for n in ("metformin", "gcsf", "vaccinated", "infected", "irradiated") if row.get(n)]
            return ", ".join([*(["before therapy"] if row.get("before_therapy") else []), *names,
                              *(said[f].value for f in ("F7",) if f in said)])
        case Subject.OTHERS:
            return "; ".join(said[f].value for f in ("F8", "F9", "F12") if f in said)
        case Subject.EVIDENCE:
            return f"{row['evidence_score']:+.1f} points"


def _tissue(row: Mapping[str, float]) -> str:
    if "ct_hu_mean" not in row:
        return "not seen on CT"
    shares = {"fat": "fat_fraction", "bone": "bone_fraction", "ground glass": "ground_glass_fraction",
              "air": "air_fraction"}
    most = max(shares, key=lambda name: row.get(shares[name], 0.0))
    share = row.get(shares[most], 0.0)
    return f"mean {row['ct_hu_mean']:.0f} HU" + (f", {100 * share:.0f} % {most}" if share >= 0.3 else "")


def _course(focus: Focus, row: Mapping[str, float]) -> str:
    if "longest_change_mm" in row:
        times = row.get("suv_peak_ratio")
        return f"{row['longest_change_mm']:+.0f} mm" + ("" if times is None else f", SUVpeak x {times:.1f}")
    if row.get("new_since_before"):
        return "new since the last exam"
    return "first exam" if "new_since_before" not in row else focus.status.value
