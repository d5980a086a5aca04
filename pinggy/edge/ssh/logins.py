"""
Who logs in next, when a thousand come at once: an edge that has died sends all its clients here.

A login is milliseconds of work in several steps. If all were begun together, each step of each would wait for one of
all others: calls to core and zone would run into their bounds, and clients be refused who only had to wait. So they are
begun in the order they came, as fast as the edge gets on: while one turn of the reactor takes long, one each turn.

What holds them back is work, not a count of logins under way: whoever connects and says nothing holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

AT_ONCE = 4  # begun in one turn of the reactor, while turns are short
LONG_TURN = 0.02  # seconds

Begin = Callable[[], object]


class Logins:
    """Those that wait, of one edge."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Begin, None] = {}
        self._next: IDelayedCall | None = None
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, begin: Begin) -> None:
        """Call *begin* when it is its turn, which may be now."""
        if self._next is None:
            self._await_turn()
            begin()
        else:
            self._waiting[begin] = None

    def leave(self, begin: Begin) -> None:
        """*begin*, if it waits still, is not to be called any more."""
        self._waiting.pop(begin, None)

    def stop(self) -> None:
        """Nobody is called any more."""
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _await_turn(self) -> None:
        self._since = self._clock.seconds()
        self._next = self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._next = None
        took = self._clock.seconds() - self._since
        if not self._waiting:
            return
        self._await_turn()
        for _ in range(1 if took > LONG_TURN else AT_ONCE):
            if self._waiting:
                begin = next(iter(self._waiting))
                del self._waiting[begin]
                begin()
