"""An edge keeps its lease and carries out the core's orders, whether the core answers or not."""

from __future__ import annotations

import pytest

from pinggy.core.ledger import NewOrder
from pinggy.edge.elsewhere import NothingElsewhere
from pinggy.edge.orders import LAST_WAIT, LONGEST_GRACE, OrderStream
from pinggy.edge.renewal import Renewal
from pinggy.tunnel.endings import EdgeDraining
from pinggy.wire.messages import Register
from pinggy.wire.orders import Close, Displaced, Order
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Session

LEASE = 30.0


class Standing:
    """An edge in memory with one live tunnel, its renewals and its stream of orders."""

    def __init__(self) -> None:
        self.edge = EdgeInMemory()
        registered: list[int] = []
        self.edge.client.register(Register(instance="one")).addCallback(lambda said: registered.append(said.orders))
        self.renewal = Renewal(
            core=self.edge.client,
            tunnels=self.edge.tunnels,
            dormants=self.edge.dormants,
            clock=self.edge.clock,
            instance="one",
            lease=LEASE,
        )
        self.orders = OrderStream(
            core=self.edge.client,
            tunnels=self.edge.tunnels,
            drain=self.edge.drain,
            clock=self.edge.clock,
            instance="one",
            after=registered[0],
        )
        self.renewal.start()
        self.orders.start()
        self.pair = self.edge.join(self.edge.core.account("alice", names=("blog",)).reveal())
        self.pair.forward()
        self.session: Session = self.pair.session()

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.pair.advance(1)

    def close_by_operator(self) -> None:
        (tunnel,) = self.edge.tunnels
        self.edge.core.operator.close_tunnel(tunnel.id)

    def close(self, grace: float) -> None:
        (tunnel,) = self.edge.tunnels
        close = Close(tunnel=tunnel.id, code="taken-over", text="Moved.", grace=grace)
        self.edge.core.ledger.transact(lambda ledger: ledger.order([NewOrder(edge="local", order=close)]))
        self.pair.advance(0)

    def end(self) -> None:
        self.renewal.stop()
        self.orders.stop()
        self.edge.close()


@pytest.fixture
def standing() -> Standing:
    return Standing()


def test_a_renewed_tunnel_outlives_many_leases(standing: Standing) -> None:
    standing.pass_by(int(5 * LEASE))
    assert standing.edge.tunnels.by_name("blog") is not None
    standing.end()


def test_an_order_closes_its_tunnel_at_once_and_says_why(standing: Standing) -> None:
    standing.close_by_operator()
    standing.pair.advance(0)
    assert standing.session.lines[-1] == "The operator has closed this tunnel."
    assert standing.edge.tunnels.by_name("blog") is None
    standing.end()


def test_an_order_that_comes_while_the_core_is_away_is_carried_out_when_it_is_back(standing: Standing) -> None:
    standing.edge.core.away = True
    standing.pass_by(int(2 * LAST_WAIT))
    assert standing.edge.tunnels.by_name("blog") is not None
    standing.close_by_operator()
    standing.edge.core.away = False
    standing.pass_by(int(LAST_WAIT))
    assert standing.session.lines[-1] == "The operator has closed this tunnel."
    standing.end()


@pytest.mark.parametrize(("grace", "given"), [(3.0, 3), (1e9, LONGEST_GRACE)])
def test_an_order_says_how_long_visitors_may_finish_a_minute_at_most(
    standing: Standing, grace: float, given: float
) -> None:
    standing.edge.visit("blog")
    standing.close(grace)
    assert standing.session.lines[-1] == "Moved."
    assert standing.edge.tunnels.by_name("blog") is None
    # Its heart goes on beating: whoever does not answer is not waited for.
    for _ in range(int(given) - 1):
        standing.pair.advance(1)
        standing.pair.client.sendIgnore(b"")
        standing.pair.flush()
    assert standing.session.status is None
    standing.pair.advance(1)
    assert standing.session.status == 1
    standing.end()


def test_an_order_that_breaks_is_logged_and_those_after_it_are_carried_out(
    standing: Standing, nothing_is_lost: list[str]
) -> None:
    class Broken(NothingElsewhere):
        def displaced(self, name: str, epoch: int) -> None:
            raise RuntimeError(name)

    standing.orders.stop()
    (tunnel,) = standing.edge.tunnels
    standing.orders = OrderStream(
        core=standing.edge.client,
        tunnels=standing.edge.tunnels,
        drain=standing.edge.drain,
        clock=standing.edge.clock,
        instance="one",
        after=0,
        told=Broken(),
    )
    standing.orders.start()
    orders: list[Order] = [Displaced(name="port", epoch=1), Close(tunnel=tunnel.id, code="taken-over", text="Moved.")]
    standing.edge.core.ledger.transact(
        lambda ledger: ledger.order([NewOrder(edge="local", order=each) for each in orders])
    )
    standing.pair.advance(0)
    assert standing.session.lines[-1] == "Moved."
    (failure,) = nothing_is_lost
    assert "RuntimeError: port" in failure
    nothing_is_lost.clear()
    standing.end()


def test_the_operator_drains_the_edge_and_lets_it_serve_again(standing: Standing) -> None:
    standing.edge.core.drains.begin("local")
    standing.pair.advance(0)
    assert standing.session.lines[-1] == EdgeDraining.of().text
    assert not standing.edge.join().logged_in
    standing.edge.core.drains.end("local")
    assert standing.edge.join().logged_in
    standing.end()


def test_live_tunnels_go_on_while_the_core_is_away_and_are_renewed_after(standing: Standing) -> None:
    standing.edge.core.away = True
    standing.pass_by(int(LEASE / 2))
    standing.edge.core.away = False
    standing.pass_by(int(LEASE))
    assert standing.edge.tunnels.by_name("blog") is not None
    assert standing.session.lines[-1] == "https://blog.a.example"
    standing.end()


def test_an_order_that_stops_the_edge_is_the_last_that_is_asked_for(standing: Standing) -> None:
    class Stopping(NothingElsewhere):
        def displaced(self, name: str, epoch: int) -> None:
            standing.orders.stop()

    standing.orders.stop()
    standing.orders = OrderStream(
        core=standing.edge.client,
        tunnels=standing.edge.tunnels,
        drain=standing.edge.drain,
        clock=standing.edge.clock,
        instance="one",
        after=0,
        told=Stopping(),
    )
    standing.orders.start()
    assert standing.edge.core.desk.waiting == 1
    order = NewOrder(edge="local", order=Displaced(name="port", epoch=1))
    standing.edge.core.ledger.transact(lambda ledger: ledger.order([order]))
    standing.pair.advance(0)
    assert standing.edge.core.desk.waiting == 0
    standing.end()
