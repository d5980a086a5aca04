"""
What HTTP/2 visitors may do in an order that few of them choose, written frame by frame.
"""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hpack import Decoder
from hyperframe.frame import SettingsFrame

from pinggy.edge.h2.floods import BURST
from pinggy.edge.h2.frames import PromptFrames
from pinggy.edge.visitor.h2.connection import MOST_STREAMS
from pinggy.edge.visitor.limits import WebLimits
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.endings import ClientLeft
from tests.edge.visitor.h2_visits import H2Visit
from tests.support import h2_frames as h2
from tests.support.h2_frames import Flag, Kind
from tests.support.streams import FakeClient, FakeStream, live_forwarding

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def asks(method: bytes = b"GET", *more: tuple[bytes, bytes]) -> bytes:
    fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"shop.a.example"), (b":path", b"/")]
    return h2.block([*fields, *more])


def heard(visit: H2Visit) -> list[h2.Frame]:
    """The frames that came since the last time, but for windows and settings."""
    data = visit.transport.value()
    visit.transport.clear()
    return [each for each in h2.frames(data) if each.kind not in (Kind.WINDOW_UPDATE, Kind.SETTINGS)]


def kinds(visit: H2Visit) -> list[int]:
    return [each.kind for each in heard(visit)]


@pytest.fixture
def visit() -> H2Visit:
    visit = H2Visit()
    visit.raw = bytearray()
    return visit


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_body_that_trailers_end_too_soon_leaves_no_stream_to_others(visit: H2Visit, content: bytes) -> None:
    """The local server waits for the rest, and would take the next request for it: whoever's that is."""
    visit.protocol.dataReceived(h2.headers(1, asks(b"POST", (b"content-length", b"100")), ends=False))
    if content:
        visit.protocol.dataReceived(h2.data(1, content))
    visit.protocol.dataReceived(h2.headers(1, h2.literal(b"sum", b"1")))
    assert [(each.kind, each.payload[3]) for each in heard(visit)] == [(Kind.RST_STREAM, ErrorCodes.PROTOCOL_ERROR)]
    assert visit.stream.aborted
    visit.protocol.dataReceived(h2.headers(3, asks()))
    assert len(visit.client.opened) == 2
    visit.leave()


def test_a_visitor_who_says_that_he_asks_no_more_gets_what_he_asked_for(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks()))
    visit.protocol.dataReceived(h2.frame(Kind.GOAWAY, payload=bytes(8)))
    assert kinds(visit) == []
    visit.protocol.dataReceived(h2.frame(Kind.PING, payload=bytes(8)))
    visit.stream.client_sends(OK)
    assert kinds(visit) == [Kind.PING, Kind.HEADERS, Kind.DATA]
    assert visit.transport.disconnecting
    visit.leave()


def test_a_visitor_who_says_so_while_nothing_is_asked_is_let_go(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.frame(Kind.GOAWAY, payload=bytes(8)))
    assert visit.transport.disconnecting
    visit.leave()


def test_requests_that_say_how_urgent_they_are_are_no_flood(visit: H2Visit) -> None:
    """Browsers say so with each: a page of a thousand modules has a thousand of them."""
    for stream in range(1, 4 * BURST, 2):
        block = bytes(4) + b"\x0f" + asks()
        flags = Flag.END_STREAM | Flag.END_HEADERS | Flag.PRIORITY
        visit.protocol.dataReceived(h2.frame(Kind.HEADERS, stream, block, flags))
        visit.stream.client_sends(OK)
    assert not visit.transport.disconnecting
    visit.leave()


def test_a_request_that_depends_on_itself_is_the_end(visit: H2Visit) -> None:
    block = b"\0\0\0\1\x0f" + asks()
    visit.protocol.dataReceived(h2.frame(Kind.HEADERS, 1, block, Flag.END_STREAM | Flag.END_HEADERS | Flag.PRIORITY))
    assert h2.goaway(visit.transport.value()) == ErrorCodes.PROTOCOL_ERROR
    visit.leave()


def test_an_answer_to_a_stream_that_is_taken_back_and_forgotten(visit: H2Visit) -> None:
    visit.shop.tunnel.change_policy(parse_policy(("x:limit:4",)))
    for settings in ([], [(3, 0)]):
        visit.protocol.dataReceived(h2.settings(*settings))
        first = 1 if not settings else 11
        visit.protocol.dataReceived(h2.headers(first, asks(b"POST"), ends=False))
        visit.protocol.dataReceived(
            h2.data(first, b"hello") + h2.reset(first) + h2.headers(first + 2, asks()) + h2.headers(first + 4, asks())
        )
        assert not visit.transport.disconnecting
    visit.client.opened[-1].client_sends(OK)
    assert kinds(visit)[-2:] == [Kind.HEADERS, Kind.DATA]
    visit.leave()


def test_heads_are_packed_by_a_table_that_is_no_larger_than_ours(visit: H2Visit) -> None:
    """Of 4 GiB, as he would have it, every head that differs would be kept, and looked through for the next."""
    visit.protocol.dataReceived(h2.settings((1, 2**32 - 1)))
    unpacks = Decoder()
    for stream in range(1, 201, 2):
        visit.protocol.dataReceived(h2.headers(stream, asks()))
        visit.stream.client_sends(OK.replace(b"\r\n\r\n", b"\r\nETag: %d\r\n\r\n" % stream))
        (head, _) = [each for each in heard(visit) if each.kind in (Kind.HEADERS, Kind.DATA)]
        # It takes no table that is larger.
        assert (b"etag", b"%d" % stream) in list(unpacks.decode(head.payload, raw=True))
    visit.leave()


def test_settings_that_nobody_knows_are_not_kept() -> None:
    frames = PromptFrames(server=False)
    frames.max_frame_size = 16_384
    frames.add_data(h2.settings((4, 1), *((each, 1) for each in range(1000, 3000))))
    (frame,) = frames
    assert isinstance(frame, SettingsFrame)
    assert frame.settings == {4: 1}


def test_whoever_does_not_read_stops_what_local_servers_say_before_they_answer(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks()) + h2.headers(3, asks()))
    one, two = visit.client.opened
    visit.transport.is_full()
    assert one.paused
    assert two.paused
    for _ in range(1000):
        one.client_sends(b"HTTP/1.1 103 Early Hints\r\nLink: </%b>\r\n\r\n" % (b"a" * 100))
    # The client may have sent some before it was told.
    assert len(heard(visit)) <= 10
    visit.transport.drains()
    assert not one.paused
    assert not two.paused
    one.client_sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    assert kinds(visit) == [Kind.HEADERS, Kind.HEADERS, Kind.DATA]
    visit.leave()


def test_a_way_that_is_found_while_he_does_not_read_is_not_read_either() -> None:
    visit = H2Visit(live_forwarding(FakeClient(slow=True)))
    visit.raw = bytearray()
    visit.protocol.dataReceived(h2.headers(1, asks()))
    visit.transport.is_full()
    stream = FakeStream()
    visit.client.asked[0].callback(stream)
    assert stream.paused
    visit.transport.drains()
    assert not stream.paused
    visit.leave()


@pytest.mark.parametrize("why", ["his own fault", "the tunnel has ended"])
def test_one_who_reads_no_more_is_cut_off_when_all_is_said(visit: H2Visit, why: str) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks()))
    if why == "his own fault":
        visit.transport.is_full()
        visit.protocol.dataReceived(h2.window(0, 0))
    else:
        visit.tunnels.remove(visit.shop)
        visit.shop.tunnel.life.ended(ClientLeft.of())
        visit.transport.is_full()
        visit.stream.client_sends(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert not visit.transport.disconnecting
    visit.clock.advance(60)
    assert visit.transport.aborted
    visit.leave()


def test_an_idle_visitor_is_told_that_the_tunnel_has_ended(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks()))
    visit.stream.client_sends(OK)
    heard(visit)
    visit.tunnels.remove(visit.shop)
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.shop.tunnel.let_finish()
    (goaway,) = heard(visit)
    assert (goaway.kind, goaway.payload) == (Kind.GOAWAY, b"\0\0\0\1" + bytes(4))
    assert visit.transport.disconnecting
    visit.leave()


def test_so_is_one_who_is_being_served_and_then_served_to_the_end(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks()))
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.shop.tunnel.let_finish()
    assert kinds(visit) == [Kind.GOAWAY]
    assert not visit.transport.disconnecting
    visit.protocol.dataReceived(h2.headers(3, asks()))
    (refused,) = heard(visit)
    assert (refused.stream, refused.kind, refused.payload[3]) == (3, Kind.RST_STREAM, ErrorCodes.REFUSED_STREAM)
    visit.stream.client_sends(OK)
    assert kinds(visit) == [Kind.HEADERS, Kind.DATA]
    assert visit.transport.disconnecting
    visit.leave()


def test_what_is_no_request_is_told_so_and_then_reset(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.headers(1, asks(b"G T")))
    head, body, reset = heard(visit)
    assert b"not well formed" in body.payload
    assert [head.flags, body.flags] == [Flag.END_HEADERS, Flag.NONE]
    assert (reset.kind, reset.payload[3]) == (Kind.RST_STREAM, ErrorCodes.PROTOCOL_ERROR)
    visit.leave()


BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000)


def test_a_visitor_who_opens_the_window_of_a_stream_no_more_loses_it(visit: H2Visit) -> None:
    """Frames of others go out meanwhile, and bytes of it for as long as he takes any."""
    visit.protocol.dataReceived(h2.settings((4, 1)) + h2.headers(1, asks()) + h2.headers(3, asks()))
    one, two = visit.client.opened
    one.client_sends(BODY)
    two.client_sends(BODY)
    for _ in range(4):
        visit.clock.advance(50)
        visit.protocol.dataReceived(h2.window(1, 1) + h2.window(3, 1))
    heard(visit)
    visit.clock.advance(50)
    visit.protocol.dataReceived(h2.window(3, 1))
    visit.clock.advance(50)
    assert [(each.stream, each.kind) for each in heard(visit)] == [(3, Kind.DATA), (1, Kind.RST_STREAM)]
    assert one.aborted
    assert not two.aborted
    visit.leave()


def test_one_who_opens_the_window_of_the_connection_no_more_loses_all_that_wait_for_it(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.settings((4, 2**20)) + h2.headers(1, asks()) + h2.headers(3, asks()))
    one, two = visit.client.opened
    one.client_sends(BODY + bytes(70_000))
    two.client_sends(BODY)
    assert one.paused
    assert two.paused
    for _ in range(4):
        visit.clock.advance(50)
        visit.protocol.dataReceived(h2.window(0, 1))
    heard(visit)
    for _ in range(3):
        visit.clock.advance(61)
    assert [each.kind for each in heard(visit)] == [Kind.RST_STREAM] * 2
    assert one.aborted
    assert two.aborted
    visit.leave()


def test_one_who_has_taken_all_that_there_is_waits_for_more_as_long_as_he_likes(visit: H2Visit) -> None:
    visit.protocol.dataReceived(h2.settings((4, 500)) + h2.headers(1, asks()))
    visit.stream.client_sends(BODY)
    visit.protocol.dataReceived(h2.window(1, 500))
    heard(visit)
    visit.clock.advance(1000)
    assert heard(visit) == []
    visit.leave()


def test_a_head_that_is_too_large_is_told_so_and_others_go_on(visit: H2Visit) -> None:
    block = asks() + h2.literal(b"cookie", b"x" * 3000, index=True) + 6 * h2.indexed(62)
    visit.protocol.dataReceived(h2.headers(1, block))
    head, body = heard(visit)
    assert (b":status", b"431") in list(Decoder().decode(head.payload, raw=True))
    assert b"16384 bytes" in body.payload
    visit.protocol.dataReceived(h2.headers(3, asks()))
    visit.stream.client_sends(OK)
    assert kinds(visit) == [Kind.HEADERS, Kind.DATA]
    visit.leave()


def test_of_streams_that_are_long_over_nothing_is_remembered(visit: H2Visit) -> None:
    """What comes for them is let pass, or answered with a reset as RFC 9113 5.1 has it."""
    for stream in range(1, 3001, 2):
        visit.protocol.dataReceived(h2.headers(stream, asks()))
        visit.stream.client_sends(OK)
    heard(visit)
    visit.protocol.dataReceived(h2.window(1, 10) + h2.reset(1) + h2.data(3, b"x"))
    (reset,) = heard(visit)
    assert (reset.stream, reset.kind) == (3, Kind.RST_STREAM)
    visit.protocol.dataReceived(h2.headers(1, asks()))
    assert [each.kind for each in heard(visit)] == [Kind.GOAWAY]
    visit.leave()


def test_whoever_goes_round_many_tunnels_stays_at_none_of_them_unseen() -> None:
    """A whitelist that changes could not cut him off from where he is not known to be."""
    others = [live_forwarding(FakeClient(), name=f"other{number}") for number in range(MOST_STREAMS)]
    visit = H2Visit(live_forwarding(FakeClient()), *others)
    visit.raw = bytearray()
    visit.protocol.dataReceived(h2.headers(1, asks()))
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\n\r\nendless")
    heard(visit)
    for number, other in enumerate(others):
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")]
        host = f"{other.forwarding.name}.a.example".encode()
        visit.protocol.dataReceived(h2.headers(2 * number + 3, h2.block([*fields, (b":authority", host)])))
        assert isinstance(other.tunnel.client, FakeClient)
        other.tunnel.client.opened[0].client_sends(OK)
    assert [each.kind for each in heard(visit) if each.stream == 1] == [Kind.RST_STREAM]
    assert visit.stream.aborted
    visit.leave()


def test_one_who_does_not_read_what_his_socket_has_is_cut_off(visit: H2Visit) -> None:
    visit.transport.is_full()
    visit.clock.advance(WebLimits().body_seconds - 1)
    assert not visit.transport.aborted
    visit.clock.advance(1)
    assert visit.transport.aborted
