"""
Visitors from other edges. What is said of them is believed because the connection is an edge's, by its certificate;
then they are served as any visitor of their address. They have had their hop: from here nobody is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.elsewhere import Mode, Passage
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.peers.greeting import Greeting, Verdict, understood
from pinggy.edge.peers.guest import Guest
from pinggy.edge.peers.identity import Identity, edge_shown
from pinggy.edge.timer import Timer
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.http.proxyprotocol import HeaderReader, MalformedProxy

log = Logger()

HANDSHAKE = 10.0  # seconds
GREETING = 5.0  # seconds from its first byte to its last
WAITING = 120.0  # seconds that a connection may wait for a visitor
PATIENCE = 2.0  # seconds that a visitor waits for a name that is about to be here
MOST_STRANGERS = 512  # connections whose handshake is not done
MOST_OF_ONE = 64  # and those among them of one address
CLOSING = 10.0  # seconds for the other edge to close in answer to us

Serve = Callable[[Passage, LiveForwarding], IProtocol]
"""Makes the protocol that serves the visitor of a passage at this tunnel."""


class Arrivals(ServerFactory):
    """The factory of the port for other edges. *serve* makes what serves a visitor."""

    noisy = False

    def __init__(
        self,
        *,
        identity: Identity,
        domain: str,
        tunnels: Tunnels,
        connections: ConnectionLimit,
        serve: Serve,
        clock: IReactorTime,
        metrics: EdgeMetrics,
    ) -> None:
        self.domain = domain
        self.tunnels = tunnels
        self.connections = connections
        self.serve = serve
        self.clock = clock
        self.metrics = metrics
        self._identity = identity
        self._strangers = 0
        self._of_one = ConnectionLimit(MOST_OF_ONE, clock)
        self._open: set[Arrival] = set()
        inside = Factory()
        inside.noisy = False
        inside.buildProtocol = self._build  # type: ignore[method-assign]
        self._tls = TLSMemoryBIOFactory(identity, False, inside, clock)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if not self._identity.is_certified or self._strangers >= MOST_STRANGERS:
            return None
        assert isinstance(addr, IPv4Address | IPv6Address)
        return self._tls.buildProtocol(addr) if self._of_one.enter(addr.host) else None

    def _build(self, addr: IAddress | None) -> Arrival:
        assert isinstance(addr, IPv4Address | IPv6Address)
        return Arrival(self, addr.host)

    def came(self, arrival: Arrival) -> None:
        self._strangers += 1
        self._open.add(arrival)

    def known(self, host: str) -> None:
        """One of them is a stranger no longer; or has left as one."""
        self._strangers -= 1
        self._of_one.leave(host)

    def left(self, arrival: Arrival) -> None:
        self._open.discard(arrival)

    @property
    def count(self) -> int:
        """Of those that are open."""
        return len(self._open)

    def close(self) -> None:
        """Cut those that wait for a visitor, and those of visitors too."""
        for each in list(self._open):
            each.cut()


@implementer(IHandshakeListener)
class Arrival(Protocol):
    """One connection of another edge: its handshake, a greeting, and then its visitor; when he is through, the next."""

    def __init__(self, port: Arrivals, host: str) -> None:
        self._port = port
        self._host = host
        self._deadline = Timer(port.clock, self.cut)
        self._edge: str | None = None
        self._is_stranger = True
        self._reader = HeaderReader()
        self._awaited: Deferred[LiveForwarding] | None = None
        self._greeted = False
        self._refused = False
        self._held: list[bytes] = []
        self._counted: str | None = None
        self._guest: Guest | None = None

    def connectionMade(self) -> None:
        self._tls = cast(Any, self.transport)
        self._tls.setTcpNoDelay(True)
        self._tls.setTcpKeepAlive(True)
        self._port.came(self)
        self._deadline.start(HANDSHAKE)

    def handshakeCompleted(self) -> None:
        self._edge = edge_shown(self._tls)
        if self._edge is None:
            self.cut()
            return
        self._strange_no_more()
        self._deadline.start(WAITING)

    def dataReceived(self, data: bytes) -> None:
        if self._guest is not None:
            self._guest.received(data)
        elif self._greeted:
            if not self._refused:
                self._held.append(data)
        elif self._edge is not None:
            self._read_greeting(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        self._strange_no_more()
        self._port.left(self)
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.cancel()
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.lost()
        if self._counted is not None:
            self._port.connections.leave(self._counted)

    def cut(self) -> None:
        self._tls.abortConnection()

    def _strange_no_more(self) -> None:
        if self._is_stranger:
            self._is_stranger = False
            self._port.known(self._host)

    # -- the greeting --------------------------------------------------------------------------------------------

    def _read_greeting(self, data: bytes) -> None:
        if not self._reader.started:
            self._deadline.start(GREETING)
        try:
            header = self._reader.feed(data)
            if header is None:
                return
            greeting = understood(header, self._port.domain)
        except MalformedProxy as malformed:
            self._port.metrics.relay_refused("hop")
            log.warn("the edge {edge} is not understood: {why}", edge=self._edge, why=malformed)
            self.cut()
            return
        self._greeted = True
        self._deadline.stop()
        self._held = [self._reader.rest] if self._reader.rest else []
        self._look_for(greeting)

    def _look_for(self, greeting: Greeting) -> None:
        passage, tunnels = greeting.passage, self._port.tunnels
        if not self._port.connections.enter(passage.visitor.host):
            self._refuse(Verdict.FULL, "limit")
            return
        self._counted = passage.visitor.host
        if tunnels.has_left(passage.name, greeting.epoch):
            self._refuse(Verdict.NOT_HERE, "not-here")
            return
        self._tls.pauseProducing()
        self._awaited = awaited = tunnels.awaited(passage.name, greeting.epoch)
        if not awaited.called:
            self._deadline = Timer(self._port.clock, awaited.cancel)
            self._deadline.start(PATIENCE)
        awaited.addCallbacks(self._found, self._not_found, callbackArgs=(passage,)).addErrback(self._broke)

    def _found(self, live: LiveForwarding, passage: Passage) -> None:
        self._awaited = None
        self._deadline.stop()
        if not passage.mode.suits(live.forwarding.kind):
            self._refuse(Verdict.NOT_HERE, "not-here")
            return
        self._port.metrics.relayed_in({Mode.CONNECTION: "tls", Mode.HTTP: "http", Mode.TCP: "tcp"}[passage.mode])
        self._tls.write(Verdict.HERE.value)
        self._guest = guest = Guest(
            self._tls, passage.visitor, self._port.serve(passage, live), self._port.clock, self._next
        )
        self._tls.resumeProducing()
        guest.start()
        held, self._held = self._held, []
        for data in held:
            if self._guest is guest:
                guest.received(data)

    def _next(self) -> None:
        """The visitor is through."""
        assert self._guest is not None
        assert self._counted is not None
        guest, self._guest = self._guest, None
        counted, self._counted = self._counted, None
        self._port.connections.leave(counted)
        self._greeted = False
        self._reader = HeaderReader()
        self._deadline = Timer(self._port.clock, self.cut)
        self._deadline.start(WAITING)
        if guest.rest:
            self._read_greeting(guest.rest)

    def _not_found(self, failure: Failure) -> None:
        failure.trap(CancelledError)
        if self._awaited is not None:
            self._awaited = None
            self._refuse(Verdict.NOT_HERE, "not-here")

    def _refuse(self, verdict: Verdict, why: str) -> None:
        self._port.metrics.relay_refused(why)
        self._refused = True
        self._held.clear()
        self._deadline = Timer(self._port.clock, self.cut)
        self._deadline.start(CLOSING)
        self._tls.resumeProducing()
        self._tls.write(verdict.value)
        self._tls.loseConnection()

    def _broke(self, failure: Failure) -> None:
        log.failure("a visitor of the edge {edge} could not be served", failure, edge=self._edge)
        self.cut()
