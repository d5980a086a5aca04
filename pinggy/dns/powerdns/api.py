"""
PowerDNS's HTTP API, with treq: the subset that a zone gate speaks too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from ssl import CertificateError
from typing import Any, TypeVar

from OpenSSL import SSL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.task import deferLater
from twisted.web._newclient import RequestNotSent  # it has no public place
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
    _HTTP11ClientFactory,
)
from twisted.web.http_headers import Headers

from pinggy.dns.powerdns.body import TooLong, read_body
from pinggy.dns.powerdns.changes import Change, Refused, rrsets
from pinggy.dns.powerdns.listing import Nonsense, Standing, parse_listing
from pinggy.dns.powerdns.writer import BatchRefused, ServerAway
from pinggy.settings import Secret
from pinggy.trust import trust
from pinggy.tunnel.refusals import echo

T = TypeVar("T")
# Bytes. A name is some 200 in a listing: more than a million of them.
LONGEST_LISTING = 256 * 1024 * 1024
LONGEST_ANSWER = 1024 * 1024
# The server closed a kept connection just then; said again on a new one: all of it is harmless when repeated.
_CUT = (ResponseNeverReceived, ResponseFailed, RequestNotSent, ConnectionLost, ConnectionDone)
_TLS = (SSL.Error, CertificateError)
# PowerDNS's, and a zone gate's, for what is wrong with a change and not with who asks or how.
_REFUSED_AS_IT_IS = (400, 413, 422)
# A listing may take so many times what another answer may.
_LISTING_TIMEOUTS = 12


class _QuietFactory(_HTTP11ClientFactory):
    noisy = False


class PowerDnsApi:
    """
    The zone *domain* at *url*, PowerDNS itself or a *gate*. What is not answered within *timeout* seconds is given up.
    `close` it at the end.

    Whatever goes wrong is a `ServerAway`. Raises `SettingsError` where the file *ca* is of no use.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        domain: str,
        *,
        key: Secret | None,
        gate: bool = False,
        ca: Path | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._gate = gate
        self._root = url.rstrip("/")
        self._path = f"/api/v1/servers/localhost/zones/{domain}."
        self._in_hand: set[Deferred[Any]] = set()
        self._headers = Headers({b"Content-Type": [b"application/json"]})
        if key is not None:
            self._headers.setRawHeaders(b"X-API-Key", [key.reveal().encode("ascii")])
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 2
        self._pool._factory = _QuietFactory
        agent = Agent(reactor, contextFactory=trust(ca), connectTimeout=timeout, pool=self._pool)
        self._http = HTTPClient(agent)

    def patch(self, changes: Sequence[Change]) -> Deferred[Mapping[str, Refused]]:
        """
        Write *changes*; fires with those of them that a zone gate refused, by name. Fails with `BatchRefused` where
        nothing was written because of what one of them says.
        """
        said = {"rrsets": [each for change in changes for each in rrsets(change)]}
        return self._call(self._patch(json.dumps(said, separators=(",", ":")).encode("utf-8")))

    def listing(self) -> Deferred[Mapping[str, Standing]]:
        """All that stands in the zone, by name (absolute in lower case without the final dot)."""
        return self.raw_listing().addCallback(self._parse)

    def raw_listing(self) -> Deferred[bytes]:
        """The same as the server says it: JSON."""
        return self._call(self._get(self._path, LONGEST_LISTING, _LISTING_TIMEOUTS * self._timeout))

    def healthy(self) -> Deferred[None]:
        """Fires where the server would take changes of this zone."""
        path = "/healthz" if self._gate else f"{self._path}?rrsets=false"
        return self._call(self._get(path, LONGEST_ANSWER, self._timeout)).addCallback(lambda _: None)

    def close(self) -> Deferred[None]:
        """Fires when the calls in hand are answered and the connections closed."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        # A connection comes back to the pool a little after its answer, and would stay there.
        while self._in_hand:
            waiting: list[Deferred[None]] = []
            for call in self._in_hand:
                over: Deferred[None] = Deferred()
                call.addBoth(_tell(over))
                waiting.append(over)
            await DeferredList(waiting)
            await deferLater(self._reactor, 0, lambda: None)
        await self._pool.closeCachedConnections()

    def _call(self, call: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred.fromCoroutine(call)
        self._in_hand.add(answer)

        def over(result: T) -> T:
            self._in_hand.discard(answer)
            return result

        return answer.addBoth(over)

    async def _patch(self, body: bytes) -> Mapping[str, Refused]:
        status, said = await self._exchange("PATCH", self._path, body, LONGEST_ANSWER, self._timeout)
        if status == 204:
            return {}
        if status == 200 and self._gate:
            return _refused(said)
        if status in _REFUSED_AS_IT_IS:
            raise BatchRefused(_error(said) or f"HTTP status {status}")
        raise _unexpected(status, said)

    async def _get(self, path: str, longest: int, timeout: float) -> bytes:
        status, said = await self._exchange("GET", path, None, longest, timeout)
        if status != 200:
            raise _unexpected(status, said)
        return said

    def _parse(self, body: bytes) -> Mapping[str, Standing]:
        try:
            return parse_listing(body)
        except Nonsense:
            raise ServerAway("it lists what is no zone") from None

    async def _exchange(
        self, method: str, path: str, body: bytes | None, longest: int, timeout: float
    ) -> tuple[int, bytes]:
        exchange = Deferred.fromCoroutine(self._twice(method, path, body, longest))
        # Not addTimeout: what becomes of a request that is cancelled half way has many names.
        too_late = self._reactor.callLater(timeout, exchange.cancel)
        try:
            return await exchange
        except TooLong:
            why = f"it answers more than {longest} bytes"
        except Exception as error:
            # What the libraries raise on a peer's nonsense, they promise nothing of.
            why = _why(error) if too_late.active() else f"it does not answer within {timeout:g} seconds"
        finally:
            if too_late.active():
                too_late.cancel()
        raise ServerAway(why)

    async def _twice(self, method: str, path: str, body: bytes | None, longest: int) -> tuple[int, bytes]:
        try:
            return await self._request(method, path, body, longest)
        except _CUT as error:
            if _is_cancelled(error):
                raise
            return await self._request(method, path, body, longest)

    async def _request(self, method: str, path: str, body: bytes | None, longest: int) -> tuple[int, bytes]:
        # A redirection is not followed: the key is for this server alone.
        response = await self._http.request(
            method, self._root + path, data=body, headers=self._headers, allow_redirects=False, unbuffered=True
        )
        return response.code, await read_body(response, longest)


def _tell(over: Deferred[None]) -> Callable[[T], T]:
    def tell(result: T) -> T:
        over.callback(None)
        return result

    return tell


def _refused(body: bytes) -> Mapping[str, Refused]:
    """What a zone gate says that it did not take."""
    refused: dict[str, Refused] = {}
    try:
        for each in json.loads(body)["refused"]:
            name, why, stale = each["name"].removesuffix("."), each["why"], each["stale"]
            refused[name] = Refused(name=name, why=echo(why), stale=stale is True)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise ServerAway("it answers what is not JSON of a zone gate") from None
    return refused


def _error(body: bytes) -> str:
    """The sentence of an answer that is PowerDNS's ``{"error": ...}``; empty where it is none."""
    try:
        return echo(str(json.loads(body)["error"]))
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""


def _unexpected(status: int, body: bytes) -> ServerAway:
    said = _error(body)
    return ServerAway(f"it answers with HTTP status {status}" + (f": {said}" if said else ""))


def _why(error: Exception) -> str:
    inner = _reasons(error)
    if inner:
        return _why(inner[0])
    if isinstance(error, _TLS):
        return f"its certificate or TLS is not to be trusted: {echo(str(error))}"
    if isinstance(error, ConnectError):
        return str(error.args[0] if error.args and error.args[0] else error).rstrip(".")
    if isinstance(error, (ConnectionDone, ConnectionLost)):
        return "it cut the connection"
    return f"it answers nonsense ({echo(str(error) or type(error).__name__)})"


def _is_cancelled(error: Exception) -> bool:
    return any(isinstance(each, CancelledError) for each in _reasons(error))


def _reasons(error: Exception) -> list[Exception]:
    """What the HTTP client's errors are made of."""
    return [each.value for each in getattr(error, "reasons", ()) if isinstance(each.value, Exception)]
