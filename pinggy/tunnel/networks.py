"""
Whether an address is in one of many networks: found by halving, not by asking one after the other.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRanges:
    """Of *networks*, for each family the first and the last addresses of ranges that do not overlap, in their order."""

    __slots__ = ("_ranges",)

    def __init__(self, networks: Iterable[Network]) -> None:
        self._ranges: dict[int, tuple[list[int], list[int]]] = {4: ([], []), 6: ([], [])}
        bounds = sorted((int(each.network_address), int(each.broadcast_address), each.version) for each in networks)
        for first, last, version in bounds:
            firsts, lasts = self._ranges[version]
            # Of two networks that overlap one is within the other.
            if lasts and first <= lasts[-1]:
                lasts[-1] = max(last, lasts[-1])
            else:
                firsts.append(first)
                lasts.append(last)

    def __contains__(self, address: Address) -> bool:
        firsts, lasts = self._ranges[address.version]
        number = int(address)
        place = bisect_right(firsts, number) - 1
        return place >= 0 and number <= lasts[place]
