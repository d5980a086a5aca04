"""
When a lease that is over may be believed.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

_BEATS = 6


class Patience:
    """
    The edges must have had a whole *lease* (seconds) in which this core took their renewals: it must have run without a
    pause, and its database with it. Whoever watches that says `begin`, `beat` every *interval* seconds, and `lose`.
    """

    def __init__(self, clock: IReactorTime, lease: float) -> None:
        self.lease = lease
        self.interval = lease / _BEATS
        self._clock = clock
        self._longest = 2 * self.interval + 1
        self._not_before: float | None = None
        self._last = 0.0

    @property
    def is_over(self) -> bool:
        """Whether what is over by the ledger is over."""
        now = self._clock.seconds()
        return self._not_before is not None and self._not_before <= now <= self._last + self._longest

    def begin(self) -> None:
        """The edges have a whole lease from now on."""
        self._last = self._clock.seconds()
        self._not_before = self._last + self.lease

    def beat(self) -> None:
        """This core runs. Where it stood still since the last beat, the edges could not renew."""
        now = self._clock.seconds()
        if now > self._last + self._longest and self._not_before is not None:
            self.begin()
        self._last = now

    def lose(self) -> None:
        """The database is away: nothing is believed until a lease after the next `begin`."""
        self._not_before = None
