"""A DICOMweb source: QIDO-RS for studies, series and instances, WADO-RS for the instances themselves (PS3.18)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from irae.io.archive.identity import dicom_date
from irae.io.pacs.address import Address
from irae.io.pacs.credentials import Credentials
from irae.io.pacs.multipart import parts
from irae.io.pacs.query import Link, Query, SourceError, TransientError, need
from irae.io.pacs.store import Store, is_uid

_PAGE = 500
_CHUNK_BYTES = 1 << 17  # what a broken connection can lose of what it had brought
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT, _STUDY_DATE, _MODALITY = "00100020", "00080020", "00080060"


class DicomWeb:
    """One server. Every method raises TransientError where another attempt may help, SourceError where none will."""

    def __init__(self, address: Address, *, link: Link, credentials: Credentials) -> None:
        try:
            from dicomweb_client import DICOMwebClient
            from dicomweb_client.session_utils import create_session
        except ImportError as error:
            raise need("dicomweb-client") from error
        if credentials and address.is_readable_underway and not link.plain_http:
            raise SourceError(
                f"{address.text}: the password would cross the network in plain text; use https, or allow it with "
                "pacs.plain_http=true"
            )
        # It logs failed requests with their URLs, and a query's URL holds the patient ID.
        logging.getLogger("retrying").propagate = False
        self._session = create_session()
        if credentials.token:
            self._session.headers["Authorization"] = f"Bearer {credentials.token}"
        elif credentials.user:
            self._session.auth = (credentials.user, credentials.password)
        else:
            self._session.trust_env = False  # no password of a ~/.netrc that nobody thinks of
        self._url, self._timeout_s = address.url, link.timeout_s
        self._client = DICOMwebClient(address.url, session=self._session, timeout=link.timeout_s)
        self._client.set_http_retry_params(retry=False)  # fetch() attempts again, for both protocols alike

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    def studies(self, patient: str, query: Query) -> Iterator[str]:
        """Study Instance UIDs of a patient (empty: of anyone) that fit the query."""
        filters = {"PatientID": patient, "StudyDate": query.date_range}
        filters = {name: value for name, value in filters.items() if value}
        for row in self._pages(self._client.search_for_studies, _STUDY, search_filters=filters):
            if query.wants_study(_text(row, _PATIENT), dicom_date(_text(row, _STUDY_DATE))):
                yield _text(row, _STUDY)

    def series(self, study_uid: str) -> Iterator[tuple[str, str]]:
        """Series Instance UID and modality of each series."""
        for row in self._pages(self._client.search_for_series, _SERIES, study_instance_uid=study_uid):
            yield _text(row, _SERIES), _text(row, _MODALITY)

    def instances(self, study_uid: str, series_uid: str) -> Iterator[str]:
        """SOP Instance UIDs of a series."""
        search = self._client.search_for_instances
        for row in self._pages(search, _INSTANCE, study_instance_uid=study_uid, series_instance_uid=series_uid):
            yield _text(row, _INSTANCE)

    def retrieve(self, study_uid: str, series_uid: str, missing: Sequence[str], *, whole: bool, store: Store) -> None:
        """Brings instances into the store, in the transfer syntax they are kept in."""
        series = f"{self._url}/studies/{study_uid}/series/{series_uid}"
        for url in [series] if whole else [f"{series}/instances/{uid}" for uid in missing]:
            with _errors_sorted(), self._session.get(
                url, headers={"Accept": _AS_STORED}, stream=True, timeout=self._timeout_s
            ) as answer:
                answer.raise_for_status()
                for instance in parts(answer.headers.get("Content-Type", ""), answer.iter_content(_CHUNK_BYTES)):
                    store.add(instance)

    def _pages(self, search: Callable[..., list[dict[str, Any]]], key: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """All rows of a search. Servers that ignore limit or offset answer with what was seen, which ends it."""
        seen: set[str] = set()
        while True:
            with _errors_sorted():
                rows = search(limit=_PAGE, offset=len(seen), **asked)
            new = [row for row in rows if _text(row, key) not in seen]
            for row in new:
                if _text(row, key) not in seen:
                    seen.add(_text(row, key))
                    yield row
            if not new or len(rows) < _PAGE:
                return


def _text(row: Any, tag: str) -> str:
    """The first value of an attribute of a DICOM JSON answer; a UID that is none is not handed on."""
    try:
        value = str(row[tag]["Value"][0]).strip()
    except (KeyError, IndexError, TypeError):
        return ""
    if tag in (_STUDY, _SERIES, _INSTANCE) and not is_uid(value):
        raise SourceError("the server answers with a UID that is none")
    return value


@contextmanager
def _errors_sorted() -> Iterator[None]:
    """Sorts what a request can raise. URLs stay out of the texts: they may hold a patient ID."""
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except RequestException as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise SourceError(
                f"the server refuses these credentials (HTTP {status}); give IRAE_PACS_USER and IRAE_PACS_PASSWORD, "
                "IRAE_PACS_TOKEN, or a file with pacs.credentials"
            ) from None
        if status is not None and status not in _LATER:
            raise SourceError(f"the server refuses the request (HTTP {status})") from None
        if type(error).__name__ in ("SSLError", "InvalidURL", "InvalidSchema", "TooManyRedirects"):
            raise SourceError(f"the server cannot be spoken to ({type(error).__name__})") from None
        said = f"HTTP {status}" if status is not None else type(error).__name__
        raise TransientError(f"the server did not answer ({said})") from None
    except (HTTPError, OSError) as error:
        raise TransientError(f"the connection broke ({type(error).__name__})") from None
    except (EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TransientError(f"the answer cannot be read ({type(error).__name__})") from None
