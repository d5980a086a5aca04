"""
Who is told what becomes of a tunnel; and what a terminal that opens late has missed.
"""

from __future__ import annotations

from pinggy.edge.client import Watcher
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal

MOST_REMEMBERED = 32  # refusals that are told to a terminal which opens later


class Watchers:
    """*refusals* are the latest, oldest first."""

    __slots__ = ("_all", "refusals")

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self._all: list[Watcher] = []

    def add(self, watcher: Watcher, live: list[Forwarding]) -> None:
        """*live* and what was refused is told at once."""
        self._all.append(watcher)
        for forwarding in live:
            watcher.opened(forwarding)
        for refusal in self.refusals:
            watcher.refused(refusal)

    def remove(self, watcher: Watcher) -> None:
        if watcher in self._all:
            self._all.remove(watcher)

    def opened(self, forwarding: Forwarding) -> None:
        for watcher in list(self._all):
            watcher.opened(forwarding)

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        del self.refusals[:-MOST_REMEMBERED]
        for watcher in list(self._all):
            watcher.refused(refusal)

    def settled(self) -> None:
        for watcher in list(self._all):
            watcher.settled()
