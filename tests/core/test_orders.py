"""
The streams of orders: how long a poll waits, and that cuts lose nothing and repeat nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import Clock
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from pinggy.core.ledger import EdgeEntry, Ledger, LedgerAway, NewOrder, Transaction
from pinggy.core.news import News, OrdersWritten
from pinggy.core.orders import ATTACHED, WAIT, OrderDesk
from pinggy.core.pool import Pool
from pinggy.core.postgres.ledger import PostgresLedger
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.settings import Secret
from pinggy.testing.core import FakeCore, now
from pinggy.testing.ledger import MemoryLedger
from pinggy.tunnel.refusals import Conflict, CoreAway
from pinggy.tunnel.request import Kind
from pinggy.wire import operator
from pinggy.wire.messages import Authorize, Nobody, Register, Release, Renew, Want
from pinggy.wire.orders import AskOrders, Close, Order, Orders
from tests.support.cores import OverHttp

T = TypeVar("T")
asynchronous = pytest_twisted.ensureDeferred
NOTHING = Orders()
EDGE = EdgeEntry(name="e1", region="eu", digest=b"")
_ids = itertools.count(1)


class SlowLedger(Ledger):
    """What is done in it is answered when it is let go."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._held: list[Callable[[], object]] | None = None

    def hold(self) -> None:
        self._held = []

    def let_go(self) -> None:
        held, self._held = self._held or [], None
        for answer in held:
            answer()

    def transact(
        self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]], *, repeatable: bool = True
    ) -> Deferred[T]:
        answer = self._ledger.transact(work, repeatable=repeatable)
        if self._held is None:
            return answer
        later: Deferred[T] = Deferred()
        self._held.append(lambda: answer.chainDeferred(later))
        return later

    def look(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        return self.transact(work)

    def check(self) -> Deferred[None]:
        return self._ledger.check()


class Desk:
    """One, over a ledger in memory with one edge."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.news = News()
        self.memory = MemoryLedger(self.clock, self.news)
        self.ledger = SlowLedger(self.memory)
        self.desk = OrderDesk(self.clock, self.ledger, self.news)
        now(self.ledger.transact(self._add))

    async def _add(self, ledger: Transaction) -> None:
        await ledger.add_edge(operator.AddEdge(name="e1", region="eu", addresses=("192.0.2.1",)), b"")
        await ledger.register_edge("e1", "i", ())

    def ask(self, after: int = 0) -> Deferred[Orders]:
        return self.desk.ask(EDGE, AskOrders(instance="i", after=after))

    def write(self, by: Ledger | None = None) -> None:
        async def work(ledger: Transaction) -> None:
            await ledger.order(
                [NewOrder(edge="e1", order=Close(tunnel="t", code="closed-by-operator", text="Closed."))]
            )

        now((by or self.ledger).transact(work))


def numbers(answer: Deferred[Orders]) -> list[int]:
    return [each.number for each in now(answer).orders]


async def orders_for_an_edge_that_does_not_come(ledger: Ledger) -> None:
    async def write(transaction: Transaction) -> None:
        close = Close(tunnel="t", code="closed-by-operator", text="Closed.")
        await transaction.order([NewOrder(edge="e1", order=close)] * 2)

    async def begin(transaction: Transaction) -> None:
        await transaction.add_edge(operator.AddEdge(name="e1", region="eu", addresses=("192.0.2.1",)), b"")
        await transaction.register_edge("e1", "i", ())

    async def numbers() -> list[int]:
        found = await ledger.transact(lambda transaction: transaction.orders("e1", "i", 0, 10))
        return [each.number for each in found or ()]

    await ledger.transact(begin)
    await ledger.transact(write)
    await ledger.transact(lambda transaction: transaction.forget_old(60.0, 60.0, 60.0))
    assert await numbers() == [1, 2]
    await ledger.transact(lambda transaction: transaction.forget_old(60.0, 60.0, -1.0))
    assert await numbers() == []
    # Those that come later go on counting.
    await ledger.transact(write)
    assert await numbers() == [3, 4]


@asynchronous
async def test_orders_that_no_edge_comes_for_are_dropped_in_time(database: Secret) -> None:
    pool = Pool(reactor, database, size=2, statement_timeout=10, patience=10)
    try:
        await orders_for_an_edge_that_does_not_come(PostgresLedger(pool, News()))
    finally:
        await pool.close()


def test_so_they_are_by_the_ledger_in_memory() -> None:
    now(Deferred.fromCoroutine(orders_for_an_edge_that_does_not_come(MemoryLedger(Clock()))))


def test_a_poll_is_answered_with_nothing_after_a_while() -> None:
    desk = Desk()
    answer = desk.ask()
    desk.clock.advance(WAIT - 0.1)
    assert not answer.called
    desk.clock.advance(0.1)
    assert now(answer) == NOTHING
    assert desk.clock.getDelayedCalls() == []


def test_what_is_there_is_answered_at_once() -> None:
    desk = Desk()
    desk.write()
    assert numbers(desk.ask()) == [1]
    assert desk.clock.getDelayedCalls() == []


def test_what_is_written_while_the_ledger_is_read_is_not_slept_through() -> None:
    desk = Desk()
    desk.ledger.hold()
    answer = desk.ask()
    held, desk.ledger._held = desk.ledger._held, None
    desk.write()
    for each in held or ():
        each()
    assert numbers(answer) == [1]


def test_to_be_woken_for_nothing_does_not_make_it_longer() -> None:
    desk = Desk()
    answer = desk.ask()
    desk.clock.advance(WAIT - 1)
    now(desk.ledger.transact(lambda ledger: ledger.tell(OrdersWritten(edges=("e1", "another")))))
    desk.clock.advance(1)
    assert now(answer) == NOTHING


def test_a_newer_poll_gets_what_the_older_one_had_in_hand() -> None:
    desk = Desk()
    desk.write()
    desk.ledger.hold()
    older = desk.ask()
    newer = desk.ask()
    desk.ledger.let_go()
    assert now(older) == NOTHING
    assert numbers(newer) == [1]
    assert desk.clock.getDelayedCalls() == []


def test_who_hangs_up_is_not_waited_for() -> None:
    desk = Desk()
    for read_first in (False, True):
        if read_first:
            desk.ledger.hold()
        answer = desk.ask()
        answer.cancel()
        desk.ledger.let_go()
        with pytest.raises(CancelledError):
            now(answer)
        assert desk.clock.getDelayedCalls() == []
    desk.write()
    assert numbers(desk.ask()) == [1]


def test_a_core_that_stops_lets_nobody_wait() -> None:
    desk = Desk()
    waiting = desk.ask()
    desk.desk.close()
    for answer in (waiting, desk.ask()):
        with pytest.raises(LedgerAway):
            now(answer)
    assert desk.clock.getDelayedCalls() == []


def test_what_another_core_writes_is_answered_at_once() -> None:
    desk = Desk()
    waiting = desk.ask()
    desk.write(by=desk.memory.beside(News()))
    assert numbers(waiting) == [1]


def test_news_that_was_missed_has_not_lost_the_order() -> None:
    desk = Desk()
    desk.memory.deaf = True
    waiting = desk.ask()
    desk.write(by=desk.memory.beside(News()))
    desk.clock.advance(WAIT)
    assert now(waiting) == NOTHING
    assert numbers(desk.ask()) == [1]


def test_everybody_looks_when_news_may_have_been_missed() -> None:
    desk = Desk()
    desk.memory.deaf = True
    waiting = desk.ask()
    desk.write(by=desk.memory.beside(News()))
    assert not waiting.called
    desk.news.gap()
    assert numbers(waiting) == [1]


# -- who is attached --------------------------------------------------------------------------------------------


def test_an_edge_is_attached_while_its_poll_waits() -> None:
    desk = Desk()
    assert not desk.desk.attached("e1")
    waiting = desk.ask()
    assert desk.desk.attached("e1")
    assert not desk.desk.attached("another")
    desk.desk.close()
    with pytest.raises(LedgerAway):
        now(waiting)
    assert not desk.desk.attached("e1")


def test_an_edge_is_attached_for_a_moment_after_its_answer() -> None:
    desk = Desk()
    desk.write()
    assert numbers(desk.ask()) == [1]
    desk.clock.advance(ATTACHED - 0.1)
    assert desk.desk.attached("e1")
    desk.clock.advance(0.1)
    assert not desk.desk.attached("e1")


def test_an_edge_whose_poll_is_cut_is_attached_no_longer() -> None:
    desk = Desk()
    desk.write()
    assert numbers(desk.ask()) == [1]
    older = desk.ask(after=1)
    newer = desk.ask(after=1)
    assert now(older) == NOTHING
    assert desk.desk.attached("e1")
    newer.cancel()
    assert not desk.desk.attached("e1")
    with pytest.raises(CancelledError):
        now(newer)


def test_an_edge_that_is_refused_is_not_attached() -> None:
    desk = Desk()
    refused = desk.desk.ask(EDGE, AskOrders(instance="another", after=0))
    with pytest.raises(Conflict):
        now(refused)
    assert not desk.desk.attached("e1")


# -- the fake, as tests of edges hold it ------------------------------------------------------------------------


def test_polls_of_the_fake_are_held_let_go_and_away() -> None:
    clock = Clock()
    core = FakeCore(clock)
    edge = core.client()
    now(edge.register(Register(instance="i")))
    waiting = edge.orders(AskOrders(instance="i", after=0))
    core.hold()
    tunnel = "1" * 32
    core.let_go()
    now(edge.authorize(Authorize(tunnel=tunnel, credential=Nobody(), address="192.0.2.1", wants=(_HTTP,))))
    core.hold()
    now(core.operator.close_tunnel(tunnel))
    asked = edge.orders(AskOrders(instance="i", after=1))
    assert not waiting.called
    core.let_go()
    (order,) = now(waiting).orders
    assert isinstance(order, Close)
    assert order.tunnel == tunnel
    assert not asked.called
    core.away = True
    with pytest.raises(CoreAway):
        now(asked)
    with pytest.raises(CoreAway):
        now(edge.orders(AskOrders(instance="i", after=1)))
    core.away = False
    last = edge.orders(AskOrders(instance="i", after=1))
    last.cancel()
    with pytest.raises(CancelledError):
        now(last)
    assert clock.getDelayedCalls() == []


# -- over connections that are cut ------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def core(database: Secret) -> AsyncIterator[OverHttp]:
    core = await OverHttp.start(database)
    yield core
    await core.stop()


_HTTP = Want(number=1, kind=Kind.HTTP)


class CuttingClient(ProxyClient):
    """Passes some bytes of an answer on, then cuts."""

    def dataReceived(self, data: bytes) -> None:
        bytes_left = random.choice((0, 1, len(data) // 2, len(data) - 1, len(data), len(data)))
        super().dataReceived(data[:bytes_left])
        if bytes_left < len(data):
            assert self.transport is not None
            self.transport.loseConnection()


class CuttingClientFactory(ProxyClientFactory):
    protocol = CuttingClient
    noisy = False


class CuttingServer(ProxyServer):
    clientProtocolFactory = CuttingClientFactory


class Cutting(ProxyFactory):
    protocol = CuttingServer
    noisy = False


@asynchronous
async def test_over_a_line_that_is_cut_each_order_comes_once_and_in_its_place(core: OverHttp) -> None:
    direct = await core.edge("local")
    await direct.register(Register(instance="i"))
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Cutting("127.0.0.1", core.service.port))
    secret = Secret("the secret of the edge local")
    edge = HttpCoreClient(reactor, f"http://127.0.0.1:{port.getHost().port}", secret)
    tunnels: list[str] = []
    given: list[Order] = []

    async def listen() -> None:
        while len(given) < 40:
            try:
                given.extend((await edge.orders(AskOrders(instance="i", after=len(given)))).orders)
            except CoreAway:
                continue

    listening = Deferred.fromCoroutine(listen())
    for number in range(40):
        tunnel = f"{next(_ids):032x}"
        message = Authorize(tunnel=tunnel, credential=Nobody(), address=f"192.0.2.{number}", wants=(_HTTP,))
        await direct.authorize(message)
        await core.operator.close_tunnel(tunnel)
        tunnels.append(tunnel)
    await listening
    said = [(each.number, each.tunnel) for each in given if isinstance(each, Close)]
    assert said == list(enumerate(tunnels, 1))
    await edge.close()
    await port.stopListening()


@asynchronous
async def test_a_stop_of_the_core_does_not_wait_for_polls(core: OverHttp) -> None:
    edge = await core.edge()
    await edge.register(Register(instance="i"))
    waiting = edge.orders(AskOrders(instance="i", after=0))
    # Answered after it on a connection of its own: by then the poll is in hand.
    await edge.renew(Renew(instance="i", tunnels=()))
    await core.service.stopService()
    with pytest.raises(CoreAway):
        await waiting


@asynchronous
async def test_an_edge_that_stops_does_not_wait_for_its_poll(core: OverHttp) -> None:
    edge = await core.edge()
    await edge.register(Register(instance="i"))
    waiting = edge.orders(AskOrders(instance="i", after=0))
    await edge.release(Release(tunnel="1" * 32, code="client-left"))
    await edge.close()
    with pytest.raises(CancelledError):
        await waiting
