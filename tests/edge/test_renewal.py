"""When an edge renews: its usual third of a lease, and what it does while the core does not answer."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

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
