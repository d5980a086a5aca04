"""
How the HTTP side of the core ends: whoever asks on cannot keep it.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource
from pinggy.core.api.site import CoreSite
from pinggy.wire.messages import Done

PEER = IPv4Address("TCP", "192.0.2.7", 40000)


class Slow(JsonResource):
    """Answers, at the root, when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__({b"GET": self._get})
        self.asked: list[Deferred[Done]] = []

    async def _get(self, request: Request) -> Done:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def answer(self) -> None:
        self.asked.pop(0).callback(Done())


class Edge:
    """One connection that is kept open, and asks again as soon as it is answered."""

    def __init__(self, site: CoreSite) -> None:
        self.transport = StringTransport(peerAddress=PEER)
        self._protocol = site.buildProtocol(PEER)
        self._protocol.makeConnection(self.transport)

    def ask(self) -> None:
        if not self.transport.disconnecting:
            self._protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: core\r\n\r\n")


def test_a_core_that_stops_is_through_with_whoever_asks_all_the_time() -> None:
    slow = Slow()
    site = CoreSite(Clock(), slow)
    edges = [Edge(site), Edge(site)]
    edges[0].ask()
    drained = Deferred.fromCoroutine(site.drained())
    # There is always a call in hand: the next one comes before the last one is answered.
    for turn in range(6):
        edges[(turn + 1) % 2].ask()
        if slow.asked:
            slow.answer()
    assert drained.called
    assert [each.transport.disconnecting for each in edges] == [True, True]
    assert b"Connection: close" in edges[0].transport.value()


def test_a_core_that_goes_on_keeps_its_connections() -> None:
    slow = Slow()
    edge = Edge(CoreSite(Clock(), slow))
    for _ in range(3):
        edge.ask()
        slow.answer()
    assert edge.transport.value().count(b"200 OK") == 3
    assert not edge.transport.disconnecting
