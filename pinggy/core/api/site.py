"""
Connections and requests: a body is bounded before it is kept, and the site knows what is in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from pinggy.tunnel.refusals import TooLong
from pinggy.wire.codec import LONGEST_BODY, encode
from pinggy.wire.messages import Refused

# A peer that goes on sending what was refused already is cut off after so many bytes.
_MOST_DROPPED = 8 * LONGEST_BODY
_IDLE_SECONDS = 60
_SENDING_SECONDS = 3


class BoundedRequest(Request):
    """Answers 413 as soon as the body is known to be too long; the rest of it is dropped as it comes."""

    _kept = 0
    _dropped = 0
    _too_long = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is not None and length > LONGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._kept += len(data)
        if not self._too_long and self._kept <= LONGEST_BODY:
            super().handleContentChunk(data)
            return
        if not self._too_long:
            self._refuse()
        self._dropped += len(data)
        if self._dropped > _MOST_DROPPED:
            self._transport().abortConnection()

    def process(self) -> None:
        if self._too_long:
            self.channel.loseConnection()
        else:
            super().process()

    def _transport(self) -> Any:
        """TCP: what a connection has that can be half closed and cut."""
        return self.channel.transport

    def _refuse(self) -> None:
        """Said by hand: for twisted.web there is no answer before the whole of the request."""
        self._too_long = True
        self.content = BytesIO()
        transport = self._transport()
        transport.write(_TOO_LONG)
        # Only our side is closed: to close a socket with unread bytes would take the answer away from the peer.
        transport.loseWriteConnection()


def _too_long() -> bytes:
    refusal = TooLong(f"The body is too long: {LONGEST_BODY} bytes at the most.")
    body = encode(Refused(code=refusal.code, text=refusal.text))
    head = (
        f"HTTP/1.1 {refusal.status} Content Too Large\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


_TOO_LONG = _too_long()


class CoreSite(Site):
    """
    Calls of *root* are counted in `in_hand` by who answers them, and in *calls*, all that there were. Nothing is logged
    for each request. While it is *closing*, each answer is the last one of its connection.
    """

    noisy = False

    def __init__(self, reactor: IReactorTime, root: IResource) -> None:
        # No form is ever read here: what a body is, is not to be found out.
        super().__init__(
            root, requestFactory=BoundedRequest, timeout=_IDLE_SECONDS, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.displayTracebacks = False
        self.in_hand: set[Deferred[None]] = set()
        self.calls = 0
        self.closing = False

    def log(self, request: HttpRequest) -> None:
        pass

    def add(self, call: Deferred[None]) -> None:
        """*call*, which never fails, is in hand until it fires."""
        self.in_hand.add(call)
        self.calls += 1
        call.addBoth(lambda _: self.in_hand.discard(call))

    async def drained(self) -> None:
        """Returns when nothing is in hand. Whoever asks on meets another core, and does not keep this one."""
        self.closing = True
        while self.in_hand:
            waiting: list[Deferred[None]] = []
            for call in self.in_hand:
                over: Deferred[None] = Deferred()
                call.addBoth(over.callback)
                waiting.append(over)
            await DeferredList(waiting)


class _Connection(ProtocolWrapper):
    when_lost: Callable[[], object] | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        when_lost, self.when_lost = self.when_lost, None
        if when_lost is not None:
            when_lost()
        cast(Connections, self.factory).look()


def when_lost(request: Request, call: Callable[[], object]) -> None:
    """*call* when the connection of *request* is lost, which is to be answered yet; the last one asked for counts."""
    connection = request.channel and request.channel.transport
    if isinstance(connection, _Connection):
        connection.when_lost = call


class Connections(WrappingFactory):
    """Knows every connection, so that the service can close them when it stops."""

    protocol = _Connection
    noisy = False

    def __init__(self, reactor: IReactorTime, site: CoreSite) -> None:
        super().__init__(site)
        self._reactor = reactor
        self._gone: Deferred[None] | None = None

    def close(self) -> Deferred[None]:
        """Close them all, each after what it has still to send; fires when the last one is gone."""
        gone: Deferred[None] = Deferred()
        self._gone = gone
        for connection in list(self.protocols):
            # twisted.web stays registered as its producer, and TLS says no goodbye before that is over.
            connection.unregisterProducer()
            connection.loseConnection()
        bound = self._reactor.callLater(_SENDING_SECONDS, self._abort)
        gone.addBoth(lambda _: bound.cancel() if bound.active() else None)
        self.look()
        return gone

    def _abort(self) -> None:
        for connection in list(self.protocols):
            connection.abortConnection()

    def look(self) -> None:
        """A connection is over, and whatever hung on it."""
        if self._gone is not None and not self.protocols:
            gone, self._gone = self._gone, None
            gone.callback(None)
