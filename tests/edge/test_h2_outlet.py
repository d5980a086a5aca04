"""
What waits to be sent over one connection, with a connection of the h2 library and senders that are the test.
"""

from __future__ import annotations

from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection

from pinggy.edge.h2.outlet import Outlet
from tests.support import h2_frames as h2
from tests.support.h2_frames import Kind

GET = h2.block([(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")])
# RFC 9113 6.9.2: of every connection, before its other side opens it.
WINDOW = 65_535


class Sends:
    """Stream *number* with *left* bytes; *asked* is how often it was; *more* is called when a piece is on its way."""

    def __init__(self, number: int, left: int, more: Callable[[Sends], object] = lambda _: None) -> None:
        self.number = number
        self.left = left
        self.asked = 0
        self._more = more

    @property
    def is_empty(self) -> bool:
        return not self.left

    def next_piece(self, room: int) -> tuple[bytes, bool]:
        self.asked += 1
        size = min(room, self.left)
        self.left -= size
        return bytes(size), False

    def piece_sent(self) -> None:
        self._more(self)


class Wired:
    """An outlet of a connection with so many *streams*, whose windows are *open_to*; *heard* are its DATA frames."""

    def __init__(self, streams: int, open_to: int) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False))
        self.connection.initiate_connection()
        opened = b"".join(h2.headers(2 * each + 1, GET) for each in range(streams))
        self.connection.receive_data(h2.PREFACE + h2.settings((4, open_to)) + opened)
        self.is_full = False
        self.outlet = Outlet(self.connection, lambda: self.is_full, lambda: None)
        for each in range(streams):
            self.connection.send_headers(2 * each + 1, [(":status", "200")])
        self.heard()

    def receives(self, data: bytes) -> None:
        self.connection.receive_data(data)

    def heard(self) -> list[tuple[int, int]]:
        """Stream and length of each, since the last time."""
        sent = h2.frames(self.connection.data_to_send())
        return [(each.stream, len(each.payload)) for each in sent if each.kind == Kind.DATA]


def test_while_the_window_of_the_connection_is_shut_nobody_is_asked() -> None:
    """Opened byte by byte, it would cost a look at every stream each time."""
    wired = Wired(50, 1000)
    senders = [Sends(2 * each + 1, 10_000) for each in range(50)]
    wired.receives(h2.settings((4, 100_000)))
    for sender in senders:
        wired.outlet.wants(sender)
    wired.outlet.send()
    assert sum(size for _, size in wired.heard()) == WINDOW
    before = sum(each.asked for each in senders)
    for _ in range(100):
        wired.receives(h2.window(0, 1))
        wired.outlet.reopened(0)
    heard = wired.heard()
    assert [size for _, size in heard] == [1] * 100
    # Each in turn, those that are done left out.
    assert max(sum(stream == number for stream, _ in heard) for number in {each for each, _ in heard}) <= 3
    assert sum(each.asked for each in senders) - before == 100


def test_a_window_of_a_stream_that_is_shut_lets_the_others_go_on() -> None:
    wired = Wired(2, 10)
    first, second = Sends(1, 20), Sends(3, 5)
    wired.outlet.wants(first)
    wired.outlet.wants(second)
    wired.outlet.send()
    assert wired.heard() == [(1, 10), (3, 5)]
    asked = first.asked
    wired.receives(h2.window(0, 10))
    wired.outlet.reopened(0)
    assert first.asked == asked
    wired.receives(h2.window(1, 5))
    wired.outlet.reopened(1)
    assert wired.heard() == [(1, 5)]
    wired.receives(h2.settings((4, 15)))
    wired.outlet.reopened(None)
    assert wired.heard() == [(1, 5)]


def test_more_that_comes_while_a_piece_is_sent_waits_for_its_turn() -> None:
    """However many streams there are, and however much each has at hand: calls do not pile up."""
    wired = Wired(50, 60_000)
    depth = deepest = 0

    def more(sender: Sends) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        if sender.asked < 10:
            sender.left = 100
            wired.outlet.wants(sender)
            wired.outlet.send()
        depth -= 1

    for each in range(50):
        wired.outlet.wants(Sends(2 * each + 1, 100, more))
    wired.outlet.send()
    assert len(wired.heard()) == 50 * 10
    assert deepest == 1
