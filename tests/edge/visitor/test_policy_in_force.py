"""
What the policy of a tunnel does to its HTTP visitors, with the client in memory.
"""

from __future__ import annotations

import base64
import re

import pytest

from pinggy.tunnel.arguments import parse_policy
from tests.edge.visitor.h2_visits import H2Visit
from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def answers_ok(stream: FakeStream, data: bytes) -> None:
    stream.client_sends(OK)


def visit(*words: str, host: str = "192.0.2.7", answering: bool = False) -> Visit:
    return Visit(
        live_forwarding(FakeClient(answer=answers_ok if answering else None), policy=parse_policy(words)), host=host
    )


# -- responses ---------------------------------------------------------------------------------------------------------


def test_rules_for_responses_and_cookies_that_stay_at_home() -> None:
    one = visit("R:Server", "A:X-Frame-Options:DENY", "A:Set-Cookie:c=d; Domain=example")
    one.say(GET)
    one.stream.client_sends(
        b"HTTP/1.1 103 Early Hints\r\nServer: x\r\nSet-Cookie: a=b; Domain=a.example\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a=b; Secure; domain=.A.EXAMPLE\r\nContent-Length: 0\r\n\r\n"
    )
    assert one.heard() == (
        b"HTTP/1.1 103 Early Hints\r\nServer: x\r\nSet-Cookie: a=b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Secure\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\n"
        b"Set-Cookie: c=d\r\n\r\n"
    )
    one.leave()


def test_what_the_edge_says_itself_is_under_no_rule() -> None:
    one = visit("A:X-Rule:1", "b:ann:tulip")
    one.say(GET)
    assert b"X-Rule" not in one.heard()
    one.leave()


# -- x:rate ------------------------------------------------------------------------------------------------------------


def status(heard: bytes) -> int:
    assert heard.startswith(b"HTTP/1.1 ")
    return int(heard[9:12])


def retry_after(heard: bytes) -> int:
    match = re.search(rb"\r\nRetry-After: ([0-9]+)\r\n", heard)
    assert match is not None
    return int(match[1])


def test_a_visitor_who_asks_too_often_is_told_when_to_ask_again() -> None:
    one = visit("x:rate:3/m", answering=True)
    for _ in range(3):
        one.say(GET)
        assert one.heard() == OK
    one.stream.written.clear()
    one.say(GET)
    heard = one.heard()
    assert status(heard) == 429
    assert one.asked() == b""
    assert one.is_open
    one.clock.advance(retry_after(heard) - 1)
    one.say(GET)
    assert status(one.heard()) == 429
    one.clock.advance(1)
    one.say(GET)
    assert one.heard() == OK
    one.leave()


def test_the_rate_is_the_address_s_whatever_its_connections() -> None:
    live = live_forwarding(FakeClient(answer=answers_ok), policy=parse_policy(("x:rate:1/h",)))
    for host, expected in [
        ("2001:db8::1", 200),
        ("2001:db8::ffff:2", 429),
        ("2001:db8:0:1::1", 200),
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 429),
        ("192.0.2.8", 200),
    ]:
        one = Visit(live, host=host)
        one.say(GET)
        assert (host, status(one.heard())) == (host, expected)
        one.leave()


def answers_once(stream: FakeStream, data: bytes) -> None:
    if len(stream.written) == len(data):
        stream.client_sends(OK)
    else:
        stream.client_closes()


def test_a_request_that_is_sent_once_more_over_a_fresh_stream_counts_once() -> None:
    one = visit("x:rate:2/h", answering=True)
    one.client.streams.append(FakeStream(answers_once))
    for _ in range(2):
        one.say(GET)
        assert one.heard() == OK
    assert len(one.client.opened) == 2
    one.leave()


def test_whom_the_whitelist_drops_and_whom_https_awaits_are_not_counted() -> None:
    one = visit("x:rate:1/h", "x:https", answering=True)
    for _ in range(3):
        one.say(GET)
        assert status(one.heard()) == 301
    one.leave()


# -- passwords that are guessed ----------------------------------------------------------------------------------------


def with_password(password: str) -> bytes:
    credential = base64.b64encode(f"ann:{password}".encode())
    return GET[:-2] + b"Authorization: Basic " + credential + b"\r\n\r\n"


def test_who_guesses_is_soon_not_listened_to() -> None:
    one = visit("b:ann:tulip", answering=True)
    for number in range(10):
        one.say(with_password(str(number)))
        assert status(one.heard()) == 401
    one.say(with_password("10"))
    heard = one.heard()
    assert status(heard) == 429
    assert b"WWW-Authenticate" not in heard
    # Not even to the right one: else he would know it.
    one.say(with_password("tulip"))
    assert status(one.heard()) == 429
    assert not one.client.opened
    one.clock.advance(retry_after(heard))
    one.say(with_password("tulip"))
    assert one.heard() == OK
    assert b"Authorization" not in one.asked()
    one.say(with_password("10"))
    assert status(one.heard()) == 401
    one.say(with_password("11"))
    assert status(one.heard()) == 429
    one.leave()


def test_who_brings_none_has_not_guessed_and_others_are_not_locked_out() -> None:
    live = live_forwarding(FakeClient(answer=answers_ok), policy=parse_policy(("b:ann:tulip", "k:key")))
    guesser = Visit(live, host="192.0.2.6")
    for _ in range(100):
        guesser.say(GET)
        assert status(guesser.heard()) == 401
    for _ in range(20):
        guesser.heard()
        guesser.say(with_password("wrong"))
    assert status(guesser.heard()) == 429
    guesser.leave()
    other = Visit(live, host="192.0.2.7")
    for _ in range(100):
        other.say(with_password("tulip"))
        assert other.heard() == OK
    other.leave()


def test_a_preflight_that_may_pass_is_no_guess() -> None:
    one = visit("b:ann:tulip", "x:passpreflight", answering=True)
    preflight = with_password("wrong").replace(b"GET", b"OPTIONS")[:-2]
    preflight += b"Origin: http://x\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    for _ in range(20):
        one.say(preflight)
        assert one.heard() == OK
    one.leave()


# -- x:limit -----------------------------------------------------------------------------------------------------------


def post(announced: str, content: bytes = b"") -> bytes:
    return f"POST /a HTTP/1.1\r\nHost: shop.a.example\r\n{announced}\r\n\r\n".encode() + content


CHUNKED = "Transfer-Encoding: chunked"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def test_content_that_is_announced_as_too_long_is_refused_at_once() -> None:
    one = visit("x:limit:10")
    one.say(post("Content-Length: 11\r\nExpect: 100-continue"))
    heard = one.heard()
    assert status(heard) == 413
    assert b"\r\nConnection: close\r\n" in heard
    assert not one.client.opened
    assert not one.is_open
    one.leave()


@pytest.mark.parametrize("announced", ["Content-Length: 10", CHUNKED])
def test_content_up_to_the_limit_passes(announced: str) -> None:
    one = visit("x:limit:10")
    one.say(post(announced))
    for piece in (b"01234", b"56789"):
        one.say(chunk(piece) if announced == CHUNKED else piece)
    if announced == CHUNKED:
        one.say(b"0\r\nX-Checksum: 1\r\n\r\n")
        assert one.asked().endswith(b"56789\r\n0\r\nX-Checksum: 1\r\n\r\n")
    else:
        assert one.asked().endswith(b"0123456789")
    one.stream.client_sends(OK)
    assert one.heard() == OK
    assert one.is_open
    one.leave()


def test_content_that_turns_out_too_long_is_refused_when_it_does() -> None:
    one = visit("x:limit:10")
    one.say(post(CHUNKED, chunk(b"01234")))
    one.say(chunk(b"56789"))
    assert not one.heard()
    one.say(chunk(b"a"))
    heard = one.heard()
    assert status(heard) == 413
    assert b"\r\nConnection: close\r\n" in heard
    assert one.stream.aborted
    assert one.asked().endswith(chunk(b"56789"))
    one.say(chunk(b"b") + b"0\r\n\r\n" + GET)
    assert not one.heard()
    assert len(one.client.opened) == 1
    one.leave()


def test_content_that_is_too_long_with_the_head_reaches_nobody() -> None:
    one = visit("x:limit:10")
    one.say(post(CHUNKED, chunk(b"0123456789a")))
    assert status(one.heard()) == 413
    assert one.asked() == b""
    one.leave()


def test_a_response_that_has_begun_breaks_off() -> None:
    one = visit("x:limit:10")
    one.say(post(CHUNKED, chunk(b"01234")))
    one.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
    one.heard()
    one.say(chunk(b"56789a"))
    assert one.transport.aborted
    assert not one.heard()
    assert one.stream.aborted
    one.leave()


def test_another_protocol_has_no_limit() -> None:
    one = visit("x:limit:10")
    one.say(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    one.stream.client_sends(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    one.asked()
    one.say(b"0123456789abcdef")
    assert one.asked() == b"0123456789abcdef"
    one.leave()


def test_the_next_request_has_a_limit_of_its_own() -> None:
    one = visit("x:limit:10")
    for _ in range(3):
        one.say(post(CHUNKED, chunk(b"0123456789") + b"0\r\n\r\n"))
        one.stream.client_sends(OK)
        assert one.heard() == OK
    one.leave()


# -- HTTP/2 ------------------------------------------------------------------------------------------------------------


def visit_h2(*words: str) -> H2Visit:
    return H2Visit(live_forwarding(policy=parse_policy(words)))


def test_the_rate_of_one_connection_with_many_streams() -> None:
    one = visit_h2("x:rate:3/m")
    numbers = [one.ask() for _ in range(5)]
    assert len(one.client.opened) == 3
    assert [one.fields(number).get(":status") for number in numbers] == [None, None, None, "429", "429"]
    assert int(one.fields(numbers[4])["retry-after"]) == 20
    one.leave()


def test_the_limit_of_a_stream_without_a_length() -> None:
    one = visit_h2("x:limit:10", "A:X-Rule:1")
    number = one.ask("PUT", "/", end=False)
    one.send(number, b"0123456789")
    assert not one.fields(number)
    one.send(number, b"a")
    assert one.fields(number)[":status"] == "413"
    assert one.stream.aborted
    # The others go on.
    number = one.ask()
    one.answer(OK)
    assert one.fields(number)["x-rule"] == "1"
    assert one.content(number) == b"hi"
    one.leave()


def test_a_stream_that_announces_too_much() -> None:
    one = visit_h2("x:limit:10")
    number = one.ask("PUT", "/", ("content-length", "11"), end=False)
    assert one.fields(number)[":status"] == "413"
    assert not one.client.opened
    one.leave()
