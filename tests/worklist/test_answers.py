"""Answers of readers: all kept, the last one counts, a crash loses none."""

import threading

import pytest

from irae.worklist.answers import FILE_NAME, Answer, Answers, Recorded


def test_the_last_answer_counts_and_all_are_kept(tmp_path):
    answers = Answers(tmp_path)
    answers.record("P01/a", Answer.DISMISSED, reason="metformin", reader="AB", suspected=("colitis",), version="0.1.0")
    answers.record("P02/b", Answer.READ)
    answers.record("P02/b", Answer.REOPENED)
    standing = Answers(tmp_path).standing()
    assert set(standing) == {"P01/a"}
    assert (standing["P01/a"].reason, standing["P01/a"].reader, standing["P01/a"].suspected) == (
        "metformin", "AB", ("colitis",))
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 3


def test_a_line_that_was_cut_short_costs_no_other_answer(tmp_path):
    answers = Answers(tmp_path)
    answers.record("P01/a", Answer.READ)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text() + '{"exam": "P02/b", "ans')
    answers.record("P03/c", Answer.READ)
    assert set(Answers(tmp_path).standing()) == {"P01/a", "P03/c"}


def test_many_readers_at_once(tmp_path):
    answers = Answers(tmp_path)
    threads = [threading.Thread(target=answers.record, args=(f"P{n}/x", Answer.READ)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers.standing()) == 20


@pytest.mark.parametrize(("answer", "reason"), [
    (Answer.DISMISSED, ""), (Answer.DISMISSED, "boredom"), (Answer.READ, "metformin")])
def test_a_dismissal_needs_a_known_reason_and_nothing_else_takes_one(answer, reason):
    with pytest.raises(ValueError, match="reason"):
        Recorded(exam="P01/a", answer=answer, reason=reason, reader="", at="")
