"""
The zone's own records, from settings: ``www A 127.0.0.1``, ``@ NS ns1``, ``*.x CNAME y`` become frozen values.

Names are relative to the zone unless they end in a dot (RFC 1035 5.1). A text that cannot be used is a ValueError
whose sentence names it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.rdata
import dns.rdatatype
from dns.name import Name
from dns.rdata import Rdata
from dns.rdataclass import IN
from dns.rdatatype import AAAA, CAA, CNAME, MX, NS, SRV, TXT, A, RdataType

from pinggy.dns.hostnames import parse_name
from pinggy.tunnel.refusals import echo

# No delegations (NS below the apex, DS), no DNAME and no SOA but the server's own: what is listed is what is served.
SERVED_TYPES = (A, AAAA, CNAME, TXT, MX, CAA, SRV, NS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRecord:
    """One record that no tunnel may touch. *owner* is absolute, and so are the names in *rdata*."""

    owner: Name
    rdata: Rdata

    @property
    def type(self) -> RdataType:
        return RdataType(self.rdata.rdtype)

    def __str__(self) -> str:
        return f"{self.owner} {dns.rdatatype.to_text(self.type)} {self.rdata}"


def parse_record(text: str, domain: str) -> StaticRecord:
    """The record that *text* is in the zone *domain*. Raises ValueError."""
    shown = f"The record '{echo(text)}'"
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{shown} has characters that are not printable ASCII.")
    parts = text.split(None, 2)
    if len(parts) < 3:
        raise ValueError(f"{shown} is not complete: write NAME TYPE VALUE, as in 'www A 192.0.2.1'.")
    origin = parse_name(domain)
    try:
        owner = parse_name(parts[0], origin)
        rdtype = dns.rdatatype.from_text(parts[1])
        rdata = dns.rdata.from_text(IN, rdtype, parts[2], origin=origin, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{shown} cannot be read: {error}") from None
    if rdtype not in SERVED_TYPES:
        known = " ".join(dns.rdatatype.to_text(each) for each in SERVED_TYPES)
        raise ValueError(f"{shown} is of a type that is not served; served are {known}.")
    if not owner.is_subdomain(origin):
        raise ValueError(f"{shown} lies outside the zone {domain}.")
    if rdtype == NS and owner != origin:
        raise ValueError(f"{shown} would delegate a part of the zone: NS can stand at @ only.")
    if rdtype == CNAME and owner == origin:
        raise ValueError(f"{shown} is not possible: the name of the zone itself cannot be a CNAME (RFC 1912 2.4).")
    return StaticRecord(owner=owner, rdata=rdata)


def parse_records(texts: Iterable[str], domain: str) -> tuple[StaticRecord, ...]:
    """Each of *texts*, in their order; they must fit each other. Raises ValueError."""
    records = tuple(parse_record(text, domain) for text in texts)
    check_together(records)
    return records


def address_records(label: str, addresses: Iterable[str], domain: str) -> tuple[StaticRecord, ...]:
    """An A or AAAA record at *label* (``@`` is the zone itself) for each of *addresses*. Raises ValueError."""
    return tuple(
        parse_record(f"{label} {'AAAA' if ipaddress.ip_address(each).version == 6 else 'A'} {each}", domain)
        for each in addresses
    )


def check_together(records: Iterable[StaticRecord]) -> None:
    """A CNAME stands alone at its name (RFC 1034 3.6.2): ValueError where one of *records* does not."""
    seen: dict[Name, StaticRecord] = {}
    for record in records:
        other = seen.setdefault(record.owner, record)
        if other is not record and CNAME in (other.type, record.type):
            raise ValueError(f"The records '{other}' and '{record}' exclude each other: a CNAME stands alone.")
