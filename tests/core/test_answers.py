"""
What the servers answer, against what the ledger says: asked in turns, and published again where it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.answers import EACH_ROUND, Answers
from pinggy.core.compare import YOUNG
from pinggy.core.metrics import CoreMetrics
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.zone import NameRecord
from pinggy.testing.core import FakeCore, now
from pinggy.testing.zone import MemoryZone
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, ByToken, Granted, Register, Release, Want
from tests.support.logs import logged

FALSE = Standing(target="nowhere.a.example")


class Asked:
    """A core, one edge, and a zone of two servers."""

    def __init__(self, zone: MemoryZone | None = None) -> None:
        self.clock = Clock()
        self.core = FakeCore(self.clock)
        self.zone = zone or MemoryZone()
        self.answers = Answers(self.core.ledger, self.core.records, self.zone, CoreMetrics())
        self.edge = self.core.client("eu-1", "eu")
        now(self.edge.register(Register(instance="i")))
        self.token = self.core.account("ann")
        self._tunnels = 0

    def tunnel(self, *names: str) -> str:
        self._tunnels += 1
        tunnel = f"{self._tunnels:032x}"
        wants = tuple(Want(number=n, kind=Kind.HTTP, name=name) for n, name in enumerate(names, 1))
        credential = ByToken(token=self.token)
        answer = now(
            self.edge.authorize(Authorize(tunnel=tunnel, credential=credential, address="192.0.2.1", wants=wants))
        )
        for each in answer.results:
            assert isinstance(each, Granted)
            record = self.core.records.name(each.forwarding.name, "eu", each.forwarding.epoch)
            now(self.zone.publish([record]))
        return tunnel

    def round(self) -> None:
        self.clock.advance(YOUNG)
        now(Deferred.fromCoroutine(self.answers.round()))

    def asked(self, server: int = 0) -> list[str]:
        asked, self.zone.asked = self.zone.asked, []
        return [name.removesuffix(".a.example") for at, name in asked if at is self.zone.servers[server]]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    with logged("pinggy.core.answers") as found:
        yield found


def test_every_server_is_asked_for_what_should_stand(asked: Asked, lines: list[str]) -> None:
    asked.tunnel("blog", "shop")
    writes = len(asked.zone.calls)
    asked.round()
    assert {name for _, name in asked.zone.asked} == {"blog.a.example", "shop.a.example"}
    assert {server for server, _ in asked.zone.asked} == set(asked.zone.servers)
    assert len(asked.zone.calls) == writes
    assert lines == []


def test_what_is_answered_wrongly_is_published_again_at_that_server_and_logged(asked: Asked, lines: list[str]) -> None:
    asked.tunnel("blog", "shop")
    asked.zone.nodes[1].answers["blog.a.example"] = FALSE
    asked.round()
    assert asked.zone.calls[-1] == ("publish", ("blog",))
    assert asked.zone.nodes[1].answers == {}
    (line,) = lines
    assert "blog.a.example" in line
    assert "nowhere.a.example" in line
    assert line.endswith("It is published there again.")
    asked.round()
    assert len(lines) == 1


def test_a_young_name_is_its_edges_business(asked: Asked) -> None:
    asked.tunnel("blog")
    now(Deferred.fromCoroutine(asked.answers.round()))
    assert asked.asked() == []


def test_a_silent_server_is_not_asked_for_more_and_the_other_is(asked: Asked, lines: list[str]) -> None:
    asked.tunnel(*(f"n{number:02}" for number in range(20)))
    asked.zone.nodes[0].away = True
    asked.round()
    assert len(asked.asked(1)) == 20
    assert lines == []


def test_all_names_have_their_turn(asked: Asked) -> None:
    names = [f"n{number:04}" for number in range(2 * EACH_ROUND + 7)]
    for start in range(0, len(names), 20):
        asked.tunnel(*names[start : start + 20])
        asked.clock.advance(60)
    seen = []
    for _ in range(3):
        asked.round()
        seen.append(asked.asked())
    assert [len(each) for each in seen] == [EACH_ROUND, EACH_ROUND, 7]
    assert sorted(name for each in seen for name in each) == names
    asked.round()
    assert asked.asked() == seen[0]


class Held(MemoryZone):
    """Its servers answer when they are let to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]:
        self.waiting.append(Deferred())
        return self.waiting[-1].addCallback(lambda _: super(Held, self).confirm_at(server, record))


def test_whose_tunnel_ends_meanwhile_is_not_published(lines: list[str]) -> None:
    zone = Held()
    asked = Asked(zone)
    tunnel = asked.tunnel("blog")
    asked.clock.advance(YOUNG)
    over = Deferred.fromCoroutine(asked.answers.round())
    now(asked.edge.release(Release(tunnel=tunnel, code="client-left")))
    for node in zone.nodes:
        node.contents.clear()
    writes = len(zone.calls)
    for waiting in iter(lambda: zone.waiting.pop() if zone.waiting else None, None):
        waiting.callback(None)
    now(over)
    assert len(zone.calls) == writes
    assert lines == []
