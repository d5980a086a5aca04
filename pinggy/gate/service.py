"""
The gate, composed in one place: epochs, PowerDNS, HTTP side, and their order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from pinggy.certificates.pair import CertificateUnusable
from pinggy.certificates.store import Certificates
from pinggy.dns.powerdns.api import PowerDnsApi
from pinggy.gate.api import GateResource
from pinggy.gate.config import GateSettings, ListenSettings, parse_grant_key
from pinggy.gate.door import Door
from pinggy.gate.epochs import Epochs, EpochsUnusable
from pinggy.gate.geo import GeoKeeper
from pinggy.gate.metrics import GateMetrics
from pinggy.gate.readings import GateReadings
from pinggy.gate.traffic import Connections, GateSite
from pinggy.metrics.listener import Listener
from pinggy.metrics.metrics import Metrics
from pinggy.settings import SettingsError

# Seconds for which a withdrawn name's epoch is remembered: longer than any old owner is late.
KEPT = 7 * 24 * 3600.0
_PRUNED_EVERY = 60.0
_PRUNED_AT_ONCE = 2000


class GateService(Service):
    """
    One start and one stop; for another run make another one. Raises `SettingsError`, one line that names the setting;
    what is found out at the start only is told to *give_up*, and nothing is left then.
    """

    name = "gate"
    _log = Logger()

    def __init__(self, reactor: Any, settings: GateSettings, give_up: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._give_up = give_up
        self._certificates = _certificates(settings, reactor)
        self._running: _Running | None = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on, from the start to the stop."""
        assert self._running is not None
        address: Any = self._running.port.getHost()
        return int(address.port)

    @property
    def url(self) -> str:
        """Where it listens, without a final slash."""
        host = self._settings.listen.host
        scheme = "http" if self._settings.certificate is None else "https"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    def startService(self) -> None:
        super().startService()
        try:
            self._running = _Running(self._reactor, self._settings, self._certificates)
        except SettingsError as error:
            self._give_up(str(error))
        else:
            self._log.info("the gate of the zone {domain} listens on {url}", domain=self._settings.domain, url=self.url)

    def stopService(self) -> Deferred[None]:
        """Fires when the calls in hand are answered, and port, connections and epochs are closed."""
        super().stopService()
        running, self._running = self._running, None
        return succeed(None) if running is None else Deferred.fromCoroutine(running.stop())


class _Running:
    """What there is from the start to the stop. Raises `SettingsError`."""

    _log = Logger()

    def __init__(self, reactor: Any, settings: GateSettings, certificates: Certificates | None) -> None:
        self._reactor = reactor
        # A process that daemonizes forks before this, and SQLite's files are not to be carried over.
        self._epochs = _open_epochs(settings.state)
        powerdns = settings.powerdns
        api = PowerDnsApi(reactor, powerdns.url, settings.domain, key=powerdns.key, timeout=powerdns.timeout)
        metrics = GateMetrics()
        self._door = Door(reactor, settings.domain, parse_grant_key(settings.grant_key), self._epochs, api, metrics)
        resource = GateResource(self._door, settings.domain, read_key=settings.read_key, key=settings.key)
        self._site = GateSite(reactor, resource)
        self._connections = Connections(reactor, self._site)
        self.shown: tuple[Metrics, ...] = (metrics, GateReadings(self._door, self._epochs, certificates))
        self._listener = Listener(reactor, settings.metrics, self.shown, "zone.metrics.listen")
        geo = None
        try:
            if settings.geoip is not None and settings.core is not None:
                geo = GeoKeeper(reactor, settings.core, settings.geoip, settings.read_key)
            self._listener.open()
            if geo is not None:
                geo.prepare()
            self.port = _listen(reactor, settings.listen, self._connections, certificates)
        except SettingsError:
            self._listener.close()
            self._epochs.close()
            raise
        self._geo = geo
        self._pruning = LoopingCall(self._prune)
        self._pruning.clock = reactor
        self._pruning.start(_PRUNED_EVERY, now=False)
        if geo is not None:
            geo.start()

    async def stop(self) -> None:
        self._pruning.stop()
        if self._geo is not None:
            await self._geo.stop()
        stopped = self.port.stopListening()
        if stopped is not None:
            await stopped
        await self._listener.close()
        await self._site.drained()
        await self._connections.close()
        await self._door.close()

    def _prune(self) -> None:
        try:
            pruned = self._epochs.prune(self._reactor.seconds() - KEPT, _PRUNED_AT_ONCE)
        except EpochsUnusable as error:
            self._log.error("{error}", error=str(error))
        else:
            if pruned:
                self._log.debug("forgot {pruned} names that were withdrawn long ago", pruned=pruned)


@implementer(IOpenSSLServerConnectionCreator)
class _Current:
    """Every connection is shown the certificate that the files hold then."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self._certificates.for_server_name(None).serverConnectionForTLS(protocol)


def _certificates(settings: GateSettings, clock: IReactorTime) -> Certificates | None:
    certificate = settings.certificate
    if certificate is None:
        return None
    try:
        return Certificates(certificate.file, certificate.key, clock)
    except CertificateUnusable as error:
        raise SettingsError(f"The setting zone.certificate is of no use: {error}") from error


def _open_epochs(state: Path) -> Epochs:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The setting zone.state = {state} is of no use: {error.strerror}.") from error
    try:
        return Epochs(state)
    except EpochsUnusable as error:
        raise SettingsError(f"The setting zone.state is of no use: {error}") from error


def _listen(reactor: Any, listen: ListenSettings, factory: Any, certificates: Certificates | None) -> IListeningPort:
    if certificates is not None:
        factory = TLSMemoryBIOFactory(_Current(certificates), False, factory, reactor)
    try:
        port: IListeningPort = reactor.listenTCP(listen.port, factory, interface=listen.host)
    except CannotListenError as error:
        why = getattr(error.socketError, "strerror", None) or error.socketError
        raise SettingsError(
            f"The setting zone.listen.port = {listen.port} is of no use, on {listen.host}: {why}."
        ) from error
    return port
