"""What the worklist says of an exam."""

from dataclasses import replace

import pytest

from irae.app.outputs import worklist_row
from irae.core.focus import FocusStatus, Nature
from irae.core.notice import Notice
from tests.report import examples

HOT = Notice("hot_threshold", "Hot means SUV 3.8 or more.")
FIRST = Notice("no_baseline", "No earlier exam.")


@pytest.mark.parametrize(("notices", "quality", "limits"), [
    ((), "ok", []), ((HOT,), "ok", []), ((HOT, FIRST), "limited", ["no_baseline"]),
])
def test_only_gaps_limit_the_quality(notices, quality, limits):
    row = worklist_row(replace(examples.follow_up_exam()[0], notices=notices))
    assert (row["qc"], row["limits"]) == (quality, limits)
    assert row["notices"] == sorted(n.code for n in notices), "nothing is hidden"


def test_on_a_first_exam_no_metastasis_is_new():
    result = examples.baseline_exam()[0]
    assert any(f.nature is Nature.METASTASIS and f.focus.status is FocusStatus.NEW for f in result.foci)
    assert worklist_row(replace(result, notices=()))["new_metastasis"] is True
    assert worklist_row(replace(result, notices=(FIRST,)))["new_metastasis"] is False
