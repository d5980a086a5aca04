"""
Visitors over real sockets: blocking ones, each in a thread, so that nothing of Twisted is on their side.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

T = TypeVar("T")

# Seconds: only a test that fails waits that long.
PATIENCE = 20.0


def in_thread(do: Callable[[], T]) -> Deferred[T]:
    found: Deferred[T] = deferToThread(do)
    return found


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), timeout=PATIENCE)


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end; a reset counts as one."""
    read = b""
    try:
        while data := connection.recv(65536):
            read += data
    except ConnectionResetError:
        pass
    return read


def say(port: int, *pieces: bytes, host: str = "127.0.0.1", fin: bool = False) -> Deferred[bytes]:
    """
    What a visitor gets who sends *pieces* (and then, with *fin*, no more), up to the end. Who is reset at once may
    learn of it as early as in ``connect``.
    """

    def visit() -> bytes:
        try:
            connection = connect(port, host)
        except ConnectionResetError:
            return b""
        with connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if fin:
                    connection.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            return read_all(connection)

    return in_thread(visit)


def tls_context(ca: Path, alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def tls_connect(port: int, server_name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = connect(port)
    try:
        return context.wrap_socket(connection, server_hostname=server_name)
    except BaseException:
        connection.close()
        raise


def say_in_tls(port: int, server_name: str, context: ssl.SSLContext, *pieces: bytes) -> Deferred[bytes]:
    """The same within TLS; the end is a close_notify, or the answer fails."""

    def visit() -> bytes:
        with tls_connect(port, server_name, context) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    return in_thread(visit)
