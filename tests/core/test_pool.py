"""
Connections that die: nothing that was asked is lost, and nothing is logged as an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from pinggy.core.ledger import LedgerAway, LedgerError
from pinggy.core.managed_postgres import ManagedPostgres
from pinggy.core.pool import Cursor, Pool
from pinggy.settings import Secret
from pinggy.tunnel.refusals import Busy
from tests.support.postgres import QUICK, Databases, execute

asynchronous = pytest_twisted.ensureDeferred
KILL_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pinggy-core'"
MakePool = Callable[..., Pool]


@pytest_twisted.async_yield_fixture
async def make_pool() -> AsyncIterator[MakePool]:
    pools: list[Pool] = []

    def make(url: Secret, **changes: Any) -> Pool:
        settings = {"size": 4, "statement_timeout": 10.0, "patience": 20.0, **changes}
        pools.append(Pool(reactor, url, **settings))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


def select(pool: Pool, sql: str = "SELECT 1") -> Deferred[Any]:
    async def work(cursor: Cursor) -> Any:
        await cursor.execute(sql)
        return cursor.fetchall()[0][0]

    return pool.transact(work)


@asynchronous
async def test_idle_connections_that_were_cut_are_replaced(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url)
    for _ in range(5):
        assert await gatherResults([select(pool) for _ in range(20)]) == [1] * 20
        execute(postgres.url, KILL_ALL)


@asynchronous
async def test_work_whose_connection_is_cut_is_begun_again(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url)
    attempts = []

    async def work(cursor: Cursor) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            execute(postgres.url, KILL_ALL)
        await cursor.execute("SELECT 7")
        return int(cursor.fetchall()[0][0])

    assert await pool.transact(work, repeatable=False) == 7
    assert len(attempts) == 2


@asynchronous
async def test_a_restart_of_the_database_under_use_is_survived(tmp_path: Path, make_pool: MakePool) -> None:
    first = ManagedPostgres(reactor, tmp_path, settings=QUICK)
    url = await first.start()
    port = int(url.reveal().rpartition(":")[2].partition("/")[0])
    pool = make_pool(url)
    await select(pool, "CREATE TABLE counted (at serial); SELECT 1")
    again = ManagedPostgres(reactor, tmp_path, port=port, settings=QUICK)

    async def count(times: int) -> None:
        for _ in range(times):
            await select(pool, "INSERT INTO counted DEFAULT VALUES RETURNING 1")

    async def restart() -> None:
        await select(pool)
        await first.stop()
        await again.start()

    try:
        calls = [Deferred.fromCoroutine(count(50)) for _ in range(8)]
        await gatherResults([*calls, Deferred.fromCoroutine(restart())])
        await count(1)
        assert await select(pool, "SELECT count(*) FROM counted") >= 401
    finally:
        await pool.close()
        await again.stop()


@asynchronous
async def test_what_nobody_waits_for_is_done_in_its_order_and_with_the_commit(
    postgres: Databases, make_pool: MakePool
) -> None:
    pool = make_pool(postgres.new())

    async def work(cursor: Cursor) -> list[Any]:
        cursor.later("CREATE TABLE said (what text) -- a comment at the end")
        cursor.later("INSERT INTO said VALUES (%s)", ("it's 100 %; --",))
        await cursor.execute("SELECT what FROM said")
        rows = cursor.fetchall()
        cursor.later("INSERT INTO said VALUES (%s)", ("last",))
        return rows

    assert await pool.transact(work) == [("it's 100 %; --",)]
    assert await select(pool, "SELECT count(*) FROM said") == 2


@asynchronous
async def test_what_fails_late_undoes_everything(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.new(), size=1)
    await select(pool, "CREATE TABLE said (what text UNIQUE); SELECT 1")

    async def twice(cursor: Cursor) -> None:
        await cursor.execute("INSERT INTO said VALUES ('once')")
        cursor.later("INSERT INTO said VALUES ('once')")

    async def refuse(cursor: Cursor) -> None:
        cursor.later("INSERT INTO said VALUES ('never')")
        raise Busy("no")

    for work, failure in ((twice, LedgerError), (refuse, Busy)):
        with pytest.raises(failure):
            await pool.transact(work)
        assert await select(pool, "SELECT count(*) FROM said") == 0


@asynchronous
async def test_a_look_is_no_transaction(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url, size=1)

    async def work(cursor: Cursor) -> list[Any]:
        await cursor.execute("SELECT now() = statement_timestamp(), txid_current_if_assigned() IS NULL")
        return cursor.fetchall()

    async def wrong(cursor: Cursor) -> None:
        await cursor.execute("SELECT nonsense")

    assert await pool.look(work) == [(True, True)]
    with pytest.raises(LedgerError):
        await pool.look(wrong)
    execute(postgres.url, KILL_ALL)
    assert await pool.look(work) == [(True, True)]


@asynchronous
async def test_a_database_that_stays_away_is_said_within_the_patience(make_pool: MakePool) -> None:
    pool = make_pool(Secret("postgresql://nobody:hidden@127.0.0.1:1/none"), patience=0.1)
    with pytest.raises(LedgerAway) as caught:
        await select(pool)
    assert "hidden" not in f"{caught.value} {caught.value.__cause__}"


@asynchronous
async def test_a_statement_that_takes_too_long_is_given_up(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url, size=1, statement_timeout=0.05)
    with pytest.raises(LedgerAway):
        await select(pool, "SELECT pg_sleep(60)")
    assert await select(pool) == 1


@asynchronous
async def test_an_error_of_the_database_is_an_error_of_the_ledger(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url, size=1)
    with pytest.raises(LedgerError):
        await select(pool, "SELECT nonsense")
    assert await select(pool) == 1


@asynchronous
async def test_what_work_raises_undoes_what_it_did(postgres: Databases, make_pool: MakePool) -> None:
    pool = make_pool(postgres.url, size=1)

    async def work(cursor: Cursor) -> None:
        await cursor.execute("CREATE TABLE half_done ()")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pool.transact(work)
    assert await select(pool, "SELECT to_regclass('half_done')") is None


@asynchronous
async def test_transactions_that_wait_for_each_other_both_come_through(
    postgres: Databases, make_pool: MakePool
) -> None:
    pool = make_pool(postgres.url)
    both_hold: Deferred[None] = Deferred()
    holding: list[int] = []

    def holds(which: int) -> None:
        holding.append(which)
        if len(holding) == 2:
            both_hold.callback(None)

    def locking(first: int, second: int) -> Any:
        async def work(cursor: Cursor) -> int:
            await cursor.execute("SET LOCAL deadlock_timeout = '10ms'")
            await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
            holds(first)
            if not both_hold.called:
                waiting: Deferred[None] = Deferred()
                both_hold.addCallback(waiting.callback)
                await waiting
            await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (second,))
            return first

        return work

    assert await gatherResults([pool.transact(locking(1, 2)), pool.transact(locking(2, 1))]) == [1, 2]
    assert len(holding) == 3


@asynchronous
async def test_a_closed_pool_finishes_what_is_in_hand_and_takes_nothing_more(
    postgres: Databases, make_pool: MakePool
) -> None:
    pool = make_pool(postgres.url)
    await select(pool)
    begun: Deferred[None] = Deferred()
    go_on: Deferred[None] = Deferred()

    async def work(cursor: Cursor) -> int:
        begun.callback(None)
        await go_on
        await cursor.execute("SELECT 5")
        return int(cursor.fetchall()[0][0])

    answer = pool.transact(work)
    await begun
    closed = pool.close()
    late = select(pool)
    assert not closed.called
    go_on.callback(None)
    assert await answer == 5
    await closed
    with pytest.raises(LedgerAway):
        await late


def test_what_is_no_url_is_said_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL URL") as caught:
        Pool(reactor, Secret("mysql hidden"), size=1, statement_timeout=1, patience=1)
    assert "hidden" not in str(caught.value)
