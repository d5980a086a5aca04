"""
A stream of bytes, in whatever pieces it comes, to payloads.
"""

from __future__ import annotations

from pinggy.edge.ssh.packets.suites import NullOpener, Opener


class PacketReader:
    """
    `feed` it what has come, and ask for the `next` payload until there is none.

    Packets are opened in what was fed; only one that came in part is put together. *opener* may be set between two
    packets. *sequence* is the number of the packet that is next (RFC 4253 6.4).
    """

    __slots__ = ("_at", "_data", "_part", "_size", "opener", "sequence")

    def __init__(self) -> None:
        self.opener: Opener = NullOpener()
        self.sequence = 0
        self._data = b""
        self._at = 0
        # The packet that came in part; before anything else of *data*.
        self._part = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._data else data
        self._at = 0

    def next(self) -> memoryview | None:
        """The next payload, None where its last byte has not come. Raises `BadPacket`."""
        if self._part:
            return self._next_of_part()
        data, at, opener = self._data, self._at, self.opener
        there = len(data) - at
        if there >= opener.least:
            self._size = opener.size(data, at, self.sequence)
            if there >= self._size:
                self._at += self._size
                return self._open(data, at)
        self._fill_part(there)
        return None

    def waiting(self) -> int:
        """Bytes that are kept."""
        return len(self._part) + len(self._data) - self._at

    def _next_of_part(self) -> memoryview | None:
        part = self._part
        if not self._size:
            self._fill_part(self.opener.least - len(part))
            if len(part) < self.opener.least:
                return None
            self._size = self.opener.size(part, 0, self.sequence)
        self._fill_part(self._size - len(part))
        if len(part) < self._size:
            return None
        self._part = bytearray()
        return self._open(part, 0)

    def _fill_part(self, most: int) -> None:
        """Take *most* bytes more for it, if there are so many."""
        end = self._at + most
        self._part += memoryview(self._data)[self._at : end]
        self._at = end
        if end >= len(self._data):
            # All was read: an idle connection keeps nothing.
            self._data, self._at = b"", 0

    def _open(self, buffer: bytes | bytearray, at: int) -> memoryview:
        payload = self.opener.open(buffer, at, self._size, self.sequence)
        self._size = 0
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload
