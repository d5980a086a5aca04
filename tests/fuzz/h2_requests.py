"""
One visitor's requests over HTTP/2, most of them well formed, as frames; and what a strict reader (RFC 9113 8) takes
them for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from tests.support import h2_frames as h2
from tests.support.strict_http import NOT_IN_TRAILERS, Field, Message

HERE = b"shop.a.example"
_HOSTS = (HERE, HERE, HERE, b"SHOP.a.example", b"shop.a.example:443", b"nobody.a.example")
_METHODS = (b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PROPFIND", b"BREW")
_PATHS = (b"/", b"/a?b=c", b"//x/../y", b"/%00", b"/a;b='c'\"(){}|\\^`<>", b"*")
_FIELDS: tuple[Field, ...] = (
    (b"accept", b"*/*"),
    (b"cookie", b"a=b"),
    (b"cookie", b"c=d"),
    (b"x-empty", b""),
    (b"x-latin", b"\xe9\xff"),
    (b"x-white", b"a \t b"),
    (b"x_under_score", b"1"),
    (b"te", b"trailers"),
    (b"host", HERE),
    (b"expect", b"100-continue"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"x_forwarded_for", b"10.0.0.2"),
    (b"forwarded", b"for=10.0.0.3"),
    (b"authorization", b"Basic YTpi"),
    (b"trailer", b"x-sum"),
)
_ODD_FIELDS: tuple[Field, ...] = (
    (b"connection", b"close"),
    (b"connection", b"content-length"),
    (b"keep-alive", b"timeout=5"),
    (b"proxy-connection", b"keep-alive"),
    (b"transfer-encoding", b"chunked"),
    (b"transfer_encoding", b"chunked"),
    (b"upgrade", b"h2c"),
    (b"te", b"gzip"),
    (b"te", b"trailers, chunked"),
    (b"content-length", b"0"),
    (b"content-length", b"3"),
    (b"content-length", b"+5"),
    (b"content-length", b"5, 5"),
    (b"content-length", b""),
    (b"content-length", b"0x5"),
    (b"content-length", b"9999999999999999999"),
    (b"content-length", b"0" * 5000),
    (b"content_length", b"3"),
    (b"host", b"blog.a.example"),
    (b"host", b""),
    (b"x", b"a\r\nTransfer-Encoding: chunked"),
    (b"x", b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"),
    (b"x", b"a\nb: c"),
    (b"x", b"a\rb: c"),
    (b"x", b"a\0"),
    (b"x", b"a\x7f"),
    (b"x\r\nhost", b"a"),
    (b"x: y", b"a"),
    (b"x:", b"a"),
    (b"x y", b"a"),
    (b"x ", b"a"),
    (b" x", b"a"),
    (b"X", b"a"),
    (b"x\xe9", b"a"),
    (b"", b"a"),
    (b":path", b"/other"),
    (b":status", b"200"),
    (b":protocol", b"websocket"),
    (b":authority", b"blog.a.example"),
    (b":x", b"a"),
)
_ODD_VALUES = {
    b":method": (b"", b"GET ", b"G\r\nT", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", b"CONNECT", b"G:T", b"G\0T", b"\xe9"),
    b":path": (b"", b"a", b"/a b", b"/ HTTP/1.1\r\nX: y", b"/a\n", b"/a#b", b"/\xe9", b"/\0", b"http://x/", b"*", b"?"),
    b":authority": (b"", b"a b", b"me@shop.a.example", b"shop.a.example\r\nX: y", b"shop.a.example/", b"a,b", b":80"),
    b":scheme": (b"", b"ftp", b"HTTPS", b"https\r\nX: y", b"http"),
}
_CONTENTS = (b"", b"hello", b"0\r\n\r\n", b"GET /inner HTTP/1.1\r\nHost: shop.a.example\r\n\r\n", b"abcdefghij" * 300)
_TRAILERS: tuple[tuple[Field, ...], ...] = ((), (), (), ((b"x-sum", b"1"),), ((b"x-a", b""), (b"x-b", b"\xe9")))
_ODD_TRAILERS: tuple[Field, ...] = (
    (b"content-length", b"5"),
    (b"transfer-encoding", b"chunked"),
    (b"host", b"x"),
    (b":path", b"/"),
    (b"x", b"a\r\nb: c"),
    (b"x\r\n", b"a"),
    (b"X", b"a"),
    (b"x_forwarded_for", b"a"),
)
_CONNECTION = frozenset(b"connection keep-alive proxy-connection transfer-encoding upgrade".split())
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path"))
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_PATH = re.compile(rb"/[!\"$-~]*\Z")
_AUTHORITY = re.compile(rb"[A-Za-z0-9._-]+(?::[0-9]{1,5})?\Z")


@dataclass(slots=True)
class H2Request:
    fields: list[Field]
    content: bytes = b""
    trailers: tuple[Field, ...] = ()

    def frames(self, stream: int, chance: Random) -> list[bytes]:
        """In their order; the head may go in pieces, and the content in frames with padding or without any."""
        ends = not self.content and not self.trailers and chance.random() < 0.9
        block = h2.block(self.fields)
        cut = chance.randrange(len(block)) if chance.random() < 0.2 else len(block)
        head = h2.headers(stream, block[:cut], ends=ends, whole=cut == len(block))
        if cut < len(block):
            head += h2.continuation(stream, block[cut:], whole=True)
        found = [head]
        rest = self.content
        while rest:
            piece = rest[: chance.choice((1, 5, 1000, 4000) if len(rest) < 100 else (1000, 4000))]
            rest = rest[len(piece) :]
            last = not rest and not self.trailers
            padding = chance.choice((None, None, 0, 9))
            found.append(h2.data(stream, piece, ends=last, padding=padding))
        if self.trailers:
            found.append(h2.headers(stream, h2.block(self.trailers)))
        elif not ends and not self.content:
            found.append(h2.data(stream, b"", ends=True))
        return found


def request(chance: Random, number: int) -> H2Request:
    """*number* tells it from others."""
    host, method, path = chance.choice(_HOSTS), chance.choice(_METHODS), chance.choice(_PATHS)
    if path == b"*" and method != b"OPTIONS":
        path = b"/"
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", host), (b":path", path)]
    fields = chance.sample(_FIELDS, chance.choice((0, 0, 1, 2, 3)))
    content, trailers = b"", _TRAILERS[0]
    if chance.random() < 0.5:
        content, trailers = chance.choice(_CONTENTS), chance.choice(_TRAILERS)
        if chance.random() < 0.5:
            fields.append((b"content-length", b"%d" % len(content)))
    chance.shuffle(pseudo)
    fields.append((b"x-number", b"%d" % number))
    made = H2Request(pseudo + fields, content, trailers)
    if chance.random() < 0.4:
        _spoil(made, chance)
    return made


def _spoil(request: H2Request, chance: Random) -> None:
    fields = request.fields
    at = chance.randrange(len(fields) + 1)
    match chance.randrange(8):
        case 0 | 1 | 2:
            fields.insert(at, chance.choice(_ODD_FIELDS))
        case 3 | 4:
            name = chance.choice(tuple(_ODD_VALUES))
            value = chance.choice(_ODD_VALUES[name])
            request.fields = [(key, value if key == name else old) for key, old in fields]
        case 5:
            del fields[min(at, len(fields) - 1)]
        case 6:
            chance.shuffle(fields)
        case _:
            request.trailers = (*request.trailers, chance.choice(_ODD_TRAILERS))


def meant(request: H2Request) -> Message | None:
    """What a strict reader takes its head for, None where that is no request's; with the content and the trailers."""
    pseudo: list[Field] = []
    regular: list[Field] = []
    for name, value in request.fields:
        if name.startswith(b":"):
            if regular or name not in _PSEUDO:
                return None
            pseudo.append((name, value))
        elif not _is_field(name, value):
            return None
        else:
            regular.append((name, value.strip(b" \t")))
    said = dict(pseudo)
    names = [name for name, _ in regular]
    if len(said) != len(pseudo) or set(names) & _CONNECTION:
        return None
    if any(value.lower() != b"trailers" for name, value in regular if name == b"te"):
        return None
    hosts = [*([said[b":authority"]] if b":authority" in said else []), *(v for n, v in regular if n == b"host")]
    method, path = said.get(b":method", b""), said.get(b":path", b"")
    if not hosts or len({each.lower() for each in hosts}) > 1 or not _AUTHORITY.match(hosts[0]):
        return None
    if (
        not _METHOD.match(method)
        or method == b"CONNECT"
        or said.get(b":scheme", b"").lower() not in (b"https", b"http")
    ):
        return None
    if not _PATH.match(path) and not (path == b"*" and method == b"OPTIONS"):
        return None
    lengths = [value for name, value in regular if name == b"content-length"]
    if lengths and (len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 19 or int(lengths[0]) >= 2**63):
        return None
    cookies = [value for name, value in regular if name == b"cookie"]
    fields = [each for each in regular if each[0] not in (b"cookie", b"host")]
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    # HTTP/1.1 has trailers behind chunks alone.
    trailers = () if lengths else request.trailers
    return Message(
        start=(method, path), fields=tuple(fields), host=hosts[0], content=request.content, trailers=trailers
    )


def ends_well(request: H2Request) -> bool:
    """Of one whose head is a request's: whether what follows is the rest of it."""
    lengths = [value for name, value in request.fields if name == b"content-length"]
    return all(int(each) == len(request.content) for each in lengths) and all(
        _is_field(name, value) and name.replace(b"_", b"-") not in NOT_IN_TRAILERS for name, value in request.trailers
    )


def _is_field(name: bytes, value: bytes) -> bool:
    return bool(_NAME.match(name) and _VALUE.match(value))
