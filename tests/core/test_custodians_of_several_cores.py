"""
Two cores over one ledger and one zone: what the one has begun and left, the other does; what both do is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import gatherResults

from pinggy.core.custodian import Custodian
from pinggy.core.news import News
from pinggy.testing.core import now
from pinggy.wire.operator import AddEdge
from tests.core.test_custodian import INTERVAL, LEASE, House

A_LITTLE = 6.0  # seconds after which another core has seen to it


class TwoCores(House):
    """Another core, with a custodian of its own, stands beside the one of `House`."""

    def __init__(self) -> None:
        super().__init__()
        self.other_news = News()
        self.other_ledger = self.core.ledger.beside(self.other_news)
        self.other = Custodian(
            self.clock,
            self.other_ledger,
            self.core.records,
            self.other_news,
            self.zone,
            kept=("status",),
            first=LEASE,
            interval=INTERVAL,
        )

    def start(self) -> None:
        super().start()
        self.other.start()

    def stop(self) -> None:
        now(self.other.stop())
        super().stop()

    def die(self) -> None:
        """The custodian of the first core, before it has done anything."""
        now(self.custodian.stop())


@pytest.fixture
def house() -> Iterator[TwoCores]:
    house = TwoCores()
    house.start()
    yield house
    house.stop()


def test_what_a_core_ended_before_it_died_is_withdrawn_by_another(house: TwoCores) -> None:
    tunnel = house.tunnel("eu", "blog")
    house.tunnel("eu", "stays")
    house.die()
    now(house.core.operator.close_tunnel(tunnel))
    assert house.names() == {"blog": "eu", "stays": "eu"}
    house.live_on(A_LITTLE, "eu")
    assert house.names() == {"stays": "eu"}


def test_who_has_the_name_by_then_keeps_it(house: TwoCores) -> None:
    tunnel = house.tunnel("eu", "blog")
    house.die()
    now(house.core.operator.close_tunnel(tunnel))
    house.tunnel("ap", "blog")
    house.live_on(A_LITTLE, "ap")
    assert house.names() == {"blog": "ap"}


def test_a_region_of_an_edge_that_a_core_added_before_it_died_has_its_host(house: TwoCores) -> None:
    house.die()
    now(house.core.operator.add_edge(AddEdge(name="us-1", region="us", addresses=("192.0.2.9",))))
    assert "us" not in house.hosts()
    house.live_on(A_LITTLE)
    assert house.hosts()["us"] == ("192.0.2.9",)


def test_a_core_that_has_missed_news_looks_for_itself(house: TwoCores) -> None:
    tunnel = house.tunnel("eu", "blog")
    house.other_ledger.deaf = True
    house.die()
    now(house.core.operator.close_tunnel(tunnel))
    house.live_on(A_LITTLE, "eu")
    assert house.names() == {"blog": "eu"}
    house.other_news.gap()
    house.live_on(A_LITTLE, "eu")
    assert house.names() == {}


def test_two_who_put_the_same_right_at_one_instant_do_no_harm(house: TwoCores) -> None:
    house.tunnel("eu", "blog", "shop")
    house.tunnel("ap", "third")
    house.live_on(A_LITTLE + 1, "eu", "ap")
    for node in (0, 1):
        house.falsify(node, "shop", None)
    reports = gatherResults([house.custodian.report(True), house.other.report(True)])
    house.live_on(1, "eu", "ap")
    now(reports)
    assert house.names() == house.names(1) == {"blog": "eu", "shop": "eu", "third": "ap"}
    assert house.agrees()
