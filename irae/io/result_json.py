"""result.json and course.json: the envelope of one exam and of one patient, written and read back.

The schema ``irae.result/1`` is shipped as ``schemas/result.schema.json`` and documented in docs/reference/result.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae
from irae.core.assessment import Assessment, Hinge, View
from irae.core.course import Course
from irae.core.exam import Role
from irae.core.finding import ConformalSet, Decision, EpisodeState, Evidence, Measured, OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusSource, FocusStatus, Nature, ScorePart
from irae.core.notice import Notice
from irae.core.result import ExamResult, OrganSeen, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Coverage
from irae.findings import ctcae
from irae.io.atomic import write_text

RESULT_SCHEMA = "irae.result/1"
COURSE_SCHEMA = "irae.course/1"


def _number(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(float(value), digits)


def result_to_json(result: ExamResult) -> dict[str, Any]:
    """The result as plain JSON values, keys as in docs/reference/result.md."""
    return {
        "schema": RESULT_SCHEMA,
        "patient": result.patient,
        "exam": result.key,
        "date": result.acquired_on.isoformat(),
        "modalities": list(result.modalities),
        "series": {role.value: uid for role, uid in result.series.items()},
        "organs": {
            name: {
                "label": seen.label, "volume_ml": _number(seen.volume_ml, 2), "coverage": seen.coverage.value,
                **({"rejected": seen.rejected} if seen.rejected else {}),
            }
            for name, seen in result.organs.items()
        },
        "quantities": {
            name: {"value": _number(m.value), "unit": m.unit, **({"why": m.why} if m.why else {})}
            for name, m in sorted(result.quantities.values.items())
        },
        "findings": [_finding_to_json(f) for f in result.findings],
        "foci": [_focus_to_json(f) for f in result.foci],
        "assessments": [_assessment_to_json(a) for a in result.assessments],
        "hinges_on": [{"focus": h.focus, "if": h.if_nature, **dict(h.categories)} for h in result.hinges_on],
        "triage": {
            "priority": result.triage.priority.value, "score": _number(result.triage.score),
            "acr_category": result.triage.acr_category, "reasons": list(result.triage.reasons),
        },
        "notices": [{"code": n.code, "text": n.text} for n in result.notices],
        "versions": {
            "irae": result.versions.irae, "models": dict(result.versions.models),
            "settings": result.versions.settings, "input": result.versions.input,
        },
        "research_use_only": True,
    }


def _finding_to_json(f: OrganFinding) -> dict[str, Any]:
    return {
        "irae": f.irae.value, "organ": f.organ, "decision": f.decision.value,
        "probability": _number(f.probability), "threshold": _number(f.threshold), "severity": f.severity,
        "state": f.state.value,
        "rule_probability": _number(f.rule_probability), "learned_probability": _number(f.learned_probability),
        "evidence": [
            {"name": e.name, "value": _number(e.value), "unit": e.unit, "reference": e.reference, "source": e.source,
             "met": e.met}
            for e in f.evidence
        ],
        "reasons": list(f.reasons),
        "conformal": _conformal_to_json(f.conformal),
        "ctcae": {
            "version": ctcae.VERSION,
            "note": "for the clinician, who grades symptoms and laboratory values; not a grade given by this software",
            "terms": [
                {"term": t.term, "llt": t.llt, "grades": dict(zip("1234", t.grades, strict=True))}
                for t in ctcae.CTCAE[f.irae]
            ],
        },
    }


def _conformal_to_json(found: ConformalSet | None) -> dict[str, Any] | None:
    if found is None:
        return None
    members = (("suspected", found.suspected), ("not_suspected", found.not_suspected))
    return {"coverage": _number(found.coverage), "set": [name for name, inside in members if inside]}


def _conformal_from_json(data: Mapping[str, Any] | None) -> ConformalSet | None:
    if data is None:
        return None
    return ConformalSet(
        coverage=data["coverage"], suspected="suspected" in data["set"], not_suspected="not_suspected" in data["set"]
    )


def irae_of(name: str) -> AnyIrae:
    """The irAE of a name in a result.

    >>> irae_of("colitis"), irae_of("pancreatitis")
    (<Irae.COLITIS: 'colitis'>, <FurtherIrae.PANCREATITIS: 'pancreatitis'>)
    """
    return Irae(name) if name in {irae.value for irae in Irae} else FurtherIrae(name)


def _focus_to_json(a: AttributedFocus) -> dict[str, Any]:
    f = a.focus
    return {
        "id": f.id, "centroid_ras_mm": [_number(x, 2) for x in f.centroid_ras_mm],
        "volume_ml": _number(f.volume_ml, 3), "longest_mm": _number(f.longest_mm, 1),
        "short_mm": _number(f.short_mm, 1),
        "suv_max": _number(f.suv_max, 3), "suv_peak": _number(f.suv_peak, 3), "suv_mean": _number(f.suv_mean, 3),
        "tlg": _number(f.tlg, 3), "organ": f.organ, "organ_fraction": _number(f.organ_fraction, 3),
        "source": f.source.value, "is_node": f.is_node, "nature": a.nature.value,
        "probabilities": {k: _number(v) for k, v in a.probabilities.items()},
        "track": f.track, "status": f.status.value, "score": _number(a.score, 2), "outcome": a.outcome,
        "evidence": [{"feature": p.feature, "value": p.value, "points": p.points, "reason": p.reason} for p in a.parts],
        "features": {k: _number(v) for k, v in f.features.items()},
        "reasons": list(a.reasons),
    }


def _assessment_to_json(a: Assessment) -> dict[str, Any]:
    return {
        "criterion": a.criterion, "view": a.view.value, "category": a.category, "sum_mm": _number(a.sum_mm, 2),
        "baseline_mm": _number(a.baseline_mm, 2), "nadir_mm": _number(a.nadir_mm, 2),
        "sum_sul": _number(a.sum_sul, 3), "baseline_sul": _number(a.baseline_sul, 3),
        "targets": list(a.targets),
        "confirm_between": [d.isoformat() for d in a.confirm_between] if a.confirm_between else None,
        "reasons": [f"{rule}: {sentence}" for rule, sentence in a.reasons],
        "readings": dict(a.readings),
    }


def result_from_json(data: Mapping[str, Any]) -> ExamResult:
    """Reads a result back.

    Raises:
        ValueError: If the data does not fit the schema; the message names the place.
    """
    check_result(data)
    return ExamResult(
        patient=data["patient"],
        acquired_on=date.fromisoformat(data["date"]),
        modalities=tuple(data["modalities"]),
        organs={
            name: OrganSeen(label=o["label"], volume_ml=o["volume_ml"], coverage=Coverage(o["coverage"]),
                            rejected=o.get("rejected", ""))
            for name, o in data["organs"].items()
        },
        quantities=Quantities(
            {n: Measured(value=m["value"], unit=m["unit"], why=m.get("why", "")) for n, m in data["quantities"].items()}
        ),
        findings=tuple(_finding_from_json(f) for f in data["findings"]),
        foci=tuple(_focus_from_json(f) for f in data["foci"]),
        assessments=tuple(_assessment_from_json(a) for a in data["assessments"]),
        hinges_on=tuple(
            Hinge(focus=h["focus"], if_nature=h["if"],
                  categories=tuple((k, v) for k, v in h.items() if k not in ("focus", "if")))
            for h in data["hinges_on"]
        ),
        triage=Triage(
            priority=Priority(data["triage"]["priority"]), score=data["triage"]["score"],
            acr_category=data["triage"]["acr_category"], reasons=tuple(data["triage"]["reasons"]),
        ),
        notices=tuple(Notice(n["code"], n["text"]) for n in data["notices"]),
        versions=Versions(
            irae=data["versions"]["irae"], models=data["versions"]["models"], settings=data["versions"]["settings"],
            input=data["versions"]["input"],
        ),
        series={Role(role): uid for role, uid in data["series"].items()},
    )


def _finding_from_json(f: Mapping[str, Any]) -> OrganFinding:
    return OrganFinding(
        irae=irae_of(f["irae"]), organ=f["organ"], decision=Decision(f["decision"]), probability=f["probability"],
        threshold=f["threshold"], severity=f["severity"], state=EpisodeState(f["state"]),
        evidence=tuple(Evidence(**e) for e in f["evidence"]), reasons=tuple(f["reasons"]),
        rule_probability=f["rule_probability"], learned_probability=f["learned_probability"],
        conformal=_conformal_from_json(f.get("conformal")),
    )


def _focus_from_json(f: Mapping[str, Any]) -> AttributedFocus:
    x, y, z = f["centroid_ras_mm"]
    probabilities = dict(f["probabilities"])
    total = sum(probabilities.values())  # rounded to four digits when written
    return AttributedFocus(
        focus=Focus(
            id=f["id"], centroid_ras_mm=(x, y, z), volume_ml=f["volume_ml"], longest_mm=f["longest_mm"],
            short_mm=f["short_mm"], suv_max=f["suv_max"], suv_peak=f["suv_peak"], suv_mean=f["suv_mean"], tlg=f["tlg"],
            organ=f["organ"], organ_fraction=f["organ_fraction"], source=FocusSource(f["source"]), track=f["track"],
            status=FocusStatus(f["status"]), is_node=f["is_node"], features=f["features"],
        ),
        nature=Nature(f["nature"]),
        probabilities={k: v / total for k, v in probabilities.items()},
        score=f["score"], outcome=f["outcome"],
        parts=tuple(ScorePart(**p) for p in f["evidence"]), reasons=tuple(f["reasons"]),
    )


def _assessment_from_json(a: Mapping[str, Any]) -> Assessment:
    between = a["confirm_between"]
    return Assessment(
        criterion=a["criterion"], view=View(a["view"]), category=a["category"], sum_mm=a["sum_mm"],
        baseline_mm=a["baseline_mm"], nadir_mm=a["nadir_mm"], sum_sul=a["sum_sul"], baseline_sul=a["baseline_sul"],
        targets=tuple(a["targets"]),
        confirm_between=(date.fromisoformat(between[0]), date.fromisoformat(between[1])) if between else None,
        reasons=tuple((rule, text) for rule, _, text in (r.partition(": ") for r in a["reasons"])),
        readings=tuple(a.get("readings", {}).items()),  # results of earlier versions have none
    )


@cache
def result_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of result.json, as shipped in the package."""
    schema: dict[str, Any] = json.loads(
        files("irae.io").joinpath("schemas", "result.schema.json").read_text(encoding="utf-8")
    )
    return schema


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(result_schema())


def check_result(data: Mapping[str, Any]) -> None:
    """Validates result.json data.

    Raises:
        ValueError: If it does not fit; the message names the first place and what was expected.
    """
    error = next(iter(sorted(_validator().iter_errors(data), key=lambda e: list(map(str, e.absolute_path)))), None)
    if error is not None:
        where = "/".join(map(str, error.absolute_path)) or "(top)"
        raise ValueError(f"result.json at {where}: {error.message}")


def write_result(path: Path, result: ExamResult) -> None:
    """Writes result.json, whole or not at all; it is validated first."""
    data = result_to_json(result)
    check_result(data)
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_result(path: Path) -> ExamResult:
    """Reads result.json.

    Raises:
        ValueError: If it is not valid.
    """
    return result_from_json(json.loads(path.read_text(encoding="utf-8")))


def course_to_json(course: Course) -> dict[str, Any]:
    """The course as plain JSON values."""
    return {
        "schema": COURSE_SCHEMA,
        "patient": course.patient,
        "exams": [
            {
                "date": e.acquired_on.isoformat(), "modalities": list(e.modalities),
                "responses": [_assessment_to_json(a) for a in e.assessments],
                "hinges_on": [{"focus": h.focus, "if": h.if_nature, **dict(h.categories)} for h in e.hinges_on],
                "triage": e.triage.priority.value,
            }
            for e in course.exams
        ],
        "episodes": {
            irae.value: [
                {"date": e.acquired_on.isoformat(), "decision": f.decision.value, "state": f.state.value,
                 "severity": f.severity, "probability": _number(f.probability)}
                for e in course.exams for f in e.findings if f.irae is irae
            ]
            for irae in (*Irae, *FurtherIrae)
        },
        "tracks": _tracks_to_json(course),
        "patterns": [
            {"name": p.name, "definition": p.definition, "answer": p.answer, "source": p.source,
             "reasons": list(p.reasons)}
            for p in course.patterns
        ],
        "revisions": [
            {"track": r.track, "said": r.said.value, "said_on": r.said_on.isoformat(), "shown": r.shown.value,
             "shown_on": r.shown_on.isoformat(), "reason": r.reason}
            for r in course.revisions
        ],
        "due": [
            {"what": d.what, "between": [d.earliest.isoformat(), d.latest.isoformat()], "state": d.state.value,
             "reason": d.reason}
            for d in course.due
        ],
        "notices": [{"code": n.code, "text": n.text} for n in course.notices],
        "research_use_only": True,
    }


def _tracks_to_json(course: Course) -> dict[str, list[dict[str, Any]]]:
    tracks: dict[str, list[dict[str, Any]]] = {}
    for exam in course.exams:
        for a in exam.foci:
            tracks.setdefault(a.focus.track or f"untracked-{exam.acquired_on}-{a.focus.id}", []).append(
                {"date": exam.acquired_on.isoformat(), "focus": a.focus.id, "status": a.focus.status.value,
                 "nature": a.nature.value, "organ": a.focus.organ, "longest_mm": _number(a.focus.longest_mm, 1),
                 "short_mm": _number(a.focus.short_mm, 1), "suv_peak": _number(a.focus.suv_peak, 3)}
            )
    return dict(sorted(tracks.items()))


def write_course(path: Path, course: Course) -> None:
    """Writes course.json, whole or not at all."""
    write_text(path, json.dumps(course_to_json(course), indent=1, ensure_ascii=False) + "\n")
