"""
Records to changes: what a zone may hold is checked before any server is asked.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from dns.name import Name

from pinggy.dns.hostnames import parse_name
from pinggy.dns.powerdns.changes import ADDRESSES, ENTRY, Change
from pinggy.dns.powerdns.lua import LUA, entry_contents
from pinggy.dns.zone import EntryRecord, HostRecord, NameRecord

# What a zone gate's store and JSON's readers hold exactly.
HIGHEST_EPOCH = 2**63 - 1


def alias_of(record: NameRecord, domain: str, ttl: int) -> Change:
    """The CNAME that *record* asks for. Raises ValueError, a sentence."""
    target = plain_host(record.target)
    owner = owner_name(record.name, domain)
    _check_apart(owner, target)
    return Change(name=owner, epoch=_epoch(record.epoch), target=target, ttl=ttl, proof=record.proof)


def withdrawal_of(record: NameRecord, domain: str, ttl: int) -> Change:
    """That *record* is taken away. Raises ValueError, a sentence."""
    owner = owner_name(record.name, domain)
    if record.target:
        _check_apart(owner, plain_host(record.target))
    return Change(
        name=owner,
        epoch=_epoch(record.epoch),
        withdrawn=True,
        any_lower=not record.target,
        proof=record.proof,
    )


def hosts_of(record: HostRecord, domain: str, ttl: int) -> Change:
    """The A and AAAA records that *record* asks for. Raises ValueError, a sentence."""
    return Change(
        name=owner_name(record.name, domain),
        epoch=_epoch(record.epoch),
        addresses=tuple(str(ip_address(each)) for each in record.addresses),
        withdrawn=not record.addresses,
        any_lower=not record.addresses,
        types=ADDRESSES,
        ttl=ttl,
        proof=record.proof,
    )


def entry_of(record: EntryRecord, domain: str, ttl: int) -> Change:
    """The LUA records that *record* asks for. Raises ValueError, a sentence."""
    apex = parse_name(record.name) == _origin(domain)
    owner = plain_host(record.name) if apex else owner_name(record.name, domain)
    contents = entry_contents(record.addresses, record.port)
    return Change(
        name=owner,
        epoch=_epoch(record.epoch),
        addresses=record.addresses,
        port=record.port,
        withdrawn=not contents,
        any_lower=not contents,
        types=ENTRY if contents else (LUA,),
        ttl=record.ttl,
        proof=record.proof,
    )


def owner_name(text: str, domain: str) -> str:
    """
    The name *text* in lower case without the final dot; it is one label below *domain*, and neither a wildcard nor one
    of the zone's own underscores. Raises ValueError, a sentence.
    """
    owner = parse_name(text)
    if len(owner.labels) < 2 or owner.parent() != _origin(domain):
        raise ValueError(f"{owner} is not one label below {domain}.")
    if owner.labels[0].startswith((b"*", b"_")):
        raise ValueError(f"{owner} belongs to the zone itself.")
    return plain_name(owner)


@lru_cache(maxsize=1024)
def plain_host(text: str) -> str:
    """The name *text* in lower case without the final dot. Raises ValueError, a sentence. Tunnels lead to few hosts."""
    return plain_name(parse_name(text))


@lru_cache(maxsize=16)
def _origin(domain: str) -> Name:
    return parse_name(domain)


def plain_name(name: Name) -> str:
    """*name* in lower case without the final dot."""
    return name.canonicalize().to_text(omit_final_dot=True)


def _check_apart(owner: str, target: str) -> None:
    if owner == target:
        raise ValueError(f"{owner} would lead to itself, so it is one of the zone's own.")


def _epoch(epoch: int) -> int:
    if not 0 <= epoch <= HIGHEST_EPOCH:
        raise ValueError(f"{epoch} is no epoch.")
    return epoch
