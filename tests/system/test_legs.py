"""
What a local server meets first: who the visitor is, and TLS.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import pytest

from pinggy.edge.local_ca import LocalCertificate
from pinggy.http.proxyline import EitherReader
from pinggy.http.proxyprotocol import Endpoint, ProxyHeader
from tests.support.haproxy import haproxy
from tests.support.local_servers import (
    WebServer,
    own_certificate,
    read_until,
    server_context,
    tcp_server,
    web_server,
)
from tests.support.openssh import ssh
from tests.support.public import ask, connect, connect_tls, curl, status
from tests.support.service import PATIENCE, Service, free_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class LocalServer:
    """
    Reads a PROXY header (*introduced*), speaks TLS (*certificate*), both or neither, and answers one request.

    *headers* has what was said, *names* each SNI with the protocol that ALPN chose.
    """

    introduced: bool = False
    certificate: LocalCertificate | None = None
    headers: SimpleQueue[ProxyHeader] = field(default_factory=SimpleQueue)
    names: SimpleQueue[tuple[str | None, str | None]] = field(default_factory=SimpleQueue)
    _asked: str | None = None

    def serve(self, connection: socket.socket) -> None:
        if self.introduced:
            reader = EitherReader()
            while (header := reader.feed(connection.recv(1))) is None:
                pass
            self.headers.put(header)
        if self.certificate is not None:
            context = server_context(self.certificate)
            context.sni_callback = self._named
            context.set_alpn_protocols(["h2", "http/1.1"])
            connection = context.wrap_socket(connection, server_side=True)
            assert isinstance(connection, ssl.SSLSocket)
            self.names.put((self._asked, connection.selected_alpn_protocol()))
        with connection:
            read_until(connection, b"\r\n\r\n")
            connection.sendall(ANSWER)

    def _named(self, _: object, name: str, __: object) -> None:
        self._asked = name


def asks(url: str, visitor: socket.socket) -> bytes:
    visitor.sendall(f"GET / HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())
    return read_until(visitor, b"hi")


@pytest.fixture
def own(tmp_path: Path) -> LocalCertificate:
    """A local server's own, by an authority that the service does not know."""
    return own_certificate(tmp_path / "own", "a.localhost")


@pytest.mark.parametrize(("kind", "version"), [("http", "v1"), ("tcp", "v2"), ("tls", "v1"), ("tlstcp", "v2")])
def test_a_local_server_is_told_who_the_visitor_is(
    service: Service, own: LocalCertificate, kind: str, version: str
) -> None:
    server = LocalServer(introduced=True, certificate=own if kind == "tls" else None)
    option = f"x:haproxy:{version}"
    with (
        tcp_server(server.serve) as port,
        ssh(service, "-T", f"-R0:localhost:{port}", user=kind, command=(option,)) as client,
    ):
        url = client.url(kind)
        visitor = connect(url)
        ends = visitor.getsockname(), visitor.getpeername()
        if kind.startswith("tls"):
            visitor = connect_tls(url, own.ca if kind == "tls" else service.ca, plain=visitor)
        with visitor:
            assert asks(url, visitor).endswith(b"hi")
    assert server.headers.get(timeout=PATIENCE) == ProxyHeader(
        source=Endpoint(*ends[0]), destination=Endpoint(*ends[1])
    )


def test_requests_reach_a_local_server_that_speaks_tls(service: Service, own: LocalCertificate) -> None:
    server = LocalServer(certificate=own)
    with (
        tcp_server(server.serve) as port,
        ssh(service, "-T", f"-R0:localhost:{port}", command=("x:localServerTls",)) as client,
    ):
        assert curl(service, client.url("https")).stdout == b"hi"
    assert server.names.get(timeout=PATIENCE) == ("localhost", "http/1.1")


def test_a_raw_visitor_reaches_one_that_is_told_of_him_before(service: Service, own: LocalCertificate) -> None:
    server = LocalServer(introduced=True, certificate=own)
    command = ("x:localServerTls:shop.internal", "x:haproxy")
    with (
        tcp_server(server.serve) as port,
        ssh(service, "-T", f"-R0:localhost:{port}", user="tcp", command=command) as client,
    ):
        url = client.url("tcp")
        with connect(url) as visitor:
            source = Endpoint(*visitor.getsockname())
            assert asks(url, visitor).endswith(b"hi")
    assert server.headers.get(timeout=PATIENCE).source == source
    assert server.names.get(timeout=PATIENCE) == ("shop.internal", None)


def test_a_local_server_that_speaks_no_tls_after_all(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}", command=("x:localServerTls",)) as client:
        assert status(service, client.url()) == 502


def test_what_a_tls_tunnel_carries_is_not_wrapped_once_more(service: Service) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user="tls", command=("x:localServerTls",)) as client:
        ended, lines = client.end()
    assert ended == 1
    assert "'x:localServerTls' is not for the type tls" in lines[-1]


def test_behind_haproxy_everybody_has_his_own_address(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """Visitors by http and https and a client come by HAProxy from 127.0.0.5 and 127.0.0.9; it is at 127.0.0.1."""
    http, https = free_port(), free_port()
    face = f"[face]\nhttp_port = {http}\nhttps_port = {https}\n"
    service = new_service(face, listen='proxies = ["127.0.0.1"]')
    service.start()
    ways = (http, service.http_port, "send-proxy"), (https, service.https_port, "send-proxy-v2")
    with haproxy(tmp_path, *ways), web_server() as web:
        forward, allowed = ("-T", "-b", "127.0.0.9", f"-R0:localhost:{web.port}"), ("w:127.0.0.5",)
        with ssh(service, *forward, port=https, command=allowed) as client:
            for url in (client.url("http"), client.url("https")):
                asked = ask(service, url, "--interface", "127.0.0.5")
                assert asked["headers"]["x-forwarded-for"] == ["127.0.0.5"]
                assert status(service, url, "--interface", "127.0.0.6") == 0
            assert "127.0.0.9" in service.pinggy("tunnel", "list").stdout
    assert service.stop() == 0
    assert service.failures() == []
