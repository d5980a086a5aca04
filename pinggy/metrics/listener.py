"""
The port that Prometheus asks at: ``GET /metrics``, and nothing else. Without TLS and without a key: it belongs on
loopback or behind a packet filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from pinggy.metrics.config import MetricsSettings
from pinggy.metrics.metrics import Metrics
from pinggy.settings import SettingsError

MOST_CONNECTIONS = 16
_IDLE_SECONDS = 30


class Listener:
    """
    Shows all of *shown* at the socket of *settings*; without one it does nothing. *setting* is how the file of settings
    spells that. What a daemon must ask for itself (its database) is waited for for *patience* seconds.
    """

    def __init__(
        self,
        reactor: Any,
        settings: MetricsSettings,
        shown: Sequence[Metrics],
        setting: str = "metrics.listen",
        patience: float = 2.0,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._setting = setting
        self._page = _Page(reactor, shown, patience)
        self._connections = _Connections(_Site(reactor, self._page))
        self._port: IListeningPort | None = None

    @property
    def port(self) -> int:
        """The TCP port, once it is open."""
        assert self._port is not None
        address: Any = self._port.getHost()
        return int(address.port)

    def open(self) -> None:
        """Raises `SettingsError`."""
        socket = self._settings.socket
        if socket is None:
            return
        try:
            self._port = self._reactor.listenTCP(socket.port, self._connections, interface=socket.host)
        except CannotListenError as error:
            why = getattr(error.socketError, "strerror", None) or error.socketError
            raise SettingsError(
                f"The setting {self._setting} = {self._settings.listen} is of no use: {why}."
            ) from error

    def close(self) -> Deferred[None]:
        """Fires when the port is closed and whoever asked is gone."""
        port, self._port = self._port, None
        return succeed(None) if port is None else Deferred.fromCoroutine(self._close(port))

    async def _close(self, port: IListeningPort) -> None:
        await maybeDeferred(port.stopListening)
        await self._connections.close()
        await self._page.idle()


class _Page(Resource):
    """All paths."""

    isLeaf = True
    _log = Logger()

    def __init__(self, reactor: Any, shown: Sequence[Metrics], patience: float) -> None:
        super().__init__()
        self._reactor = reactor
        self._shown = shown
        self._patience = patience
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._refreshing: Deferred[None] | None = None
        self._in_hand: set[Deferred[None]] = set()

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self

    def render(self, request: Request) -> int:
        answer = Deferred.fromCoroutine(self._answer(request))
        self._in_hand.add(answer)
        answer.addBoth(lambda _: self._in_hand.discard(answer))
        return NOT_DONE_YET

    def idle(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        return DeferredList([_fired_like(each) for each in self._in_hand]).addCallback(lambda _: None)

    def collect(self) -> Iterable[Metric]:
        """What prometheus_client asks of a registry, over all of them."""
        for registry in (self._process, *(each.registry for each in self._shown)):
            yield from registry.collect()

    async def _answer(self, request: Request) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            status, body = await self._find(request)
        except Exception:
            self._log.failure("the metrics broke")
            status, body = 500, b"The metrics broke: the log says why.\n"
        if gone:
            return
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", CONTENT_TYPE_PLAIN_0_0_4.encode() if status == 200 else b"text/plain")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        request.write(body)
        request.finish()

    async def _find(self, request: Request) -> tuple[int, bytes]:
        if request.path != b"/metrics":
            return 404, b"There is nothing at this path: the metrics are at /metrics.\n"
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return 405, b"Here is nothing but GET.\n"
        await self._refreshed()
        return 200, generate_latest(self)

    async def _refreshed(self) -> None:
        """Once for all who ask at the same time."""
        if self._refreshing is None:
            self._refreshing = DeferredList(
                [_fired_like(each.refresh()) for each in self._shown], consumeErrors=True
            ).addCallback(lambda _: None)
            self._refreshing.addTimeout(self._patience, self._reactor, lambda *_: None)
            self._refreshing.addBoth(self._refresh_over)
        if self._refreshing is not None:
            await _fired_like(self._refreshing)

    def _refresh_over(self, _: object) -> None:
        self._refreshing = None


class _Request(Request):
    """Nobody who asks for metrics sends a body: one ends the connection."""

    def gotLength(self, length: int | None) -> None:
        if length == 0:
            super().gotLength(length)
        else:
            self.channel.loseConnection()

    def handleContentChunk(self, data: bytes) -> None:
        """Dropped."""

    def process(self) -> None:
        if self.content is not None:
            super().process()


class _Site(Site):
    noisy = False

    def __init__(self, reactor: Any, root: IResource) -> None:
        super().__init__(root, requestFactory=_Request, timeout=_IDLE_SECONDS, reactor=reactor)
        self.displayTracebacks = False

    def log(self, request: HttpRequest) -> None:
        pass


class _Connection(ProtocolWrapper):
    factory: _Connections

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.look()


class _Connections(WrappingFactory):
    """At most `MOST_CONNECTIONS` at a time: one more is closed at once."""

    protocol = _Connection
    noisy = False

    def __init__(self, site: _Site) -> None:
        super().__init__(site)
        self._gone: Deferred[None] | None = None

    # Twisted closes a connection for which there is nothing; its types do not say so.
    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]
        return None if len(self.protocols) >= MOST_CONNECTIONS else super().buildProtocol(addr)

    def close(self) -> Deferred[None]:
        self._gone = Deferred()
        gone = self._gone
        for connection in list(self.protocols):
            connection.abortConnection()
        self.look()
        return gone

    def look(self) -> None:
        if self._gone is not None and not self.protocols:
            gone, self._gone = self._gone, None
            gone.callback(None)


def _fired_like(call: Deferred[None]) -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    call.addBoth(lambda _: fired.callback(None))
    return fired
