"""The reference page: its examples run, and it names every criterion, decision and rule that an answer can carry."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from irae.response import CRITERIA, DECISIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "criteria.md"
RULE = re.compile(r"\b((?:R11|IR|IRC|IRR|IMR|PER|IMP|IPE|PMT|PEC|LYR|LBM|HPD|PSP|DIS|DUR|ADM)-[A-Z]*\d*[A-Z]*)\b")


def test_examples_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 30
    assert result.failed == 0


def test_every_criterion_has_its_section_and_an_example() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in CRITERIA:
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert ">>> " in section, name


def test_every_decision_is_listed_with_its_values_the_default_first() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for decision in DECISIONS:
        row = next(line for line in text.splitlines() if line.startswith(f"| {decision.id} "))
        assert f"`{decision.option}`" in row
        values = row.split("|")[3]
        if decision.option != "max_intervening_ne":
            assert values.strip().split(", ") == [f"`{v}`" for v in decision.values]


def test_every_rule_in_the_code_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(RULE.findall(page))
    for start, end in re.findall(r"([A-Z0-9]+-[A-Z]*\d+)\*{0,2} to \*{0,2}([A-Z0-9]+-[A-Z]*\d+)", page):
        stem = start.rstrip("0123456789")
        named |= {f"{stem}{n}" for n in range(int(start[len(stem):]), int(end[len(stem):]) + 1)}
    used = {
        rule for path in (ROOT / "irae" / "response").glob("*.py")
        for rule in re.findall(r'"([A-Z0-9]+-[A-Z]*\d*[A-Z]*)"', path.read_text(encoding="utf-8"))
        if RULE.fullmatch(rule)
    }
    assert len(used) > 50
    assert not used - named, sorted(used - named)
