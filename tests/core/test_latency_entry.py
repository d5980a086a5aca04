"""
The core keeps its entry at Route 53 while edges come, drain and go, and whatever becomes of Amazon.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_twisted
from twisted.internet import reactor

from pinggy.core.drain import Drains
from pinggy.core.entry_settings import EntrySettings
from pinggy.core.latency_entry import LatencyEntry
from pinggy.dns.route53.aws import Boto
from pinggy.settings import Secret
from pinggy.testing.core import FakeCore, now
from pinggy.wire.operator import AddEdge, PlaceEdge
from tests.support.amazon import Amazon
from tests.support.cores import OverHttp
from tests.support.logs import logged

asynchronous = pytest_twisted.ensureDeferred
EU = AddEdge(name="eu-1", region="eu", addresses=("192.0.2.1", "2001:db8::1"), aws_region="eu-west-1")
US = AddEdge(name="us-1", region="us", addresses=("192.0.2.2",), aws_region="us-east-1")


class Kept:
    """A core in memory, whose entry is kept at *endpoint*."""

    def __init__(self, amazon: Amazon, endpoint: str | None = None) -> None:
        self.core = FakeCore(reactor)
        api = Boto(endpoint or amazon.endpoint)
        self.keeper = LatencyEntry(reactor, self.core.ledger, self.core.news, amazon.entry(), api)

    async def settled(self) -> None:
        """Returns when Amazon has been told all that has happened so far."""
        await self.keeper.idle()


@pytest_twisted.async_yield_fixture
async def kept(amazon: Amazon) -> AsyncIterator[Kept]:
    kept = Kept(amazon)
    kept.keeper.start()
    yield kept
    await kept.keeper.stop()


@asynchronous
async def test_edges_come_move_drain_and_go(kept: Kept, amazon: Amazon) -> None:
    operator = kept.core.operator
    now(operator.add_edge(EU))
    now(operator.add_edge(US))
    await kept.settled()
    both = {
        ("eu-west-1", "A"): {"192.0.2.1"},
        ("eu-west-1", "AAAA"): {"2001:db8::1"},
        ("us-east-1", "A"): {"192.0.2.2"},
    }
    assert amazon.answers() == both
    now(operator.place_edge(PlaceEdge(name="us-1", aws_region="us-west-2")))
    await kept.settled()
    assert amazon.answers()["us-west-2", "A"] == {"192.0.2.2"}
    now(Drains(kept.core.ledger).begin("eu-1"))
    await kept.settled()
    assert amazon.answers() == {("us-west-2", "A"): {"192.0.2.2"}}
    assert set(amazon.checks()) == {("192.0.2.2", 443)}
    now(operator.remove_edge("us-1"))
    await kept.settled()
    # The one that drains is the only one: better than none.
    assert amazon.answers() == {key: both[key] for key in both if key[0] == "eu-west-1"}
    now(operator.remove_edge("eu-1"))
    await kept.settled()
    assert (amazon.names(), amazon.checks()) == (set(), {})


@asynchronous
async def test_edges_that_are_nowhere_are_named_once(kept: Kept, amazon: Amazon) -> None:
    with logged("pinggy.core.latency_entry") as lines:
        now(kept.core.operator.add_edge(AddEdge(name="ap-1", region="ap", addresses=("192.0.2.3",))))
        now(kept.core.operator.add_edge(EU))
        await kept.settled()
        now(kept.core.operator.add_edge(US))
        await kept.settled()
    assert [line.rpartition(": ")[2] for line in lines if "no region of Amazon's" in line] == ["ap-1"]
    assert ("eu-west-1", "A") in amazon.answers()


@asynchronous
async def test_what_is_wrong_is_one_line_and_over_when_it_is_mended(kept: Kept, amazon: Amazon) -> None:
    amazon.put("go.example.com", "CNAME", "x.example.com")
    with logged("pinggy.core.latency_entry") as lines:
        now(kept.core.operator.add_edge(EU))
        await kept.settled()
        now(kept.core.operator.add_edge(US))
        await kept.settled()
        assert ["stands a CNAME" in line for line in lines] == [True]
        records = {
            "Name": "go.example.com",
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": "x.example.com"}],
        }
        change = {"Action": "DELETE", "ResourceRecordSet": records}
        amazon.client.change_resource_record_sets(HostedZoneId=amazon.zone, ChangeBatch={"Changes": [change]})
        kept.keeper.look()
        await kept.settled()
    assert "is as it should be" in lines[-1]
    assert len(amazon.answers()) == 3


@asynchronous
async def test_an_amazon_that_is_away_keeps_nobody(amazon: Amazon) -> None:
    kept = Kept(amazon, "http://127.0.0.1:9")
    with logged("pinggy.core.latency_entry") as lines:
        kept.keeper.start()
        now(kept.core.operator.add_edge(EU))
        await kept.settled()
        await kept.keeper.stop()
    assert ["Could not connect" in line for line in lines] == [True]
    assert amazon.names() == set()


@asynchronous
async def test_a_core_does_it_by_its_setting(amazon: Amazon, database: Secret) -> None:
    entry = EntrySettings(kind="route53", name="go.example.com", hosted_zone=amazon.zone, endpoint=amazon.endpoint)
    core = await OverHttp.start(database, entry=entry)
    try:
        with logged("pinggy.core.latency_entry") as lines:
            await core.operator.add_edge(EU)
            keeper = core.service.latency_entry
            assert keeper is not None
            await keeper.idle()
    finally:
        await core.stop()
    assert len(amazon.answers()) == 2
    assert "4 records written" in lines[-1]
