"""Decoding of compressed pixels in processes that may die: a codec is C code fed with bytes from anywhere.

A decoder that crashes, hangs or asks for absurd memory takes its process with it and costs one series. The image size
inside the compressed stream is compared with the header before anything is decoded, so a bomb is refused by
arithmetic. Values are those of pydicom's decoders, unchanged.

The worker (``main``) reads one JSON request a line and answers with one JSON line and the pixels.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.io.archive.headers import Header, read_dataset
from irae.io.archive.values import FoundFile

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecLimits:
    """What one image may cost to decode. Design values: JPEG 2000, the slowest, decodes about 20 MB/s."""

    seconds: float = 30.0
    seconds_per_byte: float = 1e-6
    bytes_over: int = 2**30  # beside what is decoded
    bytes_per_byte: int = 8


CODEC_LIMITS = CodecLimits()


def decode_apart(header: Header, shape: tuple[int, ...], limits: CodecLimits = CODEC_LIMITS) -> NDArray[Any]:
    """Stored values of a compressed file, decoded in another process.

    Raises:
        StudyError: ``pixels_broken`` where it does not decode, crashes or takes too long; ``too_large`` for a bomb.
    """
    needed = int(np.prod(shape, dtype=np.int64)) * header.get("BitsAllocated") // 8
    request = {
        "path": os.fsencode(header.file.path).hex(), "name": header.file.name, "size": header.file.size,
        "syntax": header.syntax, "shape": shape, "memory": limits.bytes_over + limits.bytes_per_byte * needed,
    }
    worker = _pool.take()
    try:
        answer, data = worker.ask(request, limits.seconds + limits.seconds_per_byte * needed, needed)
    except _DeadError as error:
        raise StudyError("pixels_broken", f"{header.file.name}: the decoder {error}") from error
    finally:
        _pool.give_back(worker)
    if "code" in answer:
        raise StudyError(answer["code"], answer["text"])
    return np.frombuffer(data, np.dtype(answer["dtype"])).reshape(shape)


class _DeadError(Exception):
    """A worker that crashed or had to be stopped."""


class _Worker:
    """One decoding process; started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], seconds: float, most: int) -> tuple[dict[str, Any], bytearray]:
        """The answer and its pixels.

        Raises:
            _DeadError: If none came.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                cwd=Path(__file__).resolve().parents[3],
            )
            self._line()  # it says when it is ready: its start does not count
        until = time.monotonic() + seconds
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(self._line(until))
            size = int(answer.get("bytes", 0))
            if size > 8 * most + 8:
                raise ValueError("more pixels than asked for")
            data = bytearray(size)
            self._fill(memoryview(data), until)
            return answer, data
        except TimeoutError as error:
            self.close()
            raise _DeadError(f"took more than {seconds:.0f} s and was stopped") from error
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise _DeadError("crashed") from error

    def _line(self, until: float | None = None) -> bytes:
        line = bytearray()
        one = bytearray(1)
        while True:
            self._fill(memoryview(one), until)
            if one == b"\n":
                return bytes(line)
            line += one

    def _fill(self, target: memoryview, until: float | None = None) -> None:
        stream: Any = self._process.stdout if self._process is not None else None
        while len(target):
            left = None if until is None else until - time.monotonic()
            if left is not None and (left <= 0 or not select.select([stream], [], [], left)[0]):
                raise TimeoutError
            count = stream.readinto(target)
            if not count:
                raise EOFError
            target = target[count:]

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()


class _Pool:
    """A few workers, lent one at a time; a process that was forked gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._all: list[_Worker] = []

    def take(self) -> _Worker:
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._idle = os.getpid(), queue.Queue()
                self._all = [_Worker() for _ in range(WORKERS)]
                for worker in self._all:
                    self._idle.put(worker)
        return self._idle.get()

    def give_back(self, worker: _Worker) -> None:
        self._idle.put(worker)

    def close(self) -> None:
        if self._owner == os.getpid():
            for worker in self._all:
                worker.close()


_pool = _Pool()
atexit.register(_pool.close)


def stream_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream says of itself; None where it does not say.

    >>> stream_size(bytes.fromhex("ffd8 fff7 000b 10 0200 0100 01 011100"))
    (512, 256)
    """
    if data[:4] == b"\xff\x4f\xff\x51":
        edges = [int.from_bytes(data[at : at + 4], "big") for at in (8, 12, 16, 20)]  # X, Y, X offset, Y offset
        return edges[1] - edges[3], edges[0] - edges[2]
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _decoded(request: dict[str, Any]) -> NDArray[Any]:
    """The worker's work on one request; raises StudyError."""
    from pydicom.encaps import generate_frames

    name, shape = request["name"], tuple(request["shape"])
    path = Path(os.fsdecode(bytes.fromhex(request["path"])))
    dataset = read_dataset(FoundFile(name, str(path), request["size"]), pixels=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = request["syntax"]
    try:
        count = shape[0] if len(shape) == 3 else 1
        for frame in generate_frames(dataset.PixelData, number_of_frames=count):
            size = stream_size(frame)
            if size is not None and size != shape[-2:]:
                raise StudyError(
                    "too_large" if size[0] * size[1] > 4 * shape[-1] * shape[-2] else "pixels_broken",
                    f"{name}: the compressed image is {size[0]} x {size[1]}, its header says {shape[-2]} x {shape[-1]}",
                )
        with _memory_at_most(request["memory"]):
            dataset.pixel_array_options(correct_unused_bits=False)  # pydicom knows no High Bit; done after decoding
            array: NDArray[Any] = dataset.pixel_array
    except MemoryError as error:
        raise StudyError("too_large", f"{name}: the image needs more memory to decode than it may") from error
    except StudyError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise StudyError("pixels_broken", f"{name}: pixel data does not decode ({type(error).__name__})") from error
    if array.shape != shape:
        raise StudyError("pixels_broken", f"{name}: decoded {array.shape} instead of {shape}")
    return np.ascontiguousarray(array)


class _memory_at_most:  # noqa: N801 - reads as a verb
    """Lets this process have at most so many bytes more than now; where the system cannot limit it, nothing happens."""

    def __init__(self, more: int) -> None:
        self._more = more

    def __enter__(self) -> None:
        try:
            import resource

            now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (now + self._more, resource.RLIM_INFINITY))
        except (ImportError, OSError, ValueError):
            return

    def __exit__(self, *_: object) -> None:
        try:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ImportError, OSError, ValueError):
            return


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are none."""
    answers.write(b"ready\n")
    answers.flush()
    for line in requests:
        data = b""
        try:
            array = _decoded(json.loads(line))
            data = array.tobytes()
            answer = {"dtype": array.dtype.str, "bytes": len(data)}
        except StudyError as error:
            answer = {"code": error.code, "text": error.text}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(data)
        answers.flush()


def main() -> None:
    """The worker: serves what comes in on its standard input."""
    warnings.simplefilter("ignore")
    # Codecs print; what they print must not be taken for an answer.
    pipe = os.dup(1)
    os.dup2(2, 1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        os.dup2(nowhere.fileno(), 1)
    with os.fdopen(pipe, "wb") as out:
        serve(sys.stdin.buffer, out)
