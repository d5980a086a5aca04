"""
Who a visitor is where load balancers stand in front: believed of them, and of nobody else.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_network
from typing import Any, cast

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as the_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from pinggy.edge.elsewhere import Elsewhere, Here, NothingElsewhere, Nowhere, Passage, Passed
from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.visitor.entrance import HEADER, MOST_AWAITED
from pinggy.edge.visitor.tcp import TcpPorts
from pinggy.http.proxyline import written_as_line
from pinggy.http.proxyprotocol import Endpoint, ProxyHeader, written
from pinggy.tunnel.policy import Policy, ProxyProtocol
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place
from tests.edge.visitor.conftest import Edge, WatchedLimit
from tests.support.logs import logged
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport
from tests.support.visitors import connect, in_thread, read_all, tls_context

reactor = cast(Any, the_reactor)

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
BALANCER = IPv4Address("TCP", "10.0.0.7", 50000)
STRANGER = IPv4Address("TCP", "192.0.2.9", 50000)
HEADERS = (
    ProxyHeader(source=Endpoint("192.0.2.7", 40000), destination=Endpoint("198.51.100.1", 443)),
    ProxyHeader(source=Endpoint("2001:db8::7", 40000), destination=Endpoint("2001:db8::1", 443)),
)
LINE = written_as_line(HEADERS[0])


@pytest.fixture
def behind(certificate: LocalCertificate) -> Edge:
    """An edge that load balancers stand in front of, in memory."""
    return Edge(certificate, Clock(), proxies=PROXIES)


def come(edge: Edge, addr: IPv4Address | IPv6Address = BALANCER) -> VisitorTransport:
    arrival = edge.factory.buildProtocol(addr)
    assert arrival is not None
    return VisitorTransport(arrival, addr.host)


# -- what is believed --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    header=st.sampled_from(HEADERS),
    write=st.sampled_from([written, written_as_line]),
    said=st.sampled_from([b"GET / x\n", b"SSH-2.0-x\n"]),
    data=st.data(),
)
def test_the_visitor_is_whom_the_header_names_however_it_is_cut(
    certificate: LocalCertificate, header: ProxyHeader, write: Any, said: bytes, data: st.DataObject
) -> None:
    edge = Edge(certificate, Clock(), proxies=PROXIES)
    visitor = come(edge)
    whole = write(header) + said
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=10)))
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        visitor.sends(whole[start:end])
    assert header.source is not None
    host = header.source.host.encode()
    expected = b"ssh " + host + b": " if said.startswith(b"SSH") else b"web " + host + b" False None: "
    assert visitor.value() == expected + said
    visitor.closes()
    assert edge.limit.count == 0
    assert edge.clock.getDelayedCalls() == []


@pytest.mark.parametrize("addr", [IPv6Address("TCP", "::ffff:10.1.2.3", 1), IPv6Address("TCP", "2001:db8:1::5", 1)])
def test_a_load_balancer_is_known_in_ipv6_too(behind: Edge, addr: IPv6Address) -> None:
    visitor = come(behind, addr)
    visitor.sends(LINE + b"GET / x\n")
    assert visitor.value() == b"web 192.0.2.7 False None: GET / x\n"


@pytest.mark.parametrize(
    "header", [written(ProxyHeader()), written_as_line(ProxyHeader()), b"PROXY UNKNOWN a b 1 2\r\n"]
)
def test_who_comes_for_himself_keeps_the_address_of_the_socket(behind: Edge, header: bytes) -> None:
    visitor = come(behind)
    visitor.sends(header + b"GET / x\n")
    assert visitor.value() == b"web 10.0.0.7 False None: GET / x\n"
    assert behind.limit.open("10.0.0.7") == 1


def test_of_others_no_header_is_taken(behind: Edge) -> None:
    said, binary = come(behind, STRANGER), come(behind, STRANGER)
    said.sends(LINE.replace(b"\r\n", b"\n"))
    assert said.value().startswith(b"web 192.0.2.9 ")
    binary.sends(written(HEADERS[0]))
    assert binary.disconnecting
    assert binary.value() == b""
    assert behind.limit.open("192.0.2.7") == 0


def test_without_load_balancers_nobody_is_believed(still_edge: Edge) -> None:
    visitor = come(still_edge)
    visitor.sends(written(HEADERS[0]) + b"GET / x\n")
    assert visitor.disconnecting
    assert visitor.value() == b""


# -- what is not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY UNKNOWN " + b"x" * 200,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        written(ProxyHeader(source=Endpoint("192.0.2.7", 1), destination=Endpoint("192.0.2.1", 2), datagram=True)),
    ],
)
def test_a_load_balancer_that_does_not_say_for_whom_is_closed(behind: Edge, said: bytes) -> None:
    visitor = come(behind)
    visitor.sends(said)
    assert visitor.aborted
    visitor.sends(LINE + b"GET / x\n")
    assert visitor.value() == b""
    visitor.closes()
    assert behind.limit.count == 0
    assert behind.clock.getDelayedCalls() == []


def test_a_header_that_does_not_come_whole_in_time(behind: Edge) -> None:
    visitor = come(behind)
    visitor.sends(LINE[:-1])
    behind.clock.advance(HEADER - 0.1)
    assert not visitor.aborted
    behind.clock.advance(0.1)
    assert visitor.aborted
    visitor.closes()
    assert behind.clock.getDelayedCalls() == []


def test_the_operator_is_told_now_and_then(behind: Edge) -> None:
    with logged("pinggy.edge.visitor.entrance") as lines:
        for _ in range(3):
            come(behind).sends(b"GET / HTTP/1.1\r\n")
        behind.clock.advance(60)
        come(behind).sends(b"GET / HTTP/1.1\r\n")
    assert len(lines) == 2
    assert "10.0.0.7" in lines[0]
    assert "listen.proxies" in lines[0]


def test_those_who_have_said_nothing_yet_are_bounded(behind: Edge) -> None:
    waiting = [come(behind) for _ in range(MOST_AWAITED)]
    assert behind.factory.buildProtocol(BALANCER) is None
    assert behind.factory.buildProtocol(STRANGER) is not None
    waiting[0].resets()
    waiting[1].sends(LINE)
    waiting[2].sends(b"garbage")
    for _ in range(3):
        come(behind)
    assert behind.factory.buildProtocol(BALANCER) is None
    behind.clock.advance(HEADER)
    come(behind)


def test_it_is_the_visitors_connections_that_are_counted(behind: Edge) -> None:
    visitors = [come(behind) for _ in range(60)]
    assert behind.limit.count == 0
    for visitor in visitors:
        visitor.sends(LINE)
    assert [visitor.aborted for visitor in visitors] == [False] * 50 + [True] * 10
    other = come(behind)
    other.sends(LINE.replace(b"192.0.2.7", b"192.0.2.8") + b"GET / x\n")
    assert other.value() == b"web 192.0.2.8 False None: GET / x\n"
    visitors[0].resets()
    late = come(behind)
    late.sends(LINE + b"GET / x\n")
    assert late.value() == b"web 192.0.2.7 False None: GET / x\n"


@pytest_twisted.ensureDeferred
async def test_tls_comes_behind_the_header(certificate: LocalCertificate) -> None:
    edge = Edge(certificate, reactor, proxies=(ip_network("127.0.0.0/8"),))
    listening = reactor.listenTCP(0, edge.factory, interface="127.0.0.1")

    def visit() -> bytes:
        with connect(listening.getHost().port) as plain:
            plain.sendall(LINE)
            trust: ssl.SSLContext = tls_context(certificate.ca)
            with trust.wrap_socket(plain, server_hostname="x.a.example") as visitor:
                visitor.sendall(b"GET / x\n")
                return read_all(visitor)

    assert await in_thread(visit) == b"web 192.0.2.7 True x.a.example: GET / x\n"
    await listening.stopListening()
    await edge.limit.empty()


# -- the ports of tcp tunnels ------------------------------------------------------------------------------------------


class Ports:
    """A port of a tcp tunnel behind load balancers, in memory."""

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self.memory = MemoryReactorClock()
        self.limit = WatchedLimit(50, self.memory)
        self.ports = TcpPorts(
            reactor=self.memory,
            interface="0.0.0.0",
            clock=self.memory,
            connections=self.limit,
            elsewhere=elsewhere or NothingElsewhere(),
            proxies=PROXIES,
        )

    def come(self, addr: IPv4Address = BALANCER) -> VisitorTransport:
        factory = self.memory.tcpServers[0][1]
        arrival = factory.buildProtocol(addr)
        assert arrival is not None
        return VisitorTransport(arrival, addr.host)


def test_a_raw_visitor_is_whom_the_header_names() -> None:
    ports, client = Ports(), FakeClient()
    bound = ports.ports.bind(20001)
    bound.serve(live_forwarding(client, kind=Kind.TCP, policy=Policy(haproxy=ProxyProtocol.V1)))
    visitor = ports.come()
    assert client.visitors == []
    visitor.sends(written(HEADERS[0]) + b"hello")
    (peer,) = client.visitors
    assert (peer.host, peer.port) == ("192.0.2.7", 40000)
    assert client.opened[0].written == LINE + b"hello"
    assert ports.limit.open("192.0.2.7") == 1
    visitor.sends_fin()
    assert client.opened[0].ended
    visitor.closes()
    assert ports.limit.count == 0
    assert ports.memory.getDelayedCalls() == []


def test_a_port_that_is_closed_meanwhile() -> None:
    ports = Ports()
    bound = ports.ports.bind(20001)
    bound.serve(live_forwarding(kind=Kind.TCP))
    visitor = ports.come()
    bound.close()
    visitor.sends(LINE)
    assert visitor.aborted
    assert ports.limit.count == 0


class There(NothingElsewhere):
    """All tunnels are at another edge; *waiting* fires with the way."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self.waiting: Deferred[Passed | Here | Nowhere] = Deferred()

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        self.passages.append(passage)
        return self.waiting


def test_what_came_with_the_header_is_passed_on_to_another_edge() -> None:
    there, stream = There(), FakeStream()
    ports = Ports(there)
    ports.ports.place(
        Place(name="tcp-1", kind=Kind.TCP, epoch=7, edge="far", host="192.0.2.1", port=7444, public_port=20001), None
    )
    visitor = ports.come()
    visitor.sends(LINE + b"hello")
    (passage,) = there.passages
    assert passage.visitor.host == "192.0.2.7"
    assert passage.visitor.came_to == Endpoint("198.51.100.1", 443)
    there.waiting.callback(Passed(stream, 7))
    assert stream.written == b"hello"
    visitor.resets()
    ports.ports.close()
    assert ports.memory.getDelayedCalls() == []
