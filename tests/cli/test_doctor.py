"""``pinggy doctor``: what the core has found, in lines for a terminal."""

from __future__ import annotations

import json
import socket

import dns.resolver
import pytest

from pinggy.cli.doctor_here import seen_from_here
from pinggy.cli.doctor_view import lines
from pinggy.wire import paths
from pinggy.wire.doctor import Address, Diagnosis, Finding, Section, State
from tests.cli.conftest import Pinggy
from tests.cli.fake_core import FakeCore
from tests.support.powerdns import PowerDns, powerdns, powerdns_of_session, rrset

__all__ = ["powerdns", "powerdns_of_session"]

WELL = Finding(check="database", state=State.WELL, text="The database answers in 2 ms.")
NOTE = Finding(check="relay", state=State.NOTE, text="It takes no visitors from other edges.")
WRONG = Finding(
    check="edge-heard",
    state=State.WRONG,
    subject="eu-1",
    text="It was last heard 9 min ago, more than a lease: its tunnels are over, and its clients are elsewhere by now.",
    advice="Is it up, and does it reach the core? Look at it.",
)


def diagnosis(*findings: Finding, addresses: tuple[Address, ...] = ()) -> Diagnosis:
    sections = (Section(title="Core", findings=findings[:1]), Section(title="Edge eu-1", findings=findings[1:]))
    return Diagnosis(
        sections=tuple(each for each in sections if each.findings),
        well=all(each.state is not State.WRONG for each in findings),
        addresses=addresses,
    )


def test_all_is_well(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.DOCTOR, diagnosis(WELL, NOTE))
    outcome = pinggy("doctor")
    assert (outcome.status, outcome.err) == (0, "All is well.\n")
    assert outcome.out == (
        "Core\n  ok     The database answers in 2 ms.\n\nEdge eu-1\n  note   It takes no visitors from other edges.\n"
    )


def test_what_is_wrong_ends_with_status_1(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.DOCTOR, diagnosis(WELL, WRONG))
    outcome = pinggy("doctor")
    assert (outcome.status, outcome.err) == (1, "pinggy: One thing is wrong.\n")
    core.answer("GET", paths.DOCTOR, diagnosis(WRONG, WRONG))
    assert pinggy("doctor").err == "pinggy: 2 things are wrong.\n"


def test_lines_fit_the_terminal_and_stand_under_each_other() -> None:
    assert lines(diagnosis(WELL, WRONG), 60) == [
        "Core",
        "  ok     The database answers in 2 ms.",
        "",
        "Edge eu-1",
        "  WRONG  It was last heard 9 min ago, more than a lease: its",
        "         tunnels are over, and its clients are elsewhere by",
        "         now.",
        "         > Is it up, and does it reach the core? Look at it.",
    ]


def test_what_would_command_the_terminal_does_not() -> None:
    evil = Finding(check="x", state=State.WRONG, text="a\x1b[2J\nb", advice="c\x07")
    assert "\x1b" not in "".join(lines(diagnosis(evil), 80))
    assert "\x07" not in "".join(lines(diagnosis(evil), 80))


def test_one_tunnel_is_asked_for_by_what_the_operator_has_at_hand(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", f"{paths.DOCTOR}/blog.a.example", diagnosis(WELL))
    core.answer("GET", f"{paths.DOCTOR}/a%2Fb%20c", diagnosis(WELL))
    assert pinggy("doctor", "blog.a.example").status == 0
    assert pinggy("doctor", "a/b c").status == 0


def test_a_program_reads_json_of_both(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.DOCTOR, diagnosis(WELL, WRONG))
    core.answer("GET", f"{paths.DOCTOR}/blog", diagnosis(WELL))
    outcome = pinggy("doctor", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["sections"][1]["findings"][0]["check"] == "edge-heard"
    outcome = pinggy("doctor", "blog", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out)["well"] is True


def test_a_port_is_one(pinggy: Pinggy) -> None:
    for word in ("0", "65536", "x", "-1"):
        assert pinggy("doctor", "blog", f"--port={word}").status == 2


# -- from here --------------------------------------------------------------------------------------------------------


@pytest.fixture
def resolver(powerdns: PowerDns) -> dns.resolver.Resolver:
    found = dns.resolver.Resolver(configure=False)
    found.nameservers = ["127.0.0.1"]
    found.port = powerdns.dns_port
    powerdns.write([rrset("blog.a.example.", "CNAME", "eu.a.example."), rrset("eu.a.example.", "A", "127.0.0.1")])
    return found


def seen(address: Address, port: int, resolver: dns.resolver.Resolver) -> list[str]:
    found = seen_from_here(diagnosis(WELL, addresses=(address,)), port, resolver)
    assert found.well
    here = found.sections[-1]
    assert {each.state for each in here.findings} == {State.NOTE}
    return [each.text for each in here.findings]


def test_the_way_from_here_is_tried_too(resolver: dns.resolver.Resolver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        address = Address(host="blog.a.example", addresses=("127.0.0.1",))
        assert seen(address, port, resolver) == [
            "The resolver of this machine leads blog.a.example to 127.0.0.1, where its edge is.",
            f"A connection to 127.0.0.1:{port} was taken.",
        ]
        # A tcp tunnel has a port of its own.
        address = Address(host="eu.a.example", addresses=("127.0.0.9",), port=port)
        assert seen(address, 443, resolver) == [
            "The resolver of this machine leads eu.a.example to 127.0.0.1; its edge is at 127.0.0.9.",
            f"A connection to 127.0.0.9:{port} was not taken: Connection refused.",
        ]


def test_a_name_that_nobody_knows_here_is_no_fault_there(resolver: dns.resolver.Resolver) -> None:
    first, _ = seen(Address(host="gone.a.example", addresses=("127.0.0.1",)), 1, resolver)
    assert first.startswith("The resolver of this machine knows no address of gone.a.example: ")


def test_without_addresses_nothing_is_tried() -> None:
    found = diagnosis(WELL)
    assert seen_from_here(found, 443) == found
