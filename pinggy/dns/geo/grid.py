"""
Networks and their places, coarsely: enough to tell which edge is nearer, and few enough to be fetched by every gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
# What EDNS client subnet says at the most (RFC 7871 11.1): nothing finer is ever asked for.
FINEST = {4: 24, 6: 56}


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Degrees north and east."""

    latitude: float
    longitude: float


def coarse(networks: Iterable[tuple[Network, Spot]]) -> Iterator[tuple[Network, Spot]]:
    """
    *networks*, disjoint and in order, with their spots in whole degrees (111 km at the most), none finer than `FINEST`;
    two halves that are in one place become their whole. Those of which a finer network is a part have the spot of the
    first one.
    """
    waiting: list[tuple[Network, Spot]] = []
    for network, exact in networks:
        network = _at_finest(network)
        if waiting and waiting[-1][0].version != network.version:
            yield from waiting
            waiting.clear()
        if waiting and _covers(waiting[-1][0], network):
            continue
        waiting.append((network, Spot(float(round(exact.latitude)), float(round(exact.longitude)))))
        _join(waiting)
        # What has no half to wait for is done; so little waits at any time.
        while len(waiting) > 1 and not _may_join(waiting[0][0], waiting[1][0]):
            yield waiting.pop(0)
    yield from waiting


def _join(waiting: list[tuple[Network, Spot]]) -> None:
    while len(waiting) > 1:
        (first, here), (second, there) = waiting[-2:]
        if here != there or first.prefixlen != second.prefixlen or first.prefixlen == 0:
            return
        whole = first.supernet()
        if whole != second.supernet():
            return
        waiting[-2:] = [(whole, here)]


def _may_join(first: Network, second: Network) -> bool:
    """Whether *second*, which follows, is in the other half of what *first* is a half of."""
    return first.prefixlen > 0 and _covers(first.supernet(), second)


def _at_finest(network: Network) -> Network:
    finest = FINEST[network.version]
    return network if network.prefixlen <= finest else network.supernet(new_prefix=finest)


def _covers(outer: Network, inner: Network) -> bool:
    if outer.prefixlen > inner.prefixlen:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(outer.network_address) >> shift == int(inner.network_address) >> shift


def network_of(address: str) -> Network:
    """The network of just this *address*. Raises ValueError."""
    return ip_network(address)
