"""
A visitor's TCP transport in memory, with the half-close that Twisted's `StringTransport` lacks.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITCPTransport)
class VisitorTransport(StringTransport):
    """
    Owned by *protocol*; it closes only when the test says so (`closes`), as a socket does in a later turn of the
    reactor. *half_closed* counts FINs of ours, *aborted* says that the connection was reset by us. *dataBuffer* is what
    the visitor has not read.
    """

    dataBuffer = b""

    def __init__(self, protocol: IProtocol, host: str = "192.0.2.7", port: int = 40000) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, port), lenient=True)
        self.protocol = protocol
        self.half_closed = 0
        self.aborted = False
        self.no_delay = False
        protocol.makeConnection(self)

    @property
    def paused(self) -> bool:
        return self.producerState == "paused"

    # -- ITCPTransport

    def loseWriteConnection(self) -> None:
        self.half_closed += 1

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def unregisterProducer(self) -> None:
        # Twisted's own transports take it twice.
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = bool(enabled)

    def getTcpNoDelay(self) -> bool:
        return self.no_delay

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing to keep."""

    def getTcpKeepAlive(self) -> bool:
        return False

    # -- what the visitor does

    def sends(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def sends_fin(self) -> None:
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None:
            self.loses(ConnectionDone())
        else:
            half.readConnectionLost()

    def resets(self) -> None:
        self.loses(ConnectionLost())

    def closes(self) -> None:
        """What we have asked for comes true."""
        self.loses(ConnectionAborted() if self.aborted else ConnectionDone())

    def loses(self, reason: Exception) -> None:
        self.connected = False
        self.protocol.connectionLost(Failure(reason))

    # -- what the visitor takes

    def is_full(self) -> None:
        assert IPushProducer.providedBy(self.producer)
        self.producer.pauseProducing()

    def drains(self) -> None:
        assert IPushProducer.providedBy(self.producer)
        self.producer.resumeProducing()
