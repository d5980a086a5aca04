"""
An edge as a daemon of its own: its core over HTTP, its zone over the servers that the settings name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import Probe, Zone
from pinggy.edge.config import EdgeSettings
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.edge.service import make_edge
from pinggy.settings import SettingsError

log = Logger()


class EdgeDaemon(Service):
    """*give_up* is given one line when the edge will never run. Raises `SettingsError`."""

    name = "pinggy-edge"

    def __init__(self, reactor: Any, settings: EdgeSettings, give_up: Callable[[str], object]) -> None:
        if not settings.zone.servers:
            raise SettingsError("The setting zone.servers is empty: name the servers that this edge publishes at.")
        self._reactor = reactor
        self._settings = settings
        self._give_up = give_up
        self._core = HttpCoreClient(reactor, settings.core.url, settings.core.secret, ca=settings.core.ca)
        self._edge = make_edge(reactor, settings, self._core, self._zone_of)
        self._zone: PowerDnsZone | None = None

    def startService(self) -> None:
        super().startService()
        self._edge.startService()
        self._edge.ready().addErrback(self._failed)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def drain(self) -> Deferred[None]:
        """Fires when the process may end without anybody missing it."""
        return self._edge.drain()

    async def _stop(self) -> None:
        await self._edge.stopService()
        if self._zone is not None:
            await self._zone.close()
        await self._core.close()

    def _zone_of(self, domain: str) -> tuple[Zone, Probe]:
        zone = self._settings.zone
        self._zone = PowerDnsZone(self._reactor, domain, zone.servers, ttl=zone.ttl, timed=self._edge.metrics)
        self._edge.readings.dns_servers = self._zone.up
        return self._zone, self._zone

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(SettingsError) is None:
            log.failure("starting broke", failure)
        self._give_up(failure.getErrorMessage())
