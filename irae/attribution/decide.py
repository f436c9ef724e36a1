"""From a candidate to its nature: by the evidence points alone or by the learned model; safety rules hold for both.

The model is asked only about foci like those it was trained on. The rules only ever move an answer towards
indeterminate: nothing is called inflammation against a nodule, destroyed bone, growth or what an earlier exam held for
a metastasis, nor by time and circumstances alone, nothing physiologic by statistics alone, and what a gate holds for
harmless is left open where the learned model sees a metastasis. Two exceptions are told where they stand: faint uptake,
and what only a metastasis can be though radiotherapy, infection or a vaccination might explain it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from irae.attribution.candidates import Candidate
from irae.attribution.evidence import SIGNS, VETOES, is_focal
from irae.attribution.features import Subject, in_words
from irae.attribution.gates import Gate
from irae.attribution.learned import LearnedModel, Told
from irae.attribution.physiology import may_be_normal_uptake, normal_place
from irae.attribution.revise import SHOWN
from irae.attribution.rules import EVIDENCE_RULES, IRAE_SITE, EvidenceRules
from irae.attribution.situation import Situation, is_hilar, is_opacity, same_look, was_tumour
from irae.core.anatomy import site_of
from irae.core.focus import AttributedFocus, Focus, FocusSource, FocusStatus, Nature, ScorePart
from irae.core.numbers import reaches

ADVICE = "Short-interval imaging in 4-8 weeks, endoscopy, laboratory or tissue would decide."
FAVOUR_METASTASIS = "favour metastasis"
UNLIKE = "Unlike all that the learned model was trained on"
# Of the learned model's reasons that many are told, the strongest first.
REASONS = 3
# What is seen of a focus itself, whatever the time, the therapy and the other lesions are.
OWN_LOOK = (Subject.UPTAKE, Subject.SIZE, Subject.SHAPE, Subject.CT)


def outcome(score: float, rules: EvidenceRules = EVIDENCE_RULES) -> tuple[Nature, str]:
    """Nature and words of a sum of points.

    >>> outcome(3.0)[1], outcome(0.9)[1], outcome(-1.0)[1]
    ('probable irAE', 'indeterminate', 'favour metastasis')
    """
    if reaches(score, rules.probable):
        return Nature.INFLAMMATION, "probable irAE"
    if reaches(score, rules.favour):
        return Nature.INFLAMMATION, "favour inflammatory"
    if reaches(-score, rules.probable):
        return Nature.METASTASIS, "suspected metastasis"
    if reaches(-score, rules.favour):
        return Nature.METASTASIS, FAVOUR_METASTASIS
    return Nature.INDETERMINATE, "indeterminate"


def decided(
    candidate: Candidate, now: Situation, rules: EvidenceRules = EVIDENCE_RULES, learned: LearnedModel | None = None
) -> AttributedFocus:
    """The nature of one focus; by the evidence points alone without a learned model that knows such foci."""
    if candidate.focus.status is FocusStatus.GONE and candidate.focus.track in now.earlier:
        return _gone(candidate, now)
    if candidate.focus.features.get("followed") and _sure_before(candidate.focus, now):
        return _followed(candidate, now)
    told = None if learned is None else learned.told(candidate.features)
    if told is None or told.unlike is not None:
        answer = _by_evidence(candidate, now, rules)
    else:
        answer = _by_model(candidate, now, told, rules)
    known = candidate.focus.features.get("followed") and candidate.focus.track in now.earlier
    if known and answer.nature is Nature.INFLAMMATION:
        return _followed(candidate, now)  # that it fell is why it had to be looked for, and says nothing
    if told is not None and told.unlike is not None:
        words = in_words(told.unlike, candidate.focus, candidate.features, candidate.parts)
        most = f", most of all in {told.unlike.value}" + (f" ({words})" if words else "")
        answer = _not_by_points_alone(answer, now, rules)
        answer = replace(answer, reasons=(f"{UNLIKE}{most}: the evidence score decides.", *answer.reasons))
    return _with_revision(answer, now)


def _not_by_points_alone(answer: AttributedFocus, now: Situation, rules: EvidenceRules) -> AttributedFocus:
    """What the model does not know is a metastasis only by points that suspect one, not by those that favour one.

    The points weigh inflammation against metastasis and know of normal uptake only what the gates do: of strange foci
    those that they merely favour are mostly neither. What was held for a tumour before stays one, and so does what is
    far hotter than the liver and compact; an exam without PET, which the model never knows, is the points' own field.
    """
    focus, features = answer.focus, answer.focus.features
    own = answer.score - sum(part.points for part in answer.parts if part.feature == "F12")
    if FAVOUR_METASTASIS not in (answer.outcome, outcome(own, rules)[1]) or focus.suv_max is None:
        return answer
    if answer.nature is not Nature.METASTASIS or was_tumour(focus, now):
        return answer
    hot = reaches(features.get("liver_ratio", 0.0), rules.strange_liver_ratio)
    if hot and reaches(features.get("sphericity", 0.0), rules.strange_sphericity):
        return answer
    text = "Not called metastasis: the points favour it, too few to decide alone."
    reasons = (text, *answer.reasons, ADVICE)
    return replace(answer, nature=Nature.INDETERMINATE, outcome="indeterminate", reasons=reasons)


def _with_revision(answer: AttributedFocus, now: Situation) -> AttributedFocus:
    """Says first where this exam shows a lesion to be something else than it was called."""
    before = now.earlier.get(answer.focus.track)
    if before is None or answer.nature not in SHOWN or answer.nature is before[0].nature:
        return answer
    if not same_look(before[0].focus, answer.focus):
        return answer
    text = f"On {before[1].isoformat()} it was called {before[0].nature.value}; this exam revises that."
    return replace(answer, reasons=(text, *answer.reasons))


def _by_evidence(candidate: Candidate, now: Situation, rules: EvidenceRules) -> AttributedFocus:
    focus, parts, score, gate = candidate.focus, candidate.parts, candidate.score, candidate.gate
    if gate is not None and gate.nature is Nature.INFLAMMATION and is_opacity(focus, rules) and score < rules.favour:
        # Radiation or infection explains an opacity; it does not overrule what speaks for a metastasis in it.
        gate = Gate(Nature.INDETERMINATE, 0.5, "indeterminate", f"Perhaps {gate.outcome}, but other signs disagree.")
    if gate is not None:
        return AttributedFocus(
            focus=focus, nature=gate.nature, probabilities=_gated(gate, score, rules), score=score,
            outcome=gate.outcome, parts=parts, reasons=(gate.reason, *strongest(parts)),
        )
    nature, words = outcome(score, rules)
    reasons = strongest(parts)
    doubt = _doubt(nature, candidate, now, rules)
    if doubt:
        nature, words, reasons = Nature.INDETERMINATE, "indeterminate", (doubt, *reasons)
    shown = score
    if nature is Nature.INDETERMINATE:
        shown = max(-0.9 * rules.favour, min(score, 0.9 * rules.favour))
        reasons = (*reasons, ADVICE)
    return AttributedFocus(
        focus=focus, nature=nature, probabilities=_soft(shown, rules), score=score, outcome=words, parts=parts,
        reasons=reasons or ("Nothing about it speaks for either nature.",),
    )


def _by_model(candidate: Candidate, now: Situation, told: Told, rules: EvidenceRules) -> AttributedFocus:
    gate = candidate.gate
    if gate is None and told.possible > {Nature.PHYSIOLOGIC} and not normal_place(candidate.focus):
        told = _away_from_normal_places(candidate, told, now, rules)
    if gate is None and _before_any_irae(candidate.focus, told, now, rules):
        told = told.without(Nature.INFLAMMATION)
    nature, why = (_gated_nature(gate, told) if gate is not None else _possible_nature(told, candidate.score, rules))
    doubt = "" if gate is not None else _doubt(nature, candidate, now, rules, told)
    if nature is Nature.PHYSIOLOGIC and gate is None:
        doubt = _by_statistics_alone(candidate.focus, told, now, rules)
    if doubt:
        nature = Nature.INDETERMINATE
    reasons = [text for text in (doubt, why) if text]
    reasons += _learned_reasons(candidate, told)
    if nature is Nature.INDETERMINATE:
        reasons.append(ADVICE)
    _, words = outcome(candidate.score, rules)
    return AttributedFocus(
        focus=candidate.focus, nature=nature, probabilities={n.value: p for n, p in told.probabilities.items()},
        score=candidate.score, outcome=gate.outcome if gate is not None else words, parts=candidate.parts,
        reasons=tuple(reasons),
    )


def _away_from_normal_places(candidate: Candidate, told: Told, now: Situation, rules: EvidenceRules) -> Told:
    """Where nothing takes up tracer by nature normal uptake does not compete, unless it is faint: then it is alone."""
    if not _inflames(candidate) and not was_tumour(candidate.focus, now) and _faint(candidate.focus, told, rules):
        return replace(told, possible=frozenset({Nature.PHYSIOLOGIC}))
    return told.without(Nature.PHYSIOLOGIC)


def _before_any_irae(focus: Focus, told: Told, now: Situation, rules: EvidenceRules) -> bool:
    """Whether inflammation does not compete: before the first dose no irAE is possible.

    What else inflames is left open: an opacity, hilar nodes alike on both sides, a documented infection or vaccination,
    and what the model holds for inflammation rather than for a metastasis.
    """
    p = told.probabilities
    return (
        now.before_therapy and Nature.INFLAMMATION in told.possible and Nature.METASTASIS in told.possible
        and p[Nature.METASTASIS] > p[Nature.INFLAMMATION]
        and not (is_opacity(focus, rules) or (now.hilar_pair and is_hilar(focus)) or now.infected or now.vaccinated)
    )


def _possible_nature(told: Told, score: float, rules: EvidenceRules) -> tuple[Nature, str]:
    """The one nature that cannot be ruled out, if it is likelier than not; else none can be said.

    Metastasis is said, too, where it is the likeliest and the points alone suspect it.
    """
    ranked = sorted(told.possible, key=lambda nature: -told.probabilities[nature])
    words = _probabilities_in_words(told)
    if len(ranked) > 1:
        likely = told.probabilities[ranked[0]] > rules.least_likely
        if ranked[0] is Nature.METASTASIS and likely and reaches(-score, rules.probable):
            return ranked[0], f"Evidence points ({score:+.1f}) and learned model agree. {words}"
        return Nature.INDETERMINATE, f"{' or '.join(n.value for n in ranked).capitalize()} cannot be ruled out. {words}"
    if told.probabilities[ranked[0]] <= rules.least_likely:
        return Nature.INDETERMINATE, f"It resembles nothing that the model has learnt. {words}"
    return ranked[0], words


def _gated_nature(gate: Gate, told: Told) -> tuple[Nature, str]:
    """A gate's answer stands unless the model sees a metastasis in what the gate holds for harmless."""
    harmless = gate.nature in (Nature.PHYSIOLOGIC, Nature.INFLAMMATION)
    seen = told.possible == {Nature.METASTASIS}
    if gate.nature is Nature.INFLAMMATION and seen:
        return Nature.METASTASIS, (f"Perhaps {gate.outcome}, but all else than a metastasis is ruled out. "
                                   f"{_probabilities_in_words(told)}")
    if gate.nature is Nature.INFLAMMATION:
        # Radiation, infection or vaccination explains a focus; it does not overrule what speaks for a metastasis.
        seen = Nature.METASTASIS in told.possible and told.probabilities[Nature.METASTASIS] > 0.5
    if harmless and seen:
        return Nature.INDETERMINATE, (f"Perhaps {gate.outcome}, but it looks like a metastasis. "
                                      f"{_probabilities_in_words(told)}")
    return gate.nature, gate.reason


def _probabilities_in_words(told: Told) -> str:
    parts = sorted(told.probabilities.items(), key=lambda item: -item[1])
    return "Learned model: " + ", ".join(f"{n.value} {100 * p:.0f} %" for n, p in parts) + "."


def _learned_reasons(candidate: Candidate, told: Told) -> list[str]:
    """What counted most, by subject: each names the nature that it speaks for most, the strongest first."""
    focus, row, parts = candidate.focus, candidate.features, candidate.parts
    told_of = []
    for subject, given in told.subjects.items():
        nature, weight = max(given.items(), key=lambda item: item[1])
        words = in_words(subject, focus, row, parts)
        if words and weight >= 0.1 and subject is not Subject.EVIDENCE:
            name = f"{subject.value[0].upper()}{subject.value[1:]}"
            told_of.append((weight, f"{name} speaks for {nature.value}: {words}."))
    told_of.sort(reverse=True)
    return [text for _, text in told_of[:REASONS]]


def strongest(parts: Sequence[ScorePart]) -> tuple[str, ...]:
    """The reasons of evidence points, the most points first."""
    return tuple(p.reason for p in sorted(parts, key=lambda p: (-abs(p.points), p.feature)) if p.points)


def _doubt(
    nature: Nature, candidate: Candidate, now: Situation, rules: EvidenceRules, told: Told | None = None
) -> str:
    """Why a nature must not be said in spite of the arms; empty if it may."""
    focus, parts = candidate.focus, candidate.parts
    if nature is Nature.INFLAMMATION:
        against = [p.reason for p in parts if p.feature in VETOES and p.points < 0]
        if against:
            return f"Not called inflammation in spite of the score: {against[0][0].lower()}{against[0][1:]}"
        if was_tumour(focus, now):
            return "Not called inflammation: an earlier exam held it for a metastasis."
        looks = told is not None and _appeared_under_therapy(candidate, now) and _looks_inflamed(told, rules)
        if not (_inflames(candidate) or looks):
            return "Not called inflammation: nothing but time and circumstances speaks for it."
    if nature is Nature.METASTASIS:
        if focus.features.get("picture"):
            return "Not called metastasis: it is the uptake of the organ, and no focus stands out of it."
        return may_be_normal_uptake(focus, now) or _hardly_stands_out(focus, now, rules)
    return ""


def _hardly_stands_out(focus: Focus, now: Situation, rules: EvidenceRules) -> str:
    """Why uptake hardly above its surroundings, without a border on CT, is no metastasis yet; empty if it may be."""
    contrast = focus.features.get("contrast")
    if contrast is None or focus.source is not FocusSource.PET or focus.features.get("size_from_ct"):
        return ""
    if normal_place(focus):
        return ""  # what stands out of an organ that is hot by nature is hotter than most
    least = rules.least_contrast_in_liver if focus.organ == "liver" else rules.least_contrast
    if reaches(contrast, least) or was_tumour(focus, now):
        return ""
    return (f"Not called metastasis: its SUVpeak is only {contrast:.1f} times that of what surrounds it, and the CT "
            "shows no border; noise and normal tissue reach that.")


def _by_statistics_alone(focus: Focus, told: Told, now: Situation, rules: EvidenceRules) -> str:
    """Why a focus without a gate is not physiologic: its place must be one of normal uptake, and not beyond it.

    Elsewhere muscle, vessels, fat and joints take up a little: what stays under the liver and looks like nothing else
    is taken for that, unless a tumour was there before.
    """
    if is_focal(focus, rules) and reaches(focus.features.get("liver_ratio", 0.0), rules.measurable_liver_ratio):
        return "Not called physiologic: it is focal and much hotter than the liver."
    if not normal_place(focus) and (was_tumour(focus, now) or not _faint(focus, told, rules)):
        return "Not called physiologic: nothing at its place takes up tracer by nature."
    return ""


def _inflames(candidate: Candidate) -> bool:
    """Whether anything but time and circumstances speaks for inflammation."""
    return any(p.feature in SIGNS and p.points >= 1.0 for p in candidate.parts)


def _appeared_under_therapy(candidate: Candidate, now: Situation) -> bool:
    """Whether an earlier exam lacks it, and time or another irAE speaks for inflammation; or it was held for that."""
    focus, before = candidate.focus, now.earlier.get(candidate.focus.track)
    if before is not None:
        return before[0].nature is Nature.INFLAMMATION
    new = focus.status is FocusStatus.NEW and not now.first_exam and now.weeks is not None
    return new and any(p.feature in ("F7", "F8") and p.points > 0 for p in candidate.parts)


def _looks_inflamed(told: Told, rules: EvidenceRules) -> bool:
    """Whether the model holds a focus for inflammation by what is seen of it alone, nothing of which is a tumour's."""
    own = [
        told.subjects[subject][Nature.INFLAMMATION] - told.subjects[subject][Nature.METASTASIS]
        for subject in OWN_LOOK if subject in told.subjects
    ]
    likely = told.probabilities[Nature.INFLAMMATION] > rules.least_likely
    return likely and reaches(sum(own), rules.own_look) and reaches(min(own), -rules.own_look_against)


def _faint(focus: Focus, told: Told, rules: EvidenceRules) -> bool:
    """Under what PERCIST can measure, nothing on CT, and no metastasis by the model; or under the liver and sure."""
    ratio, p = focus.features.get("liver_ratio"), told.probabilities[Nature.PHYSIOLOGIC]
    if ratio is None:
        return False
    if not focus.features.get("size_from_ct") and not reaches(ratio, rules.below_measurable_ratio):
        return Nature.METASTASIS not in told.possible and p > rules.least_likely
    return not reaches(ratio, rules.faint_liver_ratio) and reaches(p, rules.faint_least)


def _gone(candidate: Candidate, now: Situation) -> AttributedFocus:
    """A gone lesion keeps what it was called, unless its vanishing shows that it was inflammation."""
    focus, parts = candidate.focus, candidate.parts
    attributed, on, _ = now.earlier[focus.track]
    shown = _vanished_as_inflammation(focus, now)
    if shown:
        text = f"On {on.isoformat()} it was called {attributed.nature.value}; this exam revises that."
        return AttributedFocus(
            focus=focus, nature=Nature.INFLAMMATION, score=candidate.score, outcome="inflammation that has healed",
            probabilities={"inflammation": 0.85, "metastasis": 0.12, "physiologic": 0.03}, parts=parts,
            reasons=(text, shown),
        )
    return AttributedFocus(
        focus=focus, nature=attributed.nature, probabilities=attributed.probabilities, score=attributed.score,
        outcome=attributed.outcome, parts=parts,
        reasons=(f"It is no longer seen; on {on.isoformat()} it was called {attributed.nature.value}.",),
    )


def _sure_before(focus: Focus, now: Situation) -> bool:
    """Whether a track was called metastasis or inflammation when it was last seen."""
    before = now.earlier.get(focus.track)
    return before is not None and before[0].nature in (Nature.METASTASIS, Nature.INFLAMMATION)


def _followed(candidate: Candidate, now: Situation) -> AttributedFocus:
    """What is left of a known lesion is what the lesion was: too faint to be found, it says nothing of its own."""
    attributed, on, _ = now.earlier[candidate.focus.track]
    return AttributedFocus(
        focus=candidate.focus, nature=attributed.nature, probabilities=attributed.probabilities,
        score=attributed.score, outcome=attributed.outcome, parts=candidate.parts,
        reasons=(f"What is left, at its place, of what was called {attributed.nature.value} on {on.isoformat()}.",),
    )


def _vanished_as_inflammation(focus: Focus, now: Situation) -> str:
    """Why a vanished lesion was inflammation; empty where it may have been a metastasis that the therapy destroyed.

    It was first seen under therapy, no drug was added since, and no known metastasis shrank. What was called metastasis
    is revised only where the irAE of its organ was suspected and has healed besides.
    """
    attributed, on, untreated = now.earlier[focus.track]
    irae = IRAE_SITE.get(site_of(focus.organ))
    if attributed.nature not in (Nature.INDETERMINATE, Nature.METASTASIS) or untreated or now.therapy_from is None:
        return ""
    if now.therapy_from > on or now.shrinking - {focus.track} or irae in now.suspected:
        return ""
    healed = irae in now.healed
    if attributed.nature is Nature.METASTASIS and not healed:
        return ""
    also = f", and the {irae.value} suspected before has healed" if irae is not None and healed else ""
    return ("It appeared under therapy and vanished without a new anticancer drug while no known lesion shrank"
            f"{also}: inflammation.")


def _soft(score: float, rules: EvidenceRules) -> dict[str, float]:
    """Probabilities of a candidate: a logistic of the score, a small share left for physiology."""
    inflammation = 1.0 / (1.0 + math.exp(-rules.slope * max(-20.0, min(20.0, score))))
    rest = 1.0 - rules.physiologic_floor
    return {"inflammation": rest * inflammation, "metastasis": rest * (1.0 - inflammation),
            "physiologic": rules.physiologic_floor}


def _gated(gate: Gate, score: float, rules: EvidenceRules) -> dict[str, float]:
    """Probabilities of a gated focus: the gate's for its nature, the rest shared by the score."""
    soft: Mapping[str, float] = _soft(score, rules)
    if gate.nature is Nature.INDETERMINATE:
        return _soft(max(-0.9 * rules.favour, min(0.9 * rules.favour, score)), rules)
    others = {name: p for name, p in soft.items() if name != gate.nature.value}
    shared = {name: (1.0 - gate.probability) * p / sum(others.values()) for name, p in others.items()}
    probabilities = shared | {gate.nature.value: gate.probability}
    return {name: probabilities[name] for name in ("inflammation", "metastasis", "physiologic")}


