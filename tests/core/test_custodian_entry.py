"""
The custodian and the entry: it follows the edges, is compared like all else, and goes where nobody wants it any more.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pinggy.core.custodian import Custodian
from pinggy.core.entry_settings import EntrySettings
from pinggy.core.news import EdgesChanged
from pinggy.core.zone_office import ZoneOffice
from pinggy.dns.powerdns.listing import Standing
from pinggy.testing.core import now
from pinggy.wire.operator import AddEdge, ZoneDifference, ZoneRow
from tests.core.test_custodian import INTERVAL, LEASE, House
from tests.support.logs import logged

APEX = EntrySettings(kind="lua")
LABEL = EntrySettings(kind="lua", name="go", port=8443)


class EntryHouse(House):
    entry: EntrySettings | None = APEX

    def new_custodian(self) -> Custodian:
        core = self.core
        return Custodian(
            self.clock,
            core.ledger,
            core.records,
            core.news,
            self.zone,
            kept=("status", "go"),
            entry=self.entry,
            first=LEASE,
            interval=INTERVAL,
        )

    def again(self, entry: EntrySettings | None) -> None:
        """The core starts once more, with another setting."""
        now(self.custodian.stop())
        self.entry = entry
        self.custodian = self.new_custodian()
        self.custodian.start()

    def lua(self, name: str, node: int = 0) -> tuple[str, ...]:
        return self.zone.nodes[node].contents.get(name, Standing()).lua

    def standing(self, name: str) -> int | None:
        return self.zone.nodes[0].fence.standing(name)

    def drain(self, edge: str, draining: bool = True) -> None:
        now(self.core.ledger.transact(lambda ledger: ledger.set_draining(edge, draining)))
        self.edges_changed()

    def edges_changed(self) -> None:
        now(self.core.ledger.transact(lambda ledger: ledger.tell(EdgesChanged())))


@pytest.fixture
def house() -> Iterator[EntryHouse]:
    house = EntryHouse()
    # What the operator made the domain lead to, before there was an entry.
    for node in house.zone.nodes:
        node.contents["a.example"] = Standing(addresses=("192.0.2.99",))
    house.start()
    yield house
    house.stop()


def served(*addresses: str, port: int = 443) -> str:
    kind = "AAAA" if ":" in addresses[0] else "A"
    listed = ",".join(f"'{each}'" for each in addresses)
    return f"{kind} \"ifportup({port}, {{{listed}}}, {{selector='pickclosest',timeout='1'}})\""


def test_the_domain_itself_follows_the_edges(house: EntryHouse) -> None:
    assert house.zone.nodes[1].contents["a.example"] == Standing(lua=(served("127.0.0.1"),))
    first = house.standing("a.example")
    now(house.core.operator.add_edge(AddEdge(name="us-1", region="us", addresses=("192.0.2.7", "2001:db8::7"))))
    assert house.lua("a.example", 1) == (served("127.0.0.1", "192.0.2.7"), served("2001:db8::7"))
    second = house.standing("a.example")
    assert first is not None
    assert second is not None
    assert second > first
    now(house.core.operator.remove_edge("us-1"))
    assert house.lua("a.example") == (served("127.0.0.1"),)


def test_an_edge_that_drains_is_left_out_until_it_is_back(house: EntryHouse) -> None:
    now(house.core.operator.add_edge(AddEdge(name="us-1", region="us", addresses=("192.0.2.7",))))
    house.drain("us-1")
    assert house.lua("a.example") == (served("127.0.0.1"),)
    house.drain("us-1", draining=False)
    assert house.lua("a.example") == (served("127.0.0.1", "192.0.2.7"),)


@pytest.mark.parametrize(
    ("falsified", "shown"),
    [
        (None, ""),
        (Standing(lua=(served("192.0.2.66", "192.0.2.67"),)), "LUA A nearest of 192.0.2.66,192.0.2.67 at port 443"),
        (Standing(lua=("A \"os.execute('id')\"",)), "LUA A \"os.execute('id')\""),
        (
            Standing(lua=(served("127.0.0.1"),), addresses=("192.0.2.66",)),
            "A 192.0.2.66, LUA A nearest of 127.0.0.1 at port 443",
        ),
        (Standing(target="eu.a.example"), "CNAME eu.a.example"),
    ],
)
@pytest.mark.parametrize("entry", [APEX, LABEL])
def test_what_is_wrong_with_it_is_named_and_put_right(
    house: EntryHouse, entry: EntrySettings, falsified: Standing | None, shown: str
) -> None:
    house.again(entry)
    name = entry.host("a.example")
    right = served("127.0.0.1", port=entry.port)
    house.zone.nodes[1].contents.pop(name)
    if falsified is not None:
        house.zone.nodes[1].contents[name] = falsified
    url = house.zone.servers[1].url
    assert house.report(mend=False).differences == (
        ZoneDifference(url=url, name=name, stands=shown, should=f"LUA A nearest of 127.0.0.1 at port {entry.port}"),
    )
    house.zone.calls.clear()
    with logged("pinggy.core.custodian") as lines:
        house.report(mend=True)
    assert sum(f"{name} has" in line for line in lines) == 1
    assert house.zone.nodes[1].contents[name] == Standing(lua=(right,))
    assert [kind for kind, _ in house.zone.calls] == ["publish_entries"]
    assert house.report(mend=False).differences == ()


def test_another_name_takes_the_first_one_away(house: EntryHouse) -> None:
    house.again(LABEL)
    assert house.lua("a.example") == ()
    assert house.lua("go.a.example", 1) == (served("127.0.0.1", port=8443),)
    house.again(None)
    assert "go.a.example" not in house.zone.nodes[1].contents
    assert house.report(mend=False).differences == ()


def test_a_label_that_was_the_entrys_may_become_a_tunnels(house: EntryHouse) -> None:
    house.again(LABEL)
    house.again(None)
    house.tunnel("eu", "go")
    house.edges_changed()
    assert house.names() == {"go": "eu"}
    house.live_on(6, "eu")
    assert house.report(mend=True).differences == ()
    # And the entry waits for a tunnel that has its name from before.
    house.again(LABEL)
    assert house.names() == {"go": "eu"}


def test_the_operator_sees_it(house: EntryHouse) -> None:
    rows = now(ZoneOffice(house.core.ledger, house.core.records, house.custodian).show()).rows
    epoch = house.standing("a.example")
    assert epoch is not None
    row = ZoneRow(name="a.example", kind="LUA", content=served("127.0.0.1"), epoch=epoch, owner="entry")
    assert row in rows
