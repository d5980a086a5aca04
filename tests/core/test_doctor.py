"""
The doctor's look at the core's papers and at the zone: what the contract suite has neither of.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.core.compare import YOUNG
from pinggy.core.custodian import Custodian
from pinggy.core.doctor.core import AUTHORITY_SOON, CERTIFICATE_SOON, CoreCheck, Papers
from pinggy.core.doctor.doctor import make_doctor
from pinggy.core.doctor.findings import span
from pinggy.core.doctor.zone import ZoneCheck
from pinggy.dns.powerdns.listing import Standing
from pinggy.testing.core import SETTINGS, FakeCore, now
from pinggy.testing.zone import MemoryZone
from pinggy.tunnel.request import Kind
from pinggy.wire.doctor import Finding, Section, State
from pinggy.wire.messages import Authorize, ByToken, Granted, Register, Want

TODAY = 1_800_000_000.0


def look(check: Any) -> Section:
    found: Section = now(Deferred.fromCoroutine(check.look()))
    return found


def states(section: Section) -> dict[str, State]:
    return {each.check: each.state for each in section.findings}


def core_check(core: FakeCore, **papers: Any) -> CoreCheck:
    return CoreCheck(Clock(), core.ledger, Papers(**papers), lambda: TODAY)


@pytest.fixture
def core() -> FakeCore:
    return FakeCore(Clock())


# -- the core -------------------------------------------------------------------------------------------------------


def test_papers_that_are_good_are_well(core: FakeCore) -> None:
    section = look(
        core_check(
            core,
            expires=lambda: TODAY + 2 * CERTIFICATE_SOON,
            authority_expires=TODAY + 2 * AUTHORITY_SOON,
            signs=True,
            gates=True,
        )
    )
    assert set(states(section).values()) == {State.WELL}
    assert [each.text for each in section.findings if each.check == "certificate"] == [
        "Its certificate is good for 14 days."
    ]


@pytest.mark.parametrize(
    ("papers", "check", "text"),
    [
        ({"expires": lambda: TODAY + 7200}, "certificate", "Its certificate is over in 2 h."),
        ({"expires": lambda: TODAY - 86_400}, "certificate", "Its certificate is over since 24 h."),
        (
            {"authority_expires": TODAY + 30 * 86_400},
            "relay-authority",
            "The authority of edges' certificates is over in 30 days.",
        ),
        ({"gates": True}, "grant-key", "It signs no grants, and there are gates that want them signed."),
        ({"hears": lambda: False}, "news", "It does not hear of what other cores do: its connection for that is lost."),
    ],
)
def test_papers_that_are_not_are_wrong(core: FakeCore, papers: dict[str, Any], check: str, text: str) -> None:
    wrong = [each for each in look(core_check(core, **papers)).findings if each.state is State.WRONG]
    assert [(each.check, each.text) for each in wrong] == [(check, text)]
    assert wrong[0].advice


def test_the_entry_and_what_is_wrong_with_it(core: FakeCore) -> None:
    said: list[tuple[str, str | None] | None] = [None, ("go.a.example", None), ("go.a.example", "no credentials")]
    found = [states(look(core_check(core, entry=lambda one=one: one))).get("entry") for one in said]
    assert found == [None, State.WELL, State.WRONG]
    (finding,) = (each for each in look(core_check(core, entry=lambda: said[2])).findings if each.check == "entry")
    assert finding.text == "The entry go.a.example is not as it should be: no credentials"


def test_without_its_database_nothing_else_is_asked(core: FakeCore) -> None:
    doctor = make_doctor(Clock(), SETTINGS, core.ledger, core.records, core.asks, None, None, Papers())
    core.ledger.away = True
    (section,) = now(doctor.all()).sections
    assert states(section)["database"] is State.WRONG


@given(st.floats(min_value=-10, max_value=1e9))
def test_spans_are_short_words(seconds: float) -> None:
    number, unit = span(seconds).split()
    assert unit in ("ms", "s", "min", "h", "days")
    assert 0 <= int(number) <= 12_000


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0021, "2 ms"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


# -- the zone -------------------------------------------------------------------------------------------------------


class House:
    """A zone of two servers, kept by a custodian, and one name that stands there."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.core = FakeCore(self.clock)
        self.zone = MemoryZone()
        core = self.core
        self.custodian = Custodian(
            self.clock, core.ledger, core.records, core.news, self.zone, kept=(), first=30.0, interval=60.0
        )
        self.check = ZoneCheck("a.example", self.custodian)
        edge = core.client("eu-1", "eu")
        now(edge.register(Register(instance="i")))
        credential = ByToken(token=core.account("ann"))
        want = Want(number=1, kind=Kind.HTTP, name="blog")
        authorize = Authorize(tunnel="1" * 32, credential=credential, address="192.0.2.1", wants=(want,))
        (granted,) = now(edge.authorize(authorize)).results
        assert isinstance(granted, Granted)
        now(self.zone.publish([core.records.name("blog", "eu", granted.forwarding.epoch)]))
        self.custodian.start()
        self.clock.advance(YOUNG)

    def of_server(self, number: int) -> dict[str, Finding]:
        url = self.zone.servers[number].url
        return {each.check: each for each in look(self.check).findings if each.subject == url}

    def stop(self) -> None:
        now(self.custodian.stop())


@pytest.fixture
def house() -> Any:
    house = House()
    yield house
    house.stop()


def test_servers_that_have_and_answer_what_they_should_are_well(house: House) -> None:
    for number in (0, 1):
        assert {each.state for each in house.of_server(number).values()} == {State.WELL}
    assert states(look(house.check))["zone-compared"] is State.NOTE
    house.clock.advance(30)
    assert states(look(house.check))["zone-compared"] is State.WELL


def test_what_a_server_has_that_it_should_not_is_shown(house: House) -> None:
    for number in range(5):
        house.zone.nodes[1].contents[f"stray{number}.a.example"] = Standing(target="eu.a.example")
    found = house.of_server(1)["zone-server"]
    assert found.state is State.WRONG
    assert "stray0.a.example has CNAME eu.a.example for nothing" in found.text
    assert found.text.endswith(", and 2 more.")
    assert house.of_server(0)["zone-server"].state is State.WELL


def test_what_a_server_answers_otherwise_is_shown_and_left_for_the_loop(house: House) -> None:
    house.zone.nodes[0].answers["blog.a.example"] = Standing(target="us.a.example")
    found = house.of_server(0)
    assert found["zone-server"].state is State.WELL
    assert found["zone-answers"].state is State.WRONG
    assert "us.a.example" in found["zone-answers"].text
    assert "blog.a.example" in house.zone.nodes[0].answers
    house.clock.advance(30)
    assert house.of_server(0)["zone-answers"].state is State.WELL
    compared = next(each for each in look(house.check).findings if each.check == "zone-compared")
    assert "put 1 name right" in compared.text


def test_a_server_that_is_away_is_named_once(house: House) -> None:
    house.zone.nodes[0].away = True
    found = house.of_server(0)
    assert list(found) == ["zone-server"]
    assert found["zone-server"].state is State.WRONG
    assert house.of_server(1)["zone-server"].state is State.WELL


def test_a_core_that_knows_no_servers_says_so() -> None:
    (finding,) = look(ZoneCheck("a.example", None)).findings
    assert finding.state is State.NOTE
