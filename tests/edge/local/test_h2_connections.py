"""
The connections to a local server that speaks HTTP/2 (x:h2), or does not after all: in memory.
"""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pinggy.edge.client import Peer
from pinggy.edge.local.h2 import connection
from pinggy.edge.stream import Cause, StreamRefused
from pinggy.tunnel.arguments import parse_policy
from tests.edge.local.h2_server import H2Servers, H2ToH2
from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeClient, live_forwarding

MOST = SettingCodes.MAX_CONCURRENT_STREAMS
WINDOW = SettingCodes.INITIAL_WINDOW_SIZE


# -- connections ---------------------------------------------------------------------------------------------------


def test_all_visitors_share_one_connection() -> None:
    visit = H2ToH2()
    visit.call()
    # Another one, who speaks HTTP/1.1.
    other = Visit(visit.shop)
    other.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
    visit.exchange()
    assert visit.server.asked == [1, 3]
    visit.respond(3, end=True)
    assert other.heard().startswith(b"HTTP/1.1 200 OK\r\n")
    other.transport.closes()
    visit.leave()


def test_another_connection_is_made_when_a_server_allows_no_more_streams() -> None:
    visit = H2ToH2()
    assert visit.servers is not None
    visit.servers.settings = {MOST: 2}
    numbers = [visit.call(end=True) for _ in range(5)]
    assert [server.asked for server in visit.servers.all] == [[1, 3], [1, 3], [1]]
    for server in visit.servers.all:
        for number in server.asked:
            visit.respond(number, server=server, end=True)
    assert all(visit.has_ended(number) for number in numbers)
    visit.call(end=True)
    assert len(visit.servers) == 3
    assert visit.servers.all[0].asked == [1, 3, 5]
    visit.leave()


def test_who_asks_while_a_connection_is_opened_waits_for_that_one() -> None:
    client = FakeClient(slow=True)
    live = live_forwarding(client, policy=parse_policy(("x:h2",)))
    one, other = Visit(live), Visit(live)
    for visit in (one, other):
        visit.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
    assert len(client.asked) == 1
    client.slow = False
    client.open_stream(live.forwarding, Peer("192.0.2.7", 1)).chainDeferred(client.asked[0])
    servers = H2Servers(client)
    servers.run()
    assert servers[0].asked == [1, 3]
    other.transport.closes()
    one.leave()


@pytest.mark.parametrize("cause", [Cause.DOWN, Cause.TLS, Cause.FULL])
def test_all_who_wait_are_told_why_there_is_no_connection(cause: Cause) -> None:
    client = FakeClient(slow=True)
    live = live_forwarding(client, policy=parse_policy(("x:h2",)))
    one, other = Visit(live), Visit(live)
    for visit in (one, other):
        visit.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
    client.asked[0].errback(StreamRefused("No.", cause))
    for visit in (one, other):
        assert visit.heard().startswith(b"HTTP/1.1 503" if cause is Cause.FULL else b"HTTP/1.1 502")
    other.transport.closes()
    one.leave()


def test_a_connection_that_nobody_uses_is_closed_after_a_while() -> None:
    visit = H2ToH2()
    number = visit.call(end=True)
    visit.respond(1, end=True)
    visit.clock.advance(connection.LONGEST_IDLE - 1)
    assert not visit.stream.over
    visit.call(end=True)
    visit.clock.advance(10)
    assert not visit.stream.over
    visit.respond(3, end=True)
    visit.clock.advance(connection.LONGEST_IDLE)
    visit.exchange()
    assert visit.server.was_left
    assert visit.stream.closed
    assert visit.has_ended(number)
    visit.leave()


def test_each_visitor_has_his_own_where_the_server_is_told_whose_it_is() -> None:
    header = b"PROXY TCP4 192.0.2.7 0.0.0.0 40000 0\r\n"
    visit = H2ToH2("x:haproxy", skip=len(header))
    first, second = visit.call(end=True), visit.call(end=True)
    assert visit.servers is not None
    assert [server.asked for server in visit.servers.all] == [[1, 3]]
    assert visit.server.skipped == header
    other = Visit(visit.shop, host="192.0.2.8")
    other.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
    visit.exchange()
    assert [server.asked for server in visit.servers.all] == [[1, 3], [1]]
    assert visit.server.skipped.startswith(b"PROXY TCP4 192.0.2.8 ")
    other.transport.closes()
    assert visit.server.stream.closed
    for number in (1, 3):
        visit.respond(number, server=visit.servers[0], end=True)
    assert visit.has_ended(first)
    assert visit.has_ended(second)
    assert not visit.servers[0].stream.over
    visit.transport.closes()
    assert visit.servers[0].stream.closed
    visit.leave()


def test_a_policy_that_changes_rules_the_next_request() -> None:
    visit = H2ToH2()
    going = visit.call()
    first = visit.stream
    visit.shop.tunnel.change_policy(parse_policy(()))
    servers, visit.servers = visit.servers, None
    plain = visit.ask()
    assert visit.asked().startswith(b"GET /a HTTP/1.1\r\n")
    visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert visit.content(plain) == b"hi"
    assert not first.over
    assert servers is not None
    visit.servers = H2Servers(FakeClient(opened=[first]))
    visit.servers.all = [servers[0]]
    visit.respond(1, end=True, server=servers[0])
    assert visit.has_ended(going)
    visit.leave()


# -- servers that are none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16",
        b"\0\0\0\x01\x04\0\0\0\x01",
        b"SSH-2.0-x\r\n",
    ],
)
def test_a_server_that_speaks_something_else_is_told_from_others(said: bytes) -> None:
    visit = H2ToH2()
    visit.servers = None
    number = visit.call(end=True)
    visit.answer(said)
    assert visit.answered(number).startswith(
        "14 This tunnel is up, but the local server behind it did not speak HTTP/2"
    )
    assert visit.stream.aborted
    visit.leave()


def test_so_is_one_that_closes_before_it_has_said_anything() -> None:
    visit = H2ToH2()
    visit.servers = None
    number = visit.call(end=True)
    visit.stream.client_ends()
    visit.exchange()
    assert "did not speak HTTP/2" in visit.answered(number)
    visit.leave()


def test_and_one_that_never_says_anything() -> None:
    visit = H2ToH2()
    visit.servers = None
    number = visit.call(end=True)
    visit.clock.advance(connection.FIRST_WORD)
    visit.exchange()
    assert "did not speak HTTP/2" in visit.answered(number)
    assert visit.stream.aborted
    visit.leave()


def test_one_that_does_not_answer_is_silent() -> None:
    visit = H2ToH2()
    number = visit.ask()
    visit.clock.advance(120)
    visit.exchange()
    assert visit.answered(number).startswith("504 ")
    assert visit.server.reset(1) == ErrorCodes.CANCEL
    visit.leave()


@pytest.mark.parametrize("kind", ["ping", "settings", "empty", "interim"])
def test_a_server_that_has_gone_mad_is_left(kind: str) -> None:
    visit = H2ToH2()
    number = visit.call()
    if kind == "empty":
        visit.respond()
    for count in range(int(connection.BURST) + 10):
        if visit.stream.aborted:
            break
        match kind:
            case "ping":
                visit.server.h2.ping(b"%08d" % count)
            case "settings":
                visit.server.h2.update_settings({WINDOW: 65_535 + count})
            case "empty":
                visit.server.h2.send_data(1, b"")
            case "interim":
                visit.server.h2.send_headers(1, [(":status", "102")])
        visit.exchange()
    assert visit.stream.aborted
    assert visit.server.was_left
    assert visit.reset(number) is not None if kind == "empty" else visit.answered(number).startswith("14 ")
    visit.leave()


def test_pings_that_measure_what_comes_are_borne() -> None:
    visit = H2ToH2()
    number = visit.call()
    for count in range(int(connection.BURST) + 10):
        visit.send(number, b"x")
        visit.server.h2.ping(b"%08d" % count)
        visit.exchange()
    assert not visit.stream.over
    visit.leave()


@pytest.mark.parametrize(
    "fields",
    [
        [(":status", "101")],
        [(":status", "20")],
        [(":status", "200"), (":status", "200")],
        [(":status", "200"), ("Upper", "x")],
        [(":status", "200"), ("connection", "close")],
        [(":status", "200"), ("transfer-encoding", "chunked")],
        [(":status", "200"), ("x", "a\r\nb: c")],
        [(":status", "200"), ("x y", "z")],
        [("x", "z")],
        [(":status", "200"), *((f"x-{number}", "") for number in range(300))],
    ],
)
def test_a_response_that_is_none_ends_its_request_alone(fields: list[tuple[str, str]]) -> None:
    visit = H2ToH2()
    number, other = visit.call(end=True), visit.call(end=True)
    visit.server.h2.send_headers(1, fields)
    visit.exchange()
    assert visit.answered(number).startswith("14 ")
    assert visit.server.reset(1) == ErrorCodes.PROTOCOL_ERROR
    visit.respond(3, end=True)
    assert visit.has_ended(other)
    visit.leave()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("data", [b"longer", b"shrt", b""])
def test_a_body_that_is_not_as_long_as_it_says_ends_its_request_alone(method: str, data: bytes) -> None:
    visit = H2ToH2()
    number, other = visit.ask(method), visit.call(end=True)
    visit.server.h2.send_headers(1, [(":status", "200"), ("content-length", "5")])
    if data:
        visit.server.h2.send_data(1, data, end_stream=True)
    else:
        visit.server.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
    visit.exchange()
    if method == "HEAD":
        # That has a length and no body, and so has its response been.
        assert visit.has_ended(number)
    else:
        assert visit.reset(number) is not None
    assert not visit.stream.over
    visit.respond(3, end=True)
    assert visit.has_ended(other)
    visit.leave()
