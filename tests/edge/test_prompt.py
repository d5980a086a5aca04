"""
Bytes that are sent at once keep their order with those that are gathered.
"""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from pinggy.edge.prompt import LARGEST, write_promptly

reactor = cast(Any, installed)


class Says(Protocol):
    """Sends *pieces* in one turn, each promptly or not, then closes."""

    def __init__(self, pieces: list[tuple[bytes, bool]]) -> None:
        self._pieces = pieces

    def connectionMade(self) -> None:
        assert self.transport is not None
        for piece, promptly in self._pieces:
            if promptly:
                write_promptly(self.transport, piece)
            else:
                self.transport.write(piece)
        self.transport.loseConnection()


class Hears(Protocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.all: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.all.callback(b"".join(self.heard))


@pytest.mark.parametrize("seed", range(5))
@pytest_twisted.ensureDeferred
async def test_all_arrives_in_order(seed: int) -> None:
    chance = random.Random(seed)
    sizes = (1, 100, LARGEST, LARGEST + 1, 300_000)
    pieces = [(chance.randbytes(chance.choice(sizes)), chance.random() < 0.7) for _ in range(60)]
    listening = reactor.listenTCP(0, Factory.forProtocol(lambda: Says(pieces)), interface="127.0.0.1")
    hears = Hears()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port), hears)
    assert await hears.all == b"".join(piece for piece, _ in pieces)
    await listening.stopListening()


def test_other_transports_write_as_ever() -> None:
    transport = StringTransport()
    write_promptly(transport, b"hello")
    assert transport.value() == b"hello"
