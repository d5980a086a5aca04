"""
The contract of a zone: where an edge writes the names of its tunnels, fenced by epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord:
    """
    ``name CNAME target``, both absolute without the final dot; *epoch* is that of the name's grant, and *proof* what
    the core signed of it (`pinggy.wire.proof`), for zones behind a gate. Without a *target* it may only be withdrawn.
    """

    name: str
    target: str
    epoch: int
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """The A and AAAA records of a region's host *name*."""

    name: str
    addresses: tuple[str, ...]
    epoch: int
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """
    At *name*, the zone's own or one label below, answers lead to the nearest of *addresses* whose *port* takes
    connections, for *ttl* seconds.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    ttl: int
    epoch: int
    proof: str = ""


class ZoneError(Exception):
    """The zone could not be written; the text says which server and why."""


class NewerOwner(ZoneError):
    """The record is of an epoch that is over; the text names it. The others that came with it were written."""


class Zone(Protocol):
    """
    Writes are fenced: a record of a lower epoch than the one that stands changes nothing and fails with `NewerOwner`;
    its withdrawal is done already. A withdrawn epoch is spent: the zone remembers it for a while, and takes no record
    of that epoch or a lower one. Both are harmless when repeated.
    """

    def publish(self, records: Sequence[NameRecord]) -> Deferred[None]:
        """When this fires, the authoritative servers have taken the records. Fails with `ZoneError`."""
        ...

    def withdraw(self, records: Sequence[NameRecord]) -> Deferred[None]:
        """
        Take away *records*, each where its epoch is the one that stands; one without a target, where its epoch or a
        lower one does. Fails with `ZoneError`.
        """
        ...


class Probe(Protocol):
    def confirm(self, record: NameRecord) -> Deferred[None]:
        """Fires when the authoritative servers answer with *record*; fails with `ZoneError` where they do not."""
        ...
