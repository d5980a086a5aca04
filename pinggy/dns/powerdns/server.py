"""
One authoritative server: where it is written, and where it answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pinggy.dns.question import Server, server_name
from pinggy.settings import Secret

_SOCKET = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDnsServer:
    """
    *url* is PowerDNS's webserver or, with *gate*, the zone gate before it: ``https://ns1.example:8443``; without TLS on
    loopback only. *ca* is a file (PEM) of the authority that its certificate is checked with, instead of the system's.
    *key* is sent as ``X-API-Key``. *dns* is where the server answers questions: ``192.0.2.1:53``.
    """

    url: str
    dns: str
    key: Secret | None = None
    gate: bool = True
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_url(self.url)
        parse_server(self.dns)
        if self.key is None and not self.gate:
            raise ValueError("key is missing: PowerDNS itself takes nothing without its api-key.")
        if self.key is not None and not (self.key.reveal().isascii() and self.key.reveal().isprintable()):
            raise ValueError("key has characters that a header cannot carry.")

    @property
    def dns_server(self) -> Server:
        return parse_server(self.dns)

    @property
    def place(self) -> str:
        """Where it is written: a host and a port."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        """The name that logs and sentences give it."""
        return f"{self.place} (DNS {server_name(self.dns_server)})"


def parse_server(text: str) -> Server:
    """``192.0.2.1:53`` or ``[2001:db8::1]:53``. Raises ValueError, as of the setting ``dns``."""
    match = _SOCKET.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        host, port = match["v6"] or match["v4"], int(match["port"])
        ip_address(host)
        if not 1 <= port <= 65535:
            raise ValueError
    except ValueError:
        raise ValueError(f"dns = {text!r} is not an IP address and a port, as in 192.0.2.1:53 or [::1]:53.") from None
    return (host, port)


def check_url(url: str) -> None:
    """Raises ValueError, as of the setting ``url``, where it is not https, or http to this machine's loopback."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"url = {url!r} is not a URL.") from None
    plain = parts.scheme == "http"
    whole = parts.scheme in ("http", "https") and host and port != 0 and url.isascii() and url.isprintable()
    if not whole or parts.query or parts.fragment or parts.username is not None or parts.path not in ("", "/"):
        raise ValueError(f"url = {url!r} is not of the form https://host:port.")
    if plain and not _is_loopback(host):
        raise ValueError(f"url = {url!r} has no TLS: http is for this machine's loopback only, use https.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
