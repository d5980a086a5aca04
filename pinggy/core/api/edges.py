"""
The messages of edges: each a POST with the edge's secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource, bearer, read
from pinggy.core.authority import Authority
from pinggy.core.ledger import EdgeEntry
from pinggy.core.orders import OrderDesk
from pinggy.wire.messages import AskOrders, Orders

M = TypeVar("M")


class EdgeMessage(JsonResource, Generic[M]):
    """One kind of message, *cls*, and the method of the authority that answers it."""

    def __init__(self, authority: Authority, cls: type[M], answer: Callable[[EdgeEntry, M], Deferred[Any]]) -> None:
        super().__init__({b"POST": self._post})
        self._authority = authority
        self._cls = cls
        self._answer_to = answer

    async def _post(self, request: Request) -> Any:
        edge = await self._authority.edge_of(bearer(request))
        return await self._answer_to(edge, read(self._cls, request))


class OrdersMessage(JsonResource):
    """The long poll: whoever hangs up is not waited for."""

    def __init__(self, authority: Authority, orders: OrderDesk) -> None:
        super().__init__({b"POST": self._post})
        self._authority = authority
        self._orders = orders

    async def _post(self, request: Request) -> Orders:
        edge = await self._authority.edge_of(bearer(request))
        asked = self._orders.ask(edge, read(AskOrders, request))
        request.notifyFinish().addErrback(lambda _: asked.cancel())
        try:
            return await asked
        except CancelledError:
            return Orders()
