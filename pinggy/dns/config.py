"""
Where the zone's servers are, as core and edges are told in their settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.dns.powerdns.server import PowerDnsServer


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """*ttl*: seconds that resolvers may keep a record of a tunnel."""

    servers: tuple[PowerDnsServer, ...] = ()
    ttl: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.ttl <= 3600:
            raise ValueError("ttl is not between 0 and 3600 seconds.")
