"""
The setting ``core.entry``: one host name that leads clients to the nearest edge, and who answers for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pinggy.dns.powerdns.server import check_url
from pinggy.dns.route53.regions import LATENCY_REGIONS
from pinggy.tunnel import names
from pinggy.tunnel.refusals import Refusal

KINDS = ("lua", "route53")
_APEX = "@"
# What a zone gate lets through; longer than a dead edge should be believed in any case.
_HIGHEST_TTL = 3600
_LONGEST_NAME = 200
_HOSTED_ZONE = re.compile(r"[A-Z0-9]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySettings:
    """
    *kind* ``lua``: the zone's own servers answer; *name* is ``@``, the domain itself or a label in it, *database* a
    file in MaxMind's form. *kind* ``route53``: *name* is a host outside the zone, in the *hosted_zone* of this id;
    *endpoint* replaces Amazon's URL. An edge lives as long as its *port* takes connections; answers are kept for *ttl*
    seconds.
    """

    kind: str
    name: str = _APEX
    port: int = 443
    ttl: int = 10
    hosted_zone: str | None = None
    endpoint: str | None = None
    database: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is none that there is: {' or '.join(KINDS)}.")
        if not 1 <= self.port <= 65535:
            raise ValueError("port is not a port: 1 to 65535.")
        if not 1 <= self.ttl <= _HIGHEST_TTL:
            raise ValueError(f"ttl is not between 1 and {_HIGHEST_TTL} seconds.")
        if self.kind == "route53":
            self._check_route53()

    def host(self, domain: str) -> str:
        """The name that clients type, absolute in lower case without the final dot."""
        if self.kind == "route53" or self.name == domain or self.name.endswith(f".{domain}"):
            return self.name
        return domain if self.name == _APEX else f"{self.name}.{domain}"

    def label(self, domain: str) -> str | None:
        """The label of the zone that no tunnel may have for it; None where it is not one."""
        return names.label_of_host(self.host(domain), domain)

    def check(self, domain: str) -> None:
        """Raises ValueError, as of the setting ``entry.name``, where it cannot be that of the zone *domain*."""
        host = self.host(domain)
        try:
            for label in host.split("."):
                names.parse_label(label)
        except Refusal as refusal:
            raise ValueError(f"entry.name is not a host in lower case without a final dot: {refusal}") from None
        if len(host) > _LONGEST_NAME:
            raise ValueError(f"entry.name is too long: {_LONGEST_NAME} characters at the most.")
        if self.kind == "route53":
            _check_outside(host, domain)
        elif host != domain and self.label(domain) is None:
            raise ValueError(f'entry.name = "{self.name}" is neither {domain} itself ("@") nor one label below it.')

    def _check_route53(self) -> None:
        if self.hosted_zone is None or not _HOSTED_ZONE.fullmatch(self.hosted_zone):
            raise ValueError('hosted_zone is not the id of one, such as "Z0123456789ABCDEFGHIJ".')
        if self.name == _APEX or "." not in self.name:
            raise ValueError("name is not a whole host name, such as go.example.com.")
        if self.endpoint is not None:
            try:
                check_url(self.endpoint)
            except ValueError as error:
                raise ValueError(f"endpoint is of no use: {error}") from None


def _check_outside(host: str, domain: str) -> None:
    """Route 53 is never asked for what is delegated away from it."""
    if host == domain or host.endswith(f".{domain}"):
        raise ValueError(
            f'entry.name = "{host}" lies in the zone {domain}, which is delegated to its own servers: Route 53 would'
            " never be asked for it. Take a name of the hosted zone outside of it."
        )
    for region in LATENCY_REGIONS:
        if domain == f"{region}.{host}" or domain.endswith(f".{region}.{host}"):
            raise ValueError(
                f'entry.name = "{host}" needs the names of regions below it, and {domain} lies at {region}.{host}.'
            )
