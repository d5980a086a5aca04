"""
Padding (RFC 4253 6): 4 to 255 random bytes, so that the packet fills whole blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable

LEAST = 4
_DRAWN = 16 * 1024


def padding_length(counted: int, block: int) -> int:
    """How many bytes fill up *counted* others, which stand in the padded part, to whole *block* s."""
    length = block - counted % block
    return length if length >= LEAST else length + block


class Padding:
    """Random bytes, drawn many at a time: each draw is a system call."""

    __slots__ = ("_at", "_draw", "_drawn")

    def __init__(self, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._draw = draw
        self._drawn = b""
        self._at = 0

    def take(self, length: int) -> bytes:
        """*length* of them, up to 255, each used once."""
        end = self._at + length
        if end > len(self._drawn):
            self._drawn = self._draw(_DRAWN)
            self._at, end = 0, length
        taken = self._drawn[self._at : end]
        self._at = end
        return taken
