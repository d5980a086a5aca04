"""
The settings of the whole service in one process, as ``etc/pinggy.toml`` explains them. Every one has a default.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from pinggy.core.config import LimitSettings, PortSettings, at_least, check_domain
from pinggy.edge.config import Certificate, Clients, Face, Visitors, check_networks
from pinggy.metrics.config import MetricsSettings
from pinggy.settings import Secret
from pinggy.tunnel.names import parse_label
from pinggy.tunnel.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """
    *host* is the IP address of all sockets. *https_port* and *http_port* are answered alike, by the first bytes:
    SSH, TLS or HTTP; visitors see them in URLs unless `Face` says others. *proxies*: networks of load balancers in
    front, whose connections begin with a PROXY header.
    """

    host: str = "127.0.0.1"
    https_port: int = 7443
    http_port: int = 7080
    dns_port: int = 7053
    core_port: int = 7070
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise ValueError("host is not an IP address.") from None
        ports = [self.https_port, self.http_port, self.dns_port, self.core_port]
        for name in ("https_port", "http_port", "dns_port", "core_port"):
            if not 1 <= getattr(self, name) <= 65535:
                raise ValueError(f"{name} is not a port: 1 to 65535.")
        if len(set(ports)) < len(ports):
            raise ValueError("https_port, http_port, dns_port and core_port must differ.")
        check_networks("proxies", self.proxies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """
    *address* is where visitors find the edge (A or AAAA of the domain and of the region). *records* are further ones
    of the zone, as ``www A 192.0.2.1``. *ttl* is in seconds.
    """

    region: str = "local"
    address: str = "127.0.0.1"
    ttl: int = 10
    records: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            parse_label(self.region)
        except Refusal as refusal:
            raise ValueError(f"region is not a label: {refusal}") from None
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            raise ValueError("address is not an IP address.") from None
        if not 0 <= self.ttl <= 86400:
            raise ValueError("ttl is not between 0 and 86400 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    *state* is the folder of everything that is kept. *database* is the URL of a PostgreSQL; without it, one of our
    own runs in *state*. *host_keys* and *certificate*: files; without them, made in *state* at the first start.
    """

    domain: str = "a.localhost"
    state: Path = Path("var")
    database: Secret | None = None
    host_keys: tuple[Path, ...] = ()
    certificate: Certificate | None = None
    lease: float = 15.0
    anonymous_minutes: float = 60.0
    kept_names: tuple[str, ...] = ()
    free_names: bool = True
    listen: Listen = field(default_factory=Listen)
    face: Face | None = None
    dns: Dns = field(default_factory=Dns)
    ports: PortSettings = field(default_factory=PortSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    clients: Clients = field(default_factory=Clients)
    visitors: Visitors = field(default_factory=Visitors)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    def __post_init__(self) -> None:
        at_least(self, "lease", 1)
        at_least(self, "anonymous_minutes", 0.01)
        check_domain(self.domain)
