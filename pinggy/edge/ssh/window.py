"""
How large the window of a channel is that data comes in by (RFC 4254 5.2): small at first, a quarter of a second of what
its owner drains later on, and never more than a budget has.

A window is a promise: the other side may send so much at any time, and it waits in memory where the owner stands still.
A promise cannot be taken back, only not be renewed: a window shrinks while data flows.

Pure, and imports nothing of ours, so that it could be offered upstream.
"""

from __future__ import annotations

START = 128 * 1024
MOST = 4 * 1024 * 1024
_GROWS_WITHIN = 0.25  # seconds for a whole window to be drained: then it is what bounds the rate, up to that round trip
_SHRINKS_AFTER = 2.0


class WindowBudget:
    """*most* bytes that windows may have beyond their start, together; what is taken is taken of *parent* too."""

    __slots__ = ("_most", "_parent", "taken")

    def __init__(self, most: int, parent: WindowBudget | None = None) -> None:
        self._most = most
        self._parent = parent
        self.taken = 0

    def take(self, wanted: int) -> int:
        """As much of *wanted* bytes as there is."""
        granted = min(wanted, self._most - self.taken)
        if self._parent is not None:
            granted = self._parent.take(granted)
        self.taken += granted
        return granted

    def give(self, count: int) -> None:
        self.taken -= count
        if self._parent is not None:
            self._parent.give(count)


class ReceiveWindow:
    """
    Of one channel. *size* is what the other side may have under way; *start* what it begins with. Times are seconds of
    one clock.
    """

    __slots__ = ("_budget", "_debt", "_drained", "_since", "_start", "size")

    def __init__(self, start: int, budget: WindowBudget, now: float) -> None:
        self.size = start
        self._start = start
        self._budget = budget
        self._since = now
        self._drained = 0
        self._debt = 0

    def is_due(self, drained: int) -> bool:
        """Whether *drained* bytes that were not credited are worth a packet: the other side must never run dry."""
        return drained * 4 >= self.size

    def credit(self, drained: int, now: float) -> int:
        """What to credit for *drained* bytes."""
        self._drained += drained
        credit = drained
        if self._drained >= self.size:
            took = now - self._since
            if took <= _GROWS_WITHIN:
                credit += self._grow()
            elif took >= _SHRINKS_AFTER:
                self._shrink()
            self._drained = 0
            self._since = now
        return credit - self._pay(credit)

    def close(self) -> None:
        """The channel is over: the budget gets back what this window had of it."""
        self._budget.give(self.size - self._start + self._debt)
        self.size, self._debt = self._start, 0

    def _grow(self) -> int:
        grown = self._budget.take(min(self.size, MOST - self.size)) if self.size < MOST else 0
        self.size += grown
        return grown

    def _shrink(self) -> None:
        less = min(self.size // 2, self.size - self._start)
        self.size -= less
        self._debt += less

    def _pay(self, credit: int) -> int:
        """Of *credit*, what is kept because the window has become smaller."""
        paid = min(self._debt, credit)
        self._debt -= paid
        self._budget.give(paid)
        return paid
