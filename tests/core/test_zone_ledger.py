"""
What should stand in the zone, as PostgreSQL keeps it: epochs against claims that are not committed yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.ledger import Claim, Ledger, NewTunnel, Transaction
from pinggy.core.news import News
from pinggy.core.pool import Pool
from pinggy.core.postgres.ledger import PostgresLedger
from pinggy.core.zone_book import Entry, OwnedName, Region
from pinggy.settings import Secret
from pinggy.testing.ledger import MemoryLedger
from pinggy.tunnel.grant import ANONYMOUS
from pinggy.tunnel.request import Kind
from pinggy.wire.operator import AddEdge

asynchronous = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture
async def ledger(database: Secret) -> AsyncIterator[Ledger]:
    pool = make_real(database)
    yield PostgresLedger(pool, News())
    await pool.close()


def make_real(database: Secret) -> Pool:
    return Pool(reactor, database, size=4, statement_timeout=10, patience=10)


class GoneWrong(Exception):
    """Undoes a transaction."""


async def with_edge(ledger: Ledger, name: str, region: str, *addresses: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.add_edge(AddEdge(name=name, region=region, addresses=addresses), name.encode())

    await ledger.transact(work)


async def without_edge(ledger: Ledger, name: str) -> None:
    await ledger.transact(lambda transaction: transaction.remove_edge(name))


async def disowned(ledger: Ledger, *labels: str) -> dict[str, int]:
    return await ledger.transact(lambda transaction: transaction.disowned(labels))


async def owned_names(ledger: Ledger, labels: list[str] | None) -> tuple[OwnedName, ...]:
    return await ledger.transact(lambda transaction: transaction.owned_names(labels))


async def claim(transaction: Transaction, label: str) -> int | None:
    await transaction.add_tunnel(
        NewTunnel(
            id="1" * 32, edge="e1", identity=ANONYMOUS, address="192.0.2.1", subnet="x", lease=30.0, expires_in=None
        )
    )
    return await transaction.claim(Claim(tunnel="1" * 32, number=1, kind=Kind.HTTP, name=label, named=True))


@asynchronous
async def test_a_name_that_somebody_is_about_to_get_is_not_disowned(ledger: Ledger) -> None:
    await with_edge(ledger, "e1", "eu", "192.0.2.1")
    for wrong in (True, False):
        claimed: Deferred[int | None] = Deferred()
        go_on: Deferred[None] = Deferred()

        async def work(
            transaction: Transaction,
            claimed: Deferred[int | None] = claimed,
            go_on: Deferred[None] = go_on,
            wrong: bool = wrong,
        ) -> None:
            claimed.callback(await claim(transaction, "blog"))
            await go_on
            if wrong:
                raise GoneWrong

        going_on = ledger.transact(work).addErrback(lambda failure: failure.trap(GoneWrong) and None)
        epoch = await claimed
        assert epoch is not None
        assert list(await disowned(ledger, "blog", "other")) == ["other"]
        go_on.callback(None)
        await going_on
        found = await disowned(ledger, "blog")
        assert list(found) == (["blog"] if wrong else [])
        assert all(each > epoch for each in found.values())


@asynchronous
async def test_a_claim_that_comes_while_a_name_is_disowned_has_the_higher_epoch(ledger: Ledger) -> None:
    await with_edge(ledger, "e1", "eu", "192.0.2.1")
    drawn: Deferred[dict[str, int]] = Deferred()
    go_on: Deferred[None] = Deferred()

    async def disown(transaction: Transaction) -> None:
        drawn.callback(await transaction.disowned(["blog"]))
        await go_on

    disowning = ledger.transact(disown)
    mine = (await drawn)["blog"]
    claiming = ledger.transact(lambda transaction: claim(transaction, "blog"))
    go_on.callback(None)
    await disowning
    theirs = await claiming
    assert theirs is not None
    assert theirs > mine


@asynchronous
async def test_a_regions_label_is_nobodys_stray(ledger: Ledger) -> None:
    await with_edge(ledger, "e1", "eu", "192.0.2.1")
    assert list(await disowned(ledger, "eu", "blog")) == ["blog"]


@asynchronous
async def test_regions_have_a_new_epoch_when_their_addresses_change_and_only_then(ledger: Ledger) -> None:
    async def settled() -> dict[str, Region]:
        return {each.name: each for each in await ledger.transact(lambda transaction: transaction.regions_settled())}

    assert await settled() == {}
    await with_edge(ledger, "e1", "eu", "192.0.2.1", "2001:db8::1")
    await with_edge(ledger, "e2", "ap", "192.0.2.2")
    first = await settled()
    assert {name: each.addresses for name, each in first.items()} == {
        "eu": ("192.0.2.1", "2001:db8::1"),
        "ap": ("192.0.2.2",),
    }
    assert await settled() == first
    await with_edge(ledger, "e3", "eu", "192.0.2.3", "192.0.2.1")
    second = await settled()
    assert second["eu"].addresses == ("192.0.2.1", "192.0.2.3", "2001:db8::1")
    assert second["eu"].epoch > first["eu"].epoch
    assert second["ap"] == first["ap"]
    for edge in ("e1", "e3"):
        await without_edge(ledger, edge)
    last = await settled()
    assert last["eu"].addresses == ()
    assert last["eu"].epoch > second["eu"].epoch
    assert await settled() == last


@asynchronous
@pytest.mark.parametrize("make", [lambda database: None, make_real], ids=["in memory", "PostgreSQL"])
async def test_a_region_leads_to_edges_that_drain_only_where_all_do(database: Secret, make: Any) -> None:
    pool = make(database)
    ledger: Ledger = MemoryLedger(Clock()) if pool is None else PostgresLedger(pool, News())

    async def drain(edge: str, draining: bool) -> None:
        await ledger.transact(lambda transaction: transaction.set_draining(edge, draining))

    async def settled() -> list[tuple[str, tuple[str, ...]]]:
        regions = await ledger.transact(lambda transaction: transaction.regions_settled())
        return [(each.name, each.addresses) for each in regions]

    await with_edge(ledger, "e1", "eu", "192.0.2.1")
    await with_edge(ledger, "e2", "eu", "192.0.2.2")
    await with_edge(ledger, "e3", "us", "192.0.2.3")
    both, alone = ("192.0.2.1", "192.0.2.2"), ("us", ("192.0.2.3",))
    assert await settled() == [("eu", both), alone]
    await drain("e1", True)
    assert await settled() == [("eu", ("192.0.2.2",)), alone]
    for edge in ("e2", "e3"):
        await drain(edge, True)
    assert await settled() == [("eu", both), alone]
    await drain("e1", False)
    assert await settled() == [("eu", ("192.0.2.1",)), alone]
    if pool is not None:
        await pool.close()


@asynchronous
async def test_names_are_said_with_their_owners_and_their_age(ledger: Ledger) -> None:
    await with_edge(ledger, "e1", "eu", "192.0.2.1")
    epoch = await ledger.transact(lambda transaction: claim(transaction, "blog"))
    for labels in (None, ["blog", "other"]):
        (owned,) = await owned_names(ledger, labels)
        assert (owned.label, owned.region, owned.epoch, owned.tunnel) == ("blog", "eu", epoch, "1" * 32)
        assert owned.age >= 0
    assert await owned_names(ledger, []) == ()


@asynchronous
@pytest.mark.parametrize("make", [lambda database: None, make_real], ids=["in memory", "PostgreSQL"])
async def test_an_entry_has_a_new_epoch_when_its_edges_change_and_only_then(database: Secret, make: Any) -> None:
    pool = make(database)
    ledger: Ledger = MemoryLedger(Clock()) if pool is None else PostgresLedger(pool, News())

    async def settled(port: int = 443) -> Entry:
        (entry,) = await ledger.transact(lambda transaction: transaction.entries_settled("go.a.example", port))
        return entry

    async def drain(edge: str, draining: bool) -> None:
        await ledger.transact(lambda transaction: transaction.set_draining(edge, draining))

    entries = [await settled()]
    assert entries[0].addresses == ()
    await with_edge(ledger, "e1", "eu", "192.0.2.1", "2001:db8::1")
    await with_edge(ledger, "e2", "ap", "192.0.2.2", "192.0.2.1")
    entries.append(await settled())
    assert list(entries[-1].addresses) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert await settled() == entries[-1]
    await drain("e1", True)
    entries.append(await settled())
    assert list(entries[-1].addresses) == ["192.0.2.1", "192.0.2.2"]
    await drain("e2", True)
    # Where all drain there is nowhere better to send anybody.
    entries.append(await settled())
    assert entries[-1].addresses == entries[1].addresses
    entries.append(await settled(8443))
    assert (entries[-1].name, entries[-1].port) == ("go.a.example", 8443)
    assert [each.epoch for each in entries] == sorted({each.epoch for each in entries})
    # Of one that the settings name no more, nothing is to be left in the zone.
    for _ in range(2):
        left, other = await ledger.transact(lambda transaction: transaction.entries_settled("x.a.example", 443))
        assert (left.name, left.addresses, left.epoch > entries[-1].epoch) == ("go.a.example", (), True)
        assert (other.name, other.addresses) == ("x.a.example", entries[-1].addresses)
    if pool is not None:
        await pool.close()
