"""
One visitor, one stream: the relay joins them.

The path of a byte from the visitor to the client: the reactor reads the socket (for a visitor of TLS,
`TLSMemoryBIOProtocol` decrypts) and calls `Relay.dataReceived`, which counts it and calls `Stream.write`. For an ssh
channel that is `FlowChannel.write`: what the client's window has room for goes to `OrderedConnection.sendData`, which
puts a head before it, and `SealedTransport.sendParts`, where head, data and padding are joined once and sealed by one
call of OpenSSL. The client's transport gathers the packets of one turn of the reactor, and sends them by one system
call. What the window has no room for waits in the channel's queue; the stream says `stream_full`, and the relay stops
reading the socket until `stream_drained`: what the visitor sends meanwhile waits in the kernel, and then with the
visitor. Where the client's own socket is full, its channels wait too, and then take turns.

The path back: the reactor reads the client's socket into `PacketReader`; each packet is opened in place, and its
payload comes by `OrderedConnection.packetReceived` to `FlowChannel.dataReceived` and so to `Relay.stream_data`, which
counts it and writes it to the visitor's transport. The relay is the transport's streaming producer: a transport with
64 KiB of unsent bytes calls `pauseProducing` within that write, and the relay pauses the stream, so that the client's
window is credited with what the visitor has taken and no more (`ReceiveWindow` says how large it is, and when a credit
is worth a packet).

How it ends: a visitor's FIN becomes `Stream.end`, the client's end becomes a FIN after what was written, and when both
have come the visitor's transport closes. A reset becomes `Stream.abort`. A stream that closes while the visitor still
sends becomes a FIN too, and what comes from him is read and dropped for a while: a socket that is closed with unread
bytes is reset, and what was written to it may be lost. TLS here has no half-close: the client's end closes it, and its
close ends the stream both ways.

Nothing here logs or copies. Of Twisted's own, the log context around each read (`callWithLogger`) costs 3 us that give
nothing here; it is made by the reactor, before any of our classes is asked.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.counted import Counted
from pinggy.edge.prompt import write_promptly
from pinggy.edge.stream import Stream
from pinggy.edge.tunnels import LiveTunnel, Presence

# Bytes of a first read, at most, after which no more are likely to come before the stream is there: to pause reading
# and to resume it would be two system calls for nothing.
SHORT = 2048
# Seconds that a visitor has, when the stream is over, to take the last bytes and say that he sends no more.
LINGER = 10.0
# Seconds more for what is still unsent; then the connection is reset.
LAST_BYTES = 60.0


@implementer(IHalfCloseableProtocol, IPushProducer)
class Relay(Protocol):
    """
    The protocol of a visitor's transport and the receiver of a stream.

    Made with the transport (`makeConnection`), later joined to a stream (`join`) or refused (`refuse`). Bytes that come
    before are held: what one read brings, or a short one and the next; then reading is paused. Its *tunnel* is told
    `stream_over` once.
    """

    def __init__(self, tunnel: Counted, clock: IReactorTime) -> None:
        self._tunnel = tunnel
        self._tally = tunnel.tally
        self._clock = clock
        self._stream: Stream | None = None
        self._waiting: Deferred[Any] | None = None
        self._held: list[bytes] = []
        self._lingering: IDelayedCall | None = None
        self._full = False
        self._visitor_ended = False
        self._client_ended = False
        self._over = False
        self._gone = False
        self._is_tls = False
        self._admitted: tuple[LiveTunnel, Presence] | None = None

    # -- until there is a stream

    def await_stream(self, waiting: Deferred[Any]) -> None:
        """*waiting* is what stands before the stream: it is cancelled if the visitor leaves first."""
        self._waiting = waiting

    def admit(self, tunnel: LiveTunnel, host: str) -> None:
        """The visitor, who comes from *host*, was let in: until he leaves, *tunnel* may cut him off."""
        self._admitted = tunnel, tunnel.enter(host, self._transport.abortConnection)

    def join(self, stream: Stream) -> None:
        """Relay from now on. A *stream* that comes after the visitor has left is aborted."""
        self._waiting = None
        if self._gone:
            stream.abort()
            self._tunnel.stream_over()
            return
        self._stream = stream
        self._transport.registerProducer(self, True)
        stream.attach(self)
        held, self._held = self._held, []
        for data in held:
            self.dataReceived(data)
        if self._visitor_ended:
            stream.end()
        elif self._stream is not None and not self._full:
            self._transport.resumeProducing()

    def refuse(self) -> None:
        """There will be no stream: reset the connection."""
        self._over = self._gone = True
        self._held.clear()
        self._transport.abortConnection()

    # -- from the visitor

    def connectionMade(self) -> None:
        # Any: ITransport leaves out what every transport here has (abortConnection, pauseProducing, ...).
        self._transport = cast(Any, self.transport)
        self._is_tls = isinstance(self.transport, TLSMemoryBIOProtocol)

    def dataReceived(self, data: bytes) -> None:
        stream = self._stream
        if stream is not None:
            self._tally.received += len(data)
            stream.write(data)
        elif not self._over:
            if self._held or len(data) > SHORT:
                self._transport.pauseProducing()
            self._held.append(data)

    def readConnectionLost(self) -> None:
        self._visitor_ended = True
        if self._over:
            self._transport.loseConnection()
        elif self._stream is not None:
            if self._client_ended:
                # That it ends is said by this too.
                self._stream.close()
                self._close_visitor()
            else:
                self._stream.end()

    def writeConnectionLost(self) -> None:
        """Our FIN has been sent."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        self._held.clear()
        if self._admitted is not None:
            tunnel, presence = self._admitted
            tunnel.leave(presence)
        if self._waiting is not None:
            self._waiting.cancel()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        stream = self._stream
        if stream is None or (self._visitor_ended and self._client_ended):
            # It is over, or was told to close when both had ended.
            return
        # Many a program closes TCP without closing TLS before: what it sent counts nevertheless.
        if isinstance(reason.value, (ConnectionDone, ConnectionLost) if self._is_tls else ConnectionDone):
            stream.end()
            stream.close()
        else:
            self._stream_over()
            stream.abort()

    # -- from the visitor's transport, as its producer

    def pauseProducing(self) -> None:
        if self._stream is not None:
            self._stream.pause()

    def resumeProducing(self) -> None:
        if self._stream is not None:
            self._stream.resume()

    def stopProducing(self) -> None:
        """The transport is lost: `connectionLost` follows."""

    # -- from the stream

    def stream_data(self, data: bytes) -> None:
        self._tally.sent += len(data)
        write_promptly(self._transport, data)

    def stream_ended(self) -> None:
        if self._gone or self._stream is None:
            return
        self._end_visitor()
        if self._visitor_ended:
            self._stream.close()
            self._close_visitor()

    def stream_closed(self) -> None:
        if self._stream is None:
            return
        self._stream_over()
        self._close_visitor()

    def stream_full(self) -> None:
        self._full = True
        self._transport.pauseProducing()

    def stream_drained(self) -> None:
        self._full = False
        # A reactor that reads after a FIN reads that FIN again.
        if not self._visitor_ended:
            self._transport.resumeProducing()

    # -- the end

    def _stream_over(self) -> None:
        self._over = True
        self._stream = None
        self._tunnel.stream_over()

    def _end_visitor(self) -> None:
        """He gets no more than what was written."""
        if self._client_ended:
            return
        self._client_ended = True
        # First: a transport closes nothing while a producer that it has paused is registered.
        self._transport.unregisterProducer()
        if self._is_tls:
            self._transport.loseConnection()
        elif not self._visitor_ended:
            self._transport.loseWriteConnection()

    def _close_visitor(self) -> None:
        if self._gone or self._lingering is not None:
            return
        self._end_visitor()
        if self._visitor_ended:
            self._transport.loseConnection()
        else:
            self._transport.resumeProducing()
        if not self._gone:
            self._lingering = self._clock.callLater(LINGER, self._lingered)

    def _lingered(self) -> None:
        self._lingering = self._clock.callLater(LAST_BYTES, self._give_up)
        self._transport.loseConnection()

    def _give_up(self) -> None:
        self._lingering = None
        self._transport.abortConnection()
