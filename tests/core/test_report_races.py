"""
Reports among all the other messages of an edge, each as long on its way as it may be: where no book is wrong, nothing
is found to be, and nothing ends that serves.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from pinggy.core.config import LimitSettings
from pinggy.core.holdings import OPENING
from pinggy.testing.core import SETTINGS, FakeCore, now
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, ByToken, Granted, Holding, Live, Register, Release, Report, Want
from tests.support.logs import logged

INTERVAL = 30.0  # the least that etc/core.toml allows in earnest
ON_ITS_WAY = 14.0  # seconds: an edge gives a message up after 15
AT_ONCE = (0.0,) * 4
_delays = st.sampled_from([0.0, 0.5, 3.0, ON_ITS_WAY / 2])
_steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 5.0, 14.0, 20.0]),
        st.sampled_from(["open", "extend", "withdraw", "end", "close"]),
        st.tuples(_delays, _delays, _delays, _delays),
        st.integers(min_value=0, max_value=7),
    ),
    min_size=5,
    max_size=25,
)


class Edge:
    """It holds a name from the answer to `live` until before `release`. Every message and answer takes its time."""

    def __init__(self) -> None:
        self.clock = Clock()
        limits = LimitSettings(tunnels_per_account=1000, new_tunnels_per_minute_per_address=1000)
        self.core = FakeCore(self.clock, replace(SETTINGS, lease=1e6, report_interval=INTERVAL, limits=limits))
        self.client = self.core.client("e1")
        now(self.client.register(Register(instance="i")))
        self.token = self.core.account("ann")
        self.held: dict[str, Holding] = {}
        self.numbers: dict[str, int] = {}
        self.over: set[str] = set()
        self._names = 0
        self._tunnels = 0

    # -- what it does -------------------------------------------------------------------------------------------------

    def do(self, action: str, delays: tuple[float, float, float, float], which: int) -> None:
        tunnels = sorted({each.tunnel for each in self.held.values()})
        names = sorted(self.held)
        if action == "open":
            self._tunnels += 1
            self.open(f"{self._tunnels:032x}", delays)
        elif action == "extend" and tunnels:
            self.open(tunnels[which % len(tunnels)], delays)
        elif action == "withdraw" and names:
            self.withdraw(names[which % len(names)], delays[0])
        elif action == "end" and tunnels:
            self.end(tunnels[which % len(tunnels)], delays[0])
        elif action == "close" and tunnels:
            self.close(tunnels[which % len(tunnels)], delays[0], delays[1])

    def open(self, tunnel: str, delays: tuple[float, float, float, float]) -> None:
        self._names += 1
        name, number = f"n{self._names:03}", self._names
        asking, answering, saying, hearing = delays
        authorize = Authorize(
            tunnel=tunnel,
            credential=ByToken(token=self.token),
            address="192.0.2.1",
            wants=(Want(number=number, kind=Kind.HTTP, name=name),),
        )

        def asked() -> None:
            try:
                (granted,) = now(self.client.authorize(authorize)).results
            except Refusal:
                return
            assert isinstance(granted, Granted)
            holding = Holding(tunnel=tunnel, name=name, epoch=granted.forwarding.epoch)
            self.clock.callLater(answering + saying, said, holding)

        def said(holding: Holding) -> None:
            try:
                now(self.client.live(Live(tunnel=tunnel, numbers=(number,))))
            except Refusal:
                return
            self.clock.callLater(hearing, heard, holding)

        def heard(holding: Holding) -> None:
            if tunnel in self.over:
                # It ended while it was set up: the whole of it is released.
                return
            self.held[name], self.numbers[name] = holding, number

        self.clock.callLater(asking, asked)

    def withdraw(self, name: str, delay: float) -> None:
        holding = self.held.pop(name)
        release = Release(tunnel=holding.tunnel, code="client-left", numbers=(self.numbers[name],))
        self.clock.callLater(delay, lambda: now(self.client.release(release)))

    def end(self, tunnel: str, delay: float) -> None:
        self.over.add(tunnel)
        self.held = {name: each for name, each in self.held.items() if each.tunnel != tunnel}
        release = Release(tunnel=tunnel, code="client-left")
        self.clock.callLater(delay, lambda: now(self.client.release(release)))

    def close(self, tunnel: str, hears: float, delay: float) -> None:
        """The operator closes it; the edge hears of it a little later."""
        try:
            now(self.core.operator.close_tunnel(tunnel))
        except Refusal:
            return
        self.clock.callLater(hears, self.end, tunnel, delay)

    def report(self, delay: float) -> None:
        report = Report(instance="i", holdings=tuple(self.held[name] for name in sorted(self.held)))
        self.clock.callLater(delay, lambda: now(self.client.report(report)))

    # -- what comes of it ---------------------------------------------------------------------------------------------

    def pass_by(self, seconds: float) -> None:
        """In small steps: calls may make others."""
        while seconds > 0:
            self.clock.advance(min(seconds, 0.5))
            seconds -= 0.5

    def names(self) -> set[str]:
        tunnels = now(self.core.operator.tunnels()).tunnels
        return {forwarding.removeprefix("http ") for each in tunnels for forwarding in each.forwardings}


@settings(max_examples=100)
@given(_steps, st.lists(_delays, min_size=1, max_size=5))
@example(
    # The first report is said before the name is served, the second one before it is withdrawn.
    [
        (20.0, "nothing", AT_ONCE, 0),
        (5.0, "open", (0.0, 0.0, 0.0, 7.0), 0),
        (5.0, "nothing", AT_ONCE, 0),
        (20.0, "nothing", AT_ONCE, 0),
        (14.0, "withdraw", AT_ONCE, 0),
    ],
    [0.5],
)
@example(
    # It is not served yet when the first report is said, and not any more when the second one is.
    [
        (20.0, "nothing", AT_ONCE, 0),
        (5.0, "open", (0.0, 0.0, 0.0, 7.0), 0),
        (5.0, "nothing", AT_ONCE, 0),
        (20.0, "nothing", AT_ONCE, 0),
        (5.0, "withdraw", (7.0, 0.0, 0.0, 0.0), 0),
        (5.0, "nothing", AT_ONCE, 0),
    ],
    [0.5],
)
def test_without_a_fault_nothing_differs(
    steps: list[tuple[float, str, tuple[float, float, float, float], int]], delays: list[float]
) -> None:
    edge = Edge()
    since = 0.0
    reports = 0
    with logged("pinggy.core.reconcile", LogLevel.warn) as lines:
        for gap, action, waits, which in [*steps, *[(20.0, "nothing", (0.0,) * 4, 0)] * 12]:
            edge.pass_by(gap)
            since += gap
            if since >= INTERVAL:
                since = 0.0
                edge.report(2 * delays[reports % len(delays)])
                reports += 1
            edge.do(action, waits, which)
    assert lines == []
    assert edge.names() == set(edge.held)


@pytest.mark.parametrize("lost", ["at the edge", "in the ledger"])
def test_with_a_fault_it_is_found_by_the_second_report(lost: str) -> None:
    """The model is not blind."""
    edge = Edge()
    for _ in range(2):
        edge.do("open", (1.0, 1.0, 1.0, 1.0), 0)
    edge.pass_by(4.0 + OPENING)
    if lost == "at the edge":
        edge.held.pop("n001")
    else:
        now(edge.core.ledger.transact(lambda ledger: ledger.end_forwardings(f"{1:032x}", (1,))))
    with logged("pinggy.core.reconcile", LogLevel.warn) as lines:
        for _ in range(2):
            edge.report(0.0)
            edge.pass_by(INTERVAL)
    assert len(lines) == 1
    assert edge.names() == {"n002"}
