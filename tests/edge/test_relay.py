from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from pinggy.edge.relay import LAST_BYTES, LINGER, SHORT, Relay
from pinggy.edge.tunnels import LiveTunnel
from tests.support.streams import VISITOR, FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport


class Joined:
    """A relay between a visitor in memory and a stream in memory."""

    def __init__(self, *, join: bool = True) -> None:
        self.clock = Clock()
        live = live_forwarding(FakeClient(slow=True))
        self.tunnel: LiveTunnel = live.tunnel
        self.stream = FakeStream()
        self.relay = Relay(self.tunnel, self.clock)
        # The tunnel counts a stream when it is asked for; which one comes is up to the test.
        self.tunnel.open_stream(live.forwarding, VISITOR)
        self.visitor = VisitorTransport(self.relay)
        if join:
            self.relay.join(self.stream)

    def nothing_is_left(self) -> None:
        assert self.tunnel.tally.open == 0
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def joined() -> Joined:
    return Joined()


def test_bytes_pass_both_ways_and_are_counted(joined: Joined) -> None:
    joined.visitor.sends(b"question")
    joined.stream.client_sends(b"the answer")
    assert joined.stream.written == b"question"
    assert joined.visitor.value() == b"the answer"
    assert (joined.tunnel.tally.received, joined.tunnel.tally.sent) == (8, 10)


def test_a_visitor_is_not_read_while_the_client_is_full(joined: Joined) -> None:
    joined.stream.client_is_full()
    assert joined.visitor.paused
    joined.stream.client_drains()
    assert not joined.visitor.paused


def test_the_client_is_not_credited_while_the_visitor_is_full(joined: Joined) -> None:
    joined.visitor.is_full()
    assert joined.stream.paused
    joined.visitor.drains()
    assert not joined.stream.paused


# -- half-close ---------------------------------------------------------------------------------------------------


def test_the_visitor_ends_first(joined: Joined) -> None:
    joined.visitor.sends(b"question")
    joined.visitor.sends_fin()
    assert joined.stream.ended
    assert not joined.stream.over
    joined.stream.client_sends(b"late answer")
    assert joined.visitor.value() == b"late answer"
    assert not joined.visitor.disconnecting
    joined.stream.client_ends()
    assert joined.visitor.disconnecting
    assert joined.stream.closed
    joined.visitor.closes()
    joined.nothing_is_left()


def test_the_client_ends_first(joined: Joined) -> None:
    joined.stream.client_sends(b"all of it")
    joined.stream.client_ends()
    assert joined.visitor.half_closed == 1
    # With a producer that it has paused, a transport would never send the FIN.
    assert joined.visitor.producer is None
    assert not joined.visitor.disconnecting
    joined.visitor.sends(b"more")
    joined.visitor.sends_fin()
    assert joined.stream.written == b"more"
    assert joined.stream.closed
    assert joined.visitor.disconnecting
    joined.visitor.closes()
    joined.nothing_is_left()


def test_after_his_fin_a_visitor_is_not_read_again(joined: Joined) -> None:
    joined.stream.client_is_full()
    joined.visitor.sends_fin()
    joined.stream.client_drains()
    assert joined.visitor.paused


# -- abrupt ends --------------------------------------------------------------------------------------------------


def test_a_reset_aborts_the_stream(joined: Joined) -> None:
    joined.visitor.resets()
    assert joined.stream.aborted
    assert not joined.stream.closed
    joined.nothing_is_left()


def test_a_clean_close_closes_the_stream(joined: Joined) -> None:
    joined.visitor.sends(b"last words")
    joined.visitor.loses(ConnectionDone())
    assert joined.stream.ended
    assert joined.stream.closed
    assert not joined.stream.aborted
    joined.nothing_is_left()


def test_a_stream_that_closes_closes_the_visitor_after_what_was_written(joined: Joined) -> None:
    joined.stream.client_sends(b"cut o")
    joined.stream.client_closes()
    assert joined.visitor.value() == b"cut o"
    assert joined.visitor.half_closed == 1
    assert joined.visitor.producer is None
    assert joined.tunnel.tally.open == 0
    joined.visitor.sends_fin()
    assert joined.visitor.disconnecting
    assert not joined.visitor.aborted
    joined.visitor.closes()
    joined.nothing_is_left()


def test_a_stream_that_closes_after_its_end(joined: Joined) -> None:
    joined.stream.client_ends()
    joined.stream.client_closes()
    assert joined.visitor.half_closed == 1
    joined.visitor.sends_fin()
    assert joined.visitor.disconnecting
    joined.visitor.closes()
    joined.nothing_is_left()


def test_a_stream_that_closes_after_the_visitors_end(joined: Joined) -> None:
    joined.visitor.sends_fin()
    joined.stream.client_closes()
    assert joined.visitor.half_closed == 0
    assert joined.visitor.disconnecting
    joined.visitor.closes()
    joined.nothing_is_left()


def test_what_a_visitor_sends_to_a_closed_stream_is_read_and_dropped(joined: Joined) -> None:
    joined.stream.client_is_full()
    joined.stream.client_closes()
    assert not joined.visitor.paused
    joined.visitor.sends(b"too late")
    assert not joined.visitor.paused
    assert joined.stream.written == b""
    assert joined.tunnel.tally.received == 0


def test_a_visitor_who_goes_on_and_on_is_closed(joined: Joined) -> None:
    joined.stream.client_closes()
    joined.clock.advance(LINGER)
    assert joined.visitor.disconnecting
    assert not joined.visitor.aborted
    joined.visitor.closes()
    joined.nothing_is_left()


def test_a_visitor_who_never_takes_the_last_bytes_is_reset(joined: Joined) -> None:
    joined.stream.client_sends(b"last bytes")
    joined.stream.client_closes()
    joined.clock.advance(LINGER)
    joined.clock.advance(LAST_BYTES)
    assert joined.visitor.aborted
    joined.visitor.closes()
    joined.nothing_is_left()


def test_the_tunnel_is_told_once(joined: Joined) -> None:
    joined.stream.client_ends()
    joined.stream.client_closes()
    joined.visitor.resets()
    joined.nothing_is_left()


# -- until there is a stream --------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [[b"early", b" and more"], [bytes(SHORT + 1)]])
def test_what_comes_before_the_stream_is_held_and_no_more_is_read(early: list[bytes]) -> None:
    joined = Joined(join=False)
    for data in early:
        assert not joined.visitor.paused
        joined.visitor.sends(data)
    assert joined.visitor.paused
    joined.relay.join(joined.stream)
    assert joined.stream.written == b"".join(early)
    assert not joined.visitor.paused
    assert joined.tunnel.tally.received == len(b"".join(early))


def test_after_a_short_word_the_reading_goes_on_until_the_stream_is_there() -> None:
    joined = Joined(join=False)
    joined.visitor.sends(bytes(SHORT))
    assert not joined.visitor.paused
    joined.relay.join(joined.stream)
    assert joined.stream.written == bytes(SHORT)


def test_a_stream_that_is_full_from_the_start() -> None:
    joined = Joined(join=False)
    joined.visitor.sends(b"early")
    joined.stream.client_is_full()
    joined.relay.join(joined.stream)
    assert joined.visitor.paused


def test_a_fin_before_the_stream_is_passed_on() -> None:
    joined = Joined(join=False)
    joined.visitor.sends(bytes(SHORT + 1))
    joined.visitor.sends_fin()
    joined.relay.join(joined.stream)
    assert joined.stream.written == bytes(SHORT + 1)
    assert joined.stream.ended
    assert joined.visitor.paused


def test_a_stream_that_said_all_before_it_was_joined() -> None:
    joined = Joined(join=False)
    joined.visitor.sends(b"early")
    joined.stream.client_sends(b"banner")
    joined.stream.client_ends()
    joined.stream.client_closes()
    joined.relay.join(joined.stream)
    assert joined.visitor.value() == b"banner"
    assert joined.visitor.half_closed == 1
    joined.visitor.sends_fin()
    assert joined.visitor.disconnecting
    joined.visitor.closes()
    joined.nothing_is_left()


def test_a_visitor_who_leaves_before_the_stream() -> None:
    joined = Joined(join=False)
    waiting: Deferred[None] = Deferred()
    waiting.addErrback(lambda _: None)
    joined.relay.await_stream(waiting)
    joined.visitor.sends(b"early")
    joined.visitor.resets()
    assert waiting.called
    joined.relay.join(joined.stream)
    assert joined.stream.aborted
    assert joined.stream.written == b""
    joined.nothing_is_left()


def test_a_visitor_who_is_refused_gets_no_byte() -> None:
    joined = Joined(join=False)
    joined.visitor.sends(b"early")
    joined.relay.refuse()
    assert joined.visitor.aborted
    assert joined.visitor.value() == b""
    joined.visitor.closes()
    assert joined.clock.getDelayedCalls() == []
