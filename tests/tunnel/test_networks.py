from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from pinggy.tunnel.networks import Address, AddressRanges, Network
from pinggy.tunnel.policy import Policy

# Few addresses, so that networks meet, hold one another and stand side by side.
_SMALL_V4 = st.integers(0xC0000200, 0xC00002FF).map(ipaddress.IPv4Address)
_SMALL_V6 = st.integers(0xC0000200, 0xC00002FF).map(ipaddress.IPv6Address)
_ADDRESSES = _SMALL_V4 | _SMALL_V6 | st.ip_addresses()


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(_ADDRESSES)
    length = draw(st.integers(0, address.max_prefixlen) | st.integers(address.max_prefixlen - 8, address.max_prefixlen))
    return ipaddress.ip_network((int(address), length) if address.version == 4 else f"{address}/{length}", strict=False)


@given(st.lists(networks(), max_size=30), st.lists(_ADDRESSES, min_size=1, max_size=30))
def test_an_address_is_in_the_ranges_if_it_is_in_a_network(nets: list[Network], addresses: list[Address]) -> None:
    ranges = AddressRanges(nets)
    edges = [each for net in nets for each in (net.network_address, net.broadcast_address)]
    beside = [type(each)((int(each) + by) % 2**each.max_prefixlen) for each in edges for by in (1, -1)]
    for address in (*addresses, *edges, *beside):
        assert (address in ranges) is any(address in net for net in nets)


def test_a_policy_is_equal_to_one_of_the_same_words() -> None:
    one, other = (Policy(whitelist=(ipaddress.ip_network("10.0.0.0/8"),)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Policy()
