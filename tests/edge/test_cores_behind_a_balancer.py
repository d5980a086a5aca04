"""An edge's calls where a balancer moves it from core to core: what was cut is said again, and heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater

from pinggy.core.orders import ATTACHED
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.settings import Secret
from pinggy.tunnel.refusals import CoreAway
from pinggy.wire.messages import Nobody, Register, Renew, Renewed, Usage
from pinggy.wire.orders import AskOrders
from tests.support import postgres as real
from tests.support.balancer import LOOPBACK, Balancer
from tests.support.cores import OverHttp
from tests.support.postgres import Databases

postgres = real.postgres
asynchronous = pytest_twisted.ensureDeferred
NOTHING = Renew(instance="i", tunnels=())


class House:
    """Two cores, a balancer in front of them, and an edge's client that knows only that."""

    def __init__(self, url: Secret) -> None:
        self.url = url
        self.cores: list[OverHttp] = []

    async def start(self) -> None:
        for _ in range(2):
            self.cores.append(await OverHttp.start(self.url))
        self.balancer = Balancer(reactor, [core.service.port for core in self.cores])
        self._port = cast(Any, reactor).listenTCP(0, self.balancer, interface=LOOPBACK)
        secret = Secret("the secret of this edge")
        await self.cores[0].operator.ensure_edge("e1", "eu", ("192.0.2.1",), secret)
        self.edge = HttpCoreClient(reactor, f"http://{LOOPBACK}:{self._port.getHost().port}", secret)
        await self.edge.register(Register(instance="i"))

    async def stop(self) -> None:
        await self.edge.close()
        await maybeDeferred(self._port.stopListening)
        for core in self.cores:
            await core.stop()

    async def many(self) -> None:
        """Calls at one time: from now on many connections wait for the next."""
        await gatherResults([self.edge.renew(NOTHING) for _ in range(8)])


@pytest_twisted.async_yield_fixture
async def house(postgres: Databases) -> AsyncIterator[House]:
    house = House(postgres.emptied())
    await house.start()
    yield house
    await house.stop()


@asynchronous
async def test_calls_that_are_cut_with_all_connections_are_answered(house: House) -> None:
    for _ in range(5):
        await house.many()
        calls = [house.edge.renew(NOTHING) for _ in range(3)]
        house.balancer.cut()
        assert await gatherResults(calls) == [Renewed()] * 3


@asynchronous
async def test_a_call_that_is_cut_while_it_is_sent_is_answered(house: House) -> None:
    usages = tuple(Usage(tunnel=f"{number:032x}") for number in range(3000))
    for turns in range(12):
        call = house.edge.renew(Renew(instance="i", tunnels=usages))
        for _ in range(turns):
            await deferLater(reactor, 0)
        house.balancer.cut()
        assert len((await call).lost) == len(usages)


@pytest.mark.parametrize("which", [0, 1])
@asynchronous
async def test_a_poll_moves_to_the_other_core_and_gets_what_is_ordered_there(house: House, which: int) -> None:
    house.balancer.down = {house.cores[1 - which].service.port}
    house.balancer.cut()
    poll = house.edge.orders(AskOrders(instance="i", after=0))
    await until_attached(house.cores[which])
    house.balancer.down = {house.cores[which].service.port}
    house.balancer.cut()
    await until_attached(house.cores[1 - which])
    assert not attached(house.cores[which])
    await house.cores[which].drains.begin("e1")
    assert [each.number for each in (await poll).orders] == [1]


@asynchronous
async def test_an_edge_that_dies_between_two_polls_is_not_taken_to_be_there(house: House) -> None:
    await house.cores[0].drains.begin("e1")
    assert len((await house.edge.orders(AskOrders(instance="i", after=0))).orders) == 1
    # Answered just now, it counts as there though nothing of it waits; but not when its connections are gone.
    assert any(map(attached, house.cores))
    until = reactor.seconds() + ATTACHED / 2
    house.balancer.cut()
    while any(map(attached, house.cores)):
        assert reactor.seconds() < until
        await deferLater(reactor, 0.01)


@asynchronous
async def test_where_no_core_lives_the_edge_is_told_so_soon(house: House) -> None:
    await house.many()
    house.balancer.down = {core.service.port for core in house.cores}
    call = house.edge.identify(Nobody())
    house.balancer.cut()
    with pytest.raises(CoreAway):
        await call
    house.balancer.down = set()
    await house.edge.renew(NOTHING)


def attached(core: OverHttp) -> bool:
    return core.service.orders.attached("e1")


async def until_attached(core: OverHttp) -> None:
    for _ in range(1000):
        if attached(core):
            return
        turn: Deferred[None] = Deferred()
        reactor.callLater(0.01, turn.callback, None)
        await turn
    raise AssertionError("the edge has not asked there")
