"""
One visitor's HTTP/2 connection, with the client in memory.
"""

from __future__ import annotations

import random

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, InformationalResponseReceived
from hyperframe.frame import Frame
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.h2.floods import BURST
from pinggy.edge.stream import StreamRefused
from pinggy.edge.visitor.h2.connection import MOST_STREAMS, STREAM_WINDOW
from pinggy.edge.visitor.limits import WebLimits
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.endings import ClientLeft
from tests.edge.visitor.h2_visits import H2Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding

LIMITS = WebLimits()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def gone(visit: H2Visit) -> int | None:
    """The error code of the GOAWAY, if one came."""
    codes = [event.error_code for event in visit.events if isinstance(event, ConnectionTerminated)]
    return None if not codes or codes[0] is None else int(codes[0])


# -- the straight path ---------------------------------------------------------------------------------------------


def test_a_request_reaches_the_local_server_as_http1_and_its_response_comes_back() -> None:
    visit = H2Visit()
    number = visit.ask("GET", "/a?b", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"))
    assert visit.asked() == (
        b"GET /a?b HTTP/1.1\r\nhost: shop.a.example\r\ncookie: a=1; b=2\r\nX-Forwarded-For: 192.0.2.7\r\n"
        b"X-Forwarded-Host: shop.a.example\r\nX-Forwarded-Proto: https\r\n"
        b"Forwarded: for=192.0.2.7;host=shop.a.example;proto=https\r\n\r\n"
    )
    visit.answer(b"HTTP/1.1 200 OK\r\nX-Mixed: Case\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    assert visit.fields(number) == {":status": "200", "x-mixed": "Case", "content-length": "2"}
    assert visit.content(number) == b"hi"
    assert visit.has_ended(number)
    visit.leave()


def test_requests_at_once_are_answered_as_their_answers_come() -> None:
    visit = H2Visit()
    first, second = visit.ask(), visit.ask()
    one, two = visit.client.opened
    visit.answer(OK.replace(b"hi", b"2!"), two)
    assert visit.content(second) == b"2!"
    assert not visit.has_ended(first)
    visit.answer(OK, one)
    assert visit.content(first) == b"hi"
    assert visit.shop.tunnel.tally.visitors == 1
    third = visit.ask()
    assert len(visit.client.opened) == 2
    visit.answer(OK, one)
    assert visit.has_ended(third)
    visit.leave()


def test_a_body_of_a_length_that_is_said_passes_so() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", ("content-length", "10"), end=False)
    assert b"\r\ncontent-length: 10\r\n" in visit.asked()
    visit.send(number, b"hello")
    assert visit.asked() == b"hello"
    visit.send(number, b"world", end=True)
    assert visit.asked() == b"world"
    visit.answer(OK)
    assert visit.has_ended(number)
    assert visit.reset(number) is None
    visit.leave()


def test_a_body_of_unknown_length_goes_in_chunks_and_so_do_its_trailers() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    assert visit.asked().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    visit.send(number, b"hello")
    visit.visitor.send_headers(number, [("sum", "1")], end_stream=True)
    visit.exchange()
    assert visit.asked() == b"5\r\nhello\r\n0\r\nsum: 1\r\n\r\n"
    visit.answer(OK)
    assert visit.has_ended(number)
    visit.leave()


def test_a_response_in_chunks_comes_with_its_trailers() -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    assert visit.content(number) == b"hi"
    visit.answer(b"0\r\nSum: 2\r\n\r\n")
    assert visit.trailers(number) == [("sum", "2")]
    assert visit.has_ended(number)
    visit.leave()


@pytest.mark.parametrize("end", ["0\r\n\r\n", "close"])
def test_a_response_of_unknown_length_ends(end: str) -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.answer(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if end == "close" else b"Transfer-Encoding: chunked\r\n\r\n"))
    assert not visit.has_ended(number)
    if end == "close":
        visit.stream.client_ends()
        visit.exchange()
    else:
        visit.answer(end.encode())
    assert visit.has_ended(number)
    assert visit.content(number) == b""
    visit.leave()


def test_head_has_a_length_and_no_body() -> None:
    visit = H2Visit()
    number = visit.ask("HEAD")
    visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
    assert visit.fields(number)["content-length"] == "2000"
    assert visit.has_ended(number)
    visit.leave()


def test_interim_responses_pass() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", ("expect", "100-continue"), ("content-length", "2"), end=False)
    visit.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    found = [each for each in visit.events if isinstance(each, InformationalResponseReceived)]
    assert [str(dict(each.headers or ())[":status"]) for each in found] == ["100", "103"]  # type: ignore[index]
    visit.send(number, b"hi", end=True)
    visit.answer(OK)
    assert visit.has_ended(number)
    visit.leave()


@given(st.integers(0, 2**32))
def test_bodies_pass_byte_exact_both_ways_whatever_the_pieces(seed: int) -> None:
    chance = random.Random(seed)
    body = chance.randbytes(chance.choice((1, 1000, 100_000)))
    visit = H2Visit()
    number = visit.ask("POST", "/", ("content-length", str(len(body))), end=False)
    visit.asked()
    for at in range(0, len(body), 16_000):
        visit.send(number, body[at : at + 16_000], end=at + 16_000 >= len(body))
    assert visit.asked() == body
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    at = 0
    while at < len(body):
        size = chance.choice((1, 100, 70_000)) if len(body) > 5000 else chance.randint(1, 500)
        size = max(size, len(body) // 20)
        visit.answer(body[at : at + size])
        at += size
    assert visit.content(number) == body
    assert visit.has_ended(number)
    visit.leave()


# -- windows -------------------------------------------------------------------------------------------------------


def test_who_does_not_read_stops_his_own_stream_and_no_other() -> None:
    visit = H2Visit()
    visit.reads = False
    slow = visit.ask()
    one = visit.stream
    visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 60_000, one)
    assert not one.paused
    visit.answer(b"x" * 40_000, one)
    assert one.paused
    assert len(visit.content(slow)) == 65_535
    visit.visitor.increment_flow_control_window(1_000_000)
    visit.exchange()
    quick = visit.ask()
    visit.answer(OK)
    assert visit.content(quick) == b"hi"
    visit.visitor.increment_flow_control_window(1_000_000, slow)
    visit.exchange()
    assert not one.paused
    assert len(visit.content(slow)) == 100_000
    visit.answer(b"x" * 100_000, one)
    assert visit.has_ended(slow)
    visit.leave()


def test_streams_take_turns() -> None:
    visit = H2Visit()
    visit.reads = False
    numbers = [visit.ask() for _ in range(3)]
    for stream in visit.client.opened:
        stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000)
    visit.exchange()
    before = [len(visit.content(each)) for each in numbers]
    visit.visitor.increment_flow_control_window(16_384 * 3)
    visit.exchange()
    after = [len(visit.content(each)) for each in numbers]
    assert sum(before) == 65_535
    grown = [b - a for a, b in zip(before, after, strict=True) if a < 50_000]
    assert max(grown) - min(grown) <= 16_384
    visit.leave()


def test_a_body_that_the_client_does_not_take_is_not_credited() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    visit.stream.client_is_full()
    while visit.visitor.local_flow_control_window(number) > 0:
        visit.send(number, b"x" * min(16_384, visit.visitor.local_flow_control_window(number)))
    assert visit.visitor.local_flow_control_window(number) == 0
    assert sum(len(part) for part in visit.asked().split(b"\r\n") if part.startswith(b"xx")) == STREAM_WINDOW
    visit.stream.client_drains()
    visit.exchange()
    assert visit.visitor.local_flow_control_window(number) > 0
    visit.leave()


def test_what_comes_before_the_way_is_found_goes_on_when_it_is() -> None:
    visit = H2Visit(live_forwarding(FakeClient(slow=True)))
    number = visit.ask("PUT", "/", end=False)
    visit.send(number, b"hello", end=True)
    stream = FakeStream()
    visit.client.asked[0].callback(stream)
    assert bytes(stream.written).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    visit.answer(OK, stream)
    assert visit.has_ended(number)
    visit.leave()


def test_a_socket_that_is_full_stops_sending_and_reading() -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.transport.is_full()
    assert visit.transport.paused
    visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 10_000)
    assert visit.stream.paused
    assert visit.content(number) == b""
    visit.transport.drains()
    visit.exchange()
    assert not visit.transport.paused
    assert not visit.stream.paused
    assert len(visit.content(number)) == 10_000
    visit.leave()


# -- how requests end otherwise ------------------------------------------------------------------------------------


def test_a_request_that_is_taken_back_is_given_up() -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.visitor.reset_stream(number, ErrorCodes.CANCEL)
    visit.exchange()
    assert visit.stream.aborted
    other = visit.ask()
    visit.answer(OK)
    assert visit.has_ended(other)
    visit.leave()


def test_one_that_is_taken_back_at_once_does_not_even_begin() -> None:
    visit = H2Visit()
    visit.visitor.send_headers(
        1, [(":method", "GET"), (":scheme", "https"), (":authority", "shop.a.example"), (":path", "/")]
    )
    visit.visitor.reset_stream(1, ErrorCodes.CANCEL)
    visit.exchange()
    assert visit.client.opened == []
    visit.leave()


def test_a_response_that_breaks_off_resets_its_stream() -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")
    visit.stream.client_closes()
    visit.exchange()
    assert visit.reset(number) == ErrorCodes.INTERNAL_ERROR
    assert not visit.has_ended(number)
    visit.leave()


def test_an_early_answer_ends_the_upload() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    visit.send(number, b"hello")
    visit.answer(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    assert visit.content(number) == b"no"
    assert visit.has_ended(number)
    assert visit.stream.aborted
    # He is heard out: what he sends is credited, and goes nowhere.
    for _ in range(2 * STREAM_WINDOW // 16_384):
        visit.send(number, bytes(16_384))
    assert visit.reset(number) is None
    visit.clock.advance(LIMITS.linger_seconds)
    visit.exchange()
    assert visit.reset(number) == ErrorCodes.NO_ERROR
    visit.leave()


@pytest.mark.parametrize("how", ["end", "reset"])
def test_an_upload_that_ends_after_an_early_answer(how: str) -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    visit.answer(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    if how == "end":
        visit.send(number, b"hello", end=True)
    else:
        visit.visitor.reset_stream(number)
        visit.exchange()
    assert visit.reset(number) is None
    visit.clock.advance(LIMITS.linger_seconds)
    visit.exchange()
    assert visit.reset(number) is None
    number = visit.ask()
    visit.answer(OK)
    assert visit.content(number) == b"hi"
    visit.leave()


def test_a_dead_stream_is_replaced() -> None:
    visit = H2Visit()
    visit.ask()
    visit.answer(OK)
    number = visit.ask()
    visit.stream.client_ends()
    assert len(visit.client.opened) == 2
    visit.answer(OK)
    assert visit.has_ended(number)
    visit.leave()


@pytest.mark.parametrize(
    ("refusal", "status"), [(StreamRefused("down"), "502"), (None, "504")], ids=["refused", "silent"]
)
def test_a_local_server_that_does_not_answer(refusal: StreamRefused | None, status: str) -> None:
    visit = H2Visit(live_forwarding(FakeClient(refusal=refusal)))
    number = visit.ask("GET", "/", ("accept", "application/json"))
    visit.clock.advance(120)
    visit.exchange()
    assert visit.fields(number)[":status"] == status
    assert visit.fields(number)["content-type"] == "application/json"
    assert visit.has_ended(number)
    visit.leave()


def test_a_body_that_stops_coming_is_answered() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    visit.send(number, b"x")
    visit.clock.advance(60)
    visit.exchange()
    assert visit.fields(number)[":status"] == "408"
    assert visit.stream.aborted
    visit.leave()


def test_nobody_has_the_name() -> None:
    visit = H2Visit()
    number = visit.ask(host="nobody.a.example")
    assert visit.fields(number)[":status"] == "404"
    assert visit.has_ended(number)
    head = visit.ask("HEAD", host="nobody.a.example")
    assert visit.fields(head)[":status"] == "404"
    assert visit.content(head) == b""
    assert visit.has_ended(head)
    visit.leave()


def test_the_policy_is_in_force() -> None:
    visit = H2Visit(live_forwarding(FakeClient(), policy=parse_policy(("b:me:secret",))))
    assert visit.fields(visit.ask())[":status"] == "401"
    number = visit.ask("GET", "/", ("authorization", "Basic bWU6c2VjcmV0"))
    assert b"uthorization" not in visit.asked()
    visit.answer(OK)
    assert visit.fields(number)[":status"] == "200"
    visit.leave()


def test_one_whom_the_whitelist_leaves_out_is_cut() -> None:
    visit = H2Visit(live_forwarding(FakeClient(), policy=parse_policy(("w:198.51.100.0/24",))))
    number = visit.ask()
    assert visit.reset(number) is not None
    assert not visit.fields(number)
    assert not visit.client.opened
    visit.leave()


# -- bad input -------------------------------------------------------------------------------------------------------

ASKS = {":method": "GET", ":scheme": "https", ":authority": "shop.a.example", ":path": "/"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({":path": "no-slash"}, "400"),
        ({":path": "/a#b"}, "400"),
        ({":path": "/a b"}, "400"),
        ({":path": "*"}, "400"),
        ({":path": "http://evil/"}, "400"),
        ({":path": "/" + "a" * 9000}, "414"),
        ({":scheme": "ftp"}, "400"),
        ({":authority": "user@shop.a.example"}, "400"),
        ({":authority": "shop.a.example\x00"}, "400"),
        ({":method": "GE T"}, "400"),
        ({"x": "a\x01b"}, "400"),
        ({"x(y)": "a"}, "400"),
        ({"host": "other.a.example"}, "400"),
        ({f"x{number}": "a" for number in range(101)}, "431"),
    ],
)
def test_what_http1_would_read_differently_is_refused(changes: dict[str, str], status: str) -> None:
    visit = H2Visit()
    visit.visitor.config.validate_outbound_headers = False
    visit.visitor.send_headers(1, list((ASKS | changes).items()), end_stream=True)
    visit.exchange()
    if gone(visit) is None:
        assert visit.fields(1)[":status"] == status
    assert visit.client.opened == []
    visit.leave()


@pytest.mark.parametrize(
    "fields",
    [
        [(":method", "CONNECT"), (":authority", "shop.a.example:80")],
        [*ASKS.items(), ("connection", "close")],
        [*ASKS.items(), ("transfer-encoding", "chunked")],
        [*ASKS.items(), ("upgrade", "websocket")],
        [*ASKS.items(), ("te", "gzip")],
        [*ASKS.items(), ("content-length", "5")],
        [*ASKS.items(), ("content-length", "9223372036854775808")],
        [*ASKS.items(), ("content-length", "0" * 5000)],
        [*ASKS.items(), ("content-length", "0"), ("content-length", "0")],
        [*ASKS.items(), ("X-Upper", "a")],
        [*ASKS.items(), (":path", "/other")],
        [*ASKS.items(), ("x", "a\r\nb: c")],
        [("x", "a"), *ASKS.items()],
        [("cookie", "a=b"), *ASKS.items()],
        [each for each in ASKS.items() if each[0] != ":authority"],
    ],
)
def test_nothing_that_is_no_request_reaches_the_local_server(fields: list[tuple[str, str]]) -> None:
    visit = H2Visit()
    visit.visitor.config.validate_outbound_headers = False
    visit.visitor.config.normalize_outbound_headers = False
    visit.visitor.send_headers(1, fields, end_stream=True)
    visit.exchange()
    assert gone(visit) is not None or visit.reset(1) is not None or visit.fields(1)[":status"] == "400"
    assert visit.client.opened == []
    visit.leave()


def test_a_stream_that_is_reset_as_a_window_opens_harms_no_other() -> None:
    visit = H2Visit()
    visit.reads = False
    first, second = visit.ask(), visit.ask()
    one, two = visit.client.opened
    visit.answer(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(65_535), one)
    visit.answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"hi", two)
    assert visit.content(second) == b""
    visit.visitor.increment_flow_control_window(100_000)
    visit.visitor.increment_flow_control_window(100_000, first)
    visit.visitor.reset_stream(first, ErrorCodes.CANCEL)
    visit.exchange()
    assert visit.content(second) == b"hi"
    assert one.aborted
    assert gone(visit) is None
    visit.leave()


def test_a_body_longer_than_it_says_is_the_end() -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", ("content-length", "3"), end=False)
    visit.visitor.send_data(number, b"hello", end_stream=True)
    visit.exchange()
    assert gone(visit) == ErrorCodes.PROTOCOL_ERROR
    assert visit.stream.aborted
    visit.leave()


@pytest.mark.parametrize("kind", ["reset", "ping", "settings", "empty"])
def test_floods_are_shut_out(kind: str) -> None:
    visit = H2Visit()
    number = visit.ask("PUT", "/", end=False)
    for count in range(BURST + 10):
        if gone(visit) is not None:
            break
        match kind:
            case "reset":
                other = visit.visitor.get_next_available_stream_id()
                visit.visitor.send_headers(other, list(ASKS.items()))
                visit.visitor.reset_stream(other, ErrorCodes.CANCEL)
            case "ping":
                visit.visitor.ping(b"%08d" % count)
            case "settings":
                visit.visitor.update_settings({4: 65_535 + count})
            case "empty":
                visit.visitor.send_data(number, b"")
        visit.exchange()
    assert gone(visit) == ErrorCodes.ENHANCE_YOUR_CALM
    assert visit.stream.aborted
    assert not visit.client.opened[1:]
    visit.leave()


def test_pings_that_measure_what_comes_are_no_flood() -> None:
    visit = H2Visit()
    number = visit.ask()
    visit.answer(b"HTTP/1.1 200 OK\r\n\r\n")
    for count in range(BURST + 10):
        visit.answer(b"x")
        visit.visitor.ping(b"%08d" % count)
        visit.exchange()
    assert gone(visit) is None
    assert len(visit.content(number)) == BURST + 10
    visit.leave()


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    visit = H2Visit()
    visit.protocol.dataReceived(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
    visit.exchange()
    assert gone(visit) == ErrorCodes.FRAME_SIZE_ERROR
    visit.leave()


def test_what_is_borne_now_is_borne_again_later() -> None:
    visit = H2Visit()
    visit.ask()
    for _ in range(3):
        for count in range(BURST - 10):
            visit.visitor.ping(b"%08d" % count)
            visit.exchange()
        visit.clock.advance(10)
    assert gone(visit) is None
    visit.leave()


@given(st.binary(max_size=300))
def test_garbage_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    visit = H2Visit()
    visit.ask()
    visit.protocol.dataReceived(garbage)
    visit.leave()


# -- how connections end -------------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_with_a_word() -> None:
    visit = H2Visit()
    visit.ask()
    visit.answer(OK)
    visit.clock.advance(75)
    visit.exchange()
    assert gone(visit) == ErrorCodes.NO_ERROR
    assert visit.transport.disconnecting
    visit.leave()


def test_one_that_asks_nothing_is_closed_sooner() -> None:
    visit = H2Visit()
    visit.clock.advance(10)
    visit.exchange()
    assert visit.transport.disconnecting
    visit.leave()


def test_where_the_tunnel_has_ended_the_requests_in_hand_are_the_last() -> None:
    visit = H2Visit()
    first, second = visit.ask(), visit.ask()
    visit.tunnels.remove(visit.shop)
    visit.shop.tunnel.life.ended(ClientLeft.of())
    one, two = visit.client.opened
    # The library's client hears nothing behind a GOAWAY, unlike browsers.
    visit.raw = bytearray()
    visit.answer(OK, one)
    assert frames(bytes(visit.raw)) == [(0, "GOAWAY"), (first, "HEADERS"), (first, "DATA")]
    assert not visit.transport.disconnecting
    visit.answer(OK, two)
    assert frames(bytes(visit.raw))[3:] == [(second, "HEADERS"), (second, "DATA")]
    assert visit.transport.disconnecting
    visit.leave()


def frames(data: bytes) -> list[tuple[int, str]]:
    """Stream and type of each."""
    found = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        found.append((frame.stream_id, type(frame).__name__.removesuffix("Frame").upper()))
        data = data[9 + length :]
    return found


def test_there_are_no_more_streams_than_may_be() -> None:
    visit = H2Visit()
    numbers = [visit.ask() for _ in range(MOST_STREAMS)]
    assert len(visit.client.opened) == MOST_STREAMS
    for stream in list(visit.client.opened):
        stream.client_sends(OK)
    visit.exchange()
    assert all(visit.has_ended(number) for number in numbers)
    visit.leave()


def breaks(_: FakeStream, data: bytes) -> None:
    raise RuntimeError("a fault of ours")


def test_a_request_that_breaks_the_edge_leaves_no_stream_behind(nothing_is_lost: list[str]) -> None:
    visit = H2Visit(live_forwarding(FakeClient(answer=breaks)))
    number = visit.ask()
    assert visit.reset(number) == ErrorCodes.INTERNAL_ERROR
    assert visit.stream.aborted
    assert visit.shop.tunnel.tally.open == 0
    assert "a visitor's request broke the edge" in nothing_is_lost.pop()
    visit.leave()
