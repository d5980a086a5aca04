"""
The published ways to smuggle a request between chunks. The head has reached the local server by then; what must not is
the end of that request, or anything that could be read as one, or anything after it.
"""

from __future__ import annotations

import pytest

from tests.edge.visitor.test_smuggling import INNER, NEXT, post, visited
from tests.edge.visitor.visits import Visit
from tests.support.strict_http import End, read_request

END = b"0\r\n\r\n"


def chunks(*parts: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=b"".join(parts))


@pytest.mark.parametrize(
    "body",
    [
        # sizes
        b"\r\nhello\r\n",
        b"\r\n\r\n",
        b" \r\n\r\n",
        b";\r\n\r\n",
        b"0x5\r\nhello\r\n",
        b"0X0\r\n\r\n",
        b"x\r\n",
        b"5x\r\nhello\r\n",
        b"5h\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"-0\r\n\r\n",
        b"+0\r\n\r\n",
        b"0_2e\r\n\r\n",
        b"5_\r\nhello\r\n",
        b"5.0\r\nhello\r\n",
        b"5,5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"\t5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\t\r\nhello\r\n",
        b"5 5\r\nhello\r\n",
        b"0 \r\n\r\n",
        b"5\x00\r\nhello\r\n",
        b"5\x0b\r\nhello\r\n",
        b"5\xa0\r\nhello\r\n",
        b"\xd9\xa5\r\nhello\r\n",
        b"\xef\xbc\x95\r\nhello\r\n",
        b'"5"\r\nhello\r\n',
        b"fffffffffffffffff\r\n",
        b"10000000000000005\r\nhello\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"8000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        # ends of lines
        b"5\nhello\r\n",
        b"5\rhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5\n\r\nhello\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"5\r\nhello world\r\n0\r\n\r\n",
        b"3\r\nxxx__1a\r\n",
        b"3\r\nxxx\r_1a\r\n",
        b"3\r\nxxx_\n1a\r\n",
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\n\n",
        b"0\r\r\n\r\n",
        b"0\r\n\r\r\n",
        # extensions: TERM.EXT, EXT.TERM, and what else hides a line's end
        b"5;\r\nhello\r\n",
        b"5;\nhello\r\n",
        b"5;a\nhello\r\n",
        b"5;a\n\r\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5;a\r\r\nhello\r\n",
        b"5;\n\n0\r\n\r\n",
        b"2;\nxx\r\n0\r\n\r\n",
        b"5;a=\nhello\r\n",
        b'5;a="\nhello\r\n',
        b'5;a="b\r\nhello\r\n',
        b'5;a="b\r\n"\r\nhello\r\n',
        b'5;a="def; ghi\r\nhello\r\n',
        b"5;a=\r\nhello\r\n",
        b"5;=b\r\nhello\r\n",
        b"5; =b\r\nhello\r\n",
        b"5;;\r\nhello\r\n",
        b"5 a\r\nhello\r\n",
        b"5 erfrferferf\r\nhello\r\n",
        b"0 rrrr\r\n\r\n",
        b"0;\x00\r\n\r\n",
        b"0;a\x0bb\r\n\r\n",
        b"0;a\x7f\r\n\r\n",
        b"0;a\xe9\r\n\r\n",
        b"5;" + b"a" * 2000 + b"\r\nhello\r\n",
        # trailers
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nTransfer_Encoding: chunked\r\n\r\n",
        b"0\r\nHost: blog.a.example\r\n\r\n",
        b"0\r\nConnection: close\r\n\r\n",
        b"0\r\nUpgrade: h2c\r\n\r\n",
        b"0\r\nTrailer: Host\r\n\r\n",
        b"0\r\nAuthorization: Basic YTpi\r\n\r\n",
        b"0\r\nCookie: a=b\r\n\r\n",
        b"0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
        b"0\r\nForwarded: for=10.0.0.1\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX: y\r\n z\r\n\r\n",
        b"0\r\nX: y\nHost: x\r\n\r\n",
        b"0\r\nX: y\rHost: x\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
        b"0\r\n\xe9: y\r\n\r\n",
        b"0\r\nX: " + b"y" * 2000 + b"\r\n\r\n",
        b"0\r\n" + b"X: yyyyyyyyyyyyyyyy\r\n" * 1000 + b"\r\n",
        b"0\r\nGET /smuggled HTTP/1.1\r\nHost: shop.a.example\r\n\r\n",
    ],
)
def test_chunks_that_are_refused(body: bytes) -> None:
    for step in (1, 100_000):
        assert visited(chunks(body, END, INNER, NEXT), step=step) == ([b"400"], [], False)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"5\r\nhello\r\n" + END, b"hello"),
        (b"a\r\n0123456789\r\n" + END, b"0123456789"),
        (b"A\r\n0123456789\r\n" + END, b"0123456789"),
        (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n" + END, b"hello world"),
        (b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
        (b"5 ; a = b\r\nhello\r\n" + END, b"hello"),
        (
            b"5;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\nhello\r\n" + END,
            b"hello",
        ),
        (b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nVary: *\r\n\r\n", b"hello"),
        (b"7\r\n\r\n0\r\n\r\n\r\n" + END, b"\r\n0\r\n\r\n"),
        (b"%x\r\n%b\r\n" % (len(INNER), INNER) + END, INNER),
    ],
)
def test_chunks_that_are_read(body: bytes, content: bytes) -> None:
    for step in (1, 100_000):
        expected = [(b"/a", content), (b"/next", b"")]
        assert visited(chunks(body, NEXT), step=step) == ([b"200", b"200"], expected, True)


def test_a_request_that_is_refused_in_its_middle_is_never_complete_for_its_local_server() -> None:
    visit = Visit()
    visit.say(chunks(b"5\r\nhello\r\n"))
    visit.say(b"5;\r\nworld\r\n" + END)
    request = read_request(visit.asked())
    assert (request.end, request.content) == (End.SHORT, b"hello")
    assert visit.stream.aborted
    visit.leave()
