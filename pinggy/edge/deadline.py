"""
One deadline that moves often, over one delayed call that seldom does.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """
    Calls *passed* when the time last set is reached. To set or clear it costs no more than a look at the clock: the
    delayed call stays where it is and, when it is called too early, waits for the rest.
    """

    __slots__ = ("_at", "_call", "_clock", "_looks", "_passed")

    def __init__(self, clock: IReactorTime, passed: Callable[[], None]) -> None:
        self._clock = clock
        self._passed = passed
        self._at: float | None = None
        self._call: IDelayedCall | None = None
        self._looks = 0.0  # when *_call* is called

    def set(self, seconds: float) -> float:
        """*seconds* from now; which is returned, in seconds of the clock."""
        now = self._clock.seconds()
        self._at = at = now + seconds
        if self._call is None:
            self._looks = at
            self._call = self._clock.callLater(seconds, self._look)
        elif self._looks > at:
            self._looks = at
            self._call.reset(seconds)
        return now

    def clear(self) -> None:
        """There is none for now."""
        self._at = None

    def stop(self) -> None:
        """There will be none again: leave nothing behind."""
        self._at = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        if self._at is None:
            return
        left = self._at - self._clock.seconds()
        if left > 0:
            self._looks = self._at
            self._call = self._clock.callLater(left, self._look)
            return
        self._at = None
        self._passed()
