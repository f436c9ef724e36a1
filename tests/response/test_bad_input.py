"""Bad input: a clear error that names patient, visit, lesion and value; the others are still scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from irae.io.response_tables import read_case, read_tables
from irae.response import CaseError, score_case

HEAD = "patient_id,visit,date,lesion_id,role,organ,is_node,longest_mm,short_mm,sul_peak,state\n"
GOOD = (
    "P0,BL,2026-01-05,T1,target,liver,false,60,40,,measured\n"
    "P0,W8,2026-03-02,T1,target,liver,false,30,20,,measured\n"
)


def table(tmp_path: Path, rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(head + rows, encoding="utf-8")
    return path


@pytest.mark.parametrize(("rows", "said"), [
    ("P1,BL,2026-01-05,T1,target,liver,false,60,,,\nP1,W8,2026-01-05,T1,target,liver,false,60,,,",
     "patient P1, visit W8: dates are out of order: 2026-01-05"),
    ("P1,BL,2026-01-05,T1,target,liver,false,60,,,\nP1,BL,2026-01-05,T1,target,liver,false,61,,,",
     "patient P1, visit BL, lesion T1: a lesion is given twice"),
    ("P1,BL,2026-01-05,T1,target,liver,false,-3,,,", "patient P1, visit BL, lesion T1: longest_mm -3 mm is negative"),
    ("P1,BL,2026-01-05,T1,target,liver,false,,,,",
     "patient P1, visit BL, lesion T1: a measured lesion needs its longest"),
    ("P1,BL,2026-01-05,N1,target,neck_node,true,30,,,",
     "patient P1, visit BL, lesion N1: a measured node needs its short"),
    ("P1,BL,2026-01-05,T1,target,liver,false,60,,,\nP1,W8,2026-03-02,T9,target,liver,false,60,,,",
     "patient P1, visit W8, lesion T9: unknown target"),
    ("P1,BL,2026-01-05,T1,target,liver,false,6o,,,",
     "patient P1, visit BL, lesion T1: longest_mm '6o' is not a number"),
    ("P1,BL,05.01.2026,T1,target,liver,false,60,,,", "patient P1, visit BL: date '05.01.2026' is not a date"),
    ("P1,BL,2026-01-05,T1,tumour,liver,false,60,,,", "patient P1, visit BL, lesion T1: row 2: role 'tumour'"),
    ("P1,BL,2026-01-05,T1,target,liver,false,60,,,gone",
     "patient P1, visit BL, lesion T1: state 'gone' must be one of"),
    ("P1,BL,2026-01-05,T1,target,liver,false,20,30,,",
     "lesion T1: short axis 30.0 mm exceeds the longest diameter 20.0"),
    ("P1,BL,2026-01-05,T1,target,liver,maybe,20,10,,", "lesion T1: is_node 'maybe' is neither true nor false"),
    ("P1,BL,2026-01-05,T1,target,liver,false,,,,absent", "lesion T1: a target is measured at baseline, got absent"),
    ("P1,BL,2026-01-05,T1,target,liver,false,60,,,\nP1,BL,2026-01-06,T2,target,lung,false,60,,,",
     "patient P1, visit BL: rows of one visit have different dates"),
])
def test_a_bad_patient_is_named_and_the_others_are_read(tmp_path: Path, rows: str, said: str) -> None:
    tables = read_tables(table(tmp_path, rows + "\n" + GOOD))
    assert [r.id for r in tables.rejected] == ["P1"]
    assert said in tables.rejected[0].text
    assert [c.case.id for c in tables.cases] == ["P0"]
    assert score_case(tables.cases[0].case, "recist_1_1").answers[0].overall == "PR"


def test_nan_is_not_a_number(tmp_path: Path) -> None:
    tables = read_tables(table(tmp_path, "P1,BL,2026-01-05,T1,target,liver,false,nan,,,\n"))
    assert "longest_mm 'nan' is not a number" in tables.rejected[0].text


def test_missing_column_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column role is missing"):
        read_tables(table(tmp_path, "P1,BL,2026-01-05,T1\n", head="patient_id,visit,date,lesion_id\n"))
    with pytest.raises(ValueError, match="has no rows"):
        read_tables(table(tmp_path, ""))
    other = tmp_path / "cases.txt"
    other.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"need \.yaml"):
        read_tables(other)
    deep = "[" * 200_000
    for name, text in (("a.yaml", "cases: {"), ("a.json", "{"), ("c.yaml", deep), ("c.json", deep),
                       ("b.yaml", "title: none")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=name):
            read_tables(path)


def test_unknown_columns_are_told(tmp_path: Path) -> None:
    tables = read_tables(table(tmp_path, "P1,BL,2026-01-05,T1,target,liver,false,60,40,,,x\n",
                               head=HEAD.replace("state", "state,reader")))
    assert tables.ignored_columns == ("reader",)


def case(**more: Any) -> dict[str, Any]:
    visits = [
        {"id": "BL", "date": "2026-01-05", "kind": "baseline", "targets": [{"id": "T1", "longest_mm": 40.0}]},
        {"id": "W8", "date": "2026-03-02", "targets": [{"id": "T1", "longest_mm": 40.0}]},
    ]
    return {"id": "C1", "criterion": "recist_1_1", "timepoints": visits, **more}


def test_unknown_option_and_value_are_named() -> None:
    with pytest.raises(CaseError, match="patient C1: unknown option 'pr_persistance'"):
        read_case(case(options={"pr_persistance": "strict"}))
    with pytest.raises(CaseError, match=r"pr_persistence \(DEC-01\) must be one of"):
        read_case(case(options={"DEC-01": "never"}))
    with pytest.raises(CaseError, match="sd_min_days must not be negative"):
        read_case(case(options={"sd_min_days": -1}))


def test_a_pet_criterion_without_liver_reference_is_not_evaluable() -> None:
    raw = case()
    for visit in raw["timepoints"]:
        visit["pet"] = {"lesions": [{"id": "P1", "sul_peak": 8.0}]}
    for name in ("percist_1_0", "impercist5", "ipercist"):
        answer = score_case(read_case(raw).case, name).answers[0]
        assert answer.overall == "NE"
        assert "not_comparable:no_reference" in answer.flags


def test_irrc_needs_both_diameters() -> None:
    with pytest.raises(CaseError, match="patient C1, visit BL, lesion T1: irRC needs both diameters"):
        score_case(read_case(case()).case, "irrc")


def test_what_a_criterion_lacks_is_said() -> None:
    no_baseline = case()
    no_baseline["timepoints"] = no_baseline["timepoints"][1:]
    for name, said in (("recist_1_1", "no baseline"), ("lyric", "no baseline"), ("growth_kinetics", "sum at baseline"),
                       ("suv", "sex, weight and height")):
        with pytest.raises(CaseError, match=said):
            score_case(read_case(no_baseline).case, name)
    with pytest.raises(ValueError, match="unknown criterion 'recist'"):
        score_case(read_case(case()).case, "recist")


@pytest.mark.parametrize(("key", "value", "said"), [
    ("targets", [{"id": "T1", "state": "split"}], "a split lesion needs the size of its fragments"),
    ("targets", [{"id": "T1", "state": "merged"}], "a merged lesion needs the id"),
    ("targets", [{"id": "T1", "state": "merged", "merged_into": "T7"}], "merged into unknown target T7"),
    ("targets", [{"id": "T1", "state": "equivocal"}], "state 'equivocal' does not fit here"),
    ("targets", [{"id": "T1", "is_node": True, "short_mm": 5.0}], "is a node at one visit and not at another"),
    ("non_targets", [{"id": "X"}], "unknown non-target"),
    ("new_lesions", [{"id": "L1", "state": "measured"}], "a measured lesion needs its longest diameter"),
    ("new_lesions", [{"longest_mm": 3.0}], "a lesion is a mapping with an id"),
    ("pet", {"lesions": [{"id": "P1", "sul_peak": -1}]}, "SULpeak -1.0 g/mL is negative"),
    ("pet", {"lesions": [{"id": "P1", "attribution": "benign"}]}, "attribution 'benign' must be"),
    ("lymphoma", {"new_lesions": 1}, "spd_mm2 is missing"),
])
def test_a_bad_follow_up_is_named(key: str, value: Any, said: str) -> None:
    raw = case()
    raw["timepoints"][1][key] = value
    with pytest.raises(CaseError, match=said) as caught:
        read_case(raw)
    assert "patient C1, visit W8" in str(caught.value)
