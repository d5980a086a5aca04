"""
What an edge knows anyway, read when somebody asks for its metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from pinggy.certificates.store import Certificates
from pinggy.edge.tally import Tally
from pinggy.edge.tunnels import Tunnels
from pinggy.metrics.metrics import Metrics
from pinggy.tunnel.request import Kind


class Clients(Protocol):
    """`pinggy.edge.ssh.factory.SshFactory`, as far as it is read here."""

    @property
    def clients(self) -> int:
        """How many are connected."""
        ...


class Answers(Protocol):
    """What asks the core again and again."""

    @property
    def answered(self) -> float | None:
        """When the core last did (the clock's seconds); None before the first time."""
        ...


class CoreLease(Answers, Protocol):
    @property
    def away(self) -> bool:
        """Whether the last renewal was not answered."""
        ...


class EdgeReadings(Metrics):
    """
    *clients*, *renewal* and *orders* are there when the core has let the edge begin. *dns_servers* says whether each
    server of the zone is up.
    """

    def __init__(self, clock: IReactorTime, tunnels: Tunnels, certificate: Certificates) -> None:
        super().__init__("pinggy_edge")
        self.clients: Clients | None = None
        self.renewal: CoreLease | None = None
        self.orders: Answers | None = None
        self._carried = Tally()
        self.dns_servers: Callable[[], Mapping[str, bool]] = dict
        self._clock = clock
        self._tunnels = tunnels
        self._of_tunnels()
        self._of_the_core()
        self._gauges("dns_server_up", "1 while the server of the zone takes names.", "server", self._dns_servers)
        self._gauge(
            "clients", "Clients that are connected.", lambda: None if self.clients is None else self.clients.clients
        )
        self._gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that visitors see runs out.",
            lambda: certificate.expires,
        )

    def refresh(self) -> Deferred[None]:
        # Once for all that is read of it: it asks every tunnel.
        self._carried = self._tunnels.carried.sum()
        return succeed(None)

    def _of_tunnels(self) -> None:
        tunnels = self._tunnels
        self._gauge("tunnels", "Tunnels that are live.", lambda: len(tunnels))
        self._gauges("forwardings", "Forwardings that are live, by kind.", "kind", self._kinds)
        self._total("visitors", "Visitors that were let to a client.", lambda: self._carried.visitors)
        self._gauge("visitors_open", "Visitors that are with a client now.", lambda: self._carried.open)
        self._totals("bytes", "Bytes carried to clients, and from them.", "direction", self._bytes)

    def _of_the_core(self) -> None:
        self._gauge("core_away", "1 while the core does not renew.", self._away)
        self._gauge("lease_age_seconds", "Since the core last renewed.", lambda: self._since(self.renewal))
        self._gauge("orders_lag_seconds", "Since the core last answered for orders.", lambda: self._since(self.orders))

    def _kinds(self) -> Mapping[str, float]:
        found = self._tunnels.kinds()
        return {kind.value: found[kind] for kind in Kind}

    def _bytes(self) -> Mapping[str, float]:
        carried = self._carried
        return {"to_client": carried.received, "from_client": carried.sent}

    def _dns_servers(self) -> Mapping[str, float]:
        return {server: float(up) for server, up in self.dns_servers().items()}

    def _away(self) -> float | None:
        return None if self.renewal is None else float(self.renewal.away)

    def _since(self, who: Answers | None) -> float | None:
        if who is None or who.answered is None:
            return None
        return max(0.0, self._clock.seconds() - who.answered)
