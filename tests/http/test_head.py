"""
Heads: collected through every split, read, and refused where two readers could differ.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.collector import HeadCollector
from pinggy.http.framing import Delimited, Framing
from pinggy.http.head import RequestHead, parse_request, parse_response
from pinggy.http.malformed import Malformed

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x.a.example\r\nA: b\r\n\r\n"


def request(*headers: str, line: str = "POST / HTTP/1.1", host: bool = True) -> RequestHead:
    lines = [line, *(["Host: x"] if host else []), *headers, "", ""]
    return parse_request("\r\n".join(lines).encode("latin-1"))


def feed(collector: HeadCollector, data: bytes, step: int) -> None:
    for at in range(0, len(data), step):
        collector.feed(data[at : at + step])


def refused(*headers: str, line: str = "POST / HTTP/1.1", host: bool = True) -> int:
    with pytest.raises(Malformed) as malformed:
        request(*headers, line=line, host=host)
    assert malformed.value.sentence.endswith(".")
    return malformed.value.status


# -- collected --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 130), max_size=10))
def test_heads_are_collected_through_every_split(cuts: list[int]) -> None:
    data = b"\r\n" + GET + GET + b"body"
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    collector = HeadCollector(1000, empty_line_first=True)
    heads, rest = [], b""
    for start, end in pairwise(edges):
        rest = data[start:end]
        while (found := collector.feed(rest)) is not None:
            heads.append(found[0])
            rest = found[1]
            if len(heads) == 2:
                assert rest + data[end:] == b"body"
                assert not collector.started
                assert heads == [GET, GET]
                return
    pytest.fail("two heads came")


def test_a_head_in_single_bytes() -> None:
    collector = HeadCollector(len(GET))
    for at in range(len(GET) - 1):
        assert collector.feed(GET[at : at + 1]) is None
        assert collector.started
    assert collector.feed(GET[-1:]) == (GET, b"")


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_a_head_that_does_not_end_is_too_large(pieces: int) -> None:
    collector = HeadCollector(1000)
    endless = b"GET / HTTP/1.1\r\nA: " + b"a" * 2000
    with pytest.raises(Malformed) as malformed:
        feed(collector, endless, pieces)
    assert malformed.value.status == 431


def test_a_head_that_ends_too_late_is_too_large() -> None:
    with pytest.raises(Malformed) as malformed:
        HeadCollector(len(GET) - 1).feed(GET)
    assert malformed.value.status == 431


def test_only_one_empty_line_is_skipped_and_only_before_requests() -> None:
    assert HeadCollector(1000, empty_line_first=True).feed(b"\r\n" + GET) == (GET, b"")
    found = HeadCollector(1000, empty_line_first=True).feed(b"\r\n\r\n\r\n" + GET)
    assert found is not None
    assert found[0] != GET
    found = HeadCollector(1000).feed(b"\r\n" + GET)
    assert found is not None
    assert found[0] != GET


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: x\n\n", b"\nGET", b"GET / HTTP/1.1\r\nHost: x\n"])
def test_lines_without_cr_are_refused_before_time_is_up(data: bytes) -> None:
    for step in (1, 100):
        collector = HeadCollector(1000)
        with pytest.raises(Malformed):
            feed(collector, data, step)


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_request() -> None:
    head = parse_request(GET)
    assert (head.method, head.target, head.version, head.host) == ("GET", "/a?b=c", "1.1", "x.a.example")
    assert head.headers == (("Host", "x.a.example"), ("A", "b"))
    assert head.framing == 0
    assert head.keep_alive
    assert head.upgrade is None


def test_values_lose_their_white_space_and_keep_their_bytes() -> None:
    head = request("A:\t b c\xe9 \t", "B:", "C:d")
    assert head.headers[1:] == (("A", "b c\xe9"), ("B", ""), ("C", "d"))


@pytest.mark.parametrize(
    "line",
    [
        "POST / HTTP/1.1 ",
        "POST  / HTTP/1.1",
        " POST / HTTP/1.1",
        "POST /a b HTTP/1.1",
        "POST /\x00 HTTP/1.1",
        "POST /\t HTTP/1.1",
        "POST /\xe9 HTTP/1.1",
        "POST /\x7f HTTP/1.1",
        "POST /\r HTTP/1.1",
        "POST / HTTP/1.1\r",
        "POST /",
        "POST",
        "",
        "POST / http/1.1",
        "POST / HTTP/1",
        "POST / HTTP/1.10",
        "POST / RTSP/1.0",
        "POST / ICE/1.0",
        "POST foo HTTP/1.1",
        "POST * HTTP/1.1",
        "POST /a#b HTTP/1.1",
        "POST //x@y#b HTTP/1.1",
        "POST ftp://x/ HTTP/1.1",
        "POST http:///a HTTP/1.1",
        "POST http://y/ HTTP/1.1",
        "POST http://u@x/ HTTP/1.1",
        "POST http://x:1/ HTTP/1.1",
        "CONNECT x:443 HTTP/1.1",
        "CONNECT / HTTP/1.1",
    ],
)
def test_request_lines_that_are_refused(line: str) -> None:
    assert refused(line=line) == 400


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
def test_other_versions(version: str) -> None:
    assert refused(line=f"POST / HTTP/{version}") == 505


def test_the_preface_of_http_2() -> None:
    with pytest.raises(Malformed) as malformed:
        parse_request(b"PRI * HTTP/2.0\r\n\r\n")
    assert malformed.value.status == 505


@pytest.mark.parametrize("method", ["BREW", "get", "GETT"])
def test_methods_that_are_not_known(method: str) -> None:
    assert refused(line=f"{method} / HTTP/1.1") == 501


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "PROPFIND", "REPORT", "PURGE", "QUERY"])
def test_methods_that_are_known(method: str) -> None:
    assert request(line=f"{method} / HTTP/1.1").method == method


@pytest.mark.parametrize(
    "header",
    [
        "A : b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A\xe9: b",
        "A b: c",
        "A: b\r\n c",
        "A: b\r\n\tc",
        "A: b\nB: c",
        "A: b\rB: c",
        "A: b\r",
        "A: b\x00c",
        "A\x00: b",
        "A: b\x01",
        "A: b\x7f",
        "Host: x",
        "host: y",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 9223372036854775808",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: \x0bchunked",
        'Transfer-Encoding: "chunked"',
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
    ],
)
def test_headers_that_are_refused(header: str) -> None:
    assert refused(header) == 400


@pytest.mark.parametrize(
    "host", ["", "a b", "a,b", "a/b", "u@a", "a:b", "a:123456", "a:", "[::1", "a\xe9", "<script>", 'a"b', "a\\b", "a;b"]
)
def test_malformed_hosts(host: str) -> None:
    assert refused(f"Host: {host}", host=False) == 400


@pytest.mark.parametrize("host", ["a", "a.b.", "A-b_c.d:80", "[::1]", "[2001:db8::1]:8080", "127.0.0.1:1"])
def test_well_formed_hosts(host: str) -> None:
    assert request(f"Host: {host}", host=False).host == host


def test_http_1_1_needs_a_host_and_http_1_0_does_not() -> None:
    assert refused(host=False) == 400
    assert request(host=False, line="GET / HTTP/1.0").host == ""
    assert refused("Host: x", "Host: x", host=False, line="GET / HTTP/1.0") == 400


def test_http_1_0_has_no_transfer_encoding() -> None:
    assert refused("Transfer-Encoding: chunked", line="POST / HTTP/1.0") == 400


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://x/a?b", "/a?b"),
        ("HTTP://X/a", "/a"),
        ("https://x", "/"),
        ("http://x?a=b", "/?a=b"),
    ],
)
def test_the_absolute_form_becomes_the_origin_form(target: str, expected: str) -> None:
    assert request(line=f"GET {target} HTTP/1.1").target == expected


def test_the_absolute_form_names_the_host_where_http_1_0_has_none() -> None:
    head = request(line="GET http://y:80/a HTTP/1.0", host=False)
    assert (head.host, head.target) == ("y:80", "/a")
    assert head.headers == (("Host", "y:80"),)


def test_options_of_the_server_itself() -> None:
    assert request(line="OPTIONS * HTTP/1.1").target == "*"
    assert request(line="OPTIONS http://x HTTP/1.1").target == "*"


def test_too_many_headers() -> None:
    lines = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 99
    assert parse_request(lines + b"\r\n", most_headers=100)
    with pytest.raises(Malformed) as malformed:
        parse_request(lines + b"A: b\r\n\r\n", most_headers=100)
    assert malformed.value.status == 431


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), 0),
        (("Content-Length: 0",), 0),
        (("Content-Length: 5",), 5),
        (("Content-Length: 0005",), 5),
        (("Content-Length: 9223372036854775807",), 2**63 - 1),
        (("Transfer-Encoding: chunked",), Delimited.CHUNKED),
        (("transfer-encoding: CHUNKED",), Delimited.CHUNKED),
    ],
)
def test_the_framing_of_requests(headers: tuple[str, ...], expected: Framing) -> None:
    assert request(*headers).framing == expected


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "keep-alive, Close", False),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_whether_the_connection_stays(version: str, connection: str, expected: bool) -> None:
    assert request(f"Connection: {connection}", line=f"GET / HTTP/{version}").keep_alive is expected


def test_what_connection_names() -> None:
    assert request("Connection: A, b ,,", "connection: C").named == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Connection: Upgrade", "Upgrade: websocket"), "websocket"),
        (("Connection: keep-alive, upgrade", "Upgrade: WebSocket"), "WebSocket"),
        (("Upgrade: websocket",), None),
        (("Connection: Upgrade",), None),
        (("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"), None),
        (("Connection: Upgrade", "Upgrade: websocket, h2c"), None),
        (("Connection: Upgrade", "Upgrade: websocket", "Upgrade: H2C"), None),
        (("Connection: Upgrade", "Upgrade: HTTP/2.0"), None),
        (("Connection: Upgrade", "Upgrade: TLS/1.0, HTTP/1.1"), None),
    ],
)
def test_which_upgrades_are_passed_on(headers: tuple[str, ...], expected: str | None) -> None:
    assert request(*headers, line="GET / HTTP/1.1").upgrade == expected
    assert request(*headers, line="GET / HTTP/1.0").upgrade is None


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(b"GET / HTTP/1.1\r\n" + garbage.replace(b"\r\n\r\n", b"") + b"\x00\r\n\r\n")


# -- responses --------------------------------------------------------------------------------------------------------


def test_a_response() -> None:
    head = parse_response(b"HTTP/1.1 404 Not There\r\nA: b\r\nContent-Length: 3\r\n\r\n", "GET")
    assert (head.status, head.reason, head.version) == (404, "Not There", "1.1")
    assert head.headers == (("A", "b"), ("Content-Length", "3"))
    assert head.framing == 3


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 999 \xe9"])
def test_status_lines(line: bytes) -> None:
    assert parse_response(line + b"\r\n\r\n", "GET").status in (200, 999)


@pytest.mark.parametrize(
    ("method", "start", "headers", "expected"),
    [
        ("GET", "HTTP/1.1 200 OK", "", Delimited.UNTIL_CLOSE),
        ("GET", "HTTP/1.0 200 OK", "", Delimited.UNTIL_CLOSE),
        ("GET", "HTTP/1.1 200 OK", "Content-Length: 3\r\n", 3),
        ("GET", "HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", Delimited.CHUNKED),
        ("HEAD", "HTTP/1.1 200 OK", "Content-Length: 3\r\n", 0),
        ("HEAD", "HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", 0),
        ("GET", "HTTP/1.1 304 Not Modified", "Content-Length: 3\r\n", 0),
        ("GET", "HTTP/1.1 204 No Content", "Content-Length: 3\r\n", 0),
        ("GET", "HTTP/1.1 100 Continue", "", 0),
        ("GET", "HTTP/1.1 101 Switching", "Upgrade: x\r\nConnection: upgrade\r\n", 0),
        ("GET", "HTTP/1.1 205 Reset", "Content-Length: 0\r\n", 0),
    ],
)
def test_the_framing_of_responses(method: str, start: str, headers: str, expected: Framing) -> None:
    assert parse_response(f"{start}\r\n{headers}\r\n".encode(), method).framing == expected


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x01K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
def test_responses_that_are_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        parse_response(head, "GET")
