"""
Requests and raw visitors over legs that begin with a PROXY header, or with TLS.
"""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from pinggy.edge.client import Peer
from pinggy.edge.local.leg import proxy_header
from pinggy.edge.local.tls import HANDSHAKE
from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.visitor.tcp import TcpVisitor
from pinggy.http.proxyprotocol import Endpoint
from pinggy.tunnel.policy import Policy, ProxyProtocol
from pinggy.tunnel.request import Kind
from tests.edge.visitor.visits import Visit
from tests.support.legs import TlsServer
from tests.support.streams import FakeClient, live_forwarding
from tests.support.transports import VisitorTransport

GET = b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("version", ProxyProtocol)
def test_every_visitor_of_x_haproxy_has_a_stream_of_his_own_that_names_him(version: ProxyProtocol) -> None:
    client = FakeClient()
    shop = live_forwarding(client, policy=Policy(haproxy=version))
    visits = [Visit(shop, host=host) for host in ("192.0.2.7", "192.0.2.8")]
    for number, visit in enumerate(visits):
        header = proxy_header(version, Peer(f"192.0.2.{7 + number}", 40000))
        visit.say(GET)
        stream = client.opened[number]
        assert stream.written.startswith(header + b"GET / ")
        stream.client_sends(OK)
        visit.say(GET)
        # His next request goes the same way, and is not begun by who he is once more.
        assert stream.written.count(header) == 1
        assert stream.written.count(b"GET / ") == 2
        stream.client_sends(OK)
        assert visit.heard().endswith(OK + OK)
    assert len(client.opened) == 2
    for visit in visits:
        visit.leave()


def test_a_request_over_tls_to_the_local_server(local_servers: LocalCertificate) -> None:
    server = TlsServer(local_servers)
    shop = live_forwarding(FakeClient(streams=[server.stream]), policy=Policy(local_tls="localhost"))
    visit = Visit(shop)
    visit.say(GET)
    server.turn()
    assert server.heard.startswith(b"GET / ")
    server.says(OK)
    assert visit.heard().endswith(OK)
    assert visit.is_open
    visit.leave()


def test_a_local_server_that_does_not_finish_its_handshake(local_servers: LocalCertificate) -> None:
    visit = Visit(live_forwarding(policy=Policy(local_tls="localhost")))
    visit.say(GET)
    assert visit.heard() == b""
    visit.clock.advance(HANDSHAKE)
    assert visit.heard().startswith(b"HTTP/1.1 502 ")
    visit.leave()


def test_a_raw_visitor_over_tls_who_leaves_within_the_handshake() -> None:
    client, clock = FakeClient(), Clock()
    policy = Policy(haproxy=ProxyProtocol.V1, local_tls="localhost")
    live = live_forwarding(client, kind=Kind.TCP, policy=policy)
    transport = VisitorTransport(TcpVisitor(live, Peer("192.0.2.7", 40000, Endpoint("192.0.2.1", 20001)), clock))
    transport.sends(b"hello")
    (stream,) = client.opened
    assert stream.written.startswith(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 20001\r\n\x16\x03")
    assert b"hello" not in stream.written
    transport.resets()
    clock.advance(HANDSHAKE)
    assert stream.aborted
    assert live.tunnel.tally.open == 0
    assert clock.getDelayedCalls() == []
