"""
The custodian over a zone in memory: what the core ended is withdrawn, what is wrong is put right, the rest stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from pinggy.core.compare import YOUNG
from pinggy.core.custodian import Custodian
from pinggy.core.zone_office import ZoneOffice
from pinggy.dns.powerdns.listing import Standing
from pinggy.settings import Secret
from pinggy.testing.core import FakeCore, now
from pinggy.testing.zone import MemoryZone
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, ByToken, Granted, Register, Release, Renew, Usage, Want
from pinggy.wire.operator import AddEdge, ZoneReport
from tests.support.logs import logged

LEASE, INTERVAL = 30.0, 60.0
STATIC = {
    "a.example": Standing(others=("NS", "SOA")),
    "ns1.a.example": Standing(addresses=("192.0.2.53",)),
    "www.a.example": Standing(target="eu.a.example"),
    "status.a.example": Standing(target="eu.a.example"),
    "blog.status.a.example": Standing(target="eu.a.example"),
    "mail.a.example": Standing(target="mx.b.example"),
    "other.a.example": Standing(target="elsewhere.b.example"),
    "txt.a.example": Standing(others=("TXT",)),
}


class House:
    """A core with its custodian, a zone over two servers, and edges in eu and ap that write the zone as edges do."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.core = FakeCore(self.clock)
        self.zone = MemoryZone()
        for node in self.zone.nodes:
            node.contents.update(STATIC)
        self.custodian = self.new_custodian()
        self.token = self.core.account("ann")
        self.edges = {region: self.core.client(f"{region}-1", region) for region in ("eu", "ap")}
        for region in self.edges:
            self.register(region)
        self.held: dict[str, list[str]] = {"eu": [], "ap": []}
        self._tunnels = 0

    def new_custodian(self) -> Custodian:
        core = self.core
        return Custodian(
            self.clock,
            core.ledger,
            core.records,
            core.news,
            self.zone,
            kept=("status",),
            first=LEASE,
            interval=INTERVAL,
        )

    def start(self) -> None:
        self.custodian.start()
        self.core.sweep.start()

    def stop(self) -> None:
        now(self.core.sweep.stop())
        now(self.custodian.stop())
        assert self.clock.getDelayedCalls() == []

    def register(self, region: str, instance: str = "i") -> None:
        now(self.edges[region].register(Register(instance=instance)))

    def tunnel(self, region: str, *names: str, publish: bool = True, force: bool = False) -> str:
        """Its id; the edge holds it from now on."""
        self._tunnels += 1
        tunnel = f"{self._tunnels:032x}"
        answer = now(
            self.edges[region].authorize(
                Authorize(
                    tunnel=tunnel,
                    credential=ByToken(token=self.token),
                    address="192.0.2.1",
                    wants=tuple(Want(number=n, kind=Kind.HTTP, name=name) for n, name in enumerate(names, 1)),
                    force=force,
                )
            )
        )
        for each in answer.results:
            assert isinstance(each, Granted)
            if publish:
                now(self.zone.publish([self.record(region, each.forwarding)]))
        self.held[region].append(tunnel)
        return tunnel

    def record(self, region: str, forwarding: Forwarding) -> Any:
        return self.core.records.name(forwarding.name, region, forwarding.epoch)

    def live_on(self, seconds: float, *regions: str) -> None:
        """Let time pass while the edges of *regions* renew."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
            for region in regions:
                usages = tuple(Usage(tunnel=tunnel) for tunnel in self.held[region])
                now(self.edges[region].renew(Renew(instance="i", tunnels=usages)))

    def names(self, node: int = 0) -> dict[str, str]:
        """What the tunnels' names lead to at a server."""
        return {
            name.removesuffix(".a.example"): standing.target.removesuffix(".a.example")
            for name, standing in self.zone.nodes[node].contents.items()
            if name not in STATIC and standing.target
        }

    def hosts(self, node: int = 0) -> dict[str, tuple[str, ...]]:
        return {
            name.removesuffix(".a.example"): standing.addresses
            for name, standing in self.zone.nodes[node].contents.items()
            if name not in STATIC and standing.addresses
        }

    def epoch(self, label: str) -> int | None:
        return self.zone.nodes[0].fence.standing(f"{label}.a.example")

    def falsify(self, node: int, label: str, standing: Standing | None) -> None:
        if standing is None:
            del self.zone.nodes[node].contents[f"{label}.a.example"]
        else:
            self.zone.nodes[node].contents[f"{label}.a.example"] = standing

    def report(self, mend: bool) -> ZoneReport:
        office = ZoneOffice(self.core.ledger, self.core.records, self.custodian)
        asked = office.mend() if mend else office.check()
        self.clock.pump([0.1] * 10)
        return now(asked)

    def agrees(self) -> bool:
        """Ledger and zone, at all servers; what is not ours is as it was."""
        same = all(node.contents.items() >= STATIC.items() for node in self.zone.nodes)
        return same and self.report(mend=False).differences == ()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.stop()


# -- regions ----------------------------------------------------------------------------------------------------


def test_the_hosts_of_regions_follow_their_edges(house: House) -> None:
    house.start()
    assert house.hosts() == {"eu": ("127.0.0.1",), "ap": ("127.0.0.1",)}
    first = house.epoch("eu")
    now(house.core.operator.add_edge(AddEdge(name="eu-2", region="eu", addresses=("192.0.2.7", "2001:db8::7"))))
    assert house.hosts()["eu"] == ("127.0.0.1", "192.0.2.7", "2001:db8::7")
    second = house.epoch("eu")
    assert first is not None
    assert second is not None
    assert second > first
    now(house.core.operator.remove_edge("eu-2"))
    assert house.hosts()["eu"] == ("127.0.0.1",)
    now(house.core.operator.remove_edge("eu-1"))
    assert house.hosts(1) == {"ap": ("127.0.0.1",)}


def test_a_host_keeps_its_epoch_while_its_addresses_stay(house: House) -> None:
    house.start()
    before = house.epoch("eu")
    now(house.core.operator.ensure_edge("eu-1", "eu", ["127.0.0.1"], Secret("the secret of the edge eu-1")))
    house.live_on(5)
    assert house.epoch("eu") == before


def test_a_region_that_is_no_more_may_become_a_tunnels_name(house: House) -> None:
    house.start()
    now(house.core.operator.remove_edge("eu-1"))
    house.tunnel("ap", "eu")
    now(house.core.operator.add_edge(AddEdge(name="us-1", region="us", addresses=("192.0.2.9",))))
    assert house.names() == {"eu": "ap"}
    house.live_on(YOUNG, "ap")
    assert house.agrees()


# -- what the core ends -----------------------------------------------------------------------------------------


def test_the_names_of_a_dead_edge_are_free_and_gone_after_its_lease(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog", "shop")
    house.tunnel("ap", "stays")
    house.live_on(LEASE - 1, "ap")
    assert house.names() == {"blog": "eu", "shop": "eu", "stays": "ap"}
    house.live_on(LEASE / 2, "ap")
    assert house.names() == {"stays": "ap"}
    assert ("withdraw", ("blog", "shop")) in house.zone.calls
    house.tunnel("ap", "blog")
    assert house.names(1) == {"stays": "ap", "blog": "ap"}


def test_what_a_dead_edge_does_late_changes_nothing(house: House) -> None:
    house.start()
    tunnel = house.tunnel("eu", "blog")
    (old,) = now(house.core.ledger.transact(lambda ledger: ledger.owned_names(["blog"])))
    house.live_on(LEASE * 2)
    house.tunnel("ap", "blog")
    now(house.zone.withdraw([house.core.records.name("blog", "eu", old.epoch)]))
    now(house.edges["eu"].release(Release(tunnel=tunnel, code="client-left")))
    assert house.names() == {"blog": "ap"}


def test_a_new_instance_leaves_nothing_of_the_one_before(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog")
    house.tunnel("ap", "stays")
    house.register("eu", "another")
    assert house.names() == {"stays": "ap"}


def test_what_the_operator_closes_is_gone_though_its_edge_is_silent(house: House) -> None:
    house.start()
    now(house.core.operator.close_tunnel(house.tunnel("eu", "blog")))
    assert house.names() == {}


def test_a_name_with_a_newer_owner_is_left_alone(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog", "shop")
    house.tunnel("ap", "blog", force=True, publish=False)
    # Until the new owner has published, visitors find the old record rather than none.
    assert house.names() == {"blog": "eu"}


def test_servers_that_are_away_are_nobodys_trouble_but_the_custodians(house: House) -> None:
    house.start()
    tunnel = house.tunnel("eu", "blog")
    for node in house.zone.nodes:
        node.away = True
    with logged("pinggy.core.custodian") as lines:
        now(house.core.operator.close_tunnel(tunnel))
        house.tunnel("eu", "new", publish=False)
        now(house.core.operator.add_edge(AddEdge(name="us-1", region="us", addresses=("192.0.2.9",))))
    assert sum("the zone is not as it should be" in line for line in lines) == 2
    for node, server in zip(house.zone.nodes, house.zone.servers, strict=True):
        node.away = False
        house.live_on(YOUNG, "eu")
        house.custodian.returned(server)
        house.clock.pump([0.1] * 10)
    assert house.agrees()
    assert house.names(1) == {"new": "eu"}
    assert house.hosts(1)["us"] == ("192.0.2.9",)


# -- comparing --------------------------------------------------------------------------------------------------


def falsified(house: House) -> None:
    """One of each at the second server, behind our back."""
    house.tunnel("eu", "missing", "wrong", "foreign", "address")
    house.live_on(YOUNG, "eu")
    house.falsify(1, "missing", None)
    house.falsify(1, "wrong", Standing(target="ap.a.example"))
    house.falsify(1, "foreign", Standing(target="evil.example"))
    house.falsify(1, "address", Standing(addresses=("192.0.2.66",)))
    house.falsify(1, "stray", Standing(target="eu.a.example"))
    house.falsify(1, "tcp-20001", Standing(target="ap.a.example"))
    house.falsify(1, "eu", Standing(addresses=("192.0.2.66",)))
    house.falsify(1, "ap", None)


def test_a_check_names_what_differs_and_changes_nothing(house: House) -> None:
    house.start()
    falsified(house)
    before = dict(house.zone.nodes[1].contents)
    report = house.report(mend=False)
    assert {(each.name, each.stands, each.should) for each in report.differences} == {
        ("missing.a.example", "", "CNAME eu.a.example"),
        ("wrong.a.example", "CNAME ap.a.example", "CNAME eu.a.example"),
        ("foreign.a.example", "CNAME evil.example", "CNAME eu.a.example"),
        ("address.a.example", "A 192.0.2.66", "CNAME eu.a.example"),
        ("stray.a.example", "CNAME eu.a.example", ""),
        ("tcp-20001.a.example", "CNAME ap.a.example", ""),
        ("eu.a.example", "A 192.0.2.66", "A 127.0.0.1"),
        ("ap.a.example", "", "A 127.0.0.1"),
    }
    assert {each.url for each in report.differences} == {house.zone.servers[1].url}
    assert [each.trouble for each in report.servers] == [None, None]
    assert not report.mended
    assert house.zone.nodes[1].contents == before


def test_mending_puts_all_of_it_right_and_says_each_in_a_line(house: House) -> None:
    house.start()
    falsified(house)
    house.zone.calls.clear()
    with logged("pinggy.core.custodian") as lines:
        report = house.report(mend=True)
    assert report.mended
    assert len(report.differences) == sum("differs" in line for line in lines) == 8
    assert any("missing.a.example has nothing, should have CNAME eu.a.example" in line for line in lines)
    assert house.names(1) == dict.fromkeys(("missing", "wrong", "foreign", "address"), "eu")
    assert house.agrees()
    # Only the server that differed was written.
    assert house.report(mend=True).differences == ()


def test_a_server_that_is_away_is_said_and_the_others_are_mended(house: House) -> None:
    house.start()
    falsified(house)
    house.zone.nodes[0].away = True
    report = house.report(mend=True)
    assert [each.trouble is None for each in report.servers] == [False, True]
    house.zone.nodes[0].away = False
    assert house.agrees()


def test_grants_that_are_about_to_be_published_are_left_to_their_edges(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog", publish=False)
    assert house.report(mend=True).differences == ()
    house.live_on(YOUNG, "eu")
    assert [each.name for each in house.report(mend=True).differences] == ["blog.a.example"] * 2
    assert house.names() == {"blog": "eu"}


def test_a_stray_that_somebody_gets_meanwhile_is_his(house: House) -> None:
    house.start()
    house.falsify(0, "blog", Standing(target="eu.a.example"))
    contents = house.zone.contents

    def listed(server: Any) -> Any:
        answer = contents(server)
        if server is house.zone.servers[0]:
            house.tunnel("ap", "blog")
        return answer

    house.zone.contents = listed  # type: ignore[method-assign]
    house.report(mend=True)
    house.zone.contents = contents  # type: ignore[method-assign]
    assert house.names() == {"blog": "ap"}


def test_what_its_edge_has_withdrawn_already_does_not_come_back(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog")
    house.live_on(YOUNG, "eu")
    (owned,) = now(house.core.ledger.transact(lambda ledger: ledger.owned_names(["blog"])))
    now(house.zone.withdraw([house.core.records.name("blog", "eu", owned.epoch)]))
    with logged("pinggy.core.custodian") as lines:
        house.report(mend=True)
    assert house.names() == {}
    assert any("Nothing was put right there" in line for line in lines)


def test_many_differences_are_put_right_in_portions_and_said_in_a_few_lines(house: House) -> None:
    house.start()
    for number in range(350):
        house.falsify(0, f"stray{number}", Standing(target="eu.a.example"))
    house.zone.calls.clear()
    with logged("pinggy.core.custodian") as lines:
        assert len(house.report(mend=True).differences) == 350
    assert [len(names) for _, names in house.zone.calls] == [100, 100, 100, 50]
    assert any("differs in 250 names more" in line for line in lines)
    assert house.agrees()


def test_all_is_compared_after_the_first_lease_and_then_now_and_again(house: House) -> None:
    house.start()
    for wait in (LEASE, 1.2 * INTERVAL, 1.2 * INTERVAL):
        house.falsify(0, "stray", Standing(target="eu.a.example"))
        house.live_on(wait + 1, "eu", "ap")
        assert house.names() == {}


# -- what a core leaves behind that dies ------------------------------------------------------------------------


def test_a_core_that_died_after_it_ended_tunnels_leaves_no_record_for_longer_than_a_lease(house: House) -> None:
    house.tunnel("eu", "blog")
    house.register("eu", "another")  # ended, and nobody was there to withdraw
    assert house.names() == {"blog": "eu"}
    house.start()
    house.live_on(LEASE + 1, "eu", "ap")
    assert house.names() == {}
    assert house.agrees()


def test_a_core_that_died_between_grant_and_publish_and_its_edge_with_it(house: House) -> None:
    house.tunnel("eu", "blog", publish=False)
    house.start()
    house.live_on(2 * LEASE, "ap")
    assert now(house.core.operator.tunnels()).tunnels == ()
    assert house.names() == {}
    assert house.agrees()


def test_an_edge_that_died_between_publish_and_live(house: House) -> None:
    house.start()
    house.tunnel("eu", "blog")
    house.live_on(2 * LEASE, "ap")
    assert house.names() == {}
    assert house.agrees()


def test_a_database_that_is_away_is_looked_at_again(house: House) -> None:
    house.start()
    house.falsify(0, "stray", Standing(target="eu.a.example"))
    house.core.ledger.away = True
    with logged("pinggy.core.custodian") as lines:
        house.clock.advance(LEASE)
    assert any("to be looked at again: The database" in line for line in lines)
    house.core.ledger.away = False
    house.live_on(1.2 * INTERVAL + 1)
    assert house.names() == {}


def test_it_may_be_stopped_before_it_starts(house: House) -> None:
    now(house.custodian.stop())


# -- what the operator sees -------------------------------------------------------------------------------------


def test_the_operator_sees_what_should_stand(house: House) -> None:
    house.start()
    tunnel = house.tunnel("eu", "blog")
    zone = now(ZoneOffice(house.core.ledger, house.core.records, None).show())
    assert zone.domain == "a.example"
    assert [(row.name, row.kind, row.content, row.owner) for row in zone.rows] == [
        ("ap.a.example", "A", "127.0.0.1", "region"),
        ("eu.a.example", "A", "127.0.0.1", "region"),
        ("blog.a.example", "CNAME", "eu.a.example", tunnel),
    ]


def test_a_core_that_knows_no_servers_says_so(house: House) -> None:
    office = ZoneOffice(house.core.ledger, house.core.records, None)
    assert now(office.check()) == now(office.mend()) == ZoneReport(servers=(), differences=())
