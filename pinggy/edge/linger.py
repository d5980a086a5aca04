"""
How long the records of a tunnel that was sent away stay.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.timer import Timer

# Seconds for which the records of a tunnel that was sent away lead visitors here still: they wait for it, or are passed
# on to where it is by then. A resolver that asked in between would say for long that there is no such name.
LINGER = 3.0


class Linger:
    __slots__ = ("_over", "_timer")

    def __init__(self, clock: IReactorTime) -> None:
        self._over: Deferred[None] | None = None
        self._timer = Timer(clock, self.stop)

    def start(self) -> Deferred[None]:
        """Fires when the time is over, or was cut short. Once."""
        over: Deferred[None] = Deferred()
        self._over = over
        self._timer.start(LINGER)
        return over

    def stop(self) -> None:
        """Cut it short; harmless where it has not begun."""
        self._timer.stop()
        over, self._over = self._over, None
        if over is not None:
            over.callback(None)
