"""
What the operator may want to know of edges and one tunnel when something is wrong: the contract of that part of the
ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinggy.tunnel.grant import Forwarding


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSeen:
    """
    An edge that was *heard* so many seconds ago, None for never; its *host_keys* are fingerprints, sorted. Of its
    *tunnels* leases, *lease* is what is left of the one that is over first, in seconds.
    """

    name: str
    region: str
    addresses: tuple[str, ...]
    heard: float | None = None
    draining: bool = False
    relay_port: int | None = None
    host_keys: tuple[str, ...] = ()
    tunnels: int = 0
    lease: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenForwarding:
    """*live*: its edge has said that the zone answers with it. *age* is seconds since it was granted."""

    forwarding: Forwarding
    live: bool
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSeen:
    """
    A live tunnel of *account*, at an edge of *region* with these *addresses*. *age* and *lease*, what is left of it,
    are seconds.
    """

    id: str
    account: str | None
    address: str
    edge: str
    region: str
    addresses: tuple[str, ...]
    age: float
    lease: float
    forwardings: tuple[SeenForwarding, ...] = ()


class DoctorBook(Protocol):
    async def schema(self) -> int:
        """The number of the latest migration."""
        ...

    async def edges_seen(self) -> tuple[EdgeSeen, ...]: ...

    async def tunnels_like(self, prefix: str) -> tuple[str, ...]:
        """The ids of live tunnels that begin with *prefix*; of many, two."""
        ...

    async def tunnel_seen(self, tunnel: str) -> TunnelSeen | None: ...
