"""
What waits to be sent to a visitor, stream by stream: each in turn sends one frame, as far as his windows and his socket
allow, so that a large download does not hold up the small ones beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from h2.connection import H2Connection

# Bytes that are handed to the socket at once.
_AT_ONCE = 64 * 1024


class Sender(Protocol):
    """A stream with something to be sent."""

    @property
    def number(self) -> int: ...

    def next_piece(self, room: int) -> tuple[bytes, bool]:
        """At most *room* bytes, and whether the stream ends with them."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to be sent for now."""
        ...

    def piece_sent(self) -> None:
        """What `next_piece` gave is on its way."""
        ...


class Outlet:
    """*flush* sends what the connection has to say; *is_full* tells whether the socket takes no more."""

    __slots__ = ("_flush", "_h2", "_is_full", "_turns")

    def __init__(self, h2: H2Connection, is_full: Callable[[], bool], flush: Callable[[], object]) -> None:
        self._h2 = h2
        self._is_full = is_full
        self._flush = flush
        self._turns: dict[int, Sender] = {}

    def wants(self, sender: Sender) -> None:
        """*sender* has something to be sent, and waits for its turn."""
        self._turns.setdefault(sender.number, sender)

    def forget(self, sender: Sender) -> None:
        self._turns.pop(sender.number, None)

    def send(self) -> None:
        """Each sends a frame in its turn, until nothing is left, or nobody may."""
        turns = deque(self._turns.values())
        frame = self._h2.max_outbound_frame_size
        unsent = 0
        while turns and not self._is_full():
            sender = turns.popleft()
            number = sender.number
            if number not in self._turns:
                continue
            room = min(self._h2.local_flow_control_window(number), frame)
            piece, is_last = sender.next_piece(max(room, 0))
            if not piece and not is_last:
                continue  # his window opens again, and says so
            self._h2.send_data(number, piece, end_stream=is_last)
            unsent += len(piece)
            if unsent >= _AT_ONCE:
                unsent = 0
                self._flush()
            # To the end of the line.
            del self._turns[number]
            if not sender.is_empty:
                self._turns[number] = sender
                turns.append(sender)
            sender.piece_sent()
        self._flush()
