"""Every worked case of the shared reference, where it lies beside the project: category and every listed number."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from irae.io.response_tables import plain, read_case
from irae.response import DECISIONS, score_case

SHARED = Path(os.environ.get("IRAE_SHARED_REFERENCE",
                             Path(__file__).resolve().parents[2].parent / "shared" / "reference"))
CASES = SHARED / "response_cases.yaml"


def load() -> dict[str, Any]:
    content = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def same(answer: object, expected: object, *, abs_tol: float = 0.01, rel_tol: float = 0.0) -> bool:
    if isinstance(expected, float) and isinstance(answer, (int, float)) and not isinstance(answer, bool):
        return abs(answer - expected) <= max(abs_tol, rel_tol * abs(expected))
    return answer == expected


def failures(raw: Mapping[str, Any], defaults: Mapping[str, object]) -> Iterator[str]:
    read = read_case(raw, defaults=defaults)
    scored = score_case(read.case, read.criterion)
    answers = {a.tp: a for a in scored.answers}
    for row in raw.get("expected") or ():
        answer = answers[row["tp"]]
        allowed = row.get("accept")
        for key, expected in row.items():
            if key in ("tp", "accept"):
                continue
            if key == "flags":
                missing = set(expected) - set(answer.flags)
                if missing:
                    yield f"{raw['id']} {row['tp']}: flags {answer.flags} lack {missing}"
                continue
            got = answer.overall if key == "overall" else plain(answer.values.get(key))
            if key == "overall" and allowed and got == expected:
                continue
            if not same(got, expected):
                yield f"{raw['id']} {row['tp']}: {key} is {got!r}, expected {expected!r}; {answer.reasons}"
    wanted = dict(raw.get("expected_summary") or {})
    tolerance = {k: wanted.pop(k) for k in ("abs_tol", "rel_tol") if k in wanted}
    wanted.pop("accept", None)
    for key, expected in wanted.items():
        got = plain(scored.summary.get(key, "(no such key)"))
        if not same(got, expected, **tolerance):
            yield f"{raw['id']} summary: {key} is {got!r}, expected {expected!r}; {scored.reasons}"


@pytest.mark.skipif(not CASES.is_file(), reason=f"the shared reference is not beside the project ({CASES})")
def test_every_shared_case_is_right() -> None:
    content = load()
    wrong = [line for raw in content["cases"] for line in failures(raw, content["options_defaults"])]
    assert not wrong, "\n".join(wrong)
    assert len(content["cases"]) >= 163


@pytest.mark.skipif(not CASES.is_file(), reason=f"the shared reference is not beside the project ({CASES})")
def test_the_alternative_of_a_contested_case_is_one_of_the_accepted_answers() -> None:
    """Where the reference lists the answers it would accept, every value of the decision gives one of them."""
    content = load()
    options = {d.id: d for d in DECISIONS}
    changed: set[str] = set()
    for raw in content["cases"]:
        if not raw.get("contested"):
            continue
        decision = options[raw["decision"]]
        accepted = {row["tp"]: row.get("accept") for row in raw.get("expected") or ()}
        default = None
        for value in decision.values:
            read = read_case(raw, defaults=content["options_defaults"], override={decision.id: value})
            scored = score_case(read.case, read.criterion)
            said = ([a.overall for a in scored.answers], dict(scored.summary))
            default = default or said
            if said != default:
                changed.add(decision.id)
            for answer in scored.answers:
                allowed = accepted.get(answer.tp)
                assert not allowed or answer.overall in allowed, f"{raw['id']} {decision.id}={value}: {answer}"
            best = raw["expected_summary"].get("accept")
            assert not best or scored.summary["best_overall_response"] in best, f"{raw['id']} {decision.id}={value}"
    assert changed >= {"DEC-02", "DEC-04", "DEC-06", "DEC-07", "DEC-08", "DEC-09", "DEC-12", "DEC-15", "DEC-16"}
