"""
A public port on loopback with real TLS, and stand-ins for what serves ssh and HTTP behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from pinggy.certificates.store import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.port import PublicPort
from pinggy.edge.visitor.secured import Secured
from pinggy.tunnel.networks import Network

reactor = cast(Any, the_reactor)

DOMAIN = "a.example"


class WatchedLimit(ConnectionLimit):
    """Tells when the last connection has been left."""

    def __init__(self, most: int, clock: Any) -> None:
        super().__init__(most, clock)
        self.count = 0
        self._empty: list[Deferred[None]] = []

    def enter(self, host: str) -> bool:
        entered = super().enter(host)
        self.count += entered
        return entered

    def leave(self, host: str) -> None:
        super().leave(host)
        self.count -= 1
        if not self.count:
            empty, self._empty = self._empty, []
            for each in empty:
                each.callback(None)

    def empty(self) -> Deferred[None]:
        fires: Deferred[None] = Deferred()
        if self.count:
            self._empty.append(fires)
        else:
            fires.callback(None)
        return fires


class Answering(Protocol):
    """Says who serves and what came, and closes at the end of a line."""

    def __init__(self, introduction: str) -> None:
        self._introduction = introduction.encode()
        self._line = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self._line += data
        if self._line.endswith(b"\n"):
            self.transport.write(self._introduction + b": " + self._line)
            self.transport.loseConnection()


class SshClients(Factory[Any]):
    noisy = False
    started = 0

    def startFactory(self) -> None:
        self.started += 1

    def stopFactory(self) -> None:
        self.started -= 1

    def buildProtocol(self, addr: Any) -> Answering:
        return Answering(f"ssh {addr.host}")


def web(peer: Peer, secure: bool, secured: Secured | None) -> Answering:
    return Answering(f"web {peer.host} {secure} {None if secured is None else secured.server_name}")


class SpeaksFirst(Protocol):
    """Stands in for HTTP/2, whose server need not wait for a word: says who it is for, and closes."""

    def __init__(self, peer: Peer, secured: Secured) -> None:
        self._said = f"h2 {peer.host} {secured.server_name}".encode()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._said)
        self.transport.loseConnection()


@dataclass
class Edge:
    """The factory of the port and what it was made of; *port* is where it listens, if it does."""

    certificate: LocalCertificate
    clock: Any
    tunnels: Tunnels = field(default_factory=Tunnels)
    ssh: SshClients = field(default_factory=SshClients)
    most: int = 50
    port: int = 0
    h2: Callable[[Peer, Secured], IProtocol] | None = None
    proxies: tuple[Network, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        self.limit = WatchedLimit(self.most, self.clock)
        self.factory = PublicPort(
            ssh=self.ssh,
            web=web,
            tunnels=self.tunnels,
            domain=DOMAIN,
            certificates=Certificates(self.certificate.certificate, self.certificate.key, self.clock, self.folder),
            connections=self.limit,
            clock=self.clock,
            h2=self.h2,
            proxies=self.proxies,
        )

    def add(self, live: LiveForwarding) -> LiveForwarding:
        self.tunnels.add(live)
        return live


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificate:
    return ensure_local_certificate(tmp_path_factory.mktemp("tls"), DOMAIN, datetime.now(UTC))


@pytest.fixture(scope="session")
def local_servers(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificate:
    """The certificate of somebody's own server behind a tunnel."""
    return ensure_local_certificate(Path(tmp_path_factory.mktemp("own")), f"own.{DOMAIN}", datetime.now(UTC))


@pytest.fixture
def still_edge(certificate: LocalCertificate) -> Edge:
    """In memory, where time stands still."""
    return Edge(certificate, Clock())


@pytest_twisted.async_yield_fixture
async def edge(certificate: LocalCertificate) -> AsyncIterator[Edge]:
    async with listening_edge(Edge(certificate, reactor)) as edge:
        yield edge


@pytest_twisted.async_yield_fixture
async def h2_edge(certificate: LocalCertificate) -> AsyncIterator[Edge]:
    async with listening_edge(Edge(certificate, reactor, h2=SpeaksFirst)) as edge:
        yield edge


@asynccontextmanager
async def listening_edge(edge: Edge) -> AsyncIterator[Edge]:
    listening = reactor.listenTCP(0, edge.factory, interface="127.0.0.1")
    edge.port = listening.getHost().port
    yield edge
    await listening.stopListening()
    await edge.limit.empty()
