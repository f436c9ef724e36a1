"""Damaged headers by the hundred: no exception but a refusal, every file counted, no other volume without a word."""

import random

import numpy as np
import pytest

from irae.io.archive import ExamUnusableError, Outcome, index_archive, read_exam
from tests.io.archive.made import series, write

CASES = 60  # each seed; a run of thousands lies in the history of this file's commit


def damaged(data: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(128, max(200, spoiled.rfind(b"\xe0\x7f\x10\x00")))
        match rng.randrange(5):
            case 0:
                spoiled[at] = rng.randrange(256)
            case 1:
                spoiled[at : at + 4] = rng.randbytes(4)
            case 2:
                del spoiled[at : at + rng.choice([1, 2, 8, 40])]
            case 3:
                spoiled[at:at] = bytes(rng.choice([1, 2, 8]))
            case _:
                spoiled[at : at + 2] = rng.choice([b"\xff\xff", b"\0\0", b"UN", b"SQ", b"\xff\x7f"])
    return bytes(spoiled)


def outcome(folder, scratch):
    """(volumes, verdicts) of an archive of one exam."""
    index = index_archive(folder, scratch=scratch)
    assert len({row.path for row in index.files}) == len(index.files)
    volumes, series_ended = [], list(index.series)
    for plan in index.exams:
        try:
            read = read_exam(plan)
        except ExamUnusableError as error:
            series_ended += error.series
        else:
            series_ended += read.series
            volumes += read.exam.volumes.values()
    assert not [s.text for s in series_ended if s.code == "internal_error"]
    return index, volumes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("modality", ["CT", "PT", "MR"])
def test_damaged_headers(tmp_path, modality, seed):
    rng = random.Random(seed)
    made = series(modality, slices=6, gap=18.0, rows=12, columns=14, spacing=(12.0, 11.0))
    clean = [path.read_bytes() for path in write(tmp_path / "clean", made)]
    _, (reference,) = outcome(tmp_path / "clean", tmp_path / "scratch")
    (tmp_path / "in").mkdir()
    for _ in range(CASES):
        files = list(clean)
        which = rng.randrange(len(files))
        files[which] = damaged(files[which], rng)
        for n, data in enumerate(files):
            (tmp_path / "in" / f"{n}.dcm").write_bytes(data)
        index, volumes = outcome(tmp_path / "in", tmp_path / "scratch")
        assert len(index.files) == len(files)
        for volume in volumes:
            same = volume.geometry.same_grid(reference.geometry) and np.allclose(
                volume.array, reference.array, atol=1e-3)
            said = [row for row in index.files if row.outcome is not Outcome.USED]
            assert same or said, f"another volume without a word, seed {seed}, file {which}"
