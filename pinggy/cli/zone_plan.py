"""
What a new zone holds of itself, before any tunnel: pure, words in and RRsets out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pinggy.tunnel.names import is_service_label, parse_label
from pinggy.tunnel.refusals import Refusal

# How long "no such name" may be believed: a tunnel's name that is published soon after must not stay unknown.
NEGATIVE_TTL = 5
# Of use to secondaries only. PowerDNS counts the serial itself.
_REFRESH, _RETRY, _EXPIRE = 3600, 600, 604800
FIRST_SERIAL = 1
_TTL = 3600
# Clients begin at the apex: when it is to lead elsewhere, that must not take an hour.
_APEX_TTL = 60
_LONGEST_DOMAIN = 200
_MAILBOX = re.compile(r"[A-Za-z0-9._+-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """*name* is absolute, in lower case without the final dot; *address* is None where only its own zone has it."""

    name: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rrset:
    """
    The records of one *name* (with the final dot) and *type*: their *contents* in any order, none where nothing should
    stand. *ttl* in seconds. The serial in the content of an SOA says nothing here.
    """

    name: str
    type: str
    ttl: int
    contents: tuple[str, ...] = ()

    def is_like(self, other: Rrset) -> bool:
        """Whether resolvers read the same from both."""
        mine, others = ({_meaning(self.type, each) for each in rrset.contents} for rrset in (self, other))
        return mine == others and (not mine or self.ttl == other.ttl)

    def __str__(self) -> str:
        return f"{self.type} {self.name.removesuffix('.')}"


def parse_domain(text: str) -> str:
    """*text* in lower case without the final dot. Raises ValueError."""
    domain = text.lower().removesuffix(".")
    try:
        for label in domain.split("."):
            parse_label(label)
    except Refusal as refusal:
        raise ValueError(f"{text!r} is not a domain: {refusal}") from None
    if len(domain) > _LONGEST_DOMAIN:
        raise ValueError(f"{text!r} is too long for a domain: {_LONGEST_DOMAIN} characters at the most")
    return domain


def parse_name_server(text: str) -> NameServer:
    """``ns1.a.example.com=192.0.2.53``, or only the name. Raises ValueError."""
    name, equals, address = text.partition("=")
    server = parse_domain(name)
    if "." not in server:
        raise ValueError(f"{name!r} is not a whole name, such as ns1.a.example.com")
    if not equals:
        return NameServer(name=server)
    try:
        return NameServer(name=server, address=str(ipaddress.ip_address(address)))
    except ValueError:
        raise ValueError(f"{address!r} is not an IP address: write NAME=ADDRESS") from None


def parse_mailbox(text: str) -> str:
    """A mail address as an SOA has it, ``hostmaster.example.com.`` (RFC 1035 8). Raises ValueError."""
    local, at, domain = text.partition("@")
    if not at or not _MAILBOX.fullmatch(local):
        raise ValueError(f"{text!r} is not a mail address, such as hostmaster@example.com")
    return local.replace(".", "\\.") + f".{parse_domain(domain)}."


def plan_zone(
    domain: str, servers: Sequence[NameServer], mailbox: str | None, addresses: Iterable[str]
) -> tuple[Rrset, ...]:
    """
    What must stand in the zone *domain*: its SOA and NS, the addresses of those *servers* that lie in it, and, where
    there are any, the *addresses* of the domain itself. Raises ValueError where the servers cannot be used.
    """
    apex = f"{domain}."
    names = list(dict.fromkeys(each.name for each in servers))
    rrsets = [
        Rrset(name=apex, type="SOA", ttl=_TTL, contents=(soa(domain, names[0], mailbox, FIRST_SERIAL),)),
        Rrset(name=apex, type="NS", ttl=_TTL, contents=tuple(f"{name}." for name in names)),
    ]
    for name in names:
        if not name.endswith(f".{domain}"):
            continue
        label = name.removesuffix(f".{domain}").rpartition(".")[2]
        if not is_service_label(label, (), ()):
            raise ValueError(f"the name {label} could be a tunnel's: a name server in the zone begins with ns")
        its_own = [each.address for each in servers if each.name == name and each.address is not None]
        if not its_own:
            raise ValueError(f"{name} lies in the zone: say its address, {name}=ADDRESS")
        rrsets += _of_addresses(f"{name}.", its_own, _TTL)
    addresses = list(addresses)
    if addresses:
        rrsets += _of_addresses(apex, addresses, _APEX_TTL)
    return tuple(rrsets)


def delegation(rrsets: Sequence[Rrset]) -> tuple[str, ...]:
    """The lines that the zone above must hold for the planned *rrsets*: who serves, and where in the zone they are."""
    servers = next(each for each in rrsets if each.type == "NS")
    glue = [each for each in rrsets if each.type in ("A", "AAAA") and each.name in servers.contents]
    return tuple(
        f"{each.name} {each.ttl} IN {each.type} {content}" for each in (servers, *glue) for content in each.contents
    )


def soa(domain: str, primary: str, mailbox: str | None, serial: int) -> str:
    """The content of an SOA (RFC 1035 3.3.13)."""
    return f"{primary}. {mailbox or f'hostmaster.{domain}.'} {serial} {_REFRESH} {_RETRY} {_EXPIRE} {NEGATIVE_TTL}"


def with_serial(rrset: Rrset, serial: int) -> Rrset:
    """The SOA *rrset* with another *serial*; any other as it is."""
    if rrset.type != "SOA":
        return rrset
    primary, mailbox, _, *times = rrset.contents[0].split()
    content = " ".join((primary, mailbox, str(serial), *times))
    return Rrset(name=rrset.name, type=rrset.type, ttl=rrset.ttl, contents=(content,))


def _of_addresses(name: str, addresses: Sequence[str], ttl: int) -> list[Rrset]:
    """Both families: where there are no addresses of one, nothing should stand."""
    return [
        Rrset(
            name=name,
            type=kind,
            ttl=ttl,
            contents=tuple(dict.fromkeys(each for each in addresses if ipaddress.ip_address(each).version == version)),
        )
        for kind, version in (("A", 4), ("AAAA", 6))
    ]


def _meaning(kind: str, content: str) -> str:
    """*content* as one writes it who compares: servers write names and addresses in their own ways."""
    if kind in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(content))
        except ValueError:
            return content
    if kind == "SOA":
        words = content.lower().split()
        return " ".join((*words[:2], *words[3:]))
    return content.lower()
