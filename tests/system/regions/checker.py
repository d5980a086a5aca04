"""
What must hold of every run, whatever was broken: pure functions over what was seen. Each gives its violations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.system.regions.histories import CORRUPT, Grant, Record, Visit

# Seconds by which the ledger's times may differ from the order of things: they are those at which transactions began.
# No statement of the core is let run longer.
TRANSACTION = 10.0
# Seconds by which the clock of a visit may be off from the database's: they are one machine's, read in two programs.
CLOCKS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """*rule* is one of the four, *what* says where it was broken."""

    rule: str
    what: str


ONE_OWNER = "never two owners of an epoch"
OWN_TUNNEL = "never a visitor at another account's tunnel"
DEAD_RECORD = "no record of a dead owner after the settle time"
WHOLE_BYTES = "no byte corrupted"
RULES = (ONE_OWNER, OWN_TUNNEL, DEAD_RECORD, WHOLE_BYTES)


def check_owners(grants: Sequence[Grant]) -> Iterable[Violation]:
    """An epoch was given once; a name's owners came one after the other, in the order of their epochs."""
    by_epoch: dict[int, Grant] = {}
    for grant in grants:
        other = by_epoch.setdefault(grant.epoch, grant)
        if other is not grant:
            yield Violation(rule=ONE_OWNER, what=f"epoch {grant.epoch}: {_owner(other)} and {_owner(grant)}")
    for what, owners in _owners(grants).items():
        for older, newer in pairwise(sorted(owners, key=lambda grant: grant.epoch)):
            if older.ended is None or older.ended > newer.started + TRANSACTION:
                yield Violation(rule=ONE_OWNER, what=f"{what}: {_owner(newer)} while {_owner(older)} still had it")
            elif newer.started < older.started - TRANSACTION:
                yield Violation(rule=ONE_OWNER, what=f"{what}: {_owner(newer)} began before {_owner(older)}")


def _owners(grants: Iterable[Grant]) -> Mapping[str, list[Grant]]:
    owners: defaultdict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        owners[f"name {grant.name}"].append(grant)
        if grant.port is not None:
            owners[f"port {grant.port}"].append(grant)
    return owners


def _owner(grant: Grant) -> str:
    return f"tunnel {grant.tunnel[:8]} of {grant.account} at {grant.edge} (epoch {grant.epoch})"


def check_visits(
    visits: Iterable[Visit], grants: Sequence[Grant], accounts: Mapping[str, str], ports: Mapping[str, int]
) -> Iterable[Violation]:
    """
    *accounts* are the owners of the names that are reserved: nobody else answers for these. Who answers for any other
    has had it by the ledger before. *ports* are those of the names that visitors use for ports.
    """
    since: dict[tuple[str, str | None], float] = {}
    for grant in grants:
        for key in (grant.name, *((name for name, port in ports.items() if port == grant.port))):
            since[key, grant.account] = min(since.get((key, grant.account), grant.started), grant.started)
    for visit in visits:
        if visit.outcome == CORRUPT:
            yield Violation(rule=WHOLE_BYTES, what=_visit(visit))
        if visit.answered_by is None:
            continue
        owner = accounts.get(visit.name, visit.answered_by)
        if visit.answered_by != owner:
            yield Violation(rule=OWN_TUNNEL, what=f"{_visit(visit)}: it is {owner}'s")
        elif since.get((visit.name, owner), float("inf")) > visit.at + visit.took + CLOCKS:
            yield Violation(rule=OWN_TUNNEL, what=f"{_visit(visit)}: who has never had it")


def _visit(visit: Visit) -> str:
    who = f" answered by {visit.answered_by}" if visit.answered_by else ""
    return f"visit {visit.nonce} ({visit.kind}) of {visit.name} at {visit.edge}{who}"


def check_zone(records: Iterable[Record], grants: Sequence[Grant]) -> Iterable[Violation]:
    """When all has settled: each record leads to the region of the name's owner of now."""
    regions = {grant.name: grant.region for grant in grants if grant.ended is None}
    for record in records:
        owner = regions.get(record.name)
        if owner != record.region:
            meant = f"its owner is in {owner}" if owner else "nobody has it"
            what = f"{record.server} leads {record.name} to {record.region}, but {meant}"
            yield Violation(rule=DEAD_RECORD, what=what)


def missing_records(records: Sequence[Record], grants: Sequence[Grant], servers: Sequence[str]) -> list[str]:
    """Live names that a server does not answer with: no danger, but not what was promised."""
    there = {(record.server, record.name) for record in records}
    return [
        f"{server} has no {grant.name}"
        for grant in grants
        for server in servers
        if grant.live and grant.ended is None and (server, grant.name) not in there
    ]
