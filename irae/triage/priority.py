"""A suggested reading priority for one exam. It only ever raises: nothing here makes an exam wait longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from irae.core.anatomy import BY_NAME, Irae
from irae.core.assessment import CRITERION_NAMES, Assessment, View
from irae.core.context import ContextKind, PatientContext
from irae.core.finding import Decision, EpisodeState, OrganFinding
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.notice import Notice
from irae.core.triage import Priority, Triage
from irae.triage.rules import TRIAGE_RULES, TriageRules

PRIORITY: dict[int | None, Priority] = {
    1: Priority.STAT, 2: Priority.URGENT, 3: Priority.ROUTINE, None: Priority.ROUTINE,
}

# Progression as the criteria call it.
PROGRESSION = frozenset({"PD", "iUPD", "iCPD", "irPD", "imPD", "PMD", "UPMD", "CPMD"})

# Known episodes that did not get worse have been read already.
_KNOWN = (EpisodeState.ONGOING, EpisodeState.IMPROVING)


@dataclass(frozen=True, slots=True)
class _Actionable:
    category: int | None
    strength: float  # 0..1 within the category
    reason: str


def triage_exam(
    *,
    findings: Sequence[OrganFinding],
    foci: Sequence[AttributedFocus],
    assessments: Sequence[Assessment],
    notices: Sequence[Notice],
    context: PatientContext,
    on: date,
    rules: TriageRules = TRIAGE_RULES,
) -> Triage:
    """How soon the exam should be read, and why.

    The most urgent item decides the category; its strength places the exam within the category's band of scores, and
    further items move it up a little. What is not assessable never lowers a score.

    Args:
        findings: Answers for the irAEs.
        foci: Attributed foci.
        assessments: Responses, both views.
        notices: Notices of the exam; ``no_baseline`` means that every focus is new to us, not to the patient.
        context: Therapy context.
        on: The exam's date.
        rules: Mapping to categories.
    """
    items = [item for finding in findings if (item := _of_finding(finding, context, on, rules)) is not None]
    first_exam = any(notice.code == "no_baseline" for notice in notices)
    items += _of_foci(foci, first_exam)
    items += _of_assessments(assessments)
    unseen = [f.irae.value for f in findings if f.decision is Decision.NOT_ASSESSABLE and isinstance(f.irae, Irae)]

    actionable = sorted(items, key=lambda item: (item.category or 9, -item.strength))
    category = actionable[0].category if actionable else None
    low, high = rules.bands[category]
    score = low
    if actionable:
        further = 1.0
        for item in actionable:
            further *= 1.0 - 0.9 * item.strength * (1.0 if item.category == category else 0.1)
        score = low + (high - low) * (1.0 - further)
    reasons = [item.reason for item in actionable]
    if unseen:
        reasons.append(f"Not assessable, so not excluded: {', '.join(unseen)}.")
    if not actionable:
        reasons.insert(0, "Nothing actionable was found in what could be assessed.")
    return Triage(priority=PRIORITY[category], score=round(score, 4), acr_category=category, reasons=tuple(reasons))


def _of_finding(
    finding: OrganFinding, context: PatientContext, on: date, rules: TriageRules
) -> _Actionable | None:
    name = f"{finding.irae.value.replace('_', '-')} ({_site(finding.organ)})"
    if finding.probability is None:
        return None
    if finding.decision is not Decision.SUSPECTED:
        if finding.conformal is None or not finding.conformal.uncertain:
            return None
        return _Actionable(3, 0.5 * finding.probability, f"Uncertain {name}, probability {finding.probability:.2f}: "
                           "neither suspected nor excluded; a reader must decide.")
    worse = any(e.name == "severity_rise" and e.met for e in finding.evidence)
    emergencies = [text for code, text in rules.emergency_evidence.items() if _met(finding, code)]
    if finding.state in _KNOWN and not worse and not emergencies:
        return _Actionable(
            None, 0.3 * finding.probability,
            f"Known {name}, {finding.state.value}, radiological severity {finding.severity}: no new alarm.",
        )
    category = rules.category[finding.irae][finding.severity]
    why = f"{'Known, worse' if worse else finding.state.value.capitalize()} suspected {name}, "
    why += f"radiological severity {finding.severity}, probability {finding.probability:.2f}"
    if emergencies:
        return _Actionable(1, finding.probability, f"{why}; {'; '.join(emergencies)}.")
    if finding.irae is Irae.PNEUMONITIS and category > 2 and _chest_radiotherapy(context, on, rules):
        return _Actionable(2, finding.probability, f"{why}; radiotherapy of the chest makes it urgent at any severity.")
    return _Actionable(category, finding.probability, f"{why}.")


def _site(organ: str) -> str:
    return BY_NAME[organ].site if organ in BY_NAME else organ.replace("_", " ")


def _met(finding: OrganFinding, name: str) -> bool:
    return any(evidence.name == name and evidence.met for evidence in finding.evidence)


def _chest_radiotherapy(context: PatientContext, on: date, rules: TriageRules) -> bool:
    entries = context.active(ContextKind.RADIOTHERAPY, on, within_days=rules.radiotherapy_days)
    return any(word in entry.value.lower() for entry in entries for word in rules.chest_words)


def _of_foci(foci: Sequence[AttributedFocus], first_exam: bool) -> list[_Actionable]:
    new = [f for f in foci if f.focus.status is FocusStatus.NEW]
    metastases = [f for f in new if f.nature is Nature.METASTASIS]
    unclear = [f for f in new if f.nature is Nature.INDETERMINATE]
    items = []
    if metastases:
        strength = max(f.probabilities["metastasis"] for f in metastases)
        if first_exam:
            text = f"{len(metastases)} suspected metastases; first exam, so not known to be new."
            items.append(_Actionable(None, 0.5 * strength, text))
        else:
            where = ", ".join(sorted({_place(f.focus.organ) for f in metastases}))
            plural = "es" if len(metastases) > 1 else "is"
            items.append(_Actionable(3, strength, f"{len(metastases)} new suspected metastas{plural} ({where})."))
    if unclear and not first_exam:
        plural = "foci" if len(unclear) > 1 else "focus"
        items.append(_Actionable(None, 0.5, f"{len(unclear)} new indeterminate {plural}: a reader must decide."))
    return items


def _place(organ: str | None) -> str:
    return BY_NAME[organ].display if organ in BY_NAME else (organ or "elsewhere").replace("_", " ")


def _of_assessments(assessments: Sequence[Assessment]) -> list[_Actionable]:
    progressing = {a.criterion for a in assessments if a.view is View.ATTRIBUTED and a.category in PROGRESSION}
    progressed = sorted(CRITERION_NAMES.get(name, name) for name in progressing)
    if not progressed:
        return []
    return [_Actionable(3, 0.5, f"Progression in the attributed view by {', '.join(progressed)}.")]
