"""
TLS that ends here, as a transport for the protocol inside.
"""

from __future__ import annotations

from typing import Any, cast

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

    def makeConnection(self, transport: ITransport) -> None:
        # Twisted's own declares all interfaces of the transport anew, which is a tenth of a handshake: ours are those
        # of the class.
        self._tlsConnection = self._shown.connection(self._protocols)
        self._appSendBuffer: list[bytes] = []
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)
        self._checkHandshakeStatus()

    def admit(self, tunnel: LiveTunnel, host: str) -> None:
        """He comes from *host*, and was let in: until he leaves, *tunnel* may cut him off, also in his handshake."""
        if self.connected:
            self._admitted = tunnel, tunnel.enter(host, self.abortConnection)

    def loseConnection(self) -> None:
        if self._closing is None and self.connected:
            self._closing = self.factory._clock.callLater(CLOSE_NOTIFY, self._close)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        if self._admitted is not None:
            tunnel, presence = self._admitted
            tunnel.leave(presence)
        super().connectionLost(reason)

    def _close(self) -> None:
        cast(Any, self.transport).loseConnection()


# What is not written here is asked of the transport below.
classImplements(TlsTransport, ITCPTransport)
