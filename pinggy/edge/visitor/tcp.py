"""
The ports of ``tcp`` tunnels: each belongs to one forwarding, of this edge or of another one, and every visitor is
relayed, or passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Away, Elsewhere, Here, Mode, NothingElsewhere, NotReached, Nowhere, Passage, Passed
from pinggy.edge.inherited import let_inherit
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.ports import PortTaken
from pinggy.edge.relay import Relay
from pinggy.edge.timer import Timer
from pinggy.edge.tunnels import LiveForwarding
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.entrance import Entrance, met
from pinggy.edge.visitor.raw import relay_to
from pinggy.tunnel.networks import Network
from pinggy.wire.places import Place

_log = Logger()
_BACKLOG = 1024  # visitors who are not accepted yet


class TcpPorts:
    """
    Binds ports on *interface*, an address in text; visitors count into the *connections* of their addresses, which load
    balancers of the networks *proxies* say. A port that was placed *elsewhere* is listened at too.
    """

    def __init__(
        self,
        *,
        reactor: IReactorTCP,
        interface: str,
        clock: IReactorTime,
        connections: ConnectionLimit,
        elsewhere: Elsewhere | None = None,
        proxies: tuple[Network, ...] = (),
    ) -> None:
        self.elsewhere = elsewhere or NothingElsewhere()
        self.clock = clock
        self.entrance = Entrance(connections, clock, proxies)
        self._reactor = reactor
        self._interface = interface
        self._open: dict[int, TcpPort] = {}

    def bind(self, port: int) -> TcpPort:
        """
        Listen on *port*, 0 for any that is free, for a tunnel of this edge; one that is listened at for another edge
        is taken over without a gap. Raises `PortTaken`.
        """
        standing = self._open.get(port)
        if standing is not None:
            if standing.is_owned:
                raise PortTaken(port)
            standing.is_owned = True
            return standing
        bound = self._listen(port)
        bound.is_owned = True
        return bound

    def place(self, place: Place, seconds: float | None) -> None:
        """The port of *place* is another edge's: listen at it too, for so many *seconds* or until it is displaced."""
        if place.public_port is None:
            return
        standing = self._open.get(place.public_port)
        try:
            (standing or self._listen(place.public_port)).place(place, seconds)
        except PortTaken:
            _log.warn("another program has port {port}, which is a tunnel's", port=place.public_port)

    def displace(self, name: str, epoch: int) -> None:
        """Nobody has the port of *name* by *epoch* any more."""
        for port in list(self._open.values()):
            if port.placed is not None and port.placed.name == name and port.placed.epoch <= epoch:
                port.displace()

    def close(self) -> None:
        """Listen no more at the ports of other edges."""
        for port in list(self._open.values()):
            port.displace()

    def _listen(self, port: int) -> TcpPort:
        visitors = _Visitors(self)
        try:
            listening = self._reactor.listenTCP(port, visitors, _BACKLOG, self._interface)
        except CannotListenError:
            raise PortTaken(port) from None
        let_inherit(listening)
        bound = TcpPort(visitors, listening, self.clock, self._closed)
        self._open[bound.port] = bound
        return bound

    def _closed(self, port: TcpPort) -> None:
        if self._open.get(port.port) is port:
            del self._open[port.port]


class TcpPort:
    """
    Implements `pinggy.edge.ports.BoundPort`: a port that listens; visitors who come before `serve` are closed. *placed*
    is where the tunnel of this port lives while it is none of this edge's (*is_owned*).
    """

    def __init__(
        self,
        visitors: _Visitors,
        listening: IListeningPort,
        clock: IReactorTime,
        closed: Callable[[TcpPort], object],
    ) -> None:
        self.is_owned = False
        self.placed: Place | None = None
        self.port = cast(IPv4Address | IPv6Address, listening.getHost()).port
        self._visitors = visitors
        self._listening = listening
        self._closed = closed
        self._over = Timer(clock, self.displace)
        self._closing: Deferred[object] | None = None

    def serve(self, live: LiveForwarding) -> None:
        """From now on visitors are those of *live*."""
        self._visitors.live = live
        placed = self.placed
        if placed is not None and placed.epoch <= live.forwarding.epoch:
            self.displace()

    def close(self) -> None:
        """
        Listen no more, unless the tunnel of this port has moved to another edge; visitors who are connected stay until
        their tunnel ends.
        """
        self.is_owned = False
        self._visitors.live = None
        self._close_unless_wanted()

    def place(self, place: Place, seconds: float | None) -> None:
        if self.placed is not None and self.placed.epoch > place.epoch:
            return
        self.placed = self._visitors.placed = place
        self._over.stop()
        if seconds is not None:
            self._over.start(seconds)

    def displace(self) -> None:
        self.placed = self._visitors.placed = None
        self._over.stop()
        self._close_unless_wanted()

    def free(self) -> Deferred[None]:
        """Fires when the port that was closed can be bound again."""
        freed: Deferred[None] = Deferred()
        assert self._closing is not None
        self._closing.addBoth(_pass_on, freed)
        return freed

    def _close_unless_wanted(self) -> None:
        if not self.is_owned and self.placed is None and self._closing is None:
            self._closed(self)
            self._closing = maybeDeferred(self._listening.stopListening)


class _Visitors(ServerFactory):
    noisy = False

    def __init__(self, ports: TcpPorts) -> None:
        self._ports = ports
        self.live: LiveForwarding | None = None
        self.placed: Place | None = None

    def buildProtocol(self, addr: IAddress | None) -> Doorway | None:
        return self._ports.entrance.come(addr, self._visitor)

    def _visitor(self, peer: Peer, left: Callable[[], object]) -> Doorway | None:
        if self.live is not None:
            return TcpVisitor(self.live, peer, self._ports.clock, left)
        if self.placed is not None:
            return _TcpPassenger(self.placed, peer, self._ports, left)
        return None


class TcpVisitor(Doorway):
    """One *peer* who has come to the port of *live*. *left* is told when he has gone."""

    def __init__(
        self, live: LiveForwarding, peer: Peer, clock: IReactorTime, left: Callable[[], object] = lambda: None
    ) -> None:
        self._live = live
        self._peer = peer
        self._clock = clock
        self._left = left

    def connectionMade(self) -> None:
        relay = Relay(self._live.tunnel, self._clock)
        self.hand_over(relay)
        relay_to(self._live, met(self._peer, self.transport), relay, self._clock)

    def left(self) -> None:
        self._left()


class _TcpPassenger(Doorway):
    """One who has come to a port whose tunnel is at another edge. He is not read until the way there is known."""

    def __init__(self, place: Place, peer: Peer, ports: TcpPorts, left: Callable[[], object]) -> None:
        self._place = place
        self._peer = peer
        self._ports = ports
        self._left = left
        self._held: list[bytes] = []
        self._waiting: Deferred[Passed | Here | Nowhere] | None = None

    def connectionMade(self) -> None:
        self._transport = cast(Any, self.transport)
        self._peer = met(self._peer, self.transport)
        self._transport.pauseProducing()
        passage = Passage(name=self._place.name, mode=Mode.TCP, visitor=self._peer)
        self._waiting = reach = self._ports.elsewhere.reach(passage)
        reach.addCallbacks(self._found, self._not_reached).addErrback(self._broken)

    def arrived(self, data: bytes) -> None:
        """What a load balancer has sent with its PROXY header."""
        self._held.append(data)

    def left(self) -> None:
        self._held.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self._left()

    def _found(self, way: Passed | Here | Nowhere) -> None:
        self._waiting = None
        match way:
            case Passed(stream=stream, epoch=epoch):
                relay = Relay(Away(self._place.name, epoch), self._ports.clock)
                self._serve_by(relay)
                relay.join(stream)
            case Here(live=live):
                relay = Relay(live.tunnel, self._ports.clock)
                self._serve_by(relay)
                relay_to(live, self._peer, relay, self._ports.clock)
            case Nowhere():
                self._transport.abortConnection()
                self._ports.displace(self._place.name, self._place.epoch)

    def _serve_by(self, relay: Relay) -> None:
        held, self._held = self._held, []
        self.hand_over(relay, b"".join(held))

    def _not_reached(self, failure: Failure) -> None:
        self._waiting = None
        if failure.check(CancelledError) is None:
            failure.trap(NotReached)
            self._transport.abortConnection()

    def _broken(self, failure: Failure) -> None:
        _log.failure("a visitor could not be passed on", failure)
        self._transport.abortConnection()


def _pass_on(result: object, freed: Deferred[None]) -> object:
    freed.callback(None)
    return result
