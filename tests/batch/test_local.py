import pytest

from irae.batch.local import LocalEngine
from irae.core.errors import StudyError
from tests.batch.local_work import double


def run(items, engine, compute=lambda item, read: read + 1, write=lambda item, made: None):
    return list(engine.run(items, read=double, compute=compute, write=write))


@pytest.mark.parametrize("readers", [0, 1, 2])
def test_everything_is_done_once_and_computed_in_order(readers):
    computed, written = [], []
    ended = run(
        list(range(7)), LocalEngine(readers=readers, writers=2, ahead=2),
        compute=lambda item, read: computed.append(item) or read + 1,
        write=lambda item, made: written.append((item, made)),
    )
    assert computed == list(range(7))
    assert sorted(written) == [(i, 2 * i + 1) for i in range(7)]
    assert sorted((e.item, e.made) for e in ended) == [(i, 2 * i + 1) for i in range(7)]
    assert all(e.error is None for e in ended)


def test_a_bad_item_ends_alone():
    ended = {e.item: e for e in run(["a", "bad", "b"], LocalEngine(readers=0), compute=lambda i, r: r)}
    assert ended["a"].made == "aa"
    assert ended["b"].made == "bb"
    assert isinstance(ended["bad"].error, ValueError)


def test_a_write_that_fails_is_reported_and_the_rest_goes_on():
    def write(item, made):
        if item == 1:
            raise OSError("disk full")

    ended = {e.item: e for e in run([0, 1, 2], LocalEngine(readers=0), write=write)}
    assert isinstance(ended[1].error, OSError)
    assert ended[1].made is None
    assert ended[2].made == 5


@pytest.mark.slow
def test_a_reader_that_is_killed_costs_one_item():
    ended = {e.item: e for e in run(["a", "crash", "b", "c"], LocalEngine(readers=1, ahead=3), compute=lambda i, r: r)}
    assert isinstance(ended["crash"].error, StudyError)
    assert ended["crash"].error.code == "reader_crashed"
    assert [ended[k].made for k in "abc"] == ["aa", "bb", "cc"]


@pytest.mark.slow
def test_a_reader_that_hangs_costs_one_item():
    engine = LocalEngine(readers=1, ahead=1, read_timeout_s=8.0)
    ended = {e.item: e for e in run(["hang", "b"], engine, compute=lambda i, r: r)}
    assert ended["hang"].error.code == "reader_hung"
    assert ended["b"].made == "bb"


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="writers"):
        LocalEngine(writers=0)
