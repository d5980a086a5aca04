"""
HTTP/2 frames byte by byte (RFC 9113 4 and 6), for those who write what no library would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    NONE = 0
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    PRIORITY = 32


@dataclass(frozen=True, slots=True)
class Frame:
    """*kind* may be one that nobody knows."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0, *, length: int | None = None) -> bytes:
    """*length* is what the head says, if not the truth."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def frames(data: bytes) -> list[Frame]:
    """The whole frames that *data* begins with."""
    found = []
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        if len(data) < 9 + size:
            break
        found.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def goaway(data: bytes) -> int | None:
    """The error code of the first GOAWAY in *data*, if there is one."""
    codes = [int.from_bytes(each.payload[4:8], "big") for each in frames(data) if each.kind == Kind.GOAWAY]
    return codes[0] if codes else None


# -- HPACK (RFC 7541), as plain as it goes ----------------------------------------------------------------------------


def integer(number: int, prefix: int, first: int = 0) -> bytes:
    """RFC 7541 5.1, behind the bits of *first*."""
    most = (1 << prefix) - 1
    if number < most:
        return bytes((first | number,))
    out = bytearray((first | most,))
    number -= most
    while number >= 128:
        out.append(number % 128 | 128)
        number //= 128
    out.append(number)
    return bytes(out)


def literal(name: bytes, value: bytes, *, index: bool = False) -> bytes:
    """A field as it stands (6.2.2); with *index* it goes into the dynamic table (6.2.1)."""
    return (b"\x40" if index else b"\x00") + integer(len(name), 7) + name + integer(len(value), 7) + value


def indexed(number: int) -> bytes:
    """A field of the table (6.1); the newest of the dynamic one is 62."""
    return integer(number, 7, 0x80)


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


# -- what visitors say ------------------------------------------------------------------------------------------------


def headers(stream: int, fragment: bytes, *, ends: bool = True, whole: bool = True) -> bytes:
    """*ends*: without content. *whole*: no CONTINUATION follows."""
    flags = (Flag.END_STREAM if ends else 0) | (Flag.END_HEADERS if whole else 0)
    return frame(Kind.HEADERS, stream, fragment, flags)


def continuation(stream: int, fragment: bytes, *, whole: bool = False) -> bytes:
    return frame(Kind.CONTINUATION, stream, fragment, Flag.END_HEADERS if whole else 0)


def data(stream: int, content: bytes, *, ends: bool = False, padding: int | None = None) -> bytes:
    flags = Flag.END_STREAM if ends else Flag.NONE
    if padding is None:
        return frame(Kind.DATA, stream, content, flags)
    return frame(Kind.DATA, stream, bytes((padding,)) + content + bytes(padding), flags | Flag.PADDED)


def settings(*values: tuple[int, int]) -> bytes:
    return frame(Kind.SETTINGS, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in values))


def window(stream: int, size: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, stream, size.to_bytes(4, "big"))


def reset(stream: int, code: int = 8) -> bytes:
    return frame(Kind.RST_STREAM, stream, code.to_bytes(4, "big"))
