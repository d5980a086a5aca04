"""
One pass: what stands at Route 53 becomes what should. For a thread; harmless when repeated.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pinggy.dns.route53.calls import HealthCheck, Route53
from pinggy.dns.route53.plan import OURS, Entry, Target, changes, check_zone, wanted

# Seconds for which a health check that no record names may be one that another core is about to use.
YOUNG = 600.0


class Stopped(Exception):
    """The daemon stops: what is left is for the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How many records were written and removed, health checks made and dropped."""

    written: int = 0
    removed: int = 0
    made: int = 0
    dropped: int = 0

    def __bool__(self) -> bool:
        return self != Settled()

    def __str__(self) -> str:
        records = f"{self.written} records written, {self.removed} removed"
        return f"{records}; {self.made} health checks made, {self.dropped} dropped"


def settle(
    api: Route53, entry: Entry, targets: Sequence[Target], now: float, go_on: Callable[[], bool] = lambda: True
) -> Settled:
    """
    Make the records of *entry* lead to *targets*. *now* is seconds since 1970. Between two calls *go_on* is asked.

    Raises `Route53Refused`, `Route53Away` or `Stopped`; the same may be asked again.
    """

    def next_call() -> None:
        if not go_on():
            raise Stopped

    check_zone(entry, *api.zone(entry.zone))
    next_call()
    standing = api.records(entry.zone, entry.name)
    # What is in the way is said before anything is made.
    changes(entry, standing, ())
    next_call()
    known = [each for each in api.checks() if each.reference.startswith(_prefix(entry))]
    in_use = {each.health_check for each in standing if each.health_check}
    usable = _usable(entry, known, in_use)
    made = 0
    for address in sorted({each.address for each in targets} - usable.keys()):
        next_call()
        usable[address] = api.make_check(_reference(entry, now), address, entry.port)
        made += 1
    planned = changes(entry, standing, wanted(entry, targets, {name: each.id for name, each in usable.items()}))
    if planned:
        next_call()
        api.change(entry.zone, planned)
    used = {each.health_check for each in (api.records(entry.zone, entry.name) if planned else standing)}
    dropped = 0
    for check in known:
        # One that a record has left just now is nobody's; another may be about to be used.
        if check.id not in used and (check.id in in_use or now - _made_at(check) > YOUNG):
            next_call()
            api.drop_check(check)
            dropped += 1
    removed = sum(each.delete for each in planned)
    return Settled(written=len(planned) - removed, removed=removed, made=made, dropped=dropped)


def _usable(entry: Entry, known: Sequence[HealthCheck], in_use: set[str]) -> dict[str, HealthCheck]:
    """One for each address, rather one that records name already."""
    found = {each.address: each for each in known if each.port == entry.port}
    return found | {each.address: each for each in known if each.port == entry.port and each.id in in_use}


def _prefix(entry: Entry) -> str:
    """Another service may have its entry in the same account of Amazon's."""
    return f"{OURS.strip()}-{hashlib.sha256(entry.name.encode('utf-8')).hexdigest()[:12]}-"


def _reference(entry: Entry, now: float) -> str:
    """Amazon takes none twice, 64 characters at the most."""
    return f"{_prefix(entry)}{int(now)}-{secrets.token_hex(6)}"


def _made_at(check: HealthCheck) -> float:
    at = check.reference.split("-")[2:3]
    return float(at[0]) if at and at[0].isdigit() else 0.0
