"""
What a policy has a stream to the local server begin with.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.local.leg import open_leg, proxy_header
from pinggy.edge.local.tls import HANDSHAKE, TlsStream
from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.stream import Cause, Stream, StreamRefused
from pinggy.http.proxyprotocol import Endpoint
from pinggy.tunnel.endings import ClientLeft
from pinggy.tunnel.policy import Policy, ProxyProtocol
from pinggy.tunnel.request import Kind
from tests.support.legs import Noting, TlsServer
from tests.support.streams import FakeClient, FakeStream, live_forwarding

VISITOR = Peer("192.0.2.7", 40000, Endpoint("198.51.100.1", 443))
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
BINARY = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"  # version 2, PROXY; TCP over IPv4; 12 bytes follow
    b"\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
)


def outcome(deferred: Deferred[Stream]) -> object:
    found: list[object] = []
    deferred.addBoth(found.append)
    assert found, "nothing has come of it"
    return found[0]


def refused(deferred: Deferred[Stream]) -> StreamRefused:
    failure = outcome(deferred)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, StreamRefused)
    return failure.value


def test_without_options_it_is_the_stream_itself() -> None:
    client = FakeClient()
    live = live_forwarding(client)
    stream = outcome(open_leg(live, Policy(), VISITOR, clock=Clock()))
    assert stream is client.opened[0]
    assert client.opened[0].written == b""
    assert live.tunnel.tally.open == 1


@pytest.mark.parametrize(("version", "header"), [(ProxyProtocol.V1, LINE), (ProxyProtocol.V2, BINARY)])
@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.TCP, Kind.TLS, Kind.TLSTCP])
def test_a_proxy_header_comes_first(kind: Kind, version: ProxyProtocol, header: bytes) -> None:
    client = FakeClient()
    live = live_forwarding(client, kind=kind)
    assert outcome(open_leg(live, Policy(haproxy=version), VISITOR, clock=Clock())) is client.opened[0]
    assert client.opened[0].written == header


@pytest.mark.parametrize(
    ("visitor", "line"),
    [
        (Peer("192.0.2.7", 1), b"PROXY TCP4 192.0.2.7 0.0.0.0 1 0\r\n"),
        (Peer("2001:db8::7", 1), b"PROXY TCP6 2001:db8::7 :: 1 0\r\n"),
        (Peer("fe80::7%eth0", 1, Endpoint("fe80::1%eth0", 2)), b"PROXY TCP6 fe80::7 fe80::1 1 2\r\n"),
        # A socket for both families.
        (Peer("::ffff:192.0.2.7", 1, Endpoint("::ffff:198.51.100.1", 2)), LINE.replace(b"40000 443", b"1 2")),
        (Peer("192.0.2.7", 1, Endpoint("2001:db8::1", 2)), b"PROXY TCP6 ::ffff:c000:207 2001:db8::1 1 2\r\n"),
    ],
)
def test_addresses_as_sockets_say_them(visitor: Peer, line: bytes) -> None:
    assert proxy_header(ProxyProtocol.V1, visitor) == line


@pytest.mark.parametrize(("kind", "offered"), [(Kind.HTTP, "http/1.1"), (Kind.TCP, None), (Kind.TLSTCP, None)])
def test_tls_is_spoken_behind_the_proxy_header(
    own_certificate: LocalCertificate, kind: Kind, offered: str | None
) -> None:
    server = TlsServer(own_certificate, protocols=["h2", "http/1.1"])
    client = FakeClient(streams=[server.stream])
    live = live_forwarding(client, kind=kind)
    policy = Policy(haproxy=ProxyProtocol.V1, local_tls="shop.internal")
    waiting = open_leg(live, policy, VISITOR, clock=Clock())
    assert server.stream.written.startswith(LINE + b"\x16\x03")
    del server.stream.written[: len(LINE)]
    server.turn()
    stream = outcome(waiting)
    assert isinstance(stream, TlsStream)
    Noting().attach_to(stream)
    stream.write(b"hello")
    server.turn()
    assert server.heard == b"hello"
    assert server.asked == "shop.internal"
    assert server.tls.selected_alpn_protocol() == offered
    assert live.tunnel.tally.open == 1


def test_what_is_offered_may_be_said(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate, protocols=["h2", "http/1.1"])
    live = live_forwarding(FakeClient(streams=[server.stream]))
    waiting = open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=Clock(), protocols=("h2",))
    server.turn()
    assert server.tls.selected_alpn_protocol() == "h2"
    assert not isinstance(outcome(waiting), Failure)


def test_tls_that_is_passed_unread_is_not_wrapped() -> None:
    client = FakeClient()
    live = live_forwarding(client, kind=Kind.TLS)
    assert outcome(open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=Clock())) is client.opened[0]
    assert client.opened[0].written == b""


def test_a_handshake_that_fails_is_told_from_a_refusal() -> None:
    client, clock = FakeClient(), Clock()
    live = live_forwarding(client)
    waiting = open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=clock)
    assert live.tunnel.tally.open == 1
    clock.advance(HANDSHAKE)
    assert refused(waiting).cause is Cause.TLS
    assert client.opened[0].aborted
    assert live.tunnel.tally.open == 0
    client.refusal = StreamRefused("nobody listens")
    assert refused(open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=clock)).cause is Cause.DOWN
    assert live.tunnel.tally.open == 0


def test_a_tunnel_that_ends_meanwhile_has_gone() -> None:
    client, clock = FakeClient(), Clock()
    live = live_forwarding(client)
    waiting = open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=clock)
    live.tunnel.life.ended(ClientLeft.of())
    client.opened[0].client_closes()
    assert refused(waiting).gone
    assert live.tunnel.tally.open == 0
    assert clock.getDelayedCalls() == []


def test_nobody_waits_for_it_any_more() -> None:
    client = FakeClient(slow=True)
    live, clock = live_forwarding(client), Clock()
    waiting = open_leg(live, Policy(local_tls="localhost"), VISITOR, clock=clock)
    stream = FakeStream()
    client.asked[0].callback(stream)
    waiting.cancel()
    assert isinstance(outcome(waiting), Failure)
    assert stream.aborted
    assert live.tunnel.tally.open == 0
    assert clock.getDelayedCalls() == []
