"""
What the operator may ask about the zone.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from pinggy.core.custodian import Custodian
from pinggy.core.ledger import Ledger, Transaction
from pinggy.core.records import Records
from pinggy.dns.powerdns.lua import LUA, entry_contents
from pinggy.wire import operator


class ZoneOffice:
    """With *custodian* None no servers are known here: what should stand can be said, but not what does."""

    def __init__(self, ledger: Ledger, records: Records, custodian: Custodian | None) -> None:
        self._ledger = ledger
        self._records = records
        self._custodian = custodian

    def show(self) -> Deferred[operator.Zone]:
        """What should stand."""

        async def work(ledger: Transaction) -> operator.Zone:
            rows = [
                operator.ZoneRow(
                    name=self._records.absolute(region.name),
                    kind="AAAA" if ":" in address else "A",
                    content=address,
                    epoch=region.epoch,
                    owner="region",
                )
                for region in await ledger.regions_settled()
                for address in region.addresses
            ]
            rows += [
                operator.ZoneRow(name=entry.name, kind=LUA, content=content, epoch=entry.epoch, owner="entry")
                for entry in (() if self._custodian is None else await self._custodian.entries(ledger))
                for content in entry_contents(entry.addresses, entry.port)
            ]
            rows += [
                operator.ZoneRow(
                    name=self._records.absolute(owned.label),
                    kind="CNAME",
                    content=self._records.absolute(owned.region),
                    epoch=owned.epoch,
                    owner=owned.tunnel,
                )
                for owned in sorted(await ledger.owned_names(None), key=lambda owned: owned.label)
            ]
            return operator.Zone(domain=self._records.domain, rows=tuple(rows))

        return self._ledger.transact(work)

    def check(self) -> Deferred[operator.ZoneReport]:
        """Where the servers differ."""
        return self._report(mend=False)

    def mend(self) -> Deferred[operator.ZoneReport]:
        """The same, and it is put right."""
        return self._report(mend=True)

    def _report(self, mend: bool) -> Deferred[operator.ZoneReport]:
        if self._custodian is None:
            return succeed(operator.ZoneReport(servers=(), differences=()))
        return self._custodian.report(mend)
