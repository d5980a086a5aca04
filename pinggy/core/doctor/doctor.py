"""
Who is asked: the whole service, or one tunnel.
"""

from __future__ import annotations

import time

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.core.asks import Asks
from pinggy.core.config import CoreSettings
from pinggy.core.custodian import Custodian
from pinggy.core.doctor.core import CoreCheck, Papers
from pinggy.core.doctor.edges import EdgeCheck
from pinggy.core.doctor.findings import diagnosis
from pinggy.core.doctor.tunnel import AskedZone, TunnelCheck
from pinggy.core.doctor.zone import ZoneCheck
from pinggy.core.ledger import Ledger
from pinggy.core.records import Records
from pinggy.wire.doctor import Diagnosis, State


class Doctor:
    def __init__(self, core: CoreCheck, zone: ZoneCheck, edges: EdgeCheck, tunnel: TunnelCheck) -> None:
        self._core = core
        self._zone = zone
        self._edges = edges
        self._tunnel = tunnel

    def all(self) -> Deferred[Diagnosis]:
        return Deferred.fromCoroutine(self._all())

    def one(self, subject: str) -> Deferred[Diagnosis]:
        """As `TunnelCheck.look`."""
        return Deferred.fromCoroutine(self._tunnel.look(subject))

    async def _all(self) -> Diagnosis:
        core = await self._core.look()
        if any(each.check == "database" and each.state is State.WRONG for each in core.findings):
            # All else is compared with what is in it.
            return diagnosis([core])
        return diagnosis([core, await self._zone.look(), *await self._edges.look()])


def make_doctor(
    clock: IReactorTime,
    settings: CoreSettings,
    ledger: Ledger,
    records: Records,
    asks: Asks,
    custodian: Custodian | None,
    zone: AskedZone | None,
    papers: Papers,
) -> Doctor:
    edges = EdgeCheck(
        clock,
        ledger,
        asks,
        lease=settings.lease,
        interval=settings.report_interval,
        relays=papers.authority_expires is not None,
    )
    return Doctor(
        CoreCheck(clock, ledger, papers, time.time),
        ZoneCheck(settings.domain, custodian),
        edges,
        TunnelCheck(clock, ledger, records, asks, zone, lease=settings.lease),
    )
