"""
HTTP/1.1 by the letter (RFC 9112, RFC 9110): the reader that the edge is judged by.

It reads whole buffers, knows nothing of the edge's own parsers, and refuses whatever two readers could understand
differently: also where the RFCs let a recipient be lenient (bare LF, obs-fold, white space in the request line, lists
of equal lengths), and where they leave it to a server what it takes (`_HOST`, transfer codings other than chunked).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

Field = tuple[bytes, bytes]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_FIELD_LINE = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)\Z")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([^#]*)\Z", re.IGNORECASE)
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*\Z")
# RFC 9110 6.5.1: what frames, routes or authenticates a message is settled by its head.
NOT_IN_TRAILERS = frozenset(
    b"authorization connection content-length cookie forwarded host te trailer transfer-encoding upgrade "
    b"x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme "
    b"x-forwarded-server x-forwarded-ssl x-pinggy-url".split()
)


class End(Enum):
    """How the reading of a message came out."""

    WHOLE = auto()
    SHORT = auto()  # it is well formed as far as it goes
    REFUSED = auto()


@dataclass(slots=True)
class Message:
    """
    *start* is (method, target) or (status, reason), *version* that of the start line. *fields* and *trailers* have
    their names in lower case and their values without the white space around them. *host* is what a request asks. Of a
    message that is not whole, *has_head* says whether its head is, and *content* is what there is of it. *rest* comes
    after a whole message.
    """

    end: End = End.SHORT
    why: str = ""
    start: tuple[bytes, bytes] = (b"", b"")
    version: bytes = b""
    fields: tuple[Field, ...] = ()
    host: bytes = b""
    content: bytes = b""
    trailers: tuple[Field, ...] = ()
    has_head: bool = False
    until_close: bool = False
    chunked: bool = False
    rest: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]

    def tokens(self, name: bytes) -> list[bytes]:
        return [each.strip(b" \t").lower() for value in self.values(name) for each in value.split(b",")]

    @property
    def is_whole(self) -> bool:
        return self.end is End.WHOLE

    @property
    def has_content(self) -> bool:
        """Whether its head says that content comes: chunks, or a length that is not zero."""
        return self.chunked or any(int(each) for each in self.values(b"content-length"))

    @property
    def keeps_alive(self) -> bool:
        """RFC 9112 9.3."""
        said = self.tokens(b"connection")
        return b"close" not in said and (self.version == b"1.1" or b"keep-alive" in said)


class _Refused(Exception):
    pass


class _Short(Exception):
    pass


def read_request(data: bytes) -> Message:
    """The request that *data* begins with; one empty line before it is passed over (RFC 9112 2.2)."""
    request = Message()
    if data.startswith(b"\r\n"):
        data = data[2:]
    return _read(request, lambda: _request(request, data))


def read_requests(data: bytes) -> Iterator[Message]:
    """One after another, up to the first that is not whole."""
    while data:
        request = read_request(data)
        yield request
        if not request.is_whole:
            return
        data = request.rest


def read_response(data: bytes, method: bytes, *, ended: bool = False) -> Message:
    """The response to a request of *method*, an interim one too. *ended*: nothing comes after *data*."""
    response = Message()
    return _read(response, lambda: _response(response, data, method, ended=ended))


def read_exchange(data: bytes, method: bytes, *, ended: bool = False) -> tuple[list[Message], Message]:
    """The interim responses that *data* begins with, and the final one (or a 101), which may not be whole."""
    interim: list[Message] = []
    while True:
        response = read_response(data, method, ended=ended)
        if not response.is_whole or not response.start[0].startswith(b"1") or response.start[0] == b"101":
            return interim, response
        interim.append(response)
        data = response.rest


def _read(message: Message, read: Callable[[], None]) -> Message:
    try:
        read()
        message.end = End.WHOLE
    except _Short:
        message.end = End.SHORT
    except _Refused as refused:
        message.end, message.why = End.REFUSED, str(refused)
    return message


# -- heads ------------------------------------------------------------------------------------------------------------


def _head(message: Message, data: bytes, *, of_request: bool) -> tuple[bytes, bytes]:
    """The start line and what comes after the head; the fields are in *message* then."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        # A lone LF will not become part of a CRLF by what follows.
        if re.search(rb"(?:\A|[^\r])\n", data):
            raise _Refused("bare LF")
        raise _Short
    lines = data[:end].split(b"\r\n")
    fields = []
    for line in lines[1:]:
        found = _FIELD_LINE.match(line)
        if found is None:
            raise _Refused("a field line is not well formed")
        name, value = found[1].lower(), found[2].rstrip(b" \t")
        if of_request and name == b"transfer-encoding" and found[2].rstrip(b" ") != value:
            raise _Refused("a tab behind a coding")  # which some readers take for another one
        fields.append((name, value))
    message.fields = tuple(fields)
    return lines[0], data[end + 4 :]


def _request(request: Message, data: bytes) -> None:
    line, rest = _head(request, data, of_request=True)
    found = _REQUEST_LINE.match(line)
    if found is None:
        raise _Refused("the request line is not well formed")
    method, target, version = found[1], found[2], found[3] + b"." + found[4]
    if version not in (b"1.0", b"1.1"):
        raise _Refused("another version")
    if method == b"CONNECT":
        raise _Refused("CONNECT")
    hosts = request.values(b"host")
    if len(hosts) > 1 or (not hosts and version == b"1.1") or not all(_HOST.match(each) for each in hosts):
        raise _Refused("not exactly one Host, or one that is none")
    request.host = hosts[0] if hosts else b""
    target = _target(request, method, target)
    request.start, request.version = (method, target), version
    length = _framing(request, version)
    request.has_head = True
    _content(request, rest, length or 0)


def _target(request: Message, method: bytes, target: bytes) -> bytes:
    """RFC 9112 3.2: as an origin server is asked."""
    if target.startswith(b"/"):
        if b"#" in target:
            raise _Refused("a fragment")
        return target
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None or not _HOST.match(absolute[1]):
        raise _Refused("the target is no path and no URL")
    if request.host and absolute[1].lower() != request.host.lower():
        raise _Refused("the target is of another host")
    request.host = request.host or absolute[1]
    path = absolute[2]
    if not path:
        return b"*" if method == b"OPTIONS" else b"/"
    return path if path.startswith(b"/") else b"/" + path


def _framing(message: Message, version: bytes) -> int | None:
    """RFC 9112 6: the length, None where there is none; chunks are noted in *message*."""
    length, codings = _length(message), message.values(b"transfer-encoding")
    if not codings:
        return length
    if version == b"1.0" or [each.lower() for each in codings] != [b"chunked"]:
        raise _Refused("Transfer-Encoding")
    message.chunked = True
    return None


def _length(message: Message) -> int | None:
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if b"" in codings or (lengths and codings):
        raise _Refused("Transfer-Encoding of nothing, or beside Content-Length")
    if not lengths:
        return None
    # Digits of ASCII: bytes have no others.
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 19 or int(lengths[0]) >= 2**63:
        raise _Refused("Content-Length")
    return int(lengths[0])


def _response(response: Message, data: bytes, method: bytes, *, ended: bool) -> None:
    line, rest = _head(response, data, of_request=False)
    found = _STATUS_LINE.match(line)
    if found is None:
        raise _Refused("the status line is not well formed")
    version, status = b"1." + found[1], int(found[2])
    response.start, response.version = (found[2], found[3] or b""), version
    if method == b"HEAD" or status < 200 or status in (204, 304):
        # RFC 9112 6.3, rule 1: whatever the fields say, as long as it is one thing.
        _length(response)
        response.has_head = True
        response.rest = rest
        return
    length = _framing(response, version)
    response.has_head = True
    if length is None and not response.chunked:
        response.until_close = True
        response.content = rest
        if not ended:
            raise _Short
        return
    _content(response, rest, length or 0)


# -- content ----------------------------------------------------------------------------------------------------------


def _content(message: Message, data: bytes, length: int) -> None:
    if message.chunked:
        _chunks(message, data)
        return
    message.content, message.rest = data[:length], data[length:]
    if len(message.content) < length:
        raise _Short


def _chunks(message: Message, data: bytes) -> None:
    while True:
        line, data = _line(data, 1024)
        found = _CHUNK_LINE.match(line)
        if found is None or int(found[1], 16) >= 2**63:
            raise _Refused("the size of a chunk")
        size = int(found[1], 16)
        if not size:
            break
        message.content += data[:size]
        if len(data) < size:
            raise _Short
        line, data = _line(data[size:], 0)
        assert not line
    trailers = []
    while True:
        line, data = _line(data, 1024)
        if not line:
            break
        trailer = _FIELD_LINE.match(line)
        if trailer is None or trailer[1].lower().replace(b"_", b"-") in NOT_IN_TRAILERS:
            raise _Refused("a trailer")
        trailers.append((trailer[1].lower(), trailer[2].rstrip(b" \t")))
    message.trailers, message.rest = tuple(trailers), data


def _line(data: bytes, longest: int) -> tuple[bytes, bytes]:
    """Up to the first LF, which must have its CR; what follows it."""
    end = data.find(b"\n", 0, longest + 2)
    if end < 0:
        if len(data) >= longest + 2:
            raise _Refused("a line is too long")
        raise _Short
    if data[end - 1 : end] != b"\r":
        raise _Refused("bare LF")
    return data[: end - 1], data[end + 1 :]
