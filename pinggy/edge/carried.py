"""
What an edge has carried since it started: read from the tallies of its tunnels, whose ends take nothing away.
"""

from __future__ import annotations

from typing import Protocol

from pinggy.edge.tally import Tally
from pinggy.tunnel.life import Life, State

_FEW = 64


class Carrier(Protocol):
    """A tunnel."""

    life: Life
    tally: Tally


class Carried:
    """
    Tunnels are watched from their first forwarding until they have ended and their last visitor is gone; then what they
    carried is added up.
    """

    def __init__(self) -> None:
        self._over = Tally()
        self._watched: set[Carrier] = set()
        self._most = _FEW

    @property
    def watched(self) -> int:
        """How many tunnels are not added up yet."""
        return len(self._watched)

    def watch(self, tunnel: Carrier) -> None:
        self._watched.add(tunnel)
        if len(self._watched) > self._most:
            # Without anybody who asks, those that are over would stay; so seldom it costs nothing.
            self._settle()
            self._most = 2 * len(self._watched) + _FEW

    def sum(self) -> Tally:
        """Of all tunnels that there were."""
        self._settle()
        whole = Tally()
        for each in (self._over, *(tunnel.tally for tunnel in self._watched)):
            whole.add(each)
        return whole

    def _settle(self) -> None:
        over = [each for each in self._watched if each.life.state is State.ENDED and not each.tally.open]
        for each in over:
            self._over.add(each.tally)
            self._watched.discard(each)
