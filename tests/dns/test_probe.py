"""
The probe, against our own server and against servers that answer oddly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
import pytest_twisted
from dns.message import Message
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import DatagramProtocol

from pinggy.dns.answer import answer
from pinggy.dns.embedded import EmbeddedDns
from pinggy.dns.probe import DnsProbe
from pinggy.dns.zone import ZoneError
from tests.dns.zones import record, small_zone

Answerer = Callable[[Message], list[bytes]]


class Oddity(DatagramProtocol):
    """Answers each query with what *answerer* makes of it."""

    noisy = False
    transport: Any

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.asked: list[tuple[Message, int]] = []
        self.first: Deferred[None] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(datagram)
        self.asked.append((query, addr[1]))
        for each in self._answerer(query):
            self.transport.write(each, addr)
        if not self.first.called:
            self.first.callback(None)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.transport.getHost().port)


@pytest_twisted.async_yield_fixture
async def oddity() -> AsyncIterator[Callable[[Answerer], Oddity]]:
    ports = []

    def listen(answerer: Answerer) -> Oddity:
        server = Oddity(answerer)
        ports.append(reactor.listenUDP(0, server, interface="127.0.0.1"))  # type: ignore[attr-defined]
        return server

    yield listen
    for each in ports:
        await each.stopListening()


def probe(*servers: tuple[str, int], timeout: float = 30.0, tries: int = 3) -> DnsProbe:
    return DnsProbe(reactor, servers, timeout=timeout, tries=tries)


def right(query: Message) -> Message:
    zone = small_zone()
    zone.publish([record()])
    return answer(query, zone.contents)


async def refused(waiting: Awaitable[None]) -> str:
    with pytest.raises(ZoneError) as caught:
        await waiting
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_our_own_servers_confirm() -> None:
    zone = small_zone()
    servers = [EmbeddedDns(reactor, host, 0, zone) for host in ("127.0.0.1", "127.0.0.2")]
    for each in servers:
        each.listen()
    both = probe(*((each.host, each.port) for each in servers))
    said = await refused(both.confirm(record()))
    for each in servers:
        assert f"{each.host}:{each.port}, asked for blog.a.example, answered NXDOMAIN." in said
    zone.publish([record()])
    await both.confirm(record())
    said = await refused(both.confirm(record(target="ap")))
    assert "answered eu.a.example. instead of ap.a.example." in said
    assert "no such alias" in await refused(both.confirm(record("eu")))
    for each in servers:
        await each.stop()


def with_flags(flags: int) -> Answerer:
    def answerer(query: Message) -> list[bytes]:
        response = right(query)
        response.flags ^= flags
        return [response.to_wire()]

    return answerer


def with_rcode(query: Message) -> list[bytes]:
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    return [response.to_wire()]


@pytest.mark.parametrize(
    ("answerer", "said"),
    [
        (with_flags(dns.flags.TC), "in part only"),
        (with_flags(dns.flags.AA), "without authority"),
        (with_rcode, "SERVFAIL"),
        (lambda query: [query.id.to_bytes(2, "big") + b"\xff" * 30], "not a DNS message"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_odd_answers_are_named(oddity: Callable[[Answerer], Oddity], answerer: Answerer, said: str) -> None:
    server = oddity(answerer)
    text = await refused(probe(server.address).confirm(record()))
    assert said in text
    assert f"127.0.0.1:{server.address[1]}" in text


@pytest_twisted.ensureDeferred
async def test_forgeries_are_passed_over(oddity: Callable[[Answerer], Oddity]) -> None:
    def forged_then_right(query: Message) -> list[bytes]:
        other_id = right(query)
        other_id.id ^= 1
        other_question = right(dns.message.make_query("other.a.example", "CNAME", id=query.id))
        echo = query.to_wire()
        return [b"", b"x", echo, other_id.to_wire(), other_question.to_wire(), right(query).to_wire()]

    await probe(oddity(forged_then_right).address).confirm(record())


@pytest_twisted.ensureDeferred
async def test_a_lost_datagram_is_sent_again(oddity: Callable[[Answerer], Oddity]) -> None:
    server = oddity(lambda query: [right(query).to_wire()] if len(server.asked) == 3 else [])
    await probe(server.address, timeout=0.01).confirm(record())
    assert len(server.asked) == 3


@pytest_twisted.ensureDeferred
async def test_each_question_has_an_id_and_a_port_of_its_own(oddity: Callable[[Answerer], Oddity]) -> None:
    server = oddity(lambda query: [right(query).to_wire()])
    for _ in range(8):
        await probe(server.address).confirm(record())
    assert len({query.id for query, _ in server.asked}) > 4
    assert len({port for _, port in server.asked}) > 4
    assert not any(query.flags & dns.flags.RD for query, _ in server.asked)


@pytest_twisted.ensureDeferred
async def test_silence_and_absence_are_named(oddity: Callable[[Answerer], Oddity]) -> None:
    silent = oddity(lambda query: [])
    good = oddity(lambda query: [right(query).to_wire()])
    text = await refused(probe(good.address, silent.address, timeout=0.01, tries=2).confirm(record()))
    assert text == f"The DNS server 127.0.0.1:{silent.address[1]} does not answer."
    assert len(silent.asked) == 2
    gone = EmbeddedDns(reactor, "127.0.0.1", 0, small_zone())
    gone.listen()
    await gone.stop()
    text = await refused(probe(("127.0.0.1", gone.port), timeout=0.01, tries=2).confirm(record()))
    assert text.endswith("does not answer.")


@pytest_twisted.ensureDeferred
async def test_cancel_leaves_nothing_behind(oddity: Callable[[Answerer], Oddity]) -> None:
    silent = oddity(lambda query: [])
    waiting = probe(silent.address).confirm(record())
    await silent.first
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting


def test_servers_are_given_by_address() -> None:
    with pytest.raises(ValueError, match="ns1"):
        probe(("ns1.a.example", 53))
