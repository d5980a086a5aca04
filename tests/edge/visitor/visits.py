"""
One visit of an HTTP visitor to a client, both in memory.
"""

from __future__ import annotations

from copy import copy

from twisted.internet.task import Clock

from pinggy.certificates.names import covers
from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.secured import Secured
from pinggy.tunnel.addresses import PublicFace
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport

FACE = PublicFace(domain="a.example", http_port=7080, https_port=7443)


class Names(frozenset[str]):
    """The names of a certificate."""

    def covers(self, host: str) -> bool:
        return covers(self, host)


def secured(server_name: str | None, *names: str) -> Secured:
    """By a certificate with *names*, or the one of every tunnel."""
    return Secured(server_name, Names(names or ("a.example", "*.a.example")))


class Visit:
    """One visitor connection to an edge that has *lives*, or a tunnel called ``shop``."""

    def __init__(
        self,
        *lives: LiveForwarding,
        secure: bool = False,
        host: str = "192.0.2.7",
        secured: Secured | None = None,
        limits: WebLimits | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.client = FakeClient()
        self.tunnels = Tunnels()
        for live in lives or (live_forwarding(self.client),):
            self.tunnels.add(live)
        shop = self.tunnels.by_name("shop")
        assert shop is not None
        self.shop = shop
        assert isinstance(shop.tunnel.client, FakeClient)
        self.client = shop.tunnel.client
        self.clock = Clock()
        self._transports: list[VisitorTransport] = []
        self._connect(host, secure=secure, limits=limits, secured=secured, elsewhere=elsewhere)

    def _connect(
        self,
        host: str,
        *,
        secure: bool = False,
        limits: WebLimits | None = None,
        secured: Secured | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        doors = WebDoors(tunnels=self.tunnels, face=FACE, clock=self.clock, limits=limits or WebLimits())
        self.protocol = doors.web(elsewhere or NothingElsewhere(), Peer(host, 40000), secure, secured)
        self.transport = VisitorTransport(self.protocol, host)
        self._transports.append(self.transport)

    def another(self, host: str = "192.0.2.8") -> Visit:
        """Another visitor of the same tunnels."""
        another = copy(self)
        another._connect(host)
        return another

    def say(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def heard(self) -> bytes:
        """What was sent to the visitor since the last time."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    @property
    def is_open(self) -> bool:
        return not (self.transport.half_closed or self.transport.disconnecting)

    @property
    def stream(self) -> FakeStream:
        """The last stream that was opened."""
        return self.client.opened[-1]

    def asked(self) -> bytes:
        """What came to the client over the last stream since the last time."""
        data = bytes(self.stream.written)
        self.stream.written.clear()
        return data

    def leave(self) -> None:
        """He and all others leave, and the tunnels end; nothing may stay behind."""
        for each in self._transports:
            if each.connected:
                each.closes()
        for tunnel in {self.shop.tunnel, *self.tunnels}:
            tunnel.let_finish()
            assert tunnel.tally.open == 0
        assert not self.clock.getDelayedCalls()
