"""
Where the body of a message ends (RFC 9112 6 and 7): after so many bytes, by chunks, with the connection, or at once.

A scanner is fed what came and tells ``(content, rest, done)``: the content without its frames, the bytes after the end
of the body, and whether the end was reached. What is not well formed raises `Malformed`. Frames never pass on as they
came: the reader behind us, who might understand them differently, reads ours (`chunk`, `last_chunk`).
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Protocol

from pinggy.http.malformed import Malformed

LONGEST_CHUNK_LINE = 1024
LONGEST_TRAILERS = 8 * 1024
_LARGEST_CHUNK = 2**63 - 1
# Extensions mean nothing here, but must be some (RFC 9112 7.1.1): a quotation that does not end, or a bare LF, are how
# readers differ about where the line does.
_WORD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTATION = rb'"(?:[\t\x20!#-\[\]-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_WORD, _WORD, _QUOTATION)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*" % _EXTENSION)
_TRAILER_LINE = re.compile(rb"(%b):[\t\x20-\x7e\x80-\xff]*" % _WORD)
# RFC 9110 6.5.1: not in trailers, where a reader may merge them into what the head has settled.
NOT_IN_TRAILERS = frozenset(
    b"authorization connection content-length cookie forwarded host te trailer transfer-encoding upgrade "
    b"x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme "
    b"x-forwarded-server x-forwarded-ssl x-pinggy-url".split()
)

Fed = tuple[bytes, bytes, bool]
Trailers = tuple[tuple[str, str], ...]


class Delimited(Enum):
    """A body whose length is not known before it has passed."""

    CHUNKED = auto()
    UNTIL_CLOSE = auto()


Framing = int | Delimited
"""The length of a body in bytes (0: there is none), or what delimits it."""


class Body(Protocol):
    """One body on its way."""

    @property
    def trailers(self) -> Trailers:
        """What came behind the content (RFC 9110 6.5), once it is done."""
        ...

    def feed(self, data: bytes) -> Fed:
        """Raises `Malformed`. After ``done`` it is not fed any more."""
        ...


def chunk(content: bytes) -> bytes:
    """*content*, which is not empty, as one chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(content), content)


def last_chunk(trailers: Trailers = ()) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1") + b"\r\n"


def body_of(framing: Framing) -> Body:
    """The scanner for *framing*."""
    if framing is Delimited.CHUNKED:
        return ChunkedBody()
    if framing is Delimited.UNTIL_CLOSE:
        return EndlessBody()
    assert isinstance(framing, int)
    return FixedBody(framing)


class FixedBody:
    __slots__ = ("_left",)
    trailers: Trailers = ()

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> Fed:
        left = self._left = self._left - len(data)
        if left > 0:
            return data, b"", False
        if left == 0:
            return data, b"", True
        self._left = 0
        return data[:left], data[left:], True


class EndlessBody:
    """Ends with the connection."""

    __slots__ = ()
    trailers: Trailers = ()

    def feed(self, data: bytes) -> Fed:
        return data, b"", False


class _Awaits(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class ChunkedBody:
    """RFC 9112 7.1. A line is held back until all of it has come and is well formed; data is never held back."""

    __slots__ = ("_awaits", "_held", "_left", "_trailer_bytes", "_trailers")

    def __init__(self) -> None:
        self._awaits = _Awaits.SIZE
        self._left = 0
        self._held = b""
        self._trailers: list[tuple[str, str]] = []
        self._trailer_bytes = 0

    @property
    def trailers(self) -> Trailers:
        return tuple(self._trailers)

    def feed(self, data: bytes) -> Fed:
        if self._held:
            data, self._held = self._held + data, b""
        contents: list[bytes] = []
        at = 0
        while self._awaits is not _Awaits.NOTHING:
            if self._awaits is _Awaits.DATA:
                # The end of the data that is here, or the end of the chunk.
                end = min(at + self._left, len(data))
                if end > at:
                    contents.append(data[at:end])
                self._left -= end - at
                at = end
                if self._left:
                    break
                self._awaits = _Awaits.DATA_END
            else:
                end = self._line_end(data, at)
                if end < 0:
                    self._held = data[at:]
                    break
                self._line(data[at:end])
                at = end + 2
        content = contents[0] if len(contents) == 1 else b"".join(contents)
        done = self._awaits is _Awaits.NOTHING
        return content, data[at:] if done else b"", done

    def _line_end(self, data: bytes, at: int) -> int:
        """Where the CRLF of the line at *at* begins, or -1 where it has not come yet."""
        longest = 0 if self._awaits is _Awaits.DATA_END else LONGEST_CHUNK_LINE
        end = data.find(b"\n", at, at + longest + 2)
        if end < 0:
            if len(data) - at >= longest + 2:
                raise Malformed("A line between the chunks of the body is too long.")
            return -1
        if end == at or data[end - 1 : end] != b"\r":
            raise Malformed("A line between the chunks of the body ends without CR.")
        return end - 1

    def _line(self, line: bytes) -> None:
        match self._awaits:
            case _Awaits.SIZE:
                self._size(line)
            case _Awaits.DATA_END:
                if line:
                    raise Malformed("A chunk of the body is longer than it says.")
                self._awaits = _Awaits.SIZE
            case _:
                self._trailer(line)

    def _size(self, line: bytes) -> None:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise Malformed("The size of a chunk of the body is not well formed.")
        size = int(found[1], 16)
        if size > _LARGEST_CHUNK:
            raise Malformed("A chunk of the body is too large to be true.")
        self._left = size
        self._awaits = _Awaits.DATA if size else _Awaits.TRAILER

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._awaits = _Awaits.NOTHING
            return
        found = _TRAILER_LINE.fullmatch(line)
        if found is None:
            raise Malformed("A trailer after the body is not well formed.")
        if found[1].lower().replace(b"_", b"-") in NOT_IN_TRAILERS:
            raise Malformed("A trailer after the body names a header that belongs into the head.")
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > LONGEST_TRAILERS:
            raise Malformed("The trailers after the body are too long.")
        self._trailers.append((found[1].decode("latin-1"), line[len(found[1]) + 1 :].strip(b" \t").decode("latin-1")))
