import sqlite3

import pytest

from irae.batch.ledger import FileRow, Ledger, WorkKey

KEY = WorkKey(input_hash="i", model_hash="m", settings_hash="s")


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def test_an_exam_is_done_only_with_the_same_input_models_and_settings(ledger):
    ledger.start("P/2026-01-01", "P", "2026-01-01", KEY)
    assert not ledger.is_settled("P/2026-01-01", KEY), "running is not done"
    ledger.finish("P/2026-01-01", seconds=1.0, worklist_row={"exam": "P/2026-01-01"})
    assert ledger.is_settled("P/2026-01-01", KEY)
    for changed in ({"input_hash": "x"}, {"model_hash": "x"}, {"settings_hash": "x"}):
        other = WorkKey(**{"input_hash": "i", "model_hash": "m", "settings_hash": "s", **changed})
        assert not ledger.is_settled("P/2026-01-01", other), changed


def test_a_quarantined_exam_is_settled_and_a_failed_one_is_tried_again(ledger):
    ledger.start("P/1", "P", "1", KEY)
    ledger.quarantine("P/1", code="missing_slice", reason="slice 4 of 10", worklist_row={"exam": "P/1"})
    assert ledger.is_settled("P/1", KEY)
    ledger.start("P/2", "P", "2", KEY)
    ledger.fail("P/2", code="internal_error", reason="disk full", worklist_row={"exam": "P/2"})
    assert not ledger.is_settled("P/2", KEY)
    assert [r["exam"] for r in ledger.quarantined()] == ["P/1", "P/2"]
    assert ledger.exam_counts() == {"quarantined": 1, "failed": 1}


def test_what_survives_a_kill_is_what_was_committed(tmp_path):
    first = Ledger(tmp_path / "l.sqlite")
    first.start("P/1", "P", "1", KEY)
    first.finish("P/1", seconds=2.0, worklist_row={"exam": "P/1", "score": 0.5})
    first.start("P/2", "P", "2", KEY)  # killed here: no close
    again = Ledger(tmp_path / "l.sqlite")
    assert again.is_settled("P/1", KEY)
    assert not again.is_settled("P/2", KEY)
    assert again.worklist_rows() == [{"exam": "P/1", "score": 0.5}]
    again.close()
    first.close()


def test_every_file_has_one_outcome_and_a_later_word_replaces_an_earlier(ledger):
    row = FileRow(path="a.dcm", series_uid="1.2", outcome="used", code="used", text="used")
    ledger.record_files([row, FileRow(path="b.txt", series_uid="", outcome="ignored", code="not_dicom", text="t")])
    ledger.record_files([FileRow(path="a.dcm", series_uid="1.2", outcome="quarantined", code="truncated", text="cut")])
    assert ledger.file_counts() == {"quarantined": 1, "ignored": 1}
    assert ledger.quarantined() == [
        {"path": "a.dcm", "series_uid": "1.2", "exam": "", "code": "truncated", "reason": "cut"}
    ]


def test_an_exam_that_was_never_started_cannot_end(ledger):
    with pytest.raises(ValueError, match="never started"):
        ledger.finish("P/9", seconds=1.0, worklist_row={})


def test_a_ledger_of_another_version_is_refused(tmp_path):
    Ledger(tmp_path / "l.sqlite").close()
    with sqlite3.connect(tmp_path / "l.sqlite") as db:
        db.execute("UPDATE meta SET value = '99'")
    db.close()
    with pytest.raises(ValueError, match="version 99"):
        Ledger(tmp_path / "l.sqlite")
