"""
How an edge speaks to the core: over HTTP.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import treq
from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web._newclient import RequestNotSent  # it has no public place
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    _HTTP11ClientFactory,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.trust import trust
from pinggy.tunnel.grant import Identity
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import CoreAway, MalformedMessage, Refusal
from pinggy.wire import codec, paths
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    Credential,
    Done,
    Draining,
    Identify,
    Live,
    Lost,
    Refused,
    Register,
    Registered,
    Release,
    Renew,
    Renewed,
    Report,
)
from pinggy.wire.orders import AskOrders, Examined, Orders, Probed
from pinggy.wire.places import Certified, Certify, Place, Where

T = TypeVar("T")
_CONNECT_SECONDS = 5.0
_RENEWED_AT_ONCE = 4000
# The core answers within 20.
_ORDERS_SECONDS = 30.0
# A connection that the core closed just then; said again on another one. Every message is harmless when repeated. With
# the core of a connection its others die too, some of them a moment later, and whoever stands before several cores may
# take a moment to know.
_AGAIN = (0.0, 0.1, 0.3, 1.0)  # seconds
_SETTLED = 0.5  # seconds after which a cut is not the same one
_CUT = (
    ResponseNeverReceived,
    ResponseFailed,
    RequestTransmissionFailed,
    RequestNotSent,
    ConnectionLost,
    ConnectionDone,
)


class _QuietFactory(_HTTP11ClientFactory):
    noisy = False


@implementer(IBodyProducer)
class _Body:
    """A body that is there as a whole, and short: it is written at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All has been written."""

    def resumeProducing(self) -> None:
        """All has been written."""

    def stopProducing(self) -> None:
        """All has been written."""


class HttpCoreClient(CoreClient):
    """
    *url* is the core's, as ``http://127.0.0.1:7070``; *secret* this edge's; *ca* (PEM) who signed the core's
    certificate, where the system does not know it. A call is given up after *timeout* seconds. Connections are kept
    open between calls: `close` them at the end.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, url: str, secret: Secret, *, ca: Path | None = None, timeout: float = 15.0
    ) -> None:
        self._reactor = reactor
        self._url = url.rstrip("/").encode("ascii")
        self._timeout = timeout
        self._in_hand: set[Deferred[Any]] = set()
        self._polls: set[Deferred[Orders]] = set()
        self._headers = Headers(
            {
                b"Authorization": [b"Bearer " + secret.reveal().encode("utf-8")],
                b"Content-Type": [b"application/json"],
            }
        )
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 8
        self._pool._factory = _QuietFactory
        # Without treq's client around it: a tunnel is three calls, and each would keep cookies, follow redirects and
        # take the URL apart, for nothing.
        self._agent = Agent(reactor, contextFactory=trust(ca), connectTimeout=_CONNECT_SECONDS, pool=self._pool)

    def close(self) -> Deferred[None]:
        """Fires when the calls in hand are answered and the connections closed. Orders are not waited for."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        for poll in list(self._polls):
            poll.cancel()
        # A connection comes back to the pool a little after its answer, and would stay there.
        while self._in_hand:
            await DeferredList([_fired_like(call) for call in self._in_hand])
            await deferLater(self._reactor, 0, lambda: None)
        await self._pool.closeCachedConnections()

    def register(self, message: Register) -> Deferred[Registered]:
        return self._call(self._post(paths.REGISTER, message, Registered))

    def identify(self, credential: Credential) -> Deferred[Identity]:
        return self._call(self._post(paths.IDENTIFY, Identify(credential=credential), Identity))

    def authorize(self, message: Authorize) -> Deferred[Authorized]:
        return self._call(self._post(paths.AUTHORIZE, message, Authorized))

    def live(self, message: Live) -> Deferred[Done]:
        return self._call(self._post(paths.LIVE, message, Done))

    def renew(self, message: Renew) -> Deferred[Renewed]:
        return self._call(self._renew(message))

    def release(self, message: Release) -> Deferred[Done]:
        return self._call(self._post(paths.RELEASE, message, Done))

    def draining(self, message: Draining) -> Deferred[Done]:
        return self._call(self._post(paths.DRAINING, message, Done))

    def where(self, message: Where) -> Deferred[Place]:
        return self._call(self._post(paths.WHERE, message, Place))

    def certify(self, message: Certify) -> Deferred[Certified]:
        return self._call(self._post(paths.CERTIFY, message, Certified))

    def examined(self, message: Examined) -> Deferred[Done]:
        return self._call(self._post(paths.EXAMINED, message, Done))

    def report(self, message: Report) -> Deferred[Done]:
        return self._call(self._post(paths.REPORT, message, Done))

    def probed(self, message: Probed) -> Deferred[Done]:
        return self._call(self._post(paths.PROBED, message, Done))

    def orders(self, message: AskOrders) -> Deferred[Orders]:
        asked = self._call(self._post(paths.ORDERS, message, Orders, _ORDERS_SECONDS))
        self._polls.add(asked)

        def over(result: T) -> T:
            self._polls.discard(asked)
            return result

        return asked.addBoth(over)

    async def _renew(self, message: Renew) -> Renewed:
        """In as many messages as bodies are bounded to; at least one, which tells the core that this edge is there."""
        lost: list[Lost] = []
        tickets: list[str] = []
        for start in range(0, max(1, len(message.tunnels)), _RENEWED_AT_ONCE):
            part = replace(message, tunnels=message.tunnels[start : start + _RENEWED_AT_ONCE])
            renewed = await self._post(paths.RENEW, part, Renewed)
            lost += renewed.lost
            tickets += renewed.tickets
        return Renewed(lost=tuple(lost), tickets=tuple(tickets))

    def _call(self, call: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        answer = Deferred.fromCoroutine(call)
        self._in_hand.add(answer)

        def over(result: T) -> T:
            self._in_hand.discard(answer)
            return result

        return answer.addBoth(over)

    async def _post(self, path: str, message: object, answer: type[T], timeout: float | None = None) -> T:
        body = codec.encode(message)
        timeout = timeout or self._timeout
        try:
            return await self._until_uncut(path, body, answer, timeout)
        except (Refusal, CancelledError):
            raise
        except Exception as error:
            why = str(error) or type(error).__name__
        self._log.warn("the core does not answer at {path}: {why}", path=path, why=why)
        raise CoreAway.of()

    async def _until_uncut(self, path: str, body: bytes, answer: type[T], timeout: float) -> T:
        pauses = iter(_AGAIN)
        while True:
            began = self._reactor.seconds()
            try:
                return await self._exchange(path, body, answer, timeout)
            except _CUT:
                if self._reactor.seconds() - began > _SETTLED:
                    # A poll that had waited well: this cut is another one.
                    pauses = iter(_AGAIN)
                pause = next(pauses, None)
                if pause is None:
                    raise
            # None of those that wait for the next call is to be trusted: the next one is new.
            self._pool.closeCachedConnections()
            await deferLater(self._reactor, pause)

    async def _exchange(self, path: str, body: bytes, answer: type[T], timeout: float) -> T:
        try:
            status, said = await Deferred.fromCoroutine(self._request(path, body)).addTimeout(
                timeout, self._reactor, _timed_out
            )
        except ConnectingCancelledError:
            raise CancelledError from None
        except (ResponseFailed, RequestGenerationFailed, RequestTransmissionFailed, RequestNotSent) as error:
            # To cancel a request is told as a cut, which it is not: nobody wants it said again.
            if any(reason.check(CancelledError) for reason in getattr(error, "reasons", ())):
                raise CancelledError from None
            raise
        if status == 200:
            return codec.decode(answer, said)
        raise _refusal(status, said)

    async def _request(self, path: str, body: bytes) -> tuple[int, bytes]:
        url = self._url + path.encode("ascii")
        response = await self._agent.request(b"POST", url, self._headers, _Body(body))
        return response.code, await treq.content(response)


def _fired_like(call: Deferred[Any]) -> Deferred[None]:
    """Fires when *call* does, whatever comes of it."""
    fired: Deferred[None] = Deferred()

    def tell(result: Any) -> Any:
        fired.callback(None)
        return result

    call.addBoth(tell)
    return fired


def _timed_out(result: object, seconds: float) -> NoReturn:
    raise TimeoutError(f"no answer for {seconds:g} seconds")


def _refusal(status: int, body: bytes) -> Refusal:
    try:
        refused = codec.decode(Refused, body)
    except MalformedMessage:
        return CoreAway(f"The core answers with HTTP status {status}, which it never should: is it the core?")
    return from_wire(refused.code, refused.text)
