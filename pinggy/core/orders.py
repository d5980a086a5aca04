"""
The streams of orders: a long poll of each edge, answered when the core wants something of it.

An order stays in the ledger until the edge has asked for those after it: an answer that is lost on its way is given
again, and one that came is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pinggy.core.ledger import EdgeEntry, Ledger, LedgerAway, Transaction
from pinggy.core.news import HungUp, News, OrdersWritten
from pinggy.tunnel.refusals import Conflict, MalformedMessage, Refusal
from pinggy.wire.orders import AskOrders, Order, Orders

WAIT = 20.0  # seconds until a poll is answered with nothing
ATTACHED = 3.0  # seconds after an answer, within which an edge asks again
JUST_NOW = 0.5  # seconds that an edge's next poll, and news of other cores, may be on their way
_MOST_AT_ONCE = 500
_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_HIGHEST = 2**63 - 1


class _Poll:
    """One that waits: until there may be something, until it has waited long enough, or until it is of no use."""

    def __init__(self, clock: IReactorTime) -> None:
        self._bound: IDelayedCall = clock.callLater(WAIT, self.end)
        self._something = True
        self._over = False
        self._refusal: Refusal | None = None
        self._asleep: Deferred[None] | None = None

    async def worth_a_look(self) -> bool:
        """Waits until there may be something new; False where that is of no interest any more. Raises a refusal."""
        if not self._something and not self._over:
            self._asleep = Deferred()
            await self._asleep
        if self._refusal is not None:
            raise self._refusal
        self._something = False
        return not self._over

    def wake(self) -> None:
        self._something = True
        asleep, self._asleep = self._asleep, None
        if asleep is not None:
            asleep.callback(None)

    def end(self, refusal: Refusal | None = None) -> None:
        if self._bound.active():
            self._bound.cancel()
        if not self._over:
            self._over = True
            self._refusal = refusal
            self.wake()


class OrderDesk:
    """
    At most one poll waits for each edge: a newer one is the edge asking again, so the older is answered with nothing.
    """

    def __init__(self, clock: IReactorTime, ledger: Ledger, news: News) -> None:
        self._clock = clock
        self._ledger = ledger
        self._news = news
        self._waiting: dict[str, _Poll] = {}
        self._answered: dict[str, float] = {}
        self._come: set[str] = set()
        self._closed = False
        news.hear(OrdersWritten, lambda news: self._wake(news.edges))
        news.hear(HungUp, lambda news: None, elsewhere=self._hung_up_elsewhere)
        news.on_gap.append(lambda: self._wake(list(self._waiting)))

    def ask(self, edge: EdgeEntry, message: AskOrders) -> Deferred[Orders]:
        """
        Cancel it when whoever asked is gone. Fails with `Conflict` where *edge* runs as another instance by now, with
        `MalformedMessage` at once where the message is out of bounds.
        """
        if not _INSTANCE.fullmatch(message.instance):
            raise MalformedMessage("AskOrders.instance is out of its bounds.")
        if not 0 <= message.after <= _HIGHEST:
            raise MalformedMessage("AskOrders.after is out of its bounds.")
        poll = _Poll(self._clock)

        def left(answer: Deferred[Orders]) -> None:
            # Not the transaction in hand: it is over soon.
            self._left(edge.name, poll)
            answer.errback(CancelledError())
            poll.end()

        answer: Deferred[Orders] = Deferred(left)
        asked = Deferred.fromCoroutine(self._ask(edge.name, message, poll))
        asked.addBoth(lambda result: None if answer.called else answer.callback(result))
        return answer

    @property
    def waiting(self) -> int:
        """How many edges' polls wait."""
        return len(self._waiting)

    def attached(self, edge: str) -> bool:
        """Whether *edge* has its stream at this core: it waits, or was answered just now. Not when it hung up."""
        answered = self._answered.get(edge)
        return edge in self._waiting or (answered is not None and self._clock.seconds() < answered + ATTACHED)

    def answered(self, edge: str) -> float | None:
        """When a poll of *edge* was answered here last, by this core's clock; None where it has hung up since."""
        return self._answered.get(edge)

    def connection_lost(self, edge: str, answered: float | None) -> None:
        """The connection of the poll that was *answered* then is gone: so is *edge*, unless it has asked again."""
        if edge not in self._waiting and answered is not None and self._answered.get(edge) == answered:
            del self._answered[edge]
            self._news.say(HungUp(edge=edge))

    def has_come(self, edge: str) -> bool:
        """Whether *edge* has ever asked this core."""
        return edge in self._come

    def hang_up(self, refusal: Refusal) -> None:
        """Every poll that waits fails with *refusal*."""
        for poll in list(self._waiting.values()):
            poll.end(refusal)

    def close(self) -> None:
        """The core stops: from here on nobody waits."""
        self._closed = True
        self.hang_up(_stopping())

    async def _ask(self, edge: str, message: AskOrders, poll: _Poll) -> Orders:
        self._come.add(edge)
        older, self._waiting[edge] = self._waiting.get(edge), poll
        if older is not None:
            older.end()
        if self._closed:
            poll.end(_stopping())
        try:
            while await poll.worth_a_look():
                orders = await self._orders(edge, message)
                if orders and self._waiting.get(edge) is poll:
                    break
            else:
                orders = ()
            if self._waiting.get(edge) is poll:
                self._answered[edge] = self._clock.seconds()
            return Orders(orders=orders)
        finally:
            poll.end()
            if self._waiting.get(edge) is poll:
                del self._waiting[edge]

    def _left(self, edge: str, poll: _Poll) -> None:
        if self._waiting.get(edge) is poll:
            del self._waiting[edge]
            self._answered.pop(edge, None)
            self._news.say(HungUp(edge=edge))

    def _hung_up_elsewhere(self, news: HungUp) -> None:
        """Polls go to one core and to another: who was answered here, and has asked there since, is here no more."""
        answered = self._answered.get(news.edge)
        if answered is not None and self._clock.seconds() >= answered + JUST_NOW:
            del self._answered[news.edge]

    def _orders(self, edge: str, message: AskOrders) -> Deferred[tuple[Order, ...]]:
        async def work(ledger: Transaction) -> tuple[Order, ...]:
            orders = await ledger.orders(edge, message.instance, message.after, _MOST_AT_ONCE)
            if orders is None:
                raise Conflict("This edge has not registered as this instance: another one gets its orders.")
            return orders

        return self._ledger.transact(work)

    def _wake(self, edges: Iterable[str]) -> None:
        for edge in edges:
            poll = self._waiting.get(edge)
            if poll is not None:
                poll.wake()


def _stopping() -> LedgerAway:
    return LedgerAway("The core is stopping: try again soon.")
