"""
Edges, and what stands at Route 53, to what is to be changed there. Pure; refuses what Amazon refuses.

The entry is one latency record for each region of Amazon's that has edges, an alias of ``REGION.ENTRY``; there, each
address of an edge has a weighted record of its own, with its own health check. So two edges may be in one region, which
may have but one latency record, and of them only those that live are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from pinggy.dns.route53.regions import LATENCY_REGIONS
from pinggy.tunnel.refusals import echo

# What stands by our hand: the beginning of its identifier, and of a health check's reference.
OURS = "pinggy "
# Of one batch Amazon takes 1000 records, and counts one that is replaced twice.
MOST_CHANGES = 500
_LONGEST_IDENTIFIER = 128
_ADDRESSES = ("A", "AAAA")
_WEIGHT = 1


class Route53Refused(Exception):
    """It cannot be done so; the text is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    The host *name* in the hosted zone of the id *zone*. Records are kept for *ttl* seconds; edges are asked at *port*.
    """

    name: str
    zone: str
    port: int
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """One *address* of an *edge* that is near Amazon's *region*."""

    edge: str
    address: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One record set. *name* and *alias* are absolute in lower case without the final dot. Either it has *values* and a
    *ttl*, or it is an *alias* in the same zone. Those without an *identifier* are simple ones, and never ours.
    """

    name: str
    type: str
    identifier: str = ""
    region: str = ""
    weight: int | None = None
    ttl: int | None = None
    values: tuple[str, ...] = ()
    alias: str = ""
    health_check: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    record: Record
    delete: bool = False


def wanted(entry: Entry, targets: Sequence[Target], checks: Mapping[str, str]) -> list[Record]:
    """What should stand for *targets*; *checks* are ids by address. Raises `Route53Refused`."""
    records = []
    groups: dict[tuple[str, str], None] = {}
    for each in sorted(targets):
        if each.region not in LATENCY_REGIONS:
            raise Route53Refused(f"Edge {each.edge} is near {echo(each.region)}, which Route 53 does not know.")
        kind = _ADDRESSES[ip_address(each.address).version == 6]
        identifier = f"{OURS}{each.edge} {each.address} {each.region}"
        if len(identifier) > _LONGEST_IDENTIFIER:
            raise Route53Refused(f"The name of edge {each.edge} is too long for Route 53.")
        groups[each.region, kind] = None
        records.append(
            Record(
                name=f"{each.region}.{entry.name}",
                type=kind,
                identifier=identifier,
                weight=_WEIGHT,
                ttl=entry.ttl,
                values=(str(ip_address(each.address)),),
                health_check=checks[each.address],
            )
        )
    for region, kind in groups:
        records.append(
            Record(
                name=entry.name,
                type=kind,
                identifier=f"{OURS}{region}",
                region=region,
                alias=f"{region}.{entry.name}",
            )
        )
    return records


def changes(entry: Entry, standing: Sequence[Record], should: Sequence[Record]) -> list[Change]:
    """
    From what is *standing* at the entry and below to what *should*: aliases go first and come last, for they need what
    they lead to. Raises `Route53Refused` where something of somebody else's is in the way.
    """
    now = {_key(each): each for each in _ours(entry, standing)}
    then = {_key(each): each for each in should}
    upserts = [Change(record=each) for key, each in then.items() if now.get(key) != each]
    deletes = [Change(record=each, delete=True) for key, each in now.items() if key not in then]
    planned = sorted([*deletes, *upserts], key=_turn)
    if len(planned) > MOST_CHANGES:
        raise Route53Refused(f"There are too many edges for one batch: {len(planned)} changes, {MOST_CHANGES} at most.")
    return planned


def check_zone(entry: Entry, zone: str, private: bool) -> None:
    """Raises `Route53Refused` where the hosted zone of the name *zone* cannot hold the entry."""
    if private:
        raise Route53Refused(f"The hosted zone {entry.zone} ({echo(zone)}) is a private one: nobody outside sees it.")
    if entry.name != zone and not entry.name.endswith(f".{zone}"):
        raise Route53Refused(f"The hosted zone {entry.zone} is {echo(zone)}: {entry.name} does not lie in it.")


def _ours(entry: Entry, standing: Sequence[Record]) -> list[Record]:
    found = []
    names = {entry.name, *(f"{region}.{entry.name}" for region in LATENCY_REGIONS)}
    for each in standing:
        if each.name not in names:
            continue
        if each.type == "CNAME":
            raise Route53Refused(f"At {each.name} stands a CNAME, which suffers nothing beside it: take it away.")
        if each.type == "NS" and each.name != _zone_apex(standing):
            raise Route53Refused(f"{each.name} is delegated away: no record of ours would be asked for.")
        if each.type not in _ADDRESSES:
            continue
        if not each.identifier.startswith(OURS):
            raise Route53Refused(
                f"At {each.name} stands an {each.type} record of somebody else's, which ours cannot stand beside: take"
                " it away, or name another entry."
            )
        found.append(each)
    return found


def _zone_apex(standing: Iterable[Record]) -> str:
    return next((each.name for each in standing if each.type == "SOA"), "")


def _key(record: Record) -> tuple[str, str, str]:
    return record.name, record.type, record.identifier


def _turn(change: Change) -> int:
    if change.delete:
        return 0 if change.record.alias else 3
    return 2 if change.record.alias else 1
