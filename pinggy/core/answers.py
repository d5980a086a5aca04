"""
What the servers really answer: some of the live names are asked of each, in turns, until all have been.

What a server lists may be right and its answer not: a cache of its own, a backend that lost something, another program
at its port. What is answered wrongly is published again there, by the same epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.compare import YOUNG
from pinggy.core.ledger import Ledger
from pinggy.core.metrics import CoreMetrics
from pinggy.core.records import Records
from pinggy.core.zone_book import OwnedName
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.question import NoAnswer
from pinggy.dns.zone import NameRecord, NewerOwner, ZoneError

# Names that are asked for in one round, and at once.
EACH_ROUND = 100
_AT_ONCE = 10


class AskedZone(Protocol):
    """`pinggy.dns.powerdns.zone.PowerDnsZone`, as far as it is used here."""

    @property
    def servers(self) -> Sequence[PowerDnsServer]: ...

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]: ...

    def publish(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]: ...


class Answers:
    _log = Logger()

    def __init__(self, ledger: Ledger, records: Records, zone: AskedZone, metrics: CoreMetrics) -> None:
        self._ledger = ledger
        self._records = records
        self._zone = zone
        self._metrics = metrics
        self._last = ""

    async def round(self) -> int:
        """Ask for the names that come next, and publish anew what is answered wrongly; the answer is how many."""
        turn = await self._turn()
        self._last = turn[-1].label if turn else ""
        mended = 0
        for server in self._zone.servers:
            wrong, _ = await self._wrong_at(server, turn)
            if wrong:
                mended += await self._mend(server, wrong)
        return mended

    async def wrong(self) -> dict[str, tuple[str, ...]]:
        """By the server's URL, what is answered wrongly of the names that would come next; nothing is mended."""
        turn = await self._turn()
        found = {}
        for server in self._zone.servers:
            wrong, silent = await self._wrong_at(server, turn)
            found[server.url] = (*wrong.values(), *([silent] if silent else []))
        return found

    async def _turn(self) -> list[OwnedName]:
        names = sorted((each for each in await self._owned(None) if each.age >= YOUNG), key=lambda each: each.label)
        after = [each for each in names if each.label > self._last] or names
        return list(islice(after, EACH_ROUND))

    async def _owned(self, labels: Sequence[str] | None) -> tuple[OwnedName, ...]:
        return await self._ledger.transact(lambda ledger: ledger.owned_names(labels))

    async def _wrong_at(self, server: PowerDnsServer, names: Sequence[OwnedName]) -> tuple[dict[str, str], str]:
        """
        By label, why the answer is not right. A server that does not answer at all is asked no more, and the second
        text says so.
        """
        wrong: dict[str, str] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            asked = [self._zone.confirm_at(server, self._record(each)) for each in some]
            outcomes = await DeferredList(asked, consumeErrors=True)
            for each, (well, outcome) in zip(some, outcomes, strict=True):
                if well:
                    continue
                failure = cast(Failure, outcome)
                failure.trap(ZoneError)
                if failure.check(NoAnswer):
                    # Whether it is up is asked elsewhere, and told there.
                    return wrong, failure.getErrorMessage()
                wrong[each.label] = failure.getErrorMessage()
        return wrong, ""

    async def _mend(self, server: PowerDnsServer, wrong: dict[str, str]) -> int:
        """What the ledger says of them by now: whose tunnel has ended meanwhile is answered rightly with nothing."""
        standing = await self._owned(list(wrong))
        for each in standing:
            self._log.warn("{why} It is published there again.", why=wrong[each.label])
        self._metrics.zone_differs(len(standing))
        if standing:
            try:
                await self._zone.publish([self._record(each) for each in standing], only=server)
            except NewerOwner as error:
                self._log.info("{error} Nothing was put right there.", error=str(error))
                return 0
        self._metrics.zone_mended(len(standing))
        return len(standing)

    def _record(self, owned: OwnedName) -> NameRecord:
        return self._records.name(owned.label, owned.region, owned.epoch)
