"""
How much of what costs us and carries nothing the other side may send: requests that are taken back at once, settings,
pings, empty frames. Real programs stay far below; whoever goes above is shut out (RFC 9113 10.5).
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

BURST = 500
A_SECOND = 50.0


class Flood:
    """A bucket that holds *burst* and is filled by so many *a_second*."""

    __slots__ = ("_a_second", "_burst", "_clock", "_left", "_seen")

    def __init__(self, clock: IReactorTime, burst: int = BURST, a_second: float = A_SECOND) -> None:
        self._clock = clock
        self._burst = burst
        self._a_second = a_second
        self._left = float(burst)
        self._seen = clock.seconds()

    def another(self) -> bool:
        """Whether one more is still borne."""
        now = self._clock.seconds()
        self._left = min(self._burst, self._left + (now - self._seen) * self._a_second) - 1
        self._seen = now
        return self._left >= 0
