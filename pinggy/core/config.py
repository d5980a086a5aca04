"""
The settings of the core, as ``etc/core.toml`` explains them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from pinggy.core.entry_settings import EntrySettings
from pinggy.dns.config import ZoneSettings
from pinggy.metrics.config import MetricsSettings
from pinggy.settings import Secret
from pinggy.tunnel import names
from pinggy.tunnel.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """
    *url* is what libpq takes (``postgresql://user:password@host:port/name``), of one server or several. A
    statement is given up after *statement_timeout* seconds; a call waits *patience* seconds for a database that is
    away, then it is refused.
    """

    url: Secret
    pool: int = 8
    statement_timeout: float = 10.0
    patience: float = 5.0

    def __post_init__(self) -> None:
        at_least(self, "pool", 1)
        at_least(self, "statement_timeout", 0.1)
        at_least(self, "patience", 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """
    Where edges and the operator reach the core. Port 0 is any free one. *certificate* and *key* are the files (PEM) of
    its TLS, read again when they change; without TLS it is for this machine alone.
    """

    host: str = "127.0.0.1"
    port: int = 7070
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise ValueError("host is not an IP address.") from None
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("certificate and key go together: one of them is missing.")
        if self.certificate is None and not loopback:
            raise ValueError(
                "certificate is missing: without TLS the core can be listened at on loopback only, and"
                f" host = {self.host} is not."
            )
        if not 0 <= self.port <= 65535:
            raise ValueError("port is not a port: 1 to 65535.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSettings:
    """The public ports of tcp tunnels, from *first* to *last*, both included."""

    first: int = 20000
    last: int = 29999

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last <= 65535:
            raise ValueError("first and last are not a range of ports: 1 <= first <= last <= 65535.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """
    Counts. An address is one IPv4 address or one IPv6 /64. *new_tunnels_per_minute_per_address* is for those without an
    account; an account may start as many a minute besides all that it may have.
    """

    anonymous_tunnels_per_address: int = 20
    new_tunnels_per_minute_per_address: int = 60
    tunnels_per_account: int = 50
    forwardings_per_tunnel: int = 20
    channels_per_tunnel: int = 1000

    def __post_init__(self) -> None:
        at_least(self, "anonymous_tunnels_per_address", 0)
        at_least(self, "new_tunnels_per_minute_per_address", 1)
        at_least(self, "tunnels_per_account", 1)
        at_least(self, "forwardings_per_tunnel", 1)
        at_least(self, "channels_per_tunnel", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """
    *lease* is seconds: an edge that does not renew within it has lost its tunnels. For *resume* seconds without the
    core a client may come back to its tunnel. *kept_names* are labels that no tunnel may have. With *free_names* an
    account may take names that nobody has reserved. *grant_key* is the file of the key that signs grants and tickets,
    *relay_ca* of the authority that signs the certificates by which edges know each other; each is made if there is
    none. *zone*: without servers, somebody else keeps it; it is compared with the ledger every *zone_interval* seconds.
    Edges say every *report_interval* seconds what they hold. With *entry* there is a host that leads to the nearest
    edge.
    """

    domain: str
    operator_key: Secret
    database: DatabaseSettings
    listen: ListenSettings = field(default_factory=ListenSettings)
    lease: float = 30.0
    resume: float = 600.0
    anonymous_minutes: float = 60.0
    kept_names: tuple[str, ...] = ()
    free_names: bool = True
    grant_key: Path | None = None
    relay_ca: Path | None = None
    zone: ZoneSettings = field(default_factory=ZoneSettings)
    zone_interval: float = 60.0
    report_interval: float = 60.0
    entry: EntrySettings | None = None
    ports: PortSettings = field(default_factory=PortSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    def __post_init__(self) -> None:
        at_least(self, "lease", 1)
        if not 0 <= self.resume <= 86400:
            raise ValueError("resume is not between 0 and 86400 seconds.")
        at_least(self, "anonymous_minutes", 0.01)
        at_least(self, "zone_interval", 1)
        at_least(self, "report_interval", 0.1)
        check_domain(self.domain)
        if len(self.operator_key.reveal()) < 16:
            raise ValueError("operator_key is too short: 16 characters at the least.")
        if self.entry is not None:
            self.entry.check(self.domain)
            if self.entry.kind == "lua" and not self.zone.servers:
                raise ValueError('entry.kind = "lua" needs the zone\'s servers: zone.servers is empty.')

    @property
    def kept(self) -> tuple[str, ...]:
        """The labels that no tunnel may have: *kept_names*, and that of the entry."""
        label = None if self.entry is None else self.entry.label(self.domain)
        return self.kept_names if label is None else (*self.kept_names, label)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFile:
    """The whole of ``core.toml``."""

    core: CoreSettings


def at_least(settings: object, name: str, least: float) -> None:
    """Raises ValueError where the setting *name* is less than *least*."""
    if not getattr(settings, name) >= least:
        raise ValueError(f"{name} is too small: {least:g} at the least.")


def check_domain(domain: str) -> None:
    """Raises ValueError where *domain* is none."""
    try:
        for label in domain.split("."):
            names.parse_label(label)
    except Refusal as refusal:
        raise ValueError(f"domain is not a domain in lower case without a final dot: {refusal}") from None
