"""
One delayed call that can be started anew and stopped, as often as one likes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """Calls *then* once, *seconds* after the latest `start`."""

    __slots__ = ("_call", "_clock", "_then")

    def __init__(self, clock: IReactorTime, then: Callable[[], object]) -> None:
        self._clock = clock
        self._then = then
        self._call: IDelayedCall | None = None

    def start(self, seconds: float) -> None:
        self.stop()
        self._call = self._clock.callLater(seconds, self._fire)

    def start_sooner(self, seconds: float) -> None:
        """As `start`, unless it fires before that anyway."""
        if self._call is None or self._call.getTime() > self._clock.seconds() + seconds:
            self.start(seconds)

    def stop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _fire(self) -> None:
        self._call = None
        self._then()
