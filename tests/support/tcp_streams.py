"""
A client without ssh: its streams are TCP connections to the local server, with the flow control of TCP.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.client import Peer
from pinggy.edge.stream import Stream, StreamReceiver, StreamRefused
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal


@implementer(IHalfCloseableProtocol, IPushProducer)
class TcpStream(Protocol):
    """A `Stream` that is one TCP connection."""

    def __init__(self) -> None:
        self._receiver: StreamReceiver | None = None
        self._over = False

    @property
    def _tcp(self) -> Any:
        return cast(Any, self.transport)

    # -- Stream

    def attach(self, receiver: StreamReceiver) -> None:
        self._receiver = receiver
        self._tcp.registerProducer(self, True)
        self._tcp.resumeProducing()

    def write(self, data: bytes) -> None:
        self._tcp.write(data)

    def end(self) -> None:
        self._tcp.loseWriteConnection()

    def close(self) -> None:
        self._tcp.unregisterProducer()
        self._tcp.loseConnection()

    def abort(self) -> None:
        self._tcp.abortConnection()

    def pause(self) -> None:
        if not self._over:
            self._tcp.pauseProducing()

    def resume(self) -> None:
        if not self._over:
            self._tcp.resumeProducing()

    # -- the local server

    def connectionMade(self) -> None:
        self._tcp.setTcpNoDelay(True)
        # Nobody has been attached yet.
        self._tcp.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        assert self._receiver is not None
        self._receiver.stream_data(data)

    def readConnectionLost(self) -> None:
        assert self._receiver is not None
        self._receiver.stream_ended()

    def writeConnectionLost(self) -> None:
        """Our own doing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        if self._receiver is not None:
            self._receiver.stream_closed()

    # -- what it takes

    def pauseProducing(self) -> None:
        assert self._receiver is not None
        self._receiver.stream_full()

    def resumeProducing(self) -> None:
        assert self._receiver is not None
        self._receiver.stream_drained()

    def stopProducing(self) -> None:
        """`connectionLost` says it."""


class TcpClient:
    """A `Client` whose local server listens on *port* of loopback."""

    def __init__(self, reactor: Any, port: int) -> None:
        self.peer = Peer("127.0.0.1", port)
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)

    def open_stream(self, forwarding: Forwarding, visitor: Peer) -> Deferred[Stream]:
        def refused(failure: Failure) -> Stream:
            failure.trap(ConnectError)
            raise StreamRefused("Connection refused")

        return cast("Deferred[Stream]", self._endpoint.connect(_stream_factory())).addErrback(refused)

    def probe(self) -> Deferred[None]:
        return Deferred()

    def tell(self, code: str, text: str) -> None: ...

    def announce(self, reason: Refusal) -> None: ...

    def leave(self, reason: Refusal) -> None:
        """There is nobody to tell."""


def _stream_factory() -> Factory[TcpStream]:
    factory: Factory[TcpStream] = Factory.forProtocol(TcpStream)
    factory.noisy = False
    return factory
