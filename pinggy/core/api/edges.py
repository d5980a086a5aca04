"""
The messages of edges: each a POST with the edge's secret.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource, bearer, body_of
from pinggy.core.api.site import when_lost
from pinggy.core.authority import Authority
from pinggy.core.ledger import EdgeEntry
from pinggy.core.orders import OrderDesk
from pinggy.wire import codec
from pinggy.wire.orders import AskOrders, Orders

M = TypeVar("M")


class EdgeMessage(JsonResource, Generic[M]):
    """One kind of message, *cls*, and the method of the authority that answers it."""

    def __init__(self, authority: Authority, cls: type[M], answer: Callable[[EdgeEntry, M], Deferred[Any]]) -> None:
        super().__init__({b"POST": self._post})
        self._authority = authority
        self._cls = cls
        self._answer_to = answer

    async def _post(self, request: Request) -> Any:
        body = body_of(request)
        edge = await self._authority.edge_of(bearer(request))
        return await self._answer_to(edge, codec.decode(self._cls, body))


class OrdersMessage(JsonResource):
    """The long poll: whoever hangs up is not waited for, and whose connection is lost after an answer is gone."""

    def __init__(self, authority: Authority, orders: OrderDesk) -> None:
        super().__init__({b"POST": self._post})
        self._authority = authority
        self._orders = orders

    async def _post(self, request: Request) -> Orders:
        body = body_of(request)
        asked: list[Deferred[Orders]] = []
        gone: list[Failure] = []

        def leave(failure: Failure) -> None:
            gone.append(failure)
            for each in asked:
                each.cancel()

        request.notifyFinish().addErrback(leave)
        edge = await self._authority.edge_of(bearer(request))
        if gone:
            return Orders()
        asked.append(self._orders.ask(edge, codec.decode(AskOrders, body)))
        try:
            orders = await asked[0]
        except CancelledError:
            return Orders()
        when_lost(request, partial(self._orders.connection_lost, edge.name, self._orders.answered(edge.name)))
        return orders
