"""
The edge, put together in one place.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pinggy.certificates.pair import CertificateUnusable
from pinggy.certificates.store import Certificates
from pinggy.dns.zone import Probe, Zone
from pinggy.edge.config import EdgeSettings
from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import Dormants
from pinggy.edge.drain import EdgeDrain
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere, Told
from pinggy.edge.inherited import let_inherit
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.linger import LINGER
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.opening import Parts
from pinggy.edge.orders import OrderStream
from pinggy.edge.peers.passages import Passages
from pinggy.edge.peers.peering import Peering
from pinggy.edge.peers.told import ToldPlaces
from pinggy.edge.readings import EdgeReadings
from pinggy.edge.renewal import Renewal
from pinggy.edge.reports import Reports
from pinggy.edge.ssh.client import ClientSettings
from pinggy.edge.ssh.factory import SshFactory
from pinggy.edge.ssh.hostkeys import fingerprint, load_host_keys
from pinggy.edge.tickets import TicketCheck
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.port import PublicPort
from pinggy.edge.visitor.tcp import TcpPorts
from pinggy.metrics.listener import Listener
from pinggy.metrics.metrics import Metrics
from pinggy.settings import SettingsError
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.endings import EdgeStopping
from pinggy.tunnel.refusals import CoreAway
from pinggy.wire.messages import Register, Registered
from pinggy.wire.orders import GRACE

log = Logger()

# The zone of the domain that the core names when the edge registers, and who asks its servers.
ZoneOf = Callable[[str], tuple[Zone, Probe]]

TRY_AGAIN = 1.0  # seconds between two tries to register
LOOK_AGAIN = 0.1  # seconds between two looks whether the last visitor has left
GOODBYE = 3.0  # seconds for clients to read why the edge stops


class EdgeService(Service):
    """
    One edge. It registers with the core (waiting for one that is not there yet), then listens.

    *tunnels* are the live ones.
    """

    name = "edge"

    def __init__(self, reactor: Any, settings: EdgeSettings, core: CoreClient, zone_of: ZoneOf) -> None:
        self.tunnels = Tunnels()
        self._reactor = reactor
        self._settings = settings
        self._core = core
        self._zone_of = zone_of
        self._instance = secrets.token_hex(16)
        self._host_keys = load_host_keys(settings.host_keys)
        try:
            files = settings.certificate
            self._certificates = Certificates(files.file, files.key, reactor, files.folder)
        except CertificateUnusable as error:
            raise SettingsError(f"The setting certificate is of no use: {error}") from error
        self.metrics = EdgeMetrics()
        self.readings = EdgeReadings(reactor, self.tunnels, self._certificates)
        self._shown = Listener(reactor, settings.metrics, self.shown)
        self._drain = EdgeDrain(
            core=core,
            tunnels=self.tunnels,
            clock=reactor,
            instance=self._instance,
            seconds=settings.clients.drain,
        )
        self._draining: Deferred[None] | None = None
        self._connections = ConnectionLimit(settings.visitors.connections_per_address, reactor)
        self._ssh: SshFactory | None = None
        self._dormants: Dormants | None = None
        self._renewal: Renewal | None = None
        self._orders: OrderStream | None = None
        self._reports: Reports | None = None
        self._peering: Peering | None = None
        self._ports: TcpPorts | None = None
        self._listening: list[IListeningPort] = []
        self._ready: Deferred[None] | None = None

    @property
    def shown(self) -> tuple[Metrics, ...]:
        """All metrics of this edge."""
        return (self.metrics, self.readings)

    def ready(self) -> Deferred[None]:
        """Register and listen; fires when clients may come. Fails with `SettingsError`. Call it once."""
        self._ready = Deferred.fromCoroutine(self._begin())
        return self._ready

    async def _begin(self) -> None:
        self._shown.open()
        registered = await self._register()
        face = PublicFace(
            domain=registered.domain,
            http_port=self._settings.face.http_port,
            https_port=self._settings.face.https_port,
        )
        zone, probe = self._zone_of(registered.domain)
        check = TicketCheck(registered.grant_key)
        self._dormants = dormants = Dormants(core=self._core, zone=zone, check=check, clock=self._reactor)
        self._peering = self._make_peering(registered)
        elsewhere = NothingElsewhere() if self._peering is None else self._peering.elsewhere
        self._ports = ports = TcpPorts(
            reactor=self._reactor,
            interface=self._settings.listen.tcp,
            clock=self._reactor,
            connections=self._connections,
            elsewhere=elsewhere,
            proxies=self._settings.listen.balancers,
        )
        self._ssh = self._make_ssh(registered, face, zone, probe, dormants, ports)
        self._renewal = Renewal(
            core=self._core,
            tunnels=self.tunnels,
            dormants=dormants,
            clock=self._reactor,
            instance=self._instance,
            lease=registered.lease,
        )
        self._orders = OrderStream(
            core=self._core,
            tunnels=self.tunnels,
            drain=self._drain,
            clock=self._reactor,
            instance=self._instance,
            after=registered.orders,
            metrics=self.metrics,
            told=await self._meet_others(registered, face, ports),
        )
        self.readings.clients, self.readings.renewal, self.readings.orders = self._ssh, self._renewal, self._orders
        self._reports = Reports(
            core=self._core,
            tunnels=self.tunnels,
            kept=dormants.holdings,
            clock=self._reactor,
            instance=self._instance,
            interval=registered.report,
        )
        self._listen(self._make_public(self._ssh, face, elsewhere))
        self._renewal.start()
        self._orders.start()
        self._reports.start()
        log.info("edge {edge} in region {region} is ready", edge=registered.edge, region=registered.region)

    async def _register(self) -> Registered:
        relay = self._settings.relay
        message = Register(
            instance=self._instance,
            host_keys=tuple(fingerprint(key) for key in self._host_keys),
            relay_port=None if relay is None else relay.socket.port,
        )
        said = False
        while True:
            try:
                return await self._core.register(message)
            except CoreAway:
                if not said:
                    said = True
                    log.warn("the core does not answer yet: this edge waits for it")
            await deferLater(self._reactor, TRY_AGAIN)

    def _make_peering(self, registered: Registered) -> Peering | None:
        if self._settings.relay is None:
            return None
        return Peering(
            reactor=self._reactor,
            core=self._core,
            instance=self._instance,
            edge=registered.edge,
            domain=registered.domain,
            tunnels=self.tunnels,
            metrics=self.metrics,
        )

    async def _meet_others(self, registered: Registered, face: PublicFace, ports: TcpPorts) -> Told:
        """Take visitors from other edges, and listen at the ports that they have already."""
        if self._peering is None or self._settings.relay is None:
            return NothingElsewhere()
        doors = self._make_doors(face)
        served = Passages(
            tunnels=self.tunnels,
            domain=face.domain,
            certificates=self._certificates,
            clock=self._reactor,
            web=doors.web,
            h2=doors.h2,
            onward=self._peering.elsewhere,
        )
        await self._peering.start(self._settings.relay.socket, self._connections, served.serve)
        told = ToldPlaces(self._peering.places, ports)
        for place in registered.places:
            told.placed(place, None)
        return told

    def _make_ssh(
        self,
        registered: Registered,
        face: PublicFace,
        zone: Zone,
        probe: Probe,
        dormants: Dormants,
        ports: TcpPorts,
    ) -> SshFactory:
        parts = Parts(
            core=self._core,
            zone=zone,
            probe=probe,
            ports=ports,
            tunnels=self.tunnels,
            face=face,
            target=face.host(registered.region),
            clock=self._reactor,
            dormants=dormants,
            closed=self._drain.refusal,
            metrics=self.metrics,
        )
        clients = self._settings.clients
        return SshFactory(
            parts,
            self._host_keys,
            ClientSettings(
                silence=clients.silence,
                notice=clients.notice,
                windows=clients.windows * 1024 * 1024,
                ciphers=tuple(name.encode() for name in clients.ciphers),
                macs=tuple(name.encode() for name in clients.macs),
            ),
            login_seconds=clients.login,
        )

    def _make_public(self, ssh: SshFactory, face: PublicFace, elsewhere: Elsewhere) -> PublicPort:
        doors = self._make_doors(face)
        return PublicPort(
            ssh=ssh,
            web=partial(doors.web, elsewhere),
            h2=partial(doors.h2, elsewhere),
            tunnels=self.tunnels,
            domain=face.domain,
            certificates=self._certificates,
            connections=self._connections,
            clock=self._reactor,
            elsewhere=elsewhere,
            proxies=self._settings.listen.balancers,
        )

    def _make_doors(self, face: PublicFace) -> WebDoors:
        visitors = self._settings.visitors
        limits = WebLimits(
            head_bytes=visitors.head_bytes,
            target_bytes=visitors.target_bytes,
            header_count=visitors.header_count,
            head_seconds=visitors.head_seconds,
            idle_seconds=visitors.idle_seconds,
            body_seconds=visitors.body_seconds,
            answer_seconds=visitors.answer_seconds,
        )
        return WebDoors(tunnels=self.tunnels, face=face, clock=self._reactor, limits=limits)

    def _listen(self, factory: PublicPort) -> None:
        for socket in self._settings.listen.sockets:
            try:
                listening = self._reactor.listenTCP(socket.port, factory, 1024, socket.host)
            except CannotListenError as error:
                raise SettingsError(
                    f"The setting listen.public names {socket.host}:{socket.port}, where nothing can listen: "
                    f"{error.socketError}."
                ) from error
            let_inherit(listening)
            self._listening.append(listening)

    def drain(self) -> Deferred[None]:
        """
        Let nobody in, and send all away who are here; fires when nobody is left who would miss this edge. Until then
        visitors are served, or sent on.
        """
        if self._ssh is None:
            return succeed(None)
        self._draining = Deferred.fromCoroutine(self._drain_away(self._ssh))
        return self._draining.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def _drain_away(self, ssh: SshFactory) -> None:
        had_tunnels = len(self.tunnels) > 0
        self._drain.begin(say=True)
        await self._drain.empty()
        last = self._reactor.seconds()
        await ssh.hang_up(GRACE + GOODBYE)
        if had_tunnels:
            # Whoever remembers the old records comes here for as long.
            last += LINGER + self._settings.zone.ttl
            await deferLater(self._reactor, max(0.0, last - self._reactor.seconds()))
            await self._let_visitors_finish()

    async def _let_visitors_finish(self) -> None:
        """Nobody new; those who are here, and were sent on, have a little time."""
        await self._listen_no_more()
        over = self._reactor.seconds() + GRACE
        while self._connections.total and self._reactor.seconds() < over:
            await deferLater(self._reactor, LOOK_AGAIN)

    async def _listen_no_more(self) -> None:
        listening, self._listening = self._listening, []
        await gatherResults([maybeDeferred(each.stopListening) for each in listening])

    def stopService(self) -> Deferred[None]:
        """Close what listens, end all tunnels with a last line, give their names back."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._ready is not None:
            self._ready.addErrback(lambda _: None)
            self._ready.cancel()
        if self._draining is not None:
            self._draining.cancel()
        self._drain.stop()
        if self._renewal is not None:
            self._renewal.stop()
        if self._orders is not None:
            self._orders.stop()
        if self._reports is not None:
            self._reports.stop()
        await self._listen_no_more()
        if self._ports is not None:
            self._ports.close()
        if self._peering is not None:
            await self._peering.stop_listening()
        await gatherResults([tunnel.end(EdgeStopping.of()) for tunnel in (*self.tunnels, *self.tunnels.all_begun())])
        if self._dormants is not None:
            await self._dormants.give_back_all()
        if self._ssh is not None:
            await self._ssh.hang_up(GOODBYE)
        if self._peering is not None:
            self._peering.stop()
        await self._shown.close()


def make_edge(reactor: Any, settings: EdgeSettings, core: CoreClient, zone_of: ZoneOf) -> EdgeService:
    """Raises `SettingsError` where a file that *settings* names is of no use."""
    return EdgeService(reactor, settings, core, zone_of)
