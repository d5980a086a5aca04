"""
The core, composed in one place: pool, migrations, ledger, authority, sweep and HTTP side, and their order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.api.geo import GeoResource
from pinggy.core.api.site import Connections, CoreSite
from pinggy.core.api.tree import make_tree
from pinggy.core.asks import Asks
from pinggy.core.authority import Authority
from pinggy.core.config import CoreSettings
from pinggy.core.connections import Servers
from pinggy.core.custodian import Custodian
from pinggy.core.doctor.core import Papers
from pinggy.core.doctor.doctor import make_doctor
from pinggy.core.door import Door
from pinggy.core.drain import Drains
from pinggy.core.geo import GeoBook
from pinggy.core.grant_key import ensure_grant_key
from pinggy.core.latency_entry import LatencyEntry
from pinggy.core.ledger import Ledger, LedgerAway, LedgerError
from pinggy.core.metrics import CoreMetrics
from pinggy.core.migrations import load_migrations, migrate
from pinggy.core.news import News
from pinggy.core.news_listener import NewsListener
from pinggy.core.operator import Operator
from pinggy.core.orders import OrderDesk
from pinggy.core.patience import Patience
from pinggy.core.places import Places
from pinggy.core.pool import Pool
from pinggy.core.postgres.ledger import PostgresLedger
from pinggy.core.probes import ProbeDesk
from pinggy.core.readings import CoreReadings
from pinggy.core.reconcile import Reconciler
from pinggy.core.records import Records
from pinggy.core.relay_ca import RelayAuthority, ensure_relay_authority
from pinggy.core.sweep import Sweep
from pinggy.core.tickets import Tickets
from pinggy.core.zone_office import ZoneOffice
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.route53.plan import Entry
from pinggy.metrics.listener import Listener
from pinggy.metrics.metrics import Metrics
from pinggy.settings import SettingsError


class CoreService(Service):
    """
    One start and one stop; for another run make another one.

    *operator* may be used as soon as `ready` has fired, also by who composes the service. *shown* are its metrics.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: CoreSettings,
        pool: Pool,
        servers: Servers,
        records: Records,
        relay: RelayAuthority | None,
        zone: PowerDnsZone | None,
        metrics: CoreMetrics,
    ) -> None:
        self._reactor = reactor
        self._pool = pool
        self._door = Door(reactor, settings.listen)
        news = News()
        self._news_listener = NewsListener(reactor, servers, news)
        self._ledger = ledger = PostgresLedger(pool, news)
        self.orders = OrderDesk(reactor, ledger, news)
        asks = Asks(reactor, ledger, news, self.orders)
        patience = Patience(reactor, settings.lease)
        probes = ProbeDesk(reactor, asks, self.orders)
        authority = Authority(ledger, settings, records, probes, patience, metrics)
        self.operator = Operator(ledger, settings)
        self.records = records
        self.sweep = Sweep(reactor, ledger, patience, metrics)
        self._zone = zone
        self._custodian = None if zone is None else _custodian(reactor, settings, ledger, records, news, zone, metrics)
        office = ZoneOffice(ledger, records, self._custodian)
        reconciler = Reconciler(reactor, ledger, settings.report_interval, metrics)
        self.drains = Drains(ledger)
        self._geo = _geo_book(reactor, settings, ledger, news)
        papers = Papers(
            hears=lambda: self._news_listener.hears,
            expires=self._door.certificate_expires,
            authority_expires=None if relay is None else relay.certificate.not_valid_after_utc.timestamp(),
            signs=records.signs,
            gates=zone is not None and any(each.gate for each in zone.servers),
            entry=self._entry_kept,
        )
        self.doctor = make_doctor(reactor, settings, ledger, records, asks, self._custodian, zone, papers)
        self._entry = None if settings.entry is None else settings.entry.host(settings.domain)
        self.latency_entry = _latency_entry(reactor, settings, ledger, news)
        tree = make_tree(
            ledger,
            authority,
            Tickets(authority, records.signing_key, settings.resume),
            self.orders,
            asks,
            Places(reactor, ledger, news),
            relay,
            self.operator,
            office,
            self.drains,
            records,
            reconciler,
            self.doctor,
            settings.operator_key,
            GeoResource(self._geo, settings.zone.servers),
        )
        self._site = CoreSite(reactor, tree)
        self._connections = Connections(reactor, self._site)
        readings = CoreReadings(pool, self.orders, self._site, zone, self._door.certificate_expires)
        self.shown: tuple[Metrics, ...] = (metrics, readings)
        self._listener = Listener(reactor, settings.metrics, self.shown, "core.metrics.listen")
        self._port: IListeningPort | None = None
        self._stopping = False
        self._starting: Deferred[None] | None = None
        self._settled = False
        self._failure: Failure | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def port(self) -> int:
        """The TCP port that it listens on; after `ready`."""
        assert self._port is not None
        address: Any = self._port.getHost()
        return int(address.port)

    @property
    def url(self) -> str:
        """Where an edge on this machine reaches it, without a final slash; after `ready`."""
        return self._door.url(self.port)

    def ready(self) -> Deferred[None]:
        """
        Fires when the ledger is migrated and the port is open; may be asked often, also before the start.

        Fails with `SettingsError`, one line that names the setting. Nothing else says it: ask.
        """
        if not self._settled:
            self._waiting.append(Deferred())
            return self._waiting[-1]
        return succeed(None) if self._failure is None else fail(self._failure)

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start()).addErrback(self._not_started)
        self._starting.addCallback(self._settle)

    def stopService(self) -> Deferred[None]:
        """Fires when the calls in hand are answered, and port, connections and pool are closed."""
        super().stopService()
        self._stopping = True
        return Deferred.fromCoroutine(self._stop())

    def _entry_kept(self) -> tuple[str, str | None] | None:
        """The host of the entry, and what is wrong with it."""
        if self._entry is None:
            return None
        keepers = (each for each in (self._geo, self.latency_entry) if each is not None)
        return self._entry, next((each.trouble for each in keepers if each.trouble is not None), None)

    async def _start(self) -> None:
        self._listener.open()
        try:
            applied = await migrate(self._pool, load_migrations())
            regions = await self._ledger.transact(lambda ledger: ledger.regions())
        except (LedgerAway, LedgerError) as error:
            raise SettingsError(
                f"The setting core.database.url is of no use, at {self._pool.place}: {error.__cause__ or error}"
            ) from error
        if self._entry in {self.records.absolute(region) for region in regions}:
            raise SettingsError(f"The setting core.entry.name is of no use: {self._entry} is the host of a region.")
        if applied:
            self._log.info("the database was brought up to date: {applied} migrations", applied=applied)
        await self._news_listener.start()
        if self._stopping:
            raise SettingsError("The core was stopped before it was ready.")
        self._port = self._door.open(self._connections)
        self.sweep.start()
        if self._custodian is not None:
            self._custodian.start()
        if self._geo is not None:
            self._geo.start()
        if self.latency_entry is not None:
            self.latency_entry.start()
        self._log.info("the core listens on {url}", url=self.url)

    def _not_started(self, failure: Failure) -> None:
        self._failure = failure

    def _settle(self, _: None) -> None:
        self._settled = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.ready().chainDeferred(each)

    async def _stop(self) -> None:
        if self._port is not None:
            await self._listening_over(self._port)
            await self.sweep.stop()
        self.orders.close()
        if self._custodian is not None:
            await self._custodian.stop()
        if self._geo is not None:
            await self._geo.stop()
        if self.latency_entry is not None:
            await self.latency_entry.stop()
        await self._listener.close()
        await self._site.drained()
        await self._connections.close()
        if self._zone is not None:
            await self._zone.close()
        await self._news_listener.stop()
        await self._pool.close()
        if self._starting is not None:
            await self._starting

    async def _listening_over(self, port: IListeningPort) -> None:
        stopped = port.stopListening()
        if stopped is not None:
            await stopped


def make_core(reactor: Any, settings: CoreSettings) -> CoreService:
    """
    The core on *reactor* (TCP, time and file descriptors). Nothing happens before its ``startService``.

    Raises `SettingsError` where the database's URL is none, or a file of the settings of no use.
    """
    database = settings.database
    metrics = CoreMetrics()
    try:
        servers = Servers(reactor, database.url, database.statement_timeout)
        pool = Pool(
            reactor,
            database.url,
            size=database.pool,
            statement_timeout=database.statement_timeout,
            patience=database.patience,
            metrics=metrics,
        )
    except ValueError as error:
        raise SettingsError(f"The setting core.database.url {error}") from None
    key = None if settings.grant_key is None else ensure_grant_key(settings.grant_key)
    relay = None if settings.relay_ca is None else ensure_relay_authority(settings.relay_ca, datetime.now(UTC))
    zone = None
    if settings.zone.servers:
        zone = PowerDnsZone(reactor, settings.domain, settings.zone.servers, ttl=settings.zone.ttl, timed=metrics)
    return CoreService(reactor, settings, pool, servers, Records(settings.domain, key), relay, zone, metrics)


def _custodian(
    reactor: Any,
    settings: CoreSettings,
    ledger: Ledger,
    records: Records,
    news: News,
    zone: PowerDnsZone,
    metrics: CoreMetrics,
) -> Custodian:
    custodian = Custodian(
        reactor,
        ledger,
        records,
        news,
        zone,
        kept=settings.kept,
        entry=settings.entry,
        first=settings.lease,
        interval=settings.zone_interval,
        metrics=metrics,
    )
    zone.on_return = custodian.returned
    return custodian


def _geo_book(reactor: Any, settings: CoreSettings, ledger: Ledger, news: News) -> GeoBook | None:
    entry = settings.entry
    return GeoBook(reactor, ledger, news, entry.database) if entry is not None and entry.kind == "lua" else None


def _latency_entry(reactor: Any, settings: CoreSettings, ledger: Ledger, news: News) -> LatencyEntry | None:
    entry = settings.entry
    if entry is None or entry.hosted_zone is None or entry.kind != "route53":
        return None
    # Half a second and 30 MB, for those who use it.
    from pinggy.dns.route53.aws import Boto

    host = Entry(name=entry.name, zone=entry.hosted_zone, port=entry.port, ttl=entry.ttl)
    return LatencyEntry(reactor, ledger, news, host, Boto(entry.endpoint))
