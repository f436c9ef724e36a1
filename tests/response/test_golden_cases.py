"""The project's own worked cases, each by its default and, where a decision is named, by the alternative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from irae.io.response_tables import plain, read_case
from irae.response import DECISIONS, Scored, score_case
from tests.response.notation import case, on

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "response" / "cases.yaml"
ENTRIES: list[dict[str, Any]] = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))


def scored(entry: Mapping[str, Any], override: Mapping[str, object] | None = None) -> Scored:
    read = read_case(case(entry), override=override)
    return score_case(read.case, read.criterion)


def differences(found: Scored, expect: list[str | None] | None, summary: Mapping[str, Any]) -> Iterator[str]:
    if expect is not None:
        words = [answer.overall for answer in found.answers]
        if words != expect:
            yield f"{words} instead of {expect}: {[a.reasons for a in found.answers]}"
    for key, value in summary.items():
        wanted = on(value) if key.endswith(("_date", "_start", "_end")) and isinstance(value, int) else value
        got = plain(found.summary[key])
        if got != wanted:
            yield f"{key} {got!r} instead of {wanted!r}: {found.reasons}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["id"])
def test_worked_case(entry: dict[str, Any]) -> None:
    assert entry["source"]
    assert "expect" in entry or "summary" in entry
    found = scored(entry)
    wrong = list(differences(found, entry.get("expect"), entry.get("summary") or {}))
    for key, names in (("sums", ("sum_mm",)), ("nadirs", ("nadir_mm",)), ("nlt", ("nlt_sum_mm",)),
                       ("burdens", ("tumour_burden_mm", "tumour_burden_mm2")), ("groups", ())):
        for answer, wanted in zip(found.answers, entry.get(key, ()), strict=False):
            if key == "groups":
                got: object = [answer.values["injected"], answer.values["non_injected"]]
            else:
                got = next(answer.values[n] for n in names if n in answer.values)
            if got != wanted:
                wrong.append(f"{answer.tp}: {key} {got!r} instead of {wanted!r}")
    assert not wrong, "\n".join(wrong)
    assert all(answer.reasons for answer in found.answers)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "switch" in e], ids=lambda e: e["id"])
def test_alternative_of_a_decision(entry: dict[str, Any]) -> None:
    found = scored(entry, override=entry["switch"])
    wrong = list(differences(found, entry.get("other"), entry.get("other_summary") or {}))
    assert not wrong, "\n".join(wrong)


def test_every_decision_has_a_case_that_hangs_on_it() -> None:
    switched = {name for entry in ENTRIES for name in entry.get("switch", {})}
    # DEC-05 is about the choice of targets: tests/response/test_validity.py.
    assert {d.id for d in DECISIONS} - {"DEC-05"} <= switched


def test_names_are_unique() -> None:
    names = [entry["id"] for entry in ENTRIES]
    assert len(set(names)) == len(names)
