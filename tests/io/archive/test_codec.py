"""A codec that crashes, hangs or asks for absurd memory costs one series, and nothing else."""

import base64
import os
import signal
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import HTJ2K as HTJ2K_UID
from pydicom.uid import HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless, JPEGLSLossless, RLELossless

from irae.core.errors import StudyError
from irae.core.exam import Role
from irae.io.archive import codec, index_archive, read_exam
from irae.io.archive.codec import CodecLimits, decode_apart, stream_size
from irae.io.archive.headers import read_header
from irae.io.archive.pixels import is_lossy
from irae.io.archive.values import FoundFile
from tests.io.archive.made import series, write


def compressed(folder, uid=JPEGLSLossless, size=None):
    made = series("CT", rows=size or 40, columns=size or 48, spacing=(4.0, 3.5), slices=1 if size else 12)
    plain = [np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns) for ds in made]
    for ds in made:
        ds.compress(uid, generate_instance_uid=False)
    paths = write(folder, made)
    headers = [read_header(FoundFile(path.name, str(path), path.stat().st_size)) for path in paths]
    return list(zip(headers, plain, strict=True))


def refusal(header, limits=codec.CODEC_LIMITS):
    """Why a slice is refused; empty where it is not."""
    try:
        decode_apart(header, (40, 48), limits)
    except StudyError as error:
        return error.text
    return ""


@pytest.mark.parametrize("uid", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_values_are_the_uncompressed_ones(tmp_path, uid):
    for header, plain in compressed(tmp_path, uid):
        np.testing.assert_array_equal(decode_apart(header, (40, 48)), plain)


# 16 x 12 pixels of -800 + 37 x column + 41 x row, encoded by OpenJPH; nothing that irae depends on can encode it.
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAMAAAAEAAAAAAAAAAAAAAADAAAABAAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ"
    "kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAHoAAf+TwAAlkwIHdAAAwAATQAATAHj+Agd0AOz+Agd0AMAAE0AA"
    "E4Bz/gDLdAB06f4AY1QAwAAVMAAFSKQkEumX4Qt1ALY228AQgIy2AMAAK6AAFcAIgiAIgiDeCnp6cIJ4AFAIgiDo/AAI9hCB7LkA/9k="
)


@pytest.mark.parametrize("uid", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K_UID])
def test_high_throughput_jpeg_2000(tmp_path, uid):
    (ds,) = series("CT", rows=16, columns=12, slices=1)
    ds.file_meta.TransferSyntaxUID = uid
    for name, stream in (("whole", HTJ2K), ("cut", HTJ2K[:-40])):
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].VR = "OB"
        write(tmp_path, [ds], names=lambda _, name=name: name)
    whole, cut = (read_header(FoundFile(name, str(path), path.stat().st_size))
                  for name in ("whole", "cut") for path in [tmp_path / name])
    row, column = np.indices((16, 12))
    np.testing.assert_array_equal(decode_apart(whole, (16, 12)), -800 + 37 * column + 41 * row)
    assert is_lossy(whole) is (uid == HTJ2K_UID)
    with pytest.raises(StudyError, match="pixels_broken"):
        decode_apart(cut, (16, 12))


def test_a_crash_costs_one_image(tmp_path):
    (header, plain), *_ = compressed(tmp_path)
    decode_apart(header, (40, 48))
    for worker in codec._pool._all:
        if worker._process is not None:
            worker._process.send_signal(signal.SIGSEGV)
            worker._process.wait()
    said = {refusal(header) for _ in range(codec.WORKERS)}
    assert any("crashed" in text for text in said)
    np.testing.assert_array_equal(decode_apart(header, (40, 48)), plain)


def test_a_hang_is_stopped(tmp_path):
    (header, plain), *_ = compressed(tmp_path)
    decode_apart(header, (40, 48))
    running = [worker for worker in codec._pool._all if worker._process is not None]
    for worker in running:
        worker._process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    said = {refusal(header, CodecLimits(seconds=1.0)) for _ in range(codec.WORKERS)}
    assert any("was stopped" in text for text in said)
    assert time.monotonic() - began < 60
    np.testing.assert_array_equal(decode_apart(header, (40, 48)), plain)


def bomb(path, rows=60000, columns=60000):
    """The same JPEG-LS stream, which claims another size."""
    ds = dcmread(path)
    stream = bytearray(next(generate_frames(ds.PixelData, number_of_frames=1)))
    at = stream.find(b"\xff\xf7")
    stream[at + 5 : at + 9] = struct.pack(">HH", rows, columns)
    ds.PixelData = encapsulate([bytes(stream)])
    ds.save_as(path)


@pytest.mark.parametrize(("rows", "code"), [(60000, "too_large"), (41, "pixels_broken")])
def test_a_stream_of_another_size_is_refused_by_arithmetic(tmp_path, rows, code):
    (header, _), *_ = compressed(tmp_path)
    bomb(header.file.path, rows, rows + 8 if rows > 100 else 48)
    began = time.monotonic()
    with pytest.raises(StudyError) as refused:
        decode_apart(header, (40, 48))
    assert refused.value.code == code
    assert time.monotonic() - began < 60


def test_a_bomb_beside_a_good_series(tmp_path):
    for header, _ in compressed(tmp_path / "in" / "ct"):
        bomb(header.file.path)
    write(tmp_path / "in" / "pt", series("PT", number=2))
    read = read_exam(index_archive(tmp_path / "in", scratch=tmp_path / "s").exams[0])
    assert list(read.exam.volumes) == [Role.PET]
    assert {one.code for one in read.series if one.modality == "CT"} == {"too_large"}


def test_memory_is_limited(tmp_path):
    (header, _), *_ = compressed(tmp_path, RLELossless, size=2000)
    with pytest.raises(StudyError) as refused:
        decode_apart(header, (2000, 2000), CodecLimits(bytes_over=2**20, bytes_per_byte=0))
    assert refused.value.code in ("too_large", "pixels_broken")
    assert decode_apart(header, (2000, 2000)).shape == (2000, 2000)


def test_many_threads_share_the_workers(tmp_path):
    pairs = compressed(tmp_path)
    wrong = []

    def work(header, plain):
        if not np.array_equal(decode_apart(header, (40, 48)), plain):
            wrong.append(header)

    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_stream_sizes():
    assert stream_size(b"no image") is None
    assert stream_size(b"") is None
    j2k = bytes.fromhex("ff4fff51") + struct.pack(">HHIIII", 41, 0, 300, 200, 0, 0)
    assert stream_size(j2k) == (200, 300)
    assert stream_size(b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + b"\xff\xc3\x00\x0b\x10\x00\x10\x00\x20\x01") == (16, 32)


def test_workers_end_with_the_program(tmp_path):
    (header, _), *_ = compressed(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from irae.io.archive import codec\n"
        "from irae.io.archive.headers import read_header\n"
        "from irae.io.archive.values import FoundFile\n"
        f"p = Path({str(header.file.path)!r})\n"
        "codec.decode_apart(read_header(FoundFile(p.name, str(p), p.stat().st_size)), (40, 48))\n"
        "print([w._process.pid for w in codec._pool._all if w._process])\n"
    )
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    for pid in eval(answer.stdout):
        assert not os.path.exists(f"/proc/{pid}")
