"""
The file of places: coarse where that loses nothing that matters, and what PowerDNS and gates can read.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pinggy.dns.geo.file import GeoUnusable, check, compose
from pinggy.dns.geo.grid import FINEST, Network, Spot, coarse

DUBLIN, SYDNEY = Spot(53.35, -6.26), Spot(-33.87, 151.21)


def made(path: Path, networks: dict[str, Any]) -> Path:
    """A database as operators have them."""
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], description="x", ipv4_compatible=True)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def location(latitude: float, longitude: float) -> dict[str, Any]:
    return {"country": {"iso_code": "XX"}, "location": {"latitude": latitude, "longitude": longitude}}


def where(path: Path, address: str) -> tuple[float, float] | None:
    with maxminddb.open_database(path) as reader:
        record: Any = reader.get(address)
    if record is None:
        return None
    assert set(record["location"]) == {"latitude", "longitude", "accuracy_radius"}
    return record["location"]["latitude"], record["location"]["longitude"]


def test_edges_stand_above_what_the_database_says(tmp_path: Path) -> None:
    networks = {"198.51.100.0/24": location(50.4, 9.6), "2001:db8::/32": location(40, -75), "192.0.2.0/24": {}}
    database = made(tmp_path / "city.mmdb", networks)
    out = tmp_path / "out.mmdb"
    compose({"198.51.100.7": DUBLIN, "2001:db8::7": SYDNEY, "203.0.113.1": SYDNEY}, database, out)
    check(out)
    assert where(out, "198.51.100.7") == (53.35, -6.26)
    assert where(out, "198.51.100.8") == (50.0, 10.0)
    assert where(out, "2001:db8::7") == (-33.87, 151.21)
    assert where(out, "2001:db8::8") == (40.0, -75.0)
    assert where(out, "203.0.113.1") == (-33.87, 151.21)
    assert where(out, "203.0.113.2") is None
    assert where(out, "192.0.2.1") is None


def test_without_a_database_there_are_the_edges(tmp_path: Path) -> None:
    compose({"192.0.2.1": DUBLIN}, None, tmp_path / "out.mmdb")
    assert where(tmp_path / "out.mmdb", "192.0.2.1") == (53.35, -6.26)
    compose({}, None, tmp_path / "out.mmdb")
    check(tmp_path / "out.mmdb")


def test_the_outcome_is_told_by_what_it_is_of(tmp_path: Path) -> None:
    out = tmp_path / "out.mmdb"
    one = made(tmp_path / "one.mmdb", {"198.51.100.0/24": location(1, 2)})
    other = made(tmp_path / "other.mmdb", {"198.51.100.0/24": location(1, 3)})
    answers = [
        compose({}, None, out),
        compose({"192.0.2.1": DUBLIN}, None, out),
        compose({"192.0.2.1": SYDNEY}, None, out),
        compose({"192.0.2.1": DUBLIN}, one, out),
        compose({"192.0.2.1": DUBLIN}, other, out),
    ]
    assert len(set(answers)) == len(answers)
    assert compose({"192.0.2.1": DUBLIN}, one, out) == answers[3]


@pytest.mark.parametrize(
    "record",
    [
        {"location": 7},
        {"location": {"latitude": 1.0}},
        {"location": {"latitude": "1", "longitude": "2"}},
        {"location": {"latitude": 91.0, "longitude": 2.0}},
        {"location": {"latitude": float("nan"), "longitude": 2.0}},
        "text",
    ],
)
def test_what_says_no_place_is_passed_over(tmp_path: Path, record: Any) -> None:
    database = made(tmp_path / "city.mmdb", {"198.51.100.0/24": record, "203.0.113.0/24": location(1, 2)})
    compose({}, database, tmp_path / "out.mmdb")
    assert where(tmp_path / "out.mmdb", "198.51.100.1") is None
    assert where(tmp_path / "out.mmdb", "203.0.113.1") == (1.0, 2.0)


@pytest.mark.parametrize(
    "content", [None, b"", b"\0" * 1000, b"\xab\xcd\xefMaxMind.com", b"x\xab\xcd\xefMaxMind.com\xe0"]
)
def test_what_is_no_database_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GeoUnusable, match=r"broken\.mmdb"):
        check(path)
    with pytest.raises(GeoUnusable, match=r"broken\.mmdb"):
        compose({}, path, tmp_path / "out.mmdb")


def test_a_file_that_was_cut_is_no_file(tmp_path: Path) -> None:
    compose({f"192.0.2.{n}": Spot(n / 10, n) for n in range(99)}, None, tmp_path / "out.mmdb")
    whole = (tmp_path / "out.mmdb").read_bytes()
    for size in range(0, len(whole) - 1, 97):
        (tmp_path / "cut.mmdb").write_bytes(whole[:size])
        with pytest.raises(GeoUnusable):
            check(tmp_path / "cut.mmdb")


def test_neighbours_in_one_place_become_one() -> None:
    near = [(ip_network(f"10.0.{n}.0/24"), Spot(50 + n / 1000, 8)) for n in range(256)]
    assert list(coarse(near)) == [(ip_network("10.0.0.0/16"), Spot(50, 8))]
    near[7] = (near[7][0], SYDNEY)
    found = dict(coarse(near))
    assert found[ip_network("10.0.7.0/24")] == Spot(-34, 151)
    assert len(found) == 9


@st.composite
def disjoint(draw: st.DrawFn) -> list[tuple[Network, Spot]]:
    """Networks of both families in order, with one of three places each."""
    found: list[tuple[Network, Spot]] = []
    for base in ("10.0.0.0/20", "2001:db8::/52"):
        left: list[Any] = [ip_network(base)]
        while left:
            network = left.pop()
            if network.prefixlen < network.max_prefixlen and len(found) < 60 and draw(st.booleans()):
                left += reversed(list(network.subnets()))
            elif draw(st.booleans()):
                found.append((network, Spot(float(draw(st.integers(0, 2))), 0.0)))
    return found


@given(disjoint())
def test_coarse_networks_say_of_each_address_what_the_exact_ones_say(networks: list[tuple[Network, Spot]]) -> None:
    outcome = list(coarse(networks))
    assert outcome == sorted(outcome, key=lambda each: (each[0].version, int(each[0].network_address)))
    assert all(network.prefixlen <= FINEST[network.version] for network, _ in outcome)
    for network, spot in networks:
        if network.prefixlen <= FINEST[network.version]:
            address = network.network_address
            assert [each for where, each in outcome if where.version == network.version and address in where] == [spot]
