"""What else explains a sign: drugs, radiotherapy, infection; and where a sign must not be judged at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.finding import Quantities
from irae.core.numbers import reaches
from irae.findings.rules import CommonRules, IraeRules, Modality

# Words in a radiotherapy site that put an organ of an irAE in or near the field.
RADIOTHERAPY_SITES: dict[AnyIrae, tuple[str, ...]] = {
    Irae.PNEUMONITIS: ("lung", "chest", "thora", "mediast", "breast", "oesoph", "esoph", "rib"),
    Irae.COLITIS: ("pelvi", "abdom", "rect", "prostat", "bladder", "cervix", "uter"),
    Irae.THYROIDITIS: ("neck", "thyroid", "head and neck", "larynx", "cervical"),
    Irae.HEPATITIS: ("liver", "hepat"),
    Irae.HYPOPHYSITIS: ("brain", "skull", "sella", "head"),
    FurtherIrae.ENTERITIS: ("pelvi", "abdom"),
    FurtherIrae.GASTRITIS: ("stomach", "gastr", "upper abdomen", "oesoph", "esoph"),
    FurtherIrae.PANCREATITIS: ("pancrea", "upper abdomen"),
}

INFECTION_MIMICS: tuple[AnyIrae, ...] = (Irae.COLITIS, Irae.PNEUMONITIS, FurtherIrae.ENTERITIS, FurtherIrae.GASTRITIS)
METFORMIN_ORGANS: tuple[AnyIrae, ...] = (Irae.COLITIS, FurtherIrae.ENTERITIS)
# At least this share of all opacity on the side that was not irradiated speaks against radiation. Design value; of 13
# ICI pneumonitides after radiotherapy 12 lay outside the field or in its low dose (PMC8767572).
OTHER_SIDE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Confounded:
    """What the context does to one irAE.

    Attributes:
        log_odds: (name, log-odds) terms to add.
        gates: Modality to the reason its signs are not judged.
        reasons: Sentences for the reader.
    """

    log_odds: tuple[tuple[str, float], ...] = ()
    gates: dict[Modality, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def confounders(
    context: PatientContext, on: date, rules: IraeRules, quantities: Quantities, common: CommonRules
) -> Confounded:
    """Terms, gates and reasons that the patient's context gives for one irAE on a date.

    The quantities tell on which side opacities lie: only the side of a radiotherapy is known here, not its dose.
    """
    terms: list[tuple[str, float]] = []
    reasons: list[str] = []
    gates: dict[Modality, str] = {}
    _onset(context, on, rules, common, terms, reasons)
    if rules.irae in METFORMIN_ORGANS and held(context, ContextKind.METFORMIN, on, common.metformin_days):
        gates[Modality.PET] = "metformin within 72 h makes the bowel hot: its uptake is not judged"
    if rules.irae is Irae.HEPATITIS and held(context, ContextKind.GCSF, on, common.gcsf_days):
        gates[Modality.PET] = "G-CSF within 30 days raises liver uptake: it is not judged"
    if rules.irae in INFECTION_MIMICS and (found := held(context, ContextKind.INFECTION, on, common.infection_days)):
        terms.append(("infection", common.confounder))
        reasons.append(f"An infection is on record ({found[0].value}): it can look the same.")
    for entry in held(context, ContextKind.RADIOTHERAPY, on, common.radiotherapy_days):
        if any(word in entry.value.lower() for word in RADIOTHERAPY_SITES.get(rules.irae, ())):
            if rules.irae is Irae.PNEUMONITIS and _on_the_other_side(entry.value, quantities):
                reasons.append(f"The opacity lies on the other side than the radiotherapy ({entry.value}).")
                continue
            terms.append(("radiotherapy", common.confounder))
            reasons.append(
                f"Radiotherapy ({entry.value}) within 6 months: compare with its field; the dose is not read here."
            )
            break
    if held(context, ContextKind.STEROID, on, 0):
        reasons.append("Steroids are being given: they weaken or erase the signs, so a negative says less.")
    return Confounded(tuple(terms), gates, tuple(reasons))


def _on_the_other_side(site: str, quantities: Quantities) -> bool:
    """Whether nearly all opacity lies in the lung that the site's text does not name."""
    words = site.lower()
    if ("left" in words) == ("right" in words):
        return False
    irradiated, other = ("lung_left", "lung_right") if "left" in words else ("lung_right", "lung_left")
    here, there = (quantities.get(f"{lung}.opacity_percent") for lung in (irradiated, other))
    if here is None or there is None or here + there <= 0:
        return False
    return reaches(there / (here + there), OTHER_SIDE_SHARE)


# A row without an end is still going on for these; for all others (an infection, radiotherapy) it is one event.
_LASTING = (ContextKind.METFORMIN, ContextKind.STEROID)


def held(context: PatientContext, kind: ContextKind, on: date, within_days: int) -> tuple[ContextEntry, ...]:
    """Entries that hold on a date or ended (events: happened) up to within_days before it."""
    recent = context.active(kind, on, within_days=within_days)
    if kind not in _LASTING:
        return recent
    now = context.active(kind, on)
    return now + tuple(entry for entry in recent if entry not in now)


def _onset(
    context: PatientContext, on: date, rules: IraeRules, common: CommonRules, terms: list[tuple[str, float]],
    reasons: list[str],
) -> None:
    weeks = context.weeks_since_immunotherapy(on)
    if weeks is None:
        later = any(
            entry.kind is ContextKind.THERAPY and entry.start is not None and entry.start > on
            for entry in context.entries
        )
        if later and not context.therapy_classes(on):
            terms.append(("before_therapy", common.before_therapy))
            reasons.append("Before the first dose on record: signs seen now cannot come from it.")
        return
    least, most = rules.onset_weeks
    if not least <= weeks <= most:
        terms.append(("onset", common.outside_onset))
        reasons.append(
            f"{weeks:.0f} weeks after the first dose is outside the usual {least:g}-{most:g} weeks; late onset occurs."
        )
