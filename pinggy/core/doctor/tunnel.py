"""
One tunnel from end to end: the ledger, the names, the edge, the client, the local servers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from pinggy.core.asks import Asks, NoAnswer
from pinggy.core.doctor.edges import PATIENCE
from pinggy.core.doctor.findings import diagnosis, note, section, span, well, wrong
from pinggy.core.doctor_book import SeenForwarding, TunnelSeen
from pinggy.core.ledger import Ledger, Transaction
from pinggy.core.records import Records
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.zone import NameRecord, ZoneError
from pinggy.tunnel.refusals import NotFound, echo
from pinggy.wire.doctor import Address, Diagnosis, Finding, Section
from pinggy.wire.orders import Examine, Examined, LocalServer

_TUNNEL = re.compile(r"[0-9a-f]{6,32}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_WHOLE_ID = 32
# Names that are asked for: the answer has a bound.
_MOST_NAMES = 25


class AskedZone(Protocol):
    """`pinggy.dns.powerdns.zone.PowerDnsZone`, as far as it is used here."""

    @property
    def servers(self) -> Sequence[PowerDnsServer]: ...

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]: ...


class TunnelCheck:
    """*lease* is seconds. With *zone* None no servers are known here."""

    def __init__(
        self,
        clock: IReactorTime,
        ledger: Ledger,
        records: Records,
        asks: Asks,
        zone: AskedZone | None,
        *,
        lease: float,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._records = records
        self._asks = asks
        self._zone = zone
        self._lease = lease

    async def look(self, subject: str) -> Diagnosis:
        """
        *subject* is the id of a tunnel (its first six characters at the least), a name or a host. Fails with
        `NotFound`.
        """
        tunnel = await self._ledger.transact(lambda ledger: self._find(ledger, subject))
        # The names are asked for while the edge is.
        names = [Deferred.fromCoroutine(self._name(tunnel, each)) for each in tunnel.forwardings[:_MOST_NAMES]]
        began = self._clock.seconds()
        answer = await self._examine(tunnel)
        took = self._clock.seconds() - began
        named = await gatherResults(names, consumeErrors=True)
        return diagnosis(
            [
                section(f"Tunnel {tunnel.id}", [self._held(tunnel), *self._edge(tunnel, answer, took)]),
                *self._local_servers(tunnel, named, answer),
            ],
            [self._address(tunnel, each) for each in tunnel.forwardings[:_MOST_NAMES]],
        )

    # -- which one ----------------------------------------------------------------------------------------------------

    async def _find(self, ledger: Transaction, subject: str) -> TunnelSeen:
        asked = subject.strip().lower().removesuffix(".")
        label = asked.removesuffix(f".{self._records.domain}")
        holder = await ledger.holder_of_name(label) if _LABEL.fullmatch(label) else None
        tunnels: tuple[str, ...] = () if holder is None else (holder.tunnel,)
        if not tunnels and _TUNNEL.fullmatch(asked):
            tunnels = await ledger.tunnels_like(asked)
        if len(tunnels) > 1:
            raise NotFound(f"Several tunnels' ids begin with {echo(asked)}: give more of it.")
        seen = await ledger.tunnel_seen(tunnels[0]) if tunnels else None
        if seen is None:
            raise NotFound(await self._why_not(ledger, asked, label))
        return seen

    async def _why_not(self, ledger: Transaction, asked: str, label: str) -> str:
        none = f"No live tunnel is called {echo(asked)}, by its id or a name"
        if len(asked) == _WHOLE_ID and _TUNNEL.fullmatch(asked):
            over = await ledger.end_of(asked)
            if over is not None:
                return f"Tunnel {asked} is over: {over.code}. {over.text}"
        if _LABEL.fullmatch(label):
            last = await ledger.whereabouts(label)
            if last.left is not None:
                return f"{none}. The last one that had the name ended {span(last.left_since)} ago: {last.left}."
        return f"{none}: see 'pinggy tunnel list'."

    # -- what it has --------------------------------------------------------------------------------------------------

    def _held(self, tunnel: TunnelSeen) -> Finding:
        whose = f"of {tunnel.account}" if tunnel.account else "of nobody's account"
        text = f"The ledger has it {whose}, from {tunnel.address}, at edge {tunnel.edge} since {span(tunnel.age)}"
        if not any(each.live for each in tunnel.forwardings):
            advice = "Its edge sets it up, or waits for the zone: ask again in some seconds."
            return wrong("ledger", f"{text}; it is not live yet.", tunnel.id, advice)
        if tunnel.lease < self._lease / 3:
            left = f"over in {span(tunnel.lease)}" if tunnel.lease > 0 else "over"
            advice = "Its edge is gone or cut off; then its names are free, and its client may come back elsewhere."
            return wrong("ledger", f"{text}; its lease is {left} and not renewed.", tunnel.id, advice)
        return well("ledger", f"{text}; its lease was renewed {span(self._lease - tunnel.lease)} ago.", tunnel.id)

    def _address(self, tunnel: TunnelSeen, each: SeenForwarding) -> Address:
        forwarding = each.forwarding
        host = self._records.absolute(forwarding.name)
        return Address(host=host, addresses=tunnel.addresses, port=forwarding.port)

    # -- names --------------------------------------------------------------------------------------------------------

    async def _name(self, tunnel: TunnelSeen, each: SeenForwarding) -> list[Finding]:
        if self._zone is None:
            return []
        record = self._records.name(each.forwarding.name, tunnel.region, each.forwarding.epoch)
        asked = [Deferred.fromCoroutine(self._asked(server, record)) for server in self._zone.servers]
        return list(await gatherResults(asked, consumeErrors=True))

    async def _asked(self, server: PowerDnsServer, record: NameRecord) -> Finding:
        assert self._zone is not None
        try:
            await self._zone.confirm_at(server, record)
        except ZoneError as error:
            advice = "The core publishes it again by itself; at once: 'pinggy zone check --mend'."
            return wrong("name", str(error), record.name, advice)
        return well("name", f"{server} answers that it leads to {record.target}.", record.name)

    # -- the edge and what is behind it -------------------------------------------------------------------------------

    async def _examine(self, tunnel: TunnelSeen) -> Examined | NoAnswer:
        return await self._asks.put(tunnel.edge, lambda ask: Examine(ask=ask, tunnel=tunnel.id), Examined, PATIENCE)

    def _edge(self, tunnel: TunnelSeen, answer: Examined | NoAnswer, took: float) -> list[Finding]:
        if not isinstance(answer, Examined):
            why = "has no stream of orders at any core" if answer is NoAnswer.UNATTACHED else "does not answer orders"
            text = f"The edge {tunnel.edge} {why}: nothing further can be said."
            return [wrong("edge", text, tunnel.edge, f"'pinggy doctor' says more of it. {_then(tunnel)}")]
        found = [well("edge", f"The edge {tunnel.edge} answered within {span(took)}.", tunnel.edge)]
        if not answer.held:
            text = f"The edge {tunnel.edge} does not have this tunnel."
            advice = "Within two reports the ledger gives it up; its client may come back at once."
            return [*found, wrong("client", text, tunnel.id, advice)]
        if answer.ping is None:
            text = "Its client does not answer: its ssh stands still, or the way there is cut."
            advice = "Its edge ends it by itself, after its setting clients.silence."
            return [*found, wrong("client", text, tunnel.id, advice)]
        return [*found, well("client", f"Its client answered a ping in {span(answer.ping)}.", tunnel.id)]

    def _local_servers(
        self, tunnel: TunnelSeen, named: Sequence[Sequence[Finding]], answer: Examined | NoAnswer
    ) -> list[Section]:
        by_number = {each.number: each for each in answer.local_servers} if isinstance(answer, Examined) else {}
        sections = []
        for each, names in zip(tunnel.forwardings, named, strict=False):
            found = (
                list(names) if self._zone else [note("name", "The core knows no servers of the zone: none was asked.")]
            )
            if isinstance(answer, Examined) and answer.held:
                host = self._records.absolute(each.forwarding.name)
                alive = answer.ping is not None
                found.append(_local_server(host, by_number.get(each.forwarding.number), alive))
            title = f"{self._records.absolute(each.forwarding.name)}, {each.forwarding.kind.value}"
            sections.append(section(title, found))
        return sections


def _local_server(host: str, looked: LocalServer | None, alive: bool) -> Finding:
    if looked is None:
        text = "Its edge does not serve it."
        return wrong("local-server", text, host, "Where it is not live yet: ask again in some seconds.")
    if not looked.trouble:
        return well("local-server", "The client's ssh connected to the local server.", host)
    if not alive:
        return note("local-server", "Whether the local server is up only its client could say.", host)
    return wrong(
        "local-server", echo(looked.trouble), host, "Is the local server up, at the host and port that -R names?"
    )


def _then(tunnel: TunnelSeen) -> str:
    return f"When its lease is over, in {span(max(tunnel.lease, 0.0))}, its names are free."
