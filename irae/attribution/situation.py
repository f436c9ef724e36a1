"""What is known around a focus: the patient's therapy and confounders, the other foci, the earlier exams."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from irae.attribution.rules import COMMON_SITES, EvidenceRules
from irae.core.anatomy import Irae, site_of
from irae.core.context import ContextKind, PatientContext
from irae.core.finding import Decision, OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.numbers import exceeds, reaches
from irae.core.result import ExamResult

LUNG_SITE, NODE_SITE, BONE_SITE, ADRENAL_SITE = "lung", "lymph_node", "bone", "adrenal"
OUTSIDE_ORGANS = (None, NODE_SITE, ADRENAL_SITE)  # in no mask: what these are is told by place and CT alone


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Situation:
    """Everything the evidence score asks about, gathered once per exam.

    Attributes:
        on: Date of the exam.
        foci: Its foci, matched.
        suspected: irAEs that this exam's findings suspect, with probability.
        cleared: irAEs that were assessed and not suspected.
        quantities: Organ measurements.
        weeks: Weeks since the first checkpoint inhibitor; None before it or where unknown.
        before_therapy: True where the therapy is known to begin after this exam.
        combination: Whether anti-CTLA-4 is given together with another class.
        metformin, gcsf, steroid, vaccinated, infected: Whether the confounder holds on the day.
        radiation_sites: Texts of radiotherapy sites within the window.
        metastatic: Sites where this tumour often spreads.
        earlier: Track to its newest earlier attribution that is not GONE, and that exam's date and therapy weeks.
        tumours: Tracks that an earlier exam called metastasis, or left open but held for one rather than anything else.
        first_exam: Whether there is no earlier exam.
        growing, shrinking: Tracks of known lesions that grew or shrank.
        opacity_share: Share of both lungs that opacities (not nodules) take; lung_symmetry: of left and right.
        hilar_pair: Whether there are hilar nodes alike on both sides.
        unseen: Organs whose masks were not found or not believed.
        healed: irAEs that an earlier exam suspected and that this one clears.
        therapy_from: Start of the newest anticancer drug; None where no therapy is known.
    """

    on: date
    foci: tuple[Focus, ...]
    suspected: Mapping[Irae, float]
    cleared: frozenset[Irae]
    quantities: Quantities
    weeks: float | None
    before_therapy: bool
    combination: bool
    metformin: bool
    gcsf: bool
    steroid: bool
    vaccinated: bool
    infected: bool
    radiation_sites: tuple[str, ...]
    metastatic: frozenset[str]
    earlier: Mapping[str, tuple[AttributedFocus, date, bool]]
    tumours: frozenset[str]
    first_exam: bool
    growing: frozenset[str]
    shrinking: frozenset[str]
    opacity_share: float
    lung_symmetry: float | None
    hilar_pair: bool
    unseen: frozenset[str]
    healed: frozenset[Irae]
    therapy_from: date | None


def situation(
    foci: Sequence[Focus],
    *,
    findings: Sequence[OrganFinding],
    quantities: Quantities,
    context: PatientContext,
    on: date,
    earlier: Sequence[ExamResult],
    unseen: Collection[str],
    rules: EvidenceRules,
) -> Situation:
    """Gathers the situation of one exam."""
    past = sorted((e for e in earlier if e.acquired_on <= on), key=lambda e: e.acquired_on)
    tracks: dict[str, tuple[AttributedFocus, date, bool]] = {}
    for exam in past:
        untreated = context.weeks_since_immunotherapy(exam.acquired_on) is None and _therapy_ever(context)
        for attributed in exam.foci:
            if attributed.focus.track and attributed.focus.status is not FocusStatus.GONE:
                tracks[attributed.focus.track] = (attributed, exam.acquired_on, untreated)
    tumours = {t for t, (a, _, _) in tracks.items() if a.nature is Nature.METASTASIS}
    growing = frozenset(f.track for f in foci if f.track in tumours and grew(f, rules))
    shrinking = frozenset(f.track for f in foci if f.track in tumours and _shrank(f, tracks, rules))
    opacities = [f for f in foci if is_opacity(f, rules) and f.status is not FocusStatus.GONE]
    sides = [sum(f.features.get("organ_share", 0.0) for f in opacities if f.organ == lung)
             for lung in ("lung_left", "lung_right")]
    weeks = context.weeks_since_immunotherapy(on)
    tumour = (context.latest(ContextKind.TUMOUR, on) or "").lower()
    sites = [s for name, s in rules.metastatic_sites.items() if name in tumour]
    classes = {c.name for c in context.therapy_classes(on)}
    cleared = frozenset(
        f.irae for f in findings if f.decision is Decision.NOT_SUSPECTED and isinstance(f.irae, Irae)
    )
    return Situation(
        on=on,
        foci=tuple(foci),
        suspected={
            f.irae: f.probability or 0.0
            for f in findings if f.decision is Decision.SUSPECTED and isinstance(f.irae, Irae)
        },
        cleared=cleared,
        quantities=quantities,
        weeks=weeks,
        before_therapy=weeks is None and _therapy_ever(context),
        combination="CTLA4" in classes and len(classes) > 1,
        metformin=bool(context.active(ContextKind.METFORMIN, on, within_days=rules.metformin_days)),
        gcsf=bool(context.active(ContextKind.GCSF, on, within_days=rules.gcsf_days)),
        steroid=bool(context.active(ContextKind.STEROID, on)),
        vaccinated=bool(context.active(ContextKind.VACCINATION, on, within_days=rules.vaccination_days)),
        infected=bool(context.active(ContextKind.INFECTION, on, within_days=rules.infection_days)),
        radiation_sites=tuple(
            e.value.lower() for e in context.active(ContextKind.RADIOTHERAPY, on, within_days=rules.radiation_days)
        ),
        metastatic=sites[0] if sites else COMMON_SITES,
        earlier=tracks,
        tumours=frozenset(a.focus.track for exam in past for a in exam.foci if a.focus.track and _held_for_tumour(a)),
        first_exam=not past,
        growing=growing,
        shrinking=shrinking,
        opacity_share=sum(sides) / 2.0,
        lung_symmetry=1.0 - abs(sides[0] - sides[1]) / sum(sides) if sum(sides) > 0 else None,
        hilar_pair=any(is_hilar(f) and reaches(f.features.get("symmetry", 0.0), rules.symmetric) for f in foci),
        unseen=frozenset(unseen),
        healed=frozenset(
            f.irae for exam in past for f in exam.findings
            if f.decision is Decision.SUSPECTED and isinstance(f.irae, Irae) and f.irae in cleared
        ),
        therapy_from=max(
            (e.start for e in context.entries
             if e.kind is ContextKind.THERAPY and e.start is not None and e.start <= on), default=None,
        ),
    )


def _held_for_tumour(attributed: AttributedFocus) -> bool:
    open_ = attributed.nature is Nature.INDETERMINATE and attributed.probabilities[Nature.METASTASIS.value] > 0.5
    return attributed.nature is Nature.METASTASIS or open_


def _therapy_ever(context: PatientContext) -> bool:
    return bool(context.therapy_classes(date.max))


def is_opacity(focus: Focus, rules: EvidenceRules) -> bool:
    """Whether a lung focus is an opacity (ground glass, or consolidation without a nodule's round border)."""
    if site_of(focus.organ) != LUNG_SITE:
        return False
    get = focus.features.get
    if get("picture", 0.0) > 0:
        return True
    halo = reaches(get("rim_ground_glass_fraction", 0.0), rules.halo_ground_glass)
    if get("size_from_ct", 0.0) > 0 and get("sphericity", 0.0) >= rules.blob_sphericity:
        return halo
    if halo and get("sphericity", 1.0) < rules.ball_sphericity:
        return True
    if reaches(get("ground_glass_fraction", 0.0), rules.opacity_ground_glass):
        return True
    # A part of a larger opacity: no aerated lung, but more opacity around it.
    if (reaches(get("rim_ground_glass_fraction", 0.0), rules.within_opacity)
            and get("rim_lung_fraction", 1.0) <= rules.within_opacity_lung):
        return True
    ragged = get("sphericity", 1.0) < rules.blob_sphericity and focus.longest_mm > rules.blob_mm
    return ragged and get("consolidation_fraction", 0.0) >= 0.3


def is_hilar(focus: Focus) -> bool:
    """Whether a node lies at a hilum or in the mediastinum."""
    if site_of(focus.organ) != NODE_SITE:
        return False
    height = focus.features.get("height_in_lungs")
    return height is not None and 0.2 <= height <= 0.95 and abs(focus.features.get("off_midline_mm", 0.0)) <= 75.0


def was_tumour(focus: Focus, now: Situation) -> bool:
    """Whether an earlier exam held this very look for a metastasis."""
    before = now.earlier.get(focus.track)
    return before is not None and focus.track in now.tumours and same_look(before[0].focus, focus)


def same_look(before: Focus, after: Focus) -> bool:
    """Whether two looks at one track may be compared: both focal, or both an organ's picture of like extent.

    A spot in an organ and the later picture of the whole organ are not one thing, whatever track they share.
    """
    pictures = bool(before.features.get("picture")), bool(after.features.get("picture"))
    if not all(pictures):
        return not any(pictures)
    shares = before.features.get("organ_share", 0.0), after.features.get("organ_share", 0.0)
    return min(shares) >= 0.5 * max(shares)


def grew(focus: Focus, rules: EvidenceRules) -> bool:
    """Grown since it was last seen: 5 mm, or SULpeak by 30 % (F10).

    What a search did not find and was looked for on the PET is too faint for its length to tell: only its uptake does.
    """
    get = focus.features.get
    faint = bool(get("followed")) and not get("size_from_ct")
    longer = not faint and reaches(get("longest_change_mm", 0.0), rules.growth_mm)
    return longer or exceeds(get("suv_peak_ratio", 1.0), rules.growth_ratio)


def fell(focus: Focus, rules: EvidenceRules) -> bool:
    """SULpeak fallen by 30 % since it was last seen (F10)."""
    return focus.features.get("suv_peak_ratio", 1.0) <= rules.fall_ratio + 1e-6


def _shrank(
    focus: Focus, tracks: Mapping[str, tuple[AttributedFocus, date, bool]], rules: EvidenceRules
) -> bool:
    before = tracks[focus.track][0].focus.longest_mm
    smaller = before > 0 and focus.longest_mm <= rules.shrinkage * before + 1e-6
    return focus.status is FocusStatus.GONE or smaller or fell(focus, rules)
