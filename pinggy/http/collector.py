"""
Where a head ends: at its empty line, if that comes before the bytes are too many.
"""

from __future__ import annotations

import re

from pinggy.http.malformed import Malformed

_BARE_LF = re.compile(rb"(?:\A|[^\r])\n")


class HeadCollector:
    """Collects one head after another, each up to its empty line and *limit* bytes."""

    def __init__(self, limit: int, *, empty_line_first: bool = False) -> None:
        self._limit = limit
        self._lenient = self._may_skip = empty_line_first
        self._held = b""
        self._searched = 0

    @property
    def started(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self._held)

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """
        The head, empty line included, and what came after it; None where more must come. Raises `Malformed`.

        With *empty_line_first* one empty line before a head is skipped (RFC 9112 2.2).
        """
        if self._held:
            data = self._held + data
        if self._may_skip and data.startswith(b"\r\n"):
            data = data[2:]
            self._may_skip = False
        end = data.find(b"\r\n\r\n", self._searched) + 4
        if end == 3:
            self._hold(data)
            return None
        if end > self._limit:
            raise self._too_large()
        self._held = b""
        self._searched = 0
        self._may_skip = self._lenient
        return data[:end], data[end:]

    def _hold(self, data: bytes) -> None:
        if len(data) > self._limit:
            raise self._too_large()
        # Somebody whose lines end with LF alone waits for an answer: refuse now, not when time is up.
        if _BARE_LF.search(data, self._searched):
            raise Malformed("A line of the head ends without CR.")
        self._held = data
        self._searched = max(0, len(data) - 3)

    def _too_large(self) -> Malformed:
        return Malformed(f"The request's head is too large: {self._limit} bytes at the most.", 431)
