from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message
from dns.rdatatype import SOA

from pinggy.dns.answer import answer
from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.rrsets import parse_records
from tests.dns.zones import record, small_zone

SERIAL = 7
NEGATIVE = f"a.example. 5 IN SOA ns1.a.example. hostmaster.a.example. {SERIAL} 3600 600 604800 5"


def ask(name: str, rdtype: str = "A", rdclass: str = "IN") -> Message:
    return answer(dns.message.make_query(name, rdtype, rdclass, flags=0), small_zone().contents)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line for rrset in section for line in str(rrset).splitlines()]


@pytest.mark.parametrize(
    ("name", "rdtype", "said"),
    [
        ("a.example", "SOA", ["a.example. 10 IN" + NEGATIVE.removeprefix("a.example. 5 IN")]),
        ("a.example", "NS", ["a.example. 10 IN NS ns1.a.example."]),
        ("a.example", "A", ["a.example. 10 IN A 127.0.0.1"]),
        ("eu.a.example", "AAAA", ["eu.a.example. 10 IN AAAA 2001:db8::1"]),
        ("www.a.example", "CNAME", ["www.a.example. 10 IN CNAME eu.a.example."]),
        ("www.a.example", "A", ["www.a.example. 10 IN CNAME eu.a.example.", "eu.a.example. 10 IN A 192.0.2.1"]),
        (
            "hop.a.example",
            "A",
            [
                "hop.a.example. 10 IN CNAME www.a.example.",
                "www.a.example. 10 IN CNAME eu.a.example.",
                "eu.a.example. 10 IN A 192.0.2.1",
            ],
        ),
        ("away.a.example", "A", ["away.a.example. 10 IN CNAME elsewhere.example."]),
        (
            "ring1.a.example",
            "A",
            ["ring1.a.example. 10 IN CNAME ring2.a.example.", "ring2.a.example. 10 IN CNAME ring1.a.example."],
        ),
        ("x.wild.a.example", "CNAME", ["x.wild.a.example. 10 IN CNAME eu.a.example."]),
        ("y.x.wild.a.example", "CNAME", ["y.x.wild.a.example. 10 IN CNAME eu.a.example."]),
        ("*.wild.a.example", "CNAME", ["*.wild.a.example. 10 IN CNAME eu.a.example."]),
        ("z.text.a.example", "TXT", ['z.text.a.example. 10 IN TXT "any"']),
    ],
)
def test_what_is_there(name: str, rdtype: str, said: list[str]) -> None:
    reply = ask(name, rdtype)
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.flags == dns.flags.QR | dns.flags.AA
    assert lines(reply.answer) == said
    assert not reply.authority


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("eu.a.example", "TXT"),
        ("a.example", "MX"),
        ("empty.a.example", "A"),  # an empty non-terminal exists
        ("wild.a.example", "A"),  # and so does the name above a wildcard
        ("inside.wild.a.example", "TXT"),  # a name that exists is not covered by the wildcard
        ("z.text.a.example", "A"),  # the wildcard has no such type
    ],
)
def test_no_data(name: str, rdtype: str) -> None:
    reply = ask(name, rdtype)
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.flags & dns.flags.AA
    assert not reply.answer
    assert lines(reply.authority) == [NEGATIVE]


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.a.example",
        "x.eu.a.example",
        "other.empty.a.example",
        "x.inside.wild.a.example",  # its closest encloser is inside.wild, below which is no wildcard
        "x.*.wild.a.example",
    ],
)
def test_no_such_name(name: str) -> None:
    reply = ask(name)
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.flags & dns.flags.AA
    assert not reply.answer
    assert lines(reply.authority) == [NEGATIVE]


def test_an_alias_of_nothing_ends_in_nxdomain() -> None:
    reply = ask("astray.a.example")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert lines(reply.answer) == ["astray.a.example. 10 IN CNAME nowhere.a.example."]
    assert lines(reply.authority) == [NEGATIVE]


def test_an_alias_without_the_type_asked_says_so() -> None:
    reply = ask("www.a.example", "TXT")
    assert reply.rcode() == dns.rcode.NOERROR
    assert lines(reply.answer) == ["www.a.example. 10 IN CNAME eu.a.example."]
    assert lines(reply.authority) == [NEGATIVE]


@pytest.mark.parametrize(
    ("name", "rdtype", "rdclass", "rcode"),
    [
        ("b.example", "A", "IN", dns.rcode.REFUSED),
        ("example", "A", "IN", dns.rcode.REFUSED),
        (".", "NS", "IN", dns.rcode.REFUSED),
        ("xa.example", "A", "IN", dns.rcode.REFUSED),
        ("version.bind", "TXT", "CH", dns.rcode.REFUSED),
        ("a.example", "A", "ANY", dns.rcode.REFUSED),
        ("a.example", "AXFR", "IN", dns.rcode.REFUSED),
        ("a.example", "IXFR", "IN", dns.rcode.REFUSED),
        ("a.example", "MAILB", "IN", dns.rcode.NOTIMP),
        ("a.example", "TKEY", "IN", dns.rcode.NOTIMP),
        ("a.example", "OPT", "IN", dns.rcode.FORMERR),
    ],
)
def test_what_is_not_answered(name: str, rdtype: str, rdclass: str, rcode: dns.rcode.Rcode) -> None:
    reply = ask(name, rdtype, rdclass)
    assert reply.rcode() == rcode
    assert not reply.flags & dns.flags.AA
    assert not reply.answer
    assert not reply.authority


@pytest.mark.parametrize("name", ["a.example", "eu.a.example", "www.a.example", "big.a.example"])
def test_any_is_answered_with_one_rrset(name: str) -> None:
    reply = ask(name, "ANY")
    assert len(reply.answer) == 1
    assert reply.answer[0].rdtype != SOA


def test_any_of_nothing_is_negative() -> None:
    assert ask("nowhere.a.example", "ANY").rcode() == dns.rcode.NXDOMAIN
    assert not ask("empty.a.example", "ANY").answer


def test_a_published_name_fills_and_leaves_its_parents() -> None:
    zone = small_zone()

    def rcode(name: str) -> dns.rcode.Rcode:
        return answer(dns.message.make_query(name, "A"), zone.contents).rcode()

    deep = record("x.y.z")
    zone.publish([deep])
    assert rcode("x.y.z.a.example") == rcode("y.z.a.example") == rcode("z.a.example") == dns.rcode.NOERROR
    zone.withdraw([deep])
    assert rcode("x.y.z.a.example") == rcode("y.z.a.example") == rcode("z.a.example") == dns.rcode.NXDOMAIN


def test_the_serial_grows_with_each_change_and_only_then() -> None:
    zone = EmbeddedZone("a.example", parse_records(["@ NS ns1"], "a.example"), serial=2**32 - 2)
    seen = [zone.contents.soa.serial]
    for step in (
        lambda: zone.publish([record(epoch=1)]),
        lambda: zone.publish([record(epoch=1)]),
        lambda: zone.publish([record(epoch=2, target="ap")]),
        lambda: zone.withdraw([record(epoch=1)]),
        lambda: zone.withdraw([record(epoch=2)]),
        lambda: zone.withdraw([record(epoch=2)]),
    ):
        step()
        seen.append(zone.contents.soa.serial)
    assert seen == [2**32 - 2, 2**32 - 1, 2**32 - 1, 0, 0, 1, 1]
