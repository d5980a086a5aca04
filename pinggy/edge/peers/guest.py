"""
The transport of a visitor who came by another edge: what TCP is to others, over the frames of a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.client import Peer
from pinggy.edge.peers.frames import END, FrameReader, framed
from pinggy.edge.timer import Timer

# Seconds for the other edge to end its way when ours has, and to take what was written before.
CLOSING = 10.0


@implementer(ITCPTransport)
class Guest:
    """
    Of *visitor*, for *protocol*, over *link*: the transport of a TLS connection, which has no half-close. Whoever has
    that tells what came (`received`) and that it was cut (`lost`), and is told by *finished* when both ways have ended.
    """

    disconnecting = False

    def __init__(
        self, link: Any, visitor: Peer, protocol: IProtocol, clock: IReactorTime, finished: Callable[[], object]
    ) -> None:
        self.connected = True
        self._link = link
        self._visitor = visitor
        self._protocol = protocol
        self._finished = finished
        self._reader = FrameReader()
        self._has_producer = False
        self._ended = False
        self._gone = False
        self._is_finished = False
        self._aborted = False
        self._closing = Timer(clock, self._cut)

    @property
    def transport(self) -> Any:
        """What this one is over."""
        return self._link

    # -- what the link says ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._protocol.makeConnection(self)

    @property
    def rest(self) -> bytes:
        """What came behind the end: of the next visitor."""
        return self._reader.rest

    def received(self, data: bytes) -> None:
        if self._aborted:
            return
        if self._reader.ended:
            # The other edge may begin anew when both ways have ended, and not before.
            self._cut()
            return
        carried = self._reader.feed(data)
        if carried and not self.disconnecting:
            self._protocol.dataReceived(carried)
        if not self._reader.ended:
            return
        if self.disconnecting:
            self._finish()
        elif self.connected:
            self._visitor_ended()

    def lost(self) -> None:
        # What the protocol still says to us from here on has no link to go to, or one that is another visitor's.
        self._gone = True
        self._closing.stop()
        # A connection that was cut is told from one that has ended both ways.
        ended = (self._reader.ended or self.disconnecting) and not self._aborted
        self._over(ConnectionDone() if ended else ConnectionLost())

    def _visitor_ended(self) -> None:
        half: Any = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            half.readConnectionLost()
            return
        self._over(ConnectionDone())
        self.unregisterProducer()
        self.loseConnection()

    def _over(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            self._protocol.connectionLost(Failure(reason))

    def _finish(self) -> None:
        if self._is_finished or not (self._ended and self._reader.ended and self.disconnecting):
            return
        self._is_finished = self._gone = True
        self._closing.stop()
        self._over(ConnectionDone())
        self._finished()

    # -- ITransport --------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if data and not (self._ended or self._gone or self._aborted):
            self._link.write(framed(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseWriteConnection(self) -> None:
        if not (self._ended or self._gone or self._aborted):
            self._ended = True
            self._link.write(END)

    def loseConnection(self) -> None:
        """After what was written; where a producer is registered, when that is gone."""
        self.disconnecting = True
        if not self._has_producer and not self._aborted:
            self._shut()

    def abortConnection(self) -> None:
        """
        The other edge sees a connection that closes without an end. It sees the verdict before that, which an aborted
        connection may not have sent yet.
        """
        if self._gone or self._aborted:
            return
        self._aborted = True
        self._closing.start(CLOSING)
        self._link.unregisterProducer()
        self._link.resumeProducing()
        self._link.loseConnection()

    def _cut(self) -> None:
        if not self._gone:
            self._link.abortConnection()

    def getPeer(self) -> IPv4Address | IPv6Address:
        cls = IPv6Address if ":" in self._visitor.host else IPv4Address
        return cls("TCP", self._visitor.host, self._visitor.port)

    def getHost(self) -> IPv4Address | IPv6Address:
        """What he came to, at the edge that he came by."""
        _, ours = self._visitor.ends
        return (IPv6Address if ":" in ours.host else IPv4Address)("TCP", ours.host, ours.port)

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """The link is set so already."""

    def getTcpKeepAlive(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """The link is set so already."""

    # -- flow: the link's own ------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        if not (self.disconnecting or self._gone or self._aborted):
            self._link.pauseProducing()

    def resumeProducing(self) -> None:
        if not self._gone:
            self._link.resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._gone or self._aborted:
            producer.stopProducing()
            return
        self._has_producer = True
        self._link.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._has_producer = False
        if self._gone or self._aborted:
            return
        self._link.unregisterProducer()
        if self.disconnecting:
            self._shut()

    def _shut(self) -> None:
        if self._gone or self._aborted:
            return
        self.loseWriteConnection()
        self._closing.start(CLOSING)
        # The end of the visitor's way is awaited: what still comes is dropped.
        self._link.resumeProducing()
        self._finish()
