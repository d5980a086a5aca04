"""
One visitor connection's bytes: requests as visitors send them, to several hosts in turn.
"""

from __future__ import annotations

from random import Random

from tests.fuzz.mutations import mutated

HERE = (b"shop.a.example", b"blog.a.example")
_NOBODYS = (b"nobody.a.example", b"elsewhere.example", b"[::1]")
_METHODS = (b"GET", b"GET", b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND")
_TARGETS = (
    b"/",
    b"/a",
    b"/a?b=c&d=%20",
    b"//x/../y",
    b"/%2e%2e/%00",
    b"/a;b='c'\"(){}|\\^`<>",
    b"http://%s/",
    b"http://%s/a?b",
    b"HTTPS://%s",
)
_FIELDS = (
    b"Accept: */*",
    b"Cookie: a=b; c=d",
    b"Cookie: e=f",
    b"X-Empty:",
    b"X-White: \t a \t b \t",
    b"X-Tight:a",
    b"X-Latin: \xe9\xff",
    b"x_under_score: 1",
    b"X-Forwarded-For: 10.0.0.1",
    b"X_Forwarded_For: 10.0.0.2",
    b"Forwarded: for=10.0.0.3",
    b"X-Forwarded-Ssl: on",
    b"TE: trailers",
    b"Trailer: X-Sum",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Connection: X-Hop, x-other\r\nX-Hop: 1\r\nX-Other: 2",
    b"Connection: Host, Content-Length",
    b"Connection: keep-alive",
    b"Connection: ,, TE",
    b"Connection: close",
    b"Upgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Expect: 100-continue",
    b"Content-Type: text/plain",
    b"Authorization: Basic YTpi",
    b"Authorization: Negotiate YTpi",
    b"Range: bytes=0-3",
    b"!#$%&'*+.^_`|~0: odd",
)
_CONTENTS = (
    b"hello",
    b"x",
    b"GET /inner HTTP/1.1\r\nHost: shop.a.example\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0\xff" * 9,
    b"abcdefghij" * 300,
)
_EXTENSIONS = (b"", b"", b"", b";a", b";a=b", b' ; a = "b;\\"c"', b";a;b=1;c")
_TRAILERS = (b"", b"", b"", b"X-Sum: 1\r\n", b"X-Sum:1\r\nX-White: \t a b \t\r\n", b"x_y: \xe9\r\n")


def connection(chance: Random, here: tuple[bytes, bytes] = HERE) -> bytes:
    """What one visitor sends: up to five requests to two hosts that are *here*, spoilt in three of five cases."""
    data = b"".join(request(chance, here) for _ in range(chance.choice((1, 1, 2, 2, 3, 5))))
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        data = mutated(data, chance)
    return data


def request(chance: Random, here: tuple[bytes, bytes]) -> bytes:
    one = here[0]
    host = chance.choice((*(here * 6), one.swapcase(), one + b":7080", one + b".", *_NOBODYS))
    method = chance.choice(_METHODS)
    target = chance.choice(_TARGETS)
    if b"%s" in target:
        target = target.replace(b"%s", host)
    elif method == b"OPTIONS" and chance.random() < 0.5:
        target = b"*"
    version = b"1.0" if chance.random() < 0.1 else b"1.1"
    fields = [b"Host: " + host, *chance.sample(_FIELDS, chance.choice((0, 0, 1, 2, 3)))]
    if version == b"1.0" and chance.random() < 0.7:
        fields.append(b"Connection: keep-alive")
    content = b""
    if chance.random() < (0.1 if method == b"GET" else 0.6):
        framing, content = _framed(chance, may_chunk=version == b"1.1")
        fields.append(framing)
    chance.shuffle(fields)
    before = b"\r\n" if chance.random() < 0.05 else b""
    return before + b"%s %s HTTP/%s\r\n" % (method, target, version) + b"\r\n".join(fields) + b"\r\n\r\n" + content


def _framed(chance: Random, *, may_chunk: bool) -> tuple[bytes, bytes]:
    """The field that frames some content, and the content as it is framed."""
    content = chance.choice(_CONTENTS)
    if not may_chunk or chance.random() < 0.4:
        if chance.random() < 0.1:
            return b"Content-Length: 0", b""
        return b"Content-Length: %d" % len(content), content
    return b"Transfer-Encoding: chunked", chunked(content, chance)


def chunked(content: bytes, chance: Random) -> bytes:
    framed = b""
    while content:
        piece = content[: chance.choice((1, 5, 16, 10_000) if len(content) < 100 else (500, 4000))]
        size = chance.choice((b"%x", b"%X", b"00%x")) % len(piece)
        framed += size + chance.choice(_EXTENSIONS) + b"\r\n" + piece + b"\r\n"
        content = content[len(piece) :]
    return framed + chance.choice((b"0", b"000", b"0;last")) + b"\r\n" + chance.choice(_TRAILERS) + b"\r\n"
