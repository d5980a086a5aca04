"""
The URLs that a visitor types: they carry the public port where that is not the scheme's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.request import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicFace:
    """What the world sees of the service: the zone's *domain* and the ports that visitors type."""

    domain: str
    http_port: int = 80
    https_port: int = 443

    def host(self, name: str) -> str:
        return f"{name}.{self.domain}"

    def urls(self, forwarding: Forwarding) -> tuple[str, ...]:
        host = self.host(forwarding.name)
        match forwarding.kind:
            case Kind.HTTP:
                return (
                    f"http://{host}{_unless(self.http_port, 80)}",
                    f"https://{host}{_unless(self.https_port, 443)}",
                )
            case Kind.TLS | Kind.TLSTCP:
                return (f"{forwarding.kind.value}://{host}:{self.https_port}",)
            case Kind.TCP | Kind.UDP:
                return (f"{forwarding.kind.value}://{host}:{forwarding.port}",)


def _unless(port: int, own: int) -> str:
    return "" if port == own else f":{port}"
