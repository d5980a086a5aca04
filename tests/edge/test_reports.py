"""An edge says what it holds: all of it, in parts that fit a message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from pinggy.edge.orders import OrderStream
from pinggy.edge.reports import AT_ONCE, Reports
from pinggy.edge.tunnels import LiveForwarding, LiveTunnel, Tunnels
from pinggy.testing.core import now
from pinggy.tunnel.grant import ANONYMOUS, Forwarding, Limits
from pinggy.tunnel.life import Life
from pinggy.tunnel.refusals import CoreAway, Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire.codec import LONGEST_BODY, encode
from pinggy.wire.messages import Done, Holding, Report
from tests.support.edges import EdgeInMemory

INTERVAL = 60.0


def _never(reason: Refusal, grace: float = 0.0) -> Deferred[None]:
    raise AssertionError("nobody ends it")


class Heard:
    """A core that notes reports; it may be away, or not answer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tunnels = Tunnels()
        self.reports: list[Report] = []
        self.answer: Deferred[Done] | None = None
        core: Any = SimpleNamespace(report=self._report)
        self.kept: list[Holding] = []
        self.loop = Reports(
            core=core,
            tunnels=self.tunnels,
            kept=lambda: self.kept,
            clock=self.clock,
            instance="i",
            interval=INTERVAL,
        )
        self.loop.start()

    def _report(self, message: Report) -> Deferred[Done]:
        self.reports.append(message)
        return succeed(Done()) if self.answer is None else self.answer

    def hold(self, *names: str) -> None:
        tunnel = LiveTunnel(
            id="1" * 32,
            client=None,  # type: ignore[arg-type]
            life=Life(),
            identity=ANONYMOUS,
            limits=Limits(forwardings=1, channels=1),
            end=_never,
        )
        for number, name in enumerate(names, 1):
            forwarding = Forwarding(number=number, kind=Kind.HTTP, name=name, epoch=2**62 + number)
            self.tunnels.add(LiveForwarding(forwarding=forwarding, tunnel=tunnel))

    def interval(self) -> None:
        self.clock.advance(1.2 * INTERVAL)


def test_everything_is_said_in_the_order_of_names_and_again() -> None:
    heard = Heard()
    heard.hold("shop", "blog")
    heard.interval()
    expected = Report(
        instance="i",
        holdings=(
            Holding(tunnel="1" * 32, name="blog", epoch=2**62 + 2),
            Holding(tunnel="1" * 32, name="shop", epoch=2**62 + 1),
        ),
    )
    assert heard.reports == [expected]
    heard.interval()
    assert heard.reports == [expected, expected]
    heard.loop.stop()


def test_nothing_is_said_too() -> None:
    heard = Heard()
    heard.interval()
    assert heard.reports == [Report(instance="i", holdings=())]
    heard.loop.stop()


def test_what_does_not_fit_one_message_is_said_in_parts_without_a_gap() -> None:
    heard = Heard()
    names = [f"{number:06}".ljust(63, "x") for number in range(2 * AT_ONCE)]
    heard.hold(*names)
    heard.interval()
    assert [each.name for report in heard.reports for each in report.holdings] == names
    assert heard.reports[0].after == ""
    assert heard.reports[-1].upto is None
    assert [each.upto for each in heard.reports[:-1]] == [each.after for each in heard.reports[1:]]
    assert all(len(encode(each)) <= LONGEST_BODY for each in heard.reports)
    heard.loop.stop()


def test_what_is_kept_for_clients_to_come_back_is_held_too() -> None:
    heard = Heard()
    heard.hold("blog", "shop")
    heard.kept = [Holding(tunnel="2" * 32, name=name, epoch=1) for name in ("zoo", "mine")]
    heard.interval()
    assert [each.name for each in heard.reports[0].holdings] == ["blog", "mine", "shop", "zoo"]
    heard.loop.stop()


def test_what_is_kept_is_said_in_the_part_that_it_belongs_to() -> None:
    heard = Heard()
    names = [f"{number:06}" for number in range(2 * AT_ONCE)]
    heard.hold(*names)
    # One under a name that somebody else has by now, at the very end of a part.
    last = names[AT_ONCE - 1]
    heard.kept = [Holding(tunnel="2" * 32, name=name, epoch=1) for name in (last, "000000x", "zoo")]
    heard.interval()
    said = [each.name for report in heard.reports for each in report.holdings]
    assert said == sorted([*names, last, "000000x", "zoo"])
    for report in heard.reports:
        assert all(report.after < each.name <= (report.upto or "~") for each in report.holdings)
    heard.loop.stop()


def test_a_core_that_is_away_hears_all_of_it_when_it_is_back() -> None:
    heard = Heard()
    heard.hold("blog")
    heard.answer = fail(CoreAway.of())
    heard.interval()
    heard.answer = None
    heard.interval()
    assert len(heard.reports) == 2
    heard.loop.stop()


def test_stopped_in_the_middle_nothing_is_left() -> None:
    heard = Heard()
    heard.answer = Deferred()
    heard.interval()
    heard.loop.stop()
    assert heard.clock.getDelayedCalls() == []


def test_a_tunnel_that_the_ledger_has_lost_is_closed_at_its_edge() -> None:
    """All of the way, over the rules of the core and the stream of orders."""
    edge = EdgeInMemory()
    reports = Reports(
        core=edge.client,
        tunnels=edge.tunnels,
        kept=edge.dormants.holdings,
        clock=edge.clock,
        instance="one",
        interval=INTERVAL,
    )
    orders = OrderStream(
        core=edge.client, tunnels=edge.tunnels, drain=edge.drain, clock=edge.clock, instance="one", after=0
    )
    reports.start()
    orders.start()
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session()
    for _ in range(int(3 * INTERVAL)):
        pair.advance(1)
    assert session.lines[-1] == "https://blog.a.example"
    (tunnel,) = edge.tunnels
    now(edge.core.ledger.transact(lambda ledger: ledger.forget_tunnel(tunnel.id)))
    for _ in range(int(2 * INTERVAL)):
        pair.advance(1)
    assert session.lines[-1] == "The core no longer knows this tunnel: start it again."
    assert edge.tunnels.by_name("blog") is None
    reports.stop()
    orders.stop()
    edge.close()
