"""
The entry at Route 53, over its test double: what stands follows the edges; what Amazon would refuse is refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pinggy.dns.route53.aws import Boto
from pinggy.dns.route53.calls import Route53Away
from pinggy.dns.route53.plan import Change, Entry, Record, Route53Refused, Target, changes, check_zone, wanted
from pinggy.dns.route53.settle import YOUNG, Settled, Stopped, settle
from tests.support.amazon import Amazon

NOW = 1_800_000_000.0
EU = Target(edge="eu-1", address="192.0.2.1", region="eu-west-1")
EU_2 = Target(edge="eu-2", address="192.0.2.2", region="eu-west-1")
US = Target(edge="us-1", address="192.0.2.3", region="us-east-1")
US_6 = Target(edge="us-1", address="2001:db8::3", region="us-east-1")
ENTRY = Entry(name="go.example.com", zone="Z1", port=443, ttl=10)


def test_each_region_leads_to_its_edges_and_nothing_is_done_twice(amazon: Amazon) -> None:
    entry, api = amazon.entry(), amazon.api()
    assert settle(api, entry, [EU, EU_2, US, US_6], NOW) == Settled(written=7, made=4)
    assert amazon.answers() == {
        ("eu-west-1", "A"): {"192.0.2.1", "192.0.2.2"},
        ("us-east-1", "A"): {"192.0.2.3"},
        ("us-east-1", "AAAA"): {"2001:db8::3"},
    }
    assert set(amazon.checks()) == {("192.0.2.1", 443), ("192.0.2.2", 443), ("192.0.2.3", 443), ("2001:db8::3", 443)}
    assert not settle(amazon.api(), entry, [US_6, US, EU_2, EU], NOW)


def test_an_edge_that_goes_takes_its_records_and_health_checks_with_it(amazon: Amazon) -> None:
    entry, api = amazon.entry(), amazon.api()
    settle(api, entry, [EU, EU_2, US], NOW)
    assert settle(api, entry, [EU, US], NOW) == Settled(removed=1, dropped=1)
    assert amazon.answers() == {("eu-west-1", "A"): {"192.0.2.1"}, ("us-east-1", "A"): {"192.0.2.3"}}
    moved = replace(US, region="us-west-2")
    assert settle(api, entry, [EU, moved], NOW) == Settled(written=2, removed=2)
    assert amazon.answers() == {("eu-west-1", "A"): {"192.0.2.1"}, ("us-west-2", "A"): {"192.0.2.3"}}
    assert settle(api, entry, [], NOW) == Settled(removed=4, dropped=2)
    assert amazon.names() == set()
    assert amazon.checks() == {}


def test_another_port_or_ttl_is_written_anew(amazon: Amazon) -> None:
    settle(amazon.api(), amazon.entry(), [EU], NOW)
    assert settle(amazon.api(), amazon.entry(port=8443), [EU], NOW) == Settled(written=1, made=1, dropped=1)
    assert set(amazon.checks()) == {("192.0.2.1", 8443)}
    assert settle(amazon.api(), amazon.entry(port=8443, ttl=60), [EU], NOW) == Settled(written=1)


def test_what_was_changed_by_hand_is_put_right(amazon: Amazon) -> None:
    entry = amazon.entry()
    settle(amazon.api(), entry, [EU, US], NOW)
    ours = {"SetIdentifier": "pinggy eu-1 192.0.2.1 eu-west-1", "Weight": 1}
    amazon.put("eu-west-1.go.example.com", "A", "192.0.2.66", **ours)
    amazon.put(
        "eu-west-1.go.example.com", "A", "192.0.2.67", SetIdentifier="pinggy ghost 192.0.2.67 eu-west-1", Weight=1
    )
    assert settle(amazon.api(), entry, [EU, US], NOW) == Settled(written=1, removed=1)
    assert amazon.answers()["eu-west-1", "A"] == {"192.0.2.1"}


def test_an_address_in_other_words_is_the_same(amazon: Amazon) -> None:
    entry = amazon.entry()
    settle(amazon.api(), entry, [US_6], NOW)
    ((_, check),) = amazon.checks().items()
    ours = {"SetIdentifier": "pinggy us-1 2001:db8::3 us-east-1", "Weight": 1, "TTL": 10, "HealthCheckId": check}
    amazon.put("us-east-1.go.example.com", "AAAA", "2001:0DB8:0:0:0:0:0:0003", **ours)
    assert not settle(amazon.api(), entry, [US_6], NOW)


def test_what_is_not_ours_stays(amazon: Amazon) -> None:
    amazon.put("example.com", "A", "192.0.2.99")
    amazon.put("go.example.com", "TXT", '"of the operator"')
    amazon.put("x.go.example.com", "A", "192.0.2.98")
    theirs = amazon.client.create_health_check(
        CallerReference="theirs", HealthCheckConfig={"IPAddress": "192.0.2.1", "Port": 443, "Type": "TCP"}
    )["HealthCheck"]["Id"]
    before = amazon.names()
    settle(amazon.api(), amazon.entry(), [EU], NOW)
    settle(amazon.api(), amazon.entry(), [], NOW)
    assert amazon.names() == before
    assert amazon.checks() == {("192.0.2.1", 443): theirs}


def test_the_hosted_zones_own_name_can_be_the_entry(amazon: Amazon) -> None:
    entry = amazon.entry("example.com")
    settle(amazon.api(), entry, [EU], NOW)
    assert amazon.answers("example.com") == {("eu-west-1", "A"): {"192.0.2.1"}}


def test_two_entries_in_one_account_know_their_own_health_checks(amazon: Amazon) -> None:
    settle(amazon.api(), amazon.entry(), [EU], NOW)
    settle(amazon.api(), amazon.entry("in.example.com"), [US], NOW + 2 * YOUNG)
    assert set(amazon.checks()) == {("192.0.2.1", 443), ("192.0.2.3", 443)}


def test_a_health_check_of_another_core_is_left_to_it_for_a_while(amazon: Amazon) -> None:
    class Interrupted(Boto):
        def change(self, zone: str, changes: Sequence[Change]) -> None:
            raise Route53Away("it was cut")

    entry = amazon.entry()
    with pytest.raises(Route53Away):
        settle(Interrupted(amazon.endpoint), entry, [EU], NOW)
    assert settle(amazon.api(), entry, [US], NOW) == Settled(written=2, made=1)
    assert settle(amazon.api(), entry, [US], NOW + YOUNG + 1) == Settled(dropped=1)
    assert set(amazon.checks()) == {("192.0.2.3", 443)}


@pytest.mark.parametrize(
    ("name", "kind", "value", "more", "said"),
    [
        ("go.example.com", "CNAME", "x.example.com", {}, "stands a CNAME"),
        ("eu-west-1.go.example.com", "CNAME", "x.example.com", {}, "stands a CNAME"),
        ("go.example.com", "A", "192.0.2.9", {}, "somebody else's"),
        ("go.example.com", "AAAA", "2001:db8::9", {}, "somebody else's"),
        ("go.example.com", "A", "192.0.2.9", {"SetIdentifier": "theirs", "Region": "eu-west-1"}, "somebody else's"),
        ("eu-west-1.go.example.com", "A", "192.0.2.9", {}, "somebody else's"),
        ("go.example.com", "NS", "ns1.b.example", {}, "delegated away"),
    ],
)
def test_what_amazon_suffers_nothing_beside_is_said_before_anything_is_made(
    amazon: Amazon, name: str, kind: str, value: str, more: dict[str, Any], said: str
) -> None:
    amazon.put(name, kind, value, **more)
    before = amazon.names()
    with pytest.raises(Route53Refused, match=said):
        settle(amazon.api(), amazon.entry(), [EU, US], NOW)
    assert amazon.names() == before
    assert amazon.checks() == {}


def test_zones_that_cannot_hold_it(amazon: Amazon) -> None:
    with pytest.raises(Route53Refused, match=r"is example\.com: go\.example\.org does not lie in it"):
        settle(amazon.api(), amazon.entry("go.example.org"), [EU], NOW)
    with pytest.raises(Route53Refused, match="does not lie in it"):
        settle(amazon.api(), amazon.entry("goexample.com"), [EU], NOW)
    with pytest.raises(Route53Refused, match="private"):
        check_zone(ENTRY, "example.com", True)
    with pytest.raises(Route53Away, match="NoSuchHostedZone"):
        settle(amazon.api(), amazon.entry(zone="ZNOWHERE"), [EU], NOW)


def test_a_region_that_amazon_does_not_know() -> None:
    with pytest.raises(Route53Refused, match="near eu-west-9, which Route 53 does not know"):
        wanted(ENTRY, [replace(EU, region="eu-west-9")], {EU.address: "1"})
    with pytest.raises(Route53Refused, match="too long"):
        wanted(ENTRY, [replace(EU, edge="x" * 130)], {EU.address: "1"})


def test_no_name_has_two_records_of_one_identifier_or_region() -> None:
    targets = [EU, EU_2, US, US_6, replace(EU, edge="eu-3"), EU]
    records = wanted(ENTRY, sorted(set(targets)), {each.address: each.address for each in targets})
    keys = [(each.name, each.type, each.identifier) for each in records]
    assert len(set(keys)) == len(keys)
    regions = [(each.name, each.type, each.region) for each in records if each.region]
    assert len(set(regions)) == len(regions)


def test_aliases_come_last_and_go_first() -> None:
    before = wanted(ENTRY, [EU], {EU.address: "1"})
    after = wanted(ENTRY, [US], {US.address: "2"})
    order = [(each.delete, bool(each.record.alias)) for each in changes(ENTRY, before, after)]
    assert order == [(True, True), (False, False), (False, True), (True, False)]


def test_more_than_a_batch_takes_is_refused_as_a_whole() -> None:
    many = [Target(edge=f"e{n}", address=f"192.0.{n // 250}.{n % 250}", region="eu-west-1") for n in range(501)]
    with pytest.raises(Route53Refused, match="too many edges"):
        changes(ENTRY, (), wanted(ENTRY, many, {each.address: "1" for each in many}))


def test_amazon_away_is_one_line() -> None:
    with pytest.raises(Route53Away) as away:
        settle(Boto("http://127.0.0.1:9"), ENTRY, [EU], NOW)
    assert "\n" not in str(away.value)
    assert "Could not connect" in str(away.value)


def test_the_end_of_the_daemon_is_no_reason_to_go_on(amazon: Amazon) -> None:
    left = iter([True, True, True, False])
    with pytest.raises(Stopped):
        settle(amazon.api(), amazon.entry(), [EU, US], NOW, lambda: next(left))
    assert amazon.names() == set()
    assert settle(amazon.api(), amazon.entry(), [EU, US], NOW).written == 4


def test_a_record_reads_as_it_was_written(amazon: Amazon) -> None:
    settle(amazon.api(), amazon.entry(), [EU], NOW)
    (check,) = amazon.checks().values()
    assert amazon.api().records(amazon.zone, "go.example.com") == [
        Record(
            name="go.example.com",
            type="A",
            identifier="pinggy eu-west-1",
            region="eu-west-1",
            alias="eu-west-1.go.example.com",
        ),
        Record(
            name="eu-west-1.go.example.com",
            type="A",
            identifier="pinggy eu-1 192.0.2.1 eu-west-1",
            weight=1,
            ttl=10,
            values=("192.0.2.1",),
            health_check=check,
        ),
    ]
