"""A kept index: an unchanged archive is not opened again, a changed one only where it changed, damage is noticed."""

import builtins
import errno
import itertools
import json
import os
import sqlite3
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from irae.io.archive import headers as headers_module
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import UID, series, write


@pytest.fixture
def archive(tmp_path):
    source = tmp_path / "in"
    write(source / "ct", series("CT", number=1))
    write(source / "pt", series("PT", number=2))
    paths = write(tmp_path / "other", series("CT", number=3, patient="P02"))
    with zipfile.ZipFile(source / "P02.zip", "w") as zipped:
        for path in paths:
            zipped.write(path, path.name)
    (source / "notes.txt").write_text("hello")
    return source


@pytest.fixture
def opened(monkeypatch):
    """The names of the archive's files that are opened, from now on."""
    names: list[str] = []
    real, real_os = builtins.open, os.open

    def watched(path, *args, **kwargs):
        if "/in/" in os.fspath(path if not isinstance(path, int) else "") or "unpacked" in str(path):
            names.append("/".join(Path(os.fsdecode(path)).parts[-2:]))
        return real(path, *args, **kwargs)

    def watched_os(path, *args, **kwargs):
        if not args[0] & os.O_DIRECTORY and "/in/" in os.fsdecode(path):
            names.append("/".join(Path(os.fsdecode(path)).parts[-2:]))
        return real_os(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(os, "open", watched_os)
    monkeypatch.setattr(headers_module, "open", watched, raising=False)
    return names


def look(archive, tmp_path, name="kept.sqlite"):
    """An index as plain values, made in a scratch folder of its own."""
    kept = tmp_path / name if name else None
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    index = index_archive(archive, scratch=scratch, kept=kept)
    return index, said(index)


def said(index):
    """Everything that an index says."""
    rows = [(row.path, row.series_uid, row.outcome, row.code, row.text) for row in index.files]
    plans = [(p.key, p.role, p.code, p.text, p.decisions, p.suv_factor, [f.name for f in p.files],
              [dict(h.values) for h in p.headers]) for p in index.series]
    return rows, plans, [(e.key, list(e.chosen), e.notices) for e in (*index.exams, *index.unusable)]


def test_an_unchanged_archive_is_not_opened(archive, tmp_path, opened):
    _, first = look(archive, tmp_path)
    assert len(opened) > 36
    opened.clear()
    index, second = look(archive, tmp_path)
    assert opened == []
    assert second == first
    # The zip's members are unpacked when they are read, and not before.
    volumes = [read_exam(exam).exam.ct.array for exam in index.exams]
    np.testing.assert_array_equal(volumes[0], volumes[1])
    assert opened


def test_late_changed_and_removed_files(archive, tmp_path, opened):
    look(archive, tmp_path)
    late = write(archive / "late", series("CT", number=4, patient="P03", SOPInstanceUID=lambda k: f"{UID}.44.{k}"))
    changed = sorted((archive / "ct").iterdir())[3]
    content, times = changed.read_bytes(), changed.stat()
    changed.write_bytes(content.replace(b"Body", b"Ydob"))  # the same size
    removed = sorted((archive / "pt").iterdir())[0]
    removed.unlink()
    assert changed.stat().st_mtime_ns != times.st_mtime_ns
    opened.clear()
    index, after = look(archive, tmp_path)
    # pydicom is asked again for the radiopharmaceutical of the PET, whose stack is planned again.
    assert {name for name in opened if not name.startswith("pt/")} == {
        f"{path.parent.name}/{path.name}" for path in (*late, changed)
    }
    assert len({name for name in opened if name.startswith("pt/")}) == 1
    _, fresh = look(archive, tmp_path, None)
    assert after == fresh
    assert {exam.key for exam in index.exams} == {"P01/2026-03-14", "P02/2026-03-14", "P03/2026-03-14"}
    assert f"pt/{removed.name}" not in {row.path for row in index.files}


def test_a_changed_zip_is_opened_again(archive, tmp_path):
    look(archive, tmp_path)
    made = series("CT", number=5, patient="P04", SOPInstanceUID=lambda k: f"{UID}.45.{k}")
    paths = write(tmp_path / "more", made)
    with zipfile.ZipFile(archive / "P02.zip", "a") as zipped:
        for path in paths:
            zipped.write(path, f"more/{path.name}")
    index, after = look(archive, tmp_path)
    assert after == look(archive, tmp_path, None)[1]
    assert "P04/2026-03-14" in {exam.key for exam in index.exams}


def damaged(kept):
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(bytes(data))


def cut(kept):
    kept.write_bytes(kept.read_bytes()[:5000])


def foreign(kept):
    kept.unlink()
    with sqlite3.connect(kept) as db:
        db.execute("CREATE TABLE pictures (name TEXT)")
    db.close()


def empty(kept):
    kept.write_bytes(b"")


def text(kept):
    kept.write_text("not an index " * 1000)


@pytest.mark.parametrize("spoil", [damaged, cut, foreign, empty, text])
def test_a_kept_index_that_is_none_is_made_anew(archive, tmp_path, spoil):
    _, first = look(archive, tmp_path)
    spoil(tmp_path / "kept.sqlite")
    index, after = look(archive, tmp_path)
    assert after == first
    assert [notice.code for notice in index.notices] == ["index_rebuilt"]
    assert look(archive, tmp_path)[0].notices == ()


def test_the_index_of_another_archive_is_not_believed(archive, tmp_path):
    look(archive, tmp_path)
    write(tmp_path / "elsewhere" / "ct", series("CT", number=1, patient="P09"))
    index = index_archive(tmp_path / "elsewhere", scratch=tmp_path / "s", kept=tmp_path / "kept.sqlite")
    assert [exam.patient for exam in index.exams] == ["P09"]
    assert [notice.code for notice in index.notices] == ["index_rebuilt"]


def test_several_at_once(archive, tmp_path):
    _, alone = look(archive, tmp_path, None)

    def work(n):
        index = index_archive(archive, scratch=tmp_path / f"at-once-{n}", kept=tmp_path / "kept.sqlite")
        return said(index)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            assert all(one == alone for one in pool.map(work, range(4)))


def test_a_full_disk_costs_only_the_next_run(archive, tmp_path):
    folder = tmp_path / "is-a-folder"
    (folder / "kept.sqlite").mkdir(parents=True)
    (folder / "kept.sqlite" / "x").write_text("")
    index = index_archive(archive, scratch=tmp_path / "s", kept=folder / "kept.sqlite")
    assert {notice.code for notice in index.notices} == {"index_rebuilt", "index_not_kept"}
    assert len(index.exams) == 2


def test_unreadable_files_are_tried_again(archive, tmp_path, monkeypatch):
    victim = sorted((archive / "ct").iterdir())[0].name
    real = headers_module.read_header
    from irae.core.errors import StudyError
    from irae.io.archive import refresh

    def refused(file, like):
        if file.name.endswith(victim):
            raise StudyError("unreadable", f"{file.name} cannot be read: Input/output error")
        return real(file, like)

    monkeypatch.setattr(refresh, "read_header", refused)
    index, _ = look(archive, tmp_path)
    assert "unreadable" in {row.code for row in index.files}
    monkeypatch.setattr(refresh, "read_header", real)
    _, after = look(archive, tmp_path)
    assert after == look(archive, tmp_path, None)[1]


def test_where_the_disk_waits_several_threads_read_and_the_index_is_the_same(archive, tmp_path, monkeypatch):
    from irae.io.archive import refresh

    usual = look(archive, tmp_path, None)[1]
    real, threads = headers_module.read_header, set()

    def watched(file, like):
        threads.add(threading.get_ident())
        return real(file, like)

    monkeypatch.setattr(refresh, "read_header", watched)
    monkeypatch.setattr(refresh, "_CHUNK", 2)
    monkeypatch.setattr(refresh, "_waits", lambda: 0)
    assert look(archive, tmp_path, None)[1] == usual
    assert threads == {threading.get_ident()}
    monkeypatch.setattr(refresh, "_waits", itertools.count(step=2).__next__)
    assert look(archive, tmp_path, None)[1] == usual
    assert len(threads) > 1


def test_a_file_that_changes_before_it_is_read_is_refused(archive, tmp_path):
    index, _ = look(archive, tmp_path)
    plan = next(exam for exam in index.exams if exam.patient == "P01")
    os.utime(sorted((archive / "ct").iterdir())[5], (1, 1))
    read = read_exam(plan)
    assert {series.code for series in read.series if series.modality == "CT"} == {"changed_meanwhile"}
    assert list(read.exam.volumes) == [next(role for role in plan.chosen if role.value == "pet_suv")]


def test_nothing_in_it_is_a_pickle(archive, tmp_path):
    look(archive, tmp_path)
    db = sqlite3.connect(f"file:{tmp_path / 'kept.sqlite'}?mode=ro", uri=True)
    for table, columns in (("files", "header, own, verdict"), ("templates", "content"), ("plans", "content")):
        for row in db.execute(f"SELECT {columns} FROM {table}"):
            for value in row:
                assert value is None or json.loads(value) is not None
    db.close()


@pytest.mark.parametrize("links", [True, False])
def test_an_index_in_use_stays_when_the_kept_one_is_replaced(archive, tmp_path, monkeypatch, links):
    look(archive, tmp_path)
    if not links:
        def refused(*_):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refused)
    index, before = look(archive, tmp_path)
    write(archive / "late", series("CT", number=4, patient="P03", SOPInstanceUID=lambda k: f"{UID}.44.{k}"))
    _, after = look(archive, tmp_path)
    assert after != before
    assert said(index) == before
    assert look(archive, tmp_path)[1] == after
