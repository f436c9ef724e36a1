"""The order of reading, and rows that are read back whole."""

import json
import random
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irae.worklist.rows import in_reading_order, read_rows, row_of


def entry(exam, *, acr=None, p=None, day="2026-03-01", state="done", **more):
    """A row as infer.py writes it."""
    suspected = [] if p is None else [
        {"irae": "colitis", "probability": p, "threshold": 0.42, "severity": 2, "state": "new"}]
    return {"exam": exam, "patient": exam.split("/")[0], "date": day, "modalities": ["CT", "PT"], "priority": "routine",
            "score": 0.1, "acr_category": acr, "suspected": suspected, "not_assessable": [], "new_metastasis": False,
            "responses": {}, "qc": "ok", "notices": [], "report": f"{exam}/report.html", "versions": {}, "state": state,
            **more}


@pytest.mark.parametrize(("first", "second", "why"), [
    (entry("B/1", acr=1, p=0.5), entry("A/1", acr=2, p=0.9), "a lower ACR category is read sooner, whatever P"),
    (entry("B/1", acr=2, p=0.9), entry("A/1", acr=2, p=0.8), "then the higher probability"),
    (entry("B/1", acr=2, p=0.9, day="2026-01-01"), entry("A/1", acr=2, p=0.9), "then the longer wait"),
    (entry("B/1", acr=3, p=0.1), entry("A/1"), "a flag moves forward"),
    (entry("B/1", day="2026-01-01"), entry("A/1", p=0.99), "without a category only waiting counts"),
    (entry("B/1", state="quarantined"), entry("A/1", day="2020-01-01"), "not analysed is not behind the quiet ones"),
    (entry("B/1", state="quarantined", day="no date"), entry("A/1"), "an unknown date does not sink an exam"),
])
def test_order(first, second, why):
    for rows in ([first, second], [second, first]):
        assert [r.exam for r in in_reading_order(map(row_of, rows))] == [first["exam"], second["exam"]], why


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.one_of(st.none(), st.floats(0, 1)),
                          st.sampled_from(["done", "quarantined"])), max_size=12), st.randoms())
def test_no_exam_is_lost_and_the_order_does_not_depend_on_the_file(drawn, rng: random.Random):
    rows = [row_of(entry(f"P{n}/d", acr=acr, p=p, state=state)) for n, (acr, p, state) in enumerate(drawn)]
    shuffled = rows.copy()
    rng.shuffle(shuffled)
    ordered = in_reading_order(shuffled)
    assert sorted(r.exam for r in ordered) == sorted(r.exam for r in rows)
    assert [r.exam for r in ordered] == [r.exam for r in in_reading_order(rows)]


def test_rows_are_read_from_the_file_infer_writes(tmp_path):
    assert read_rows(tmp_path) == []
    rows = [entry("P01/2026-03-14", acr=2, p=0.91)]
    (tmp_path / "worklist.json").write_text(json.dumps({"schema": "irae.worklist/1", "exams": rows}))
    (row,) = read_rows(tmp_path)
    assert row.suspected[0].threshold == 0.42
    assert row.age_days(date(2026, 3, 11)) == 10


@pytest.mark.parametrize("bad", ['{"exams": 3}', '[{"patient": "P01"}]', "{", '[{"exam": "a", "patient": "b"}]'])
def test_a_file_of_another_kind_is_refused(tmp_path, bad):
    (tmp_path / "worklist.json").write_text(bad)
    with pytest.raises(ValueError, match=r"worklist|Expecting"):
        read_rows(tmp_path)
