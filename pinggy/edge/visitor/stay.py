"""
One visitor's connection, and the tunnels that have let it in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from pinggy.edge.client import Peer
from pinggy.edge.local.h2.pool import H2Pool
from pinggy.edge.tunnels import LiveForwarding, LiveTunnel, Presence
from pinggy.tunnel.networks import Address
from pinggy.tunnel.policy import Policy


@dataclass(slots=True)
class _Presence:
    presence: Presence
    policy: Policy
    is_counted: bool = False
    pools: dict[LiveForwarding, H2Pool] = field(default_factory=dict)


class Stay:
    """
    Of *peer*, whom *cut* breaks off as far as he is at a tunnel that does not let him in any more; *ended* is called
    when one of them has. It is present at the *most* tunnels that he asked for last: HTTP/1.1 asks one after the other,
    HTTP/2 many at once.
    """

    __slots__ = ("_cut", "_ended", "_most", "_present", "address", "peer", "text")

    def __init__(
        self,
        peer: Peer,
        cut: Callable[[LiveTunnel], object],
        *,
        ended: Callable[[], object] = lambda: None,
        most: int = 1,
    ) -> None:
        self.peer = peer
        self.address, self.text = _read(peer.host)
        self._cut = cut
        self._ended = ended
        self._most = most
        self._present: dict[LiveTunnel, _Presence] = {}

    def is_admitted(self, tunnel: LiveTunnel, policy: Policy) -> bool:
        """Whether *policy*, which is in force at *tunnel*, lets him in; then he is there."""
        before = self._present.get(tunnel)
        # What let him in before lets him in again: a long whitelist is read once for a connection.
        if before is not None and before.policy is policy:
            return True
        if not policy.admits(self.address):
            return False
        if before is not None:
            before.policy = policy
            return True
        while len(self._present) >= self._most:
            first = next(iter(self._present))
            if self._most > 1:
                # A request of his may go on there, where he would not be known to be.
                self._cut(first)
            self._leave(first)
        presence = tunnel.enter(self.peer.host, partial(self._cut, tunnel), self._ended)
        self._present[tunnel] = _Presence(presence, policy)
        return True

    def count(self, tunnel: LiveTunnel) -> None:
        """He has been let to *tunnel*: as one visitor, however often he asks."""
        present = self._present.get(tunnel)
        if present is not None and not present.is_counted:
            present.is_counted = True
            tunnel.visited()

    def own_pool(self, live: LiveForwarding) -> H2Pool:
        """His own connections to a local server that is told whose each one is (x:haproxy): until he leaves."""
        return self._present[live.tunnel].pools.setdefault(live, H2Pool())

    def leave(self) -> None:
        """He is at none of them any more."""
        for tunnel in list(self._present):
            self._leave(tunnel)

    def turn_away(self) -> None:
        """He asks for a tunnel of another edge: one that he asks one after the other is not at those of this one."""
        if self._most == 1:
            self.leave()

    def _leave(self, tunnel: LiveTunnel) -> None:
        present = self._present.pop(tunnel)
        tunnel.leave(present.presence)
        for pool in present.pools.values():
            pool.close()


@lru_cache(maxsize=4096)
def _read(host: str) -> tuple[Address, str]:
    """A visitor's address, and how it is written; most of them come more than once."""
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, str(mapped or address)
