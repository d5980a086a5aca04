"""
What waits to be sent over one connection, stream by stream: each in turn sends one frame, as far as the windows and the
socket allow, so that a large body does not hold up the small ones beside it. A stream whose window is closed stands
aside until it opens: however many there are, they cost the others nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from h2.connection import H2Connection
from h2.exceptions import NoSuchStreamError

# Bytes that are handed to the socket at once.
_AT_ONCE = 64 * 1024


class Sender(Protocol):
    """A stream with something to be sent."""

    @property
    def number(self) -> int: ...

    def next_piece(self, room: int) -> tuple[bytes | memoryview, bool]:
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
    """
    *flush* sends what the connection has to say; *is_full* tells whether the socket takes no more. *sent* is how many
    frames went out.
    """

    __slots__ = ("_aside", "_flush", "_h2", "_is_full", "_sending", "_turns", "sent")

    def __init__(self, h2: H2Connection, is_full: Callable[[], bool], flush: Callable[[], object]) -> None:
        self._h2 = h2
        self._is_full = is_full
        self._flush = flush
        self._turns: OrderedDict[int, Sender] = OrderedDict()
        self._aside: dict[int, Sender] = {}
        self._sending = False
        self.sent = 0

    def wants(self, sender: Sender) -> None:
        """*sender* has something to be sent, and waits for its turn."""
        if sender.number not in self._aside:
            self._turns.setdefault(sender.number, sender)

    def forget(self, sender: Sender) -> None:
        self._turns.pop(sender.number, None)
        self._aside.pop(sender.number, None)

    def stands_aside(self, sender: Sender) -> bool:
        """Whether the window of its own stream is shut."""
        return sender.number in self._aside

    def reopened(self, number: int | None) -> None:
        """The window of stream *number* has grown; where that is 0 the connection's has, where it is None all may."""
        if number:
            sender = self._aside.pop(number, None)
            if sender is not None:
                self._turns[number] = sender
        elif number is None:
            self._turns.update(self._aside)
            self._aside.clear()
        self.send()

    def send(self) -> None:
        """
        Each sends a frame in its turn, until nothing is left, or nobody may. What is asked for within the call, by a
        sender that has more at once, is done before it returns.
        """
        if not self._sending:
            self._sending = True
            try:
                self._take_turns()
            finally:
                self._sending = False
            self._flush()

    def _take_turns(self) -> None:
        turns, connection = self._turns, self._h2
        unsent = 0
        # While the window of the connection is shut nobody stands aside: whose turn it is will be next.
        while turns and connection.outbound_flow_control_window > 0 and not self._is_full():
            number, sender = turns.popitem(last=False)
            sent = self._send_one(number, sender)
            if sent is None:
                continue
            unsent += sent
            if unsent >= _AT_ONCE:
                unsent = 0
                self._flush()
            # To the end of the line.
            if not sender.is_empty:
                turns[number] = sender
            sender.piece_sent()

    def _send_one(self, number: int, sender: Sender) -> int | None:
        """How many bytes went; None: nothing may."""
        try:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            piece, is_last = sender.next_piece(max(room, 0))
            if not piece and not is_last:
                self._aside[number] = sender
                return None
            self._h2.send_data(number, piece, end_stream=is_last)
        except NoSuchStreamError:
            return None  # it has been reset, and that will be said in a moment
        self.sent += 1
        return len(piece)
