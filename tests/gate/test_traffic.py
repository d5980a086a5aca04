"""
How the HTTP side of a gate ends: whoever asks on cannot keep it.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from pinggy.gate.api import GateResource
from pinggy.gate.door import Door
from pinggy.gate.traffic import Connections, GateSite
from pinggy.settings import Secret

PEER = IPv4Address("TCP", "192.0.2.7", 40000)


class SlowDoor(Door):
    """It says that all is well when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[None]] = []

    async def healthy(self) -> None:
        self.asked.append(Deferred())
        await self.asked[-1]


def test_a_gate_that_stops_is_through_with_whoever_asks_all_the_time() -> None:
    door, clock = SlowDoor(), Clock()
    site = GateSite(clock, GateResource(door, "a.example", read_key=Secret("read"), key=None))
    connections = Connections(clock, site)
    transports = [StringTransport(peerAddress=PEER) for _ in range(2)]
    protocols = [connections.buildProtocol(PEER) for _ in transports]
    for protocol, transport in zip(protocols, transports, strict=True):
        protocol.makeConnection(transport)

    def ask(number: int) -> None:
        if not transports[number].disconnecting:
            protocols[number].dataReceived(b"GET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n")

    ask(0)
    drained = Deferred.fromCoroutine(site.drained())
    for turn in range(6):
        ask((turn + 1) % 2)
        if door.asked:
            door.asked.pop(0).callback(None)
    assert drained.called
    assert b"Connection: close" in transports[0].value()
