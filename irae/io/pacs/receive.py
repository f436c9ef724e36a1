"""Our C-STORE receiver: fills an archive folder with what known senders send (PS3.4 Annex B)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from irae.io.pacs.address import check_ae_title
from irae.io.pacs.prompt import promptly
from irae.io.pacs.query import SourceError, need
from irae.io.pacs.store import RefusedError, Store

# Enough for a PACS that sends in parallel; each may hold one instance in memory.
_ASSOCIATIONS = 4
# Long enough for what is being written to be written.
_LAST_WORDS_S = 5.0


@dataclass(slots=True)
class Received:
    """What came in so far: ``new``, ``already there``, and refusals by code."""

    port: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, what: str) -> None:
        """Adds one."""
        with self._lock:
            self.counts[what] += 1


@contextmanager
def receiving(
    store: Store, *, aet: str, bind: str, port: int, senders: Collection[str], timeout_s: float = 30.0,
    refused: Callable[[RefusedError], None] = lambda error: None,
) -> Iterator[Received]:
    """Listens while the block runs.

    Args:
        store: Where instances go; its folder is held by the caller (:func:`irae.io.pacs.store.alone`).
        aet: Our AE title; a sender must call us by it.
        bind, port: Where to listen; port 0 takes a free one (``Received.port``).
        senders: AE titles that may send. An AE title is a name, not a proof: a firewall has to know them too.
        timeout_s: Longest silence of a sender.
        refused: Is told why, for each instance refused; the text holds no value of the data set but UIDs.

    Raises:
        ValueError: If no sender is named, or a title is none.
        SourceError: If pynetdicom is not installed or the port cannot be had.
    """
    try:
        from pynetdicom import AE, evt
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
    except ImportError as error:
        raise need("pynetdicom") from error
    from irae.io.pacs.contexts import RECEIVED, received_classes

    if not senders:
        raise ValueError("no sender is named; the receiver takes images from known AE titles only")
    ae = AE(ae_title=check_ae_title(aet, "our AE title"))
    ae.require_called_aet = True
    ae.require_calling_aet = [check_ae_title(sender, "a sender's AE title") for sender in senders]
    ae.maximum_associations = _ASSOCIATIONS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout_s
    ae.add_supported_context(Verification)
    for storage in received_classes():
        ae.add_supported_context(storage, RECEIVED)
    received = Received()

    def keep(event: Any) -> Any:
        try:
            new = store.add(event.encoded_dataset(), announced_uid=str(event.request.AffectedSOPInstanceUID))
        except RefusedError as error:
            received.count(error.code)
            refused(error)
            return refusal(error)
        received.count("new" if new else "already there")
        return 0x0000

    try:
        server = ae.start_server((bind, port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep), *promptly()])
    except OSError as error:
        raise SourceError(f"cannot listen on {bind}:{port}: {error.strerror or error}") from error
    assert server is not None
    received.port = server.server_address[1]
    try:
        yield received
    finally:
        _end(ae, server)


def _end(ae: Any, server: Any) -> None:
    """Ends listening and every association.

    ``ae.shutdown`` aborts from outside, which pynetdicom's state machine takes for an error in an association that
    waits for its peer to close (after a rejection or a release), or for its first word. With no time left for silence
    each aborts itself when it has written what it has; one that has not even begun is dropped.
    """
    server.shutdown()
    ae.network_timeout = 0
    until = time.monotonic() + _LAST_WORDS_S
    while ae.active_associations and time.monotonic() < until:
        time.sleep(0.01)
    for association in ae.active_associations:
        association.dul.kill_dul()


def refusal(error: RefusedError) -> Any:
    """A C-STORE response's status with the reason as its comment (LO, 64 characters)."""
    from pydicom.dataset import Dataset

    status = Dataset()
    status.Status = error.status
    status.ErrorComment = str(error)[:64].replace("\\", "/")
    return status
