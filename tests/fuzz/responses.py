"""
What a local server answers to one request, and what it does with its connection then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from tests.fuzz.mutations import mutated
from tests.fuzz.requests import chunked
from tests.support.strict_http import Message

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Then(Enum):
    STAYS = auto()
    ENDS = auto()  # it sends no more
    RESETS = auto()


@dataclass(frozen=True, slots=True)
class Response:
    data: bytes
    then: Then = Then.STAYS


_STATUSES = (b"200 OK", b"200", b"200 ", b"404 Not Found", b"500 \xe9\tx", b"301 Moved", b"999 Odd", b"226 IM Used")
_BODILESS = (b"204 No Content", b"304 Not Modified")
_INTERIM = (b"100 Continue", b"103 Early Hints", b"102 Processing")
_FIELDS = (
    b"Server: odd",
    b"Set-Cookie: a=b; Path=/",
    b"Set-Cookie: c=d; HttpOnly",
    b"X-Empty:",
    b"X-White: \t a \t b \t",
    b"x_under: 1",
    b"X-Latin: \xe9",
    b"Connection: X-Hop\r\nX-Hop: 1",
    b"Keep-Alive: timeout=5",
    b"Trailer: X-Sum",
    b"Vary: *",
    b"WWW-Authenticate: NTLM",
    b"Upgrade: h2c",
)
_CONTENTS = (
    b"",
    b"hello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    b"\r\n0\r\n\r\n",
    b"\0\xff" * 7,
    b"0123456789" * 500,
)


def response(request: Message, chance: Random) -> Response:
    """One in four is spoilt."""
    if request.is_whole and b"websocket" in request.tokens(b"upgrade") and chance.random() < 0.7:
        return Response(SWITCHING)
    data, then = _well_formed(request.start[0], chance)
    if chance.random() < 0.25:
        data = mutated(data, chance)
        # So that it comes to an end.
        then = chance.choice((Then.ENDS, Then.RESETS)) if then is Then.STAYS else then
    return Response(data, then)


def _well_formed(method: bytes, chance: Random) -> tuple[bytes, Then]:
    interim = b""
    while chance.random() < 0.15:
        link = b"Link: </a>\r\n" if chance.random() < 0.5 else b""
        interim += b"HTTP/1.1 %s\r\n%s\r\n" % (chance.choice(_INTERIM), link)
    version = b"1.0" if chance.random() < 0.1 else b"1.1"
    status = chance.choice(_BODILESS) if chance.random() < 0.1 else chance.choice(_STATUSES)
    fields = chance.sample(_FIELDS, chance.choice((0, 0, 1, 2, 3)))
    then = Then.STAYS
    if chance.random() < 0.15:
        fields.append(b"Connection: close")
        then = chance.choice((Then.ENDS, Then.RESETS, Then.STAYS))
    elif version == b"1.0" and chance.random() < 0.5:
        fields.append(b"Connection: keep-alive")
    content = chance.choice(_CONTENTS)
    framing = chance.randrange(5)
    if status in _BODILESS:
        content = b""
        fields += [b"Content-Length: 5"] if chance.random() < 0.3 else []
    elif framing < 2 or (framing < 4 and version == b"1.0"):
        fields.append(b"Content-Length: %d" % len(content))
    elif framing < 4:
        fields.append(b"Transfer-Encoding: chunked")
        content = chunked(content, chance)
    else:
        then = Then.ENDS if chance.random() < 0.8 else Then.RESETS
    if method == b"HEAD":
        content = b""
    chance.shuffle(fields)
    head = b"HTTP/%s %s\r\n" % (version, status) + b"".join(each + b"\r\n" for each in fields) + b"\r\n"
    return interim + head + content, then
