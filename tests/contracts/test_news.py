"""
What cores tell each other, by the ledger in memory and by PostgreSQL alike: told when it is committed, once, in each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.connections import Servers
from pinggy.core.ledger import Ledger, NewOrder, Transaction
from pinggy.core.news import EdgesChanged, Item, LookAgain, NamesLive, News, OrdersWritten, TunnelsEnded
from pinggy.core.news_listener import NewsListener
from pinggy.core.pool import Pool
from pinggy.core.postgres.ledger import PostgresLedger
from pinggy.settings import Secret
from pinggy.testing.ledger import MemoryLedger
from pinggy.tunnel.refusals import Busy
from pinggy.wire import operator
from pinggy.wire.orders import Drain
from tests.support import postgres as real
from tests.support.postgres import Databases

postgres = real.postgres
asynchronous = pytest_twisted.ensureDeferred


class Core:
    """One core's *ledger*, and what it hears: of itself, of others, of gaps."""

    def __init__(self) -> None:
        self.news = News()
        self.ledger: Ledger
        self.here: list[Item] = []
        self.elsewhere: list[Item] = []
        self.gaps = 0
        self._sign: Deferred[None] = Deferred()
        kinds: tuple[type[Any], ...] = (OrdersWritten, TunnelsEnded, NamesLive, EdgesChanged)
        for kind in kinds:
            self.news.hear(kind, self._here, elsewhere=self._elsewhere)
        self.news.on_gap.append(self._gap)

    def _here(self, item: Item) -> None:
        self.here.append(item)
        self._stir()

    def _elsewhere(self, item: Item) -> None:
        self.elsewhere.append(item)
        self._stir()

    def _gap(self) -> None:
        self.gaps += 1
        self._stir()

    def _stir(self) -> None:
        sign, self._sign = self._sign, Deferred()
        sign.callback(None)

    async def tell(self, *items: Item) -> None:
        async def work(ledger: Transaction) -> None:
            await ledger.tell(*items)

        await self.ledger.transact(work)

    async def until(self, last: Item) -> None:
        """It has heard all until *last*, which another core told."""
        while last not in self.elsewhere:
            await self._sign

    async def until_gap(self) -> None:
        while not self.gaps:
            await self._sign


LAST = NamesLive(names=("the-last",))
Cores = tuple[Core, Core]


async def postgres_core(url: Secret) -> tuple[Core, Pool, NewsListener]:
    core = Core()
    pool = Pool(reactor, url, size=2, statement_timeout=10, patience=10)
    core.ledger = PostgresLedger(pool, core.news)
    listener = NewsListener(reactor, Servers(reactor, url, 10), core.news)
    await listener.start()
    return core, pool, listener


@pytest_twisted.async_yield_fixture(params=["in memory", "PostgreSQL"])
async def cores(request: pytest.FixtureRequest, postgres: Databases) -> AsyncIterator[Cores]:
    if request.param == "in memory":
        one, two = Core(), Core()
        memory = MemoryLedger(Clock(), one.news)
        one.ledger, two.ledger = memory, memory.beside(two.news)
        yield one, two
        return
    made = [await postgres_core(postgres.emptied()) for _ in range(2)]
    yield made[0][0], made[1][0]
    for _, pool, listener in made:
        await listener.stop()
        await pool.close()


@asynchronous
async def test_what_is_committed_is_told_once_in_every_core(cores: Cores) -> None:
    one, two = cores
    await one.tell(EdgesChanged(), TunnelsEnded(tunnels=("a", "b")))
    assert one.here == [EdgesChanged(), TunnelsEnded(tunnels=("a", "b"))]
    await one.tell(LAST)
    await two.until(LAST)
    assert two.elsewhere == [EdgesChanged(), TunnelsEnded(tunnels=("a", "b")), LAST]
    assert two.here == []
    # The other core's answer comes after all that could come back of our own.
    await two.tell(LAST)
    await one.until(LAST)
    assert one.here == [EdgesChanged(), TunnelsEnded(tunnels=("a", "b")), LAST]
    assert one.elsewhere == [LAST]
    assert (one.gaps, two.gaps) == (0, 0)


@asynchronous
async def test_what_is_said_needs_no_transaction(cores: Cores) -> None:
    one, two = cores
    one.news.say(EdgesChanged())
    assert one.here == [EdgesChanged()]
    one.news.say(LAST)
    await two.until(LAST)
    assert two.elsewhere == [EdgesChanged(), LAST]
    await two.tell(LAST)
    await one.until(LAST)
    assert one.here == [EdgesChanged(), LAST]


@asynchronous
async def test_a_hint_is_told_after_the_commit(cores: Cores) -> None:
    one, two = cores
    await one.ledger.transact(lambda ledger: ledger.hint(EdgesChanged(), LAST))
    assert one.here == [EdgesChanged(), LAST]
    await two.until(LAST)
    assert two.elsewhere == [EdgesChanged(), LAST]


@asynchronous
async def test_what_is_undone_is_never_told(cores: Cores) -> None:
    one, two = cores

    async def work(ledger: Transaction) -> None:
        await ledger.tell(EdgesChanged())
        await ledger.hint(EdgesChanged())
        raise Busy("no")

    with pytest.raises(Busy):
        await one.ledger.transact(work)
    await one.tell(LAST)
    await two.until(LAST)
    assert two.elsewhere == [LAST]
    assert one.here == [LAST]


@asynchronous
async def test_orders_are_told_with_them(cores: Cores) -> None:
    one, two = cores

    async def work(ledger: Transaction) -> None:
        for name in ("e2", "e1"):
            edge = operator.AddEdge(name=name, region="eu", addresses=("192.0.2.1",))
            await ledger.add_edge(edge, name.encode("ascii"))
        await ledger.order([NewOrder(edge=name, order=Drain()) for name in ("e2", "e1", "e2")])

    await one.ledger.transact(work)
    told = OrdersWritten(edges=("e1", "e2"))
    assert one.here == [told]
    await two.until(told)


@asynchronous
async def test_what_is_too_much_to_be_told_is_to_be_looked_at(cores: Cores) -> None:
    one, two = cores
    much = TunnelsEnded(tunnels=tuple(f"{number:032x}" for number in range(1000)))
    await one.tell(much)
    assert one.here == [much]
    await two.until_gap()
    assert two.elsewhere == []
    assert one.gaps == 0


@asynchronous
async def test_nothing_to_tell_is_nothing(cores: Cores) -> None:
    one, two = cores
    await one.tell()
    await one.tell(LookAgain())
    await two.until_gap()
    assert one.here == two.elsewhere == []
    assert one.gaps == two.gaps == 1
