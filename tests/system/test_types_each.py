"""
Every type of forwarding, alone and together in one connection.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import pytest

from tests.support.local_servers import (
    BLOCK,
    WebServer,
    blocks,
    digest_of,
    echo,
    own_certificate,
    read_all,
    reset,
    server_context,
    shut,
    tcp_server,
)
from tests.support.openssh import ssh
from tests.support.public import ask, connect, connect_tls, dig, eventually, host, status
from tests.support.raw_tunnels import KINDS, raw_tunnel
from tests.support.service import PATIENCE, Service

MEGABYTE = 1024 * 1024


def round_trip(visitor: socket.socket) -> None:
    visitor.sendall(b"are you there?")
    assert visitor.recv(100) == b"are you there?"


# -- http and https ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-", "old"])
def test_http_and_https_reach_the_same_local_server(service: Service, web: WebServer, name: str) -> None:
    """By the default forwarding, and by the older form of a named one."""
    user, forward = ("http", f"-R0:localhost:{web.port}")
    if name == "old":
        user, forward = (service.new_token("old-form"), f"-Rold:0:localhost:{web.port}")
    with ssh(service, "-T", forward, user=user) as client:
        for url in (client.url("http"), client.url("https")):
            assert ask(service, f"{url}/path")["headers"]["host"] == [urlsplit(url).netloc]


def test_the_certificate_is_for_every_name_of_the_domain(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        url = client.url("https")
        with connect_tls(url, service.ca) as visitor:
            certificate = visitor.getpeercert()
            assert certificate is not None
            assert ("DNS", "*.a.localhost") in certificate["subjectAltName"]


# -- tcp, tls, tlstcp --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_raw_types_echo_to_several_visitors_at_once(service: Service, tmp_path: Path, kind: str) -> None:
    with raw_tunnel(service, tmp_path, kind, echo) as tunnel:
        assert re.fullmatch(rf"{kind}://[a-z0-9]+\.a\.localhost:\d+", tunnel.url)
        if kind != "tcp":
            assert urlsplit(tunnel.url).port == service.https_port
        visitors = [tunnel.visit() for _ in range(3)]
        for visitor in visitors:
            round_trip(visitor)
        for visitor in visitors:
            visitor.close()


def test_tls_is_ended_by_the_local_server_and_by_nobody_else(service: Service, tmp_path: Path) -> None:
    with raw_tunnel(service, tmp_path, "tls", echo) as tunnel:
        with pytest.raises(ssl.SSLCertVerificationError):
            connect_tls(tunnel.url, service.ca)
        assert tunnel.ca is not None
        with connect_tls(tunnel.url, tunnel.ca) as visitor:
            round_trip(visitor)


def test_tlstcp_is_ended_at_the_edge(service: Service, tmp_path: Path) -> None:
    """Plain TCP is what the local server gets, so that it can be asked without TLS on its side."""
    with raw_tunnel(service, tmp_path, "tlstcp", echo) as tunnel, tunnel.visit() as visitor:
        assert isinstance(visitor, ssl.SSLSocket)
        round_trip(visitor)


def test_http_to_the_name_of_a_raw_tunnel_is_not_found(service: Service, tmp_path: Path) -> None:
    with raw_tunnel(service, tmp_path, "tlstcp", echo) as tunnel:
        assert status(service, f"http://{host(tunnel.url)}:{service.http_port}/") == 404


# -- how raw streams end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_visitor_who_has_ended_is_answered_still(service: Service, tmp_path: Path, kind: str) -> None:
    def count_then_answer(connection: socket.socket) -> None:
        count = read_all(connection)
        connection.sendall(f"{count.size} {count.digest}".encode())

    with raw_tunnel(service, tmp_path, kind, count_then_answer) as tunnel, tunnel.visit() as visitor:
        for block in blocks(MEGABYTE):
            visitor.sendall(block)
        shut(visitor)
        answer = b""
        while data := visitor.recv(BLOCK):
            answer += data
        assert answer.decode() == f"{MEGABYTE} {digest_of(MEGABYTE)}"


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_local_server_that_has_ended_hears_the_visitor_still(service: Service, tmp_path: Path, kind: str) -> None:
    heard: SimpleQueue[tuple[int, str]] = SimpleQueue()

    def send_then_read(connection: socket.socket) -> None:
        for block in blocks(MEGABYTE):
            connection.sendall(block)
        shut(connection)
        count = read_all(connection)
        heard.put((count.size, count.digest))

    with raw_tunnel(service, tmp_path, kind, send_then_read) as tunnel, tunnel.visit() as visitor:
        assert read_all(visitor).digest == digest_of(MEGABYTE)
        for block in blocks(MEGABYTE):
            visitor.sendall(block)
        shut(visitor)
        assert heard.get(timeout=PATIENCE) == (MEGABYTE, digest_of(MEGABYTE))


@pytest.mark.parametrize("kind", KINDS)
def test_a_visitor_s_reset_reaches_the_local_server(service: Service, tmp_path: Path, kind: str) -> None:
    ends: SimpleQueue[str] = SimpleQueue()

    def await_end(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        try:
            ends.put("ended" if not connection.recv(1) else "data")
        except OSError as error:
            ends.put(type(error).__name__)

    with raw_tunnel(service, tmp_path, kind, await_end) as tunnel:
        visitor = tunnel.visit()
        assert visitor.recv(5) == b"hello"
        reset(visitor)
        assert ends.get(timeout=PATIENCE) in ("ended", "ConnectionResetError", "SSLError", "SSLEOFError")
        # And harms nobody else.
        with tunnel.visit() as other:
            assert other.recv(5) == b"hello"


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_server_s_reset_ends_the_visitor(service: Service, tmp_path: Path, kind: str) -> None:
    go = threading.Event()

    def send_then_reset(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        assert go.wait(PATIENCE)
        reset(connection)

    with raw_tunnel(service, tmp_path, kind, send_then_reset) as tunnel, tunnel.visit() as visitor:
        assert visitor.recv(5) == b"hello"
        go.set()
        with suppress(ConnectionResetError, ssl.SSLError):
            assert visitor.recv(1) == b""


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_server_that_is_down_ends_the_visitor(service: Service, tmp_path: Path, kind: str) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user=kind) as client:
        url = client.url(kind)
        with (
            suppress(ConnectionResetError, ssl.SSLError),
            connect(url) if kind == "tcp" else connect_tls(url, service.ca) as visitor,
        ):
            assert visitor.recv(1) == b""


@pytest.mark.parametrize("kind", KINDS)
def test_only_whom_the_whitelist_names_reach_a_raw_tunnel(service: Service, tmp_path: Path, kind: str) -> None:
    reached = threading.Event()

    def serve(connection: socket.socket) -> None:
        reached.set()
        echo(connection)

    with (
        raw_tunnel(service, tmp_path, kind, serve, "w:10.0.0.0/8,2001:db8::/32") as tunnel,
        suppress(ConnectionResetError, ssl.SSLError),
        tunnel.visit() as visitor,
    ):
        assert visitor.recv(1) == b""
    assert not reached.is_set()
    with raw_tunnel(service, tmp_path, kind, serve, "w:10.0.0.0/8,127.0.0.1") as tunnel, tunnel.visit() as visitor:
        round_trip(visitor)


# -- several in one connection -----------------------------------------------------------------------------------


def test_all_types_in_one_connection_with_the_default(service: Service, web: WebServer, tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "own", "a.localhost")
    token = service.new_token("mixed")
    with tcp_server(echo) as raw, tcp_server(echo, server_context(own)) as secure:
        words = (
            f"-R0:localhost:{web.port}",
            f"-Rmixed-web:1:localhost:{web.port}",
            f"-Rtls//mixed-tls:1:localhost:{secure}",
            f"-Rtlstcp//mixed-tlstcp:1:localhost:{raw}",
            f"-Rtcp//:1:localhost:{raw}",
            f"-Rhttp//mixed-alias@alias:1:localhost:{web.port}",
        )
        with ssh(service, "-T", *words, user=token) as client:
            urls = [line or "" for line in client.next(9)]
            schemes = [urlsplit(url).scheme for url in urls]
            assert schemes == ["http", "https", "http", "https", "tls", "tlstcp", "tcp", "http", "https"]
            assert [host(url) for url in (urls[2], urls[4], urls[5], urls[7])] == [
                f"mixed-{each}.a.localhost" for each in ("web", "tls", "tlstcp", "alias")
            ]
            for url in (*urls[:4], *urls[7:]):
                assert ask(service, url)["method"] == "GET"
            for visitor in (connect_tls(urls[4], own.ca), connect_tls(urls[5], service.ca), connect(urls[6])):
                with visitor:
                    round_trip(visitor)
            for url in urls:
                assert dig(service, host(url)) == ["local.a.localhost."]
            assert dig(service, host(urls[0]), "A") == ["local.a.localhost.", "127.0.0.1"]
        eventually(lambda: all(dig(service, host(url)) == [] for url in urls))


def test_a_named_forwarding_wins_over_the_default(service: Service, web: WebServer) -> None:
    """Both want the name that the account has reserved."""
    token = service.new_token("winner")
    service.pinggy("name", "reserve", "winner", "winner")
    words = ("-T", "-R0:localhost:1", f"-Rwinner:1:localhost:{web.port}")
    with ssh(service, *words, user=token) as client:
        urls = client.next(4)
        assert ask(service, f"http://winner.a.localhost:{service.http_port}")["method"] == "GET"
        assert len(set(urls)) == 4


def test_a_reserved_port_is_the_default_of_tcp(service: Service) -> None:
    token = service.new_token("port-owner")
    said = service.pinggy("port", "reserve", "port-owner").stdout
    port = re.search(r"\b\d{4,5}\b", said)
    assert port is not None, said
    with tcp_server(echo) as local:
        with ssh(service, "-T", f"-R0:localhost:{local}", user=f"{token}+tcp") as client:
            url = client.url("tcp")
            assert url == f"tcp://tcp-{port[0]}.a.localhost:{port[0]}"
            with connect(url) as visitor:
                round_trip(visitor)
        # Asked for by its number it is the same, and by another account it is not to be had.
        words = ("-T", f"-Rtcp//x/{port[0]}:1:localhost:{local}")
        with ssh(service, *words, user=token) as client:
            assert client.url("tcp") == url
        with ssh(service, *words, user=service.new_token("port-thief")) as client:
            exit_status, lines = client.end()
            assert exit_status == 1
            assert lines[-1].startswith(f"Port {port[0]} is not reserved by your account")
