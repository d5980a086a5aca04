"""
Calls through a local server's HTTP/2 (x:h2), and the windows by which each side waits for the other: in memory.
"""

from __future__ import annotations

import random
from typing import Any, cast

from h2.settings import SettingCodes
from hyperframe.frame import DataFrame
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from pinggy.edge.local.h2 import connection
from pinggy.http.answer import Answer
from tests.edge.local.h2_server import H2ToH2
from tests.support.streams import FakeClient, FakeStream, live_forwarding

WINDOW = SettingCodes.INITIAL_WINDOW_SIZE


# -- the straight path ---------------------------------------------------------------------------------------------


def test_a_call_passes_whole_both_ways_with_its_trailers() -> None:
    visit = H2ToH2("a:X-Added:1", "u:Host:inside")
    number = visit.call(("grpc-timeout", "5S"))
    visit.send(number, b"question", end=True)
    fields = visit.server.fields(1)
    assert fields[:4] == [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "inside"),
        (":path", "/test.Calls/any"),
    ]
    assert {("te", "trailers"), ("grpc-timeout", "5S"), ("x-added", "1")} <= set(fields)
    assert not {"host", "connection", "transfer-encoding"} & {name for name, _ in fields}
    assert visit.server.content(1) == b"question"
    assert visit.server.has_ended(1)
    visit.respond(1, ("x-initial", "2"))
    assert visit.fields(number)["x-initial"] == "2"
    visit.says(1, b"ans")
    assert visit.content(number) == b"ans"
    visit.says(1, b"wer")
    visit.finish()
    assert visit.content(number) == b"answer"
    assert visit.trailers(number) == [("grpc-status", "0")]
    assert visit.has_ended(number)
    visit.leave()


def test_a_response_that_is_nothing_but_trailers_stays_one_block() -> None:
    visit = H2ToH2()
    number = visit.call(end=True)
    visit.respond(1, ("grpc-status", "5"), end=True)
    assert visit.fields(number) == {":status": "200", "content-type": "application/grpc", "grpc-status": "5"}
    assert visit.has_ended(number)
    assert visit.trailers(number) == []
    visit.leave()


def test_trailers_of_a_request_pass_and_so_do_those_behind_a_length() -> None:
    visit = H2ToH2()
    number = visit.call(("content-length", "2"))
    visit.send(number, b"hi")
    visit.visitor.send_headers(number, [("sum", "1")], end_stream=True)
    visit.exchange()
    assert visit.server.trailers(1) == [("sum", "1")]
    assert ("content-length", "2") in visit.server.fields(1)
    visit.respond(1, ("content-length", "2"))
    visit.says(1, b"yo")
    visit.finish()
    assert visit.trailers(number) == [("grpc-status", "0")]
    visit.leave()


def test_the_edge_speaks_first_and_waits_for_no_settings() -> None:
    visit = H2ToH2()
    servers, visit.servers = visit.servers, None
    visit.call(end=True)
    assert visit.stream.written.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    visit.servers = servers
    visit.exchange()
    assert visit.server.asked == [1]
    visit.respond(1, end=True)
    visit.leave()


def test_a_call_may_be_silent_both_ways_for_as_long_as_it_likes() -> None:
    visit = H2ToH2()
    number, other = visit.call(), visit.ask("POST", "/", ("content-type", "application/grpc-web"), end=False)
    visit.send(number, b"subscribe")
    visit.clock.advance(120)
    visit.exchange()
    assert visit.fields(other)[":status"] == "408"
    visit.clock.advance(3600)
    visit.send(number, b"!", end=True)
    visit.clock.advance(3600)
    visit.respond()
    visit.says(1, b"event")
    assert visit.content(number) == b"event"
    visit.leave()


def test_te_is_said_for_who_speaks_grpc_or_takes_trailers_and_no_other() -> None:
    visit = H2ToH2()
    visit.ask("POST", "/", ("content-type", "application/grpc+proto"))
    visit.ask("GET", "/", ("te", "trailers"))
    visit.ask("GET", "/", ("content-type", "text/plain"))
    said = [("te", "trailers") in visit.server.fields(number) for number in (1, 3, 5)]
    assert said == [True, True, False]
    visit.leave()


def test_interim_responses_pass() -> None:
    visit = H2ToH2()
    number = visit.ask("PUT", "/", ("expect", "100-continue"), end=False)
    visit.server.h2.send_headers(1, [(":status", "100")])
    visit.server.h2.send_headers(1, [(":status", "103"), ("link", "</a>")])
    visit.exchange()
    visit.send(number, b"hi", end=True)
    visit.respond(1, end=True)
    interim = [each for each in visit.events if type(each).__name__ == "InformationalResponseReceived"]
    assert len(interim) == 2
    assert visit.has_ended(number)
    visit.leave()


@given(st.integers(0, 2**32))
def test_content_passes_byte_exact_both_ways_whatever_the_pieces(seed: int) -> None:
    chance = random.Random(seed)
    there, back = (chance.randbytes(chance.choice((1, 1000, 200_000))) for _ in range(2))
    visit = H2ToH2()
    number = visit.call()
    at = 0
    while at < len(there):
        most = min(visit.visitor.local_flow_control_window(number), chance.choice((1, 100, 16_384)))
        visit.send(number, there[at : at + most])
        at += most
    visit.visitor.end_stream(number)
    visit.exchange()
    assert visit.server.content(1) == there
    assert visit.server.has_ended(1)
    visit.respond()
    at = 0
    while at < len(back):
        most = min(visit.server.h2.local_flow_control_window(1), chance.choice((1, 100, 16_384)))
        visit.server.h2.send_data(1, back[at : at + most])
        at += most
        # Frames come in pieces, too.
        said = visit.server.h2.data_to_send()
        cut = chance.randrange(len(said) + 1)
        visit.stream.client_sends(said[:cut])
        visit.stream.client_sends(said[cut:])
        visit.exchange()
    visit.finish()
    assert visit.content(number) == back
    assert visit.trailers(number) == [("grpc-status", "0")]
    visit.leave()


# -- windows -------------------------------------------------------------------------------------------------------


def test_a_visitor_who_does_not_read_holds_one_window_and_stops_nobody_else() -> None:
    visit = H2ToH2()
    slow, quick = visit.call(end=True), visit.call(end=True)
    visit.respond(1)
    visit.reads = False
    sent = 0
    while window := visit.server.h2.local_flow_control_window(1):
        piece = bytes(min(window, 16_384))
        visit.says(1, piece)
        sent += len(piece)
    # What went to him by his own first window has been credited.
    assert connection.STREAM_WINDOW <= sent <= connection.STREAM_WINDOW + 2 * 65_535
    assert visit.server.h2.local_flow_control_window(3) == connection.STREAM_WINDOW
    visit.respond(3, end=True)
    assert visit.has_ended(quick)
    visit.visitor.increment_flow_control_window(1_000_000)
    visit.visitor.increment_flow_control_window(1_000_000, slow)
    visit.exchange()
    assert visit.content(slow) == bytes(sent)
    assert visit.server.h2.local_flow_control_window(1) > connection.STREAM_WINDOW // 2
    visit.finish()
    assert visit.has_ended(slow)
    visit.leave()


def test_long_frames_are_taken_and_longer_ones_are_not() -> None:
    visit = H2ToH2()
    number, other = visit.call(end=True), visit.call(end=True)
    assert visit.server.h2.max_outbound_frame_size == connection.LARGEST_FRAME
    visit.respond()
    visit.says(1, bytes(connection.LARGEST_FRAME))
    assert len(visit.content(number)) == connection.LARGEST_FRAME
    visit.stream.client_sends(DataFrame(3, data=bytes(connection.LARGEST_FRAME + 1)).serialize())
    visit.exchange()
    assert visit.answered(other).startswith("14 ")
    visit.leave()


def test_all_that_may_be_under_way_fits_the_window_of_the_connection() -> None:
    visit = H2ToH2()
    visit.call(end=True)
    assert visit.server.h2.outbound_flow_control_window == connection.MOST_STREAMS * connection.STREAM_WINDOW
    visit.respond(end=True)
    visit.leave()


def test_a_server_that_does_not_read_stops_its_visitor_and_no_other() -> None:
    visit = H2ToH2()
    servers = visit.servers
    assert servers is not None
    servers.settings = {WINDOW: 1000}
    number = visit.call()
    visit.server.reads = False
    sent = 0
    while window := visit.visitor.local_flow_control_window(number):
        visit.send(number, bytes(min(window, 16_384)))
        sent += min(window, 16_384)
        if sent > 1_000_000:
            raise AssertionError
    assert len(visit.server.content(1)) == 1000
    other = visit.call()
    visit.send(other, b"hi", end=True)
    assert visit.server.content(3) == b"hi"
    visit.server.h2.increment_flow_control_window(sent)
    visit.server.h2.increment_flow_control_window(sent, 1)
    visit.exchange()
    assert len(visit.server.content(1)) == sent
    assert visit.visitor.local_flow_control_window(number) > 0
    visit.leave()


def test_nothing_is_sent_while_the_client_takes_no_more() -> None:
    visit = H2ToH2()
    number = visit.call()
    visit.stream.client_is_full()
    visit.send(number, b"hello")
    assert visit.server.content(1) == b""
    visit.stream.client_drains()
    visit.exchange()
    assert visit.server.content(1) == b"hello"
    visit.leave()


class Lost:
    """A request that is told nothing but its end."""

    number = 0
    is_empty = True
    why: Answer | None = None

    def server_lost(self, why: Answer) -> None:
        self.why = why

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def test_what_a_client_does_not_take_has_a_bound() -> None:
    live, stream, clock = live_forwarding(FakeClient()), FakeStream(), Clock()
    live.tunnel.tally.open = 1
    upstream = connection.H2Upstream(live.tunnel, stream, clock, leg=None, scheme=b"http")
    upstream.begin()
    stream.client_is_full()
    chance, calls = random.Random(1), [Lost() for _ in range(2 * connection.MOST_UNTAKEN // 8000)]
    for call in calls:
        fields = [(b"x", b"%0800x" % chance.getrandbits(3200)) for _ in range(10)]
        if not upstream.over:
            call.number = upstream.open(cast(Any, call), fields, ends=False)
            upstream.flush()
    assert stream.aborted
    assert calls[0].why is not None
    assert len(stream.written) < connection.MOST_UNTAKEN + 100_000
    assert live.tunnel.tally.open == 0
    assert not clock.getDelayedCalls()
