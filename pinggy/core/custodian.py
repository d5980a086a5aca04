"""
Keeps the zone true: what the edges cannot write any more, and what somebody wrote behind our back.

The ledger is right. Edges write the names of their tunnels themselves; the custodian writes the hosts of regions, takes
away the names of tunnels that the core ended, and compares each server with the ledger: when it returns, once after the
first lease, and now and then. Nothing here is waited for by whoever asks for a tunnel.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.answers import Answers
from pinggy.core.compare import YOUNG, Difference, Expected, differences
from pinggy.core.entry_settings import EntrySettings
from pinggy.core.ledger import Ledger, LedgerAway, Transaction
from pinggy.core.metrics import CoreMetrics
from pinggy.core.news import EdgesChanged, News, TunnelsEnded
from pinggy.core.records import Records
from pinggy.core.zone_book import Entry, OwnedName
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.zone import EntryRecord, HostRecord, NameRecord, NewerOwner, ZoneError
from pinggy.tunnel.names import label_of_host
from pinggy.wire import operator

_GLANCE = 3.0  # seconds between two questions to each server whether it is up
_AT_ONCE = 100
_PAUSE = 0.05  # seconds between two times so many: edges publish meanwhile
_MOST_LINES = 100


class KeptZone(Protocol):
    """`pinggy.dns.powerdns.zone.PowerDnsZone`, as far as it is used here."""

    @property
    def servers(self) -> Sequence[PowerDnsServer]: ...

    def publish(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]: ...

    def publish_hosts(self, hosts: Sequence[HostRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]: ...

    def publish_entries(
        self, entries: Sequence[EntryRecord], *, only: PowerDnsServer | None = None
    ) -> Deferred[None]: ...

    def withdraw(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]: ...

    def contents(self, server: PowerDnsServer) -> Deferred[Mapping[str, Standing]]: ...

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]: ...

    def look(self) -> Deferred[None]: ...


class Custodian:
    """
    *first* and *interval* are seconds: until all servers are compared for the first time, and from then on, spread.
    *kept* are labels that no tunnel may have. Of an *entry* of kind ``lua`` it is the servers' answers that lead to the
    nearest edge.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        ledger: Ledger,
        records: Records,
        news: News,
        zone: KeptZone,
        *,
        kept: Collection[str],
        entry: EntrySettings | None = None,
        first: float,
        interval: float,
        metrics: CoreMetrics | None = None,
    ) -> None:
        self._metrics = metrics or CoreMetrics()
        self._clock = clock
        self._ledger = ledger
        self._records = records
        self._zone = zone
        self.answers = Answers(ledger, records, zone, self._metrics)
        self._kept = kept
        self._entry = entry if entry is not None and entry.kind == "lua" else None
        self._first = first
        self._interval = interval
        self._turns = {server: DeferredLock() for server in zone.servers}
        self._in_hand: set[Deferred[None]] = set()
        self._next: IDelayedCall | None = None
        self._glance: IDelayedCall | None = None
        self._later: list[IDelayedCall] = []
        self._running = False
        self._compared: tuple[float, int] | None = None
        news.hear(EdgesChanged, self._edges_changed, elsewhere=lambda news: self._later_on(self._edges_changed, news))
        news.hear(TunnelsEnded, self._ended, elsewhere=lambda news: self._later_on(self._ended, news))
        news.on_gap.append(self._something_missed)

    def start(self) -> None:
        self._running = True
        self._edges_changed(EdgesChanged())
        self._next = self._clock.callLater(self._first, self._round)
        self._glance = self._clock.callLater(_GLANCE, self._look_up)

    def stop(self) -> Deferred[None]:
        """Fires when what is under way is over."""
        self._running = False
        for call in (self._next, self._glance, *self._later):
            if call is not None and call.active():
                call.cancel()
        return gatherResults([_fired_like(each) for each in self._in_hand]).addCallback(lambda _: None)

    def returned(self, server: PowerDnsServer) -> None:
        """*server* was away, and has missed changes; those of young grants are looked for a little later."""
        if self._running:
            self._look_again(server)
            self._in(YOUNG, self._look_again, server)

    def _look_again(self, server: PowerDnsServer) -> None:
        self._do(self._look(server, mend=True))

    def _in(self, seconds: float, act: Callable[[Any], object], what: Any) -> None:
        self._later = [call for call in self._later if call.active()]
        self._later.append(self._clock.callLater(seconds, act, what))

    @property
    def last_round(self) -> tuple[float, int] | None:
        """How many seconds ago the slow comparison was over, and how much it put right; None before the first."""
        return None if self._compared is None else (self._clock.seconds() - self._compared[0], self._compared[1])

    def report(self, mend: bool) -> Deferred[operator.ZoneReport]:
        """Compare all servers now, and *mend*."""
        return Deferred.fromCoroutine(self._report(mend))

    # -- what cores have done -----------------------------------------------------------------------------------------

    def _later_on(self, act: Callable[[Any], object], news: object) -> None:
        """The core that did it acts at once; the others do after it, for it may have died just then."""
        if self._running:
            self._in(_GLANCE * random.uniform(1.0, 1.5), act, news)  # noqa: S311 - spreads cores

    def _something_missed(self) -> None:
        if self._running:
            self._edges_changed(EdgesChanged())
            for server in self._zone.servers:
                self._in(_GLANCE * random.uniform(1.0, 1.5), self._look_again, server)  # noqa: S311

    def _edges_changed(self, _: EdgesChanged) -> None:
        if self._running:
            self._do(self._publish_hosts(None))
            self._do(self._publish_entries(None))

    async def _publish_hosts(self, only: PowerDnsServer | None) -> None:
        regions = await self._ledger.transact(lambda ledger: ledger.regions_settled())
        taken = await self._taken([each.name for each in regions])
        hosts = [
            self._records.host(each.name, each.addresses, each.epoch)
            for each in regions
            if each.addresses or each.name not in taken
        ]
        if hosts:
            await self._zone.publish_hosts(hosts, only=only)

    async def _publish_entries(self, only: PowerDnsServer | None) -> None:
        entries = await self._ledger.transact(self.entries)
        labels = {each.name: label_of_host(each.name, self._records.domain) or "" for each in entries}
        taken = await self._taken(labels.values())
        ttl = 0 if self._entry is None else self._entry.ttl
        records = [self._records.entry(each, ttl) for each in entries if labels[each.name] not in taken]
        if records:
            # Of two changes that came together, the later one may have been quicker: it is the one to stand.
            with contextlib.suppress(NewerOwner):
                await self._zone.publish_entries(records, only=only)

    async def entries(self, ledger: Transaction) -> tuple[Entry, ...]:
        """The entries that the zone should hold; one without addresses is to go."""
        if self._entry is None:
            return await ledger.entries_settled(None, 0)
        return await ledger.entries_settled(self._entry.host(self._records.domain), self._entry.port)

    def _ended(self, news: TunnelsEnded) -> None:
        if self._running:
            self._do(self._withdraw(news.tunnels))

    async def _withdraw(self, tunnels: Sequence[str]) -> None:
        """By their epochs: what a newer owner has published stays, and what he is about to is not forestalled."""
        for some in _portions(tunnels):
            left = await self._left(some)
            for labels in _portions(left):
                await self._zone.withdraw([self._records.nothing(label, left[label]) for label in labels])

    def _left(self, tunnels: Collection[str]) -> Deferred[dict[str, int]]:
        return self._ledger.transact(lambda ledger: ledger.left_names(tunnels))

    async def _taken(self, labels: Collection[str]) -> set[str]:
        """Those of *labels* that live tunnels have."""
        owned = await self._ledger.transact(lambda ledger: ledger.owned_names(labels))
        return {each.label for each in owned}

    def _look_up(self) -> None:
        """The core writes seldom: whether a server was away, and is back, it must ask."""

        def again(_: object) -> None:
            if self._running:
                self._glance = self._clock.callLater(_GLANCE, self._look_up)

        self._do(_waited(self._zone.look())).addCallback(again)

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _round(self) -> None:
        def again(_: object) -> None:
            if self._running:
                # Spread, so that several cores do not list the zone at one instant.
                pause = self._interval * random.uniform(0.8, 1.2)  # noqa: S311
                self._next = self._clock.callLater(pause, self._round)

        self._do(self._look_at_all()).addCallback(again)

    async def _look_at_all(self) -> None:
        mended = [0]

        async def look(server: PowerDnsServer) -> None:
            mended[0] += len(await self._look(server, mend=True))

        await gatherResults([self._tried(look(server)) for server in self._zone.servers])
        mended[0] += await self.answers.round()
        self._compared = (self._clock.seconds(), mended[0])

    async def _report(self, mend: bool) -> operator.ZoneReport:
        servers: list[operator.ZoneServer] = []
        found: list[operator.ZoneDifference] = []
        for server in self._zone.servers:
            trouble, differ = await self._looked(server, mend)
            servers.append(operator.ZoneServer(url=server.url, trouble=trouble))
            found += [
                operator.ZoneDifference(
                    url=server.url,
                    name=self._records.absolute(each.label),
                    stands=each.stands,
                    should=each.should,
                )
                for each in differ
            ]
        return operator.ZoneReport(servers=tuple(servers), differences=tuple(found), mended=mend)

    async def _looked(self, server: PowerDnsServer, mend: bool) -> tuple[str | None, Sequence[Difference]]:
        try:
            return None, await self._look(server, mend=mend)
        except ZoneError as error:
            return str(error), ()

    async def _look(self, server: PowerDnsServer, *, mend: bool) -> Sequence[Difference]:
        """What differs at *server*; with *mend* it does no longer when this returns. Raises `ZoneError`."""
        async with self._turns[server]:
            contents = await self._zone.contents(server)
            # The ledger after the zone: what came into the zone meanwhile is not taken for a stray.
            differ = await self._differences(contents)
            if mend and differ:
                self._say(server, differ)
                self._metrics.zone_differs(len(differ))
                await self._mend(server, differ)
            return differ

    async def _differences(self, contents: Mapping[str, Standing]) -> Sequence[Difference]:
        async def work(ledger: Transaction) -> Expected:
            regions = await ledger.regions_settled()
            names = await ledger.owned_names(None)
            return Expected(
                domain=self._records.domain,
                names=names,
                regions=regions,
                entries=await self.entries(ledger),
                kept=self._kept,
            )

        return tuple(differences(contents, await self._ledger.transact(work)))

    def _say(self, server: PowerDnsServer, differ: Sequence[Difference]) -> None:
        for each in differ[:_MOST_LINES]:
            self._log.warn(
                "the zone at {server} differs: {name} has {stands}, should have {should}; it is put right",
                server=server,
                name=self._records.absolute(each.label),
                stands=each.stands or "nothing",
                should=each.should or "nothing",
            )
        if len(differ) > _MOST_LINES:
            self._log.warn(
                "the zone at {server} differs in {more} names more; they are put right",
                server=server,
                more=len(differ) - _MOST_LINES,
            )

    # -- mending ------------------------------------------------------------------------------------------------------

    async def _mend(self, server: PowerDnsServer, differ: Sequence[Difference]) -> None:
        if any(each.region for each in differ):
            await self._publish_hosts(server)
            self._metrics.zone_mended(sum(each.region for each in differ))
        if any(each.entry for each in differ):
            await self._publish_entries(server)
            self._metrics.zone_mended(sum(each.entry for each in differ))
        for labels in _portions(each.label for each in differ if not (each.region or each.entry)):
            await self._put_right(server, labels)
            await deferLater(self._clock, _PAUSE)
            if not self._running:
                return

    async def _put_right(self, server: PowerDnsServer, labels: Sequence[str]) -> None:
        """Make *labels* at *server* what the ledger says of them now."""

        async def work(ledger: Transaction) -> tuple[tuple[OwnedName, ...], dict[str, int]]:
            owned = await ledger.owned_names(labels)
            taken = {each.label for each in owned}
            return owned, await ledger.disowned([label for label in labels if label not in taken])

        owned, strays = await self._ledger.transact(work)
        missing = [self._records.name(each.label, each.region, each.epoch) for each in owned if each.age >= YOUNG]
        if strays:
            await self._zone.withdraw([self._records.nothing(*each) for each in strays.items()], only=server)
        if missing:
            try:
                await self._zone.publish(missing, only=server)
            except NewerOwner as error:
                # Its edge was quicker: it has withdrawn what the ledger does not know to be over yet.
                self._log.info("{error} Nothing was put right there.", error=str(error))
                return
        self._metrics.zone_mended(len(strays) + len(missing))

    # -- work that nobody waits for -----------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Deferred[Any], Any, object]) -> Deferred[None]:
        over = self._tried(work)
        self._in_hand.add(over)
        return over.addBoth(lambda _: self._in_hand.discard(over))

    def _tried(self, work: Coroutine[Deferred[Any], Any, object]) -> Deferred[None]:
        return Deferred.fromCoroutine(work).addCallbacks(lambda _: None, self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(ZoneError, LedgerAway):
            self._log.warn("the zone is not as it should be, to be looked at again: {why}", why=str(failure.value))
        else:
            self._log.failure("keeping the zone broke", failure)


def _portions(labels: Iterable[str]) -> Iterable[list[str]]:
    found = list(labels)
    return (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE))


async def _waited(call: Deferred[None]) -> None:
    await call


def _fired_like(call: Deferred[None]) -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    call.addBoth(fired.callback)
    return fired
