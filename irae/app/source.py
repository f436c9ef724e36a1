"""``archive=``: a folder or file as it is, or a DICOMweb or DIMSE source fetched first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from irae.app.config import PacsSettings, RetrieveName
from irae.io.pacs import FetchReport, Link, Query, Retrieve, fetch, is_remote, parse_address, read_credentials

if TYPE_CHECKING:
    from irae.io.archive import ArchiveIndex, FileOutcome

ARCHIVE_HELP = "Folder, .zip, DICOMDIR or file; or dicomweb+https://HOST/ROOT, dimse://AET@HOST:PORT."
_RETRIEVE = {RetrieveName.get: Retrieve.GET, RetrieveName.move: Retrieve.MOVE}


QUERY_HELP = "For a PACS: patient=, from=, until=, modality=, credentials=, cache=, retrieve=, aet=, port=, bind=."
_QUERY_MANY = {"patient": "patients", "modality": "modalities"}
_QUERY_ONE = {
    "from": "studied_from", "until": "studied_until", **{name: name for name in ("credentials", "cache", "aet", "bind")}
}


def settings_of_query(words: Sequence[str]) -> PacsSettings:
    """What ``--query NAME=VALUE`` says; patient and modality may be repeated.

    Raises:
        ValueError: Naming what is no setting or cannot be its value.

    >>> settings_of_query(["patient=P01", "patient=P02", "from=2026-01-01"]).patients
    ['P01', 'P02']
    """
    settings = PacsSettings()
    many: dict[str, list[str]] = {name: [] for name in _QUERY_MANY.values()}
    for word in words:
        name, _, value = word.partition("=")
        if not value:
            raise ValueError(f"--query {word}: write it as NAME=VALUE")
        if name in _QUERY_MANY:
            many[_QUERY_MANY[name]].append(value)
        elif name in _QUERY_ONE:
            setattr(settings, _QUERY_ONE[name], value)
        elif name == "retrieve" and value in RetrieveName.__members__:
            settings.retrieve = RetrieveName[value]
        elif name == "port" and value.isdecimal():
            settings.port = int(value)
        else:
            choices = ", ".join((*_QUERY_MANY, *_QUERY_ONE, "retrieve (get or move)", "port (a number)"))
            raise ValueError(f"--query {word}: the choices are {choices}")
    for field, values in many.items():
        if values:
            setattr(settings, field, values)
    return settings


def check_source(archive: str, settings: PacsSettings) -> None:
    """Refuses an address, a query or credentials that cannot work, before anything is asked of a server.

    Raises:
        ValueError: Naming what is wrong.
    """
    if is_remote(archive):
        parse_address(archive)
        query_of(settings)
        link_of(settings)
        read_credentials(_file(settings))


def open_archive(
    archive: str | Path, *, scratch: Path, kept: Path | None = None, settings: PacsSettings | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> ArchiveIndex:
    """The index of an archive, wherever it is.

    A source is fetched into its cache first; each of its series has a row among the index's files, so that what did
    not come is quarantined with a reason rather than missing.

    Args:
        archive: A folder, .zip, DICOMDIR or file; or ``dicomweb+http(s)://...``, ``dimse://...``.
        scratch: For what zips hold and the index's catalogue; needed as long as the index is used.
        kept: A file that remembers the index: the next one opens only what is new or changed.
        settings: For sources.
        say: Is told what a fetch brought.

    Raises:
        ValueError: If there is no such folder, or the address or settings are wrong.
        SourceError: If the source cannot be used at all.
    """
    from irae.io.archive import index_archive

    if not is_remote(str(archive)):
        index = index_archive(Path(archive), scratch=scratch, kept=kept)
        for notice in index.notices:
            say(notice.text)
        return index
    report = fetch_source(str(archive), settings or PacsSettings())
    say(str(report))
    index = index_archive(report.folder, scratch=scratch, kept=kept)
    return replace(index, files=(*index.files, *rows_of(report)))


def fetch_source(
    archive: str, settings: PacsSettings, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> FetchReport:
    """Fetches what the settings name from a source; raises as :func:`irae.io.pacs.fetch` does."""
    return fetch(
        archive, cache_of(settings), query=query_of(settings), credentials=read_credentials(_file(settings)),
        link=link_of(settings), progress=progress,
    )


def rows_of(report: FetchReport) -> list[FileOutcome]:
    """One row a series of the source: fetched, or not and why."""
    from irae.io.archive import FileOutcome, Outcome

    rows = []
    for series in report.series:
        code, outcome = ("not_fetched", Outcome.QUARANTINED) if series.problem else ("fetched", Outcome.USED)
        text = series.problem or f"all {series.instances} images are there; each is listed by itself"
        rows.append(FileOutcome(
            path=f"{report.source}/{series.study_uid}/{series.series_uid}", series_uid=series.series_uid,
            outcome=outcome, code=code, text=f"series {series.series_uid}: {text}",
        ))
    return rows


def cache_of(settings: PacsSettings) -> Path:
    """Where fetched images are kept: ``pacs.cache``, else the user's cache folder."""
    if settings.cache is not None:
        return Path(settings.cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irae" / "pacs"


def query_of(settings: PacsSettings) -> Query:
    """The settings' query. Raises ValueError where it makes no sense."""
    return Query(
        patients=tuple(settings.patients), modalities=tuple(settings.modalities),
        studied_from=_date("pacs.studied_from", settings.studied_from),
        studied_until=_date("pacs.studied_until", settings.studied_until),
    )


def link_of(settings: PacsSettings) -> Link:
    """The settings' way to speak. Raises ValueError where it makes no sense."""
    return Link(
        aet=settings.aet, retrieve=_RETRIEVE[settings.retrieve], bind=settings.bind, port=settings.port,
        timeout_s=settings.timeout_s, attempts=settings.attempts, max_studies=settings.max_studies,
        plain_http=settings.plain_http,
    )


def _file(settings: PacsSettings) -> Path | None:
    return Path(settings.credentials) if settings.credentials is not None else None


def _date(name: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError as error:
        raise ValueError(f"{name}={text}: is not a date such as 2026-03-14") from error
