"""
TLS that ends here, as a transport for the protocol inside.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import classImplements

from pinggy.certificates.pair import Shown
from pinggy.edge.tunnels import LiveTunnel, Presence

# Seconds for a visitor's close_notify in answer to ours.
CLOSE_NOTIFY = 10.0
# Bytes that are taken from OpenSSL at once while hands are shaken.
_FLIGHT = 32 * 1024


class TlsTransport(BufferingTLSTransport):
    """
    What *inside* writes is gathered for one turn of the reactor. The visitor is *shown* a certificate, and may choose
    of the *protocols*.

    A visitor who does not answer our close_notify is not waited for: after 10 s TCP is closed, when what was written
    has been sent.
    """

    _closing: IDelayedCall | None = None
    _admitted: tuple[LiveTunnel, Presence] | None = None

    def __init__(self, shown: Shown, protocols: tuple[bytes, ...], inside: IProtocol, clock: IReactorTime) -> None:
        super().__init__(TLSMemoryBIOFactory(shown, False, Factory(), clock), inside)
        self._shown = shown
        self._protocols = protocols
        self._shakes_hands = True

    def makeConnection(self, transport: ITransport) -> None:
        # Twisted's own declares all interfaces of the transport anew, which is a tenth of a handshake: ours are those
        # of the class. And it lets OpenSSL begin, who has nothing to say before the hello that comes next.
        self._tlsConnection = self._shown.connection(self._protocols)
        self._appSendBuffer: list[bytes] = []
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)

    def admit(self, tunnel: LiveTunnel, host: str) -> None:
        """He comes from *host*, and was let in: *tunnel* may cut him off, also in his handshake, until `is_served`."""
        if self.connected:
            self._admitted = tunnel, tunnel.enter(host, self.abortConnection)

    def is_served(self) -> None:
        """By somebody who knows better where he is: a client of ssh, or requests to tunnels of other names too."""
        if self._admitted is not None:
            tunnel, presence = self._admitted
            tunnel.leave(presence)
            self._admitted = None

    def _flushSendBIO(self) -> None:
        if not self._shakes_hands:
            super()._flushSendBIO()
            return
        with suppress(SSL.WantReadError):
            self._send_now(self._tlsConnection.bio_read(_FLIGHT))

    def _send_now(self, flight: bytes) -> None:
        """
        What the socket takes need not wait for the next turn of the reactor: that is a tenth of a handshake for each
        flight. Nothing has been written to the transport before but these.
        """
        transport = cast(Any, self.transport)
        write = getattr(transport, "writeSomeData", None)
        sent = 0 if write is None else write(flight)
        # It is an exception where the connection is lost, as the reactor will see.
        left = flight[sent:] if isinstance(sent, int) else flight
        if left:
            self._shakes_hands = False
            transport.write(left)

    def _flushReceiveBIO(self) -> None:
        super()._flushReceiveBIO()
        # With the first call the tickets of TLS 1.3 are sent too.
        self._shakes_hands = False

    def loseConnection(self) -> None:
        if self._closing is None and self.connected:
            self._closing = self.factory._clock.callLater(CLOSE_NOTIFY, self._close)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self.is_served()
        self._shakes_hands = False
        # All that came has been read. OpenSSL would say that a close_notify is missing, a tenth of a handshake later,
        # to people who do not ask: many a program closes TCP alone.
        self._lostTLSConnection = True
        super().connectionLost(reason)

    def _close(self) -> None:
        cast(Any, self.transport).loseConnection()


# What is not written here is asked of the transport below.
classImplements(TlsTransport, ITCPTransport)
