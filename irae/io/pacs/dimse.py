"""A DIMSE source: C-FIND for studies, series and instances; C-GET, or C-MOVE to our own receiver (PS3.4 Annex C)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from irae.io.archive.identity import dicom_date
from irae.io.pacs.address import Address
from irae.io.pacs.prompt import promptly
from irae.io.pacs.query import Link, Query, Retrieve, SourceError, TransientError, need
from irae.io.pacs.receive import receiving, refusal
from irae.io.pacs.store import RefusedError, Store, is_uid

_PENDING = (0xFF00, 0xFF01)
_SUCCESS, _SOME_FAILED = 0x0000, 0xB000
_NEVER = {
    0xA801: "it does not know our AE title as a destination of C-MOVE",
    0x0122: "it does not offer this service",
    0x0124: "it does not allow us this",
}


class Dimse:
    """One archive. Every method raises TransientError where another attempt may help, SourceError where none will."""

    def __init__(self, address: Address, *, link: Link) -> None:
        try:
            import pynetdicom  # noqa: F401
        except ImportError as error:
            raise need("pynetdicom") from error
        self._address = address
        self._link = link
        self._finding: Any = None  # one association for all searches: to open one costs more than to ask
        self._answers = 0

    def close(self) -> None:
        """Ends the connection."""
        if self._finding is not None and self._finding.is_established:
            self._finding.release()

    def studies(self, patient: str, query: Query) -> Iterator[str]:
        """Study Instance UIDs of a patient (empty: of anyone) that fit the query."""
        rows = self._find("STUDY", PatientID=patient, StudyDate=query.date_range, StudyInstanceUID="")
        for row in rows:
            if query.wants_study(_text(row, "PatientID"), dicom_date(_text(row, "StudyDate"))):
                yield _uid(row, "StudyInstanceUID")

    def series(self, study_uid: str) -> Iterator[tuple[str, str]]:
        """Series Instance UID and modality of each series."""
        for row in self._find("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", Modality=""):
            yield _uid(row, "SeriesInstanceUID"), _text(row, "Modality")

    def instances(self, study_uid: str, series_uid: str) -> Iterator[str]:
        """SOP Instance UIDs of a series."""
        asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": ""}
        for row in self._find("IMAGE", **asked):
            yield _uid(row, "SOPInstanceUID")

    def retrieve(self, study_uid: str, series_uid: str, missing: Sequence[str], *, whole: bool, store: Store) -> None:
        """Brings instances into the store, in a transfer syntax the archive chooses."""
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        asked = [_identifier("SERIES", **keys)] if whole else [
            _identifier("IMAGE", **keys, SOPInstanceUID=uid) for uid in missing
        ]
        if self._link.retrieve is Retrieve.GET:
            self._get(asked, store)
        else:
            self._move(asked, store)

    def _find(self, level: str, **keys: str) -> list[Any]:
        from pynetdicom import evt
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

        if self._finding is None or not self._finding.is_established:
            self._finding = self._associate([(Find, None)], handlers=[(evt.EVT_DIMSE_RECV, self._answered)])
        rows: list[Any] = []
        handed = self._answers = 0
        with _errors_sorted(self._finding):
            for status, row in self._finding.send_c_find(_identifier(level, **keys), Find):
                handed += 1
                code = _status(status)
                if code in _PENDING and row is None:
                    raise TransientError("an answer of a C-FIND cannot be read")
                if code in _PENDING:
                    rows.append(row)
                    if level == "STUDY" and len(rows) > self._link.max_studies:
                        self._finding.abort()  # fetch() says that it is too many
                        return rows
                elif code != _SUCCESS:
                    raise _failed("C-FIND", code)
        if handed != self._answers:
            # pynetdicom 3.0's own thread can take an answer before its send_c_find does: rare, and silent.
            raise TransientError(f"{self._answers - handed} answers of a C-FIND were lost")
        return rows

    def _answered(self, event: Any) -> None:
        self._answers += 1

    def _get(self, asked: Sequence[Any], store: Store) -> None:
        from pynetdicom import build_role, evt
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get  # type: ignore[attr-defined]

        from irae.io.pacs.contexts import offered_for_get

        refused: list[RefusedError] = []

        def keep(event: Any) -> Any:
            try:
                store.add(event.encoded_dataset(), announced_uid=str(event.request.AffectedSOPInstanceUID))
            except RefusedError as error:
                refused.append(error)
                return refusal(error)
            return 0x0000

        offered = offered_for_get()
        roles = [build_role(storage, scp_role=True) for storage in sorted({storage for storage, _ in offered})]
        contexts = [(Get, None), *offered]
        with self._associated(contexts, roles, [(evt.EVT_C_STORE, keep)]) as association:
            for identifier in asked:
                _run("C-GET", association.send_c_get(identifier, Get), refused)

    def _move(self, asked: Sequence[Any], store: Store) -> None:
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move  # type: ignore[attr-defined]

        link = self._link
        refused: list[RefusedError] = []
        with (
            receiving(store, aet=link.aet, bind=link.bind, port=link.port, senders=[self._address.aet],
                      timeout_s=link.timeout_s, refused=refused.append),
            self._associated([(Move, None)]) as association,
        ):
            for identifier in asked:
                _run("C-MOVE", association.send_c_move(identifier, link.aet, Move), refused)

    @contextmanager
    def _associated(self, *offered: Any) -> Iterator[Any]:
        association = self._associate(*offered)
        try:
            with _errors_sorted(association):
                yield association
        finally:
            if association.is_established:
                association.release()

    def _associate(
        self, contexts: Sequence[tuple[Any, Any]], roles: Sequence[Any] = (), handlers: Sequence[Any] = ()
    ) -> Any:
        from pynetdicom import AE

        ae = AE(ae_title=self._link.aet)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self._link.timeout_s
        for syntax, transfer in contexts:
            ae.add_requested_context(syntax) if transfer is None else ae.requested_contexts.append(
                _context(syntax, transfer)
            )
        association = ae.associate(
            self._address.host, self._address.port, ae_title=self._address.aet, ext_neg=list(roles),
            evt_handlers=[*handlers, *promptly()],
        )
        if association.is_rejected:
            raise SourceError(
                f"{self._address.text} refuses the association of {self._link.aet}: it must know this AE title"
            )
        if not association.is_established:
            raise TransientError("the archive does not accept a connection")
        return association


@contextmanager
def _errors_sorted(association: Any) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # pynetdicom's own: the connection ended, no context was accepted
        if association.is_established:
            raise SourceError(f"the archive does not offer what is needed ({type(error).__name__})") from None
        raise TransientError("the connection broke") from None


def _context(syntax: str, transfer: list[str]) -> Any:
    from pynetdicom import build_context

    return build_context(syntax, transfer)


def _identifier(level: str, **keys: str) -> Any:
    from pydicom.dataset import Dataset

    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(identifier, name, value)
    return identifier


def _run(service: str, responses: Any, refused: Sequence[RefusedError]) -> None:
    """Waits for the end of a retrieval; what we refused to keep explains a failure better than its status."""
    code = None
    for status, _ in responses:
        code = _status(status)
    if refused:
        raise refused[0]
    if code not in (_SUCCESS, _SOME_FAILED):  # what some failed to send is found missing afterwards
        raise _failed(service, code)


def _status(status: Any) -> int | None:
    """The code of a response; None where the connection broke or nothing came in time."""
    return int(status.Status) if "Status" in status else None


def _failed(service: str, code: int | None) -> Exception:
    if code is None:
        return TransientError(f"the archive stopped answering a {service}")
    if code in _NEVER:
        return SourceError(f"the archive refuses the {service} (status {code:04X}): {_NEVER[code]}")
    return TransientError(f"the archive failed at a {service} (status {code:04X})")


def _text(row: Any, name: str) -> str:
    return str(row.get(name) or "").strip()


def _uid(row: Any, name: str) -> str:
    uid = _text(row, name)
    if not is_uid(uid):
        raise SourceError(f"the archive answers with a {name} that is none")
    return uid
