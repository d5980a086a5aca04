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
_NO_HOST = "its server name is not a host name"
_NO_PROTOCOLS = "its list of protocols is out of bounds"
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
            message = self._gather()
            if message is None:
                return _too_long() if len(self.received) > LONGEST_HELLO else None
            return _client_hello(message)
        except _Malformed as malformed:
            return MalformedHello(str(malformed))

    def _gather(self) -> bytes | None:
        """The message without its head, if it is whole. Of a record that is not whole only the head is looked at."""
        received, message = self.received, self._message
        while True:
            if message and message[0] != _CLIENT_HELLO:
                raise _Malformed("the first message is no ClientHello")
            if len(message) >= _MESSAGE_HEAD:
                length = _MESSAGE_HEAD + (message[1] << 16 | message[2] << 8 | message[3])
                if length > LONGEST_HELLO:
                    raise _Malformed("the ClientHello is too long")
                if len(message) >= length:
                    return bytes(message[_MESSAGE_HEAD:length])
            start = self._next_record + _RECORD_HEAD
            if len(received) < start:
                return None
            kind, major, _, high, low = received[self._next_record : start]
            size = high << 8 | low
            if kind != _HANDSHAKE_RECORD or major != 3:
                raise _Malformed("a record is no handshake")
            # RFC 8446 5.1: handshake records have at least one byte.
            if not 0 < size <= _LONGEST_RECORD:
                raise _Malformed("the length of a record is out of bounds")
            if len(received) < start + size:
                return None
            message += received[start : start + size]
            self._next_record = start + size


class _Malformed(Exception):
    pass


def _too_long() -> MalformedHello:
    return MalformedHello("the ClientHello is too long")


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
        server_name=_server_name(wanted[_SERVER_NAME]) if _SERVER_NAME in wanted else None,
        alpn=_protocols(wanted[_ALPN]) if _ALPN in wanted else (),
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


def _server_name(extension: bytes) -> str:
    """The one name of a list of one (RFC 6066 3)."""
    size = len(extension)
    if size < 5 or extension[0] << 8 | extension[1] != size - 2 or extension[2] != _HOST_NAME:
        raise _Malformed(_NO_HOST)
    if extension[3] << 8 | extension[4] != size - 5:
        raise _Malformed("it names two servers, or a part of one")
    name = extension[5:]
    host = normal_host(name.decode("latin-1"))
    # What normal_host takes away but for one dot (a port, say) has no place in an SNI.
    if len(name) - len(host) not in (0, 1) or not _HOST.fullmatch(host) or not name.isascii():
        raise _Malformed(_NO_HOST)
    return host


def _protocols(extension: bytes) -> tuple[str, ...]:
    size = len(extension)
    if size <= 2 or extension[0] << 8 | extension[1] != size - 2:
        raise _Malformed(_NO_PROTOCOLS)
    protocols = []
    at = 2
    while at < size:
        end = at + 1 + extension[at]
        if end == at + 1 or end > size:
            raise _Malformed(_NO_PROTOCOLS)
        protocols.append(extension[at + 1 : end].decode("latin-1"))
        at = end
    return tuple(protocols)
