"""
Transactions over the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from pinggy.core.ledger import Ledger, Transaction
from pinggy.core.news import Bulletin, Item, News
from pinggy.core.pool import Cursor, Pool
from pinggy.core.postgres.accounts import AccountStatements
from pinggy.core.postgres.claims import ClaimStatements
from pinggy.core.postgres.doctor import DoctorStatements
from pinggy.core.postgres.edges import EdgeStatements
from pinggy.core.postgres.handovers import HandoverStatements
from pinggy.core.postgres.orders import OrderStatements
from pinggy.core.postgres.places import PlaceStatements
from pinggy.core.postgres.reports import ReportStatements
from pinggy.core.postgres.tunnels import TunnelStatements
from pinggy.core.postgres.zone import ZoneStatements

T = TypeVar("T")


class PostgresLedger(Ledger):
    """*news* is told what its transactions have to say; `pinggy.core.news_listener` brings it that of other cores."""

    def __init__(self, pool: Pool, news: News) -> None:
        self._pool = pool
        self._news = news

    def transact(
        self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]], *, repeatable: bool = True
    ) -> Deferred[T]:
        told: list[Bulletin] = []
        hints: list[Item] = []

        async def once(cursor: Cursor) -> T:
            transaction = PostgresTransaction(cursor, self._news)
            answer = await work(transaction)
            told[:], hints[:] = transaction.told, transaction.hints
            return answer

        def committed(answer: T) -> T:
            self._news.committed(told)
            self._news.say(*hints)
            return answer

        return self._pool.transact(once, repeatable=repeatable).addCallback(committed)

    def look(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        return self._pool.look(lambda cursor: work(PostgresTransaction(cursor, self._news)))

    def check(self) -> Deferred[None]:
        async def work(cursor: Cursor) -> None:
            await cursor.execute("SELECT 1")

        return self._pool.look(work)


class PostgresTransaction(
    EdgeStatements,
    AccountStatements,
    TunnelStatements,
    ClaimStatements,
    HandoverStatements,
    OrderStatements,
    ZoneStatements,
    PlaceStatements,
    ReportStatements,
    DoctorStatements,
):
    """One transaction over one cursor."""
