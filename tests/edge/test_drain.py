"""An edge that is taken out of service: nobody new, and all who are here leave little by little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from pinggy.edge.drain import CORE_PATIENCE, EdgeDrain
from pinggy.edge.linger import LINGER
from pinggy.edge.tunnels import Tunnels
from pinggy.testing.core import FakeCore, now
from pinggy.tunnel.endings import EdgeDraining, EdgeStopping
from pinggy.tunnel.refusals import Refusal
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Pair, Session
from tests.support.streams import FakeClient, live_forwarding

TOLD = (
    "This edge is being taken out of service: your tunnel is closed within 30 seconds, to be started again elsewhere."
)
SORRY = "This edge is being taken out of service: connect again, another one answers."


@pytest.fixture
def edge() -> Iterator[EdgeInMemory]:
    made = EdgeInMemory()
    yield made
    made.drain.stop()
    made.close()


def with_terminal(edge: EdgeInMemory, user: str = "me") -> tuple[Pair, Session]:
    pair = edge.join(user)
    pair.forward()
    return pair, pair.session()


def is_draining(core: FakeCore) -> bool:
    (row,) = now(core.operator.edges()).edges
    return row.draining


def test_terminals_are_told_at_once_and_closed_evenly_the_oldest_first(edge: EdgeInMemory) -> None:
    everybody = [with_terminal(edge) for _ in range(3)]
    edge.drain.begin(say=True)
    assert is_draining(edge.core)
    empty: list[None] = []
    edge.drain.empty().addCallback(empty.append)
    ended = []
    for second in range(31):
        for pair, _ in everybody:
            pair.flush()
        ended.append(sum(session.lines[-1] == SORRY for _, session in everybody))
        if second == 0:
            assert [session.lines[-1] for _, session in everybody] == [SORRY, TOLD, TOLD]
        edge.clock.advance(1)
    assert ended == [1] * 15 + [2] * 15 + [3]
    assert [session.status for _, session in everybody] == [1, 1, 1]
    assert empty == [None]


def test_nobody_new_is_let_in(edge: EdgeInMemory) -> None:
    edge.drain.begin(say=True)
    pair = edge.join(edge.core.account("alice").reveal())
    assert not pair.logged_in
    assert pair.auth.banners == [f"{SORRY}\r\n"]
    assert pair.client.goodbye == SORRY


def test_a_connection_gets_no_more_forwardings(edge: EdgeInMemory) -> None:
    pair, session = with_terminal(edge, edge.core.account("alice", names=("blog",)).reveal())
    idle = edge.join()
    # Somebody else's tunnel goes first.
    edge.drain.begin(say=True)
    refused: list[Any] = []
    for each, name in ((pair, "shop"), (idle, "localhost")):
        each.forward(name, 1).addErrback(refused.append)
    assert len(refused) == 2
    assert session.lines[-1] == SORRY


def test_what_is_being_opened_is_undone(edge: EdgeInMemory) -> None:
    edge.zone.waiting = Deferred()
    pair = edge.join()
    refused: list[Any] = []
    pair.forward().addErrback(refused.append)
    session = pair.session()
    edge.drain.begin(say=True)
    edge.zone.waiting.callback(None)
    pair.flush()
    assert len(refused) == 1
    assert session.lines == [SORRY]
    assert edge.zone.records == {}


def test_visitors_of_a_tunnel_that_is_closed_finish(edge: EdgeInMemory) -> None:
    pair, session = with_terminal(edge, edge.core.account("alice", names=("blog",)).reveal())
    edge.visit("blog")
    edge.drain.begin(say=True)
    pair.flush()
    assert session.lines[-1] == SORRY
    assert session.status is None
    pair.advance(5)
    assert session.status == 1


def test_the_record_leads_visitors_here_until_the_client_may_be_elsewhere(edge: EdgeInMemory) -> None:
    pair, session = with_terminal(edge, edge.core.account("alice", names=("blog",)).reveal())
    edge.drain.begin(say=True)
    pair.flush()
    assert session.lines[-1] == SORRY
    assert now(edge.core.operator.tunnels()).tunnels == ()
    pair.advance(LINGER - 0.1)
    assert list(edge.zone.records) == ["blog.a.example"]
    pair.advance(0.1)
    assert edge.zone.records == {}


def test_a_stop_waits_for_no_record(edge: EdgeInMemory) -> None:
    pair, _ = with_terminal(edge, edge.core.account("alice", names=("blog",)).reveal())
    edge.drain.begin(say=True)
    pair.flush()
    assert len(edge.zone.records) == 1
    over: list[Any] = []
    for begun in edge.tunnels.all_begun():
        begun.end(EdgeStopping.of()).addCallback(over.append)
    assert over == [None]
    assert edge.zone.records == {}


def test_a_core_that_is_away_is_not_waited_for_but_told_when_it_is_back(edge: EdgeInMemory) -> None:
    pair, session = with_terminal(edge)
    edge.core.away = True
    edge.drain.begin(say=True)
    pair.advance(CORE_PATIENCE - 0.1)
    assert session.lines[-1] == TOLD
    pair.advance(0.1)
    assert session.lines[-1] == SORRY
    edge.core.away = False
    pair.advance(5)
    assert is_draining(edge.core)


def test_an_edge_without_tunnels_is_empty_at_once(edge: EdgeInMemory) -> None:
    edge.drain.begin(say=True)
    assert edge.drain.empty().called
    # And so it is when it is asked once more.
    edge.drain.begin(say=True)
    assert edge.drain.empty().called


def test_whoever_is_here_yet_may_stay_when_it_drains_no_longer(edge: EdgeInMemory) -> None:
    everybody = [with_terminal(edge) for _ in range(3)]
    edge.drain.begin(say=False)
    edge.clock.advance(10)
    edge.drain.end()
    for _ in range(30):
        edge.clock.advance(1)
        for pair, _ in everybody:
            pair.flush()
    assert len(edge.tunnels) == 2
    assert edge.join().logged_in
    assert [session.lines[-1] for _, session in everybody] == [
        SORRY,
        *2 * ["This edge stays in service, and so does your tunnel."],
    ]


def test_an_edge_that_is_asked_to_stop_drains_on_whatever_the_operator_takes_back(edge: EdgeInMemory) -> None:
    everybody = [with_terminal(edge) for _ in range(2)]
    edge.drain.begin(say=True)
    empty: list[None] = []
    edge.drain.empty().addCallback(empty.append)
    edge.drain.end()
    assert not empty
    assert not edge.join().logged_in
    for _ in range(31):
        edge.clock.advance(1)
        for pair, _ in everybody:
            pair.flush()
    assert empty == [None]
    assert [session.lines[-1] for _, session in everybody] == [SORRY, SORRY]


def test_who_comes_while_the_last_ones_leave_is_not_waited_for(edge: EdgeInMemory) -> None:
    first, slow = edge.join(), edge.join()
    left: list[None] = []
    edge.factory.hang_up(5.0).addCallback(left.append)
    new = edge.join()
    first.vanish()
    assert not left
    # Those who are still here are cut off, and nobody else.
    edge.clock.advance(5.0)
    slow.flush()
    new.flush()
    assert left == [None]
    assert (slow.is_over, new.is_over) == (True, False)


class Crowd:
    """Tunnels that are gone as soon as they are told to end."""

    def __init__(self, count: int, seconds: float) -> None:
        self.clock = Clock()
        self.tunnels = Tunnels()
        self.reasons: list[Refusal] = []
        for number in range(count):
            live = live_forwarding(FakeClient(), name=f"n{number}")

            def end(reason: Refusal, grace: float = 0.0, live: Any = live) -> Deferred[None]:
                self.reasons.append(reason)
                self.tunnels.remove(live)
                return succeed(None)

            live.tunnel.end = end
            self.tunnels.add(live)
        core = FakeCore(self.clock).client()
        self.drain = EdgeDrain(core=core, tunnels=self.tunnels, clock=self.clock, instance="i", seconds=seconds)
        self.drain.begin(say=False)

    def pass_by(self, seconds: float) -> int:
        """How many are left."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)
        return len(self.tunnels)


@pytest.mark.parametrize("count", [10, 1000, 7777])
def test_a_crowd_leaves_evenly_however_large_it_is(count: int) -> None:
    crowd = Crowd(count, 10.0)
    for second in range(1, 10):
        left = crowd.pass_by(1)
        assert left / count == pytest.approx(1 - second / 10, abs=0.13)
    assert crowd.pass_by(1.2) == 0
    assert crowd.drain.empty().called
    assert {type(reason) for reason in crowd.reasons} == {EdgeDraining}
    assert crowd.clock.getDelayedCalls() == []


def test_without_seconds_all_leave_at_once() -> None:
    crowd = Crowd(500, 0.0)
    assert len(crowd.tunnels) == 0
    crowd.pass_by(0.2)
    assert crowd.drain.empty().called
