"""Every shipped cut-off: at, just under, just over; and that it says where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from irae.findings.rules import Change, Cutoff, Relation
from irae.findings.signs import log_odds
from irae.findings.tables import RULE_SET

ALL_RULES = (*RULE_SET.iraes.values(), *RULE_SET.further.values())
SIGNS = [(rules.irae.value, sign) for rules in ALL_RULES for sign in rules.signs]
STEPS = [(rules.irae.value, step) for rules in ALL_RULES for step in rules.severity]
IDS = [f"{irae}-{sign.name}" for irae, sign in SIGNS]
EVERY_CUTOFF = [s.cutoff for _, s in (*SIGNS, *STEPS)] + [s.cutoff_men for _, s in SIGNS if s.cutoff_men]


@pytest.mark.parametrize("cutoff", EVERY_CUTOFF, ids=lambda c: f"{c.reference}{c.unit}")
def test_at_under_and_over(cutoff):
    step = 1e-3
    at, under, over = (cutoff.met(cutoff.value + d) for d in (0.0, -step, step))
    assert (under, at, over) == {
        Relation.ABOVE: (False, False, True),
        Relation.AT_LEAST: (False, True, True),
        Relation.BELOW: (True, False, False),
        Relation.AT_MOST: (True, True, False),
    }[cutoff.relation]
    assert cutoff.met(cutoff.value + 1e-9) is at, "binary rounding must not decide"


@pytest.mark.parametrize("cutoff", EVERY_CUTOFF, ids=lambda c: f"{c.reference}{c.unit}")
def test_says_where_it_comes_from(cutoff):
    assert cutoff.source
    assert cutoff.unit
    assert cutoff.reference == f"{cutoff.relation.value} {cutoff.value:g}"


PUBLISHED = [
    ("colitis", "suv95", Relation.ABOVE, 2.7), ("colitis", "suv95_rise", Relation.ABOVE, 40.0),
    ("colitis", "thickened_length", Relation.AT_LEAST, 6.0), ("pneumonitis", "suv95", Relation.ABOVE, 1.7),
    ("thyroiditis", "suv75", Relation.ABOVE, 2.1), ("hypophysitis", "tbr", Relation.ABOVE, 2.41),
    ("hypophysitis", "height", Relation.AT_LEAST, 9.0), ("hepatitis", "volume_rise", Relation.ABOVE, 1.15),
    ("hepatitis", "hepatomegaly", Relation.ABOVE, 1700.0), ("hepatitis", "suv_rise", Relation.ABOVE, 1.1),
]


@pytest.mark.parametrize(("irae", "name", "relation", "value"), PUBLISHED)
def test_published_values(irae, name, relation, value):
    cutoff = next(s.cutoff for i, s in SIGNS if (i, s.name) == (irae, name))
    assert (cutoff.relation, cutoff.value) == (relation, value)


def test_pneumonitis_severity_follows_the_published_extents():
    steps = {s.severity: s.cutoff.reference for i, s in STEPS if i == "pneumonitis"}
    assert steps == {2: ">= 25", 3: "> 50"}


@pytest.mark.parametrize(("irae", "sign"), SIGNS, ids=IDS)
def test_log_odds_grow_from_if_not_through_zero_to_if_met(irae, sign):
    direction = 1.0 if sign.cutoff.upward else -1.0
    at = [log_odds(sign, sign.cutoff.value + direction * sign.span * n) for n in (-5, -1, -0.5, 0, 0.5, 1, 5)]
    assert at == sorted(at)
    assert at[3] == 0.0
    assert (at[0], at[-1]) == (sign.if_not, sign.if_met)
    assert at[4] == pytest.approx(sign.if_met / 2)


def test_signs_of_one_irae_have_different_names():
    for irae, rules in RULE_SET.iraes.items():
        names = [s.name for s in rules.signs]
        assert len(set(names)) == len(names), irae


def test_changes_need_a_unit_of_change():
    for irae, sign in SIGNS:
        if sign.change is Change.PERCENT:
            assert sign.cutoff.unit == "%", (irae, sign.name)
        if sign.change is Change.RATIO:
            assert sign.cutoff.unit == "1", (irae, sign.name)


@pytest.mark.parametrize(("irae", "sign"), SIGNS, ids=IDS)
def test_reference_page_lists_it(irae, sign):
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "findings.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{sign.name}`")]
    row = next((line for line in rows if f"`{sign.quantity}`" in line), None)
    assert row is not None, f"docs/reference/findings.md has no row for {irae} {sign.name}"
    assert sign.cutoff.reference in row


def test_a_cutoff_below_is_strict():
    below = Cutoff(value=1.0, relation=Relation.BELOW, unit="1", source="x")
    assert (below.met(1.0), below.met(0.99)) == (False, True)
