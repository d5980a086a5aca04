"""The transport of a visitor who came by another edge, when the link under it is gone."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.peers.guest import CLOSING, Guest


class Leaving(Protocol):
    """Says to its transport, when that is lost, what it says to any that it leaves."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()


class Link(StringTransport):
    """A connection that reads whatever is said of producers as TLS does: at any time, and of none."""

    aborted = False

    def unregisterProducer(self) -> None:
        self.producer = None

    def resumeProducing(self) -> None:
        """It reads."""

    def abortConnection(self) -> None:
        self.aborted = True


def test_a_link_that_is_gone_is_not_closed_once_more() -> None:
    clock, link = Clock(), Link()
    guest = Guest(link, Peer(host="192.0.2.1", port=1234), Leaving(), clock, lambda: None)
    guest.start()
    guest.registerProducer(StringTransport(), True)
    guest.lost()
    assert clock.getDelayedCalls() == []
    clock.advance(CLOSING)
    guest.abortConnection()
    assert not link.aborted


def test_a_link_whose_end_never_comes_is_cut() -> None:
    clock, link = Clock(), Link()
    guest = Guest(link, Peer(host="192.0.2.1", port=1234), Leaving(), clock, lambda: None)
    guest.start()
    guest.loseConnection()
    clock.advance(CLOSING)
    assert link.aborted
    guest.lost()
