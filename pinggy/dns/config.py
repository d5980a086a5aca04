"""
Where the zone's servers are, as core and edges are told in their settings.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pinggy.settings import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneServer:
    """
    One authoritative server. *url* is that of its gate, or with *gate* false of PowerDNS's own API; *key* is what it
    asks for as ``X-API-Key``; *ca* (PEM) is who signed its certificate, where that is not known anyway. *dns* is the
    socket at which it answers questions, ``192.0.2.53:53``.
    """

    url: str
    key: Secret
    dns: str
    gate: bool = True
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_url(self.url, "url")
        try:
            _ = self.dns_address
        except ValueError:
            raise ValueError("dns is not an IP address and a port, as in 192.0.2.53:53 or [2001:db8::53]:53.") from None

    @property
    def dns_address(self) -> tuple[str, int]:
        host, _, port = self.dns.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        ipaddress.ip_address(host)
        if not 1 <= int(port) <= 65535:
            raise ValueError(port)
        return host, int(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """*ttl*: seconds that resolvers may keep a record of a tunnel."""

    servers: tuple[ZoneServer, ...] = ()
    ttl: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.ttl <= 3600:
            raise ValueError("ttl is not between 0 and 3600 seconds.")


def check_url(url: str, name: str) -> None:
    """ValueError unless *url* is https, or http to this machine itself: nobody else may hear what is said there."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name} is not an http or https URL.")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(f"{name} is without TLS, which is for loopback only: write https.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
