"""
The sockets of those who connect, as they are made.
"""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor

from pinggy.edge.inherited import IDLE, let_inherit

reactor = cast(Any, installed)


class Arrival(Protocol):
    def __init__(self, arrived: Deferred[Any]) -> None:
        self._arrived = arrived

    def connectionMade(self) -> None:
        self._arrived.callback(self.transport)


class Arrives(Factory[Arrival]):
    noisy = False

    def __init__(self) -> None:
        self.arrived: Deferred[Any] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Arrival:
        return Arrival(self.arrived)


@pytest_twisted.ensureDeferred
async def test_whoever_connects_is_probed_and_not_kept_waiting() -> None:
    arrives = Arrives()
    listening = reactor.listenTCP(0, arrives, interface="127.0.0.1")
    let_inherit(listening)
    here = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port)
    visitor = await connectProtocol(here, Protocol())
    transport = await arrives.arrived
    assert transport.getTcpNoDelay()
    assert transport.getTcpKeepAlive()
    assert transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE
    for each in (visitor.transport, transport):
        cast(Any, each).abortConnection()
    await listening.stopListening()


def test_in_memory_there_is_nothing_to_inherit() -> None:
    let_inherit(MemoryReactor().listenTCP(0, Factory()))
