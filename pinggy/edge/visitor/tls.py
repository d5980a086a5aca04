"""
Visitors who speak TLS: their SNI decides whether it is ended here or passed through unread.

A whitelist is in force before a byte of TLS is spoken, whatever the kind of the tunnel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.certificates.context import HTTP_1_1
from pinggy.certificates.pair import Shown
from pinggy.certificates.store import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.deadline import Deadline
from pinggy.edge.elsewhere import Away, Elsewhere, Here, Mode, NothingElsewhere, NotReached, Nowhere, Passage, Passed
from pinggy.edge.relay import Relay
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.raw import NotAdmitted, admitted, relay_to
from pinggy.edge.visitor.secured import Secured
from pinggy.edge.visitor.tls_transport import TlsTransport
from pinggy.http.clienthello import ClientHello, HelloReader, MalformedHello
from pinggy.tunnel.names import label_of_host
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind

# Seconds for the whole ClientHello; and for a handshake.
HELLO = 10.0
HANDSHAKE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsDoor:
    """
    What every `TlsVisitor` needs.

    *inside* makes the protocol that meets a visitor within the TLS that ends here, and bounds the time of the handshake
    too. *protocols* are what he may choose for it (ALPN), the most wanted first. Tunnels that are not here may be
    *elsewhere*. One who has come by another edge may name the tunnel *only*, and no other.
    """

    tunnels: Tunnels
    domain: str
    certificates: Certificates
    clock: IReactorTime
    inside: Callable[[Peer, Secured], IProtocol]
    protocols: tuple[bytes, ...] = (HTTP_1_1,)
    elsewhere: Elsewhere = field(default_factory=NothingElsewhere)
    only: str | None = None


class TlsVisitor(Protocol):
    """Reads the ClientHello of one visitor and then hands the *doorway* over to TLS or to a relay."""

    _log = Logger()

    def __init__(self, door: TlsDoor, doorway: Doorway, peer: Peer) -> None:
        self._door = door
        self._doorway = doorway
        self._peer = peer
        self._reader = HelloReader()
        self._read = False
        self._deadline = Deadline(door.clock, self._too_late)
        self._waiting: Deferred[Policy] | Deferred[Passed | Here | Nowhere] | None = None

    def connectionMade(self) -> None:
        self._transport = cast(Any, self.transport)
        self._deadline.set(HELLO)

    def dataReceived(self, data: bytes) -> None:
        if self._read:
            self._reader.received += data
            return
        match self._reader.feed(data):
            case ClientHello(server_name=server_name):
                self._read = True
                self._deadline.stop()
                self._route(server_name)
            case MalformedHello():
                self._transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        if self._waiting is not None:
            self._waiting.cancel()

    def _route(self, server_name: str | None) -> None:
        label = label_of_host(server_name, self._door.domain) if server_name else None
        if self._door.only is not None and label != self._door.only:
            self._transport.abortConnection()
            return
        live = self._door.tunnels.by_name(label) if label else None
        if live is not None:
            self._visit(live, server_name)
        elif label is not None:
            self._reach(label, server_name)
        else:
            self._end_tls(server_name)

    def _visit(self, live: LiveForwarding, server_name: str | None) -> None:
        if live.forwarding.kind not in (Kind.HTTP, Kind.TLS, Kind.TLSTCP):
            # A forwarding of a port has a name too, but no TLS.
            self._end_tls(server_name)
        elif live.forwarding.kind is Kind.TLS:
            relay = Relay(live.tunnel, self._door.clock)
            self._hand_over(relay)
            relay_to(live, self._peer, relay, self._door.clock)
        else:
            self._admit(live, server_name)

    def _reach(self, label: str, server_name: str | None) -> None:
        """The tunnel may be at another edge: then it has all of this, from the first byte on, unread."""
        first = bytes(self._reader.received)

        def found(way: Passed | Here | Nowhere) -> None:
            match way:
                case Passed(stream=stream, epoch=epoch):
                    relay = Relay(Away(label, epoch), self._door.clock)
                    self._hand_over(relay, len(first))
                    relay.join(stream)
                    return
                case Here(live=live):
                    self._visit(live, server_name)
                case Nowhere():
                    self._end_tls(server_name)
            self._transport.resumeProducing()

        def not_reached(failure: Failure) -> None:
            if failure.check(CancelledError) is None:  # then the visitor has left
                failure.trap(NotReached)
                if getattr(failure.value, "full", False):
                    self._transport.abortConnection()
                else:
                    found(Nowhere())

        def failed(failure: Failure) -> None:
            self._log.failure("a visitor could not be passed on", failure=failure)
            self._transport.abortConnection()

        self._waiting = reach = self._door.elsewhere.reach(
            Passage(name=label, mode=Mode.CONNECTION, visitor=self._peer, first=first)
        )
        if not reach.called:
            self._transport.pauseProducing()
        reach.addCallbacks(found, not_reached).addErrback(failed)

    def _admit(self, live: LiveForwarding, server_name: str | None) -> None:
        is_raw = live.forwarding.kind is Kind.TLSTCP

        def go_on(_: object) -> None:
            if is_raw:
                shown = self._door.certificates.for_server_name(server_name)
                tls = self._speak_tls(shown, _TlsTcpVisitor(live, self._peer, self._door.clock), ())
            else:
                tls = self._end_tls(server_name)
            tls.admit(live.tunnel, self._peer.host)
            self._transport.resumeProducing()

        def refuse(failure: Failure) -> None:
            if failure.check(CancelledError) is not None:
                return  # the visitor has left
            failure.trap(NotAdmitted, Refusal)
            if is_raw or failure.check(NotAdmitted) is not None:
                self._transport.abortConnection()
            else:
                # The tunnel has ended meanwhile: the page for that is said over TLS.
                go_on(None)

        def failed(failure: Failure) -> None:
            self._log.failure("a visitor could not be served", failure=failure)
            self._transport.abortConnection()

        self._waiting = waiting = admitted(live, self._peer)
        if not waiting.called:
            self._transport.pauseProducing()
        waiting.addCallbacks(go_on, refuse).addErrback(failed)

    def _end_tls(self, server_name: str | None) -> TlsTransport:
        """For HTTP, of the version that he chooses, or for SSH, which chooses none."""
        shown = self._door.certificates.for_server_name(server_name)
        return self._speak_tls(shown, self._door.inside(self._peer, Secured(server_name, shown)), self._door.protocols)

    def _speak_tls(self, shown: Shown, inside: IProtocol, protocols: tuple[bytes, ...]) -> TlsTransport:
        tls = TlsTransport(shown, protocols, inside, self._door.clock)
        self._hand_over(tls)
        return tls

    def _hand_over(self, chosen: IProtocol, sent: int = 0) -> None:
        """But for what was *sent* on already."""
        self._waiting = None
        self._doorway.hand_over(chosen, bytes(self._reader.received[sent:]))

    def _too_late(self) -> None:
        self._transport.abortConnection()


@implementer(IHandshakeListener)
class _TlsTcpVisitor(Doorway):
    """Inside the TLS of a ``tlstcp`` tunnel: with the end of the handshake the relay begins."""

    def __init__(self, live: LiveForwarding, peer: Peer, clock: IReactorTime) -> None:
        self._live = live
        self._peer = peer
        self._clock = clock
        self._deadline = Deadline(clock, self._too_late)

    def connectionMade(self) -> None:
        self._deadline.set(HANDSHAKE)

    def handshakeCompleted(self) -> None:
        self._deadline.stop()
        relay = Relay(self._live.tunnel, self._clock)
        self.hand_over(relay)
        relay_to(self._live, self._peer, relay, self._clock)

    def left(self) -> None:
        self._deadline.stop()

    def _too_late(self) -> None:
        cast(Any, self.transport).abortConnection()
