"""
The end of what is sent, to a visitor who is slow to read it: over real sockets, since it is Twisted's transport that
says when he has read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.peers.guest import Guest
from pinggy.edge.visitor.wire import Wire, unsent
from tests.support.visitors import connect, in_thread, read_all

reactor = cast(Any, installed)

# More than the sockets of both sides hold.
MUCH = bytes(16 * 1024 * 1024)


class Says(Protocol):
    """Says much, and then *ends*."""

    def __init__(self, ends: Callable[[Wire], None], patience: float = 60.0) -> None:
        self._ends = ends
        self._patience = patience
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.wire = Wire(self.transport, self, secure=False, clock=reactor, patience=self._patience)
        self.wire.start()
        self.wire.send(MUCH)
        assert self.wire.full
        self._ends(self.wire)

    def wire_full(self) -> None:
        """Nothing more is said."""

    def wire_drained(self) -> None:
        """Nor then."""

    def wire_stalled(self) -> None:
        self.wire.abort()

    def wire_finishing(self) -> None:
        """No time is kept."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.wire.lost()
        self.lost.callback(None)


@pytest.mark.parametrize(
    "ends", [Wire.send_end, lambda wire: wire.finish(linger=True), lambda wire: wire.finish(linger=False)]
)
@pytest_twisted.ensureDeferred
async def test_it_comes_when_he_has_read_all(ends: Callable[[Wire], None]) -> None:
    says = Says(ends)
    port = reactor.listenTCP(0, Factory.forProtocol(lambda: says), interface="127.0.0.1")

    def reads() -> int:
        with connect(port.getHost().port) as connection:
            return len(read_all(connection))

    assert await in_thread(reads) == len(MUCH)
    says.wire.finish(linger=False)
    await says.lost
    await port.stopListening()


@pytest.mark.parametrize("ends", [lambda wire: None, lambda wire: wire.finish(linger=True)])
@pytest_twisted.ensureDeferred
async def test_one_who_reads_nothing_is_not_waited_for(ends: Callable[[Wire], None]) -> None:
    says = Says(ends, patience=0.01)
    port = reactor.listenTCP(0, Factory.forProtocol(lambda: says), interface="127.0.0.1")
    with connect(port.getHost().port):
        await says.lost
    await port.stopListening()


class Tls(Protocol):
    """Over a transport that has put something aside."""

    def __init__(self) -> None:
        below: Any = FileDescriptor(reactor)
        below.dataBuffer = b"12345"
        below.offset = 2
        below._tempDataLen = 100
        self.makeConnection(below)


def test_what_is_unsent_lies_below_tls_and_below_a_link_of_edges() -> None:
    guest = Guest(Tls(), Peer("192.0.2.7", 40000), Protocol(), reactor, lambda: None)
    inside = Protocol()
    inside.makeConnection(guest)
    for transport in (Tls().transport, Tls(), guest, inside):
        assert unsent(transport) == 103
