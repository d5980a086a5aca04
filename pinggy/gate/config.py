"""
The settings of a zone gate, as ``etc/zone.toml`` explains them.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pinggy.dns.powerdns.server import check_url
from pinggy.metrics.config import MetricsSettings
from pinggy.settings import Secret
from pinggy.tunnel import names
from pinggy.tunnel.refusals import Refusal

_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDnsSettings:
    """
    The PowerDNS server behind the gate: its webserver's *url*, its ``api-key``. An exchange is given up after *timeout*
    seconds: fewer than edges wait, so that they hear why.
    """

    key: Secret
    url: str = "http://127.0.0.1:8081"
    timeout: float = 3.0

    def __post_init__(self) -> None:
        check_url(self.url)
        _check_key("key", self.key, 1)
        if not 0.1 <= self.timeout <= 60:
            raise ValueError("timeout is out of bounds: 0.1 to 60 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where edges and the core reach the gate. Port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 8443

    def __post_init__(self) -> None:
        try:
            ip_address(self.host)
        except ValueError:
            raise ValueError("host is not an IP address.") from None
        if not 0 <= self.port <= 65535:
            raise ValueError("port is not a port: 1 to 65535.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """The files (PEM) of the certificate and its key; they are read again when they change."""

    file: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """Where the core is. *ca* is a file (PEM) of the authority that its certificate is checked with."""

    url: str
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSettings:
    """
    The *file* that pdns.conf names, in a folder of the gate's; *control_dir* is PowerDNS's ``socket-dir``. The core is
    asked every *interval* seconds or so.
    """

    file: Path
    control_dir: Path = Path("/run/pdns")
    interval: float = 30.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.interval <= 3600:
            raise ValueError("interval is out of bounds: 0.1 to 3600 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """
    *state* is the folder of the epochs. *grant_key* is the core's public key, as ``pinggy zone key`` prints it.
    *read_key* is what the core lists the zone with. Where *key* is set, who writes must show that too. With *geoip* the
    GeoIP file is fetched from *core*.
    """

    domain: str
    state: Path
    grant_key: str
    read_key: Secret
    powerdns: PowerDnsSettings
    key: Secret | None = None
    certificate: CertificateSettings | None = None
    listen: ListenSettings = field(default_factory=ListenSettings)
    core: CoreSettings | None = None
    geoip: GeoSettings | None = None
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    def __post_init__(self) -> None:
        try:
            for label in self.domain.split("."):
                names.parse_label(label)
        except Refusal as refusal:
            raise ValueError(f"domain is not a domain in lower case without a final dot: {refusal}") from None
        parse_grant_key(self.grant_key)
        _check_key("read_key", self.read_key, _SHORTEST_KEY)
        if self.key is not None:
            _check_key("key", self.key, _SHORTEST_KEY)
        if self.geoip is not None and self.core is None:
            raise ValueError("core.url is missing: the GeoIP file is fetched there.")
        if self.certificate is None and not ip_address(self.listen.host).is_loopback:
            raise ValueError("certificate is missing: without TLS the gate listens on loopback only.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFile:
    """The whole of ``zone.toml``."""

    zone: GateSettings


def parse_grant_key(text: str) -> Ed25519PublicKey:
    """Raises ValueError, as of the setting ``grant_key``."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("grant_key is no public key: `pinggy zone key` prints it, 44 letters of base64.") from None


def _check_key(name: str, key: Secret, shortest: int) -> None:
    text = key.reveal()
    if len(text) < shortest:
        raise ValueError(f"{name} is too short: {shortest} characters at the least.")
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name} has characters that a header cannot carry.")
