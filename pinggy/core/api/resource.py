"""
JSON in, JSON out: what all resources of the core have in common.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from pinggy.core.api.site import CoreSite
from pinggy.settings import Secret
from pinggy.tunnel.refusals import Fault, NotAuthentic, NotFound, Refusal
from pinggy.wire import codec
from pinggy.wire.messages import Refused

T = TypeVar("T")
Method = Callable[[Request], Awaitable[Any]]


class MethodNotAllowed(Refusal):
    code = "method-not-allowed"
    status = 405


class JsonResource(Resource):
    """Answers each HTTP method in `methods` with a wire value, and what that raises as `Refused`."""

    _log = Logger()

    def __init__(self, methods: dict[bytes, Method] | None = None) -> None:
        super().__init__()
        self.methods = methods or {}

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Nowhere()

    def render(self, request: Request) -> int:
        site = cast(CoreSite, request.site)
        site.add(Deferred.fromCoroutine(self._answer(request)))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        status, message = await self._message(request)
        if gone:
            return
        if cast(CoreSite, request.site).closing:
            request.setHeader(b"Connection", b"close")
            request.channel.persistent = False
        self.say(request, status, message)

    def say(self, request: Request, status: int, message: Any) -> None:
        """Answer *request*."""
        body = codec.encode(message)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        request.write(body)
        request.finish()

    async def _message(self, request: Request) -> tuple[int, Any]:
        try:
            return 200, await self._method(request)(request)
        except Refusal as refusal:
            if refusal.status == NotAuthentic.status:
                request.setHeader(b"WWW-Authenticate", b"Bearer")
            return refusal.status, Refused(code=refusal.code, text=refusal.text)
        except Exception:
            self._log.failure("the call {path} broke", path=request.path)
            fault = Fault.of()
            return fault.status, Refused(code=fault.code, text=fault.text)

    def _method(self, request: Request) -> Method:
        method = self.methods.get(b"GET" if request.method == b"HEAD" else request.method)
        if method is None:
            allowed = b", ".join(sorted(self.methods))
            request.setHeader(b"Allow", allowed)
            raise MethodNotAllowed(f"Here is nothing but {allowed.decode('ascii')}.")
        return method


class Nowhere(JsonResource):
    """404, for every path below."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self

    def _method(self, request: Request) -> Method:
        raise NotFound("There is nothing at this path.")


def read(cls: type[T], request: Request) -> T:
    """The body of *request*. Raises `MalformedMessage`."""
    return codec.decode(cls, body_of(request))


def body_of(request: Request) -> bytes:
    """To be asked for before anything is waited for: it is closed with the connection."""
    assert request.content is not None
    body: bytes = request.content.read()
    return body


def bearer(request: Request) -> Secret:
    """The secret that *request* carries. Raises `NotAuthentic`."""
    scheme, _, secret = (request.getHeader(b"Authorization") or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not secret.strip():
        raise NotAuthentic.of()
    return Secret(secret.strip().decode("latin-1"))
