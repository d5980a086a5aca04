"""
What an edge says it holds, compared with the ledger: by the core in memory and by the real one alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogLevel

from pinggy.core.holdings import OPENING
from pinggy.core.reconcile import SETTLED
from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.tunnel import refusals
from pinggy.tunnel.grant import Forwarding
from pinggy.wire.messages import Done, Holding, Live, Register, Release, Report, Want
from pinggy.wire.orders import Close
from tests.contracts import test_core as suite
from tests.contracts.test_core import Start, after, ask, granted, http, tunnel_id
from tests.support.cores import Core, InMemory, token_of
from tests.support.logs import logged

postgres = suite.postgres
start = suite.start
asynchronous = pytest_twisted.ensureDeferred

INTERVAL = 0.1  # seconds between two reports


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    with logged("pinggy.core.reconcile", LogLevel.warn) as lines:
        yield lines


class Edge:
    """An edge that says what the test wants, and one account's token."""

    def __init__(self, core: Core, client: CoreClient, token: Secret) -> None:
        self.core = core
        self.client = client
        self.token = token

    @classmethod
    async def of(cls, start: Start, **changes: Any) -> Edge:
        core = await start(report_interval=INTERVAL, **changes)
        client = await core.edge("e1")
        await client.register(Register(instance="i"))
        return cls(core, client, await token_of(core, "alice"))

    async def tunnel(self, *wants: Want) -> tuple[str, tuple[Forwarding, ...]]:
        """A live tunnel of a while ago."""
        tunnel = tunnel_id()
        answer = await self.client.authorize(ask(*wants, tunnel=tunnel, by=self.token))
        await self.client.live(Live(tunnel=tunnel, numbers=tuple(want.number for want in wants)))
        self.core.age(OPENING)
        return tunnel, tuple(granted(answer, index) for index in range(len(wants)))

    async def report(self, *holdings: Holding, **more: Any) -> None:
        assert await self.client.report(Report(**{"instance": "i", "holdings": holdings, **more})) == Done()

    async def report_twice(self, *holdings: Holding, **which: Any) -> None:
        await self.report(*holdings, **which)
        await self.pause()
        await self.report(*holdings, **which)

    async def pause(self) -> None:
        """The interval passes."""
        if isinstance(self.core, InMemory):
            self.core.age(INTERVAL)
        else:
            await deferLater(reactor, INTERVAL)

    async def live(self) -> set[str]:
        """What live tunnels have, by the ledger."""
        tunnels = (await self.core.operator.tunnels()).tunnels
        return {forwarding for each in tunnels for forwarding in each.forwardings}

    async def reasons(self) -> list[str | None]:
        return [each.reason for each in (await self.core.operator.tunnels(history=True)).tunnels]

    async def next_orders(self) -> list[Close]:
        """Those that wait, for each tunnel the first; there must be some. An order may be given twice."""
        orders = (await self.client.orders(after(0))).orders
        closes: dict[str, Close] = {}
        for each in orders:
            if isinstance(each, Close):
                closes.setdefault(each.tunnel, each)
        return list(closes.values())


def holding(tunnel: str, forwarding: Forwarding, epoch: int | None = None) -> Holding:
    return Holding(tunnel=tunnel, name=forwarding.name, epoch=forwarding.epoch if epoch is None else epoch)


@asynchronous
async def test_an_edge_learns_how_often_it_reports(start: Start) -> None:
    core = await start(report_interval=42.0)
    assert (await (await core.edge("e1")).register(Register(instance="i"))).report == 42.0


@asynchronous
async def test_what_agrees_stays_as_it_is(start: Start, warnings: list[str]) -> None:
    edge = await Edge.of(start)
    tunnel, (blog, shop) = await edge.tunnel(http(1, "blog"), http(2, "shop"))
    await edge.report_twice(holding(tunnel, blog), holding(tunnel, shop))
    assert await edge.live() == {"http blog", "http shop"}
    assert warnings == []


@asynchronous
async def test_a_tunnel_that_nobody_knows_is_closed_by_an_order(start: Start, warnings: list[str]) -> None:
    edge = await Edge.of(start)
    stranger = tunnel_id()
    await edge.report(Holding(tunnel=stranger, name="blog", epoch=7), Holding(tunnel=stranger, name="shop", epoch=8))
    (order,) = await edge.next_orders()
    assert (order.tunnel, order.code) == (stranger, "lease-lost")
    assert warnings == [
        f"edge e1 and the ledger differ: it serves {name} by epoch {epoch} for tunnel {stranger}, which is over;"
        " it is put right"
        for name, epoch in (("blog", 7), ("shop", 8))
    ]


@asynchronous
async def test_a_tunnel_that_is_over_is_closed_with_its_reason_but_not_in_the_first_seconds(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel, (blog,) = await edge.tunnel(http(1, "blog"))
    await edge.client.release(Release(tunnel=tunnel, code="expired"))
    await edge.report_twice(holding(tunnel, blog))
    edge.core.age(SETTLED + 1)
    stranger = tunnel_id()
    await edge.report(holding(tunnel, blog), Holding(tunnel=stranger, name="shop", epoch=9))
    # The stranger's is there too: had the first reports ordered something, it would come before.
    assert sorted((each.tunnel, each.code) for each in await edge.next_orders()) == sorted(
        [(tunnel, "expired"), (stranger, "lease-lost")]
    )


@asynchronous
async def test_a_tunnel_is_not_closed_while_its_successor_is_awaited(start: Start) -> None:
    edge = await Edge.of(start)
    old, (blog,) = await edge.tunnel(http(1, "blog"))
    other = await edge.core.edge("e2")
    await other.register(Register(instance="j"))
    new = tunnel_id()
    await other.authorize(ask(http(1, "blog"), tunnel=new, by=edge.token, force=True))
    edge.core.age(2 * SETTLED)
    stranger = tunnel_id()
    await edge.report_twice(holding(old, blog), Holding(tunnel=stranger, name="shop", epoch=9))
    assert [each.tunnel for each in await edge.next_orders()] == [stranger]
    await other.live(Live(tunnel=new, numbers=(1,)))
    assert [each.tunnel for each in await edge.next_orders()] == [stranger, old]


@asynchronous
async def test_a_name_by_an_epoch_that_its_tunnel_does_not_have_ends_the_tunnel_when_it_is_said_twice(
    start: Start,
) -> None:
    edge = await Edge.of(start)
    tunnel, (blog,) = await edge.tunnel(http(1, "blog"))
    for _ in range(2):
        # The same message again, as after a cut.
        await edge.report(holding(tunnel, blog), Holding(tunnel=tunnel, name="shop", epoch=blog.epoch + 1))
    assert await edge.live() == {"http blog"}
    await edge.pause()
    await edge.report(holding(tunnel, blog), Holding(tunnel=tunnel, name="shop", epoch=blog.epoch + 1))
    assert await edge.live() == set()
    assert await edge.reasons() == ["lease-lost"]
    assert [(each.tunnel, each.code) for each in await edge.next_orders()] == [(tunnel, "lease-lost")]


@asynchronous
async def test_what_two_reports_do_not_have_is_over(start: Start, warnings: list[str]) -> None:
    edge = await Edge.of(start)
    tunnel, (blog,) = await edge.tunnel(http(1, "blog"))
    await edge.report()
    assert await edge.live() == {"http blog"}
    await edge.pause()
    await edge.report()
    assert await edge.live() == set()
    assert await edge.reasons() == ["not-held"]
    assert warnings == [
        f"edge e1 and the ledger differ: it does not serve blog, which tunnel {tunnel} has by epoch {blog.epoch};"
        " it is put right"
    ]
    _, (again,) = await edge.tunnel(http(1, "blog"))
    assert again.epoch > blog.epoch


@asynchronous
async def test_a_report_that_has_it_again_is_believed(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel, (blog,) = await edge.tunnel(http(1, "blog"))
    for holdings in ((), (holding(tunnel, blog),), ()):
        await edge.report(*holdings)
        await edge.pause()
    assert await edge.live() == {"http blog"}


@asynchronous
async def test_of_a_tunnel_only_the_name_that_is_missed_ends(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel, (blog, _) = await edge.tunnel(http(1, "blog"), http(2, "shop"))
    await edge.report_twice(holding(tunnel, blog))
    assert await edge.live() == {"http blog"}
    assert await edge.reasons() == []


@asynchronous
async def test_what_is_not_live_yet_is_not_missed(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel = tunnel_id()
    await edge.client.authorize(ask(http(1, "blog"), tunnel=tunnel, by=edge.token))
    edge.core.age(OPENING)
    await edge.report_twice()
    assert await edge.live() == {"http blog"}
    await edge.client.live(Live(tunnel=tunnel, numbers=(1,)))
    await edge.report_twice()
    assert await edge.live() == set()


@asynchronous
async def test_a_name_whose_opening_may_be_on_its_way_is_not_missed(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel = tunnel_id()
    await edge.client.authorize(ask(http(1, "blog"), tunnel=tunnel, by=edge.token))
    await edge.client.live(Live(tunnel=tunnel, numbers=(1,)))
    edge.core.age(OPENING - 20)
    await edge.report()
    edge.core.age(20)
    await edge.pause()
    await edge.report()
    assert await edge.live() == {"http blog"}
    await edge.pause()
    await edge.report()
    assert await edge.live() == set()


@asynchronous
async def test_a_name_that_was_missed_and_is_served_in_vain_was_opened_and_withdrawn(
    start: Start, warnings: list[str]
) -> None:
    edge = await Edge.of(start)
    tunnel, (blog, shop) = await edge.tunnel(http(1, "blog"), http(2, "shop"))
    await edge.report(holding(tunnel, shop))
    await edge.pause()
    await edge.client.release(Release(tunnel=tunnel, code="client-left", numbers=(1,)))
    await edge.report(holding(tunnel, blog), holding(tunnel, shop))
    assert await edge.live() == {"http shop"}
    assert warnings == []


@asynchronous
async def test_a_part_of_a_report_says_nothing_of_the_names_of_others(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel, (blog, mine, shop) = await edge.tunnel(http(1, "blog"), http(2, "mine"), http(3, "shop"))
    for _ in range(2):
        await edge.report(holding(tunnel, blog), upto="blog")
        await edge.report(holding(tunnel, shop), after="mine")
        await edge.pause()
    assert await edge.live() == {"http blog", "http mine", "http shop"}
    await edge.report_twice(after="blog", upto="mine")
    assert await edge.live() == {"http blog", "http shop"}
    assert mine.name == "mine"


@asynchronous
async def test_parts_follow_the_order_of_characters(start: Start) -> None:
    """Not that of a language, in which the hyphen would count for nothing."""
    edge = await Edge.of(start)
    tunnel, (hyphen, letter) = await edge.tunnel(http(1, "a-z"), http(2, "ab"))
    for _ in range(2):
        await edge.report(holding(tunnel, hyphen), upto="a-z")
        await edge.report(holding(tunnel, letter), after="a-z")
        await edge.pause()
    assert await edge.live() == {"http a-z", "http ab"}


@asynchronous
async def test_an_edge_speaks_for_its_own_tunnels_alone(start: Start) -> None:
    edge = await Edge.of(start)
    tunnel, (blog,) = await edge.tunnel(http(1, "blog"))
    other = await edge.core.edge("e2")
    await other.register(Register(instance="j"))
    for _ in range(2):
        await other.report(Report(instance="j", holdings=(holding(tunnel, blog),)))
        await edge.pause()
    assert await edge.live() == {"http blog"}
    (order, *_) = (await other.orders(after(0, "j"))).orders
    assert isinstance(order, Close)
    assert (order.tunnel, order.code) == (tunnel, "lease-lost")


@asynchronous
async def test_an_instance_that_is_not_the_latest_has_no_say(start: Start) -> None:
    edge = await Edge.of(start)
    with pytest.raises(refusals.Conflict):
        await edge.report(instance="before")


@asynchronous
@pytest.mark.parametrize(
    "wrong",
    [
        {"holdings": (Holding(tunnel="x", name="blog", epoch=1),)},
        {"holdings": (Holding(tunnel="0" * 32, name="Blog\0", epoch=1),)},
        {"holdings": (Holding(tunnel="0" * 32, name="blog", epoch=-1),)},
        {"holdings": (Holding(tunnel="0" * 32, name="blog", epoch=2**63),)},
        {"holdings": (Holding(tunnel="0" * 32, name="blog", epoch=1),), "after": "blog"},
        {"holdings": (Holding(tunnel="0" * 32, name="blog", epoch=1),), "upto": "blo"},
        {"after": "a\0"},
        {"upto": "a" * 64},
    ],
)
async def test_nonsense_is_refused(start: Start, wrong: dict[str, Any]) -> None:
    edge = await Edge.of(start)
    with pytest.raises(refusals.MalformedMessage):
        await edge.report(**wrong)
