"""
Visitors whose tunnel another edge has: over the seam, without another edge.
"""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, Here, Mode, NotReached, Nowhere, Passage, Passed
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.ports import PortTaken
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.tcp import TcpPorts
from pinggy.http.head import parse_request
from pinggy.http.rewrite import request_for_peer
from pinggy.http.write import request_head
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place
from tests.edge.visitor.visits import FACE, Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport
from tests.support.visitors import say

reactor = cast(Any, the_reactor)
GET = b"GET / HTTP/1.1\r\nHost: gone.a.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: gone.a.example\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Asked(Elsewhere):
    """What is asked of other edges; the test answers, and *moved* is what it knows to have moved."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self.streams: list[FakeStream] = []
        self.moved: set[str] = set()
        self.left = 0
        self._open: list[Deferred[Passed | Here | Nowhere]] = []

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        self.passages.append(passage)
        self._open.append(Deferred(self._leave))
        return self._open[-1]

    def _leave(self, _: object) -> None:
        self.left += 1

    def has_moved(self, name: str, epoch: int) -> bool:
        return name in self.moved

    def passes(self, epoch: int = 7) -> FakeStream:
        self.streams.append(FakeStream())
        self.answers(Passed(self.streams[-1], epoch))
        return self.streams[-1]

    def answers(self, answer: Passed | Here | Nowhere | NotReached) -> None:
        waiting = self._open.pop(0)
        if isinstance(answer, NotReached):
            waiting.errback(answer)
        else:
            waiting.callback(answer)


@pytest.fixture
def other() -> Asked:
    return Asked()


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


# -- by request --------------------------------------------------------------------------------------------------


def test_a_request_goes_with_the_question_and_its_answer_comes_back(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    (asked,) = other.passages
    assert asked == Passage(name="gone", mode=Mode.HTTP, visitor=Peer("192.0.2.7", 40000), first=GET)
    stream = other.passes()
    # What went with the question is not sent once more.
    assert bytes(stream.written) == b""
    stream.client_sends(OK)
    assert visit.heard() == OK
    assert visit.is_open
    visit.leave()


def test_the_next_request_to_the_same_place_takes_the_same_stream(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    stream = other.passes()
    stream.client_sends(OK)
    visit.say(GET)
    assert len(other.passages) == 1
    assert bytes(stream.written) == GET
    stream.client_sends(OK)
    assert visit.heard() == OK * 2
    other.moved.add("gone")
    visit.say(GET)
    assert stream.closed
    assert len(other.passages) == 2
    other.answers(Nowhere())
    visit.leave()


def test_what_may_not_be_sent_twice_asks_first(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    other.passes().client_sends(OK)
    visit.say(POST)
    assert len(other.passages) == 2
    assert other.passages[1].first == POST[:-2]
    stream = other.passes()
    # The body comes when the other edge has said that it has the tunnel.
    assert bytes(stream.written) == b"hi"
    stream.client_sends(OK)
    assert visit.heard() == OK * 2
    visit.leave()


def test_a_request_that_was_cut_without_a_word_is_sent_again(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    other.passes().client_closes()
    assert len(other.passages) == 2
    other.passes().client_sends(OK)
    assert visit.heard() == OK
    visit.leave()


def test_so_often_and_no_more(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    for _ in range(4):
        other.passes().client_closes()
    assert status(visit.heard()) == 503
    visit.leave()


def test_a_post_that_was_cut_is_not(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(POST)
    other.passes().client_closes()
    assert status(visit.heard()) == 502
    visit.leave()


def test_one_whom_the_other_edge_does_not_let_in_gets_no_word(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    other.passes().client_ends()
    assert visit.transport.aborted
    assert visit.heard() == b""
    visit.leave()


def test_the_answers_where_there_is_no_way(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    for answer, expected in ((Nowhere(), 404), (Nowhere(Kind.TCP), 404), (NotReached(), 503)):
        visit.say(GET)
        other.answers(answer)
        assert status(visit.heard()) == expected
        assert visit.is_open
    visit.say(GET)
    other.answers(NotReached(full=True))
    assert visit.transport.aborted
    visit.leave()


def test_a_tunnel_that_comes_here_meanwhile_is_visited_here(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    client = FakeClient()
    live = live_forwarding(client, name="gone")
    visit.tunnels.add(live)
    other.answers(Here(live))
    client.opened[0].client_sends(OK)
    assert visit.heard() == OK
    assert client.visitors == [Peer("192.0.2.7", 40000)]
    visit.leave()


def test_who_came_for_a_tunnel_that_has_left_is_to_look_for_it_anew(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.tunnels.remove(visit.shop)
    visit.say(GET.replace(b"gone", b"shop"))
    other.passes().client_sends(OK)
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    assert not visit.is_open
    visit.leave()


def test_one_who_leaves_while_the_way_is_looked_for_leaves_nothing(other: Asked) -> None:
    visit = Visit(elsewhere=other)
    visit.say(GET)
    visit.leave()
    assert other.left == 1


def test_a_websocket_passes_two_edges_and_may_be_silent_there(other: Asked) -> None:
    near, client = Visit(elsewhere=other), FakeClient()
    live = live_forwarding(client, name="gone")
    clock = Clock()
    far = guest(Asked(), live, last_hop=True, clock=clock)

    def carry() -> None:
        said, heard = bytes(stream.written), far.value()
        stream.written.clear()
        far.clear()
        if said:
            far.sends(said)
        if heard:
            stream.client_sends(heard)
        if said or heard:
            carry()

    asked = b"Host: gone.a.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    switching = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    near.say(b"GET /ws HTTP/1.1\r\n" + asked + upgrade)
    stream = other.passes()
    far.sends(other.passages[0].first)
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" in client.opened[0].written
    client.opened[0].written.clear()
    client.opened[0].client_sends(switching + upgrade + b"\x81\x00")
    carry()
    assert near.heard() == switching + upgrade + b"\x81\x00"
    near.clock.advance(1_000_000)
    clock.advance(1_000_000)
    near.say(b"\xc1\x01\x00")
    carry()
    assert client.opened[0].written == b"\xc1\x01\x00"
    client.opened[0].client_sends(b"\x88\x00")
    carry()
    assert near.heard() == b"\x88\x00"
    near.leave()
    stream.abort()
    far.closes()
    assert client.opened[0].over


# -- of one who has come by another edge -------------------------------------------------------------------------


def guest(other: Asked, live: Any, *, last_hop: bool, clock: Clock | None = None) -> VisitorTransport:
    tunnels = Tunnels()
    if live is not None:
        tunnels.add(live)
    return VisitorTransport(
        WebDoors(tunnels=tunnels, face=FACE, clock=clock or Clock(), limits=WebLimits()).web(
            other, Peer("192.0.2.7", 40000), True, None, "gone", last_hop
        )
    )


@pytest.mark.parametrize("last_hop", [False, True])
def test_he_may_go_to_no_other_host(other: Asked, last_hop: bool) -> None:
    transport = guest(other, live_forwarding(name="gone"), last_hop=last_hop)
    transport.sends(GET.replace(b"gone", b"else"))
    assert status(transport.value()) == 421
    transport.closes()


def test_his_requests_go_one_edge_further_where_his_tls_was_ended(other: Asked) -> None:
    transport = guest(other, None, last_hop=False)
    transport.sends(GET)
    assert (other.passages[0].hops, other.passages[0].secure) == (2, True)
    other.passes().client_sends(OK)
    assert transport.value() == OK
    transport.closes()


def test_requests_that_have_had_their_hop_are_cut_without_a_word_where_the_tunnel_is_gone(other: Asked) -> None:
    transport = guest(other, None, last_hop=True)
    transport.sends(GET)
    other.answers(Nowhere())
    assert transport.aborted
    assert transport.value() == b""
    transport.closes()


@pytest.mark.parametrize("last_hop", [False, True])
@pytest.mark.parametrize("answer", [OK, OK.replace(b"Length: 2", b"Length: 1000")], ids=["idle", "in an exchange"])
def test_he_is_cut_when_the_tunnel_lets_him_in_no_more(other: Asked, last_hop: bool, answer: bytes) -> None:
    client = FakeClient()
    live = live_forwarding(client, name="gone")
    transport = guest(other, live, last_hop=last_hop)
    transport.sends(GET)
    client.opened[0].client_sends(answer)
    live.tunnel.change_policy(parse_policy(("w:198.51.100.0/24",)))
    assert transport.aborted
    transport.closes()
    assert not live.tunnel.present


# -- heads -------------------------------------------------------------------------------------------------------


def for_peer(came: bytes) -> bytes:
    head = parse_request(came)
    return request_head(head, request_for_peer(head))


def test_a_head_goes_as_it_came_but_for_what_belongs_to_the_hop() -> None:
    came = (
        "GET /a?b HTTP/1.1\r\nHost: gone.a.example\r\nX-Forwarded-For: 192.0.2.66\r\nAuthorization: Basic x\r\n"
        "Connection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nx_y: z\r\n\r\n"
    )
    assert for_peer(came.encode()).decode() == (
        "GET /a?b HTTP/1.1\r\nHost: gone.a.example\r\nX-Forwarded-For: 192.0.2.66\r\nAuthorization: Basic x\r\n"
        "x_y: z\r\nTE: trailers\r\n\r\n"
    )


def test_a_head_says_how_its_body_comes_and_what_it_is_to_become() -> None:
    chunked = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert for_peer(chunked) == chunked
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
    assert for_peer(upgrade) == upgrade
    old = b"GET / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"
    assert for_peer(old) == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


# -- ports -------------------------------------------------------------------------------------------------------


class Ports:
    def __init__(self, other: Asked) -> None:
        self.ports = TcpPorts(
            reactor=reactor,
            interface="127.0.0.1",
            clock=reactor,
            connections=ConnectionLimit(10, reactor),
            elsewhere=other,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.number = int(free.getsockname()[1])

    def place(self, epoch: int = 7) -> Place:
        return Place(
            name="tcp-1",
            kind=Kind.TCP,
            epoch=epoch,
            edge="far",
            host="192.0.2.1",
            port=7444,
            public_port=self.number,
        )

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.number), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True


@pytest_twisted.ensureDeferred
async def test_a_port_of_another_edge_is_listened_at_and_passed_on(other: Asked) -> None:
    ports = Ports(other)
    ports.ports.place(ports.place(), None)
    visit = say(ports.number, b"hello", fin=True)
    while not other.passages:
        await a_turn()
    assert (other.passages[0].name, other.passages[0].mode) == ("tcp-1", Mode.TCP)
    stream = other.passes()
    while not stream.ended:
        await a_turn()
    assert bytes(stream.written) == b"hello"
    stream.client_sends(b"there")
    stream.client_ends()
    stream.client_closes()
    assert await visit == b"there"
    ports.ports.displace("tcp-1", 6)
    assert ports.listens()
    await a_turn()
    ports.ports.displace("tcp-1", 7)
    await a_turn()
    assert not ports.listens()


@pytest_twisted.ensureDeferred
async def test_an_own_tunnel_takes_the_port_over_and_gives_it_back(other: Asked) -> None:
    ports = Ports(other)
    ports.ports.place(ports.place(7), None)
    own = ports.ports.bind(ports.number)
    with pytest.raises(PortTaken):
        ports.ports.bind(ports.number)
    own.serve(live_forwarding(kind=Kind.TCP, name="tcp-1", port=ports.number, epoch=8))
    # It moves away: the port stays open for those who come here still.
    ports.ports.place(ports.place(9), None)
    own.close()
    assert ports.listens()
    ports.ports.close()
    await a_turn()
    assert not ports.listens()


def a_turn() -> Deferred[None]:
    """A turn of the reactor, and a little more."""
    return deferLater(reactor, 0.01)
