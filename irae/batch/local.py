"""The local engine: processes read, this thread infers, threads write, all overlapped, everything in order.

A reader process that dies (a codec that crashes) or hangs costs one item, never the batch.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from irae.core.errors import StudyError

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Ended(Generic[Item, Made]):
    """What became of one item: what was made of it, or the error that stopped it."""

    item: Item
    made: Made | None
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """How much runs at once.

    Attributes:
        readers: Reader processes; 0 reads in this process (for tests and debuggers).
        writers: Writer threads.
        ahead: How many items may be read before they are needed. Bounds memory.
        read_timeout_s: Longest time one item may take to read.
    """

    readers: int = 1
    writers: int = 1
    ahead: int = 2
    read_timeout_s: float = 900.0

    def __post_init__(self) -> None:
        if self.readers < 0 or self.writers < 1 or self.ahead < 1 or self.read_timeout_s <= 0:
            raise ValueError(f"need readers >= 0, writers >= 1, ahead >= 1 and read_timeout_s > 0, got {self}")

    def run(
        self,
        items: Iterable[Item],
        *,
        read: Callable[[Item], Read],
        compute: Callable[[Item, Read], Made],
        write: Callable[[Item, Made], None],
    ) -> Iterator[Ended[Item, Made]]:
        """Runs every item through read, compute and write; yields each once, in order, when its files are written.

        Args:
            items: The work, in order.
            read: Runs in a reader process; must be importable there (a module-level function or a picklable partial).
            compute: Runs in this thread, strictly in order.
            write: Runs in a writer thread.

        An exception of any step ends that item alone; KeyboardInterrupt and SystemExit stop the run.
        """
        with _Readers(self.readers, self.read_timeout_s) as readers, ThreadPoolExecutor(self.writers) as writers:
            waiting: deque[tuple[Item, Future[Read]]] = deque()
            writing: deque[tuple[Item, Made, Future[None]]] = deque()
            source = iter(items)
            for item in source:
                waiting.append((item, readers.submit(read, item)))
                if len(waiting) >= self.ahead + 1:
                    break
            while waiting:
                item, future = waiting.popleft()
                try:
                    made = compute(item, readers.result(read, item, future, waiting))
                except Exception as error:
                    yield Ended(item, None, error)
                else:
                    writing.append((item, made, writers.submit(write, item, made)))
                following = next(source, None)
                if following is not None:
                    waiting.append((following, readers.submit(read, following)))
                while writing and (len(writing) > self.writers or writing[0][2].done() or not waiting):
                    yield self._written(*writing.popleft())
            while writing:
                yield self._written(*writing.popleft())

    @staticmethod
    def _written(item: Item, made: Made, future: Future[None]) -> Ended[Item, Made]:
        try:
            future.result()
        except Exception as error:
            return Ended(item, None, error)
        return Ended(item, made, None)


class _Readers:
    """Reader processes that can be replaced when one dies or hangs."""

    def __init__(self, count: int, timeout_s: float) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Readers:
        if self._count:
            self._pool = self._new_pool()
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # spawn: a fork of a process that holds torch's threads may hang.
        return ProcessPoolExecutor(self._count, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, read: Callable[[Item], Read], item: Item) -> Future[Read]:
        if self._pool is None:
            return _now(read, item)
        try:
            return self._pool.submit(read, item)
        except BrokenProcessPool as error:
            broken: Future[Read] = Future()
            broken.set_exception(error)
            return broken

    def result(
        self,
        read: Callable[[Item], Read],
        item: Item,
        future: Future[Read],
        waiting: deque[tuple[Item, Future[Read]]],
    ) -> Read:
        """The item's read result; a crash or hang that is not this item's own fault is forgiven once."""
        try:
            return future.result(timeout=self._timeout_s)
        except BrokenProcessPool:
            self._replace()
            try:
                return self.submit(read, item).result(timeout=self._timeout_s)  # alone: now the fault is its own
            except BrokenProcessPool as error:
                self._replace()
                raise StudyError("reader_crashed", "the process that read this exam died twice") from error
            finally:
                self._resubmit(read, waiting)
        except FutureTimeoutError as error:
            self._replace()
            self._resubmit(read, waiting)
            raise StudyError("reader_hung", f"reading took longer than {self._timeout_s:g} s") from error

    def _replace(self) -> None:
        if self._pool is not None:
            for process in list(getattr(self._pool, "_processes", {}).values()):
                process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()

    def _resubmit(self, read: Callable[[Item], Read], waiting: deque[tuple[Item, Future[Read]]]) -> None:
        pending = [(item, future) for item, future in waiting]
        waiting.clear()
        for item, future in pending:
            whole = future.done() and not future.cancelled() and future.exception() is None
            waiting.append((item, future if whole else self.submit(read, item)))


def _now(read: Callable[[Item], Read], item: Item) -> Future[Read]:
    future: Future[Read] = Future()
    try:
        future.set_result(read(item))
    except Exception as error:
        future.set_exception(error)
    return future
