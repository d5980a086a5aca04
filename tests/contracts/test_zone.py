"""
What every `Zone` must do: one suite for all of them.

A zone under test comes with a way to see what its servers answer: the target of a name, or None.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import dns.message
import pytest
import pytest_twisted
from dns.rdatatype import CNAME
from twisted.internet import reactor

from pinggy.dns.answer import answer
from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.question import ask
from pinggy.dns.zone import NameRecord, NewerOwner, Zone, ZoneError
from pinggy.testing.zone import MemoryZone
from tests.dns.zones import DOMAIN, record, small_zone
from tests.support.gates import Gate, Signing


class Subject(Protocol):
    zone: Zone

    async def target(self, name: str) -> str | None:
        """What the zone's servers answer for *name*: where it leads, absolute without the final dot."""
        ...

    async def close(self) -> None: ...


class Embedded:
    def __init__(self) -> None:
        self._embedded: EmbeddedZone = small_zone()
        self.zone: Zone = self._embedded

    @classmethod
    async def start(cls, request: pytest.FixtureRequest) -> Embedded:
        return cls()

    async def close(self) -> None:
        pass

    async def target(self, name: str) -> str | None:
        reply = answer(dns.message.make_query(name, CNAME), self._embedded.contents)
        return reply.answer[0][0].target.to_text(omit_final_dot=True) if reply.answer else None


class InMemory:
    def __init__(self) -> None:
        self._memory = MemoryZone(DOMAIN)
        self.zone: Zone = self._memory

    @classmethod
    async def start(cls, request: pytest.FixtureRequest) -> InMemory:
        return cls()

    async def close(self) -> None:
        pass

    async def target(self, name: str) -> str | None:
        answers = {node.contents.get(name.lower(), Standing()).target for node in self._memory.nodes}
        (target,) = answers
        return target or None


class OverPowerDns:
    """PowerDNS itself, with this one client."""

    def __init__(self, server: PowerDnsServer) -> None:
        self._dns = server.dns_server
        self._zone = PowerDnsZone(reactor, DOMAIN, [server])
        self.zone: Zone = self._zone

    @classmethod
    async def start(cls, request: pytest.FixtureRequest) -> OverPowerDns:
        return cls(request.getfixturevalue("powerdns").server)

    async def close(self) -> None:
        await self._zone.close()

    async def target(self, name: str) -> str | None:
        reply = await ask(reactor, self._dns, dns.message.make_query(name, CNAME), 5.0, 3)
        return reply.answer[0][0].target.to_text(omit_final_dot=True) if reply.answer else None


class BehindGate(OverPowerDns):
    """PowerDNS behind a real gate, whose core has signed whatever is asked."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate.server)
        self._gate = gate
        self.zone = Signing(self._zone)

    @classmethod
    async def start(cls, request: pytest.FixtureRequest) -> BehindGate:
        return cls(Gate(request.getfixturevalue("powerdns"), request.getfixturevalue("tmp_path")))

    async def close(self) -> None:
        await super().close()
        await self._gate.stop()


@pytest_twisted.async_yield_fixture(params=[Embedded, InMemory, OverPowerDns, BehindGate])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    subject = await request.param.start(request)
    yield subject
    await subject.close()


@pytest_twisted.ensureDeferred
async def test_a_published_name_leads_to_its_target(subject: Subject) -> None:
    await subject.zone.publish([record("one"), record("two", "ap")])
    assert await subject.target("one.a.example") == "eu.a.example"
    assert await subject.target("two.a.example") == "ap.a.example"


@pytest_twisted.ensureDeferred
async def test_a_withdrawn_name_is_gone_and_others_stay(subject: Subject) -> None:
    await subject.zone.publish([record("one"), record("two")])
    await subject.zone.withdraw([record("one")])
    assert await subject.target("one.a.example") is None
    assert await subject.target("two.a.example") == "eu.a.example"


@pytest_twisted.ensureDeferred
async def test_repeating_is_harmless(subject: Subject) -> None:
    for _ in range(2):
        await subject.zone.publish([record()])
        assert await subject.target("blog.a.example") == "eu.a.example"
    for _ in range(2):
        await subject.zone.withdraw([record()])
        assert await subject.target("blog.a.example") is None


@pytest_twisted.ensureDeferred
async def test_nothing_to_do_is_done(subject: Subject) -> None:
    await subject.zone.publish([])
    await subject.zone.withdraw([])
    await subject.zone.withdraw([record("never")])


@pytest_twisted.ensureDeferred
async def test_a_higher_epoch_takes_the_name_over(subject: Subject) -> None:
    await subject.zone.publish([record(target="eu", epoch=1)])
    await subject.zone.publish([record(target="ap", epoch=2)])
    assert await subject.target("blog.a.example") == "ap.a.example"


@pytest_twisted.ensureDeferred
async def test_an_old_owner_changes_nothing(subject: Subject) -> None:
    await subject.zone.publish([record(target="ap", epoch=2)])
    with pytest.raises(NewerOwner, match=r"blog\.a\.example"):
        await subject.zone.publish([record(target="eu", epoch=1), record("other")])
    assert await subject.target("other.a.example") == "eu.a.example"
    await subject.zone.withdraw([record(target="eu", epoch=1)])
    assert await subject.target("blog.a.example") == "ap.a.example"


@pytest_twisted.ensureDeferred
async def test_an_old_owner_does_not_come_back_after_the_newer_has_left(subject: Subject) -> None:
    await subject.zone.publish([record(target="ap", epoch=2)])
    await subject.zone.withdraw([record(target="ap", epoch=2)])
    for late in (1, 2):
        with pytest.raises(NewerOwner):
            await subject.zone.publish([record(target="eu", epoch=late)])
    assert await subject.target("blog.a.example") is None
    await subject.zone.publish([record(target="eu", epoch=3)])
    assert await subject.target("blog.a.example") == "eu.a.example"


@pytest_twisted.ensureDeferred
async def test_a_withdrawal_of_an_epoch_that_never_stood_touches_no_other(subject: Subject) -> None:
    await subject.zone.publish([record(epoch=1)])
    await subject.zone.withdraw([record(epoch=2)])
    assert await subject.target("blog.a.example") == "eu.a.example"


@pytest_twisted.ensureDeferred
async def test_a_withdrawal_without_a_target_takes_whatever_lower_epoch_stands(subject: Subject) -> None:
    await subject.zone.publish([record(epoch=3)])
    await subject.zone.withdraw([NameRecord(name="blog.a.example", target="", epoch=2)])
    assert await subject.target("blog.a.example") == "eu.a.example"
    await subject.zone.withdraw([NameRecord(name="blog.a.example", target="", epoch=5)])
    assert await subject.target("blog.a.example") is None
    with pytest.raises(NewerOwner):
        await subject.zone.publish([record(epoch=4)])


@pytest.mark.parametrize(
    "name",
    ["a.example", "eu.a.example", "*.a.example", "_acme-challenge.a.example", "blog.b.example", "b..a.example", ""],
)
@pytest_twisted.ensureDeferred
async def test_names_that_no_tunnel_can_have(subject: Subject, name: str) -> None:
    bad = NameRecord(name=name, target="eu.a.example", epoch=9)
    with pytest.raises(ZoneError):
        await subject.zone.publish([record(), bad])
    assert await subject.target("blog.a.example") is None
    with pytest.raises(ZoneError):
        await subject.zone.withdraw([bad])


@pytest_twisted.ensureDeferred
async def test_case_does_not_matter(subject: Subject) -> None:
    await subject.zone.publish([record("Blog", epoch=2)])
    with pytest.raises(NewerOwner):
        await subject.zone.publish([record("blog", target="ap", epoch=1)])
    assert await subject.target("bLOG.a.example") == "eu.a.example"
