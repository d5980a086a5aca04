"""
When the sweep sweeps: never before every edge had a whole lease to renew.
"""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from pinggy.testing.core import FakeCore, now
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, Nobody, Renew, Usage, Want

TUNNEL = "1" * 32


def start() -> tuple[Clock, FakeCore]:
    clock = Clock()
    core = FakeCore(clock)
    message = Authorize(
        tunnel=TUNNEL, credential=Nobody(), address="192.0.2.1", wants=(Want(number=1, kind=Kind.HTTP),)
    )
    now(core.client().authorize(message))
    return clock, core


def live(core: FakeCore) -> int:
    return len(now(core.operator.tunnels()).tunnels)


def test_a_core_that_starts_waits_a_whole_lease() -> None:
    clock, core = start()
    clock.advance(29)
    core.sweep.start()
    clock.pump([1] * 29)
    assert live(core) == 1
    clock.pump([1] * 6)
    assert live(core) == 0
    now(core.sweep.stop())


def test_a_tunnel_that_is_renewed_stays() -> None:
    clock, core = start()
    edge = core.client()
    core.sweep.start()
    for _ in range(20):
        clock.pump([1] * 10)
        assert now(edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=TUNNEL),)))).lost == ()
    now(core.sweep.stop())


def test_a_core_that_stood_still_waits_a_whole_lease() -> None:
    clock, core = start()
    core.sweep.start()
    clock.pump([1] * 25)
    clock.advance(100)
    assert live(core) == 1
    now(core.client().renew(Renew(instance="i", tunnels=(Usage(tunnel=TUNNEL),))))
    clock.pump([1] * 25)
    assert live(core) == 1
    now(core.sweep.stop())


def test_a_core_whose_database_was_away_waits_a_whole_lease() -> None:
    clock, core = start()
    core.sweep.start()
    core.ledger.away = True
    clock.pump([1] * 60)
    core.ledger.away = False
    clock.pump([1] * 24)
    assert live(core) == 1
    clock.pump([1] * 12)
    assert live(core) == 0
    now(core.sweep.stop())


def test_a_database_that_goes_while_the_core_waits_makes_it_wait_anew() -> None:
    clock, core = start()
    core.sweep.start()
    clock.pump([1] * 10)
    core.ledger.away = True
    clock.pump([1] * 15)
    core.ledger.away = False
    # A lease has passed since the start, but the edges could renew in less than half of it.
    clock.pump([1] * 24)
    assert live(core) == 1
    clock.pump([1] * 12)
    assert live(core) == 0
    now(core.sweep.stop())


@pytest.mark.parametrize("waited", [25, 60])
def test_a_database_whose_clock_jumps_makes_it_wait_anew(waited: int) -> None:
    clock, core = start()
    edge = core.client()

    def pass_by(seconds: int) -> None:
        for _ in range(seconds // 5):
            now(edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=TUNNEL),))))
            clock.pump([1] * 5)

    core.sweep.start()
    pass_by(waited)
    # Set right by minutes, or another server with another clock: no edge can have renewed since.
    core.ledger.ahead = 600.0
    clock.pump([1] * 9)
    assert live(core) == 1
    pass_by(60)
    assert live(core) == 1
    clock.pump([1] * 45)
    assert live(core) == 0
    now(core.sweep.stop())


def test_it_may_be_stopped_before_it_starts() -> None:
    _, core = start()
    now(core.sweep.stop())
