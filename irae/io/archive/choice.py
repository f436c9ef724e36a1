"""Which series an exam needs: each is judged by its header for a role, and of those that fit the best is taken.

Scores are sums of design weights; every weight given is a reason in words. What headers claim is checked against the
pixels when the series is read (``plausibility.py``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irae.core.exam import Role
from irae.core.notice import Notice
from irae.io.archive.codes import Outcome
from irae.io.archive.grouping import modality_of
from irae.io.archive.headers import Header
from irae.io.archive.identity import dicom_date
from irae.io.archive.pet import contradiction, pet_header, radiopharmaceutical, tracer
from irae.io.archive.values import SeriesPlan
from irae.quant.suv import SuvDecision, suv_factor

# Descriptions are read with spaces for underscores.
_LOCALIZER = re.compile(r"(?i)\b(scout|topogram|localizer|localiser|surview|scanogram|3[- ]?plane|survey)\b|. loc\b")
_DERIVED = re.compile(
    r"(?i)\b(mip|minip|aip|vrt|subtraction|subtracted|fused|screen ?save|capture|key ?images?|bone removal"
    r"|perfusion map|collapsed|dose[- ]?(report|info|summary|record|page|sheet))\b|^\W*dose\W*$"
)
# Words that also describe scans ("WB 3D AC", "CT for fusion"): believed where the image does not call itself original.
_MAYBE_DERIVED = re.compile(r"(?i)\b(3d|sub|fusion|summary|report)\b")
_SUBTRACTED = re.compile(r"(?i)\b(sub|fusion)\b")  # MR calls its subtractions original
_DERIVED_TYPES = frozenset({
    "LOCALIZER", "PROJECTION IMAGE", "MIP", "MINIP", "MAXIMUM", "SUBTRACTION", "SUB", "SCREEN SAVE", "REPORT",
    "DOSE_INFO", "FUSED", "VRT", "VOLUME_RENDERED", "SSD", "CURVED", "CPR",
})
_NAC = re.compile(
    r"(?i)\b(nac|nonac|non[- ]?ac|no[- ]?ac|uncorrected|non[- ]?attenuation|without ac|wo ac|ac[- ]?off|unkorrigiert"
    r"|ohne (ac|sk|schw\w*))\b|non?[- ]?corr"
)
_HEAD = re.compile(r"(?i)head|brain|skull|pituit|sella|hypophys|neuro|cran|schaedel|sch.del|iac\b|vs[-_ ]seg")
_NOT_HEAD = re.compile(
    r"(?i)chest|thorax|abdom|pelvi|spine|breast|knee|shoulder|hip\b|liver|cardi|heart|prostat|extrem|foot|hand"
)
_CONTRAST = re.compile(
    r"(?i)\b(gd|gado\w*|post|contrast|c\+|\+c|ce|kontrast|km|t1c|t1gd|t1ce|t1km)\b|\+ ?c\b|\+gd|_gd|gd_|t1 ?c\b"
)
_NO_CONTRAST = re.compile(r"(?i)\b(pre|without|w/?o|native|nativ|non[- ]?contrast|plain)\b")
_T1 = re.compile(r"(?i)t1|mprage|mp-rage|spgr|bravo|fspgr|vibe|tfe|tfl|flash|space_t1|irspgr")
_NOT_T1 = re.compile(r"(?i)t2|flair|dwi|diff|adc|swi|\bpd\b|tof|bold|asl|perf|epi\b|dti|fmri|b0|fieldmap|ciss|fiesta")
_SOFT = re.compile(r"(?i)^(soft|standard|stnd|b[123]\d|br[34]\d|bf|fc0[1-9]|fc1[0-9]|b$|c$|i[234]\d|qr|hv3)")
_SHARP = re.compile(r"(?i)^(lung|bone|edge|detail|b[678]\d|bl\d|br[567]\d|fc5\d|fc8\d|d$|e$|l$|yb|i[5678]\d|hr|chst)")

ROLE_OF = {"CT": Role.CT, "PT": Role.PET, "MR": Role.MR}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a series can play a role: a score with its reasons, or the refusal."""

    score: float
    reasons: tuple[str, ...]
    refusal: tuple[Outcome, str, str] | None = None


def judged(plan: SeriesPlan) -> SeriesPlan:
    """The series with its role, score, reasons and SUV factor - or with why it plays none."""
    headers: Sequence[Header] = plan.headers
    first = headers[0]
    role = ROLE_OF.get(plan.modality)
    if role is None:
        return plan.decided(Outcome.IGNORED, "not_for_this_use", f"modality {plan.modality or 'unknown'} is not needed")
    refused = _not_a_scan(first, plan.description)
    if refused is not None:
        return plan.decided(Outcome.IGNORED, refused[0], refused[1])
    if role is Role.CT:
        return _settled(plan, role, _ct(plan, first))
    if role is Role.MR:
        return _settled(plan, role, _mr(plan, first))
    return _pet(plan, headers)


def _settled(plan: SeriesPlan, role: Role, judgement: Judgement) -> SeriesPlan:
    if judgement.refusal is not None:
        outcome, code, text = judgement.refusal
        return plan.decided(outcome, code, text, *judgement.reasons)
    text = f"score {judgement.score:.1f}: {'; '.join(judgement.reasons)}"
    return plan.decided(plan.outcome, plan.code, plan.text, text, role=role, score=judgement.score)


def _not_a_scan(first: Header, description: str) -> tuple[str, str] | None:
    kinds = {value.upper() for value in first.get("ImageType", ())}
    described = description.replace("_", " ")
    if "LOCALIZER" in kinds or _LOCALIZER.search(described):
        return "localizer", f"a localizer ({'image type' if 'LOCALIZER' in kinds else 'by its description'})"
    if first.text("SOPClassUID").startswith("1.2.840.10008.5.1.4.1.1.7"):
        return "derived_image", "a secondary capture"
    if first.text("BurnedInAnnotation").upper() == "YES":
        return "derived_image", "writing is burned into its pixels"
    if kinds & _DERIVED_TYPES:
        return "derived_image", f"image type says {', '.join(sorted(kinds & _DERIVED_TYPES)).lower()}"
    match = _DERIVED.search(described)
    if match is None and not {"ORIGINAL", "PRIMARY"} <= kinds:
        match = _MAYBE_DERIVED.search(described)
    if match is None and modality_of(first) == "MR":
        match = _SUBTRACTED.search(described)
    if match is not None and not (match.group(0).lower() == "3d" and modality_of(first) == "MR"):
        return "derived_image", f"the description says {match.group(0).strip().lower()}"
    return None


def _extent_mm(headers: Sequence[Header]) -> float:
    """How far the slices reach along their normal, in mm; 0 where unknown."""
    positions = [header.get("ImagePositionPatient") for header in headers]
    cosines = headers[0].get("ImageOrientationPatient")
    if cosines is None or len(cosines) != 6 or any(p is None or len(p) != 3 for p in positions):
        return 0.0
    depth = np.array(positions) @ np.cross(cosines[:3], cosines[3:])
    return float(np.ptp(depth))


def _ct(plan: SeriesPlan, first: Header) -> Judgement:
    rescale_type = first.text("RescaleType").upper()
    if rescale_type not in ("", "HU", "US"):
        refusal = (Outcome.IGNORED, "derived_image", f"rescale type {rescale_type} is not HU")
        return Judgement(0.0, (), refusal)
    extent = _extent_mm(plan.headers)
    thickness = first.get("SliceThickness")
    score, reasons = 0.0, []

    def give(weight: float, why: str) -> None:
        nonlocal score
        score += weight
        reasons.append(f"{why} ({weight:+.1f})" if abs(weight) >= 0.05 else why)

    give(min(extent, 1000.0) / 100.0, f"covers {extent:.0f} mm")
    if thickness is not None:
        give(-min(3.0, max(0.0, thickness - 3.5)), f"slices {thickness:g} mm thick")
    kernel = " ".join(first.get("ConvolutionKernel", ()))
    if _SHARP.search(kernel):
        give(-2.0, f"sharp kernel {kernel}")
    elif _SOFT.search(kernel):
        give(1.0, f"soft-tissue kernel {kernel}")
    if "DERIVED" in {value.upper() for value in first.get("ImageType", ())}:
        give(-2.0, "derived image")
    if "axial" not in plan.facts.get("orientation", "axial"):
        give(-3.0, f"{plan.facts['orientation']} reformat")
    if contrast_given(first):
        give(0.5, "contrast given")
    return Judgement(score, tuple(reasons))


def contrast_given(first: Header) -> bool | None:
    """Whether contrast was given, as the header says; None where it does not say."""
    agent = first.text("ContrastBolusAgent").lower()
    if agent:
        return not re.fullmatch(r"(none|no|n|no contrast|without|-)", agent)
    return True if first.get("ContrastBolusAgentSequence") else None


def _mr(plan: SeriesPlan, first: Header) -> Judgement:
    said = " ".join((plan.description, first.text("ProtocolName"), first.text("SequenceName")))
    part = first.text("BodyPartExamined")
    reasons: list[str] = []
    kinds = {value.upper() for value in first.get("ImageType", ())}
    if kinds & {"PHASE", "P", "PHASE MAP", "ADC", "FA", "DIFFUSION", "PERFUSION", "T2", "T2_STAR", "PROTON_DENSITY"}:
        return Judgement(0.0, (), (Outcome.IGNORED, "mr_not_t1", f"image type {', '.join(sorted(kinds)).lower()}"))
    if _NOT_HEAD.search(f"{part} {said}") and not _HEAD.search(f"{part} {said}"):
        return Judgement(0.0, (), (Outcome.IGNORED, "mr_not_head", f"body part or description: {part or said.strip()}"))
    field_mm = plan.facts.get("field_of_view_mm")
    if not _HEAD.search(f"{part} {said}") and field_mm is not None and field_mm > 320:
        return Judgement(0.0, (), (Outcome.IGNORED, "mr_not_head", f"field of view {field_mm:.0f} mm, not a head's"))
    repetition, echo = first.get("RepetitionTime"), first.get("EchoTime")
    named = bool(_T1.search(said)) and not _NOT_T1.search(said)
    timed = repetition is not None and echo is not None and echo < 30 and (
        repetition < 1000 or ((first.get("InversionTime") or 0) > 300 and echo < 10)
    )
    if _NOT_T1.search(said) or not (named or timed or "T1" in kinds):
        why = f"TR {repetition} ms, TE {echo} ms, {said.strip() or 'no description'}"
        return Judgement(0.0, (), (Outcome.IGNORED, "mr_not_t1", why))
    reasons.append("T1-weighted by its description" if named else "T1-weighted by its timing")
    agent = contrast_given(first)
    described = bool(_CONTRAST.search(said)) and not _NO_CONTRAST.search(said)
    if agent is False or _NO_CONTRAST.search(said) or not (agent or described):
        text = "the header says no contrast was given" if agent is False else "nothing says that contrast was given"
        return Judgement(0.0, tuple(reasons), (Outcome.IGNORED, "mr_not_contrast_enhanced", text))
    reasons.append("contrast agent in the header" if agent else "contrast by its description")
    score = 3.0 + (1.0 if agent else 0.0)
    spacing = plan.facts.get("spacing_mm")
    if spacing is not None:
        score -= max(spacing)
        reasons.append(f"voxels up to {max(spacing):.1f} mm")
    if re.search(r"(?i)sella|pituit|hypophys", said):
        score += 3.0
        reasons.append("aimed at the pituitary")
    return Judgement(score, tuple(reasons))


def _pet(plan: SeriesPlan, headers: Sequence[Header]) -> SeriesPlan:
    first = headers[0]
    if _NAC.search(plan.description.replace("_", " ")):
        text = f"the description says that it is not attenuation-corrected; units {first.text('Units') or 'missing'}"
        return plan.decided(Outcome.IGNORED, "pet_not_attenuation_corrected", text)
    series_type = first.get("SeriesType", ())
    if series_type and series_type[0] not in ("STATIC", "WHOLE BODY"):
        return plan.decided(Outcome.IGNORED, "pet_dynamic_or_gated", f"series type {series_type[0].lower()}")
    if series_type[1:2] == ("REPROJECTION",):
        return plan.decided(Outcome.IGNORED, "derived_image", "series type says reprojection: views, not slices")
    word = contradiction(headers)
    if word:
        return plan.decided(
            Outcome.QUARANTINED, "suv_header_contradicts", f"{word} differs between slices or is not a value"
        )
    method = first.text("AttenuationCorrectionMethod")
    if method.upper() in ("NONE", "NO", "NOT CORRECTED") and "ATTN" in first.get("CorrectedImage", ()):
        text = f"corrected image says ATTN, the method of attenuation correction is {method.lower()}"
        return plan.decided(Outcome.QUARANTINED, "suv_header_contradicts", text)
    fdg, name = tracer(radiopharmaceutical(first))
    if fdg is False:
        return plan.decided(Outcome.IGNORED, "tracer_not_fdg", f"the tracer is {name}; the rules here are for FDG")
    decision = suv_factor(pet_header(headers))
    if decision.factor is None:
        ignored = decision.code == "pet_not_attenuation_corrected"
        outcome = Outcome.IGNORED if ignored else Outcome.QUARANTINED
        return plan.decided(outcome, decision.code, decision.text, *decision.path[:-1])
    return _with_suv(plan, decision, fdg, name, first)


def _with_suv(plan: SeriesPlan, decision: SuvDecision, fdg: bool | None, name: str, first: Header) -> SeriesPlan:
    extent = _extent_mm(plan.headers)
    score = min(extent, 2000.0) / 100.0
    reasons = [f"covers {extent:.0f} mm ({score:+.1f})"]
    if "DERIVED" in {value.upper() for value in first.get("ImageType", ())}:
        score -= 1.0
        reasons.append("derived image (-1.0)")
    notices = list(plan.notices)
    if fdg is None:
        notices.append(Notice("tracer_unknown", "The PET header does not name its tracer; it is read as FDG."))
    notices += [Notice("suv_doubtful", doubt) for doubt in decision.doubts]
    outcome, code, text = plan.outcome, plan.code, plan.text
    if decision.repaired and outcome is Outcome.USED:
        outcome, code, text = Outcome.REPAIRED, "suv_repaired", "; ".join(decision.path)
    facts = dict(plan.facts, uptake_minutes=decision.uptake_minutes, acquired=str(dicom_date(first.get("SeriesDate"))))
    return plan.decided(
        outcome, code, text, *decision.path, f"score {score:.1f}: {'; '.join(reasons)}",
        role=Role.PET, score=score, suv_factor=decision.factor, notices=tuple(notices), facts=facts,
    )


def best(candidates: Sequence[SeriesPlan], *, partner_frame: str = "") -> tuple[SeriesPlan, list[SeriesPlan]]:
    """The candidate with the highest score (a shared frame of reference counts), and the rest with the reason."""
    def score(plan: SeriesPlan) -> float:
        frame = plan.headers[0].text("FrameOfReferenceUID") if plan.headers else ""
        return plan.score + (3.0 if partner_frame and frame == partner_frame else 0.0)

    ranked = sorted(candidates, key=lambda plan: (-score(plan), plan.key))
    chosen = ranked[0]
    rest = [
        plan.decided(
            Outcome.IGNORED, "not_chosen",
            f"{plan.description or plan.key} fits less well (score {score(plan):.1f}) than "
            f"{chosen.description or chosen.key} ({score(chosen):.1f})",
            facts=dict(plan.facts, before=(plan.outcome, plan.code, plan.text)),
        )
        for plan in ranked[1:]
    ]
    return chosen, rest
