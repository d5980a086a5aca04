from __future__ import annotations

import shutil
import socket
import subprocess

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableProtocol

from pinggy.edge.visitor.arrival import FIRST_WORD, Arrival
from pinggy.edge.visitor.doorway import Doorway
from tests.edge.visitor.conftest import Edge
from tests.support.transports import VisitorTransport
from tests.support.visitors import PATIENCE, connect, in_thread, read_all, say, say_in_tls, tls_context

ADDRESS = IPv4Address("TCP", "192.0.2.7", 40000)


def visit(edge: Edge) -> VisitorTransport:
    arrival = edge.factory.buildProtocol(ADDRESS)
    assert arrival is not None
    return VisitorTransport(arrival)


# -- over sockets -------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_ssh_is_handed_to_ssh(edge: Edge) -> None:
    assert await say(edge.port, b"SSH-2.0-x\r\n") == b"ssh 127.0.0.1: SSH-2.0-x\r\n"


@pytest_twisted.ensureDeferred
async def test_http_is_handed_to_the_web(edge: Edge) -> None:
    assert await say(edge.port, b"GET / HTTP/1.1\r\n") == b"web 127.0.0.1 False None: GET / HTTP/1.1\r\n"


@pytest_twisted.ensureDeferred
async def test_https_is_handed_to_the_web(edge: Edge) -> None:
    trust = tls_context(edge.certificate.ca)
    said = await say_in_tls(edge.port, "x.a.example", trust, b"GET / HTTP/1.1\r\n")
    assert said == b"web 127.0.0.1 True x.a.example: GET / HTTP/1.1\r\n"


@pytest_twisted.ensureDeferred
async def test_ssh_inside_tls_is_handed_to_ssh(edge: Edge) -> None:
    trust = tls_context(edge.certificate.ca)
    assert await say_in_tls(edge.port, "a.example", trust, b"SSH-2.0-x\r\n") == b"ssh 127.0.0.1: SSH-2.0-x\r\n"


@pytest_twisted.ensureDeferred
async def test_ssh_through_openssl_as_a_proxy_command(edge: Edge) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = [openssl, "s_client", "-quiet", "-connect", f"127.0.0.1:{edge.port}"]
    ran = await in_thread(
        lambda: subprocess.run(command, input=b"SSH-2.0-x\r\n", capture_output=True, timeout=PATIENCE, check=False)
    )
    assert ran.stdout == b"ssh 127.0.0.1: SSH-2.0-x\r\n"


@pytest_twisted.ensureDeferred
async def test_tls_inside_tls_is_closed(edge: Edge) -> None:
    trust = tls_context(edge.certificate.ca)
    assert await say_in_tls(edge.port, "a.example", trust, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n") == b""


@pytest_twisted.ensureDeferred
async def test_garbage_is_closed(edge: Edge) -> None:
    assert await say(edge.port, b"\0\1\2\3 garbage") == b""


@pytest_twisted.ensureDeferred
async def test_garbage_inside_tls_is_closed(edge: Edge) -> None:
    assert await say_in_tls(edge.port, "a.example", tls_context(edge.certificate.ca), b"\0\1\2\3 garbage") == b""


@pytest_twisted.ensureDeferred
async def test_a_visitor_who_leaves_without_a_word(edge: Edge) -> None:
    assert await say(edge.port, fin=True) == b""
    assert await say(edge.port, b"GE", fin=True) == b""


@pytest_twisted.ensureDeferred
async def test_pieces_over_sockets(edge: Edge) -> None:
    def visit() -> bytes:
        with connect(edge.port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for each in b"GET / HTTP/1.1\r\n":
                connection.sendall(bytes([each]))
            return read_all(connection)

    assert await in_thread(visit) == b"web 127.0.0.1 False None: GET / HTTP/1.1\r\n"


@pytest_twisted.ensureDeferred
async def test_the_ssh_factory_lives_as_long_as_the_port(edge: Edge) -> None:
    assert edge.ssh.started == 1


# -- in memory ----------------------------------------------------------------------------------------------------


def test_the_chosen_protocol_gets_the_bytes_in_one_piece(still_edge: Edge) -> None:
    visitor = visit(still_edge)
    for each in b"GET / ":
        visitor.sends(bytes([each]))
    assert visitor.value() == b""
    visitor.sends(b"x\n")
    assert visitor.value() == b"web 192.0.2.7 False None: GET / x\n"
    assert visitor.disconnecting
    assert still_edge.clock.getDelayedCalls() == []


def test_who_has_said_garbage_is_not_heard_again(still_edge: Edge) -> None:
    visitor = visit(still_edge)
    visitor.sends(b"\0\1")
    assert visitor.disconnecting
    # Within TLS the end of a connection may be long in coming.
    visitor.sends(b"GET / x\n")
    assert visitor.value() == b""
    assert still_edge.clock.getDelayedCalls() == []


def test_who_says_nothing_in_time_is_closed(still_edge: Edge) -> None:
    visitor = visit(still_edge)
    visitor.sends(b"SS")
    still_edge.clock.advance(FIRST_WORD)
    assert visitor.aborted


def test_who_is_served_is_not_closed_by_time(still_edge: Edge) -> None:
    visitor = visit(still_edge)
    visitor.sends(b"GET / ")
    still_edge.clock.advance(10 * FIRST_WORD)
    assert not visitor.aborted
    assert not visitor.disconnecting


def test_a_half_close_is_offered_to_whom_it_concerns(still_edge: Edge) -> None:
    arrival = Arrival(lambda arrival, said: None, still_edge.clock)
    assert IHalfCloseableProtocol(arrival, None) is None
    visitor = visit(still_edge)
    visitor.sends(b"GET / ")
    assert IHalfCloseableProtocol(visitor.protocol, None) is None
    visitor.sends_fin()
    assert still_edge.limit.count == 0


def test_connections_over_the_limit_of_their_address_are_closed_at_once(still_edge: Edge) -> None:
    visitors = [visit(still_edge) for _ in range(50)]
    assert still_edge.factory.buildProtocol(ADDRESS) is None
    assert still_edge.factory.buildProtocol(IPv4Address("TCP", "192.0.2.8", 1)) is not None
    visitors[0].closes()
    assert still_edge.factory.buildProtocol(ADDRESS) is not None


def test_a_network_of_ipv6_counts_as_one_address(still_edge: Edge) -> None:
    def come(host: str) -> Doorway | None:
        return still_edge.factory.buildProtocol(IPv6Address("TCP", host, 1))

    for number in range(50):
        assert come(f"2001:db8::{number:x}") is not None
    assert come("2001:db8::ffff:1") is None
    assert come("2001:db8:0:1::1") is not None


@pytest.mark.parametrize("said", [b"SSH-2.0-x", b"GET / ", b"\x16\x03\x01", b"garbage!"])
def test_every_connection_is_counted_out(still_edge: Edge, said: bytes) -> None:
    visitor = visit(still_edge)
    visitor.sends(said)
    visitor.resets()
    assert still_edge.limit.count == 0
    assert still_edge.clock.getDelayedCalls() == []
