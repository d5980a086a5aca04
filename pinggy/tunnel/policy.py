"""
What a client asks to do with its visitors, as a value. `arguments` reads it from the words behind the host.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum

from pinggy.settings import Secret
from pinggy.tunnel.networks import Address, AddressRanges, Network


class HeaderAction(Enum):
    ADD = "a"
    REMOVE = "r"
    UPDATE = "u"


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What to do with the headers called *name*; *value* is empty for REMOVE."""

    action: HeaderAction
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    user: str
    password: Secret


class ProxyProtocol(Enum):
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests (*count*) in so many *seconds*; as many may come at once."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What a client asked to do with its visitors. The defaults are those of a tunnel without arguments.

    *headers* are rules for requests, *response_headers* for responses. *local_tls* is the SNI toward a local server
    that speaks TLS; *h2*: it speaks HTTP/2 with prior knowledge. *rate* is each visitor's, *limit* the bytes of one
    request's content.
    """

    headers: tuple[HeaderRule, ...] = ()
    response_headers: tuple[HeaderRule, ...] = ()
    basic: tuple[BasicAuth, ...] = ()
    bearer: tuple[Secret, ...] = ()
    whitelist: tuple[Network, ...] = ()
    https_only: bool = False
    xff: str | None = None
    full_url: bool = False
    local_tls: str | None = None
    pass_preflight: bool = False
    reverse_proxy: bool = True
    haproxy: ProxyProtocol | None = None
    rate: Rate | None = None
    limit: int | None = None
    h2: bool = False
    _admitted: AddressRanges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_admitted", AddressRanges(self.whitelist))

    @property
    def leg(self) -> object:
        """How a stream to the local server begins: what began by an equal one serves under this policy too."""
        return self.haproxy, self.local_tls, self.h2

    def admits(self, visitor: Address) -> bool:
        """Whether the whitelist lets *visitor* in; no whitelist lets everybody in."""
        if not self.whitelist:
            return True
        mapped = visitor.ipv4_mapped if isinstance(visitor, ipaddress.IPv6Address) else None
        return (mapped or visitor) in self._admitted
