"""
HTTP visitors over real sockets, with and without TLS, to a local server of another make.
"""

from __future__ import annotations

import hashlib
import http.client
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from pinggy.certificates.store import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import NothingElsewhere
from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.web import WebVisitor
from pinggy.tunnel.addresses import PublicFace
from tests.support.streams import live_forwarding
from tests.support.tcp_streams import TcpClient
from tests.support.visitors import PATIENCE, in_thread, tls_context

reactor = cast(Any, the_reactor)

HOST = "shop.a.example"
LARGE = 12 * 1024 * 1024


class LocalServer(BaseHTTPRequestHandler):
    """Python's own: POST answers with the digest of the body, GET /N with N bytes, GET /ws with an echo until FIN."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_POST(self) -> None:
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, 65536))
            digest.update(data)
            left -= len(data)
        self._answer(digest.hexdigest().encode())

    def do_GET(self) -> None:
        if self.path == "/ws":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            while data := self.connection.recv(65536):
                self.connection.sendall(data)
            self.connection.sendall(b"bye")
            self.close_connection = True
            return
        self._answer(random.Random(1).randbytes(int(self.path[1:])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _LocalServers(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A stream that was aborted: that is its visitor's matter."""


class _Visitors(Factory[Doorway]):
    noisy = False

    def __init__(self, tunnels: Tunnels, secure: bool) -> None:
        self._doors = WebDoors(tunnels=tunnels, face=PublicFace(domain="a.example"), clock=reactor, limits=WebLimits())
        self._secure = secure
        self.open = 0
        self.empty: Deferred[None] | None = None

    def buildProtocol(self, addr: Any) -> Doorway:
        self.open += 1
        return _Counted(self, self._doors.web(NothingElsewhere(), Peer(addr.host, addr.port), self._secure, None))

    def left(self) -> None:
        self.open -= 1
        if not self.open and self.empty is not None:
            self.empty.callback(None)


class _Counted(Doorway):
    def __init__(self, visitors: _Visitors, served: WebVisitor) -> None:
        self._visitors = visitors
        self._served = served

    def connectionMade(self) -> None:
        self.hand_over(self._served)

    def left(self) -> None:
        self._visitors.left()


@pytest.fixture(scope="module")
def local_server() -> Iterator[int]:
    server = _LocalServers(("127.0.0.1", 0), LocalServer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


class Front:
    """An edge's front door on *port*, with TLS (*context*) or without."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self._port = port
        self._context = context

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        if self._context is not None:
            return self._context.wrap_socket(connection, server_hostname=HOST)
        return connection

    def http(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(HOST)
        connection.sock = self.connect()
        return connection


@pytest_twisted.async_yield_fixture(params=["http", "https"])
async def front(request: Any, local_server: int, certificate: LocalCertificate) -> AsyncIterator[Front]:
    secure = request.param == "https"
    tunnels = Tunnels()
    tunnels.add(live_forwarding(cast(Any, TcpClient(reactor, local_server))))
    visitors = factory = _Visitors(tunnels, secure)
    if secure:
        creator = Certificates(certificate.certificate, certificate.key, reactor).for_server_name(HOST)
        factory = cast(Any, TLSMemoryBIOFactory(creator, False, visitors, reactor))
        factory.noisy = False
    listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield Front(listening.getHost().port, tls_context(certificate.ca) if secure else None)
    await listening.stopListening()
    if visitors.open:
        visitors.empty = Deferred()
        await visitors.empty
    for tunnel in tunnels:
        await tunnel.let_finish()
        assert tunnel.tally.open == 0


@pytest_twisted.ensureDeferred
async def test_downloads_and_uploads_pass_byte_exact(front: Front) -> None:
    body = random.Random(1).randbytes(LARGE)

    def visit() -> None:
        with closing(front.http()) as visitor:
            for _ in range(2):
                visitor.request("GET", f"/{LARGE}")
                assert visitor.getresponse().read() == body
                visitor.request("POST", "/", body)
                assert visitor.getresponse().read().decode() == hashlib.sha256(body).hexdigest()

    await in_thread(visit)


@pytest_twisted.ensureDeferred
async def test_many_requests_over_one_connection(front: Front) -> None:
    def visit() -> None:
        with closing(front.http()) as visitor:
            for length in range(200):
                visitor.request("GET", f"/{length}")
                assert len(visitor.getresponse().read()) == length

    await in_thread(visit)


@pytest_twisted.ensureDeferred
async def test_a_changed_protocol_echoes(front: Front) -> None:
    asked = f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode()
    data = random.Random(2).randbytes(1024 * 1024)

    def visit() -> bytes:
        with front.connect() as visitor:
            visitor.sendall(asked)
            heard = b""
            # In one thread: Python's TLS does not bear one that reads beside one that writes.
            for sent in range(0, len(data), 65536):
                visitor.sendall(data[sent : sent + 65536])
                while len(heard) < sent - 2 * 65536:
                    heard += visitor.recv(65536)
            while len(heard.partition(b"\r\n\r\n")[2]) < len(data):
                heard += visitor.recv(65536)
            if not isinstance(visitor, ssl.SSLSocket):
                visitor.shutdown(socket.SHUT_WR)
                while more := visitor.recv(65536):
                    heard += more
                data_and_bye = heard.partition(b"\r\n\r\n")[2]
                assert data_and_bye[len(data) :] == b"bye"
            return heard

    head, _, echoed = (await in_thread(visit)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert echoed[: len(data)] == data


@pytest_twisted.ensureDeferred
async def test_an_answer_arrives_though_the_visitor_is_still_sending(front: Front) -> None:
    asked = b"POST / HTTP/1.1\r\nHost: nobody.a.example\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000)

    def visit() -> bytes:
        with front.connect() as visitor:
            visitor.sendall(asked)
            heard = b""
            while data := visitor.recv(65536):
                heard += data
            return heard

    assert (await in_thread(visit)).startswith(b"HTTP/1.1 404 ")
