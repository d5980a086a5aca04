"""
Core, edge, PostgreSQL and DNS in one process, put together in one place.

Started in the order in which they need each other, stopped in the reverse one.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.config import CoreSettings, DatabaseSettings, ListenSettings
from pinggy.core.managed_postgres import ManagedPostgres, ManagedPostgresError
from pinggy.core.operator import Operator
from pinggy.core.service import make_core
from pinggy.dns.embedded import DnsPortTaken, EmbeddedDns
from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.probe import DnsProbe
from pinggy.dns.rrsets import address_records, parse_record, parse_records
from pinggy.edge.config import Certificate, CoreLink, EdgeSettings, Face, Listen
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.edge.service import make_edge
from pinggy.edge.ssh.hostkeys import ensure_host_keys, known_hosts_lines, load_host_keys
from pinggy.metrics.listener import Listener
from pinggy.settings import Secret, SettingsError
from pinggy.together.config import Settings
from pinggy.together.paste import Paste
from pinggy.together.state import State
from pinggy.tunnel.addresses import PublicFace
from pinggy.wire.operator import AddToken, ReserveName

log = Logger()

FIRST_ACCOUNT = "local"
FIRST_NAME = "hello"


class Together(Service):
    """
    *say* is given the text for the newcomer when all is ready; *give_up* is given one line when it will never be.
    """

    name = "pinggy"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        log_file: Path | None,
        say: Callable[[str], object],
        give_up: Callable[[str], object],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._log_file = log_file
        self._say = say
        self._give_up = give_up
        self._state = State(settings.state)
        self._check_ports()
        self._parts = AsyncExitStack()
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._try_to_start())
        self._starting.addErrback(self._failed)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- start ------------------------------------------------------------------------------------------------------

    async def _try_to_start(self) -> None:
        try:
            await self._start()
        except SettingsError as error:
            raise SettingsError(_as_ours(str(error))) from error
        except ManagedPostgresError as error:
            raise SettingsError(f"Without the setting database one of our own must run, but: {error}") from error
        except OSError as error:
            raise SettingsError(
                f"The setting state names {self._settings.state}, which is of no use: {error}."
            ) from error

    async def _start(self) -> None:
        settings, state = self._settings, self._state
        operator_key = state.secret("operator.key")
        edge_secret = state.secret("edge.secret")
        core_settings = self._core_settings(await self._database(), operator_key)
        core = make_core(self._reactor, core_settings)
        core.startService()
        self._parts.push_async_callback(_stopping(core))
        await core.ready()
        core_url = core.url
        state.write("core.url", core_url + "\n")
        await core.operator.ensure_edge("local", settings.dns.region, [settings.dns.address], edge_secret)
        token = await self._first_token(core.operator)

        zone = self._zone()
        self._listen_dns(zone)
        client = HttpCoreClient(self._reactor, core_url, edge_secret)
        self._parts.push_async_callback(client.close)
        probe = DnsProbe(self._reactor, [(settings.listen.host, settings.listen.dns_port)])
        edge_settings, ca = self._edge_settings(CoreLink(url=core_url, secret=edge_secret))
        edge = make_edge(self._reactor, edge_settings, client, lambda _: (zone, probe))
        metrics = Listener(self._reactor, settings.metrics, (*core.shown, *edge.shown))
        metrics.open()
        self._parts.push_async_callback(metrics.close)
        edge.startService()
        self._parts.push_async_callback(_stopping(edge))
        await edge.ready()
        self._say(self._paste(edge_settings, ca, token).text())

    async def _database(self) -> Secret:
        if self._settings.database is not None:
            return self._settings.database
        postgres = ManagedPostgres(self._reactor, self._state.folder / "postgres")
        self._parts.push_async_callback(postgres.stop)
        return await postgres.start()

    def _core_settings(self, database: Secret, operator_key: Secret) -> CoreSettings:
        settings = self._settings
        return CoreSettings(
            domain=settings.domain,
            operator_key=operator_key,
            database=DatabaseSettings(url=database),
            listen=ListenSettings(host=_loopback(settings.listen.host), port=settings.listen.core_port),
            lease=settings.lease,
            anonymous_minutes=settings.anonymous_minutes,
            kept_names=settings.kept_names,
            free_names=settings.free_names,
            ports=settings.ports,
            limits=settings.limits,
        )

    async def _first_token(self, operator: Operator) -> Secret:
        """The token that the newcomer pastes: made once, with the account and the name that it is for."""
        file = self._state.folder / "first.token"
        if not file.exists():
            await operator.ensure_account(FIRST_ACCOUNT)
            if not (await operator.names(FIRST_ACCOUNT)).names:
                await operator.reserve_name(ReserveName(account=FIRST_ACCOUNT, name=FIRST_NAME))
            made = await operator.add_token(AddToken(account=FIRST_ACCOUNT, comment="made at the first start"))
            self._state.write(file.name, made.token.reveal() + "\n", 0o600)
        return Secret(file.read_text().strip())

    def _zone(self) -> EmbeddedZone:
        domain, dns = self._settings.domain, self._settings.dns
        try:
            records = [parse_record("@ NS ns1", domain)]
            for label in ("@", "ns1", dns.region):
                records.extend(address_records(label, [dns.address], domain))
            records.extend(parse_records(dns.records, domain))
            # Whoever remembers a serial of an earlier start must see a higher one.
            return EmbeddedZone(domain, records, ttl=dns.ttl, serial=int(time.time()))
        except ValueError as error:
            raise SettingsError(f"The setting dns.records is of no use: {error}") from error

    def _listen_dns(self, zone: EmbeddedZone) -> None:
        listen = self._settings.listen
        server = EmbeddedDns(self._reactor, listen.host, listen.dns_port, zone)
        try:
            server.listen()
        except DnsPortTaken as error:
            raise SettingsError(f"The setting listen.dns_port cannot be had: {error}") from error
        self._parts.push_async_callback(server.stop)

    def _edge_settings(self, core: CoreLink) -> tuple[EdgeSettings, Path | None]:
        settings, folder, ca = self._settings, self._state.folder, None
        certificate = settings.certificate
        if certificate is None:
            made = ensure_local_certificate(folder / "tls", settings.domain, datetime.now(UTC))
            certificate, ca = Certificate(file=made.certificate, key=made.key), made.ca
        listen = settings.listen
        host = _in_url(listen.host)
        edge = EdgeSettings(
            core=core,
            host_keys=settings.host_keys or ensure_host_keys(folder / "ssh"),
            certificate=certificate,
            listen=Listen(
                public=(f"{host}:{listen.https_port}", f"{host}:{listen.http_port}"),
                tcp=listen.host,
                proxies=listen.proxies,
            ),
            face=settings.face or Face(http_port=listen.http_port, https_port=listen.https_port),
            clients=settings.clients,
            visitors=settings.visitors,
        )
        return edge, ca

    def _paste(self, edge: EdgeSettings, ca: Path | None, token: Secret) -> Paste:
        listen = self._settings.listen
        lines = known_hosts_lines(load_host_keys(edge.host_keys), listen.host, listen.https_port)
        known_hosts = self._state.write("known_hosts", lines)
        return Paste(
            host=listen.host,
            port=listen.https_port,
            known_hosts=known_hosts,
            token=token,
            name=FIRST_NAME,
            face=PublicFace(
                domain=self._settings.domain, http_port=edge.face.http_port, https_port=edge.face.https_port
            ),
            ca=ca,
            log=self._log_file,
            state=self._state.folder,
        )

    # -- failure and stop ---------------------------------------------------------------------------------------------

    def _check_ports(self) -> None:
        """Find a port that is in use before anything else is started. Raises `SettingsError`."""
        listen = self._settings.listen
        for name in ("https_port", "http_port", "dns_port", "core_port"):
            port = getattr(listen, name)
            try:
                _bind(_loopback(listen.host) if name == "core_port" else listen.host, port, socket.SOCK_STREAM)
                if name == "dns_port":
                    _bind(listen.host, port, socket.SOCK_DGRAM)
            except OSError as error:
                raise SettingsError(
                    f"The setting listen.{name} is {port}, where nothing can listen: {error.strerror}."
                ) from error

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(SettingsError) is not None:
            self._give_up(failure.getErrorMessage())
            return
        log.failure("starting broke", failure)
        self._give_up(f"Something broke inside; the log has the details ({type(failure.value).__name__}).")

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        try:
            await self._parts.aclose()
        finally:
            self._state.release()


def _bind(host: str, port: int, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as each:
        if kind is socket.SOCK_STREAM:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind((host, port))


# The parts name their settings as their own files spell them.
_OURS = {"core.database.url": "database", "core.listen.port": "listen.core_port", "listen.public": "listen.host"}


def _as_ours(text: str) -> str:
    for theirs, ours in _OURS.items():
        text = text.replace(f"The setting {theirs} ", f"The setting {ours} ")
    return text


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _loopback(host: str) -> str:
    """*host* where it is this machine's own; the core has no TLS here, and is nobody else's business."""
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"


def _stopping(service: Service) -> Callable[[], Any]:
    async def stop() -> None:
        await service.stopService()

    return stop
