"""
What the edge answers itself, as a visitor reads it who would rather have a page, JSON or a line.
"""

from __future__ import annotations

import json

import pytest

from pinggy.edge.stream import Cause, StreamRefused
from pinggy.http.page import CONTENT_SECURITY_POLICY
from pinggy.tunnel.arguments import parse_policy
from tests.edge.visitor.visits import Visit
from tests.support.streams import live_forwarding

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PROGRAM = "application/json, text/plain, */*"
TYPES = {BROWSER: "text/html; charset=utf-8", PROGRAM: "application/json", "*/*": "text/plain; charset=utf-8"}


def request(accept: str, host: str = "shop", method: str = "GET", more: str = "") -> bytes:
    return f"{method} /a HTTP/1.1\r\nHost: {host}.a.example\r\nAccept: {accept}\r\n{more}\r\n".encode()


def read(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of the one answer that came."""
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return int(first.split(" ")[1]), headers, content


def ask(visit: Visit, asked: bytes) -> tuple[int, dict[str, str], bytes]:
    visit.say(asked)
    return read(visit.heard())


@pytest.mark.parametrize("accept", TYPES)
def test_each_reads_it_in_the_medium_of_his_choice(accept: str) -> None:
    visit = Visit()
    status, headers, content = ask(visit, request(accept, "nobody"))
    assert status == 404
    assert headers["Content-Type"] == TYPES[accept]
    assert headers["Content-Length"] == str(len(content))
    assert headers["Vary"] == "Accept"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers.get("Content-Security-Policy") == (CONTENT_SECURITY_POLICY if accept == BROWSER else None)
    assert b"No tunnel has this name" in content
    assert b"nobody" not in content
    assert visit.is_open
    visit.leave()


def test_each_request_of_a_connection_chooses_anew() -> None:
    visit = Visit()
    for accept, type_ in TYPES.items():
        assert ask(visit, request(accept, "nobody"))[1]["Content-Type"] == type_
    visit.leave()


@pytest.mark.parametrize("accept", TYPES)
def test_to_head_the_head_is_the_same(accept: str) -> None:
    visit = Visit()
    whole = ask(visit, request(accept, "nobody"))
    status, headers, content = ask(visit, request(accept, "nobody", "HEAD"))
    assert (status, headers, content) == (*whole[:2], b"")
    visit.leave()


def test_what_was_never_read_as_a_request_is_answered_with_a_line() -> None:
    for malformed, expected in (
        (request(BROWSER, more="Host: other\r\n"), 400),
        (request(BROWSER, more="X: y\r\n" * 200), 431),
        (request(BROWSER, more=f"X: {'y' * 20_000}\r\n"), 431),
        (request(BROWSER).replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
    ):
        visit = Visit()
        # One before it could be read.
        assert ask(visit, request(BROWSER, "nobody"))[1]["Content-Type"] == TYPES[BROWSER]
        status, headers, content = ask(visit, malformed)
        assert (status, headers["Content-Type"]) == (expected, TYPES["*/*"])
        assert content.count(b"\n") == 1
        assert not visit.is_open
        visit.leave()


def test_a_request_that_goes_wrong_in_its_body_has_been_read() -> None:
    visit = Visit()
    status, headers, _ = ask(visit, request(PROGRAM, method="POST", more="Transfer-Encoding: chunked\r\n") + b"x\r\n")
    assert (status, headers["Content-Type"]) == (400, "application/json")
    visit.leave()


def test_a_head_that_does_not_come_in_time_is_answered_with_a_line() -> None:
    visit = Visit()
    visit.say(request(BROWSER)[:-2])
    visit.clock.advance(20)
    status, headers, content = read(visit.heard())
    assert (status, headers["Content-Type"]) == (408, TYPES["*/*"])
    assert content.startswith(b"The request did not come in time.")
    visit.leave()


@pytest.mark.parametrize("accept", TYPES)
def test_challenges_and_redirections_have_their_headers_in_each_medium(accept: str) -> None:
    visit = Visit()
    for words, expected, header, value in (
        ("k:key", 401, "WWW-Authenticate", 'Bearer realm="shop"'),
        ("x:https", 301, "Location", "https://shop.a.example:7443/a"),
    ):
        visit.shop.tunnel.life.replaced(parse_policy((words,)))
        status, headers, _ = ask(visit, request(accept))
        assert (status, headers[header], headers["Content-Type"]) == (expected, value, TYPES[accept])
    visit.leave()


def error(visit: Visit) -> tuple[int, str]:
    status, _, content = read(visit.heard())
    said = json.loads(content)
    assert said["status"] == status
    return status, said["error"]


def test_a_502_says_what_the_local_server_did() -> None:
    visit = Visit()
    for cause, expected in (
        (Cause.DOWN, (502, "local-server-refused")),
        (Cause.TLS, (502, "local-server-tls")),
        (Cause.FULL, (503, "tunnel-full")),
    ):
        visit.client.refusal = StreamRefused("refused", cause)
        visit.say(request(PROGRAM))
        assert error(visit) == expected
    visit.client.refusal = None
    visit.say(request(PROGRAM))
    visit.stream.client_ends()
    assert error(visit) == (502, "local-server-closed")
    visit.say(request(PROGRAM))
    visit.stream.client_sends(b"220 smtp ready\r\n\r\n")
    assert error(visit) == (502, "local-server-nonsense")
    visit.leave()


def test_a_full_tunnel_says_when_to_come_again() -> None:
    visit = Visit(live_forwarding(channels=0))
    status, headers, _ = ask(visit, request(BROWSER))
    assert (status, headers["Retry-After"]) == (503, "5")
    visit.leave()
