"""The context table: every kind of row, and errors that name the row."""

from datetime import date

import pytest

from irae.core.context import ContextKind, TherapyClass
from irae.io.context import read_context

HEAD = "patient_id,date,end_date,kind,value\n"


def table(tmp_path, text, head=HEAD):
    path = tmp_path / "context.csv"
    path.write_bytes((head + text).encode("utf-8"))
    return path


def test_every_kind(tmp_path):
    rows = read_context(table(tmp_path, (
        "P1,,,sex,f\nP1,,,birth_year,1961\nP1,,,height_cm,171.5\nP1,,,tumour,melanoma\n"
        "P1,2026-01-05,2026-06-30,therapy,ipilimumab + nivolumab\nP1,2026-02-01,,steroid,prednisolone 60 mg\n"
        "P1,,,metformin,yes\nP1,2026-02-01,,gcsf,\nP1,2025-11-01,2025-12-01,radiotherapy,left lung\n"
        "P1,2026-01-20,,vaccination,left arm\nP1,2026-01-20,,infection,pneumonia\nP1,2025-10-10,,surgery,lobectomy\n"
        "P1,2026-03-01,,clinical_status,Improving\n\nP2,,,sex,M\n"
    )))
    assert set(rows) == {"P1", "P2"}
    assert {entry.kind for entry in rows["P1"].entries} == set(ContextKind)
    on = date(2026, 3, 14)
    assert rows["P1"].latest(ContextKind.SEX, on) == "F"
    assert rows["P1"].latest(ContextKind.CLINICAL_STATUS, on) == "improving"
    assert rows["P1"].therapy_classes(on) == {TherapyClass.CTLA4, TherapyClass.PD1}
    assert rows["P1"].active(ContextKind.THERAPY, date(2026, 7, 1)) == ()


@pytest.mark.parametrize("prefix", ["\ufeff", ""])
def test_spreadsheet_exports(tmp_path, prefix):
    path = tmp_path / "c.csv"
    path.write_text(f"{prefix}patient_id;date;end_date;kind;value\r\nP1;;;sex;M\r\n", encoding="utf-8", newline="")
    assert read_context(path)["P1"].entries[0].value == "M"


def test_quoted_values_and_other_column_order(tmp_path):
    path = table(tmp_path, 'tumour,"lung, left",P1,,\n', head="kind,value,patient_id,date,end_date\n")
    assert read_context(path)["P1"].entries[0].value == "lung, left"


def test_patient_ids_become_the_keys_that_exams_have(tmp_path):
    from irae.io.archive import patient_key

    assert list(read_context(table(tmp_path, "a/b,,,sex,M\n"))) == [patient_key("a/b")]


@pytest.mark.parametrize(("row", "message"), [
    ("P1,,,weight,70\n", "row 2: kind 'weight' is unknown; choose from sex, birth_year"),
    ("P1,14.03.2026,,therapy,nivolumab\n", "row 2: date '14.03.2026' is not a date; write it as 2026-03-14"),
    ("P1,2026-03-14,2026-13-01,therapy,nivolumab\n", "row 2: end_date '2026-13-01'"),
    ("P1,2026-03-14,2026-03-01,therapy,nivolumab\n", "row 2: end_date 2026-03-01 is before date"),
    ("P1,,,sex,X\n", "row 2: sex must be M or F, got 'X'"),
    ("P1,,,height_cm,1.75\n", "row 2: height_cm 1.75 is outside 30 to 260"),
    ("P1,,,height_cm,tall\n", "row 2: height_cm 'tall' is not a number"),
    ("P1,,,sex,M\nP1,,,clinical_status,dead\n", "row 3: clinical_status must be one of stable"),
    (",,,sex,M\n", "row 2: patient_id is empty"),
    ("P1,,,sex,M,extra\n", "row 2: more cells than columns"),
    ("P1,,,therapy,\n", "row 2: therapy needs a value"),
    ('P1,,,tumour,"unclosed\n', "not a readable CSV"),
])
def test_errors_name_the_row(tmp_path, row, message):
    with pytest.raises(ValueError, match="context") as caught:
        read_context(table(tmp_path, row))
    assert message in str(caught.value)


def test_missing_columns(tmp_path):
    with pytest.raises(ValueError, match="columns end_date, value are missing"):
        read_context(table(tmp_path, "", head="patient_id,date,kind\n"))
