"""
One visitor's HTTP connection, with the client in memory.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.stream import Cause, StreamRefused
from pinggy.edge.visitor.limits import WebLimits
from pinggy.http.framing import Delimited, body_of
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.endings import ClientLeft
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.request import Kind
from tests.edge.visitor.visits import Visit, secured
from tests.support.streams import FakeClient, FakeStream, live_forwarding

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.a.example\r\nContent-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: shop.a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def status(response: bytes) -> int:
    assert response.startswith(b"HTTP/1.1 ")
    return int(response[9:12])


# -- the straight path --------------------------------------------------------------------------------------------


def test_a_request_reaches_the_local_server_and_its_response_comes_back() -> None:
    visit = Visit()
    visit.say(GET)
    assert visit.asked() == (
        b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\nX-Forwarded-For: 192.0.2.7\r\n"
        b"X-Forwarded-Host: shop.a.example\r\nX-Forwarded-Proto: http\r\n"
        b"Forwarded: for=192.0.2.7;host=shop.a.example;proto=http\r\n\r\n"
    )
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    assert visit.is_open
    visit.leave()


def test_the_stream_is_kept_for_the_next_request() -> None:
    visit = Visit()
    for _ in range(3):
        visit.say(GET)
        visit.stream.client_sends(OK)
        assert visit.heard() == OK
    assert len(visit.client.opened) == 1
    assert visit.shop.tunnel.tally.open == 1
    visit.leave()
    assert visit.stream.closed


def test_bytes_are_counted() -> None:
    visit = Visit()
    visit.say(GET)
    asked = visit.asked()
    visit.stream.client_sends(OK)
    tally = visit.shop.tunnel.tally
    assert (tally.received, tally.sent, tally.visitors) == (len(asked), len(OK), 1)
    visit.leave()


def test_the_local_servers_connection_close_is_not_the_visitors() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
    assert visit.heard() == OK
    assert visit.stream.closed
    assert visit.is_open
    visit.say(GET)
    assert len(visit.client.opened) == 2
    visit.leave()


def test_the_visitors_connection_close_is_obeyed() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\nConnection: close\r\n\r\n")
    assert b"Connection" not in visit.asked()
    visit.stream.client_sends(OK)
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    assert not visit.is_open
    assert not visit.stream.over
    visit.leave()


def test_one_who_says_that_he_asks_no_more_is_not_waited_for() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\nConnection: close\r\n\r\n")
    visit.stream.client_sends(OK)
    assert visit.transport.disconnecting
    visit.leave()


def test_one_who_has_sent_a_body_is() -> None:
    visit = Visit()
    visit.say(POST[:-2] + b"Connection: close\r\n\r\nhello")
    visit.stream.client_sends(OK)
    assert visit.transport.half_closed
    assert not visit.transport.disconnecting
    visit.leave()


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    visit = Visit()
    visit.say(GET.replace(b"/a", b"/1") + GET.replace(b"/a", b"/2") + GET.replace(b"/a", b"/3"))
    assert visit.transport.paused
    for path in (b"/1", b"/2", b"/3"):
        assert visit.asked().startswith(b"GET %s " % path)
        visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)
        assert visit.heard().endswith(b"\r\n\r\n" + path)
    assert not visit.transport.paused
    visit.leave()


def test_ten_thousand_pipelined_requests_to_nobody_do_not_recurse() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.1\r\nHost: nobody.a.example\r\n\r\n" * 10000)
    assert visit.heard().count(b"HTTP/1.1 404 ") == 10000
    visit.leave()


def test_one_connection_may_name_several_hosts() -> None:
    first, second = FakeClient(), FakeClient()
    visit = Visit(live_forwarding(first), live_forwarding(second, name="blog"))
    visit.say(GET)
    first.opened[0].client_sends(OK)
    visit.say(GET.replace(b"shop", b"blog"))
    assert second.opened[0].written.startswith(b"GET /a HTTP/1.1\r\nHost: blog.a.example")
    second.opened[0].client_sends(OK)
    assert visit.heard() == OK + OK
    visit.leave()


@pytest.mark.parametrize("host", ["SHOP.A.EXAMPLE", "shop.a.example.", "shop.a.example:7080"])
def test_hosts_are_found_whatever_their_spelling(host: str) -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
    assert b"\r\nHost: %s\r\n" % host.encode() in visit.asked()
    visit.leave()


# -- bodies ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_bodies_pass_byte_exact_through_random_splits(seed: int, up_chunked: bool, down_chunked: bool) -> None:
    chance = random.Random(seed)
    body = chance.randbytes(3000)
    up_head, up = framed(body, up_chunked)
    down_head, down = framed(body[::-1], down_chunked)
    visit = Visit()
    asked = b""
    for piece in split(b"POST / HTTP/1.1\r\nHost: shop.a.example\r\n" + up_head + up + GET, chance):
        visit.say(piece)
    asked = visit.asked()
    assert content(asked, up_chunked) == body
    for piece in split(b"HTTP/1.1 200 OK\r\n" + down_head + down, chance):
        visit.stream.client_sends(piece)
    assert content(visit.heard(), down_chunked) == body[::-1]
    assert visit.asked().startswith(b"GET /a ")
    visit.leave()


def content(message: bytes, chunked: bool) -> bytes:
    """Of a whole *message*; where it is chunked, its trailer has come too."""
    framed = message.partition(b"\r\n\r\n")[2]
    if not chunked:
        return framed
    body = body_of(Delimited.CHUNKED)
    read, rest, done = body.feed(framed)
    assert done
    assert not rest
    assert body.trailers == (("X-Sum", "1"),)
    return read


def framed(body: bytes, chunked: bool) -> tuple[bytes, bytes]:
    if not chunked:
        return b"Content-Length: %d\r\n\r\n" % len(body), body
    chunks = [body[at : at + 700] for at in range(0, len(body), 700)]
    return (
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\nX-Sum: 1\r\n\r\n",
    )


def split(data: bytes, chance: random.Random) -> list[bytes]:
    pieces = []
    while data:
        length = chance.choice((1, 2, 3, 50, 1000))
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def test_each_byte_of_an_event_stream_is_passed_on_when_it_comes() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    assert visit.heard().endswith(b"Connection: close\r\n\r\n")
    visit.stream.client_sends(b"data: 1\n\n")
    assert visit.heard() == b"data: 1\n\n"
    visit.stream.client_ends()
    assert visit.transport.half_closed
    visit.leave()


def test_a_visitor_is_paused_while_the_client_is_full() -> None:
    visit = Visit()
    visit.say(POST + b"12")
    visit.stream.client_is_full()
    assert visit.transport.paused
    visit.stream.client_drains()
    assert not visit.transport.paused
    visit.say(b"345")
    assert visit.asked().endswith(b"\r\n\r\n12345")
    visit.leave()


def test_a_client_is_paused_while_the_visitor_does_not_read() -> None:
    visit = Visit()
    visit.say(GET)
    visit.transport.is_full()
    assert visit.stream.paused
    visit.transport.drains()
    assert not visit.stream.paused
    visit.leave()


def test_a_client_is_paused_from_the_beginning_where_the_visitor_does_not_read_what_came_before() -> None:
    visit = Visit()
    visit.client.slow = True
    visit.say(GET)
    # Within TLS what was written is counted a turn of the reactor later.
    visit.transport.is_full()
    stream = FakeStream()
    visit.client.asked[0].callback(stream)
    assert stream.paused
    assert stream.written.startswith(b"GET /a ")
    visit.transport.drains()
    assert not stream.paused
    visit.leave()


def test_no_request_is_taken_up_while_answers_are_not_read() -> None:
    visit = Visit()
    visit.transport.is_full()
    visit.say(GET)
    assert not visit.client.opened
    assert visit.transport.paused
    visit.transport.drains()
    assert visit.client.opened
    visit.leave()


def test_the_connection_closes_only_when_the_visitor_has_read_all() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\nConnection: close\r\n\r\n")
    visit.transport.dataBuffer = bytes(100)
    visit.transport.is_full()
    visit.stream.client_sends(OK)
    assert visit.is_open
    for left in range(99, 0, -1):
        visit.transport.dataBuffer = bytes(left)
        visit.clock.advance(WebLimits().body_seconds)
        assert visit.is_open
    visit.transport.drains()
    assert not visit.is_open
    visit.leave()


def test_what_still_comes_to_one_who_does_not_read_is_no_sign_of_either() -> None:
    visit = Visit()
    visit.say(GET)
    visit.transport.dataBuffer = bytes(100)
    visit.transport.is_full()
    visit.transport.dataBuffer = bytes(2000)
    visit.clock.advance(WebLimits().body_seconds)
    assert not visit.transport.aborted
    visit.clock.advance(WebLimits().body_seconds)
    assert visit.transport.aborted
    visit.transport.closes()
    visit.leave()


@pytest.mark.parametrize(
    "response",
    [OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nh"],
    ids=["idle", "closing", "in a response"],
)
@pytest.mark.parametrize("request_", [GET, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_one_who_never_reads_is_cut_off(request_: bytes, response: bytes) -> None:
    visit = Visit()
    visit.say(request_)
    visit.transport.is_full()
    visit.stream.client_sends(response)
    visit.clock.advance(WebLimits().body_seconds - 1)
    assert not visit.transport.aborted
    visit.clock.advance(1)
    assert visit.transport.aborted
    visit.transport.closes()
    assert visit.shop.tunnel.tally.open == len(visit.shop.pool)
    visit.leave()


def test_an_early_response_is_finished_and_then_the_connection_closes() -> None:
    visit = Visit()
    visit.say(POST + b"1")
    visit.stream.client_sends(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno")
    assert b"\r\nConnection: close\r\n" in visit.heard()
    visit.say(b"2")
    assert visit.asked().endswith(b"12")
    visit.stream.client_sends(b"no")
    assert visit.heard() == b"no"
    assert visit.transport.half_closed
    assert visit.stream.over
    visit.say(b"345" * 10000)
    assert not visit.heard()
    visit.clock.advance(WebLimits().linger_seconds)
    assert visit.transport.disconnecting
    assert not visit.transport.aborted
    visit.clock.advance(WebLimits().closing_seconds)
    assert visit.transport.aborted
    visit.leave()


def test_expect_continue_is_passed_on_and_answered_by_the_local_server() -> None:
    visit = Visit()
    visit.say(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert b"\r\nExpect: 100-continue\r\n" in visit.asked()
    visit.stream.client_sends(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert visit.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"
    visit.say(b"12345")
    assert visit.asked() == b"12345"
    visit.stream.client_sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert visit.heard() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    visit.leave()


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (GET.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2000\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_responses_without_a_body_end_with_their_head(request_: bytes, response: bytes) -> None:
    visit = Visit()
    visit.say(request_)
    visit.stream.client_sends(response)
    assert visit.heard() == response
    visit.say(GET)
    assert visit.asked().startswith(b"GET /a ")
    visit.leave()


# -- HTTP/1.0 ---------------------------------------------------------------------------------------------------------


def test_a_visitor_of_http_1_0_gets_no_chunks_and_no_interim_response() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.0\r\nHost: shop.a.example\r\nConnection: keep-alive\r\n\r\n")
    assert visit.asked().startswith(b"GET / HTTP/1.1\r\n")
    visit.stream.client_sends(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"
    assert visit.transport.half_closed
    visit.leave()


def test_a_visitor_of_http_1_0_may_ask_to_keep_the_connection() -> None:
    visit = Visit()
    visit.say(b"GET / HTTP/1.0\r\nHost: shop.a.example\r\nConnection: keep-alive\r\n\r\n")
    visit.stream.client_sends(OK)
    assert b"\r\nConnection: keep-alive\r\n" in visit.heard()
    assert visit.is_open
    visit.leave()


def test_the_name_of_the_tls_hello_stands_in_for_a_missing_host() -> None:
    visit = Visit(secure=True, secured=secured("shop.a.example"))
    visit.say(b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nHost: shop.a.example\r\n" in visit.asked()
    visit.leave()


# -- upgrades ---------------------------------------------------------------------------------------------------------


def test_a_websocket_becomes_raw_bytes_both_ways_with_half_close() -> None:
    visit = Visit()
    visit.say(WEBSOCKET + b"early")
    assert visit.asked().endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    visit.stream.client_sends(SWITCHING + b"\x81\x00")
    assert visit.heard() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00"
    )
    assert visit.asked() == b"early"
    visit.say(b"GET / HTTP/1.1\r\n\r\n")
    assert visit.asked() == b"GET / HTTP/1.1\r\n\r\n"
    visit.transport.sends_fin()
    assert visit.stream.ended
    visit.stream.client_sends(b"bye")
    assert visit.heard() == b"bye"
    visit.stream.client_ends()
    assert not visit.is_open
    assert visit.stream.closed
    visit.leave()


def test_what_a_visitor_says_early_and_his_end_come_in_that_order() -> None:
    visit = Visit()
    visit.say(WEBSOCKET + b"early")
    visit.transport.sends_fin()
    visit.asked()
    visit.stream.client_sends(SWITCHING)
    assert visit.asked() == b"early"
    assert visit.stream.ended
    visit.leave()


@pytest.mark.parametrize("words", [(), ("x:limit:1k",)], ids=["plain", "limited"])
def test_the_last_word_of_one_who_closes_tls_still_goes_on(words: tuple[str, ...]) -> None:
    visit = Visit(live_forwarding(FakeClient(), policy=parse_policy(words)), secure=True)
    visit.say(WEBSOCKET)
    visit.stream.client_sends(SWITCHING)
    visit.stream.client_is_full()
    visit.say(b"bye")
    visit.transport.closes()
    assert visit.asked().endswith(b"bye")
    assert visit.stream.ended
    assert visit.stream.closed
    assert not visit.stream.aborted
    visit.leave()


def test_one_whose_websocket_is_reset_has_said_nothing_more() -> None:
    visit = Visit(secure=True)
    visit.say(WEBSOCKET)
    visit.stream.client_sends(SWITCHING)
    visit.transport.resets()
    assert visit.stream.aborted
    visit.leave()


def test_an_upgrade_that_the_local_server_ends_first() -> None:
    visit = Visit()
    visit.say(WEBSOCKET)
    visit.stream.client_sends(SWITCHING)
    visit.stream.client_ends()
    assert visit.transport.half_closed
    visit.say(b"more")
    assert visit.asked().endswith(b"more")
    visit.transport.sends_fin()
    assert visit.stream.closed
    assert visit.transport.disconnecting
    visit.leave()


@pytest.mark.parametrize("words", [(), ("x:limit:1k",)], ids=["plain", "limited"])
def test_a_websocket_may_be_silent_for_longer_than_any_timeout_and_carry_more_than_any_limit(
    words: tuple[str, ...],
) -> None:
    visit = Visit(live_forwarding(FakeClient(), policy=parse_policy(words)))
    visit.say(WEBSOCKET)
    visit.stream.client_sends(SWITCHING)
    visit.asked(), visit.heard()
    for _ in range(3):
        visit.clock.advance(1_000_000)
        visit.say(bytes(5000))
        visit.stream.client_sends(bytes(6000))
        assert (len(visit.asked()), len(visit.heard())) == (5000, 6000)
    assert visit.is_open
    visit.leave()


def test_an_upgrade_that_is_declined_is_a_response_like_any() -> None:
    visit = Visit()
    visit.say(WEBSOCKET)
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    visit.say(GET)
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    visit.leave()


def test_a_101_that_nobody_asked_for_is_nonsense() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(SWITCHING)
    assert status(visit.heard()) == 502
    visit.leave()


# -- what the edge answers itself -------------------------------------------------------------------------------------


def test_nobody_has_the_name() -> None:
    visit = Visit()
    visit.say(GET.replace(b"shop", b"nobody"))
    heard = visit.heard()
    assert status(heard) == 404
    assert b"nobody" not in heard
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in heard
    visit.say(GET)
    assert visit.client.opened
    visit.leave()


@pytest.mark.parametrize("host", [b"a.example", b"x.shop.a.example", b"other.example", b"[::1]:80", b"127.0.0.1"])
def test_other_hosts_are_not_tunnels(host: bytes) -> None:
    visit = Visit()
    visit.say(GET.replace(b"shop.a.example", host))
    assert status(visit.heard()) == 404
    visit.leave()


def test_a_forwarding_of_another_kind_serves_no_http() -> None:
    visit = Visit(live_forwarding(), live_forwarding(name="raw", kind=Kind.TLS))
    visit.say(GET.replace(b"shop", b"raw"))
    assert status(visit.heard()) == 404
    visit.leave()


@pytest.mark.parametrize(("cause", "expected"), [(Cause.DOWN, 502), (Cause.GONE, 503)])
def test_a_stream_that_is_refused(cause: Cause, expected: int) -> None:
    visit = Visit()
    visit.client.refusal = StreamRefused("<b>down</b>", cause)
    visit.say(GET)
    heard = visit.heard()
    assert status(heard) == expected
    assert b"<b>" not in heard
    visit.leave()


def test_a_tunnel_with_as_many_visitors_as_it_may_have() -> None:
    visit = Visit(live_forwarding(channels=0))
    visit.say(GET)
    assert status(visit.heard()) == 503
    visit.leave()


@pytest.mark.parametrize(
    "response", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_a_malformed_response_is_said_to_be_one(response: bytes) -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(response)
    assert status(visit.heard()) == 502
    assert visit.stream.aborted
    visit.leave()


@pytest.mark.parametrize("how", [FakeStream.client_ends, FakeStream.client_closes])
def test_a_local_server_that_closes_without_an_answer(how: Callable[[FakeStream], None]) -> None:
    visit = Visit()
    visit.say(GET)
    how(visit.stream)
    assert status(visit.heard()) == 502
    assert visit.is_open
    visit.leave()


def test_a_client_that_leaves_before_the_answer() -> None:
    visit = Visit()
    visit.say(GET)
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.stream.client_closes()
    assert status(visit.heard()) == 503
    visit.leave()


@pytest.mark.parametrize("how", [FakeStream.client_ends, FakeStream.client_closes])
@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
def test_a_response_that_breaks_off_is_seen_to_break_off(part: bytes, how: Callable[[FakeStream], None]) -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(part)
    how(visit.stream)
    assert visit.transport.aborted
    visit.leave()


def test_a_response_without_length_that_breaks_off_is_seen_to_break_off() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\n\r\n123")
    visit.stream.client_closes()
    assert visit.transport.aborted
    visit.leave()


def test_a_malformed_chunk_of_the_response_breaks_it_off() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    visit.stream.client_sends(b"5\n12345\r\n")
    assert visit.transport.aborted
    assert visit.stream.aborted
    visit.leave()


def test_a_malformed_chunk_of_the_request_never_reaches_the_local_server() -> None:
    visit = Visit()
    visit.say(b"POST / HTTP/1.1\r\nHost: shop.a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    visit.asked()
    visit.say(b"5;\n\r\n")
    assert not visit.asked()
    assert visit.stream.aborted
    assert status(visit.heard()) == 400
    assert visit.transport.half_closed
    visit.leave()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: shop.a.example\r\nHost: shop.a.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: shop.a.example\n\n", 400),
        (b"CONNECT shop.a.example:443 HTTP/1.1\r\nHost: shop.a.example:443\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: shop.a.example\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: shop.a.example\r\nA: " + b"a" * 17000, 431),
        (b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n" + b"A: a\r\n" * 100 + b"\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused_and_the_connection_closes(head: bytes, expected: int) -> None:
    visit = Visit()
    visit.say(head)
    assert status(visit.heard()) == expected
    assert visit.transport.half_closed
    visit.say(GET)
    assert not visit.client.opened
    visit.leave()


# -- the policy -------------------------------------------------------------------------------------------------------


def visit_under(*words: str, secure: bool = False, host: str = "192.0.2.7") -> Visit:
    return Visit(live_forwarding(policy=parse_policy(words)), secure=secure, host=host)


def test_visitors_wait_until_the_policy_is_in_force() -> None:
    visit = Visit(live_forwarding(in_force=False))
    visit.say(GET)
    visit.say(GET)
    assert visit.transport.paused
    assert not visit.client.opened
    visit.shop.tunnel.life.command_read(Policy())
    visit.shop.tunnel.life_changed()
    assert visit.asked().startswith(b"GET /a ")
    visit.stream.client_sends(OK)
    assert visit.asked().startswith(b"GET /a ")
    visit.leave()


def test_a_tunnel_that_ends_while_visitors_wait() -> None:
    visit = Visit(live_forwarding(in_force=False))
    visit.say(GET)
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.shop.tunnel.life_changed()
    assert status(visit.heard()) == 503
    visit.leave()


def test_each_request_meets_the_policy_of_its_time() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.shop.tunnel.life.replaced(parse_policy(("k:key",)))
    visit.say(GET)
    assert status(visit.heard()) == 401
    visit.leave()


@pytest.mark.parametrize("host", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_the_whitelist_lets_in(host: str) -> None:
    visit = visit_under("w:192.0.2.0/24", host=host)
    visit.say(GET)
    assert b"\r\nX-Forwarded-For: 192.0.2.7\r\n" in visit.asked()
    visit.leave()


def test_who_is_not_on_the_whitelist_is_dropped_without_a_byte() -> None:
    visit = visit_under("w:198.51.100.0/24")
    visit.say(GET)
    assert visit.transport.aborted
    assert not visit.heard()
    visit.leave()


def test_https_only_sends_visitors_there() -> None:
    visit = visit_under("x:https")
    visit.say(GET.replace(b"shop.a.example", b"SHOP.a.example:7080"))
    heard = visit.heard()
    assert status(heard) == 301
    assert b"\r\nLocation: https://shop.a.example:7443/a\r\n" in heard
    visit.leave()


def test_https_only_is_satisfied_by_tls() -> None:
    visit = visit_under("x:https", secure=True)
    visit.say(GET)
    assert b"X-Forwarded-Proto: https" in visit.asked()
    visit.leave()


def test_a_password_is_asked_for_and_not_passed_on() -> None:
    visit = visit_under("b:ada:lovelace")
    visit.say(GET)
    heard = visit.heard()
    assert status(heard) == 401
    assert b'\r\nWWW-Authenticate: Basic realm="shop", charset="UTF-8"\r\n' in heard
    assert not visit.client.opened
    credential = base64.b64encode(b"ada:lovelace")
    visit.say(GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic " + credential + b"\r\n\r\n"))
    assert b"uthorization" not in visit.asked()
    visit.leave()


def test_the_body_of_a_request_that_is_refused_is_not_taken_for_a_request() -> None:
    visit = visit_under("b:ada:lovelace")
    visit.say(POST.replace(b"5", b"%d" % len(GET)) + GET)
    assert visit.heard().count(b"HTTP/1.1 ") == 1
    assert visit.transport.half_closed
    visit.leave()


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_head_that_does_not_come_in_time_is_answered() -> None:
    visit = Visit()
    visit.say(GET[:10])
    visit.clock.advance(5)
    visit.say(GET[10:20])
    visit.clock.advance(5)
    assert status(visit.heard()) == 408
    assert visit.transport.half_closed
    visit.leave()


def test_the_head_of_a_later_request_has_its_own_time() -> None:
    visit = Visit()
    visit.say(GET)
    visit.clock.advance(500)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.clock.advance(70)
    visit.say(GET[:10])
    visit.clock.advance(9)
    assert visit.is_open
    visit.clock.advance(1)
    assert status(visit.heard()) == 408
    visit.leave()


def test_an_idle_connection_is_closed_without_a_word() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.clock.advance(74)
    assert visit.is_open
    visit.clock.advance(1)
    assert visit.transport.disconnecting
    assert visit.stream.closed
    assert not visit.heard()
    visit.leave()


# -- who leaves when --------------------------------------------------------------------------------------------------


def test_a_visitor_who_leaves_while_the_policy_is_awaited() -> None:
    visit = Visit(live_forwarding(in_force=False))
    visit.say(GET)
    visit.leave()
    visit.shop.tunnel.life.command_read(Policy())
    visit.shop.tunnel.life_changed()
    assert not visit.client.opened


def test_a_stream_that_comes_after_the_visitor_has_left_is_aborted() -> None:
    visit = Visit()
    visit.client.slow = True
    visit.say(GET)
    assert visit.shop.tunnel.tally.open == 1
    visit.transport.closes()
    stream = FakeStream()
    visit.client.asked[0].callback(stream)
    assert stream.aborted
    visit.leave()


def test_a_stream_that_is_refused_after_the_visitor_has_left() -> None:
    visit = Visit()
    visit.client.slow = True
    visit.say(GET)
    visit.transport.closes()
    visit.client.asked[0].errback(StreamRefused("down"))
    visit.leave()


@pytest.mark.parametrize("request_", [GET, POST, WEBSOCKET])
def test_a_visitor_who_leaves_in_the_middle_aborts_the_stream(request_: bytes) -> None:
    visit = Visit()
    visit.say(request_)
    visit.leave()
    assert visit.stream.aborted


def test_a_visitor_who_sends_no_more_is_answered_still() -> None:
    visit = Visit()
    visit.say(GET + GET)
    visit.transport.sends_fin()
    visit.stream.client_sends(OK)
    visit.stream.client_sends(OK)
    assert visit.heard() == OK + OK
    assert visit.transport.disconnecting
    visit.leave()


def test_a_visitor_who_sends_no_more_is_not_waited_for_without_end() -> None:
    visit = Visit()
    visit.say(GET)
    visit.transport.sends_fin()
    visit.clock.advance(59)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\n\r\n")
    visit.clock.advance(59)
    assert visit.is_open
    visit.clock.advance(1)
    assert visit.transport.aborted
    assert visit.stream.aborted
    visit.leave()


def test_a_visitor_who_ends_within_a_body_is_not_understood_as_having_said_it_all() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.say(POST + b"12")
    visit.transport.sends_fin()
    assert visit.stream.aborted
    # The answers before it are on their way to him still: a reset could overtake them.
    assert visit.transport.disconnecting
    assert not visit.transport.aborted
    assert visit.heard() == OK
    visit.leave()


def test_a_visitor_who_ends_within_a_body_sees_that_the_answer_to_it_broke_off() -> None:
    visit = Visit()
    visit.say(POST + b"12")
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\n\r\nhi")
    visit.transport.sends_fin()
    assert visit.stream.aborted
    assert visit.transport.aborted
    visit.leave()


# -- kept streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [FakeStream.client_ends, FakeStream.client_closes])
def test_a_kept_stream_that_the_local_server_closes_is_replaced(how: Callable[[FakeStream], None]) -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    how(visit.stream)
    visit.say(GET)
    assert len(visit.client.opened) == 2
    visit.leave()


def test_what_comes_unasked_over_a_kept_stream_is_never_a_response() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert visit.stream.aborted
    visit.say(GET)
    visit.stream.client_sends(OK)
    assert visit.heard() == OK + OK
    visit.leave()


def test_what_comes_after_a_response_is_dropped_with_its_stream() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK + OK)
    assert visit.heard() == OK
    assert visit.stream.over
    visit.leave()


def test_a_request_that_meets_a_dying_kept_stream_is_asked_again_once() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.say(GET)
    visit.stream.client_ends()
    assert len(visit.client.opened) == 2
    assert visit.asked().startswith(b"GET /a ")
    visit.stream.client_ends()
    assert status(visit.heard()) == 502
    visit.leave()


def test_a_post_is_never_asked_again() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.say(POST + b"12345")
    visit.stream.client_ends()
    assert status(visit.heard()) == 502
    assert len(visit.client.opened) == 1
    visit.leave()


def test_a_local_server_that_answers_within_the_write() -> None:
    def answer(stream: FakeStream, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            stream.client_sends(OK)

    visit = Visit(live_forwarding(FakeClient(answer=answer)))
    visit.say(GET * 2000)
    assert visit.heard() == OK * 2000
    assert len(visit.client.opened) == 1
    visit.leave()


def test_a_name_that_has_a_new_owner_gets_a_new_stream() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    new = FakeClient()
    visit.tunnels.add(live_forwarding(new, epoch=2))
    visit.say(GET)
    assert new.opened
    visit.leave()


# -- a tunnel that ends meanwhile -----------------------------------------------------------------------------------


def end_gracefully(visit: Visit) -> list[None]:
    """The name of ``shop`` goes elsewhere, its visitors may finish; one entry when they have."""
    finished: list[None] = []
    visit.tunnels.remove(visit.shop)
    visit.shop.tunnel.life.ended(ClientLeft.of())
    visit.shop.tunnel.let_finish().addCallback(finished.append)
    return finished


def test_a_request_in_hand_is_answered_and_the_visitor_asked_to_connect_anew() -> None:
    visit = Visit()
    visit.say(GET)
    finished = end_gracefully(visit)
    assert finished == []
    visit.stream.client_sends(OK)
    assert visit.heard() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    assert not visit.is_open
    assert finished == [None]
    visit.leave()


def test_a_response_under_way_comes_whole_and_its_stream_is_not_kept() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK[:-1])
    finished = end_gracefully(visit)
    visit.stream.client_sends(OK[-1:])
    assert visit.heard() == OK
    assert visit.stream.closed
    assert finished == [None]
    # The next request is looked up anew.
    visit.say(GET)
    assert status(visit.heard()) == 404
    visit.leave()


def test_a_kept_stream_without_a_request_does_not_hold_up_the_end() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    assert end_gracefully(visit) == [None]
    assert visit.stream.closed
    assert visit.is_open
    visit.leave()


# -- those who are silent in the middle of a request ----------------------------------------------------------------


def test_a_visitor_whose_body_stops_coming_is_told_so() -> None:
    visit = Visit()
    visit.say(POST + b"he")
    visit.clock.advance(59)
    visit.say(b"l")
    visit.clock.advance(59)
    assert visit.heard() == b""
    visit.clock.advance(1)
    assert status(visit.heard()) == 408
    assert visit.stream.aborted
    assert not visit.is_open
    visit.leave()


def test_a_body_that_the_client_does_not_take_is_awaited() -> None:
    visit = Visit()
    visit.say(POST + b"he")
    visit.stream.client_is_full()
    visit.clock.advance(61)
    visit.stream.client_drains()
    visit.say(b"llo")
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    visit.leave()


def test_a_local_server_that_is_silent_is_given_up() -> None:
    visit = Visit()
    visit.say(POST + b"hello")
    visit.clock.advance(119)
    assert visit.heard() == b""
    visit.clock.advance(1)
    heard = visit.heard()
    assert status(heard) == 504
    assert b"silent for 120 s" in heard
    assert visit.stream.aborted
    visit.leave()


def test_one_that_has_begun_may_take_its_time() -> None:
    visit = Visit()
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    visit.clock.advance(10_000)
    visit.stream.client_sends(b"data: 1\n\n")
    assert visit.heard().endswith(b"\r\n\r\ndata: 1\n\n")
    visit.leave()


def test_a_client_that_does_not_even_open_a_stream_is_given_up() -> None:
    visit = Visit(live_forwarding(FakeClient(slow=True)))
    visit.say(GET)
    visit.clock.advance(120)
    assert status(visit.heard()) == 504
    assert not visit.is_open
    stream = FakeStream()
    visit.client.asked[0].callback(stream)
    assert stream.aborted
    visit.leave()


def test_a_url_that_is_too_long_is_refused() -> None:
    visit = Visit()
    visit.say(b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
    assert status(visit.heard()) == 414
    visit.leave()


# -- trailers -------------------------------------------------------------------------------------------------------


def test_trailers_pass_both_ways() -> None:
    visit = Visit()
    visit.say(
        b"PUT / HTTP/1.1\r\nHost: shop.a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\nSum: 1\r\n\r\n"
    )
    assert visit.asked().endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\n\r\n")
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;z\r\na\r\n")
    visit.stream.client_sends(b"0\r\nSum: 2\r\n\r\n")
    assert visit.heard().endswith(b"\r\n\r\n1\r\na\r\n0\r\nSum: 2\r\n\r\n")
    visit.leave()


# -- where our own code breaks --------------------------------------------------------------------------------------


def breaks(_: FakeStream, data: bytes) -> None:
    raise RuntimeError("a fault of ours")


def test_a_request_that_breaks_the_edge_leaves_no_stream_behind(nothing_is_lost: list[str]) -> None:
    visit = Visit(live_forwarding(FakeClient(answer=breaks)))
    visit.say(GET)
    assert visit.transport.aborted
    assert visit.stream.aborted
    assert visit.shop.tunnel.tally.open == 0
    assert "a visitor's request broke the edge" in nothing_is_lost.pop()
    visit.leave()
