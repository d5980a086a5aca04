"""
Connections and requests of a gate: what a stranger sends is bounded before it is kept.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

LONGEST_BODY = 1024 * 1024
MOST_CONNECTIONS = 256
_IDLE_SECONDS = 60
_SENDING_SECONDS = 3
_NO_SUCH_BODY = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"


class BoundedRequest(Request):
    """A body must say how long it is, and be no longer than `LONGEST_BODY`: otherwise the connection ends with that."""

    _refused = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is None:
            self._refuse(b"411 Length Required", b'{"error":"A body must say its length."}')
        elif length > LONGEST_BODY:
            self._refuse(b"413 Content Too Large", b'{"error":"The body is too long: %d bytes."}' % LONGEST_BODY)

    def handleContentChunk(self, data: bytes) -> None:
        if not self._refused:
            super().handleContentChunk(data)

    def process(self) -> None:
        if not self._refused:
            cast(GateSite, cast(Any, self.channel).site).connections.heard(self._connection())
            super().process()

    def _refuse(self, status: bytes, body: bytes) -> None:
        """Said by hand: for twisted.web there is no answer before the whole of the request."""
        self._refused = True
        self._connection().write(_NO_SUCH_BODY % (status, len(body), body))
        # The channel's, not the connection's: TLS is not closed while something may still produce.
        self.channel.loseConnection()

    def _connection(self) -> Any:
        return self.channel.transport


class GateSite(Site):
    """
    Calls of *root* are counted in `in_hand` by who answers them. Nothing is logged for each request. While it is
    *closing*, each answer is the last one of its connection.
    """

    noisy = False
    connections: Connections

    def __init__(self, reactor: IReactorTime, root: IResource) -> None:
        super().__init__(root, requestFactory=BoundedRequest, timeout=_IDLE_SECONDS, reactor=reactor)
        self.displayTracebacks = False
        self.in_hand: set[Deferred[None]] = set()
        self.closing = False

    def log(self, request: HttpRequest) -> None:
        pass

    def add(self, call: Deferred[None]) -> None:
        """*call*, which never fails, is in hand until it fires."""
        self.in_hand.add(call)
        call.addBoth(lambda _: self.in_hand.discard(call))

    async def drained(self) -> None:
        """Returns when nothing is in hand. Whoever asks on does not keep it."""
        self.closing = True
        while self.in_hand:
            waiting: list[Deferred[None]] = []
            for call in self.in_hand:
                over: Deferred[None] = Deferred()
                call.addBoth(over.callback)
                waiting.append(over)
            await DeferredList(waiting)


class _Connection(ProtocolWrapper):
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        cast(Connections, self.factory).lost(self)


class Connections(WrappingFactory):
    """
    All connections, *most* of them at a time: of more, the one gives way that has not made a whole request for the
    longest. So whoever opens many, or sends slowly, is in the way of himself.
    """

    protocol = _Connection
    noisy = False

    def __init__(self, reactor: IReactorTime, site: GateSite, most: int = MOST_CONNECTIONS) -> None:
        super().__init__(site)
        site.connections = self
        self._reactor = reactor
        self._most = most
        self._kept: dict[Any, None] = {}
        self._gone: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper:
        connection = super().buildProtocol(addr)
        self._kept[connection] = None
        if len(self._kept) > self._most:
            quietest = next(iter(self._kept))
            del self._kept[quietest]
            quietest.abortConnection()
        return connection

    def heard(self, connection: Any) -> None:
        """*connection* has made a whole request."""
        if connection in self._kept:
            self._kept[connection] = self._kept.pop(connection)

    def lost(self, connection: Any) -> None:
        self._kept.pop(connection, None)
        self._look()

    def close(self) -> Deferred[None]:
        """Close them all, each after what it has still to send; fires when the last one is gone."""
        gone: Deferred[None] = Deferred()
        self._gone = gone
        for connection in list(self.protocols):
            connection.unregisterProducer()
            connection.loseConnection()
        bound = self._reactor.callLater(_SENDING_SECONDS, self._abort)
        gone.addBoth(lambda _: bound.cancel() if bound.active() else None)
        self._look()
        return gone

    def _abort(self) -> None:
        for connection in list(self.protocols):
            connection.abortConnection()

    def _look(self) -> None:
        if self._gone is not None and not self.protocols:
            gone, self._gone = self._gone, None
            gone.callback(None)
