"""
The settings of an edge.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path

from pinggy.dns.config import ZoneSettings
from pinggy.dns.powerdns.server import check_url
from pinggy.edge.ssh.packets.names import CIPHERS, MACS
from pinggy.metrics.config import MetricsSettings
from pinggy.settings import Secret
from pinggy.sockets import Socket, parse_socket
from pinggy.tunnel.networks import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreLink:
    """
    Where the core is, and the secret that it knows this edge by. *ca* (PEM) is who signed the core's certificate, where
    that is not known anyway.
    """

    url: str
    secret: Secret
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """
    *public*: the sockets that SSH, TLS and HTTP share by their first bytes. *tcp*: the address of tcp tunnels' ports.
    *proxies*: networks of load balancers in front of all of these, whose connections begin with a PROXY header.
    """

    public: tuple[str, ...] = ("0.0.0.0:443", "0.0.0.0:80")
    tcp: str = "0.0.0.0"
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.public:
            raise ValueError("public is empty: name a socket at the least.")
        for each in self.public:
            try:
                parse_socket(each)
            except ValueError as error:
                raise ValueError(f"public: {error}") from None
        try:
            ipaddress.ip_address(self.tcp)
        except ValueError:
            raise ValueError("tcp is not an IP address.") from None
        check_networks("proxies", self.proxies)

    @property
    def sockets(self) -> tuple[Socket, ...]:
        return tuple(parse_socket(each) for each in self.public)

    @property
    def balancers(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(each) for each in self.proxies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The ports that visitors type."""

    http_port: int = 80
    https_port: int = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """
    The files (PEM) of the wildcard certificate and its key, and a *folder* of further ones for the names in them; all
    are read again when they change.
    """

    file: Path
    key: Path
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    *login* and *silence* are seconds: for the whole login, and without a packet until a client is given up. *notice* is
    the operator's line behind the expiry. *drain* is the seconds over which tunnels are closed when the edge is taken
    out of service. *ciphers* and *macs* are what their packets may be sealed with, the most wanted first. *windows*:
    MiB that all channels' windows may have beyond their starts.
    """

    login: float = 30.0
    silence: float = 15.0
    notice: str = ""
    drain: float = 30.0
    ciphers: tuple[str, ...] = tuple(name.decode() for name in CIPHERS)
    macs: tuple[str, ...] = tuple(name.decode() for name in MACS)
    windows: int = 64

    def __post_init__(self) -> None:
        _check_names("ciphers", self.ciphers, CIPHERS)
        _check_names("macs", self.macs, MACS)
        if self.windows < 0:
            raise ValueError("windows is less than 0 MiB.")
        if not 0 <= self.drain <= 3600:
            raise ValueError("drain is not between 0 and 3600 seconds.")
        if self.login < 1:
            raise ValueError("login is too short: 1 second at the least.")
        if self.silence < 1:
            raise ValueError("silence is too short: 1 second at the least.")
        if not self.notice.isprintable():
            raise ValueError("notice has characters that do not print.")


def check_networks(setting: str, networks: Collection[str]) -> None:
    """Raises ValueError."""
    for each in networks:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise ValueError(f"{setting}: {each!r} is no address or network, as 192.0.2.7 or 10.0.0.0/8.") from None


def _check_names(setting: str, names: tuple[str, ...], known: Collection[bytes]) -> None:
    """Raises ValueError."""
    there = [name.decode() for name in known]
    if not names:
        raise ValueError(f"{setting} is empty: name one at the least of {', '.join(there)}.")
    for name in names:
        if name not in there:
            raise ValueError(f"{setting} names {name!r}, which is not there; there are {', '.join(there)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitors:
    """
    What a visitor's connection may cost: bytes of one request's target and of its head, and count of its headers;
    seconds for a head, between requests, and until more of a body comes, or of a response is read; and the connections
    of one address (an IPv4 address or an IPv6 /64), clients included. *answer_seconds* is how long a local server may
    be silent before its response begins.
    """

    head_bytes: int = 16 * 1024
    target_bytes: int = 8 * 1024
    header_count: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_seconds: float = 60.0
    answer_seconds: float = 120.0
    connections_per_address: int = 256

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise ValueError(f"{each.name} must be more than 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """*listen* is where other edges pass visitors to this one: an IP address and a port, the same for all of them."""

    listen: str

    def __post_init__(self) -> None:
        try:
            port = parse_socket(self.listen).port
        except ValueError as error:
            raise ValueError(f"listen: {error}") from None
        if not port:
            raise ValueError("listen has no port: other edges must know it.")

    @property
    def socket(self) -> Socket:
        return parse_socket(self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """The whole of ``edge.toml``. *zone*: the servers that names are published at, one at the least."""

    core: CoreLink
    host_keys: tuple[Path, ...]
    certificate: Certificate
    listen: Listen = field(default_factory=Listen)
    face: Face = field(default_factory=Face)
    clients: Clients = field(default_factory=Clients)
    visitors: Visitors = field(default_factory=Visitors)
    relay: Relay | None = None
    zone: ZoneSettings = field(default_factory=ZoneSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
