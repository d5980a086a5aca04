from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as the_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from pinggy.edge.ports import PortTaken
from pinggy.edge.stream import StreamRefused
from pinggy.edge.visitor.tcp import TcpPort, TcpPorts
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.request import Kind
from tests.edge.visitor.conftest import WatchedLimit
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.visitors import connect, in_thread, read_all, say

reactor = cast(Any, the_reactor)


class Tcp:
    """A granted port on loopback whose visitors are streams of *client*."""

    def __init__(self) -> None:
        self.limit = WatchedLimit(50, reactor)
        self.ports = TcpPorts(reactor=reactor, interface="127.0.0.1", clock=reactor, connections=self.limit)
        self.bound = self.ports.bind(0)
        self.client = FakeClient()

    @property
    def port(self) -> int:
        return self.bound.port

    def serve(self, policy: Policy | None = None, in_force: bool = True) -> None:
        self.live = live_forwarding(
            self.client, kind=Kind.TCP, name="tcp-1", port=self.port, policy=policy, in_force=in_force
        )
        self.bound.serve(self.live)


@pytest_twisted.async_yield_fixture
async def tcp() -> AsyncIterator[Tcp]:
    tcp = Tcp()
    yield tcp
    await freed(tcp.bound)
    await tcp.limit.empty()


async def freed(bound: TcpPort) -> None:
    bound.close()
    await bound.free()


@pytest_twisted.ensureDeferred
async def test_a_visitor_is_relayed(tcp: Tcp) -> None:
    def answer(stream: FakeStream, data: bytes) -> None:
        stream.client_sends(b"you said " + data)
        stream.client_ends()

    tcp.client.answer = answer
    tcp.serve()
    assert await say(tcp.port, b"hello") == b"you said hello"
    await tcp.limit.empty()
    assert tcp.live.tunnel.tally.open == 0
    assert tcp.live.tunnel.tally.visitors == 1
    assert tcp.client.visitors[0].host == "127.0.0.1"


@pytest_twisted.ensureDeferred
async def test_the_answer_comes_after_the_visitors_fin(tcp: Tcp) -> None:
    tcp.serve()
    opened = tcp.client.next_stream()
    visit = say(tcp.port, b"a question", fin=True)
    stream = await opened
    await ended(stream)
    stream.client_sends(b"an answer to " + bytes(stream.written))
    stream.client_ends()
    assert await visit == b"an answer to a question"


@pytest_twisted.ensureDeferred
async def test_the_visitor_goes_on_after_the_clients_end(tcp: Tcp) -> None:
    tcp.serve()
    opened = tcp.client.next_stream()

    def visit() -> bytes:
        with connect(tcp.port) as connection:
            heard = read_all(connection)
            connection.sendall(b"I have heard: " + heard)
            return heard

    visiting = in_thread(visit)
    stream = await opened
    stream.client_sends(b"goodbye")
    stream.client_ends()
    assert await visiting == b"goodbye"
    await tcp.limit.empty()
    assert stream.written == b"I have heard: goodbye"
    assert stream.closed


@pytest_twisted.ensureDeferred
async def test_the_last_word_reaches_a_visitor_who_is_still_sending(tcp: Tcp) -> None:
    def answer(stream: FakeStream, data: bytes) -> None:
        stream.client_sends(b"too much")
        stream.client_closes()

    tcp.client.answer = answer
    tcp.serve()

    def visit() -> bytes:
        with connect(tcp.port) as connection:
            connection.sendall(bytes(8 << 20))
            connection.shutdown(socket.SHUT_WR)
            heard = b""
            # No reset: it would raise.
            while data := connection.recv(100):
                heard += data
            return heard

    assert await in_thread(visit) == b"too much"
    assert tcp.client.opened[0].over


@pytest_twisted.ensureDeferred
async def test_a_reset_aborts_the_stream(tcp: Tcp) -> None:
    tcp.serve()

    def visit() -> None:
        with connect(tcp.port) as connection:
            connection.sendall(b"half a")
            # Linger 0: close sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    opened = tcp.client.next_stream()
    visiting = in_thread(visit)
    stream = await opened
    await visiting
    await tcp.limit.empty()
    assert stream.aborted


@pytest_twisted.ensureDeferred
async def test_megabytes_both_ways_are_exact(tcp: Tcp) -> None:
    payload = hashlib.shake_256(b"seed").digest(8 << 20)
    digest = hashlib.sha256()

    def answer(stream: FakeStream, data: bytes) -> None:
        digest.update(data)
        stream.client_sends(data)
        stream.written.clear()

    tcp.client.answer = answer
    tcp.serve()

    def visit() -> bytes:
        with connect(tcp.port) as connection:
            sending = threading.Thread(target=connection.sendall, args=(payload,))
            sending.start()
            heard = b""
            while len(heard) < len(payload):
                heard += connection.recv(1 << 20)
            sending.join()
            return heard

    opened = tcp.client.next_stream()
    visiting = in_thread(visit)
    stream = await opened
    assert await visiting == payload
    assert digest.digest() == hashlib.sha256(payload).digest()
    tally = tcp.live.tunnel.tally
    assert (tally.received, tally.sent) == (len(payload), len(payload))
    stream.client_closes()


@pytest_twisted.ensureDeferred
async def test_a_visitor_who_stops_reading_stops_the_client(tcp: Tcp) -> None:
    tcp.serve()
    opened = tcp.client.next_stream()
    connection = await in_thread(lambda: connect(tcp.port))
    stream = await opened
    sent = 0
    while not stream.paused:
        stream.client_sends(bytes(65536))
        sent += 65536
        await turn()
        assert sent < 64 << 20
    # What waits here is one buffer of the transport; the rest is the kernel's.
    stream.client_ends()

    def read() -> int:
        with connection:
            return len(read_all(connection))

    assert await in_thread(read) == sent


@pytest_twisted.ensureDeferred
async def test_the_local_server_is_down(tcp: Tcp) -> None:
    tcp.client.refusal = StreamRefused("nobody listens")
    tcp.serve()
    assert await say(tcp.port, b"hello") == b""
    await tcp.limit.empty()
    assert tcp.live.tunnel.tally.open == 0


@pytest_twisted.ensureDeferred
async def test_who_is_not_admitted_is_dropped(tcp: Tcp) -> None:
    tcp.serve(policy=Policy(whitelist=(ip_network("198.51.100.0/24"),)))
    assert await say(tcp.port, b"hello") == b""
    assert tcp.client.visitors == []


@pytest_twisted.ensureDeferred
async def test_visitors_wait_for_the_policy(tcp: Tcp) -> None:
    tcp.serve(in_force=False)
    opened = tcp.client.next_stream()
    visit = say(tcp.port, b"hello", fin=True)
    await entered(tcp.limit)
    assert tcp.client.visitors == []
    tcp.live.tunnel.life.command_read(Policy())
    tcp.live.tunnel.life_changed()
    stream = await opened
    await ended(stream)
    assert stream.written == b"hello"
    stream.client_closes()
    assert await visit == b""


@pytest_twisted.ensureDeferred
async def test_before_it_serves_visitors_are_turned_away(tcp: Tcp) -> None:
    assert await say(tcp.port, b"hello") == b""


@pytest_twisted.ensureDeferred
async def test_a_port_in_use_is_said_to_be_taken(tcp: Tcp) -> None:
    with pytest.raises(PortTaken):
        tcp.ports.bind(tcp.port)


@pytest_twisted.ensureDeferred
async def test_a_closed_port_can_be_bound_again_and_its_visitors_stay(tcp: Tcp) -> None:
    tcp.serve()
    opened = tcp.client.next_stream()
    connection = await in_thread(lambda: connect(tcp.port))
    stream = await opened
    number = tcp.port
    await freed(tcp.bound)
    await freed(tcp.bound)
    tcp.bound = tcp.ports.bind(number)
    stream.client_sends(b"still here")
    assert await in_thread(lambda: connection.recv(100)) == b"still here"
    stream.client_closes()
    assert await in_thread(lambda: connection.recv(100)) == b""
    connection.close()


def test_over_the_limit_of_an_address_visitors_are_turned_away() -> None:
    memory = MemoryReactorClock()
    limit = WatchedLimit(2, memory)
    bound = TcpPorts(reactor=memory, interface="::", clock=memory, connections=limit).bind(20001)
    bound.serve(live_forwarding(kind=Kind.TCP))
    factory = memory.tcpServers[0][1]
    address = IPv4Address("TCP", "192.0.2.7", 1)
    assert [factory.buildProtocol(address) is not None for _ in range(3)] == [True, True, False]


async def ended(stream: FakeStream) -> None:
    """The visitor's end has come."""
    while not stream.ended:
        await turn()


async def entered(limit: WatchedLimit) -> None:
    while not limit.count:
        await turn()


def turn() -> Deferred[None]:
    """One turn of the reactor."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)
    return turned
