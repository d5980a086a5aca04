"""
From a name to a stream at another edge, over real sockets and TLS: and nobody is believed who is not that edge.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import deferLater

from pinggy.core.relay_ca import RelayAuthority, ensure_relay_authority
from pinggy.edge.elsewhere import Here, NotReached, Nowhere, Passage, Passed
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.peers.greeting import said
from pinggy.edge.peers.peering import Peering
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.tcp import TcpVisitor
from pinggy.sockets import Socket
from pinggy.tunnel.refusals import CoreAway, NotFound
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Certified, Certify, Place, Where
from tests.edge.peers.pair import DOMAIN, VISITOR, authority, passage
from tests.edge.peers.test_link import Noted
from tests.support.streams import FakeClient, live_forwarding
from tests.support.visitors import in_thread, read_all

asynchronous = pytest_twisted.ensureDeferred


class Ledger:
    """What the core knows; with *away* it does not answer."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.away = False

    def client(self, edge: str, by: RelayAuthority) -> Any:
        return _Core(self, edge, by)


class _Core:
    def __init__(self, ledger: Ledger, edge: str, by: RelayAuthority) -> None:
        self._ledger = ledger
        self._edge = edge
        self._by = by

    def certify(self, message: Certify) -> Deferred[Certified]:
        return succeed(self._by.certify(self._edge, message, datetime.now(UTC)))

    def where(self, message: Where) -> Deferred[Place]:
        if self._ledger.away:
            return fail(CoreAway.of())
        place = self._ledger.places.get(message.name)
        if place is None or place.epoch <= message.beyond:
            return fail(NotFound("Nobody has this name."))
        return succeed(place)


class Edge:
    """One edge of several in this process; *tunnels* are its own."""

    def __init__(self, name: str, ledger: Ledger, by: RelayAuthority | None = None) -> None:
        self.name = name
        self.tunnels = Tunnels()
        self.client = FakeClient()
        self._ledger = ledger
        self.peering = Peering(
            reactor=reactor,
            core=ledger.client(name, by or authority()),
            instance="i",
            edge=name,
            domain=DOMAIN,
            tunnels=self.tunnels,
            metrics=EdgeMetrics(),
        )

    async def start(self) -> None:
        limit = ConnectionLimit(100, reactor)
        await self.peering.start(Socket("127.0.0.1", 0), limit, self._serve)

    def have(self, name: str = "port", epoch: int = 7, kind: Kind = Kind.TCP) -> Place:
        """A tunnel, and what the core says of it."""
        self.tunnels.add(live_forwarding(self.client, kind=kind, name=name, epoch=epoch))
        place = Place(name=name, kind=kind, epoch=epoch, edge=self.name, host="127.0.0.1", port=self.peering.port)
        self._ledger.places[name] = place
        return place

    def _serve(self, came: Passage, live: LiveForwarding) -> IProtocol:
        return TcpVisitor(live, came.visitor, reactor)


class Edges:
    def __init__(self) -> None:
        self.ledger = Ledger()
        self._made: list[Edge] = []

    async def edge(self, name: str, by: RelayAuthority | None = None) -> Edge:
        made = Edge(name, self.ledger, by)
        self._made.append(made)
        await made.start()
        return made

    async def stop(self) -> None:
        for each in self._made:
            await each.peering.stop_listening()
            each.peering.stop()
        # What was cut is told in a later turn, on either side.
        for each in self._made:
            while each.peering.visits:
                await deferLater(reactor, 0.01)


@pytest_twisted.async_yield_fixture
async def edges() -> AsyncIterator[Edges]:
    made = Edges()
    yield made
    await made.stop()


@pytest.fixture
def other_authority(tmp_path: Path) -> RelayAuthority:
    return ensure_relay_authority(tmp_path / "other.pem", datetime.now(UTC))


async def reached(edge: Edge, **changes: Any) -> Passed | Here | Nowhere:
    return await edge.peering.elsewhere.reach(passage(**changes))


@asynchronous
async def test_a_visitor_reaches_the_tunnel_at_the_other_edge(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    far.have()
    opened = far.client.next_stream()
    found = await reached(near, first=b"hello")
    assert isinstance(found, Passed)
    noted = Noted()
    found.stream.attach(noted)
    stream = await opened
    await until(lambda: bytes(stream.written) == b"hello")
    assert far.client.visitors == [VISITOR]
    stream.client_sends(b"x" * 300_000)
    stream.client_ends()
    await until(lambda: noted.told[-1:] == ["ended"])
    assert noted.received == b"x" * 300_000
    found.stream.close()
    await until(lambda: noted.told[-1:] == ["closed"])


@asynchronous
async def test_nobodys_name_is_nowhere_and_a_wrong_kind_is_said(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    far.have("web", kind=Kind.HTTP)
    assert await reached(near, name="nobody") == Nowhere()
    assert await reached(near, name="web") == Nowhere(Kind.HTTP)


@asynchronous
async def test_where_the_tunnel_has_moved_on_the_newer_place_is_asked_for(edges: Edges) -> None:
    near, old, new = await edges.edge("near"), await edges.edge("old"), await edges.edge("new")
    stale = old.have(epoch=7)
    new.have(epoch=9)
    near.peering.places.learn(stale)
    live = old.tunnels.by_name("port")
    assert live is not None
    old.tunnels.remove(live)
    found = await reached(near)
    assert isinstance(found, Passed)
    assert found.epoch == 9
    found.stream.abort()


@asynchronous
async def test_a_tunnel_that_has_come_to_this_very_edge_is_here(edges: Edges) -> None:
    near = await edges.edge("near")
    near.have()
    found = await reached(near)
    assert isinstance(found, Here)
    assert found.live is near.tunnels.by_name("port")


@asynchronous
async def test_an_edge_that_is_gone_is_not_reached(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    far.have()
    await far.peering.stop_listening()
    with pytest.raises(NotReached):
        await reached(near)


@asynchronous
async def test_a_core_that_is_away_is_not_needed_where_the_place_is_known(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    near.peering.places.learn(far.have())
    edges.ledger.away = True
    found = await reached(near)
    assert isinstance(found, Passed)
    found.stream.abort()
    with pytest.raises(NotReached):
        await reached(near, name="unknown")


@asynchronous
async def test_an_edge_that_says_nothing_is_waited_for_so_long_and_no_longer(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    far.have()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = int(silent.getsockname()[1])
        edges.ledger.places["port"] = Place(
            name="port", kind=Kind.TCP, epoch=7, edge="far", host="127.0.0.1", port=port
        )
        with pytest.raises(NotReached):
            await reached(near)


# -- who is not believed -----------------------------------------------------------------------------------------


@asynchronous
async def test_an_edge_of_another_authority_is_neither_spoken_to_nor_listened_to(
    edges: Edges, other_authority: RelayAuthority
) -> None:
    near, far = await edges.edge("near"), await edges.edge("far", other_authority)
    far.have("theirs")
    near.have("ours")
    with pytest.raises(NotReached):
        await reached(near, name="theirs")
    with pytest.raises(NotReached):
        await reached(far, name="ours")
    assert far.client.visitors == near.client.visitors == []


@asynchronous
async def test_an_edge_that_is_another_one_gets_nobody(edges: Edges) -> None:
    near, far = await edges.edge("near"), await edges.edge("far")
    place = far.have()
    # The ledger says that it is another edge which listens there.
    edges.ledger.places["port"] = Place(
        name="port", kind=Kind.TCP, epoch=7, edge="third", host=place.host, port=place.port
    )
    with pytest.raises(NotReached):
        await reached(near)
    assert far.client.visitors == []


@asynchronous
async def test_a_stranger_without_a_certificate_brings_nobody(edges: Edges) -> None:
    far = await edges.edge("far")
    far.have()
    greeting = said(passage(), 7, DOMAIN)

    def plain() -> bytes:
        with socket.create_connection(("127.0.0.1", far.peering.port), timeout=20) as stranger:
            stranger.sendall(greeting)
            return read_all(stranger)

    def in_tls() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", far.peering.port), timeout=20) as stranger:
            try:
                with context.wrap_socket(stranger) as inside:
                    inside.sendall(greeting)
                    return read_all(inside)
            except (ssl.SSLError, ConnectionError):
                return b""

    assert b"\x01" not in (await in_thread(plain))[:1]
    assert await in_thread(in_tls) == b""
    assert far.client.visitors == []


@asynchronous
async def test_without_a_certificate_nobody_is_passed_on_or_taken(edges: Edges) -> None:
    near = Edge("near", edges.ledger)
    edges.ledger.places["port"] = Place(
        name="port", kind=Kind.TCP, epoch=7, edge="far", host="127.0.0.1", port=near_port()
    )
    with pytest.raises(NotReached):
        await reached(near)
    near.peering.stop()


def near_port() -> int:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def until(is_so: Any) -> None:
    for _ in range(2000):
        if is_so():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError("it never came to be")
