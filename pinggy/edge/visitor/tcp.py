"""
The ports of ``tcp`` tunnels: each belongs to one forwarding, and every visitor is relayed.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP, IReactorTime, ITCPTransport
from twisted.internet.protocol import ServerFactory

from pinggy.edge.client import Peer
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.ports import PortTaken
from pinggy.edge.relay import Relay
from pinggy.edge.tunnels import LiveForwarding
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.raw import relay_to


class TcpPorts:
    """Binds ports on *interface*, an address in text; visitors count into the *connections* of their addresses."""

    def __init__(
        self, *, reactor: IReactorTCP, interface: str, clock: IReactorTime, connections: ConnectionLimit
    ) -> None:
        self._reactor = reactor
        self._interface = interface
        self._clock = clock
        self._connections = connections

    def bind(self, port: int) -> TcpPort:
        """Listen on *port*, 0 for any that is free. Raises `PortTaken`."""
        visitors = _Visitors(self._clock, self._connections)
        try:
            listening = self._reactor.listenTCP(port, visitors, interface=self._interface)
        except CannotListenError:
            raise PortTaken(port) from None
        return TcpPort(visitors, listening)


class TcpPort:
    """Implements `pinggy.edge.ports.BoundPort`: a port that listens; visitors who come before `serve` are closed."""

    def __init__(self, visitors: _Visitors, listening: IListeningPort) -> None:
        self._visitors = visitors
        self._listening = listening
        self._closing: Deferred[object] | None = None

    @property
    def port(self) -> int:
        return cast(IPv4Address | IPv6Address, self._listening.getHost()).port

    def serve(self, live: LiveForwarding) -> None:
        """From now on visitors are those of *live*."""
        self._visitors.live = live

    def close(self) -> None:
        """Listen no more; visitors who are connected stay until their tunnel ends."""
        self._visitors.live = None
        if self._closing is None:
            self._closing = maybeDeferred(self._listening.stopListening)

    def free(self) -> Deferred[None]:
        """Fires when the port that was closed can be bound again."""
        freed: Deferred[None] = Deferred()
        assert self._closing is not None
        self._closing.addBoth(_pass_on, freed)
        return freed


class _Visitors(ServerFactory):
    noisy = False

    def __init__(self, clock: IReactorTime, connections: ConnectionLimit) -> None:
        self._clock = clock
        self._connections = connections
        self.live: LiveForwarding | None = None

    def buildProtocol(self, addr: IAddress | None) -> _TcpVisitor | None:
        assert isinstance(addr, IPv4Address | IPv6Address)
        if self.live is None or not self._connections.enter(addr.host):
            return None
        left = partial(self._connections.leave, addr.host)
        return _TcpVisitor(self.live, Peer(addr.host, addr.port), self._clock, left)


class _TcpVisitor(Doorway):
    def __init__(self, live: LiveForwarding, peer: Peer, clock: IReactorTime, left: partial[None]) -> None:
        self._live = live
        self._peer = peer
        self._clock = clock
        self._left = left

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).setTcpNoDelay(True)
        relay = Relay(self._live.tunnel, self._clock)
        self.hand_over(relay)
        relay_to(self._live, self._peer, relay)

    def left(self) -> None:
        self._left()


def _pass_on(result: object, freed: Deferred[None]) -> object:
    freed.callback(None)
    return result
