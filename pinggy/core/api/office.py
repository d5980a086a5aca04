"""
The operator's calls: GET lists, POST adds, DELETE on a thing takes it away. Each with the operator's key.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.web.resource import IResource
from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource, Method, Nowhere, bearer, read
from pinggy.core.authority import digest_of
from pinggy.settings import Secret
from pinggy.tunnel.refusals import MalformedMessage, NotAuthentic

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """``?account=NAME&history=1``"""

    account: str | None
    history: bool


class OperatorKey:
    """The key in force."""

    def __init__(self, key: Secret) -> None:
        self._digest = digest_of(key)

    def check(self, request: Request) -> None:
        """Raises `NotAuthentic`."""
        if not hmac.compare_digest(digest_of(bearer(request)), self._digest):
            raise NotAuthentic.of()


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition(Generic[M]):
    """The message that adds, and the method that takes it."""

    cls: type[M]
    add: Callable[[M], Deferred[Any]]


class Collection(JsonResource):
    """
    All things of one kind; below it each of them, by its id, and below that what may be done with it: POST to one of
    the *acts*.
    """

    def __init__(
        self,
        key: OperatorKey,
        *,
        show: Callable[[Query], Deferred[Any]],
        addition: Addition[Any] | None = None,
        remove: Callable[[str], Deferred[Any]] | None = None,
        acts: Mapping[str, Callable[[str], Deferred[Any]]] = MappingProxyType({}),
    ) -> None:
        methods: dict[bytes, Method] = {b"GET": self._get}
        if addition is not None:
            methods[b"POST"] = self._post
        super().__init__(methods)
        self._key = key
        self._show = show
        self._addition = addition
        self._remove = remove
        self._acts = {name.encode("ascii"): act for name, act in acts.items()}

    def getChild(self, path: bytes, request: Request) -> IResource:
        if not path:
            return Nowhere()
        match request.postpath:
            case [] if self._remove is not None:
                return _Thing(self._key, path, b"DELETE", self._remove)
            case [act] if act in self._acts:
                return _Thing(self._key, path, b"POST", self._acts[act])
        return Nowhere()

    async def _get(self, request: Request) -> Any:
        self._key.check(request)
        account = _argument(request, b"account")
        return await self._show(Query(account=account, history=_argument(request, b"history") == "1"))

    async def _post(self, request: Request) -> Any:
        self._key.check(request)
        assert self._addition is not None
        return await self._addition.add(read(self._addition.cls, request))


class Act(JsonResource):
    """One thing to be read with GET, or done with POST, without a message."""

    def __init__(self, key: OperatorKey, show: Callable[[], Any], method: bytes = b"GET") -> None:
        super().__init__({method: self._act})
        self._key = key
        self._show = show

    async def _act(self, request: Request) -> Any:
        self._key.check(request)
        return await maybeDeferred(self._show)


class _Thing(JsonResource):
    """One of them, by its id, and what *method* does to it."""

    isLeaf = True

    def __init__(self, key: OperatorKey, path: bytes, method: bytes, act: Callable[[str], Deferred[Any]]) -> None:
        super().__init__({method: self._do})
        self._key = key
        self._path = path
        self._act = act

    async def _do(self, request: Request) -> Any:
        self._key.check(request)
        try:
            name = self._path.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedMessage("The path is not UTF-8.") from None
        return await self._act(name)


def _argument(request: Request, name: bytes) -> str | None:
    values = request.args.get(name) if request.args else None
    return values[0].decode("utf-8", "replace") if values else None
