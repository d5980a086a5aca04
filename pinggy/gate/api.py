"""
The HTTP side of a gate: the subset of PowerDNS's API that edges and the core use, with the same paths and bodies.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from pinggy.dns.powerdns.writer import ServerAway
from pinggy.gate.asked import Malformed
from pinggy.gate.door import Door
from pinggy.gate.epochs import EpochsUnusable
from pinggy.gate.traffic import GateSite
from pinggy.settings import Secret

# Status and body.
Answer = tuple[int, bytes]


class GateResource(Resource):
    """All paths. *key*, where it is set, is for who writes; *read_key* for who lists the zone *domain*."""

    isLeaf = True
    _log = Logger()

    def __init__(self, door: Door, domain: str, *, read_key: Secret, key: Secret | None) -> None:
        super().__init__()
        self._door = door
        self._read_key = read_key
        self._key = key
        zone = f"/api/v1/servers/localhost/zones/{domain}.".encode("ascii")
        self._methods: dict[bytes, dict[bytes, Callable[[Request], Awaitable[Answer]]]] = {
            zone: {b"PATCH": self._patch, b"GET": self._list},
            b"/healthz": {b"GET": self._health},
        }

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self

    def render(self, request: Request) -> int:
        cast(GateSite, request.site).add(Deferred.fromCoroutine(self._answer(request)))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            status, body = await self._find(request)(request)
        except Malformed as error:
            status, body = _error(400, str(error))
        except ServerAway as error:
            status, body = _error(502, f"PowerDNS: {error}")
        except EpochsUnusable as error:
            self._log.error("{error}", error=str(error))
            status, body = _error(503, "The gate cannot remember epochs.")
        except Exception:
            self._log.failure("the call {path} broke", path=request.path)
            status, body = _error(500, "The gate broke: its log says why.")
        if gone:
            return
        if cast(GateSite, request.site).closing:
            request.setHeader(b"Connection", b"close")
            request.channel.persistent = False
        request.setResponseCode(status)
        if status != 204:
            request.setHeader(b"Content-Type", b"application/json")
            request.setHeader(b"Content-Length", b"%d" % len(body))
        request.write(body)
        request.finish()

    def _find(self, request: Request) -> Callable[[Request], Awaitable[Answer]]:
        methods = self._methods.get(request.path)
        if methods is None:
            return _answering(404, "There is nothing at this path.")
        found = methods.get(request.method)
        if found is None:
            request.setHeader(b"Allow", b", ".join(methods))
            return _answering(405, "The method is not for this path.")
        return found

    async def _patch(self, request: Request) -> Answer:
        if self._key is not None and not _shows(request, self._key):
            return _error(401, "The key for writing is missing or wrong.")
        content: Any = request.content
        refused = await self._door.patch(content.read(), request.getClientAddress().host)
        if not refused:
            return 204, b""
        said = [{"name": f"{each.name}.", "why": each.why, "stale": each.stale} for each in refused]
        return 200, json.dumps({"refused": said}, separators=(",", ":")).encode("utf-8")

    async def _list(self, request: Request) -> Answer:
        if not _shows(request, self._read_key):
            return _error(401, "The key for reading is missing or wrong.")
        return 200, await self._door.listing()

    async def _health(self, request: Request) -> Answer:
        await self._door.healthy()
        return 200, b'{"ok":true}'


def _shows(request: Request, key: Secret) -> bool:
    return hmac.compare_digest(request.getHeader(b"X-API-Key") or b"", key.reveal().encode("ascii"))


def _error(status: int, text: str) -> Answer:
    return status, json.dumps({"error": text}).encode("utf-8")


def _answering(status: int, text: str) -> Callable[[Request], Awaitable[Answer]]:
    async def answer(request: Request) -> Answer:
        return _error(status, text)

    return answer
