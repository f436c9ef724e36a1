"""From a source to a folder: what the query names, nothing twice, and a series only when all of it is there."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from irae.io.pacs.address import Address, parse_address
from irae.io.pacs.address import Protocol as Spoken
from irae.io.pacs.credentials import Credentials
from irae.io.pacs.query import Link, Query, SourceError, TransientError
from irae.io.pacs.store import RefusedError, Store, alone

_T = TypeVar("_T")
# After so many series in a row without an answer, the source is gone and the others are not waited for.
_GONE_AFTER = 2


class _Source(Protocol):
    def studies(self, patient: str, query: Query) -> Iterable[str]: ...
    def series(self, study_uid: str) -> Iterable[tuple[str, str]]: ...
    def instances(self, study_uid: str, series_uid: str) -> Iterable[str]: ...
    def retrieve(
        self, study_uid: str, series_uid: str, missing: Sequence[str], *, whole: bool, store: Store
    ) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAtSource:
    """One series the source has. ``problem`` says why it is not in the folder; empty where it is, in full."""

    study_uid: str
    series_uid: str
    instances: int = 0
    fetched: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchReport:
    """What a fetch brought.

    Attributes:
        source: The address.
        folder: Holds the complete series of the query and nothing else; index it like any other.
        series: Every series the source has for the query.
    """

    source: str
    folder: Path
    series: tuple[SeriesAtSource, ...]

    @property
    def complete(self) -> bool:
        """Whether all series came in full."""
        return not any(series.problem for series in self.series)

    def __str__(self) -> str:
        fetched = sum(series.fetched for series in self.series)
        there = sum(series.instances - series.fetched for series in self.series if not series.problem)
        short = sum(bool(series.problem) for series in self.series)
        text = f"{len(self.series)} series: {fetched} images fetched, {there} were there"
        return f"{text}, {short} series not complete" if short else text


def fetch(
    source: str, cache: Path, *, query: Query, credentials: Credentials | None = None, link: Link | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FetchReport:
    """Fetches what a query names into a folder under ``cache``.

    Instances already in the cache are not fetched again. A series stands in the folder only when every instance the
    source lists for it arrived: a part of a series would look like a shorter body. The folder holds hard links into
    the cache, so the same images have the same size and time of change whichever query brought them.

    Args:
        source: The address (:func:`parse_address`).
        cache: A folder of ours; it holds patients' images, so it is made for its owner alone.
        query: Which series.
        credentials: For DICOMweb.
        link: How to speak to the source.
        progress: Is told how many of how many series were looked at.

    Returns:
        Where the folder is, and every series with what became of it.

    Raises:
        ValueError: If the address is none, or another process fetches from the same source into the same cache.
        SourceError: If the source cannot be listed: not reachable, wrong credentials, too many studies.
    """
    address, link = parse_address(source), link or Link()
    home = cache / _digest(address.text)
    with alone(home):
        store = Store(home / "store", disk_reserve_bytes=link.disk_reserve_bytes)
        remote = _open(address, link, credentials or Credentials())
        try:
            series = tuple(_fetched(remote, store, query, link, progress))
        finally:
            remote.close()
        folder = home / "views" / _digest(repr(query))
        _show(folder, store, series)
    return FetchReport(
        source=address.text, folder=folder, series=tuple(at_source for at_source, _ in series)
    )


def _open(address: Address, link: Link, credentials: Credentials) -> _Source:
    if address.protocol is Spoken.DICOMWEB:
        from irae.io.pacs.dicomweb import DicomWeb

        return DicomWeb(address, link=link, credentials=credentials)
    from irae.io.pacs.dimse import Dimse

    return Dimse(address, link=link)


def _fetched(
    remote: _Source, store: Store, query: Query, link: Link, progress: Callable[[int, int], None]
) -> Iterator[tuple[SeriesAtSource, Sequence[str]]]:
    """Each series of the query with the SOP Instance UIDs the source lists for it."""
    listed = _list(remote, query, link)
    without_answer = 0
    for done, (study_uid, series_uid) in enumerate(listed):
        progress(done, len(listed))
        if without_answer >= _GONE_AFTER:
            problem = "not asked for: the source stopped answering"
            yield SeriesAtSource(study_uid=study_uid, series_uid=series_uid, problem=problem), ()
            continue
        uids: Sequence[str] = ()
        before, problem = 0, ""
        try:
            uids = sorted(set(_patiently(partial(_listed, remote.instances, study_uid, series_uid), link)))
            before = len(uids) - len(_missing(store, study_uid, series_uid, uids))
            problem = _bring(remote, store, study_uid, series_uid, uids, link)
            without_answer = 0
        except TransientError as error:
            problem, without_answer = str(error), without_answer + 1
        except (RefusedError, SourceError) as error:
            problem = str(error)
        fetched = len(uids) - len(_missing(store, study_uid, series_uid, uids)) - before
        yield SeriesAtSource(
            study_uid=study_uid, series_uid=series_uid, instances=len(uids), fetched=fetched, problem=problem
        ), uids
    progress(len(listed), len(listed))


def _list(remote: _Source, query: Query, link: Link) -> list[tuple[str, str]]:
    try:
        studies: dict[str, None] = {}
        for patient in query.patients or ("",):
            for uid in _patiently(partial(_at_most, link.max_studies, remote, patient, query), link):
                studies[uid] = None
        if len(studies) > link.max_studies:
            raise SourceError(
                f"the query fits more than {link.max_studies} studies; narrow it (pacs.patients, pacs.studied_from, "
                "pacs.studied_until) or raise pacs.max_studies"
            )
        return [
            (study, series)
            for study in sorted(studies)
            for series, modality in sorted(_patiently(partial(_listed, remote.series, study), link))
            if query.wants_series(modality)
        ]
    except TransientError as error:
        raise SourceError(f"the source cannot be listed: {error} in {link.attempts} attempts") from error


def _at_most(limit: int, remote: _Source, patient: str, query: Query) -> list[str]:
    """One more than the limit shows that there are too many."""
    return list(islice(remote.studies(patient, query), limit + 1))


def _listed(ask: Callable[..., Iterable[_T]], *uids: str) -> list[_T]:
    return list(ask(*uids))


def _bring(
    remote: _Source, store: Store, study_uid: str, series_uid: str, uids: Sequence[str], link: Link
) -> str:
    """Fetches what is missing of one series; a sentence where some of it did not come."""
    left = _missing(store, study_uid, series_uid, uids)
    fruitless = 0
    while left:
        error: TransientError | None = None
        try:
            remote.retrieve(study_uid, series_uid, left, whole=len(left) == len(uids), store=store)
        except TransientError as raised:
            error = raised
        now = _missing(store, study_uid, series_uid, uids)
        fruitless = 0 if len(now) < len(left) else fruitless + 1
        left = now
        if left and fruitless >= link.attempts:
            if error is not None:
                raise error
            return f"{len(left)} of {len(uids)} images did not come"
        if left and (fruitless or error is not None):
            time.sleep(link.pause_s * 2 ** max(0, fruitless - 1))
    return ""


def _missing(store: Store, study_uid: str, series_uid: str, uids: Sequence[str]) -> list[str]:
    return [uid for uid in uids if not store.holds(study_uid, series_uid, uid)]


def _patiently(ask: Callable[[], _T], link: Link) -> _T:
    """Asks again after growing pauses."""
    for attempt in range(1, link.attempts):
        with suppress(TransientError):
            return ask()
        time.sleep(link.pause_s * 2 ** (attempt - 1))
    return ask()


def _show(folder: Path, store: Store, series: Sequence[tuple[SeriesAtSource, Sequence[str]]]) -> None:
    """Makes the folder hold exactly the complete series. What is right already is not touched: someone may read it."""
    wanted = {
        path.relative_to(store.folder): path
        for at_source, uids in series if not at_source.problem
        for path in (store.path_of(at_source.study_uid, at_source.series_uid, uid) for uid in uids)
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for here, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(here, name)
            if not _is_copy(path, wanted.get(path.relative_to(folder))):
                path.unlink()
        if Path(here) != folder and not os.listdir(here):
            Path(here).rmdir()
    for place, original in wanted.items():
        target = folder / place
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(original, target)
            except OSError:  # a file system without hard links
                shutil.copy2(original, target)


def _is_copy(path: Path, original: Path | None) -> bool:
    if original is None:
        return False
    one, other = path.stat(), original.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
