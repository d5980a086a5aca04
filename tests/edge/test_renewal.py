"""When an edge renews: its usual third of a lease, and what it does while the core does not answer."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import Dormants
from pinggy.edge.renewal import Renewal
from pinggy.edge.tickets import TicketCheck
from pinggy.edge.tunnels import Tunnels
from pinggy.testing.core import FakeCore
from pinggy.wire.messages import Register
from tests.support.edges import NotedZone

LEASE = 30.0


def pauses(clock: Clock, count: int) -> list[float]:
    """The next *count* pauses between two renewals."""
    found = []
    for _ in range(count):
        (call,) = clock.getDelayedCalls()
        found.append(call.getTime() - clock.seconds())
        clock.advance(found[-1])
    return found


def test_a_core_that_is_away_is_asked_less_and_less_often() -> None:
    clock = Clock()
    core = FakeCore(clock)
    client = core.client()
    client.register(Register(instance="i"))
    dormants = Dormants(core=client, zone=NotedZone(), check=TicketCheck(""), clock=clock)
    renewal = Renewal(core=client, tunnels=Tunnels(), dormants=dormants, clock=clock, instance="i", lease=LEASE)
    renewal.start()
    assert pauses(clock, 2) == pytest.approx([LEASE / 3] * 2)
    for _ in range(2):
        core.away = True
        # This one does not know yet.
        assert pauses(clock, 1) == pytest.approx([LEASE / 3])
        for pause, longest in zip(pauses(clock, 6), (1.0, 2.0, 4.0, 8.0, 10.0, 10.0), strict=True):
            assert longest / 2 <= pause <= longest
        core.away = False
        assert pauses(clock, 1)[0] <= LEASE / 3
        assert pauses(clock, 2) == pytest.approx([LEASE / 3] * 2)
    renewal.stop()
    assert clock.getDelayedCalls() == []


class Slow(Dormants):
    """It has much to give back, and has been *asked* so often what is due."""

    def __init__(self, *, core: CoreClient, clock: Clock) -> None:
        super().__init__(core=core, zone=NotedZone(), check=TicketCheck(""), clock=clock)
        self.given_back: Deferred[None] = Deferred()
        self.asked = 0

    async def renewed(self, answered: bool, lost: Collection[str] = ()) -> None:
        self.asked += 1
        await self.given_back


def test_leases_do_not_wait_for_what_is_given_back() -> None:
    clock = Clock()
    client = FakeCore(clock).client()
    client.register(Register(instance="i"))
    dormants = Slow(core=client, clock=clock)
    renewal = Renewal(core=client, tunnels=Tunnels(), dormants=dormants, clock=clock, instance="i", lease=LEASE)
    renewal.start()
    assert pauses(clock, 5) == pytest.approx([LEASE / 3] * 5)
    assert renewal.answered == clock.seconds()
    assert dormants.asked == 1
    dormants.given_back.callback(None)
    assert pauses(clock, 1) == pytest.approx([LEASE / 3])
    assert dormants.asked == 2
    renewal.stop()
