from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pinggy.certificates.names import by_name, covers, most_exact, names_of
from pinggy.issuing import sign_leaf
from tests.certificates.pairs import AUTHORITY, FOR_SERVERS, NOW, issued

IPV4, IPV6 = ip_address("192.0.2.7"), ip_address("2001:db8::7")


@dataclass(frozen=True)
class Certificate:
    names: frozenset[str]
    expires: float


LABELS = st.sampled_from(["a", "b", "shop", "xn--bcher-kva"])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
NAMES = st.one_of(HOSTS, HOSTS.map("*.{}".format))
CERTIFICATES = st.builds(Certificate, st.frozensets(NAMES, min_size=1, max_size=4), st.integers(0, 5).map(float))


@pytest.mark.parametrize(
    ("name", "host", "is_covered"),
    [
        ("shop.a.example", "shop.a.example", True),
        ("*.a.example", "shop.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "x.shop.a.example", False),
        ("*.a.example", ".a.example", True),
        ("a.example", "shop.a.example", False),
        ("*", "example", False),
        ("*.*.example", "x.a.example", False),
        ("s*.a.example", "shop.a.example", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::2]", False),
    ],
)
def test_one_name_covers_one_host_or_one_label(name: str, host: str, is_covered: bool) -> None:
    assert covers({name}, host) is is_covered


def test_names_are_read_as_hosts_are_compared() -> None:
    made = issued("not a name", "Shop.A.Example", "*.B.example.")
    assert names_of(made.certificate) == {"shop.a.example", "*.b.example"}


def test_addresses_are_names_and_common_names_are_not() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    addresses = [x509.IPAddress(each) for each in (IPV4, IPV6)]
    with_addresses = sign_leaf(AUTHORITY, "a.example", key, addresses, FOR_SERVERS, NOW, timedelta(days=1))
    assert names_of(with_addresses) == {"192.0.2.7", "[2001:db8::7]"}
    assert names_of(AUTHORITY.certificate) == frozenset()


@given(certificates=st.lists(CERTIFICATES, max_size=6), host=HOSTS)
def test_the_most_exact_name_wins_and_then_the_longest_life(certificates: list[Certificate], host: str) -> None:
    found = most_exact(by_name(certificates), host)
    covering = [each for each in certificates if covers(each.names, host)]
    if found is None:
        assert not covering
        return
    exact = [each for each in covering if host in each.names]
    best = exact or covering
    assert found in best
    assert found.expires == max(each.expires for each in best)


@given(certificates=st.permutations([Certificate(frozenset({"a", "b"}), 1.0), Certificate(frozenset({"b", "c"}), 2.0)]))
def test_the_order_in_which_they_are_found_does_not_matter(certificates: list[Certificate]) -> None:
    found = by_name(certificates)
    assert {name: each.expires for name, each in found.items()} == {"a": 1.0, "b": 2.0, "c": 2.0}
