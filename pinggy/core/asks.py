"""
Questions that a core puts to an edge: by an order, which reaches it at whichever core has its stream. The answer may
come to any core, and news brings it to the one that asked.

Nothing of a question outlives who asked it: an order of it that is carried out late is answered to nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pinggy.core.ledger import Ledger, NewOrder, Transaction
from pinggy.core.news import Answered, Asked, Attached, News
from pinggy.core.orders import OrderDesk
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire import codec
from pinggy.wire.messages import Done
from pinggy.wire.orders import Order

A = TypeVar("A")
# Seconds: the core that has an edge's stream says so as soon as it hears of the question, within milliseconds.
ATTACH_WAIT = 0.3
# Bytes of an answer that travels between cores: news has a bound.
_LONGEST = 7000


class NoAnswer(Enum):
    """*UNATTACHED*: no core has the edge's stream. *SILENT*: one has, but the answer did not come in time."""

    UNATTACHED = "unattached"
    SILENT = "silent"


class _Ask:
    """One question to *edge* that waits for its answer, a wire value of *cls*."""

    def __init__(self, edge: str, cls: type[Any]) -> None:
        self.id = secrets.token_hex(16)
        self.edge = edge
        self.attached = False
        self.answer: Deferred[Any] = Deferred()
        self._cls = cls

    def end(self, answer: object) -> None:
        if not self.answer.called:
            self.answer.callback(answer)

    def said(self, body: str) -> None:
        try:
            self.end(codec.decode(self._cls, body.encode("utf-8")))
        except MalformedMessage:
            self.end(NoAnswer.SILENT)


class Asks:
    """Those of one core."""

    def __init__(self, clock: IReactorTime, ledger: Ledger, news: News, desk: OrderDesk) -> None:
        self._clock = clock
        self._ledger = ledger
        self._news = news
        self._desk = desk
        self._open: dict[str, _Ask] = {}
        news.hear(Asked, self._asked)
        news.hear(Attached, self._attached)
        news.hear(Answered, lambda news: self._answered(news.ask, news.said))

    def put(self, edge: str, order: Callable[[str], Order], answer: type[A], seconds: float) -> Deferred[A | NoAnswer]:
        """
        Order *edge* what *order* makes of the question's id, and wait *seconds* at most for the *answer*, from when
        that is committed. Where no core has the edge's stream, that is known much sooner. Fails with `LedgerAway`.
        """
        return cast("Deferred[A | NoAnswer]", Deferred.fromCoroutine(self._put(edge, order, answer, seconds)))

    async def _put(self, edge: str, order: Callable[[str], Order], answer: type[A], seconds: float) -> Any:
        ask = _Ask(edge, answer)
        self._open[ask.id] = ask
        bounds: list[IDelayedCall] = []

        async def work(ledger: Transaction) -> None:
            await ledger.tell(Asked(ask=ask.id, edge=edge))
            await ledger.order([NewOrder(edge=edge, order=order(ask.id))])

        try:
            await self._ledger.transact(work)
            # The edge can know of it from now on: a database that is slow is not the edge's silence.
            bounds.append(self._clock.callLater(seconds, ask.end, NoAnswer.SILENT))
            bounds.append(self._clock.callLater(ATTACH_WAIT, self._look, ask))
            return await ask.answer
        finally:
            del self._open[ask.id]
            for bound in bounds:
                if bound.active():
                    bound.cancel()

    def _look(self, ask: _Ask) -> None:
        if not ask.attached and not self._desk.attached(ask.edge):
            ask.end(NoAnswer.UNATTACHED)

    def answered(self, ask: str, message: object) -> Deferred[Done]:
        """An edge's *message* answers the question *ask*; where nobody waits for it any more, nothing happens."""
        said = codec.encode(message).decode("utf-8")
        if ask in self._open:
            self._answered(ask, said)
            return Deferred.fromCoroutine(_done())
        if len(said) > _LONGEST:
            raise MalformedMessage(f"An answer is too long: {_LONGEST} bytes at the most.")

        async def work(ledger: Transaction) -> Done:
            await ledger.tell(Answered(ask=ask, said=said))
            return Done()

        return self._ledger.transact(work)

    def _answered(self, ask: str, said: str) -> None:
        waiting = self._open.get(ask)
        if waiting is not None:
            waiting.said(said)

    def _asked(self, news: Asked) -> None:
        if not self._desk.attached(news.edge):
            return
        mine = self._open.get(news.ask)
        if mine is not None:
            mine.attached = True
        else:
            self._news.say(Attached(ask=news.ask))

    def _attached(self, news: Attached) -> None:
        ask = self._open.get(news.ask)
        if ask is not None:
            ask.attached = True


async def _done() -> Done:
    return Done()
