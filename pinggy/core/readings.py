"""
What a core knows anyway, and what its ledger does, read when somebody asks for its metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.ledger import LedgerAway
from pinggy.core.orders import OrderDesk
from pinggy.core.pool import Pool
from pinggy.core.postgres.figures import EdgeFigures, edge_figures
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.metrics.metrics import Metrics


class Calls(Protocol):
    """`pinggy.core.api.site.CoreSite`, as far as it is read here."""

    calls: int

    @property
    def in_hand(self) -> Sized: ...


class CoreReadings(Metrics):
    """What the ledger says of edges is every core's to show: where there are several, all show the same."""

    _log = Logger()

    def __init__(
        self,
        pool: Pool,
        desk: OrderDesk,
        site: Calls,
        zone: PowerDnsZone | None,
        certificate_expires: Callable[[], float | None],
    ) -> None:
        super().__init__("pinggy_core")
        self._pool = pool
        self._zone = zone
        self._edges: tuple[EdgeFigures, ...] | None = None
        self._looking: Deferred[None] | None = None
        self._gauges("pool_connections", "Connections to the database, by state.", "state", self._connections)
        self._gauge("pool_size", "Connections that there may be at the most.", lambda: pool.size)
        self._gauge("pool_waiting", "Pieces of work that wait for a connection.", lambda: pool.waiting)
        self._gauge("database_away", "1 while the database does not answer.", lambda: float(pool.away))
        self._total("requests", "Requests of edges and the operator.", lambda: site.calls)
        self._gauge(
            "requests_in_hand", "Requests that are not answered yet, polls included.", lambda: len(site.in_hand)
        )
        self._gauge("polls_waiting", "Edges whose poll for orders waits here.", lambda: desk.waiting)
        self._gauge(
            "certificate_expiry_timestamp_seconds", "When the core's certificate runs out.", certificate_expires
        )
        self._gauges("dns_server_up", "1 while the server of the zone takes names.", "server", self._dns_servers)
        self._of_edges()

    def refresh(self) -> Deferred[None]:
        if self._looking is None:
            self._looking = edge_figures(self._pool).addCallbacks(self._seen, self._unseen)
            self._looking.addBoth(self._looked)
        done: Deferred[None] = Deferred()
        if self._looking is None:
            done.callback(None)
        else:
            self._looking.addBoth(lambda _: done.callback(None))
        return done

    def _of_edges(self) -> None:
        for name, text, read in (
            ("tunnels", "Tunnels in the ledger.", lambda each: each.tunnels),
            ("tunnels_live", "Tunnels in the ledger that visitors may come to.", lambda each: each.live),
            ("edge_heard_seconds", "Since the edge last renewed.", lambda each: each.heard),
            ("orders_waiting", "Orders that the edge has not carried out.", lambda each: each.orders),
            ("orders_oldest_seconds", "Since the oldest of them was written.", lambda each: each.oldest),
        ):
            self._gauges(name, text, "edge", self._by_edge(read))

    def _by_edge(self, read: Callable[[EdgeFigures], float | None]) -> Callable[[], Mapping[str, float]]:
        def found() -> Mapping[str, float]:
            values = {each.edge: read(each) for each in self._edges or ()}
            return {edge: value for edge, value in values.items() if value is not None}

        return found

    def _dns_servers(self) -> Mapping[str, float]:
        return {} if self._zone is None else {server: float(up) for server, up in self._zone.up().items()}

    def _connections(self) -> Mapping[str, float]:
        return {"in_use": self._pool.in_use, "idle": self._pool.idle}

    def _seen(self, edges: tuple[EdgeFigures, ...]) -> None:
        self._edges = edges

    def _unseen(self, failure: Failure) -> None:
        # Nothing is better than what was true once.
        self._edges = None
        if failure.check(LedgerAway) is None:
            self._log.failure("the ledger could not be counted", failure)

    def _looked(self, _: None) -> None:
        self._looking = None
