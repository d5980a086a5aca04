"""
DNS over TCP (RFC 7766): several questions on one connection, each with its length before it.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.dns.contents import Contents
from pinggy.dns.datagrams import LONGEST_QUESTION
from pinggy.dns.reply import stream_reply

IDLE = 10.0
MOST_CONNECTIONS = 64
# Bytes read before other transports of the reactor have their turn: some fifty questions.
_BYTES_A_TURN = 2048


class Clock(Protocol):
    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall: ...  # noqa: A002


@implementer(IHalfCloseableProtocol, IPushProducer)
class Stream(Int16StringReceiver, TimeoutMixin):
    """
    One connection. It does not read while its replies are not taken, and *idle* seconds without a whole question
    end it: neither bytes that trickle in nor replies left lying keep it open.
    """

    MAX_LENGTH = LONGEST_QUESTION
    transport: Any

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def connectionMade(self) -> None:
        self.transport.bufferSize = _BYTES_A_TURN
        self.transport.registerProducer(self, True)
        self.setTimeout(self._streams.idle)
        self._streams.made(self)

    def stringReceived(self, string: bytes) -> None:
        self.resetTimeout()
        self._streams.heard(self)
        reply = stream_reply(string, self._streams.zone)
        if reply is None:
            self.abort()
        else:
            self.sendString(reply)

    def lengthLimitExceeded(self, length: int) -> None:
        self.abort()

    def callLater(self, period: float, func: Any) -> IDelayedCall:
        return self._streams.clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        self.abort()

    def readConnectionLost(self) -> None:
        """The client has asked all it wanted: it still gets the replies."""
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        self._streams.lost(self)

    def abort(self) -> None:
        # Whatever else the connection has sent is passed over.
        self.paused = True
        self.transport.abortConnection()


class Streams(Factory):
    """All connections: *zone* answers, *clock* measures *idle* seconds, *most* of them live at a time."""

    noisy = False

    def __init__(self, clock: Clock, zone: Contents, idle: float, most: int) -> None:
        self.clock = clock
        self.zone = zone
        self.idle = idle
        self._most = most
        self._open: set[Stream] = set()
        # Those that may stay; the one that has been silent for the longest comes first.
        self._kept: dict[Stream, None] = {}
        self._closed: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        return Stream(self)

    def made(self, stream: Stream) -> None:
        self._open.add(stream)
        self._kept[stream] = None
        if len(self._kept) > self._most:
            quietest = next(iter(self._kept))
            del self._kept[quietest]
            quietest.abort()

    def heard(self, stream: Stream) -> None:
        if stream in self._kept:
            self._kept[stream] = self._kept.pop(stream)

    def lost(self, stream: Stream) -> None:
        self._open.discard(stream)
        self._kept.pop(stream, None)
        if not self._open and self._closed is not None:
            closed, self._closed = self._closed, None
            closed.callback(None)

    def close(self) -> Deferred[None]:
        """Fires when no connection is left."""
        if not self._open:
            return succeed(None)
        closed = self._closed = Deferred()
        for each in tuple(self._open):
            each.abort()
        return closed
