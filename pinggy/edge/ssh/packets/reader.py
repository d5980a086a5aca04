"""
A stream of bytes, in whatever pieces it comes, to payloads.
"""

from __future__ import annotations

from pinggy.edge.ssh.packets.suites import NullOpener, Opener

_UNUSED = 256 * 1024  # bytes that have been read and are still kept, before the buffer is moved together


class PacketReader:
    """
    Keeps what has come and was not read yet: `feed` it, and ask for the `next` payload until there is none.

    *opener* may be set between two packets. *sequence* is the number of the packet that is next (RFC 4253 6.4).
    """

    __slots__ = ("_at", "_buffer", "_size", "opener", "sequence")

    def __init__(self) -> None:
        self.opener: Opener = NullOpener()
        self.sequence = 0
        self._buffer = bytearray()
        self._at = 0
        self._size = 0

    def feed(self, data: bytes) -> None:
        if self._at == len(self._buffer):
            # All was read: this is what most reads of a busy connection meet.
            self._buffer = bytearray(data)
            self._at = 0
            return
        if self._at > _UNUSED:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The next payload, None where its last byte has not come. Raises `BadPacket`."""
        there = len(self._buffer) - self._at
        if not self._size:
            if there < self.opener.least:
                return None
            self._size = self.opener.size(self._buffer, self._at, self.sequence)
        size = self._size
        if there < size:
            return None
        payload = self.opener.open(self._buffer, self._at, size, self.sequence)
        self._at += size
        self._size = 0
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload

    def waiting(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer) - self._at
