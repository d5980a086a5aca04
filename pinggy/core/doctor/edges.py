"""
Every edge: is it heard, does it do what the core wants, does it hold what it should?
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from pinggy.core.asks import Asks, NoAnswer
from pinggy.core.doctor.findings import count, note, section, span, well, wrong
from pinggy.core.doctor_book import EdgeSeen
from pinggy.core.ledger import Ledger, LedgerAway, Transaction
from pinggy.core.report_book import Reported
from pinggy.wire.doctor import Finding, Section
from pinggy.wire.orders import Examine, Examined

# Seconds for an edge to carry out an order and answer.
PATIENCE = 5.0
_SHOWN = 3
_LOG = "Look at it: journalctl -u pinggy-edge on its machine."


class EdgeCheck:
    """*lease* and *interval*, between two reports, are seconds."""

    def __init__(
        self, clock: IReactorTime, ledger: Ledger, asks: Asks, *, lease: float, interval: float, relays: bool
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._asks = asks
        self._lease = lease
        self._interval = interval
        self._relays = relays

    async def look(self) -> list[Section]:
        async def work(ledger: Transaction) -> tuple[tuple[EdgeSeen, ...], tuple[Reported, ...]]:
            return await ledger.edges_seen(), await ledger.reported()

        edges, reports = await self._ledger.transact(work)
        if not edges:
            return [section("Edges", [note("edges", "There are none.", advice="Admit one: 'pinggy edge add'.")])]
        by_edge = {each.edge: each for each in reports}
        looks = [Deferred.fromCoroutine(self._look(each, by_edge.get(each.name))) for each in edges]
        found: list[Section] = await gatherResults(looks, consumeErrors=True)
        return [section("Edges", self._host_keys(edges)), *found]

    async def _look(self, edge: EdgeSeen, report: Reported | None) -> Section:
        found = [self._heard(edge)]
        if edge.draining:
            text = f"It is draining: no new tunnels, {count(edge.tunnels, 'tunnel')} left."
            found.append(note("edge-draining", text, edge.name))
        if edge.heard is not None and edge.heard <= self._lease:
            found.append(await self._carries_out(edge))
            found += self._leases(edge)
            found += self._reports(edge, report)
            found += self._relay(edge)
        return section(f"Edge {edge.name}, region {edge.region}", found)

    def _heard(self, edge: EdgeSeen) -> Finding:
        if edge.heard is None:
            return wrong(
                "edge-heard",
                "It has never been heard.",
                edge.name,
                "Start it with the settings that 'pinggy edge add' printed, or take it away: 'pinggy edge remove'.",
            )
        if edge.heard > self._lease:
            text = f"It was last heard {span(edge.heard)} ago, more than a lease: its tunnels are over."
            return wrong("edge-heard", text, edge.name, f"Is it up, and does it reach the core? {_LOG}")
        return well("edge-heard", f"It was heard {span(edge.heard)} ago.", edge.name)

    async def _carries_out(self, edge: EdgeSeen) -> Finding:
        began = self._clock.seconds()
        try:
            answer = await self._asks.put(edge.name, lambda ask: Examine(ask=ask, tunnel=""), Examined, PATIENCE)
        except LedgerAway as error:
            return wrong("edge-orders", f"It could not be asked: {error}", edge.name)
        if isinstance(answer, Examined):
            took = span(self._clock.seconds() - began)
            return well("edge-orders", f"It carried out an order and answered in {took}.", edge.name)
        if answer is NoAnswer.UNATTACHED:
            text = "No core has its stream of orders: what it is to close or send away, it does not hear."
        else:
            text = f"It did not answer an order within {PATIENCE:g} s."
        return wrong("edge-orders", text, edge.name, _LOG)

    def _leases(self, edge: EdgeSeen) -> list[Finding]:
        if edge.lease is None:
            return [well("edge-leases", "It has no tunnels.", edge.name)]
        held = count(edge.tunnels, "tunnel")
        if edge.lease < self._lease / 3:
            left = f"the first lease is over in {span(edge.lease)}" if edge.lease > 0 else "the first lease is over"
            return [wrong("edge-leases", f"It has {held}, and does not renew them all: {left}.", edge.name, _LOG)]
        return [well("edge-leases", f"It has {held}, all renewed within {span(self._lease - edge.lease)}.", edge.name)]

    def _reports(self, edge: EdgeSeen, report: Reported | None) -> list[Finding]:
        if report is None:
            return [note("edge-report", "It has not said yet what it serves.", edge.name)]
        if report.age > 3 * self._interval:
            text = f"It last said {span(report.age)} ago what it serves, and should every {span(self._interval)}."
            return [wrong("edge-report", text, edge.name, _LOG)]
        serves = f"{span(report.age)} ago it served {count(report.held, 'name')}"
        if not report.differences:
            return [well("edge-report", f"{serves}, as the ledger has it.", edge.name)]
        shown = "; ".join(report.differences[:_SHOWN])
        more = f", and {len(report.differences) - _SHOWN} more" if len(report.differences) > _SHOWN else ""
        return [
            wrong(
                "edge-report",
                f"{serves}, and the ledger differed: {shown}{more}.",
                edge.name,
                "It has been put right. Once is well; again and again is a fault: the core's log has each.",
            )
        ]

    def _relay(self, edge: EdgeSeen) -> list[Finding]:
        if not self._relays:
            return []
        if edge.relay_port is None:
            return [note("edge-relay", "It takes no visitors from other edges: its settings have no relay.", edge.name)]
        where = f"{edge.addresses[0]} port {edge.relay_port}" if edge.addresses else f"port {edge.relay_port}"
        return [well("edge-relay", f"It takes visitors from other edges at {where}.", edge.name)]

    def _host_keys(self, edges: Sequence[EdgeSeen]) -> list[Finding]:
        heard = [each for each in edges if each.host_keys and each.heard is not None and each.heard <= self._lease]
        if len(heard) < 2:
            return []
        if len({each.host_keys for each in heard}) == 1:
            return [well("host-keys", f"All {len(heard)} that are up show clients the same host keys.")]
        return [
            wrong(
                "host-keys",
                f"They show clients different host keys: {', '.join(each.name for each in heard)}.",
                advice="Give all the same files: a client that roams is warned otherwise. /readyz lists the keys.",
            )
        ]
