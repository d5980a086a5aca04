"""
A local server's nonsense does not become a response of its own for the visitor: what is no HTTP is a 502, what breaks
off is seen to, and what comes after a response is nobody's.
"""

from __future__ import annotations

import pytest

from tests.edge.visitor.visits import Visit
from tests.support.strict_http import read_exchange

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


def steps(visit: Visit, data: bytes, step: int) -> None:
    for at in range(0, len(data), step):
        if not visit.stream.over:
            visit.stream.client_sends(data[at : at + step])


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n",
        b"hello",
        b"<html>",
        b"220 smtp ready",
        b"SSH-2.0-OpenSSH",
        b"HTTP",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 +200 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b" HTTP/1.1 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/01.1 200 OK",
        b"HTTP/1.01 200 OK",
        b"ICY 200 OK",
        b"RTSP/1.0 200 OK",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\x7fK",
        b"HTTP/1.1 200 OK\r",
        b"HTTP/1.1 200 OK\rX: y",
        b"HTTP/1.1 200 OK\nX: y",
        b"HTTP/1.1 200 OK\r\n X: y",
        b"HTTP/1.1 200 OK\r\nX: y\nZ: z",
        b"HTTP/1.1 200 OK\r\nX: y\rZ: z",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded",
        b"HTTP/1.1 200 OK\r\nX: y\x00",
        b"HTTP/1.1 200 OK\r\nX : y",
        b"HTTP/1.1 200 OK\r\nX y: z",
        b"HTTP/1.1 200 OK\r\n: y",
        b"HTTP/1.1 200 OK\r\nX",
        b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4",
        b"HTTP/1.1 200 OK\r\nContent-Length: +4",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x4",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4_0",
        b"HTTP/1.1 200 OK\r\nContent-Length:",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551620",
        b"HTTP/1.1 200 OK\r\nContent-Length : 4",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 4",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedchunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 100 Continue\r\n\r\nnonsense",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"X: y",
    ],
)
def test_heads_of_responses_that_are_refused(head: bytes, step: int) -> None:
    visit = Visit()
    visit.say(GET)
    steps(visit, head + b"\r\n\r\n" + EVIL, step)
    if not visit.stream.over:
        visit.stream.client_ends()
    heard = visit.heard()
    interim, answer = read_exchange(heard, b"GET")
    assert answer.is_whole
    assert answer.start[0] == b"502"
    assert not answer.rest
    assert len(interim) == heard.count(b"HTTP/1.1 100 Continue")
    assert b"evil" not in heard
    assert visit.stream.over
    visit.leave()


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(
    "chunks",
    [
        b"\r\n",
        b"0x4\r\n",
        b"+4\r\n",
        b"-4\r\n",
        b"4 \r\n",
        b" 4\r\n",
        b"4_\r\n",
        b"4\n",
        b"4;\r\n",
        b"4;a\n",
        b'4;a="\r\n',
        b"4\r\nevilX",
        b"4\r\nevil\n",
        b"4\r\nevil\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nContent-Length: 4\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nX: y\nZ: z\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_chunks_of_responses_that_break_off(chunks: bytes, step: int) -> None:
    visit = Visit()
    visit.say(GET + GET)
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    steps(visit, chunks + b"0\r\n\r\n" + EVIL, step)
    _, answer = read_exchange(visit.heard(), b"GET")
    assert not answer.is_whole
    assert answer.content in (b"hi", b"hievil", b"hievilX"[: 2 + 4])
    assert visit.transport.aborted
    assert visit.stream.aborted
    visit.leave()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"GET", OK),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_what_comes_after_a_response_is_nobody_s(method: bytes, answer: bytes) -> None:
    for apart in (False, True):
        visit = Visit()
        visit.say(GET.replace(b"GET", method))
        first = visit.stream
        if apart:
            first.client_sends(answer)
            first.client_sends(EVIL)
        else:
            first.client_sends(answer + EVIL)
        assert first.over
        visit.say(GET)
        assert visit.stream is not first
        visit.stream.client_sends(OK)
        heard = visit.heard()
        interim, response = read_exchange(heard, method)
        assert (interim, response.start[0]) == ([], answer.split()[1])
        _, second = read_exchange(response.rest, b"GET")
        assert second.content == b"hi"
        assert not second.rest
        assert visit.is_open
        visit.leave()


def test_two_responses_to_a_request_that_other_requests_wait_behind() -> None:
    visit = Visit()
    visit.say(GET + GET.replace(b"/a", b"/b"))
    first = visit.stream
    first.client_sends(OK + EVIL)
    assert first.over
    assert visit.asked().startswith(b"GET /b ")
    visit.stream.client_sends(OK)
    assert b"evil" not in visit.heard()
    visit.leave()
