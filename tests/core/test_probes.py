"""
What a core makes of the holders of busy names: alive, dead or cut off, and each asked once.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.asks import ATTACH_WAIT, Asks
from pinggy.core.ledger import EdgeEntry, Holder, LedgerAway, Transaction
from pinggy.core.news import News
from pinggy.core.orders import OrderDesk
from pinggy.core.probes import GATHER, WAIT, ProbeDesk
from pinggy.core.takeover import How
from pinggy.testing.core import now
from pinggy.testing.ledger import MemoryLedger
from pinggy.tunnel.grant import Identity
from pinggy.wire import operator
from pinggy.wire.orders import AskOrders, Order, Orders, Probe, Probed

EDGE = EdgeEntry(name="e1", region="eu", digest=b"")
TUNNEL = "1" * 32


def holder(tunnel: str = TUNNEL) -> Holder:
    return Holder(tunnel=tunnel, identity=Identity(account="ann", label="x"), edge="e1", lease_over=False)


class Core:
    """One that has just started, with one edge that has registered and not come yet."""

    def __init__(self) -> None:
        self.clock = Clock()
        news = News()
        self.ledger = MemoryLedger(self.clock, news)
        self.desk = OrderDesk(self.clock, self.ledger, news)
        self.asks = Asks(self.clock, self.ledger, news, self.desk)
        self.probes = ProbeDesk(self.clock, self.asks, self.desk)
        self.given = 0
        now(self.ledger.transact(self._add))

    async def _add(self, ledger: Transaction) -> None:
        await ledger.add_edge(operator.AddEdge(name="e1", region="eu", addresses=("192.0.2.1",)), b"")
        await ledger.register_edge("e1", "i", ())

    def poll(self) -> Deferred[Orders]:
        return self.desk.ask(EDGE, AskOrders(instance="i", after=self.given))

    def orders(self) -> tuple[Order, ...]:
        """What the edge is told when it asks now."""
        given = now(self.poll()).orders
        self.given = given[-1].number
        return given

    def answer(self, alive: bool) -> None:
        """The edge asks, and answers all probes."""
        for order in self.orders():
            assert isinstance(order, Probe)
            now(self.asks.answered(order.ask, Probed(ask=order.ask, alive=alive)))


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.mark.parametrize(("alive", "how"), [(True, None), (False, How.DEAD)])
def test_the_edge_says_what_the_client_is(core: Core, alive: bool, how: How | None) -> None:
    asked = core.probes.ask(holder())
    core.answer(alive)
    assert now(asked) is how


def test_the_order_names_the_tunnel(core: Core) -> None:
    core.probes.ask(holder())
    (order,) = core.orders()
    assert isinstance(order, Probe)
    assert order.tunnel == TUNNEL
    core.clock.advance(WAIT)


def test_however_many_want_a_name_its_holder_is_asked_once(core: Core) -> None:
    asked = [core.probes.ask(holder()) for _ in range(10)]
    other = core.probes.ask(holder("2" * 32))
    orders = core.orders()
    assert [order.tunnel for order in orders if isinstance(order, Probe)] == [TUNNEL, "2" * 32]
    core.given = 0
    core.answer(False)
    assert [now(each) for each in asked] == [How.DEAD] * 10
    assert now(other) is How.DEAD
    # The next one who wants it asks again.
    again = core.probes.ask(holder())
    core.answer(True)
    assert now(again) is None


def test_an_edge_that_hears_but_says_nothing_in_time_is_cut_off(core: Core) -> None:
    poll = core.poll()
    asked = core.probes.ask(holder())
    now(poll)
    core.clock.pump([0.1] * 24)
    assert not asked.called
    core.clock.advance(0.11)
    assert now(asked) is How.UNREACHABLE


def test_an_edge_that_has_gone_is_cut_off_as_soon_as_no_core_has_it(core: Core) -> None:
    poll = core.poll()
    poll.addErrback(lambda failure: None)
    poll.cancel()
    asked = core.probes.ask(holder())
    core.clock.advance(ATTACH_WAIT)
    assert now(asked) is How.UNREACHABLE


def test_an_edge_that_comes_back_meanwhile_is_heard(core: Core) -> None:
    poll = core.poll()
    poll.addErrback(lambda failure: None)
    poll.cancel()
    asked = core.probes.ask(holder())
    core.clock.advance(ATTACH_WAIT / 2)
    (order,) = core.orders()
    core.clock.advance(ATTACH_WAIT)
    assert not asked.called
    assert isinstance(order, Probe)
    now(core.asks.answered(order.ask, Probed(ask=order.ask, alive=True)))
    assert now(asked) is None


def test_a_core_that_has_just_started_waits_for_its_edges(core: Core) -> None:
    asked = core.probes.ask(holder())
    core.clock.pump([0.1] * 50)
    assert not asked.called
    # It comes, and has been asked in vain until now.
    core.orders()
    poll = core.poll()
    core.clock.pump([0.1] * 15)
    (order,) = now(poll).orders
    assert isinstance(order, Probe)
    now(core.asks.answered(order.ask, Probed(ask=order.ask, alive=True)))
    assert now(asked) is None


def test_but_not_for_ever(core: Core) -> None:
    asked = core.probes.ask(holder())
    core.clock.pump([0.1] * round(10 * (GATHER + 1)))
    assert now(asked) is How.UNREACHABLE


def test_without_the_database_nobody_is_asked_or_taken_for_dead(core: Core) -> None:
    core.ledger.away = True
    asked = [core.probes.ask(holder()) for _ in range(2)]
    for each in asked:
        with pytest.raises(LedgerAway):
            now(each)
    core.ledger.away = False
    again = core.probes.ask(holder())
    core.answer(True)
    assert now(again) is None
