"""
The names of the zone and whose they are: the contract of that part of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedName:
    """A name of the zone that the live *tunnel* has by *epoch*, at an edge of *region*. *age*: seconds since."""

    label: str
    region: str
    epoch: int
    tunnel: str
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """
    The host *name* of the zone: all *addresses* of its edges, sorted, by *epoch*; without those that are draining,
    unless all are. Without any, there are no edges there any more.
    """

    name: str
    addresses: tuple[str, ...]
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    The host *name* that clients type: all *addresses* of the edges that they may be sent to, sorted, each asked at
    *port* whether it lives; by *epoch*. No edge that drains is among them, but where all do.
    """

    name: str
    port: int
    addresses: tuple[str, ...]
    epoch: int


class ZoneBook(Protocol):
    """What should stand in the zone, as one transaction sees it."""

    async def owned_names(self, labels: Collection[str] | None) -> tuple[OwnedName, ...]:
        """Those of *labels*, or all, that live tunnels have."""
        ...

    async def left_names(self, tunnels: Collection[str]) -> dict[str, int]:
        """The names that these ended *tunnels* had last and nobody has now, each with its epoch."""
        ...

    async def disowned(self, labels: Collection[str]) -> dict[str, int]:
        """
        An epoch, higher than any that its owners had, for each of *labels* that nobody has. Those that somebody is
        about to get are left out, and until this transaction is over nobody gets one of the others.
        """
        ...

    async def regions_settled(self) -> tuple[Region, ...]:
        """Every region that there is or was; one whose addresses have changed since the last time has a new epoch."""
        ...

    async def entries_settled(self, name: str | None, port: int) -> tuple[Entry, ...]:
        """
        Every entry that there is or was; those but *name* have no addresses any more. One that has changed since the
        last time has a new epoch.
        """
        ...
