"""
An edge in memory: the core of `pinggy.testing`, a zone in memory, and clients joined to it without ports.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from pinggy.dns.zone import NameRecord, ZoneError
from pinggy.edge.client import Peer
from pinggy.edge.dormant import Dormants
from pinggy.edge.drain import EdgeDrain
from pinggy.edge.opening import Parts
from pinggy.edge.orders import OrderStream
from pinggy.edge.ports import PortTaken
from pinggy.edge.ssh.client import ClientSettings
from pinggy.edge.ssh.factory import SshFactory
from pinggy.edge.stream import Stream
from pinggy.edge.tickets import TicketCheck
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.testing.core import FakeCore, now
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.endings import EdgeStopping
from pinggy.wire.messages import Register
from tests.support.ssh_pair import Pair

VISITOR = Peer("198.51.100.7", 40000)


@cache
def ed25519_key() -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate())


class NotedZone:
    """A zone that notes what is asked of it, and can be made to fail or to wait; it answers the probe too."""

    def __init__(self) -> None:
        self.records: dict[str, NameRecord] = {}
        self.log: list[str] = []
        self.fails = False
        self.forgets = False
        self.waiting: Deferred[None] | None = None

    def publish(self, records: Sequence[NameRecord]) -> Deferred[None]:
        self.log.append("publish " + " ".join(record.name for record in records))
        if self.fails:
            return fail(ZoneError("down"))
        for record in records:
            if self.forgets:
                continue
            standing = self.records.get(record.name)
            if standing is None or standing.epoch <= record.epoch:
                self.records[record.name] = record
        return self.waiting or succeed(None)

    def withdraw(self, records: Sequence[NameRecord]) -> Deferred[None]:
        self.log.append("withdraw " + " ".join(record.name for record in records))
        for record in records:
            if self.records.get(record.name) == record:
                del self.records[record.name]
        return succeed(None)

    def confirm(self, record: NameRecord) -> Deferred[None]:
        if self.records.get(record.name) == record:
            return succeed(None)
        return fail(ZoneError(f"{record.name} is not there"))


@dataclass
class NotedPort:
    ports: NotedPorts
    number: int
    live: LiveForwarding | None = None

    def serve(self, live: LiveForwarding) -> None:
        self.live = live

    def close(self) -> None:
        del self.ports.bound[self.number]


@dataclass
class NotedPorts:
    """Public ports in memory; *taken* are those of another program."""

    taken: set[int] = field(default_factory=set)
    bound: dict[int, NotedPort] = field(default_factory=dict)

    def bind(self, port: int) -> NotedPort:
        if port in self.taken or port in self.bound:
            self.taken.add(port)
            raise PortTaken(port)
        self.bound[port] = NotedPort(self, port)
        return self.bound[port]


class EdgeInMemory:
    """*core*, *zone*, *ports* and *tunnels* may be looked into; `join` lets a client in."""

    def __init__(
        self,
        settings: ClientSettings | None = None,
        drain: float = 30.0,
        grant_key: ed25519.Ed25519PrivateKey | None = None,
    ) -> None:
        self.clock = Clock()
        # Far from zero, so that a missing time is not taken for one.
        self.clock.advance(1000)
        # Unix time goes its own way.
        self.wall = time.time()
        self.core = FakeCore(self.clock, key=grant_key, wall=lambda: self.wall)
        self.zone = NotedZone()
        self.ports = NotedPorts()
        self.tunnels = Tunnels()
        self.client = self.core.client()
        registered = now(self.client.register(Register(instance="one")))
        check = TicketCheck(registered.grant_key, lambda: self.wall)
        self.dormants = Dormants(core=self.client, zone=self.zone, check=check, clock=self.clock)
        self.face = PublicFace(domain="a.example")
        self.drain = EdgeDrain(core=self.client, tunnels=self.tunnels, clock=self.clock, instance="one", seconds=drain)
        self.parts = Parts(
            core=self.client,
            zone=self.zone,
            probe=self.zone,
            ports=self.ports,
            tunnels=self.tunnels,
            face=self.face,
            target="local.a.example",
            clock=self.clock,
            dormants=self.dormants,
            closed=self.drain.refusal,
        )
        self.factory = SshFactory(self.parts, [ed25519_key()], settings or ClientSettings())
        self._orders: OrderStream | None = None
        self._pairs: list[Pair] = []

    def hear_orders(self) -> None:
        """Carry out what the core orders, from now on until `close`."""
        self._orders = OrderStream(
            core=self.client, tunnels=self.tunnels, drain=self.drain, clock=self.clock, instance="one", after=0
        )
        self._orders.start()

    def stop_orders(self) -> None:
        if self._orders is not None:
            self._orders.stop()

    def join(self, user: str = "me", **more: Any) -> Pair:
        """*more*: as of `Pair`."""
        self.clock.advance(0)  # a turn of the reactor: nobody waits behind those that came before
        pair = Pair(self.factory, self.clock, user.encode(), **more)
        self._pairs.append(pair)
        return pair

    def visit(self, name: str) -> Deferred[Stream]:
        """What a visitor of *name* does: await the policy, then open a stream."""
        live = self.tunnels.by_name(name)
        assert live is not None
        d = live.tunnel.policy().addCallback(lambda _: live.tunnel.open_stream(live.forwarding, VISITOR))
        for pair in self._pairs:
            pair.flush()
        return d

    def close(self) -> None:
        """Break every connection, and see that nothing of it is left."""
        for pair in self._pairs:
            pair.vanish()
        # As a stop does: what lingers is withdrawn.
        for begun in self.tunnels.all_begun():
            begun.end(EdgeStopping.of())
        self.stop_orders()
        assert len(self.tunnels) == 0
        assert self.tunnels.begun_count == 0
        assert self.zone.records == {}
        assert self.ports.bound == {}
        self.clock.advance(0)
        left = self.clock.getDelayedCalls()
        assert left == [], left
