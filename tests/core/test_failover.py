"""
PostgreSQL's primary is killed under load and its standby takes over: every call is answered truly or refused with a
sentence, and what was said to be granted is in the ledger, once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from pinggy.core.config import LimitSettings
from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import CoreAway
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, Authorized, ByToken, Granted, Live, Register, Release, Renew, Usage, Want
from pinggy.wire.orders import AskOrders, Close
from tests.support.cores import OverHttp, token_of
from tests.support.postgres_pair import PostgresPair

T = TypeVar("T")
MANY = LimitSettings(new_tunnels_per_minute_per_address=100_000, tunnels_per_account=100_000)
EDGES = ("e1", "e2", "e3", "e4")
_ids = itertools.count(1)


@pytest.fixture
def pair() -> Iterator[PostgresPair]:
    pair = PostgresPair()
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()


class Load:
    """What edges do, again and again, and what they were told."""

    def __init__(self, token: Secret) -> None:
        self.answered = 0
        self.refused: list[str] = []
        self.granted: dict[str, Forwarding] = {}
        self.kept: set[str] = set()
        self.over = False
        self._token = token
        self._events: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def until(self, holds: Callable[[], bool]) -> Deferred[None]:
        event: Deferred[None] = Deferred()
        self._events.append((holds, event))
        return event

    async def say(self, call: Callable[[], Awaitable[T]]) -> T:
        """As an edge does: again, until it is answered."""
        while True:
            try:
                answer = await call()
            except CoreAway as refusal:
                self.refused.append(refusal.text)
                await deferLater(reactor, 0.05)
                continue
            self.answered += 1
            due = [event for holds, event in self._events if holds()]
            self._events = [each for each in self._events if each[1] not in due]
            for event in due:
                event.callback(None)
            return answer

    async def open(self, edge: CoreClient, name: str | None = None) -> str:
        """A tunnel that is live; with *name*, taken by force."""
        tunnel = f"{next(_ids):032x}"
        message = Authorize(
            tunnel=tunnel,
            credential=ByToken(token=self._token),
            address="192.0.2.1",
            wants=(Want(number=1, kind=Kind.HTTP, name=name),),
            force=name is not None,
        )
        answer: Authorized = await self.say(lambda: edge.authorize(message))
        (result,) = answer.results
        assert isinstance(result, Granted), result
        self.granted[tunnel] = result.forwarding
        await self.say(lambda: edge.live(Live(tunnel=tunnel, numbers=(1,))))
        return tunnel

    async def come_and_go(self, edge: CoreClient) -> None:
        while not self.over:
            tunnel = await self.open(edge)
            renewed = await self.say(lambda: edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel),))))  # noqa: B023
            assert renewed.lost == ()
            if next(_ids) % 2:
                await self.say(lambda: edge.release(Release(tunnel=tunnel, code="client-left")))  # noqa: B023
            else:
                self.kept.add(tunnel)

    async def take(self, edges: list[CoreClient]) -> None:
        """The name ``blog`` goes from edge to edge."""
        for edge in itertools.cycle(edges):
            if self.over:
                return
            await self.open(edge, "blog")


async def closed(edge: CoreClient, last: int) -> list[str]:
    """The tunnels that *edge* was ordered to close by orders up to *last*; each answer is heard twice."""
    tunnels: list[str] = []
    after = 0
    while after < last:
        lost, orders = [(await edge.orders(AskOrders(instance="i", after=after))).orders for _ in range(2)]
        assert lost == orders
        assert [each.number for each in orders] == list(range(after + 1, after + 1 + len(orders)))
        tunnels += [each.tunnel for each in orders if isinstance(each, Close)]
        after += len(orders)
    return tunnels


@pytest_twisted.ensureDeferred
async def test_a_primary_that_is_killed_under_load_costs_no_promise(pair: PostgresPair) -> None:
    cores = [await OverHttp.start(pair.url, limits=MANY) for _ in range(2)]
    try:
        load = Load(await token_of(cores[0], "ann"))
        edges: list[CoreClient] = [await cores[number % 2].edge(name, "eu") for number, name in enumerate(EDGES)]
        for edge in edges:
            await edge.register(Register(instance="i"))
        work = [Deferred.fromCoroutine(load.come_and_go(edge)) for edge in edges for _ in range(3)]
        work.append(Deferred.fromCoroutine(load.take(edges)))
        await load.until(lambda: load.answered >= 150)
        pair.primary.kill()
        await deferLater(reactor, 0.3)
        pair.standby.promote()
        before = load.answered
        await load.until(lambda: load.answered >= before + 150)
        load.over = True
        await gatherResults(work, consumeErrors=True)
        assert all(text.endswith(".") for text in load.refused)
        check(pair, load)
        last: dict[str, int] = dict(pair.standby.ask("SELECT edge, last FROM order_streams"))
        streams = zip(EDGES, edges, strict=True)
        ordered = Counter([tunnel for name, edge in streams for tunnel in await closed(edge, last.get(name, 0))])
        assert set(ordered.values()) <= {1}
        taken = [tunnel for tunnel, forwarding in load.granted.items() if forwarding.name == "blog"]
        assert ordered
        assert set(ordered) <= set(taken[:-1])
    finally:
        for core in cores:
            await core.stop()


def check(pair: PostgresPair, load: Load) -> None:
    """The ledger against what was said."""
    held = pair.standby.ask("SELECT tunnel, number, name, epoch FROM forwardings")
    history = pair.standby.ask("SELECT tunnel, number, name, epoch FROM ended_forwardings")
    epochs = Counter(epoch for *_, epoch in held + history)
    assert [epoch for epoch, times in epochs.items() if times > 1] == []
    written = {(tunnel, name, epoch) for tunnel, _, name, epoch in held + history}
    said = {(tunnel, forwarding.name, forwarding.epoch) for tunnel, forwarding in load.granted.items()}
    assert written == said
    assert {tunnel for tunnel, *_ in held} >= load.kept
