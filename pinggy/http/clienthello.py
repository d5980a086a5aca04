"""
The host that a TLS ClientHello names (RFC 8446 4.1.2), read without speaking a word of TLS.

Bytes in, in pieces of any size, over one record or several; out comes a frozen `ClientHello`, or `MalformedHello` for
bytes that are none. What was read stays in `HelloReader.received`, for whoever speaks TLS with this visitor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pinggy.tunnel.names import normal_host

LONGEST_HELLO = 32 * 1024

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_RECORD_HEAD = 5
_LONGEST_RECORD = 2**14
_MESSAGE_HEAD = 4
_FIXED = 2 + 32  # legacy_version, random
_BEYOND = "a length leads beyond the end"
_SERVER_NAME = 0
_HOST_NAME = 0
_ALPN = 16
# Underscores are no host names, but people have them in DNS and browsers send them.
_HOST = re.compile(r"(?=.{1,254}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """
    What a ClientHello says about where it wants to go.

    *server_name* is the SNI host (RFC 6066 3) as `normal_host` has it, None without one. *alpn* are the protocols
    offered (RFC 7301 3.1), decoded as Latin-1: they are octets, and most are ASCII.
    """

    server_name: str | None = None
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MalformedHello:
    """The bytes are no ClientHello: *why*, for people."""

    why: str


class HelloReader:
    """
    Reads one ClientHello: `feed` it until it answers. It keeps 32 KiB at the most (and the piece that exceeds them).
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self._message = bytearray()
        self._next_record = 0

    def feed(self, data: bytes) -> ClientHello | MalformedHello | None:
        """The next piece, of any length. None: more is needed. Do not feed what has answered."""
        self.received += data
        try:
            self._gather()
            if not self._is_whole():
                return _too_long() if len(self.received) > LONGEST_HELLO else None
            return _client_hello(bytes(self._message[_MESSAGE_HEAD : self._length()]))
        except _Malformed as malformed:
            return MalformedHello(str(malformed))

    def _gather(self) -> None:
        """Move whole records into the message; of a record that is not whole yet, look at the head."""
        while not self._is_whole() and len(self.received) >= self._next_record + _RECORD_HEAD:
            kind, major, _, high, low = self.received[self._next_record : self._next_record + _RECORD_HEAD]
            length = high << 8 | low
            if kind != _HANDSHAKE_RECORD or major != 3:
                raise _Malformed("a record is no handshake")
            # RFC 8446 5.1: handshake records have at least one byte.
            if not 0 < length <= _LONGEST_RECORD:
                raise _Malformed("the length of a record is out of bounds")
            end = self._next_record + _RECORD_HEAD + length
            if len(self.received) < end:
                return
            self._message += self.received[self._next_record + _RECORD_HEAD : end]
            self._next_record = end

    def _length(self) -> int:
        return _MESSAGE_HEAD + int.from_bytes(self._message[1:_MESSAGE_HEAD], "big")

    def _is_whole(self) -> bool:
        if not self._message:
            return False
        if self._message[0] != _CLIENT_HELLO:
            raise _Malformed("the first message is no ClientHello")
        if len(self._message) < _MESSAGE_HEAD:
            return False
        if self._length() > LONGEST_HELLO:
            raise _Malformed("the ClientHello is too long")
        return len(self._message) >= self._length()


class _Malformed(Exception):
    pass


def _too_long() -> MalformedHello:
    return MalformedHello("the ClientHello is too long")


class _Cursor:
    """Reads forward in *data*; to read beyond the end is malformed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise _Malformed(_BEYOND)
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Cursor:
        """A vector whose length is written in *size* bytes (RFC 8446 3.4)."""
        return _Cursor(self.take(self.number(size)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


def _client_hello(hello: bytes) -> ClientHello:
    """Every visitor's handshake waits for this: what nobody asks for is stepped over."""
    try:
        session = hello[_FIXED]
        at = _FIXED + 1 + session
        suites = hello[at] << 8 | hello[at + 1]
        at += 2 + suites
        compressions = hello[at]
        at += 1 + compressions
    except IndexError:
        raise _Malformed(_BEYOND) from None
    if at > len(hello):
        raise _Malformed(_BEYOND)
    if session > 32 or suites < 2 or suites % 2 or not compressions:
        raise _Malformed("its fixed part is out of bounds")
    wanted = _extensions(hello, at) if at < len(hello) else {}
    return ClientHello(
        server_name=_server_name(_Cursor(wanted[_SERVER_NAME])) if _SERVER_NAME in wanted else None,
        alpn=_protocols(_Cursor(wanted[_ALPN])) if _ALPN in wanted else (),
    )


def _extensions(hello: bytes, at: int) -> dict[int, bytes]:
    """Those at *at* that are read here, by their numbers; the others are only looked at for their lengths."""
    size = len(hello)
    if at + 2 > size:
        raise _Malformed(_BEYOND)
    end = at + 2 + (hello[at] << 8 | hello[at + 1])
    if end != size:
        raise _Malformed(_BEYOND if end > size else "something follows its extensions")
    at += 2
    seen: set[int] = set()
    wanted: dict[int, bytes] = {}
    while at < end:
        if at + 4 > end:
            raise _Malformed(_BEYOND)
        number = hello[at] << 8 | hello[at + 1]
        content = at + 4
        at = content + (hello[at + 2] << 8 | hello[at + 3])
        if at > end:
            raise _Malformed(_BEYOND)
        if number in seen:
            raise _Malformed("an extension comes twice")
        seen.add(number)
        if number in (_SERVER_NAME, _ALPN):
            wanted[number] = hello[content:at]
    return wanted


def _server_name(extension: _Cursor) -> str:
    names = extension.vector(2)
    if extension or names.number(1) != _HOST_NAME:
        raise _Malformed("its server name is not a host name")
    name = names.vector(2).rest()
    if names:
        raise _Malformed("it names two servers")
    host = normal_host(name.decode("latin-1"))
    # What normal_host takes away but for one dot (a port, say) has no place in an SNI.
    if len(name) - len(host) not in (0, 1) or not _HOST.fullmatch(host) or not name.isascii():
        raise _Malformed("its server name is not a host name")
    return host


def _protocols(extension: _Cursor) -> tuple[str, ...]:
    listed = extension.vector(2)
    protocols = []
    while listed:
        protocols.append(listed.vector(1).rest().decode("latin-1"))
    if extension or not protocols or "" in protocols:
        raise _Malformed("its list of protocols is out of bounds")
    return tuple(protocols)
