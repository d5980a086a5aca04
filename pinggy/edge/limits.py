"""
How many connections one address may have at a time. An IPv6 visitor owns a /64, so that counts as one address.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

# Seconds between two log lines about the same address.
SAY_AGAIN = 60.0


def counted_as(host: str) -> str:
    """The address that *host* (IPv4 or IPv6 in text) is counted as: itself, or its /64; mapped IPv4 is IPv4."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


class ConnectionLimit:
    """At most *most* connections of one address: each `enter` that was True is followed by one `leave`."""

    _log = Logger()

    def __init__(self, most: int, clock: IReactorTime) -> None:
        self._most = most
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    def enter(self, host: str) -> bool:
        """Count one connection of *host*; False where it has as many as it may."""
        address = counted_as(host)
        if self._open[address] >= self._most:
            self._say(address)
            return False
        self._open[address] += 1
        return True

    def leave(self, host: str) -> None:
        address = counted_as(host)
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def open(self, host: str) -> int:
        return self._open.get(counted_as(host), 0)

    @property
    def total(self) -> int:
        """How many connections are open, of all addresses."""
        return self._open.total()

    def _say(self, address: str) -> None:
        now = self._clock.seconds()
        # In the order of their times: what is old stands first.
        for said in list(self._said):
            if self._said[said] + SAY_AGAIN > now:
                break
            del self._said[said]
        if address not in self._said:
            self._said[address] = now
            self._log.info(
                "{address} has {most} connections open: more are closed at once", address=address, most=self._most
            )
