"""
The same over TCP: blocking visitors and local servers, with a real edge and real clients between them.

What is left to chance here is not drawn by the seed alone: networks and threads take their own time. So the local
servers are gentle.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from random import Random

from tests.fuzz.edge import Attempt, LocalServer, Record
from tests.support.service import PATIENCE

_BLOCK = 64 * 1024


class SocketStream:
    """A `ServedStream` of a local server's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.written = bytearray()
        self.over = False
        self.paused = False
        self._connection = connection

    def client_sends(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._connection.sendall(data)

    def client_ends(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def client_closes(self) -> None:
        raise AssertionError("it is gentle")


class Recorder:
    """The local servers of all connections: `serve` is called with each, in a thread of its own."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._changed = threading.Condition()
        self._attempts: list[Attempt] = []
        self.servers: list[LocalServer] = []

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        stream = SocketStream(connection)
        with self._changed:
            server = LocalServer(stream, self._attempts.append, Random(self._chance.random()), gentle=True)
            self.servers.append(server)
        try:
            while data := connection.recv(_BLOCK):
                with self._changed:
                    stream.written += data
                    server.hear()
                while server.may_speak:
                    server.speak()
        finally:
            with self._changed:
                stream.over = True
                self._changed.notify_all()

    def attempts_of(self, address: str) -> list[Attempt]:
        """In their order, once those that will never be whole are over."""

        def are_settled() -> bool:
            return all(each.request.is_whole or each.server.stream.over for each in mine())

        def mine() -> list[Attempt]:
            wanted = [address.encode()]
            return [each for each in self._attempts if each.request.values(b"x-forwarded-for") == wanted]

        with self._changed:
            assert self._changed.wait_for(are_settled, PATIENCE), "half a request is left with its local server"
            return mine()


def visit(port: int, address: str, pieces: Sequence[bytes]) -> Record:
    """One who comes from *address*, sends *pieces* and then no more, and reads until the edge closes."""
    record = Record(address, sent=b"".join(pieces), fin=True, races=True, closed=True)
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0)) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = threading.Thread(target=_read, args=(visitor, record))
        reader.start()
        try:
            for piece in pieces:
                visitor.sendall(piece)
            visitor.shutdown(socket.SHUT_WR)
        except OSError:
            record.left = True
        reader.join(PATIENCE)
        assert not reader.is_alive(), f"the edge does not close: {record.sent!r}"
    return record


def _read(visitor: socket.socket, record: Record) -> None:
    try:
        while data := visitor.recv(_BLOCK):
            record.heard += data
    except OSError:
        # A reset may overtake what was sent before it: what he has heard proves nothing.
        record.left = True
