from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pinggy.cli.zone_plan import (
    NameServer,
    Rrset,
    delegation,
    parse_domain,
    parse_mailbox,
    parse_name_server,
    plan_zone,
    with_serial,
)

DOMAIN = "a.example.com"
NS1 = NameServer(name="ns1.a.example.com", address="192.0.2.1")
NS1_V6 = NameServer(name="ns1.a.example.com", address="2001:db8::1")
ELSEWHERE = NameServer(name="ns.example.net", address="192.0.2.9")


def planned(*servers: NameServer, addresses: tuple[str, ...] = ()) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(each.name, each.type): each.contents for each in plan_zone(DOMAIN, servers, None, addresses)}


def test_a_zone_has_its_soa_its_servers_and_their_addresses() -> None:
    assert planned(NS1, NS1_V6, ELSEWHERE) == {
        ("a.example.com.", "SOA"): ("ns1.a.example.com. hostmaster.a.example.com. 1 3600 600 604800 5",),
        ("a.example.com.", "NS"): ("ns1.a.example.com.", "ns.example.net."),
        ("ns1.a.example.com.", "A"): ("192.0.2.1",),
        ("ns1.a.example.com.", "AAAA"): ("2001:db8::1",),
    }


def test_addresses_of_the_domain_are_planned_only_where_they_are_said() -> None:
    assert ("a.example.com.", "A") not in planned(NS1)
    with_addresses = planned(NS1, addresses=("192.0.2.7", "192.0.2.8", "192.0.2.7"))
    assert with_addresses["a.example.com.", "A"] == ("192.0.2.7", "192.0.2.8")
    assert with_addresses["a.example.com.", "AAAA"] == ()


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (NameServer(name="ns1.a.example.com"), "say its address"),
        (NameServer(name="dns1.a.example.com", address="192.0.2.1"), "the name dns1 could be a tunnel's"),
        (NameServer(name="x.blog.a.example.com", address="192.0.2.1"), "the name blog could be a tunnel's"),
    ],
)
def test_servers_that_cannot_be_used(server: NameServer, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plan_zone(DOMAIN, (server,), None, ())


def test_the_zone_above_needs_the_servers_and_where_they_are_in_the_zone() -> None:
    rrsets = plan_zone(DOMAIN, (NS1, ELSEWHERE), None, ("192.0.2.7",))
    assert delegation(rrsets) == (
        "a.example.com. 3600 IN NS ns1.a.example.com.",
        "a.example.com. 3600 IN NS ns.example.net.",
        "ns1.a.example.com. 3600 IN A 192.0.2.1",
    )


@pytest.mark.parametrize(
    ("kind", "contents", "others"),
    [
        ("NS", ("NS1.a.example.", "ns2.a.example."), ("ns2.a.example.", "ns1.A.example.")),
        ("AAAA", ("2001:db8::1",), ("2001:DB8:0::1",)),
        ("SOA", ("ns1.a. me.a. 1 3600 600 604800 5",), ("ns1.a. me.a. 99 3600 600 604800 5",)),
        ("A", (), ()),
    ],
)
def test_rrsets_that_mean_the_same(kind: str, contents: tuple[str, ...], others: tuple[str, ...]) -> None:
    one, other = (Rrset(name="a.", type=kind, ttl=5, contents=each) for each in (contents, others))
    assert one.is_like(other)


@pytest.mark.parametrize(
    ("kind", "ttl", "others"),
    [
        ("A", 60, ("192.0.2.1",)),
        ("A", 5, ("192.0.2.1", "192.0.2.2")),
        ("A", 5, ()),
        ("A", 5, ("nonsense",)),
    ],
)
def test_rrsets_that_differ(kind: str, ttl: int, others: tuple[str, ...]) -> None:
    one = Rrset(name="a.", type=kind, ttl=5, contents=("192.0.2.1",))
    assert not one.is_like(Rrset(name="a.", type=kind, ttl=ttl, contents=others))


def test_an_soa_with_another_minimum_differs() -> None:
    one, other = (
        Rrset(name="a.", type="SOA", ttl=5, contents=(f"ns1.a. me.a. 1 3600 600 604800 {each}",)) for each in (5, 3600)
    )
    assert not one.is_like(other)
    assert with_serial(one, 77).contents == ("ns1.a. me.a. 77 3600 600 604800 5",)
    assert with_serial(one, 77).is_like(one)


def test_what_may_be_typed() -> None:
    assert parse_domain("A.Example.COM.") == DOMAIN
    assert parse_name_server("NS1.a.example.com=2001:DB8::1") == NS1_V6
    assert parse_name_server("ns.example.net") == NameServer(name="ns.example.net")
    assert parse_mailbox("dns.admin@Example.com") == "dns\\.admin.example.com."


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_domain, ""),
        (parse_domain, "a..b"),
        (parse_domain, "a b"),
        (parse_domain, "../etc"),
        (parse_domain, "\x1b[1m"),
        (parse_domain, ".".join(["a" * 60] * 4)),
        (parse_name_server, "ns1"),
        (parse_name_server, "ns1.a.example="),
        (parse_name_server, "ns1.a.example=ns2.a.example"),
        (parse_name_server, "=192.0.2.1"),
        (parse_mailbox, "hostmaster"),
        (parse_mailbox, "@example.com"),
        (parse_mailbox, "a b@example.com"),
        (parse_mailbox, "a@b@example.com"),
    ],
)
def test_what_may_not(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|is too long"):
        parse(text)
