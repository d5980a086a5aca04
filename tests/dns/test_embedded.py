"""
The running server, asked by the real ``dig``.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.utils import getProcessOutputAndValue

from pinggy.dns.embedded import DnsPortTaken, EmbeddedDns
from tests.dns.zones import record, small_zone
from tests.support.service import free_port


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[EmbeddedDns]:
    zone = small_zone()
    zone.publish([record("blog")])
    server = EmbeddedDns(reactor, "127.0.0.1", 0, zone)
    server.listen()
    yield server
    await server.stop()


async def dig(server: EmbeddedDns, *words: str) -> str:
    common = ("@127.0.0.1", "-p", str(server.port), "+tries=2", "+time=5", "+nocookie", "+norecurse")
    out, err, status = await getProcessOutputAndValue("/usr/bin/dig", (*common, *words), reactor=reactor)
    assert status == 0, err
    return " ".join(out.decode().split())


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.example", "SOA"], ["NOERROR", "qr aa;", "ns1.a.example. hostmaster.a.example. 8 3600 600 604800 5"]),
        (["blog.a.example", "A"], ["blog.a.example. 10 IN CNAME eu.a.example. eu.a.example. 10 IN A 192.0.2.1"]),
        (["blog.a.example", "AAAA"], ["IN AAAA 2001:db8::1"]),
        (["q.wild.a.example", "CNAME"], ["q.wild.a.example. 10 IN CNAME eu.a.example."]),
        (["nowhere.a.example"], ["NXDOMAIN", "ANSWER: 0, AUTHORITY: 1", "a.example. 5 IN SOA"]),
        (["empty.a.example"], ["NOERROR", "ANSWER: 0, AUTHORITY: 1", "a.example. 5 IN SOA"]),
        (["b.example"], ["REFUSED", "ANSWER: 0, AUTHORITY: 0"]),
        (["a.example", "AXFR", "+noall", "+comments"], []),
        (["eu.a.example", "+noedns"], ["NOERROR", "ADDITIONAL: 0"]),
        (["eu.a.example", "+bufsize=4096"], ["EDNS: version: 0, flags:; udp: 1232"]),
        (["eu.a.example", "+edns=3", "+noednsnegotiation"], ["BADVERS", "EDNS: version: 0"]),
        (["eu.a.example", "+cookie", "+nsid", "+subnet=192.0.2.0/24"], ["NOERROR", "IN A 192.0.2.1"]),
        (["eu.a.example", "+noedns", "+opcode=notify"], ["opcode: NOTIFY, status: NOTIMP"]),
        (["EU.a.EXAMPLE"], ["EU.a.EXAMPLE. IN A", "EU.a.EXAMPLE. 10 IN A 192.0.2.1"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_dig(server: EmbeddedDns, transport: str, words: list[str], said: list[str]) -> None:
    answered = await dig(server, transport, *words)
    assert "WARNING" not in answered
    for each in said:
        assert each in answered


@pytest_twisted.ensureDeferred
async def test_what_does_not_fit_is_cut_and_asked_again_by_tcp(server: EmbeddedDns) -> None:
    cut = await dig(server, "big.a.example", "TXT", "+ignore", "+bufsize=4096")
    assert "qr aa tc;" in cut
    whole = await dig(server, "big.a.example", "TXT")
    assert "ANSWER: 12" in whole
    assert "(TCP)" in whole
    cut = await dig(server, "big.a.example", "TXT", "+ignore", "+noedns")
    assert "qr aa tc;" in cut


@pytest_twisted.ensureDeferred
async def test_a_change_is_there_for_the_next_question(server: EmbeddedDns) -> None:
    zone = server.zone
    assert "NXDOMAIN" in await dig(server, "later.a.example", "CNAME")
    await zone.publish([record("later")])
    assert "later.a.example. 10 IN CNAME eu.a.example." in await dig(server, "later.a.example", "CNAME")
    await zone.withdraw([record("later")])
    assert "NXDOMAIN" in await dig(server, "later.a.example", "CNAME")


@pytest_twisted.ensureDeferred
async def test_a_taken_port_is_named(server: EmbeddedDns) -> None:
    second = EmbeddedDns(reactor, "127.0.0.1", server.port, small_zone())
    with pytest.raises(DnsPortTaken, match=rf"TCP port {server.port} of 127.0.0.1: .*in use"):
        second.listen()
    await second.stop()


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken_for_udp_alone() -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        server = EmbeddedDns(reactor, "127.0.0.1", port, small_zone())
        with pytest.raises(DnsPortTaken, match=f"UDP port {port} of"):
            server.listen()
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_stop_ends_connections_and_frees_the_port() -> None:
    server = EmbeddedDns(reactor, "127.0.0.1", 0, small_zone())
    server.listen()
    visitor = Visitor()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", server.port), visitor)
    visitor.transport.write(b"\0\x0cnot a header")
    await visitor.heard
    await server.stop()
    await visitor.gone
    again = EmbeddedDns(reactor, "127.0.0.1", server.port, small_zone())
    again.listen()
    await again.stop()


class Visitor(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)
