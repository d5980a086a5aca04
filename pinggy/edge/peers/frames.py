"""
A visitor's bytes between two edges: in frames, so that either way can end by itself (TLS has no half-close here), an
end is told from a connection that was cut, and the connection may serve the next visitor.

A frame is two bytes of length, the higher first, and so many bytes; the one of length 0 is the end of its way.
"""

from __future__ import annotations

END = b"\0\0"
# With its two bytes it fits one TLS record (RFC 8446 5.1).
LONGEST = 2**14 - 2


def framed(data: bytes) -> bytes:
    """*data*, which is not empty, in as many frames as it takes."""
    if len(data) <= LONGEST:
        return len(data).to_bytes(2, "big") + data
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(data), LONGEST):
        part = view[start : start + LONGEST]
        parts += (len(part).to_bytes(2, "big"), part)
    return b"".join(parts)


class FrameReader:
    """
    Takes frames apart. Nothing waits in it but one byte of a length. *ended* says that the end has come, *rest* is then
    what came behind it.
    """

    __slots__ = ("_half", "_left", "ended", "rest")

    def __init__(self) -> None:
        self._left = 0
        self._half = b""
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """What *data* carries, as far as it has come."""
        if self.ended:
            self.rest += data
            return b""
        if 0 < len(data) <= self._left:
            self._left -= len(data)
            return data
        parts = []
        at = 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                parts.append(part)
                continue
            length = self._half + data[at : at + 2 - len(self._half)]
            at += len(length) - len(self._half)
            self._half = b""
            if len(length) < 2:
                self._half = length
            elif length == END:
                self.ended = True
                self.rest = data[at:]
                break
            else:
                self._left = int.from_bytes(length, "big")
        return b"".join(parts)
