"""
``pinggy zone show``, ``check`` and ``key``, against a core of a few lines.
"""

from __future__ import annotations

import json
import re

from pinggy.wire import operator, paths
from tests.cli.conftest import Pinggy
from tests.cli.fake_core import FakeCore

ONE, TWO = "https://ns1.a.example:8443", "https://ns2.a.example:8443"
WRONG = operator.ZoneDifference(
    url=ONE, name="blog.a.example", stands="CNAME evil.example", should="CNAME eu.a.example"
)
LEFT = operator.ZoneDifference(url=TWO, name="old.a.example", stands="CNAME us.a.example", should="")
AWAY = operator.ZoneServer(url=TWO, trouble="no answer within 5 s\x1b[1m")


def report(
    *differences: operator.ZoneDifference, mended: bool = False, two: operator.ZoneServer | None = None
) -> operator.ZoneReport:
    servers = (operator.ZoneServer(url=ONE), two or operator.ZoneServer(url=TWO))
    return operator.ZoneReport(servers=servers, differences=differences, mended=mended)


def test_show(pinggy: Pinggy, core: FakeCore) -> None:
    rows = (
        operator.ZoneRow(name="blog.a.example", kind="CNAME", content="eu.a.example", epoch=17, owner="ab" * 16),
        operator.ZoneRow(name="eu.a.example", kind="A", content="192.0.2.1", epoch=3, owner="region"),
    )
    core.answer("GET", paths.ZONE, operator.Zone(domain="a.example", rows=rows))
    outcome = pinggy("zone", "show")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "NAME            TYPE   CONTENT       EPOCH  OWNER",
        f"blog.a.example  CNAME  eu.a.example     17  {'ab' * 16}",
        "eu.a.example    A      192.0.2.1         3  region",
    ]
    core.answer("GET", paths.ZONE, operator.Zone(domain="a.example", rows=()))
    assert pinggy("zone", "show").err == "Nothing of tunnels or edges should stand in the zone a.example.\n"


def test_a_clean_zone_is_status_0(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.ZONE_CHECK, report())
    outcome = pinggy("zone", "check")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == "All that should stand does, on 2 servers.\n"


def test_differences_are_named_with_status_1(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.ZONE_CHECK, report(WRONG, LEFT))
    outcome = pinggy("zone", "check")
    assert outcome.status == 1
    assert [re.split("  +", line) for line in outcome.out.splitlines()] == [
        ["SERVER", "NAME", "STANDS", "SHOULD", "STATE"],
        [ONE, "blog.a.example", "CNAME evil.example", "CNAME eu.a.example", "differs"],
        [TWO, "old.a.example", "CNAME us.a.example", "-", "differs"],
    ]
    assert outcome.err == "pinggy: The zone differs in 2 places: 'pinggy zone check --mend' puts it right.\n"
    assert [asked[:2] for asked in core.asked] == [("GET", paths.ZONE_CHECK)]


def test_mended_differences_are_status_0(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.ZONE_MEND, report(WRONG, mended=True))
    outcome = pinggy("zone", "check", "--mend")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1].endswith("CNAME evil.example  CNAME eu.a.example  mended")


def test_what_mending_has_not_mended_is_status_1(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.ZONE_MEND, report(WRONG))
    outcome = pinggy("zone", "check", "--mend")
    assert (outcome.status, outcome.err) == (1, "pinggy: The zone differs in 1 place.\n")


def test_a_server_in_trouble_is_named_with_status_1(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.ZONE_MEND, report(WRONG, mended=True, two=AWAY))
    outcome = pinggy("zone", "check", "--mend")
    assert (outcome.status, outcome.err) == (1, "pinggy: 1 server could not be asked.\n")
    first, second = outcome.out.splitlines()[1:]
    assert first.startswith(TWO)
    assert first.endswith("no answer within 5 s?[1m")
    assert second.endswith("mended")
    core.answer("GET", paths.ZONE_CHECK, report(WRONG, two=AWAY))
    assert pinggy("zone", "check").err == (
        "pinggy: The zone differs in 1 place: 'pinggy zone check --mend' puts it right; 1 server could not be asked.\n"
    )


def test_a_service_without_servers_is_told(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.ZONE_CHECK, operator.ZoneReport(servers=(), differences=()))
    outcome = pinggy("zone", "check")
    assert outcome.status == 1
    assert outcome.err == "pinggy: The core's settings name no servers of the zone: there is nothing to check.\n"


def test_the_line_for_the_gates_is_alone_on_stdout(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.GRANT_KEY, operator.GrantKey(key="A" * 43 + "="))
    outcome = pinggy("zone", "key")
    assert outcome.out == f'grant_key = "{"A" * 43}="\n'
    assert "zone.toml" in outcome.err
    assert json.loads(pinggy("zone", "key", "--json").out) == {"key": "A" * 43 + "="}


def test_json_has_the_status_too(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.ZONE_CHECK, report(WRONG))
    outcome = pinggy("zone", "check", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["differences"][0]["name"] == "blog.a.example"
