"""
x:limit for a request that does not say beforehand how much content it has: it is counted as it passes.
"""

from __future__ import annotations

from pinggy.edge import answers
from pinggy.edge.exchange import Exchange, Onward, Visitor
from pinggy.http.answer import Answer
from pinggy.http.framing import Trailers
from pinggy.http.head import ResponseHead
from pinggy.http.rewrite import Headers


def limited(exchange: Exchange, onward: Onward) -> Exchange:
    """*exchange*, of *onward*, by the limit of its policy. A length that was announced has been looked at already."""
    limit = onward.policy.limit if onward.policy is not None else None
    if limit is None or isinstance(onward.head.framing, int):
        return exchange
    return LimitedExchange(exchange, limit)


class LimitedExchange:
    """
    Stands between an *exchange* and its visitor, as each of them to the other. When more than *limit* bytes of content
    have come, the exchange is cancelled before it sees them; the visitor is told 413, unless he reads a response.
    """

    __slots__ = ("_exchange", "_is_raw", "_left", "_limit", "_over", "_responded", "_visitor")

    def __init__(self, exchange: Exchange, limit: int) -> None:
        self._exchange = exchange
        self._limit = limit
        self._left = limit
        self._is_raw = False
        self._responded = False
        self._over = False

    # -- Exchange ------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return self._exchange.full

    def begin(self, visitor: Visitor, content: bytes = b"", *, ended: bool = False) -> None:
        self._visitor = visitor
        if self._allows(content):
            self._exchange.begin(self, content, ended=ended)

    def send(self, content: bytes) -> None:
        if self._allows(content):
            self._exchange.send(content)

    def end(self, trailers: Trailers = ()) -> None:
        self._exchange.end(trailers)

    def cancel(self) -> None:
        self._over = True
        self._exchange.cancel()

    def leave(self) -> None:
        self._over = True
        self._exchange.leave()

    def pause(self) -> None:
        self._exchange.pause()

    def resume(self) -> None:
        self._exchange.resume()

    def _allows(self, content: bytes) -> bool:
        if self._is_raw:
            return True
        self._left -= len(content)
        if self._left >= 0:
            return True
        if not self._over:
            self.cancel()
            if self._responded:
                self._visitor.abort()
            else:
                self._visitor.refuse(answers.too_large(self._limit))
        return False

    # -- Visitor -------------------------------------------------------------------------------------------------

    def interim(self, head: ResponseHead, headers: Headers) -> None:
        self._visitor.interim(head, headers)

    def respond(self, head: ResponseHead, headers: Headers, content: bytes, *, farewell: bool) -> None:
        self._responded = True
        self._visitor.respond(head, headers, content, farewell=farewell)

    def content(self, data: bytes) -> None:
        self._visitor.content(data)

    def complete(self, trailers: Trailers = ()) -> None:
        self._over = True
        self._visitor.complete(trailers)

    def switched(self, head: ResponseHead, headers: Headers, data: bytes) -> None:
        self._is_raw = True
        self._visitor.switched(head, headers, data)

    def server_ended(self) -> None:
        self._visitor.server_ended()

    def refuse(self, answer: Answer) -> None:
        self._over = True
        self._visitor.refuse(answer)

    def again(self) -> None:
        self._over = True
        self._visitor.again()

    def abort(self) -> None:
        self._over = True
        self._visitor.abort()

    def regulate(self) -> None:
        self._visitor.regulate()
