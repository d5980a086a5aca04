"""Clients are pinged when the core asks, from when it was asked for their tunnels until their names are given back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.conch.error import ConchError
from twisted.internet.defer import Deferred

from pinggy.core.ledger import NewOrder, Transaction
from pinggy.edge.pings import BOUND
from pinggy.testing.core import now
from pinggy.tunnel.endings import EdgeStopping
from pinggy.wire.orders import Close, Order, Probe, Probed
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Pair


class Edge(EdgeInMemory):
    """One with a client of alice."""

    def __init__(self) -> None:
        super().__init__()
        self.hear_orders()
        self.token = self.core.account("alice", names=("blog",)).reveal()
        self.first = self.join(self.token)

    def order(self, order: Order) -> None:
        async def work(ledger: Transaction) -> None:
            await ledger.order([NewOrder(edge="local", order=order)])

        now(self.core.ledger.transact(work))

    def ask(self, tunnel: str) -> Deferred[object]:
        return self.core.asks.put("local", lambda ask: Probe(ask=ask, tunnel=tunnel), Probed, BOUND + 0.5)

    @property
    def tunnel(self) -> str:
        (row,) = now(self.core.operator.tunnels()).tunnels
        return row.tunnel

    def open(self) -> Pair:
        self.first.forward()
        self.first.session()
        return self.first


@pytest.fixture
def edge() -> Iterator[Edge]:
    made = Edge()
    yield made
    made.close()


def alive(asked: Deferred[object]) -> bool:
    answer = now(asked)
    assert isinstance(answer, Probed)
    return answer.alive


def test_a_client_that_answers_is_alive(edge: Edge) -> None:
    first = edge.open()
    asked = edge.ask(edge.tunnel)
    first.flush()
    assert alive(asked)
    assert not first.is_over


def test_a_client_that_does_not_answer_is_dead_and_its_tunnel_ended(edge: Edge) -> None:
    first = edge.open()
    asked = edge.ask(edge.tunnel)
    edge.clock.advance(BOUND)
    assert not alive(asked)
    assert now(edge.core.operator.tunnels()).tunnels == ()
    first.flush()
    assert first.is_over


def test_a_tunnel_that_is_not_here_is_not_alive(edge: Edge) -> None:
    assert not alive(edge.ask("0" * 32))


def test_a_tunnel_whose_name_is_being_published_is_here(edge: Edge) -> None:
    publishing: Deferred[None] = Deferred()
    edge.zone.waiting = publishing
    edge.first.forward()
    edge.first.session(None)
    assert len(edge.tunnels) == 0
    asked = edge.ask(edge.tunnel)
    edge.first.flush()
    assert alive(asked)
    publishing.callback(None)


def test_a_tunnel_whose_name_is_being_published_can_be_closed(edge: Edge) -> None:
    publishing: Deferred[None] = Deferred()
    edge.zone.waiting = publishing
    reply = edge.first.forward()
    session = edge.first.session()
    edge.order(Close(tunnel=edge.tunnel, code="closed-by-operator", text="Closed."))
    edge.first.flush()
    publishing.callback(None)
    edge.first.flush()
    assert session.lines == ["Closed."]
    with pytest.raises(ConchError):
        now(reply)
    assert now(edge.core.operator.tunnels()).tunnels == ()


def test_an_edge_that_stops_in_the_middle_takes_nobody_for_dead(edge: Edge) -> None:
    first = edge.open()
    asked = edge.ask(edge.tunnel)
    edge.stop_orders()
    assert not first.is_over
    (tunnel,) = edge.tunnels
    tunnel.end(EdgeStopping.of())
    (row,) = now(edge.core.operator.tunnels(history=True)).tunnels
    assert row.reason == "edge-stopping"
    edge.clock.advance(BOUND + 0.5)
    assert not isinstance(now(asked), Probed)


def test_where_the_core_is_away_the_answer_is_lost_and_nothing_else(edge: Edge) -> None:
    first = edge.open()
    asked = edge.ask(edge.tunnel)
    edge.core.away = True
    first.flush()
    edge.core.away = False
    edge.clock.advance(BOUND + 0.5)
    assert not isinstance(now(asked), Probed)
    assert not first.is_over
    assert len(edge.tunnels) == 1
