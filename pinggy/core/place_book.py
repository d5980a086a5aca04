"""
Where names live, for edges that pass visitors on: the contract of that part of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from pinggy.wire.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """
    Who has a name: by *epoch*, 0 where nobody has it, and whether he is *live*; *place* is None where his edge takes no
    visitors from others. *left* is the code by which the last one before left it, *left_since* seconds ago, who had it
    by *left_epoch*; None where nobody is known to have, or he gave up this name alone.
    """

    epoch: int = 0
    live: bool = False
    place: Place | None = None
    left: str | None = None
    left_since: float = 0.0
    left_epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """
    A name lives at *place* now. *left* are the edges that it has left within the last minute, *neighbours* the other
    edges of its region where it has a port; none is in both, and all take visitors from others.
    """

    place: Place
    left: tuple[str, ...]
    neighbours: tuple[str, ...]


class PlaceBook(Protocol):
    """Where names live, as one transaction sees it."""

    async def whereabouts(self, name: str) -> Whereabouts: ...

    async def moved(self, tunnel: str, numbers: Collection[int]) -> tuple[Moved, ...]:
        """Of these forwardings of *tunnel*; none where its edge takes no visitors from others."""
        ...

    async def neighbours(self, edge: str) -> tuple[str, ...]:
        """The other edges of its region that take visitors from others."""
        ...

    async def ports_near(self, edge: str) -> tuple[Place, ...]:
        """The live ports of the other edges of its region that take visitors from others."""
        ...
