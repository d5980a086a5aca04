"""
The calls of Route 53 that are made here, each of which waits: they are for a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pinggy.dns.route53.plan import Change, Record


class Route53Away(Exception):
    """Amazon does not do it; the text is one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Of *address* and TCP *port*. *reference* is what it was made with, never to be used again."""

    id: str
    reference: str
    address: str
    port: int


class Route53(Protocol):
    """The calls that are made, each waiting for its answer. `Boto` makes them."""

    def zone(self, zone: str) -> tuple[str, bool]:
        """The name of the hosted zone *zone*, and whether it is private."""
        ...

    def records(self, zone: str, name: str) -> list[Record]:
        """Those at *name* and below."""
        ...

    def change(self, zone: str, changes: Sequence[Change]) -> None:
        """All of them or none."""
        ...

    def checks(self) -> list[HealthCheck]:
        """Those that were made by us."""
        ...

    def make_check(self, reference: str, address: str, port: int) -> HealthCheck: ...

    def drop_check(self, check: HealthCheck) -> None: ...
