"""
One address in front of several cores: each new connection goes to one that lives, in turn.

As a process: ``python -m tests.support.balancer PORT TARGET_PORT...``, all on loopback, or at the address ``--host``;
it says when it listens, and SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IConsumer, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 1.0


class _Side(Protocol):
    """One of two connections that are joined: each is read no faster than the other is written."""

    other: _Side | None = None

    def join(self, other: _Side) -> None:
        self.other, other.other = other, self
        for one, peer in ((self, other), (other, self)):
            cast(Any, one.transport).registerProducer(cast(IPushProducer, peer.transport), True)

    def dataReceived(self, data: bytes) -> None:
        assert self.other is not None
        assert self.other.transport is not None
        self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        other, self.other = self.other, None
        if other is not None:
            cast(IConsumer, other.transport).unregisterProducer()
            cast(Any, other.transport).loseConnection()


class _Front(_Side):
    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._lost = False

    def connectionMade(self) -> None:
        cast(Any, self.transport).pauseProducing()
        Deferred.fromCoroutine(self._find())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._balancer.gone(self)
        super().connectionLost(reason)

    async def _find(self) -> None:
        back = await self._balancer.connect()
        if back is None:
            cast(Any, self.transport).abortConnection()
        elif self._lost:
            cast(Any, back.transport).loseConnection()
        else:
            self.join(back)
            cast(Any, self.transport).resumeProducing()


class Balancer(Factory):
    """In front of the *ports* of *host*: listen with it. Those in *down* are passed over."""

    noisy = False

    def __init__(self, reactor: Any, ports: Sequence[int], host: str = LOOPBACK) -> None:
        self.down: set[int] = set()
        self._reactor = reactor
        self._host = host
        self._ports = tuple(ports)
        self._fronts: set[_Front] = set()
        self._turns: Iterator[int] = itertools.cycle(range(len(ports)))

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        front = _Front(self)
        self._fronts.add(front)
        return front

    def cut(self) -> None:
        """All connections, at one instant."""
        for front in list(self._fronts):
            cast(Any, front.transport).abortConnection()

    def gone(self, front: _Front) -> None:
        self._fronts.discard(front)

    async def connect(self) -> _Side | None:
        """To one that takes a connection; None where none does."""
        first = next(self._turns)
        for port in self._ports[first:] + self._ports[:first]:
            if port in self.down:
                continue
            try:
                back = await TCP4ClientEndpoint(self._reactor, self._host, port, _CONNECT_SECONDS).connect(
                    Factory.forProtocol(_Side)
                )
            except ConnectError:
                continue
            return cast(_Side, back)
        return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ports", nargs="+", type=int)
    parser.add_argument("--host", default=LOOPBACK)
    arguments = parser.parse_args()
    port, *targets = arguments.ports
    balancer = Balancer(reactor, targets, arguments.host)
    cast(Any, reactor).listenTCP(port, balancer, interface=arguments.host)
    sys.stdout.write("the balancer listens\n")
    sys.stdout.flush()
    cast(Any, reactor).run()


if __name__ == "__main__":
    main()
