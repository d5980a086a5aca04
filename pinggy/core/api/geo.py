"""
The GeoIP file, for the zone's gates: GET with a gate's key, and 304 where it has the file already.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IPullProducer
from twisted.web.http import CACHED
from twisted.web.server import Request
from zope.interface import implementer

from pinggy.core.api.resource import JsonResource, bearer
from pinggy.core.authority import digest_of
from pinggy.core.geo import GeoBook, GeoFile
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.tunnel.refusals import NotAuthentic, NotFound, Refusal

_PIECE = 64 * 1024


class GeoNotMade(Refusal):
    code = "geo-not-made"
    status = 503


class GeoResource(JsonResource):
    """*servers* are the zone's: a gate is known by the key that the core reads it with."""

    def __init__(self, book: GeoBook | None, servers: Sequence[PowerDnsServer]) -> None:
        super().__init__({b"GET": self._get})
        self._book = book
        self._digests = [digest_of(each.key) for each in servers if each.gate and each.key is not None]

    async def _get(self, request: Request) -> GeoFile:
        shown = digest_of(bearer(request))
        if not any(hmac.compare_digest(shown, each) for each in self._digests):
            raise NotAuthentic.of()
        if self._book is None:
            raise NotFound('This core makes no GeoIP file: it has no setting core.entry of kind "lua".')
        if self._book.file is None:
            raise GeoNotMade("The GeoIP file is being made: ask again a little later.")
        return self._book.file

    def say(self, request: Request, status: int, message: Any) -> None:
        if not isinstance(message, GeoFile):
            super().say(request, status, message)
            return
        request.setHeader(b"Content-Type", b"application/octet-stream")
        if request.setETag(f'"{message.tag}"'.encode("ascii")) is CACHED:
            request.finish()
            return
        request.setHeader(b"Content-Length", b"%d" % len(message.body))
        request.registerProducer(_Pieces(request, message.body), False)


@implementer(IPullProducer)
class _Pieces:
    """By and by: a gate that does not read costs no second copy."""

    def __init__(self, request: Request, body: bytes) -> None:
        self._request = request
        self._left = memoryview(body)

    def resumeProducing(self) -> None:
        piece, self._left = self._left[:_PIECE], self._left[_PIECE:]
        if piece:
            self._request.write(bytes(piece))
        if not self._left:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        self._left = self._left[:0]
