"""What a course adds up to over time, in the attributed view: the published response patterns, and what is due when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction

from irae.core.assessment import View
from irae.core.course import Due, Pattern
from irae.response import burden, growth, irecist, metabolic, recist11, timeline
from irae.response import patterns as named_patterns
from irae.response.course import (
    ExamLesions,
    case_of,
    check_course,
    counts,
    number_of,
    one_focus_a_track,
    pet_case_of,
    target_of,
    track_of,
)
from irae.response.disease import size_of
from irae.response.lengths import PER_MM, exact
from irae.response.options import DEFAULT_OPTIONS, Options
from irae.response.values import Answer, Case, Reason, State, Target

_HPD_SOURCES = {
    "champiat": "Champiat 2017", "saada_bouzid": "Saada-Bouzid 2017", "ferrara": "Ferrara 2018", "kato": "Kato 2017",
    "lo_russo": "Lo Russo 2019", "matos": "Matos 2020", "kas_delta100": "Kas 2020",
}


def patterns(
    course: Sequence[ExamLesions], *, options: Options = DEFAULT_OPTIONS, baseline_index: int = 0
) -> tuple[Pattern, ...]:
    """Every response pattern of the course by its published definition, in the attributed view."""
    check_course(course, baseline_index)
    course = one_focus_a_track(course)
    kept = course[baseline_index:]
    case = case_of(kept, View.ATTRIBUTED, options)
    baseline = case.baseline
    if baseline is None:
        return ()
    iwords = _words(irecist.states(case))
    words = _words(recist11.states(case))
    found: list[Pattern] = []

    def add(name: str, definition: str, source: str, answer: bool | None, reason: Reason) -> None:
        found.append(Pattern(name=name, definition=definition, answer=answer, source=source,
                             reasons=(f"{reason[0]}: {reason[1]}",)))

    burdens: list[tuple[date, Fraction | None]] = [(baseline.on, exact(burden.start_irrc(baseline).baseline / 100))]
    for _, answer in burden.states_irrc(case):
        value = number_of(answer.values["tumour_burden_mm2"])
        burdens.append((answer.on, None if value is None else exact(value)))
    kind, why = named_patterns.pseudoprogression(burdens)
    for name in ("early", "delayed"):
        add(f"pseudoprogression_{name}", "tumour burden (irRC) up by >= 25 %, not confirmed at the next assessment",
            "Hodi 2016", None if kind is None else kind == name, why)
    for strict, text in ((False, "iUPD reset by iSD, iPR or iCR"), (True, "iUPD reset by iPR or iCR")):
        answer_, why = named_patterns.pseudoprogression_irecist(iwords, options, strict=strict)
        add("pseudoprogression_irecist" + ("_strict" if strict else ""), text, "Seymour 2017", answer_, why)
    changes = [named_patterns.lesion_changes(baseline, v, size_of) for v in case.followups[-1:]]
    for name, (rule, source, ask) in named_patterns.DISSOCIATED.items():
        answer_ = named_patterns.any_visit([ask(change) for change in changes])
        add(name, "dissociated (mixed) response, last exam against baseline", source, answer_,
            (rule, f"{source}: {len(changes[0].lesions) if changes else 0} targets measured at both exams."))
    answer_, why = named_patterns.durable_kaufman(words, case.reference_date, options)
    add("durable_kaufman", "CR or PR that begins within 12 months and lasts >= 6", "Kaufman 2017", answer_, why)
    for name, (hyper, why) in growth.hyperprogression(_growth(course, baseline_index, case, words, options),
                                                      options).items():
        add(f"hyperprogression_{name}", why[1].split(":")[0], _HPD_SOURCES[name], hyper, why)
    return tuple(found)


def _growth(
    course: Sequence[ExamLesions], baseline_index: int, case: Case, words: Sequence[tuple[date, str | None]],
    options: Options,
) -> growth.Growth:
    """Growth of the same targets before the baseline and from it to the first exam on treatment."""
    baseline = case.baseline
    assert baseline is not None
    base = _sum_mm(baseline.targets, len(baseline.targets))
    now = next(iter(case.followups), None)
    after = None if now is None else _sum_mm(now.targets, len(baseline.targets))
    month = options.month_days
    before = None
    earlier = next((e for e in reversed(course[:baseline_index]) if e.has_ct), None)
    if earlier is not None and base is not None:
        tracks = {t.id for t in baseline.targets}
        seen = tuple(target_of(f) for f in earlier.foci if track_of(f) in tracks)
        then = _sum_mm(seen, len(baseline.targets))
        if then is not None:
            before = growth.slope(then, base, (baseline.on - earlier.acquired_on).days, month)
    under = None
    if now is not None and base is not None and after is not None:
        under = growth.slope(base, after, (now.on - baseline.on).days, month)
    involved = {x.site for group in (baseline.targets, baseline.non_targets) for x in group}
    new = [x for x in now.new_lesions if x.there] if now is not None else []
    return growth.Growth(
        before=before, under=under, baseline_mm=base, now_mm=after,
        days=None if now is None else (now.on - baseline.on).days,
        is_pd=None if now is None or words[0][1] in (None, "NE") else words[0][1] == "PD",
        new_lesion_organs=None if now is None else len({x.site for x in new}),
        new_in_involved_organ=None if now is None else sum(x.site in involved for x in new),
        spreads=None if now is None else any(x.site not in involved for x in new),
    )


def _sum_mm(targets: Sequence[Target], count: int) -> Fraction | None:
    sizes = [size_of(t) for t in targets]
    if count == 0 or len(sizes) < count or any(s is None for s in sizes):
        return None
    return Fraction(sum(s for s in sizes if s is not None), PER_MM)


def due(
    course: Sequence[ExamLesions],
    *,
    on: date | None = None,
    options: Options = DEFAULT_OPTIONS,
    baseline_index: int = 0,
) -> tuple[Due, ...]:
    """What is due when, in the attributed view; ``on`` None: judged on the day of the last exam."""
    check_course(course, baseline_index)
    kept = [e for e in course[baseline_index:] if counts(e)]
    if not kept:
        return ()
    today = on if on is not None else kept[-1].acquired_on
    case = case_of(kept, View.ATTRIBUTED, options)
    found: list[Due] = list(timeline.confirmation_scans(_words(irecist.states(case)), options, on=today))
    pet = pet_case_of(kept, View.ATTRIBUTED, options)
    if pet.followups:
        found.extend(timeline.pet_confirmation_scans(_words(metabolic.states_ipercist(pet)), on=today))
    scans = [e.acquired_on for e in kept]
    for visit in case.followups[-1:]:
        names = sorted(x.id for x in visit.new_lesions if x.state is State.EQUIVOCAL)
        if names:
            found.append(timeline.equivocal_scan(visit.on, scans, names, on=today))
    found.append(timeline.routine_scan(scans[-1], on=today))
    return tuple(found)


def _words(states: Iterable[tuple[object, Answer]]) -> list[tuple[date, str | None]]:
    return [(answer.on, answer.overall) for _, answer in states]
