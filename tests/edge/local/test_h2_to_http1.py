"""
A local server that speaks HTTP/2 (x:h2), and visitors who come by HTTP/1.1, or by another edge: in memory.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from pinggy.edge.elsewhere import Here, NothingElsewhere, Nowhere, Passage, Passed
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.limits import WebLimits
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.endings import ClientLeft
from tests.edge.local.h2_server import GRPC, H2Servers
from tests.edge.visitor.h2_visits import H2Visit
from tests.edge.visitor.visits import FACE, Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport

# -- visitors who speak HTTP/1.1 -----------------------------------------------------------------------------------


class H1ToH2(Visit):
    """A visit over HTTP/1.1 to a tunnel with x:h2."""

    def __init__(self) -> None:
        super().__init__(live_forwarding(FakeClient(), policy=parse_policy(("x:h2",))))
        self.servers = H2Servers(self.client)

    def asks(self, method: str = "GET", *lines: str, body: bytes = b"") -> None:
        head = "\r\n".join((f"{method} /a HTTP/1.1", "Host: shop.a.example", *lines, "", ""))
        self.say(head.encode() + body)
        self.servers.run()

    def respond(self, number: int, *fields: tuple[str, str], data: bytes = b"", end: bool = True) -> None:
        h2 = self.servers[-1].h2
        h2.send_headers(number, [(":status", "200"), *fields], end_stream=end and not data)
        if data:
            h2.send_data(number, data, end_stream=end)
        self.servers.run()


def test_http1_gets_chunks_and_trailers_and_keeps_his_connection() -> None:
    visit = H1ToH2()
    visit.asks("POST", "Transfer-Encoding: chunked", "TE: trailers", body=b"2\r\nhi\r\n0\r\nSum: 1\r\n\r\n")
    assert visit.servers[0].content(1) == b"hi"
    assert visit.servers[0].trailers(1) == [("sum", "1")]
    visit.respond(1, ("x", "y"), data=b"hello", end=False)
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nx: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    visit.servers[0].h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
    visit.servers.run()
    assert visit.heard() == b"0\r\ngrpc-status: 0\r\n\r\n"
    visit.asks()
    visit.respond(3, ("content-length", "2"), data=b"hi")
    assert visit.heard() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    assert visit.is_open
    visit.leave()


def test_http1_is_told_where_a_response_without_a_body_ends() -> None:
    visit = H1ToH2()
    visit.asks()
    visit.respond(1)
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    visit.asks("HEAD")
    visit.respond(3, ("content-length", "7"))
    assert visit.heard() == b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"
    visit.asks()
    visit.servers[0].h2.send_headers(5, [(":status", "204")], end_stream=True)
    visit.servers.run()
    assert visit.heard() == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert visit.is_open
    visit.leave()


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ((("content-length", "5"),), b""),
        ((("content-length", "5"), ("content-length", "6")), b""),
        ((("content-length", "x"),), b""),
    ],
)
def test_http1_is_not_told_a_length_that_is_not_true(fields: tuple[tuple[str, str], ...], data: bytes) -> None:
    visit = H1ToH2()
    visit.asks()
    visit.respond(1, *fields, data=data)
    assert visit.heard().startswith(b"HTTP/1.1 502 ")
    visit.leave()


@pytest.mark.parametrize("data", [b"more than was said", b"less"])
def test_http1_is_cut_off_where_a_body_is_not_as_long_as_it_said(data: bytes) -> None:
    visit = H1ToH2()
    visit.asks()
    visit.respond(1, ("content-length", "10"), end=False)
    visit.servers[0].h2.send_data(1, data, end_stream=len(data) < 10)
    visit.servers.run()
    passed = data if len(data) < 10 else b""
    assert visit.heard() == b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n" + passed
    assert visit.transport.aborted
    visit.leave()


@pytest.mark.parametrize("status", ["204", "304"])
def test_http1_gets_no_body_where_there_is_none(status: str) -> None:
    visit = H1ToH2()
    visit.asks()
    visit.servers[0].h2.send_headers(1, [(":status", status)])
    visit.servers[0].h2.send_data(1, b"HTTP/1.1 200 OK\r\n\r\n")
    visit.servers.run()
    assert visit.heard().count(b"HTTP/1.1") == 1
    assert visit.transport.aborted
    visit.leave()


def test_the_end_of_a_tunnel_lets_requests_end_and_closes_behind_them() -> None:
    visit = H1ToH2()
    visit.asks()
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.shop.tunnel.life_changed()
    finished = visit.shop.tunnel.let_finish()
    assert not finished.called
    visit.respond(1, data=b"hi")
    assert visit.heard() == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    assert visit.stream.closed
    assert finished.called
    visit.leave()


def test_an_upgrade_has_no_way_over_http2() -> None:
    visit = H1ToH2()
    visit.asks("GET", "Connection: Upgrade", "Upgrade: websocket")
    assert visit.heard().startswith(b"HTTP/1.1 501 ")
    assert visit.client.opened == []
    visit.asks("GET", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    visit.respond(1)
    assert visit.heard().startswith(b"HTTP/1.1 200 ")
    visit.leave()


# -- by another edge -----------------------------------------------------------------------------------------------


class AnotherEdge(NothingElsewhere):
    """It has the tunnel ``gone``, with x:h2: *here* is what its visitors meet, who come by *stream*."""

    def __init__(self) -> None:
        live = live_forwarding(FakeClient(), name="gone", policy=parse_policy(("x:h2",)))
        self.tunnels = Tunnels()
        self.tunnels.add(live)
        assert isinstance(live.tunnel.client, FakeClient)
        self.servers = H2Servers(live.tunnel.client)
        self.clock = Clock()
        self.first = b""
        self.stream = FakeStream()

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        self.first = passage.first
        doors = WebDoors(tunnels=self.tunnels, face=FACE, clock=self.clock, limits=WebLimits())
        self.here = doors.web(NothingElsewhere(), passage.visitor, True, None, passage.name, True)
        self.transport = VisitorTransport(self.here)
        return succeed(Passed(self.stream, 7))

    def run(self) -> bool:
        written = self.first + bytes(self.stream.written)
        self.first = b""
        self.stream.written.clear()
        if written:
            self.here.dataReceived(written)
        self.servers.run()
        heard: bytes = self.transport.value()
        self.transport.clear()
        if heard:
            self.stream.client_sends(heard)
        return bool(written or heard)


class ByAnotherEdge(H2Visit):
    def __init__(self) -> None:
        self.other: AnotherEdge | None = None
        other = AnotherEdge()
        super().__init__(elsewhere=other)
        self.other = other

    def exchange(self) -> None:
        while True:
            super().exchange()
            if self.other is None or not hasattr(self.other, "here") or not self.other.run():
                return


@pytest.mark.parametrize("trailers_only", [False, True])
def test_trailers_pass_between_edges_that_speak_http1(trailers_only: bool) -> None:
    visit = ByAnotherEdge()
    assert visit.other is not None
    servers = visit.other.servers
    number = visit.ask("POST", "/test.Calls/any", *GRPC, host="gone.a.example", end=False)
    visit.send(number, b"question", end=True)
    assert ("te", "trailers") in servers[0].fields(1)
    assert servers[0].content(1) == b"question"
    server = servers[0].h2
    if trailers_only:
        server.send_headers(1, [(":status", "200"), *GRPC[:1], ("grpc-status", "5")], end_stream=True)
    else:
        server.send_headers(1, [(":status", "200"), *GRPC[:1]])
        server.send_data(1, b"answer")
        server.send_headers(1, [("grpc-status", "0")], end_stream=True)
    visit.exchange()
    assert visit.has_ended(number)
    if trailers_only:
        assert visit.fields(number)["grpc-status"] == "5"
        assert visit.trailers(number) == []
    else:
        assert visit.content(number) == b"answer"
        assert visit.trailers(number) == [("grpc-status", "0")]
    visit.leave()
    visit.other.transport.closes()
