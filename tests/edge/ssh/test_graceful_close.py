"""A tunnel that ends gracefully: its client is told at once, its visitors finish."""

from __future__ import annotations

from typing import Any

import pytest

from pinggy.edge.stream import StreamRefused
from pinggy.tunnel.endings import ClosedByOperator, EdgeStopping
from pinggy.wire.orders import GRACE
from tests.edge.ssh.test_flow import Receiver
from tests.support.edges import VISITOR, EdgeInMemory
from tests.support.ssh_pair import Session

TAKEN_OVER = "Taken over: a newer session from 192.0.2.7 has started with force."


class TakenOver:
    """``blog`` had a visitor when a second session of the same account took it by force."""

    def __init__(self, edge: EdgeInMemory, visited: bool = True) -> None:
        self.edge = edge
        token = edge.core.account("alice", names=("blog",)).reveal()
        self.old = edge.join(token)
        self.old.forward()
        self.terminal: Session = self.old.session()
        found = edge.tunnels.by_name("blog")
        assert found is not None
        self.live = found
        self.receiver = Receiver()
        if visited:
            streams: list[Any] = []
            edge.visit("blog").addCallback(streams.append)
            self.old.flush()
            streams[0].attach(self.receiver)
        self.new = edge.join(f"{token}+force")
        self.new.forward()
        self.lines = self.new.session().lines
        self.old.flush()

    @property
    def is_left(self) -> bool:
        return self.old.is_over


def test_the_terminal_is_told_at_once_and_the_visitor_goes_on(edge: EdgeInMemory) -> None:
    taken = TakenOver(edge)
    assert taken.lines == ["http://blog.a.example", "https://blog.a.example"]
    assert taken.terminal.lines[-1] == TAKEN_OVER
    now = edge.tunnels.by_name("blog")
    assert now is not None
    assert now.tunnel is not taken.live.tunnel
    taken.old.connection.forwarded[0].write(b"the rest of it")
    taken.old.flush()
    assert taken.receiver.received == b"the rest of it"
    assert taken.terminal.status is None
    assert not taken.is_left
    # What is written late by the old owner is fenced: the new record stands.
    assert edge.zone.records["blog.a.example"].epoch == now.forwarding.epoch


def test_the_client_is_left_when_its_last_visitor_has_finished(edge: EdgeInMemory) -> None:
    taken = TakenOver(edge)
    taken.old.advance(1)
    assert taken.terminal.status is None
    taken.old.connection.forwarded[0].loseConnection()
    taken.old.flush()
    assert taken.receiver.events[-1] == "closed"
    # The fake visitor's side does what `Relay` does.
    taken.live.tunnel.stream_over()
    taken.old.flush()
    assert taken.terminal.over
    assert taken.terminal.status == 1
    assert taken.terminal.lines.count(TAKEN_OVER) == 1


def test_a_visitor_who_does_not_finish_is_cut_off_after_the_grace(edge: EdgeInMemory) -> None:
    taken = TakenOver(edge)
    taken.old.advance(GRACE - 0.1)
    assert taken.terminal.status is None
    taken.old.advance(0.1)
    assert taken.terminal.status == 1
    taken.old.advance(2)
    assert taken.is_left
    assert taken.receiver.events[-1] == "closed"


def test_without_visitors_the_client_is_left_at_once(edge: EdgeInMemory) -> None:
    taken = TakenOver(edge, visited=False)
    assert taken.terminal.lines[-1] == TAKEN_OVER
    assert taken.terminal.status == 1


def test_no_new_stream_no_new_session_and_no_new_forwarding_meanwhile(edge: EdgeInMemory) -> None:
    taken = TakenOver(edge)
    refused: list[Any] = []
    taken.live.tunnel.open_stream(taken.live.forwarding, VISITOR).addErrback(lambda failure: refused.append(failure))
    assert refused[0].check(StreamRefused) is not None
    assert refused[0].value.gone
    late = taken.old.session()
    assert late.refused == "The tunnel is over."
    asked: list[Any] = []
    taken.old.forward("shop", 1).addErrback(asked.append)
    taken.old.advance(3)
    assert len(asked) == 1
    assert taken.terminal.lines[-1] == TAKEN_OVER
    assert taken.terminal.status is None


class Idle:
    """*stream* is kept for a later request."""

    def __init__(self, stream: Any) -> None:
        self.close_if_idle = stream.close


@pytest.mark.parametrize("grace", [0.0, GRACE])
def test_no_stream_that_is_only_kept_is_open_when_the_exit_status_comes(edge: EdgeInMemory, grace: float) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session()
    live = edge.tunnels.by_name("blog")
    assert live is not None
    edge.visit("blog").addCallback(lambda stream: live.tunnel.kept.add(Idle(stream)))
    pair.flush()
    live.tunnel.end(ClosedByOperator.of(), grace)
    pair.flush()
    assert pair.connection.forwarded[0].over
    # The fake visitor's side does what `Upstream` does.
    live.tunnel.stream_over()
    pair.flush()
    assert session.status == 1


@pytest.mark.parametrize("leaves", [True, False])
def test_the_grace_is_cut_short_by_a_client_that_leaves_or_an_edge_that_stops(edge: EdgeInMemory, leaves: bool) -> None:
    taken = TakenOver(edge)
    if leaves:
        taken.old.vanish()
    else:
        taken.live.tunnel.end(EdgeStopping.of())
        taken.old.flush()
        assert taken.terminal.status == 1
        assert taken.terminal.lines[-1] == TAKEN_OVER
        taken.old.advance(2)
    assert taken.is_left


def test_names_and_records_are_given_back_at_once(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session()
    live = edge.tunnels.by_name("blog")
    assert live is not None
    edge.visit("blog")
    given_back: list[None] = []
    live.tunnel.end(ClosedByOperator.of(), GRACE).addCallback(given_back.append)
    assert given_back == [None]
    assert edge.tunnels.by_name("blog") is None
    assert edge.zone.records == {}
    pair.flush()
    assert session.status is None
    other = edge.join(edge.core.account("alice").reveal())
    other.forward()
    assert other.session().lines[0] == "http://blog.a.example"
