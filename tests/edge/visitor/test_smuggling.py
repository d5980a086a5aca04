"""
The published ways to smuggle a request, one line each: what the visitor sends, and that it is refused before anything
of it reaches a local server. Each is followed by a request that must not be served any more.

The facts are those of Watchfire (2005), Kettle's desync papers, Grenfeldt's and the HTTP Garden's lists, and of the
suites of h11 and llhttp. ``tests/fuzz`` puts the same tricks anywhere.
"""

from __future__ import annotations

import pytest

from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.strict_http import read_request, read_requests, read_response

HOST = b"Host: shop.a.example\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Answering:
    """A local server that answers each whole request, read by the letter."""

    def __init__(self) -> None:
        self._answered: dict[int, int] = {}

    def __call__(self, stream: FakeStream, _: bytes) -> None:
        whole = sum(each.is_whole for each in read_requests(bytes(stream.written)))
        while self._answered.get(id(stream), 0) < whole:
            self._answered[id(stream)] = self._answered.get(id(stream), 0) + 1
            stream.client_sends(OK)


def visited(data: bytes, *, step: int = 100_000) -> tuple[list[bytes], list[tuple[bytes, bytes]], bool]:
    """
    Of a visitor who sends *data* by *step* bytes: the statuses that he hears, target and content of the whole requests
    that reached the local server, and whether his connection stays.
    """
    visit = Visit(live_forwarding(FakeClient(answer=Answering())))
    for at in range(0, len(data), step):
        visit.say(data[at : at + step])
    statuses, heard = [], visit.heard()
    while heard:
        response = read_response(heard, b"GET")
        assert response.is_whole, heard
        statuses.append(response.start[0])
        heard = response.rest
    reached = [
        (each.start[1], each.content)
        for stream in visit.client.opened
        for each in read_requests(bytes(stream.written))
        if each.is_whole
    ]
    is_open = visit.is_open
    visit.leave()
    return statuses, reached, is_open


def is_refused(data: bytes, status: bytes = b"400") -> None:
    for step in (1, 100_000):
        assert visited(data + NEXT, step=step) == ([status], [], False), data


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\n" + HOST + b"".join(each + b"\r\n" for each in fields) + b"\r\n" + body


# -- the request line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET /\tHTTP/1.1",
        b"GET\x0b/ HTTP/1.1",
        b" GET / HTTP/1.1",
        b"\tGET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/1.1\t",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\x00",
        b"GET / HTTP/1.1, HTTP/1.1",
        b"GET /a /b HTTP/1.1",
        b"GET /\rHTTP/1.1",
        b"GET /\nHTTP/1.1",
        b"GET\r / HTTP/1.1",
        b"\x00GET / HTTP/1.1",
        b"G\x00ET / HTTP/1.1",
        b'G=":<>(e),[T];?" / HTTP/1.1',
        b"GET\xff / HTTP/1.1",
        b"GET",
        b"GET ",
        b"GET /",  # HTTP/0.9
        b"GET / ",
        b"/ HTTP/1.1",
        b"HTTP/1.1 200 OK",
        b"GET / http/1.1",
        b"GET / HtTP/1.1",
        b"GET / HTTP1.1",
        b"GET / HTTP /1.1",
        b"GET / HTTP/ 1.1",
        b"GET / HTTP/1. 1",
        b"GET / HTTP/1",
        b"GET / HTTP/1.",
        b"GET / HTTP/.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/01.1",
        b"GET / HTTP/1.01",
        b"GET / HTTP/1.1.1",
        b"GET / HTTP/1,1",
        b"GET / HTTP/+1.1",
        b"GET / HTTP/-1.1",
        b"GET / HTTP/\r\r1.1",
        b"GET / HTTPS/1.1",
        b"GET / ICE/1.0",
        b"GET / RTSP/1.0",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /#fragment HTTP/1.1",
        b"GET /?#fragment HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET ! HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET ?a HTTP/1.1",
        b"GET shop.a.example HTTP/1.1",
        b"GET shop.a.example:80 HTTP/1.1",
        b"GET @blog.a.example/ HTTP/1.1",
        b"GET http://blog.a.example/ HTTP/1.1",
        b"GET http://shop.a.example:81/ HTTP/1.1",
        b"GET http://shop.a.example@blog.a.example/ HTTP/1.1",
        b"GET http://user@shop.a.example/ HTTP/1.1",
        b"GET http://shop.a.example\\@blog.a.example/ HTTP/1.1",
        b"GET http:///a HTTP/1.1",
        b"GET http:/a HTTP/1.1",
        b"GET http://shop.a.example/#a HTTP/1.1",
        b"GET http:// shop.a.example/ HTTP/1.1",
        b"GET ftp://shop.a.example/ HTTP/1.1",
        b"GET file:///etc/passwd HTTP/1.1",
        b"OPTIONS ** HTTP/1.1",
        b"POST * HTTP/1.1",
        b"CONNECT shop.a.example:443 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"CONNECT http://shop.a.example/ HTTP/1.1",
    ],
)
def test_request_lines(line: bytes) -> None:
    is_refused(line + b"\r\n" + HOST + b"\r\n")


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"1.9", b"2.0", b"3.0", b"9.9"])
def test_other_versions(version: bytes) -> None:
    is_refused(b"GET / HTTP/" + version + b"\r\n" + HOST + b"\r\n", b"505")


def test_the_preface_of_http_2_in_plain() -> None:
    is_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"505")


@pytest.mark.parametrize("method", [b"get", b"Get", b"GETT", b"GE", b"SHOP", b"CONNECTS", b"X"])
def test_methods_that_nobody_knows(method: bytes) -> None:
    is_refused(method + b" / HTTP/1.1\r\n" + HOST + b"\r\n", b"501")


# -- whose request it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"X: y\r\n",
        HOST + HOST,
        HOST + b"host: blog.a.example\r\n",
        HOST + b"X: y\r\nHOST: blog.a.example\r\n",
        b"Host: blog.a.example\r\nHost:\r\n",
        b"Host:\r\n",
        b"Host: \t\r\n",
        b"Host: shop.a.example, blog.a.example\r\n",
        b"Host: shop.a.example blog.a.example\r\n",
        b"Host: shop.a.example/\r\n",
        b"Host: shop.a.example/@blog.a.example\r\n",
        b"Host: blog.a.example@shop.a.example\r\n",
        b"Host: http://shop.a.example\r\n",
        b"Host: shop.a.example?a\r\n",
        b"Host: shop.a.example#a\r\n",
        b"Host: shop.a.example:\r\n",
        b"Host: shop.a.example:x\r\n",
        b"Host: shop.a.example:+80\r\n",
        b"Host: shop.a.example:80:80\r\n",
        b"Host: shop.a.example:800000\r\n",
        b"Host: shop.a.example\x00blog.a.example\r\n",
        b"Host: shop.a.example\x0b\r\n",
        b"Host: \xa0shop.a.example\r\n",
        b"Host: shop%2ea.example\r\n",
        b'Host: "shop.a.example"\r\n',
        b"Host: [shop.a.example]\r\n",
        b"Host: [::1\r\n",
        b"Host : shop.a.example\r\n",
        b"Host\t: shop.a.example\r\n",
        b" Host: shop.a.example\r\n",
        b"Host: shop.a.example\r\n blog.a.example\r\n",
        b"Host:\r\n shop.a.example\r\n",
        b"Host; shop.a.example\r\n",
        b"X-Host: shop.a.example\r\n",
        HOST + b"X: y\rHost: blog.a.example\r\n",
        HOST + b"X: y\nHost: blog.a.example\r\n",
        HOST + b" Host: blog.a.example\r\n",
        HOST + b"Host\x00: blog.a.example\r\n",
        HOST + b"Host : blog.a.example\r\n",
        HOST + b"\x0bHost: blog.a.example\r\n",
    ],
)
def test_hosts(fields: bytes) -> None:
    is_refused(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")


@pytest.mark.parametrize("host", [b"shop_a_example", b"shop.a.example.a.example", b"x.shop.a.example", b"a.example"])
def test_a_host_that_only_looks_like_one_s_own_is_nobody_s(host: bytes) -> None:
    statuses, reached, _ = visited(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert (statuses, reached) == ([b"404"], [])


# -- lines and names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        b"X: y\r\n z",
        b"X: y\r\n\tz",
        b"X:\r\n y",
        b"X: y\r\n ",
        b" X: y",
        b"\tX: y",
        b" ",
        b"\t",
        b"X: y\nZ: z",
        b"X: y\n\r\nZ: z",
        b"X: y\rZ: z",
        b"X: y\r",
        b"X: y\r\rZ: z",
        b"X: \r",
        b"\r",
        b"X\r: y",
        b"X: y\x00",
        b"X: \x00",
        b"X\x00: y",
        b"X: y\x01z",
        b"X: y\x08z",
        b"X: y\x0bz",
        b"X: y\x0cz",
        b"X: y\x1fz",
        b"X: y\x7fz",
        b"X : y",
        b"X\t: y",
        b"X\x0b: y",
        b": y",
        b":",
        b"X",
        b"X y",
        b"X\xe9: y",
        b"X y: z",
        b"(X): y",
        b"X,: y",
        b"X;: y",
        b'X": y',
        b"X/: y",
        b"X=: y",
        b"X?: y",
        b"X@: y",
        b"[X]: y",
        b"X\\: y",
        b"{X}: y",
        b"<X>: y",
    ],
)
def test_fields(field: bytes) -> None:
    is_refused(post(field))
    is_refused(b"POST /a HTTP/1.1\r\n" + field + b"\r\n" + HOST + b"\r\n")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\x0b\r\n", b"\x85"])
def test_other_ends_of_lines(end: bytes) -> None:
    statuses, reached, _ = visited((b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n").replace(b"\r\n", end) + NEXT)
    assert (statuses, reached) == ([b"400"], [])


def test_more_than_one_empty_line_before_a_request() -> None:
    is_refused(b"\r\n\r\n" + NEXT)


# -- how long it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 0"),
        (b"Content-Length: 0", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length:"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: 5, 0",),
        (b"Content-Length: 0, 5",),
        (b"Content-Length: 5,",),
        (b"Content-Length: ,5",),
        (b"Content-Length:",),
        (b"Content-Length: \t",),
        (b"Content-Length: +5",),
        (b"Content-Length: -5",),
        (b"Content-Length: -0",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 0o5",),
        (b"Content-Length: 5_0",),
        (b"Content-Length: 5 0",),
        (b"Content-Length: 5\t0",),
        (b"Content-Length: 5.0",),
        (b"Content-Length: 5e0",),
        (b"Content-Length: 5;",),
        (b"Content-Length: '5'",),
        (b'Content-Length: "5"',),
        (b"Content-Length: five",),
        (b"Content-Length: 5\x00",),
        (b"Content-Length: 5\x0b",),
        (b"Content-Length: \x0b5",),
        (b"Content-Length: 5\xa0",),
        (b"Content-Length: \xd9\xa5",),
        (b"Content-Length: 9223372036854775808",),
        (b"Content-Length: 00000000000000000005",),
        (b"Content-Length: " + b"0" * 5000 + b"5",),
        (b"Content-Length: 18446744073709551615",),
        (b"Content-Length: 18446744073709551616",),
        (b"Content-Length: 18446744073709551621",),
        (b"Content-Length: 340282366920938463463374607431768211461",),
        (b"Content-Length : 5",),
        (b"Content-Length\t: 5",),
        (b"Content-Length\x00: 5",),
        (b" Content-Length: 5",),
        (b"Content-Length:\r\n 5",),
        (b"Content-Length: 5\r\n 0",),
        (b"X: y\rContent-Length: 5",),
        (b"X: y\nContent-Length: 5",),
        (b"Content-Length: 5\rX: y",),
        (b"Content Length: 5",),
    ],
)
def test_lengths(fields: tuple[bytes, ...]) -> None:
    is_refused(post(*fields, body=b"hello"))


CHUNKS = b"0\r\n\r\n"


@pytest.mark.parametrize(
    "coding",
    [
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: deflate",
        b"Transfer-Encoding: cow",
        b"Transfer-Encoding: cow chunked bar",
        b"Transfer-Encoding: chunk",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: chunkedchunked",
        b"Transfer-Encoding: chunked;",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: , chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: \t",
        b"Transfer-Encoding: 'chunked'",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: ch\x96nked",
        b"Transfer-Encoding: chun\x00ked",
        b"Transfer-Encoding: \xa0chunked\xa0",
        b"Transfer-Encoding: \x85chunked",
        b"Transfer-Encoding:\n chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding: chunked\r\n , identity",
        b"Transfer-Encoding: chunked\r",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b"Transfer-Encoding\r: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer Encoding: chunked",
        b"Transfer\r-Encoding: chunked",
        b"Transf\x82r-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\nTransfer-Encoding: chunked",
    ],
)
def test_codings(coding: bytes) -> None:
    is_refused(post(coding, body=CHUNKS))
    is_refused(post(b"Content-Length: 5", coding, body=CHUNKS))
    is_refused(post(coding, b"Content-Length: 4", body=b"5c\r\n" + INNER + CHUNKS))


@pytest.mark.parametrize("coding", [b"Transfer-Encoding: chunked", b"TRANSFER-encoding:CHUNKED\t"])
@pytest.mark.parametrize(
    "length", [b"Content-Length: 5", b"Content-Length: 0", b"Connection: close\r\nContent-Length: 6"]
)
def test_a_length_beside_chunks(coding: bytes, length: bytes) -> None:
    """CL.TE and TE.CL, as they were found first."""
    is_refused(post(length, coding, body=CHUNKS + INNER))
    is_refused(post(coding, length, body=CHUNKS + INNER))
    is_refused(post(coding, length, b"Connection: Content-Length", body=CHUNKS + INNER))


@pytest.mark.parametrize("byte", [bytes([each]) for each in (*range(0x21), *range(0x7F, 0x100))])
def test_a_coding_beside_a_length_whatever_byte_hides_it(byte: bytes) -> None:
    for coding in (
        b"Transfer-Encoding:%bchunked" % byte,
        b"Transfer-Encoding%b: chunked" % byte,
        b"%bTransfer-Encoding: chunked" % byte,
        b"Transfer-Encoding: chunked%b" % byte,
        b"Transfer%bEncoding: chunked" % byte,
    ):
        data = post(b"Content-Length: 5", coding, body=CHUNKS + INNER)
        assert visited(data) == ([b"400"], [], False), coding


def test_http_1_0_has_no_chunks() -> None:
    is_refused(b"POST /a HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS)


# -- what looks like a trick and is none ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "content"),
    [
        # CL.0, and a GET with content: what is content stays content.
        (post(b"Content-Length: %d" % len(INNER), body=INNER), INNER),
        (post(b"Content-Length: %d" % len(INNER), body=INNER).replace(b"POST", b"GET", 1), INNER),
        (post(b"Content-Length: %d" % len(INNER), body=INNER).replace(b"POST", b"OPTIONS", 1), INNER),
        (post(b"Content-Length: 0"), b""),
        (post(b"Content-Length: 00005", body=b"hello"), b"hello"),
        (post(b"Content-Length:\t5 \t", body=b"hello"), b"hello"),
        # Names that a reader may take for others are not passed on.
        (post(b"Content_Length: 5"), b""),
        (post(b"Transfer_Encoding: chunked"), b""),
        (post(b"transfer-encoding: cHuNkEd", body=b"5\r\nhello\r\n" + CHUNKS), b"hello"),
        (post(b"Content-Encoding: chunked"), b""),
        # The framing is no header of the hop that Connection could take away.
        (post(b"Connection: Content-Length, Host", b"Content-Length: 5", body=b"hello"), b"hello"),
        # 0.CL: whether an expectation is read or not, content is awaited.
        (post(b"Expect: 100-continue", b"Content-Length: %d" % len(INNER), body=INNER), INNER),
        (post(b"Expect: y 100-continue", b"Content-Length: %d" % len(INNER), body=INNER), INNER),
        (post(b"Expect:", b"Content-Length: 5", body=b"hello"), b"hello"),
        (post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), b"hello"),
    ],
)
def test_what_is_content_stays_content(data: bytes, content: bytes) -> None:
    for step in (1, 100_000):
        assert visited(data + NEXT, step=step) == ([b"200", b"200"], [(b"/a", content), (b"/next", b"")], True)


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        b"Connection: upgrade\r\nUpgrade: H2C",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c",
        b"Connection: Upgrade\r\nUpgrade: h2c/1",
        b"Connection: Upgrade\r\nUpgrade: HTTP/2.0",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.2",
        b"Upgrade: h2c",
    ],
)
def test_an_upgrade_that_would_hide_requests_is_not_asked_for(upgrade: bytes) -> None:
    visit = Visit()
    visit.say(post(upgrade, b"Content-Length: 5", body=b"hello"))
    request = read_request(visit.asked())
    assert request.is_whole
    assert not request.values(b"upgrade") + request.values(b"connection")
    visit.stream.client_sends(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    visit.say(INNER)
    assert visit.asked() == b""
    assert visit.heard().startswith(b"HTTP/1.1 502 ")
    visit.leave()
