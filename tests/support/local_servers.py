"""
What a client has behind its tunnel: servers on loopback, each in threads of this process.
"""

from __future__ import annotations

import hashlib
import json
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate
from tests.support.service import PATIENCE
from tests.support.strict_http import read_request

BLOCK = 64 * 1024
HELLO = b"hello from the laptop"
_BODY = hashlib.sha256(b"pinggy").digest() * (BLOCK // 32)

Serve = Callable[[socket.socket], None]


def blocks(size: int) -> Iterator[bytes]:
    """*size* bytes, a multiple of `BLOCK`; each block begins with its number, so that none can be lost or swapped."""
    assert size % BLOCK == 0
    for number in range(size // BLOCK):
        yield struct.pack(">Q", number) + _BODY[8:]


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return digest.hexdigest()


class Count:
    """Bytes that have passed: their *size* and digest."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def shut(connection: socket.socket) -> None:
    """Send no more, and read on. The FIN stands for the end inside TLS too: its close_notify has no half-close."""
    socket.socket.shutdown(connection, socket.SHUT_WR)


def read_all(connection: socket.socket, first: bytes = b"", size: int | None = None) -> Count:
    """*first*, and everything until the other side ends, or until that are *size* bytes."""
    count = Count()
    count.add(first)
    while count.size != size and (data := connection.recv(BLOCK)):
        count.add(data)
    return count


def read_until(connection: socket.socket, part: bytes) -> bytes:
    """What comes until *part* is in it, and what came with that."""
    received = b""
    while part not in received:
        data = connection.recv(BLOCK)
        assert data, received
        received += data
    return received


# -- plain TCP ---------------------------------------------------------------------------------------------------


@contextmanager
def tcp_server(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that calls *serve* with each connection, in a thread of its own; over TLS with *context*. Its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            connection.settimeout(PATIENCE)
            try:
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    serve(connection)
            except OSError:
                pass  # the visitor has gone; a test looks at what it is told

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.block_on_close = False


def echo(connection: socket.socket) -> None:
    """Send back what comes; end when the visitor has ended."""
    while data := connection.recv(BLOCK):
        connection.sendall(data)


def hello(connection: socket.socket) -> None:
    """Answer each request, when it has come whole, with `HELLO` and in one piece."""
    received = b""
    while data := connection.recv(BLOCK):
        received += data
        while (request := read_request(received)).is_whole:
            received = request.rest
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(HELLO), HELLO))


# -- HTTP --------------------------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """
    ``GET /bytes/N`` answers N bytes, ``GET /chunked/N`` the same in chunks, ``PUT /digest`` size and digest of the
    body, everything else method, target and headers as JSON.
    """

    protocol_version = "HTTP/1.1"
    server: WebServer

    def do_GET(self) -> None:
        _, what, size = (*self.path.split("/"), "", "")[:3]
        if what == "bytes":
            self._head(200, ("Content-Length", size))
            for block in blocks(int(size)):
                self.wfile.write(block)
        elif what == "chunked":
            self._head(200, ("Transfer-Encoding", "chunked"))
            for block in blocks(int(size)):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._say({"method": self.command, "target": self.path, "headers": self.headers.items()})

    do_HEAD = do_OPTIONS = do_GET

    def do_PUT(self) -> None:
        count = Count()
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                count.add(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left and (data := self.rfile.read(min(left, BLOCK))):
                count.add(data)
                left -= len(data)
        self._say({"size": count.size, "digest": count.digest})

    do_POST = do_PUT

    def _say(self, what: object) -> None:
        body = json.dumps(what).encode()
        self._head(200, ("Content-Type", "application/json"), ("Content-Length", str(len(body))))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def handle_expect_100(self) -> bool:
        self.server.expected.put(self.path)
        return super().handle_expect_100()

    def log_message(self, *_: object) -> None:
        self.server.seen.put((self.command, self.path))


class WebServer(ThreadingHTTPServer):
    """*seen* has each request that was answered, *expected* the targets of those that awaited a 100."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.seen: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self.expected: SimpleQueue[str] = SimpleQueue()
        super().__init__(("127.0.0.1", 0), Web)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Visitors break off: that is what some tests are about."""


@contextmanager
def web_server() -> Iterator[WebServer]:
    with WebServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


# -- TLS ---------------------------------------------------------------------------------------------------------


def own_certificate(folder: Path, domain: str) -> LocalCertificate:
    """A certificate for names under *domain* by an authority that the service does not know."""
    return ensure_local_certificate(folder, domain, datetime.now(UTC))


def server_context(certificate: LocalCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context
