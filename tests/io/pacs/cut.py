"""A wire that breaks: forwards connections on loopback and cuts them after so many bytes of answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Wire:
    """Forwards to a port of this machine; a connection is cut once it brought ``after`` bytes.

    It happens ``cuts`` times; or, if the wire ``stays_dead``, once, and then to every connection at once.
    """

    def __init__(self, upstream: int, *, after: int, cuts: int, stays_dead: bool) -> None:
        self.upstream, self.after, self.cuts, self.stays_dead = upstream, after, cuts, stays_dead
        self.done = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            for pair in ((client, server, False), (server, client, True)):
                self._threads.append(threading.Thread(target=self._pump, args=pair, daemon=True))
                self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        brought = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1024):
                brought += len(data)
                if answers and brought > self.after and self.done < self.cuts:
                    self.done += 1
                    if self.stays_dead:
                        self.after, self.cuts = 0, 10**6
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Stops listening and waits for what runs."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def wire(upstream: int, *, after: int, cuts: int = 1, stays_dead: bool = False) -> Iterator[Wire]:
    """A wire while the block runs."""
    made = Wire(upstream, after=after, cuts=cuts, stays_dead=stays_dead)
    try:
        yield made
    finally:
        made.close()
