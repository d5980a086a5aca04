"""
Questions to edges, and what comes of them where cores or edges are away: over ledgers in memory that two cores share.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.asks import ATTACH_WAIT, Asks, NoAnswer
from pinggy.core.ledger import EdgeEntry, Ledger, LedgerAway, Transaction
from pinggy.core.news import News
from pinggy.core.orders import JUST_NOW, OrderDesk
from pinggy.testing.core import now
from pinggy.testing.ledger import MemoryLedger
from pinggy.wire import operator
from pinggy.wire.orders import AskOrders, Orders, Probe, Probed

EDGE = EdgeEntry(name="e1", region="eu", digest=b"")
BOUND = 2.5


class Core:
    def __init__(self, clock: Clock, other: Core | None = None) -> None:
        self.news = News()
        self.ledger: MemoryLedger = MemoryLedger(clock, self.news) if other is None else other.ledger.beside(self.news)
        self.desk = OrderDesk(clock, self.ledger, self.news)
        self.asks = Asks(clock, self.ledger, self.news, self.desk)

    def poll(self, after: int = 0) -> Deferred[Orders]:
        return self.desk.ask(EDGE, AskOrders(instance="i", after=after))

    def put(self) -> Deferred[Any]:
        return self.asks.put("e1", lambda ask: Probe(ask=ask, tunnel="t"), Probed, BOUND)


class Cores:
    def __init__(self) -> None:
        self.clock = Clock()
        self.one = Core(self.clock)
        self.two = Core(self.clock, self.one)
        now(self.one.ledger.transact(self._add))

    async def _add(self, ledger: Transaction) -> None:
        await ledger.add_edge(operator.AddEdge(name="e1", region="eu", addresses=("192.0.2.1",)), b"")
        await ledger.register_edge("e1", "i", ())

    def core(self, number: int) -> Core:
        return (self.one, self.two)[number]


def asked(poll: Deferred[Orders]) -> str:
    """The question in the order that *poll* was answered with."""
    (order,) = now(poll).orders
    assert isinstance(order, Probe)
    return order.ask


@pytest.mark.parametrize("answered_at", [0, 1])
@pytest.mark.parametrize("held_at", [0, 1])
def test_an_answer_finds_the_core_that_asked(held_at: int, answered_at: int) -> None:
    cores = Cores()
    poll = cores.core(held_at).poll()
    answer = cores.one.put()
    ask = asked(poll)
    cores.clock.advance(ATTACH_WAIT)
    assert not answer.called
    now(cores.core(answered_at).asks.answered(ask, Probed(ask=ask, alive=True)))
    assert now(answer) == Probed(ask=ask, alive=True)
    assert cores.clock.getDelayedCalls() == []


@pytest.mark.parametrize("held_at", [0, 1])
def test_an_edge_that_does_not_answer_is_silent(held_at: int) -> None:
    cores = Cores()
    ask = None
    poll = cores.core(held_at).poll()
    answer = cores.one.put()
    ask = asked(poll)
    cores.clock.pump([ATTACH_WAIT, BOUND - ATTACH_WAIT])
    assert now(answer) is NoAnswer.SILENT
    now(cores.one.asks.answered(ask, Probed(ask=ask, alive=True)))
    now(cores.two.asks.answered(ask, Probed(ask=ask, alive=True)))
    assert cores.clock.getDelayedCalls() == []


def test_an_edge_whose_stream_no_core_has_is_known_at_once() -> None:
    cores = Cores()
    answer = cores.one.put()
    cores.clock.advance(ATTACH_WAIT)
    assert now(answer) is NoAnswer.UNATTACHED
    assert cores.clock.getDelayedCalls() == []


def test_an_edge_that_hung_up_is_unattached() -> None:
    cores = Cores()
    poll = cores.two.poll()
    poll.addErrback(lambda _: None)
    poll.cancel()
    answer = cores.one.put()
    cores.clock.advance(ATTACH_WAIT)
    assert now(answer) is NoAnswer.UNATTACHED


@pytest.mark.parametrize("held_at", [0, 1])
def test_an_edge_that_hung_up_elsewhere_after_an_answer_is_unattached(held_at: int) -> None:
    # A balancer sends each poll to another core: the one before was answered, this one is cut.
    cores = Cores()
    poll = cores.core(held_at).poll()
    cores.one.put().addErrback(lambda _: None)
    asked(poll)
    poll = cores.core(1 - held_at).poll(after=1)
    poll.addErrback(lambda _: None)
    cores.clock.advance(JUST_NOW)
    poll.cancel()
    answer = cores.one.put()
    cores.clock.advance(ATTACH_WAIT)
    assert now(answer) is NoAnswer.UNATTACHED
    cores.clock.advance(BOUND)


def test_an_edge_that_has_come_back_meanwhile_is_attached() -> None:
    cores = Cores()
    hung_up = cores.two.poll()
    hung_up.addErrback(lambda _: None)
    poll = cores.one.poll()
    cores.one.put().addErrback(lambda _: None)
    asked(poll)
    hung_up.cancel()
    assert cores.one.desk.attached("e1")
    cores.clock.advance(BOUND)


def test_nonsense_is_no_answer() -> None:
    cores = Cores()
    poll = cores.two.poll()
    answer = cores.one.put()
    now(cores.two.asks.answered(asked(poll), Orders()))
    assert now(answer) is NoAnswer.SILENT


def test_a_question_that_cannot_be_written_is_over() -> None:
    cores = Cores()
    cores.one.ledger.away = True
    with pytest.raises(LedgerAway):
        now(cores.one.put())
    assert cores.clock.getDelayedCalls() == []


def test_a_slow_database_takes_no_time_from_the_edge() -> None:
    cores = Cores()
    committed: Deferred[None] = Deferred()
    transact = cores.one.ledger.transact

    class Slow:
        def transact(self, work: Any) -> Deferred[Any]:
            return committed.addCallback(lambda _: transact(work))

    slow = Asks(cores.clock, cast(Ledger, Slow()), cores.one.news, cores.one.desk)
    answer = slow.put("e1", lambda ask: Probe(ask=ask, tunnel="t"), Probed, BOUND)
    cores.clock.advance(2 * BOUND)
    assert not answer.called
    poll = cores.one.poll()
    committed.callback(None)
    ask = asked(poll)
    cores.clock.advance(BOUND - 0.1)
    now(slow.answered(ask, Probed(ask=ask, alive=True)))
    assert now(answer) == Probed(ask=ask, alive=True)
    assert cores.clock.getDelayedCalls() == []
