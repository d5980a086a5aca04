"""
What a real core shows over a real PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from pinggy.core.config import DatabaseSettings
from pinggy.core.managed_postgres import ManagedPostgres
from pinggy.settings import Secret
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, ByToken, Live, Nobody, Register, Renew, Usage, Want
from tests.metrics.expositions import core_daemon, scrape, somewhere
from tests.support.cores import OverHttp, token_of
from tests.support.postgres import QUICK

asynchronous = pytest_twisted.ensureDeferred
HTTP = (Want(number=1, kind=Kind.HTTP),)


@asynchronous
async def test_tunnels_are_counted_by_edge(database: Secret) -> None:
    async with core_daemon(database) as (core, port):
        eu, ap = await core.edge("eu-1", "eu"), await core.edge("ap-1", "ap")
        for number in "12":
            await eu.authorize(Authorize(tunnel=number * 32, credential=Nobody(), address="192.0.2.1", wants=HTTP))
        await eu.live(Live(tunnel="1" * 32, numbers=(1,)))
        await eu.renew(Renew(instance="i", tunnels=(Usage(tunnel="1" * 32),)))
        shown = await scrape(port)
        assert shown.value("pinggy_core_tunnels", edge="eu-1") == 2
        assert shown.value("pinggy_core_tunnels_live", edge="eu-1") == 1
        assert shown.value("pinggy_core_tunnels", edge="ap-1") == 0
        assert shown.value("pinggy_core_edge_heard_seconds", edge="eu-1") >= 0
        heard = {each.labels["edge"] for each in shown.families["pinggy_core_edge_heard_seconds"].samples}
        assert heard == {"eu-1"}
        assert ap is not None


@asynchronous
async def test_work_with_the_database_is_timed(database: Secret) -> None:
    async with core_daemon(database) as (core, port):
        before = await scrape(port)
        await core.operator.ensure_account("ann")
        after = await scrape(port)
        transactions = "pinggy_core_transaction_seconds_count"
        assert after.value(transactions, kind="transact") > before.value(transactions, kind="transact")
        # The scrape itself looks.
        assert after.value(transactions, kind="look") > before.value(transactions, kind="look")
        assert after.value("pinggy_core_statement_seconds_count") > before.value("pinggy_core_statement_seconds_count")
        assert after.value("pinggy_core_pool_size") == 4
        assert after.value("pinggy_core_pool_connections", state="in_use") == 0
        assert after.value("pinggy_core_pool_connections", state="idle") >= 1
        assert after.value("pinggy_core_database_away") == 0


@asynchronous
async def test_an_edge_that_polls_is_seen_and_so_is_what_it_has_not_carried_out(database: Secret) -> None:
    async with core_daemon(database) as (core, port):
        edge = await core.edge()
        await edge.register(Register(instance="one"))
        await edge.authorize(Authorize(tunnel="1" * 32, credential=Nobody(), address="192.0.2.1", wants=HTTP))
        await core.operator.close_tunnel("1" * 32)
        shown = await scrape(port)
        assert shown.value("pinggy_core_orders_waiting", edge="local") == 1
        assert shown.value("pinggy_core_orders_oldest_seconds", edge="local") >= 0
        assert shown.value("pinggy_core_polls_waiting") == 0
        assert shown.value("pinggy_core_requests_total") == 2
        assert shown.value("pinggy_core_requests_in_hand") == 0


@asynchronous
async def test_a_name_that_is_taken_by_force_is_a_takeover(database: Secret) -> None:
    async with core_daemon(database) as (core, port):
        edge = await core.edge()
        token = await token_of(core, "ann", names=("blog",))
        for number, force in (("1", False), ("2", True)):
            await edge.authorize(
                Authorize(
                    tunnel=number * 32, credential=ByToken(token=token), address="192.0.2.1", wants=HTTP, force=force
                )
            )
        shown = await scrape(port)
        assert shown.value("pinggy_core_takeovers_total", how="force") == 1
        assert shown.value("pinggy_core_takeovers_total", how="dead") == 0


@asynchronous
async def test_what_the_sweep_ends_is_counted_by_why(database: Secret) -> None:
    async with core_daemon(database) as (core, port):
        edge = await core.edge()
        await edge.authorize(Authorize(tunnel="1" * 32, credential=Nobody(), address="192.0.2.1", wants=HTTP))
        core.age(60)
        await core.sweep.sweep()
        shown = await scrape(port)
        assert shown.value("pinggy_core_tunnels_swept_total", why="lease-lost") == 1
        assert shown.value("pinggy_core_tunnels_swept_total", why="expired") == 0


@asynchronous
async def test_while_the_database_is_away_nothing_is_shown_of_the_ledger(tmp_path: Path) -> None:
    server = ManagedPostgres(reactor, tmp_path / "postgres", settings=QUICK)
    url = await server.start()
    port, settings = somewhere()
    core = await OverHttp.start(url, metrics=settings, database=DatabaseSettings(url=url, patience=0.2))
    await core.edge("eu-1", "eu")
    assert (await scrape(port)).value("pinggy_core_tunnels", edge="eu-1") == 0
    await server.stop()
    shown = await scrape(port)
    assert shown.value("pinggy_core_database_away") == 1
    assert shown.families["pinggy_core_tunnels"].samples == []
    await core.stop()
