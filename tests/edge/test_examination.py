"""An edge looks at one tunnel for the operator: from the books to the local servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.conch.error import ConchError

from pinggy.core.asks import NoAnswer
from pinggy.edge.examination import OPEN_BOUND
from pinggy.edge.orders import OrderStream
from pinggy.wire.orders import Examine, Examined, LocalServer
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Visit

REFUSED = "The client's ssh could not connect to the local server."


class Looked:
    """An edge in memory whose stream of orders waits, a client's tunnel, and a core that asks about it."""

    def __init__(self) -> None:
        self.edge = EdgeInMemory()
        self.orders = OrderStream(
            core=self.edge.client,
            tunnels=self.edge.tunnels,
            drain=self.edge.drain,
            clock=self.edge.clock,
            instance="one",
            after=0,
        )
        self.orders.start()
        self.pair = self.edge.join(self.edge.core.account("alice", names=("blog", "shop")).reveal())
        self.pair.forward()
        self.pair.forward("shop", 80)
        self.pair.session()

    @property
    def tunnel(self) -> str:
        (tunnel,) = self.edge.tunnels
        return tunnel.id

    def ask(self, tunnel: str, *, frozen: bool = False) -> Any:
        """What the core hears; a *frozen* client takes nothing in meanwhile."""
        answers: list[Any] = []
        asked = self.edge.core.asks.put("local", lambda ask: Examine(ask=ask, tunnel=tunnel), Examined, 5.0)
        asked.addCallback(answers.append)
        if frozen:
            self.edge.clock.pump([0.5] * 10)
        else:
            self.pair.flush()
            self.pair.advance(0)
        (answer,) = answers
        return answer

    def end(self) -> None:
        self.orders.stop()
        self.edge.close()


@pytest.fixture
def looked() -> Iterator[Looked]:
    looked = Looked()
    yield looked
    looked.end()


def test_a_tunnel_that_serves_is_found_to_from_end_to_end(looked: Looked) -> None:
    examined = looked.ask(looked.tunnel)
    assert isinstance(examined, Examined)
    assert examined.held
    assert examined.ping == 0
    assert examined.local_servers == (LocalServer(number=1, name="blog"), LocalServer(number=2, name="shop"))


def test_what_was_opened_is_closed_without_a_byte_and_counts_as_no_visitor(looked: Looked) -> None:
    looked.ask(looked.tunnel)
    looked.pair.flush()
    visits = looked.pair.connection.forwarded
    assert [(each.bind_port, each.originator) for each in visits] == [(1, "127.0.0.1"), (80, "127.0.0.1")]
    assert [(each.received, each.over) for each in visits] == [(b"", True)] * 2
    (tunnel,) = looked.edge.tunnels
    assert (tunnel.tally.visitors, tunnel.tally.open) == (0, 0)


def test_a_local_server_that_is_down_is_named(looked: Looked, nothing_is_lost: list[str]) -> None:
    def refuse() -> Visit:
        raise ConchError("Connection refused", 2)

    looked.pair.connection.accept_forwarded = refuse
    examined = looked.ask(looked.tunnel)
    assert examined.ping == 0
    assert [each.trouble for each in examined.local_servers] == [REFUSED, REFUSED]
    # Conch's client logs what it refuses.
    assert len(nothing_is_lost) == 2
    nothing_is_lost.clear()


def test_a_frozen_client_is_waited_for_within_bounds_and_keeps_its_tunnel(looked: Looked) -> None:
    examined = looked.ask(looked.tunnel, frozen=True)
    assert examined.held
    assert examined.ping is None
    assert {each.trouble for each in examined.local_servers} == {
        f"The client's ssh did not connect to the local server within {OPEN_BOUND:g} seconds."
    }
    assert looked.edge.tunnels.by_name("blog") is not None
    # What it opens late is closed.
    looked.pair.flush()
    looked.pair.flush()
    assert all(each.over for each in looked.pair.connection.forwarded)


def test_a_tunnel_that_is_not_here_is_not_held(looked: Looked) -> None:
    examined = looked.ask("f" * 32)
    assert (examined.held, examined.ping, examined.local_servers) == (False, None, ())


def test_stopped_while_it_waits_nothing_is_left(looked: Looked) -> None:
    answers: list[Any] = []
    asked = looked.edge.core.asks.put("local", lambda ask: Examine(ask=ask, tunnel=looked.tunnel), Examined, 5.0)
    asked.addCallback(answers.append)
    looked.orders.stop()
    looked.edge.clock.pump([0.5] * 11)
    assert answers == [NoAnswer.SILENT]
