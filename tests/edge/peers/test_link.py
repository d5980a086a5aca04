"""
A visitor's stream over a link, from the edge that he came to to the edge that has the tunnel, joined in memory.
"""

from __future__ import annotations

from typing import Any

import pytest

from pinggy.edge.peers.arrivals import GREETING, HANDSHAKE, PATIENCE, WAITING, Arrival
from pinggy.edge.peers.greeting import Verdict, said
from pinggy.edge.peers.link import CLOSING, Link, LinkLost
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.policy import Policy, ProxyProtocol
from pinggy.tunnel.request import Kind
from tests.edge.peers.pair import DOMAIN, VISITOR, Far, Joined, PeerTransport, passage
from tests.support.streams import FakeClient, FakeStream, live_forwarding


class Noted:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.told: list[str] = []

    def stream_data(self, data: bytes) -> None:
        self.received += data

    def stream_ended(self) -> None:
        self.told.append("ended")

    def stream_closed(self) -> None:
        self.told.append("closed")

    def stream_full(self) -> None:
        self.told.append("full")

    def stream_drained(self) -> None:
        self.told.append("drained")


class Visit:
    """One who is through to the tunnel ``port`` of *far*: his receiver *noted*, the client's *stream*."""

    def __init__(
        self, far: Far, first: bytes = b"", joined: Joined | None = None, policy: Policy | None = None
    ) -> None:
        self.client = FakeClient()
        self.live = live_forwarding(self.client, kind=Kind.TCP, name="port", port=20001, epoch=7, policy=policy)
        far.tunnels.add(self.live)
        self.joined = joined or Joined(far)
        verdict = asked(self.joined.link, first=first)
        self.joined.pump()
        assert verdict == [Verdict.HERE]
        self.noted = Noted()
        self.joined.link.stream.attach(self.noted)
        self.joined.pump()

    @property
    def stream(self) -> FakeStream:
        return self.client.opened[0]


def asked(link: Link, epoch: int = 7, name: str = "port", first: bytes = b"") -> list[Any]:
    """What *link* is answered, when it is."""
    answers: list[Any] = []
    link.ask(said(passage(name), epoch, DOMAIN), first).addBoth(
        lambda result: answers.append(getattr(result, "value", result) if not isinstance(result, Verdict) else result)
    )
    return answers


@pytest.fixture
def far() -> Far:
    return Far()


# -- bytes, ends and cuts ----------------------------------------------------------------------------------------


def test_bytes_pass_both_ways_and_the_first_ones_with_the_question(far: Far) -> None:
    visit = Visit(far, first=b"hello ")
    visit.joined.link.stream.write(b"there")
    visit.joined.pump()
    assert bytes(visit.stream.written) == b"hello there"
    assert visit.client.visitors == [VISITOR]
    visit.stream.client_sends(b"x" * 100_000)
    visit.joined.pump()
    assert visit.noted.received == b"x" * 100_000
    # They are counted where the tunnel is.
    assert (visit.live.tunnel.tally.received, visit.live.tunnel.tally.sent) == (11, 100_000)


def test_the_local_server_is_told_who_he_is_and_what_he_came_to(far: Far) -> None:
    visit = Visit(far, first=b"hello", policy=Policy(haproxy=ProxyProtocol.V1))
    assert bytes(visit.stream.written) == b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 20001\r\nhello"


def test_each_way_ends_by_itself(far: Far) -> None:
    visit = Visit(far)
    visit.joined.link.stream.end()
    visit.joined.pump()
    assert visit.stream.ended
    assert not visit.stream.closed
    visit.stream.client_sends(b"the answer")
    visit.stream.client_ends()
    visit.joined.pump()
    assert visit.noted.received == b"the answer"
    assert visit.noted.told == ["ended"]


def test_a_visitor_who_is_cut_off_is_cut_off_at_the_other_end(far: Far) -> None:
    visit = Visit(far)
    visit.joined.link.stream.abort()
    visit.joined.pump()
    assert visit.stream.aborted
    assert visit.noted.told == ["closed"]
    assert visit.live.tunnel.tally.open == 0
    assert far.connections.open(VISITOR.host) == 0
    assert far.clock.getDelayedCalls() == []


def test_a_link_that_breaks_is_no_end(far: Far) -> None:
    visit = Visit(far)
    visit.joined.far.resets()
    visit.joined.near.resets()
    assert visit.noted.told == ["closed"]
    assert visit.stream.aborted


def test_who_does_not_read_is_waited_for_from_end_to_end(far: Far) -> None:
    visit = Visit(far)
    # The visitor takes no more: the link is not read.
    visit.joined.link.stream.pause()
    assert visit.joined.near.paused
    visit.joined.link.stream.resume()
    assert not visit.joined.near.paused
    # Nor is the client, when the other edge's transport is full; and the other way round.
    visit.joined.far.is_full()
    assert visit.stream.paused
    visit.joined.far.drains()
    assert not visit.stream.paused
    visit.stream.client_is_full()
    assert visit.joined.far.paused
    visit.stream.client_drains()
    assert not visit.joined.far.paused
    visit.joined.near.is_full()
    visit.joined.near.drains()
    assert visit.noted.told == ["full", "drained"]


# -- one visitor after another -----------------------------------------------------------------------------------


def test_when_both_ways_have_ended_the_link_serves_the_next_visitor(far: Far) -> None:
    freed: list[Link] = []
    joined = Joined(far, free=freed.append)
    first = Visit(far, joined=joined)
    held = joined.link.stream
    joined.link.stream.end()
    joined.pump()
    first.stream.client_ends()
    joined.pump()
    joined.link.stream.close()
    joined.pump()
    assert first.noted.told == ["ended", "closed"]
    assert freed == [joined.link]
    assert joined.link.is_ready
    assert far.connections.open(VISITOR.host) == 0
    far.tunnels.remove(first.live)
    second = Visit(far, first=b"again", joined=joined)
    # Who had it before has no hold of it any more.
    held.pause()
    held.write(b"late")
    held.abort()
    joined.pump()
    assert not joined.near.aborted
    assert not joined.near.paused
    assert bytes(second.stream.written) == b"again"
    assert bytes(first.stream.written) == b""


def test_an_end_that_does_not_come_is_not_waited_for(far: Far) -> None:
    visit = Visit(far)
    visit.joined.link.stream.close()
    far.clock.advance(CLOSING)
    assert visit.joined.near.aborted
    visit.joined.pump()
    assert far.clock.getDelayedCalls() == []


def test_a_link_that_says_something_unasked_is_cut(far: Far) -> None:
    left: list[Link] = []
    joined = Joined(far, left=left.append)
    joined.near.sends(b"\x01")
    joined.pump()
    assert joined.near.aborted
    assert left == [joined.link]


# -- who is asked, and who asks ----------------------------------------------------------------------------------


def test_another_edge_than_the_expected_one_is_not_spoken_to(far: Far) -> None:
    joined = Joined(far, expected="far", shown="another")
    assert joined.near.aborted
    assert not joined.link.is_ready
    assert joined.near.value() == b""


def test_whose_certificate_is_no_edges_is_not_listened_to(far: Far) -> None:
    _, transport = far.arrival(shown=None)
    assert transport.aborted
    transport.sends(said(passage(), 7, DOMAIN))
    assert transport.value() == b""


def test_a_name_that_is_not_here_is_waited_for_and_then_denied(far: Far) -> None:
    joined = Joined(far)
    answers = asked(joined.link)
    joined.pump()
    assert answers == []
    far.clock.advance(PATIENCE)
    joined.pump()
    assert answers == [Verdict.NOT_HERE]


def test_a_name_that_comes_while_it_is_waited_for_is_here(far: Far) -> None:
    joined = Joined(far)
    answers = asked(joined.link, epoch=8)
    joined.pump()
    far.tunnels.add(live_forwarding(kind=Kind.TCP, name="port", epoch=7))
    joined.pump()
    assert answers == []
    far.tunnels.add(live_forwarding(kind=Kind.TCP, name="port", epoch=8))
    joined.pump()
    assert answers == [Verdict.HERE]


def test_an_older_owner_does_not_serve_the_visitors_of_a_newer_one(far: Far) -> None:
    far.tunnels.add(live_forwarding(kind=Kind.TCP, name="port", epoch=6))
    joined = Joined(far)
    answers = asked(joined.link, epoch=7)
    joined.pump()
    far.clock.advance(PATIENCE)
    joined.pump()
    assert answers == [Verdict.NOT_HERE]


def test_a_name_that_has_left_is_denied_at_once(far: Far) -> None:
    live = live_forwarding(kind=Kind.TCP, name="port", epoch=7)
    far.tunnels.add(live)
    far.tunnels.remove(live)
    joined = Joined(far)
    answers = asked(joined.link, epoch=7)
    joined.pump()
    assert answers == [Verdict.NOT_HERE]


def test_what_the_tunnel_does_not_take_is_denied(far: Far) -> None:
    far.tunnels.add(live_forwarding(kind=Kind.HTTP, name="port", epoch=7))
    joined = Joined(far)
    answers = asked(joined.link)
    joined.pump()
    assert answers == [Verdict.NOT_HERE]


def test_a_visitor_has_no_more_connections_by_an_edge_than_by_himself() -> None:
    far = Far(most=1)
    Visit(far)
    joined = Joined(far)
    answers = asked(joined.link)
    joined.pump()
    assert answers == [Verdict.FULL]


def test_the_whitelist_of_a_raw_tunnel_sees_the_visitor(far: Far) -> None:
    policy = parse_policy(("w:198.51.100.0/24",))
    client = FakeClient()
    far.tunnels.add(live_forwarding(client, kind=Kind.TCP, name="port", epoch=7, policy=policy))
    joined = Joined(far)
    answers = asked(joined.link, first=b"secret")
    joined.pump()
    assert client.opened == []
    # He is at the right place, and not let in: he is looked for nowhere else.
    assert answers == [Verdict.HERE]
    noted = Noted()
    joined.link.stream.attach(noted)
    assert joined.far.disconnecting
    joined.far.closes()
    joined.near.closes()
    assert noted.told == ["closed"]


def test_an_edge_that_says_nonsense_is_cut(far: Far) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", said(passage(), 7, "b.example")):
        _, transport = far.arrival()
        transport.sends(nonsense)
        assert transport.aborted
        assert transport.value() == b""


def test_a_lost_link_before_the_verdict_is_said(far: Far) -> None:
    joined = Joined(far)
    answers = asked(joined.link)
    joined.near.resets()
    assert [type(each) for each in answers] == [LinkLost]


# -- time and room are bounded -----------------------------------------------------------------------------------


def test_who_does_not_finish_his_handshake_is_cut(far: Far) -> None:
    transport = PeerTransport(Arrival(far.port, "192.0.2.1"), "near")
    transport.sends(b"\x16\x03\x01")
    far.clock.advance(HANDSHAKE)
    assert transport.aborted
    transport.closes()
    assert far.clock.getDelayedCalls() == []


def test_who_says_his_greeting_byte_by_byte_is_cut(far: Far) -> None:
    _, transport = far.arrival()
    for byte in said(passage(), 7, DOMAIN)[:20]:
        transport.sends(bytes([byte]))
        far.clock.advance(GREETING / 10)
        if transport.aborted:
            break
    assert transport.aborted
    transport.closes()
    assert far.clock.getDelayedCalls() == []


def test_who_brings_nobody_is_cut_after_a_while(far: Far) -> None:
    _, transport = far.arrival()
    far.clock.advance(WAITING)
    assert transport.aborted


def test_a_visitor_who_leaves_while_his_name_is_waited_for_leaves_nothing(far: Far) -> None:
    joined = Joined(far)
    asked(joined.link)
    joined.pump()
    joined.far.resets()
    assert far.connections.open(VISITOR.host) == 0
    assert far.clock.getDelayedCalls() == []
    far.tunnels.add(live_forwarding(kind=Kind.TCP, name="port", epoch=7))
