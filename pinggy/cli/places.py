"""
Where a server is that the command speaks to, and one exchange of HTTP with it.

The standard library's client, because the command is over before another would have been imported (see
docs/decisions); not urllib, which would take keys to proxies and along redirects.
"""

from __future__ import annotations

import http.client
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from pinggy.cli.failure import CommandFailed
from pinggy.wire.codec import LONGEST_BODY


class Place(NamedTuple):
    """A host and its port, with TLS (*secure*) or, on loopback, without."""

    secure: bool
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_place(url: str, what: str, key: str, example: str) -> Place:
    """
    The place that *url* names: http or https, host and port, nothing more. Without TLS it must be on loopback, because
    a key is said there. *what* and *key* name both in the sentence of `CommandFailed`.
    """
    shown = f"{what} {url!r}"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CommandFailed(f"{shown} is not a URL.") from None
    if parts.scheme not in ("http", "https") or not host or not host.isascii():
        raise CommandFailed(f"{shown} is not one of http or https with a host, such as {example}.")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandFailed(f"{shown} has more than a host and a port.")
    secure = parts.scheme == "https"
    place = Place(secure, host, port or (443 if secure else 80))
    if not secure and not place.is_loopback:
        raise CommandFailed(f"{shown} would send {key} in the clear: use https, or a loopback address.")
    return place


def exchange(
    place: Place, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout: float
) -> tuple[int, bytes]:
    """
    Status and body of the answer; of a body no more is read than one byte too many. *timeout*, in seconds, is for each
    read and write. Raises OSError, or `http.client.HTTPException` where what answers does not speak HTTP.
    """
    kind = http.client.HTTPSConnection if place.secure else http.client.HTTPConnection
    connection = kind(place.host, place.port, timeout=timeout)
    said = {"Accept": "application/json", **headers}
    if body is not None:
        said["Content-Type"] = "application/json"
    try:
        connection.request(method, target, body, said)
        response = connection.getresponse()
        return response.status, response.read(LONGEST_BODY + 1)
    finally:
        connection.close()
